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

"""Queries on checkpoints."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import exception
from karbor.common import constants
from karbor.db import models, paging, plain_rows

# Of a row of an older Karbor, which has compressed nothing.
_PLAN_NAME = sa.type_coerce(models.Checkpoint.protection_plan, sa.JSON)['name'].as_string()
# What lists show. Plan and graph of one checkpoint may have megabytes.
_LISTED = [
    sa.func.coalesce(column, _PLAN_NAME).label('plan_name') if column.key == 'plan_name' else column
    for column in models.Checkpoint.__table__.columns
    if column.key not in ('protection_plan', 'resource_graph')
]
# Filters that are about what is in a checkpoint.
OF_RESOURCES = frozenset(('resource_id', 'resource_type'))

_SETTLED = frozenset(
    (
        constants.CheckpointStatus.AVAILABLE,
        constants.CheckpointStatus.ERROR,
        constants.CheckpointStatus.ERROR_DELETING,
    )
)


_ONE = plain_rows.select(models.Checkpoint).where(
    models.Checkpoint.id == sa.bindparam('checkpoint_id'),
    models.Checkpoint.project_id == sa.bindparam('project_id'),
    models.Checkpoint.provider_id == sa.bindparam('provider_id'),
)


def create(session: orm.Session, **values: Any) -> models.Checkpoint:
    name = values['protection_plan'].get('name')
    checkpoint = models.Checkpoint(plan_name=name, **values)
    session.add(checkpoint)
    session.flush()
    return checkpoint


def get(
    session: orm.Session,
    project_id: str,
    provider_id: str,
    checkpoint_id: str,
    *,
    lock: bool = False,
) -> models.Checkpoint:
    """A checkpoint of the project and provider.

    :param lock: keep others from changing its row until the transaction ends.
    :raises CheckpointNotFound: there is none of that id.
    """
    query = sa.select(models.Checkpoint).where(
        models.Checkpoint.id == checkpoint_id,
        models.Checkpoint.project_id == project_id,
        models.Checkpoint.provider_id == provider_id,
    )
    checkpoint = session.scalar(query.with_for_update() if lock else query)
    if checkpoint is None:
        raise exception.CheckpointNotFound(checkpoint_id=checkpoint_id)
    return checkpoint


def look(
    connection: sa.Connection, project_id: str, provider_id: str, checkpoint_id: str
) -> models.Checkpoint:
    """A checkpoint of the project and provider, see :mod:`karbor.db.plain_rows`.

    :raises CheckpointNotFound: there is none of that id.
    """
    rows = plain_rows.fetch(
        connection,
        _ONE,
        checkpoint_id=checkpoint_id,
        project_id=project_id,
        provider_id=provider_id,
    )
    if not rows:
        raise exception.CheckpointNotFound(checkpoint_id=checkpoint_id)
    return rows[0]


def set_status(
    session: orm.Session, checkpoint_id: str, status: str, reason: str | None = None
) -> bool:
    """Set the status; returns whether it was another before."""
    changed = session.execute(
        sa.update(models.Checkpoint)
        .where(models.Checkpoint.id == checkpoint_id, models.Checkpoint.status != status)
        .values(status=status, status_reason=reason)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def settled_of_project(
    session: orm.Session, project_id: str, just_made: str | None = None
) -> Sequence[Any]:
    """The checkpoints of a project that are neither being made nor being deleted, nor deleted.

    :param just_made: id of one that counts though it is being made still.
    :returns: of each the id, created_at, pinned, status, provider_id, plan_id, extra_info and
        region.
    """
    return session.execute(
        sa.select(
            models.Checkpoint.id,
            models.Checkpoint.created_at,
            models.Checkpoint.pinned,
            models.Checkpoint.status,
            models.Checkpoint.provider_id,
            models.Checkpoint.plan_id,
            models.Checkpoint.extra_info,
            models.Checkpoint.region,
        ).where(
            models.Checkpoint.project_id == project_id,
            sa.or_(
                models.Checkpoint.status.in_(sorted(_SETTLED)),
                sa.and_(
                    models.Checkpoint.id == just_made,
                    models.Checkpoint.status == constants.CheckpointStatus.PROTECTING,
                ),
            ),
        )
    ).all()


def page(
    connection: sa.Connection,
    provider_id: str,
    selection: paging.Selection,
    *,
    since: datetime.datetime | None,
    before: datetime.datetime | None,
) -> tuple[list[models.Checkpoint], bool]:
    """One page of checkpoints with a provider, without plan and graph, and whether more follow.

    Without a filter by status, deleted checkpoints are left out. ``resource_id`` and
    ``resource_type`` are of a resource that is in them.

    :param since: earliest moment of creation, in UTC.
    :param before: moment of creation, in UTC, that comes too late.
    """
    conditions = [models.Checkpoint.provider_id == provider_id]
    own = {name: text for name, text in selection.filters.items() if name not in OF_RESOURCES}
    if len(own) < len(selection.filters):
        conditions.append(models.Checkpoint.id.in_(_with_resource(selection)))
    if 'status' not in selection.filters:
        conditions.append(models.Checkpoint.status != constants.CheckpointStatus.DELETED)
    if since is not None:
        conditions.append(models.Checkpoint.created_at >= since)
    if before is not None:
        conditions.append(models.Checkpoint.created_at < before)
    selection = dataclasses.replace(selection, filters=own)
    return paging.rows(connection, models.Checkpoint, selection, conditions, columns=_LISTED)


def _still_in(selection: paging.Selection) -> list[sa.ColumnElement[bool]]:
    """What is deleted is in no checkpoint, unless deleted ones are asked for."""
    if selection.filters.get('status') == constants.CheckpointStatus.DELETED:
        return []
    return [models.RecoveryPoint.state != constants.RecoveryPointState.DELETED]


def _with_resource(selection: paging.Selection) -> sa.Select[str]:
    """The ids of the checkpoints that have a certain resource."""
    points = sa.select(models.RecoveryPoint.checkpoint_id).where(
        *_still_in(selection),
        *(
            getattr(models.RecoveryPoint, name) == text
            for name, text in selection.filters.items()
            if name in OF_RESOURCES
        ),
    )
    if selection.project_id is not None:
        points = points.where(models.RecoveryPoint.project_id == selection.project_id)
    return points
