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

"""Volumes through a Cinder that answers badly, late, or not at all.

``KARBOR_TEST_VOLUMES`` says how many.
"""

import os

from karbor.testing import fault_proxy
from karbor.testing.fault_proxy import Fault, Rule
from karbor.tests.integration import base, cloud

_VOLUMES = int(os.environ.get('KARBOR_TEST_VOLUMES') or 10)

# Each is a list of rules that hold during protect, restore and delete.
_SCENARIOS = {
    'latency': [Rule(latency=0.3)],
    'too_many_requests': [Rule(fault=Fault.TOO_MANY_REQUESTS, retry_after=1, probability=0.2)],
    'internal_error': [Rule(fault=Fault.INTERNAL_ERROR, probability=0.2)],
    'unavailable': [Rule(fault=Fault.UNAVAILABLE, probability=0.2)],
    'reset_before': [Rule(fault=Fault.RESET_BEFORE, probability=0.2)],
    'reset_after': [Rule(fault=Fault.RESET_AFTER, probability=0.2)],
    'lost_answers': [Rule(method='POST|DELETE', fault=Fault.RESET_AFTER, times=10)],
}


class FaultTest(base.IntegrationTestCase):
    def _round(self, scenario: str) -> None:
        """Protect, restore and delete; nothing is lost, doubled or left."""
        proxy = fault_proxy.FaultProxy(_cinder_url())
        proxy.start()
        self.addCleanup(proxy.stop)
        volume_ids = self.project.volumes(_VOLUMES)
        karbor = self.standalone(cinder_endpoint=f'{proxy.url}/v3')
        plan_id = karbor.plan(volume_ids)
        proxy.rules = _SCENARIOS[scenario]

        checkpoint_id = karbor.protect(plan_id)
        checkpoint = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual(('available', None), (checkpoint['status'], checkpoint['status_reason']))
        self.assert_protected(karbor, checkpoint_id, volume_ids)

        restore = karbor.wait_for_use('restore', karbor.use('restore', checkpoint_id))
        self.assertEqual(('success', None), (restore['status'], restore['status_reason']))
        restored = {key.partition('#')[2] for key in restore['resources_status']}
        self.assertEqual(_VOLUMES, len(restored))
        self.assertEqual(
            {*volume_ids, *restored}, {volume.id for volume in self.project.cinder.volumes.list()}
        )

        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())

    def test_latency(self) -> None:
        self._round('latency')

    def test_too_many_requests(self) -> None:
        self._round('too_many_requests')

    def test_internal_error(self) -> None:
        self._round('internal_error')

    def test_unavailable(self) -> None:
        self._round('unavailable')

    def test_reset_before(self) -> None:
        self._round('reset_before')

    def test_reset_after(self) -> None:
        self._round('reset_after')

    def test_lost_answers(self) -> None:
        self._round('lost_answers')

    def test_cinder_away_for_good(self) -> None:
        """The checkpoint ends with a reason, and can be deleted once Cinder is back."""
        proxy = fault_proxy.FaultProxy(_cinder_url())
        proxy.start()
        self.addCleanup(proxy.stop)
        volume_ids = self.project.volumes(2)
        karbor = self.standalone(cinder_endpoint=f'{proxy.url}/v3', retry_timeout=3)
        plan_id = karbor.plan(volume_ids)
        proxy.rules = [Rule(fault=Fault.UNAVAILABLE)]
        checkpoint_id = karbor.protect(plan_id)
        checkpoint = karbor.wait_for_checkpoint(checkpoint_id, 'available', 'error')
        self.assertEqual('error', checkpoint['status'])
        self.assertIn('503', checkpoint['status_reason'])
        proxy.rules = []
        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())


def _cinder_url() -> str:
    return cloud.settings()['cinder_url'].removesuffix('/v3')
