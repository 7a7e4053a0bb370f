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

"""What is true of each resource in a checkpoint, from the request on until it is deleted."""

import datetime
import unittest
from typing import Any
from unittest import mock

import sqlalchemy as sa

from karbor import db, exception
from karbor.db import jobs as job_rows
from karbor.db import models, recovery_points
from karbor.services.jobs import walker
from karbor.services.protection.protection_plugins.volume import cinder_snapshot_plugin
from karbor.tests.base import DATABASE, OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, lists, test_schedules
from karbor.tests.functional.base import VOLUME, resource


class Killed(BaseException):
    """Ends a job as the end of its process would."""


def point_rows(checkpoint_id: str | None = None) -> list[models.RecoveryPoint]:
    """Points as they are in the database, by the names of their resources."""
    query = sa.select(models.RecoveryPoint).order_by(models.RecoveryPoint.resource_name)
    if checkpoint_id is not None:
        query = query.where(models.RecoveryPoint.checkpoint_id == checkpoint_id)
    with db.reader() as session:
        return list(session.scalars(query))


class PointsTestCase(base.CloudTestCase):
    def states(self, checkpoint: dict[str, Any]) -> dict[str, str]:
        """The states of a checkpoint's points, by the names of their resources."""
        return {row.resource_name: row.state for row in point_rows(checkpoint['id'])}

    def reasons(self, checkpoint: dict[str, Any]) -> dict[str, str | None]:
        return {row.resource_name: row.reason for row in point_rows(checkpoint['id'])}

    def made_of(self, *volumes: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint of volumes, however it ended."""
        return self.ended_checkpoint(self.create_checkpoint(self.create_plan(*volumes)))

    def deleted(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint after it was asked for its deletion, however that ended."""
        self.delete(self.checkpoints_path(checkpoint['id']))
        return self.ended_checkpoint(checkpoint)


class ProtectTest(PointsTestCase):
    def test_from_the_request_on(self):
        self.cinder.settle_to['snapshot'] = None
        volume = self.volume(name='db')
        plan = self.create_plan(volume)
        checkpoint = self.create_checkpoint(plan)
        (row,) = point_rows()
        with db.reader() as session:
            created_at = session.get(models.Checkpoint, checkpoint['id']).created_at
        self.assertEqual(
            {
                'checkpoint_id': checkpoint['id'],
                'resource_type': VOLUME,
                'resource_id': volume['id'],
                'resource_name': 'db',
                'project_id': PROJECT_ID,
                'provider_id': PROVIDER_ID,
                'plan_id': plan['id'],
                'scheduled_operation_id': None,
                'taken_at': None,
                'size': None,
                'cloud_id': None,
                'state': 'making',
                'reason': None,
                'seen_good_at': None,
                'created_at': created_at,
            },
            {
                column.key: getattr(row, column.key)
                for column in models.RecoveryPoint.__table__.columns
                if column.key not in ('id', 'updated_at')
            },
        )
        self.cinder.settle_to['snapshot'] = 'available'

    def test_good(self):
        before = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        checkpoint = self.protected(self.volume(name='db', size=3))
        (snapshot,) = self.cinder.snapshots.values()
        (row,) = point_rows(checkpoint['id'])
        self.assertEqual(
            ('good', None, snapshot['id'], 3),
            (row.state, row.reason, row.cloud_id, row.size),
        )
        self.assertEqual(datetime.datetime.fromisoformat(snapshot['created_at']), row.taken_at)
        self.assertGreaterEqual(row.seen_good_at, before)

    def test_what_fails_says_why_beside_what_is_good(self):
        good, bad = self.volume(name='good'), self.volume(name='bad', status='error')
        checkpoint = self.made_of(good, bad, self.volume(name='attached', status='in-use'))
        self.assertEqual('error', checkpoint['status'])
        self.assertEqual(
            {'good': 'good', 'bad': 'failed', 'attached': 'failed'}, self.states(checkpoint)
        )
        reasons = self.reasons(checkpoint)
        self.assertIsNone(reasons['good'])
        self.assertIn('status must be', reasons['bad'])
        self.assertIn('status must be', reasons['attached'])

    def test_a_job_that_fails_as_a_whole(self):
        volumes = [self.volume(name=name) for name in 'ab']
        plan = self.create_plan(*volumes)
        with mock.patch.object(
            cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
            'get_protect_operation',
            side_effect=NotImplementedError,
        ):
            checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual({'a': 'failed', 'b': 'failed'}, self.states(checkpoint))
        self.assertEqual(dict.fromkeys('ab', checkpoint['status_reason']), self.reasons(checkpoint))

    def test_what_is_gone_is_left_out_with_its_point(self):
        checkpoint = self.made_of(self.volume(name='a'), resource(name='gone'))
        self.assertEqual('available', checkpoint['status'])
        self.assertEqual({'a': 'good'}, self.states(checkpoint))
        self.assertEqual(['a'], [item['name'] for item in checkpoint['resources']])
        checkpoint = self.made_of(resource(name='gone'))
        self.assertEqual(('error', []), (checkpoint['status'], checkpoint['resources']))

    def test_a_project_has_none_but_what_it_holds_does(self):
        volume = self.volume(name='db')
        checkpoint = self.made_of(resource(PROJECT_ID, base.PROJECT, name='project'))
        self.assertEqual({'db': 'good'}, self.states(checkpoint))
        self.assertEqual(volume['id'], point_rows()[0].resource_id)

    def test_a_plugin_that_does_not_tell_what_it_keeps(self):
        for fault in (NotImplementedError, LookupError, exception.BankGetObjectFailed):
            with mock.patch.object(
                cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
                'get_saved_info',
                side_effect=fault,
            ):
                checkpoint = self.protected()
            (row,) = point_rows(checkpoint['id'])
            self.assertEqual(
                ('good', None, None, None), (row.state, row.cloud_id, row.size, row.taken_at)
            )

    def test_a_plugin_that_is_asked_what_it_keeps_can_write_nothing(self):
        def write(section, _resource):
            section.update_object('metadata', {})

        with mock.patch.object(
            cinder_snapshot_plugin.CinderSnapshotProtectionPlugin, 'get_saved_info', write
        ):
            checkpoint = self.protected()
        self.assertEqual({'data': 'good'}, self.states(checkpoint))
        found = self.registry.get(PROVIDER_ID).checkpoints.get(checkpoint['id'])
        section = found.get_resource_bank_section(point_rows()[0].resource_id)
        self.assertIn('snapshot_id', section.get_object('metadata'))

    def test_odd_names(self):
        for name in ('\x00', 'ü\ud800' * 300, '\U0001f4be' * 255, ''):
            self.assertLessEqual(len(recovery_points.stored_name(name)), 255)
        names = {'\U0001f4be' * 255, 'Ä\t\n', "'; --"}
        checkpoint = self.protected(*(self.volume(name=name) for name in names))
        self.assertEqual(names, set(self.states(checkpoint)))


class BrokenOffTest(PointsTestCase):
    """A job that is killed is taken up again."""

    def test_the_point_and_the_progress_of_the_job_are_written_together(self):
        self.board.end()
        checkpoint = self.create_checkpoint(self.create_plan(self.volume(name='db')))
        (job,) = self.rows(models.Job)
        with (
            mock.patch.object(recovery_points, 'record', side_effect=Killed),
            self.assertRaises(Killed),
        ):
            self.runner.run(job.id)
        self.assertEqual([], self.rows(models.JobResource))
        self.assertEqual({'db': 'making'}, self.states(checkpoint))

        db.transaction(job_rows.take_up_again)()
        self.runner.run(job.id)

        self.assertEqual([True], [row.is_done for row in self.rows(models.JobResource)])
        self.assertEqual({'db': 'good'}, self.states(checkpoint))
        self.assertEqual(list(self.cinder.snapshots), [point_rows()[0].cloud_id])

    def test_what_is_done_stays_good_while_the_rest_is_made(self):
        self.board.end()
        volumes = [self.volume(name=name) for name in 'abc']
        checkpoint = self.create_checkpoint(self.create_plan(*volumes))
        (job,) = self.rows(models.Job)
        write, written = recovery_points.record, []

        def record(session, checkpoint_id, results):
            if written:
                raise Killed
            results = list(results)
            written.extend(result.resource.name for result in results)
            write(session, checkpoint_id, results)

        with (
            mock.patch.object(walker, '_TELL_AT', 1),
            mock.patch.object(recovery_points, 'record', record),
            self.assertRaises(Killed),
        ):
            self.runner.run(job.id)
        self.assertEqual(
            {name: 'good' if name in written else 'making' for name in 'abc'},
            self.states(checkpoint),
        )
        self.assertLess(len(written), 3)
        db.transaction(job_rows.take_up_again)()
        self.runner.run(job.id)
        self.assertEqual(dict.fromkeys('abc', 'good'), self.states(checkpoint))


class DeleteTest(PointsTestCase):
    def test_deleted(self):
        checkpoint = self.protected(self.volume(name='a'), self.volume(name='b'))
        self.board.end()
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual({'a': 'deleting', 'b': 'deleting'}, self.states(checkpoint))
        (job,) = [row for row in self.rows(models.Job) if row.kind == 'delete']
        self.runner.run(job.id)
        self.assertEqual({'a': 'deleted', 'b': 'deleted'}, self.states(checkpoint))

    def test_a_deletion_that_fails_and_one_more(self):
        checkpoint = self.protected(self.volume(name='a'), self.volume(name='b'))
        stays = next(iter(self.cinder.snapshots.values()))
        stays['status'] = 'backing-up'
        left = next(
            row.resource_name for row in point_rows() if row.resource_id == stays['volume_id']
        )
        self.assertEqual('error-deleting', self.deleted(checkpoint)['status'])
        (gone,) = {'a', 'b'} - {left}
        self.assertEqual({left: 'failed', gone: 'deleted'}, self.states(checkpoint))
        self.assertIn('cannot be deleted', self.reasons(checkpoint)[left])
        self.assertIsNone(self.reasons(checkpoint)[gone])

        stays['status'] = 'available'
        self.assertEqual('deleted', self.deleted(checkpoint)['status'])
        self.assertEqual({'a': 'deleted', 'b': 'deleted'}, self.states(checkpoint))
        self.assertEqual({'a': None, 'b': None}, self.reasons(checkpoint))

    def test_a_deletion_that_fails_as_a_whole(self):
        checkpoint = self.protected(self.volume(name='a'))
        with mock.patch.object(
            cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
            'get_delete_operation',
            side_effect=NotImplementedError,
        ):
            ended = self.deleted(checkpoint)
        self.assertEqual({'a': 'failed'}, self.states(checkpoint))
        self.assertEqual({'a': ended['status_reason']}, self.reasons(checkpoint))

    def test_a_reset_by_hand_makes_none_good(self):
        checkpoint = self.made_of(self.volume(name='a'), self.volume(name='bad', status='error'))
        self.put(
            self.checkpoints_path(checkpoint['id']),
            {'os-resetState': {'state': 'available'}},
            persona='member',
        )
        self.assertEqual({'a': 'good', 'bad': 'failed'}, self.states(checkpoint))


class ScheduledTest(test_schedules.SchedulesTestCase):
    def test_points_and_snapshots_tell_which_operation_made_them(self):
        operation = self.create_operation('protect')
        log = self.run_of_fire()
        (row,) = point_rows()
        self.assertEqual(
            (operation['id'], log['checkpoint_id'], 'good', self.plan['id']),
            (row.scheduled_operation_id, row.checkpoint_id, row.state, row.plan_id),
        )
        (snapshot,) = self.cinder.snapshots.values()
        self.assertEqual(operation['id'], snapshot['metadata']['karbor_scheduled_operation_id'])

    def test_what_was_made_by_hand_tells_none(self):
        self.create_operation('protect')
        self.ended_checkpoint(self.create_checkpoint(self.plan))
        self.assertEqual([None], [row.scheduled_operation_id for row in point_rows()])
        (snapshot,) = self.cinder.snapshots.values()
        self.assertNotIn('karbor_scheduled_operation_id', snapshot['metadata'])

    def test_a_snapshot_of_an_older_karbor_is_adopted(self):
        """It does not carry the mark that newer ones do."""
        self.create_operation('protect')
        make = self.cinder.new_snapshot

        def without_mark(volume, wanted):
            made = make(volume, wanted)
            made['metadata'].pop('karbor_scheduled_operation_id')
            return made

        with mock.patch.object(self.cinder, 'new_snapshot', without_mark):
            log = self.run_of_fire()
        (row,) = point_rows()
        bank = self.registry.get(PROVIDER_ID).checkpoints.get(log['checkpoint_id'])
        section = bank.get_resource_bank_section(row.resource_id)
        section.update_object('metadata', {'volume_id': row.resource_id})
        with db.writer() as session:
            session.execute(sa.delete(models.JobResource))
            session.get(models.Job, log['id']).state = 'pending'
        self.runner.run(log['id'])
        self.wait_for_quiet()  # the board may have been first to see it
        self.assertEqual([row.cloud_id], list(self.cinder.snapshots))
        self.assertEqual(row.cloud_id, section.get_object('metadata')['snapshot_id'])


class ShownTest(PointsTestCase):
    def test_a_checkpoint_shows_what_is_in_it(self):
        good, gone = self.volume(name='b', size=3), self.volume(name='a', status='error')
        checkpoint = self.made_of(good, gone)
        (snapshot,) = self.cinder.snapshots.values()
        shown = self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']
        failed, made = shown['resources']
        self.assertIn('status must be', failed.pop('reason'))
        self.assertEqual(
            {
                'type': VOLUME,
                'id': gone['id'],
                'name': 'a',
                'state': 'failed',
                'taken_at': None,
                'size': None,
            },
            failed,
        )
        self.assertEqual(
            {
                'type': VOLUME,
                'id': good['id'],
                'name': 'b',
                'state': 'good',
                'reason': None,
                'taken_at': snapshot['created_at'] + '+00:00',
                'size': 3,
            },
            made,
        )
        self.assertEqual({f'{VOLUME}#{gone["id"]}'}, set(shown['resources_reason']))
        listed = self.get(self.checkpoints_path())['checkpoints']
        self.assertNotIn('resources', listed[0])

    def test_the_list(self):
        volume = self.volume(name='db', size=3)
        checkpoint = self.protected(volume)
        (snapshot,) = self.cinder.snapshots.values()
        (row,) = point_rows()
        (shown,) = self.get('/recovery_points')['recovery_points']
        self.assertEqual(
            {
                'id': row.id,
                'checkpoint_id': checkpoint['id'],
                'resource_type': VOLUME,
                'resource_id': volume['id'],
                'resource_name': 'db',
                'project_id': PROJECT_ID,
                'provider_id': PROVIDER_ID,
                'plan_id': checkpoint['protection_plan']['id'],
                'scheduled_operation_id': None,
                'taken_at': snapshot['created_at'] + '+00:00',
                'size': 3,
                'cloud_id': snapshot['id'],
                'state': 'good',
                'reason': None,
                'seen_good_at': _shown(row.seen_good_at),
                'created_at': checkpoint['created_at'],
                'updated_at': _shown(row.updated_at),
            },
            shown,
        )

    def test_checkpoints_of_a_resource(self):
        one, other = self.volume(), self.volume()
        both, first, second = (
            self.protected(one, other),
            self.protected(one),
            self.protected(other),
        )
        for query, found in (
            ({'resource_id': one['id']}, [first, both]),
            ({'resource_id': other['id'], 'resource_type': VOLUME}, [second, both]),
            ({'resource_id': other['id'], 'resource_type': base.PROJECT}, []),
            ({'resource_type': VOLUME}, [second, first, both]),
            ({'resource_id': one['id'], 'plan_id': first['protection_plan']['id']}, [first]),
            ({'resource_id': new_id()}, []),
            ({'resource_id': one['id'], 'limit': 1}, [first]),
            ({'resource_id': one['id'], 'limit': 1, 'marker': first['id']}, [both]),
            ({'resource_id': one['id'], 'status': 'deleted'}, []),
        ):
            listed = self.get(self.checkpoints_path(), params=query)['checkpoints']
            self.assertEqual([item['id'] for item in found], [item['id'] for item in listed], query)
        listed = self.get(
            self.checkpoints_path(),
            params={'resource_id': one['id'], 'all_tenants': 1},
            persona='admin',
        )['checkpoints']
        self.assertEqual([first['id'], both['id']], [item['id'] for item in listed])


def _shown(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec='microseconds') + '+00:00'


class ListTest(base.ApiTestCase):
    """Rows of points, two a minute; the data of each second one is ten minutes younger."""

    def setUp(self):
        super().setUp()
        self.begin = datetime.datetime(2020, 11, 5, 10)
        self.common = {
            'checkpoint_id': new_id(),
            'provider_id': PROVIDER_ID,
            'plan_id': new_id(),
            'scheduled_operation_id': new_id(),
            'resource_type': VOLUME,
            'resource_id': 'v',
            'resource_name': 'data',
            'state': 'good',
        }
        values = [self.values(number) for number in range(6)]
        theirs = {**self.values(7), 'project_id': OTHER_PROJECT_ID}
        with db.writer() as session:
            session.execute(sa.insert(models.RecoveryPoint), [*values, theirs])
        self.ids = [row['id'] for row in sorted(values, key=_place, reverse=True)]
        self.by_id = {row['id']: row for row in values}
        self.theirs = theirs

    def values(self, number: int) -> dict[str, Any]:
        moment = self.begin + datetime.timedelta(minutes=number // 2)
        return {
            **self.common,
            'id': new_id(),
            'project_id': PROJECT_ID,
            'created_at': moment,
            'taken_at': moment + datetime.timedelta(minutes=10) if number % 2 else None,
            'resource_id': f'v{number}',
        }

    def found(self, persona: str = 'manager', **query: Any) -> list[str]:
        listed = self.get('/recovery_points', params=query, persona=persona)['recovery_points']
        return [item['id'] for item in listed]

    def test_pages(self):
        self.assertEqual(self.ids, self.found())
        pages = self.follow('/recovery_points?limit=4', 'recovery_points')
        self.assertEqual(
            [self.ids[:4], self.ids[4:]], [[item['id'] for item in page] for page in pages]
        )
        self.assertEqual(self.ids[2:4], self.found(limit=2, marker=self.ids[1]))
        self.assertEqual(self.ids[5:], self.found(offset=5))
        self.assertEqual(self.ids[::-1], self.found(sort_dir='asc'))
        self.assertEqual(
            sorted(self.ids, key=lambda each: self.by_id[each]['resource_id']),
            self.found(sort='resource_id:asc'),
        )
        self.get('/recovery_points', 404, params={'marker': self.theirs['id']})
        self.get('/recovery_points', 400, params={'sort': 'reason'})

    def test_whose(self):
        self.assertEqual(self.ids, self.found(all_tenants=1))
        self.assertEqual([self.theirs['id'], *self.ids], self.found('admin', all_tenants=1))
        self.assertEqual([self.theirs['id']], self.found('admin', project_id=OTHER_PROJECT_ID))
        self.get('/recovery_points', 404, params={'project_id': OTHER_PROJECT_ID})

    def test_filters(self):
        other = self.values(8)
        for name, text in (
            ('resource_id', 'w'),
            ('resource_type', base.PROJECT),
            ('checkpoint_id', new_id()),
            ('plan_id', new_id()),
            ('scheduled_operation_id', new_id()),
            ('state', 'unknown'),
        ):
            row = self.add_row(models.RecoveryPoint, **{**other, 'id': new_id(), name: text})
            self.assertEqual([row.id], self.found(**{name: text}))
            self.assertEqual([], self.found(**{name: text, 'marker': row.id}))
            if name != 'state':
                self.assertEqual([], self.found(**{name: text + 'x'}))
            with db.writer() as session:
                session.delete(session.get(models.RecoveryPoint, row.id))
        self.assertEqual(self.ids, self.found(state='good', plan_id=self.common['plan_id']))
        message = self.get('/recovery_points', 400, params={'state': 'unknownx'})
        self.assertIn("state: 'unknownx' is none of deleted, deleting, failed, good", message)

    def test_since_and_until(self):
        """The moment of the data counts, or that of the checkpoint while it is not known."""

        def of(*numbers: int) -> list[str]:
            wanted = {f'v{number}' for number in numbers}
            return [each for each in self.ids if self.by_id[each]['resource_id'] in wanted]

        for query, found in (
            ({'since': '2020-11-05'}, self.ids),
            ({'since': '2020-11-06'}, []),
            ({'until': '2020-11-05'}, self.ids),
            ({'until': '2020-11-04'}, []),
            ({'since': '2020-11-05T10:10:00+00:00'}, of(1, 3, 5)),
            ({'since': '2020-11-05T12:11:00+02:00'}, of(3, 5)),
            ({'until': '2020-11-05T10:01:00Z'}, of(0, 2)),
            ({'since': '2020-11-05T10:02:00', 'until': '2020-11-05T10:11:00'}, of(1, 3, 4)),
        ):
            self.assertEqual(found, self.found(**query), query)
        for name in ('since', 'until'):
            for text in ('x', '2020-02-30', '2020-11-05T', 'yesterday', '\x00'):
                self.assertIn(name, self.get('/recovery_points', 400, params={name: text}))

    def test_what_is_no_parameter_is_refused(self):
        for name in ('colour', 'id', 'taken_at', 'status', 'start_date'):
            message = self.get('/recovery_points', 400, params={name: 'x'})
            self.assertIn(f"'{name}'", message)
            for known in ('resource_id', 'scheduled_operation_id', 'since', 'until', 'marker'):
                self.assertIn(known, message)

    @base.in_process_only('SQL is counted')
    @unittest.skipUnless(DATABASE == 'sqlite', 'SQL is explained in SQLite')
    def test_a_page_is_found_by_an_index(self):
        for query, index in (
            ({}, 'project'),
            ({'marker': self.ids[2]}, 'project'),
            ({'all_tenants': 1}, 'all'),
            ({'resource_id': 'v1', 'state': 'good'}, 'project_resource'),
            ({'plan_id': new_id()}, 'plan'),
            ({'scheduled_operation_id': new_id()}, 'scheduled_operation'),
        ):
            with lists.cost() as asked:
                self.found('admin', limit=2, **query)
            self.assertLessEqual(len(asked.statements), 2)
            with db.engine().connect() as connection:
                plan = ' '.join(
                    row[-1]
                    for row in connection.exec_driver_sql(
                        f'EXPLAIN QUERY PLAN {asked.statements[-1][0]}', asked.statements[-1][1]
                    )
                )
            self.assertIn(f'recovery_points_{index}_idx', plan)
            self.assertNotIn('TEMP B-TREE', plan)


def _place(row: dict[str, Any]) -> tuple[datetime.datetime, str]:
    return row['created_at'], row['id']


class CostTest(PointsTestCase):
    @base.in_process_only('SQL is counted')
    def test_statements_a_volume(self):
        """A protect writes points of many volumes together."""
        self.config.config(quota_plans=-1)
        counts = {}
        for count in (1, 21):
            plan = self.create_plan(*(self.volume() for _ in range(count)))
            with lists.cost() as asked:
                checkpoint = self.create_checkpoint(plan)
                self.wait_until(
                    lambda made=checkpoint: (
                        {row.state for row in point_rows(made['id'])} == {'good'}
                    ),
                    'the end',
                )
            counts[count] = sum(
                statement.startswith(('INSERT INTO recovery', 'UPDATE recovery'))
                for statement, _ in asked.statements
            )
        self.assertEqual(1 + 1, counts[1])
        self.assertLessEqual(counts[21], 1 + 5)
