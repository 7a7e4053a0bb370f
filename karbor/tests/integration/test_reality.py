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

"""Snapshots that somebody deletes in Cinder, and a folder that is taken to another region."""

from typing import Any

from karbor.tests.integration import base, cloud


class RealityTest(base.IntegrationTestCase):
    def lose(self, volume_id: str) -> None:
        """Delete the snapshot of a volume behind Karbor's back."""
        cinder = cloud.admin_cinder()
        (snapshot_id,) = self.project.snapshots()[volume_id]
        cinder.volume_snapshots.delete(snapshot_id)
        cloud.wait_until(lambda: volume_id not in self.project.snapshots(), 'its deletion')

    def states(self, shown: dict[str, Any]) -> dict[str, str]:
        return {each['id']: each['state'] for each in shown['resources']}

    def test_a_verification_and_a_look(self) -> None:
        karbor = self.standalone()
        verified, looked_for, kept = self.project.volumes(3)
        checkpoint_id = karbor.protect(karbor.plan([verified, looked_for, kept]))
        shown = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual(('available', 'RegionOne'), (shown['status'], shown['region']))

        self.lose(verified)
        use = karbor.wait_for_use('verification', karbor.use('verification', checkpoint_id))
        self.assertEqual('fail', use['status'])
        wanted = {verified: 'missing', looked_for: 'good', kept: 'good'}
        self.assertEqual(wanted, self.states(karbor.checkpoint(checkpoint_id)))

        self.lose(looked_for)
        karbor.stop()
        report = karbor.manage('reconcile', 'now')
        self.assertEqual(0, report.returncode, report.stdout)
        self.assertIn(f'1 recovery point is missing: {base.VOLUME}#{looked_for}', report.stdout)
        karbor.start()
        shown = karbor.checkpoint(checkpoint_id)
        self.assertEqual({**wanted, looked_for: 'missing'}, self.states(shown))
        self.assertEqual('2 recovery points are missing', shown['status_reason'])
        logs = karbor.call('GET', f'/operation_logs?checkpoint_id={checkpoint_id}')
        told = [log['error_info'] for log in logs if log['operation_type'] == 'compare']
        self.assertEqual(2, len(told))
        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())

    def test_the_same_folder_in_another_region(self) -> None:
        karbor = self.standalone()
        (volume_id,) = self.project.volumes(1)
        checkpoint_id = karbor.protect(karbor.plan([volume_id]))
        karbor.wait_for_checkpoint(checkpoint_id, 'available')
        karbor.stop()
        clouds_yaml = self.folder / 'clouds.yaml'
        here = clouds_yaml.read_text()
        clouds_yaml.write_text(here.replace('RegionOne', 'RegionTwo'))
        for refused in (karbor.run_to_end().stderr, karbor.manage('reconcile', 'now').stdout):
            self.assertIn('belongs to the region RegionOne', refused)
            self.assertNotIn('Traceback', refused)
        clouds_yaml.write_text(here)
        (karbor.state / 'region').unlink()  # as an older Karbor has left it
        karbor.start()
        self.assertEqual('RegionOne\n', (karbor.state / 'region').read_text())
        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())
