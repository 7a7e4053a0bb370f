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

"""What a run that is tried again leaves out."""

from oslotest import base

from karbor.common import constants
from karbor.resource import Resource
from karbor.services.checkpoints import drafts
from karbor.services.protection.graph import GraphNode


def volume(name: str) -> GraphNode:
    return GraphNode(Resource(constants.VOLUME_RESOURCE_TYPE, name, name))


def server(name: str, *volumes: GraphNode) -> GraphNode:
    return GraphNode(Resource(constants.SERVER_RESOURCE_TYPE, name, name), volumes)


def project(*nodes: GraphNode) -> GraphNode:
    return GraphNode(Resource(constants.PROJECT_RESOURCE_TYPE, 'p', 'p'), nodes)


class DoneUnitsTest(base.BaseTestCase):
    def left_out(self, roots: list[GraphNode], *done: str) -> set[str]:
        """The ids of what is left out when the resources of some ids are done."""
        keys = {
            (resource_type, name)
            for resource_type in (constants.VOLUME_RESOURCE_TYPE, constants.SERVER_RESOURCE_TYPE)
            for name in done
        }
        return {resource.id for resource in drafts._done_units(roots, keys)}

    def test_volumes(self) -> None:
        roots = [volume('a'), volume('b'), volume('c')]
        self.assertEqual({'a', 'c'}, self.left_out(roots, 'a', 'c', 'gone'))

    def test_in_a_project(self) -> None:
        roots = [project(volume('a'), volume('b'))]
        self.assertEqual({'b'}, self.left_out(roots, 'b'))

    def test_when_nothing_would_be_left(self) -> None:
        self.assertEqual(set(), self.left_out([volume('a')], 'a'))
        self.assertEqual(set(), self.left_out([project(volume('a'))], 'a'))

    def test_what_hangs_together(self) -> None:
        first = server('s1', volume('a'), volume('b'))
        second = server('s2', volume('c'))
        roots = [project(first, second, volume('d'))]
        self.assertEqual({'s2', 'c', 'd'}, self.left_out(roots, 's1', 'a', 's2', 'c', 'd'))
        self.assertEqual({'s1', 'a', 'b'}, self.left_out(roots, 's1', 'a', 'b', 'c'))

    def test_what_two_share(self) -> None:
        shared = volume('shared')
        roots = [server('s1', shared), server('s2', shared)]
        self.assertEqual({'s1'}, self.left_out(roots, 's1', 'shared'))
