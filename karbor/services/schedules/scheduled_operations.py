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

"""What the API does with scheduled operations."""

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import jobs, models, operation_logs, paging, point_removal, schedules, troubles
from karbor.db import plans as plan_rows
from karbor.services import quotas
from karbor.services.identity import trusts
from karbor.services.schedules import (
    engine,
    property_changes,
    retention,
    retention_scopes,
    run_troubles,
    runs,
)

_KNOWN = ('provider_id', 'plan_id', 'overlap', 'retention_scope', *retention.RULES)
_MOST_PROPERTIES = 64
_LARGEST_DEFINITION = 64 * 1024  # characters of JSON
# What a change is of, and by what it acts.
_SHOWN_OR_ACTING = (
    'name',
    'description',
    'operation_type',
    'trigger_id',
    'plan_id',
    'operation_definition',
    'enabled',
    'user_id',
    'trust_id',
)
_DELETED = 'The scheduled operation was deleted before the run began.'


class ScheduledOperations:
    """What the API asks about scheduled operations.

    An operation acts for the user who made it, or who changed last what it does, by a trust
    that is kept as long as the operation is there.

    :param used_trusts: where the trusts come from.
    :param post: has a job done, given its id.
    """

    def __init__(self, used_trusts: trusts.Trusts, post: Callable[[str], None]) -> None:
        self._trusts = used_trusts
        self._post = post

    def create(
        self,
        context: karbor_context.RequestContext,
        fields: Mapping[str, Any],
        definition: Mapping[str, Any],
    ) -> models.ScheduledOperation:
        """A new scheduled operation.

        :param fields: name, description, operation_type and trigger_id.
        :param definition: provider_id and plan_id, and what the type takes besides.
        :raises TriggerNotFound: the project has no such trigger.
        :raises PlanNotFound: the project has no such plan.
        :raises Invalid: the plan is another provider's, or a rule of the retention is wrong.
        :raises ScheduleLimitExceeded:
        :raises TrustNotPossible: nothing could act for the caller later.
        """
        check_definition(fields['operation_type'], definition)

        def write(session: orm.Session, trust_id: str | None) -> models.ScheduledOperation:
            # Both are locked, so that neither is removed before this refers to it.
            trigger = schedules.get_trigger(
                session, context.project_id, fields['trigger_id'], lock=True
            )
            engine.settle(session, trigger, db.now(session))
            _check_plan(session, context.project_id, definition)
            operation = add(
                session,
                context,
                trigger,
                name=fields['name'],
                description=fields.get('description'),
                operation_type=fields['operation_type'],
                plan_id=definition['plan_id'],
                operation_definition=dict(definition),
                enabled=True,
                trust_id=trust_id,
            )
            record(session, context, 'scheduled_operation_create', operation)
            return operation

        return trusts.with_trust(self._trusts, context, write)

    def get(
        self, context: karbor_context.RequestContext, operation_id: str
    ) -> models.ScheduledOperation:
        with db.reader() as session:
            return schedules.get_operation(session, context.project_id, operation_id)

    def page(self, selection: paging.Selection) -> tuple[list[models.ScheduledOperation], bool]:
        with db.plain_reader() as connection:
            return schedules.page_of_operations(connection, selection)

    def update(
        self,
        context: karbor_context.RequestContext,
        operation_id: str,
        changes: Mapping[str, Any],
        definition: Mapping[str, Any] | None,
    ) -> models.ScheduledOperation:
        """Change an operation.

        It acts for the caller from now on, unless no more is changed than its name and
        description, or it is disabled.

        :param changes: of name, description, trigger_id and enabled, those that change.
        :param definition: of its properties, those that change; one that is None goes. None
            instead of it leaves all.
        :raises ScheduledOperationNotFound:
        :raises KarborException: as :meth:`create`.
        """
        if definition is not None:  # before a trust is made in vain
            _changed_definition(self.get(context, operation_id), definition)

        def write(session: orm.Session) -> Change:
            now = db.now(session)
            operation, triggers = schedules.lock_with_triggers(
                session,
                context.project_id,
                operation_id,
                *([changes['trigger_id']] if 'trigger_id' in changes else []),
            )
            change = Change(operation)
            for trigger in triggers:
                engine.settle(session, trigger, now)
            if definition is not None:
                changed = _changed_definition(operation, definition)
                _check_plan(session, context.project_id, changed)
                operation.operation_definition = changed
                operation.plan_id = changed['plan_id']
            for name, value in changes.items():
                setattr(operation, name, value)
            session.flush()
            for trigger in triggers:
                engine.arm_if_idle(session, trigger, now)
            return change

        is_harmless = (
            definition is None and 'trigger_id' not in changes and not changes.get('enabled')
        )
        return apply(self._trusts, context, write, takes_over=not is_harmless)

    def delete(self, context: karbor_context.RequestContext, operation_id: str) -> None:
        """Remove an operation. A run that goes on is finished, one that waits is left out.

        What it has made stays until a person deletes it; the operation log says how much that is.

        :raises ScheduledOperationNotFound:
        """

        self._trusts.release(db.transaction(remove)(context, operation_id))

    def run(self, context: karbor_context.RequestContext, operation_id: str) -> str:
        """Run an operation now, enabled or not; returns the id of the run's operation log.

        :raises ScheduledOperationNotFound:
        :raises OperationRunning: a run goes on, and the operation does not queue another one.
        :raises JobLimitExceeded:
        """

        @db.transaction
        def write(session: orm.Session) -> models.Job:
            operation = schedules.get_operation(
                session, context.project_id, operation_id, lock=True
            )
            return runs.start(session, context, operation)

        job = write()
        if job.state == jobs.JobState.PENDING:
            self._post(job.id)
        return job.id


def add(
    session: orm.Session,
    context: karbor_context.RequestContext,
    trigger: models.Trigger,
    **values: Any,
) -> models.ScheduledOperation:
    """A new scheduled operation of the caller's.

    :param trigger: that it waits for; locked, and settled.
    :param values: of its other columns.
    :raises ScheduleLimitExceeded:
    """
    quotas.take(session, context.project_id, quotas.SCHEDULES)
    operation = schedules.create_operation(
        session,
        project_id=context.project_id,
        user_id=context.user_id,
        trigger_id=trigger.id,
        **values,
    )
    engine.arm_if_idle(session, trigger, db.now(session))
    return operation


class Change:
    """A change of an operation, which is locked.

    :param operation: as it was before.
    :ivar told: what the log tells of it besides; if something, more has changed than the operation.
    """

    def __init__(self, operation: models.ScheduledOperation) -> None:
        self.operation = operation
        self._before = self._values()
        self.told: dict[str, Any] = {}

    def _values(self) -> list[Any]:
        return [getattr(self.operation, name) for name in _SHOWN_OR_ACTING]

    @property
    def is_one(self) -> bool:
        """Whether anything is other than it was."""
        return bool(self.told) or self._values() != self._before


def apply(
    used_trusts: trusts.Trusts,
    context: karbor_context.RequestContext,
    write: Callable[[orm.Session], Change],
    *,
    takes_over: bool,
) -> models.ScheduledOperation:
    """Change an operation, and log that if it comes to anything.

    :param write: changes it, in the transaction of the session.
    :param takes_over: whether it acts for the caller from now on.
    :raises TrustNotPossible: nothing could act for the caller later.
    """

    def write_with_trust(
        session: orm.Session, trust_id: str | None
    ) -> tuple[models.ScheduledOperation, str | None]:
        change = write(session)
        operation = change.operation
        earlier_trust_id = operation.trust_id
        if takes_over:
            operation.user_id, operation.trust_id = context.user_id, trust_id
        run_troubles.after_change(session, operation, is_taken_over=takes_over)
        if change.is_one:
            record(session, context, 'scheduled_operation_update', operation, **change.told)
        return operation, earlier_trust_id

    if not takes_over:
        return db.transaction(write_with_trust)(None)[0]
    operation, earlier_trust_id = trusts.with_trust(used_trusts, context, write_with_trust)
    if earlier_trust_id != operation.trust_id:
        used_trusts.release(earlier_trust_id)
    return operation


def remove(
    session: orm.Session,
    context: karbor_context.RequestContext,
    operation_id: str,
    *,
    with_trigger: bool = False,
) -> str | None:
    """Remove an operation; returns the id of the trust that it has acted by.

    :param with_trigger: remove its trigger, too, unless others wait for that.
    :raises ScheduledOperationNotFound:
    """
    now = db.now(session)
    operation, (trigger,) = schedules.lock_with_triggers(session, context.project_id, operation_id)
    engine.settle(session, trigger, now)
    runs.cancel_queued(session, operation, _DELETED)
    told: dict[str, Any] = {'left': point_removal.amount_left(session, operation.id)}
    session.delete(operation)
    session.flush()
    troubles.forget(session, context.project_id, operation.id)
    if with_trigger and schedules.operation_of_trigger(session, trigger.id) is None:
        session.delete(trigger)
        told['trigger_id'] = trigger.id
    else:
        engine.arm_if_idle(session, trigger, now)
    quotas.give_back(session, context.project_id, quotas.SCHEDULES)
    record(session, context, 'scheduled_operation_delete', operation, **told)
    return operation.trust_id


def check_definition(operation_type: str, definition: Mapping[str, Any]) -> None:
    """:raises Invalid: a property that is wrong, or has no effect, or there is too much."""
    _check_size(definition)
    overlap = definition.get('overlap', runs.Overlap.SKIP)
    if overlap not in tuple(runs.Overlap):
        raise exception.InvalidOperationDefinition(
            reason=f'overlap: {overlap!r} is none of {", ".join(runs.Overlap)}.'
        )
    try:
        retention.parse(definition)
        retention_scopes.parse(definition)
    except exception.InvalidInput as exc:
        raise exception.InvalidOperationDefinition(**exc.kwargs) from None
    for name in definition:
        near = difflib.get_close_matches(name, _KNOWN, 1, 0.8)
        if near and name not in _KNOWN:
            raise exception.InvalidOperationDefinition(
                reason=f'{name}: there is no such property, but {near[0]}.'
            )
    kept = [name for name in (*retention.KEEP_RULES, 'retention_scope') if name in definition]
    if kept and operation_type != constants.ScheduledOperationType.RETENTION_PROTECT:
        raise exception.InvalidOperationDefinition(
            reason=f'{", ".join(kept)} has no effect unless operation_type is '
            f'{constants.ScheduledOperationType.RETENTION_PROTECT}.'
        )


def _check_size(definition: Mapping[str, Any]) -> None:
    size = len(json.dumps(definition))
    if len(definition) > _MOST_PROPERTIES or size > _LARGEST_DEFINITION:
        raise exception.InvalidOperationDefinition(
            reason=f'it has {len(definition)} properties and {size} characters of JSON, where '
            f'{_MOST_PROPERTIES} and {_LARGEST_DEFINITION} are the most.'
        )


def _changed_definition(
    operation: models.ScheduledOperation, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The definition of an operation after a change.

    :raises Invalid: as :func:`check_definition`.
    """
    definition = property_changes.merged(operation.operation_definition, changes)
    check_definition(operation.operation_type, definition)
    return definition


def _check_plan(session: orm.Session, project_id: str, definition: Mapping[str, Any]) -> None:
    plan = plan_rows.get(session, project_id, definition['plan_id'], lock=True)
    if plan.provider_id != definition['provider_id']:
        raise exception.InvalidOperationDefinition(
            reason=f'the plan {plan.id} is for the provider {plan.provider_id}, not for '
            f'{definition["provider_id"]}.'
        )


def record(
    session: orm.Session,
    context: karbor_context.RequestContext,
    what: str,
    operation: models.ScheduledOperation,
    **told: Any,
) -> None:
    """Write to the operation logs what was done with an operation.

    :param told: what the log tells besides.
    """
    operation_logs.record(
        session,
        context,
        what,
        scheduled_operation_id=operation.id,
        plan_id=operation.plan_id,
        provider_id=operation.operation_definition['provider_id'],
        extra_info=told or None,
    )
