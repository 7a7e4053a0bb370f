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

"""Triggers."""

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, Unpack

from openstack.resource import Body

from karbor.client import base

_PATH = '/triggers'


class Trigger(base.Resource):
    """When something is done again and again."""

    resource_key = 'trigger_info'
    resources_key = 'triggers'
    base_path = _PATH
    allow_delete = True

    name: str = Body('name')
    project_id: str = Body('project_id')
    type: str = Body('type')
    #: ``format``, ``pattern``, ``start_time``, ``end_time``, ``window``, ``timezone``, ``catch_up``
    #: and ``jitter``
    properties: dict[str, Any] = Body('properties')
    #: in UTC; where one trigger is shown
    next_fires: list[str] | None = Body('next_fires')


class TriggerQuery(base.ProjectsPage, total=False):
    """What triggers are listed; ``name`` is looked for as a part."""

    name: str
    type: str


class TriggerChanges(TypedDict, total=False):
    """What of a trigger can be changed.

    :ivar properties: those that are to be changed, or with None removed; others stay.
    """

    name: str
    properties: Mapping[str, Any]


class Calls(base.ServiceProxy):
    def triggers(self, **query: Unpack[TriggerQuery]) -> Iterator[Trigger]:
        """List triggers, the newest first."""
        return self._listed(Trigger, _PATH, query)

    def create_trigger(
        self, name: str, properties: Mapping[str, Any], type: str = 'time'
    ) -> Trigger:
        """Make a trigger.

        :param properties: at least ``format`` (``crontab`` or ``calendar``) and ``pattern``.
        """
        fields = {'name': name, 'type': type, 'properties': properties}
        return self._sent('POST', _PATH, Trigger, fields)

    def get_trigger(self, trigger: Trigger | str) -> Trigger:
        """Show one trigger, with its next fires."""
        return self._fetched(Trigger, base.part(_PATH, trigger))

    def find_trigger(self, name_or_id: str, ignore_missing: bool = True) -> Trigger | None:
        """Find a trigger by its id or name.

        :raises DuplicateResource: several have the name; their ids are in the message.
        :raises NotFoundException: there is none, and ``ignore_missing`` is false.
        """
        return self._found(Trigger, _PATH, name_or_id, ignore_missing)

    def update_trigger(self, trigger: Trigger | str, **changes: Unpack[TriggerChanges]) -> Trigger:
        """Change a trigger."""
        return self._sent('PUT', base.part(_PATH, trigger), Trigger, changes)

    def delete_trigger(self, trigger: Trigger | str, ignore_missing: bool = True) -> None:
        """Delete a trigger.

        :raises ConflictException: a scheduled operation needs it.
        """
        self._removed(base.part(_PATH, trigger), ignore_missing)
