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

"""A quota is in the way of a run: retention makes room, and then the run is tried once more."""

from typing import Any
from unittest import mock

import fixtures

from karbor.db import models
from karbor.services.schedules import retention_looks
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import PROJECT_ID
from karbor.tests.functional import test_retention

_QUOTA_LAG = 'karbor.services.checkpoints.protecting.QUOTA_LAG'


class RetryTestCase(test_retention.RetentionTestCase):
    """Two runs of two volumes have filled the quota; retention is to keep the newest only."""

    overlap = 'skip'

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch(_QUOTA_LAG, 0))
        self.operation = self.create_operation(keep_last=9, overlap=self.overlap)
        self.first, self.second = self.runs(2)
        self.change(self.operation, keep_last=1)
        self.cinder.quota_snapshots = 4

    def path(self) -> str:
        return f'/scheduled_operations/{self.operation["id"]}'

    def statuses(self) -> list[str]:
        return [log['status'] for log in self.logs()]


class RetryTest(RetryTestCase):
    def test_of_cinder(self):
        failed = self.run_once()
        self.assertEqual('error', failed['status'])
        for text in (
            'a quota would be exceeded',
            'would free 2 recovery points and 1 checkpoint; then the run is tried once more',
        ):
            self.assertIn(text, failed['error_info'])
        *_, retry = self.logs()
        self.assertEqual(
            ('available', {**failed['extra_info'], 'retry_of': failed['id']}),
            (retry['status'], retry['extra_info']),
        )
        self.assertNotEqual(failed['checkpoint_id'], retry['checkpoint_id'])
        self.assertEqual(['available', 'available', 'error', 'available'], self.statuses())
        self.assertEqual(4, len(self.logs('retention')))
        last = [retry['checkpoint_id']]
        self.assertEqual((last, last), (self.good(self.a), self.good(self.b)))
        self.assertEqual(last, [row['id'] for row in self.available()])
        self.assertEqual('deleted', self.shown(failed['checkpoint_id'])['status'])
        self.assertIn(failed['extra_info']['fire_time'], self.shown(last[0])['extra_info'])
        self.assert_in_step()

    def test_of_which_one_volume_had_its_place(self):
        """It is not protected twice, so its history is not shorter than the other's."""
        self.change(self.operation, keep_last=2)
        self.cinder.quota_snapshots = 5
        (first, second), known = (self.first, self.second), len(self.cinder.snapshots)
        failed = self.run_once()
        self.assertEqual('error', failed['status'])
        retry = self.logs()[-1]
        self.assertEqual('available', retry['status'])
        by_failed, by_retry = failed['checkpoint_id'], retry['checkpoint_id']
        self.assertCountEqual(
            [[second, by_failed], [second, by_retry]], [self.good(self.a), self.good(self.b)]
        )
        self.assertEqual(known, len(self.cinder.snapshots))
        told = (
            'of 1 resources, which did not fail before, the recovery points are in the checkpoint '
            f'{by_failed}, of which they are restored by naming them'
        )
        self.assertEqual(told, retry['error_info'])
        self.assertEqual(told, self.shown(by_retry)['status_reason'])
        self.assertEqual('deleted', self.shown(first)['status'])
        self.assert_in_step()

    def test_cinder_gives_the_quota_back_a_moment_later(self):
        self.useFixture(fixtures.MonkeyPatch(_QUOTA_LAG, 2))
        self.cinder.quota_lag = 0.5
        self.run_once()
        self.assertEqual('available', self.logs()[-1]['status'])

    def test_of_karbor(self):
        self.cinder.quota_snapshots = None
        self.put(f'/quotas/{PROJECT_ID}', {'quota': {'checkpoints': 2}}, persona='admin')
        failed = self.run_once()
        self.assertEqual('error', failed['status'])
        for text in ('no more than 2 checkpoints', 'then the run is tried once more'):
            self.assertIn(text, failed['error_info'])
        self.assertEqual(['available', 'available', 'error', 'available'], self.statuses())
        self.assertEqual(failed['id'], self.logs()[-1]['extra_info']['retry_of'])
        self.assertEqual([self.logs()[-1]['checkpoint_id']], self.good(self.a))
        self.assertEqual(
            1, self.get(f'/quotas/{PROJECT_ID}/detail')['quota']['checkpoints']['in_use']
        )
        self.assert_in_step()

    def test_one_that_fails_is_not_tried_again(self):
        self.cinder.quota_snapshots = 2
        self.run_once()
        self.assertEqual(['available', 'available', 'error', 'error'], self.statuses())
        retry = self.logs()[-1]
        self.assertIn(
            'retention has removed what it could before this run was tried again',
            retry['error_info'],
        )
        self.assertEqual([self.second], self.good(self.a))
        # The next one is another run; a checkpoint goes before it is tried again.
        self.run_once()
        self.assertEqual(['error', 'error'], self.statuses()[4:])
        self.assertEqual([self.second], self.good(self.a))
        self.assert_in_step()

    def test_a_run_that_fails_for_another_reason(self):
        for volume in (self.a, self.b):
            self.set_status(volume, 'error')
        self.run_once()
        self.assertEqual(['available', 'available', 'error'], self.statuses())

    def test_a_removal_that_fails(self):
        """The run is tried all the same, as others may have gone."""
        fault = Fault('DELETE', '/snapshots/', status=403)
        self.cinder.faults.append(fault)
        self.run_once()
        self.cinder.faults.remove(fault)
        self.assertEqual(['available', 'available', 'error', 'error'], self.statuses())
        self.assertEqual('error-deleting', self.shown(self.first)['status'])
        self.cinder.quota_snapshots = 6
        (last,) = self.runs(1)
        self.assertEqual([last], self.good(self.a))
        self.assertEqual('deleted', self.shown(self.first)['status'])
        self.assert_in_step()

    def test_nothing_can_be_removed_meanwhile(self):
        """All that was to go was pinned meanwhile, so there is no more room than before."""
        judge = retention_looks.judge

        def judge_and_pin(*args: Any) -> Any:
            judged = judge(*args)
            self.request('PUT', f'{self.checkpoints_path(self.first)}/pin')
            return judged

        with mock.patch.object(retention_looks, 'judge', judge_and_pin):
            self.run_once()
        self.assertEqual(['available', 'available', 'error', 'skipped'], self.statuses())
        self.assertIn('it is pinned', self.logs()[-1]['error_info'])
        log = self.told()
        self.assertEqual(
            (0, 0),
            (log['extra_info']['removed'], log['extra_info']['recovery_points_removed']),
        )
        self.assertEqual([self.first, self.second], self.good(self.a))

    def test_cinder_cannot_be_asked(self):
        with mock.patch.object(
            retention_looks, 'judge', side_effect=retention_looks.CannotLook('Cinder is away')
        ):
            self.run_once()
        self.assertEqual(['available', 'available', 'error', 'skipped'], self.statuses())
        self.assertEqual('nothing is removed: Cinder is away', self.logs()[-1]['error_info'])

    def test_without_retention(self):
        self.delete(self.path())
        self.operation = self.create_operation('protect')
        log = self.run_once()
        self.assertEqual('error', log['status'])
        self.assertNotIn('retention', log['error_info'])
        self.assertEqual(['available', 'available', 'error'], self.statuses())


class WaitingRetryTest(RetryTestCase):
    """Jobs wait until the test runs them; the run that failed is over."""

    def setUp(self) -> None:
        super().setUp()
        self.board.end()
        self.fire()
        self.failed = self.logs()[-1]
        self.runner.run(self.failed['id'])

    def jobs(self, *states: str) -> dict[str, list[str]]:
        """The ids of jobs in some states, by kind."""
        found: dict[str, list[str]] = {}
        for row in self.rows(models.Job):
            if row.state in states:
                found.setdefault(row.kind, []).append(row.id)
        return found

    def run_all(self) -> None:
        while pending := self.jobs('pending'):
            for ids in pending.values():
                for job_id in ids:
                    self.runner.run(job_id)

    def test_it_begins_when_all_is_over(self):
        """Nothing that waits has a place at a worker."""
        (retry_id,) = self.jobs('queued')['protect']
        (retention_id,) = self.jobs('pending')['retention']
        self.runner.run(retention_id)
        self.assertEqual([retry_id], self.jobs('queued')['protect'])
        deletes = self.jobs('pending')
        self.assertEqual(['delete'], list(deletes))
        self.assertEqual('queued', self.logs()[-1]['status'])
        self.runner.run(deletes['delete'][0])
        self.assertEqual({'protect': [retry_id]}, self.jobs('pending'))
        self.assertEqual('protecting', self.logs()[-1]['status'])
        self.run_all()
        self.assertEqual('available', self.logs()[-1]['status'])

    def test_a_fire_beside_it_is_left_out(self):
        self.fire()
        skipped = self.logs()[-1]
        self.assertEqual('skipped', skipped['status'])
        self.assertIn('a run waits', skipped['error_info'])
        self.assertNotIn('goes on', skipped['error_info'])
        self.run_all()
        self.assertEqual(
            ['available', 'available', 'error', 'available', 'skipped'], self.statuses()
        )

    def test_its_operation_is_deleted(self):
        self.delete(self.path())
        retry = self.logs()[-1]
        self.assertEqual('skipped', retry['status'])
        self.assertIn('was deleted before the run began', retry['error_info'])
        self.run_all()
        self.assertEqual({}, self.jobs('queued', 'pending', 'running'))
        self.assertEqual(['available', 'available', 'error', 'skipped'], self.statuses())
        self.assertIn('has no retention', self.told()['error_info'])
        self.assertEqual([self.first, self.second], self.good(self.a))

    def test_its_operation_is_deleted_while_something_is_removed(self):
        self.runner.run(self.jobs('pending')['retention'][0])
        self.delete(self.path())
        self.run_all()
        self.assertEqual({}, self.jobs('queued', 'pending', 'running'))
        self.assertEqual(['available', 'available', 'error', 'skipped'], self.statuses())
        self.assertEqual([self.second], self.good(self.a))
        self.assertEqual('deleted', self.shown(self.first)['status'])

    def test_a_retention_that_is_parked(self):
        """No run waits for ever."""
        (retention_id,) = self.jobs('pending')['retention']
        self.park(retention_id)
        self.assertEqual({}, self.jobs('queued', 'pending', 'running'))
        self.assertEqual('skipped', self.logs()[-1]['status'])

    def test_a_delete_that_is_parked(self):
        (retention_id,) = self.jobs('pending')['retention']
        self.runner.run(retention_id)
        (delete_id,) = self.jobs('pending')['delete']
        self.park(delete_id)
        self.assertEqual(['protect'], list(self.jobs('pending')))
        self.run_all()
        self.assertEqual('error', self.logs()[-1]['status'])

    def park(self, job_id: str) -> None:
        with test_retention.db.writer() as session:
            session.get_one(models.Job, job_id).tries = 10
        self.runner.run(job_id)
        self.assertIn([job_id], self.jobs('parked').values())


class QueueTest(WaitingRetryTest):
    overlap = 'queue'

    def test_a_fire_beside_it_is_left_out(self):
        """The run that is tried again is the one that waits."""
        self.fire()
        skipped = self.logs()[-1]
        self.assertEqual('skipped', skipped['status'])
        self.assertIn('another one waits', skipped['error_info'])
        self.run_all()
        self.assertEqual(
            ['available', 'available', 'error', 'available', 'skipped'], self.statuses()
        )


class QueuedRunTest(RetryTestCase):
    """A run waits already for the end of the one that fails: it takes the place of a retry."""

    overlap = 'queue'
    run_all, jobs = WaitingRetryTest.run_all, WaitingRetryTest.jobs

    def setUp(self) -> None:
        super().setUp()
        self.board.end()
        self.fire()
        self.fire()

    def test_it_begins_when_all_is_over(self):
        failed, waiting = self.logs()[-2:]
        self.runner.run(failed['id'])
        self.runner.run(self.jobs('pending')['retention'][0])
        self.assertEqual([waiting['id']], self.jobs('queued')['protect'])
        self.run_all()
        self.assertEqual(['available', 'available', 'error', 'available'], self.statuses())
        self.assertEqual(waiting['id'], self.logs()[-1]['id'])
