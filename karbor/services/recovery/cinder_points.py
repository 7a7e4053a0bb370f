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

"""What the snapshots in Cinder tell of the recovery points of a checkpoint."""

from collections.abc import Iterable, Mapping, Sequence

from oslo_utils import timeutils
from sqlalchemy import orm

from karbor.common import constants, origins
from karbor.common.constants import RecoveryPointState as State
from karbor.db import models, recovery_points
from karbor.db.recovery_points import Point, Saved
from karbor.resource import Resource
from karbor.services.protection import graph
from karbor.services.recovery.inventory import Item

_GONE = 'Cinder has no good snapshot of it.'
_NOT_DELETED = 'It was to be deleted, and Cinder has its snapshot still.'
_NOT_TOLD = 'The bank was lost, and Cinder knows nothing of it.'
_NOT_MADE = 'A job that was to protect it was broken off, and Cinder has no good snapshot of it.'


def best(resource_id: str, items: Iterable[Item]) -> Item | None:
    """The first good snapshot of a volume; one that is in error is none."""
    return next(
        (
            item
            for item in items
            if item.resource_id == resource_id == item.volume_id and item.status == 'available'
        ),
        None,
    )


def of(
    roots: Iterable[graph.GraphNode], snapshots: Mapping[Resource, Item | None], status: str
) -> list[Point]:
    """The points of a checkpoint.

    :param snapshots: what there is of each volume; None for nothing good.
    :param status: of the checkpoint.
    """
    is_deletion = status == constants.CheckpointStatus.ERROR_DELETING
    return [
        _point(node.value, snapshots[node.value], is_deletion)
        if node.value in snapshots
        else Point(resource=node.value, state=State.UNKNOWN, reason=_NOT_TOLD)
        for node in graph.walk_nodes(roots)
    ]


def _point(resource: Resource, item: Item | None, is_deletion: bool) -> Point:
    if item is None:
        if is_deletion:
            return Point(resource=resource, state=State.DELETED)
        return Point(resource=resource, state=State.MISSING, reason=_GONE)
    saved = Saved(cloud_id=item.id, size=item.size, taken_at=item.created_at)
    if is_deletion:
        return Point(resource=resource, state=State.FAILED, reason=_NOT_DELETED, saved=saved)
    return Point(resource=resource, state=State.GOOD, saved=saved, seen_good_at=timeutils.utcnow())


def write(session: orm.Session, checkpoint: models.Checkpoint, points: Sequence[Point]) -> None:
    """Write what has become of points that there are, and those that there are not.

    What has failed, or is deleted, stays so.

    :param checkpoint: locked; no job works on it.
    """
    operation_id = origins.scheduled_operation_id(checkpoint.extra_info)
    before = {
        (row.resource_type, row.resource_id): row
        for row in recovery_points.of_checkpoint(session.connection(), checkpoint.id)
    }
    for point in points:
        row = before.get((point.resource.type, point.resource.id))
        if row is None or row.state in (State.FAILED, State.DELETED):
            continue
        state, reason = point.state, point.reason
        if row.state == State.MAKING and state == State.MISSING:
            state, reason = State.FAILED, _NOT_MADE
        recovery_points.complete(
            session, row, state, reason, saved=point.saved, seen_good_at=point.seen_good_at
        )
    recovery_points.add_missing(session, checkpoint, points, operation_id)


def complete(session: orm.Session, checkpoint_id: str, items: Sequence[Item]) -> None:
    """Write of when good points are, and what they are in Cinder, where that is not known.

    :param items: the snapshots of the checkpoint.
    """
    for row in recovery_points.in_states(session, checkpoint_id, (State.GOOD,)):
        if None not in (row.taken_at, row.cloud_id, row.size):
            continue
        item = best(row.resource_id, items)
        if item is not None and row.cloud_id in (None, item.id):
            saved = Saved(cloud_id=item.id, size=item.size, taken_at=item.created_at)
            recovery_points.complete(session, row, State.GOOD, None, saved=saved)
