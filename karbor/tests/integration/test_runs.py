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

from collections.abc import Sequence
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


class ChoiceTest(base.IntegrationTestCase):
    """A plan of some of what the project has, chosen by labels."""

    def assert_run(self, karbor: base.Standalone, plan_id: str, volume_ids: Sequence[str]) -> None:
        """A checkpoint has just these volumes, and the plan says it has."""
        checkpoint = karbor.wait_for_checkpoint(karbor.protect(plan_id), 'available', 'error')
        self.assertEqual('available', checkpoint['status'], checkpoint)
        self.assert_protected(karbor, checkpoint['id'], list(volume_ids))
        self.assertEqual(sorted(volume_ids), sorted(self.project.snapshots()))
        self.assertEqual(
            {self.project.id, *volume_ids},
            {item['id'] for item in self.told(karbor, plan_id) if item['covered']},
        )
        self.assertEqual('deleted', karbor.delete(checkpoint['id'])['status'])

    def told(self, karbor: base.Standalone, plan_id: str) -> Any:
        return karbor.call('GET', f'/plans/{plan_id}/resources')

    def test_a_label_protects_a_volume_or_leaves_it_out(self) -> None:
        karbor = self.standalone()
        (labelled,) = self.project.volumes(1, metadata={'backup': 'yes'})
        (without,) = self.project.volumes(1, metadata={'backup': 'yes', 'scratch': 'true'})
        (later,) = self.project.volumes(1)
        plan_id = karbor.project_plan(
            {
                'include': {'names': ['db-*'], 'metadata': {'backup': 'yes'}},
                'exclude': {'metadata': {'scratch': 'true'}},
            }
        )

        self.assert_run(karbor, plan_id, [labelled])
        self.assertEqual(
            {
                self.project.id: 'named in the plan',
                labelled: 'its label backup=yes',
                without: 'left out: its label scratch=true',
                later: 'not in include',
            },
            {item['id']: item['reason'] for item in self.told(karbor, plan_id)},
        )

        self.project.cinder.volumes.set_metadata(later, {'backup': 'yes'})
        self.assert_run(karbor, plan_id, [labelled, later])

        self.project.cinder.volumes.delete_metadata(later, ['backup'])
        self.project.cinder.volumes.update(later, name='db-1')
        self.project.cinder.volumes.set_metadata(labelled, {'scratch': 'true'})
        self.assert_run(karbor, plan_id, [later])


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
