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

"""Volumes restored in place, on a real Cinder and Glance: their bytes, and what else they are."""

import contextlib
import json
import os
import random
import subprocess
import time
from typing import Any, ClassVar

from testtools import content

from karbor.testing import fault_proxy
from karbor.tests.integration import base, cloud

_SIZE = 1024 * 1024
_IMAGE = {'os_type': 'linux', 'hw_disk_bus': 'scsi'}
# By hand: KARBOR_KILLS=50 tox -e integration -- test_restores_in_place
_KILLS = int(os.environ.get('KARBOR_KILLS', '2'))
_LONGEST_LIFE = 5.0  # seconds; a restore in place of three volumes takes about as long


class InPlaceTestCase(base.IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.karbor = self.standalone()

    def filled(self, volume_id: str) -> str:
        """Write to a volume; the sha256 of what it starts with."""
        data = os.urandom(_SIZE)
        cloud.write(volume_id, data)
        return cloud.sha256_of(data)

    def protected(self, *volume_ids: str) -> str:
        """The id of a checkpoint of volumes, which is available."""
        checkpoint_id = self.karbor.protect(self.karbor.plan(list(volume_ids)))
        checkpoint = self.karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual('available', checkpoint['status'], checkpoint)
        return checkpoint_id

    def restored(self, checkpoint_id: str, **choices: Any) -> Any:
        """A restore in place that has ended well."""
        restore = self.karbor.restored(checkpoint_id, in_place=True, **choices)
        self.assertEqual('success', restore['status'], restore)
        self.assertNoImages()
        return restore

    def assertNoImages(self) -> None:
        names = [image.name for image in self.project.images.images()]
        self.assertEqual([], [name for name in names if name.startswith('karbor')])

    def assertHolds(self, its_sum: str, volume_id: str) -> None:
        self.assertEqual(its_sum, cloud.sha256(volume_id, _SIZE))

    def sum_of(self, volume_id: str) -> str:
        """Of what a volume starts with, whoever holds it."""
        with cloud.volume_file(volume_id).open('rb') as device:
            return cloud.sha256_of(device.read(_SIZE))

    def shown(self, volume_id: str) -> Any:
        return self.project.cinder.volumes.get(volume_id)

    def flags(self, volume_id: str) -> tuple[Any, ...]:
        """What Cinder changes of a volume that it writes an image over."""
        shown = self.shown(volume_id)
        return (
            shown.status,
            shown.bootable,
            getattr(shown, 'volume_image_metadata', {}),
            shown.metadata,
            shown.name,
        )


class InPlaceTest(InPlaceTestCase):
    def test_from_the_newest_and_from_an_older_one_and_back(self) -> None:
        (volume_id,) = self.project.volumes(1, metadata={'of': 'us'})
        sums, checkpoints = [], []
        for _ in range(2):
            sums.append(self.filled(volume_id))
            checkpoints.append(self.protected(volume_id))
        now = self.filled(volume_id)
        before, snapshots = self.flags(volume_id), set(self.project.snapshots()[volume_id])
        undo = []
        for number in (1, 0):
            restore = self.restored(checkpoints[number])
            self.assertHolds(sums[number], volume_id)
            self.assertEqual(before, self.flags(volume_id))
            undo.append(restore['safety_checkpoint_id'])
            self.assertLess(snapshots, set(self.project.snapshots()[volume_id]))
        for safety_id, its_sum in ((undo[0], now), (undo[1], sums[1])):
            self.restored(safety_id)
            self.assertHolds(its_sum, volume_id)
        self.assertEqual(before, self.flags(volume_id))
        self.assertEqual([volume_id], [each.id for each in self.project.cinder.volumes.list()])

    def test_a_boot_like_one(self) -> None:
        image_id = self.project.image(os.urandom(_SIZE), hw_disk_bus='virtio')
        (volume_id,) = self.project.volumes(1, imageRef=image_id)
        its_sum, checkpoint_id = self.filled(volume_id), self.protected(volume_id)
        self.project.cinder.volumes.set_image_metadata(volume_id, _IMAGE)
        self.filled(volume_id)
        before = self.flags(volume_id)
        self.assertEqual(image_id, before[2]['image_id'])
        self.restored(checkpoint_id)
        self.assertHolds(its_sum, volume_id)
        self.assertEqual(before, self.flags(volume_id))

    def test_several_at_once(self) -> None:
        volume_ids = self.project.volumes(5)
        sums = {volume_id: self.filled(volume_id) for volume_id in volume_ids}
        checkpoint_id = self.protected(*volume_ids)
        for volume_id in volume_ids:
            self.filled(volume_id)
        self.restored(checkpoint_id)
        for volume_id, its_sum in sums.items():
            self.assertHolds(its_sum, volume_id)

    def test_one_that_is_attached(self) -> None:
        (volume_id,) = self.project.volumes(1)
        self.filled(volume_id)
        checkpoint_id = self.protected(volume_id)
        now = self.filled(volume_id)
        self.project.attach(volume_id)
        refusal = self.karbor.refusal(
            '/restores', self.karbor.use_body('restore', checkpoint_id, in_place=True), 409
        )
        self.assertIn('is attached to', refusal)
        self.assertEqual(now, self.sum_of(volume_id))
        self.assertEqual(1, len(self.project.snapshots()[volume_id]))

    def test_one_that_grew(self) -> None:
        (volume_id,) = self.project.volumes(1)
        its_sum, checkpoint_id = self.filled(volume_id), self.protected(volume_id)
        self.filled(volume_id)
        self.project.cinder.volumes.extend(volume_id, 2)
        cloud.wait_until(lambda: self.shown(volume_id).status == 'available', 'the extension')
        body = self.karbor.use_body('restore', checkpoint_id, in_place=True)
        self.assertIn('accept_grown', self.karbor.refusal('/restores', body))
        restore = self.restored(checkpoint_id, accept_grown=True)
        self.assertHolds(its_sum, volume_id)
        self.assertIn('behind the 1 GiB', restore['results'][0]['reason'])

    def test_one_in_error(self) -> None:
        (volume_id,) = self.project.volumes(1)
        its_sum, checkpoint_id = self.filled(volume_id), self.protected(volume_id)
        self.filled(volume_id)
        self.project.set_status(volume_id, 'error')
        body = self.karbor.use_body('restore', checkpoint_id, in_place=True)
        self.assertIn('safety: none', self.karbor.refusal('/restores', body))
        restore = self.restored(checkpoint_id, safety='none')
        self.assertIn('--state available', restore['results'][0]['reason'])
        self.assertEqual(its_sum, self.sum_of(volume_id))
        self.assertEqual('error', self.shown(volume_id).status)
        self.assertEqual(1, len(self.project.snapshots()[volume_id]))
        self.project.set_status(volume_id, 'available')

    def test_one_that_fails_in_the_middle_is_rolled_back(self) -> None:
        (volume_id,) = self.project.volumes(1)
        self.filled(volume_id)
        checkpoint_id = self.protected(volume_id)
        now = self.filled(volume_id)
        before = self.flags(volume_id)
        fault = {'sandbox.fault': 'copy_volume_data:error'}
        self.project.cinder.volumes.set_metadata(volume_id, fault)
        restore_id = self.karbor.use('restore', checkpoint_id, in_place=True)
        cloud.wait_until(lambda: self.shown(volume_id).status == 'error', 'the fault')
        self.project.cinder.volumes.delete_metadata(volume_id, list(fault))
        restore = self.karbor.wait_for_use('restore', restore_id)
        self.assertEqual('fail', restore['status'])
        reason = restore['results'][0]['reason']
        self.assertIn('--state available', reason)
        if 'rolled back, and holds what it held' in reason:
            self.assertEqual(now, self.sum_of(volume_id))
        else:  # the fault was still there when that was tried
            self.restored(restore['safety_checkpoint_id'], safety='none')
        self.assertEqual(now, self.sum_of(volume_id))
        self.assertEqual(before[1:], self.flags(volume_id)[1:])
        self.assertNoImages()
        self.project.set_status(volume_id, 'available')

    def test_without_glance(self) -> None:
        (volume_id,) = self.project.volumes(1)
        now, checkpoint_id = self.filled(volume_id), self.protected(volume_id)
        body = self.karbor.use_body('restore', checkpoint_id, in_place=True)
        with cloud.glance_down():
            self.assertIn('Glance', self.karbor.refusal('/restores', body, 503))
        self.assertHolds(now, volume_id)
        self.assertEqual(1, len(self.project.snapshots()[volume_id]))


class FaultTest(InPlaceTestCase):
    """Volumes restored through a Cinder and a Glance that answer badly, late, or in vain."""

    def setUp(self) -> None:
        base.IntegrationTestCase.setUp(self)
        urls = cloud.settings()
        self.proxies = [
            fault_proxy.FaultProxy(urls[f'{name}_url']) for name in ('cinder', 'glance')
        ]
        for proxy in self.proxies:
            proxy.start()
            self.addCleanup(proxy.stop)
        cinder, glance = (proxy.url for proxy in self.proxies)
        self.karbor = self.standalone(f'{cinder}/v3', glance)

    def restore_with(self, *rules: fault_proxy.Rule) -> None:
        """Restore volumes in place, and back, while rules hold."""
        volume_ids = self.project.volumes(3)
        sums = {volume_id: self.filled(volume_id) for volume_id in volume_ids}
        checkpoint_id = self.protected(*volume_ids)
        now = {volume_id: self.filled(volume_id) for volume_id in volume_ids}
        for proxy in self.proxies:
            proxy.rules = list(rules)
        restore = self.restored(checkpoint_id)
        for wanted in (sums, now):
            for volume_id, its_sum in wanted.items():
                self.assertHolds(its_sum, volume_id)
                self.assertEqual(('available', 'false', {}), self.flags(volume_id)[:3])
            if wanted is sums:
                self.restored(restore['safety_checkpoint_id'])

    def test_errors(self) -> None:
        self.restore_with(
            *(
                fault_proxy.Rule(fault=fault, probability=0.1)
                for fault in (
                    fault_proxy.Fault.INTERNAL_ERROR,
                    fault_proxy.Fault.UNAVAILABLE,
                    fault_proxy.Fault.RESET_BEFORE,
                )
            )
        )

    def test_lost_answers(self) -> None:
        self.restore_with(fault_proxy.Rule(fault=fault_proxy.Fault.RESET_AFTER, probability=0.2))

    def test_slow(self) -> None:
        self.restore_with(fault_proxy.Rule(latency=0.3))


class KilledTest(InPlaceTestCase):
    """SIGKILL at random moments of restores in place, and people who use the volumes meanwhile."""

    plugin_options: ClassVar = {'poll_interval': 2, 'in_flight_timeout': 5}

    def setUp(self) -> None:
        super().setUp()
        seed = int(os.environ.get('KARBOR_SEED', time.time_ns()))
        self.addDetail('seed', content.text_content(f'KARBOR_SEED={seed}'))
        self.random = random.Random(seed)

    def test_bytes(self) -> None:
        volume_ids = self.project.volumes(3)
        new = {volume_id: self.filled(volume_id) for volume_id in volume_ids}
        checkpoint_id = self.protected(*volume_ids)
        ends: dict[str, int] = {}
        kills = 0
        # A kill may find nothing at work, as the moments are random.
        while kills < _KILLS or (self.broken_off() < _KILLS // 2 and kills < 4 * _KILLS):
            self.kill_one(checkpoint_id, new, ends)
            kills += 1
        broken_off = self.broken_off()
        print(f'{broken_off} of {kills} kills broke off a job; {json.dumps(ends)}')  # noqa: T201
        self.assertGreaterEqual(broken_off, _KILLS // 2)

    def broken_off(self) -> int:
        """How many kills have broken off a job."""
        return self.karbor.log.read_text().count('taken up again')

    def kill_one(self, checkpoint_id: str, new: dict[str, str], ends: dict[str, int]) -> None:
        """Kill a restore of volumes, and look at what they hold.

        :param new: sums of what the snapshots hold.
        :param ends: counts what was found.
        """
        old = {volume_id: self.filled(volume_id) for volume_id in new}
        restore_id = self.karbor.use('restore', checkpoint_id, in_place=True)
        time.sleep(self.random.uniform(0, _LONGEST_LIFE))
        self.karbor.kill()
        written = self.write_to_some(new)
        self.karbor.start()
        restore = self.karbor.wait_for_use('restore', restore_id, 240)
        self.assertNoImages()
        results = {each['id']: each for each in restore['results']}
        for volume_id in new:
            found = self.sum_of(volume_id)
            known = {new[volume_id]: 'restored', old[volume_id]: 'old'}
            known[written.get(volume_id, '')] = 'written since'
            self.assertIn(found, known, (volume_id, restore))
            end = f'{results[volume_id]["end"]}, {known[found]}'
            ends[end] = ends.get(end, 0) + 1
            if found == new[volume_id]:
                self.assertEqual('restored', results[volume_id]['end'])
            else:
                self.assertIn(volume_id, written)
            self.assertEqual('available', self.shown(volume_id).status, restore)
            self.assertEqual('false', self.shown(volume_id).bootable)
            self.assertEqual({}, self.flags(volume_id)[2])
        self.check_safety(restore, results, old, written)

    def write_to_some(self, new: dict[str, str]) -> dict[str, str]:
        """Attach some volumes while Karbor is dead, and write; sums of what they hold then."""
        written = {}
        for volume_id in new:
            if self.random.random() < 0.5:
                # Cinder lets nobody attach one that it writes.
                with contextlib.suppress(subprocess.CalledProcessError):
                    written[volume_id] = self.filled(volume_id)
        return written

    def check_safety(
        self,
        restore: Any,
        results: dict[str, Any],
        old: dict[str, str],
        written: dict[str, str],
    ) -> None:
        """What was overwritten is in the safety checkpoint, which goes again."""
        safety_id = restore['safety_checkpoint_id']
        ids = [volume_id for volume_id, each in results.items() if each['end'] == 'restored']
        if ids:
            safety = self.karbor.checkpoint(safety_id)
            self.assertEqual('available', safety['status'])
            for volume_id, snapshot_id in self.karbor.recorded_snapshots(safety_id, ids).items():
                held = cloud.snapshot_file(snapshot_id).read_bytes()[:_SIZE]
                wanted = {old[volume_id], written.get(volume_id)}
                self.assertIn(cloud.sha256_of(held), wanted)
        self.assertEqual('deleted', self.karbor.delete(safety_id)['status'])
