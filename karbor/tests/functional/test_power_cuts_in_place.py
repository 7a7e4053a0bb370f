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

"""The power goes at any moment of a restore in place, while people use the volumes."""

import random
from collections.abc import Mapping
from typing import Any

from karbor.db import models
from karbor.testing import plugin_jobs
from karbor.testing.fake_cinder import Fault
from karbor.testing.fake_glance import FakeGlance
from karbor.tests.functional import test_power_cuts

_KEPT = (*test_power_cuts._CINDER, 'contents', 'reimages')
_BEFORE = '2026-01-01T00:00:00.000000'
_RERUN_EACH = 4  # of the moments
_WRITTEN = ' and what was written since'


class InPlaceTest(test_power_cuts.PowerCutTestCase):
    """A volume holds what it held, or what the snapshot held, and what was written to it since.

    Nothing is left in Glance, and what was overwritten is in the safety checkpoint.
    """

    def setUp(self) -> None:
        self.glance = FakeGlance()
        super().setUp()
        self.enterContext(plugin_jobs.clients_of(self.cinder, self.glance))
        for volume in self.volumes:
            self.cinder.contents[volume['id']] = 'old'
            self.cinder.volumes[volume['id']].update(
                updated_at=_BEFORE, volume_image_metadata={'os_type': 'linux'}
            )

    def cloud(self) -> dict[str, Any]:
        with self.glance.lock:
            kept = {name: getattr(self.cinder, name) for name in _KEPT}
            return {**kept, 'images': dict(self.glance.images)}

    def set_cloud(self, values: Mapping[str, Any]) -> None:
        for name in _KEPT:
            setattr(self.cinder, name, values[name])
        self.glance.images = dict(values['images'])

    def test_restore(self):
        self.restore()
        chance = random.Random(16)
        ends = set()
        for moment in self.moments:
            with self.telling(moment):
                self.cut_power(moment, lambda: chance.random() < 0.5)
                self.check_promises()
                if moment.number % _RERUN_EACH == 0:
                    written = self.write(chance)
                    self.start()
                    self.run_jobs()
                    ends |= self.check_end(written)
        # All that can be was.
        self.assertEqual({'new', f'old{_WRITTEN}', f'new{_WRITTEN}'}, ends)

    def restore(self) -> None:
        """Restore all volumes; the moments of it are kept."""
        checkpoint = self.make_checkpoint()
        for volume in self.volumes:
            snapshot = self.snapshot_of(volume['id'], checkpoint['id'])
            self.cinder.contents[snapshot] = 'new'  # as the volume was then
        self.use('restore', checkpoint, in_place=True)
        self.glance.faults = [Fault(hook=self.note)]
        self.record()
        self.glance.faults = []
        self.assertEqual(['new'] * len(self.volumes), list(self.contents().values()))

    def snapshot_of(self, volume_id: str, checkpoint_id: str) -> str:
        (found,) = [
            item['id']
            for item in self.cinder.snapshots.values()
            if (item['volume_id'], item['metadata']['karbor_checkpoint_id'])
            == (volume_id, checkpoint_id)
        ]
        return found

    def contents(self) -> dict[str, str]:
        return {volume['id']: self.cinder.contents[volume['id']] for volume in self.volumes}

    def write(self, chance: random.Random) -> dict[str, str]:
        """Use some of the volumes that can be attached; what they hold then."""
        for volume in self.volumes:
            shown = self.cinder.volumes[volume['id']]
            if shown['status'] == 'available' and chance.random() < 0.7:
                self.cinder.contents[volume['id']] += _WRITTEN
                shown['updated_at'] = self.cinder.now()
        return {key: value for key, value in self.contents().items() if value.endswith(_WRITTEN)}

    def check_promises(self) -> None:
        """What the rows say is done is done, and was kept before."""
        found = self.look()
        restore = found.restore
        for volume_id in found.done('chosen_restore'):
            self.assertEqual('new', self.cinder.contents[volume_id])
            self.assertEqual('available', self.cinder.volumes[volume_id]['status'])
            self.check_kept(volume_id, str(restore.safety_checkpoint_id))

    def check_kept(self, volume_id: str, safety_id: str) -> None:
        self.assertIn('old', self.cinder.contents[self.snapshot_of(volume_id, safety_id)])

    def check_end(self, written: Mapping[str, str]) -> set[str]:
        """When all is over; returns what volumes hold.

        :param written: what those held at the cut to which something was written then.
        """
        found = self.look()
        self.assertEqual({}, self.glance.images)
        self.assertEqual({}, self.cinder.reimages)
        self.assertIn(found.restore.status, ('success', 'fail'))
        safety_id = str(found.restore.safety_checkpoint_id)
        done = found.done('chosen_restore')
        for volume_id, content in self.contents().items():
            shown = self.cinder.volumes[volume_id]
            self.assertEqual(
                ('available', 'false', {'os_type': 'linux'}),
                (shown['status'], shown['bootable'], shown['volume_image_metadata']),
            )
            self.assertEqual(volume_id in done, content.startswith('new'))
            if content.startswith('new'):
                self.check_kept(volume_id, safety_id)
            before = written.get(volume_id)
            if before is None:
                self.assertEqual('new', content)
            elif content == 'new':  # then it was written to before it was kept
                kept = self.snapshot_of(volume_id, safety_id)
                self.assertEqual(before, self.cinder.contents[kept])
            else:
                self.assertEqual(before, content)
        (safety,) = [row for row in found.rows[models.Checkpoint] if row.id == safety_id]
        self.assertEqual('available', safety.status)
        return set(self.contents().values())
