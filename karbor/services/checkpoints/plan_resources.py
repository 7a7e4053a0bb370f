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

"""What a plan covers now, resource by resource, and why."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.db import models, paging
from karbor.resource import Resource
from karbor.services.checkpoints import plans
from karbor.services.protection import protectables
from karbor.services.protection import provider as providers
from karbor.services.protection.choices import Verdict
from karbor.services.protection.protectable_plugin import Finding

# How many of what is in a project are asked for at once, when few were not enough.
_MANY = 1000


class Covered(NamedTuple):
    """A resource that a plan names, or that is in the project that it names.

    :ivar resource: as it is now; as the plan names it, if it cannot be had.
    :ivar verdict: whether a checkpoint that is made now has it, and why.
    """

    resource: Resource
    verdict: Verdict


class PlanResources:
    """What the API tells of what plans cover.

    :param registry: the providers.
    :param protectable_plugins: what finds resources.
    """

    def __init__(
        self, registry: providers.ProviderRegistry, protectable_plugins: protectables.Protectables
    ) -> None:
        self._registry = registry
        self._protectables = protectable_plugins

    def page(
        self, context: karbor_context.RequestContext, plan: models.Plan, page: paging.Page
    ) -> tuple[list[Covered], bool]:
        """One page, and whether more follow.

        First come the resources that the plan names, in its order; then what is in the project,
        if it names that, by type and id. The cloud is asked for no more than the page needs, and
        for many at once if the plan names most of those that come first.

        :param page: its marker is the key of a resource, or the id of one that is named or of a
            volume.
        :raises ProviderNotFound: the plan's is not there any more.
        :raises MarkerNotFound: the marker is none of them.
        :raises ListProtectableResourceFailed: the cloud cannot tell what there is.
        """
        served = self._registry.get(plan.provider_id).plugin_classes
        named = _named(plan)
        found: list[Covered] = []
        for part in self._parts(context, named, _key(page.marker, named), page.limit + 1):
            found += part
            if len(found) > page.limit:
                break
        return [_if_served(each, served) for each in found[: page.limit]], len(found) > page.limit

    def _parts(
        self,
        context: karbor_context.RequestContext,
        named: Mapping[str, Resource],
        marker: str | None,
        size: int,
    ) -> Iterator[list[Covered]]:
        """What follows the marker, in parts, the first of which has at most so many."""
        keys = list(named)
        if marker is None or marker in named:
            begin = 0 if marker is None else keys.index(marker) + 1
            yield self._of_named(context, [named[key] for key in keys[begin : begin + size]])
            marker = None
        project = named.get(f'{constants.PROJECT_RESOURCE_TYPE}#{context.project_id}')
        if project is not None:
            for children in self._children(context, project, marker, size):
                yield [child for child in children if child.resource.key not in named]
        elif marker is not None:
            raise exception.MarkerNotFound(marker=marker)

    def _of_named(
        self, context: karbor_context.RequestContext, resources: Sequence[Resource]
    ) -> list[Covered]:
        findings: dict[str, Finding] = {}
        for name in self._protectables.types():
            ids = [resource.id for resource in resources if resource.type == name]
            found = self._protectables.get(name).find_resources(context, ids) if ids else {}
            findings |= {f'{name}#{resource_id}': finding for resource_id, finding in found.items()}
        return [
            _of_finding(resource, findings.get(resource.key, resource)) for resource in resources
        ]

    def _children(
        self,
        context: karbor_context.RequestContext,
        parent: Resource,
        marker: str | None,
        size: int,
    ) -> Iterator[list[Covered]]:
        types = self._protectables.dependent_types(parent.type)
        begin, resource_id = 0, None
        if marker is not None:
            name, _, resource_id = marker.partition('#')
            if name not in types:
                raise exception.MarkerNotFound(marker=marker)
            begin = types.index(name)
        for name in types[begin:]:
            has_more = True
            while has_more:
                children = self._protectables.get(name).page_of_children(
                    context, parent, resource_id, size
                )
                yield [Covered(*child) for child in children]
                has_more = len(children) == size
                resource_id = children[-1][0].id if has_more else None
                size = max(size, _MANY)


def _named(plan: models.Plan) -> dict[str, Resource]:
    """What a plan names, by keys. Of the same named again, the first counts, as in a graph."""
    named: dict[str, Resource] = {}
    for fields in plan.resources:
        resource = plans.as_resource(fields)
        named.setdefault(resource.key, resource)
    return named


def _key(marker: str | None, named: Mapping[str, Resource]) -> str | None:
    """The key of what a marker means."""
    if marker is None or '#' in marker:
        return marker
    found = [key for key, resource in named.items() if resource.id == marker]
    return found[-1] if found else f'{constants.VOLUME_RESOURCE_TYPE}#{marker}'


def _of_finding(resource: Resource, finding: Finding) -> Covered:
    verdict = Verdict(True, 'named in the plan')
    if isinstance(finding, Resource):
        return Covered(finding, verdict)
    if isinstance(finding, exception.ProtectableResourceInvalidStatus):
        return Covered(resource, verdict.of_unusable(str(finding.kwargs.get('status'))))
    reason = str(finding.kwargs.get('reason') or finding.msg).rstrip('.')
    return Covered(resource, Verdict(False, f'{verdict.reason}, but {reason}'))


def _if_served(covered: Covered, served: Collection[str]) -> Covered:
    """The same, unless no plugin serves its type.

    :param served: the types that the plugins of the plan's provider serve.
    """
    resource, verdict = covered
    if not verdict.is_in or resource.type in served:
        return covered
    return Covered(
        resource,
        Verdict(False, f'{verdict.reason}, but its provider has no plugin for {resource.type}'),
    )
