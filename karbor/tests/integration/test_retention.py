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

"""Retention on the sandbox: it harms no volume, whatever became of that and of others."""

from collections.abc import Collection
from typing import Any

import openstack

from karbor.tests.integration import base, callers, cloud, service_case

_FAULT = 'sandbox.fault'
_NO_SNAPSHOT = {_FAULT: 'create_snapshot:error'}


class RetentionTest(service_case.ServiceTestCase):
    """Each test has a project; all have one worker."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.service.start_worker()

    def operation(self, plan_id: str, **rules: Any) -> str:
        """A scheduled operation with retention that is run by hand."""
        return self.caller.scheduled_operation(
            self.caller.trigger(), plan_id, operation_type='retention_protect', **rules
        )

    def run_now(self, operation_id: str) -> Any:
        """The log of a run, once it and all that follows it are over."""
        path = f'/scheduled_operations/{operation_id}/action'
        log_id = self.caller.call('POST', path, {'run': {}})['id']

        def is_over() -> bool:
            return all(log['ended_at'] is not None for log in self.logs(operation_id))

        cloud.wait_until(is_over, 'the end of a run and of its retention')
        return self.caller.call('GET', f'/operation_logs/{log_id}')

    def run_well(self, operation_id: str, times: int = 1) -> list[str]:
        """Runs that protect all; returns the ids of their checkpoints."""
        runs = [self.run_now(operation_id) for _ in range(times)]
        self.assertEqual([('available', None)] * times, [_told(run) for run in runs])
        return [run['checkpoint_id'] for run in runs]

    def logs(self, operation_id: str, kind: str | None = None) -> list[Any]:
        """What the operation did, oldest first."""
        path = f'/operation_logs?scheduled_operation_id={operation_id}&sort=created_at:asc'
        return self.caller.call('GET', f'{path}&operation_type={kind}' if kind else path)

    def points(self, **filters: str) -> dict[tuple[str, str], str]:
        """The states of recovery points, by their checkpoints and volumes."""
        path = '&'.join(f'{name}={value}' for name, value in filters.items())
        return {
            (point['checkpoint_id'], point['resource_id']): point['state']
            for point in self.caller.call('GET', f'/recovery_points?{path}')
        }

    def let_fail(self, volume_ids: Collection[str], *, fail: bool = True) -> None:
        """Let the storage make no snapshots of some volumes, or make them again."""
        for volume_id in volume_ids:
            metadata = _NO_SNAPSHOT if fail else {_FAULT: 'none'}
            self.project.cinder.volumes.set_metadata(volume_id, metadata)

    def snapshot_counts(self, volume_ids: Collection[str]) -> list[int]:
        snapshots = self.project.snapshots()
        return [len(snapshots.get(volume_id, ())) for volume_id in volume_ids]

    def test_what_is_in_error_keeps_its_snapshots(self) -> None:
        bad, good = self.project.volumes(2)
        plan_id = self.caller.plan([self.project.id], resource_type='OS::Keystone::Project')
        operation_id = self.operation(plan_id, keep_last=2)
        self.run_well(operation_id, 2)
        before = set(self.project.snapshots()[bad])
        self.project.set_status(bad, 'error')
        for _ in range(3):
            status, reason = _told(self.run_now(operation_id))
            self.assertEqual('error', status)
            self.assertIn(f'1 of 3 resources failed: {base.VOLUME}#{bad}: ', reason)
        self.assertEqual(before, set(self.project.snapshots()[bad]))
        self.assertEqual([2, 2], self.snapshot_counts([bad, good]))

        before_all = self.project.snapshots()
        self.project.set_status(good, 'error')
        status, reason = _told(self.run_now(operation_id))
        self.assertEqual('error', status)
        self.assertIn('2 of 3 resources failed', reason)
        self.assertEqual(before_all, self.project.snapshots())
        # The newest failure of each says why; those before went with what was good beside them.
        self.assertEqual(2, len(self.points(resource_id=bad, state='good')))
        self.assertEqual(1, len(self.points(resource_id=bad, state='failed')))

    def test_the_others_go_on_without_one_that_is_deleted(self) -> None:
        gone, kept = self.project.volumes(2)
        operation_id = self.operation(self.caller.plan([gone, kept]), keep_last=2)
        first, _ = self.run_well(operation_id, 2)
        self.project.delete_volume(gone)
        for _ in range(3):
            run = self.run_now(operation_id)
            self.assertEqual(
                ('available', f'1 of 2 resources is gone: {base.VOLUME}#{gone} (v)'), _told(run)
            )
            self.assertEqual(2, self.snapshot_counts([kept])[0])
        # It is kept for what was there of the volume that is gone.
        checkpoint = self.caller.checkpoint(first)
        self.assertEqual(
            ('available', '1 recovery point was removed by retention'),
            (checkpoint['status'], checkpoint['status_reason']),
        )
        self.assertEqual(
            {(first, kept): 'deleted', (first, gone): 'good'}, self.points(checkpoint_id=first)
        )
        for kind in ('restore', 'verification'):
            use = self.caller.use(kind, run['checkpoint_id'])
            self.assertEqual('success', self.caller.wait_for_use(kind, use)['status'])
        path = f'{callers.CHECKPOINTS}/{run["checkpoint_id"]}'
        self.caller.call('DELETE', path)
        self.caller.wait_for_checkpoint(run['checkpoint_id'], 'deleted')
        self.assertEqual([1], self.snapshot_counts([kept]))

    def test_a_snapshot_that_was_deleted_in_cinder_lets_the_older_one_stay(self) -> None:
        (volume_id,) = self.project.volumes(1)
        operation_id = self.operation(self.caller.plan([volume_id]), keep_last=2)
        older, lost = self.run_well(operation_id, 2)
        self.delete_snapshot(lost, volume_id)
        (newest,) = self.run_well(operation_id)
        self.assertEqual(
            {(older, volume_id): 'good', (lost, volume_id): 'missing', (newest, volume_id): 'good'},
            self.points(resource_id=volume_id),
        )
        self.assertEqual([2], self.snapshot_counts([volume_id]))
        retention = self.logs(operation_id, 'retention')[-1]
        self.assertIn('its snapshot is not in Cinder any more', retention['error_info'])

        # With a newer one more, both go.
        (last,) = self.run_well(operation_id)
        self.assertEqual(
            {(newest, volume_id): 'good', (last, volume_id): 'good'},
            {
                place: state
                for place, state in self.points(resource_id=volume_id).items()
                if state != 'deleted'
            },
        )

    def delete_snapshot(self, checkpoint_id: str, volume_id: str) -> None:
        """Delete one in Cinder, and see it gone."""
        (point,) = self.caller.call(
            'GET', f'/recovery_points?checkpoint_id={checkpoint_id}&resource_id={volume_id}'
        )
        self.project.cinder.volume_snapshots.delete(point['cloud_id'])
        cloud.wait_until(
            lambda: point['cloud_id'] not in self.project.snapshots().get(volume_id, ()),
            'the deletion of a snapshot',
        )

    def test_a_run_is_tried_again_when_retention_has_made_room(self) -> None:
        """Two volumes, and a quota of four snapshots."""
        volume_ids = self.project.volumes(2)
        operation_id = self.operation(self.caller.plan(volume_ids), keep_last=1)
        self.project.set_quota(snapshots=4)
        self.run_well(operation_id)
        self.let_fail(volume_ids[:1])
        self.assertEqual('error', self.run_now(operation_id)['status'])
        self.let_fail(volume_ids[:1], fail=False)
        # A good one of each, and what is left of the failure: there is room for one.
        self.assertEqual([2, 1], self.snapshot_counts(volume_ids))

        failed = self.run_now(operation_id)
        self.assertEqual('error', failed['status'])
        for text in ('Maximum number of snapshots', '; then the run is tried once more'):
            self.assertIn(text, failed['error_info'])
        again = self.caller.runs(operation_id)[-1]
        self.assertEqual(
            (failed['id'], 'available'), (again['extra_info']['retry_of'], again['status'])
        )
        self.assertEqual([1, 1], self.snapshot_counts(volume_ids))
        self.run_well(operation_id, 2)

    def test_a_status_set_by_hand_makes_nothing_good(self) -> None:
        volume_ids = self.project.volumes(5)
        failing = volume_ids[:2]
        operation_id = self.operation(self.caller.plan(volume_ids), keep_last=1)
        (complete,) = self.run_well(operation_id)
        before = self.project.snapshots()
        self.let_fail(failing)
        partial = self.run_now(operation_id)
        self.assertIn('2 of 5 resources failed', partial['error_info'])
        self.reset(partial['checkpoint_id'])
        shown = self.caller.wait_for_checkpoint(partial['checkpoint_id'], 'available')
        for text in ('2 of 5 resources failed', 'set by hand'):
            self.assertIn(text, shown['status_reason'])

        self.run_now(operation_id)
        after = self.project.snapshots()
        for volume_id in failing:
            self.assertIn(before[volume_id][0], after[volume_id])
            self.assertEqual({(complete, volume_id)}, set(self.good_points(volume_id)))
        for volume_id in volume_ids[2:]:
            self.assertEqual(1, len(after[volume_id]))
            self.assertNotIn(before[volume_id][0], after[volume_id])

        self.let_fail(failing, fail=False)
        self.run_well(operation_id)
        self.assertEqual([1] * 5, self.snapshot_counts(volume_ids))

    def reset(self, checkpoint_id: str) -> None:
        """Say, as an administrator of the project may, that a checkpoint is available."""
        session = openstack.connect(
            auth=self.project.add_user('admin'), region_name='RegionOne'
        ).session
        callers.of(session, self.service.url).call(
            'PUT',
            f'{callers.CHECKPOINTS}/{checkpoint_id}',
            {'os-resetState': {'state': 'available'}},
        )

    def good_points(self, volume_id: str) -> Collection[tuple[str, str]]:
        return self.points(resource_id=volume_id, state='good').keys()

    def test_operations_and_people_leave_alone_what_others_made(self) -> None:
        volume_ids = self.project.volumes(1)
        plan_id = self.caller.plan(volume_ids)
        hourly = self.operation(plan_id, keep_last=2)
        nightly = self.operation(plan_id, keep_last=1)
        by_hand = self.caller.protected(plan_id)
        (night,) = self.run_well(nightly)
        hours = self.run_well(hourly, 3)
        self.assertEqual({by_hand, night, *hours[1:]}, self.available())
        (next_night,) = self.run_well(nightly)
        self.assertEqual({by_hand, next_night, *hours[1:]}, self.available())
        self.assertEqual([4], self.snapshot_counts(volume_ids))

        path = f'/scheduled_operations/{hourly}/retention'
        preview = {'retention': {'retention_scope': 'plan', 'keep_last': 1}}
        would_go = self.caller.call('POST', path, preview)['removed']
        self.assertEqual({by_hand, *hours[1:]}, {item['checkpoint_id'] for item in would_go})
        self.assertEqual([], self.caller.call('POST', path, {'retention': {}})['removed'])

        self.caller.call('DELETE', f'/scheduled_operations/{hourly}')
        (log,) = self.logs(hourly, 'scheduled_operation_delete')
        self.assertEqual(
            {'checkpoints': 2, 'recovery_points': 2, 'gigabytes': 2}, log['extra_info']['left']
        )
        self.assertEqual({by_hand, next_night, *hours[1:]}, self.available())

    def available(self) -> set[str]:
        return {checkpoint['id'] for checkpoint in self.caller.available()}


def _told(run: Any) -> tuple[str, str | None]:
    return run['status'], run['error_info']
