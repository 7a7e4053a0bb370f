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

"""A bank, or metadata, that names a snapshot which is not the checkpoint's."""

from typing import Any

from karbor.tests.base import OTHER_PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base

PLACE = 'os-extended-snapshot-attributes:project_id'


class ForgedTest(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.checkpoint = self.protected()
        (self.resource,) = self.checkpoint['protection_plan']['resources']
        (self.ours,) = self.cinder.snapshots.values()

    def name_in_bank(self, snapshot_id: str) -> None:
        section = (
            self.registry.get(PROVIDER_ID)
            .checkpoints.get(self.checkpoint['id'])
            .get_resource_bank_section(self.resource['id'])
        )
        section.update_object(
            'metadata', {**section.get_object('metadata'), 'snapshot_id': snapshot_id}
        )

    def users(self, volume_id: str, **fields: Any) -> str:
        """A snapshot that is the user's own; returns its id."""
        return self.cinder.add_snapshot(volume_id, **fields)['id']

    def assert_refused(self, snapshot_id: str, words: str) -> None:
        volumes = len(self.cinder.volumes)
        self.name_in_bank(snapshot_id)
        for kind in ('verification', 'restore'):
            use = self.ended_use(kind, self.use(kind, self.checkpoint))
            self.assertEqual('fail', use['status'])
            self.assertIn(words, str(use))
        self.delete(self.checkpoints_path(self.checkpoint['id']))
        ended = self.ended_checkpoint(self.checkpoint)
        self.assertEqual('error-deleting', ended['status'])
        self.assertIn(words, ended['status_reason'])
        self.assertIn(snapshot_id, self.cinder.snapshots)
        self.assertEqual(volumes, len(self.cinder.volumes))

    def test_a_snapshot_of_another_volume(self) -> None:
        other = self.cinder.add_volume()['id']
        self.assert_refused(self.users(other), f'it is of the volume {other}')

    def test_another_snapshot_of_the_volume(self) -> None:
        self.assert_refused(
            self.users(self.resource['id']),
            f'the recovery point names the snapshot {self.ours["id"]}',
        )

    def test_a_snapshot_that_was_given_away(self) -> None:
        self.ours[PLACE] = OTHER_PROJECT_ID
        use = self.ended_use('restore', self.use('restore', self.checkpoint))
        self.assertIn('does not exist any more', str(use))
        self.delete(self.checkpoints_path(self.checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(self.checkpoint)['status'])
        self.assertIn(self.ours['id'], self.cinder.snapshots)

    def test_copied_metadata_is_no_reason_to_delete(self) -> None:
        copies = [
            self.users(self.resource['id'], metadata=self.ours['metadata'], created_at=created_at)
            for created_at in ('2020-01-01T00:00:00.000000', '2999-01-01T00:00:00.000000')
        ]
        double = self.users(self.resource['id'], metadata=self.ours['metadata'])
        self.delete(self.checkpoints_path(self.checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(self.checkpoint)['status'])
        self.assertEqual(set(copies), set(self.cinder.snapshots))
        self.assertNotIn(double, self.cinder.snapshots)
