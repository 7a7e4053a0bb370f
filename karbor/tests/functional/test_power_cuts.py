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
import threading
import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
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

_VOLUMES = 3
_AT_ONCE = 2  # so that some are done while others are not begun
_RERUNS = 10  # of a job, from moments that chance takes; what was promised is looked at in all

# What says what there is in the fake of Cinder.
_CINDER = ('volumes', 'snapshots', '_pending')
_MODELS: tuple[Any, ...] = (
    models.Checkpoint,
    models.RecoveryPoint,
    models.Restore,
    models.ResourceResult,
    models.Job,
    models.JobResource,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment of a job.

    :ivar number: of all moments of the job.
    :ivar disk: what was done to it.
    :ivar rows: a copy of the database.
    :ivar cloud: attributes of the fakes that say what there is.
    """

    number: int
    disk: power_cuts.Folder
    rows: pathlib.Path
    cloud: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What there is behind a cut.

    :ivar objects: of the bank, by their keys.
    :ivar rows: by their tables.
    """

    objects: Mapping[str, Any]
    rows: Mapping[Any, Sequence[Any]]

    @property
    def checkpoint(self) -> models.Checkpoint:
        (row,) = self.rows[models.Checkpoint]
        return row

    @property
    def restore(self) -> models.Restore:
        (row,) = self.rows[models.Restore]
        return row

    def of_checkpoint(self, key: str) -> Any:
        """An object of the checkpoint; None when there is none."""
        return self.objects.get(f'/checkpoints/{self.checkpoint.id}/{key}')

    def of_volume(self, volume_id: str, key: str) -> Any:
        """An object of a volume in the checkpoint; None when there is none."""
        return self.of_checkpoint(f'resource-data/{volume_id}/{key}')

    def points(self, state: State) -> dict[str, str]:
        """The snapshots of those points that are in a state, by their volumes."""
        found = self.rows[models.RecoveryPoint]
        return {point.resource_id: point.cloud_id for point in found if point.state == state}

    def job(self, kind: str) -> models.Job:
        (job,) = [job for job in self.rows[models.Job] if job.kind == kind]
        return job

    def done(self, kind: str) -> dict[str, str | None]:
        """The volumes that the job of a kind has done, and what it has made of them."""
        job_id = self.job(kind).id
        return {
            row.resource_id: row.new_resource_id
            for row in self.rows[models.JobResource]
            if row.job_id == job_id and row.is_done
        }


Check = Callable[[Found], None]


@unittest.skipUnless(tests_base.DATABASE == 'sqlite', 'copies of a database are files')
@base.in_process_only('jobs run in this process')
class PowerCutTestCase(base.CloudTestCase):
    """A worker whose power can be cut at each moment of what it does."""

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
        while job_ids := db.transaction(job_rows.take_up_again)():  # others may follow them
            for job_id in job_ids:
                self.worker.run(job_id)
        for thread in threading.enumerate():
            if thread.name == 'watcher':  # it looks at the rows once more
                thread.join(20)

    def record(self) -> None:
        """Run the job that was asked for, and keep its moments."""
        self.moments = []
        self.cinder.looks_until_settled = 1
        self.cinder.faults = [Fault('POST', hook=self.note_post), Fault(hook=self.note)]
        with self.disk.recording():
            self.run_jobs()
        self.note()
        self.cinder.faults = []

    def note_post(self) -> None:
        """Keep this moment; of what is asked for, each second one is there at once."""
        self.note()
        with self.cinder.lock:
            self.cinder.looks_until_settled = 1 - self.cinder.looks_until_settled

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
            cloud = copy.deepcopy(self.cloud())
            self.moments.append(Moment(number=number, disk=content, rows=rows, cloud=cloud))

    def cloud(self) -> dict[str, Any]:
        """What there is in the cloud; it is copied while nothing changes in Cinder."""
        return {name: getattr(self.cinder, name) for name in _CINDER}

    def set_cloud(self, values: Mapping[str, Any]) -> None:
        """Let that be in the cloud."""
        for name in _CINDER:
            setattr(self.cinder, name, values[name])

    def cut_power(self, moment: Moment, survives: power_cuts.Survives) -> None:
        """Go back to a moment, with what the disk then holds."""
        db.dispose()
        for name in ('karbor.db-wal', 'karbor.db-shm'):
            (self.temp_dir / name).unlink(missing_ok=True)
        shutil.copy(moment.rows, self.temp_dir / 'karbor.db')
        self.set_cloud(copy.deepcopy(moment.cloud))
        self.cinder.looks_until_settled = 0
        shutil.rmtree(self.bank_path, ignore_errors=True)
        left = self.temp_dir / 'left'
        moment.disk.put(left, survives)
        if (left / self.bank_path.name).exists():
            (left / self.bank_path.name).rename(self.bank_path)
        shutil.rmtree(left)

    def check_all(self, check_promises: Check, check_end: Check) -> None:
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
                    check_promises(self.look())
                    if moment.number in rerun:
                        self.start()
                        self.run_jobs()
                        check_promises(self.look())
                        check_end(self.look())

    def look(self) -> Found:
        with db.reader() as session:
            rows = {model: session.query(model).all() for model in _MODELS}
        objects = {key: self.bank.get_object(key) for key in self.bank.list_objects()}
        return Found(objects=objects, rows=rows)

    @contextlib.contextmanager
    def telling(self, moment: Moment) -> Iterator[None]:
        """Tell of which moment it is what fails meanwhile."""
        try:
            yield
        except BaseException as exc:
            exc.add_note(f'after a cut at moment {moment.number} of {len(self.moments)}')
            raise

    def make_checkpoint(self) -> dict[str, Any]:
        """A checkpoint; the moments in which it was made are kept."""
        checkpoint = self.create_checkpoint(self.create_plan(*self.volumes))
        self.record()
        return checkpoint


class PowerCutTest(PowerCutTestCase):
    """Whatever is left: nothing is lost that the rows say is done, and nothing is doubled."""

    # A protect

    def test_protect(self):
        self.make_checkpoint()
        self.check_all(self.check_promises_of_protect, self.check_protected)

    def check_promises_of_protect(self, found: Found) -> None:
        self.check_good_points(found)
        self.assertEqual(set(found.points(State.GOOD)), set(found.done('protect')))

    def check_good_points(self, found: Found) -> None:
        """Of what is good, the bank has all that a restore needs."""
        good = found.points(State.GOOD)
        for volume_id, snapshot_id in good.items():
            self.assertEqual('available', self.cinder.snapshots[snapshot_id]['status'])
            self.assertEqual('available', found.of_volume(volume_id, 'status'))
            record = found.of_volume(volume_id, 'metadata')
            self.assertEqual((snapshot_id, 1), (record['snapshot_id'], record['size']))
        if good:
            self.assertEqual(found.checkpoint.id, found.of_checkpoint('index.json')['id'])
            self.assertEqual(3, sum(key.startswith('/indices/') for key in found.objects))
        if found.checkpoint.status == 'available':
            self.assertEqual(_VOLUMES, len(good))
            self.assertEqual('available', found.of_checkpoint('index.json')['status'])

    def check_protected(self, found: Found) -> None:
        """Each volume has one snapshot, of which bank and rows tell; nothing else is there."""
        self.assertEqual('available', found.checkpoint.status)
        snapshots = self.cinder.snapshots.values()
        self.assertEqual(_VOLUMES, len(snapshots))
        self.assertEqual(
            {item['volume_id']: item['id'] for item in snapshots}, found.points(State.GOOD)
        )
        self.assertEqual(1 + 3 + 2 * _VOLUMES, len(found.objects))

    # A restore

    def test_restore(self):
        self.use('restore', self.make_checkpoint())
        self.record()
        self.check_all(self.check_promises_of_restore, self.check_restored)

    def check_promises_of_restore(self, found: Found) -> None:
        """What is done is there, and the bank knows of it; what is good stays so."""
        self.check_good_points(found)
        for volume_id, made_id in found.done('restore').items():
            self.assertEqual('available', self.cinder.volumes[made_id]['status'])
            record = found.of_volume(volume_id, f'restore-{found.restore.id}')
            self.assertEqual(made_id, record['volume_id'])

    def check_restored(self, found: Found) -> None:
        """Of each volume there is one new one, of which bank and rows tell."""
        self.assertEqual('success', found.restore.status)
        made = [item for item in self.cinder.volumes.values() if item['snapshot_id']]
        self.assertEqual(_VOLUMES, len(made))
        snapshots, new = found.points(State.GOOD), found.done('restore')
        self.assertEqual(
            {item['snapshot_id']: item['id'] for item in made},
            {snapshots[volume_id]: made_id for volume_id, made_id in new.items()},
        )
        told = {row.resource_id: row.status for row in found.rows[models.ResourceResult]}
        self.assertEqual({item['id']: 'available' for item in made}, told)

    # A delete

    def test_delete(self):
        self.delete(self.checkpoints_path(self.make_checkpoint()['id']))
        self.record()
        self.check_all(self.check_promises_of_delete, self.check_deleted)

    def check_promises_of_delete(self, found: Found) -> None:
        """What is deleted is not in Cinder, and nothing in the bank says otherwise."""
        deleted = found.points(State.DELETED)
        self.assertEqual(set(found.done('delete')), set(deleted))
        for volume_id, snapshot_id in deleted.items():
            self.assertNotIn(snapshot_id, self.cinder.snapshots)
            self.assertIsNone(found.of_volume(volume_id, 'metadata'))
            self.assertIn(found.of_volume(volume_id, 'status'), (None, 'deleted'))
        if found.checkpoint.status == 'deleted':
            index = found.of_checkpoint('index.json') or {'status': 'deleted'}
            self.assertEqual('deleted', index['status'])

    def check_deleted(self, found: Found) -> None:
        """Nothing is left; what the bank forgets behind the end of the job may be there again."""
        self.assertEqual('deleted', found.checkpoint.status)
        self.assertEqual(_VOLUMES, len(found.points(State.DELETED)))
        self.assertEqual({}, self.cinder.snapshots)
        if found.job('delete').attempts > 1:
            self.assertEqual({}, found.objects)
