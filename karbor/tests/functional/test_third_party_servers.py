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

"""Servers of a third party above Karbor's own volumes, which they are the parents of."""

import json
from typing import Any

from karbor.db import models
from karbor.tests.base import PROJECT_ID, new_id
from karbor.tests.functional import base, test_third_party
from karbor.tests.functional.base import VOLUME

SERVER = 'OS::Nova::Server'


class ServersTestCase(test_third_party.ThirdPartyTestCase):
    """Two servers: one volume is on both, one on the first, one on none."""

    modules = ('servers',)
    plugins = (
        'karbor-project-protection-plugin',
        'karbor-volume-snapshot-plugin',
        'servers.ServerPlugin',
    )
    entry_points = {'karbor.protectables': {'server': 'servers:ServerProtectable'}}

    def setUp(self) -> None:
        super().setUp()
        self.servers = self.outside.module('servers').SERVERS
        self.ids = [new_id(), new_id()]
        self.own = self.attached(self.ids[0])
        self.shared = self.attached(*self.ids)
        self.free = self.attached()
        self.servers |= {
            self.ids[0]: ('web', [self.own, self.shared]),
            self.ids[1]: ('db', [self.shared]),
        }

    def attached(self, *server_ids: str) -> str:
        """The id of a new volume on some servers."""
        attachments = [{'server_id': server_id} for server_id in server_ids]
        status = 'in-use' if server_ids else 'available'
        return self.volume(attachments=attachments, status=status)['id']

    def server(self, number: int = 0) -> dict[str, Any]:
        return base.resource(self.ids[number], SERVER, self.servers[self.ids[number]][0])

    def run_plan(self, *resources: dict[str, Any]) -> dict[str, Any]:
        plan = self.create_plan(*resources, parameters={VOLUME: {'force': True}})
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual('available', checkpoint['status'], checkpoint)
        return checkpoint

    def below(self, checkpoint: dict[str, Any]) -> dict[str, set[str]]:
        """Ids of the children of each resource of the graph, by the parent's."""
        nodes, adjacency = json.loads(checkpoint['resource_graph'])
        ids = {number: fields[1] for number, fields in nodes.items()}
        parents = {ids[number]: {ids[each] for each in below} for number, below in adjacency}
        return {resource_id: parents.get(resource_id, set()) for resource_id in ids.values()}

    def snapshotted(self) -> set[str]:
        return {snapshot['volume_id'] for snapshot in self.cinder.snapshots.values()}


class ServersTest(ServersTestCase):
    def test_a_server_finds_its_volumes(self):
        checkpoint = self.run_plan(self.server())
        volumes = {self.own, self.shared}
        expected = {self.ids[0]: volumes, **{key: set() for key in volumes}}
        self.assertEqual(expected, self.below(checkpoint))
        self.assertEqual(volumes, self.snapshotted())

    def test_a_project_with_servers_nested_above_volumes(self):
        checkpoint = self.run_plan(base.resource(PROJECT_ID, base.PROJECT))
        volumes = {self.own, self.shared, self.free}
        self.assertEqual(
            {
                PROJECT_ID: {*self.ids, *volumes},
                self.ids[0]: {self.own, self.shared},
                self.ids[1]: {self.shared},
                **{key: set() for key in volumes},
            },
            self.below(checkpoint),
        )
        self.assertEqual(volumes, self.snapshotted())

    def test_a_server_is_restored_once_its_volumes_are(self):
        checkpoint = self.run_plan(self.server(0), self.server(1))
        restore = self.ended_use('restore', self.use('restore', checkpoint))
        self.assertEqual('success', restore['status'], restore)
        new = {key.partition('#')[2]: made for key, made in restore['new_resources'].items()}
        self.assertEqual({*self.ids, self.own, self.shared}, set(new))
        for number, volumes in enumerate(([self.own, self.shared], [self.shared])):
            name, attached = self.servers[new[self.ids[number]]]
            self.assertEqual('karbor-restore-server', name)
            self.assertEqual([new[volume_id] for volume_id in volumes], attached)
        self.assertEqual(
            {f'{SERVER}#{new[each]}' for each in self.ids},
            {key for key in restore['resources_status'] if key.startswith(SERVER)},
        )

    def test_all_of_it_is_deleted(self):
        checkpoint = self.run_plan(self.server())
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def test_what_depends_on_a_server_is_told(self):
        shown = self.get(f'/protectables/{SERVER}')['protectable_type']
        self.assertEqual([VOLUME], shown['dependent_types'])
        shown = self.get(f'/protectables/{SERVER}/instances/{self.ids[0]}')['instance']
        self.assertEqual(
            {self.own, self.shared}, {each['id'] for each in shown['dependent_resources']}
        )

    def test_volumes_are_listed_once_for_all_servers(self):
        for _ in range(4):
            server_id = new_id()
            self.servers[server_id] = ('more', [])
        before = self.listings()
        self.run_plan(*[base.resource(server_id, SERVER, 's') for server_id in self.servers])
        # once for the graph, and once for what they are like
        self.assertEqual(2, self.listings() - before)

    def listings(self) -> int:
        return self.cinder.requests['GET', '/volumes/detail']

    def test_a_volume_that_is_attached_later_is_found_in_the_next_run(self):
        plan = self.create_plan(self.server(1), parameters={VOLUME: {'force': True}})
        self.ended_checkpoint(self.create_checkpoint(plan))
        later = self.attached(self.ids[1])
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual({self.shared, later}, self.below(checkpoint)[self.ids[1]])


class TypeThatNobodyServesTest(ServersTestCase):
    """The plugin of the servers is gone; what it has made stays, and is told."""

    def setUp(self) -> None:
        super().setUp()
        self.checkpoint = self.run_plan(self.server())

    def deleted(self) -> dict[str, Any]:
        """The checkpoint once it was asked for its deletion."""
        self.delete(self.checkpoints_path(self.checkpoint['id']))
        return self.ended_checkpoint(self.checkpoint)

    def states(self) -> dict[str, str]:
        return {row.resource_id: row.state for row in self.rows(models.RecoveryPoint)}

    def test_what_others_serve_is_deleted_and_what_is_left_is_told(self):
        self.serve(*self.plugins[:2])
        ended = self.deleted()
        key = f'{SERVER}#{self.ids[0]}'
        why = f'no plugin of the provider provider serves {SERVER} any more'
        self.assertEqual('error-deleting', ended['status'])
        self.assertIn(f'1 of 3 resources failed: {key}: {why}', ended['status_reason'])
        self.assertEqual({key}, set(ended['resources_reason']))
        self.assertEqual({}, self.cinder.snapshots)
        self.assertEqual(
            {self.ids[0]: 'failed', self.own: 'deleted', self.shared: 'deleted'}, self.states()
        )

    def test_it_is_deleted_once_somebody_serves_the_type_again(self):
        for plugins in (self.plugins, ('karbor-noop-protection-plugin', *self.plugins[:2])):
            self.serve(*self.plugins)
            self.checkpoint = self.run_plan(self.server())
            self.serve(*self.plugins[:2])
            self.assertEqual('error-deleting', self.deleted()['status'])
            self.serve(*plugins)
            self.assertEqual('deleted', self.deleted()['status'])

    def test_nobody_serves_any_of_it(self):
        self.serve('karbor-project-protection-plugin')
        ended = self.deleted()
        self.assertEqual('error-deleting', ended['status'])
        self.assertIn('3 of 3 resources failed', ended['status_reason'])
        self.assertEqual(3, len(ended['resources_reason']))
        self.assertEqual(2, len(self.cinder.snapshots))
        self.serve(*self.plugins)
        self.assertEqual('deleted', self.deleted()['status'])
