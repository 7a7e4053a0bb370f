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

"""Plans."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from openstack.resource import Body

from karbor.client import base, retention
from karbor.client.providers import Provider

_PATH = '/plans'


class Plan(base.Resource):
    """What is protected together, with which provider and parameters."""

    resource_key = 'plan'
    resources_key = 'plans'
    base_path = _PATH
    allow_delete = True

    name: str = Body('name')
    project_id: str = Body('project_id')
    description: str | None = Body('description')
    provider_id: str = Body('provider_id')
    #: ``suspended`` or ``started``, which means nothing
    status: str = Body('status')
    #: each has ``id``, ``type``, ``name``, and ``extra_info`` where a project's volumes are chosen
    resources: list[dict[str, Any]] = Body('resources')
    #: options by ``OS::Cinder::Volume``, or ``OS::Cinder::Volume#ID`` for one resource
    parameters: dict[str, dict[str, Any]] = Body('parameters')


class PlanQuery(base.ProjectsPage, total=False):
    """What plans are listed; ``name`` and ``description`` are looked for as parts."""

    name: str
    status: str
    description: str


class PlanChanges(TypedDict, total=False):
    """What of a plan can be changed."""

    name: str
    description: str | None
    status: str
    resources: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Mapping[str, Any]]


class CoveredResource(base.Resource):
    """A resource that a plan could cover, and whether it does."""

    resources_key = 'resources'
    allow_fetch = False

    name: str = Body('name')
    type: str = Body('type')
    #: whether it is protected when the plan runs
    covered: bool = Body('covered')
    #: why, or why not
    reason: str = Body('reason')


class Calls(base.ServiceProxy):
    def plans(self, **query: Unpack[PlanQuery]) -> Iterator[Plan]:
        """List plans, the newest first."""
        return self._listed(Plan, _PATH, query)

    def create_plan(
        self,
        name: str,
        provider: Provider | str,
        resources: Sequence[Mapping[str, Any]],
        *,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        description: str | None = None,
    ) -> Plan:
        """Make a plan.

        :param provider: which protects, or its id.
        :param resources: each has ``id``, ``type`` and ``name``, and may have ``extra_info``.
        :param parameters: options by ``OS::Cinder::Volume``, or ``OS::Cinder::Volume#ID`` for one
            resource; see ``options_schema`` of the provider.
        """
        fields = {
            'name': name,
            'provider_id': base.id_of(provider),
            'resources': resources,
            'parameters': parameters or {},
            **base.given(description=description),
        }
        return self._sent('POST', _PATH, Plan, fields)

    def get_plan(self, plan: Plan | str) -> Plan:
        """Show one plan.

        :param plan: it, or its id.
        """
        return self._fetched(Plan, base.part(_PATH, plan))

    def find_plan(self, name_or_id: str, ignore_missing: bool = True) -> Plan | None:
        """Find a plan by its id or name.

        :raises DuplicateResource: several have the name; their ids are in the message.
        :raises NotFoundException: there is none, and ``ignore_missing`` is false.
        """
        return self._found(Plan, _PATH, name_or_id, ignore_missing)

    def update_plan(self, plan: Plan | str, **changes: Unpack[PlanChanges]) -> Plan:
        """Change a plan.

        :param changes: new values; ``resources`` and ``parameters`` are replaced whole.
        """
        return self._sent('PUT', base.part(_PATH, plan), Plan, changes)

    def delete_plan(self, plan: Plan | str, ignore_missing: bool = True) -> None:
        """Delete a plan. Its checkpoints stay.

        :raises ConflictException: a scheduled operation needs it.
        """
        self._removed(base.part(_PATH, plan), ignore_missing)

    def plan_resources(
        self, plan: Plan | str, **query: Unpack[base.Page]
    ) -> Iterator[CoveredResource]:
        """List what a plan covers now, and what of a project it leaves out.

        The marker of this list is ``TYPE#ID``.
        """
        return self._listed(CoveredResource, base.part(_PATH, plan) + '/resources', query)

    def preview_plan_retention(
        self, plan: Plan | str, **rules: Unpack[retention.Rules]
    ) -> retention.Retention:
        """Tell what rules would keep and remove of all that there is of a plan."""
        path = base.part(_PATH, plan) + '/retention'
        return self._sent('POST', path, retention.Retention, rules)
