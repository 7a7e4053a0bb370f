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

"""Each request of a restore of what was chosen, as it was or elsewhere, is answered badly."""

import functools
import itertools
from typing import Any

from karbor.tests.functional import base, faulted
from karbor.tests.functional.base import VOLUME

_IMAGE = {'os_type': 'linux', 'hw_disk_bus': 'scsi'}
# How a result names what could not be put back, by the field that tells of it.
_NAMES = {
    'name': 'its name',
    'description': 'its description',
    'metadata': 'its metadata',
    'volume_type': 'its volume type',
    'bootable': 'its bootable flag',
    'volume_image_metadata': 'its image metadata',
    'read_only': 'its read-only flag',
}


@base.in_process_only('jobs run in this process')
class FaultsTest(faulted.FaultedTestCase):
    @functools.cached_property
    def held(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A volume that was changed since, and a checkpoint of it."""
        self.cinder.volume_types |= {'fast', 'slow'}
        volume = self.volume(
            description='of us',
            metadata={'a': 'b', 'readonly': 'True'},
            volume_type='slow',
            bootable='true',
            volume_image_metadata=dict(_IMAGE),
        )
        checkpoint = self.create_checkpoint(self.create_plan(volume, self.volume()))
        self.run_jobs()
        shown = self.cinder.volumes[volume['id']]
        shown.update(bootable='false', volume_type='__DEFAULT__', metadata={})
        return volume, checkpoint

    def restored(self, fault: faulted.From | None, **choices: Any) -> dict[str, Any]:
        """What has become of the volume; all else that is there is as before."""
        volume, checkpoint = self.held
        self.before = set(self.cinder.volumes)
        named = [{'type': VOLUME, 'id': volume['id'], **choices}]
        restore = self.use('restore', checkpoint, resources=named)
        self.run_faulted(fault)
        (result,) = self.get(f'/restores/{restore["id"]}')['restore']['results']
        return result

    def made(self) -> list[dict[str, Any]]:
        """The new volumes."""
        return [self.cinder.volumes[key] for key in set(self.cinder.volumes) - self.before]

    def assertWell(self, result: dict[str, Any], where: str, **wanted: Any) -> None:
        """It is as it was, but for what is named; or nothing is made, and it says why."""
        made = self.made()
        if result['end'] == 'failed':
            self.assertEqual([], made, where)
            self.assertTrue(result['reason'], where)
            return
        (new,) = made
        while new['status'] == 'retyping':  # nobody has looked to the end
            self.cinder.look('volumes', new)
        self.assertEqual(('available', result['new_id']), (new['status'], new['id']), where)
        shown = {name: new.get(name) for name in _NAMES}
        shown['read_only'] = new['metadata'].get('readonly') == 'True'
        shown['metadata'] = {
            key: value
            for key, value in new['metadata'].items()
            if key != 'readonly' and not key.startswith('karbor_')
        }
        expected = {
            'name': 'data',
            'description': 'of us',
            'metadata': {'a': 'b'},
            'volume_type': 'slow',
            'bootable': 'true',
            'volume_image_metadata': _IMAGE,
            'read_only': True,
            **wanted,
        }
        missing = {_NAMES[name] for name in _NAMES if shown[name] != expected[name]}
        told = {name for name in _NAMES.values() if name in (result['reason'] or '')}
        self.assertLessEqual(missing, told, f'{where}: {shown}')

    def each_faulted(self, *faults: dict[str, Any], **choices: Any) -> set[str]:
        """The ends of restores in each of which one request has one of the faults."""
        none = faulted.From(0, is_lasting=False)
        self.restored(none, **choices)
        self.assertGreater(none.seen, 8)
        ends = set()
        for number, fault in itertools.product(range(1, none.seen + 1), faults):
            made = faulted.From(number, is_lasting=False, **fault)
            result = self.restored(made, **choices)
            where = f'{fault} of request {number}: {result}'
            self.assertWell(result, where, **choices)
            if fault in faulted.PASSING:
                self.assertEqual(('restored', None), (result['end'], result['reason']), where)
            ends.add(result['end'])
        return ends

    def test_as_it_was_once(self):
        self.assertEqual({'restored'}, self.each_faulted(*faulted.PASSING))

    def test_elsewhere_once(self):
        self.assertEqual({'restored'}, self.each_faulted(*faulted.PASSING, volume_type='fast'))

    def test_as_it_was_refused(self):
        self.assertEqual({'restored', 'failed'}, self.each_faulted(*faulted.REFUSALS))

    def test_elsewhere_refused(self):
        ends = self.each_faulted(*faulted.REFUSALS, volume_type='fast')
        self.assertEqual({'restored', 'failed'}, ends)
