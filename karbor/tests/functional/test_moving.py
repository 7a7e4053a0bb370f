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

"""From the database of a Karbor of old to this one, by ``karbor-manage import``."""

import contextlib
import io
import json
from typing import Any
from unittest import mock

from karbor import db
from karbor.cmd import assembly, manage
from karbor.db import models, old_karbor
from karbor.services.protection import provider
from karbor.services.recovery import bank_rebuilding
from karbor.services.schedules import engine, scheduled_operations
from karbor.tests import old_database
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base
from karbor.tests.unit.identity import test_trusts

_MADE = (models.Plan, models.Trigger, models.ScheduledOperation, models.Quota)
_DISABLED = 'Scheduled operations that are taken over are disabled until a person enables them.'


class _Moving:
    """What a test has that moves."""

    old: old_database.OldDatabase

    def move(self: Any, *arguments: str, code: int = 0) -> list[str]:
        """What the command says, the old database being as it was afterwards."""
        before = self.old.contents()
        printed = io.StringIO()
        with (
            mock.patch.object(assembly, 'configure'),
            mock.patch.object(
                assembly, 'providers', return_value=provider.ProviderRegistry(self.folder)
            ),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            found = manage.main(['import', '--from', self.old.url, *arguments])
        self.assertEqual(code, found, printed.getvalue())
        self.assertEqual(before, self.old.contents())
        return printed.getvalue().splitlines()

    def open_old(self: Any) -> None:
        self.folder = self.provider_dir()
        self.old = old_database.OldDatabase(old_database.new_url(self.temp_dir))
        self.addCleanup(self.old.close)


class MovingTestCase(_Moving, base.ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open_old()

    def assert_left_out(self, what: str, reasons: dict[str, str]) -> None:
        """Of a kind, nothing but these is left out."""
        said = self.move(code=1)
        self.assertIn(f', {len(reasons)} left out', ' '.join(said))
        self.assertIn('karbor-manage: Not everything is taken over.', said)
        told = [line for line in said if line.startswith(f'{what}: ') and 'left out' not in line]
        self.assertEqual(len(reasons), len(told), said)
        for row_id, reason in reasons.items():
            [line] = [line for line in told if row_id in line]
            self.assertIn(reason, line)

    def ids(self, model: Any) -> set[str]:
        return {row.id for row in self.rows(model)}


class ImportTest(MovingTestCase):
    def test_what_there_was(self) -> None:
        volume, name = new_id(), 'Müller'
        plan = self.old.plan(volume, name=name)
        trigger = self.old.trigger()
        operation = self.old.operation(trigger, plan)
        self.old.quota('plans', 7)
        self.old.quota('checkpoints', -1, project_id=OTHER_PROJECT_ID)
        said = [
            'plans: 1 {}, 0 known, 0 left out',
            'triggers: 1 {}, 0 known, 0 left out',
            'scheduled operations: 1 {}, 0 known, 0 left out',
            'quotas: 2 {}, 0 known, 0 left out',
            _DISABLED,
        ]
        self.assertEqual([line.format('would be made') for line in said], self.move('--dry-run'))
        self.assertEqual([], [row for model in _MADE for row in self.rows(model)])
        self.assertEqual([line.format('made') for line in said], self.move())

        shown = self.get(f'/plans/{plan}')['plan']
        self.assertEqual(
            {
                'id': plan,
                'project_id': PROJECT_ID,
                'name': name,
                'description': 'db volumes',
                'provider_id': PROVIDER_ID,
                'status': 'suspended',
                'resources': [{'id': volume, 'type': base.VOLUME, 'name': 'data'}],
                'parameters': {
                    base.VOLUME: {
                        'snapshot_name': 'nightly',
                        'description': 'of old',
                        'force': False,
                    }
                },
            },
            shown,
        )
        shown = self.get(f'/triggers/{trigger}')['trigger_info']
        self.assertEqual(
            {
                'format': 'calendar',
                'pattern': old_database.CALENDAR,
                'start_time': '2020-11-05 00:00:00',
                'window': 1200,
            },
            shown['properties'],
        )
        shown = self.get(f'/scheduled_operations/{operation}')['scheduled_operation']
        self.assertEqual(
            {
                'id': operation,
                'project_id': PROJECT_ID,
                'name': 'keep three',
                'description': None,
                'operation_type': 'retention_protect',
                'trigger_id': trigger,
                'operation_definition': {
                    'provider_id': PROVIDER_ID,
                    'plan_id': plan,
                    'max_backups': '3',
                    'retention_duration': '14',
                },
                'enabled': False,
            },
            shown,
        )
        self.assertEqual(
            {(PROJECT_ID, 'plans', 7), (OTHER_PROJECT_ID, 'checkpoints', -1)},
            {(row.project_id, row.resource, row.hard_limit) for row in self.rows(models.Quota)},
        )
        detail = self.get(f'/quotas/{PROJECT_ID}/detail')['quota']
        self.assertEqual((1, 1), (detail['plans']['in_use'], detail['schedules']['in_use']))
        [row] = self.rows(models.Plan)
        self.assertEqual(old_database.CREATED_AT, row.created_at)
        [trigger_row] = self.rows(models.Trigger)
        self.assertEqual((None, None), (trigger_row.next_fire_at, trigger_row.due_at))

    def test_a_second_run_makes_nothing_twice(self) -> None:
        plan, trigger = self.old.plan(), self.old.trigger()
        self.old.operation(trigger, plan)
        self.old.quota('plans', 7)
        self.move()
        self.put(f'/plans/{plan}', {'plan': {'name': 'mine'}})
        self.put(f'/quotas/{PROJECT_ID}', {'quota': {'plans': 9}}, persona='admin')
        later = self.old.plan()
        for arguments in (['--dry-run'], []):
            said = self.move(*arguments)
            made = 'would be made' if arguments else 'made'
            self.assertEqual(
                [
                    f'plans: 1 {made}, 1 known, 0 left out',
                    f'triggers: 0 {made}, 1 known, 0 left out',
                    f'scheduled operations: 0 {made}, 1 known, 0 left out',
                    f'quotas: 0 {made}, 1 known, 0 left out',
                    _DISABLED,
                ],
                said,
            )
        self.assertEqual({plan, later}, self.ids(models.Plan))
        self.assertEqual('mine', self.get(f'/plans/{plan}')['plan']['name'])
        quota = self.get(f'/quotas/{PROJECT_ID}/detail')['quota']
        self.assertEqual((9, 2), (quota['plans']['limit'], quota['plans']['in_use']))
        self.assertEqual(1, quota['schedules']['in_use'])

    def test_many_in_small_parts(self) -> None:
        plans = {self.old.plan() for _ in range(5)}
        trigger = self.old.trigger()
        operations = {self.old.operation(trigger, plan) for plan in plans}
        with mock.patch.object(old_karbor, '_BATCH', 2):
            self.move('--dry-run')
            self.move()
        self.assertEqual(plans, self.ids(models.Plan))
        self.assertEqual(operations, self.ids(models.ScheduledOperation))

    def test_no_quota_keeps_anything_out(self) -> None:
        self.config.config(quota_plans=1, quota_schedules=0)
        trigger = self.old.trigger()
        for plan in (self.old.plan(), self.old.plan()):
            self.old.operation(trigger, plan)
        self.move()
        self.assertEqual(2, len(self.ids(models.ScheduledOperation)))
        self.post('/plans', self.plan_body(), 413)

    def test_what_was_deleted_stays_so(self) -> None:
        there = self.old.plan(status='started', resources=_with_a_deleted_one('kept'))
        undecided = self.old.plan(deleted=None)
        self.old.plan(deleted=True)
        self.old.trigger(deleted=True)
        self.old.quota('plans', 3, deleted=True)
        self.move()
        self.assertEqual({there, undecided}, self.ids(models.Plan))
        self.assertEqual([], [*self.rows(models.Trigger), *self.rows(models.Quota)])
        shown = self.get(f'/plans/{there}')['plan']
        self.assertEqual(
            ('started', ['kept']), (shown['status'], [each['name'] for each in shown['resources']])
        )

    def test_a_plan_without_parameters(self) -> None:
        plan = self.old.plan(parameters='{}')
        self.move()
        self.assertEqual(
            {'snapshot_name': 'nightly', 'description': '', 'force': False},
            self.get(f'/plans/{plan}')['plan']['parameters'][base.VOLUME],
        )

    def test_an_older_one_without_quotas(self) -> None:
        old_database.QUOTAS.drop(self.old.engine)
        self.assertIn('quotas: 0 made, 0 known, 0 left out', self.move())


class LeftOutTest(MovingTestCase):
    """What is told, while the rest goes on."""

    def test_plans(self) -> None:
        good, missing = self.old.plan(), new_id()
        options = {'snapshot_name': 'x', 'description': 'x'}
        reasons = {
            self.old.plan(provider_id=missing): missing,
            self.old.plan(resources=[{'resource_id': new_id(), 'deleted': True}]): 'no resources',
            self.old.plan(
                resources=[{'resource_id': new_id(), 'resource_type': 'OS::Manila::Share'}]
            ): 'OS::Manila::Share',
            self.old.plan('x'): 'UUID',
            self.old.plan(resources=[{'resource_id': None}]): 'no id',
            self.old.plan(
                resources=[{'resource_id': new_id(), 'resource_extra_info': '{'}]
            ): 'extra_info',
            self.old.plan(parameters='{"a": NaN}'): 'cannot be read as JSON',
            self.old.plan(parameters='[]'): 'no JSON object',
            self.old.plan(parameters=None): 'no JSON object',
            self.old.plan(parameters=json.dumps({base.VOLUME: None})): 'no object',
            self.old.plan(parameters=json.dumps({base.VOLUME: {**options, 'force': 'zzz'}})): 'zzz',
            self.old.plan(
                parameters=json.dumps({base.VOLUME: {**options, 'colour': 'red'}})
            ): 'colour',
            self.old.plan(project_id=None): 'no project',
        }
        self.assert_left_out('plans', reasons)
        self.assertEqual({good}, self.ids(models.Plan))

    def test_triggers(self) -> None:
        good = self.old.trigger()
        self.assert_left_out(
            'triggers',
            {
                self.old.trigger(type='event'): 'event',
                self.old.trigger(properties={'pattern': 'now and then'}): 'pattern',
                self.old.trigger(properties={'pattern': None}): 'pattern',
                self.old.trigger(properties={'window': '20'}): 'window',
                self.old.trigger(properties={'pattern': '* * * * *'}): '60 seconds apart',
                self.old.trigger(properties={'start_time': 'soon'}): 'start_time',
            },
        )
        self.assertEqual({good}, self.ids(models.Trigger))

    def test_scheduled_operations(self) -> None:
        plan, trigger = self.old.plan(), self.old.trigger()
        gone, theirs = self.old.plan(deleted=True), self.old.plan(project_id=OTHER_PROJECT_ID)
        their_trigger = self.old.trigger(project_id=OTHER_PROJECT_ID)
        gone_trigger = self.old.trigger(deleted=True)
        good = self.old.operation(trigger, plan, operation_type='protect')
        reasons = {
            self.old.operation(trigger, plan, operation_type='dance'): 'dance',
            self.old.operation(gone_trigger, plan): f'trigger {gone_trigger} is not here',
            self.old.operation(their_trigger, plan): f'trigger {their_trigger} is not here',
            self.old.operation(trigger, gone): f'plan {gone} is not here',
            self.old.operation(trigger, theirs): f'plan {theirs} is not here',
            self.old.operation(trigger, plan, {'provider_id': new_id()}): 'is for the provider',
            self.old.operation(trigger, plan, {'plan_id': 'x'}): 'plan_id',
            self.old.operation(trigger, plan, {'max_backups': 'some'}): 'max_backups',
            self.old.operation(trigger, plan, {'max_backup': '3'}): 'but max_backups',
        }
        said = self.move('--dry-run', code=1)
        self.assertIn('scheduled operations: 1 would be made, 0 known, 9 left out', said)
        self.assert_left_out('scheduled operations', reasons)
        self.assertEqual({good}, self.ids(models.ScheduledOperation))

    def test_quotas(self) -> None:
        for resource, hard_limit in (('plans', 3), ('volumes', 3), ('checkpoints', -2)):
            self.old.quota(resource, hard_limit)
        self.old.quota('checkpoints', None, project_id=OTHER_PROJECT_ID)
        said = self.move(code=1)
        self.assertIn('quotas: 1 made, 0 known, 3 left out', said)
        self.assertIn("'volumes'", ' '.join(said))
        self.assertEqual(['plans'], [row.resource for row in self.rows(models.Quota)])


class TriggerTest(MovingTestCase):
    def properties(self, trigger: str) -> dict[str, Any]:
        return self.get(f'/triggers/{trigger}')['trigger_info']['properties']

    def test_the_pattern_tells_how_it_is_written(self) -> None:
        """It was read by an option, whatever the format of the trigger."""
        crontab = self.old.trigger(properties={'pattern': '0 3 * * *'})
        calendar = self.old.trigger(
            properties={'format': 'crontab', 'pattern': old_database.CALENDAR.replace('\n', '\\n')}
        )
        self.move()
        self.assertEqual('crontab', self.properties(crontab)['format'])
        self.assertEqual('calendar', self.properties(calendar)['format'])

    def test_a_series_without_a_start_began_when_it_was_made(self) -> None:
        trigger = self.old.trigger(properties={'start_time': None, 'window': None})
        self.move()
        properties = self.properties(trigger)
        self.assertEqual(
            (str(old_database.CREATED_AT), 900), (properties['start_time'], properties['window'])
        )

    def test_a_series_that_is_over(self) -> None:
        trigger = self.old.trigger(properties={'end_time': '2020-12-24 00:00:00'})
        self.move()
        self.assertEqual('2020-12-24 00:00:00', self.properties(trigger)['end_time'])

    def test_options_say_what_is_taken(self) -> None:
        trigger = self.old.trigger(properties={'pattern': '*/5 * * * *', 'window': '20'})
        self.config.config(min_interval=60, min_window_time=20, max_window_time=30)
        self.move()
        self.assertEqual(20, self.properties(trigger)['window'])


class EnablingTest(MovingTestCase):
    """An operation that is taken over runs once a person enables it."""

    def test_it_fires_from_then_on(self) -> None:
        trigger = self.old.trigger()
        operation = self.old.operation(trigger, self.old.plan())
        self.move()
        fires = engine.Engine(lambda _: None, 1)
        self.assertEqual(0, fires.fire_all_due())
        path = f'/scheduled_operations/{operation}'
        self.put(path, {'scheduled_operation': {'enabled': True}})
        with db.reader() as session:
            now, row = db.now(session), session.get_one(models.Trigger, trigger)
            self.assertGreater(row.next_fire_at, now)
        [row] = self.rows(models.ScheduledOperation)
        self.assertEqual((True, 'manager-of-the-test'), (row.enabled, row.user_id))
        self.put(path, {'scheduled_operation': {'enabled': False}})
        [row] = self.rows(models.Trigger)
        self.assertIsNone(row.next_fire_at)
        self.delete(path)
        self.delete(f'/triggers/{trigger}')


class TrustTest(_Moving, test_trusts.TrustsTestCase):
    def test_the_trust_is_of_who_enables_it(self) -> None:
        self.open_old()
        operation = self.old.operation(self.old.trigger(), self.old.plan())
        self.move()
        with db.reader() as session:
            row = session.get_one(models.ScheduledOperation, operation)
            self.assertEqual(('user-of-old', None), (row.user_id, row.trust_id))
        scheduled_operations.ScheduledOperations(self.trusts, lambda _: None).update(
            self.context(), operation, {'enabled': True}, None
        )
        with db.reader() as session:
            row = session.get_one(models.ScheduledOperation, operation)
            self.assertEqual('user', row.user_id)
            self.assertEqual([row.trust_id], list(self.keystone.trusts))


class WholeMoveTest(_Moving, base.CloudTestCase):
    """The same provider and bank, and an empty database."""

    def test_checkpoints_and_what_makes_new_ones(self) -> None:
        self.open_old()
        checkpoint = self.protected(self.volume())
        self._make_old(checkpoint)
        base.base.empty_tables()
        volume = self.volume()
        plan = self.old.plan(volume['id'], id=checkpoint['protection_plan']['id'])
        operation = self.old.operation(self.old.trigger(), plan)
        self.move()
        report = bank_rebuilding.from_bank(self.registry.get(PROVIDER_ID))
        self.assertEqual(([checkpoint['id']], {}), (report.restored, report.faulty))
        restore = self.ended_use('restore', self.use('restore', checkpoint))
        self.assertEqual('success', restore['status'])
        path = f'/scheduled_operations/{operation}'
        self.put(path, {'scheduled_operation': {'enabled': True}})
        self.post(f'{path}/action', {'run': None})
        found = self.wait_until(
            lambda: self.get(f'{self.checkpoints_path()}?plan_id={plan}&status=available')[
                'checkpoints'
            ][1:],
            'a second checkpoint of the plan',
        )
        self.assertEqual(1, len(found))

    def _make_old(self, checkpoint: dict[str, Any]) -> None:
        """Leave in the index of a checkpoint what a Karbor of old has there."""
        bank = self.registry.get(PROVIDER_ID).bank
        key = f'/checkpoints/{checkpoint["id"]}/index.json'
        index = bank.get_object(key)
        kept = (
            'version',
            'id',
            'status',
            'owner_id',
            'provider_id',
            'project_id',
            'protection_plan',
            'extra_info',
            'created_at',
            'timestamp',
            'resource_graph',
        )
        old_index = {name: index.get(name) for name in kept}
        plan = index['protection_plan']
        names = ('id', 'name', 'provider_id', 'resources')
        old_index['protection_plan'] = {name: plan[name] for name in names}
        old_index['extra_info'] = json.dumps({'created_by': 'manual'})
        bank.update_object(key, old_index)


def _with_a_deleted_one(name: str) -> list[dict[str, Any]]:
    return [
        {'resource_id': new_id(), 'resource_name': 'gone', 'deleted': True},
        {'resource_id': new_id(), 'resource_name': name},
    ]
