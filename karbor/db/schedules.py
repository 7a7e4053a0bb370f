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

"""Queries on triggers, the moments at which they fire, and scheduled operations."""

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import exception
from karbor.common import constants
from karbor.db import batches, models, paging, plain_rows

_FIRES_KEPT = datetime.timedelta(days=30)


def create_trigger(session: orm.Session, **values: Any) -> models.Trigger:
    trigger = models.Trigger(**values)
    session.add(trigger)
    session.flush()
    return trigger


def get_trigger(
    session: orm.Session, project_id: str, trigger_id: str, *, lock: bool = False
) -> models.Trigger:
    """A trigger of the project.

    :param lock: keep others from changing its row until the transaction ends.
    :raises TriggerNotFound: the project has none of that id.
    """
    query = sa.select(models.Trigger).where(
        models.Trigger.id == trigger_id, models.Trigger.project_id == project_id
    )
    trigger = session.scalar(
        query.with_for_update().execution_options(populate_existing=True) if lock else query
    )
    if trigger is None:
        raise exception.TriggerNotFound(id=trigger_id)
    return trigger


def page_of_triggers(
    connection: sa.Connection, selection: paging.Selection
) -> tuple[list[models.Trigger], bool]:
    """One page of triggers, and whether more follow."""
    return paging.rows(connection, models.Trigger, selection)


def take_due(session: orm.Session, now: datetime.datetime) -> str | None:
    """The id of the trigger that is due longest; its row is locked.

    Those that another engine has locked are passed over.
    """
    return session.scalar(
        sa.select(models.Trigger.id)
        .where(models.Trigger.due_at <= now)
        .order_by(models.Trigger.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def earliest_due(session: orm.Session) -> datetime.datetime | None:
    """When the next trigger is due."""
    return session.scalar(sa.select(sa.func.min(models.Trigger.due_at)))


def put_off(session: orm.Session, trigger_id: str, due_at: datetime.datetime) -> None:
    """Leave a trigger alone until a moment."""
    session.execute(
        sa.update(models.Trigger).where(models.Trigger.id == trigger_id).values(due_at=due_at)
    )


def record_fire(
    session: orm.Session, trigger_id: str, fire_at: datetime.datetime, now: datetime.datetime
) -> bool:
    """Write that a trigger fires, and forget when it did long ago.

    :returns: False, and nothing written, if it has fired for that moment already.
    """
    if session.get(models.TriggerFire, (trigger_id, fire_at)) is not None:
        return False
    session.add(models.TriggerFire(trigger_id=trigger_id, fire_at=fire_at, fired_at=now))
    session.execute(
        sa.delete(models.TriggerFire).where(
            models.TriggerFire.trigger_id == trigger_id,
            models.TriggerFire.fire_at < fire_at - _FIRES_KEPT,
        )
    )
    session.flush()
    return True


def create_operation(session: orm.Session, **values: Any) -> models.ScheduledOperation:
    operation = models.ScheduledOperation(**values)
    session.add(operation)
    session.flush()
    return operation


def get_operation(
    session: orm.Session, project_id: str, operation_id: str, *, lock: bool = False
) -> models.ScheduledOperation:
    """A scheduled operation of the project.

    :param lock: keep others from changing its row until the transaction ends.
    :raises ScheduledOperationNotFound: the project has none of that id.
    """
    query = sa.select(models.ScheduledOperation).where(
        models.ScheduledOperation.id == operation_id,
        models.ScheduledOperation.project_id == project_id,
    )
    operation = session.scalar(
        query.with_for_update().execution_options(populate_existing=True) if lock else query
    )
    if operation is None:
        raise exception.ScheduledOperationNotFound(id=operation_id)
    return operation


def lock_operation(session: orm.Session, operation_id: str) -> None:
    """Keep others from changing a scheduled operation, if it is there, and its runs."""
    session.execute(
        sa.select(models.ScheduledOperation.id)
        .where(models.ScheduledOperation.id == operation_id)
        .with_for_update()
    )


def lock_with_triggers(
    session: orm.Session, project_id: str, operation_id: str, *more: str
) -> tuple[models.ScheduledOperation, list[models.Trigger]]:
    """A scheduled operation with the trigger that it waits for, and more triggers, all locked.

    Triggers are locked first, as engines do it.

    :param more: ids of further triggers of the project.
    :raises ScheduledOperationNotFound:
    :raises TriggerNotFound:
    """
    operation = get_operation(session, project_id, operation_id)
    while True:
        triggers = {
            trigger_id: get_trigger(session, project_id, trigger_id, lock=True)
            for trigger_id in sorted({operation.trigger_id, *more})
        }
        operation = get_operation(session, project_id, operation_id, lock=True)
        if operation.trigger_id in triggers:  # and was not moved in between
            return operation, list(triggers.values())


def page_of_operations(
    connection: sa.Connection, selection: paging.Selection, *, enabled: bool | None = None
) -> tuple[list[models.ScheduledOperation], bool]:
    """One page of scheduled operations, and whether more follow.

    :param enabled: whether those are meant that are enabled, or those that are not; None is both.
    """
    wanted = () if enabled is None else (models.ScheduledOperation.enabled.is_(enabled),)
    return paging.rows(connection, models.ScheduledOperation, selection, wanted)


def look_at_operation(
    connection: sa.Connection, project_id: str, operation_id: str
) -> models.ScheduledOperation:
    """A scheduled operation of the project, see :mod:`karbor.db.plain_rows`.

    :raises ScheduledOperationNotFound: the project has none of that id.
    """
    found = plain_rows.fetch(
        connection,
        plain_rows.select(models.ScheduledOperation).where(
            models.ScheduledOperation.id == operation_id,
            models.ScheduledOperation.project_id == project_id,
        ),
    )
    if not found:
        raise exception.ScheduledOperationNotFound(id=operation_id)
    return found[0]


def with_triggers(connection: sa.Connection, operation_ids: Iterable[str]) -> dict[str, Any]:
    """What scheduled operations wait for, and how their newest runs went, by their ids.

    :returns: properties and next_fire_at of the trigger; and run_id, which is None before the
        first run, run_status, run_checkpoint_id, run_started_at, run_ended_at and run_error.
    """
    operation, trigger, log = models.ScheduledOperation, models.Trigger, models.OperationLog
    query = (
        sa.select(
            operation.id,
            trigger.properties,
            trigger.next_fire_at,
            log.id.label('run_id'),
            log.status.label('run_status'),
            log.checkpoint_id.label('run_checkpoint_id'),
            log.started_at.label('run_started_at'),
            log.ended_at.label('run_ended_at'),
            log.error_info.label('run_error'),
        )
        .select_from(trigger)
        .join(operation, trigger.id == operation.trigger_id)
        .outerjoin(log, log.id == newest_run(log.status != constants.OperationStatus.SKIPPED))
    )
    return {
        row.id: row
        for ids in batches.of(operation_ids)
        for row in connection.execute(query.where(operation.id.in_(ids)))
    }


def newest_run(*conditions: Any) -> Any:
    """The id of the operation log of the newest run, in a query of scheduled operations.

    :param conditions: what holds for the logs.
    """
    operation, log = models.ScheduledOperation, models.OperationLog
    return (
        sa.select(log.id)
        .where(
            log.scheduled_operation_id == operation.id,
            log.operation_type == constants.OperationType.PROTECT,
            *conditions,
        )
        .order_by(log.created_at.desc(), log.id.desc())
        .limit(1)
        .correlate(operation)
        .scalar_subquery()
    )


def awaiting(session: orm.Session, trigger_id: str) -> Sequence[models.ScheduledOperation]:
    """The enabled operations that wait for a trigger, oldest first, locked."""
    return session.scalars(
        sa.select(models.ScheduledOperation)
        .where(
            models.ScheduledOperation.trigger_id == trigger_id,
            models.ScheduledOperation.enabled.is_(True),
        )
        .order_by(models.ScheduledOperation.created_at, models.ScheduledOperation.id)
        .with_for_update()
    ).all()


def operation_for_plan(session: orm.Session, plan_id: str) -> str | None:
    """The id of a scheduled operation that needs the plan."""
    return session.scalar(
        sa.select(models.ScheduledOperation.id)
        .where(models.ScheduledOperation.plan_id == plan_id)
        .limit(1)
    )


def operation_of_trigger(
    session: orm.Session, trigger_id: str, *, besides: str | None = None
) -> str | None:
    """The id of a scheduled operation that waits for the trigger.

    :param besides: the id of one that is not meant.
    """
    others = () if besides is None else (models.ScheduledOperation.id != besides,)
    return session.scalar(
        sa.select(models.ScheduledOperation.id)
        .where(models.ScheduledOperation.trigger_id == trigger_id, *others)
        .limit(1)
    )
