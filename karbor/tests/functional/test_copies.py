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

from typing import Any

from karbor import db
from karbor.db import models
from karbor.services.protection import provider
from karbor.tests.base import OTHER_PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base

SECOND_ID = '00000000-8b41-4c52-9a11-6f1f0f3b7c20'


class CopiesTest(base.ApiTestCase):
    """No plugin can copy: whatever is asked for is refused, and leaves nothing behind."""

    def setUp(self):
        super().setUp()
        self.plan = self.create_plan()
        self.add_row(models.Checkpoint, plan_id=self.plan['id'])
        self.before = self._everything()

    def _everything(self) -> list[Any]:
        with db.reader() as session:
            found = [
                session.execute(table.select()).all()
                for table in models.Base.metadata.sorted_tables
            ]
        return [found, self.registry.get(PROVIDER_ID).bank.list_objects('/')]

    def refused(self, code: int, provider_id: str = PROVIDER_ID, **fields: Any) -> str:
        body = {'copy': {'plan_id': self.plan['id'], **fields}}
        message = self.post(self.checkpoints_path('action', provider_id), body, code)
        self.assertEqual(self.before, self._everything())
        return message

    def test_it_is_said_that_none_can(self):
        for fields in ({}, {'parameters': {}}, {'parameters': {base.VOLUME: {'a': 'b'}}}):
            self.assertIn(PROVIDER_ID, self.refused(400, **fields))

    def test_what_is_not_there(self):
        theirs = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        self.before = self._everything()
        for plan_id in (new_id(), theirs.id):
            self.assertIn(plan_id, self.refused(404, plan_id=plan_id))
        self.assertIn('could not be found', self.refused(404, new_id()))
        self.refused(400, 'x')

    def test_a_plan_of_another_provider(self):
        self.build(
            provider.ProviderRegistry(self.provider_dir(name='second', provider_id=SECOND_ID))
        )
        self.assertIn(PROVIDER_ID, self.refused(400, SECOND_ID))

    def test_bodies_that_do_not_fit(self):
        for fields in (
            {'plan_id': None},
            {'plan_id': 'x'},
            {'parameters': None},
            {'parameters': []},
            {'parameters': {'a/b': {}}},
            {'colour': 'red'},
        ):
            self.refused(400, **fields)
        for body in ({}, [], {'copy': {}}, {'copy': [self.plan['id']]}, {'plan_id': new_id()}):
            self.post(self.checkpoints_path('action'), body, 400)
        self.assertEqual(self.before, self._everything())

    def test_other_methods(self):
        for method in ('GET', 'PUT', 'DELETE'):
            self.request(method, self.checkpoints_path('action'), 405)
