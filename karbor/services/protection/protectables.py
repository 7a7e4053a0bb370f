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
from importlib import metadata

from oslo_log import log as logging

from karbor import context as karbor_context
from karbor import exception
from karbor.resource import Resource
from karbor.services.protection import graph, plugin_edge
from karbor.services.protection.protectable_plugin import ProtectablePlugin

LOG = logging.getLogger(__name__)

ENTRY_POINTS = 'karbor.protectables'


def load() -> 'Protectables':
    """The plugins of the entry points; one that cannot be loaded is left out and logged."""
    return Protectables(
        plugin
        for entry_point in metadata.entry_points(group=ENTRY_POINTS)
        if (plugin := _loaded(entry_point)) is not None
    )


def _loaded(entry_point: metadata.EntryPoint) -> ProtectablePlugin | None:
    """The plugin of an entry point, if it tells what it finds; what it raises instead is logged."""
    try:
        with plugin_edge.kept():
            plugin: ProtectablePlugin = entry_point.load()()
            _check(plugin)
    except Exception:
        # A plugin may raise anything; the others find their types without it.
        LOG.exception('The protectable plugin %s is left out', entry_point.name)
        return None
    return plugin


def _check(plugin: ProtectablePlugin) -> None:
    """:raises Exception: it does not tell what it finds."""
    resource_type = plugin.get_resource_type()
    if not (resource_type and isinstance(resource_type, str)):
        raise TypeError(f'{resource_type!r} is no resource type')
    tuple(plugin.get_parent_resource_types())


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
