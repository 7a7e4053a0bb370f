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

"""What plans tell that cover more than volumes, as with the plugins of third parties."""

import types
from typing import Any

from oslotest import base

from karbor import context as karbor_context
from karbor import exception
from karbor.db import paging
from karbor.resource import Resource
from karbor.services.checkpoints import plan_resources
from karbor.services.protection import protectable_plugin, protectables
from karbor.services.protection.protectable_plugins import project

PROJECT, NETWORK, SHARE, SERVER = 'OS::Keystone::Project', 'a-network', 'b-share', 'c-server'
PROJECT_ID = '1f3c9a7be2d84c5f9b0d6e4a3c2b1a09'
CONTEXT = karbor_context.RequestContext('user', PROJECT_ID, overwrite=False)


class _Plugin(protectable_plugin.ProtectablePlugin):
    def __init__(self, resource_type: str, *ids: str) -> None:
        super().__init__()
        self._type = resource_type
        self._found = [Resource(resource_type, resource_id, '') for resource_id in ids]
        self.asked = 0

    def get_resource_type(self) -> str:
        return self._type

    def get_parent_resource_types(self) -> tuple[str, ...]:
        return (PROJECT,)

    def show_resource(self, context: Any, resource_id: str, parameters: Any = None) -> Any:
        for found in self._found:
            if found.id == resource_id:
                return found
        raise exception.ProtectableResourceNotFound('There is no such thing.')

    def get_dependent_resources(self, context: Any, parent_resource: Resource) -> list[Resource]:
        self.asked += 1
        return list(self._found)


class PlanResourcesTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        # The network of a project has its id, as that of the Karbor of old had.
        self.plugins = [
            _Plugin(NETWORK, PROJECT_ID),
            _Plugin(SHARE, 's1', 's2', 's3'),
            _Plugin(SERVER, 's1', 's2'),
        ]
        registry: Any = types.SimpleNamespace(
            get=lambda _: types.SimpleNamespace(plugin_classes=(PROJECT, NETWORK, SHARE, 'd-other'))
        )
        self.resources = plan_resources.PlanResources(
            registry, protectables.Protectables([project.ProjectProtectablePlugin(), *self.plugins])
        )

    def page(
        self, *named: tuple[str, str], limit: int = 99, marker: str | None = None
    ) -> tuple[list[plan_resources.Covered], bool]:
        plan: Any = types.SimpleNamespace(
            provider_id='p',
            resources=[{'type': kind, 'id': name, 'name': 'as named'} for kind, name in named],
        )
        return self.resources.page(CONTEXT, plan, paging.Page(limit=limit, marker=marker))

    def test_pages_of_all_types_whatever_the_ids(self) -> None:
        named = [(SHARE, 's2'), (PROJECT, PROJECT_ID), (SERVER, 's2'), (NETWORK, PROJECT_ID)]
        expected = [*named, (SHARE, 's1'), (SHARE, 's3'), (SERVER, 's1')]
        for limit in range(1, 9):
            found, marker, has_more = [], None, True
            while has_more:
                items, has_more = self.page(*named, limit=limit, marker=marker)
                found += [(item.resource.type, item.resource.id) for item in items]
                marker = items[-1].resource.key
            self.assertEqual(expected, found)

    def test_what_a_page_does_not_need_is_not_asked_for(self) -> None:
        self.page((PROJECT, PROJECT_ID), limit=2)

        self.assertEqual([1, 1, 0], [plugin.asked for plugin in self.plugins])

    def test_reasons(self) -> None:
        items, _ = self.page(
            (PROJECT, PROJECT_ID), (SHARE, 'gone'), ('d-other', 'x'), (SHARE, 's1')
        )

        named = 'named in the plan'
        self.assertEqual(
            [
                (PROJECT_ID, PROJECT_ID, True, named),
                ('gone', 'as named', False, f'{named}, but There is no such thing'),
                ('x', 'as named', True, named),
                ('s1', '', True, named),
                (PROJECT_ID, '', True, f'it is in {PROJECT}#{PROJECT_ID}'),
                ('s2', '', True, f'it is in {PROJECT}#{PROJECT_ID}'),
            ],
            [(item.resource.id, item.resource.name, *item.verdict) for item in items[:6]],
        )
        self.assertEqual(
            {
                (
                    False,
                    f'it is in {PROJECT}#{PROJECT_ID}, but its provider has no plugin for {SERVER}',
                )
            },
            {item.verdict for item in items if item.resource.type == SERVER},
        )
