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

"""karbor-standalone killed at random moments: nothing is lost, doubled or left behind."""

import os
import random
import time

from testtools import content

from karbor.tests.integration import base

_VOLUMES = 20
# By hand: KARBOR_KILLS=200 tox -e integration -- test_kill
_KILLS = int(os.environ.get('KARBOR_KILLS', '5'))
_LONGEST_LIFE = 2.0  # seconds; a protect of 20 volumes takes about as long


class KillTest(base.IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        seed = int(os.environ.get('KARBOR_SEED', time.time_ns()))
        self.addDetail('seed', content.text_content(f'KARBOR_SEED={seed}'))
        self.random = random.Random(seed)
        self.volume_ids = self.project.volumes(_VOLUMES)
        self.karbor = self.standalone()
        self.plan_id = self.karbor.plan(self.volume_ids)

    def _kill_and_restart(self) -> None:
        time.sleep(self.random.uniform(0, _LONGEST_LIFE))
        self.karbor.kill()
        self.karbor.start()

    def test_protect(self) -> None:
        for _ in range(_KILLS):
            checkpoint_id = self.karbor.protect(self.plan_id)
            self._kill_and_restart()
            checkpoint = self.karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
            self.assertEqual(
                ('available', None, _VOLUMES),
                (checkpoint['status'], checkpoint['status_reason'], checkpoint['resources_done']),
            )
            self.assert_protected(self.karbor, checkpoint_id, self.volume_ids)
            self.assertEqual('deleted', self.karbor.delete(checkpoint_id)['status'])
            self.assertEqual({}, self.project.snapshots())
        self._say_how_many_hit()

    def _say_how_many_hit(self) -> None:
        """Kills that found no job running prove nothing: most must have broken one off."""
        broken_off = self.karbor.log.read_text().count('taken up again')
        print(f'{broken_off} of {_KILLS} kills broke off a job')  # noqa: T201
        self.assertGreater(broken_off, _KILLS // 2)

    def test_restore_and_delete(self) -> None:
        for _ in range(max(_KILLS // 5, 1)):
            checkpoint_id = self.karbor.protect(self.plan_id)
            self.karbor.wait_for_checkpoint(checkpoint_id, 'available')
            restore_id = self.karbor.use('restore', checkpoint_id)
            self._kill_and_restart()
            restore = self.karbor.wait_for_use('restore', restore_id)
            self.assertEqual(('success', None), (restore['status'], restore['status_reason']))
            self._assert_restored_once(restore)
            self.karbor.ask_to_delete(checkpoint_id)
            self._kill_and_restart()
            checkpoint = self.karbor.wait_for_checkpoint(checkpoint_id, 'deleted', 'error-deleting')
            self.assertEqual('deleted', checkpoint['status'])
            self.assertEqual({}, self.project.snapshots())

    def _assert_restored_once(self, restore: dict) -> None:
        """Each volume has one new one, which the restore knows; then remove them."""
        known = {key.partition('#')[2] for key in restore['resources_status']}
        made = {
            volume.id
            for volume in self.project.cinder.volumes.list()
            if volume.id not in self.volume_ids
        }
        self.assertEqual((known, _VOLUMES), (made, len(made)))
        for volume_id in made:
            self.project.cinder.volumes.delete(volume_id)
