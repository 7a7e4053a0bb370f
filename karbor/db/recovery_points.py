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

"""Queries on recovery points: what is true of a resource in a checkpoint."""

import dataclasses
import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_utils import timeutils
from sqlalchemy import orm

from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import batches, models, paging, plain_rows, resource_keys, upserts
from karbor.resource import Key, Resource

# What there is one row of.
KEY = ('checkpoint_id', 'resource_type', 'resource_id')

_LONGEST_NAME = 255

_OF_CHECKPOINT = (
    plain_rows.select(models.RecoveryPoint)
    .where(models.RecoveryPoint.checkpoint_id == sa.bindparam('checkpoint_id'))
    .order_by(
        models.RecoveryPoint.resource_type,
        models.RecoveryPoint.resource_name,
        models.RecoveryPoint.resource_id,
    )
)

# Of what is good in the latter, all can be restored.
_RESTORED_FROM = (constants.CheckpointStatus.AVAILABLE, constants.CheckpointStatus.ERROR)

# A project has nothing that could be gone back to: it only stands for what it holds.
WITHOUT_POINTS = frozenset((constants.PROJECT_RESOURCE_TYPE,))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """What is known of the data; None for what is not.

    :ivar cloud_id: what it is in the cloud.
    :ivar size: in GiB.
    :ivar taken_at: the moment that it is of, in UTC without a zone.
    """

    cloud_id: str | None = None
    size: int | None = None
    taken_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A recovery point that is to be written."""

    resource: Resource
    state: State = State.MAKING
    reason: str | None = None
    saved: Saved = Saved()
    seen_good_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What has become of a resource's point.

    :ivar saved: what is known of the data, and of what is left of it; None leaves it as it is.
    :ivar is_to_be_asked: whether its bank is still to be asked for what is known of it.
    """

    resource: Resource
    state: State
    reason: str | None = None
    saved: Saved | None = None
    is_to_be_asked: bool = False


def add(
    session: orm.Session,
    checkpoint: models.Checkpoint,
    points: Iterable[Point],
    scheduled_operation_id: str | None,
) -> None:
    """Write the points of a new checkpoint, but for those of what has none.

    :param checkpoint: its row, written already.
    :param scheduled_operation_id: of the scheduled operation that has made it.
    """
    for batch in batches.of(rows_of(checkpoint, points, scheduled_operation_id)):
        session.execute(sa.insert(models.RecoveryPoint), list(batch))


def add_missing(
    session: orm.Session,
    checkpoint: models.Checkpoint,
    points: Iterable[Point],
    scheduled_operation_id: str | None,
) -> int:
    """Write those of the points that there are not yet; see :func:`add`.

    :returns: how many are given.
    """
    return add_missing_rows(session, rows_of(checkpoint, points, scheduled_operation_id))


def add_missing_rows(session: orm.Session, rows: Sequence[dict[str, Any]]) -> int:
    """The same for points of many checkpoints at once.

    :param rows: from :func:`rows_of`.
    """
    return upserts.write_missing(session, models.RecoveryPoint, KEY, rows)


def rows_of(
    checkpoint: models.Checkpoint, points: Iterable[Point], scheduled_operation_id: str | None
) -> list[dict[str, Any]]:
    """The values of the rows of points; see :func:`add`."""
    shared = {
        'checkpoint_id': checkpoint.id,
        'project_id': checkpoint.project_id,
        'provider_id': checkpoint.provider_id,
        'plan_id': checkpoint.plan_id,
        'scheduled_operation_id': scheduled_operation_id,
        'created_at': checkpoint.created_at,
    }
    return [
        {**shared, **_own_values(point)}
        for point in points
        if point.resource.type not in WITHOUT_POINTS
    ]


def _own_values(point: Point) -> dict[str, Any]:
    return {
        'resource_type': point.resource.type,
        'resource_id': point.resource.id,
        'resource_name': stored_name(point.resource.name),
        'state': point.state,
        'reason': point.reason,
        'seen_good_at': point.seen_good_at,
        **dataclasses.asdict(point.saved),
    }


def stored_name(name: str | None) -> str:
    """A resource's name in characters, and of a length, that every database can hold."""
    return (name or '').replace('\x00', '').encode(errors='replace').decode()[:_LONGEST_NAME]


def record(session: orm.Session, checkpoint_id: str, results: Iterable[Result]) -> None:
    """Write what has become of points of a checkpoint; few statements for however many."""
    alike: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        kind = (
            result.resource.type,
            result.state,
            result.saved is not None,
            result.is_to_be_asked,
        )
        alike.setdefault(kind, []).append(result)
    for group in alike.values():
        for batch in batches.of(group):
            _update_batch(session, checkpoint_id, batch)


def _update_batch(session: orm.Session, checkpoint_id: str, batch: Sequence[Result]) -> None:
    """Write what has become of points, those of resources of one type that share the rest."""
    first = batch[0]
    reasons = {result.resource.id: result.reason for result in batch}
    values: dict[str, Any] = {'state': first.state, 'reason': _by_resource('reason', reasons)}
    if first.saved is not None:
        for field in dataclasses.fields(Saved):
            known = {result.resource.id: getattr(result.saved, field.name) for result in batch}
            values[field.name] = _by_resource(field.name, known)
        if first.state == State.GOOD:
            values['seen_good_at'] = timeutils.utcnow()
    if first.is_to_be_asked:
        values['updated_at'] = None
    session.execute(
        sa.update(models.RecoveryPoint)
        .where(
            models.RecoveryPoint.checkpoint_id == checkpoint_id,
            models.RecoveryPoint.resource_type == first.resource.type,
            models.RecoveryPoint.resource_id.in_([result.resource.id for result in batch]),
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def _by_resource(name: str, values: Mapping[str, Any]) -> sa.ColumnElement[Any]:
    """What a column is to have in the row of each resource.

    :param values: by ids of resources.
    """
    column = models.RecoveryPoint.__table__.c[name]
    if len(set(values.values())) == 1:
        return sa.literal(next(iter(values.values())), column.type)
    return sa.case(
        {resource_id: sa.literal(value, column.type) for resource_id, value in values.items()},
        value=models.RecoveryPoint.resource_id,
    )


def fail_unfinished(session: orm.Session, checkpoint_id: str, reason: str) -> None:
    """Write that what a protect has not come to has failed with it."""
    _update_all(session, checkpoint_id, (State.MAKING,), State.FAILED, reason)


def forget(session: orm.Session, checkpoint_id: str, gone: Iterable[Resource]) -> None:
    """Remove the points of resources that are left out of a checkpoint after all."""
    for batch in batches.of((resource.type, resource.id) for resource in gone):
        session.execute(
            sa.delete(models.RecoveryPoint)
            .where(
                models.RecoveryPoint.checkpoint_id == checkpoint_id,
                resource_keys.is_of(models.RecoveryPoint, batch),
            )
            .execution_options(synchronize_session=False)
        )


def begin_deletion(session: orm.Session, checkpoint_id: str) -> None:
    """Write that all that there is of a checkpoint is to be deleted."""
    _update_all(session, checkpoint_id, set(State) - {State.DELETED}, State.DELETING, None)


def end_deletion(session: orm.Session, checkpoint_id: str, reason: str | None) -> None:
    """Write what has become of what a deletion has not come to.

    :param reason: why it failed; None when nothing is left.
    """
    if reason:
        fail_removal(session, checkpoint_id, reason)
    else:
        _update_all(session, checkpoint_id, set(State) - {State.DELETED}, State.DELETED, None)


def fail_removal(session: orm.Session, checkpoint_id: str, reason: str) -> None:
    """Write that what a removal has not come to is still there."""
    _update_all(session, checkpoint_id, (State.DELETING,), State.FAILED, reason)


def _update_all(
    session: orm.Session,
    checkpoint_id: str,
    states: Collection[State],
    then: State,
    reason: str | None,
) -> None:
    session.execute(
        sa.update(models.RecoveryPoint)
        .where(
            models.RecoveryPoint.checkpoint_id == checkpoint_id,
            models.RecoveryPoint.state.in_(sorted(states)),
        )
        .values(state=then, reason=reason)
        .execution_options(synchronize_session=False)
    )


def in_states(
    session: orm.Session, checkpoint_id: str, states: Collection[State]
) -> Sequence[models.RecoveryPoint]:
    """The points of a checkpoint that are in some states."""
    return session.scalars(
        sa.select(models.RecoveryPoint).where(
            models.RecoveryPoint.checkpoint_id == checkpoint_id,
            models.RecoveryPoint.state.in_(sorted(states)),
        )
    ).all()


def settle(
    session: orm.Session,
    point_ids: Collection[str],
    before: str,
    state: State,
    reason: str | None,
) -> int:
    """Change the state of points that have still the one that was read; returns how many had.

    It is as if they had just been written so: what their bank tells is still to be asked.

    :param before: the state that was read.
    """
    return sum(
        session.execute(
            sa.update(models.RecoveryPoint)
            .where(models.RecoveryPoint.id.in_(ids), models.RecoveryPoint.state == before)
            .values(state=state, reason=reason, updated_at=None)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
        for ids in batches.of(point_ids)
    )


def complete(
    session: orm.Session,
    point: models.RecoveryPoint,
    state: State,
    reason: str | None,
    *,
    saved: Saved,
    seen_good_at: datetime.datetime | None = None,
) -> bool:
    """Change the state of a point that has still the one that was read; returns whether it had.

    :param saved: what is known of the data now; what was known before stays.
    """
    known = {
        name: value
        for name, value in dataclasses.asdict(saved).items()
        if value is not None and getattr(point, name) is None
    }
    if seen_good_at is not None:
        known['seen_good_at'] = seen_good_at
    changed = session.execute(
        sa.update(models.RecoveryPoint)
        .where(models.RecoveryPoint.id == point.id, models.RecoveryPoint.state == point.state)
        .values(state=state, reason=reason, **known)
        .execution_options(synchronize_session=False)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def states_of(session: orm.Session, checkpoint_ids: Collection[str]) -> dict[str, set[str]]:
    """The states of the points of checkpoints, of those that have any."""
    states: dict[str, set[str]] = {}
    for checkpoint_id, state in session.execute(
        sa.select(models.RecoveryPoint.checkpoint_id, models.RecoveryPoint.state)
        .where(models.RecoveryPoint.checkpoint_id.in_(checkpoint_ids))
        .distinct()
    ):
        states.setdefault(checkpoint_id, set()).add(state)
    return states


def never_looked_at(
    session: orm.Session, checkpoint_ids: Collection[str], provider_ids: Collection[str]
) -> Sequence[models.RecoveryPoint]:
    """Points that were written as good or unknown, and never changed since; by checkpoint.

    :param checkpoint_ids: whose points are looked at.
    :param provider_ids: of which providers.
    """
    return session.scalars(
        sa.select(models.RecoveryPoint)
        .where(
            models.RecoveryPoint.checkpoint_id.in_(checkpoint_ids),
            models.RecoveryPoint.provider_id.in_(provider_ids),
            models.RecoveryPoint.state.in_((State.GOOD, State.UNKNOWN)),
            models.RecoveryPoint.updated_at.is_(None),
        )
        .order_by(models.RecoveryPoint.checkpoint_id, models.RecoveryPoint.id)
    ).all()


def of_checkpoints(
    session: orm.Session, checkpoint_ids: Collection[str]
) -> Sequence[models.RecoveryPoint]:
    """The points of some checkpoints."""
    return session.scalars(
        sa.select(models.RecoveryPoint).where(
            models.RecoveryPoint.checkpoint_id.in_(checkpoint_ids)
        )
    ).all()


def of_checkpoint(connection: sa.Connection, checkpoint_id: str) -> Sequence[models.RecoveryPoint]:
    """The points of a checkpoint, by type and name, see :mod:`karbor.db.plain_rows`."""
    return plain_rows.fetch(connection, _OF_CHECKPOINT, checkpoint_id=checkpoint_id)


def newest_good(
    session: orm.Session,
    project_id: str,
    resources: Collection[Key],
    before: datetime.datetime,
    provider_id: str | None = None,
) -> dict[Key, Any]:
    """The newest good point of each of some resources, in a checkpoint that can be restored.

    :param resources: types and ids; those without any are left out.
    :param before: moment, in UTC, of which the data is not to be any more, see :func:`page`.
    :param provider_id: with which the checkpoint is to be; None is with any.
    :returns: of each the resource_type, resource_id, checkpoint_id and provider_id.
    """
    point, checkpoint = models.RecoveryPoint, models.Checkpoint
    moment = sa.func.coalesce(point.taken_at, point.created_at)
    place = sa.func.row_number().over(
        partition_by=(point.resource_type, point.resource_id),
        order_by=(moment.desc(), point.id.desc()),
    )
    of_provider = sa.true() if provider_id is None else point.provider_id == provider_id
    found: dict[Key, Any] = {}
    for batch in batches.of(resources):
        placed = (
            sa.select(point.resource_type, point.resource_id, point.checkpoint_id)
            .add_columns(point.provider_id, place.label('place'))
            .join(checkpoint, checkpoint.id == point.checkpoint_id)
            .where(
                point.project_id == project_id,
                point.state == State.GOOD,
                moment < before,
                checkpoint.status.in_(_RESTORED_FROM),
                of_provider,
                resource_keys.is_of(point, batch),
            )
            .subquery()
        )
        for row in session.execute(sa.select(placed).where(placed.c.place == 1)):
            found[row.resource_type, row.resource_id] = row
    return found


def page(
    connection: sa.Connection,
    selection: paging.Selection,
    *,
    since: datetime.datetime | None,
    before: datetime.datetime | None,
) -> tuple[list[models.RecoveryPoint], bool]:
    """One page of recovery points, and whether more follow.

    :param since: earliest moment that the data is of, in UTC; of data of which that is not known,
        the moment at which the checkpoint was begun counts.
    :param before: moment that comes too late, likewise.
    """
    moment = sa.func.coalesce(models.RecoveryPoint.taken_at, models.RecoveryPoint.created_at)
    conditions = []
    if since is not None:
        conditions.append(moment >= since)
    if before is not None:
        conditions.append(moment < before)
    return paging.rows(connection, models.RecoveryPoint, selection, conditions)
