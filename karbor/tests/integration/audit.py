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

"""What must hold after a storm: in the tables, in what the API tells, in the bank and in Cinder."""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.common import constants, moments
from karbor.db import jobs, models
from karbor.services.protection import graph
from karbor.tests.integration import agreement, bank_files, callers, cloud

STUCK, DOUBLE, MISSING, ORPHAN, WRONG = 'stuck', 'double', 'missing', 'orphan', 'wrong'
#: recovery points, bank and Cinder do not tell the same
UNEQUAL = 'unequal'
KINDS = (DOUBLE, MISSING, ORPHAN, STUCK, WRONG, UNEQUAL)

# What does not change what there is of a checkpoint.
_USES = (
    constants.OperationType.RESTORE,
    constants.OperationType.VERIFY,
    constants.OperationType.RETENTION,
)

_PASSING = (
    constants.CheckpointStatus.PROTECTING,
    constants.CheckpointStatus.DELETING,
    constants.OperationStatus.IN_PROGRESS,
    'started',
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that must not be.

    :ivar kind: one of :data:`KINDS`.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return f'{self.kind}: {self.text}'


def summary(findings: Collection[Finding]) -> str:
    """How many there are of each kind, and each in a line of its own."""
    counts = collections.Counter(finding.kind for finding in findings)
    return '\n'.join((', '.join(f'{kind} {counts[kind]}' for kind in KINDS), *map(str, findings)))


class Rows:
    """The tables of a project, read behind Karbor's back.

    :param url: of the database.
    """

    def __init__(self, url: str, project_id: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)
        self._project_id = project_id

    def all(self, model: Any, *conditions: Any) -> list[Any]:
        with orm.Session(self._engine) as session:
            return list(
                session.scalars(
                    sa.select(model)
                    .where(model.project_id == self._project_id, *conditions)
                    .order_by(model.created_at)
                )
            )

    def unfinished(self) -> list[Any]:
        return self.all(models.Job, models.Job.state.in_(jobs.UNFINISHED))

    def fires(self, trigger_id: str) -> list[Any]:
        with orm.Session(self._engine) as session:
            return list(
                session.scalars(
                    sa.select(models.TriggerFire.fire_at)
                    .where(models.TriggerFire.trigger_id == trigger_id)
                    .order_by(models.TriggerFire.fire_at)
                )
            )


class Audit:
    """Compares what there is of a project once all its jobs are over.

    :param rows: its tables.
    :param project: its side of Cinder.
    :param caller: who asks the API.
    :param own_volumes: volumes that no restore has made.
    :param bank: its folder.
    """

    def __init__(
        self,
        rows: Rows,
        project: cloud.Project,
        caller: callers.Caller,
        own_volumes: Collection[str],
        bank: pathlib.Path,
    ) -> None:
        self._rows = rows
        self._project = project
        self._caller = caller
        self._own_volumes = own_volumes
        self._bank = bank
        #: restores whose volumes were looked at and removed; that there is one again is a fault
        self.looked_at: set[str] = set()
        #: states of the recovery points that were compared at the last look
        self.compared: collections.Counter[str] = collections.Counter()

    def findings(self) -> list[Finding]:
        looks: tuple[Callable[[], Iterator[Finding]], ...] = (
            self._stuck,
            self._ends,
            self._snapshots,
            self._volumes,
            self._bank_objects,
            self.unequal,
            self._answers,
        )
        return [finding for look in looks for finding in look()]

    def of_nothing(self) -> list[Finding]:
        """After everything was deleted."""
        left = [
            f'snapshot {snapshot_id} of {volume_id}'
            for volume_id, ids in self._project.snapshots().items()
            for snapshot_id in ids
        ]
        left += [
            f'volume {volume.id}'
            for volume in self._project.cinder.volumes.list()
            if volume.id not in self._own_volumes
        ]
        return [*self.findings(), *(Finding(ORPHAN, text) for text in left)]

    def of_restore(self, restore_id: str) -> list[Finding]:
        """What is wrong with the volumes of one restore that went well."""
        (restore,) = self._rows.all(models.Restore, models.Restore.id == restore_id)
        return list(self._of_restore(restore, self.restored(restore_id)))

    def restored(self, restore_id: str) -> list[Any]:
        """The volumes of a restore that Cinder has."""
        return [
            volume
            for volume in self._project.cinder.volumes.list()
            if volume.metadata.get('karbor_restore_id') == restore_id
        ]

    def _stuck(self) -> Iterator[Finding]:
        for job in self._rows.unfinished():
            yield Finding(STUCK, f'job {job.id}: {job.kind} is {job.state}')
        for model in (models.Checkpoint, models.Restore, models.Verification):
            for row in self._rows.all(model, model.status.in_(_PASSING)):
                yield Finding(STUCK, f'{model.__name__} {row.id} is {row.status}')
        for log in self._rows.all(models.OperationLog, models.OperationLog.ended_at.is_(None)):
            yield Finding(STUCK, f'log {log.id} of {log.operation_type} has no end')

    def _ends(self) -> Iterator[Finding]:
        """What did not end well says why."""
        for model in (models.Checkpoint, models.Restore, models.Verification):
            for row in self._rows.all(
                model,
                model.status.in_(
                    (
                        constants.CheckpointStatus.ERROR,
                        constants.OperationStatus.FAIL,
                        constants.CheckpointStatus.ERROR_DELETING,
                    )
                ),
            ):
                if not row.status_reason:
                    yield Finding(WRONG, f'{model.__name__} {row.id}: {row.status}, no reason')

    def _snapshots(self) -> Iterator[Finding]:
        found: dict[tuple[str, str], list[Any]] = collections.defaultdict(list)
        for snapshot in self._project.cinder.volume_snapshots.list():
            found[snapshot.metadata.get('karbor_checkpoint_id', ''), snapshot.volume_id].append(
                snapshot
            )
        known = {
            row.id: row
            for row in self._rows.all(
                models.Checkpoint, models.Checkpoint.status != constants.CheckpointStatus.DELETED
            )
        }
        for (checkpoint_id, volume_id), snapshots in found.items():
            where = f'volume {volume_id}, checkpoint {checkpoint_id}'
            if checkpoint_id not in known:
                yield Finding(ORPHAN, f'{len(snapshots)} snapshots of {where}')
            if len(snapshots) > 1:
                yield Finding(DOUBLE, f'{len(snapshots)} snapshots of {where}')
        for row in known.values():
            if row.status == constants.CheckpointStatus.AVAILABLE:
                yield from self._of_checkpoint(row, found)

    @staticmethod
    def _of_checkpoint(
        row: models.Checkpoint, found: dict[tuple[str, str], list[Any]]
    ) -> Iterator[Finding]:
        for volume_id in _volumes_in(row):
            snapshots = found.get((row.id, volume_id), [])
            if not any(snapshot.status == 'available' for snapshot in snapshots):
                yield Finding(MISSING, f'snapshot of volume {volume_id}, checkpoint {row.id}')

    def _volumes(self) -> Iterator[Finding]:
        found: dict[str, list[Any]] = collections.defaultdict(list)
        for volume in self._project.cinder.volumes.list():
            if volume.id not in self._own_volumes:
                found[volume.metadata.get('karbor_restore_id', '')].append(volume)
        restores = {row.id: row for row in self._rows.all(models.Restore)}
        for restore_id, volumes in found.items():
            restore = restores.get(restore_id)
            if restore is None or restore_id in self.looked_at:
                yield Finding(ORPHAN, f'{len(volumes)} volumes of restore {restore_id}')
        for restore in restores.values():
            if restore.id not in self.looked_at:
                yield from self._of_restore(restore, found[restore.id])

    def _of_restore(self, restore: models.Restore, volumes: list[Any]) -> Iterator[Finding]:
        """Each resource has one new volume; of a restore that failed there may be fewer."""
        origins = collections.Counter(volume.metadata['karbor_resource_id'] for volume in volumes)
        for origin, count in origins.items():
            if count > 1:
                yield Finding(DOUBLE, f'{count} volumes of {origin}, restore {restore.id}')
        if restore.status != constants.OperationStatus.SUCCESS:
            return
        (checkpoint,) = self._rows.all(
            models.Checkpoint, models.Checkpoint.id == restore.checkpoint_id
        )
        for volume_id in _volumes_in(checkpoint):
            if volume_id not in origins:
                yield Finding(MISSING, f'volume of {volume_id}, restore {restore.id}')

    def _bank_objects(self) -> Iterator[Finding]:
        """Of a checkpoint that is deleted there are none; a file half written is no object."""
        deleted = self._rows.all(
            models.Checkpoint, models.Checkpoint.status == constants.CheckpointStatus.DELETED
        )
        objects = [str(path) for path in self._bank.rglob('*[!~]') if path.is_file()]
        for row in deleted:
            count = sum(row.id in path for path in objects)
            if count:
                yield Finding(ORPHAN, f'{count} objects in the bank of checkpoint {row.id}')

    def unequal(self) -> Iterator[Finding]:
        """Recovery points, bank and Cinder tell the same."""
        self.compared.clear()
        for evidence in self._evidence():
            self.compared.update(point.state for point in evidence.points)
            for text in agreement.disagreements(evidence):
                yield Finding(UNEQUAL, f'checkpoint {evidence.checkpoint.id}: {text}')
        known = sa.select(models.Checkpoint.id)
        for point in self._rows.all(
            models.RecoveryPoint, models.RecoveryPoint.checkpoint_id.not_in(known)
        ):
            yield Finding(UNEQUAL, f'point of {point.resource_id}, of no checkpoint')

    def _evidence(self) -> Iterator[agreement.Evidence]:
        """What there is of each checkpoint that no job works on any more."""
        points: dict[str, list[models.RecoveryPoint]] = collections.defaultdict(list)
        for point in self._rows.all(models.RecoveryPoint):
            points[point.checkpoint_id].append(point)
        snapshots = {
            snapshot.id: _as_evidence(snapshot)
            for snapshot in self._project.cinder.volume_snapshots.list()
        }
        at_work = {job.checkpoint_id for job in self._rows.unfinished()}
        not_done = self._rows.all(
            models.Job, models.Job.error.is_not(None), models.Job.kind.not_in(_USES)
        )
        failed = {job.checkpoint_id for job in not_done}
        for checkpoint in self._rows.all(models.Checkpoint):
            if checkpoint.id not in at_work:
                yield agreement.Evidence(
                    checkpoint=checkpoint,
                    points=points[checkpoint.id],
                    bank=bank_files.read(self._bank, checkpoint.id),
                    snapshots=snapshots,
                    has_failed_job=checkpoint.id in failed,
                )

    def told_compared(self) -> str:
        """What was compared at the last look, in a line."""
        states = ', '.join(f'{state} {count}' for state, count in sorted(self.compared.items()))
        return (
            f'recovery points that were compared with bank and Cinder: '
            f'{self.compared.total()}{states and f" ({states})"}'
        )

    def _answers(self) -> Iterator[Finding]:
        """The API tells what is in the tables, and the quota counts it."""
        rows = {
            row.id: row.status
            for row in self._rows.all(
                models.Checkpoint, models.Checkpoint.status != constants.CheckpointStatus.DELETED
            )
        }
        told = {
            item['id']: item['status'] for item in self._caller.call('GET', callers.CHECKPOINTS)
        }
        if told != rows:
            yield Finding(WRONG, f'the API tells of other checkpoints: {told} for {rows}')
        used = self._caller.call('GET', f'/quotas/{self._project.id}/detail')['checkpoints'][
            'in_use'
        ]
        if used != len(rows):
            yield Finding(WRONG, f'the quota counts {used} checkpoints of {len(rows)}')


def _as_evidence(snapshot: Any) -> agreement.Snapshot:
    return agreement.Snapshot(
        id=snapshot.id,
        volume_id=snapshot.volume_id,
        checkpoint_id=snapshot.metadata.get('karbor_checkpoint_id'),
        status=snapshot.status,
        size=snapshot.size,
        created_at=moments.read_utc(snapshot.created_at),
    )


def _volumes_in(row: models.Checkpoint) -> Iterator[str]:
    """The volumes that a checkpoint has still; retention may have removed some."""
    for node in graph.walk_nodes(graph.deserialize(row.resource_graph)):
        if node.value.type == constants.VOLUME_RESOURCE_TYPE:
            yield node.value.id
