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

"""The resource graph, and its stored form, which other Karbors read and wrote."""

import json

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from karbor import exception
from karbor.resource import Resource
from karbor.services.protection import graph
from karbor.tests.unit.protection import graphs

SETTINGS = hypothesis.settings(max_examples=150, deadline=None, database=None, derandomize=True)

PROJECT = Resource('OS::Keystone::Project', 'p', 'demo')
SERVER = Resource('OS::Nova::Server', 's', 'web')
OTHER_SERVER = Resource('OS::Nova::Server', 't', 'db')
VOLUME = Resource('OS::Cinder::Volume', 'v', 'data')
OTHER_VOLUME = Resource('OS::Cinder::Volume', 'w', 'log')


def _values(nodes: tuple[graph.GraphNode, ...] | list[graph.GraphNode]) -> list[Resource]:
    return [node.value for node in nodes]


class BuildGraphTest(base.BaseTestCase):
    def _build(
        self, starts: list[Resource], children: dict[Resource, list[Resource]]
    ) -> list[graph.GraphNode]:
        return graph.build_graph(starts, lambda resource: children.get(resource, []))

    def test_resources_without_children_are_roots_in_their_order(self) -> None:
        roots = self._build([VOLUME, SERVER, OTHER_VOLUME], {})

        self.assertEqual([VOLUME, SERVER, OTHER_VOLUME], _values(roots))
        self.assertEqual([(), (), ()], [node.child_nodes for node in roots])

    def test_children_keep_the_order_in_which_they_are_found(self) -> None:
        roots = self._build([SERVER], {SERVER: [OTHER_VOLUME, VOLUME]})

        self.assertEqual([OTHER_VOLUME, VOLUME], _values(roots[0].child_nodes))

    def test_what_is_a_child_of_another_is_no_root(self) -> None:
        for starts in ([VOLUME, SERVER], [SERVER, VOLUME]):
            roots = self._build(starts, {SERVER: [VOLUME]})

            self.assertEqual([SERVER], _values(roots))

    def test_a_shared_child_is_one_node(self) -> None:
        first, second = self._build(
            [SERVER, OTHER_SERVER], {SERVER: [VOLUME], OTHER_SERVER: [VOLUME]}
        )

        self.assertIs(first.child_nodes[0], second.child_nodes[0])

    def test_children_of_a_resource_are_asked_for_once(self) -> None:
        asked: list[Resource] = []

        def children_of(resource: Resource) -> list[Resource]:
            asked.append(resource)
            return {PROJECT: [SERVER, OTHER_SERVER], SERVER: [VOLUME], OTHER_SERVER: [VOLUME]}.get(
                resource, []
            )

        graph.build_graph([PROJECT, VOLUME], children_of)

        self.assertEqual([PROJECT, SERVER, VOLUME, OTHER_SERVER], asked)

    def test_a_resource_named_twice_is_one_node(self) -> None:
        roots = self._build([VOLUME, VOLUME, SERVER], {SERVER: [OTHER_VOLUME, OTHER_VOLUME]})

        self.assertEqual([VOLUME, SERVER], _values(roots))
        self.assertEqual([OTHER_VOLUME], _values(roots[1].child_nodes))

    def test_a_resource_of_another_name_is_the_same_resource(self) -> None:
        # A plan keeps the name that a volume had; a bank section has room for one of them,
        # so that a second node would make a second snapshot which nothing remembers.
        renamed = Resource(VOLUME.type, VOLUME.id, 'renamed since')

        roots = self._build([VOLUME, PROJECT], {PROJECT: [renamed]})

        self.assertEqual(2, len(list(graph.walk_nodes(roots))))
        self.assertEqual([PROJECT], _values(roots))

    def test_resources_of_two_types_may_have_the_same_id(self) -> None:
        network = Resource('OS::Neutron::Network', PROJECT.id, 'Network Topology')

        roots = self._build([PROJECT], {PROJECT: [network]})

        self.assertEqual([network], _values(roots[0].child_nodes))

    def test_loops_are_refused(self) -> None:
        for children in (
            {SERVER: [SERVER]},
            {SERVER: [VOLUME], VOLUME: [SERVER]},
            {SERVER: [VOLUME], VOLUME: [PROJECT], PROJECT: [VOLUME]},
        ):
            error = self.assertRaises(exception.InvalidInput, self._build, [SERVER], children)
            self.assertIn('depends on itself', error.msg)

    def test_an_error_of_the_search_passes_through(self) -> None:
        def children_of(resource: Resource) -> list[Resource]:
            raise exception.ListProtectableResourceFailed(type='x', reason='away')

        self.assertRaises(
            exception.ListProtectableResourceFailed, graph.build_graph, [SERVER], children_of
        )


class WalkNodesTest(base.BaseTestCase):
    @SETTINGS
    @hypothesis.given(graphs.roots())
    def test_every_node_once_children_before_their_parents(
        self, roots: list[graph.GraphNode]
    ) -> None:
        order = _values(list(graph.walk_nodes(roots)))

        self.assertEqual(graphs.resources(roots), set(order))
        self.assertEqual(len(set(order)), len(order))
        for parent, child in graphs.edges(roots):
            self.assertLess(order.index(child), order.index(parent))


class StoredGraphTest(base.BaseTestCase):
    def test_the_form_of_the_contract(self) -> None:
        volume = graph.GraphNode(
            Resource(
                'OS::Cinder::Volume',
                '9e2c5d18-4c30-4f8f-b6a0-5a55d2b1c7aa',
                'data',
                {'availability_zone': 'nova'},
            )
        )
        server = graph.GraphNode(
            Resource('OS::Nova::Server', '0a7b3f64-2f0e-4a55-8a35-2a1a7f0c9e11', 'web'), (volume,)
        )

        self.assertEqual(
            '[{"0x0": ["OS::Cinder::Volume", "9e2c5d18-4c30-4f8f-b6a0-5a55d2b1c7aa", "data", '
            '{"availability_zone": "nova"}], '
            '"0x1": ["OS::Nova::Server", "0a7b3f64-2f0e-4a55-8a35-2a1a7f0c9e11", "web", null]'
            '}, [["0x1", ["0x0"]]]]',
            graph.serialize([server]),
        )

    def test_no_relation_gives_no_adjacency(self) -> None:
        self.assertEqual(
            '[{"0x0": ["OS::Cinder::Volume", "v", "data", null]}, []]',
            graph.serialize([graph.GraphNode(VOLUME)]),
        )

    def test_numbers_are_hexadecimal_and_entries_of_children_come_first(self) -> None:
        volumes = tuple(graph.GraphNode(graphs.resource(number)) for number in range(17))
        server = graph.GraphNode(SERVER, volumes)

        nodes, adjacency = json.loads(graph.serialize([graph.GraphNode(PROJECT, (server,))]))

        self.assertEqual([hex(number) for number in range(19)], list(nodes))
        self.assertEqual(
            [['0x11', [hex(number) for number in range(17)]], ['0x12', ['0x11']]], adjacency
        )

    def test_a_graph_that_another_karbor_wrote(self) -> None:
        roots = graph.deserialize(
            '[{"0x0": ["OS::Cinder::Volume", "v", "data", {"availability_zone": "nova"}],'
            ' "0x1": ["OS::Glance::Image", "i", "cirros", null],'
            ' "0x2": ["OS::Nova::Server", "s", "web", null],'
            ' "0x3": ["OS::Nova::Server", "t", "db", null],'
            ' "0x4": ["OS::Keystone::Project", "p", "demo", null],'
            ' "0x5": ["OS::Manila::Share", "h", "share", null]},'
            ' [["0x2", ["0x0", "0x1"]], ["0x3", ["0x0"]], ["0x4", ["0x2", "0x3", "0x0"]]]]'
        )

        project, share = roots
        server, other, volume = project.child_nodes
        self.assertEqual(
            [PROJECT, Resource('OS::Manila::Share', 'h', 'share')], [project.value, share.value]
        )
        self.assertEqual(
            [VOLUME, Resource('OS::Glance::Image', 'i', 'cirros')], _values(server.child_nodes)
        )
        self.assertIs(volume, server.child_nodes[0])
        self.assertIs(volume, other.child_nodes[0])
        self.assertEqual({'availability_zone': 'nova'}, volume.value.extra_info)

    @SETTINGS
    @hypothesis.given(graphs.roots(most=20))
    def test_round_trip(self, roots: list[graph.GraphNode]) -> None:
        again = graph.deserialize(graph.serialize(roots))

        self.assertEqual(roots, again)
        self.assertEqual(
            {resource.key: resource.extra_info for resource in graphs.resources(roots)},
            {resource.key: resource.extra_info for resource in graphs.resources(again)},
        )

    @SETTINGS
    @hypothesis.given(graphs.roots(), st.data())
    def test_without_some(self, roots: list[graph.GraphNode], data: st.DataObject) -> None:
        every = sorted(graphs.resources(roots), key=lambda resource: resource.id)
        left_out = data.draw(st.sets(st.sampled_from(every)))

        kept = graph.without(roots, left_out)

        self.assertEqual(set(every) - left_out, set(graphs.resources(kept)))
        self.assertEqual(
            {pair for pair in graphs.edges(roots) if left_out.isdisjoint(pair)},
            set(graphs.edges(kept)),
        )
        self.assertEqual(roots, graph.without(roots, ()))

    @SETTINGS
    @hypothesis.given(graphs.roots())
    def test_shared_children_stay_one_node(self, roots: list[graph.GraphNode]) -> None:
        nodes: dict[Resource, set[int]] = {}
        for node in graph.walk_nodes(graph.deserialize(graph.serialize(roots))):
            for child in node.child_nodes:
                nodes.setdefault(child.value, set()).add(id(child))

        self.assertEqual({1} if nodes else set(), {len(ids) for ids in nodes.values()})
