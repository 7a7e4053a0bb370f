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

import datetime
import json
from typing import Any

from karbor import db
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.protection import provider
from karbor.testing.fake_cinder import Fault
from karbor.tests import runners
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import OPTIONS, VOLUME, resource

SECOND_ID = '00000000-8b41-4c52-9a11-6f1f0f3b7c20'


def _in_list(checkpoint):
    """A checkpoint as lists have it: without its graph, and of the plan the id and the name."""
    plan = checkpoint['protection_plan']
    listed = {**checkpoint, 'protection_plan': {name: plan[name] for name in ('id', 'name')}}
    del listed['resource_graph']
    return listed


class CreateCheckpointTest(base.ApiTestCase):
    """What is answered before any work is done; the plan names a volume nobody asks for."""

    def setUp(self):
        super().setUp()
        self.plan = self.create_plan(resource(extra_info={'availability_zone': 'nova'}))
        self.path = self.checkpoints_path()

    def create(self, code: int = 200, **fields: Any) -> Any:
        return self.post(self.path, {'checkpoint': {'plan_id': self.plan['id'], **fields}}, code)

    def test_the_answer_has_all_that_clients_need(self):
        checkpoint = self.create()['checkpoint']
        self.assertEqual(
            (PROJECT_ID, 'protecting', 1, 0, 0),
            tuple(
                checkpoint[name]
                for name in (
                    'project_id',
                    'status',
                    'resources_total',
                    'resources_done',
                    'resources_failed',
                )
            ),
        )
        plan = checkpoint['protection_plan']
        self.assertEqual(
            (self.plan['id'], 'nightly', PROVIDER_ID),
            (plan['id'], plan['name'], plan['provider_id']),
        )
        self.assertEqual(
            {'availability_zone': 'nova'}, json.loads(plan['resources'][0]['extra_info'])
        )
        nodes, adjacency = json.loads(checkpoint['resource_graph'])
        self.assertEqual(
            [[VOLUME, self.plan['resources'][0]['id']]], [node[:2] for node in nodes.values()]
        )
        self.assertEqual([], adjacency)
        self.assertEqual({'created_by': 'manual'}, json.loads(checkpoint['extra_info']))
        self.assertEqual(
            checkpoint['created_at'],
            datetime.datetime.fromisoformat(checkpoint['created_at'])
            .astimezone(datetime.UTC)
            .isoformat(timespec='microseconds'),
        )

    def test_list_and_show_have_the_same(self):
        checkpoint = self.create()['checkpoint']
        self.assertEqual({'checkpoints': [_in_list(checkpoint)]}, self.get(self.path))
        shown = self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']
        (volume,) = self.plan['resources']
        making = {
            **{name: volume[name] for name in ('type', 'id', 'name')},
            'state': 'making',
            'reason': None,
            'taken_at': None,
            'size': None,
        }
        self.assertEqual({**checkpoint, 'resources_reason': {}, 'resources': [making]}, shown)

    def test_extra_info_under_either_key(self):
        for given in (
            {'extra-info': {'a': 'b'}},
            {'extra_info': {'a': 'b'}},
            {'extra-info': {'a': 'b'}, 'extra_info': None},
            {'extra-info': {'a': 'b'}, 'extra_info': {'a': 'c'}},
        ):
            made = self.create(**given)['checkpoint']
            self.assertEqual({'created_by': 'manual', 'a': 'b'}, json.loads(made['extra_info']))
        for given in ({'extra-info': None}, {'extra_info': None}, {'extra-info': {}}):
            made = self.create(**given)['checkpoint']
            self.assertEqual({'created_by': 'manual'}, json.loads(made['extra_info']))

    def test_who_created_it_can_be_told(self):
        made = self.create(**{'extra-info': {'created_by': 'operation-engine'}})['checkpoint']
        self.assertEqual({'created_by': 'operation-engine'}, json.loads(made['extra_info']))

    def test_bodies_that_are_refused(self):
        for fields in (
            {'extra-info': 'x'},
            {'extra-info': {'a': None}},
            {'extra-info': {'a': ['b']}},
            {'extra-info': {'a/b': 'c'}},
            {'plan_id': None},
            {'plan_id': 'x'},
            {'plan_id': 5},
            {'plan_id': self.plan['id'] + '\n'},
            {'colour': 'red'},
        ):
            self.create(400, **fields)
        for body in (
            {},
            {'checkpoint': {}},
            {'checkpoint': []},
            [],
            {'plan': self.plan},
            {'checkpoint': {'plan_id': self.plan['id']}, 'x': 1},
        ):
            self.post(self.path, body, 400)
        self.assertEqual(([], []), (self.rows(models.Checkpoint), self.rows(models.Job)))

    def test_what_is_not_there(self):
        message = self.create(404, plan_id=(missing := new_id()))
        self.assertIn(missing, message)
        self.path = self.checkpoints_path(provider_id=(missing := new_id()))
        self.assertIn(missing, self.create(404))
        self.path = self.checkpoints_path(provider_id='snapshots')
        self.create(400)

    def test_a_plan_of_another_provider(self):
        folder = self.provider_dir(name='second', provider_id=SECOND_ID)
        self.build(provider.ProviderRegistry(folder))
        self.path = self.checkpoints_path(provider_id=SECOND_ID)
        message = self.create(400)
        self.assertIn(PROVIDER_ID, message)
        self.assertEqual([], self.rows(models.Checkpoint))

    def test_a_provider_that_lost_its_plugin_since(self):
        folder = self.provider_dir(plugins=('karbor-project-protection-plugin',))
        self.build(provider.ProviderRegistry(folder))
        self.assertIn(VOLUME, self.create(400))
        self.assertEqual(([], []), (self.rows(models.Checkpoint), self.rows(models.Job)))

    def test_a_plan_of_old_whose_texts_are_too_long(self):
        with db.writer() as session:
            session.get(models.Plan, self.plan['id']).parameters = {
                VOLUME: {**OPTIONS, 'snapshot_name': 'x' * 256}
            }
        message = self.create(400)
        for text in (self.plan['resources'][0]['id'], 'snapshot_name has 256 characters'):
            self.assertIn(text, message)
        self.assertEqual(([], []), (self.rows(models.Checkpoint), self.rows(models.Job)))

    def test_a_plan_that_was_changed_or_deleted_later(self):
        checkpoint = self.create()['checkpoint']
        self.put(f'/plans/{self.plan["id"]}', {'plan': {'name': 'new', 'resources': [resource()]}})
        self.assertEqual([_in_list(checkpoint)], self.get(self.path)['checkpoints'])
        self.delete(f'/plans/{self.plan["id"]}')
        self.assertEqual([_in_list(checkpoint)], self.get(self.path)['checkpoints'])

    def test_its_jobs_obstruct_each_other_before_they_begin(self):
        checkpoint = self.create()['checkpoint']
        path = self.checkpoints_path(checkpoint['id'])
        self.assertIn('protecting', self.delete(path, 409))
        self.put(path, {'os-resetState': {'state': 'available'}}, 409)
        self.assertEqual(['protect'], [job.kind for job in self.rows(models.Job)])


class ShowCheckpointTest(base.ApiTestCase):
    def test_ids(self):
        for method in ('GET', 'DELETE'):
            for checkpoint_id, provider_id, code in (
                (new_id(), PROVIDER_ID, 404),
                ('x', PROVIDER_ID, 400),
                ('%00', PROVIDER_ID, 400),
                ('..', PROVIDER_ID, 400),
                (new_id(), new_id(), 404),
                (new_id(), 'x', 400),
            ):
                self.request(method, self.checkpoints_path(checkpoint_id, provider_id), code)

    def test_it_is_not_shown_through_another_provider(self):
        row = self.add_row(models.Checkpoint)
        folder = self.provider_dir(name='second', provider_id=SECOND_ID)
        self.build(provider.ProviderRegistry(folder))
        self.get(self.checkpoints_path(row.id))
        for method in ('GET', 'DELETE'):
            self.request(method, self.checkpoints_path(row.id, SECOND_ID), 404)
        self.put(
            self.checkpoints_path(row.id, SECOND_ID), {'os-resetState': {'state': 'error'}}, 404
        )
        self.assertEqual([], self.get(self.checkpoints_path(provider_id=SECOND_ID))['checkpoints'])


class CheckpointFiltersTest(base.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.plan_id = new_id()
        for day, status in ((1, 'available'), (2, 'error'), (3, 'deleted')):
            for hour in (0, 23):
                self.add_row(
                    models.Checkpoint,
                    status=status,
                    plan_id=self.plan_id,
                    created_at=datetime.datetime(2020, 11, day, hour, 59 * hour // 23),
                )
        self.other = self.add_row(models.Checkpoint, created_at=datetime.datetime(2020, 11, 2, 12))

    def days(self, **query: str) -> list[int]:
        listed = self.get(self.checkpoints_path(), params=query)['checkpoints']
        return [int(item['created_at'][8:10]) for item in listed]

    def test_deleted_ones_are_listed_only_when_asked_for(self):
        self.assertEqual([2, 2, 2, 1, 1], self.days())
        self.assertEqual([3, 3], self.days(status='deleted'))

    def test_status(self):
        self.assertEqual([2, 2], self.days(status='error'))
        self.assertEqual([], self.days(status='nonsense'))

    def test_plan(self):
        self.assertEqual([2, 2, 1, 1], self.days(plan_id=self.plan_id))
        self.assertEqual([2], self.days(plan_id=self.other.plan_id))
        self.assertEqual([], self.days(plan_id=new_id()))

    def test_dates_include_both_days(self):
        self.assertEqual([2, 2, 2], self.days(start_date='2020-11-02'))
        self.assertEqual([1, 1], self.days(end_date='2020-11-01'))
        self.assertEqual([2, 2, 2], self.days(start_date='2020-11-02', end_date='2020-11-02'))
        self.assertEqual([], self.days(start_date='2020-11-03', end_date='2020-11-01'))
        self.assertEqual([], self.days(end_date='2020-10-31'))

    def test_moments(self):
        """The first day's second row is of 23:59, the second day's others of 0:00 and 12:00."""
        for query, days in (
            ({'start_date': '2020-11-01T23:59:00'}, [2, 2, 2, 1]),
            ({'start_date': '2020-11-01T23:59:00.000001'}, [2, 2, 2]),
            ({'start_date': '2020-11-02T01:00:00+02:00'}, [2, 2, 2, 1]),
            ({'start_date': '2020-11-02T01:00:00 02:00'}, [2, 2, 2, 1]),
            ({'start_date': '2020-11-02T12:00:00Z'}, [2, 2]),
            ({'end_date': '2020-11-01T23:59:00Z'}, [1, 1]),
            ({'end_date': '2020-11-01T23:58:59.999999Z'}, [1]),
            ({'end_date': '2020-11-01', 'start_date': '2020-11-01T00:00:01'}, [1]),
            ({'end_date': '9999-12-31T23:59:59.999999', 'start_date': '2020-11-02'}, [2, 2, 2]),
        ):
            self.assertEqual(days, self.days(**query), query)

    def test_a_moment_of_an_answer_is_taken_as_it_is(self):
        listed = self.get(self.checkpoints_path())['checkpoints']
        for one in listed:
            moment = one['created_at']
            found = self.get(
                self.checkpoints_path(), params={'start_date': moment, 'end_date': moment}
            )['checkpoints']
            self.assertEqual([one], found)

    def test_filters_together(self):
        self.assertEqual(
            [1, 1],
            self.days(
                plan_id=self.plan_id,
                end_date='2020-11-01',
                start_date='2020-11-01',
                status='available',
            ),
        )

    def test_dates_at_the_ends_of_time(self):
        self.assertEqual([2, 2, 2, 1, 1], self.days(start_date='0001-01-01', end_date='9999-12-31'))
        self.assertEqual([], self.days(start_date='9999-12-31'))

    def test_dates_that_are_none(self):
        for name in ('start_date', 'end_date'):
            for text in (
                'x',
                '2020-13-01',
                '2020-02-30',
                '2020-11-01T',
                'T00:00:00',
                '2020-11-01T25:00:00',
                '0001-01-01T00:00:00+14:00',
                '20201101',
                '0000-01-01',
                '10000-01-01',
                '-1',
                '2020-11-01 ',
                '\x00',
            ):
                self.assertIn(name, self.get(self.checkpoints_path(), 400, params={name: text}))

    def test_other_parameters_are_refused(self):
        self.assertEqual([2, 2, 2, 1, 1], self.days(all_tenants='1'))
        for name in ('id', 'colour', 'created_at'):
            message = self.get(self.checkpoints_path(), 400, params={name: 'x'})
            self.assertIn(f"'{name}'", message)
            self.assertIn('start_date, status', message)
        self.assertEqual([2, 2, 2, 1, 1], self.days(plan_id='', status='', start_date=''))
        self.get(self.checkpoints_path(), 400, params={'all_tenants': 'perhaps'})


class ProtectTest(base.CloudTestCase):
    def test_a_volume(self):
        volume = self.volume(size=3)
        checkpoint = self.protected(volume)
        (snapshot,) = self.cinder.snapshots.values()
        self.assertEqual(
            (volume['id'], 'available', 'nightly', 'of a test'),
            tuple(snapshot[name] for name in ('volume_id', 'status', 'name', 'description')),
        )
        self.assertEqual(
            (None, 1, 1, 0),
            tuple(
                checkpoint[name]
                for name in (
                    'status_reason',
                    'resources_total',
                    'resources_done',
                    'resources_failed',
                )
            ),
        )

    def test_while_it_runs(self):
        self.cinder.settle_to['snapshot'] = None
        volumes = [self.volume() for _ in range(3)]
        checkpoint = self.create_checkpoint(self.create_plan(*volumes))
        path = self.checkpoints_path(checkpoint['id'])
        self.wait_until(lambda: len(self.cinder.snapshots) == 3, 'three snapshots')
        self.assertEqual(('protecting', 3, 0), self._progress(path))
        first = next(iter(self.cinder.snapshots))
        self.cinder.settle_later(first, 'available', 0)
        self.wait_until(lambda: self._progress(path) == ('protecting', 3, 1), 'one of three')
        self.delete(path, 409)
        self.assertEqual('fail', self.use('restore', checkpoint)['status'])
        self.cinder.settle_to['snapshot'] = 'available'
        self.ended_checkpoint(checkpoint)
        self.assertEqual(('available', 3, 3), self._progress(path))

    def _progress(self, path: str) -> tuple[str, int, int]:
        shown = self.get(path)['checkpoint']
        return shown['status'], shown['resources_total'], shown['resources_done']

    def test_one_that_fails_does_not_stop_the_others(self):
        good, bad, attached = (
            self.volume(status=status) for status in ('available', 'error', 'in-use')
        )
        plan = self.create_plan(attached, good, bad)
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual(
            ('error', 1, 2),
            tuple(checkpoint[name] for name in ('status', 'resources_done', 'resources_failed')),
        )
        self.assertEqual(
            {f'{VOLUME}#{bad["id"]}', f'{VOLUME}#{attached["id"]}'},
            set(checkpoint['resources_reason']),
        )
        for volume in (bad, attached):
            self.assertIn(
                'status must be', checkpoint['resources_reason'][f'{VOLUME}#{volume["id"]}']
            )
        self.assertIn('2 of 3 resources failed', checkpoint['status_reason'])
        self.assertEqual(
            [good['id']], [item['volume_id'] for item in self.cinder.snapshots.values()]
        )

    def test_a_failed_one_can_be_deleted_and_leaves_nothing(self):
        plan = self.create_plan(self.volume(), self.volume(status='error'))
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual('error', checkpoint['status'])
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def test_a_quota_is_named(self):
        self.cinder.quota_snapshots = 0
        checkpoint = self.ended_checkpoint(self.create_checkpoint(self.create_plan(self.volume())))
        self.assertEqual('error', checkpoint['status'])
        self.assertIn('a quota would be exceeded', checkpoint['status_reason'])

    def test_a_project_covers_every_volume_it_has_now(self):
        early = self.volume()
        plan = self.create_plan(resource(PROJECT_ID, base.PROJECT))
        late = self.volume()
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual(
            ('available', 3, 3),
            tuple(checkpoint[name] for name in ('status', 'resources_total', 'resources_done')),
        )
        self.assertEqual({early['id'], late['id']}, self._snapshotted())

    def test_a_project_with_a_volume_that_cannot_be_protected(self):
        good = self.volume()
        for status in ('error', 'error_deleting', 'maintenance', 'error_extending'):
            bad = self.volume(status=status)
            plan = self.create_plan(resource(PROJECT_ID, base.PROJECT))
            checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
            self.assertEqual(
                ('error', 3, 2, 1),
                tuple(
                    checkpoint[name]
                    for name in (
                        'status',
                        'resources_total',
                        'resources_done',
                        'resources_failed',
                    )
                ),
            )
            for text in ('1 of 3 resources failed', bad['id'], f'status is: {status}'):
                self.assertIn(text, checkpoint['status_reason'])
            self.assertEqual([f'{VOLUME}#{bad["id"]}'], list(checkpoint['resources_reason']))
            self.assertEqual({good['id']}, self._snapshotted())
            del self.cinder.volumes[bad['id']]

    def test_a_project_with_all_volumes_in_error(self):
        bad = [self.volume(status='error') for _ in range(2)]
        plan = self.create_plan(resource(PROJECT_ID, base.PROJECT))
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual('error', checkpoint['status'])
        self.assertEqual(
            {f'{VOLUME}#{volume["id"]}' for volume in bad}, set(checkpoint['resources_reason'])
        )

    def test_a_project_without_volumes(self):
        plan = self.create_plan(resource(PROJECT_ID, base.PROJECT))
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual(('error', 1), (checkpoint['status'], checkpoint['resources_total']))
        self.assertEqual(
            f'the plan covers nothing now: nothing is in {base.PROJECT}#{PROJECT_ID} (data)',
            checkpoint['status_reason'],
        )

    def test_another_project_is_not_protected(self):
        self.volume()
        plan = self.create_plan(resource(OTHER_PROJECT_ID, base.PROJECT))
        self.post(self.checkpoints_path(), {'checkpoint': {'plan_id': plan['id']}}, 404)
        self.assertEqual([], self.rows(models.Checkpoint))

    def test_one_volume_under_two_names_is_one_snapshot(self):
        volume = self.volume(name='new')
        plan = self.create_plan(
            {**volume, 'name': 'old'},
            {**volume, 'name': 'older'},
            resource(PROJECT_ID, base.PROJECT),
            volume,
        )
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual(
            ('available', 2, 2),
            tuple(checkpoint[name] for name in ('status', 'resources_total', 'resources_done')),
        )
        self.assertEqual(1, len(self.cinder.snapshots))

    def test_parameters_of_one_volume_win(self):
        one, other = self.volume(), self.volume(status='in-use')
        plan = self.create_plan(
            one,
            other,
            parameters={
                VOLUME: dict(OPTIONS),
                f'{VOLUME}#{other["id"]}': {'snapshot_name': 'db', 'force': 'True'},
            },
        )
        self.assertEqual('available', self.ended_checkpoint(self.create_checkpoint(plan))['status'])
        self.assertEqual(
            {one['id']: 'nightly', other['id']: 'db'},
            {item['volume_id']: item['name'] for item in self.cinder.snapshots.values()},
        )

    def test_a_cloud_that_cannot_list_makes_no_checkpoint(self):
        plan = self.create_plan(resource(PROJECT_ID, base.PROJECT))
        self.cinder.faults.append(Fault(method='GET', status=403))
        self.post(self.checkpoints_path(), {'checkpoint': {'plan_id': plan['id']}}, 503)
        self.assertEqual(([], []), (self.rows(models.Checkpoint), self.rows(models.Job)))

    def test_an_answer_that_was_lost(self):
        self.cinder.faults.append(Fault(method='POST', path='/snapshots$', reset='after', times=1))
        self.protected()
        self.assertEqual(1, len(self.cinder.snapshots))

    def _snapshotted(self) -> set[str]:
        return {item['volume_id'] for item in self.cinder.snapshots.values()}


class DeleteTest(base.CloudTestCase):
    def test_a_deleted_one_is_shown_and_not_listed(self):
        checkpoint, kept = self.protected(), self.protected()
        path = self.checkpoints_path(checkpoint['id'])
        self.assertEqual({}, self.delete(path))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual(1, len(self.cinder.snapshots))
        self.assertEqual(
            [kept['id']], [item['id'] for item in self.get(self.checkpoints_path())['checkpoints']]
        )
        for state in ('available', 'error'):
            self.put(path, {'os-resetState': {'state': state}}, 409)
        self.assertIn('deleted', self.delete(path, 409))
        self.assertEqual('fail', self.use('restore', checkpoint)['status'])

    def test_nothing_of_it_is_left_in_the_bank(self):
        self.delete(self.checkpoints_path((made := self.protected())['id']))
        self.ended_checkpoint(made)
        self.assertEqual([], self.registry.get(PROVIDER_ID).bank.list_objects('/'))

    def test_one_that_fails_can_be_tried_again(self):
        checkpoint = self.protected()
        path = self.checkpoints_path(checkpoint['id'])
        self.cinder.settle_to['deletion'] = 'error_deleting'
        self.delete(path)
        shown = self.ended_checkpoint(checkpoint)
        self.assertEqual(('error-deleting', 1), (shown['status'], shown['resources_failed']))
        self.assertIn('error_deleting', shown['status_reason'])
        self.cinder.settle_to['deletion'] = 'gone'
        for snapshot in self.cinder.snapshots.values():
            snapshot['status'] = 'error'
        self.delete(path)
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def test_a_snapshot_that_somebody_deleted(self):
        checkpoint = self.protected()
        self.cinder.snapshots.clear()
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])

    def test_not_while_a_restore_or_verification_runs(self):
        checkpoint = self.protected()
        path = self.checkpoints_path(checkpoint['id'])
        self.cinder.settle_to['volume'] = None
        restore = self.use('restore', checkpoint)
        for _ in range(2):  # waiting in the queue or running
            self.assertIn('restore', self.delete(path, 409))
            self.put(path, {'os-resetState': {'state': 'error'}}, 409)
            self.wait_until(lambda: len(self.cinder.volumes) == 2, 'a new volume')
        self.cinder.settle_to['volume'] = 'available'
        self.assertEqual('success', self.ended_use('restore', restore)['status'])
        self.delete(path)
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])

    def test_two_at_once(self):
        for _ in range(3):
            checkpoint = self.protected()
            path = self._url(checkpoint)
            codes = base.at_once(
                *[
                    lambda path=path: (
                        self.client.simulate_delete(
                            path, headers={'X-Auth-Token': base.TOKEN}
                        ).status_code
                    )
                ]
                * 3
            )
            self.assertEqual([200, 409, 409], sorted(codes))
            self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual(3, len([job for job in self.rows(models.Job) if job.kind == 'delete']))

    def test_a_restore_at_once(self):
        for _ in range(3):
            checkpoint = self.protected()
            path = self._url(checkpoint)
            code, restore = base.at_once(
                lambda path=path: (
                    self.client.simulate_delete(
                        path, headers={'X-Auth-Token': base.TOKEN}
                    ).status_code
                ),
                lambda checkpoint=checkpoint: self.use('restore', checkpoint),
            )
            self.assertIn((code, restore['status']), [(200, 'fail'), (409, 'in_progress')])
            ended = self.ended_use('restore', restore)
            self.assertEqual('fail' if code == 200 else 'success', ended['status'], ended)
            self.ended_checkpoint(checkpoint)

    @staticmethod
    def _url(checkpoint: dict[str, Any]) -> str:
        return f'/v1/{PROJECT_ID}/providers/{PROVIDER_ID}/checkpoints/{checkpoint["id"]}'


class ResetTest(base.CloudTestCase):
    def reset(self, checkpoint_id: str, state: str, code: int = 200) -> Any:
        return self.put(
            self.checkpoints_path(checkpoint_id), {'os-resetState': {'state': state}}, code
        )

    def in_bank(self, checkpoint_id: str) -> str:
        return self.registry.get(PROVIDER_ID).checkpoints.get(checkpoint_id).status

    def test_both_ways_and_in_the_bank(self):
        checkpoint = self.protected()
        for state in ('error', 'available', 'available'):
            self.assertEqual({}, self.reset(checkpoint['id'], state))
            self.assertEqual(state, self.ended_checkpoint(checkpoint)['status'])
            self.assertEqual(state, self.in_bank(checkpoint['id']))
        self.assertEqual(
            'success', self.ended_use('restore', self.use('restore', checkpoint))['status']
        )

    def test_the_reason_that_was_there_stays(self):
        bad = self.volume(status='error')
        plan = self.create_plan(self.volume(), bad)
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        before = checkpoint['status_reason']
        self.assertIn(bad['id'], before)
        for state in ('available', 'error', 'available'):
            self.reset(checkpoint['id'], state)
            self.assertEqual(
                (state, f'The status was set by hand. Before: {before}'),
                tuple(
                    self.ended_checkpoint(checkpoint)[name] for name in ('status', 'status_reason')
                ),
            )

    def test_states_that_cannot_be_set(self):
        checkpoint = self.protected()
        for state in ('deleted', 'protecting', '', None, 5, 'AVAILABLE', 'error-deleting'):
            self.reset(checkpoint['id'], state, 400)
        for body in (
            {},
            [],
            {'os-resetState': {}},
            {'os-resetState': 'error'},
            {'state': 'error'},
            {'os-resetState': {'state': 'error', 'x': 1}},
        ):
            self.put(self.checkpoints_path(checkpoint['id']), body, 400)
        self.assertEqual('available', self.ended_checkpoint(checkpoint)['status'])

    def test_unknown(self):
        self.reset(new_id(), 'error', 404)
        self.reset('x', 'error', 400)

    def test_one_that_the_bank_does_not_have_is_written_to_it(self):
        row = self.add_row(models.Checkpoint, status='protecting')
        self.reset(row.id, 'error')
        (after,) = self.rows(models.Checkpoint)
        self.assertEqual('error', after.status)
        bank = self.registry.get(PROVIDER_ID).checkpoints
        self.assertEqual('error', bank.get(row.id).status)

    def test_an_error_of_deleting_can_be_set_aside(self):
        checkpoint = self.protected()
        with db.writer() as session:
            session.get(models.Checkpoint, checkpoint['id']).status = 'error-deleting'
        self.reset(checkpoint['id'], 'error')
        self.assertEqual('error', self.ended_checkpoint(checkpoint)['status'])


class PinTest(base.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.row = self.add_row(models.Checkpoint)

    def pin(self, checkpoint_id: str, code: int = 200, method: str = 'PUT', **kwargs: Any) -> Any:
        return self.request(method, f'{self.checkpoints_path(checkpoint_id)}/pin', code, **kwargs)

    def unpin(self, checkpoint_id: str, code: int = 200, **kwargs: Any) -> Any:
        return self.pin(checkpoint_id, code, 'DELETE', **kwargs)

    def pinned(self) -> dict[str, bool]:
        """As the list shows it, which is as one is shown."""
        listed = self.get(self.checkpoints_path())['checkpoints']
        for item in listed:
            shown = self.get(self.checkpoints_path(item['id']))['checkpoint']
            self.assertEqual(item['pinned'], shown['pinned'])
        return {item['id']: item['pinned'] for item in listed}

    def test_pin_and_unpin(self):
        other = self.add_row(models.Checkpoint)
        self.assertEqual({self.row.id: False, other.id: False}, self.pinned())
        for _ in range(2):
            self.assertIsNone(self.pin(self.row.id))
            self.assertEqual({self.row.id: True, other.id: False}, self.pinned())
        for _ in range(2):
            self.assertIsNone(self.unpin(self.row.id))
            self.assertEqual({self.row.id: False, other.id: False}, self.pinned())

    def test_nothing_else_changes(self):
        before = self.get(self.checkpoints_path(self.row.id))['checkpoint']
        self.pin(self.row.id)
        self.assertEqual(
            {**before, 'pinned': True}, self.get(self.checkpoints_path(self.row.id))['checkpoint']
        )

    def test_a_new_one_is_not_pinned(self):
        self.assertIs(False, self.create_checkpoint(self.create_plan())['pinned'])

    def test_whatever_its_status_is(self):
        for status in ('protecting', 'error', 'deleting', 'error-deleting', 'deleted'):
            row = self.add_row(models.Checkpoint, status=status)
            self.pin(row.id)
            shown = self.get(self.checkpoints_path(row.id))['checkpoint']
            self.assertEqual((status, True), (shown['status'], shown['pinned']))

    def test_a_body_is_left_alone(self):
        self.pin(self.row.id, json={'anything': 1})
        self.assertEqual({self.row.id: True}, self.pinned())

    def test_unknown(self):
        for call in (self.pin, self.unpin):
            self.assertIn(missing := new_id(), call(missing, 404))
            for name in ('x', '%00', '..', '1'):
                call(name, 400)
        for method in ('GET', 'POST', 'PATCH'):
            self.pin(self.row.id, 405, method)

    def test_another_project(self):
        theirs = self.add_row(models.Checkpoint, project_id=OTHER_PROJECT_ID, pinned=True)
        missing = new_id()
        for call in (self.pin, self.unpin):
            hidden = call(theirs.id, 404)
            self.assertEqual(hidden.replace(theirs.id, missing), call(missing, 404))
        with db.reader() as session:
            self.assertTrue(session.get(models.Checkpoint, theirs.id).pinned)
        self.assertEqual([], self.rows(models.OperationLog))

    def test_through_another_provider(self):
        folder = self.provider_dir(name='second', provider_id=SECOND_ID)
        self.build(provider.ProviderRegistry(folder))
        for provider_id in (SECOND_ID, new_id()):
            for method in ('PUT', 'DELETE'):
                path = self.checkpoints_path(self.row.id, provider_id=provider_id)
                self.request(method, f'{path}/pin', 404)
        self.assertEqual({self.row.id: False}, self.pinned())

    def test_deleting_by_hand_is_allowed(self):
        self.pin(self.row.id)
        self.delete(self.checkpoints_path(self.row.id))
        shown = self.get(self.checkpoints_path(self.row.id))['checkpoint']
        self.assertEqual(('deleting', True), (shown['status'], shown['pinned']))


class TakenUpAgainTest(base.CloudTestCase):
    """A job that was running when its process died is done at the next start."""

    def start_again(self) -> None:
        """What a process does at its start, with a new board."""
        self.board.end()
        self.build(provider.ProviderRegistry(self.temp_dir / 'providers.d'))
        with db.writer() as session:
            unfinished = job_rows.take_up_again(session)
        for job_id in unfinished:
            self.board.post(job_id)
        self.work()

    def break_off(self, kind: str, subject_id: str, checkpoint_id: str) -> None:
        """Leave a job as a killed process leaves it."""
        self.add_row(
            models.Job,
            kind=kind,
            subject_id=subject_id,
            checkpoint_id=checkpoint_id,
            state=job_rows.JobState.RUNNING,
            attempts=1,
        )

    def set_status(self, checkpoint: dict[str, Any], status: str) -> None:
        with db.writer() as session:
            session.get(models.Checkpoint, checkpoint['id']).status = status

    def states(self) -> list[tuple[str, str, int]]:
        return [
            (job.kind, job.state, job.attempts) for job in self.rows(models.Job) if job.attempts > 1
        ]

    def test_protect_adopts_what_is_there(self):
        self.board.end()
        done, begun, new = self.volume(), self.volume(), self.volume()
        checkpoint = self.create_checkpoint(self.create_plan(done, begun, new))
        marks = {
            'karbor_checkpoint_id': checkpoint['id'],
            'karbor_provider_id': PROVIDER_ID,
            'karbor_plan_id': checkpoint['protection_plan']['id'],
        }
        self.cinder.add_snapshot(begun['id'], metadata={**marks, 'karbor_resource_id': begun['id']})
        with db.writer() as session:
            (job,) = session.query(models.Job)
            job.state, job.attempts = job_rows.JobState.RUNNING, 1
            runners.record_resource(session, job.id, VOLUME, done['id'], True)
        self._intend(checkpoint, begun)
        self.start_again()
        self.assertEqual('available', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual(
            {begun['id'], new['id']}, {item['volume_id'] for item in self.cinder.snapshots.values()}
        )
        self.assertEqual(2, len(self.cinder.snapshots))
        self.assertEqual([('protect', 'done', 2)], self.states())

    def _intend(self, checkpoint: dict[str, Any], volume: dict[str, Any]) -> None:
        """What the plugin leaves in the bank before it asks for a snapshot."""
        self.registry.get(PROVIDER_ID).bank.update_object(
            f'/checkpoints/{checkpoint["id"]}/resource-data/{volume["id"]}/status', 'protecting'
        )
        self.registry.get(PROVIDER_ID).bank.update_object(
            f'/checkpoints/{checkpoint["id"]}/resource-data/{volume["id"]}/metadata',
            {'volume_id': volume['id']},
        )

    def test_delete(self):
        checkpoint = self.protected()
        self.set_status(checkpoint, 'deleting')
        self.break_off('delete', checkpoint['id'], checkpoint['id'])
        self.start_again()
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)
        self.assertEqual([('delete', 'done', 2)], self.states())

    def test_delete_that_had_emptied_the_bank(self):
        checkpoint = self.protected()
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.ended_checkpoint(checkpoint)
        self.set_status(checkpoint, 'deleting')
        self.break_off('delete', checkpoint['id'], checkpoint['id'])
        self.start_again()
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual([], self.registry.get(PROVIDER_ID).bank.list_objects('/'))

    def test_restore(self):
        checkpoint = self.protected()
        restore = self.add_row(
            models.Restore, checkpoint_id=checkpoint['id'], parameters={}, status='in_progress'
        )
        self.break_off('restore', restore.id, checkpoint['id'])
        self.delete(self.checkpoints_path(checkpoint['id']), 409)
        self.start_again()
        ended = self.ended_use('restore', {'id': restore.id})
        self.assertEqual('success', ended['status'], ended)
        self.assertEqual(2, len(self.cinder.volumes))
        self.assertEqual([('restore', 'done', 2)], self.states())

    def test_one_that_is_posted_many_times_is_done_once(self):
        self.board.end()
        checkpoint = self.create_checkpoint(self.create_plan(self.volume()))
        (job,) = self.rows(models.Job)
        self.build(self.registry)
        self.get('/plans')  # a server that is forked has no part in what follows
        for _ in range(20):
            self.board.post(job.id)
        self.work()
        self.assertEqual('available', self.ended_checkpoint(checkpoint)['status'])
        self.board.end()
        self.assertEqual([], self.states())
        self.assertEqual(1, self.cinder.requests['POST', '/snapshots'])

    def test_one_that_ended_is_not_done_again(self):
        checkpoint = self.protected()
        requests = self.cinder.requests.copy()
        self.start_again()
        self.board.end()
        self.assertEqual(requests, self.cinder.requests)
        self.assertEqual('available', self.ended_checkpoint(checkpoint)['status'])

    def test_a_job_waits_for_a_provider_whose_file_is_broken(self):
        checkpoint = self.protected()
        self.set_status(checkpoint, 'deleting')
        self.break_off('delete', checkpoint['id'], checkpoint['id'])
        path = self.temp_dir / 'providers.d' / 'provider.conf'
        hidden = path.rename(path.with_suffix('.hidden'))
        self.start_again()
        self.board.end()
        waiting = [job for job in self.rows(models.Job) if job.state == 'pending']
        self.assertEqual([('delete', 1)], [(job.kind, job.attempts) for job in waiting])
        hidden.rename(path)
        self.start_again()
        self.wait_until(lambda: self.states() == [('delete', 'done', 2)], 'the end of the job')
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
