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

"""What jobs of few and of many volumes cost: in counts, which are the same on any machine.

What depends on how long a job runs is bounded by that.
"""

import contextlib
import dataclasses
import functools
import itertools
import math
import os
import stat
import threading
import time
import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import fixtures
import sqlalchemy as sa

from karbor import db
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.cinder import watcher
from karbor.services.protection import provider
from karbor.services.protection.bank_plugins import durable_files
from karbor.testing import fake_cinder
from karbor.tests import base as tests_base
from karbor.tests.functional import base, lists

_THREADS = 8  # that send requests
_MORE_THREADS = 5  # of the bank, of the looks, of pauses; and two that are about to end
_LOOK_EVERY = 0.5  # seconds
_TOLD_AFTER = 0.1  # seconds for which ends of resources gather, before they are written
_BATCH = 200  # files that are synced together, if so many are asked for

# The checkpoint itself: its index, and the three keys by which it is found. Each file waits for
# the one before, and is synced with its folders up to that of the bank.
_INDEX = 1 + 3
_KEYS = (1 + 5) + (1 + 6) + (1 + 5)
# The folders above those of the volumes.
_SHARED_FOLDERS = 4


class Disk:
    """Counts what is written to banks.

    It stands still until all files are asked for that are asked for together, as a slow one does:
    else it would be chance how many are synced together.

    :param groups: how many files are asked for together, of all in turn.
    :ivar objects: how many were asked for.
    :ivar syncs: of files and of folders.
    """

    _LONGEST = 30  # seconds; then it goes on, and the counts tell

    def __init__(self, groups: Sequence[int]) -> None:
        self._totals = list(itertools.accumulate(groups))
        self._asked = threading.Condition()
        self._files = 0
        self.objects = self.syncs = 0

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count what this process writes meanwhile."""
        write = self._write(durable_files.DurableFiles.write)
        with (
            mock.patch.object(durable_files.DurableFiles, 'write', write),
            mock.patch.object(os, 'fsync', self._fsync(os.fsync)),
        ):
            yield

    def _write(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def write(*args: Any) -> Any:
            outcome = real(*args)
            with self._asked:
                self.objects += 1
                self._asked.notify_all()
            return outcome

        return write

    def _fsync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(descriptor: int) -> None:
            self.syncs += 1
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                self._wait_for_the_others()
                self._files += 1
            real(descriptor)

        return fsync

    def _wait_for_the_others(self) -> None:
        """Let those be asked for that are together with the next file."""
        together = next((total for total in self._totals if total > self._files), 0)
        with self._asked:
            if not self._asked.wait_for(lambda: self.objects >= together, self._LONGEST):
                self._totals = []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """What a job has cost.

    :ivar requests: to Cinder, by method and path.
    :ivar objects: that were written to the bank.
    :ivar syncs: of files and folders of the bank.
    :ivar threads: how many there were at most, beside those before all jobs.
    """

    requests: Mapping[tuple[str, str], int]
    statements: int
    objects: int
    syncs: int
    threads: int
    seconds: float


@unittest.skipUnless(tests_base.DATABASE == 'sqlite', 'the counts are the same on each database')
@base.in_process_only('what jobs do is counted in this process')
class JobCostsTestCase(base.CloudTestCase):
    """With jobs that are run by the test itself, and counted."""

    max_concurrent_resources = _THREADS

    def setUp(self) -> None:
        super().setUp()
        self.threads_before = threads()
        # So that each look is one request.
        self.useFixture(fixtures.MockPatchObject(watcher, '_SMALLEST_PAGE', 1_000))

    def build(self, registry: provider.ProviderRegistry) -> None:
        """With looks at Cinder as they are by default, and time for them."""
        del registry
        folder = self.provider_dir(
            poll_interval=_LOOK_EVERY, snapshot_timeout=60, restore_timeout=60, delete_timeout=60
        )
        super().build(provider.ProviderRegistry(folder))

    def work(self) -> None:
        """Each job is run by the test itself."""

    def costs_of_job(self, groups: Sequence[int]) -> Costs:
        """Run the job that was asked for.

        :param groups: see :class:`Disk`.
        """
        with db.reader() as session:
            waiting = sa.select(models.Job.id).where(models.Job.state == job_rows.JobState.PENDING)
            job_id = session.scalars(waiting).one()
        disk, seen = Disk(groups), [0]
        self.cinder.faults = [fake_cinder.Fault(hook=lambda: seen.append(threads()))]
        self.cinder.requests.clear()
        begun = time.monotonic()
        with lists.cost() as found, disk.counting():
            self.runner.run(job_id)
        seconds = time.monotonic() - begun
        with db.reader() as session:
            self.assertIsNone(session.get_one(models.OperationLog, job_id).error_info)
        return Costs(
            requests=dict(self.cinder.requests),
            statements=len(found.statements),
            objects=disk.objects,
            syncs=disk.syncs,
            threads=max(seen) - self.threads_before,
            seconds=seconds,
        )

    def check(self, costs: Costs, requests: Mapping[tuple[str, str], int], *, objects: int) -> None:
        """Check what a job has cost.

        :param requests: those that are no lists; of lists there is one before the first look.
        :param objects: as many as are written to the bank.
        """
        is_list = {kind: kind[1].endswith('/detail') for kind in costs.requests}
        listed = sum(number for kind, number in costs.requests.items() if is_list[kind])
        others = {kind: number for kind, number in costs.requests.items() if not is_list[kind]}
        self.assertEqual(requests, others)
        self.assertLessEqual(listed, 1 + costs.seconds / _LOOK_EVERY)
        # 10 at most at its begin and at its end. How resources have ended takes three each time
        # that it is written, and what a plugin tells of a restore two.
        times = 1 + costs.seconds / _TOLD_AFTER
        self.assertLessEqual(costs.statements, 10 + (3 + 2) * times)
        self.assertEqual(objects, costs.objects)
        self.assertLessEqual(costs.threads, _THREADS + _MORE_THREADS)


class JobCostsTest(JobCostsTestCase):
    """Each thing that is done for every volume is one request, and two files of the bank."""

    def test_few_volumes(self):
        self.check_jobs(20)

    def test_many_volumes(self):
        self.check_jobs(200)

    def check_jobs(self, count: int) -> None:
        """Protect, restore and delete so many volumes; the bounds are a few numbers and theirs."""
        checkpoint = self.create_checkpoint(
            self.create_plan(*(self.volume() for _ in range(count)))
        )
        # The index is written again at the end.
        costs = self.costs_of_job([1, 1, 1, 1, 2 * count, 1])
        self.check(costs, {('POST', '/snapshots'): count}, objects=2 * count + 5)
        # What volumes are like is asked of all together.
        self.assertEqual(1, costs.requests['GET', '/volumes/detail'])
        self.assertLessEqual(costs.syncs, 2 * _INDEX + _KEYS + most_syncs(count, 2))

        self.use('restore', checkpoint)
        # What is asked for, and then what is made of it.
        costs = self.costs_of_job([count, count])
        self.check(costs, {('POST', '/volumes'): count}, objects=2 * count)
        # The rows name the snapshots, so that nobody looks at these.
        self.assertNotIn(('GET', '/snapshots/detail'), costs.requests)
        self.assertLessEqual(costs.syncs, 2 * most_syncs(count, 1))

        self.delete(self.checkpoints_path(checkpoint['id']))
        # That it is being deleted, and that it is.
        costs = self.costs_of_job([1, 1, 1, 1, count, count, 1])
        self.check(costs, {('DELETE', '/snapshots/{id}'): count}, objects=2 * count + 5)
        self.assertLessEqual(costs.syncs, 2 * _INDEX + _KEYS + 2 * most_syncs(count, 1))


def most_syncs(count: int, files: int) -> int:
    """How many syncs there may be for volumes of which each has files that are asked for together.

    The first batch may be of few files, as it begins with the first that there is. Each one has
    the folders that all volumes share. The files of a volume are in one batch, but for those that
    threads were about to ask for when it began.

    :param files: of one volume.
    """
    batches = 1 + math.ceil(count * files / _BATCH)
    divided = (batches - 1) * _THREADS * (files - 1)
    return count * files + count + divided + batches * _SHARED_FOLDERS


def threads() -> int:
    """How many there are, but for those that serve the fake of Cinder."""
    return sum('process_request' not in thread.name for thread in threading.enumerate())
