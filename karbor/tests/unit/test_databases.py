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

"""What holds on every kind of database; ``tools/test-databases`` runs these tests on each."""

import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import sqlalchemy as sa
from oslo_db import exception as db_exc
from sqlalchemy import orm

from karbor import db
from karbor.db import api, models, paging, plans, quotas, uses
from karbor.tests import base, database_servers, runners


def _many_at_once(act: Callable[[], Any], count: int = 8) -> list[Any]:
    """What the calls return that begin at the same moment, or the error that they raise."""
    results: list[Any] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait(10)
        try:
            results.append(act())
        except Exception as exc:  # noqa: BLE001 - the test looks at it
            results.append(exc)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


class TextTest(base.TestCase):
    def test_texts_that_look_alike_are_different_keys(self) -> None:
        texts = {'a', 'A', '\xe4', 'a\u0308', '\U0001f4be', '\U0001f512'}
        with db.writer() as session:
            for text in texts:
                runners.record_result(session, 'subject', 'type', text, 'available', text)

        with db.reader() as session:
            found = uses.results(session, ['subject'])['subject']
            self.assertEqual(
                {(text, text) for text in texts}, {(row.resource_id, row.reason) for row in found}
            )
            self.assertEqual({}, uses.results(session, ['SUBJECT']))

    def test_names_are_searched_whatever_the_case(self) -> None:
        with db.writer() as session:
            for name in ('\xdcn\xef', 'Nightly 100%', 'other'):
                plans.create(
                    session,
                    project_id='p',
                    name=name,
                    provider_id='x',
                    status='suspended',
                    resources=[],
                    parameters={},
                )

        with db.plain_reader() as connection:
            for text, wanted in (
                ('\xfcN\xcf', ['\xdcn\xef']),
                ('LY 100%', ['Nightly 100%']),
                ('u', []),
                ('_', []),
                ('HT', ['Nightly 100%']),
            ):
                rows, _ = plans.page(
                    connection, paging.Selection('p', paging.Page(9), {'name': text})
                )
                self.assertEqual(wanted, [row.name for row in rows], text)

    def test_long_texts_are_kept_whole(self) -> None:
        text = '\U0001f4be' * 100_000
        with db.writer() as session:
            runners.record_result(session, 'subject', 'type', 'id', 'error', text)

        with db.reader() as session:
            (row,) = uses.results(session, ['subject'])['subject']
            self.assertEqual(text, row.reason)


class ConcurrencyTest(base.TestCase):
    def test_only_as_many_are_counted_as_there_may_be(self) -> None:
        @db.transaction
        def take(session: orm.Session, project_id: str) -> bool:
            quotas.limits_of(session, project_id)
            return quotas.take(session, project_id, 'plans', 3)

        for number in range(20):
            project_id = f'project-{number}'
            taken = _many_at_once(lambda project_id=project_id: take(project_id))
            self.assertEqual([False] * 5 + [True] * 3, sorted(taken, key=str))
            with db.reader() as session:
                self.assertEqual(3, quotas.in_use(session, project_id)['plans'])

    def test_a_deadlock_is_not_seen(self) -> None:
        ids = [base.new_id(), base.new_id()]
        with db.writer() as session:
            for plan_id in ids:
                plans.create(
                    session,
                    id=plan_id,
                    project_id='p',
                    name='0',
                    provider_id='x',
                    status='suspended',
                    resources=[],
                    parameters={},
                )
        order = iter([ids, ids[::-1]] * 4)

        @db.transaction
        def count(session: orm.Session, wanted: list[str]) -> None:
            for plan_id in wanted:
                plan = plans.get(session, 'p', plan_id, lock=True)
                plan.name = str(int(plan.name) + 1)
                session.flush()

        self.assertEqual([None] * 8, _many_at_once(lambda: count(next(order))))
        with db.reader() as session:
            self.assertEqual(['8', '8'], list(session.scalars(sa.select(models.Plan.name))))

    def test_what_is_begun_again(self) -> None:
        savepoint = db_exc.DBError()
        savepoint.cause = db_exc.DBDeadlock()
        for error, runs in (
            (db_exc.DBDeadlock(), 2),
            (db_exc.DBConsistencyError(), 2),
            (savepoint, 2),
            (db_exc.DBError(), 1),
            (LookupError(), 1),
        ):
            write = mock.Mock(side_effect=[error, None], __name__='write')
            try:
                db.transaction(write)()
            except (db_exc.DBError, LookupError):
                self.assertEqual(1, runs)
            self.assertEqual(runs, write.call_count, repr(error))


class UrlTest(base.TestCase):
    def test_mariadb_is_told_what_oslo_db_does_not_say(self) -> None:
        wanted = 'mysql+pymysql://karbor:p%40w@host/karbor?charset=utf8mb4'
        for given in (
            'mysql+pymysql://karbor:p%40w@host/karbor',
            'mariadb+pymysql://karbor:p%40w@host/karbor',
            'mysql+pymysql://karbor:p%40w@host/karbor?charset=utf8',
        ):
            self.assertEqual(wanted, api._for_oslo_db(given))

    def test_other_urls_stay_as_they_are(self) -> None:
        for url in ('postgresql+psycopg2://karbor:p%40w@host/karbor', 'sqlite:////x'):
            self.assertEqual(url, api._for_oslo_db(url))


class ServersTest(base.TestCase):
    def test_what_is_not_installed_is_named_with_its_package(self) -> None:
        with mock.patch.dict('os.environ', PATH=str(self.temp_dir)):
            for kind, package in (
                (database_servers.MariaDB, 'mariadb-server'),
                (database_servers.PostgreSQL, 'postgresql'),
            ):
                with mock.patch.object(kind, 'places', ()):
                    error = self.assertRaises(database_servers.ServerError, kind)
                self.assertIn(f'apt-get install {package}', str(error))

    def test_a_kind_that_there_is_not(self) -> None:
        error = self.assertRaises(database_servers.ServerError, database_servers.running, 'x')
        self.assertIn('mariadb, postgresql', str(error))
