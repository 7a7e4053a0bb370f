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

"""Volumes restored as people need them, on a real Cinder: chosen, as they were, and elsewhere."""

import os
import random
import time
from typing import Any

from testtools import content

from karbor.tests.integration import base, cloud

_SIZE = 1024 * 1024
_IMAGE = {'os_type': 'linux', 'hw_disk_bus': 'scsi'}
_KILLS = int(os.environ.get('KARBOR_KILLS', '5'))


def _named(*volume_ids: str, **choices: Any) -> list[dict[str, Any]]:
    return [{'type': base.VOLUME, 'id': volume_id, **choices} for volume_id in volume_ids]


class RestoresTestCase(base.IntegrationTestCase):
    def protected(self, karbor: base.Standalone, volume_ids: list[str]) -> str:
        """The id of a checkpoint of volumes, which is available."""
        checkpoint_id = karbor.protect(karbor.plan(volume_ids))
        checkpoint = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual('available', checkpoint['status'], checkpoint)
        return checkpoint_id

    def filled(self, count: int, **fields: Any) -> dict[str, str]:
        """New volumes: the sha256 of the first bytes of each, by its id."""
        sums = {}
        for volume_id in self.project.volumes(count, **fields):
            data = os.urandom(_SIZE)
            cloud.write(volume_id, data)
            sums[volume_id] = cloud.sha256_of(data)
        return sums

    def ids(self) -> set[str]:
        return {volume.id for volume in self.project.cinder.volumes.list()}

    def only_new(self, restore: dict[str, Any]) -> Any:
        """The one volume that a restore has made, as Cinder has it."""
        self.assertEqual('success', restore['status'], restore)
        (new_id,) = restore['new_resources'].values()
        return self.project.cinder.volumes.get(new_id)

    def assertBytes(self, sums: dict[str, str], restore: dict[str, Any]) -> None:
        """Each new volume has the bytes of its original."""
        for key, new_id in restore['new_resources'].items():
            self.assertEqual(sums[key.partition('#')[2]], cloud.sha256(new_id, _SIZE), key)


class ChosenTest(RestoresTestCase):
    def test_one_of_thirty(self) -> None:
        karbor = self.standalone()
        sums = self.filled(30)
        checkpoint_id = self.protected(karbor, list(sums))
        before, wanted = self.ids(), list(sums)[17]
        cloud.write(wanted, os.urandom(_SIZE))
        restore = karbor.restored(checkpoint_id, resources=_named(wanted))
        new = self.only_new(restore)
        self.assertEqual(before | {new.id}, self.ids())
        self.assertBytes(sums, restore)
        (result,) = restore['results']
        self.assertEqual(
            (wanted, 'restored', new.id, new.name, None),
            tuple(result[name] for name in ('id', 'end', 'new_id', 'name', 'reason')),
        )

    def test_what_is_good_of_one_in_error(self) -> None:
        karbor = self.standalone()
        sums = self.filled(3)
        self.project.set_quota(snapshots=2)
        checkpoint_id = karbor.protect(karbor.plan(list(sums)))
        karbor.wait_for_checkpoint(checkpoint_id, 'error')
        (bad,) = set(sums) - set(self.project.snapshots())
        restore = karbor.restored(checkpoint_id, partial=True)
        self.assertEqual(('success', 2), (restore['status'], len(restore['new_resources'])))
        self.assertIn(bad, restore['status_reason'])
        self.assertBytes(sums, restore)
        by_name = karbor.restored(checkpoint_id, resources=_named(*(set(sums) - {bad})))
        self.assertEqual(('success', None), (by_name['status'], by_name['status_reason']))


class ByTimeTest(RestoresTestCase):
    def test_across_checkpoints(self) -> None:
        karbor = self.standalone()
        first = self.filled(2)
        one, other = first
        early = self.protected(karbor, [one, other])
        at = karbor.call('GET', f'/recovery_points?checkpoint_id={early}&sort=created_at:desc')
        moment = max(point['taken_at'] for point in at)
        cloud.write(one, data := os.urandom(_SIZE))
        late = self.protected(karbor, [one])
        cloud.write(one, os.urandom(_SIZE))
        for when, sums, checkpoints in (
            ({'at': moment}, first, {early}),
            ({}, {**first, one: cloud.sha256_of(data)}, {early, late}),
        ):
            body = {'resources': _named(one, other), **when}
            group = karbor.call('POST', '/restore_groups', {'restore_group': body})
            self.assertEqual(checkpoints, {each['checkpoint_id'] for each in group['restores']})
            for restore in self.ended(karbor, group['id'])['restores']:
                self.assertBytes(sums, restore)

    def ended(self, karbor: base.Standalone, group_id: str) -> Any:
        """A group whose restores have gone well."""

        def look() -> Any:
            group = karbor.call('GET', f'/restore_groups/{group_id}')
            return group if group['status'] == 'success' else None

        return cloud.wait_until(look, f'the end of {group_id}')


class AsItWasTest(RestoresTestCase):
    def boot_like(self) -> tuple[str, str]:
        """A volume with all that can be lost; its id and the sha256 of its first bytes."""
        ((volume_id, its_sum),) = self.filled(
            1, description='of us', metadata={'of': 'us', 'karbor_restore_id': 'of-old'}
        ).items()
        volumes = self.project.cinder.volumes
        volumes.set_bootable(volume_id, True)
        volumes.set_image_metadata(volume_id, _IMAGE)
        volumes.update_readonly_flag(volume_id, True)
        return volume_id, its_sum

    def assertAsItWas(self, restore: dict[str, Any]) -> None:
        new = self.only_new(restore)
        self.assertEqual(
            ('v0', 'of us', 'true', _IMAGE, '__DEFAULT__', 'nova', 1),
            (
                new.name,
                new.description,
                new.bootable,
                new.volume_image_metadata,
                new.volume_type,
                new.availability_zone,
                new.size,
            ),
        )
        metadata = {key: new.metadata[key] for key in new.metadata if 'karbor' not in key}
        self.assertEqual({'of': 'us', 'readonly': 'True'}, metadata)
        self.assertEqual(restore['id'], new.metadata['karbor_restore_id'])
        self.assertEqual(None, restore['results'][0]['reason'])

    def change(self, volume_id: str) -> None:
        """Change all of the source that can be changed."""
        volumes = self.project.cinder.volumes
        volumes.update_readonly_flag(volume_id, False)
        volumes.update(volume_id, name='other', description='other')
        volumes.delete_metadata(volume_id, ['of'])
        volumes.set_metadata(volume_id, {'new': 'x'})
        volumes.delete_image_metadata(volume_id, list(_IMAGE))
        volumes.set_bootable(volume_id, False)

    def test_each_property(self) -> None:
        karbor = self.standalone()
        volume_id, its_sum = self.boot_like()
        checkpoint_id = self.protected(karbor, [volume_id])
        restore = karbor.restored(checkpoint_id)
        self.assertAsItWas(restore)
        self.change(volume_id)
        cloud.write(volume_id, os.urandom(_SIZE))
        again = karbor.restored(checkpoint_id)
        self.assertAsItWas(again)
        self.assertBytes({volume_id: its_sum}, again)

    def test_killed_on_the_way(self) -> None:
        """Each volume is made once, and has all of it in the end."""
        seed = int(os.environ.get('KARBOR_SEED', time.time_ns()))
        self.addDetail('seed', content.text_content(f'KARBOR_SEED={seed}'))
        chance = random.Random(seed)
        karbor = self.standalone()
        cloud.volume_type('plain')
        volume_id, _ = self.boot_like()
        checkpoint_id = self.protected(karbor, [volume_id])
        self.change(volume_id)
        before = self.ids()
        for _ in range(_KILLS):
            restore_id = karbor.use('restore', checkpoint_id, volume_type='plain')
            time.sleep(chance.uniform(0, 4))
            karbor.kill()
            karbor.start()
            restore = karbor.wait_for_use('restore', restore_id)
            new = self.only_new(restore)
            self.assertEqual(before | {new.id}, self.ids())
            self.assertEqual(
                ('v0', 'true', _IMAGE, 'plain', 'True', None),
                (
                    new.name,
                    new.bootable,
                    new.volume_image_metadata,
                    new.volume_type,
                    new.metadata['readonly'],
                    restore['results'][0]['reason'],
                ),
            )
            self.project.delete_volume(new.id)
        broken_off = karbor.log.read_text().count('taken up again')
        print(f'{broken_off} of {_KILLS} kills broke off a restore')  # noqa: T201


class ElsewhereTest(RestoresTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.karbor = self.standalone()
        self.sums = self.filled(1)
        (self.volume_id,) = self.sums
        self.checkpoint_id = self.protected(self.karbor, [self.volume_id])
        self.before = self.ids()

    def test_larger(self) -> None:
        restore = self.karbor.restored(self.checkpoint_id, size=2, name_suffix='-larger')
        new = self.only_new(restore)
        self.assertEqual((2, 'v0-larger'), (new.size, new.name))
        self.assertBytes(self.sums, restore)

    def test_retyped(self) -> None:
        name = cloud.volume_type('plain')
        restore = self.karbor.restored(
            self.checkpoint_id, resources=_named(self.volume_id, volume_type=name)
        )
        self.assertEqual(
            (name, 'available'), (self.only_new(restore).volume_type, self.only_new(restore).status)
        )
        self.assertBytes(self.sums, restore)
        by_id = next(
            each.id for each in self.project.cinder.volume_types.list() if each.name == name
        )
        again = self.karbor.restored(self.checkpoint_id, volume_type=by_id)
        self.assertEqual(name, self.only_new(again).volume_type)

    def test_what_is_refused_leaves_nothing(self) -> None:
        elsewhere = cloud.volume_type('elsewhere', volume_backend_name='nowhere')
        for choices, part in (
            ({'volume_type': 'no-such'}, 'no-such could not be found'),
            ({'volume_type': elsewhere}, 'has not changed its volume type'),
            ({'availability_zone': 'mars'}, "Availability zone 'mars' is invalid"),
        ):
            restore = self.karbor.restored(self.checkpoint_id, **choices)
            self.assertEqual('fail', restore['status'], choices)
            (result,) = restore['results']
            self.assertEqual(('failed', None), (result['end'], result['new_id']))
            self.assertIn(part, result['reason'])
            self.assertEqual(self.before, self.ids(), choices)

    def test_a_size_that_is_refused(self) -> None:
        body = {
            'provider_id': base.PROVIDER_ID,
            'checkpoint_id': self.checkpoint_id,
            'parameters': {},
        }
        message = self.karbor.refusal('/restores', {'restore': {**body, 'size': 0}})
        self.assertIn('size', message)
        self.project.set_quota(gigabytes=2)
        restore = self.karbor.restored(self.checkpoint_id, size=50)
        self.assertEqual('fail', restore['status'])
        self.assertIn('quota', restore['status_reason'])
        self.assertEqual(self.before, self.ids())
