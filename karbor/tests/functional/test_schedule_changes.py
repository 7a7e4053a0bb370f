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

"""Schedules as one are changed and removed."""

import datetime
import functools
from typing import Any

from karbor import db
from karbor.db import models
from karbor.services.protection import provider
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, test_schedule_routes

SECOND_ID = '00000000-8b41-4c52-9a11-6f1f0f3b7c20'


class UpdateTest(test_schedule_routes.ScheduleRoutesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.schedule = self.create(
            description='of databases', retention={'keep_daily': 7, 'keep_weekly': 4}
        )

    def changed(self, given: dict[str, Any], **shown: Any) -> None:
        """Those fields, and no others, change.

        :param shown: how they are shown, if not as they are given.
        """
        moving = {'next_fires', 'next_run_at'}
        before = self.shown(self.schedule)
        after = self.change(self.schedule, **given)
        self.assertEqual(after, self.shown(self.schedule))
        expected = {**before, **given, **shown}
        self.assertEqual(
            {name: value for name, value in expected.items() if name not in moving},
            {name: value for name, value in after.items() if name not in moving},
        )
        self.assertEqual(1, self.in_use())
        self.assertEqual(1, len(self.rows(models.Trigger)))

    def test_each_field(self) -> None:
        plan = self.create_plan()
        for given, shown in (
            ({'name': 'new'}, {}),
            ({'description': 'new'}, {}),
            ({'description': None}, {}),
            ({'plan_id': plan['id']}, {}),
            ({'provider_id': PROVIDER_ID}, {}),
            ({'plan_id': self.plan['id'], 'provider_id': None}, {'provider_id': PROVIDER_ID}),
            ({'enabled': False}, {}),
            ({'enabled': True}, {}),
            ({'pattern': '0 4 * * *'}, {}),
            ({'pattern': test_schedule_routes.CALENDAR, 'format': 'calendar'}, {}),
            ({'timezone': 'Asia/Tokyo'}, {}),
            ({'timezone': None}, {'timezone': 'UTC'}),
            ({'window': 1200}, {}),
            ({'jitter': '60'}, {'jitter': 60}),
            ({'jitter': None}, {'jitter': 0}),
            ({'window': None}, {'window': 900}),
            ({'catch_up': 'latest'}, {}),
            ({'catch_up': None}, {'catch_up': 'skip'}),
            ({'end_time': '2099-01-01 00:00:00'}, {}),
            ({'end_time': None}, {}),
            ({'overlap': 'queue'}, {}),
            ({'overlap': None}, {'overlap': 'skip'}),
            (
                {'retention': {'keep_daily': 14}},
                {'retention': {'keep_daily': 14, 'keep_weekly': 4}},
            ),
            (
                {'retention': {'keep_weekly': None, 'keep_last': 2}},
                {'retention': {'keep_daily': 14, 'keep_last': 2}},
            ),
            ({'retention': {}}, {'retention': {'keep_daily': 14, 'keep_last': 2}}),
            ({'retention': None}, {}),
            ({'retention': {'keep_last': 3}}, {}),
        ):
            self.changed(given, **shown)

    def test_the_next_run_is_that_of_the_new_times(self) -> None:
        shown = self.change(self.schedule, pattern='45 5 * * *', timezone='Asia/Tokyo')
        self.assertEqual('05:45', shown['next_fires'][0]['local'][11:16])
        self.assertEqual('20:45', shown['next_run_at'][11:16])
        (log,) = self.get('/operation_logs?operation_type=scheduled_operation_update')[
            'operation_logs'
        ]
        self.assertEqual({'trigger_id': shown['trigger_id']}, log['extra_info'])
        shown = self.change(self.schedule, enabled=False)
        self.assertIsNone(shown['next_run_at'])
        self.change(self.schedule, pattern='50 5 * * *')
        self.assertIsNone(self.trigger_row(self.schedule).due_at)
        shown = self.change(self.schedule, enabled=True)
        self.assertEqual('20:50', shown['next_run_at'][11:16])

    def test_the_name_of_its_trigger_goes_with_it(self) -> None:
        self.change(self.schedule, name='new')
        self.assertEqual('new', self.trigger(self.schedule)['name'])
        path = f'/triggers/{self.schedule["trigger_id"]}'
        self.put(path, {'trigger_info': {'name': 'of its own'}})
        self.change(self.schedule, name='newer')
        self.assertEqual('of its own', self.trigger(self.schedule)['name'])

    def test_rules_that_had_no_effect_get_none_unasked(self) -> None:
        second = self.second_of(self.schedule)
        self.assertEqual(3, self.operation(second)['operation_definition']['max_backups'])
        shown = self.change(second, retention={'keep_last': 2})
        self.assertEqual({'keep_last': 2}, shown['retention'])
        self.assertNotIn('max_backups', self.operation(second)['operation_definition'])

    def test_what_old_routes_have_put_beside_stays(self) -> None:
        path = f'/scheduled_operations/{self.schedule["id"]}'
        self.put(path, {'scheduled_operation': {'operation_definition': {'ticket': '4711'}}})
        self.change(self.schedule, overlap='queue', retention=None)
        self.assertEqual(
            {
                'provider_id': PROVIDER_ID,
                'plan_id': self.plan['id'],
                'ticket': '4711',
                'overlap': 'queue',
            },
            self.operation(self.schedule)['operation_definition'],
        )

    def test_a_trigger_that_others_wait_for(self) -> None:
        """The schedule gets one of its own; the others go on as they did."""
        second = self.second_of(self.schedule)
        self.change(self.schedule, name='both', enabled=True, pattern='30 2 * * *')
        self.assertEqual(second['trigger_id'], self.shown(self.schedule)['trigger_id'])
        self.assertEqual('nightly', self.trigger(second)['name'])
        fired_at = datetime.datetime(2026, 11, 1)
        with db.writer() as session:
            session.get_one(models.Trigger, second['trigger_id']).last_fire_at = fired_at
        before = self.trigger(second)
        shown = self.change(self.schedule, pattern='0 5 * * *')
        self.assertNotEqual(second['trigger_id'], shown['trigger_id'])
        self.assertEqual(second, self.shown(second))
        self.assertEqual(before, self.trigger(second))
        own = self.trigger(shown)
        self.assertEqual('both', own['name'])
        self.assertEqual(
            {**before['properties'], 'pattern': '0 5 * * *'},
            own['properties'],
        )
        self.assertEqual(fired_at, self.trigger_row(shown).last_fire_at)
        for schedule in (second, shown):
            self.assertIsNotNone(self.trigger_row(schedule).due_at)
        again = self.change(self.schedule, pattern='0 6 * * *')
        self.assertEqual(shown['trigger_id'], again['trigger_id'])
        self.delete(f'/schedules/{self.schedule["id"]}')
        self.assertEqual([second['trigger_id']], [row.id for row in self.rows(models.Trigger)])

    def test_one_that_leaves_a_trigger_which_nothing_enabled_waits_for(self) -> None:
        second = self.second_of(self.schedule)
        self.change(second, enabled=False)
        self.change(self.schedule, pattern='0 5 * * *')
        self.assertIsNone(self.trigger_row(second).due_at)

    def test_what_is_wrong(self) -> None:
        before = self.everything()
        for fields, part in test_schedule_routes.BAD_FIELDS:
            self.assertIn(part, self.change(self.schedule, 400, **fields), fields)
        self.change(self.schedule, 400)
        self.assertIn('provider_id: ', self.change(self.schedule, 400, provider_id=new_id()))
        missing = new_id()
        self.assertIn(missing, self.change(self.schedule, 404, plan_id=missing))
        theirs = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        self.assertIn(theirs.id, self.change(self.schedule, 404, plan_id=theirs.id, name='x'))
        self.assertIn('jitter: ', self.change(self.schedule, 400, jitter=901))
        self.assertEqual(before, self.everything())

    def test_a_plan_of_another_provider(self) -> None:
        self.build(provider.ProviderRegistry(self.provider_dir(name='2', provider_id=SECOND_ID)))
        plan = self.create_plan(provider_id=SECOND_ID)
        self.assertIn(
            SECOND_ID, self.change(self.schedule, 400, plan_id=plan['id'], provider_id=PROVIDER_ID)
        )
        self.changed({'plan_id': plan['id']}, provider_id=SECOND_ID)

    def test_changes_at_once_all_count(self) -> None:
        for number in range(1, 7):
            given: tuple[dict[str, Any], ...] = (
                {'retention': {'keep_last': number}},
                {'pattern': f'{number} 5 * * *'},
                {'jitter': number, 'description': f'd{number}'},
                {'retention': {'keep_yearly': number}, 'overlap': 'queue'},
            )
            base.at_once(*[lambda each=each: self.change(self.schedule, **each) for each in given])
            shown = self.shown(self.schedule)
            self.assertEqual(
                (number, number, f'{number} 5 * * *', number, f'd{number}'),
                (
                    shown['retention']['keep_last'],
                    shown['retention']['keep_yearly'],
                    shown['pattern'],
                    shown['jitter'],
                    shown['description'],
                ),
            )


class DeleteTest(test_schedule_routes.ScheduleRoutesTestCase):
    def test_both_go(self) -> None:
        made = self.create()
        self.assertIsNone(self.delete(f'/schedules/{made["id"]}') or None)
        self.assertEqual([], self.rows(models.Trigger))
        self.assertEqual([], self.rows(models.ScheduledOperation))
        self.assertEqual(0, self.in_use())
        self.get(f'/schedules/{made["id"]}', 404)
        self.delete(f'/schedules/{made["id"]}', 404)
        logs = {row.operation_type: row for row in self.rows(models.OperationLog)}
        self.assertNotIn('trigger_delete', logs)
        told = logs['scheduled_operation_delete'].extra_info
        self.assertEqual(made['trigger_id'], told['trigger_id'])
        self.assertIn('left', told)
        self.delete(f'/plans/{self.plan["id"]}')

    def test_a_trigger_that_others_wait_for_stays(self) -> None:
        made = self.create()
        second = self.second_of(made)
        self.delete(f'/schedules/{made["id"]}')
        self.assertEqual(second, self.shown(second))
        self.assertIsNotNone(self.trigger_row(second).due_at)
        self.delete(f'/schedules/{second["id"]}')
        self.assertEqual([], self.rows(models.Trigger))

    def code_of(self, path: str, method: str, body: Any = None) -> int:
        """How a request is answered."""
        answer = self.client.simulate_request(
            method,
            f'/v1/{PROJECT_ID}{path}',
            headers={'X-Auth-Token': base.TOKEN},
            **({} if body is None else {'json': body}),
        )
        return int(answer.status_code)

    def test_deletes_and_changes_at_once(self) -> None:
        """One delete is done, and whatever else is asked finds all or nothing."""
        for _ in range(4):
            made = self.create(name='x')
            ask = functools.partial(self.code_of, f'/schedules/{made["id"]}')
            second = functools.partial(self.code_of, '/scheduled_operations', 'POST')
            body = self.body_of_second(made)
            codes = base.at_once(
                functools.partial(ask, 'DELETE'),
                functools.partial(ask, 'DELETE'),
                functools.partial(ask, 'PUT', {'schedule': {'pattern': '0 6 * * *'}}),
                functools.partial(ask, 'PUT', {'schedule': {'retention': {'keep_last': 1}}}),
                functools.partial(second, body),
            )
            self.assertEqual([200, 404], sorted(codes[:2]))
            self.assertLessEqual(set(codes), {200, 404})
            left = self.rows(models.ScheduledOperation)
            self.assertEqual(codes[4] == 200, bool(left))
            self.assertEqual(
                {row.trigger_id for row in left}, {row.id for row in self.rows(models.Trigger)}
            )
            self.assertEqual(len(left), self.in_use())
            for row in left:
                self.delete(f'/schedules/{row.id}')
