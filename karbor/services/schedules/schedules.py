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

"""Schedules: a scheduled operation and the trigger that it waits for, as one.

The rows are those of :mod:`scheduled_operations` and :mod:`triggers`, and so are the rules of what
may stand in them. A schedule has the id of its operation.
"""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import models, paging
from karbor.db import plans as plan_rows
from karbor.db import schedules as rows
from karbor.services.identity import trusts
from karbor.services.schedules import (
    engine,
    property_changes,
    retention,
    retention_scopes,
    scheduled_operations,
    time_triggers,
    triggers,
)
from karbor.services.schedules.runs import Overlap

#: what a schedule has of its trigger
TIMES = time_triggers.PROPERTIES
#: the rules of a retention, as the definition of a scheduled operation has them
RETENTION_RULES = (*retention.RULES, 'retention_scope')

# What is changed without that the schedule acts for another user from then on.
_HARMLESS = {'name', 'description', *TIMES}
# What says what it does.
_DEFINING = {'plan_id', 'provider_id', 'overlap', 'retention'}

_PROTECT = constants.ScheduledOperationType.PROTECT
_RETENTION_PROTECT = constants.ScheduledOperationType.RETENTION_PROTECT


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The newest run of a schedule.

    :ivar id: of its operation log.
    :ivar started_at: UTC without a zone, as is ``ended_at``, which is None while it goes on.
    """

    id: str
    status: str
    checkpoint_id: str | None
    started_at: datetime.datetime
    ended_at: datetime.datetime | None
    error_info: str | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A schedule as it is shown.

    :ivar trigger: the properties of its trigger.
    :ivar next_run_at: the next fire, UTC without a zone; None when it is disabled, or over.
    """

    operation: models.ScheduledOperation
    trigger: Mapping[str, Any]
    next_run_at: datetime.datetime | None
    last_run: Run | None

    @property
    def times(self) -> dict[str, Any]:
        """All of :data:`TIMES`, also what the trigger was made without."""
        timer = time_triggers.load(self.trigger)
        return {**{name: getattr(timer, name) for name in TIMES}, **self.trigger}

    @property
    def overlap(self) -> str:
        return str(self.operation.operation_definition.get('overlap', Overlap.SKIP))

    @property
    def retention(self) -> dict[str, Any] | None:
        """The rules; None when nothing is removed."""
        if self.operation.operation_type != _RETENTION_PROTECT:
            return None
        definition = self.operation.operation_definition
        return {name: definition[name] for name in RETENTION_RULES if name in definition}

    def next_fires(self) -> list[datetime.datetime]:
        """The next fires, whether or not it is enabled; UTC without a zone."""
        return triggers.next_fires(self.trigger)


class Schedules:
    """What the API asks about schedules.

    :param used_trusts: where the trusts come from that runs act by.
    """

    def __init__(self, used_trusts: trusts.Trusts) -> None:
        self._trusts = used_trusts

    def create(self, context: karbor_context.RequestContext, fields: Mapping[str, Any]) -> Schedule:
        """A new schedule: trigger and operation in one transaction.

        :param fields: name, plan_id, format and pattern; and perhaps description, provider_id,
            enabled, others of :data:`TIMES`, overlap and retention. One that is None is as one
            that is left out.
        :raises InvalidInput: names the field and the fault.
        :raises PlanNotFound: the project has no such plan.
        :raises ScheduleLimitExceeded:
        :raises TriggerLimitExceeded:
        :raises TrustNotPossible: nothing could act for the caller later.
        """
        properties = triggers.checked(times(fields))
        check_retention(fields)

        def write(session: orm.Session, trust_id: str | None) -> models.ScheduledOperation:
            operation_type, definition = _redefined(session, context, (_PROTECT, {}), fields)
            trigger = triggers.add(session, context, fields['name'], properties)
            operation = scheduled_operations.add(
                session,
                context,
                trigger,
                name=fields['name'],
                description=fields.get('description'),
                operation_type=operation_type,
                plan_id=definition['plan_id'],
                operation_definition=definition,
                enabled=fields.get('enabled', True),
                trust_id=trust_id,
            )
            scheduled_operations.record(
                session, context, 'scheduled_operation_create', operation, trigger_id=trigger.id
            )
            return operation

        return self.get(context, trusts.with_trust(self._trusts, context, write).id)

    def get(self, context: karbor_context.RequestContext, schedule_id: str) -> Schedule:
        """:raises ScheduledOperationNotFound: the project has none of that id."""
        with db.plain_reader() as connection:
            operation = rows.look_at_operation(connection, str(context.project_id), schedule_id)
            found = rows.with_triggers(connection, [schedule_id])
        if schedule_id not in found:  # deleted between the two
            raise exception.ScheduledOperationNotFound(id=schedule_id)
        return _schedule(operation, found[schedule_id])

    def page(
        self, selection: paging.Selection, enabled: bool | None
    ) -> tuple[list[Schedule], bool]:
        """One page, and whether more follow.

        :param enabled: whether those are meant that are enabled; None is all.
        """
        with db.plain_reader() as connection:
            operations, has_more = rows.page_of_operations(connection, selection, enabled=enabled)
            found = rows.with_triggers(connection, [operation.id for operation in operations])
        return [
            _schedule(operation, found[operation.id])
            for operation in operations
            if operation.id in found
        ], has_more

    def update(
        self,
        context: karbor_context.RequestContext,
        schedule_id: str,
        changes: Mapping[str, Any],
    ) -> Schedule:
        """Change a schedule.

        It acts for the caller from now on, unless no more is changed than when it fires, its name
        and description, or it is disabled. When other operations wait for its trigger, too, a
        change of the times gives it a trigger of its own, and they go on as they did.

        :param changes: those of the fields that change; what is None is removed. Of the retention,
            the rules that change.
        :raises ScheduledOperationNotFound:
        :raises KarborException: as :meth:`create`.
        """
        check_retention(changes)

        def write(session: orm.Session) -> scheduled_operations.Change:
            now = db.now(session)
            operation, (trigger,) = rows.lock_with_triggers(
                session, context.project_id, schedule_id
            )
            change = scheduled_operations.Change(operation)
            engine.settle(session, trigger, now)
            _redefine(session, context, operation, changes)
            retimed = _retime(session, context, operation, trigger, changes)
            if 'name' in changes:
                _rename(session, operation, trigger, changes['name'])
            for name in changes.keys() & {'description', 'enabled'}:
                setattr(operation, name, changes[name])
            session.flush()
            engine.arm_if_idle(session, trigger, now)
            if retimed is not None:
                engine.arm(session, retimed, now)
                change.told['trigger_id'] = retimed.id
            return change

        is_harmless = changes.keys() <= _HARMLESS or (
            changes.keys() <= {*_HARMLESS, 'enabled'} and not changes['enabled']
        )
        scheduled_operations.apply(self._trusts, context, write, takes_over=not is_harmless)
        return self.get(context, schedule_id)

    def delete(self, context: karbor_context.RequestContext, schedule_id: str) -> None:
        """Remove a schedule, and its trigger if nothing else waits for that.

        :raises ScheduledOperationNotFound:
        """
        remove = db.transaction(scheduled_operations.remove)
        self._trusts.release(remove(context, schedule_id, with_trigger=True))


def times(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What some fields say of the trigger, without what is None."""
    return {name: fields[name] for name in TIMES if fields.get(name) is not None}


def check_retention(fields: Mapping[str, Any]) -> None:
    """Look at the rules of the retention that are given.

    :raises InvalidInput: names the rule and the fault.
    """
    given = {
        name: value for name, value in (fields.get('retention') or {}).items() if value is not None
    }
    try:
        retention.parse(given)
        retention_scopes.parse(given)
    except exception.InvalidInput as exc:
        raise exception.InvalidInput(reason=f'retention.{exc.kwargs["reason"]}') from None


def _schedule(operation: models.ScheduledOperation, row: Any) -> Schedule:
    """:param row: one of :func:`karbor.db.schedules.with_triggers`."""
    last_run = None
    if row.run_id is not None:
        last_run = Run(
            id=row.run_id,
            status=row.run_status,
            checkpoint_id=row.run_checkpoint_id,
            started_at=row.run_started_at,
            ended_at=row.run_ended_at,
            error_info=row.run_error,
        )
    return Schedule(
        operation=operation,
        trigger=row.properties,
        next_run_at=row.next_fire_at if operation.enabled else None,
        last_run=last_run,
    )


def _plan(
    session: orm.Session, context: karbor_context.RequestContext, fields: Mapping[str, Any]
) -> models.Plan:
    """The plan of a schedule, which is locked.

    :param fields: has plan_id, and perhaps provider_id.
    :raises PlanNotFound:
    :raises InvalidInput: it is for another provider.
    """
    plan = plan_rows.get(session, str(context.project_id), fields['plan_id'], lock=True)
    check_provider(plan, fields)
    return plan


def check_provider(plan: models.Plan, fields: Mapping[str, Any]) -> None:
    """:raises InvalidInput: another provider than the plan's is named."""
    provider_id = fields.get('provider_id') or plan.provider_id
    if provider_id != plan.provider_id:
        raise exception.InvalidInput(
            reason=f'provider_id: the plan {plan.id} is for the provider {plan.provider_id}, '
            f'not for {provider_id}.'
        )


def _redefined(
    session: orm.Session,
    context: karbor_context.RequestContext,
    kept: tuple[str, Mapping[str, Any]],
    changes: Mapping[str, Any],
) -> tuple[str, dict[str, Any]]:
    """The type and the definition of a scheduled operation after a change of the schedule.

    :param kept: both as they were.
    :raises KarborException: as :meth:`Schedules.create`.
    """
    operation_type, definition = kept
    changed = {name: changes[name] for name in ('overlap',) if name in changes}
    if changes.keys() & {'plan_id', 'provider_id'}:
        plan = _plan(session, context, {'plan_id': definition.get('plan_id'), **changes})
        changed |= {'provider_id': plan.provider_id, 'plan_id': plan.id}
    if 'retention' in changes:
        rules = changes['retention']
        if rules is None or operation_type != _RETENTION_PROTECT:
            # Rules of one that has removed nothing had no effect, and get none unasked.
            definition = {
                name: value for name, value in definition.items() if name not in RETENTION_RULES
            }
        operation_type = _PROTECT if rules is None else _RETENTION_PROTECT
        changed |= rules or {}
    definition = property_changes.merged(definition, changed)
    scheduled_operations.check_definition(operation_type, definition)
    return operation_type, definition


def _redefine(
    session: orm.Session,
    context: karbor_context.RequestContext,
    operation: models.ScheduledOperation,
    changes: Mapping[str, Any],
) -> None:
    """Change what a schedule does."""
    if not changes.keys() & _DEFINING:
        return
    kept = operation.operation_type, operation.operation_definition
    operation_type, definition = _redefined(session, context, kept, changes)
    operation.operation_type, operation.operation_definition = operation_type, definition
    operation.plan_id = definition['plan_id']


def _retime(
    session: orm.Session,
    context: karbor_context.RequestContext,
    operation: models.ScheduledOperation,
    trigger: models.Trigger,
    changes: Mapping[str, Any],
) -> models.Trigger | None:
    """Change when a schedule fires; returns the trigger that is to be armed, if one is.

    :param trigger: that it has waited for.
    """
    changed = {name: changes[name] for name in TIMES if name in changes}
    properties = triggers.changed(trigger, changed) if changed else trigger.properties
    if properties == trigger.properties:
        return None
    if _is_shared(session, operation, trigger):
        own = triggers.add(session, context, changes.get('name', operation.name), properties)
        own.last_fire_at = trigger.last_fire_at  # lest it run again what it has run
        operation.trigger_id = own.id
        return own
    trigger.properties = properties
    return trigger


def _rename(
    session: orm.Session,
    operation: models.ScheduledOperation,
    trigger: models.Trigger,
    name: str,
) -> None:
    """Give a schedule another name, and its trigger, if that has the name of nothing else."""
    if trigger.name == operation.name and not _is_shared(session, operation, trigger):
        trigger.name = name
    operation.name = name


def _is_shared(
    session: orm.Session, operation: models.ScheduledOperation, trigger: models.Trigger
) -> bool:
    """Whether other operations wait for a trigger, which is locked, so that none is added."""
    return rows.operation_of_trigger(session, trigger.id, besides=operation.id) is not None
