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

"""The database: its schema, its pages, and many threads on one SQLite file."""

import datetime
import threading
from typing import Any
from unittest import mock

import sqlalchemy as sa
from alembic import autogenerate
from alembic.runtime import migration as alembic_migration
from oslo_db import exception as db_exc
from sqlalchemy import orm

from karbor import db, exception
from karbor.db import (
    checkpoints,
    job_resources,
    jobs,
    migration,
    models,
    paging,
    plans,
    quotas,
    uses,
)
from karbor.tests import base, runners

NOW = datetime.datetime(2026, 5, 1, 12, 0, 0)


def _checkpoint(**changes: Any) -> dict[str, Any]:
    return {
        'project_id': base.PROJECT_ID,
        'provider_id': base.PROVIDER_ID,
        'plan_id': 'p',
        'status': 'available',
        'protection_plan': {},
        'resource_graph': '[{}, []]',
        'resources_total': 0,
        'extra_info': {},
        **changes,
    }


def _plan(**changes: Any) -> dict[str, Any]:
    return {
        'project_id': base.PROJECT_ID,
        'name': 'plan',
        'provider_id': base.PROVIDER_ID,
        'status': 'suspended',
        'resources': [],
        'parameters': {},
        **changes,
    }


def _fail(session: orm.Session, text: str) -> None:
    """Have the server refuse a statement."""
    connection = session.connection()
    error = connection.dialect.dbapi.OperationalError(text)
    with mock.patch.object(connection.dialect, 'do_execute', side_effect=error):
        session.execute(sa.text('SELECT 1'))


class SchemaTest(base.TestCase):
    changes_schema = True

    def test_migrations_make_what_the_models_say(self) -> None:
        with db.engine().connect() as connection:
            context = alembic_migration.MigrationContext.configure(
                connection, opts={'compare_type': True, 'compare_server_default': True}
            )

            self.assertEqual([], autogenerate.compare_metadata(context, models.Base.metadata))

    def test_the_comparison_would_see_a_difference(self) -> None:
        with db.engine().connect() as connection:
            connection.execute(sa.text('ALTER TABLE plans ADD COLUMN extra VARCHAR(9)'))
            {index.name: index for index in models.Job.__table__.indexes}['jobs_state_idx'].drop(
                connection
            )
            context = alembic_migration.MigrationContext.configure(connection)

            self.assertEqual(
                {'remove_column', 'add_index'},
                {
                    change[0]
                    for change in autogenerate.compare_metadata(context, models.Base.metadata)
                },
            )

    def test_what_was_there_is_kept_and_counted(self) -> None:
        db.dispose()
        self.open_new_database()
        migration.upgrade('0001')
        moment = "'2026-05-01 12:00:00'"
        with db.engine().begin() as connection:
            for plan_id in ('p1', 'p2'):
                connection.execute(
                    sa.text(
                        f"INSERT INTO plans VALUES ('{plan_id}', 'project', 'n', NULL, 'x', "
                        f"'suspended', '[]', '{{}}', {moment}, NULL)"
                    )
                )
            plan = '{"name": "daily"}'
            for checkpoint_id, status in (('c1', 'available'), ('c2', 'deleted')):
                connection.execute(
                    sa.text(
                        f"INSERT INTO checkpoints VALUES ('{checkpoint_id}', 'project', 'x', 'p1', "
                        f"'{status}', NULL, '{plan}', '', 0, '{{}}', {moment}, NULL)"
                    )
                )
            connection.execute(
                sa.text(
                    'INSERT INTO jobs (id, kind, subject_id, checkpoint_id, project_id, state, '
                    f"attempts, created_at) VALUES ('j', 'protect', 'c1', 'c1', 'project', "
                    f"'pending', 0, {moment})"
                )
            )
            connection.execute(
                sa.text("INSERT INTO job_resources VALUES ('j', 't', 'r', TRUE, NULL, NULL)")
            )

        migration.upgrade()

        with db.reader() as session:
            self.assertEqual(
                {'plans': 2, 'checkpoints': 1, 'triggers': 0, 'verifications': 0, 'jobs': 1},
                quotas.in_use(session, 'project'),
            )
            self.assertIsNone(session.get(models.Job, 'j').claimed_until)
            self.assertEqual(1, len(job_resources.of_job(session, 'j')))
            self.assertEqual('daily', session.get(models.Checkpoint, 'c1').plan_name)

    def test_to_upgrade_again_changes_nothing(self) -> None:
        with db.writer() as session:
            plan_id = plans.create(session, **_plan()).id

        migration.upgrade()

        with db.reader() as session:
            self.assertEqual('plan', plans.get(session, base.PROJECT_ID, plan_id).name)


class TransactionTest(base.TestCase):
    def test_what_fails_is_undone(self) -> None:
        def fail() -> None:
            with db.writer() as session:
                plans.create(session, **_plan())
                raise LookupError

        self.assertRaises(LookupError, fail)
        with db.reader() as session:
            self.assertIsNone(session.scalar(sa.select(models.Plan)))

    def test_faults_that_oslo_db_leaves_as_they_are(self) -> None:
        begun = []

        @db.until_it_works
        @db.transaction
        def write(session: orm.Session) -> None:
            begun.append(1)
            if len(begun) == 1:
                _fail(session, 'database or disk is full')

        with mock.patch('time.sleep'):
            write()
        self.assertEqual(2, len(begun))

        for use in (db.reader, db.writer):
            for text, is_full in (
                ('database or disk is full', True),
                ('the database system is starting up', False),
            ):
                error = self.assertRaises(db.DatabaseUnusable, self._fail_in, use, text)
                self.assertEqual(is_full, error.is_full)

    def test_a_statement_that_is_wrong_is_no_fault_of_the_database(self) -> None:
        error = self.assertRaises(
            sa.exc.OperationalError, self._fail_in, db.reader, 'no such column: x'
        )
        self.assertNotIsInstance(error, db_exc.DBError)

    def _fail_in(self, use: Any, text: str) -> None:
        with use() as session:
            _fail(session, text)

    def test_many_threads_read_and_then_write(self) -> None:
        with db.writer() as session:
            job_id = runners.create_job(session, user_id=None).id
        errors: list[Exception] = []

        def count() -> None:
            try:
                for _ in range(50):
                    with db.writer() as session:
                        job = session.get(models.Job, job_id, with_for_update=True)
                        session.execute(sa.update(models.Job).values(attempts=job.attempts + 1))
            except sa.exc.SQLAlchemyError as exc:
                errors.append(exc)

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual([], errors)
        with db.reader() as session:
            self.assertEqual(8 * 50, session.get(models.Job, job_id).attempts)

    def _others_read(self) -> list[str]:
        """What another thread sees; the test fails when it has to wait for that."""
        seen: list[list[str]] = []

        def read() -> None:
            with db.reader() as session:
                seen.append(list(session.scalars(sa.select(models.Plan.name))))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(10)
        self.assertFalse(thread.is_alive(), 'a reader waits for a writer')
        return seen[0]

    def test_readers_do_not_wait_for_a_writer(self) -> None:
        with db.writer() as session:
            plans.create(session, **_plan(name='new'))

            self.assertEqual([], self._others_read())
        self.assertEqual(['new'], self._others_read())

    def test_a_writer_within_a_reader(self) -> None:
        with db.reader() as outer:
            self.assertIsNone(outer.scalar(sa.select(models.Plan)))
            with db.writer() as session:
                plans.create(session, **_plan(name='inner'))
        self.assertEqual(['inner'], self._others_read())


class PagingTest(base.TestCase):
    def _fill(self, moments: list[datetime.datetime]) -> list[str]:
        with db.writer() as session:
            return [
                checkpoints.create(session, **_checkpoint(created_at=moment)).id
                for moment in moments
            ]

    def _page(
        self,
        page: paging.Page,
        filters: dict[str, str] | None = None,
        since: Any = None,
        before: Any = None,
    ) -> tuple[list[str], bool]:
        with db.plain_reader() as connection:
            rows, more = checkpoints.page(
                connection,
                base.PROVIDER_ID,
                paging.Selection(base.PROJECT_ID, page, filters or {}),
                since=since,
                before=before,
            )
            return [row.id for row in rows], more

    def _all(self, limit: int, **options: Any) -> list[str]:
        found: list[str] = []
        more = True
        while more:
            ids, more = self._page(paging.Page(limit, found[-1] if found else None, **options))
            self.assertTrue(ids)
            found += ids
        return found

    def test_forward_through_equal_moments(self) -> None:
        moments = [NOW] * 7 + [NOW + datetime.timedelta(microseconds=1)] * 6
        ids = self._fill(moments)
        by_age = sorted(zip(moments, ids, strict=True))

        for limit in (1, 2, 3, 5, 12, 13, 50):
            self.assertEqual([key for _, key in reversed(by_age)], self._all(limit))
            self.assertEqual(
                [key for _, key in by_age], self._all(limit, sort=(('created_at', 'asc'),))
            )

    def test_forward_by_a_column_with_equal_values(self) -> None:
        ids = self._fill([NOW] * 9)

        for direction in ('asc', 'desc'):
            found = self._all(2, sort=(('status', direction),))
            self.assertEqual(sorted(ids, reverse=direction == 'desc'), found)

    def test_more_only_when_there_is_more(self) -> None:
        self._fill([NOW] * 4)

        self.assertEqual(
            [(3, True), (4, False), (4, False)],
            [
                (len(ids), more)
                for ids, more in (self._page(paging.Page(limit)) for limit in (3, 4, 5))
            ],
        )

    def test_offset(self) -> None:
        self._fill([NOW + datetime.timedelta(seconds=number) for number in range(5)])
        everyone = self._all(50)

        self.assertEqual((everyone[2:4], True), self._page(paging.Page(2, offset=2)))
        self.assertEqual(
            (everyone[3:], False), self._page(paging.Page(9, marker=everyone[1], offset=1))
        )

    def test_a_marker_that_is_not_there(self) -> None:
        with db.writer() as session:
            other = checkpoints.create(session, **_checkpoint(project_id=base.OTHER_PROJECT_ID))

        for marker in ('none', other.id):
            self.assertRaises(exception.MarkerNotFound, self._page, paging.Page(5, marker))

    def test_other_projects_and_providers_are_not_seen(self) -> None:
        (own,) = self._fill([NOW])
        with db.writer() as session:
            for changes in ({'project_id': base.OTHER_PROJECT_ID}, {'provider_id': 'x'}):
                other = checkpoints.create(session, **_checkpoint(**changes))

        self.assertEqual(([own], False), self._page(paging.Page(5)))
        with db.reader() as session:
            self.assertRaises(
                exception.CheckpointNotFound,
                checkpoints.get,
                session,
                base.PROJECT_ID,
                base.PROVIDER_ID,
                other.id,
            )

    def test_filters_and_times(self) -> None:
        day = datetime.timedelta(days=1)
        ids = self._fill([NOW, NOW + day, NOW + 2 * day])
        with db.writer() as session:
            checkpoints.set_status(session, ids[0], 'deleted', 'by hand')

        for filters, since, before, expected in (
            ({}, None, None, [ids[2], ids[1]]),
            ({'status': 'deleted'}, None, None, [ids[0]]),
            ({'plan_id': 'q'}, None, None, []),
            ({'plan_id': 'p'}, None, NOW + day, []),
            ({}, NOW + 2 * day, None, [ids[2]]),
            ({}, NOW + day, NOW + 2 * day, [ids[1]]),
        ):
            self.assertEqual((expected, False), self._page(paging.Page(5), filters, since, before))

    def test_plans_are_found_by_the_text_and_no_pattern(self) -> None:
        with db.writer() as session:
            for name in ('50% of it', '50 of it', 'a_b', 'axb'):
                plans.create(session, **_plan(name=name))

        with db.plain_reader() as connection:
            for text, names in (
                ('0%', {'50% of it'}),
                ('_', {'a_b'}),
                ('of', {'50% of it', '50 of it'}),
                ('z', set()),
            ):
                rows, _ = plans.page(
                    connection, paging.Selection(base.PROJECT_ID, paging.Page(9), {'name': text})
                )
                self.assertEqual(names, {row.name for row in rows})


class JobRowsTest(base.TestCase):
    def _create(
        self, state: str = jobs.JobState.PENDING, subject_id: str = 's', **changes: Any
    ) -> str:
        with db.writer() as session:
            job = runners.create_job(session, subject_id=subject_id)
            for name, value in {'state': state, **changes}.items():
                setattr(job, name, value)
            return job.id

    def _state(self, job_id: str) -> tuple[str, int]:
        with db.reader() as session:
            job = session.get(models.Job, job_id)
            return job.state, job.attempts

    def test_only_one_claims_a_job(self) -> None:
        job_id = self._create()
        claimed: list[Any] = []
        start = threading.Barrier(8)

        def claim() -> None:
            start.wait(10)
            with db.writer() as session:
                claimed.append(jobs.claim(session, job_id, None))

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual([job_id], [job.id for job in claimed if job is not None])
        self.assertEqual(8, len(claimed))
        self.assertEqual((jobs.JobState.RUNNING, 1), self._state(job_id))

    def test_what_is_not_pending_cannot_be_claimed(self) -> None:
        for state in (jobs.JobState.RUNNING, jobs.JobState.DONE, jobs.JobState.FAILED):
            job_id = self._create(state)
            with db.writer() as session:
                self.assertIsNone(jobs.claim(session, job_id, None))
            self.assertEqual((state, 0), self._state(job_id))
        with db.writer() as session:
            self.assertIsNone(jobs.claim(session, 'none', None))

    def test_take_up_again(self) -> None:
        minute = datetime.timedelta(minutes=1)
        third = self._create(jobs.JobState.RUNNING, created_at=NOW + 2 * minute, attempts=2)
        first = self._create(jobs.JobState.RUNNING, created_at=NOW, attempts=1)
        second = self._create(jobs.JobState.PENDING, created_at=NOW + minute)
        over = [self._create(state) for state in (jobs.JobState.DONE, jobs.JobState.FAILED)]

        with db.writer() as session:
            self.assertEqual([first, second, third], list(jobs.take_up_again(session)))

        self.assertEqual(
            [(jobs.JobState.PENDING, 1), (jobs.JobState.PENDING, 0), (jobs.JobState.PENDING, 2)],
            [self._state(job_id) for job_id in (first, second, third)],
        )
        self.assertEqual(
            [jobs.JobState.DONE, jobs.JobState.FAILED], [self._state(job_id)[0] for job_id in over]
        )

    def test_unfinished_of_a_checkpoint(self) -> None:
        for state in (
            jobs.JobState.PENDING,
            jobs.JobState.RUNNING,
            jobs.JobState.DONE,
            jobs.JobState.FAILED,
        ):
            self._create(state)

        with db.reader() as session:
            self.assertEqual(['protect'] * 2, jobs.unfinished_of_checkpoint(session, 'c'))
            self.assertEqual([], jobs.unfinished_of_checkpoint(session, 'other'))

    def test_progress_and_failures_are_those_of_the_newest_job(self) -> None:
        old = self._create(created_at=NOW)
        new = self._create(created_at=NOW + datetime.timedelta(seconds=1))
        other = self._create(subject_id='t')
        with db.writer() as session:
            for job_id, resource_id, is_done in (
                (old, 'a', False),
                (old, 'b', False),
                (new, 'a', True),
                (new, 'b', True),
                (new, 'c', False),
                (other, 'a', False),
            ):
                runners.record_resource(
                    session,
                    job_id,
                    'type',
                    resource_id,
                    is_done,
                    None if is_done else f'reason {resource_id}',
                )

        with db.reader() as session:
            self.assertEqual(
                {'s': {True: 2, False: 1}, 't': {False: 1}},
                job_resources.counts(session.connection(), ['s', 't', 'none']),
            )
            self.assertEqual(
                [('c', 'reason c')],
                [
                    (row.resource_id, row.reason)
                    for row in job_resources.failures_of_newest(session, 's')
                ],
            )
            self.assertEqual([], list(job_resources.failures_of_newest(session, 'none')))

    def test_a_resource_is_recorded_over_again(self) -> None:
        job_id = self._create()
        for is_done, reason, new_id in ((False, 'no quota', None), (True, None, 'new')):
            with db.writer() as session:
                runners.record_resource(session, job_id, 'type', 'a', is_done, reason, new_id)

        with db.reader() as session:
            (row,) = job_resources.of_job(session, job_id)
            self.assertEqual((True, None, 'new'), (row.is_done, row.reason, row.new_resource_id))


class UsesTest(base.TestCase):
    def test_results_are_written_over(self) -> None:
        for status, reason in (('restoring', None), ('error', 'no quota')):
            with db.writer() as session:
                runners.record_result(session, 'r', 'type', 'a', status, reason)
        with db.writer() as session:
            runners.record_result(session, 'other', 'type', 'a', 'available', None)

        with db.reader() as session:
            found = uses.results(session, ['r', 'none'])
            self.assertEqual(
                {'r': [('a', 'error', 'no quota')]},
                {
                    key: [(row.resource_id, row.status, row.reason) for row in rows]
                    for key, rows in found.items()
                },
            )

    def test_what_is_not_there(self) -> None:
        for model, error in (
            (models.Restore, exception.RestoreNotFound),
            (models.Verification, exception.VerificationNotFound),
        ):
            with db.writer() as session:
                other = uses.create(
                    session,
                    model,
                    project_id=base.OTHER_PROJECT_ID,
                    provider_id='p',
                    checkpoint_id='c',
                    status='in_progress',
                    parameters={},
                )
            with db.reader() as session:
                for use_id in ('none', other.id):
                    self.assertRaises(error, uses.get, session, model, base.PROJECT_ID, use_id)
