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

"""Queries on recovery points for what removes them: what is left, and what may go."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.common.constants import RecoveryPointState as State
from karbor.db import batches, models, resource_keys
from karbor.resource import Key


def left_of_checkpoint(session: orm.Session, checkpoint_id: str) -> Sequence[Any]:
    """The points of a checkpoint that are not deleted, by type and id of their resources.

    :returns: of each the resource_type, resource_id, state, cloud_id and seen_good_at.
    """
    return session.execute(
        sa.select(
            models.RecoveryPoint.resource_type,
            models.RecoveryPoint.resource_id,
            models.RecoveryPoint.state,
            models.RecoveryPoint.cloud_id,
            models.RecoveryPoint.seen_good_at,
        )
        .where(
            models.RecoveryPoint.checkpoint_id == checkpoint_id,
            models.RecoveryPoint.state != State.DELETED,
        )
        .order_by(models.RecoveryPoint.resource_type, models.RecoveryPoint.resource_id)
    ).all()


def keys_in_states(session: orm.Session, checkpoint_id: str, states: Collection[State]) -> set[Key]:
    """Type and id of each resource of a checkpoint whose point is in one of some states."""
    rows = session.execute(
        sa.select(models.RecoveryPoint.resource_type, models.RecoveryPoint.resource_id).where(
            models.RecoveryPoint.checkpoint_id == checkpoint_id,
            models.RecoveryPoint.state.in_(sorted(states)),
        )
    )
    return {(row.resource_type, row.resource_id) for row in rows}


def lock_left(session: orm.Session, checkpoint_id: str) -> dict[Key, State]:
    """The states of the points of a checkpoint that are not deleted, by type and id of their
    resources; they stay as they are until the transaction ends."""
    rows = session.execute(
        sa.select(
            models.RecoveryPoint.resource_type,
            models.RecoveryPoint.resource_id,
            models.RecoveryPoint.state,
        )
        .where(
            models.RecoveryPoint.checkpoint_id == checkpoint_id,
            models.RecoveryPoint.state != State.DELETED,
        )
        .with_for_update()
    )
    return {(row.resource_type, row.resource_id): State(row.state) for row in rows}


def lock_good(session: orm.Session, checkpoint_id: str, resources: Collection[Key]) -> set[Key]:
    """Those of some resources that have a good point in a checkpoint, by type and id; the points
    stay good until the transaction ends."""
    good: set[Key] = set()
    for batch in batches.of(resources):
        rows = session.execute(
            sa.select(models.RecoveryPoint.resource_type, models.RecoveryPoint.resource_id)
            .where(
                models.RecoveryPoint.checkpoint_id == checkpoint_id,
                models.RecoveryPoint.state == State.GOOD,
                resource_keys.is_of(models.RecoveryPoint, batch),
            )
            .with_for_update(read=True)
        )
        good |= {(row.resource_type, row.resource_id) for row in rows}
    return good


def begin_removal(session: orm.Session, checkpoint_id: str, resources: Collection[Key]) -> None:
    """Write that what there is of some resources is to be deleted, by their types and ids."""
    for batch in batches.of(resources):
        session.execute(
            sa.update(models.RecoveryPoint)
            .where(
                models.RecoveryPoint.checkpoint_id == checkpoint_id,
                resource_keys.is_of(models.RecoveryPoint, batch),
            )
            .values(state=State.DELETING, reason=None)
            .execution_options(synchronize_session=False)
        )


def lose(session: orm.Session, checkpoint_id: str, resource: Key, reason: str) -> None:
    """Write that a point that was good, and is so by its row still, is not in the cloud."""
    session.execute(
        sa.update(models.RecoveryPoint)
        .where(
            models.RecoveryPoint.checkpoint_id == checkpoint_id,
            models.RecoveryPoint.state == State.GOOD,
            resource_keys.is_of(models.RecoveryPoint, [resource]),
        )
        .values(
            state=State.MISSING,
            reason=reason,
            seen_good_at=sa.func.coalesce(
                models.RecoveryPoint.seen_good_at, models.RecoveryPoint.created_at
            ),
        )
        .execution_options(synchronize_session=False)
    )


def amount_left(session: orm.Session, scheduled_operation_id: str) -> dict[str, int]:
    """How much is left of what a scheduled operation has made: in how many checkpoints, how many
    recovery points, and of how many GiB of volumes, as far as it is known to be in the cloud."""
    point = models.RecoveryPoint
    is_in_cloud = sa.and_(point.cloud_id.is_not(None), point.state != State.MISSING)
    checkpoints, points, size = session.execute(
        sa.select(
            sa.func.count(point.checkpoint_id.distinct()),
            sa.func.count(),
            sa.func.sum(sa.case((is_in_cloud, point.size), else_=0)),
        ).where(
            point.scheduled_operation_id == scheduled_operation_id, point.state != State.DELETED
        )
    ).one()
    return {'checkpoints': checkpoints, 'recovery_points': points, 'gigabytes': int(size or 0)}
