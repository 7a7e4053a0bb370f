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

"""The order in which the hooks of the resources of a graph may run.

``begin`` goes from parents to children, ``finish`` and ``complete`` from children to parents;
``main`` follows the resource's own ``finish`` (Karbor contract, section B.4).
"""

import array
import collections
from collections.abc import Iterable, Iterator

from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import graph

Task = tuple[Resource, str]

HOOKS = tuple(constants.Hook)
_DOWNWARDS = frozenset((constants.Hook.PRE_BEGIN,))
_UPWARDS = frozenset((constants.Hook.PRE_FINISH, constants.Hook.COMPLETE))


class HookOrder:
    """Tells which hooks may run, given those that are over.

    It keeps a number for each hook, and no more: there may be many thousand resources.

    :param roots: the graph.
    """

    def __init__(self, roots: Iterable[graph.GraphNode]) -> None:
        nodes = list(graph.walk_nodes(roots))
        self._resources = [node.value for node in nodes]
        self._numbers = {resource: number for number, resource in enumerate(self._resources)}
        # Of those that have some.
        self._parents: dict[int, list[int]] = collections.defaultdict(list)
        self._children = {
            number: [self._numbers[child.value] for child in node.child_nodes]
            for number, node in enumerate(nodes)
            if node.child_nodes
        }
        for parent, children in self._children.items():
            for child in children:
                self._parents[child].append(parent)
        # By hook and resource, for how many others it waits.
        self._left = [
            array.array('L', (self._before(number, place) for number in range(len(nodes))))
            for place in range(len(HOOKS))
        ]

    def _before(self, number: int, place: int) -> int:
        """How many hooks must be over before one may run.

        :param place: of the hook, among those of its resource.
        """
        own = 1 if place else 0
        return own + len(self._relatives(number, place, before=True))

    def _relatives(self, number: int, place: int, *, before: bool) -> list[int]:
        """The resources whose same hook comes directly before, or behind."""
        if HOOKS[place] in _DOWNWARDS:
            relatives = self._parents if before else self._children
        elif HOOKS[place] in _UPWARDS:
            relatives = self._children if before else self._parents
        else:
            return []
        return relatives.get(number, [])

    def first(self) -> Iterator[Task]:
        """The hooks that wait for none."""
        for place, left in enumerate(self._left):
            for number, count in enumerate(left):
                if not count:
                    yield self._resources[number], HOOKS[place]

    def done(self, task: Task) -> Iterator[Task]:
        """Those that may run now that one is over."""
        resource, hook = task
        number, place = self._numbers[resource], HOOKS.index(hook)
        behind = [(each, place) for each in self._relatives(number, place, before=False)]
        if place + 1 < len(HOOKS):
            behind.append((number, place + 1))
        for each, its_place in behind:
            self._left[its_place][each] -= 1
            if not self._left[its_place][each]:
                yield self._resources[each], HOOKS[its_place]
