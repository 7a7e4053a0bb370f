# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Rows of a Karbor of old that are as no request could have made them."""

import sqlalchemy as sa

from karbor.db import models
from karbor.tests import base
from karbor.tests.base import new_id
from karbor.tests.functional import test_moving


class WhatCannotBeReadTest(test_moving.MovingTestCase):
    """Rows as no request could have made them; the one that is good is taken over."""

    def test_times_that_are_none(self) -> None:
        good, plan, trigger = self.old.plan(), self.old.plan(), self.old.trigger()
        bad = {'sqlite': 'no time', 'mariadb': '0000-00-00 00:00:00', 'postgresql': 'infinity'}
        time = bad[base.DATABASE]
        with self.old.engine.begin() as connection:
            if base.DATABASE == 'mariadb':
                connection.execute(sa.text("SET SESSION sql_mode=''"))
            for table, row_id in (('plans', plan), ('triggers', trigger)):
                connection.execute(
                    sa.text(f'UPDATE {table} SET created_at = :time WHERE id = :row_id'),
                    {'time': time, 'row_id': row_id},
                )
        said = self.move(code=1)
        for what, row_id in (('plans', plan), ('triggers', trigger)):
            self.assertIn(f"{what}: {row_id}: Its created_at '{time}' is no time.", said)
        self.assertEqual({good}, self.ids(models.Plan))

    def test_documents_that_no_database_holds(self) -> None:
        good = self.old.plan()
        deep = '[' * 28 + ']' * 28
        reasons = {}
        for text, why in (
            ('"\\ud800"', 'half of a surrogate pair'),
            ('"\\u0000"', 'a NUL character'),
            ('1e999', 'a number is too large'),
            ('[' * 9_000, 'nested too deep'),
            (deep, 'nested too deep'),
        ):
            extra = {'resource_id': new_id(), 'resource_extra_info': f'{{"a": {text}}}'}
            reasons[self.old.plan(resources=[extra])] = why
            if text != deep:
                parameters = f'{{"OS::Nova::Server": {{"a": {text}}}}}'
                reasons[self.old.plan(parameters=parameters)] = why
        self.assert_left_out('plans', reasons)
        self.assertEqual({good}, self.ids(models.Plan))
        self.get('/plans')

    def test_ids_that_no_request_could_name(self) -> None:
        good = self.old.plan()
        self.assert_left_out(
            'plans', dict.fromkeys((self.old.plan(id='mine'), self.old.plan(id='a/b')), 'no UUID')
        )
        self.assertEqual({good}, self.ids(models.Plan))

    def test_what_only_sqlite_keeps(self) -> None:
        if base.DATABASE != 'sqlite':
            self.skipTest('others refuse it')
        good, long = self.old.plan(), 'x' * 300
        self.old.quota('plans', 1 << 40)
        self.old.quota('checkpoints', 1)
        with self.old.engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE quotas SET hard_limit = 'many' WHERE resource = 'checkpoints'")
            )
        reasons = {
            self.old.plan(name=long): 'name: it has 300 characters; 255 are the most',
            self.old.plan(status=long): 'status: it has 300',
            self.old.plan(description='a\x00'): 'description: a NUL character',
        }
        said = ' '.join(self.move(code=1))
        for row_id, why in reasons.items():
            self.assertIn(f'plans: {row_id}: It cannot be kept: {why}', said)
        self.assertIn(f'hard_limit: {1 << 40} is more than', said)
        self.assertIn("The limit is 'many', which is no whole number", said)
        self.assertEqual({good}, self.ids(models.Plan))
        self.assertEqual([], self.rows(models.Quota))
