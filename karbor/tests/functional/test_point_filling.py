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

"""Recovery points of checkpoints that are older than they are, or that older Karbors have made."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import sqlalchemy as sa
from alembic import autogenerate
from alembic import migration as alembic_migration

from karbor import db, exception
from karbor.db import migration, migration_scripts, models, point_filling, recovery_points
from karbor.services.protection import bank_plugin
from karbor.services.protection.protection_plugins.volume import cinder_snapshot_plugin
from karbor.services.recovery import bank_points
from karbor.services.recovery import point_filling as bank_filling
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, test_recovery_points
from karbor.tests.functional.base import VOLUME, resource
from karbor.tests.functional.test_recovery_points import point_rows

WRITERS = ('add', 'record', 'fail_unfinished', 'begin_deletion', 'end_deletion')


class BrokenOff(Exception):
    """What ends the process that fills."""


@contextlib.contextmanager
def older_karbor() -> Iterator[None]:
    """Whatever works meanwhile is of the release before, and knows of no points."""
    with contextlib.ExitStack() as stack:
        for name in WRITERS:
            stack.enter_context(mock.patch.object(recovery_points, name))
        yield


class FillingTestCase(test_recovery_points.PointsTestCase):
    def forget_points(self) -> None:
        with db.writer() as session:
            session.execute(sa.delete(models.RecoveryPoint))

    def told(self) -> dict[tuple[str, str], tuple[Any, ...]]:
        """What is true of each point, but for what only a job can know."""
        return {
            (row.checkpoint_id, row.resource_id): (
                row.resource_name,
                row.project_id,
                row.provider_id,
                row.plan_id,
                row.scheduled_operation_id,
                row.created_at,
                row.state,
                row.taken_at,
                row.cloud_id,
                row.size,
            )
            for row in point_rows()
        }

    def complete(self) -> int:
        """What a worker does when it starts."""
        return bank_filling.PointFilling(self.registry).fill_points()

    def section(self, row: models.RecoveryPoint) -> bank_plugin.BankSection:
        found = self.registry.get(PROVIDER_ID).checkpoints.get(row.checkpoint_id)
        return found.get_resource_bank_section(row.resource_id)


class FromRowsTest(FillingTestCase):
    """What the upgrade of the database writes."""

    def states_after(self, checkpoint: dict[str, Any]) -> dict[str, str]:
        """The states as they were, and as they are when they are written from rows."""
        before = self.states(checkpoint)
        reasons = self.reasons(checkpoint)
        self.forget_points()
        migration.upgrade()
        self.assertEqual(before, self.states(checkpoint))
        self.assertEqual(reasons, self.reasons(checkpoint))
        return before

    def test_good_and_failed(self):
        checkpoint = self.made_of(self.volume(name='good'), self.volume(name='bad', status='error'))
        self.assertEqual({'good': 'good', 'bad': 'failed'}, self.states_after(checkpoint))
        for row in point_rows():
            self.assertEqual(
                (None, None, None, None, None),
                (row.cloud_id, row.size, row.taken_at, row.seen_good_at, row.updated_at),
            )

    def test_a_job_that_failed_as_a_whole(self):
        plan = self.create_plan(self.volume(name='a'))
        with mock.patch.object(
            cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
            'get_protect_operation',
            side_effect=NotImplementedError,
        ):
            checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual({'a': 'failed'}, self.states_after(checkpoint))

    def test_a_job_that_goes_on(self):
        self.board.end()
        checkpoint = self.create_checkpoint(self.create_plan(self.volume(name='a')))
        self.assertEqual({'a': 'making'}, self.states_after(checkpoint))

    def test_deleting_and_deleted(self):
        checkpoint = self.protected(self.volume(name='a'))
        self.board.end()
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual({'a': 'deleting'}, self.states_after(checkpoint))
        (job,) = [row for row in self.rows(models.Job) if row.kind == 'delete']
        self.runner.run(job.id)
        self.assertEqual({'a': 'deleted'}, self.states_after(checkpoint))

    def test_a_deletion_that_failed(self):
        checkpoint = self.protected(self.volume(name='a'), self.volume(name='b'))
        next(iter(self.cinder.snapshots.values()))['status'] = 'backing-up'
        self.deleted(checkpoint)
        states = self.states_after(checkpoint)
        self.assertEqual({'failed', 'deleted'}, set(states.values()))
        path = self.checkpoints_path(checkpoint['id'])
        self.put(path, {'os-resetState': {'state': 'available'}})
        self.assertEqual(states, self.states_after(checkpoint))

    def test_a_deletion_that_failed_as_a_whole_and_a_reset(self):
        checkpoint = self.protected(self.volume(name='a'))
        with mock.patch.object(
            cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
            'get_delete_operation',
            side_effect=NotImplementedError,
        ):
            self.deleted(checkpoint)
        self.assertEqual({'a': 'failed'}, self.states_after(checkpoint))
        path = self.checkpoints_path(checkpoint['id'])
        self.put(path, {'os-resetState': {'state': 'available'}})
        self.forget_points()
        migration.upgrade()
        self.assertEqual({'a': 'unknown'}, self.states(checkpoint))

    def test_nothing_is_left_of_the_jobs(self):
        checkpoints = [
            self.protected(self.volume(name='a')),
            self.made_of(self.volume(name='a', status='error')),
        ]
        with db.writer() as session:
            session.execute(sa.delete(models.JobResource))
            session.execute(sa.delete(models.Job))
        self.forget_points()
        migration.upgrade()
        for checkpoint in checkpoints:
            self.assertEqual({'a': 'unknown'}, self.states(checkpoint))
            self.assertEqual({'a': point_filling.NOT_TOLD}, self.reasons(checkpoint))

    def test_what_has_points_is_left_alone(self):
        checkpoint = self.protected(self.volume(name='a'))
        before = [(row.id, row.updated_at) for row in point_rows()]
        self.assertEqual(0, point_filling.fill())
        self.assertEqual(before, [(row.id, row.updated_at) for row in point_rows()])
        self.assertEqual({'a': 'good'}, self.states(checkpoint))

    def test_a_project_has_none(self):
        plan = self.create_plan(resource(PROJECT_ID, base.PROJECT))
        self.ended_checkpoint(self.create_checkpoint(plan))
        self.forget_points()
        for _ in range(2):
            self.assertEqual(0, point_filling.fill())
        self.assertEqual([], point_rows())

    def test_a_graph_that_is_none(self):
        for graph in ('', '[]', '{}', '[{"0x0": [1]}, []]', 'null', '[{"0x0": 7}, []]'):
            self.add_row(models.Checkpoint, resource_graph=graph)
        self.assertEqual(0, point_filling.fill())

    def test_which_operation_made_it(self):
        operation_id = new_id()
        made = {'created_by': 'operation-engine', 'scheduled_operation_id': operation_id}
        self.add_row(models.Checkpoint, extra_info=made)
        self.add_row(models.Checkpoint, extra_info={**made, 'created_by': 'manual'})
        point_filling.fill()
        self.assertEqual({operation_id, None}, {row.scheduled_operation_id for row in point_rows()})

    def test_it_is_broken_off_and_done_again(self):
        self.patch(point_filling, '_CHECKPOINTS', 2)
        checkpoints = [self.add_row(models.Checkpoint) for _ in range(7)]
        write, calls = point_filling._write, []

        def break_off(session, ids):
            calls.append(ids)
            if len(calls) == 3:
                raise BrokenOff
            return write(session, ids)

        with (
            mock.patch.object(point_filling, '_write', break_off),
            self.assertRaises(BrokenOff),
        ):
            migration.upgrade()
        half = {row.id for row in point_rows()}
        self.assertEqual(4, len(half))

        migration.upgrade()

        rows = point_rows()
        self.assertEqual(
            {checkpoint.id for checkpoint in checkpoints}, {row.checkpoint_id for row in rows}
        )
        self.assertEqual((7, True), (len(rows), half <= {row.id for row in rows}))
        self.assertEqual(0, point_filling.fill())

    def test_two_fill_at_once(self):
        checkpoints = [self.add_row(models.Checkpoint) for _ in range(3)]
        ids = [checkpoint.id for checkpoint in checkpoints]
        with db.writer() as session:
            point_filling._write(session, ids[:2])
        with db.writer() as session:
            point_filling._write(session, ids)
        self.assertEqual(sorted(ids), sorted(row.checkpoint_id for row in point_rows()))

    def test_a_deletion_begins_meanwhile(self):
        checkpoint = self.protected(self.volume(name='a'))
        self.board.end()
        self.forget_points()
        deletion = threading.Thread(
            target=self.delete, args=(self.checkpoints_path(checkpoint['id']),)
        )
        with db.writer() as session:
            point_filling._write(session, [checkpoint['id']])
            deletion.start()
            deletion.join(0.5)
        deletion.join(20)
        self.assertEqual({'a': 'deleting'}, self.states(checkpoint))

    def test_a_transaction_has_about_as_many_points_as_it_may(self):
        self.patch(point_filling, '_POINTS', 5)
        for total in (1, 1, 9, 1, 2, 2):
            self.add_row(models.Checkpoint, resources_total=total)
        with mock.patch.object(point_filling, '_write', wraps=point_filling._write) as write:
            point_filling.fill()
        sizes = []
        with db.reader() as session:
            for call in write.call_args_list:
                found = [session.get(models.Checkpoint, each) for each in call.args[1]]
                sizes.append([row.resources_total for row in found])
        self.assertEqual(6, sum(map(len, sizes)))
        for size in sizes:
            self.assertTrue(sum(size) <= 5 or len(size) == 1, sizes)


class HalfMadeTest(base.ApiTestCase):
    changes_schema = True

    def test_what_a_broken_migration_has_left_is_no_obstacle(self):
        """MariaDB keeps what was made of a table before."""
        before = migration_scripts.directory().get_revision('0006').down_revision
        with db.engine().begin() as connection:
            connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{before}'"))
            {index.name: index for index in models.RecoveryPoint.__table__.indexes}[
                'recovery_points_plan_idx'
            ].drop(connection)

        migration.upgrade()

        with db.engine().connect() as connection:
            context = alembic_migration.MigrationContext.configure(connection)
            self.assertEqual([], autogenerate.compare_metadata(context, models.Base.metadata))


@base.in_process_only('what the API calls is replaced')
class OlderKarborTest(FillingTestCase):
    """Processes of the release before work beside, or before, those of this one."""

    def test_it_made_a_checkpoint(self):
        with older_karbor():
            checkpoint = self.protected(self.volume(name='a'))
        self.assertEqual({}, self.states(checkpoint))
        point_filling.fill()
        self.assertEqual({'a': 'good'}, self.states(checkpoint))

    def test_it_ended_a_job(self):
        self.board.end()
        checkpoint = self.create_checkpoint(
            self.create_plan(self.volume(name='a'), self.volume(name='bad', status='error'))
        )
        point_filling.fill()
        self.assertEqual({'a': 'making', 'bad': 'making'}, self.states(checkpoint))
        (job,) = self.rows(models.Job)
        with older_karbor():
            self.runner.run(job.id)
        self.assertEqual({'a': 'making', 'bad': 'making'}, self.states(checkpoint))
        self.assertEqual(2, point_filling.fill())
        self.assertEqual({'a': 'good', 'bad': 'failed'}, self.states(checkpoint))
        self.assertIn('status must be', self.reasons(checkpoint)['bad'])
        self.assertEqual(0, point_filling.fill())

    def test_what_it_protected_is_completed_from_the_bank(self):
        self.board.end()
        self.create_checkpoint(self.create_plan(self.volume(name='a', size=2)))
        (job,) = self.rows(models.Job)
        with older_karbor():
            self.runner.run(job.id)
        self.assertEqual(1, self.complete())
        (snapshot,) = self.cinder.snapshots
        (row,) = point_rows()
        self.assertEqual(('good', snapshot, 2), (row.state, row.cloud_id, row.size))
        self.assertIsNotNone(row.taken_at)
        self.assertEqual(0, self.complete(), 'it is looked at once')

    def test_it_began_and_ended_a_deletion(self):
        checkpoint = self.protected(self.volume(name='a'))
        self.board.end()
        with older_karbor():
            self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual({'a': 'good'}, self.states(checkpoint))
        point_filling.fill()
        self.assertEqual({'a': 'deleting'}, self.states(checkpoint))
        (job,) = [row for row in self.rows(models.Job) if row.kind == 'delete']
        with older_karbor():
            self.runner.run(job.id)
        point_filling.fill()
        self.assertEqual({'a': 'deleted'}, self.states(checkpoint))

    def test_its_deletion_failed(self):
        checkpoint = self.protected(self.volume(name='a'), self.volume(name='b'))
        next(iter(self.cinder.snapshots.values()))['status'] = 'backing-up'
        with older_karbor():
            self.deleted(checkpoint)
        self.assertEqual({'a': 'good', 'b': 'good'}, self.states(checkpoint))
        point_filling.fill()
        self.assertEqual({'failed', 'deleted'}, set(self.states(checkpoint).values()))


class FromBankTest(FillingTestCase):
    """What workers add, when they start and now and then."""

    def setUp(self):
        super().setUp()
        self.checkpoint = self.protected(
            self.volume(name='a', size=2), self.volume(name='b', size=3)
        )

    def test_all_is_as_if_it_had_been_written_at_once(self):
        before = self.told()
        self.forget_points()
        self.assertEqual(2, self.complete())
        self.assertEqual(before, self.told())
        self.assertEqual(0, self.complete())

    def test_what_rows_do_not_tell(self):
        bad = self.made_of(self.volume(name='bad', status='error'))
        half = self.protected(self.volume(name='c'))
        self.section(point_rows(half['id'])[0]).delete_object('metadata')
        silent = self.protected(self.volume(name='d'))
        self.section(point_rows(silent['id'])[0]).delete_object('status')
        with db.writer() as session:
            session.execute(sa.delete(models.JobResource))
            session.execute(sa.delete(models.Job))
        self.forget_points()
        self.complete()
        self.assertEqual({'a': 'good', 'b': 'good'}, self.states(self.checkpoint))
        for checkpoint, name, state, reason in (
            (bad, 'bad', 'failed', bank_points.NOT_PROTECTED),
            (half, 'c', 'unknown', bank_points.LOST),
            (silent, 'd', 'unknown', bank_points.NOT_TOLD),
        ):
            self.assertEqual({name: state}, self.states(checkpoint))
            self.assertEqual({name: reason}, self.reasons(checkpoint))

    def test_a_job_said_that_it_is_good_and_the_bank_has_nothing(self):
        rows = {row.resource_name: row for row in point_rows()}
        self.section(rows['a']).delete_object('metadata')
        other = self.protected(self.volume(name='c'))
        found = self.registry.get(PROVIDER_ID).checkpoints.get(other['id'])
        found.erase()
        self.forget_points()
        self.complete()
        self.assertEqual({'a': 'unknown', 'b': 'good'}, self.states(self.checkpoint))
        self.assertEqual({'c': 'unknown'}, self.states(other))

    def test_a_bank_of_an_older_karbor(self):
        for row in point_rows():
            section = self.section(row)
            saved = section.get_object('metadata')
            saved.pop('created_at')
            section.update_object('metadata', saved)
        ids = {row.cloud_id for row in point_rows()}
        self.forget_points()
        self.complete()
        rows = point_rows()
        self.assertEqual(ids, {row.cloud_id for row in rows})
        self.assertEqual({(None, 'good')}, {(row.taken_at, row.state) for row in rows})
        self.assertEqual(0, self.complete(), 'it is looked at once')

    def test_a_bank_that_is_away(self):
        self.protected(self.volume(name='c'))
        before = self.told()
        self.forget_points()
        fault = exception.BankGetObjectFailed(reason='away', key='k')
        with mock.patch.object(bank_plugin.BankSection, 'get_object', side_effect=fault) as get:
            self.assertEqual(0, self.complete())
        self.assertEqual(1, get.call_count, 'it is asked again the next time')
        self.assertEqual({'good'}, {row.state for row in point_rows()})
        self.assertEqual(3, self.complete())
        self.assertEqual(before, self.told())

    def test_it_is_broken_off_and_goes_on(self):
        before = self.told()
        self.forget_points()
        write, done = bank_filling._write, []

        def break_off(session, point, told):
            if done:
                raise BrokenOff
            done.append(point.id)
            return write(session, point, told)

        with (
            mock.patch.object(bank_filling, '_write', break_off),
            self.assertRaises(BrokenOff),
        ):
            self.complete()
        self.assertEqual(1, self.complete())
        self.assertEqual(before, self.told())

    def test_a_plugin_that_does_not_tell_or_raises_anything(self):
        for fault in (NotImplementedError, LookupError):
            self.forget_points()
            with mock.patch.object(
                cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
                'get_saved_info',
                side_effect=fault,
            ):
                self.assertEqual(2, self.complete())
            self.assertEqual({('good', None)}, {(row.state, row.cloud_id) for row in point_rows()})

    def test_a_bank_that_could_not_tell_when_it_was_protected(self):
        before = self.told()
        with mock.patch.object(
            cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
            'get_saved_info',
            side_effect=exception.BankGetObjectFailed(reason='away'),
        ):
            checkpoint = self.protected()
        lacking = [row for row in point_rows() if row.checkpoint_id == checkpoint['id']]
        self.assertEqual({('good', None)}, {(row.state, row.cloud_id) for row in lacking})
        self.assertEqual(len(lacking), self.complete())
        self.assertNotIn(None, [row.cloud_id for row in point_rows()])
        self.assertEqual(0, self.complete())
        self.assertLess(len(before), len(self.told()))

    def test_what_a_deletion_has_begun_meanwhile_stays(self):
        self.forget_points()
        point_filling.fill()
        rows = point_rows()
        with db.writer() as session:
            recovery_points.begin_deletion(session, self.checkpoint['id'])
        told = bank_points.Told(
            recovery_points.State.GOOD, None, recovery_points.Saved(cloud_id='s'), is_lost=False
        )
        self.assertFalse(db.transaction(bank_filling._write)(rows[0], told))
        self.assertEqual({'a': 'deleting', 'b': 'deleting'}, self.states(self.checkpoint))

    def test_a_worker_begins_with_it(self):
        (duty,) = bank_filling.PointFilling(self.registry).duties()
        self.forget_points()
        stopping = mock.Mock(is_set=lambda: False, wait=lambda _seconds: True)
        duty.fulfil(stopping)
        self.assertEqual({'a': 'good', 'b': 'good'}, self.states(self.checkpoint))

    def test_points_of_resources_that_nobody_protects_any_more(self):
        """The provider has no plugin for them now."""
        self.forget_points()
        point_filling.fill()
        with db.writer() as session:
            session.execute(
                sa.update(models.RecoveryPoint).values(resource_type='OS::X::Y', updated_at=None)
            )
        self.assertEqual(2, self.complete())
        self.assertNotEqual(VOLUME, point_rows()[0].resource_type)
        self.assertEqual({'good'}, {row.state for row in point_rows()})
