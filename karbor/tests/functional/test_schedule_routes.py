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

"""Schedules as one: what a tenant makes, changes and removes by ``/schedules``."""

import datetime
import unittest
from typing import Any
from unittest import mock

from karbor import context as karbor_context
from karbor import db
from karbor.db import models
from karbor.db import trusts as trust_rows
from karbor.services import quotas
from karbor.services.identity import trusts
from karbor.services.schedules import schedules
from karbor.tests import base as tests_base
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, lists

THEIRS: dict[str, Any] = {
    'headers': {'X-Auth-Token': personas.token('member', OTHER_PROJECT_ID)},
    'project_id': OTHER_PROJECT_ID,
}
CALENDAR = 'BEGIN:VEVENT\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=SU\nEND:VEVENT'

#: fields that do not fit -> what the message must name
BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({'name': ''}, 'schedule.name'),
    ({'name': None}, 'schedule.name'),
    ({'name': 'n' * 256}, 'schedule.name'),
    ({'description': 5}, 'schedule.description'),
    ({'plan_id': 'x'}, 'schedule.plan_id'),
    ({'plan_id': None}, 'schedule.plan_id'),
    ({'provider_id': 'x'}, 'schedule.provider_id'),
    ({'enabled': None}, 'schedule.enabled'),
    ({'enabled': 'yes'}, 'schedule.enabled'),
    ({'format': None}, 'schedule.format'),
    ({'pattern': None}, 'schedule.pattern'),
    ({'overlap': 'wait'}, 'schedule.overlap'),
    ({'retention': []}, 'schedule.retention'),
    ({'retention': {'keep_dayly': 7}}, 'keep_dayly'),
    ({'retention': {'keep_daily': 1.5}}, 'schedule.retention.keep_daily'),
    ({'retention': {'keep_daily': -1}}, 'retention.keep_daily: '),
    ({'retention': {'keep_within': '14'}}, 'retention.keep_within: '),
    ({'retention': {'max_backups': 'x'}}, 'retention.max_backups: '),
    ({'retention': {'retention_scope': 'project'}}, 'retention.retention_scope: '),
    ({'format': 'cron'}, 'format: '),
    ({'pattern': 'daily'}, 'pattern: '),
    ({'pattern': '0 0 30 2 *'}, 'pattern: '),
    ({'pattern': '* * * * *'}, 'pattern: '),
    ({'pattern': CALENDAR}, 'pattern: '),
    ({'timezone': 'Berlin'}, 'timezone: '),
    ({'window': 5}, 'window: '),
    ({'window': 'long'}, 'window: '),
    ({'jitter': 100000}, 'jitter: '),
    ({'catch_up': 'all'}, 'catch_up: '),
    ({'start_time': 'tomorrow'}, 'start_time: '),
    ({'end_time': '2020-01-01 00:00:00'}, 'end_time: '),
    ({'trigger_id': new_id()}, 'trigger_id'),
    ({'id': new_id()}, 'id'),
    ({'operation_type': 'protect'}, 'operation_type'),
]


class ScheduleRoutesTestCase(base.ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.plan = self.create_plan()

    def body(self, **fields: Any) -> dict[str, Any]:
        return {
            'schedule': {
                'name': 'nightly',
                'plan_id': self.plan['id'],
                'format': 'crontab',
                'pattern': '30 2 * * *',
                **fields,
            }
        }

    def create(self, code: int = 200, **fields: Any) -> Any:
        made = self.post('/schedules', self.body(**fields), code)
        return made['schedule'] if code == 200 else made

    def change(self, schedule: dict[str, Any], code: int = 200, **fields: Any) -> Any:
        answer = self.put(f'/schedules/{schedule["id"]}', {'schedule': fields}, code)
        return answer['schedule'] if code == 200 else answer

    def shown(self, schedule: dict[str, Any]) -> dict[str, Any]:
        return dict(self.get(f'/schedules/{schedule["id"]}')['schedule'])

    def operation(self, schedule: dict[str, Any]) -> dict[str, Any]:
        """The same, by the old route."""
        return dict(self.get(f'/scheduled_operations/{schedule["id"]}')['scheduled_operation'])

    def trigger(self, schedule: dict[str, Any]) -> dict[str, Any]:
        return dict(self.get(f'/triggers/{schedule["trigger_id"]}')['trigger_info'])

    def second_of(self, schedule: dict[str, Any]) -> dict[str, Any]:
        """Another scheduled operation that waits for the trigger of a schedule."""
        made = self.post('/scheduled_operations', self.body_of_second(schedule))
        return self.shown(made['scheduled_operation'])

    def body_of_second(self, schedule: dict[str, Any]) -> dict[str, Any]:
        return {
            'scheduled_operation': {
                'name': 'second',
                'operation_type': 'protect',
                'trigger_id': schedule['trigger_id'],
                'operation_definition': {
                    'provider_id': PROVIDER_ID,
                    'plan_id': self.plan['id'],
                    'max_backups': 3,
                },
            }
        }

    def in_use(self) -> int:
        usage = self.get(f'/quotas/{PROJECT_ID}/detail')['quota']['schedules']
        return int(usage['in_use'])

    def trigger_row(self, schedule: dict[str, Any]) -> models.Trigger:
        with db.reader() as session:
            return session.get_one(models.Trigger, schedule['trigger_id'])

    def everything(self) -> list[Any]:
        """All that the database has of schedules."""
        return [
            sorted(
                str({column.key: getattr(row, column.key) for column in row.__table__.columns})
                for row in self.rows(model)
            )
            for model in (
                models.ScheduledOperation,
                models.Trigger,
                models.OperationLog,
                models.Job,
                models.QuotaUsage,
                models.Trust,
            )
        ]


class CreateTest(ScheduleRoutesTestCase):
    def test_what_is_sent_is_shown(self) -> None:
        made = self.create(
            description='of databases',
            timezone='Europe/Berlin',
            start_time='2026-01-01T00:00:00+01:00',
            end_time='2099-01-01 00:00:00',
            window=1200,
            catch_up='latest',
            jitter='60',
            overlap='queue',
            retention={'keep_daily': 7, 'keep_weekly': '4', 'retention_scope': 'plan'},
        )
        fires = made.pop('next_fires')
        next_run = made.pop('next_run_at')
        self.assertEqual(
            {
                'id': made['id'],
                'project_id': PROJECT_ID,
                'name': 'nightly',
                'description': 'of databases',
                'plan_id': self.plan['id'],
                'provider_id': PROVIDER_ID,
                'trigger_id': made['trigger_id'],
                'enabled': True,
                'format': 'crontab',
                'pattern': '30 2 * * *',
                'timezone': 'Europe/Berlin',
                'start_time': '2025-12-31 23:00:00',
                'end_time': '2099-01-01 00:00:00',
                'window': 1200,
                'catch_up': 'latest',
                'jitter': 60,
                'overlap': 'queue',
                'retention': {'keep_daily': 7, 'keep_weekly': '4', 'retention_scope': 'plan'},
                'last_run': None,
            },
            made,
        )
        self.assertEqual(5, len(fires))
        for fire in fires:
            utc, local = map(datetime.datetime.fromisoformat, (fire['utc'], fire['local']))
            self.assertEqual((utc, '02:30'), (local, f'{local:%H:%M}'))
            self.assertEqual(datetime.timedelta(0), utc.utcoffset())
        self.assertEqual(
            datetime.datetime.fromisoformat(fires[0]['utc']),
            datetime.datetime.fromisoformat(next_run),
        )
        self.assertEqual({**made, 'next_run_at': next_run, 'next_fires': fires}, self.shown(made))
        self.assertEqual({'schedules': [{**made, 'next_run_at': next_run}]}, self.get('/schedules'))

    def test_the_old_routes_have_the_two(self) -> None:
        made = self.create(timezone='Europe/Berlin', retention={'keep_last': 3})
        self.assertEqual(
            ('nightly', 'retention_protect', made['trigger_id'], True),
            tuple(
                self.operation(made)[name]
                for name in ('name', 'operation_type', 'trigger_id', 'enabled')
            ),
        )
        self.assertEqual(
            {'provider_id': PROVIDER_ID, 'plan_id': self.plan['id'], 'keep_last': 3},
            self.operation(made)['operation_definition'],
        )
        trigger = self.trigger(made)
        self.assertEqual(('nightly', 'time'), (trigger['name'], trigger['type']))
        self.assertEqual('Europe/Berlin', trigger['properties']['timezone'])
        (log,) = self.get(f'/operation_logs?scheduled_operation_id={made["id"]}')['operation_logs']
        self.assertEqual(
            ('scheduled_operation_create', {'trigger_id': made['trigger_id']}),
            (log['operation_type'], log['extra_info']),
        )
        self.assertEqual(1, self.in_use())

    def test_what_is_left_out(self) -> None:
        made = self.create()
        nothing = dict.fromkeys(
            ('description', 'provider_id', 'timezone', 'start_time', 'end_time', 'window')
        )
        more = dict.fromkeys(('catch_up', 'jitter', 'overlap', 'retention'))
        for schedule in (made, self.create(**nothing, **more)):
            self.assertEqual(
                (None, PROVIDER_ID, 'UTC', None, 900, 'skip', 0, 'skip', None, True),
                tuple(
                    schedule[name]
                    for name in (
                        'description',
                        'provider_id',
                        'timezone',
                        'end_time',
                        'window',
                        'catch_up',
                        'jitter',
                        'overlap',
                        'retention',
                        'enabled',
                    )
                ),
            )
            self.assertEqual('protect', self.operation(schedule)['operation_type'])
        empty = self.create(retention={})
        self.assertEqual({}, empty['retention'])
        self.assertEqual({}, self.create(retention={'keep_last': None})['retention'])
        self.assertEqual('retention_protect', self.operation(empty)['operation_type'])

    def test_one_that_is_disabled(self) -> None:
        made = self.create(enabled=False)
        self.assertEqual((False, None), (made['enabled'], made['next_run_at']))
        self.assertEqual(5, len(made['next_fires']))
        self.assertIsNone(self.trigger_row(made).due_at)
        self.assertIsNotNone(self.trigger_row(self.create()).due_at)

    def test_a_calendar(self) -> None:
        made = self.create(format='calendar', pattern=CALENDAR, timezone='Pacific/Auckland')
        for fire in made['next_fires']:
            self.assertEqual(6, datetime.datetime.fromisoformat(fire['local']).weekday())

    def test_what_is_wrong(self) -> None:
        before = self.everything()
        for fields, part in BAD_FIELDS:
            self.assertIn(part, self.create(400, **fields), fields)
        for missing in ('name', 'plan_id', 'format', 'pattern'):
            whole = self.body()['schedule']
            del whole[missing]
            self.assertIn(missing, self.post('/schedules', {'schedule': whole}, 400))
        for body in ({}, [], {'schedule': []}, self.body()['schedule'], {'schedule': None}):
            self.post('/schedules', body, 400)
        self.assertIn('provider_id: ', self.create(400, provider_id=new_id()))
        self.assertEqual(before, self.everything())

    def test_what_is_not_there(self) -> None:
        before = self.everything()
        missing = new_id()
        theirs = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        refusal = self.create(404, plan_id=missing)
        self.assertIn(missing, refusal)
        self.assertEqual(refusal.replace(missing, theirs.id), self.create(404, plan_id=theirs.id))
        self.assertEqual(before, self.everything())

    def test_no_more_than_the_quota(self) -> None:
        self.config.config(quota_schedules=2)
        self.second_of(self.create())
        before = self.everything()
        self.create(413)
        self.assertEqual(before, self.everything())

    @base.in_process_only('the database is made to fail')
    def test_what_fails_between_the_two_leaves_no_half(self) -> None:
        context = karbor_context.RequestContext('u', PROJECT_ID, overwrite=False)
        before = self.everything()
        with (
            mock.patch.object(quotas, 'take', side_effect=RuntimeError('power cut')),
            self.assertRaisesRegex(RuntimeError, 'power cut'),
        ):
            schedules.Schedules(trusts.NoTrusts()).create(context, self.body()['schedule'])
        self.assertEqual(before, self.everything())


class OwnTrusts(trusts.NoTrusts):
    """One trust a user, as Keystone would give."""

    def __init__(self) -> None:
        self.released: list[str | None] = []

    def of(self, context: karbor_context.RequestContext) -> str:
        trust_id = f'of-{context.user_id}'
        with db.reader() as session:
            if trust_rows.live(session, context.user_id, context.project_id, ['member']):
                return trust_id
        db.transaction(trust_rows.add)(
            trust_id, context.user_id, context.project_id, roles=['member']
        )
        return trust_id

    def release(self, trust_id: str | None) -> None:
        self.released.append(trust_id)


class TrustTest(ScheduleRoutesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.trusts = OwnTrusts()
        self.schedules = schedules.Schedules(self.trusts)

    def context(self, user_id: str = 'first') -> karbor_context.RequestContext:
        return karbor_context.RequestContext(user_id, PROJECT_ID, overwrite=False)

    def acts_for(self) -> tuple[str | None, str | None]:
        (row,) = self.rows(models.ScheduledOperation)
        return row.user_id, row.trust_id

    def test_it_is_let_go_when_the_database_refuses(self) -> None:
        self.config.config(quota_schedules=0)
        for fields in ({}, {'plan_id': new_id()}):
            with self.assertRaises(Exception):  # noqa: B017
                self.schedules.create(self.context(), self.body(**fields)['schedule'])
        self.assertEqual(['of-first'] * 2, self.trusts.released)

    def test_none_is_made_for_what_is_wrong(self) -> None:
        with self.assertRaisesRegex(Exception, 'pattern'):
            self.schedules.create(self.context(), self.body(pattern='x')['schedule'])
        self.assertEqual([], self.rows(models.Trust))

    def test_who_it_acts_for(self) -> None:
        made = self.schedules.create(self.context(), self.body()['schedule']).operation
        self.assertEqual(('first', 'of-first'), self.acts_for())
        for harmless in (
            {'name': 'new'},
            {'description': None},
            {'pattern': '0 4 * * *', 'timezone': 'Europe/Berlin'},
            {'enabled': False},
            {'name': 'x', 'window': 1000, 'enabled': False},
        ):
            self.schedules.update(self.context('second'), made.id, harmless)
            self.assertEqual(('first', 'of-first'), self.acts_for(), harmless)
        self.assertEqual([], self.trusts.released)
        for number, change in enumerate(
            (
                {'enabled': True},
                {'overlap': 'queue'},
                {'retention': {'keep_last': 3}},
                {'retention': None},
                {'plan_id': self.plan['id']},
            )
        ):
            self.schedules.update(self.context(f'user-{number}'), made.id, change)
            self.assertEqual((f'user-{number}', f'of-user-{number}'), self.acts_for())
        self.assertEqual('of-first', self.trusts.released[0])
        self.assertEqual(5, len(self.trusts.released))
        self.schedules.delete(self.context('third'), made.id)
        self.assertEqual('of-user-4', self.trusts.released[-1])


class ShowTest(ScheduleRoutesTestCase):
    def test_ids(self) -> None:
        for method, more in (
            ('GET', {}),
            ('DELETE', {}),
            ('PUT', {'json': {'schedule': {'name': 'x'}}}),
        ):
            missing = new_id()
            self.assertIn(missing, self.request(method, f'/schedules/{missing}', 404, **more))
            for name in ('nightly', '%00', '1', "' OR 1=1"):
                self.request(method, f'/schedules/{name}', 400, **more)

    def test_another_project(self) -> None:
        made = self.create()
        before = self.everything()
        path = f'/schedules/{made["id"]}'
        self.get(path, 404, **THEIRS)
        self.delete(path, 404, **THEIRS)
        self.put(path, {'schedule': {'name': 'mine'}}, 404, **THEIRS)
        self.put(path, {'schedule': {'enabled': True}}, 404, **THEIRS)
        self.assertEqual([], self.get('/schedules', **THEIRS)['schedules'])
        self.assertEqual(before, self.everything())

    def test_one_of_the_old_routes(self) -> None:
        made = self.create()
        second = self.second_of(made)
        self.assertEqual(made['trigger_id'], second['trigger_id'])
        self.assertEqual(made['next_fires'], second['next_fires'])
        self.assertIsNone(second['retention'])

    def test_the_newest_run(self) -> None:
        made = self.create()
        other = self.create()
        self.post(f'/scheduled_operations/{made["id"]}/action', {'run': {}})
        (row,) = self.rows(models.Job)
        expected = {'operation_log_id': row.id, 'status': 'protecting', 'ended_at': None}
        last_run = self.shown(made)['last_run']
        self.assertEqual({**last_run, **expected}, last_run)
        self.add_row(
            models.OperationLog,
            operation_type='protect',
            status='skipped',
            scheduled_operation_id=made['id'],
            checkpoint_id=None,
        )
        self.assertEqual(last_run, self.shown(made)['last_run'])
        self.assertIsNone(self.shown(other)['last_run'])
        failed = self.add_row(
            models.OperationLog,
            operation_type='protect',
            status='error',
            scheduled_operation_id=made['id'],
            error_info='no space',
            ended_at=datetime.datetime(2026, 11, 27),
        )
        shown = self.shown(made)['last_run']
        self.assertEqual(
            (failed.id, 'error', failed.checkpoint_id, 'no space'),
            tuple(
                shown[name]
                for name in ('operation_log_id', 'status', 'checkpoint_id', 'error_info')
            ),
        )


class ListTest(ScheduleRoutesTestCase):
    def names(self, **query: Any) -> list[str]:
        return [item['name'] for item in self.get('/schedules', params=query)['schedules']]

    def test_filters_and_order(self) -> None:
        other = self.create_plan()
        self.create(name='a nightly')
        self.create(name='b nightly', enabled=False)
        self.create(name='c weekly', plan_id=other['id'])
        self.assertEqual(['c weekly', 'b nightly', 'a nightly'], self.names())
        for query, expected in (
            ({'sort': 'name:asc'}, ['a nightly', 'b nightly', 'c weekly']),
            ({'sort_key': 'name', 'sort_dir': 'asc', 'limit': 1, 'offset': 1}, ['b nightly']),
            ({'name': 'NIGHT', 'sort': 'name:asc'}, ['a nightly', 'b nightly']),
            ({'plan_id': other['id']}, ['c weekly']),
            ({'plan_id': new_id()}, []),
            ({'enabled': 'true', 'sort': 'name:asc'}, ['a nightly', 'c weekly']),
            ({'enabled': 'False'}, ['b nightly']),
            ({'enabled': 'true', 'plan_id': self.plan['id']}, ['a nightly']),
        ):
            self.assertEqual(expected, self.names(**query), query)
        for query in ({'enabled': 'x'}, {'sort': 'pattern'}, {'trigger_id': 'x'}, {'limit': 0}):
            self.get('/schedules', 400, params=query)
        self.get('/schedules', 404, params={'marker': new_id()})

    def test_pages(self) -> None:
        made = [self.create(name=f'n{number}')['id'] for number in range(5)]
        pages = self.follow('/schedules?limit=2&enabled=true', 'schedules')
        self.assertEqual([2, 2, 1], [len(page) for page in pages])
        self.assertEqual(made[::-1], [item['id'] for page in pages for item in page])

    def test_of_all_projects(self) -> None:
        self.create()
        plan = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        trigger = self.add_row(models.Trigger, project_id=OTHER_PROJECT_ID)
        self.add_row(
            models.ScheduledOperation,
            project_id=OTHER_PROJECT_ID,
            name='theirs',
            plan_id=plan.id,
            trigger_id=trigger.id,
        )
        self.assertEqual(['nightly'], self.names(all_tenants=1))
        everybodys = self.get('/schedules', params={'all_tenants': 1}, persona='admin')
        self.assertEqual({'nightly', 'theirs'}, {item['name'] for item in everybodys['schedules']})
        self.get('/schedules', 404, params={'project_id': OTHER_PROJECT_ID})

    @unittest.skipUnless(tests_base.DATABASE == 'sqlite', 'SQL is counted in SQLite')
    @base.in_process_only('SQL is counted in this process')
    def test_statements(self) -> None:
        """As many for few schedules as for many, and for a page as for another."""
        self.config.config(quota_schedules=-1)
        self.get('/plans')
        seen = []
        for count in (3, 40):
            made = [self.create() for _ in range(count)]
            with lists.cost() as first:
                self.get('/schedules?limit=1000')
            with lists.cost() as later:
                self.get(f'/schedules?limit=1&enabled=true&marker={made[1]["id"]}')
            with lists.cost() as one:
                self.get(f'/schedules/{made[0]["id"]}')
            with lists.cost() as new:
                self.create()
            seen.append([len(found.statements) for found in (first, later, one, new)])
        self.assertEqual(seen[0], seen[1])
        self.assertEqual([2, 3, 2], seen[0][:3])
