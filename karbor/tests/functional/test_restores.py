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

from karbor import db
from karbor.db import models
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import VOLUME, resource


def _uuid_fields() -> dict[str, str]:
    return {'provider_id': PROVIDER_ID, 'checkpoint_id': new_id()}


class CreateRestoreTest(base.ApiTestCase):
    """What is refused before any work is done, on a checkpoint that is only a row."""

    def setUp(self):
        super().setUp()
        self.checkpoint = self.add_row(models.Checkpoint)

    def create(self, code: int = 200, **fields: Any) -> Any:
        body = {
            'provider_id': PROVIDER_ID,
            'checkpoint_id': self.checkpoint.id,
            'parameters': {},
            **fields,
        }
        return self.post('/restores', {'restore': body}, code)

    def test_the_answer(self):
        restore = self.create(restore_target='http://k')['restore']
        self.assertEqual(
            {
                'id': restore['id'],
                'project_id': PROJECT_ID,
                'provider_id': PROVIDER_ID,
                'checkpoint_id': self.checkpoint.id,
                'restore_target': 'http://k',
                'parameters': {},
                'status': 'in_progress',
                'status_reason': None,
                'resources_status': {},
                'resources_reason': {},
                'resources_done': 0,
                'resources_failed': 0,
                'new_resources': {},
                'group_id': None,
                'resources': None,
                'partial': False,
                'name_suffix': None,
                'volume_type': None,
                'availability_zone': None,
                'size': None,
                'in_place': None,
                'safety': None,
                'accept_grown': None,
                'safety_keep': None,
                'safety_checkpoint_id': None,
                'results': [
                    {
                        'type': VOLUME,
                        'id': self.checkpoint.protection_plan['resources'][0]['id'],
                        'recovery_point_id': None,
                        'end': 'waiting',
                        'new_id': None,
                        'name': None,
                        'reason': None,
                        'seconds': None,
                    }
                ],
            },
            restore,
        )
        self.assertEqual({'restore': restore}, self.get(f'/restores/{restore["id"]}'))
        for name in ('new_resources', 'results'):
            restore.pop(name)
        self.assertEqual({'restores': [restore]}, self.get('/restores'))

    def test_what_the_old_client_sends(self):
        restore = self.create(restore_target=None, restore_auth=None)['restore']
        self.assertIsNone(restore['restore_target'])
        self.create(
            restore_target='http://k',
            restore_auth={'type': 'password', 'username': 'u', 'password': 'secret-pw'},
        )

    def test_a_password_is_neither_kept_nor_shown(self):
        self.create(restore_auth={'type': 'password', 'password': 'secret-pw'})
        self.assertNotIn('secret-pw', str(self.get('/restores')))
        self.assertNotIn(
            b'secret-pw', b''.join(path.read_bytes() for path in self.temp_dir.glob('karbor.db*'))
        )
        with db.reader() as session:
            stored = [
                list(session.execute(table.select()))
                for table in models.Base.metadata.sorted_tables
            ]
        self.assertIn(self.checkpoint.id, str(stored))
        self.assertNotIn('secret-pw', str(stored))

    def test_a_target_with_a_password_is_refused(self):
        for target in (
            'http://me:secret-pw@k:5000/v3',
            'http://me:secret/p@w@k/v3',
            'http://secret-pw@k',
            'me:secret-pw@k',
            'http://k/?x=secret-pw@k',
        ):
            refusal = self.create(400, restore_target=target)
            self.assertIn('restore_auth', refusal)
            self.assertNotIn('secret', refusal)
        self.assertEqual(([], []), (self.rows(models.Restore), self.rows(models.Job)))
        self.create(restore_target='me@k')

    def test_one_that_was_kept_before_is_not_shown(self):
        row = self.add_row(models.Restore, restore_target='http://me:secret@pw@k/v3')
        for path in ('/restores', f'/restores/{row.id}'):
            answer = str(self.get(path))
            self.assertIn('http://***@k/v3', answer)
            self.assertNotIn('secret', answer)

    def test_parameters_become_what_the_schema_asks_for(self):
        resource_id = next(iter(self.checkpoint.protection_plan['resources']))['id']
        restore = self.create(
            parameters={
                VOLUME: {'restore_name': 5},
                f'{VOLUME}#{resource_id}': {'restore_name': 'db'},
            }
        )
        self.assertEqual(
            {VOLUME: {'restore_name': '5'}, f'{VOLUME}#{resource_id}': {'restore_name': 'db'}},
            restore['restore']['parameters'],
        )

    def test_null_is_left_out(self):
        """The form of the old dashboard sends it for each field that nobody filled in."""
        restore = self.create(
            parameters={VOLUME: {'restore_name': None, 'restore_description': 'd'}}
        )
        self.assertEqual({VOLUME: {'restore_description': 'd'}}, restore['restore']['parameters'])

    def test_parameters_that_do_not_fit(self):
        for parameters, part in (
            ({VOLUME: {'snapshot_name': 'x'}}, 'snapshot_name'),
            ({VOLUME: {'restore_nam': None}}, 'restore_nam'),
            ({VOLUME: {'restore_name': ['x']}}, 'restore_name'),
            ({VOLUME: None}, VOLUME),
            ({'OS::No::Such': {}}, 'OS::No::Such'),
            ({f'{VOLUME}#x': {}}, "'x'"),
            ({f'{VOLUME}#{new_id()}#x': {}}, '#x'),
            (None, 'parameters'),
            ([], '[]'),
        ):
            self.assertIn(part, self.create(400, parameters=parameters))
        self.assertEqual(([], []), (self.rows(models.Restore), self.rows(models.Job)))

    def test_bodies_that_are_refused(self):
        for fields in (
            {'checkpoint_id': 'x'},
            {'checkpoint_id': None},
            {'provider_id': 5},
            {'restore_target': 5},
            {'restore_target': 'x\n'},
            {'restore_target': 'x' * 256},
            {'restore_auth': 'x'},
            {'restore_auth': {'a': None}},
            {'colour': 'red'},
            {'status': 'success'},
        ):
            self.create(400, **fields)
        for name in ('provider_id', 'checkpoint_id', 'parameters'):
            body = {**_uuid_fields(), 'parameters': {}}
            del body[name]
            self.assertIn(name, self.post('/restores', {'restore': body}, 400))
        for body in ({}, [], {'restore': None}, {'verification': _uuid_fields()}):
            self.post('/restores', body, 400)

    def test_what_is_not_there(self):
        missing = new_id()
        self.assertIn(missing, self.create(404, checkpoint_id=missing))
        self.assertIn(missing, self.create(404, provider_id=missing))
        self.assertEqual([], self.rows(models.Restore))

    def test_ids(self):
        self.get(f'/restores/{new_id()}', 404)
        for name in ('x', '%00', '1'):
            self.get(f'/restores/{name}', 400)

    def test_a_verification_is_no_restore(self):
        verification = self.add_row(models.Verification)
        self.get(f'/restores/{verification.id}', 404)

    def test_a_checkpoint_that_is_not_available(self):
        for status in ('protecting', 'error', 'deleting', 'deleted', 'error-deleting'):
            row = self.add_row(models.Checkpoint, status=status)
            restore = self.create(checkpoint_id=row.id)['restore']
            self.assertEqual('fail', restore['status'])
            self.assertIn(status, restore['status_reason'])
            self.assertEqual({'restore': restore}, self.get(f'/restores/{restore["id"]}'))
        self.assertEqual([], self.rows(models.Job))


class RestoreTest(base.CloudTestCase):
    def new_volumes(self) -> dict[str, dict[str, Any]]:
        return {item['id']: item for item in self.cinder.volumes.values() if item['snapshot_id']}

    def test_a_volume(self):
        checkpoint = self.protected(self.volume(size=3))
        restore = self.ended_use(
            'restore',
            self.use(
                'restore',
                checkpoint,
                parameters={VOLUME: {'restore_name': 'again', 'restore_description': 'd'}},
            ),
        )
        (made,) = self.new_volumes().values()
        self.assertEqual(('again', 'd', 3), (made['name'], made['description'], made['size']))
        self.assertEqual(
            ('success', None, 1, 0),
            tuple(
                restore[name]
                for name in ('status', 'status_reason', 'resources_done', 'resources_failed')
            ),
        )
        self.assertEqual({f'{VOLUME}#{made["id"]}': 'available'}, restore['resources_status'])
        (original,) = (
            item['id'] for item in self.cinder.volumes.values() if item['id'] != made['id']
        )
        self.assertEqual({f'{VOLUME}#{original}': made['id']}, restore['new_resources'])
        self.assertEqual({}, restore['resources_reason'])

    def test_many_times_and_at_once(self):
        checkpoint = self.protected(self.volume(), self.volume())
        restores = base.at_once(*[lambda: self.use('restore', checkpoint)] * 3)
        ended = [self.ended_use('restore', restore) for restore in restores]
        self.assertEqual(['success'] * 3, [restore['status'] for restore in ended])
        self.assertEqual(6, len(self.new_volumes()))
        self.assertEqual(
            {f'{VOLUME}#{volume_id}' for volume_id in self.new_volumes()},
            {key for restore in ended for key in restore['resources_status']},
        )

    def test_parameters_of_one_volume_win(self):
        one, other = self.volume(), self.volume()
        checkpoint = self.protected(one, other)
        self.ended_use(
            'restore',
            self.use(
                'restore',
                checkpoint,
                parameters={
                    VOLUME: {'restore_name': 'all'},
                    f'{VOLUME}#{one["id"]}': {'restore_name': 'one'},
                },
            ),
        )
        self.assertEqual(
            ['all', 'one'], sorted(item['name'] for item in self.new_volumes().values())
        )

    def test_one_that_fails_says_why_and_leaves_nothing(self):
        good, bad = self.volume(), self.volume()
        checkpoint = self.protected(good, bad)
        lost = next(
            item['id'] for item in self.cinder.snapshots.values() if item['volume_id'] == bad['id']
        )
        del self.cinder.snapshots[lost]
        restore = self.ended_use('restore', self.use('restore', checkpoint))
        (made,) = self.new_volumes()
        self.assertEqual(
            ('fail', 1, 1),
            tuple(restore[name] for name in ('status', 'resources_done', 'resources_failed')),
        )
        self.assertEqual(
            {f'{VOLUME}#{made}': 'available', f'{VOLUME}#{bad["id"]}': 'error'},
            restore['resources_status'],
        )
        self.assertEqual({f'{VOLUME}#{bad["id"]}'}, set(restore['resources_reason']))
        self.assertIn(lost, restore['resources_reason'][f'{VOLUME}#{bad["id"]}'])
        self.assertIn('1 of 2 resources failed', restore['status_reason'])

    def test_a_volume_that_ends_in_error(self):
        checkpoint = self.protected()
        self.cinder.settle_to['volume'] = 'error'
        self.cinder.error_message = 'No valid backend was found.'
        restore = self.ended_use('restore', self.use('restore', checkpoint))
        self.assertEqual('fail', restore['status'])
        self.assertIn('No valid backend was found.', restore['status_reason'])
        self.assertEqual({}, self.new_volumes())

    def test_the_checkpoint_stays_as_it_is(self):
        checkpoint = self.protected()
        self.cinder.faults.append(Fault(method='POST', path='/volumes$', status=403))
        self.assertEqual(
            'fail', self.ended_use('restore', self.use('restore', checkpoint))['status']
        )
        self.cinder.faults.clear()
        self.assertEqual('available', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual(
            'success', self.ended_use('restore', self.use('restore', checkpoint))['status']
        )

    def test_after_the_plan_and_the_volume_are_gone(self):
        volume = self.volume()
        checkpoint = self.protected(volume)
        self.delete(f'/plans/{checkpoint["protection_plan"]["id"]}')
        del self.cinder.volumes[volume['id']]
        self.assertEqual(
            'success', self.ended_use('restore', self.use('restore', checkpoint))['status']
        )

    def test_a_project(self):
        volumes = [self.volume() for _ in range(2)]
        checkpoint = self.protected(resource(PROJECT_ID, base.PROJECT))
        restore = self.ended_use('restore', self.use('restore', checkpoint))
        self.assertEqual(('success', 3), (restore['status'], restore['resources_done']))
        self.assertEqual(len(volumes), len(self.new_volumes()))
