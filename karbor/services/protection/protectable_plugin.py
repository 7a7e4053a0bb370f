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

"""The contract of protectable plugins: what finds resources of one type."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

from oslo_config import cfg

from karbor import context as karbor_context
from karbor import exception
from karbor.resource import Resource
from karbor.services.protection import choices

# What is there of a resource: it, or why it cannot be had or protected.
Finding = (
    Resource | exception.ProtectableResourceNotFound | exception.ProtectableResourceInvalidStatus
)

# A child of a resource, and whether the plan covers it.
Child = tuple[Resource, choices.Verdict]


class ProtectablePlugin:
    """Base of protectable plugins, registered under ``karbor.protectables``.

    Every method is given the context of the call; the one of the constructor is whatever
    the first caller had, so do not use it.
    """

    def __init__(
        self,
        context: karbor_context.RequestContext | None = None,
        conf: cfg.ConfigOpts | None = None,
    ) -> None:
        self._context = context
        self._conf = conf

    def instance(
        self,
        context: karbor_context.RequestContext | None = None,
        conf: cfg.ConfigOpts | None = None,
    ) -> Self:
        """A new object of the same class."""
        return self.__class__(context, conf)

    def get_resource_type(self) -> str:
        raise NotImplementedError

    def get_parent_resource_types(self) -> tuple[str, ...]:
        """The types that resources of this type can depend on."""
        raise NotImplementedError

    def list_resources(
        self, context: karbor_context.RequestContext, parameters: dict[str, Any] | None = None
    ) -> list[Resource]:
        """All resources of the type in the caller's project.

        :raises ListProtectableResourceFailed: when the service cannot tell.
        """
        raise NotImplementedError

    def page_of_resources(
        self,
        context: karbor_context.RequestContext,
        parameters: dict[str, Any] | None,
        marker: str | None,
        limit: int,
    ) -> tuple[list[Resource], bool]:
        """Some resources of the type by their ids, and whether more follow.

        A plugin whose service has pages asks for no more than one; this lists all.

        :param marker: id of the resource before the first; None begins at the start.
        :param limit: most resources to return.
        :raises MarkerNotFound: there is no resource of the marker's id.
        """
        found = _after(marker, self.list_resources(context, parameters))
        return found[:limit], len(found) > limit

    def show_resource(
        self,
        context: karbor_context.RequestContext,
        resource_id: str,
        parameters: dict[str, Any] | None = None,
    ) -> Resource | None:
        """One resource.

        :raises ProtectableResourceNotFound: when there is none of that id.
        :raises ProtectableResourceInvalidStatus: when it cannot be protected as it is.
        """
        raise NotImplementedError

    def find_resources(
        self, context: karbor_context.RequestContext, resource_ids: Sequence[str]
    ) -> dict[str, Finding]:
        """What there is of some resources, by their ids.

        A plugin that can ask for many at once does; this asks for one by one.

        :raises ListProtectableResourceFailed: when the service cannot tell.
        """
        return {resource_id: _found(self, context, resource_id) for resource_id in resource_ids}

    def get_dependent_resources(
        self, context: karbor_context.RequestContext, parent_resource: Resource
    ) -> list[Resource]:
        """Resources of this type that depend on the parent.

        :param parent_resource: as a plan names it, with the ``extra_info`` that the plan has of
            it, which may choose among them (:mod:`karbor.services.protection.choices`).
        :raises ListProtectableResourceFailed: when the service cannot tell.
        """
        raise NotImplementedError

    def page_of_children(
        self,
        context: karbor_context.RequestContext,
        parent_resource: Resource,
        marker: str | None,
        limit: int,
    ) -> list[Child]:
        """Some children of a resource by their ids, with those that the plan leaves out.

        A plugin whose service has pages, or that lets plans choose, does it in its own way; this
        takes all that :meth:`get_dependent_resources` returns.

        :param parent_resource: as for that.
        :param marker: id of the child before the first; None begins at the start.
        :param limit: most children to return; when there are fewer, no more follow.
        :raises MarkerNotFound: there is no resource of the marker's id.
        :raises ListProtectableResourceFailed: when the service cannot tell.
        """
        verdict = choices.Verdict(True, f'it is in {parent_resource.key}')
        found = _after(marker, self.get_dependent_resources(context, parent_resource) or ())
        return [(child, verdict) for child in found[:limit]]


def _found(
    plugin: ProtectablePlugin, context: karbor_context.RequestContext, resource_id: str
) -> Finding:
    try:
        found = plugin.show_resource(context, resource_id)
    except (
        exception.ProtectableResourceNotFound,
        exception.ProtectableResourceInvalidStatus,
    ) as exc:
        return exc
    return found or exception.ProtectableResourceNotFound(
        type=plugin.get_resource_type(), id=resource_id, reason='there is none'
    )


def _after(marker: str | None, resources: Iterable[Resource]) -> list[Resource]:
    """Those that follow one in the order of their ids; all when there is no marker.

    :raises MarkerNotFound: none of them has the marker's id.
    """
    found = sorted(resources, key=lambda item: item.id)
    if marker is None:
        return found
    if marker not in (item.id for item in found):
        raise exception.MarkerNotFound(marker=marker)
    return [item for item in found if item.id > marker]
