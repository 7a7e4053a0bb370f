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

from typing import Any

from karbor.db import models
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import VOLUME


class CreateVerificationTest(base.ApiTestCase):
    """What is refused before any work is done, on a checkpoint that is only a row."""

    def setUp(self):
        super().setUp()
        self.checkpoint = self.add_row(models.Checkpoint)

    def create(self, code: int = 200, **fields: Any) -> Any:
        body = {'provider_id': PROVIDER_ID, 'checkpoint_id': self.checkpoint.id, **fields}
        return self.post('/verifications', {'verification': body}, code)

    def test_the_answer(self):
        made = self.create(parameters={})['verification']
        self.assertEqual(
            {
                'id': made['id'],
                'project_id': PROJECT_ID,
                'provider_id': PROVIDER_ID,
                'checkpoint_id': self.checkpoint.id,
                'parameters': {},
                'status': 'in_progress',
                'status_reason': None,
                'resources_status': {},
                'resources_reason': {},
                'resources_done': 0,
                'resources_failed': 0,
            },
            made,
        )
        self.assertEqual({'verification': made}, self.get(f'/verifications/{made["id"]}'))
        self.assertEqual({'verifications': [made]}, self.get('/verifications'))

    def test_parameters_may_be_left_out(self):
        self.assertEqual({}, self.create()['verification']['parameters'])

    def test_bodies_that_are_refused(self):
        for fields in (
            {'parameters': None},
            {'parameters': {VOLUME: {'x': 'y'}}},
            {'parameters': {'OS::No::Such': {}}},
            {'checkpoint_id': 'x'},
            {'restore_target': 'x'},
            {'provider_id': None},
        ):
            self.create(400, **fields)
        for body in ({}, [], {'verification': {}}, {'restore': {}}):
            self.post('/verifications', body, 400)
        self.assertEqual([], self.rows(models.Verification))

    def test_what_is_not_there(self):
        missing = new_id()
        self.assertIn(missing, self.create(404, checkpoint_id=missing))
        self.assertIn(missing, self.create(404, provider_id=missing))
        self.get(f'/verifications/{missing}', 404)
        self.get('/verifications/x', 400)
        self.get(f'/verifications/{self.add_row(models.Restore).id}', 404)

    def test_a_checkpoint_that_is_not_available(self):
        for status in ('protecting', 'error', 'deleting', 'deleted', 'error-deleting'):
            row = self.add_row(models.Checkpoint, status=status)
            made = self.create(checkpoint_id=row.id)['verification']
            self.assertEqual('fail', made['status'])
            self.assertIn(status, made['status_reason'])
        self.assertEqual([], self.rows(models.Job))


class VerificationTest(base.CloudTestCase):
    def verified(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        return self.ended_use('verification', self.use('verification', checkpoint))

    def test_all_is_there(self):
        volumes = [self.volume(), self.volume()]
        found = self.verified(self.protected(*volumes))
        self.assertEqual(
            ('success', None, 2, 0),
            tuple(
                found[name]
                for name in ('status', 'status_reason', 'resources_done', 'resources_failed')
            ),
        )
        self.assertEqual(
            {f'{VOLUME}#{volume["id"]}': 'available' for volume in volumes},
            found['resources_status'],
        )

    def test_it_changes_nothing(self):
        checkpoint = self.protected()
        before = str(self.cinder.snapshots), str(self.cinder.volumes)
        self.verified(checkpoint)
        self.assertEqual(before, (str(self.cinder.snapshots), str(self.cinder.volumes)))
        self.assertEqual('available', self.ended_checkpoint(checkpoint)['status'])

    def test_what_is_wrong_with_one_is_said(self):
        for change, part in (
            ({'status': 'error'}, 'in status error'),
            ({'size': 7}, '7 GiB'),
            ({'volume_id': new_id()}, 'is of the volume'),
        ):
            good, bad = self.volume(), self.volume()
            checkpoint = self.protected(good, bad)
            next(
                item for item in self.cinder.snapshots.values() if item['volume_id'] == bad['id']
            ).update(change)
            found = self.verified(checkpoint)
            self.assertEqual(
                ('fail', 1, 1),
                tuple(found[name] for name in ('status', 'resources_done', 'resources_failed')),
            )
            self.assertEqual(
                {f'{VOLUME}#{good["id"]}': 'available', f'{VOLUME}#{bad["id"]}': 'error'},
                found['resources_status'],
            )
            self.assertIn(part, found['resources_reason'][f'{VOLUME}#{bad["id"]}'])
            self.assertIn(part, found['status_reason'])

    def test_a_snapshot_that_is_gone(self):
        checkpoint = self.protected()
        self.cinder.snapshots.clear()
        self.assertIn('does not exist any more', self.verified(checkpoint)['status_reason'])

    def test_a_cinder_that_refuses(self):
        checkpoint = self.protected()
        self.cinder.faults.append(Fault(method='GET', status=401))
        self.assertIn('401', self.verified(checkpoint)['status_reason'])
        self.cinder.faults.clear()
        self.assertEqual('success', self.verified(checkpoint)['status'])
