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

"""Queries on what covers the volumes of a project; each looks at all of them at once."""

from collections.abc import Collection, Container, Sequence
from typing import Any

import sqlalchemy as sa

from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import batches, models, plain_rows
from karbor.db import schedules as schedule_rows

_LIVE = (State.MAKING, State.GOOD, State.MISSING, State.UNKNOWN, State.DELETING)
_COUNTED = (State.MAKING, State.GOOD, State.MISSING, State.FAILED)
# What was good once has failed to be deleted, which says nothing about how it was protected.
_WAS_NEVER_GOOD = models.RecoveryPoint.seen_good_at.is_(None)
_TOLD = sa.or_(
    models.RecoveryPoint.state == State.GOOD,
    sa.and_(models.RecoveryPoint.state == State.FAILED, _WAS_NEVER_GOOD),
)
_RUN_ENDS = (constants.CheckpointStatus.AVAILABLE, constants.CheckpointStatus.ERROR)


def look(connection: sa.Connection, project_id: str) -> models.ProjectLook | None:
    """When the project was last looked at; None if it never was."""
    rows = plain_rows.fetch(
        connection,
        plain_rows.select(models.ProjectLook).where(models.ProjectLook.project_id == project_id),
    )
    return rows[0] if rows else None


def volumes(connection: sa.Connection, project_id: str) -> Sequence[Any]:
    """The volumes of a project as they were last seen, without their labels."""
    volume = models.Volume
    return connection.execute(
        sa.select(volume.id, volume.name, volume.status, volume.size).where(
            volume.project_id == project_id
        )
    ).all()


def labels(connection: sa.Connection, project_id: str) -> dict[str, dict[str, str]]:
    """Cinder's metadata of the volumes of a project, by their ids."""
    rows = connection.execute(
        sa.select(models.Volume.id, models.Volume.labels).where(
            models.Volume.project_id == project_id
        )
    )
    return dict(rows.all())


def unseen(connection: sa.Connection, project_id: str, known_ids: Container[str]) -> list[Any]:
    """Each volume that was not seen, and still has a recovery point.

    :param known_ids: of the volumes that were seen.
    :returns: the same as of :func:`volumes`, of which only id and name are not None; newest_at,
        when the newest point was begun; and region, one in which such a point was made, None if
        that is known of none.
    """
    point, checkpoint = models.RecoveryPoint, models.Checkpoint
    is_of_it = (
        point.project_id == project_id,
        sa.or_(point.state.in_(_LIVE), sa.and_(point.state == State.FAILED, ~_WAS_NEVER_GOOD)),
    )
    with_points = connection.scalars(sa.select(point.resource_id).where(*is_of_it).distinct())
    found: list[Any] = []
    for ids in batches.of(each for each in with_points if each not in known_ids):
        found += connection.execute(
            sa.select(
                point.resource_id.label('id'),
                sa.func.max(point.resource_name).label('name'),
                sa.null().label('status'),
                sa.null().label('size'),
                sa.func.max(point.created_at).label('newest_at'),
                sa.func.max(checkpoint.region).label('region'),
            )
            .outerjoin(checkpoint, checkpoint.id == point.checkpoint_id)
            .where(
                *is_of_it,
                point.resource_type == constants.VOLUME_RESOURCE_TYPE,
                point.resource_id.in_(ids),
            )
            .group_by(point.resource_id)
        )
    return found


def of_plan(connection: sa.Connection, project_id: str, plan_id: str) -> set[str]:
    """The ids of the volumes that a plan has made a recovery point of."""
    point = models.RecoveryPoint
    return set(
        connection.scalars(
            sa.select(point.resource_id)
            .where(point.project_id == project_id, point.plan_id == plan_id)
            .distinct()
        )
    )


def counts(
    connection: sa.Connection, project_id: str, volume_ids: Collection[str] | None
) -> dict[str, Any]:
    """By volume, how many recovery points it has, and when they were begun.

    :param volume_ids: a batch of ids, see :mod:`karbor.db.batches`; None is all.
    :returns: good, missing, oldest_good_at (of its data), newest_good_at, newest_missing_at,
        newest_failed_at, newest_making_at of each that has any.
    """
    point = models.RecoveryPoint
    of_them = () if volume_ids is None else (point.resource_id.in_(volume_ids),)
    rows = connection.execute(
        sa.select(
            point.resource_id,
            sa.func.count(_begun(State.GOOD)).label('good'),
            sa.func.count(_begun(State.MISSING)).label('missing'),
            sa.func.min(
                sa.case(
                    (point.state == State.GOOD, sa.func.coalesce(point.taken_at, point.created_at))
                )
            ).label('oldest_good_at'),
            sa.func.max(_begun(State.GOOD)).label('newest_good_at'),
            sa.func.max(_begun(State.MISSING)).label('newest_missing_at'),
            sa.func.max(_begun(State.FAILED, _WAS_NEVER_GOOD)).label('newest_failed_at'),
            sa.func.max(_begun(State.MAKING)).label('newest_making_at'),
        )
        .where(point.project_id == project_id, point.state.in_(_COUNTED), *of_them)
        .group_by(point.resource_id)
    )
    return {row.resource_id: row for row in rows}


def _begun(state: State, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    """When the checkpoint of a point was begun, if that is in a state."""
    point = models.RecoveryPoint
    return sa.case((sa.and_(point.state == state, *conditions), point.created_at))


def newest_points(
    connection: sa.Connection, project_id: str, volume_ids: Collection[str]
) -> Sequence[models.RecoveryPoint]:
    """Of each of some volumes the newest good point, and the newest that could not be made.

    Which they are is read from an index alone.
    """
    point = models.RecoveryPoint
    place = sa.func.row_number().over(
        partition_by=(point.resource_id, point.state),
        order_by=(point.created_at.desc(), point.id.desc()),
    )
    placed = (
        sa.select(point.id, place.label('place'))
        .where(point.project_id == project_id, point.resource_id.in_(volume_ids), _TOLD)
        .subquery()
    )
    return plain_rows.fetch(
        connection,
        plain_rows.select(point).join(placed, point.id == placed.c.id).where(placed.c.place == 1),
    )


def plans(connection: sa.Connection, project_id: str) -> Sequence[Any]:
    """Id, name and resources of all plans of a project."""
    return connection.execute(
        sa.select(models.Plan.id, models.Plan.name, models.Plan.resources)
        .where(models.Plan.project_id == project_id)
        .order_by(models.Plan.created_at, models.Plan.id)
    ).all()


def schedules(connection: sa.Connection, project_id: str) -> Sequence[Any]:
    """The scheduled operations of a project, with their triggers and how the newest run ended.

    A run that is another one tried once more is not looked at: it is of a part of the volumes.
    """
    operation, trigger, log = models.ScheduledOperation, models.Trigger, models.OperationLog
    newest_run = schedule_rows.newest_run(
        log.status.in_(_RUN_ENDS), log.extra_info['retry_of'].as_string().is_(None)
    )
    return connection.execute(
        sa.select(
            operation.id,
            operation.name,
            operation.plan_id,
            operation.enabled,
            operation.created_at,
            trigger.properties,
            trigger.next_fire_at,
            trigger.last_fire_at,
            log.status.label('run_status'),
            log.checkpoint_id.label('run_checkpoint_id'),
            log.created_at.label('run_at'),
            log.error_info.label('run_error'),
        )
        .join(trigger, trigger.id == operation.trigger_id)
        .outerjoin(log, log.id == newest_run)
        .where(operation.project_id == project_id)
        .order_by(operation.created_at, operation.id)
    ).all()
