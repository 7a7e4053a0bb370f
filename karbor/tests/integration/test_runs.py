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

"""Runs of plans whose volumes are not all there or not all well, on a real Cinder."""

import json
from typing import Any

from karbor.tests.integration import base, cloud

_FAILING_STATUSES = ('error', 'error_deleting', 'maintenance')


class ProjectTest(base.IntegrationTestCase):
    """A plan of all that the project has."""

    def run_of(self, karbor: base.Standalone, plan_id: str) -> Any:
        return karbor.wait_for_checkpoint(karbor.protect(plan_id), 'available', 'error')

    def test_one_of_two_volumes_cannot_be_protected(self) -> None:
        karbor = self.standalone()
        bad, good = self.project.volumes(2)
        plan_id = karbor.project_plan()
        for status in _FAILING_STATUSES:
            self.project.set_status(bad, status)
            checkpoint = self.run_of(karbor, plan_id)
            self.assertEqual(
                ('error', 2, 1),
                tuple(
                    checkpoint[name] for name in ('status', 'resources_done', 'resources_failed')
                ),
            )
            self.assertIn(
                f'1 of 3 resources failed: {base.VOLUME}#{bad}', checkpoint['status_reason']
            )
            self.assertIn(f'the volume is in status {status}; ', checkpoint['status_reason'])
            self.assertEqual([good], list(self.project.snapshots()))
            self.assertEqual('deleted', karbor.delete(checkpoint['id'])['status'])

    def test_all_volumes_are_in_error(self) -> None:
        karbor = self.standalone()
        volume_ids = self.project.volumes(2)
        plan_id = karbor.project_plan()
        for volume_id in volume_ids:
            self.project.set_status(volume_id, 'error')
        checkpoint = self.run_of(karbor, plan_id)
        self.assertEqual('error', checkpoint['status'])
        self.assertIn('2 of 3 resources failed', checkpoint['status_reason'])
        self.assertEqual(
            {f'{base.VOLUME}#{volume_id}' for volume_id in volume_ids},
            set(checkpoint['resources_reason']),
        )
        self.assertEqual({}, self.project.snapshots())

    def test_there_are_no_volumes(self) -> None:
        karbor = self.standalone()
        checkpoint = self.run_of(karbor, karbor.project_plan())
        self.assertEqual('error', checkpoint['status'])
        self.assertIn('the plan covers nothing now', checkpoint['status_reason'])

    def test_one_is_being_deleted(self) -> None:
        karbor = self.standalone()
        (good,) = self.project.volumes(1)
        (deleting,) = self.project.volumes(1, metadata={'sandbox.fault': 'delete_volume:delay:20'})
        plan_id = karbor.project_plan()
        self.project.cinder.volumes.delete(deleting)
        checkpoint = self.run_of(karbor, plan_id)
        self.assertEqual('deleting', self.project.cinder.volumes.get(deleting).status)
        self.assertEqual('available', checkpoint['status'])
        self.assertIn(
            f'1 of 3 resources is gone: {base.VOLUME}#{deleting}', checkpoint['status_reason']
        )
        self.assert_protected(karbor, checkpoint['id'], [good])


class DeletedVolumeTest(base.IntegrationTestCase):
    """A plan of two volumes, of which one is deleted."""

    def test_three_runs_of_which_retention_keeps_two(self) -> None:
        karbor = self.standalone()
        gone, kept = self.project.volumes(2)
        operation = self.operation(karbor, karbor.plan([gone, kept]))
        self.project.delete_volume(gone)
        for number in range(1, 4):
            run = self.run_now(karbor, operation, number)
            self.assertEqual(
                ('available', f'1 of 2 resources is gone: {base.VOLUME}#{gone} (v)'),
                (run['status'], run['error_info']),
            )
            checkpoint = karbor.checkpoint(run['checkpoint_id'])
            nodes, _ = json.loads(checkpoint['resource_graph'])
            self.assertEqual([kept], [node[1] for node in nodes.values()])
        self.assertEqual([kept], list(self.project.snapshots()))
        self.assertEqual(2, len(self.project.snapshots()[kept]))
        for kind in ('restore', 'verification'):
            use = karbor.wait_for_use(kind, karbor.use(kind, checkpoint['id']))
            self.assertEqual('success', use['status'])
        self.assertEqual('deleted', karbor.delete(checkpoint['id'])['status'])
        self.assertEqual(1, len(self.project.snapshots()[kept]))

    @staticmethod
    def operation(karbor: base.Standalone, plan_id: str) -> str:
        """A scheduled operation that keeps two; its trigger is far away."""
        properties = {'format': 'crontab', 'pattern': '0 0 29 2 *'}
        trigger = karbor.call(
            'POST',
            '/triggers',
            {'trigger_info': {'name': 'never', 'type': 'time', 'properties': properties}},
        )
        definition = {'provider_id': base.PROVIDER_ID, 'plan_id': plan_id, 'keep_last': 2}
        return karbor.call(
            'POST',
            '/scheduled_operations',
            {
                'scheduled_operation': {
                    'name': 'nightly',
                    'operation_type': 'retention_protect',
                    'trigger_id': trigger['id'],
                    'operation_definition': definition,
                }
            },
        )['id']

    @staticmethod
    def run_now(karbor: base.Standalone, operation: str, number: int) -> Any:
        """The log of a run, once it, its retention and what that removes are over."""
        karbor.call('POST', f'/scheduled_operations/{operation}/action', {'run': {}})

        def ended(kind: str, count: int) -> list[Any]:
            path = f'/operation_logs?operation_type={kind}&scheduled_operation_id={operation}'
            logs = [log for log in karbor.call('GET', path) if log['ended_at'] is not None]
            return logs if len(logs) == count else []

        cloud.wait_until(lambda: ended('retention', number), 'the retention')
        cloud.wait_until(
            lambda: number <= 2 or ended('delete', number - 2), 'what the retention removes'
        )
        return ended('protect', number)[0]


class StalledTest(base.IntegrationTestCase):
    def test_what_is_waited_for_is_told(self) -> None:
        karbor = self.standalone()
        plan_id = karbor.plan(self.project.volumes(2))
        self.addCleanup(cloud.tool, 'volume-service', 'start')
        cloud.tool('volume-service', 'stop')
        checkpoint_id = karbor.protect(plan_id)

        def told() -> bool:
            shown = karbor.checkpoint(checkpoint_id)
            self.assertEqual('protecting', shown['status'])
            return '2 of 2 snapshots are creating, the oldest for' in (shown['status_reason'] or '')

        cloud.wait_until(told, 'what is waited for')
        cloud.tool('volume-service', 'start')
        ended = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual(('available', None), (ended['status'], ended['status_reason']))
