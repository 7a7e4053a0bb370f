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

"""The region of a standalone Karbor's folder."""

import datetime
import pathlib
import threading
from unittest import mock

import sqlalchemy as sa
from oslo_db import exception as db_exc

from karbor import db, exception
from karbor.cmd import home_region
from karbor.common import state_dir
from karbor.db import models
from karbor.services.protection import provider
from karbor.services.recovery import point_filling
from karbor.tests import base
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base as functional_base

_NOON = datetime.datetime(2026, 1, 1, 12)


class _Inventory:
    """Cinder in some region, with some snapshots.

    :ivar fault: what it answers with instead.
    :ivar asked: how many times it was asked for one.
    """

    def __init__(self, region: str | None, *snapshot_ids: str) -> None:
        self.region = region
        self.snapshot_ids = snapshot_ids
        self.fault: Exception | None = None
        self.asked = 0

    def has_snapshot(self, snapshot_id: str, *, is_retrying: bool) -> bool:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return snapshot_id in self.snapshot_ids


class HomeRegionTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.temp_dir / 'state'
        self.state = state_dir.StateDirectory(self.path)
        self.registry = provider.ProviderRegistry(self.provider_dir())

    def home(self, inventory: _Inventory) -> home_region.HomeRegion:
        return home_region.HomeRegion(self.state, self.registry, inventory)  # type: ignore[arg-type]

    def refused(self, inventory: _Inventory) -> str:
        error = self.assertRaises(state_dir.StateDirectoryError, self.home(inventory).is_settled)
        self.assertNotIn('\n', str(error))
        return str(error)

    def record(self, count: int, state: str = 'good') -> list[str]:
        """Points of snapshots, newest first; returns the ids of these."""
        ids = [new_id() for _ in range(count)]
        with db.writer() as session:
            session.add(models.Checkpoint(**functional_base.fields_of(models.Checkpoint)))
            session.execute(
                sa.insert(models.RecoveryPoint),
                [
                    {
                        'id': new_id(),
                        'checkpoint_id': new_id(),
                        'resource_type': 'OS::Cinder::Volume',
                        'resource_id': new_id(),
                        'resource_name': '',
                        'project_id': PROJECT_ID,
                        'provider_id': PROVIDER_ID,
                        'plan_id': new_id(),
                        'cloud_id': cloud_id,
                        'state': state,
                        'created_at': _NOON - datetime.timedelta(hours=number),
                    }
                    for number, cloud_id in enumerate(ids)
                ],
            )
        return ids

    def test_an_empty_folder_claims_no_region_without_a_cinder(self) -> None:
        """As when its name is misspelled: the right one is taken later."""
        inventory = _Inventory('RegoinOne')
        inventory.fault = exception.InventoryFailed(reason='no endpoint')
        self.assertFalse(self.home(inventory).is_settled())
        self.assertIsNone(self.state.region)
        self.assertTrue(self.home(_Inventory('RegionOne')).is_settled())
        self.assertEqual('RegionOne', self.state.region)

    def regions(self) -> set[str | None]:
        with db.reader() as session:
            return set(session.scalars(sa.select(models.Checkpoint.region)))

    def record_before_points(self) -> str:
        """A snapshot of the time before recovery points: the bank alone knows it."""
        snapshot_id, volume_id = new_id(), new_id()
        with db.writer() as session:
            row = models.Checkpoint(**functional_base.fields_of(models.Checkpoint))
            session.add(row)
            session.flush()
            checkpoint_id = row.id
            session.add(
                models.RecoveryPoint(
                    checkpoint_id=checkpoint_id,
                    resource_type='OS::Cinder::Volume',
                    resource_id=volume_id,
                    resource_name='',
                    project_id=PROJECT_ID,
                    provider_id=PROVIDER_ID,
                    plan_id=new_id(),
                    state='good',
                )
            )
        checkpoint = self.registry.get(PROVIDER_ID).checkpoints.create(
            checkpoint_id,
            {'id': new_id(), 'name': 'p', 'provider_id': PROVIDER_ID, 'resources': []},
            project_id=PROJECT_ID,
            resource_graph='[{}, []]',
            extra_info=None,
            created_at=_NOON,
            status='available',
        )
        section = checkpoint.get_resource_bank_section(volume_id)
        section.update_object('status', 'available')
        section.update_object('metadata', {'snapshot_id': snapshot_id})
        return snapshot_id

    def test_a_folder_that_is_older_than_recovery_points(self) -> None:
        snapshot_id = self.record_before_points()
        self.assertIn('none of its 1 newest', self.refused(_Inventory('B')))
        self.assertIsNone(self.state.region)
        self.assertTrue(self.home(_Inventory('A', snapshot_id)).is_settled())
        self.assertEqual(('A', {'A'}), (self.state.region, self.regions()))

    def test_a_bank_that_is_away(self) -> None:
        """Nobody can tell then which snapshots an older folder has."""
        snapshot_id = self.record_before_points()
        fault = mock.patch.object(
            point_filling, '_in_bank', side_effect=exception.BankError(reason='away')
        )
        with fault, self.assertLogs('karbor', 'WARNING') as logged:
            self.assertFalse(self.home(_Inventory('B')).is_settled())
        self.assertIn('the bank does not tell', logged.output[-1])
        self.assertIsNone(self.state.region)
        self.assertTrue(self.home(_Inventory('A', snapshot_id)).is_settled())

    def test_snapshots_of_points_that_are_not_good(self) -> None:
        (failed,) = self.record(1, 'failed')
        self.refused(_Inventory('B'))
        self.assertTrue(self.home(_Inventory('A', failed)).is_settled())
        self.assertEqual({'A'}, self.regions())

    def test_a_kill_in_between(self) -> None:
        """No checkpoint is left of which nobody knows where it was made."""
        (snapshot_id,) = self.record(1)
        home = self.home(_Inventory('A', snapshot_id))
        with mock.patch.object(self.state, 'claim_region', side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, home.settle)
        self.assertEqual((None, {'A'}), (self.state.region, self.regions()))
        home.settle()
        self.assertEqual('A', self.state.region)

    def test_checkpoints_of_a_known_folder(self) -> None:
        """All of it was made in its region, also what a bank has brought back without one."""
        self.home(_Inventory('A')).settle()
        self.record(1)
        self.refused(_Inventory('B'))
        self.assertEqual({None}, self.regions())
        self.home(_Inventory('A')).settle()
        self.assertEqual({'A'}, self.regions())

    def test_faults_while_it_waits(self) -> None:
        """A database, or a disk, that is away for a moment ends nothing."""
        inventory = _Inventory('A', *self.record(1))
        faults = [db_exc.DBError(), OSError('full'), ValueError('?'), None]
        begun, stop = threading.Event(), threading.Event()
        self.addCleanup(stop.set)
        home = self.home(inventory)
        with (
            mock.patch.object(home_region, '_PAUSE', 0.01),
            mock.patch.object(home, 'settle', side_effect=faults),
            self.assertLogs('karbor', 'ERROR') as logged,
        ):
            home.wait(begun.set, stop)
            self.wait_until(begun.is_set, 'the begin')
        self.assertEqual(3, len(logged.output))

    def test_a_begin_that_fails(self) -> None:
        tries, stop = [], threading.Event()
        self.addCleanup(stop.set)

        def begin() -> None:
            tries.append(1)
            if len(tries) < 3:
                raise db_exc.DBError

        with mock.patch.object(home_region, '_PAUSE', 0.01), self.assertLogs('karbor', 'ERROR'):
            self.home(_Inventory('A')).wait(begin, stop)
            self.wait_until(lambda: len(tries) == 3, 'the third try')

    def test_a_new_folder_learns_it(self) -> None:
        self.assertTrue(self.home(_Inventory('A')).is_settled())
        self.assertEqual('A', self.state.region)

    def test_another_region(self) -> None:
        self.home(_Inventory('A')).settle()
        self.record(1)
        other = _Inventory('B')
        said = self.refused(other)
        for part in (str(self.path), 'region A', 'region B', 'OS_REGION_NAME', '--state-dir'):
            self.assertIn(part, said)
        self.assertEqual(0, other.asked)
        self.assertEqual('A', self.state.region)

    def test_the_same_one_asks_for_nothing(self) -> None:
        self.home(_Inventory('A')).settle()
        self.record(1)
        same = _Inventory('A')
        same.fault = exception.InventoryFailed(reason='away')
        self.assertTrue(self.home(same).is_settled())

    def test_an_old_folder_finds_one_of_its_own(self) -> None:
        ids = self.record(30)
        self.assertIn(
            'none of its 20 newest snapshots is in region B', self.refused(_Inventory('B'))
        )
        self.assertIn('20 newest', self.refused(_Inventory('B', ids[20])))
        self.assertIsNone(self.state.region)
        self.assertEqual({None}, self.regions())
        self.assertTrue(self.home(_Inventory('A', ids[19])).is_settled())
        self.assertEqual('A', self.state.region)
        self.assertEqual({'A'}, self.regions())  # so that it is believed what else is gone

    def test_what_an_old_folder_says_to_do(self) -> None:
        self.record(1)
        said = self.refused(_Inventory('A'))
        self.assertIn(str(self.state.region_file), said)
        self.state.region_file.write_text('A\n')
        self.assertTrue(self.home(_Inventory('A')).is_settled())

    def test_an_old_folder_without_good_snapshots(self) -> None:
        self.record(1, 'missing')
        self.record(1, 'deleted')
        self.assertTrue(self.home(_Inventory('A')).is_settled())
        self.assertEqual('A', self.state.region)

    def test_a_cinder_that_is_away(self) -> None:
        """Nothing is refused and nothing written, and no job begins before it is decided."""
        (snapshot_id,) = self.record(1)
        inventory = _Inventory('A', snapshot_id)
        inventory.fault = exception.InventoryFailed(reason='away')
        home = self.home(inventory)
        self.assertFalse(home.is_settled())
        self.assertIsNone(self.state.region)
        begun, stop = threading.Event(), threading.Event()
        self.addCleanup(stop.set)
        with mock.patch.object(home_region, '_PAUSE', 0.01):
            home.wait(begun.set, stop)
            self.wait_until(lambda: inventory.asked > 3, 'a second try')
            self.assertFalse(begun.is_set())
            inventory.fault = None
            self.wait_until(begun.is_set, 'the begin')
        self.assertEqual('A', self.state.region)

    def test_another_region_behind_a_cinder_that_was_away(self) -> None:
        self.record(1)
        inventory = _Inventory('B')
        begun, stop = threading.Event(), threading.Event()
        self.addCleanup(stop.set)
        with (
            mock.patch.object(home_region, '_PAUSE', 0.01),
            self.assertLogs('karbor', 'ERROR') as logged,
        ):
            self.home(inventory).wait(begun.set, stop)
            self.wait_until(lambda: inventory.asked > 3, 'more tries')
            stop.set()
        self.assertEqual(1, len(logged.output))
        self.assertFalse(begun.is_set())

    def test_several_regions(self) -> None:
        """None is taken by chance, and the first start does not settle for one."""
        inventory = mock.Mock()
        type(inventory).region = mock.PropertyMock(
            side_effect=exception.RegionNotChosen(regions='A, B')
        )
        said = self.refused(inventory)
        for part in ('(A, B)', 'region_id', 'region_name', 'OS_REGION_NAME'):
            self.assertIn(part, said)
        self.assertIsNone(self.state.region)

    def test_a_region_without_a_name(self) -> None:
        """Where nothing tells it, each start finds one of the folder's own."""
        self.assertTrue(self.home(_Inventory(None)).is_settled())
        self.assertIsNone(self.state.region)
        ids = self.record(2)
        self.assertTrue(self.home(_Inventory(None, ids[1])).is_settled())
        self.assertIn('the region of these credentials', self.refused(_Inventory(None)))

    def test_a_copied_folder(self) -> None:
        self.home(_Inventory('A')).settle()
        copy = self.temp_dir / 'copy'
        copy.mkdir(mode=0o700)
        (copy / 'region').write_text((self.path / 'region').read_text())
        self.state = state_dir.StateDirectory(pathlib.Path(copy))
        self.refused(_Inventory('B'))
        self.assertTrue(self.home(_Inventory('A')).is_settled())
