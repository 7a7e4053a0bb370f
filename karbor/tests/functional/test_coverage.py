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

"""Whether each volume is protected: what a tenant sees who asks."""

import datetime
import unittest
from typing import Any

import sqlalchemy as sa

from karbor import db
from karbor.db import looks, models
from karbor.services.recovery import volume_look
from karbor.testing.fake_cinder import Fault
from karbor.tests import base as tests_base
from karbor.tests import inventories
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, new_id
from karbor.tests.functional import base, lists, test_schedules
from karbor.tests.functional.base import VOLUME, resource

PROJECT = 'OS::Keystone::Project'


def db_moment(shown: dict[str, Any]) -> datetime.datetime:
    """When something was made, as rows have it."""
    return datetime.datetime.fromisoformat(shown['created_at']).replace(tzinfo=None)


class CoverageTestCase(test_schedules.SchedulesTestCase):
    """A plan with a schedule, of one volume."""

    def setUp(self) -> None:
        super().setUp()
        self.covered_id = self.plan['resources'][0]['id']

    def document(self, **query: Any) -> dict[str, Any]:
        return self.get('/coverage', params=query)

    def coverage(self, **query: Any) -> dict[str, dict[str, Any]]:
        """What is shown, by the ids of volumes."""
        return {item['id']: item for item in self.document(**query)['coverage']}

    def states(self, **query: Any) -> dict[str, str]:
        return {volume_id: item['state'] for volume_id, item in self.coverage(**query).items()}

    def look_later(self) -> None:
        """Let the next question be one that looks at the cloud again."""
        with db.writer() as session:
            session.execute(sa.update(models.ProjectLook).values(volumes_seen_at=None))

    def set_trigger(self, **moments: datetime.datetime) -> None:
        with db.writer() as session:
            session.execute(sa.update(models.Trigger).values(**moments))


class StateTest(CoverageTestCase):
    def test_a_life(self) -> None:
        """From nothing to protected, and back."""
        self.assertEqual({self.covered_id: 'unprotected'}, self.states())
        self.assertIn('no schedule', self.coverage()[self.covered_id]['reason'])

        operation = self.create_operation()
        shown = self.coverage()[self.covered_id]
        self.assertEqual('unprotected', shown['state'])
        self.assertIn('no recovery point yet; the next run is at', shown['reason'])
        self.assertEqual([self.plan['id']], [plan['id'] for plan in shown['plans']])
        self.assertEqual(
            [(operation['id'], True)],
            [(schedule['id'], schedule['enabled']) for schedule in shown['schedules']],
        )
        self.assertEqual(shown['schedules'][0]['next_run_at'], shown['next_run_at'])
        self.assertIsNotNone(shown['next_run_at'])
        self.assertEqual(
            (None, None, 0),
            (shown['last_good_at'], shown['last_good_age'], shown['recovery_points']),
        )

        self.run_of_fire()
        (checkpoint,) = self.available()
        shown = self.coverage()[self.covered_id]
        self.assertEqual('protected', shown['state'])
        self.assertEqual(
            (checkpoint['id'], 1), (shown['last_good_checkpoint_id'], shown['recovery_points'])
        )
        self.assertLess(shown['last_good_age'], 600)

        path = f'/scheduled_operations/{operation["id"]}'
        self.put(path, {'scheduled_operation': {'enabled': False}})
        shown = self.coverage()[self.covered_id]
        self.assertEqual(('paused', None), (shown['state'], shown['next_run_at']))
        self.delete(path)
        shown = self.coverage()[self.covered_id]
        self.assertEqual('unprotected', shown['state'])

    def test_late(self) -> None:
        """A run was due, and no engine has come to it; then one has, and made nothing."""
        self.create_operation()
        self.run_of_fire()
        self.coverage()
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        hours = datetime.timedelta(hours=1)
        with db.writer() as session:
            for model in (models.ScheduledOperation, models.RecoveryPoint):
                session.execute(sa.update(model).values(created_at=now - 3 * hours))
        for moments in (
            {'next_fire_at': now - 2 * hours},
            {'next_fire_at': now + hours, 'last_fire_at': now - 2 * hours},
        ):
            self.set_trigger(**moments)
            shown = self.coverage()[self.covered_id]
            self.assertEqual('late', shown['state'], moments)
            self.assertIn('no good recovery point since the run that was due', shown['reason'])
        self.set_trigger(last_fire_at=now)  # its window has not passed
        self.assertEqual('protected', self.coverage()[self.covered_id]['state'])

    def test_failing(self) -> None:
        self.create_operation()
        self.run_of_fire()
        self.cinder.faults.append(Fault('POST', '/snapshots', status=413))
        self.run_of_fire()
        self.wait_for_quiet()
        shown = self.coverage()[self.covered_id]
        self.assertEqual('failing', shown['state'])
        self.assertIn('quota', shown['last_failure']['reason'])
        self.assertEqual(1, shown['recovery_points'])

    def test_failing_for_another_volume_only(self) -> None:
        """The run fails, and what is good in its checkpoint is good."""
        refused = self.volume(name='refused')
        self.plan = self.create_plan(self.volume(name='fine'), refused)
        self.create_operation()
        self.cinder.volumes[refused['id']]['status'] = 'error'
        self.run_of_fire()
        self.wait_for_quiet()
        shown = {item['name']: item for item in self.coverage().values()}
        self.assertEqual(
            ('protected', None), (shown['fine']['state'], shown['fine']['last_failure'])
        )
        self.assertEqual('failing', shown['refused']['state'])
        self.assertIn('in status error', shown['refused']['last_failure']['reason'])

    def test_a_retry_that_comes_to_nothing(self) -> None:
        """It was there for what had failed; what was good before is as good as it was."""
        operation = self.create_operation()
        self.run_of_fire()
        (checkpoint,) = self.available()
        for run, minutes, told in (('first', 1, {}), ('second', 2, {'retry_of': new_id()})):
            self.add_row(
                models.OperationLog,
                project_id=PROJECT_ID,
                operation_type='protect',
                scheduled_operation_id=operation['id'],
                status='error' if told else 'available',
                error_info=run,
                extra_info=told,
                created_at=db_moment(checkpoint) + datetime.timedelta(minutes=minutes),
            )
        shown = self.coverage()[self.covered_id]
        self.assertEqual(('protected', None), (shown['state'], shown['last_failure']))

    def test_a_deletion_that_failed(self) -> None:
        """It says nothing about how the volume is protected, and what is left is still told."""
        self.create_operation()
        self.run_of_fire()
        self.run_of_fire()
        self.cinder.faults.append(Fault('DELETE', '/snapshots', status=403, times=9))
        self.wait_for_quiet()
        newest = max(self.available(), key=lambda checkpoint: checkpoint['created_at'])
        self.delete(self.checkpoints_path(newest['id']))
        self.wait_for_quiet()
        shown = self.coverage()[self.covered_id]
        self.assertEqual(('protected', None), (shown['state'], shown['last_failure']))
        with db.writer() as session:
            point = models.RecoveryPoint
            session.execute(sa.delete(point).where(point.state == 'good'))
        del self.cinder.volumes[self.covered_id]
        self.look_later()
        self.assertEqual({self.covered_id: 'gone'}, self.states())

    def test_failing_before_anything_is_made(self) -> None:
        """The run's log says why there is nothing."""
        self.create_operation()
        self.config.config(quota_checkpoints=0)
        self.run_of_fire()
        shown = self.coverage()[self.covered_id]
        self.assertEqual('failing', shown['state'], shown)
        self.assertIn('keep', shown['reason'])
        self.assertIn('heckpoint', shown['last_failure']['reason'])

    def test_gone(self) -> None:
        """A volume that is deleted is shown as long as there is something to go back to."""
        self.create_operation()
        self.run_of_fire()
        self.coverage()
        del self.cinder.volumes[self.covered_id]
        self.assertEqual({self.covered_id: 'protected'}, self.states())  # looked at just now
        self.look_later()
        shown = self.coverage()[self.covered_id]
        self.assertEqual(
            ('gone', 'data', None),
            tuple(shown[name] for name in ('state', 'name', 'volume_status')),
        )
        (checkpoint,) = self.available()
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.ended_checkpoint(checkpoint)
        self.assertEqual({}, self.coverage())

    def test_one_that_was_made_since_the_look(self) -> None:
        self.coverage()
        fresh = self.volume(name='fresh')
        self.ended_checkpoint(self.create_checkpoint(self.create_plan(fresh)))
        self.assertEqual('unprotected', self.states()[fresh['id']])

    def test_one_that_was_made_in_another_region(self) -> None:
        """It is not gone because it is not here."""
        self.config.config(region_id='A', group='cinder_client')
        self.ended_checkpoint(self.create_checkpoint(self.plan))
        self.coverage()
        self.config.config(region_id='B', group='cinder_client')
        self.cinder.volumes.clear()
        self.look_later()
        self.coverage()
        self.assertEqual('unprotected', self.states()[self.covered_id])
        self.config.config(region_id='A', group='cinder_client')
        self.assertEqual('gone', self.states()[self.covered_id])

    def test_one_that_is_taken_into_a_plan(self) -> None:
        """A run that was due before did not cover it."""
        self.create_operation()
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        with db.writer() as session:
            session.execute(
                sa.update(models.ScheduledOperation).values(
                    created_at=now - datetime.timedelta(days=2)
                )
            )
        self.set_trigger(last_fire_at=now - datetime.timedelta(hours=9))
        shown = self.coverage()[self.covered_id]
        self.assertEqual('unprotected', shown['state'])
        self.assertIn('no recovery point yet; a run was due at', shown['reason'])

    def test_a_plan_on_the_project_chooses(self) -> None:
        labelled = self.volume(metadata={'backup': 'yes'})
        other = self.volume(metadata={'backup': 'no'})
        choosing = self.create_plan(
            resource(
                PROJECT_ID,
                PROJECT,
                extra_info={'include': {'metadata': {'backup': 'yes'}}},
            )
        )
        plans = {
            volume_id: [plan['id'] for plan in item['plans']]
            for volume_id, item in self.coverage().items()
        }
        self.assertEqual(
            {
                self.covered_id: [self.plan['id']],
                labelled['id']: [choosing['id']],
                other['id']: [],
            },
            plans,
        )
        self.assertEqual({labelled['id']}, set(self.coverage(plan_id=choosing['id'])))
        checkpoint = self.create_checkpoint(choosing)
        self.ended_checkpoint(checkpoint)
        del self.cinder.volumes[labelled['id']]
        self.look_later()
        self.coverage()
        self.assertEqual({labelled['id']: 'gone'}, self.states(plan_id=choosing['id']))
        self.assertEqual({self.covered_id}, set(self.coverage(plan_id=self.plan['id'])))

    def test_cinder_cannot_tell(self) -> None:
        """What is known is answered, and it is said why it may be old."""
        self.create_operation()
        self.run_of_fire()
        self.cinder.faults.append(Fault('GET', '/volumes/detail', status=403))
        document = self.document()
        (shown,) = document['coverage']
        self.assertEqual('protected', shown['state'])  # it was never looked for, so it is not gone
        self.assertIsNone(document['look']['seen_at'])
        self.assertIn('Cinder answered 403', document['look']['fault'])


class ListTest(CoverageTestCase):
    def test_pages_filters_and_totals(self) -> None:
        for number in range(4):
            self.volume(name=f'log-{number}')
        document = self.document(limit=2)
        self.assertEqual({'unprotected': 5}, {k: v for k, v in document['totals'].items() if v})
        self.assertEqual(['data', 'log-0'], [item['name'] for item in document['coverage']])
        pages = self.follow('/coverage?limit=2', 'coverage')
        self.assertEqual([2, 2, 1], [len(page) for page in pages])
        self.assertEqual(5, len({item['id'] for page in pages for item in page}))
        self.assertNotIn('totals', self.document(limit=2, marker=document['coverage'][-1]['id']))
        document = self.document(name='OG-')
        self.assertEqual(4, document['totals']['unprotected'])
        self.assertEqual({}, self.coverage(state='late'))
        self.assertEqual(5, len(self.coverage(state='unprotected')))
        marker = self.document(state='unprotected', limit=2)['coverage'][-1]['id']
        with db.writer() as session:  # it is not unprotected any more
            session.execute(sa.delete(models.Volume).where(models.Volume.id == marker))
        self.add_row(
            models.RecoveryPoint,
            project_id=PROJECT_ID,
            resource_type=VOLUME,
            resource_id=marker,
            resource_name='log-0',
            state='good',
        )
        document = self.document(state='unprotected', limit=2, marker=marker)
        self.assertEqual(['log-1', 'log-2'], [item['name'] for item in document['coverage']])
        self.assertNotIn('totals', document)
        self.get('/coverage?state=no', 400)
        self.get(f'/coverage?marker={new_id()}', 404)
        self.get('/coverage?all_tenants=1', 400)

    def test_nobody_sees_those_of_others(self) -> None:
        self.add_row(
            models.Volume,
            id=new_id(),
            project_id=OTHER_PROJECT_ID,
            labels={},
            size=1,
        )
        self.add_row(
            models.RecoveryPoint,
            project_id=OTHER_PROJECT_ID,
            resource_type=VOLUME,
            resource_id=new_id(),
            resource_name='theirs',
            state='good',
        )
        self.assertEqual({self.covered_id}, set(self.coverage()))

    def test_what_others_say_of_the_same_volume(self) -> None:
        """Neither their plans and schedules are looked at, nor their recovery points."""
        whole = {'id': self.covered_id, 'type': VOLUME, 'name': 'theirs'}
        theirs = self.add_row(
            models.Plan,
            project_id=OTHER_PROJECT_ID,
            resources=[whole],
            parameters={},
            status='started',
        )
        trigger = self.add_row(models.Trigger, project_id=OTHER_PROJECT_ID)
        for plan_id in (theirs.id, self.plan['id']):
            self.add_row(
                models.ScheduledOperation,
                project_id=OTHER_PROJECT_ID,
                plan_id=plan_id,
                trigger_id=trigger.id,
                enabled=True,
            )
        for state in ('good', 'failed'):
            self.add_row(
                models.RecoveryPoint,
                project_id=OTHER_PROJECT_ID,
                plan_id=self.plan['id'],
                resource_type=VOLUME,
                resource_id=self.covered_id,
                resource_name='theirs',
                state=state,
            )
        shown = self.coverage()[self.covered_id]
        self.assertEqual(
            ('unprotected', 0, None, None, []),
            tuple(
                shown[name]
                for name in (
                    'state',
                    'recovery_points',
                    'last_good_at',
                    'last_failure',
                    'schedules',
                )
            ),
        )
        self.assertEqual([self.plan['id']], [plan['id'] for plan in shown['plans']])
        self.assertEqual({}, self.coverage(plan_id=theirs.id))

    @unittest.skipUnless(tests_base.DATABASE == 'sqlite', 'SQL is counted in SQLite')
    @base.in_process_only('SQL is counted in this process')
    def test_statements(self) -> None:
        """As many for few volumes as for many."""
        self.create_operation()
        seen = []
        for number in (1, 40):
            for _ in range(number):
                volume = self.volume()
                self.plan = self.create_plan(volume)
                self.create_operation()
                for state in ('good', 'good', 'failed', 'missing'):
                    self.add_row(
                        models.RecoveryPoint,
                        project_id=PROJECT_ID,
                        resource_type=VOLUME,
                        resource_id=volume['id'],
                        resource_name='data',
                        state=state,
                    )
            self.create_plan(
                resource(PROJECT_ID, PROJECT, extra_info={'exclude': {'names': ['no-*']}})
            )
            self.look_later()
            self.coverage()
            with lists.cost() as first:
                marker = self.document(limit=1)['coverage'][0]['id']
            with lists.cost() as later:
                self.document(limit=1000, marker=marker)
            seen.append((len(first.statements), len(later.statements)))
        self.assertEqual(seen[0], seen[1])
        self.assertLessEqual(max(seen[0]), 11)


class LookTest(CoverageTestCase):
    """What the look has seen that nobody asked for."""

    def rows_of(self, project_id: str) -> dict[str, tuple[str, str]]:
        return {
            row.id: (row.name, row.status)
            for row in self.rows(models.Volume)
            if row.project_id == project_id
        }

    def test_of_the_whole_cloud(self) -> None:
        self.cinder.is_admin = True
        mine = self.volume(name='mine')
        theirs = self.cinder.add_volume(
            name='theirs', **{'os-vol-tenant-attr:tenant_id': OTHER_PROJECT_ID}
        )
        self.cinder.add_volume(name='strangers', **{'os-vol-tenant-attr:tenant_id': new_id()})
        self.add_row(
            models.Plan, project_id=OTHER_PROJECT_ID, resources=[], parameters={}, status='started'
        )
        check = volume_look.VolumeLook(lambda: inventories.inventory(self.cinder.url))
        check.see_volumes()
        self.assertEqual({self.covered_id, mine['id']}, set(self.rows_of(PROJECT_ID)))
        self.assertEqual({theirs['id']}, set(self.rows_of(OTHER_PROJECT_ID)))
        self.assertEqual(3, len(self.rows(models.Volume)))

        self.cinder.volumes[mine['id']].update(name='other', status='in-use')
        del self.cinder.volumes[self.covered_id]
        check.see_volumes()
        self.assertEqual({mine['id']: ('other', 'in-use')}, self.rows_of(PROJECT_ID))

    def test_without_the_rights(self) -> None:
        """Nothing is changed by who sees but a part."""
        self.coverage()
        before = self.rows(models.ProjectLook)[0].volumes_seen_at
        check = volume_look.VolumeLook(lambda: inventories.inventory(self.cinder.url))
        check.see_volumes()
        self.assertEqual(before, self.rows(models.ProjectLook)[0].volumes_seen_at)

    def test_an_older_list_does_not_undo_a_newer(self) -> None:
        now = datetime.datetime(2026, 11, 27)
        later = now + datetime.timedelta(seconds=1)

        def volume(name: str) -> looks.SeenVolume:
            return looks.SeenVolume(
                id=self.covered_id, name=name, status='in-use', size=1, metadata={}
            )

        write = db.transaction(looks.write_volumes)
        write(PROJECT_ID, [volume('newer')], later)
        write(PROJECT_ID, [volume('older')], now)
        write(PROJECT_ID, [], now)
        self.assertEqual({self.covered_id: ('newer', 'in-use')}, self.rows_of(PROJECT_ID))

    def test_two_at_once(self) -> None:
        base.at_once(*[self.coverage] * 6)
        self.assertEqual({self.covered_id}, set(self.rows_of(PROJECT_ID)))
