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

"""Volumes and images in the sandbox: what restores of boot volumes and in place build on."""

import hashlib
import json
import os

from cinderclient import exceptions
from oslotest import base

from karbor.tests.integration import cloud

MIB = 1 << 20
GIB = 1 << 30


class ImagesTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.project = cloud.Project()
        self.cinder = self.project.cinder
        self.image_bytes = os.urandom(8 * MIB)

    def volume(self, size: int = 1, **fields: object) -> str:
        volume_id = self.cinder.volumes.create(size, **fields).id
        self.wait_for_available(volume_id)
        return volume_id

    def wait_for_available(self, volume_id: str, seconds: float = 60) -> None:
        cloud.wait_until(
            lambda: self.cinder.volumes.get(volume_id).status == 'available', volume_id, seconds
        )

    def snapshot(self, volume_id: str) -> str:
        snapshot_id = self.cinder.volume_snapshots.create(volume_id).id
        cloud.wait_until(
            lambda: self.cinder.volume_snapshots.get(snapshot_id).status == 'available',
            snapshot_id,
        )
        return snapshot_id

    def image_of_snapshot(self, snapshot_id: str, size: int) -> str:
        """An image without bytes that stands for a snapshot."""
        device = {
            'source_type': 'snapshot',
            'snapshot_id': snapshot_id,
            'boot_index': 0,
            'volume_size': size,
            'destination_type': 'volume',
        }
        return self.project.image(b'', block_device_mapping=json.dumps([device]), bdm_v2='True')

    def start_of(self, volume_id: str) -> str:
        return cloud.sha256(volume_id, len(self.image_bytes))

    def test_a_volume_of_an_image(self) -> None:
        image_id = self.project.image(self.image_bytes, hw_disk_bus='virtio')
        volume_id = self.volume(imageRef=image_id)
        self.assertEqual(cloud.sha256_of(self.image_bytes), self.start_of(volume_id))
        self.assertEqual(GIB, cloud.volume_file(volume_id).stat().st_size)
        shown = self.cinder.volumes.get(volume_id)
        self.assertEqual('true', shown.bootable)
        told = shown.volume_image_metadata
        self.assertEqual((image_id, 'virtio'), (told['image_id'], told['hw_disk_bus']))

    def test_boot_flag_and_image_metadata_are_set(self) -> None:
        volume_id = self.volume()
        self.cinder.volumes.set_bootable(volume_id, True)
        self.cinder.volumes.set_image_metadata(volume_id, {'os_type': 'linux'})
        shown = self.cinder.volumes.get(volume_id)
        self.assertEqual('true', shown.bootable)
        self.assertEqual({'os_type': 'linux'}, shown.volume_image_metadata)

    def test_another_format_is_refused(self) -> None:
        image_id = self.project.image(self.image_bytes, disk_format='aki', container_format='aki')
        volume_id = self.cinder.volumes.create(1, imageRef=image_id).id
        cloud.wait_until(lambda: self.cinder.volumes.get(volume_id).status == 'error', volume_id)

    def test_a_volume_is_uploaded(self) -> None:
        volume_id = self.volume()
        cloud.write(volume_id, self.image_bytes)
        answer = self.cinder.volumes.upload_to_image(
            volume_id, False, 'up', 'bare', 'raw', 'private', False
        )
        image_id = answer[1]['os-volume_upload_image']['image_id']
        # 20 s on a quiet machine: Glance reads every byte.
        self.wait_for_available(volume_id, 180)
        image = self.project.images.get_image(image_id)
        self.assertEqual(('active', GIB), (image.status, image.size))
        with cloud.volume_file(volume_id).open('rb') as stream:
            self.assertEqual(hashlib.file_digest(stream, 'sha512').hexdigest(), image.hash_value)
        # Cinder was answered well, too.
        errors = [line for line in cloud.log('cinder') if image_id in line and ' ERROR ' in line]
        self.assertEqual([], errors)

    def test_without_glance(self) -> None:
        volume_id = self.volume()
        image_id = self.project.image(self.image_bytes)
        with cloud.glance_down():
            self.assertRaises(exceptions.ClientException, self.project.reimage, volume_id, image_id)
        self.assertEqual('available', self.cinder.volumes.get(volume_id).status)
        self.assertEqual('available', self.project.reimage(volume_id, image_id))

    def test_an_image_over_a_volume(self) -> None:
        volume_id = self.volume()
        old = os.urandom(12 * MIB)
        cloud.write(volume_id, old)
        image_id = self.project.image(self.image_bytes)
        self.assertEqual('available', self.project.reimage(volume_id, image_id))
        wanted = self.image_bytes + old[len(self.image_bytes) :]
        self.assertEqual(cloud.sha256_of(wanted), cloud.sha256(volume_id, len(wanted)))
        told = self.cinder.volumes.get(volume_id).volume_image_metadata
        self.assertEqual(image_id, told['image_id'])

    def test_an_older_snapshot_over_a_volume_that_grew(self) -> None:
        volume_id = self.volume()
        cloud.write(volume_id, self.image_bytes)
        older = self.snapshot(volume_id)
        cloud.write(volume_id, os.urandom(12 * MIB))
        newer = self.snapshot(volume_id)
        self.cinder.volumes.extend(volume_id, 2)
        self.wait_for_available(volume_id)
        with cloud.volume_file(volume_id).open('r+b') as device:
            device.seek(2 * GIB - 4)
            device.write(b'last')

        image_id = self.image_of_snapshot(older, 1)
        self.assertEqual('available', self.project.reimage(volume_id, image_id))
        # Cinder copies a volume made of the snapshot, which has zeros behind the snapshot's end.
        wanted = hashlib.sha256(self.image_bytes)
        for _ in range(2 * GIB // MIB - 8):
            wanted.update(bytes(MIB))
        self.assertEqual(wanted.hexdigest(), cloud.sha256(volume_id, 2 * GIB))
        self.assertCountEqual([older, newer], self.project.snapshots()[volume_id])
        self.assertEqual([volume_id], [each.id for each in self.cinder.volumes.list()])

    def test_a_reimage_that_fails_in_the_middle(self) -> None:
        fault = {'sandbox.fault': 'copy_volume_data:error'}
        volume_id = self.volume(metadata=fault)
        cloud.write(volume_id, self.image_bytes)
        image_id = self.image_of_snapshot(self.snapshot(volume_id), 1)
        cloud.write(volume_id, os.urandom(8 * MIB))
        with cloud.volume_file(volume_id).open('r+b') as device:
            device.seek(GIB - 4)
            device.write(b'last')
        self.assertEqual('error', self.project.reimage(volume_id, image_id))
        # Half is done.
        self.assertEqual(cloud.sha256_of(self.image_bytes), self.first_bytes(volume_id))
        self.assertEqual(b'last', self.last_bytes(volume_id))

        self.cinder.volumes.delete_metadata(volume_id, list(fault))
        self.project.reimage(volume_id, image_id)
        self.assertEqual(bytes(4), self.last_bytes(volume_id))

    def first_bytes(self, volume_id: str) -> str:
        """The hash of the start of a volume that nobody can attach."""
        with cloud.volume_file(volume_id).open('rb') as device:
            return cloud.sha256_of(device.read(len(self.image_bytes)))

    def last_bytes(self, volume_id: str) -> bytes:
        with cloud.volume_file(volume_id).open('rb') as device:
            device.seek(GIB - 4)
            return device.read()
