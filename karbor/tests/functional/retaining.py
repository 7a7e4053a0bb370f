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

"""Shows what the retention of a scheduled operation costs with many volumes.

Run it by ``tools/bench retention``. The operation has made 100 checkpoints of all volumes, of
which it keeps the last 50. Each volume has failed in one of them, which makes 100 histories: so
something goes from every checkpoint but the newest, from half of them all. One job is run, in
process, until it has asked for all that; what it asks for is not done. The plugin tells that all
that is kept is there, so this shows what Karbor itself costs. The database is an SQLite file or
what ``KARBOR_TEST_DATABASE`` says, whose statements are counted. The memory is what the process
has at most, beyond what it had before. The milliseconds are of the processor, without those of a
server. The ratios are those to the smallest number.
"""

import datetime
import itertools
import logging
import sys
import time
import unittest
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_utils import timeutils
from sqlalchemy import event, orm

from karbor import context as karbor_context
from karbor import db
from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import jobs as job_rows
from karbor.db import models, operation_logs, recovery_points
from karbor.resource import Resource
from karbor.services.protection import graph, protectables, provider
from karbor.services.protection.protection_plugins.volume import cinder_snapshot_plugin
from karbor.services.schedules import retention_jobs
from karbor.tests import base, memory, runners, schedule_rows

_COUNTS = (100, 1_000, 10_000)
_CHECKPOINTS = 100
_KEPT = 50
_AT_ONCE = 5_000
_DAY = datetime.timedelta(days=1)


class Retaining(base.TestCase):
    """Not a test: the set-up of one, for each number of volumes."""

    count = 0
    #: the figures of the smallest number
    first: list[float] = []

    def setUp(self) -> None:
        super().setUp()
        logging.disable(logging.WARNING)
        self.patch(
            cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
            'find_losses',
            lambda *_: {},
        )
        self.statements = 0
        self.posted: list[str] = []
        self.runner = runners.runner(
            runners.environment(
                provider.ProviderRegistry(self.provider_dir()),
                protectables.load(),
                self.posted.append,
                lambda job: karbor_context.RequestContext(job.user_id, job.project_id),
            )
        )

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.statements += not statement.startswith('BEGIN')

    def runTest(self) -> None:
        begun = time.monotonic()
        job_id = self._fill()
        filled = time.monotonic() - begun
        event.listen(db.engine(), 'before_cursor_execute', self._note)
        before = memory.forget_peak()
        begun, cpu_begun = time.monotonic(), time.process_time()
        self.runner.run(job_id)
        cpu, seconds = time.process_time() - cpu_begun, time.monotonic() - begun
        most = memory.peak() - before
        self._check(job_id)
        figures = [cpu / self.count, self.statements, most / self.count]
        if not self.first:
            type(self).first = figures
        ratios = [figure / first for figure, first in zip(figures, self.first, strict=True)]
        print(  # noqa: T201
            f'{self.count:7} {filled:8.1f} {seconds:9.2f} {cpu:9.2f} '
            f'{1000 * cpu / self.count:12.2f} {self.statements:10} {most / 1024:8.1f}    ',
            *(f'{ratio:6.2f}' for ratio in ratios),
            flush=True,
        )

    def _fill(self) -> str:
        """Write what there is before; returns the id of the job."""
        now = timeutils.utcnow()
        operation = schedule_rows.armed(schedule_rows.calendar('FREQ=DAILY', now), now)
        schedule_rows.insert([operation])
        volumes = [
            Resource(constants.VOLUME_RESOURCE_TYPE, base.new_id(), f'volume-{number}')
            for number in range(self.count)
        ]
        with db.writer() as session:
            written = session.get_one(models.ScheduledOperation, operation.operation_id)
            written.operation_type = constants.ScheduledOperationType.RETENTION_PROTECT
            written.operation_definition = {**written.operation_definition, 'keep_last': _KEPT}
            made = list(_checkpoints(written, volumes, now))
            session.add_all(made)
        for age, checkpoint in enumerate(made):
            _insert_points(checkpoint, _points(volumes, age, now), operation.operation_id)
        with db.writer() as session:
            return _begin(session, operation.operation_id, made[0].id)

    def _check(self, job_id: str) -> None:
        """See that it has done what is measured."""
        with db.reader() as session:
            log = operation_logs.of_job(session, job_id)
            going = sum(
                session.scalar(
                    sa.select(sa.func.count()).where(
                        models.RecoveryPoint.checkpoint_id == checkpoint_id,
                        models.RecoveryPoint.state == State.DELETING,
                    )
                )
                or 0
                for checkpoint_id in session.scalars(sa.select(models.Checkpoint.id))
            )
        self.assertEqual(constants.OperationStatus.SUCCESS, log.status, log.error_info)
        told = log.extra_info or {}
        self.assertEqual(going, told['recovery_points_removed'])
        self.assertEqual(len(told['reasons']), len(self.posted))


def _checkpoints(
    operation: models.ScheduledOperation, volumes: Sequence[Resource], now: datetime.datetime
) -> Iterator[models.Checkpoint]:
    """The rows of an operation's checkpoints, one a day, the newest first."""
    resource_graph = graph.serialize([graph.GraphNode(volume) for volume in volumes])
    for age in range(_CHECKPOINTS):
        yield models.Checkpoint(
            id=base.new_id(),
            project_id=operation.project_id,
            provider_id=base.PROVIDER_ID,
            status=constants.CheckpointStatus.ERROR,
            plan_id=operation.plan_id,
            protection_plan={},
            resource_graph=resource_graph,
            resources_total=len(volumes),
            extra_info={
                constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_BY_SCHEDULE,
                constants.CHECKPOINT_SCHEDULE_ID: operation.id,
            },
            created_at=now - age * _DAY,
        )


def _points(
    volumes: Sequence[Resource], age: int, now: datetime.datetime
) -> Iterator[recovery_points.Point]:
    """The recovery points of the checkpoint that is so many days old."""
    for number, volume in enumerate(volumes):
        has_failed = number % _CHECKPOINTS == age
        yield recovery_points.Point(
            resource=volume,
            state=State.FAILED if has_failed else State.GOOD,
            reason='the volume was in status error' if has_failed else None,
            saved=recovery_points.Saved(cloud_id=base.new_id(), size=1, taken_at=now - age * _DAY),
        )


def _insert_points(
    checkpoint: models.Checkpoint, points: Iterator[recovery_points.Point], operation_id: str
) -> None:
    while some := list(itertools.islice(points, _AT_ONCE)):
        with db.writer() as session:
            recovery_points.add(session, checkpoint, some, operation_id)


def _begin(session: orm.Session, operation_id: str, checkpoint_id: str) -> str:
    """Begin the retention after the run that has made a checkpoint; returns the id of its job."""
    run = runners.create_job(
        session,
        checkpoint_id=checkpoint_id,
        subject_id=checkpoint_id,
        provider_id=base.PROVIDER_ID,
        scheduled_operation_id=operation_id,
    )
    job = retention_jobs.begin(session, run)
    assert job is not None
    job_rows.change_state(session, run.id, job_rows.JobState.PENDING, job_rows.JobState.DONE)
    return job.id


def main(counts: list[int]) -> bool:
    print(  # noqa: T201
        f'{"volumes":>7} {"filled s":>8} {"seconds":>9} {"CPU s":>9} {"ms a volume":>12} '
        f'{"statements":>10} {"MiB":>8}      ratios of ms a volume, statements, MiB a volume',
        flush=True,
    )
    for count in counts:
        Retaining.count = count
        if not unittest.TextTestRunner(verbosity=0).run(Retaining()).wasSuccessful():
            return False
    return True


if __name__ == '__main__':
    sys.exit(not main([int(argument) for argument in sys.argv[1:]] or list(_COUNTS)))
