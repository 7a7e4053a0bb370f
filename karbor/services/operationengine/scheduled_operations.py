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

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import models, operation_logs, paging, schedules
from karbor.db import plans as plan_rows
from karbor.services import quotas


def create(context: karbor_context.RequestContext, wanted: Mapping[str, Any],
           definition: Mapping[str, Any]) -> models.ScheduledOperation:
    """A new scheduled operation.

    :param wanted: name, description, operation_type and trigger_id.
    :param definition: provider_id and plan_id, and what the type takes besides.
    :raises TriggerNotFound: the project has no such trigger.
    :raises PlanNotFound: the project has no such plan.
    :raises InvalidOperationDefinition: the plan is another provider's.
    :raises ScheduleLimitExceeded:
    """
    @db.transaction
    def write(session: orm.Session) -> models.ScheduledOperation:
        # Both are locked, so that neither is removed before this refers to it.
        trigger = schedules.get_trigger(session, context.project_id, wanted['trigger_id'],
                                        lock=True)
        plan = plan_rows.get(session, context.project_id, definition['plan_id'], lock=True)
        if plan.provider_id != definition['provider_id']:
            raise exception.InvalidOperationDefinition(
                reason=f'the plan {plan.id} is for the provider {plan.provider_id}, not for '
                       f'{definition["provider_id"]}.')
        quotas.take(session, context.project_id, quotas.SCHEDULES)
        operation = schedules.create_operation(
            session, project_id=context.project_id, user_id=context.user_id,
            name=wanted['name'], description=wanted.get('description'),
            operation_type=wanted['operation_type'], trigger_id=trigger.id, plan_id=plan.id,
            operation_definition=dict(definition), enabled=True)
        _record(session, context, 'scheduled_operation_create', operation)
        return operation

    return write()


def get(context: karbor_context.RequestContext,
        operation_id: str) -> models.ScheduledOperation:
    with db.reader() as session:
        return schedules.get_operation(session, context.project_id, operation_id)


def page(wanted: paging.Wanted) -> tuple[list[models.ScheduledOperation], bool]:
    with db.reader() as session:
        return schedules.page_of_operations(session, wanted)


def delete(context: karbor_context.RequestContext, operation_id: str) -> None:
    """:raises ScheduledOperationNotFound:"""
    @db.transaction
    def write(session: orm.Session) -> None:
        operation = schedules.get_operation(session, context.project_id, operation_id,
                                            lock=True)
        session.delete(operation)
        quotas.give_back(session, context.project_id, quotas.SCHEDULES)
        _record(session, context, 'scheduled_operation_delete', operation)

    write()


def _record(session: orm.Session, context: karbor_context.RequestContext, what: str,
            operation: models.ScheduledOperation) -> None:
    operation_logs.record(
        session, context, what, scheduled_operation_id=operation.id, plan_id=operation.plan_id,
        provider_id=operation.operation_definition['provider_id'])
