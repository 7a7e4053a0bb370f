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

"""Restores of some of a checkpoint, and what they tell of each resource."""

from typing import Any

from karbor import db
from karbor.common.constants import RecoveryPointState as State
from karbor.db import models
from karbor.services.protection import graph
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import PROJECT_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import VOLUME, resource


def _named(*volumes: dict[str, Any], **choices: Any) -> list[dict[str, Any]]:
    return [{'type': volume['type'], 'id': volume['id'], **choices} for volume in volumes]


class ChosenRestoreTestCase(base.CloudTestCase):
    def restored(self, checkpoint: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """A restore that has ended."""
        return self.ended_use('restore', self.use('restore', checkpoint, **fields))

    def results(self, restore: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {each['id']: each for each in restore['results']}

    def sources(self) -> list[str]:
        """Ids of the volumes of which there are new ones."""
        return sorted(
            self.cinder.snapshots[item['snapshot_id']]['volume_id']
            for item in self.cinder.volumes.values()
            if item['snapshot_id']
        )

    def assertNothingIsMade(self) -> None:
        self.assertEqual(([], []), (self.rows(models.Restore), self.sources()))
        self.assertEqual([], [job for job in self.rows(models.Job) if 'restore' in job.kind])


class NamedTest(ChosenRestoreTestCase):
    def test_one_of_many(self):
        volumes = [self.volume() for _ in range(5)]
        checkpoint = self.protected(*volumes)
        (point,) = self.get(
            f'/recovery_points?checkpoint_id={checkpoint["id"]}&resource_id={volumes[3]["id"]}'
        )['recovery_points']
        restore = self.restored(checkpoint, resources=_named(volumes[3]))
        self.assertEqual(
            ('success', None, 1, 0),
            tuple(
                restore[name]
                for name in ('status', 'status_reason', 'resources_done', 'resources_failed')
            ),
        )
        self.assertEqual([volumes[3]['id']], self.sources())
        (result,) = restore['results']
        seconds = result.pop('seconds')
        self.assertTrue(0 <= seconds < 20, seconds)
        new_id = restore['new_resources'][f'{VOLUME}#{volumes[3]["id"]}']
        self.assertEqual(
            {
                'type': VOLUME,
                'id': volumes[3]['id'],
                'recovery_point_id': point['id'],
                'end': 'restored',
                'new_id': new_id,
                'name': self.cinder.volumes[new_id]['name'],
                'reason': None,
            },
            result,
        )
        self.assertEqual(_named(volumes[3]), restore['resources'])

    def test_the_log_is_of_a_restore(self):
        volume = self.volume()
        restore = self.restored(self.protected(volume), resources=_named(volume))
        (log,) = self.get(f'/operation_logs?restore_id={restore["id"]}')['operation_logs']
        self.assertEqual(('restore', 'success'), (log['operation_type'], log['status']))

    def test_one_that_fails_leaves_the_others(self):
        volumes = [self.volume() for _ in range(3)]
        checkpoint = self.protected(*volumes)
        lost = next(
            item['id']
            for item in self.cinder.snapshots.values()
            if item['volume_id'] == volumes[0]['id']
        )
        del self.cinder.snapshots[lost]
        restore = self.restored(checkpoint, resources=_named(*volumes[:2]))
        results = self.results(restore)
        self.assertEqual('fail', restore['status'])
        self.assertIn('1 of 2 resources failed', restore['status_reason'])
        self.assertEqual(
            ['failed', 'restored'], [results[each['id']]['end'] for each in volumes[:2]]
        )
        self.assertIn(lost, results[volumes[0]['id']]['reason'])
        self.assertIsNone(results[volumes[0]['id']]['new_id'])
        self.assertEqual([volumes[1]['id']], self.sources())

    def test_a_project_is_what_it_holds(self):
        volumes = [self.volume() for _ in range(2)]
        checkpoint = self.protected(resource(PROJECT_ID, base.PROJECT))
        restore = self.restored(checkpoint, resources=[{'type': base.PROJECT, 'id': PROJECT_ID}])
        self.assertEqual(sorted(each['id'] for each in volumes), self.sources())
        self.assertEqual({each['id'] for each in volumes}, set(self.results(restore)))
        one = self.restored(checkpoint, resources=_named(volumes[0]))
        self.assertEqual(('success', 1), (one['status'], len(one['results'])))
        self.assertEqual(3, len(self.sources()))

    def test_what_is_refused_with_its_place(self):
        volume, other = self.volume(), self.volume()
        checkpoint = self.protected(volume)
        elsewhere = self.protected(other)
        for resources, *parts in (
            (_named(volume, other), 'resources[1]', other['id'], checkpoint['id']),
            (_named(volume, volume), 'resources[1]', 'named before'),
            ([{'type': 'OS::No::Such', 'id': volume['id']}], 'resources[0]', 'OS::No::Such'),
            ([{'type': VOLUME, 'id': volume['id'].upper()}], 'resources[0]'),
            ([], '[]'),
            (None, 'None'),
            ([{'type': VOLUME}], 'id'),
            ([{**_named(volume)[0], 'colour': 'red'}], 'colour'),
            ([{'type': VOLUME, 'id': 5}], '5'),
        ):
            message = self.use('restore', checkpoint, 400, resources=resources)
            for part in parts:
                self.assertIn(part, message)
        self.assertIn('partial', self.use('restore', checkpoint, 400, partial='yes'))
        self.assertIn(volume['id'], self.use('restore', elsewhere, 400, resources=_named(volume)))
        self.assertNothingIsMade()

    def test_a_size_that_json_writes_with_a_point(self):
        volume = self.volume()
        checkpoint = self.protected(volume)
        for fields in ({'size': 3.0}, {'resources': _named(volume, size=3.0)}):
            restore = self.restored(checkpoint, **fields)
            self.assertEqual('success', restore['status'], restore)
            made = self.cinder.volumes[restore['results'][0]['new_id']]
            self.assertEqual('3', repr(made['size']))

    def test_what_is_of_restores_in_place_alone(self):
        volume, other = self.volume(), self.volume()
        checkpoint = self.protected(volume, other)
        for fields in ({'safety': 'none'}, {'accept_grown': True}, {'safety_keep': 3}):
            (name,) = fields
            message = self.use('restore', checkpoint, 400, **fields)
            self.assertIn(f'{name}: nothing is restored in place', message)
        named = [*_named(volume, in_place=True), *_named(other, safety='none')]
        message = self.use('restore', checkpoint, 400, resources=named)
        self.assertIn(f'resources[1]: safety: {VOLUME}#{other["id"]} is not restored', message)
        self.assertNothingIsMade()

    def test_what_retention_is_removing(self):
        volumes = [self.volume() for _ in range(2)]
        checkpoint = self.protected(*volumes)
        self.set_state(checkpoint, volumes[0], State.DELETING)
        message = self.use('restore', checkpoint, 400, resources=_named(*volumes))
        self.assertIn(f'{volumes[0]["id"]} cannot be restored', message)
        self.assertNothingIsMade()

    def set_state(self, checkpoint: dict[str, Any], volume: dict[str, Any], state: State) -> None:
        with db.writer() as session:
            session.query(models.RecoveryPoint).filter_by(
                checkpoint_id=checkpoint['id'], resource_id=volume['id']
            ).update({'state': state})


class PartialTest(ChosenRestoreTestCase):
    """Of a checkpoint in error, of whose three volumes two are good."""

    def setUp(self):
        super().setUp()
        self.volumes = [self.volume(name=f'data-{number}') for number in range(3)]
        self.cinder.quota_snapshots = 2
        self.checkpoint = self.ended_checkpoint(
            self.create_checkpoint(self.create_plan(*self.volumes))
        )
        self.assertEqual('error', self.checkpoint['status'])
        protected = {item['volume_id'] for item in self.cinder.snapshots.values()}
        self.good = [each for each in self.volumes if each['id'] in protected]
        (self.bad,) = (each for each in self.volumes if each['id'] not in protected)

    def test_partial(self):
        restore = self.restored(self.checkpoint, partial=True)
        self.assertEqual(
            ('success', 2, True),
            tuple(restore[name] for name in ('status', 'resources_done', 'partial')),
        )
        self.assertIn('left out: 1 of 3 resources', restore['status_reason'])
        self.assertIn(f'{self.bad["id"]} ({self.bad["name"]})', restore['status_reason'])
        result = self.results(restore)[self.bad['id']]
        self.assertEqual('left_out', result['end'])
        self.assertIn('quota', result['reason'])
        self.assertEqual(sorted(each['id'] for each in self.good), self.sources())
        self.assertEqual('error', self.ended_checkpoint(self.checkpoint)['status'])

    def test_by_name(self):
        restore = self.restored(self.checkpoint, resources=_named(self.good[0]))
        self.assertEqual(('success', None), (restore['status'], restore['status_reason']))
        self.assertEqual([self.good[0]['id']], self.sources())

    def test_what_is_named_and_not_good(self):
        message = self.use(
            'restore', self.checkpoint, 400, resources=_named(self.good[0], self.bad)
        )
        self.assertIn(f'{self.bad["id"]} cannot be restored: its recovery point is failed', message)
        self.assertIn(
            'nothing of it is good',
            self.use('restore', self.checkpoint, 400, resources=_named(self.bad), partial=True),
        )
        self.assertNothingIsMade()
        restore = self.restored(
            self.checkpoint, resources=_named(self.good[0], self.bad), partial=True
        )
        self.assertEqual('success', restore['status'])
        self.assertIn('left out: 1 of 2 resources', restore['status_reason'])

    def test_what_fails_beside_what_is_left_out(self):
        self.cinder.faults.append(Fault(method='POST', path='/volumes$', status=403, times=1))
        restore = self.restored(self.checkpoint, partial=True)
        self.assertEqual('fail', restore['status'])
        for part in ('1 of 3 resources failed', 'left out: 1 of 3'):
            self.assertIn(part, restore['status_reason'])

    def test_the_whole_of_it_is_refused_and_says_what_to_do(self):
        restore = self.use('restore', self.checkpoint)
        self.assertEqual('fail', restore['status'])
        self.assertIn('ask for a partial restore', restore['status_reason'])
        self.assertEqual(
            {'failed'}, {each['end'] for each in restore['results']}, restore['results']
        )

    def test_partial_of_one_that_is_good(self):
        self.cinder.quota_snapshots = None
        restore = self.restored(self.protected(*self.volumes), partial=True)
        self.assertEqual(
            ('success', None, 3),
            tuple(restore[name] for name in ('status', 'status_reason', 'resources_done')),
        )

    def test_a_checkpoint_that_is_going(self):
        for status in ('protecting', 'deleting', 'deleted', 'error-deleting'):
            row = self.add_row(models.Checkpoint, status=status)
            (node,) = graph.deserialize(row.resource_graph)
            restore = self.use('restore', {'id': row.id}, partial=True)
            self.assertEqual('fail', restore['status'])
            self.assertIn(status, restore['status_reason'])
            self.use('restore', {'id': row.id}, resources=[{'type': VOLUME, 'id': node.value.id}])

    def test_a_checkpoint_of_no_points(self):
        """As an older Karbor has left it."""
        row = self.add_row(models.Checkpoint, status='error')
        self.assertEqual('in_progress', self.use('restore', {'id': row.id}, partial=True)['status'])
        self.use('restore', {'id': row.id}, 400, resources=[{'type': VOLUME, 'id': new_id()}])
