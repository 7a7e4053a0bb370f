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

"""What a volume is like is recorded with its snapshot, and put back by a restore."""

import json
from typing import Any

from karbor import exception
from karbor.resource import Resource
from karbor.services.cinder.properties import VolumeProperties
from karbor.services.protection.protection_plugins.volume import cinder_snapshot_wanted
from karbor.testing.fake_cinder import Fault
from karbor.testing.plugin_jobs import RecordOfUse
from karbor.tests.unit.protection.test_cinder_snapshot_plugin import (
    VOLUME_TYPE,
    Crash,
    SnapshotPluginTestCase,
)

IMAGE = {'os_type': 'linux', 'hw_disk_bus': 'scsi'}


class PropertiesTestCase(SnapshotPluginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.record = RecordOfUse()
        self.new_resources: dict[str, str] = {}

    def run_restore(self, choices: dict[str, Any] | None = None, **kwargs: Any) -> dict[str, Any]:
        """The new volume of a restore."""
        self.record['choices'] = choices
        self.restore(self.record, self.new_resources, **kwargs)
        return self.cinder.volumes[self.new_resources[self.volume['id']]]

    def fail_restore(self, choices: dict[str, Any]) -> str:
        """The reason of a restore that fails, and leaves nothing."""
        before = set(self.cinder.volumes)
        reason = self.fails(exception.RestoreResourceFailed, self.run_restore, choices)
        self.assertEqual(before, set(self.cinder.volumes))
        self.assertEqual({}, self.new_resources)
        return reason

    @property
    def told(self) -> str | None:
        """What is said of the new volume."""
        ((_, _, status, reason),) = self.record.told
        self.assertEqual('available', status)
        return reason

    def actions(self) -> list[str]:
        """What was asked for of new volumes."""
        return [next(iter(body)) for body in self.cinder.bodies if 'os-' in next(iter(body))]


class RecordTest(PropertiesTestCase):
    def recorded(self, volume_id: str | None = None) -> dict[str, Any]:
        return self.section(volume_id).get_object('metadata')['volume']

    def test_all_of_it(self) -> None:
        self.volume.update(
            description='of us',
            metadata={'a': 'b', 'karbor_plan_id': 'x', 'readonly': 'True', 'attached_mode': 'rw'},
            bootable='true',
            volume_image_metadata=dict(IMAGE),
        )
        self.protect()
        recorded = self.recorded()
        self.assertEqual(
            {
                'name': 'db',
                'description': 'of us',
                'metadata': {'a': 'b'},
                'volume_type': '__DEFAULT__',
                'availability_zone': 'nova',
                'is_bootable': True,
                'image_metadata': IMAGE,
                'is_read_only': True,
            },
            recorded,
        )
        self.assertEqual(recorded, VolumeProperties.from_dict(recorded).to_dict())

    def test_many_by_one_list(self) -> None:
        plugin = self.new_plugin()
        volumes = [self.cinder.add_volume(name=f'v{number}') for number in range(5)]
        for volume in volumes:
            plugin.get_protect_operation(Resource(VOLUME_TYPE, volume['id'], 'v'))
        for volume in volumes:
            self.protect(volume_id=volume['id'], plugin=plugin)
        self.assertEqual(1, self.requests('GET', '/volumes/detail'))
        self.assertEqual(0, self.requests('GET', '/volumes/{id}'))
        self.assertEqual(
            [volume['name'] for volume in volumes],
            [self.recorded(volume['id'])['name'] for volume in volumes],
        )

    def test_a_snapshot_is_taken_though_nothing_tells(self) -> None:
        self.timeouts['retry_timeout'] = 0.01
        for status in (403, 503):
            self.cinder.faults = [Fault('GET', '/volumes/', status=status)]
            self.checkpoint = self.new_checkpoint()
            self.protect()
            self.assertNotIn('volume', self.section().get_object('metadata'))

    def test_what_somebody_put_into_the_bank(self) -> None:
        for saved in (None, [], 'x', 5):
            self.assertIsNone(VolumeProperties.from_dict(saved))
        self.assertEqual(
            VolumeProperties(name='db'), VolumeProperties.from_dict({'name': 'db', 'new': 1})
        )


class AsItWasTest(PropertiesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.volume.update(
            description='of us',
            metadata={'a': 'b', 'karbor_restore_id': 'of-old', 'readonly': 'True'},
            bootable='true',
            volume_image_metadata=dict(IMAGE),
        )
        self.protect()
        self.cinder.bodies.clear()

    def assertAsItWas(self, volume: dict[str, Any], **but: Any) -> None:
        expected = {
            'name': 'db',
            'description': 'of us',
            'metadata': {
                'a': 'b',
                'readonly': 'True',
                **self.marks(karbor_restore_id=self.record['id']),
            },
            'bootable': 'true',
            'volume_image_metadata': IMAGE,
            'volume_type': '__DEFAULT__',
            'availability_zone': 'nova',
            'size': 3,
            **but,
        }
        self.assertEqual(expected, {name: volume.get(name) for name in expected})

    def test_it_is(self) -> None:
        self.assertAsItWas(self.run_restore())
        self.assertEqual('', self.told)
        self.assertEqual(['os-update_readonly_flag'], self.actions())

    def test_after_the_source_was_changed(self) -> None:
        self.volume.update(
            name='other',
            description='',
            metadata={},
            bootable='false',
            volume_image_metadata={'os_type': 'windows'},
        )
        self.assertAsItWas(self.run_restore())
        self.assertEqual(
            ['os-set_bootable', 'os-set_image_metadata', 'os-update_readonly_flag'], self.actions()
        )

    def test_after_the_source_was_deleted(self) -> None:
        del self.cinder.volumes[self.volume['id']]
        self.assertAsItWas(self.run_restore())

    def test_a_plain_one_costs_nothing(self) -> None:
        self.checkpoint = self.new_checkpoint()
        self.volume.update(metadata={'a': 'b'}, bootable='false', volume_image_metadata={})
        self.protect()
        self.cinder.requests.clear()
        self.run_restore()
        self.assertEqual(1, self.requests('POST', '/volumes'))
        self.assertEqual(
            {('POST', '/volumes'), ('GET', '/volumes/detail'), ('GET', '/snapshots/detail')},
            set(self.cinder.requests),
        )

    def test_what_is_asked_for_goes_first(self) -> None:
        volume = self.run_restore(
            parameters={'restore_name': 'other', 'restore_description': 'mine'}
        )
        self.assertAsItWas(volume, name='other', description='mine')

    def test_a_suffix(self) -> None:
        self.assertEqual('db-again', self.run_restore({'name_suffix': '-again'})['name'])
        self.record = RecordOfUse()
        volume = self.run_restore({'name_suffix': '-again'}, parameters={'restore_name': 'x' * 255})
        self.assertEqual('x' * 249 + '-again', volume['name'])

    def test_one_without_a_name(self) -> None:
        self.checkpoint = self.new_checkpoint()
        self.volume['name'] = ''
        self.protect()
        self.assertEqual('', self.run_restore()['name'])
        self.record = RecordOfUse()
        self.assertEqual('-again', self.run_restore({'name_suffix': '-again'})['name'])

    def test_a_checkpoint_of_an_older_karbor(self) -> None:
        section = self.section()
        saved = section.get_object('metadata')
        del saved['volume']
        section.update_object('metadata', saved)
        volume = self.run_restore()
        self.assertEqual(
            (f'volume-{self.checkpoint.id}@{self.volume["id"]}', None),
            (volume['name'], volume['description']),
        )
        self.assertEqual(self.marks(karbor_restore_id=self.record['id']), volume['metadata'])
        self.assertEqual([], self.actions())
        self.record = RecordOfUse()
        self.assertTrue(self.run_restore({'name_suffix': '+'})['name'].endswith('+'))

    def test_more_metadata_than_there_is_place_for(self) -> None:
        self.checkpoint = self.new_checkpoint()
        self.volume['metadata'] = {f'key-{number:03}': 'x' for number in range(128)}
        self.protect()
        volume = self.run_restore()
        self.assertEqual(cinder_snapshot_wanted.MOST_METADATA, len(volume['metadata']))
        self.assertIn('not put back: metadata', self.told)
        for number in range(123, 128):
            self.assertIn(f'key-{number}', self.told)
        self.assertLess(
            self.marks(karbor_restore_id=self.record['id']).items(), volume['metadata'].items()
        )

    def test_what_cannot_be_put_back_is_named(self) -> None:
        self.volume.update(bootable='false')
        for action, what in (
            ('os-set_bootable', 'its bootable flag'),
            ('os-set_image_metadata', 'its image metadata'),
            ('os-update_readonly_flag', 'its read-only flag'),
        ):
            self.record = RecordOfUse()
            self.refuse(action)
            self.run_restore()
            self.assertIn(f'not put back: {what}: Cinder answered 403', self.told)
            self.assertEqual(1, self.told.count('its '), self.told)

    def refuse(self, action: str) -> None:
        handle = type(self.cinder).handle

        def refusing(method: str, path: str, body: bytes | None) -> Any:
            if method == 'POST' and path.endswith('/action') and action in json.loads(body):
                return 403, {'Content-Type': 'application/json'}, b'{"forbidden": {"code": 403}}'
            return handle(self.cinder, method, path, body)

        self.cinder.handle = refusing  # type: ignore[method-assign]

    def test_an_attempt_that_was_broken_off_between_two_changes(self) -> None:
        self.volume.update(bootable='false')
        for action in ('os-set_bootable', 'os-set_image_metadata', 'os-update_readonly_flag'):
            self.record = RecordOfUse()
            self.cinder.bodies.clear()
            self.break_off_at(action)
            del self.cinder.handle
            volume = self.run_restore()
            self.assertAsItWas(volume)
            self.assertEqual(1, self.cinder.made.count('volume'))
            self.cinder.made.clear()
            # What was done before is not done again.
            self.assertEqual(3, len(self.actions()), self.actions())

    def break_off_at(self, action: str) -> None:
        """Let the process die before it asks for something."""
        handle = type(self.cinder).handle

        def dying(method: str, path: str, body: bytes | None) -> Any:
            if method == 'POST' and path.endswith('/action') and action in json.loads(body):
                raise Crash
            return handle(self.cinder, method, path, body)

        self.cinder.handle = dying  # type: ignore[method-assign]
        with self.assertRaisesCrash():
            self.run_restore()


class ElsewhereTest(PropertiesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cinder.volume_types |= {'fast'}
        self.cinder.zones |= {'mars'}
        self.protect()
        self.cinder.bodies.clear()

    def test_larger(self) -> None:
        self.assertEqual(7, self.run_restore({'size': 7})['size'])

    def test_smaller(self) -> None:
        """As where the size was not known when it was asked for."""
        self.assertIn('cannot be smaller', self.fail_restore({'size': 2}))

    def test_a_zone(self) -> None:
        volume = self.run_restore({'availability_zone': 'mars'})
        self.assertEqual(('mars', ''), (volume['availability_zone'], self.told))

    def test_a_zone_that_there_is_not(self) -> None:
        self.assertIn("'venus' is invalid", self.fail_restore({'availability_zone': 'venus'}))

    def test_a_zone_that_cinder_replaces(self) -> None:
        """As with allow_availability_zone_fallback."""
        new_volume = self.cinder.new_volume
        self.cinder.new_volume = lambda fields: {**new_volume(fields), 'availability_zone': 'nova'}
        reason = self.fail_restore({'availability_zone': 'mars'})
        self.assertIn('made it in the zone nova, not in mars; it was removed', reason)

    def test_a_type_that_takes_the_snapshot(self) -> None:
        self.volume['volume_type'] = 'fast'
        self.assertEqual('fast', self.run_restore({'volume_type': 'fast'})['volume_type'])
        self.assertEqual([], self.actions())

    def test_a_type_that_does_not(self) -> None:
        volume = self.run_restore({'volume_type': 'fast'})
        self.assertEqual(('fast', 'available'), (volume['volume_type'], volume['status']))
        retypes = [body['os-retype'] for body in self.cinder.bodies if 'os-retype' in body]
        self.assertEqual([{'new_type': 'fast', 'migration_policy': 'on-demand'}], retypes)
        self.assertEqual('', self.told)

    def test_a_type_that_there_is_not(self) -> None:
        self.assertIn('nope could not be found', self.fail_restore({'volume_type': 'nope'}))

    def test_a_change_of_type_that_fails(self) -> None:
        for end, part in (
            ('refused', 'not changed its volume type from __DEFAULT__ to fast'),
            ('error', 'is in status error'),
        ):
            self.record = RecordOfUse()
            self.cinder.settle_to['retype'] = end
            reason = self.fail_restore({'volume_type': 'fast'})
            self.assertIn(part, reason)
            self.assertIn('it was removed', reason)

    def test_a_change_of_type_that_goes_on(self) -> None:
        self.timeouts.update(restore_timeout=0.1, settle_timeout=0.1)
        self.cinder.settle_to['retype'] = None
        reason = self.fails(
            exception.RestoreResourceFailed, self.run_restore, {'volume_type': 'fast'}
        )
        self.assertIn('still in status retyping', reason)
        self.assertIn('it is left in Cinder', reason)

    def test_an_attempt_that_was_broken_off_in_the_change_of_type(self) -> None:
        self.timeouts['restore_timeout'] = 30

        def die() -> None:
            if self.cinder.retypes:
                raise Crash

        self.cinder.faults = [Fault('GET', '/volumes/detail', hook=die)]
        with self.assertRaisesCrash():
            self.run_restore({'volume_type': 'fast'})
        self.cinder.faults.clear()
        self.assertEqual('fast', self.run_restore({'volume_type': 'fast'})['volume_type'])
        self.assertEqual(['os-retype'], self.actions())
        self.assertEqual(1, self.cinder.made.count('volume'))

    def test_the_type_of_old_which_is_not_that_of_the_snapshot_now(self) -> None:
        self.volume['volume_type'] = 'fast'
        self.assertEqual('__DEFAULT__', self.run_restore()['volume_type'])
        self.assertEqual('', self.told)

    def test_the_type_of_old_which_there_is_not_any_more(self) -> None:
        self.volume['volume_type'] = 'fast'
        self.cinder.volume_types = {'fast'}
        self.assertEqual('fast', self.run_restore()['volume_type'])
        self.assertIn('not put back: its volume type __DEFAULT__: Cinder answered 404', self.told)

    def test_the_type_of_old_whose_change_fails(self) -> None:
        """What is left of it is no use, whatever its bytes are."""
        self.volume['volume_type'] = 'fast'
        self.cinder.settle_to['retype'] = 'error'
        self.assertIn('is in status error', self.fail_restore({}))

    def test_the_zone_of_old_which_it_does_not_get(self) -> None:
        self.volume['availability_zone'] = 'mars'
        self.run_restore()
        self.assertEqual('not put back: its zone nova: it is in mars', self.told)

    def test_for_one_volume_of_all(self) -> None:
        entry = {'type': VOLUME_TYPE, 'id': self.volume['id'], 'size': 9}
        volume = self.run_restore({'resources': [entry], 'size': 5, 'availability_zone': 'mars'})
        self.assertEqual((9, 'mars'), (volume['size'], volume['availability_zone']))
