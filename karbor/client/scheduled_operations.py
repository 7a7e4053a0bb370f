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

"""Scheduled operations."""

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, Unpack

from openstack.resource import Body

from karbor.client import base, retention
from karbor.client.operation_logs import OperationLog
from karbor.client.plans import Plan
from karbor.client.triggers import Trigger

_PATH = '/scheduled_operations'


class ScheduledOperation(base.Resource):
    """What is done with a plan whenever a trigger fires."""

    resource_key = 'scheduled_operation'
    resources_key = 'operations'
    base_path = _PATH
    allow_delete = True

    name: str = Body('name')
    project_id: str = Body('project_id')
    description: str | None = Body('description')
    #: ``protect`` or ``retention_protect``
    operation_type: str = Body('operation_type')
    trigger_id: str = Body('trigger_id')
    #: ``provider_id``, ``plan_id``, ``overlap``, and the rules of retention
    operation_definition: dict[str, Any] = Body('operation_definition')
    #: whether it runs
    enabled: bool = Body('enabled')


class ScheduledOperationQuery(base.ProjectsPage, total=False):
    """What scheduled operations are listed; ``name`` is looked for as a part."""

    name: str
    operation_type: str
    trigger_id: str


class ScheduledOperationChanges(TypedDict, total=False):
    """What of a scheduled operation can be changed.

    :ivar operation_definition: what of it is to be changed; the rest stays.
    """

    name: str
    description: str | None
    trigger_id: str
    operation_definition: Mapping[str, Any]
    enabled: bool


class Calls(base.ServiceProxy):
    def scheduled_operations(
        self, **query: Unpack[ScheduledOperationQuery]
    ) -> Iterator[ScheduledOperation]:
        """List scheduled operations, the newest first."""
        return self._listed(ScheduledOperation, _PATH, query)

    def create_scheduled_operation(
        self,
        name: str,
        plan: Plan,
        trigger: Trigger | str,
        *,
        definition: Mapping[str, Any] | None = None,
        operation_type: str = 'retention_protect',
        description: str | None = None,
    ) -> ScheduledOperation:
        """Have a plan protected whenever a trigger fires.

        :param trigger: it, or its id.
        :param definition: ``overlap``, and rules of retention.
        :param operation_type: ``protect`` keeps all and takes no rules.
        """
        fields = {
            'name': name,
            'operation_type': operation_type,
            'trigger_id': base.id_of(trigger),
            'operation_definition': {
                'provider_id': plan.provider_id,
                'plan_id': plan.id,
                **(definition or {}),
            },
            **base.given(description=description),
        }
        return self._sent('POST', _PATH, ScheduledOperation, fields)

    def get_scheduled_operation(
        self, scheduled_operation: ScheduledOperation | str
    ) -> ScheduledOperation:
        """Show one scheduled operation."""
        return self._fetched(ScheduledOperation, base.part(_PATH, scheduled_operation))

    def find_scheduled_operation(
        self, name_or_id: str, ignore_missing: bool = True
    ) -> ScheduledOperation | None:
        """Find a scheduled operation by its id or name.

        :raises DuplicateResource: several have the name; their ids are in the message.
        :raises NotFoundException: there is none, and ``ignore_missing`` is false.
        """
        return self._found(ScheduledOperation, _PATH, name_or_id, ignore_missing)

    def update_scheduled_operation(
        self,
        scheduled_operation: ScheduledOperation | str,
        **changes: Unpack[ScheduledOperationChanges],
    ) -> ScheduledOperation:
        """Change a scheduled operation, or switch it off and on."""
        path = base.part(_PATH, scheduled_operation)
        return self._sent('PUT', path, ScheduledOperation, changes)

    def delete_scheduled_operation(
        self, scheduled_operation: ScheduledOperation | str, ignore_missing: bool = True
    ) -> None:
        """Delete a scheduled operation. What it has made stays."""
        self._removed(base.part(_PATH, scheduled_operation), ignore_missing)

    def run_scheduled_operation(
        self, scheduled_operation: ScheduledOperation | str
    ) -> OperationLog:
        """Run a scheduled operation at once; :meth:`wait_for_run` sees the end.

        :returns: the run.
        """
        path = base.part(_PATH, scheduled_operation) + '/action'
        return self._shown(OperationLog, self._ask('POST', path, {'run': {}})['operation_log'])

    def preview_scheduled_operation_retention(
        self,
        scheduled_operation: ScheduledOperation | str,
        **rules: Unpack[retention.OperationRules],
    ) -> retention.Retention:
        """Tell what rules would keep and remove of what a scheduled operation has made."""
        path = base.part(_PATH, scheduled_operation) + '/retention'
        return self._sent('POST', path, retention.Retention, rules)
