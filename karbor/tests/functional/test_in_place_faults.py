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

"""Each request of a restore in place is answered badly, late, in vain, or not at all."""

import functools
import os
from typing import Any

from karbor.testing.fake_cinder import Fault
from karbor.tests.functional import base, faulted

# By hand: KARBOR_ALL_FAULTS=1, for every fault of every request.
_IS_LONG = bool(os.environ.get('KARBOR_ALL_FAULTS'))
# Not 404, which says that something is gone, and is believed.
_REFUSALS = ({'status': 400}, {'status': 403})


@base.in_process_only('jobs run in this process')
class InPlaceFaultsTestCase(faulted.FaultedTestCase):
    @functools.cached_property
    def held(self) -> tuple[str, dict[str, Any]]:
        """The id of a volume, and a checkpoint of it."""
        volume = self.volume()
        self.cinder.contents[volume['id']] = 'first'
        checkpoint = self.create_checkpoint(self.create_plan(volume))
        self.run_jobs()
        return volume['id'], checkpoint

    def restored(self, fault: Fault | None = None) -> dict[str, Any]:
        """A restore in place of what holds something else now."""
        volume_id, checkpoint = self.held
        self.cinder.contents[volume_id] = 'now'
        restore = self.use('restore', checkpoint, in_place=True)
        self.run_faulted(fault)
        return self.get(f'/restores/{restore["id"]}')['restore']

    @property
    def content(self) -> str:
        return self.cinder.contents[self.held[0]]


class OneFaultTest(InPlaceFaultsTestCase):
    def test_one_of_all(self):
        """What fails once is asked for again, and done once."""
        for first in range(len(faulted.PASSING) if _IS_LONG else 1):
            number, seen = 1, 1
            while seen >= number:
                fault = faulted.PASSING[(first + number) % len(faulted.PASSING)]
                made = faulted.From(number, is_lasting=False, **fault)
                restore = self.restored(made)
                where = f'{fault} of request {number}: {restore}'
                self.assertEqual('success', restore['status'], where)
                self.assertEqual('first', self.content, where)
                self.assertEqual({}, self.glance.images, where)
                number, seen = number + 1, made.seen
            self.assertGreater(number, 20)

    def test_one_refused(self):
        """It is done, and what is not put back is named; or it is not done, and that is told."""
        shown = self.cinder.volumes[self.held[0]]
        none = faulted.From(0, is_lasting=False)
        self.restored(none)
        ends = set()
        for number in range(1, none.seen + 1):
            for fault in _REFUSALS if _IS_LONG else (_REFUSALS[number % 2],):
                shown.update(bootable='false', volume_image_metadata={'os_type': 'linux'})
                made = faulted.From(number, is_lasting=False, **fault)
                (result,) = self.restored(made)['results']
                while shown['status'] == 'downloading':  # nobody has looked to the end
                    self.cinder.look('volumes', shown)
                where = f'{fault} of request {number}: {result}'
                self.assertEqual('available', shown['status'], where)
                self.assertEqual({}, self.glance.images, where)
                self.check_refused(result, where)
                ends.add(result['end'])
        self.assertEqual({'restored', 'failed'}, ends)

    def check_refused(self, result: dict[str, Any], where: str) -> None:
        shown = self.cinder.volumes[self.held[0]]
        reason = result['reason'] or ''
        if result['end'] == 'failed':
            told = ('what became of that is not known', 'it holds what the snapshot held')
            is_told = any(words in reason for words in told)
            self.assertTrue(self.content == 'now' or is_told, f'{where}: {self.content}')
            return
        self.assertEqual('first', self.content, where)
        missing = {
            name
            for name, is_well in (
                ('its bootable flag', shown['bootable'] == 'false'),
                ('image', shown['volume_image_metadata'] == {'os_type': 'linux'}),
            )
            if not is_well
        }
        self.assertEqual([], [name for name in missing if name not in reason], f'{where}: {shown}')


class GoneTest(InPlaceFaultsTestCase):
    patience = 0.1

    def test_all_from_one_on(self):
        """A cloud that is gone for good leaves one of both, and says so; and then it goes on."""
        number, seen = 1, 1
        ends = set()
        while seen >= number:
            made = faulted.From(number, is_lasting=True, reset='before')
            shown = self.restored(made)
            volume = self.cinder.volumes[self.held[0]]
            while volume['status'] == 'downloading':
                self.cinder.look('volumes', volume)
            ends.add((shown['status'], self.content))
            (result,) = shown['results']
            self.assertTrue(result['end'] == 'restored' or result['reason'], shown)
            again = self.restored()
            self.assertEqual(('success', 'first'), (again['status'], self.content), again)
            self.assertEqual({}, self.glance.images)
            number, seen = number + (1 if _IS_LONG else 3), made.seen
        self.assertEqual({('fail', 'now'), ('fail', 'first'), ('success', 'first')}, ends)
