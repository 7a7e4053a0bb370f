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

"""The protectable plugins that are installed, and the graph they span."""

import copy
from collections.abc import Iterable

from oslo_log import log as logging
from stevedore import extension

from karbor import context as karbor_context
from karbor import exception
from karbor.resource import Resource
from karbor.services.protection import graph
from karbor.services.protection.protectable_plugin import ProtectablePlugin

LOG = logging.getLogger(__name__)

ENTRY_POINTS = 'karbor.protectables'


def load() -> 'Protectables':
    """The plugins of the entry points; one that cannot be loaded is left out and logged."""
    manager: extension.ExtensionManager[ProtectablePlugin] = extension.ExtensionManager(
        ENTRY_POINTS,
        invoke_on_load=True,
        on_load_failure_callback=lambda _, entry_point, error: LOG.error(
            'The protectable plugin %s is left out: %s', entry_point, error
        ),
    )
    return Protectables(
        each.obj for each in manager if each.obj is not None and _is_usable(each.name, each.obj)
    )


def _is_usable(name: str, plugin: ProtectablePlugin) -> bool:
    """Whether a plugin tells what it finds; what it raises instead is logged."""
    try:
        plugin.get_resource_type()
        tuple(plugin.get_parent_resource_types())
    except Exception:
        # A plugin may raise anything; the others find their types without it.
        LOG.exception('The protectable plugin %s is left out', name)
        return False
    return True


class Protectables:
    """Protectable plugins by resource type.

    :param plugins: one object for each type.
    """

    def __init__(self, plugins: Iterable[ProtectablePlugin]) -> None:
        self._plugins = {plugin.get_resource_type(): plugin for plugin in plugins}

    def types(self) -> list[str]:
        return sorted(self._plugins)

    def get(self, resource_type: str) -> ProtectablePlugin:
        """:raises ProtectableTypeNotFound: no plugin finds that type."""
        try:
            return self._plugins[resource_type]
        except KeyError:
            raise exception.ProtectableTypeNotFound(protectable_type=resource_type) from None

    def dependent_types(self, resource_type: str) -> list[str]:
        """The types whose resources can be children of one of this type."""
        return [
            name
            for name in self.types()
            if resource_type in self._plugins[name].get_parent_resource_types()
        ]

    def all_dependent_types(self, resource_types: Iterable[str]) -> list[str]:
        """The types of which children may be found, however deep."""
        found: dict[str, None] = {}
        waiting = list(resource_types)
        while waiting:
            for name in self.dependent_types(waiting.pop()):
                if name not in found:
                    found[name] = None
                    waiting.append(name)
        return list(found)

    def dependents(
        self, context: karbor_context.RequestContext, resource: Resource
    ) -> list[Resource]:
        """The children of a resource.

        :raises ListProtectableResourceFailed: a service cannot tell; a graph without them
            would silently leave resources unprotected.
        """
        return [
            child
            for name in self.dependent_types(resource.type)
            for child in self._plugins[name].get_dependent_resources(context, resource) or ()
        ]

    def graph(
        self, context: karbor_context.RequestContext, resources: Iterable[Resource]
    ) -> list[graph.GraphNode]:
        """The graph that some resources span, as it is now."""
        # What a plugin keeps by its context, for one server after the other, ends with the graph.
        looking = copy.copy(context)
        return graph.build_graph(resources, lambda resource: self.dependents(looking, resource))
