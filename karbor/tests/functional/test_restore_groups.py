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

"""Restores by time, of which each may be from another checkpoint."""

import datetime
from typing import Any

from karbor import db
from karbor.common.constants import RecoveryPointState as State
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import VOLUME


def _at(hour: int) -> datetime.datetime:
    return datetime.datetime(2026, 11, 1, hour)


class GroupTestCase(base.CloudTestCase):
    def setUp(self):
        super().setUp()
        self.a, self.b = self.volume(name='a'), self.volume(name='b')

    def taken(self, hour: int, *volumes: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint whose snapshots are of an hour."""
        checkpoint = self.protected(*volumes)
        self.set_points(checkpoint, taken_at=_at(hour))
        return checkpoint

    def set_points(self, checkpoint: dict[str, Any], **values: Any) -> None:
        with db.writer() as session:
            session.query(models.RecoveryPoint).filter_by(checkpoint_id=checkpoint['id']).update(
                values
            )

    def group(self, *volumes: dict[str, Any], code: int = 200, **fields: Any) -> Any:
        resources = [{'type': VOLUME, 'id': volume['id']} for volume in volumes]
        body = {'restore_group': {'resources': resources, **fields}}
        answer = self.post('/restore_groups', body, code)
        return answer['restore_group'] if code == 200 else answer

    def ended_group(self, group: dict[str, Any]) -> dict[str, Any]:
        return self.ended(f'/restore_groups/{group["id"]}', 'restore_group')

    def from_checkpoints(self, group: dict[str, Any]) -> dict[str, str]:
        """From which checkpoint each resource is restored."""
        return {
            result['id']: restore['checkpoint_id']
            for restore in group['restores']
            for result in restore['results']
        }


class GroupTest(GroupTestCase):
    def test_each_from_the_newest_that_is_not_too_late(self):
        early, late = self.taken(1, self.a, self.b), self.taken(5, self.a)
        between = self.taken(3, self.b)
        a, b = self.a['id'], self.b['id']
        for at, expected in (
            ('2026-11-01T02:00:00Z', {a: early['id'], b: early['id']}),
            ('2026-11-01T03:00:00+00:00', {a: early['id'], b: between['id']}),
            ('2026-11-01T06:00:00+01:00', {a: late['id'], b: between['id']}),
            ('2026-11-01', {a: late['id'], b: between['id']}),
            (None, {a: late['id'], b: between['id']}),
        ):
            group = self.group(self.a, self.b, **({} if at is None else {'at': at}))
            self.assertEqual((at, 'in_progress'), (group['at'], group['status']))
            ended = self.ended_group(group)
            self.assertEqual('success', ended['status'])
            self.assertEqual(expected, self.from_checkpoints(ended), at)
            for restore in ended['restores']:
                self.assertEqual(group['id'], restore['group_id'])
                self.assertEqual(restore, self.get(f'/restores/{restore["id"]}')['restore'])
                for result in restore['results']:
                    made = self.cinder.volumes[result['new_id']]
                    snapshot = self.cinder.snapshots[made['snapshot_id']]
                    self.assertEqual(result['id'], snapshot['volume_id'])

    def test_choices(self):
        self.cinder.zones.add('mars')
        self.taken(1, self.a, self.b)
        body = {
            'resources': [
                {'type': VOLUME, 'id': self.a['id'], 'size': 5},
                {'type': VOLUME, 'id': self.b['id']},
            ],
            'parameters': {VOLUME: {'restore_name': 'x'}},
            'name_suffix': '-then',
            'availability_zone': 'mars',
        }
        self.ended_group(self.post('/restore_groups', {'restore_group': body})['restore_group'])
        made = [item for item in self.cinder.volumes.values() if item['snapshot_id']]
        self.assertEqual(
            [('x-then', 'mars', 1), ('x-then', 'mars', 5)],
            sorted((item['name'], item['availability_zone'], item['size']) for item in made),
        )

    def test_what_is_not_good_is_passed_over(self):
        good, bad = self.taken(1, self.a), self.taken(2, self.a)
        for state in set(State) - {State.GOOD}:
            self.set_points(bad, state=state)
            self.assertEqual(
                {self.a['id']: good['id']}, self.from_checkpoints(self.group(self.a)), state
            )
        self.set_points(bad, state=State.GOOD)
        for status, expected in (('deleting', good), ('error', bad)):
            with db.writer() as session:
                session.get_one(models.Checkpoint, bad['id']).status = status
            self.assertEqual(
                {self.a['id']: expected['id']}, self.from_checkpoints(self.group(self.a))
            )

    def test_one_that_fails(self):
        checkpoint = self.taken(1, self.a)
        self.taken(2, self.b)
        lost = next(
            item['id']
            for item in self.cinder.snapshots.values()
            if item['volume_id'] == self.a['id']
        )
        del self.cinder.snapshots[lost]
        group = self.ended_group(self.group(self.a, self.b))
        self.assertEqual('fail', group['status'])
        self.assertEqual(
            {checkpoint['id']: 'fail'},
            {
                restore['checkpoint_id']: restore['status']
                for restore in group['restores']
                if restore['status'] != 'success'
            },
        )

    def test_what_is_refused(self):
        self.taken(3, self.a)
        other = self.add_row(models.RecoveryPoint, **self.point_fields(project_id=new_id()))
        for fields, *parts in (
            ({'at': '2026-11-01T02:00:00Z'}, 'resources[0]', self.a['id'], 'not after 2026-11-01T'),
            ({'at': 'x'}, "at: 'x' is neither"),
            ({'at': ''}, 'at'),
            ({'at': 5}, '5'),
            ({'size': 0}, '0'),
            ({'partial': True}, 'partial'),
            ({'checkpoint_id': new_id()}, 'checkpoint_id'),
            ({'resources': []}, '[]'),
            ({'parameters': {VOLUME: {'colour': 'red'}}}, 'colour'),
            ({'resources': [{'type': VOLUME, 'id': other.resource_id}]}, 'no good recovery'),
        ):
            message = self.group(self.a, code=400, **fields)
            for part in parts:
                self.assertIn(part, message)
        self.assertIn('resources[1]', self.group(self.a, self.b, code=400))
        self.assertIn('named before', self.group(self.a, self.a, code=400))
        self.group(self.a, code=404, provider_id=new_id())
        self.post('/restore_groups', {'restore_group': {}}, 400)
        self.assertEqual([], self.rows(models.Restore))

    def point_fields(self, **fields: Any) -> dict[str, Any]:
        return {
            'checkpoint_id': new_id(),
            'resource_type': VOLUME,
            'resource_id': new_id(),
            'resource_name': 'x',
            'project_id': PROJECT_ID,
            'provider_id': PROVIDER_ID,
            'plan_id': new_id(),
            'state': State.GOOD,
            **fields,
        }

    def test_a_group_that_there_is_not(self):
        self.assertIn('Restore group', self.get(f'/restore_groups/{new_id()}', 404))
        self.get('/restore_groups/x', 400)
        row = self.add_row(models.Restore, group_id=new_id(), project_id=new_id())
        self.get(f'/restore_groups/{row.group_id}', 404)


class HeldTest(base.CloudTestCase):
    """Nothing is worked on, so that all of it waits."""

    def work(self) -> None:
        pass

    def test_no_checkpoint_of_a_group_is_deleted_under_it(self):
        rows = []
        for _ in range(3):
            row = self.add_row(models.Checkpoint)
            fields = row.protection_plan['resources'][0]
            self.add_row(
                models.RecoveryPoint,
                checkpoint_id=row.id,
                resource_type=VOLUME,
                resource_id=fields['id'],
                resource_name='x',
                state=State.GOOD,
            )
            rows.append((row, fields['id']))
        resources = [{'type': VOLUME, 'id': resource_id} for _, resource_id in rows]
        self.post('/restore_groups', {'restore_group': {'resources': resources}})
        for row, _ in rows:
            message = self.delete(self.checkpoints_path(row.id), 409)
            self.assertIn('a chosen restore of it is not finished', message)
        with db.reader() as session:
            jobs = session.query(models.Job).all()
        self.assertEqual([job_rows.JobState.PENDING] * 3, [job.state for job in jobs])
