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

"""Scheduled operations run: an engine with a clock of the test's fires what the API made."""

import datetime
from typing import Any

from oslo_utils import timeutils

from karbor import db
from karbor.db import models
from karbor.services.operationengine import engine
from karbor.tests.base import PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base

_HOUR = datetime.timedelta(hours=1)


class SchedulesTestCase(base.CloudTestCase):
    """One plan of one volume; a trigger fires at each full hour."""

    def setUp(self) -> None:
        super().setUp()
        self.config.config(min_interval=60)
        self.now = timeutils.utcnow()
        self.engine = engine.Engine(self.board.post, 5, lambda: self.now)
        self.plan = self.create_plan(self.volume())
        self.trigger = self.create_trigger()

    def create_trigger(self, **properties: Any) -> dict[str, Any]:
        return self.post('/triggers', {'trigger_info': {
            'name': 'hourly', 'type': 'time',
            'properties': {'format': 'crontab', 'pattern': '0 * * * *', **properties},
        }})['trigger_info']

    def create_operation(self, operation_type: str = 'retention_protect', code: int = 200,
                         **definition: Any) -> Any:
        made = self.post('/scheduled_operations', {'scheduled_operation': {
            'name': 'keep', 'operation_type': operation_type,
            'trigger_id': self.trigger['id'], 'operation_definition': {
                'provider_id': PROVIDER_ID, 'plan_id': self.plan['id'], **definition}}}, code)
        return made['scheduled_operation'] if code == 200 else made

    def fire(self, later: datetime.timedelta = _HOUR) -> None:
        """Let time pass to the next full hour, or on, and all that begins then end."""
        self.now = (self.now + later).replace(minute=0, second=0, microsecond=0)
        self.engine.fire_all_due()

    def run_of_fire(self) -> dict[str, Any]:
        """The log of the run that the next fire starts, once it is over."""
        known = {log['id'] for log in self.logs()}
        self.fire()
        new, = [log['id'] for log in self.logs() if log['id'] not in known]
        return self.ended_log(new)

    def ended_log(self, log_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            log = self.get(f'/operation_logs/{log_id}')['operation_log']
            return log if log['ended_at'] else None
        return self.wait_until(look, 'the end of what is logged')

    def wait_for_quiet(self) -> None:
        """Until every job has ended, also those that others begin."""
        self.wait_until(lambda: all(row.state in ('done', 'failed', 'queued')
                                    for row in self.rows(models.Job)), 'the end of all jobs')

    def logs(self, operation_type: str = 'protect') -> list[dict[str, Any]]:
        return self.get(f'/operation_logs?sort=created_at:asc&operation_type={operation_type}'
                        )['operation_logs']

    def available(self) -> list[dict[str, Any]]:
        return self.get(f'{self.checkpoints_path()}?status=available&sort=created_at:asc'
                        )['checkpoints']


class RunTest(SchedulesTestCase):

    def test_a_fire_makes_a_checkpoint(self):
        operation = self.create_operation('protect')
        self.assertEqual(0, self.engine.fire_all_due())
        log = self.run_of_fire()
        self.assertEqual(('available', operation['id'], self.plan['id'], None), (
            log['status'], log['scheduled_operation_id'], log['plan_id'], log['error_info']))
        fire_time = f'{self.now:%Y-%m-%d %H:%M:%S}'
        self.assertEqual({'trigger_id': self.trigger['id'], 'fire_time': fire_time},
                         log['extra_info'])
        checkpoint, = self.available()
        self.assertEqual(log['checkpoint_id'], checkpoint['id'])
        for text in ('"created_by": "operation-engine"', fire_time, operation['id'],
                     self.trigger['id']):
            self.assertIn(text, checkpoint['extra_info'])
        self.assertEqual(1, len(self.cinder.snapshots))
        self.assertEqual(0, self.engine.fire_all_due())

    def test_two_operations_of_one_trigger(self):
        self.create_operation('protect')
        self.create_operation('protect')
        self.fire()
        self.wait_for_quiet()
        self.assertEqual(2, len(self.available()))
        self.assertEqual(1, len(self.rows(models.TriggerFire)))

    def test_none_while_it_is_disabled(self):
        operation = self.create_operation('protect')
        path = f'/scheduled_operations/{operation["id"]}'
        self.put(path, {'scheduled_operation': {'enabled': False}})
        self.fire()
        self.assertEqual([], self.logs())
        self.put(path, {'scheduled_operation': {'enabled': True}})
        self.now = timeutils.utcnow()  # as the API's clock is
        self.assertEqual('available', self.run_of_fire()['status'])

    def test_what_cannot_be_made_is_told(self):
        self.create_operation(max_backups=1)
        self.put(f'/quotas/{PROJECT_ID}', {'quota': {'checkpoints': 0}},
                 persona='admin')
        log = self.run_of_fire()
        self.assertEqual('error', log['status'])
        self.assertIn('no more than 0 checkpoints', log['error_info'])
        self.assertIn('would free 0 checkpoints', log['error_info'])
        self.assertEqual([], self.rows(models.Checkpoint))

    def test_a_trigger_that_is_changed_before_its_fire_is_run(self):
        self.create_operation('protect')
        with db.writer() as session:
            trigger = session.get(models.Trigger, self.trigger['id'])
            trigger.next_fire_at = trigger.due_at = timeutils.utcnow()
        self.put(f'/triggers/{self.trigger["id"]}', {'trigger_info': {
            'properties': {'format': 'crontab', 'pattern': '30 * * * *'}}})
        log, = self.logs()
        self.assertEqual('skipped', log['status'])
        self.assertIn('changed', log['error_info'])

    def test_an_operation_that_is_deleted_before_its_run(self):
        """What was asked for is done."""
        operation = self.create_operation('protect')
        self.board.end()
        self.fire()
        self.delete(f'/scheduled_operations/{operation["id"]}')
        log, = self.logs()
        self.runner.run(log['id'])
        self.assertEqual('available', self.ended_log(log['id'])['status'])
        self.assertIsNone(self.rows(models.Trigger)[0].due_at)


class BrokenOffTest(SchedulesTestCase):
    """A job that was broken off is run again from its start."""

    def run_again(self, log: dict[str, Any]) -> None:
        with db.writer() as session:
            session.get(models.Job, log['id']).state = 'pending'
        self.runner.run(log['id'])
        self.wait_for_quiet()

    def test_a_run_whose_checkpoint_is_there_makes_no_other(self):
        self.board.end()
        self.create_operation('protect')
        self.fire()
        job, = self.rows(models.Job)
        made = self.manager.create_scheduled_checkpoint(base._context_of(job), job)
        self.runner.run(job.id)
        checkpoint, = self.available()
        self.assertEqual(made.id, checkpoint['id'])
        self.assertEqual(1, len(self.cinder.snapshots))
        self.assertEqual(1, self.get(f'/quotas/{PROJECT_ID}/detail'
                                     )['quota']['checkpoints']['in_use'])

    def test_a_retention_removes_no_more(self):
        self.create_operation(keep_last=2)
        for _ in range(3):
            self.run_of_fire()
            self.wait_for_quiet()
        before = self.available()
        self.run_again(self.logs('retention')[-1])
        self.assertEqual(before, self.available())
        self.assertEqual(2, len(before))


class OverlapTest(SchedulesTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.board.end()  # jobs wait until the test runs them

    def test_skip(self):
        self.create_operation('protect')
        self.fire()
        self.fire()
        first, second = self.logs()
        self.assertEqual(('protecting', 'skipped'), (first['status'], second['status']))
        self.assertIn('goes on', second['error_info'])
        self.assertIsNotNone(second['ended_at'])
        self.runner.run(first['id'])
        self.fire()
        self.assertEqual(['available', 'skipped', 'protecting'],
                         [log['status'] for log in self.logs()])

    def test_queue(self):
        self.create_operation('protect', overlap='queue')
        for _ in range(3):
            self.fire()
        first, second, third = self.logs()
        self.assertEqual(['protecting', 'queued', 'skipped'],
                         [log['status'] for log in (first, second, third)])
        self.assertIn('another one waits', third['error_info'])
        self.runner.run(second['id'])  # not yet
        self.assertEqual([], self.available())
        self.runner.run(first['id'])
        self.assertEqual(['available', 'protecting', 'skipped'],
                         [log['status'] for log in self.logs()])
        self.runner.run(second['id'])
        self.assertEqual(['available', 'available', 'skipped'],
                         [log['status'] for log in self.logs()])
        self.assertEqual(2, len(self.available()))

    def test_a_run_that_fails_lets_the_next_begin(self):
        self.create_operation('protect', overlap='queue')
        self.fire()
        self.fire()
        first, second = self.logs()
        self.cinder.quota_snapshots = 0
        self.runner.run(first['id'])
        self.cinder.quota_snapshots = None
        self.runner.run(second['id'])
        self.assertEqual(['error', 'available'], [log['status'] for log in self.logs()])


class MissedTest(SchedulesTestCase):

    def test_skip(self):
        self.create_operation('protect')
        self.now = self.now.replace(minute=30) + _HOUR * 30
        self.engine.fire_all_due()
        log, = self.logs()
        self.assertEqual('skipped', log['status'])
        self.assertIn(' fires from ', log['error_info'])
        self.assertIn('within 900 seconds', log['error_info'])
        self.assertEqual(30, log['extra_info']['missed'])
        self.assertEqual('available', self.run_of_fire()['status'])

    def test_latest(self):
        self.trigger = self.create_trigger(catch_up='latest')
        self.create_operation('protect')
        self.now = self.now.replace(minute=30) + _HOUR * 30
        self.engine.fire_all_due()
        self.wait_for_quiet()
        self.assertEqual(['skipped', 'available'], [log['status'] for log in self.logs()])
        self.assertEqual(f'{self.now:%Y-%m-%d %H:00:00}', self.logs()[1]['extra_info']['fire_time'])


class RetentionTest(SchedulesTestCase):

    def test_three_are_kept(self):
        self.create_operation(keep_last=3)
        for _ in range(6):
            self.assertEqual('available', self.run_of_fire()['status'])
            self.wait_for_quiet()
        self.assertEqual(3, len(self.available()))
        self.assertEqual(3, len(self.cinder.snapshots))
        logs = self.logs('retention')
        self.assertEqual([0, 0, 0, 1, 1, 1], [log['extra_info']['removed'] for log in logs])
        self.assertEqual({'success'}, {log['status'] for log in logs})
        reason, = logs[-1]['extra_info']['reasons'].values()
        self.assertEqual('no keep rule holds it', reason)
        removed = self.logs('delete')
        self.assertEqual([logs[0]['scheduled_operation_id']] * 3,
                         [log['scheduled_operation_id'] for log in removed])

    def test_protect_keeps_all(self):
        self.create_operation('protect')
        for _ in range(3):
            self.run_of_fire()
        self.wait_for_quiet()
        self.assertEqual((3, []), (len(self.available()), self.logs('retention')))

    def test_a_run_that_fails_removes_nothing(self):
        self.create_operation(max_backups=1)
        self.run_of_fire()
        self.wait_for_quiet()
        self.cinder.quota_snapshots = 1
        self.assertEqual('error', self.run_of_fire()['status'])
        self.wait_for_quiet()
        self.assertEqual(1, len(self.available()))
        self.assertEqual(1, len(self.logs('retention')))

    def test_pinned_ones_stay(self):
        self.create_operation(max_backups=1)
        first = self.run_of_fire()['checkpoint_id']
        path = self.checkpoints_path(first)
        self.request('PUT', f'{path}/pin')
        self.assertTrue(self.get(path)['checkpoint']['pinned'])
        for _ in range(3):
            self.run_of_fire()
            self.wait_for_quiet()
        kept = [checkpoint['id'] for checkpoint in self.available()]
        self.assertEqual((2, first), (len(kept), kept[0]))
        self.delete(f'{path}/pin')
        self.run_of_fire()
        self.wait_for_quiet()
        self.assertEqual(1, len(self.available()))

    def test_a_policy_that_changes_is_that_of_all(self):
        operation = self.create_operation()
        for _ in range(4):
            self.run_of_fire()
        self.wait_for_quiet()
        self.assertEqual(4, len(self.available()))
        self.put(f'/scheduled_operations/{operation["id"]}', {'scheduled_operation': {
            'operation_definition': {**operation['operation_definition'], 'keep_last': '2'}}})
        self.run_of_fire()
        self.wait_for_quiet()
        self.assertEqual(2, len(self.available()))

    def test_a_delete_that_failed_is_tried_again(self):
        self.create_operation(max_backups=1)
        first = self.run_of_fire()['checkpoint_id']
        self.wait_for_quiet()
        with db.writer() as session:
            session.get(models.Checkpoint, first).status = 'error-deleting'
        self.run_of_fire()
        self.wait_for_quiet()
        self.assertEqual('deleted', self.get(self.checkpoints_path(first))['checkpoint']['status'])
        self.assertEqual(1, len(self.cinder.snapshots))
        self.assertEqual(['an earlier delete of it failed'],
                         list(self.logs('retention')[-1]['extra_info']['reasons'].values()))

    def test_one_that_is_in_use_is_left_and_told(self):
        self.create_operation(max_backups=1)
        first = self.run_of_fire()['checkpoint_id']
        self.wait_for_quiet()
        self.add_row(models.Job, checkpoint_id=first, subject_id=first, kind='restore',
                     provider_id=PROVIDER_ID, state='running', attempts=1)
        self.run_of_fire()
        self.wait_until(lambda: self.logs('retention')[-1]['ended_at'], 'the end of it')
        log = self.logs('retention')[-1]
        self.assertEqual('fail', log['status'])
        self.assertIn(first, log['error_info'])
        self.assertEqual(2, len(self.available()))

    def test_other_checkpoints_are_left_alone(self):
        other = self.protected()
        self.create_operation(max_backups=1)
        for _ in range(3):
            self.run_of_fire()
            self.wait_for_quiet()
        self.assertEqual([other['id']], [row['id'] for row in self.available()][:1])
        self.assertEqual(2, len(self.available()))

    def test_a_quota_is_told_with_what_would_free_it(self):
        operation = self.create_operation()
        for _ in range(3):
            self.run_of_fire()
        self.wait_for_quiet()
        self.put(f'/scheduled_operations/{operation["id"]}', {'scheduled_operation': {
            'operation_definition': {**operation['operation_definition'], 'keep_last': 1}}})
        self.cinder.quota_snapshots = 3
        log = self.run_of_fire()
        self.assertEqual('error', log['status'])
        for text in ('a quota would be exceeded', 'snapshots: 3 of 3', 'free 2 checkpoints',
                     '2 resources'):
            self.assertIn(text, log['error_info'])
        checkpoint = self.get(self.checkpoints_path(log['checkpoint_id']))['checkpoint']
        self.assertEqual(log['error_info'], checkpoint['status_reason'])


class RunNowTest(SchedulesTestCase):

    def test_run_now(self):
        operation = self.create_operation('protect')
        log = self.post(f'/scheduled_operations/{operation["id"]}/action',
                        {'run': {}})['operation_log']
        log = self.ended_log(log['id'])
        self.assertEqual(('available', operation['id'], 'manager-of-the-test'), (
            log['status'], log['scheduled_operation_id'], log['user_id']))
        self.assertEqual([], self.rows(models.TriggerFire))
        self.assertEqual(1, len(self.available()))
