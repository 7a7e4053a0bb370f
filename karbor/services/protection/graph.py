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

"""The resource graph: which resources a plan covers, and the children of each."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from karbor import exception
from karbor.resource import Resource


class GraphNode(NamedTuple):
    """A resource with the nodes that depend on it; a shared child is one shared node."""

    value: Resource
    child_nodes: tuple['GraphNode', ...] = ()


def build_graph(
    resources: Iterable[Resource], children_of: Callable[[Resource], Iterable[Resource]]
) -> list[GraphNode]:
    """The roots of the graph that some resources span.

    :param resources: where to begin, in order; one that is a child of another is no root.
    :param children_of: the resources that depend on one.
    :raises InvalidInput: a resource depends on itself, by whatever way round.
    """
    # By type and id: the name that a plan keeps may have been changed since.
    nodes: dict[str, GraphNode] = {}
    path: set[str] = set()
    children: set[str] = set()

    def visit_all(found: Iterable[Resource]) -> dict[str, GraphNode]:
        return {resource.key: visit(resource) for resource in found}

    def visit(resource: Resource) -> GraphNode:
        if resource.key in path:
            raise exception.InvalidInput(reason=f'{resource.key} depends on itself.')
        if resource.key not in nodes:
            path.add(resource.key)
            below = visit_all(children_of(resource))
            path.discard(resource.key)
            children.update(below)
            nodes[resource.key] = GraphNode(resource, tuple(below.values()))
        return nodes[resource.key]

    return [node for key, node in visit_all(resources).items() if key not in children]


def walk_nodes(roots: Iterable[GraphNode]) -> Iterator[GraphNode]:
    """Every node once, children before their parents."""
    seen: set[Resource] = set()

    def visit(node: GraphNode) -> Iterator[GraphNode]:
        if node.value in seen:
            return
        seen.add(node.value)
        for child in node.child_nodes:
            yield from visit(child)
        yield node

    for root in roots:
        yield from visit(root)


def without(roots: Iterable[GraphNode], left_out: Collection[Resource]) -> list[GraphNode]:
    """The graph without some resources; what depends on them stays."""
    children = {
        node.value: [child.value for child in node.child_nodes if child.value not in left_out]
        for node in walk_nodes(roots)
        if node.value not in left_out
    }
    return build_graph(children, lambda resource: children[resource])


def serialize(roots: Iterable[GraphNode]) -> str:
    """The graph as JSON text ``[nodes, adjacency]`` (Karbor contract, section D.4)."""
    numbers: dict[Resource, str] = {}
    adjacency = []
    for node in walk_nodes(roots):
        numbers[node.value] = hex(len(numbers))
        if node.child_nodes:
            adjacency.append(
                [numbers[node.value], [numbers[child.value] for child in node.child_nodes]]
            )
    nodes = {
        number: [resource.type, resource.id, resource.name, resource.extra_info]
        for resource, number in numbers.items()
    }
    return json.dumps([nodes, adjacency], ensure_ascii=False)


def deserialize(text: str) -> list[GraphNode]:
    """The roots of a graph that :func:`serialize` wrote."""
    resources, adjacency = json.loads(text)
    below = dict(adjacency)
    nodes: dict[str, GraphNode] = {}
    for number, fields in resources.items():  # children come before their parents
        nodes[number] = GraphNode(
            Resource(*fields), tuple(nodes[child] for child in below.get(number, ()))
        )
    children = {child for numbers in below.values() for child in numbers}
    return [node for number, node in nodes.items() if number not in children]
