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

"""Protectable plugins: the registry, dependents, and the two that are in the tree."""

import types
from typing import Any
from unittest import mock

from cinderclient import exceptions as cinder_exc
from keystoneauth1 import exceptions as ks_exc
from oslotest import base

from karbor import context as karbor_context
from karbor import exception
from karbor.resource import Resource
from karbor.services.protection import protectable_plugin, protectables
from karbor.services.protection.protectable_plugins import project, volume

PROJECT = 'OS::Keystone::Project'
SERVER = 'OS::Nova::Server'
POD = 'OS::Kubernetes::Pod'
VOLUME = 'OS::Cinder::Volume'
PROJECT_ID = '1f3c9a7be2d84c5f9b0d6e4a3c2b1a09'


def _context(**fields: Any) -> karbor_context.RequestContext:
    return karbor_context.RequestContext('user', PROJECT_ID, overwrite=False, **fields)


VOLUME_ID = '9e2c5d18-4c30-4f8f-b6a0-5a55d2b1c7aa'


class _Plugin(protectable_plugin.ProtectablePlugin):
    def __init__(self, resource_type: str, *parents: str, **children: list[Resource]) -> None:
        super().__init__()
        self.resource_type = resource_type
        self.parents = parents
        self.children = children
        self.contexts: list[Any] = []

    def get_resource_type(self) -> str:
        return self.resource_type

    def get_parent_resource_types(self) -> tuple[str, ...]:
        return self.parents

    def show_resource(self, context: Any, resource_id: str, parameters: Any = None) -> Any:
        if resource_id == 'gone':
            raise exception.ProtectableResourceNotFound(
                type=self.resource_type, id='gone', reason='gone'
            )
        if resource_id == 'broken':
            raise exception.ProtectableResourceInvalidStatus(
                type=self.resource_type, id='broken', status='broken'
            )
        return None if resource_id == 'none' else Resource(self.resource_type, resource_id, 'x')

    def get_dependent_resources(self, context: Any, parent_resource: Resource) -> Any:
        self.contexts.append(context)
        return self.children.get(parent_resource.id, [])


class RegistryTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.volumes = [Resource(VOLUME, f'v{number}', '') for number in range(3)]
        self.server = Resource(SERVER, 's', 'web')
        self.project = Resource(PROJECT, 'p', 'demo')
        self.volume_plugin = _Plugin(VOLUME, SERVER, PROJECT, s=self.volumes[:2], p=self.volumes)
        self.registry = protectables.Protectables(
            [self.volume_plugin, _Plugin(SERVER, PROJECT, p=[self.server]), _Plugin(PROJECT)]
        )

    def test_types_are_sorted(self) -> None:
        self.assertEqual([VOLUME, PROJECT, SERVER], self.registry.types())

    def test_get(self) -> None:
        self.assertIs(self.volume_plugin, self.registry.get(VOLUME))
        error = self.assertRaises(
            exception.ProtectableTypeNotFound, self.registry.get, 'OS::No::Such'
        )
        self.assertIn('OS::No::Such', error.msg)

    def test_dependent_types(self) -> None:
        for resource_type, expected in (
            (PROJECT, [VOLUME, SERVER]),
            (SERVER, [VOLUME]),
            (VOLUME, []),
            ('OS::No::Such', []),
        ):
            self.assertEqual(expected, self.registry.dependent_types(resource_type))

    def test_all_dependent_types(self) -> None:
        chain = protectables.Protectables(
            [_Plugin('a'), _Plugin('b', 'a'), _Plugin('c', 'b'), _Plugin('d', 'c', 'a')]
        )

        self.assertEqual({'b', 'c', 'd'}, set(chain.all_dependent_types(['a'])))
        self.assertEqual(['d'], chain.all_dependent_types(['c']))
        self.assertEqual([], chain.all_dependent_types(['d', 'x']))
        self.assertEqual(['d'], chain.all_dependent_types(['c', 'c']))

    def test_all_dependent_types_of_types_that_contain_each_other(self) -> None:
        circle = protectables.Protectables([_Plugin('a', 'b'), _Plugin('b', 'a')])

        self.assertEqual({'a', 'b'}, set(circle.all_dependent_types(['a'])))

    def test_dependents_of_all_plugins_with_the_callers_context(self) -> None:
        context = _context()

        self.assertEqual(
            [*self.volumes, self.server], self.registry.dependents(context, self.project)
        )
        self.assertEqual([context], self.volume_plugin.contexts)

    def test_graph(self) -> None:
        (root,) = self.registry.graph(_context(), [self.volumes[0], self.project])

        self.assertEqual(self.project, root.value)
        by_value = {node.value: node for node in root.child_nodes}
        self.assertEqual({self.server, *self.volumes}, set(by_value))
        self.assertIs(by_value[self.volumes[0]], by_value[self.server].child_nodes[0])

    def test_a_service_that_cannot_tell_stops_the_graph(self) -> None:
        failed = exception.ListProtectableResourceFailed(type=VOLUME, reason='away')
        with mock.patch.object(self.volume_plugin, 'get_dependent_resources', side_effect=failed):
            self.assertRaises(
                exception.ListProtectableResourceFailed,
                self.registry.graph,
                _context(),
                [self.project],
            )

    def test_what_is_installed(self) -> None:
        installed = protectables.load()

        self.assertIsInstance(installed.get(PROJECT), project.ProjectProtectablePlugin)
        self.assertIsInstance(installed.get(VOLUME), volume.VolumeProtectablePlugin)
        self.assertEqual([VOLUME], installed.dependent_types(PROJECT))

    def test_instance_is_a_new_object_of_the_same_class(self) -> None:
        plugin = project.ProjectProtectablePlugin()

        again = plugin.instance(_context())

        self.assertIs(type(plugin), type(again))
        self.assertIsNot(plugin, again)


class ThirdPartyTest(base.BaseTestCase):
    """What a plugin has that knows nothing of pages and choices."""

    def setUp(self) -> None:
        super().setUp()
        self.children = [Resource(SERVER, name, '') for name in ('b', 'c', 'a')]
        self.plugin = _Plugin(SERVER, PROJECT, p=self.children)

    def test_what_is_found_of_resources(self) -> None:
        found = self.plugin.find_resources(_context(), ['a', 'gone', 'broken', 'none'])

        self.assertEqual(['a', 'gone', 'broken', 'none'], list(found))
        self.assertEqual(Resource(SERVER, 'a', 'x'), found['a'])
        for name, error in (
            ('gone', exception.ProtectableResourceNotFound),
            ('broken', exception.ProtectableResourceInvalidStatus),
            ('none', exception.ProtectableResourceNotFound),
        ):
            self.assertIsInstance(found[name], error)

    def test_pages_of_children(self) -> None:
        """A choice is for volumes: those of other types are all in."""
        parent = Resource(PROJECT, 'p', '', '{"exclude": {"names": ["*"]}}')
        for marker, limit, expected in (
            (None, 2, ['a', 'b']),
            ('b', 2, ['c']),
            ('c', 2, []),
            (None, 9, ['a', 'b', 'c']),
        ):
            children = self.plugin.page_of_children(_context(), parent, marker, limit)

            self.assertEqual(expected, [child.id for child, _ in children])
            self.assertEqual(
                {(True, f'it is in {PROJECT}#p')},
                {(True, f'it is in {PROJECT}#p')} | {verdict for _, verdict in children},
            )
        self.assertRaises(
            exception.MarkerNotFound, self.plugin.page_of_children, _context(), parent, 'x', 2
        )
        nothing = Resource(PROJECT, 'empty', '')
        self.assertEqual([], self.plugin.page_of_children(_context(), nothing, None, 2))


class ProjectTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.plugin = project.ProjectProtectablePlugin()

    def test_it_is_the_callers(self) -> None:
        for fields, name in (({'project_name': 'demo'}, 'demo'), ({}, PROJECT_ID)):
            expected = Resource(PROJECT, PROJECT_ID, name)

            self.assertEqual([expected], self.plugin.list_resources(_context(**fields)))
            self.assertEqual(expected, self.plugin.show_resource(_context(**fields), PROJECT_ID))

    def test_another_project(self) -> None:
        error = self.assertRaises(
            exception.ProtectableResourceNotFound, self.plugin.show_resource, _context(), 'other'
        )

        self.assertIn('other', error.msg)

    def test_relations(self) -> None:
        self.assertEqual(
            (PROJECT, (), []),
            (
                self.plugin.get_resource_type(),
                self.plugin.get_parent_resource_types(),
                self.plugin.get_dependent_resources(_context(), Resource(PROJECT, 'p', '')),
            ),
        )


def _volume(
    volume_id: str,
    status: str = 'available',
    name: str | None = 'data',
    servers: tuple[str, ...] = (),
) -> Any:
    return types.SimpleNamespace(
        id=volume_id,
        status=status,
        name=name,
        availability_zone='nova',
        metadata={},
        attachments=[{'server_id': server_id} for server_id in servers],
    )


class _Pods:
    """A client of Kubernetes: one pod with a volume of its own, two claims and no more of ours."""

    def __init__(self) -> None:
        fields = types.SimpleNamespace
        self._sources = {
            'pv-b': fields(cinder=fields(volume_id='b'), csi=None),
            'pv-c': fields(
                cinder=None, csi=fields(driver='cinder.csi.openstack.org', volume_handle='c')
            ),
            'pv-d': fields(cinder=None, csi=fields(driver='other.csi', volume_handle='d')),
        }

    def read_namespaced_pod(self, name: str, namespace: str) -> Any:
        if (name, namespace) != ('db-0', 'web'):
            raise LookupError(name)
        fields = types.SimpleNamespace
        claimed = [
            fields(persistent_volume_claim=fields(claim_name=f'claim-of-{name}'), cinder=None)
            for name in self._sources
        ]
        own = fields(persistent_volume_claim=None, cinder=fields(volume_id='a'), csi=None)
        return fields(spec=fields(volumes=[own, fields(config_map='x'), *claimed]))

    def read_namespaced_persistent_volume_claim(self, name: str, namespace: str) -> Any:
        return types.SimpleNamespace(
            spec=types.SimpleNamespace(volume_name=name.removeprefix('claim-of-'))
        )

    def read_persistent_volume(self, name: str) -> Any:
        return types.SimpleNamespace(spec=self._sources[name])


class _Volumes:
    """cinderclient's manager of volumes, as far as it is asked."""

    def __init__(self, *found: Any, error: Exception | None = None) -> None:
        self._found = {found_volume.id: found_volume for found_volume in found}
        self._error = error

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def list(self, *_: Any, **options: Any) -> list[Any]:
        self._check()
        return [] if options.get('marker') else list(self._found.values())

    def get(self, volume_id: str) -> Any:
        self._check()
        if volume_id not in self._found:
            raise cinder_exc.NotFound(404, f'Volume {volume_id} could not be found.')
        return self._found[volume_id]


class VolumeTest(base.BaseTestCase):
    ERRORS = (
        cinder_exc.Forbidden(403, 'Policy does not allow this.'),
        cinder_exc.Unauthorized(401, 'The token is over.'),
        ks_exc.EndpointNotFound('no endpoint'),
    )

    def setUp(self) -> None:
        super().setUp()
        self.plugin = volume.VolumeProtectablePlugin()
        self.context = _context()
        create = mock.patch('karbor.services.protection.client_factory.ClientFactory.create_client')
        self.create_client = create.start()
        self.addCleanup(create.stop)

    def _use(self, *found: Any, error: Exception | None = None) -> None:
        self.create_client.return_value = types.SimpleNamespace(
            volumes=_Volumes(*found, error=error)
        )

    def test_list(self) -> None:
        self._use(
            _volume('a'),
            _volume('b', 'in-use', None),
            *(_volume(status, status) for status in ('error', 'deleting', 'error_deleting')),
        )

        found = self.plugin.list_resources(self.context)

        self.assertEqual([Resource(VOLUME, 'a', 'data'), Resource(VOLUME, 'b', '')], found)
        self.assertEqual({'availability_zone': 'nova'}, found[0].extra_info)

    def test_the_client_acts_for_the_caller(self) -> None:
        self._use()

        self.plugin.list_resources(self.context)

        self.create_client.assert_called_with('cinder', self.context)

    def test_show(self) -> None:
        self._use(_volume(VOLUME_ID))

        self.assertEqual(
            Resource(VOLUME, VOLUME_ID, 'data'), self.plugin.show_resource(self.context, VOLUME_ID)
        )

    def test_show_what_is_not_there(self) -> None:
        self._use()

        error = self.assertRaises(
            exception.ProtectableResourceNotFound,
            self.plugin.show_resource,
            self.context,
            VOLUME_ID,
        )
        self.assertIn(VOLUME_ID, error.msg)

    def test_show_what_cinder_takes_for_no_id(self) -> None:
        """``detail`` would be the URL of a list."""
        self._use(_volume(VOLUME_ID))

        for resource_id in ('!', 'detail', 'summary'):
            self.assertRaises(
                exception.ProtectableResourceNotFound,
                self.plugin.show_resource,
                self.context,
                resource_id,
            )

    def test_show_what_cannot_be_protected(self) -> None:
        for status in ('error', 'deleting', 'error_deleting'):
            self._use(_volume(VOLUME_ID, status))

            error = self.assertRaises(
                exception.ProtectableResourceInvalidStatus,
                self.plugin.show_resource,
                self.context,
                VOLUME_ID,
            )
            self.assertIn(status, error.msg)

    def test_a_cinder_that_cannot_tell(self) -> None:
        for error in self.ERRORS:
            self._use(error=error)
            for ask in (
                lambda: self.plugin.list_resources(self.context),
                lambda: self.plugin.show_resource(self.context, VOLUME_ID),
                lambda: self.plugin.get_dependent_resources(
                    self.context, Resource(PROJECT, PROJECT_ID, '')
                ),
            ):
                raised = self.assertRaises(exception.ListProtectableResourceFailed, ask)
                self.assertIn(VOLUME, raised.msg)

    def test_volumes_of_a_project(self) -> None:
        statuses = ('available', 'error', 'error_deleting', 'deleting', 'maintenance')
        self._use(*(_volume(status, status) for status in statuses))

        self.assertEqual(
            [Resource(VOLUME, status, 'data') for status in statuses],
            self.plugin.get_dependent_resources(
                self.context, Resource(PROJECT, PROJECT_ID, 'demo')
            ),
        )
        self.assertEqual((SERVER, POD, PROJECT), self.plugin.get_parent_resource_types())

    def test_volumes_of_a_server(self) -> None:
        """Whatever their status, and whatever its extra_info says: that chooses nothing."""
        self._use(_volume('a', 'in-use', servers=('s', 't')), _volume('b'), _volume('c', 'error'))
        server = Resource(SERVER, 's', 'web', '{"exclude": {"names": ["*"]}}')
        self.assertEqual(
            [Resource(VOLUME, 'a', 'data')],
            self.plugin.get_dependent_resources(self.context, server),
        )
        ((child, verdict),) = self.plugin.page_of_children(self.context, server, None, 5)
        self.assertEqual(('a', True), (child.id, verdict.is_in))
        self.assertEqual([], self.plugin.page_of_children(self.context, server, 'a', 5))

    def test_volumes_of_a_pod(self) -> None:
        self._use(*(_volume(name) for name in 'abcd'))
        cinder = self.create_client.return_value
        self.create_client.side_effect = lambda service, _: _Pods() if service == 'k8s' else cinder
        pod = Resource(POD, 'uuid', 'web:db-0')
        self.assertEqual(
            ['a', 'b', 'c'],
            [each.id for each in self.plugin.get_dependent_resources(self.context, pod)],
        )

    def test_nobody_who_knows_the_volumes_of_a_pod(self) -> None:
        self.create_client.side_effect = exception.KarborException('no client')
        raised = self.assertRaises(
            exception.ListProtectableResourceFailed,
            self.plugin.get_dependent_resources,
            self.context,
            Resource(POD, 'uuid', 'web:db-0'),
        )
        self.assertIn('no client', raised.msg)

    def test_volumes_that_a_plan_chooses(self) -> None:
        """Without their labels: those would be kept with each checkpoint."""
        self._use(_volume('a', name='db-1'), _volume('b', name=None), _volume('c', name='db-2'))
        chosen = Resource(PROJECT, PROJECT_ID, '', '{"exclude": {"names": ["db-2", ""]}}')

        (found,) = self.plugin.get_dependent_resources(self.context, chosen)

        self.assertEqual(Resource(VOLUME, 'a', 'db-1'), found)
        self.assertEqual({'availability_zone': 'nova'}, found.extra_info)

    def test_volumes_of_another_project_are_not_told(self) -> None:
        self._use(_volume('a'))
        other = Resource(PROJECT, 'other', '')

        for ask in (
            lambda: self.plugin.get_dependent_resources(self.context, other),
            lambda: self.plugin.page_of_children(self.context, other, None, 5),
        ):
            self.assertRaises(exception.ProtectableResourceNotFound, ask)
