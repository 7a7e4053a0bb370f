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
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base

THEIRS = {'headers': {'X-Auth-Token': personas.token('member', OTHER_PROJECT_ID)},
          'project_id': OTHER_PROJECT_ID}
HEADERS = {'X-Auth-Token': base.TOKEN}


class OperationsTestCase(base.ApiTestCase):

    def setUp(self):
        super().setUp()
        self.plan = self.create_plan()
        self.trigger = self.create_trigger()

    def create_trigger(self) -> dict[str, Any]:
        return self.post('/triggers', {'trigger_info': {
            'name': 't', 'type': 'time', 'properties': base.TRIGGER_PROPERTIES}})['trigger_info']

    def definition(self, **changes: Any) -> dict[str, Any]:
        return {'provider_id': PROVIDER_ID, 'plan_id': self.plan['id'], **changes}

    def body(self, **fields: Any) -> dict[str, Any]:
        return {'scheduled_operation': {
            'name': 'keep three', 'operation_type': 'protect', 'trigger_id': self.trigger['id'],
            'operation_definition': self.definition(), **fields}}

    def create(self, code: int = 200, **fields: Any) -> Any:
        made = self.post('/scheduled_operations', self.body(**fields), code)
        return made['scheduled_operation'] if code == 200 else made

    def in_use(self) -> int:
        return self.get(f'/quotas/{PROJECT_ID}/detail')['quota']['schedules']['in_use']


class CreateOperationTest(OperationsTestCase):

    def refused(self, code: int = 400, **fields: Any) -> str:
        """The message, after a look that nothing was made."""
        message = self.create(code, **fields)
        self.assertEqual(([], 0), (self.rows(models.ScheduledOperation), self.in_use()))
        return message

    def test_what_is_sent_is_shown(self):
        made = self.create(description='of databases')
        self.assertEqual({
            'id': made['id'], 'project_id': PROJECT_ID, 'name': 'keep three',
            'description': 'of databases', 'operation_type': 'protect',
            'trigger_id': self.trigger['id'], 'operation_definition': self.definition(),
            'enabled': True}, made)
        self.assertEqual({'scheduled_operation': made},
                         self.get(f'/scheduled_operations/{made["id"]}'))
        self.assertEqual({'operations': [made]}, self.get('/scheduled_operations'))
        row, = self.rows(models.ScheduledOperation)
        self.assertEqual((PROJECT_ID, 'manager-of-the-test', self.plan['id']),
                         (row.project_id, row.user_id, row.plan_id))

    def test_retention(self):
        for extra in ({'max_backups': 3}, {'max_backups': '3', 'retention_duration': '14'},
                      {'max_backups': -1, 'retention_duration': '-1'}, {'max_backups': 0},
                      {'anything': ['else', {'a': None}]}):
            given = self.definition(**extra)
            made = self.create(operation_type='retention_protect', operation_definition=given)
            self.assertEqual(given, made['operation_definition'])
            self.assertEqual(made, self.get(f'/scheduled_operations/{made["id"]}')[
                'scheduled_operation'])

    def test_the_definition_as_text(self):
        """As the newest openstack client sends it."""
        plan_id = self.plan['id']
        for text, extra in (
                (f'provider_id={PROVIDER_ID},plan_id={plan_id}', {}),
                (f' plan_id = {plan_id} , provider_id = {PROVIDER_ID} ', {}),
                (f'provider_id={PROVIDER_ID},plan_id={plan_id},max_backups=3,'
                 f'retention_duration=14', {'max_backups': '3', 'retention_duration': '14'}),
                (f'provider_id={PROVIDER_ID},plan_id={plan_id},note=a=b', {'note': 'a=b'})):
            self.assertEqual(self.definition(**extra), self.create(
                operation_definition=text)['operation_definition'], text)

    def test_texts_that_are_no_definition(self):
        good = f'provider_id={PROVIDER_ID},plan_id={self.plan["id"]}'
        for text in ('', ' ', ',', '=', '==', 'x', f'{good},', f'{good},x', f',{good}',
                     f'{good},max_backups=many', f'{good},max_backups=', good.replace('=', ':'),
                     f'provider_id={PROVIDER_ID}', f'provider_id=,plan_id={self.plan["id"]}',
                     f'{good},' + 'x' * 4096 + '=1', '{"provider_id": "x"}'):
            self.assertIn('operation_definition', self.refused(operation_definition=text))

    def test_names_of_a_text_that_are_none(self):
        """What has no name, or is said twice, is a slip that would be lost in silence."""
        good = f'provider_id={PROVIDER_ID},plan_id={self.plan["id"]}'
        for text in (f'{good},=x', f'{good}, =x', f'plan_id={new_id()},{good}'):
            self.assertIn('operation_definition', self.refused(operation_definition=text))

    def test_definitions_that_do_not_fit(self):
        for changes, part in (
                ({'provider_id': None}, 'provider_id'), ({'plan_id': None}, 'plan_id'),
                ({'plan_id': 'x'}, 'plan_id'), ({'plan_id': 5}, 'plan_id'),
                ({'provider_id': 'x'}, 'provider_id'), ({'plan_id': ''}, 'plan_id'),
                ({'max_backups': 'x'}, 'max_backups'), ({'max_backups': -2}, 'max_backups'),
                ({'max_backups': 1.5}, 'max_backups'), ({'max_backups': None}, 'max_backups'),
                ({'max_backups': True}, 'max_backups'), ({'max_backups': '3\n'}, 'max_backups'),
                ({'max_backups': 10 ** 12}, 'max_backups'),
                ({'retention_duration': []}, 'retention_duration'),
                ({'retention_duration': '9' * 10}, 'retention_duration'),
                ({str(number): 1 for number in range(70)}, 'operation_definition')):
            message = self.refused(operation_definition=self.definition(**changes))
            self.assertIn('operation_definition', message)
            self.assertIn(part, message)
        for given in (None, [], 5, True, {}, {'plan_id': self.plan['id']},
                      {'provider_id': PROVIDER_ID}):
            self.assertIn('operation_definition', self.refused(operation_definition=given))

    def test_fields_that_are_not_allowed(self):
        for fields, part in (
                ({'name': ''}, 'name'), ({'name': ' '}, 'name'), ({'name': None}, 'name'),
                ({'name': 'n' * 256}, 'name'), ({'name': 'a\n'}, 'name'),
                ({'description': 'd' * 256}, 'description'), ({'description': 5}, 'description'),
                ({'operation_type': 'delete'}, 'operation_type'),
                ({'operation_type': None}, 'operation_type'),
                ({'trigger_id': 'x'}, 'trigger_id'), ({'trigger_id': None}, 'trigger_id'),
                ({'enabled': True}, 'enabled'), ({'id': new_id()}, 'id'),
                ({'project_id': OTHER_PROJECT_ID}, 'project_id'), ({'colour': 'red'}, 'colour')):
            self.assertIn(part, self.refused(**fields))
        whole = self.body()['scheduled_operation']
        for missing in whole:
            message = self.post('/scheduled_operations', {'scheduled_operation': {
                name: value for name, value in whole.items() if name != missing}}, 400)
            self.assertIn(missing, message)
        for body in ({}, [], {'scheduled_operation': []}, whole, {'operation': whole}):
            self.post('/scheduled_operations', body, 400)
        self.assertEqual([], self.rows(models.ScheduledOperation))

    def test_what_is_not_there(self):
        missing = new_id()
        self.assertIn(missing, self.refused(404, trigger_id=missing))
        self.assertIn(missing, self.refused(
            404, operation_definition=self.definition(plan_id=missing)))

    def test_what_another_project_has(self):
        trigger = self.add_row(models.Trigger, project_id=OTHER_PROJECT_ID)
        plan = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        missing = new_id()
        hidden = self.refused(404, trigger_id=trigger.id)
        self.assertEqual(hidden.replace(trigger.id, missing),
                         self.refused(404, trigger_id=missing))
        hidden = self.refused(404, operation_definition=self.definition(plan_id=plan.id))
        self.assertEqual(hidden.replace(plan.id, missing), self.refused(
            404, operation_definition=self.definition(plan_id=missing)))
        self.refused(404, operation_definition=f'provider_id={PROVIDER_ID},plan_id={plan.id}')

    def test_another_provider_than_the_plans(self):
        message = self.refused(operation_definition=self.definition(provider_id=new_id()))
        self.assertIn(PROVIDER_ID, message)


class ShowOperationTest(OperationsTestCase):

    def test_ids(self):
        for method in ('GET', 'DELETE'):
            missing = new_id()
            self.assertIn(missing,
                          self.request(method, f'/scheduled_operations/{missing}', 404))
            for name in ('nightly', '%00', '..', '1', "' OR 1=1"):
                self.request(method, f'/scheduled_operations/{name}', 400)

    def test_it_cannot_be_changed(self):
        made = self.create()
        self.put(f'/scheduled_operations/{made["id"]}', self.body(name='new'), 405)

    def test_another_project(self):
        made = self.create()
        path = f'/scheduled_operations/{made["id"]}'
        self.get(path, 404, **THEIRS)
        self.delete(path, 404, **THEIRS)
        self.assertEqual([], self.get('/scheduled_operations', **THEIRS)['operations'])
        self.assertEqual({'scheduled_operation': made}, self.get(path))
        self.assertEqual(1, self.in_use())


class DeleteOperationTest(OperationsTestCase):

    def test_delete(self):
        made, kept = self.create(), self.create()
        path = f'/scheduled_operations/{made["id"]}'
        result = self.client.simulate_delete(f'/v1/{PROJECT_ID}{path}', headers=HEADERS)
        self.assertEqual((200, b''), (result.status_code, result.content))
        self.get(path, 404)
        self.delete(path, 404)
        self.assertEqual({'operations': [kept]}, self.get('/scheduled_operations'))
        self.assertEqual(1, self.in_use())

    def test_what_it_needs_stays_until_it_is_gone(self):
        operations = [self.create(), self.create()]
        for path in (f'/plans/{self.plan["id"]}', f'/triggers/{self.trigger["id"]}'):
            message = self.delete(path, 409)
            self.assertTrue(any(made['id'] in message for made in operations), message)
            self.get(path)
        self.delete(f'/scheduled_operations/{operations[0]["id"]}')
        self.assertIn(operations[1]['id'], self.delete(f'/plans/{self.plan["id"]}', 409))
        self.delete(f'/scheduled_operations/{operations[1]["id"]}')
        for path in (f'/plans/{self.plan["id"]}', f'/triggers/{self.trigger["id"]}'):
            self.delete(path)
        self.assertEqual(0, self.in_use())

    def test_a_plan_of_it_can_be_changed(self):
        self.create()
        self.put(f'/plans/{self.plan["id"]}', {'plan': {'name': 'new', 'status': 'started'}})

    def test_many_at_once(self):
        made = self.create()
        self.create()
        codes = base.at_once(*[lambda: self.client.simulate_delete(
            f'/v1/{PROJECT_ID}/scheduled_operations/{made["id"]}',
            headers=HEADERS).status_code] * 4)
        self.assertEqual([200, 404, 404, 404], sorted(codes))
        self.assertEqual(1, self.in_use())


class AtOnceTest(OperationsTestCase):
    """What an operation needs goes in the moment in which the operation is made."""

    def race(self, path: str, **fields: Any) -> None:
        deleted, created = base.at_once(
            lambda: self.client.simulate_delete(
                f'/v1/{PROJECT_ID}{path}', headers=HEADERS).status_code,
            lambda: self.client.simulate_post(
                f'/v1/{PROJECT_ID}/scheduled_operations', json=self.body(**fields),
                headers=HEADERS).status_code)
        self.assertIn((deleted, created), [(200, 404), (409, 200)])
        self.get(path, 404 if deleted == 200 else 200)
        self.assertEqual(len(self.rows(models.ScheduledOperation)), self.in_use())
        with db.reader() as session:
            known = {model: {row.id for row in session.query(model)}
                     for model in (models.Plan, models.Trigger)}
        for row in self.rows(models.ScheduledOperation):
            self.assertIn(row.plan_id, known[models.Plan])
            self.assertIn(row.trigger_id, known[models.Trigger])

    def test_its_plan(self):
        for _ in range(10):
            plan = self.create_plan()
            self.race(f'/plans/{plan["id"]}',
                      operation_definition=self.definition(plan_id=plan['id']))

    def test_its_trigger(self):
        for _ in range(10):
            trigger = self.create_trigger()
            self.race(f'/triggers/{trigger["id"]}', trigger_id=trigger['id'])
