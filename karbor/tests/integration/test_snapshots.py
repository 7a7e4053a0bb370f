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

"""Volumes protected, restored and deleted by snapshot, on a real Cinder."""

import os
from typing import Any

from karbor.tests.integration import base, cloud

_SIZE = 4 * 1024 * 1024


class SnapshotTest(base.IntegrationTestCase):
    def test_main_job(self) -> None:
        karbor = self.standalone()
        (volume_id,) = self.project.volumes(1)
        original = os.urandom(_SIZE)
        cloud.write(volume_id, original)

        checkpoint_id = karbor.protect(karbor.plan([volume_id]))
        checkpoint = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual('available', checkpoint['status'])
        self.assert_protected(karbor, checkpoint_id, [volume_id])

        cloud.write(volume_id, os.urandom(_SIZE))
        restore = karbor.wait_for_use(
            'restore',
            karbor.use(
                'restore',
                checkpoint_id,
                {base.VOLUME: {'restore_name': 'again', 'restore_description': 'restored'}},
            ),
        )
        self.assertEqual('success', restore['status'])
        new_id = next(iter(restore['resources_status'])).partition('#')[2]
        new = self.project.cinder.volumes.get(new_id)
        self.assertEqual(('again', 'restored'), (new.name, new.description))
        self.assertEqual(cloud.sha256_of(original), cloud.sha256(new_id, _SIZE))
        self.assertNotEqual(cloud.sha256_of(original), cloud.sha256(volume_id, _SIZE))

        verification = karbor.wait_for_use(
            'verification', karbor.use('verification', checkpoint_id)
        )
        self.assertEqual('success', verification['status'])
        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())

    def test_project_covers_later_volumes(self) -> None:
        karbor = self.standalone()
        plan_id = karbor.project_plan()
        volume_ids = self.project.volumes(3)
        checkpoint_id = karbor.protect(plan_id)
        checkpoint = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual(('available', 4), (checkpoint['status'], checkpoint['resources_done']))
        self.assert_protected(karbor, checkpoint_id, volume_ids)
        karbor.delete(checkpoint_id)
        self.assertEqual({}, self.project.snapshots())

    def test_names_and_a_plan_that_is_changed(self) -> None:
        """With names that Cinder takes for volumes, but in no description of a snapshot."""
        karbor = self.standalone()
        long_id, odd_id = self.project.volumes(2)
        self.project.cinder.volumes.update(long_id, name='v' * 255)
        self.project.cinder.volumes.update(odd_id, name='{time}\n\U0001f4be')
        words = {
            'snapshot_name': '{volume_name} {time}',
            'description': '{volume_name} {plan_name}',
        }
        plan_id = karbor.plan([odd_id], {base.VOLUME: words})
        first = self._protected(karbor, plan_id)
        karbor.call(
            'PUT',
            f'/plans/{plan_id}',
            {
                'plan': {
                    'name': 'all',
                    'resources': [
                        {'type': 'OS::Keystone::Project', 'id': self.project.id, 'name': 'p'}
                    ],
                    'parameters': {
                        base.VOLUME: {**words, 'snapshot_name': '{volume_name}-{volume_id}'}
                    },
                }
            },
        )
        second = self._protected(karbor, plan_id)
        time = first['created_at'][:19] + 'Z'
        self.assertEqual(
            [
                (first['id'], odd_id, f'v {time}', 'v test'),
                (second['id'], odd_id, f'{{time}}??-{odd_id}', '{time}?? all'),
                (second['id'], long_id, 'v' * 218 + f'-{long_id}', 'v' * 251 + ' all'),
            ],
            sorted(
                (
                    (
                        snapshot.metadata['karbor_checkpoint_id'],
                        snapshot.volume_id,
                        snapshot.name,
                        snapshot.description,
                    )
                    for snapshot in self.project.cinder.volume_snapshots.list()
                ),
                key=lambda shown: (shown[0] != first['id'], shown[1] != odd_id),
            ),
        )
        kept = karbor.checkpoint(first['id'])['protection_plan']
        completed = {base.VOLUME: {**words, 'force': False}}
        self.assertEqual(('test', completed), (kept['name'], kept['parameters']))
        for checkpoint in (first, second):
            self.assertEqual('deleted', karbor.delete(checkpoint['id'])['status'])
        self.assertEqual({}, self.project.snapshots())

    def _protected(self, karbor: base.Standalone, plan_id: str) -> Any:
        checkpoint = karbor.wait_for_checkpoint(karbor.protect(plan_id), 'available', 'error')
        self.assertEqual('available', checkpoint['status'], checkpoint)
        return checkpoint

    def test_force(self) -> None:
        karbor = self.standalone()
        (volume_id,) = self.project.volumes(1)
        self.project.attach(volume_id)
        without = karbor.protect(karbor.plan([volume_id]))
        refused = karbor.wait_for_checkpoint(without, 'available', 'error')
        self.assertEqual('error', refused['status'])
        self.assertIn('in-use', refused['status_reason'])
        self.assertIn("when force is true in the plan's parameters", refused['status_reason'])

        values = {**base.PARAMETERS[base.VOLUME], 'force': 'True'}
        forced = karbor.protect(karbor.plan([volume_id], {base.VOLUME: values}))
        self.assertEqual(
            'available', karbor.wait_for_checkpoint(forced, 'available', 'error')['status']
        )
        self.assert_protected(karbor, forced, [volume_id])
        for checkpoint_id in (without, forced):
            self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())

    def test_quota(self) -> None:
        karbor = self.standalone()
        volume_ids = self.project.volumes(3)
        self.project.set_quota(snapshots=2)
        checkpoint_id = karbor.protect(karbor.plan(volume_ids))
        checkpoint = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual(
            ('error', 2, 1),
            (checkpoint['status'], checkpoint['resources_done'], checkpoint['resources_failed']),
        )
        self.assertIn('quota', checkpoint['status_reason'])
        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())

    def test_volume_deleted_under_plan(self) -> None:
        karbor = self.standalone()
        gone, kept = self.project.volumes(2)
        plan_id = karbor.plan([gone, kept])
        self.project.delete_volume(gone)
        checkpoint_id = karbor.protect(plan_id)
        checkpoint = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual('available', checkpoint['status'])
        self.assertEqual((1, {}), (checkpoint['resources_total'], checkpoint['resources_reason']))
        self.assertEqual(
            f'1 of 2 resources is gone: {base.VOLUME}#{gone} (v)', checkpoint['status_reason']
        )
        self.assertEqual([kept], list(self.project.snapshots()))
        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())

    def test_volume_service_stopped(self) -> None:
        karbor = self.standalone(snapshot_timeout=4, delete_timeout=30)
        volume_ids = self.project.volumes(2)
        plan_id = karbor.plan(volume_ids)
        self.addCleanup(cloud.tool, 'volume-service', 'start')
        cloud.tool('volume-service', 'stop')
        checkpoint_id = karbor.protect(plan_id)
        checkpoint = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual('error', checkpoint['status'])
        self.assertIn('still in status creating after 4 seconds', checkpoint['status_reason'])
        cloud.tool('volume-service', 'start')
        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())

    def test_failed_restore_leaves_no_volume(self) -> None:
        karbor = self.standalone()
        (volume_id,) = self.project.volumes(1)
        checkpoint_id = karbor.protect(karbor.plan([volume_id]))
        karbor.wait_for_checkpoint(checkpoint_id, 'available')
        cloud.lose_snapshot_bytes(self.project.snapshots()[volume_id][0])
        restore = karbor.wait_for_use('restore', karbor.use('restore', checkpoint_id))
        self.assertEqual('fail', restore['status'])
        self.assertRegex(restore['status_reason'], 'is in status error.* was removed')
        self.assertEqual([volume_id], [v.id for v in self.project.cinder.volumes.list()])
