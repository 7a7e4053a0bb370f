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

import datetime
from typing import Any

from karbor import context as karbor_context
from karbor import db
from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.db import trusts as trust_rows
from karbor.services.identity import trusts
from karbor.services.protection import provider
from karbor.services.schedules import scheduled_operations
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base

THEIRS = {
    'headers': {'X-Auth-Token': personas.token('member', OTHER_PROJECT_ID)},
    'project_id': OTHER_PROJECT_ID,
}
HEADERS = {'X-Auth-Token': base.TOKEN}
SECOND_ID = '00000000-8b41-4c52-9a11-6f1f0f3b7c20'

#: changes of a definition that does not fit -> what the message must name
BAD_DEFINITIONS = [
    ({'provider_id': None}, 'provider_id'),
    ({'plan_id': None}, 'plan_id'),
    ({'plan_id': 'x'}, 'plan_id'),
    ({'plan_id': 5}, 'plan_id'),
    ({'provider_id': 'x'}, 'provider_id'),
    ({'plan_id': ''}, 'plan_id'),
    ({'max_backups': 'x'}, 'max_backups'),
    ({'max_backups': 10**12}, 'max_backups'),
    ({'max_backups': 1.5}, 'max_backups'),
    ({'max_backups': None}, 'max_backups'),
    ({'max_backups': True}, 'max_backups'),
    ({'max_backups': '3\n'}, 'max_backups'),
    ({'max_backups': ''}, 'max_backups'),
    ({'max_backups': '--1'}, 'max_backups'),
    ({'max_backups': -(10**9)}, 'max_backups'),
    ({'retention_duration': []}, 'retention_duration'),
    ({'retention_duration': '9' * 10}, 'retention_duration'),
    ({'overlap': 'wait'}, 'overlap'),
    ({'overlap': ''}, 'overlap'),
    ({'overlap': None}, 'overlap'),
    ({'overlap': ['queue']}, 'overlap'),
    ({'overlap': 'Queue'}, 'overlap'),
    ({str(number): 1 for number in range(70)}, 'operation_definition'),
]

#: the same, of one for retention_protect
BAD_RULES = [
    *(
        (rule, value)
        for rule in (
            'keep_last',
            'keep_hourly',
            'keep_daily',
            'keep_weekly',
            'keep_monthly',
            'keep_yearly',
        )
        for value in (
            -1,
            '-1',
            1000000,
            '1000000',
            10**30,
            1.0,
            '1.5',
            '',
            ' 1',
            '1 ',
            '٣',
            'x',
            None,
            True,
            False,
            [],
            [1],
            {},
            {'a': 1},
        )
    ),
    *(
        ('keep_within', value)
        for value in (
            '',
            '0h',
            '00d',
            '14',
            14,
            '14 d',
            '14D',
            '1m',
            '1y',
            '-1d',
            '1.5d',
            'd',
            'P14D',
            '100000d',
            '1d1h',
            '٣d',
            '14d\n',
            None,
            True,
            [],
            {},
        )
    ),
]

#: what is taken of a definition for retention_protect
GOOD_RULES = [
    {'max_backups': 3},
    {'max_backups': '3', 'retention_duration': '14'},
    {'max_backups': -1, 'retention_duration': '-1'},
    {'max_backups': 0},
    {'max_backups': -2},
    {'retention_duration': '-999999999', 'max_backups': 999999999},
    {'anything': ['else', {'a': None}]},
    {'overlap': 'queue'},
    {'overlap': 'skip'},
    {'keep_last': 3},
    {'keep_last': '3'},
    {'keep_last': 0},
    {'keep_hourly': '0'},
    {
        'keep_hourly': 24,
        'keep_daily': 7,
        'keep_weekly': 5,
        'keep_monthly': '12',
        'keep_yearly': 999999,
    },
    {'keep_within': '36h'},
    {'keep_within': '14d'},
    {'keep_within': '8w', 'keep_last': '999999', 'max_backups': 5},
    {'keep_within': '99999w'},
]


class OperationsTestCase(base.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.plan = self.create_plan()
        self.trigger = self.create_trigger()

    def create_trigger(self, **properties: Any) -> dict[str, Any]:
        return self.post(
            '/triggers',
            {
                'trigger_info': {
                    'name': 't',
                    'type': 'time',
                    'properties': {**base.TRIGGER_PROPERTIES, **properties},
                }
            },
        )['trigger_info']

    def definition(self, **changes: Any) -> dict[str, Any]:
        return {'provider_id': PROVIDER_ID, 'plan_id': self.plan['id'], **changes}

    def body(self, **fields: Any) -> dict[str, Any]:
        return {
            'scheduled_operation': {
                'name': 'keep three',
                'operation_type': 'protect',
                'trigger_id': self.trigger['id'],
                'operation_definition': self.definition(),
                **fields,
            }
        }

    def create(self, code: int = 200, **fields: Any) -> Any:
        made = self.post('/scheduled_operations', self.body(**fields), code)
        return made['scheduled_operation'] if code == 200 else made

    def shown(self, operation: dict[str, Any]) -> dict[str, Any]:
        return self.get(f'/scheduled_operations/{operation["id"]}')['scheduled_operation']

    def change(self, operation: dict[str, Any], code: int = 200, **fields: Any) -> Any:
        answer = self.put(
            f'/scheduled_operations/{operation["id"]}', {'scheduled_operation': fields}, code
        )
        return answer['scheduled_operation'] if code == 200 else answer

    def run_now(self, operation: dict[str, Any], code: int = 200, **kwargs: Any) -> Any:
        answer = self.post(
            f'/scheduled_operations/{operation["id"]}/action', {'run': {}}, code, **kwargs
        )
        return answer['operation_log'] if code == 200 else answer

    def log(self, log_id: str) -> dict[str, Any]:
        return self.get(f'/operation_logs/{log_id}')['operation_log']

    def trigger_row(self, trigger: dict[str, Any] | None = None) -> models.Trigger:
        with db.reader() as session:
            return session.get(models.Trigger, (trigger or self.trigger)['id'])

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
        self.assertEqual(
            {
                'id': made['id'],
                'project_id': PROJECT_ID,
                'name': 'keep three',
                'description': 'of databases',
                'operation_type': 'protect',
                'trigger_id': self.trigger['id'],
                'operation_definition': self.definition(),
                'enabled': True,
            },
            made,
        )
        self.assertEqual(
            {'scheduled_operation': made}, self.get(f'/scheduled_operations/{made["id"]}')
        )
        self.assertEqual({'operations': [made]}, self.get('/scheduled_operations'))
        (row,) = self.rows(models.ScheduledOperation)
        self.assertEqual(
            (PROJECT_ID, 'manager-of-the-test', self.plan['id']),
            (row.project_id, row.user_id, row.plan_id),
        )

    def test_retention(self):
        self.config.config(quota_schedules=-1)
        for extra in GOOD_RULES:
            given = self.definition(**extra)
            made = self.create(operation_type='retention_protect', operation_definition=given)
            self.assertEqual(given, made['operation_definition'])
            self.assertEqual(
                made, self.get(f'/scheduled_operations/{made["id"]}')['scheduled_operation']
            )

    def test_rules_that_do_not_fit(self):
        for rule, value in BAD_RULES:
            message = self.refused(
                operation_type='retention_protect',
                operation_definition=self.definition(**{rule: value}),
            )
            self.assertIn('operation_definition', message)
            self.assertIn(f'{rule}: ', message)

    def test_rules_that_would_do_nothing(self):
        for rules in (
            {'keep_last': 3},
            {'keep_last': 0},
            {'keep_within': '14d'},
            {'keep_daily': 7, 'keep_yearly': '1', 'max_backups': 3},
        ):
            message = self.refused(operation_definition=self.definition(**rules))
            for rule in rules:
                self.assertEqual(rule.startswith('keep_'), rule in message, message)
        text = f'provider_id={PROVIDER_ID},plan_id={self.plan["id"]},keep_daily=7'
        self.assertIn('keep_daily', self.refused(operation_definition=text))
        self.create(
            operation_definition=self.definition(
                max_backups=3, retention_duration=14, overlap='queue'
            )
        )

    def test_the_definition_as_text(self):
        """As the newest openstack client sends it."""
        plan_id = self.plan['id']
        self.assertEqual(
            self.definition(keep_daily='7', keep_within='14d', overlap='queue'),
            self.create(
                operation_type='retention_protect',
                operation_definition=(
                    f'provider_id={PROVIDER_ID},plan_id={plan_id},keep_daily=7,keep_within=14d,'
                    f'overlap=queue'
                ),
            )['operation_definition'],
        )
        for text, extra in (
            (f'provider_id={PROVIDER_ID},plan_id={plan_id}', {}),
            (f' plan_id = {plan_id} , provider_id = {PROVIDER_ID} ', {}),
            (
                f'provider_id={PROVIDER_ID},plan_id={plan_id},max_backups=3,retention_duration=14',
                {'max_backups': '3', 'retention_duration': '14'},
            ),
            (f'provider_id={PROVIDER_ID},plan_id={plan_id},note=a=b', {'note': 'a=b'}),
        ):
            self.assertEqual(
                self.definition(**extra),
                self.create(operation_definition=text)['operation_definition'],
                text,
            )

    def test_texts_that_are_no_definition(self):
        good = f'provider_id={PROVIDER_ID},plan_id={self.plan["id"]}'
        for text in (
            '',
            ' ',
            ',',
            '=',
            '==',
            'x',
            f'{good},',
            f'{good},x',
            f',{good}',
            f'{good},max_backups=many',
            f'{good},max_backups=',
            good.replace('=', ':'),
            f'provider_id={PROVIDER_ID}',
            f'provider_id=,plan_id={self.plan["id"]}',
            f'{good},' + 'x' * 4096 + '=1',
            '{"provider_id": "x"}',
        ):
            self.assertIn('operation_definition', self.refused(operation_definition=text))

    def test_names_that_are_nearly_right(self):
        """They would be kept and have no effect."""
        for name, meant in (
            ('keep_dayly', 'keep_daily'),
            ('max_backup', 'max_backups'),
            ('overlaps', 'overlap'),
            ('keep-last', 'keep_last'),
        ):
            message = self.refused(operation_definition=self.definition(**{name: 3}))
            self.assertIn(f'{name}: there is no such property, but {meant}', message)
        self.create(operation_definition=self.definition(ticket='4711'))

    def test_names_of_a_text_that_are_none(self):
        """What has no name, or is said twice, is a slip that would be lost in silence."""
        good = f'provider_id={PROVIDER_ID},plan_id={self.plan["id"]}'
        for text in (f'{good},=x', f'{good}, =x', f'plan_id={new_id()},{good}'):
            self.assertIn('operation_definition', self.refused(operation_definition=text))

    def test_definitions_that_do_not_fit(self):
        for changes, part in BAD_DEFINITIONS:
            message = self.refused(operation_definition=self.definition(**changes))
            self.assertIn('operation_definition', message)
            self.assertIn(part, message)
        for given in (
            None,
            [],
            5,
            True,
            {},
            {'plan_id': self.plan['id']},
            {'provider_id': PROVIDER_ID},
        ):
            self.assertIn('operation_definition', self.refused(operation_definition=given))

    def test_fields_that_are_not_allowed(self):
        for fields, part in (
            ({'name': ''}, 'name'),
            ({'name': ' '}, 'name'),
            ({'name': None}, 'name'),
            ({'name': 'n' * 256}, 'name'),
            ({'name': 'a\n'}, 'name'),
            ({'description': 'd' * 256}, 'description'),
            ({'description': 5}, 'description'),
            ({'operation_type': 'delete'}, 'operation_type'),
            ({'operation_type': None}, 'operation_type'),
            ({'trigger_id': 'x'}, 'trigger_id'),
            ({'trigger_id': None}, 'trigger_id'),
            ({'enabled': True}, 'enabled'),
            ({'id': new_id()}, 'id'),
            ({'project_id': OTHER_PROJECT_ID}, 'project_id'),
            ({'colour': 'red'}, 'colour'),
        ):
            self.assertIn(part, self.refused(**fields))
        whole = self.body()['scheduled_operation']
        for missing in whole:
            message = self.post(
                '/scheduled_operations',
                {
                    'scheduled_operation': {
                        name: value for name, value in whole.items() if name != missing
                    }
                },
                400,
            )
            self.assertIn(missing, message)
        for body in ({}, [], {'scheduled_operation': []}, whole, {'operation': whole}):
            self.post('/scheduled_operations', body, 400)
        self.assertEqual([], self.rows(models.ScheduledOperation))

    def test_what_is_not_there(self):
        missing = new_id()
        self.assertIn(missing, self.refused(404, trigger_id=missing))
        self.assertIn(
            missing, self.refused(404, operation_definition=self.definition(plan_id=missing))
        )

    def test_what_another_project_has(self):
        trigger = self.add_row(models.Trigger, project_id=OTHER_PROJECT_ID)
        plan = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        missing = new_id()
        hidden = self.refused(404, trigger_id=trigger.id)
        self.assertEqual(hidden.replace(trigger.id, missing), self.refused(404, trigger_id=missing))
        hidden = self.refused(404, operation_definition=self.definition(plan_id=plan.id))
        self.assertEqual(
            hidden.replace(plan.id, missing),
            self.refused(404, operation_definition=self.definition(plan_id=missing)),
        )
        self.refused(404, operation_definition=f'provider_id={PROVIDER_ID},plan_id={plan.id}')

    def test_another_provider_than_the_plans(self):
        message = self.refused(operation_definition=self.definition(provider_id=new_id()))
        self.assertIn(PROVIDER_ID, message)


class ShowOperationTest(OperationsTestCase):
    def test_ids(self):
        for method, part, more in (
            ('GET', '', {}),
            ('DELETE', '', {}),
            ('PUT', '', {'json': {'scheduled_operation': {'name': 'x'}}}),
            ('POST', '/action', {'json': {'run': {}}}),
        ):
            missing = new_id()
            self.assertIn(
                missing, self.request(method, f'/scheduled_operations/{missing}{part}', 404, **more)
            )
            for name in ('nightly', '%00', '..', '1', "' OR 1=1"):
                self.request(method, f'/scheduled_operations/{name}{part}', 400, **more)

    def test_another_project(self):
        made = self.create()
        path = f'/scheduled_operations/{made["id"]}'
        self.get(path, 404, **THEIRS)
        self.delete(path, 404, **THEIRS)
        self.put(path, {'scheduled_operation': {'name': 'mine'}}, 404, **THEIRS)
        self.post(f'{path}/action', {'run': {}}, 404, **THEIRS)
        self.assertEqual([], self.rows(models.Job))
        self.assertEqual([], self.get('/scheduled_operations', **THEIRS)['operations'])
        self.assertEqual({'scheduled_operation': made}, self.get(path))
        self.assertEqual(1, self.in_use())


class UpdateOperationTest(OperationsTestCase):
    def setUp(self):
        super().setUp()
        self.operation = self.create(description='of databases')

    def refused(self, code: int = 400, **fields: Any) -> str:
        """The message, after a look that nothing was changed."""
        before = self.everything()
        message = self.change(self.operation, code, **fields)
        self.assertEqual(before, self.everything(), message)
        return message

    def everything(self) -> list[Any]:
        return [
            str(
                [
                    {column.key: getattr(row, column.key) for column in row.__table__.columns}
                    for row in self.rows(model)
                ]
            )
            for model in (
                models.ScheduledOperation,
                models.Trigger,
                models.Plan,
                models.OperationLog,
                models.Job,
                models.QuotaUsage,
            )
        ]

    def changed(self, **fields: Any) -> None:
        """Those fields, and no others, change."""
        before = self.shown(self.operation)
        after = self.change(self.operation, **fields)
        self.assertEqual({**before, **fields}, after)
        self.assertEqual(after, self.shown(self.operation))
        self.assertEqual([after], self.get('/scheduled_operations')['operations'])
        self.assertEqual(1, self.in_use())

    def test_each_field(self):
        trigger, plan = self.create_trigger(), self.create_plan()
        for fields in (
            {'name': 'new'},
            {'name': 'Ünï ☃'},
            {'description': 'new'},
            {'description': None},
            {'description': ''},
            {'trigger_id': trigger['id']},
            {'enabled': False},
            {'enabled': False},
            {'enabled': True},
            {
                'operation_definition': self.definition(
                    plan_id=plan['id'], overlap='queue', note=['x']
                )
            },
        ):
            self.changed(**fields)

    def test_fields_together(self):
        trigger, plan = self.create_trigger(), self.create_plan()
        self.changed(
            name='new',
            description='of others',
            trigger_id=trigger['id'],
            enabled=False,
            operation_definition=self.definition(plan_id=plan['id']),
        )
        self.changed(name='again', enabled=True, trigger_id=self.trigger['id'])
        self.changed(description=None, operation_definition=self.definition(max_backups=3))

    def defined(self, definition: Any) -> dict[str, Any]:
        """The whole definition after a change of some of it."""
        self.change(self.operation, operation_definition=definition)
        return self.shown(self.operation)['operation_definition']

    def test_what_the_definition_does_not_name_stays(self):
        plan = self.create_plan()
        expected = self.definition()
        for given in (
            {'overlap': 'queue'},
            {'max_backups': 3, 'note': ['x', None]},
            {'plan_id': plan['id']},
            {'provider_id': PROVIDER_ID, 'max_backups': '4'},
            {},
        ):
            expected |= given
            self.assertEqual(expected, self.defined(given))
        self.assertEqual({**expected, 'ticket': 'a=b'}, self.defined('ticket=a=b'))
        self.assertEqual(plan['id'], self.rows(models.ScheduledOperation)[0].plan_id)

    def test_what_is_null_in_the_definition_goes(self):
        self.defined({'overlap': 'queue', 'max_backups': 3, 'note': 'x'})
        self.assertEqual(
            self.definition(note='x'), self.defined({'overlap': None, 'max_backups': None})
        )
        for name in ('provider_id', 'plan_id'):
            self.assertIn(name, self.refused(operation_definition={name: None}))

    def test_what_cannot_stay_in_the_definition(self):
        unknown = self.add_row(models.Plan, provider_id=SECOND_ID)
        self.assertIn(
            SECOND_ID, self.refused(operation_definition={'plan_id': unknown.id, 'note': 'x'})
        )
        self.assertIn(PROVIDER_ID, self.refused(operation_definition={'provider_id': SECOND_ID}))

    def test_a_definition_grows_no_larger_by_changes(self):
        self.defined({f'a{number}': 1 for number in range(40)})
        self.assertIn(
            '64', self.refused(operation_definition={f'b{number}': 1 for number in range(40)})
        )
        self.defined({'note': 'x' * 40_000})
        self.assertIn('65536', self.refused(operation_definition={'text': 'x' * 40_000}))
        self.create(400, operation_definition=self.definition(note='x' * 40_000, text='x' * 40_000))

    def test_changes_of_different_properties_at_once_all_count(self):
        for number in range(1, 7):
            given = ({'max_backups': number}, {'overlap': 'queue', 'note': number}, {'x': number})
            base.at_once(*[lambda each=each: self.defined(each) for each in given])
            shown = self.shown(self.operation)['operation_definition']
            for each in given:
                self.assertEqual(shown, {**shown, **each})

    def test_rules_of_the_retention(self):
        self.delete(f'/scheduled_operations/{self.operation["id"]}')
        self.operation = self.create(operation_type='retention_protect')
        for rules in GOOD_RULES:
            self.assertEqual(self.definition(**rules), self.defined(self.definition(**rules)))
            self.assertEqual(self.definition(), self.defined(dict.fromkeys(rules)))
        for rule, value in BAD_RULES:
            if value is not None:
                self.assertIn(
                    f'{rule}: ', self.refused(operation_definition=self.definition(**{rule: value}))
                )

    def test_of_two_who_take_it_over_at_once_the_earlier_ones_trust_is_let_go(self):
        released: list[str | None] = []

        class Trusts(trusts.NoTrusts):
            """One trust a user; while the second one's is made, the third one is quicker."""

            def of(self, context: karbor_context.RequestContext) -> str:
                if context.user_id == 'second':
                    take_over('third')
                roles = ['member']
                add = db.transaction(trust_rows.add)
                add(f'of-{context.user_id}', context.user_id, PROJECT_ID, roles=roles)
                return f'of-{context.user_id}'

            def release(self, trust_id: str | None) -> None:
                released.append(trust_id)

        operations = scheduled_operations.ScheduledOperations(Trusts(), lambda _job_id: None)

        def take_over(user_id: str) -> None:
            operations.update(
                karbor_context.RequestContext(user_id, PROJECT_ID, overwrite=False),
                self.operation['id'],
                {'enabled': True},
                None,
            )

        take_over('first')
        take_over('second')
        self.assertEqual([None, 'of-first', 'of-third'], released)
        (row,) = self.rows(models.ScheduledOperation)
        self.assertEqual(('second', 'of-second'), (row.user_id, row.trust_id))

    def test_rules_that_would_do_nothing(self):
        self.assertIn(
            'keep_daily', self.refused(operation_definition=self.definition(keep_daily=7))
        )

    def test_a_plan_that_it_needed_can_be_removed_then(self):
        plan, trigger = self.create_plan(), self.create_trigger()
        self.changed(
            trigger_id=trigger['id'], operation_definition=self.definition(plan_id=plan['id'])
        )
        self.delete(f'/plans/{self.plan["id"]}')
        self.delete(f'/triggers/{self.trigger["id"]}')
        self.delete(f'/plans/{plan["id"]}', 409)
        self.delete(f'/triggers/{trigger["id"]}', 409)

    def test_it_acts_for_who_changed_it_last(self):
        for persona in ('member', 'admin'):
            self.put(
                f'/scheduled_operations/{self.operation["id"]}',
                {'scheduled_operation': {'enabled': True}},
                persona=persona,
            )
            (row,) = self.rows(models.ScheduledOperation)
            self.assertEqual((PROJECT_ID, f'{persona}-of-the-test'), (row.project_id, row.user_id))
        for harmless in ({'name': 'new'}, {'description': 'x'}, {'enabled': False}):
            self.put(
                f'/scheduled_operations/{self.operation["id"]}',
                {'scheduled_operation': harmless},
                persona='member',
            )
        self.run_now(self.operation)
        (job,) = self.rows(models.Job)
        self.assertEqual('admin-of-the-test', job.user_id)

    def test_fields_that_are_not_allowed(self):
        for fields, part in (
            ({'name': ''}, 'name'),
            ({'name': ' '}, 'name'),
            ({'name': None}, 'name'),
            ({'name': 'n' * 256}, 'name'),
            ({'description': 'd' * 256}, 'description'),
            ({'description': 5}, 'description'),
            ({'enabled': 'true'}, 'enabled'),
            ({'enabled': 1}, 'enabled'),
            ({'enabled': None}, 'enabled'),
            ({'trigger_id': 'x'}, 'trigger_id'),
            ({'trigger_id': None}, 'trigger_id'),
            ({'operation_type': 'protect'}, 'operation_type'),
            ({'operation_type': 'retention_protect', 'name': 'x'}, 'operation_type'),
            ({'plan_id': self.plan['id']}, 'plan_id'),
            ({'id': new_id()}, 'id'),
            ({'user_id': 'x'}, 'user_id'),
            ({'project_id': OTHER_PROJECT_ID}, 'project_id'),
            ({'operation_definition': None}, 'operation_definition'),
            ({'operation_definition': []}, 'operation_definition'),
            ({'operation_definition': ''}, 'operation_definition'),
            ({'operation_definition': {'plan_id': 'x'}}, 'plan_id'),
            ({'name': 'good', 'colour': 'red'}, 'colour'),
            ({}, 'scheduled_operation'),
        ):
            self.assertIn(part, self.refused(**fields))
        for changes, part in BAD_DEFINITIONS:
            if changes not in ({'max_backups': None}, {'overlap': None}):
                message = self.refused(name='new', operation_definition=self.definition(**changes))
                self.assertIn('operation_definition', message)
                self.assertIn(part, message)
        path = f'/scheduled_operations/{self.operation["id"]}'
        for body in (
            {},
            [],
            {'scheduled_operation': []},
            {'scheduled_operation': None},
            {'name': 'x'},
            {'operation': {'name': 'x'}},
            {'scheduled_operation': {'name': 'x'}, 'name': 'x'},
        ):
            self.put(path, body, 400)
        self.assertEqual(self.operation, self.shown(self.operation))

    def test_what_is_not_there(self):
        missing = new_id()
        self.assertIn(missing, self.refused(404, name='new', trigger_id=missing))
        self.assertIn(
            missing,
            self.refused(404, name='new', operation_definition=self.definition(plan_id=missing)),
        )

    def test_what_another_project_has(self):
        trigger = self.add_row(models.Trigger, project_id=OTHER_PROJECT_ID)
        plan = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        missing = new_id()
        hidden = self.refused(404, name='new', trigger_id=trigger.id)
        self.assertEqual(
            hidden.replace(trigger.id, missing), self.refused(404, name='new', trigger_id=missing)
        )
        hidden = self.refused(
            404, enabled=False, operation_definition=self.definition(plan_id=plan.id)
        )
        self.assertEqual(
            hidden.replace(plan.id, missing),
            self.refused(404, enabled=False, operation_definition=self.definition(plan_id=missing)),
        )
        self.refused(404, operation_definition=f'provider_id={PROVIDER_ID},plan_id={plan.id}')

    def test_an_operation_of_another_project(self):
        trigger = self.add_row(models.Trigger, project_id=OTHER_PROJECT_ID)
        plan = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        theirs = self.add_row(
            models.ScheduledOperation,
            project_id=OTHER_PROJECT_ID,
            trigger_id=trigger.id,
            plan_id=plan.id,
        )
        before = self.everything()
        hidden = self.change({'id': theirs.id}, 404, name='mine')
        missing = new_id()
        self.assertEqual(
            hidden.replace(theirs.id, missing), self.change({'id': missing}, 404, name='mine')
        )
        self.change({'id': theirs.id}, 404, trigger_id=self.trigger['id'], enabled=False)
        self.run_now({'id': theirs.id}, 404)
        self.assertEqual(before, self.everything())

    def test_another_provider_than_the_plans(self):
        self.assertIn(
            PROVIDER_ID,
            self.refused(name='new', operation_definition=self.definition(provider_id=new_id())),
        )

    def test_a_plan_of_another_provider(self):
        folder = self.provider_dir(name='second', provider_id=SECOND_ID)
        self.build(provider.ProviderRegistry(folder))
        plan = self.create_plan(provider_id=SECOND_ID)
        self.refused(operation_definition=self.definition(plan_id=plan['id']))
        self.changed(operation_definition={'provider_id': SECOND_ID, 'plan_id': plan['id']})

    def test_the_quota_does_not_count_it_again(self):
        self.config.config(quota_schedules=1)
        self.changed(name='new', enabled=False)
        self.changed(enabled=True, trigger_id=self.create_trigger()['id'])
        self.config.config(quota_schedules=0)
        self.changed(name='newer')
        self.create(413)

    def test_many_at_once(self):
        names = [f'name {number}' for number in range(6)]
        triggers = [self.create_trigger()['id'] for _ in names]
        results = base.at_once(
            *[
                lambda name=name, trigger_id=trigger_id: self.change(
                    self.operation, name=name, trigger_id=trigger_id
                )
                for name, trigger_id in zip(names, triggers, strict=True)
            ]
        )
        self.assertNotIn(None, results)
        after = self.shown(self.operation)
        self.assertEqual(triggers[names.index(after['name'])], after['trigger_id'])
        self.assertEqual(1, self.in_use())


class AwaitedTriggerTest(OperationsTestCase):
    """A trigger is due at its next fire, as long as an enabled operation waits for it."""

    def due(self, trigger: dict[str, Any] | None = None) -> datetime.datetime | None:
        row = self.trigger_row(trigger)
        self.assertEqual(row.next_fire_at, row.due_at)  # there is no jitter
        self.assertIsNone(row.last_fire_at)
        return row.due_at

    def assert_due(self, trigger: dict[str, Any] | None = None) -> None:
        trigger = trigger or self.trigger
        shown = self.get(f'/triggers/{trigger["id"]}')['trigger_info']
        self.assertEqual(shown['next_fires'][0], str(self.due(trigger)))

    def test_from_the_first_operation_on(self):
        self.assertIsNone(self.due())
        self.create()
        self.assert_due()

    def test_a_second_operation_leaves_it_alone(self):
        first = self.create()
        moment = datetime.datetime(2120, 11, 6, 3)
        with db.writer() as session:
            row = session.get(models.Trigger, self.trigger['id'])
            row.due_at = row.next_fire_at = moment
        second = self.create()
        self.assertEqual(moment, self.due())
        self.change(second, enabled=False)
        self.change(second, enabled=True)
        self.change(first, name='new')
        self.assertEqual(moment, self.due())

    def test_not_while_none_is_enabled(self):
        first, second = self.create(), self.create()
        self.change(first, enabled=False)
        self.assert_due()
        self.change(second, enabled=False)
        self.assertIsNone(self.due())
        self.change(second, name='new')
        self.assertIsNone(self.due())
        self.change(first, enabled=True)
        self.assert_due()

    def test_not_when_none_is_left(self):
        first, second = self.create(), self.create()
        self.delete(f'/scheduled_operations/{first["id"]}')
        self.assert_due()
        self.delete(f'/scheduled_operations/{second["id"]}')
        self.assertIsNone(self.due())

    def test_an_operation_that_goes_to_another_trigger(self):
        other = self.create_trigger(pattern='0 5 * * *')
        made = self.create()
        self.change(made, trigger_id=other['id'])
        self.assertIsNone(self.due())
        self.assert_due(other)
        self.change(made, trigger_id=self.trigger['id'], enabled=False)
        self.assertIsNone(self.due())
        self.assertIsNone(self.due(other))

    def test_new_properties(self):
        made = self.create()
        properties = {
            **base.TRIGGER_PROPERTIES,
            'pattern': '0 4 * * *',
            'start_time': '2040-01-05 00:00:00',
        }
        path = f'/triggers/{self.trigger["id"]}'
        self.put(path, {'trigger_info': {'properties': properties}})
        self.assertEqual(datetime.datetime(2040, 1, 5, 4), self.due())
        self.put(path, {'trigger_info': {'name': 'new'}})
        self.assertEqual(datetime.datetime(2040, 1, 5, 4), self.due())
        self.change(made, enabled=False)
        self.put(path, {'trigger_info': {'properties': base.TRIGGER_PROPERTIES}})
        self.assertIsNone(self.due())

    def test_a_series_that_has_ended(self):
        self.trigger = self.create_trigger(end_time='2020-12-31 00:00:00')
        self.create()
        self.assertIsNone(self.due())

    def test_jitter(self):
        for _ in range(5):
            self.trigger = self.create_trigger(jitter=900)
            self.create()
            row = self.trigger_row()
            self.assertEqual(self.trigger['next_fires'][0], str(row.next_fire_at))
            late = (row.due_at - row.next_fire_at).total_seconds()
            self.assertTrue(0 <= late <= 900, late)


class RunNowTest(OperationsTestCase):
    """Jobs wait, so that a run goes on as long as the test does."""

    def test_what_is_answered(self):
        operation = self.create()
        log = self.run_now(operation)
        self.assertEqual(
            {
                'operation_type': 'protect',
                'status': 'protecting',
                'checkpoint_id': None,
                'restore_id': None,
                'plan_id': self.plan['id'],
                'provider_id': PROVIDER_ID,
                'scheduled_operation_id': operation['id'],
                'error_info': None,
                'ended_at': None,
                'extra_info': {'trigger_id': self.trigger['id']},
                'project_id': PROJECT_ID,
                'user_id': 'manager-of-the-test',
            },
            {
                name: value
                for name, value in log.items()
                if name not in ('id', 'started_at', 'request_id')
            },
        )
        self.assertRegex(log['request_id'], '^req-')
        self.assertEqual(log, self.log(log['id']))
        self.assertEqual(
            [log],
            self.get(
                '/operation_logs',
                params={'scheduled_operation_id': operation['id'], 'operation_type': 'protect'},
            )['operation_logs'],
        )
        (job,) = self.rows(models.Job)
        self.assertEqual(
            (log['id'], 'protect', job_rows.JobState.PENDING, operation['id']),
            (job.id, job.kind, job.state, job.scheduled_operation_id),
        )
        self.assertEqual([], self.rows(models.Checkpoint))

    def test_bodies(self):
        operation = self.create()
        path = f'/scheduled_operations/{operation["id"]}/action'
        for body in (
            {},
            [],
            None,
            'run',
            {'run': []},
            {'run': 'now'},
            {'run': {'a': 1}},
            {'run': False},
            {'run': {}, 'x': 1},
            {'stop': {}},
            {'run': 0},
        ):
            self.post(path, body, 400)
        self.assertEqual([], self.rows(models.Job))
        self.post(path, {'run': None})
        self.request('GET', path, 405)
        self.request('PUT', path, 405, json={'run': {}})

    def test_not_twice(self):
        operation, other = self.create(), self.create()
        self.run_now(operation)
        message = self.run_now(operation, 409)
        self.assertIn(operation['id'], message)
        self.assertIn('goes on', message)
        self.run_now(other)
        self.assertEqual(2, len(self.rows(models.Job)))

    def test_one_may_wait(self):
        operation = self.create(operation_definition=self.definition(overlap='queue'))
        first, second = self.run_now(operation), self.run_now(operation)
        self.assertEqual(('protecting', 'queued'), (first['status'], second['status']))
        self.assertEqual((None, None), (second['ended_at'], second['checkpoint_id']))
        message = self.run_now(operation, 409)
        self.assertIn('waits', message)
        self.assertEqual([first, second], [self.log(log['id']) for log in (first, second)])
        self.assertEqual(
            {job_rows.JobState.PENDING, job_rows.JobState.QUEUED},
            {job.state for job in self.rows(models.Job)},
        )

    def test_many_at_once(self):
        for overlap, expected in (('skip', 1), ('queue', 2)):
            operation = self.create(operation_definition=self.definition(overlap=overlap))
            codes = base.at_once(
                *[
                    lambda operation=operation: (
                        self.client.simulate_post(
                            f'/v1/{PROJECT_ID}/scheduled_operations/{operation["id"]}/action',
                            json={'run': {}},
                            headers=HEADERS,
                        ).status_code
                    )
                ]
                * 6
            )
            self.assertEqual([200] * expected + [409] * (6 - expected), sorted(codes))

    def test_one_that_is_disabled(self):
        operation = self.create()
        self.change(operation, enabled=False)
        self.assertEqual('protecting', self.run_now(operation)['status'])
        self.assertFalse(self.shown(operation)['enabled'])
        self.assertIsNone(self.trigger_row().due_at)

    def test_the_trigger_fires_all_the_same(self):
        operation = self.create()
        before = self.trigger_row().due_at
        self.run_now(operation)
        self.assertEqual(before, self.trigger_row().due_at)
        self.assertEqual([], self.rows(models.TriggerFire))

    def test_who_asks_is_in_the_log_and_who_made_it_acts(self):
        operation = self.create()
        log = self.run_now(operation, persona='member')
        self.assertEqual('member-of-the-test', log['user_id'])
        (job,) = self.rows(models.Job)
        self.assertEqual('manager-of-the-test', job.user_id)

    def test_deleting_an_operation_whose_run_waits(self):
        operation = self.create(operation_definition=self.definition(overlap='queue'))
        first, second = self.run_now(operation), self.run_now(operation)
        self.delete(f'/scheduled_operations/{operation["id"]}')
        left_out = self.log(second['id'])
        self.assertEqual('skipped', left_out['status'])
        self.assertIn('deleted', left_out['error_info'])
        self.assertIsNotNone(left_out['ended_at'])
        self.assertEqual(first, self.log(first['id']))
        states = {job.id: job.state for job in self.rows(models.Job)}
        self.assertEqual(
            {first['id']: job_rows.JobState.PENDING, second['id']: job_rows.JobState.FAILED}, states
        )
        self.assertEqual(0, self.in_use())
        self.delete(f'/triggers/{self.trigger["id"]}')


class RunsTest(base.CloudTestCase, OperationsTestCase):
    """What becomes of runs, with jobs that are worked on."""

    def setUp(self):
        super().setUp()
        self.board.end()  # until work() is called, jobs wait
        self.build(self.registry)
        self.plan = self.create_plan(self.volume())

    def ended_log(self, log: dict[str, Any]) -> dict[str, Any]:
        return self.wait_until(
            lambda: (found := self.log(log['id']))['ended_at'] and found, 'the end of the log'
        )

    def quiet(self) -> None:
        self.wait_until(
            lambda: all(job.state not in job_rows.UNFINISHED for job in self.rows(models.Job)),
            'the end of all jobs',
        )

    def test_a_run(self):
        operation = self.create()
        log = self.run_now(operation)
        self.work()
        ended = self.ended_log(log)
        self.assertEqual(('available', None), (ended['status'], ended['error_info']))
        self.assertEqual(
            {
                **log,
                'status': 'available',
                'ended_at': ended['ended_at'],
                'checkpoint_id': ended['checkpoint_id'],
            },
            ended,
        )
        checkpoint = self.get(self.checkpoints_path(ended['checkpoint_id']))['checkpoint']
        self.assertEqual('available', checkpoint['status'])
        self.assertEqual(self.plan['id'], checkpoint['protection_plan']['id'])
        (row,) = self.rows(models.Checkpoint)
        self.assertEqual(
            {
                constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_BY_SCHEDULE,
                constants.CHECKPOINT_SCHEDULE_ID: operation['id'],
                constants.CHECKPOINT_TRIGGER_ID: self.trigger['id'],
            },
            row.extra_info,
        )
        self.run_now(operation)

    def test_one_that_waits_begins_at_the_end_of_the_other(self):
        operation = self.create(operation_definition=self.definition(overlap='queue'))
        logs = [self.run_now(operation), self.run_now(operation)]
        self.work()
        first, second = [self.ended_log(log) for log in logs]
        self.assertEqual(['available'] * 2, [first['status'], second['status']])
        self.assertNotEqual(first['checkpoint_id'], second['checkpoint_id'])
        self.assertEqual(2, len(self.rows(models.Checkpoint)))
        self.assertEqual(2, len(self.cinder.snapshots))

    def test_one_that_fails(self):
        self.plan = self.create_plan(self.volume(status='error'))
        operation = self.create(operation_definition=self.definition(overlap='queue'))
        logs = [self.run_now(operation), self.run_now(operation)]
        self.work()
        for ended in (self.ended_log(log) for log in logs):
            self.assertEqual('error', ended['status'])
            self.assertIn('1 of 1 resources failed', ended['error_info'])

    def test_retention(self):
        operation = self.create(
            operation_type='retention_protect', operation_definition=self.definition(keep_last=2)
        )
        self.work()
        for _ in range(3):
            self.assertEqual('available', self.ended_log(self.run_now(operation))['status'])
            self.quiet()
        listed = self.get(self.checkpoints_path(), params={'status': 'available'})['checkpoints']
        self.assertEqual(2, len(listed))
        (deleted,) = self.get(self.checkpoints_path(), params={'status': 'deleted'})['checkpoints']
        told = self.get(
            '/operation_logs',
            params={
                'operation_type': 'retention',
                'sort_dir': 'asc',
                'scheduled_operation_id': operation['id'],
            },
        )['operation_logs']
        self.assertEqual(['success'] * 3, [log['status'] for log in told])
        self.assertEqual(
            [(1, 0), (2, 0), (2, 1)],
            [(log['extra_info']['kept'], log['extra_info']['removed']) for log in told],
        )
        self.assertEqual(
            {deleted['id']: 'no keep rule holds it'}, told[-1]['extra_info']['reasons']
        )
        (log,) = self.get('/operation_logs', params={'operation_type': 'delete'})['operation_logs']
        self.assertEqual(
            (deleted['id'], operation['id']), (log['checkpoint_id'], log['scheduled_operation_id'])
        )

    def test_deleting_an_operation_whose_runs_have_begun(self):
        operation = self.create(operation_definition=self.definition(overlap='queue'))
        logs = [self.run_now(operation), self.run_now(operation)]
        self.delete(f'/scheduled_operations/{operation["id"]}')
        self.work()
        self.quiet()
        first, second = [self.ended_log(log) for log in logs]
        self.assertIn(first['status'], ('available', 'error'))
        self.assertEqual('skipped', second['status'])

    def test_a_quota_that_is_used_up(self):
        self.config.config(quota_checkpoints=1)
        operation = self.create()
        self.work()
        self.assertEqual('available', self.ended_log(self.run_now(operation))['status'])
        ended = self.ended_log(self.run_now(operation))
        self.assertEqual('error', ended['status'])
        self.assertIsNone(ended['checkpoint_id'])
        self.assertEqual(1, len(self.rows(models.Checkpoint)))
        self.assertEqual(
            1, self.get(f'/quotas/{PROJECT_ID}/detail')['quota']['checkpoints']['in_use']
        )

    def test_a_plan_that_changes_while_a_run_waits(self):
        operation = self.create()
        log = self.run_now(operation)
        other = self.create_plan(self.volume())
        self.change(operation, operation_definition=self.definition(plan_id=other['id']))
        self.work()
        ended = self.ended_log(log)
        checkpoint = self.get(self.checkpoints_path(ended['checkpoint_id']))['checkpoint']
        self.assertEqual(ended['plan_id'], checkpoint['protection_plan']['id'])


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
        codes = base.at_once(
            *[
                lambda: (
                    self.client.simulate_delete(
                        f'/v1/{PROJECT_ID}/scheduled_operations/{made["id"]}', headers=HEADERS
                    ).status_code
                )
            ]
            * 4
        )
        self.assertEqual([200, 404, 404, 404], sorted(codes))
        self.assertEqual(1, self.in_use())


class AtOnceTest(OperationsTestCase):
    """What an operation needs goes in the moment in which the operation is made."""

    def race(self, path: str, **fields: Any) -> None:
        deleted, created = base.at_once(
            lambda: (
                self.client.simulate_delete(f'/v1/{PROJECT_ID}{path}', headers=HEADERS).status_code
            ),
            lambda: (
                self.client.simulate_post(
                    f'/v1/{PROJECT_ID}/scheduled_operations',
                    json=self.body(**fields),
                    headers=HEADERS,
                ).status_code
            ),
        )
        self.assertIn((deleted, created), [(200, 404), (409, 200)])
        self.get(path, 404 if deleted == 200 else 200)
        self.assertEqual(len(self.rows(models.ScheduledOperation)), self.in_use())
        with db.reader() as session:
            known = {
                model: {row.id for row in session.query(model)}
                for model in (models.Plan, models.Trigger)
            }
        for row in self.rows(models.ScheduledOperation):
            self.assertIn(row.plan_id, known[models.Plan])
            self.assertIn(row.trigger_id, known[models.Trigger])

    def test_its_plan(self):
        for _ in range(10):
            plan = self.create_plan()
            self.race(
                f'/plans/{plan["id"]}', operation_definition=self.definition(plan_id=plan['id'])
            )

    def test_its_trigger(self):
        for _ in range(10):
            trigger = self.create_trigger()
            self.race(f'/triggers/{trigger["id"]}', trigger_id=trigger['id'])
