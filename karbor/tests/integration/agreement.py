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
"""Whether recovery points, the bank and Cinder tell the same of a checkpoint."""

import collections
import dataclasses
import datetime
import json
from collections.abc import Iterator, Mapping, Sequence

from karbor.common.constants import CheckpointStatus, ResourceStatus
from karbor.common.constants import RecoveryPointState as State
from karbor.db import models, recovery_points

# Type and id of a resource.
Key = tuple[str, str]

# What points may be of what is not in the graph of their checkpoint any more: it was removed, or
# that has failed.
_OUT_OF_GRAPH = (State.DELETED, State.FAILED)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """One in Cinder.

    :ivar checkpoint_id: that it is marked with.
    :ivar size: in GiB.
    :ivar created_at: in UTC without a zone.
    """

    id: str
    volume_id: str
    checkpoint_id: str | None
    status: str
    size: int
    created_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BankRecord:
    """What the bank has of one resource; None for what it does not have.

    :ivar names: of its objects.
    """

    status: str | None = None
    snapshot_id: str | None = None
    size: int | None = None
    created_at: datetime.datetime | None = None
    names: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BankCheckpoint:
    """What the bank has of a checkpoint.

    :ivar status: of its index; None when there is none.
    :ivar resources: of the graph in its index.
    :ivar records: by the ids of resources.
    """

    status: str | None = None
    resources: frozenset[Key] = frozenset()
    records: Mapping[str, BankRecord] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """All that there is of a checkpoint that no job works on.

    :ivar points: its rows.
    :ivar snapshots: of the whole project, by id.
    :ivar has_failed_job: whether a job that was to protect or to delete has not done all.
    """

    checkpoint: models.Checkpoint
    points: Sequence[models.RecoveryPoint]
    bank: BankCheckpoint
    snapshots: Mapping[str, Snapshot]
    has_failed_job: bool = False


def disagreements(evidence: Evidence) -> list[str]:
    """What is told in one place and not in another, a sentence each.

    What a point that failed is about may be anywhere or nowhere: a job was broken off.
    """
    if evidence.checkpoint.status == CheckpointStatus.DELETED:
        return [*_unlike_graph(evidence), *_left_of_deleted(evidence)]
    return [
        *_unlike_graph(evidence),
        *_unlike_index(evidence),
        *(text for point in evidence.points for text in _unlike_state(evidence, point)),
        *_without_point(evidence),
    ]


def resources_of(graph: str) -> frozenset[Key]:
    """The resources of a graph as rows and indices have it."""
    nodes, _ = json.loads(graph)
    return frozenset((fields[0], fields[1]) for fields in nodes.values())


def _unlike_graph(evidence: Evidence) -> Iterator[str]:
    """Each resource has one point, and each point its resource, unless that was removed."""
    counts = collections.Counter(
        (point.resource_type, point.resource_id) for point in evidence.points
    )
    graph = resources_of(evidence.checkpoint.resource_graph)
    wanted = {key for key in graph if key[0] not in recovery_points.WITHOUT_POINTS}
    for key in sorted(wanted - counts.keys()):
        yield f'there is no point of {key[1]}'
    for key, count in counts.items():
        if count > 1:
            yield f'there are {count} points of {key[1]}'
        if key[0] in recovery_points.WITHOUT_POINTS:
            yield f'there is a point of {key[1]}, a project'
    is_whole = evidence.checkpoint.status in (CheckpointStatus.AVAILABLE, CheckpointStatus.ERROR)
    for point in evidence.points:
        is_in_graph = (point.resource_type, point.resource_id) in wanted
        if not is_in_graph and point.state not in _OUT_OF_GRAPH:
            yield f'{_named(point)}, and the checkpoint is without that resource'
        if is_in_graph and is_whole and point.state == State.DELETED:
            yield f'{_named(point)}, and the checkpoint has that resource'


def _unlike_index(evidence: Evidence) -> Iterator[str]:
    """The bank can tell what is available; what is not may have failed before it got there."""
    checkpoint, bank = evidence.checkpoint, evidence.bank
    if checkpoint.status != CheckpointStatus.AVAILABLE:
        return
    if bank.status != CheckpointStatus.AVAILABLE:
        yield f'it is available, and {bank.status} by the bank'
    elif bank.resources != resources_of(checkpoint.resource_graph):
        yield 'the bank tells of other resources'


def _unlike_state(evidence: Evidence, point: models.RecoveryPoint) -> Iterator[str]:
    """What a point is goes with what there is; nothing was lost, so none is missing or unknown."""
    if point.state == State.GOOD:
        yield from _unlike_cinder(evidence, point)
        yield from _unlike_record(evidence, point)
    elif point.state == State.DELETED:
        yield from _left_of_point(evidence, point)
    elif point.state != State.FAILED:
        yield f'{_named(point)}, and no job works on it'
    elif not evidence.has_failed_job:
        yield f'{_named(point)}, and no job has failed'
    elif not point.reason:
        yield f'{_named(point)}, and there is no reason'


def _unlike_cinder(evidence: Evidence, point: models.RecoveryPoint) -> Iterator[str]:
    """Of a good point there is the snapshot that it tells of."""
    snapshot = evidence.snapshots.get(point.cloud_id or '')
    if snapshot is None:
        yield f'{_named(point)}, and Cinder has no snapshot {point.cloud_id}'
        return
    told = {
        'status': 'available',
        'volume_id': point.resource_id,
        'checkpoint_id': point.checkpoint_id,
        'size': point.size,
        'created_at': point.taken_at,
    }
    for name, value in told.items():
        in_cinder = getattr(snapshot, name)
        # Karbors of before have not kept the moment.
        if in_cinder != value and (name, value) != ('created_at', None):
            yield f'{_named(point)}, and {name} of {snapshot.id} in Cinder is {in_cinder}'


def _unlike_record(evidence: Evidence, point: models.RecoveryPoint) -> Iterator[str]:
    """The bank tells of a good point what its row tells."""
    record = evidence.bank.records.get(point.resource_id, BankRecord())
    told = BankRecord(
        status=ResourceStatus.AVAILABLE,
        snapshot_id=point.cloud_id,
        size=point.size,
        created_at=point.taken_at,
    )
    if record != told:
        yield f'{_named(point)}, and the bank tells {record} in place of {told}'


def _left_of_point(evidence: Evidence, point: models.RecoveryPoint) -> Iterator[str]:
    """Of what was removed the bank may still say that, and no more."""
    record = evidence.bank.records.get(point.resource_id, BankRecord())
    if record.names - {'status'} or record.status not in (None, ResourceStatus.DELETED):
        yield f'{_named(point)}, and the bank has {record.status}: {sorted(record.names)}'
    for snapshot in evidence.snapshots.values():
        if (snapshot.checkpoint_id, snapshot.volume_id) == (
            point.checkpoint_id,
            point.resource_id,
        ):
            yield f'{_named(point)}, and Cinder has {snapshot.id}'


def _without_point(evidence: Evidence) -> Iterator[str]:
    """Nothing is kept of what has no point, for example as it was gone and is left out."""
    ids = {point.resource_id for point in evidence.points}
    for resource_id in sorted(evidence.bank.records.keys() - ids):
        yield f'the bank has {resource_id}, of which there is no point'
    for snapshot in evidence.snapshots.values():
        if snapshot.checkpoint_id == evidence.checkpoint.id and snapshot.volume_id not in ids:
            yield f'Cinder has {snapshot.id} of {snapshot.volume_id}, of which there is no point'


def _left_of_deleted(evidence: Evidence) -> Iterator[str]:
    """Of a checkpoint that is deleted there is nothing but rows."""
    for point in evidence.points:
        if point.state != State.DELETED:
            yield f'{_named(point)}, and the checkpoint is deleted'
    if evidence.bank != BankCheckpoint():
        yield 'it is deleted, and the bank has it'
    for snapshot in evidence.snapshots.values():
        if snapshot.checkpoint_id == evidence.checkpoint.id:
            yield f'it is deleted, and Cinder has {snapshot.id} of {snapshot.volume_id}'


def _named(point: models.RecoveryPoint) -> str:
    return f'the point of {point.resource_id} is {point.state}'
