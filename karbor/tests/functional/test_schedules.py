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
import pathlib
import threading
import time
from typing import Any
from unittest import mock

from oslo_utils import timeutils

from karbor import db
from karbor.cmd import job_kinds
from karbor.common import leases
from karbor.db import jobs as job_rows
from karbor.db import models, schedules
from karbor.services.checkpoints import protecting
from karbor.services.jobs import kinds
from karbor.services.schedules import engine, retention_looks, run_ends, runs
from karbor.tests.base import PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base

_HOUR = datetime.timedelta(hours=1)


class SchedulesTestCase(base.CloudTestCase):
    """One plan of one volume; a trigger fires at each full hour."""

    def setUp(self) -> None:
        super().setUp()
        self.config.config(min_interval=60)
        self.now = timeutils.utcnow()
        self.engine = engine.Engine(self.board.post, 5, lambda _session: self.now)
        self.plan = self.create_plan(self.volume())
        self.trigger = self.create_trigger()

    def provider_dir(self, **options: Any) -> pathlib.Path:
        """The same, with more time for deletes than a machine that is busy needs."""
        return super().provider_dir(**{'delete_timeout': 30, **options})

    def create_trigger(self, **properties: Any) -> dict[str, Any]:
        return self.post(
            '/triggers',
            {
                'trigger_info': {
                    'name': 'hourly',
                    'type': 'time',
                    'properties': {'format': 'crontab', 'pattern': '0 * * * *', **properties},
                }
            },
        )['trigger_info']

    def create_operation(
        self, operation_type: str = 'retention_protect', code: int = 200, **definition: Any
    ) -> Any:
        made = self.post(
            '/scheduled_operations',
            {
                'scheduled_operation': {
                    'name': 'keep',
                    'operation_type': operation_type,
                    'trigger_id': self.trigger['id'],
                    'operation_definition': {
                        'provider_id': PROVIDER_ID,
                        'plan_id': self.plan['id'],
                        **definition,
                    },
                }
            },
            code,
        )
        return made['scheduled_operation'] if code == 200 else made

    def fire(self, later: datetime.timedelta = _HOUR) -> None:
        """Let time pass to the next full hour, or on, and all that begins then end."""
        self.now = (self.now + later).replace(minute=0, second=0, microsecond=0)
        self.engine.fire_all_due()

    def run_of_fire(self) -> dict[str, Any]:
        """The log of the run that the next fire starts, once it is over.

        The log of one that does the same once more may be there by then.
        """
        known = {log['id'] for log in self.logs()}
        self.fire()
        (new,) = [
            log['id']
            for log in self.logs()
            if log['id'] not in known and 'retry_of' not in log['extra_info']
        ]
        return self.ended_log(new)

    def ended_log(self, log_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            log = self.get(f'/operation_logs/{log_id}')['operation_log']
            return log if log['ended_at'] else None

        return self.wait_until(look, 'the end of what is logged')

    def wait_for_quiet(self) -> None:
        """Until every job has ended, also those that others begin."""
        self.wait_until(
            lambda: all(
                row.state in ('done', 'failed', 'queued', 'parked') for row in self.rows(models.Job)
            ),
            'the end of all jobs',
        )

    def logs(self, operation_type: str = 'protect') -> list[dict[str, Any]]:
        return self.get(f'/operation_logs?sort=created_at:asc&operation_type={operation_type}')[
            'operation_logs'
        ]

    def available(self) -> list[dict[str, Any]]:
        return self.get(f'{self.checkpoints_path()}?status=available&sort=created_at:asc')[
            'checkpoints'
        ]


class RunTest(SchedulesTestCase):
    def test_a_fire_makes_a_checkpoint(self):
        operation = self.create_operation('protect')
        self.assertEqual(0, self.engine.fire_all_due())
        log = self.run_of_fire()
        self.assertEqual(
            ('available', operation['id'], self.plan['id'], None),
            (log['status'], log['scheduled_operation_id'], log['plan_id'], log['error_info']),
        )
        fire_time = f'{self.now:%Y-%m-%d %H:%M:%S}'
        self.assertEqual(
            {'trigger_id': self.trigger['id'], 'fire_time': fire_time}, log['extra_info']
        )
        (checkpoint,) = self.available()
        self.assertEqual(log['checkpoint_id'], checkpoint['id'])
        for text in (
            '"created_by": "operation-engine"',
            fire_time,
            operation['id'],
            self.trigger['id'],
        ):
            self.assertIn(text, checkpoint['extra_info'])
        self.assertEqual(1, len(self.cinder.snapshots))
        self.assertEqual(0, self.engine.fire_all_due())

    def test_a_run_that_the_release_before_has_asked_for(self):
        """Its job does not say of what and why it is; the log does."""
        self.create_operation('protect')
        self.board.end()
        self.fire()
        (job,) = self.rows(models.Job)
        asked_for = (job.plan_id, job.trigger_id, job.fire_at.isoformat(' '))
        self.assertEqual((self.plan['id'], self.trigger['id']), asked_for[:2])
        with db.writer() as session:
            job = session.get(models.Job, job.id)
            job.plan_id = job.trigger_id = job.fire_at = None
        self.runner.run(job.id)
        self.assertEqual('available', self.ended_log(job.id)['status'])
        (checkpoint,) = self.available()
        self.assertEqual(self.plan['id'], checkpoint['protection_plan']['id'])
        for text in asked_for[1:]:
            self.assertIn(text, checkpoint['extra_info'])

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
        self.put(f'/quotas/{PROJECT_ID}', {'quota': {'checkpoints': 0}}, persona='admin')
        log = self.run_of_fire()
        self.assertEqual('error', log['status'])
        self.assertIn('no more than 0 checkpoints', log['error_info'])
        self.assertIn('would free 0 recovery points and 0 checkpoints', log['error_info'])
        self.assertEqual([], self.rows(models.Checkpoint))

    def test_a_retention_removes_however_many_jobs_there_may_be(self):
        self.create_operation(keep_last=1)
        self.put(f'/quotas/{PROJECT_ID}', {'quota': {'jobs': 1}}, persona='admin')
        for _ in range(2):
            self.assertEqual('available', self.run_of_fire()['status'])
            self.wait_for_quiet()
        self.assertEqual(1, len(self.available()))
        self.assertEqual({'success'}, {log['status'] for log in self.logs('retention')})

    def test_an_operation_that_is_deleted_before_its_run(self):
        """What was asked for is done."""
        operation = self.create_operation('protect')
        self.board.end()
        self.fire()
        self.delete(f'/scheduled_operations/{operation["id"]}')
        (log,) = self.logs()
        self.runner.run(log['id'])
        self.assertEqual('available', self.ended_log(log['id'])['status'])
        self.assertIsNone(self.rows(models.Trigger)[0].due_at)


class SettleTest(SchedulesTestCase):
    """What was due is decided on before what is to be done is changed."""

    def setUp(self) -> None:
        super().setUp()
        self.operation = self.create_operation('protect', overlap='queue')
        self.path = f'/scheduled_operations/{self.operation["id"]}'

    def let_be_due(self, hours: int) -> None:
        """Let so many fires be due, the last of them right now."""
        with db.writer() as session:
            trigger = session.get(models.Trigger, self.trigger['id'])
            now = timeutils.utcnow().replace(microsecond=0)
            trigger.properties = {
                **trigger.properties,
                'pattern': f'{now.minute} * * * *',
                'start_time': str(now - _HOUR * 100),
            }
            trigger.next_fire_at = trigger.due_at = now.replace(second=0) - _HOUR * (hours - 1)

    def change_trigger(self) -> None:
        self.put(
            f'/triggers/{self.trigger["id"]}',
            {'trigger_info': {'properties': {'format': 'crontab', 'pattern': '30 * * * *'}}},
        )

    def test_by_a_change_of_the_trigger(self):
        self.let_be_due(1)
        self.change_trigger()
        (log,) = self.logs()
        self.assertIn(log['status'], ('protecting', 'available'))

    def test_many(self):
        self.let_be_due(6)
        self.change_trigger()
        missed, run = self.logs()
        self.assertEqual(('skipped', 5), (missed['status'], missed['extra_info']['missed']))
        self.assertIn(run['status'], ('protecting', 'available'))

    def assert_settled_by(self, change: dict[str, Any]) -> None:
        self.let_be_due(6)
        self.put(self.path, {'scheduled_operation': change})
        self.assertEqual(2, len(self.logs()))

    def test_by_disabling(self):
        self.assert_settled_by({'enabled': False})

    def test_by_a_move_to_another_trigger(self):
        self.assert_settled_by({'trigger_id': self.create_trigger()['id']})

    def test_by_its_end(self):
        self.let_be_due(6)
        self.delete(self.path)
        self.assertEqual(2, len(self.logs()))

    def test_a_new_operation_has_no_part_in_it(self):
        self.let_be_due(6)
        other = self.create_operation('protect')
        self.fire()
        self.assertEqual(
            [],
            [
                log
                for log in self.logs()
                if log['scheduled_operation_id'] == other['id'] and log['status'] == 'skipped'
            ],
        )


class FaultTest(SchedulesTestCase):
    """A trigger with which something is wrong is no trouble to others."""

    def setUp(self) -> None:
        super().setUp()
        self.create_operation('protect')
        self.bad = self.trigger
        self.trigger = self.create_trigger()
        self.create_operation('protect')

    def test_one_that_cannot_be_read(self):
        with db.writer() as session:
            session.get(models.Trigger, self.bad['id']).properties = {'format': 'x'}
        self.fire()
        told, run = sorted(self.logs(), key=lambda log: log['status'] != 'skipped')
        self.assertEqual(
            ('skipped', self.bad['id']), (told['status'], told['extra_info']['trigger_id'])
        )
        self.assertIn('cannot be fired', told['error_info'])
        self.assertEqual(self.trigger['id'], run['extra_info']['trigger_id'])
        self.assertEqual(0, self.engine.fire_all_due())

    def test_one_that_has_fired_already(self):
        with db.writer() as session:
            fire = session.get(models.Trigger, self.bad['id']).next_fire_at
            session.add(models.TriggerFire(trigger_id=self.bad['id'], fire_at=fire, fired_at=fire))
        self.fire()
        self.assertEqual(
            [self.trigger['id']], [log['extra_info']['trigger_id'] for log in self.logs()]
        )
        self.wait_for_quiet()
        self.fire()
        self.assertEqual(3, len(self.logs()))


class BrokenOffTest(SchedulesTestCase):
    """A job that was broken off is run again from its start."""

    def run_again(self, log: dict[str, Any]) -> None:
        with db.writer() as session:
            session.get(models.Job, log['id']).state = 'pending'
        self.runner.run(log['id'])
        self.wait_for_quiet()

    def attempt(self, job: models.Job) -> kinds.Attempt:
        return kinds.Attempt(
            job=job,
            kind=job_kinds.JOB_KINDS[job.kind],
            lease=leases.Lease(),
            context=base.context_of(job),
            requests=self.environment.requests.lane(job.project_id, job.id, lambda: None),
            environment=self.environment,
        )

    def test_a_run_whose_checkpoint_is_there_makes_no_other(self):
        self.board.end()
        self.create_operation('protect')
        self.fire()
        (job,) = self.rows(models.Job)
        make = protecting._make_checkpoint
        self.assertRaises(leases.LeaseLost, make, run_ends, self.attempt(job))
        job = db.transaction(job_rows.claim)(job.id, None)
        made = make(run_ends, self.attempt(job))
        with db.writer() as session:
            job_rows.take_up_again(session)
        self.runner.run(job.id)
        (checkpoint,) = self.available()
        self.assertEqual(made.id, checkpoint['id'])
        self.assertEqual(1, len(self.cinder.snapshots))
        self.assertEqual(
            1, self.get(f'/quotas/{PROJECT_ID}/detail')['quota']['checkpoints']['in_use']
        )

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
        self.assertEqual(
            ['available', 'skipped', 'protecting'], [log['status'] for log in self.logs()]
        )

    def test_as_many_jobs_as_the_project_may_have(self):
        """The fires that are skipped are told, and the others run."""
        self.put(f'/quotas/{PROJECT_ID}', {'quota': {'jobs': 1}}, persona='admin')
        operations = [self.create_operation('protect')['id'] for _ in range(2)]
        self.fire()
        first, second = sorted(self.logs(), key=lambda log: log['status'])
        self.assertEqual(('protecting', 'skipped'), (first['status'], second['status']))
        self.assertEqual(operations, [log['scheduled_operation_id'] for log in (first, second)])
        self.assertRegex(
            second['error_info'], r'^The fire of .* UTC is skipped: .* 1 unfinished jobs.*[^.]\.$'
        )
        self.assertIsNotNone(second['ended_at'])
        self.assertEqual([first['id']], [row.id for row in self.rows(models.Job)])
        self.runner.run(first['id'])
        self.fire()
        self.assertEqual(
            ['available', 'protecting', 'skipped', 'skipped'],
            sorted(log['status'] for log in self.logs()),
        )

    def test_queue(self):
        self.create_operation('protect', overlap='queue')
        for _ in range(3):
            self.fire()
        first, second, third = self.logs()
        self.assertEqual(
            ['protecting', 'queued', 'skipped'], [log['status'] for log in (first, second, third)]
        )
        self.assertIn('another one waits', third['error_info'])
        self.runner.run(second['id'])  # not yet
        self.assertEqual([], self.available())
        self.runner.run(first['id'])
        self.assertEqual(
            ['available', 'protecting', 'skipped'], [log['status'] for log in self.logs()]
        )
        self.runner.run(second['id'])
        self.assertEqual(
            ['available', 'available', 'skipped'], [log['status'] for log in self.logs()]
        )
        self.assertEqual(2, len(self.available()))

    def test_what_waits_takes_the_plan_as_it_is_when_it_begins(self):
        operation = self.create_operation('protect', overlap='queue')
        self.fire()
        self.fire()
        first, second = self.logs()
        path = f'/plans/{operation["operation_definition"]["plan_id"]}'
        for number, log in enumerate((first, second)):
            parameters = {base.VOLUME: {**base.OPTIONS, 'snapshot_name': f'{number} {{plan_name}}'}}
            self.put(path, {'plan': {'name': f'plan {number}', 'parameters': parameters}})
            self.runner.run(log['id'])
        self.assertEqual(
            ['0 plan 0', '1 plan 1'],
            sorted(snapshot['name'] for snapshot in self.cinder.snapshots.values()),
        )

    def test_one_that_is_queued_at_the_moment_of_the_end(self):
        """The end of a run waits until it is known whether another one waits for it."""
        operation = self.create_operation('protect', overlap='queue')
        self.fire()
        (first,) = self.logs()
        is_locked, context = threading.Event(), base.karbor_context.RequestContext('u', PROJECT_ID)

        @db.transaction
        def queue(session: Any) -> None:
            row = schedules.get_operation(session, PROJECT_ID, operation['id'], lock=True)
            runs.start(session, context, row)
            is_locked.set()
            time.sleep(1)

        thread = threading.Thread(target=queue)
        thread.start()
        self.assertTrue(is_locked.wait(10))
        self.runner.run(first['id'])
        thread.join()
        self.assertEqual(['available', 'protecting'], [log['status'] for log in self.logs()])

    def test_none_begins_while_one_goes_on(self):
        operation = self.create_operation('protect', overlap='queue')
        self.fire()
        self.fire()
        with db.writer() as session:
            self.assertIsNone(runs.let_next_begin(session, operation['id']))
        self.assertEqual(['protecting', 'queued'], [log['status'] for log in self.logs()])

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

    def test_one_over_quota_does_not_take_away_the_next(self):
        self.create_operation(overlap='queue')
        self.fire()
        self.fire()
        first, second = self.logs()
        self.cinder.quota_snapshots = 0
        self.runner.run(first['id'])
        self.assertEqual(['error', 'queued'], [log['status'] for log in self.logs()])
        self.cinder.quota_snapshots = None
        (retention,) = self.logs('retention')
        self.runner.run(retention['id'])
        self.runner.run(second['id'])
        self.assertEqual(['error', 'available'], [log['status'] for log in self.logs()])


class MissedTest(SchedulesTestCase):
    def test_skip(self):
        self.create_operation('protect')
        self.now = self.now.replace(minute=30) + _HOUR * 30
        self.engine.fire_all_due()
        (log,) = self.logs()
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
        (reason,) = logs[-1]['extra_info']['reasons'].values()
        self.assertEqual('no keep rule holds it', reason)
        removed = self.logs('delete')
        self.assertEqual(
            [logs[0]['scheduled_operation_id']] * 3,
            [log['scheduled_operation_id'] for log in removed],
        )

    def test_protect_keeps_all(self):
        self.create_operation('protect')
        for _ in range(3):
            self.run_of_fire()
        self.wait_for_quiet()
        self.assertEqual((3, []), (len(self.available()), self.logs('retention')))

    def test_a_run_that_fails_leaves_the_last_good_one(self):
        self.create_operation(max_backups=1)
        self.run_of_fire()
        self.wait_for_quiet()
        self.cinder.quota_snapshots = 1
        self.assertEqual('error', self.run_of_fire()['status'])
        self.wait_for_quiet()
        self.assertEqual(1, len(self.available()))
        self.assertEqual([0, 0], [log['extra_info']['removed'] for log in self.logs('retention')])
        retry = self.logs()[-1]
        self.assertEqual('skipped', retry['status'])
        self.assertIn('nothing that retention could remove', retry['error_info'])

    def test_what_a_run_over_quota_has_made_all_the_same_frees_something(self):
        self.plan = self.create_plan(self.volume(), self.volume())
        self.create_operation(keep_last=1)
        self.run_of_fire()
        self.wait_for_quiet()
        self.cinder.quota_snapshots = 3
        self.assertIn(
            'would free 1 recovery point and 0 checkpoints; then the run is tried once more',
            self.run_of_fire()['error_info'],
        )
        self.wait_for_quiet()
        told = self.logs('retention')[1]['extra_info']
        self.assertEqual((0, 1), (told['removed'], told['recovery_points_removed']))

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
        self.put(
            f'/scheduled_operations/{operation["id"]}',
            {
                'scheduled_operation': {
                    'operation_definition': {**operation['operation_definition'], 'keep_last': '2'}
                }
            },
        )
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
        self.assertEqual(
            ['it has failed, and a newer one is there'],
            list(self.logs('retention')[-1]['extra_info']['reasons'].values()),
        )

    def test_the_last_good_one_stays_though_the_newest_goes_meanwhile(self):
        self.create_operation(max_backups=1)
        first = self.run_of_fire()['checkpoint_id']
        self.wait_for_quiet()
        judge = retention_looks.judge

        def judge_and_lose_the_newest(*args: Any) -> Any:
            judged = judge(*args)
            with db.writer() as session:
                for point in session.query(models.RecoveryPoint):
                    if point.checkpoint_id != first:
                        point.state = 'missing'
            return judged

        with mock.patch.object(retention_looks, 'judge', judge_and_lose_the_newest):
            self.run_of_fire()
            self.wait_for_quiet()
        self.assertIn(first, [row['id'] for row in self.available()])
        self.assertIn('lost meanwhile', self.logs('retention')[-1]['error_info'])

    def test_another_plan_meanwhile(self):
        """Retention is that of what the operation has made, whatever plan it has now."""
        other = self.create_plan(self.volume())
        for _ in range(2):
            self.ended_checkpoint(self.create_checkpoint(other))
        operation = self.create_operation(max_backups=1)
        self.board.end()
        self.fire()
        self.put(
            f'/scheduled_operations/{operation["id"]}',
            {
                'scheduled_operation': {
                    'operation_definition': {
                        **operation['operation_definition'],
                        'plan_id': other['id'],
                    }
                }
            },
        )
        for _ in range(2):
            for job in self.rows(models.Job):
                self.runner.run(job.id)
        self.assertEqual(3, len(self.available()))
        self.assertEqual(0, self.logs('retention')[0]['extra_info']['removed'])

    def test_one_that_is_in_use_is_left_and_told(self):
        self.create_operation(max_backups=1)
        first = self.run_of_fire()['checkpoint_id']
        self.wait_for_quiet()
        self.add_row(
            models.Job,
            checkpoint_id=first,
            subject_id=first,
            kind='restore',
            provider_id=PROVIDER_ID,
            state='running',
            attempts=1,
        )
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

    def test_volumes_that_are_gone_do_not_keep_what_others_have(self):
        *gone, kept = [self.volume() for _ in range(3)]
        self.plan = self.create_plan(*gone, kept)
        operation = self.create_operation(keep_last=3)
        for _ in range(3):
            self.run_of_fire()
            self.wait_for_quiet()
        for volume in gone:
            del self.cinder.volumes[volume['id']]
            for snapshot in list(self.cinder.snapshots.values()):
                if snapshot['volume_id'] == volume['id']:
                    del self.cinder.snapshots[snapshot['id']]
        self.put(
            f'/scheduled_operations/{operation["id"]}',
            {
                'scheduled_operation': {
                    'operation_definition': {**operation['operation_definition'], 'keep_last': 1}
                }
            },
        )
        for _ in range(2):
            self.assertEqual('available', self.run_of_fire()['status'])
            self.wait_for_quiet()
            self.assertEqual(
                [kept['id']], [item['volume_id'] for item in self.cinder.snapshots.values()]
            )
        log = self.logs('retention')[-1]
        self.assertIn('4 of the 5 recovery points that would stay', log['error_info'])
        self.assertEqual('fail', log['status'])
        # Nothing is known of them but that they cannot be seen now.
        states = {
            point['state']
            for volume in gone
            for point in self.get(f'/recovery_points?resource_id={volume["id"]}')['recovery_points']
        }
        self.assertEqual({'good'}, states)

    def test_a_quota_is_told_with_what_would_free_it(self):
        operation = self.create_operation()
        for _ in range(3):
            self.run_of_fire()
        self.wait_for_quiet()
        self.put(
            f'/scheduled_operations/{operation["id"]}',
            {
                'scheduled_operation': {
                    'operation_definition': {**operation['operation_definition'], 'keep_last': 1}
                }
            },
        )
        self.cinder.quota_snapshots = 3
        log = self.run_of_fire()
        self.assertEqual('error', log['status'])
        for text in (
            'a quota would be exceeded',
            'snapshots: 3 of 3',
            'free 2 recovery points and 2 checkpoints',
        ):
            self.assertIn(text, log['error_info'])
        checkpoint = self.get(self.checkpoints_path(log['checkpoint_id']))['checkpoint']
        self.assertEqual(log['error_info'], checkpoint['status_reason'])


class QuotaTest(SchedulesTestCase):
    def test_it_is_told_of_though_something_else_failed_first(self):
        plan = self.create_plan(self.volume(status='error'), self.volume())
        self.cinder.quota_snapshots = 0
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        for text in ('2 of 2 resources failed', 'a quota would be exceeded', 'snapshots: 0 of 0'):
            self.assertIn(text, checkpoint['status_reason'])


class RunNowTest(SchedulesTestCase):
    def test_run_now(self):
        operation = self.create_operation('protect')
        log = self.post(f'/scheduled_operations/{operation["id"]}/action', {'run': {}})[
            'operation_log'
        ]
        log = self.ended_log(log['id'])
        self.assertEqual(
            ('available', operation['id'], 'manager-of-the-test'),
            (log['status'], log['scheduled_operation_id'], log['user_id']),
        )
        self.assertEqual([], self.rows(models.TriggerFire))
        self.assertEqual(1, len(self.available()))
