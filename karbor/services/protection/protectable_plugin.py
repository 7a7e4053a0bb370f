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

from typing import Any, Self

from oslo_config import cfg

from karbor import context as karbor_context
from karbor import exception
from karbor.resource import Resource


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
        found = sorted(self.list_resources(context, parameters), key=lambda item: item.id)
        ids = [item.id for item in found]
        if marker is not None and marker not in ids:
            raise exception.MarkerNotFound(marker=marker)
        begin = 0 if marker is None else ids.index(marker) + 1
        return found[begin : begin + limit], len(found) > begin + limit

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

    def get_dependent_resources(
        self, context: karbor_context.RequestContext, parent_resource: Resource
    ) -> list[Resource]:
        """Resources of this type that depend on the parent.

        :raises ListProtectableResourceFailed: when the service cannot tell.
        """
        raise NotImplementedError
