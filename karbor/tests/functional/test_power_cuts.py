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

"""The power goes at any moment of a job, and a new worker goes on with what the disk holds.

Each moment before something is done to the bank, or asked of Cinder, is kept: what the disk would
hold, the rows, which are durable when they are committed, and Cinder, which goes on.
"""

import contextlib
import copy
import dataclasses
import pathlib
import random
import shutil
import sqlite3
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import fixtures

from karbor import db
from karbor.common.constants import RecoveryPointState as State
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.jobs import walker
from karbor.services.protection import client_factory, provider
from karbor.testing.fake_cinder import Fault
from karbor.tests import base as tests_base
from karbor.tests import power_cuts, runners
from karbor.tests.base import PROVIDER_ID
from karbor.tests.functional import base

_VOLUMES = 4
_AT_ONCE = 2  # so that some are done while others are not begun
_RERUNS = 16  # of a job, from moments that chance takes; what was promised is looked at in all

# What says what there is in the fake of Cinder.
_CINDER = ('volumes', 'snapshots', '_pending')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment of a job.

    :ivar number: of all moments of the job.
    :ivar disk: what was done to it.
    :ivar rows: a copy of the database.
    :ivar cinder: its attributes that say what there is.
    """

    number: int
    disk: power_cuts.Folder
    rows: pathlib.Path
    cinder: dict[str, Any]


@unittest.skipUnless(tests_base.DATABASE == 'sqlite', 'copies of a database are files')
@base.in_process_only('jobs run in this process')
class PowerCutTest(base.CloudTestCase):
    """Whatever is left: nothing is lost that the rows say is done, and nothing is doubled."""

    def setUp(self) -> None:
        super().setUp()
        client_factory.use_sessions(lambda _context: self.cinder.session())
        # Each resource is written as done by itself, so that there are more different moments.
        self.useFixture(fixtures.MockPatchObject(walker, '_TELL_AFTER', 0))
        self.bank_path = self.temp_dir / 'bank-provider'
        self.moments: list[Moment] = []
        self.copies = self.temp_dir / 'copies'
        self.copies.mkdir()
        shutil.rmtree(self.bank_path)
        self.disk = power_cuts.RecordedDisk(self.temp_dir, self.note)
        with self.disk.recording():
            self.start()
        self.volumes = [self.volume() for _ in range(_VOLUMES)]

    def build(self, registry: provider.ProviderRegistry) -> None:
        del registry
        folder = self.provider_dir(max_creating=_AT_ONCE)
        super().build(provider.ProviderRegistry(folder))

    def work(self) -> None:
        """Each job is run by the test itself."""

    # A worker, and what is kept of its moments

    def start(self) -> None:
        """Begin as a new process does."""
        self.registry = provider.ProviderRegistry(self.temp_dir / 'providers.d')
        self.bank = self.registry.get(PROVIDER_ID).bank
        environment = runners.environment(
            self.registry,
            self.environment.protectables,
            self.board.post,
            base.context_of,
            max_concurrent_resources=_AT_ONCE,
        )
        self.worker = runners.runner(environment, is_alone=True)

    def run_jobs(self) -> None:
        """Take up all jobs that are not over, and bring them to their ends."""
        for job_id in db.transaction(job_rows.take_up_again)():
            self.worker.run(job_id)

    def record(self) -> None:
        """Run the job that was asked for, and keep its moments."""
        self.moments = []
        self.cinder.looks_until_settled = 1
        self.cinder.faults = [Fault(hook=self.note)]
        with self.disk.recording():
            self.run_jobs()
        self.note()
        self.cinder.faults = []

    def note(self) -> None:
        """Keep this moment."""
        with self.disk.standing_still() as content, self.cinder.lock:
            number = len(self.moments)
            rows = self.copies / f'{number}.db'
            with (
                contextlib.closing(sqlite3.connect(self.temp_dir / 'karbor.db')) as source,
                contextlib.closing(sqlite3.connect(rows)) as target,
            ):
                source.backup(target)
            cinder = {name: copy.deepcopy(getattr(self.cinder, name)) for name in _CINDER}
            self.moments.append(Moment(number=number, disk=content, rows=rows, cinder=cinder))

    def cut_power(self, moment: Moment, survives: power_cuts.Survives) -> None:
        """Go back to a moment, with what the disk then holds."""
        db.dispose()
        for name in ('karbor.db-wal', 'karbor.db-shm'):
            (self.temp_dir / name).unlink(missing_ok=True)
        shutil.copy(moment.rows, self.temp_dir / 'karbor.db')
        for name, value in moment.cinder.items():
            setattr(self.cinder, name, copy.deepcopy(value))
        self.cinder.looks_until_settled = 0
        shutil.rmtree(self.bank_path, ignore_errors=True)
        left = self.temp_dir / 'left'
        moment.disk.put(left, survives)
        if (left / self.bank_path.name).exists():
            (left / self.bank_path.name).rename(self.bank_path)
        shutil.rmtree(left)

    def check_all(self, check_promises: Callable[[], None], check_end: Callable[[], None]) -> None:
        """Cut the power at each of the moments; from some of them, go on to the end.

        :param check_promises: of what is told by the rows as they are.
        :param check_end: of what there is when all jobs are over.
        """
        chance = random.Random(20)
        rerun = set(chance.sample(range(len(self.moments)), _RERUNS))
        for moment in self.moments:
            for survives in (lambda: False, lambda: chance.random() < 0.5):
                self.cut_power(moment, survives)
                with self.telling(moment):
                    check_promises()
                    if moment.number in rerun:
                        self.start()
                        self.run_jobs()
                        check_end()

    @contextlib.contextmanager
    def telling(self, moment: Moment) -> Iterator[None]:
        """Tell of which moment it is what fails meanwhile."""
        try:
            yield
        except BaseException as exc:
            exc.add_note(f'after a cut at moment {moment.number} of {len(self.moments)}')
            raise

    # What there is, and what is to be

    def objects(self) -> dict[str, Any]:
        """What is in the bank, by keys."""
        return {key: self.bank.get_object(key) for key in self.bank.list_objects()}

    def points(self, state: State) -> dict[str, str]:
        """The snapshots of those points that are in a state, by their volumes."""
        found = self.rows(models.RecoveryPoint)
        return {point.resource_id: point.cloud_id for point in found if point.state == state}

    def done(self, kind: str) -> dict[str, str | None]:
        """The volumes that a job has done, as its rows say, and what it has made of them."""
        (job_id,) = [job.id for job in self.rows(models.Job) if job.kind == kind]
        return {
            row.resource_id: row.new_resource_id
            for row in self.rows(models.JobResource)
            if row.job_id == job_id and row.is_done
        }

    def row(self, model: Any) -> Any:
        """The only row of a table."""
        (row,) = self.rows(model)
        return row

    def protected_checkpoint(self) -> dict[str, Any]:
        """A checkpoint; the moments in which it was made are kept."""
        checkpoint = self.create_checkpoint(self.create_plan(*self.volumes))
        self.record()
        return checkpoint

    # A protect

    def check_good_points(self) -> None:
        """Of what is good, the bank has all that a restore needs."""
        objects, checkpoint = self.objects(), self.row(models.Checkpoint)
        good = self.points(State.GOOD)
        folder = f'/checkpoints/{checkpoint.id}'
        for volume_id, snapshot_id in good.items():
            self.assertEqual('available', self.cinder.snapshots[snapshot_id]['status'])
            self.assertEqual('available', objects.get(f'{folder}/resource-data/{volume_id}/status'))
            record = objects.get(f'{folder}/resource-data/{volume_id}/metadata')
            self.assertEqual((snapshot_id, 1), (record['snapshot_id'], record['size']))
        if good:
            self.assertEqual(checkpoint.id, objects[f'{folder}/index.json']['id'])
            self.assertEqual(3, sum(key.startswith('/indices/') for key in objects))
        if checkpoint.status == 'available':
            self.assertEqual(_VOLUMES, len(good))
            self.assertEqual('available', objects[f'{folder}/index.json']['status'])

    def check_promises_of_protect(self) -> None:
        self.check_good_points()
        self.assertEqual(set(self.points(State.GOOD)), set(self.done('protect')))

    def check_protected(self) -> None:
        """Each volume has one snapshot, of which bank and rows tell; nothing else is there."""
        self.check_promises_of_protect()
        self.assertEqual('available', self.row(models.Checkpoint).status)
        snapshots = self.cinder.snapshots.values()
        self.assertEqual(_VOLUMES, len(snapshots))
        self.assertEqual(
            {item['volume_id']: item['id'] for item in snapshots}, self.points(State.GOOD)
        )
        self.assertEqual(1 + 3 + 2 * _VOLUMES, len(self.objects()))

    def test_protect(self):
        self.protected_checkpoint()
        self.check_all(self.check_promises_of_protect, self.check_protected)

    # A restore

    def check_promises_of_restore(self) -> None:
        """What is done is there, and the bank knows of it; what is good stays so."""
        self.check_good_points()
        objects, restore = self.objects(), self.row(models.Restore)
        folder = f'/checkpoints/{restore.checkpoint_id}/resource-data'
        for volume_id, made_id in self.done('restore').items():
            self.assertEqual('available', self.cinder.volumes[made_id]['status'])
            record = objects.get(f'{folder}/{volume_id}/restore-{restore.id}')
            self.assertEqual(made_id, record['volume_id'])

    def check_restored(self) -> None:
        """Of each volume there is one new one, of which bank and rows tell."""
        self.check_promises_of_restore()
        self.assertEqual('success', self.row(models.Restore).status)
        snapshots = {
            snapshot_id: volume_id for volume_id, snapshot_id in self.points(State.GOOD).items()
        }
        made = [item for item in self.cinder.volumes.values() if item['snapshot_id']]
        self.assertEqual(_VOLUMES, len(made))
        self.assertEqual(
            {snapshots[item['snapshot_id']]: item['id'] for item in made}, self.done('restore')
        )
        told = {(row.resource_id, row.status) for row in self.rows(models.ResourceResult)}
        self.assertEqual({(item['id'], 'available') for item in made}, told)

    def test_restore(self):
        self.use('restore', self.protected_checkpoint())
        self.record()
        self.check_all(self.check_promises_of_restore, self.check_restored)

    # A delete

    def check_promises_of_delete(self) -> None:
        """What is deleted is not in Cinder, and nothing in the bank says otherwise."""
        objects, checkpoint = self.objects(), self.row(models.Checkpoint)
        deleted = self.points(State.DELETED)
        self.assertEqual(set(self.done('delete')), set(deleted))
        folder = f'/checkpoints/{checkpoint.id}'
        for volume_id, snapshot_id in deleted.items():
            self.assertNotIn(snapshot_id, self.cinder.snapshots)
            self.assertNotIn(f'{folder}/resource-data/{volume_id}/metadata', objects)
            status = objects.get(f'{folder}/resource-data/{volume_id}/status', 'deleted')
            self.assertEqual('deleted', status)
        if checkpoint.status == 'deleted':
            index = objects.get(f'{folder}/index.json')
            self.assertIn(index and index['status'], (None, 'deleted'))

    def check_deleted(self) -> None:
        """Nothing is left: but for marks of it in the bank, if the job was over before."""
        self.check_promises_of_delete()
        self.assertEqual('deleted', self.row(models.Checkpoint).status)
        self.assertEqual(_VOLUMES, len(self.points(State.DELETED)))
        self.assertEqual({}, self.cinder.snapshots)

    def test_delete(self):
        self.delete(self.checkpoints_path(self.protected_checkpoint()['id']))
        self.record()
        self.check_all(self.check_promises_of_delete, self.check_deleted)
