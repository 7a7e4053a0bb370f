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

"""Random resource graphs for hypothesis."""

from typing import Any

from hypothesis import strategies as st

from karbor.resource import Resource
from karbor.services.protection import graph

TYPES = ('OS::Keystone::Project', 'OS::Nova::Server', 'OS::Cinder::Volume')

EXTRA_INFO = (
    st.none()
    | st.text(max_size=8)
    | st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), max_size=2)
)


def resource(number: int, extra_info: Any = None) -> Resource:
    """A resource of which no two numbers give the same one."""
    return Resource(TYPES[number % len(TYPES)], f'id-{number}', f'name {number}', extra_info)


@st.composite
def roots(draw: Any, most: int = 12) -> list[graph.GraphNode]:
    """The roots of a graph with shared children, resources without any relation included."""
    nodes: list[graph.GraphNode] = []
    for number in range(draw(st.integers(1, most))):
        below = draw(
            st.lists(st.sampled_from(nodes), max_size=4, unique_by=id) if nodes else st.just([])
        )
        nodes.append(graph.GraphNode(resource(number, draw(EXTRA_INFO)), tuple(below)))
    children = {child.value for node in nodes for child in node.child_nodes}
    return [node for node in nodes if node.value not in children]


def edges(graph_roots: list[graph.GraphNode]) -> list[tuple[Resource, Resource]]:
    """Every pair of a parent and its child, found without the code under test."""
    found: dict[tuple[Resource, Resource], None] = {}
    waiting = list(graph_roots)
    while waiting:
        node = waiting.pop()
        for child in node.child_nodes:
            found[node.value, child.value] = None
            waiting.append(child)
    return list(found)


def resources(graph_roots: list[graph.GraphNode]) -> set[Resource]:
    return {node.value for node in graph_roots} | {child for _, child in edges(graph_roots)}
