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

"""Restores in place: onto the volume itself, with a safety checkpoint of what is overwritten."""

import datetime
from typing import Any

from karbor import db
from karbor.common.constants import RecoveryPointState as State
from karbor.db import models
from karbor.services.checkpoints import safety_expiry
from karbor.services.protection import provider
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import VOLUME


class InPlaceTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.glance = self.with_glance()

    def held(self, *contents: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A volume with a checkpoint of each of some contents, the last of which is overwritten."""
        volume = self.volume(updated_at='2026-01-01T00:00:00.000000')
        checkpoints = []
        for content in contents:
            self.cinder.contents[volume['id']] = content
            checkpoints.append(self.protected(volume))
        self.cinder.contents[volume['id']] = 'now'
        return volume, checkpoints

    def in_place(self, checkpoint: dict[str, Any], code: int = 200, **choices: Any) -> Any:
        return self.use('restore', checkpoint, code, **{'in_place': True, **choices})

    def restored(self, checkpoint: dict[str, Any], **choices: Any) -> dict[str, Any]:
        """A restore in place that has ended."""
        return self.ended_use('restore', self.in_place(checkpoint, **choices))

    def safety(self, restore: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint of what a restore has overwritten."""
        path = self.checkpoints_path(restore['safety_checkpoint_id'])
        return self.get(path)['checkpoint']

    def content(self, volume: dict[str, Any]) -> str:
        return self.cinder.contents[volume['id']]

    def failed(self, restore: dict[str, Any]) -> str:
        """Why a restore of one volume has failed."""
        (result,) = restore['results']
        self.assertEqual(('fail', 'failed'), (restore['status'], result['end']), restore)
        self.assertNothingIsLeft()
        return result['reason']

    def assertNothingIsLeft(self) -> None:
        self.assertEqual({}, self.glance.images)

    def assertUntouched(self, volume: dict[str, Any]) -> None:
        self.assertEqual('now', self.content(volume))
        self.assertEqual('available', self.cinder.volumes[volume['id']]['status'])
        self.assertEqual([], self.reimages())
        self.assertNothingIsLeft()

    def reimages(self) -> list[Any]:
        """Of each volume that Cinder has written, or tried to."""
        return [
            item
            for item in self.cinder.volumes.values()
            if item['updated_at'] not in (None, '2026-01-01T00:00:00.000000')
        ]


class RestoredTest(InPlaceTestCase):
    def test_from_the_newest_and_from_an_older_one(self):
        for number in (0, 1):
            volume, checkpoints = self.held('first', 'second')
            snapshots = set(self.cinder.snapshots)
            restore = self.restored(checkpoints[number])
            self.assertEqual(('success', None), (restore['status'], restore['status_reason']))
            self.assertEqual(('first', 'second')[number], self.content(volume))
            self.assertEqual('available', self.cinder.volumes[volume['id']]['status'])
            self.assertLess(snapshots, set(self.cinder.snapshots))
            self.assertNothingIsLeft()
            (result,) = restore['results']
            self.assertEqual(
                ('restored', volume['id'], None),
                (result['end'], result['new_id'], result['reason']),
            )
            self.assertEqual({f'{VOLUME}#{volume["id"]}': volume['id']}, restore['new_resources'])

    def test_what_is_overwritten_is_kept_for_some_days(self):
        volume, (checkpoint,) = self.held('first')
        restore = self.restored(checkpoint, safety_keep=3)
        safety = self.safety(restore)
        self.assertEqual(('available', True), (safety['status'], safety['pinned']))
        (point,) = safety['resources']
        self.assertEqual((volume['id'], 'good'), (point['id'], point['state']))
        made, expires = (
            datetime.datetime.fromisoformat(safety[name]) for name in ('created_at', 'expires_at')
        )
        self.assertEqual(datetime.timedelta(days=3), expires - made)
        self.assertEqual(3, restore['safety_keep'])
        (kept,) = [
            item['id']
            for item in self.cinder.snapshots.values()
            if item['metadata']['karbor_checkpoint_id'] == safety['id']
        ]
        self.assertEqual('now', self.cinder.contents[kept])

    def test_undo(self):
        volume, (checkpoint,) = self.held('first')
        restore = self.restored(checkpoint)
        undone = self.restored(self.safety(restore))
        self.assertEqual('success', undone['status'], undone)
        self.assertEqual('now', self.content(volume))
        self.assertNotEqual(restore['safety_checkpoint_id'], undone['safety_checkpoint_id'])
        self.restored(self.safety(undone))
        self.assertEqual('first', self.content(volume))

    def test_flag_and_image_metadata_are_as_before(self):
        for bootable, metadata in (
            ('false', {}),
            ('true', {'image_id': new_id(), 'os_type': 'linux', 'disk_format': 'qcow2'}),
            ('false', {'os_type': 'linux'}),
        ):
            volume, (checkpoint,) = self.held('first')
            shown = self.cinder.volumes[volume['id']]
            shown.update(bootable=bootable, volume_image_metadata=dict(metadata))
            restore = self.restored(checkpoint)
            self.assertEqual('success', restore['status'], restore)
            self.assertEqual('first', self.content(volume))
            self.assertEqual(
                (bootable, metadata), (shown['bootable'], shown['volume_image_metadata'])
            )

    def test_some_in_place_and_some_anew(self):
        volumes = [self.volume() for _ in range(3)]
        checkpoint = self.protected(*volumes)
        for volume in volumes:
            self.cinder.contents[volume['id']] = 'now'
        named = [{'type': VOLUME, 'id': each['id']} for each in volumes]
        named[1]['in_place'] = True
        restore = self.ended_use('restore', self.use('restore', checkpoint, resources=named))
        self.assertEqual('success', restore['status'], restore)
        self.assertEqual(['now', '', 'now'], [self.content(each) for each in volumes])
        self.assertEqual(
            [volumes[1]['id']], [each['id'] for each in self.safety(restore)['resources']]
        )
        self.assertEqual(5, len(self.cinder.volumes))

    def test_one_that_fails_leaves_the_others(self):
        volumes = [self.volume() for _ in range(3)]
        checkpoint = self.protected(*volumes)
        self.cinder.faults = [Fault('POST', f'/volumes/{volumes[0]["id"]}/action', status=403)]
        restore = self.restored(checkpoint)
        ends = {each['id']: each['end'] for each in restore['results']}
        self.assertEqual(['failed', 'restored', 'restored'], [ends[each['id']] for each in volumes])
        self.assertNothingIsLeft()

    def test_what_is_of_new_ones_alone(self):
        volume, (checkpoint,) = self.held('first')
        restore = self.restored(checkpoint, parameters={VOLUME: {'restore_name': 'x'}})
        self.assertIn('restore_name left out', restore['results'][0]['reason'])
        self.assertEqual('data', self.cinder.volumes[volume['id']]['name'])

    def test_by_time(self):
        volume, _ = self.held('first')
        group = self.post(
            '/restore_groups',
            {
                'restore_group': {
                    'resources': [{'type': VOLUME, 'id': volume['id'], 'in_place': True}],
                    'safety_keep': 2,
                }
            },
        )['restore_group']
        (restore,) = group['restores']
        restore = self.ended_use('restore', restore)
        self.assertEqual(('success', 2), (restore['status'], restore['safety_keep']))
        self.assertEqual('first', self.content(volume))


class RefusedTest(InPlaceTestCase):
    def assertRefused(
        self, checkpoint: dict[str, Any], code: int, *words: str, **choices: Any
    ) -> None:
        message = self.in_place(checkpoint, code, **choices)
        for word in words:
            self.assertIn(word, message)
        self.assertEqual([], self.rows(models.Restore))
        self.assertEqual({'protect'}, {job.kind for job in self.rows(models.Job)})
        self.assertEqual(0, self.glance.made)

    def test_an_attached_volume(self):
        volume, (checkpoint,) = self.held('first')
        server_id = new_id()
        self.cinder.volumes[volume['id']].update(
            status='in-use',
            attachments=[{'server_id': server_id, 'device': '/dev/vdb', 'attachment_id': new_id()}],
        )
        self.assertRefused(checkpoint, 409, volume['id'], server_id, '/dev/vdb', 'detach')

    def test_a_volume_between_two_states(self):
        volume, (checkpoint,) = self.held('first')
        self.cinder.volumes[volume['id']]['status'] = 'reserved'
        self.assertRefused(checkpoint, 409, volume['id'], 'reserved')

    def test_a_volume_that_grew(self):
        volume, (checkpoint,) = self.held('first')
        self.cinder.volumes[volume['id']]['size'] = 2
        self.assertRefused(checkpoint, 400, '2 GiB', 'accept_grown')
        restore = self.restored(checkpoint, accept_grown=True)
        self.assertEqual('success', restore['status'])
        self.assertIn('2 GiB', restore['results'][0]['reason'])

    def test_a_volume_in_error(self):
        volume, (checkpoint,) = self.held('first')
        self.cinder.volumes[volume['id']]['status'] = 'error'
        self.assertRefused(checkpoint, 400, 'in status error', 'safety: none')
        restore = self.restored(checkpoint, safety='none')
        self.assertEqual(('success', None), (restore['status'], restore['safety_checkpoint_id']))
        self.assertEqual('first', self.content(volume))
        self.assertIn('--state available', restore['results'][0]['reason'])
        self.assertEqual(1, len(self.rows(models.Checkpoint)))

    def test_a_volume_that_is_gone(self):
        volume, (checkpoint,) = self.held('first')
        del self.cinder.volumes[volume['id']]
        self.assertRefused(checkpoint, 400, volume['id'], 'without in_place')

    def test_an_old_cinder(self):
        _, (checkpoint,) = self.held('first')
        self.cinder.faults = [Fault('GET', '/volumes', status=406)]
        self.assertRefused(checkpoint, 400, '3.68')

    def test_a_cinder_that_does_not_answer(self):
        _, (checkpoint,) = self.held('first')
        self.cinder.faults = [Fault('GET', '/volumes', status=403)]
        self.assertRefused(checkpoint, 503, 'Cinder answered 403')

    def test_a_glance_that_does_not_answer(self):
        _, (checkpoint,) = self.held('first')
        self.glance.faults = [Fault('GET', status=401)]
        self.assertRefused(checkpoint, 503, 'Glance answered 401')

    def test_a_volume_of_another_project(self):
        """Cinder shows an administrator the volumes that were transferred to others, too."""
        volume, (checkpoint,) = self.held('first')
        self.cinder.is_admin = True
        self.cinder.volumes[volume['id']]['os-vol-tenant-attr:tenant_id'] = new_id()
        for safety in ('snapshot', 'none'):
            self.assertRefused(checkpoint, 400, volume['id'], 'another project', safety=safety)

    def test_choices_of_what_is_new(self):
        _, (checkpoint,) = self.held('first')
        for choice in ({'size': 2}, {'name_suffix': '-x'}, {'volume_type': '__DEFAULT__'}):
            self.assertRefused(checkpoint, 400, *choice, 'in place', **choice)

    def test_a_project_without_place_for_a_checkpoint(self):
        _, (checkpoint,) = self.held('first')
        self.config.config(quota_checkpoints=1)
        self.assertRefused(checkpoint, 413)


class FailedTest(InPlaceTestCase):
    def test_no_safety_snapshot(self):
        volume, (checkpoint,) = self.held('first')
        self.cinder.settle_to['snapshot'] = 'error'
        restore = self.restored(checkpoint)
        self.assertIn('no safety snapshot', self.failed(restore))
        self.assertUntouched(volume)
        self.assertEqual('error', self.safety(restore)['status'])

    def test_a_reimage_that_fails_is_rolled_back(self):
        volume, (checkpoint,) = self.held('first')
        ends = iter(('error', 'available'))
        self.cinder.error_message = 'The storage is full.'

        def end_of(kind: str, item: Any) -> Any:
            return next(ends) if kind == 'reimage' else end_before(kind, item)

        end_before = self.cinder._end_of
        self.cinder._end_of = end_of  # type: ignore[method-assign]
        reason = self.failed(self.restored(checkpoint))
        self.assertEqual('now', self.content(volume))
        for words in ('The storage is full.', 'rolled back', '--state available'):
            self.assertIn(words, reason)
        shown = self.cinder.volumes[volume['id']]
        self.assertEqual(('false', {}), (shown['bootable'], shown['volume_image_metadata']))

    def test_a_reimage_that_cannot_be_rolled_back(self):
        volume, (checkpoint,) = self.held('first')
        self.cinder.settle_to['reimage'] = 'error'
        restore = self.restored(checkpoint)
        reason = self.failed(restore)
        for words in ('not be rolled back', restore['safety_checkpoint_id'], 'safety: none'):
            self.assertIn(words, reason)
        # And that is what helps.
        self.cinder.settle_to['reimage'] = 'available'
        helped = self.restored(self.safety(restore), safety='none')
        self.assertEqual('success', helped['status'])
        self.assertEqual('now', self.content(volume))

    def test_a_reimage_that_fails_without_safety(self):
        _, (checkpoint,) = self.held('first')
        self.cinder.settle_to['reimage'] = 'error'
        reason = self.failed(self.restored(checkpoint, safety='none'))
        self.assertIn('there is no safety snapshot', reason)

    def test_an_answer_that_is_lost(self):
        for fault in (
            Fault('POST', '/action', reset='after', times=1),
            Fault('POST', '/action', reset='before', times=1),
            Fault('POST', '/action', status=504, done=True, times=1),
            Fault('POST', '/action', status=500, times=1),
        ):
            volume, (checkpoint,) = self.held('first')
            self.cinder.faults = [fault]
            restore = self.restored(checkpoint)
            self.assertEqual('success', restore['status'], restore)
            self.assertEqual('first', self.content(volume))
            self.assertNothingIsLeft()

    def test_an_image_that_stays(self):
        volume, (checkpoint,) = self.held('first')
        self.glance.faults = [Fault('DELETE', status=403)]
        restore = self.restored(checkpoint)
        self.assertEqual('success', restore['status'])
        self.assertIn('Glance answered 403', restore['results'][0]['reason'])
        self.assertEqual('first', self.content(volume))

    def test_an_image_that_stays_goes_with_the_next_restore(self):
        _, (checkpoint,) = self.held('first')
        self.glance.faults = [Fault('DELETE', status=403)]
        first = self.restored(checkpoint)
        self.assertEqual(1, len(self.glance.images))
        self.glance.faults = []
        foreign = {
            'name': 'karbor-restore-',
            'tags': ['karbor-restore', f'karbor-restore-{new_id()}'],
        }
        self.glance.images['foreign'] = {**foreign, 'id': 'foreign', 'status': 'active'}
        self.restored(self.safety(first))
        self.assertEqual(['foreign'], list(self.glance.images))
        self.glance.images.clear()


class StuckTest(InPlaceTestCase):
    def build(self, registry: provider.ProviderRegistry) -> None:
        del registry
        super().build(provider.ProviderRegistry(self.provider_dir(restore_timeout=1)))

    def test_a_volume_that_stays_downloading(self):
        """As when Glance is stopped in the middle of Cinder's work."""
        volume, (checkpoint,) = self.held('first')
        self.cinder.settle_to['reimage'] = None
        restore = self.restored(checkpoint)
        (result,) = restore['results']
        safety_id = restore['safety_checkpoint_id']
        for words in ('downloading', 'nobody can use it', '--state error', safety_id):
            self.assertIn(words, result['reason'])
        self.assertNothingIsLeft()
        # And that is what helps.
        self.cinder.settle_to['reimage'] = 'available'
        self.cinder.reimages.clear()
        self.cinder.settle_later(volume['id'], 'error', looks=0)
        self.wait_until(
            lambda: (
                self.cinder.look('volumes', self.cinder.volumes[volume['id']])['status'] == 'error'
            ),
            'what an administrator has done',
        )
        helped = self.restored(self.safety(restore), safety='none')
        self.assertEqual('success', helped['status'], helped)
        self.assertEqual('now', self.content(volume))


class SafetyTest(InPlaceTestCase):
    def expire(self) -> int:
        """Let the time of all safety checkpoints be over."""
        with db.writer() as session:
            for row in session.query(models.Checkpoint).where(
                models.Checkpoint.expires_at.is_not(None)
            ):
                row.expires_at = datetime.datetime(2020, 1, 1)
        return safety_expiry.Expiry(self.environment).remove_expired()

    def test_it_is_deleted_when_its_time_is_over(self):
        _, (checkpoint,) = self.held('first')
        restore = self.restored(checkpoint)
        self.assertEqual(0, safety_expiry.Expiry(self.environment).remove_expired())
        self.assertEqual(1, self.expire())
        path = self.checkpoints_path(restore['safety_checkpoint_id'])
        self.assertEqual('deleted', self.ended(path, 'checkpoint')['status'])
        self.assertEqual(1, len(self.cinder.snapshots))
        self.assertEqual(0, self.expire())

    def test_it_stays_while_it_has_the_only_good_point(self):
        _, (checkpoint,) = self.held('first')
        restore = self.restored(checkpoint)
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.ended_checkpoint(checkpoint)
        self.assertEqual(0, self.expire())
        self.assertEqual('available', self.safety(restore)['status'])

    def test_who_pins_it_keeps_it(self):
        _, (checkpoint,) = self.held('first')
        restore = self.restored(checkpoint)
        path = self.checkpoints_path(restore['safety_checkpoint_id'])
        self.put(f'{path}/pin', {})
        self.assertIsNone(self.safety(restore)['expires_at'])
        self.assertEqual(0, self.expire())

    def test_it_cannot_be_deleted_under_the_restore(self):
        volume, (checkpoint,) = self.held('first')
        self.cinder.settle_to['reimage'] = None
        restore = self.in_place(checkpoint)
        self.wait_until(
            lambda: self.cinder.volumes[volume['id']]['status'] == 'downloading', 'the reimage'
        )
        for each in (restore['safety_checkpoint_id'], checkpoint['id']):
            self.assertIn('not finished', self.delete(self.checkpoints_path(each), 409))
        self.cinder.settle_to['reimage'] = 'available'
        self.assertEqual('success', self.ended_use('restore', restore)['status'])
        self.delete(self.checkpoints_path(restore['safety_checkpoint_id']))

    def test_the_points_of_it(self):
        volume, (checkpoint,) = self.held('first')
        self.restored(checkpoint)
        points = self.get(f'/recovery_points?resource_id={volume["id"]}')['recovery_points']
        self.assertEqual([State.GOOD] * 2, [point['state'] for point in points])

    def test_the_log(self):
        _, (checkpoint,) = self.held('first')
        restore = self.restored(checkpoint)
        logs = self.get(f'/operation_logs?restore_id={restore["id"]}')['operation_logs']
        self.assertEqual(
            {('restore', 'success'), ('protect', 'available')},
            {(log['operation_type'], log['status']) for log in logs},
        )
