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

"""What is listed of Cinder, on the fake one."""

import datetime
from typing import Any
from unittest import mock

from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import session as ks_session

from karbor import exception
from karbor.services.cinder import requests as cinder_requests
from karbor.services.recovery import inventory as cinder_inventory
from karbor.testing import fake_cinder
from karbor.testing.fake_cinder import Fault
from karbor.tests import base, inventories
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID

MARKS = inventories.marks(provider=PROVIDER_ID, checkpoint='c')


class InventoryTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cinder = fake_cinder.FakeCinder(PROJECT_ID)
        self.cinder.is_admin = True
        self.url = self.enterContext(self.cinder.serve())
        self.config.config(cinder_endpoint=self.url, group='cinder_client')
        self.enterContext(mock.patch.object(cinder_inventory, '_PATIENCE', 1))
        self.inventory = inventories.inventory(self.url)

    def snapshots(self, count: int) -> list[str]:
        volume = self.cinder.add_volume()
        return [self.cinder.add_snapshot(volume['id'], metadata=MARKS)['id'] for _ in range(count)]

    def listed(self) -> list[str]:
        return [item.id for item in self.inventory.snapshots(PROVIDER_ID)]

    def test_what_is_told_of_one(self) -> None:
        (made,) = self.snapshots(1)
        (item,) = self.inventory.snapshots(PROVIDER_ID)
        self.assertEqual(
            (made, 'snapshot', 'available', 1, PROJECT_ID, 'c'),
            (item.id, item.kind, item.status, item.size, item.project_id, item.checkpoint_id),
        )
        self.assertLess(
            abs(
                datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - item.created_at
            ).total_seconds(),
            60,
        )
        self.assertEqual(item, self.inventory.again(item))

    def test_times_with_a_zone(self) -> None:
        volume = self.cinder.add_volume()
        self.cinder.add_snapshot(
            volume['id'], metadata=MARKS, created_at='2026-01-02T03:04:05+01:00'
        )
        (item,) = self.inventory.snapshots(PROVIDER_ID)
        self.assertEqual(datetime.datetime(2026, 1, 2, 2, 4, 5), item.created_at)

    def test_pages(self) -> None:
        made = self.snapshots(7)
        with mock.patch.object(cinder_requests, 'PAGE_LIMIT', 3):
            self.assertEqual(made, self.listed())
        self.assertEqual(3, self.cinder.requests['GET', '/snapshots/detail'])

    def test_a_cloud_with_smaller_pages(self) -> None:
        made = self.snapshots(7)
        self.cinder.osapi_max_limit = 3
        self.assertEqual(made, self.listed())

    def test_a_marker_that_is_deleted_between_two_pages(self) -> None:
        made = self.snapshots(6)
        times = iter(range(9))

        def lose() -> None:
            if next(times) == 1:
                del self.cinder.snapshots[made[1]]

        self.cinder.faults.append(Fault('GET', '/snapshots/detail', hook=lose))
        with mock.patch.object(cinder_requests, 'PAGE_LIMIT', 2):
            self.assertEqual([made[0], *made[2:]], self.listed())

    def test_volumes_of_restores_alone(self) -> None:
        self.cinder.add_volume(metadata=MARKS)
        made = self.cinder.add_volume(metadata={**MARKS, **inventories.marks(restore='r')})
        (item,) = self.inventory.volumes(PROVIDER_ID)
        self.assertEqual(
            (made['id'], 'volume', 'r', PROJECT_ID),
            (item.id, item.kind, item.restore_id, item.project_id),
        )

    def test_other_projects(self) -> None:
        volume = self.cinder.add_volume()
        self.cinder.add_snapshot(
            volume['id'],
            metadata=MARKS,
            **{'os-extended-snapshot-attributes:project_id': OTHER_PROJECT_ID},
        )
        self.assertEqual(
            [], inventories.inventory(self.url, is_whole_cloud=False).snapshots(PROVIDER_ID)
        )
        (item,) = self.inventory.snapshots(PROVIDER_ID)
        self.assertEqual(OTHER_PROJECT_ID, item.project_id)

    def test_rights(self) -> None:
        self.inventory.check()
        self.cinder.is_admin = False
        self.assertRaises(exception.InventoryFailed, self.inventory.check)
        inventories.inventory(self.url, is_whole_cloud=False).check()

    def test_a_cinder_that_is_away(self) -> None:
        self.cinder.faults.append(Fault(status=503))
        for call in (self.inventory.check, self.listed):
            error = self.assertRaises(exception.InventoryFailed, call)
            self.assertIn('503', error.msg)
            self.assertNotIn('administrator', error.msg)

    def test_a_passing_fault(self) -> None:
        made = self.snapshots(1)
        self.cinder.faults.append(Fault(status=500, times=1))
        self.assertEqual(made, self.listed())

    def test_credentials(self) -> None:
        for answer, words in (
            (None, 'no project'),
            (ks_exc.Unauthorized('no'), '401'),
            (ks_exc.ConnectFailure('at 10.0.0.1'), 'could not be reached'),
        ):
            session = mock.Mock(spec=ks_session.Session)
            session.get_project_id.side_effect = [answer]
            found: Any = cinder_inventory.Inventory(session, is_whole_cloud=True)
            error = self.assertRaises(exception.InventoryFailed, found.check)
            self.assertIn(words, error.msg)
            self.assertNotIn('10.0.0.1', error.msg)

    def test_removal(self) -> None:
        first, second = self.snapshots(2)
        items = {item.id: item for item in self.inventory.snapshots(PROVIDER_ID)}
        self.assertIsNone(self.inventory.remove(items[first], 10))
        self.assertEqual([second], list(self.cinder.snapshots))
        self.assertIsNone(self.inventory.again(items[first]))
        self.assertIsNone(self.inventory.remove(items[first], 10))
        self.cinder.settle_to['deletion'] = None
        self.assertIn(
            f'the snapshot {second} is still in status deleting',
            self.inventory.remove(items[second], 1),
        )
