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

"""What becomes of a run of a plan whose resources are not all there, or not all well."""

import json
import re
from typing import Any
from unittest import mock

import fixtures

from karbor.services.jobs import progress
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import provider
from karbor.tests.base import PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base
from karbor.tests.functional.base import VOLUME, resource


class RunsTestCase(base.CloudTestCase):
    def run_of(self, *resources: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint of a run of a new plan, when it is over."""
        return self.ended_checkpoint(self.create_checkpoint(self.create_plan(*resources)))

    def gone(self, **fields: Any) -> dict[str, Any]:
        """A volume that there is not any more."""
        volume = self.volume(**fields)
        del self.cinder.volumes[volume['id']]
        return volume

    def in_bank(self, checkpoint: dict[str, Any]) -> bank_checkpoint.Checkpoint:
        return self.registry.get(PROVIDER_ID).checkpoints.get(checkpoint['id'])

    def assert_counts(
        self, checkpoint: dict[str, Any], status: str, total: int, done: int, failed: int
    ) -> None:
        names = ('status', 'resources_total', 'resources_done', 'resources_failed')
        self.assertEqual(
            (status, total, done, failed), tuple(checkpoint[name] for name in names), checkpoint
        )

    def assert_covers(self, checkpoint: dict[str, Any], *resources: dict[str, Any]) -> None:
        """The row and the bank have these in their graphs, and the bank nothing of others."""
        ids = {item['id'] for item in resources}
        in_bank = self.in_bank(checkpoint)
        nodes, _ = json.loads(checkpoint['resource_graph'])
        self.assertEqual(ids, {node[1] for node in nodes.values()})
        self.assertEqual(checkpoint['resource_graph'], in_bank.to_dict()['resource_graph'])
        self.assertEqual(
            ids - {PROJECT_ID},
            {
                key.split('/')[1]
                for key in in_bank.checkpoint_section.list_objects()
                if key.startswith('resource-data/')
            },
        )


class GoneTest(RunsTestCase):
    def test_one_of_two(self):
        good, gone = self.volume(), self.gone(name='db')
        checkpoint = self.run_of(good, gone)
        self.assert_counts(checkpoint, 'available', 1, 1, 0)
        self.assertEqual(
            f'1 of 2 resources is gone: {VOLUME}#{gone["id"]} (db)', checkpoint['status_reason']
        )
        self.assertEqual({}, checkpoint['resources_reason'])
        self.assert_covers(checkpoint, good)
        self.assertEqual('available', self.in_bank(checkpoint).status)
        (log,) = self.get('/operation_logs?operation_type=protect')['operation_logs']
        self.assertEqual(
            ('available', checkpoint['status_reason']), (log['status'], log['error_info'])
        )

    def test_what_is_done_with_the_rest_later(self):
        gone = self.gone()
        checkpoint = self.run_of(self.volume(), gone)
        for kind in ('restore', 'verification'):
            use = self.ended_use(
                kind, self.use(kind, checkpoint, parameters={f'{VOLUME}#{gone["id"]}': {}})
            )
            self.assertEqual(('success', None), (use['status'], use['status_reason']))
        path = self.checkpoints_path(checkpoint['id'])
        for state in ('error', 'available'):
            self.put(path, {'os-resetState': {'state': state}})
        self.assertEqual(1, len(list(self.in_bank(checkpoint).resource_graph)))
        self.delete(path)
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)
        self.assertEqual([], self.registry.get(PROVIDER_ID).bank.list_objects('/'))

    def test_one_that_is_being_deleted(self):
        good, deleting = self.volume(), self.volume(status='deleting')
        checkpoint = self.run_of(good, deleting)
        self.assert_counts(checkpoint, 'available', 1, 1, 0)
        self.assertIn(deleting['id'], checkpoint['status_reason'])
        self.assert_covers(checkpoint, good)

    def test_a_project_stays_without_its_volume(self):
        project = resource(PROJECT_ID, base.PROJECT)
        good = self.volume()
        self.volume(status='deleting')
        checkpoint = self.run_of(project)
        self.assert_counts(checkpoint, 'available', 2, 2, 0)
        self.assertIn('1 of 3 resources is gone', checkpoint['status_reason'])
        self.assert_covers(checkpoint, project, good)

    def test_all(self):
        gone = [self.gone() for _ in range(2)]
        checkpoint = self.run_of(*gone)
        self.assert_counts(checkpoint, 'error', 0, 0, 0)
        for text in ('the plan covers nothing now: 2 of 2 resources are gone: ', gone[1]['id']):
            self.assertIn(text, checkpoint['status_reason'])
        self.assert_covers(checkpoint)
        self.assertEqual('error', self.in_bank(checkpoint).status)
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])

    def test_all_of_a_project(self):
        self.volume(status='deleting')
        checkpoint = self.run_of(resource(PROJECT_ID, base.PROJECT))
        self.assert_counts(checkpoint, 'error', 1, 1, 0)
        self.assertIn('1 of 2 resources is gone', checkpoint['status_reason'])

    def test_beside_one_that_failed(self):
        good, bad, gone = self.volume(), self.volume(status='error'), self.gone()
        checkpoint = self.run_of(good, bad, gone)
        self.assert_counts(checkpoint, 'error', 2, 1, 1)
        for text in ('1 of 3 resources failed: ', '1 of 3 resources is gone: ', gone['id']):
            self.assertIn(text, checkpoint['status_reason'])
        self.assertEqual([f'{VOLUME}#{bad["id"]}'], list(checkpoint['resources_reason']))
        self.assert_covers(checkpoint, good, bad)

    def test_many_are_not_all_named(self):
        checkpoint = self.run_of(self.volume(), *[self.gone() for _ in range(12)])
        self.assertTrue(checkpoint['status_reason'].startswith('12 of 13 resources are gone: '))
        self.assertTrue(checkpoint['status_reason'].endswith(' and 2 more'))

    def test_a_bank_that_fails_to_forget_it(self):
        good, gone = self.volume(), self.gone()
        with mock.patch.object(
            bank_checkpoint.Checkpoint, 'erase_resource', side_effect=OSError('no')
        ):
            checkpoint = self.run_of(good, gone)
        self.assertEqual('error', checkpoint['status'])
        nodes, _ = json.loads(checkpoint['resource_graph'])
        self.assertEqual(2, len(nodes))
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)


class ReasonTest(RunsTestCase):
    def test_cinder_gives_none(self):
        self.cinder.settle_to['snapshot'] = 'error'
        checkpoint = self.run_of(self.volume())
        self.assert_counts(checkpoint, 'error', 1, 0, 1)
        for text in ('is in status error', 'Cinder gives no reason', 'its pool is full'):
            self.assertIn(text, checkpoint['status_reason'])

    def test_an_attached_volume(self):
        checkpoint = self.run_of(self.volume(status='in-use'))
        self.assert_counts(checkpoint, 'error', 1, 0, 1)
        self.assertIn("when force is true in the plan's parameters", checkpoint['status_reason'])


class WaitingTest(RunsTestCase):
    """A Cinder that stalls; for a second is long."""

    def setUp(self):
        super().setUp()
        for name in ('PATIENCE', 'INTERVAL'):
            self.useFixture(fixtures.MockPatchObject(progress, name, 0.2))

    def wait_for_reason(self, path: str, key: str, pattern: str) -> None:
        def look() -> bool:
            shown = self.get(path)[key]
            self.assertIn(shown['status'], ('protecting', 'in_progress', 'deleting'))
            return re.fullmatch(pattern, shown['status_reason'] or '') is not None

        self.wait_until(look, pattern)

    def test_snapshots(self):
        self.cinder.settle_to['snapshot'] = None
        checkpoint = self.create_checkpoint(self.create_plan(*[self.volume() for _ in range(3)]))
        path = self.checkpoints_path(checkpoint['id'])
        self.wait_for_reason(
            path, 'checkpoint', r'3 of 3 snapshots are creating, the oldest for \d+ s'
        )
        self.cinder.settle_later(next(iter(self.cinder.snapshots)), 'available', 0)
        self.wait_for_reason(
            path, 'checkpoint', r'2 of 3 snapshots are creating, the oldest for \d+ s'
        )
        self.cinder.settle_to['snapshot'] = 'available'
        self.assertIsNone(self.ended_checkpoint(checkpoint)['status_reason'])
        self.cinder.settle_to['deletion'] = None
        self.delete(path)
        self.wait_for_reason(
            path, 'checkpoint', r'3 of 3 snapshots are deleting, the oldest for \d+ s'
        )
        self.cinder.settle_to['deletion'] = 'gone'
        self.assertIsNone(self.ended_checkpoint(checkpoint)['status_reason'])

    def test_a_new_volume(self):
        checkpoint = self.protected()
        self.cinder.settle_to['volume'] = None
        restore = self.use('restore', checkpoint)
        self.wait_for_reason(
            f'/restores/{restore["id"]}', 'restore', r'1 of 1 volume is creating, for \d+ s'
        )
        self.cinder.settle_to['volume'] = 'available'
        ended = self.ended_use('restore', restore)
        self.assertEqual(('success', None), (ended['status'], ended['status_reason']))

    def test_a_volume_between_two_states(self):
        self.board.end()
        self.build(provider.ProviderRegistry(self.provider_dir(settle_timeout=20)))
        self.work()
        volume = self.volume(status='extending')
        checkpoint = self.create_checkpoint(self.create_plan(volume))
        self.wait_for_reason(
            self.checkpoints_path(checkpoint['id']),
            'checkpoint',
            rf'the volume {volume["id"]} is extending for \d+ s',
        )
        self.cinder.volumes[volume['id']]['status'] = 'available'
        ended = self.ended_checkpoint(checkpoint)
        self.assertEqual(('available', None), (ended['status'], ended['status_reason']))


class NothingTest(RunsTestCase):
    def test_it_can_be_deleted(self):
        checkpoint = self.run_of(resource(PROJECT_ID, base.PROJECT, name='demo'))
        self.assertEqual('error', checkpoint['status'])
        self.assertIn('(demo)', checkpoint['status_reason'])
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
