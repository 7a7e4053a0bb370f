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

from unittest import mock

from karbor import db, exception
from karbor.cmd import job_kinds
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.jobs import admin as job_admin
from karbor.tests import runners
from karbor.tests.base import new_id
from karbor.tests.unit.jobs import test_runner

_RUNNING = {
    'protect': 'protecting',
    'delete': 'deleting',
    'restore': 'in_progress',
    'verify': 'in_progress',
}


class _Gone(BaseException):
    """What ends a worker in the middle of a job."""


class ControlTestCase(test_runner.JobsTestCase):
    ENDS = test_runner.FailedJobTest.ENDS

    def setUp(self) -> None:
        super().setUp()
        self.runner = runners.runner(self.environment(lambda _: self.context), max_tries=3)

    def lose_worker(self, job_id: str) -> None:
        """Begin the job, and let its worker be gone before the end."""
        with mock.patch.object(self.runner, '_run_to_end', side_effect=_Gone):
            self.assertRaises(_Gone, self.runner.run, job_id)
        with db.writer() as session:
            job_rows.take_up_again(session)

    def parked(self, kind: str) -> tuple[str, str]:
        """:returns: the ids of what a parked job is about and of the job."""
        subject_id, job_id = self.post_any(kind)
        for _ in range(3):
            self.lose_worker(job_id)
        self.runner.run(job_id)
        return subject_id, job_id

    def log(self, job_id: str) -> models.OperationLog:
        with db.reader() as session:
            return session.get(models.OperationLog, job_id)


class ParkTest(ControlTestCase):
    def test_what_kills_its_workers_is_parked(self) -> None:
        for kind, status in self.ENDS:
            subject_id, job_id = self.parked(kind)
            subject = self.subject(kind, subject_id)
            self.assertEqual(('parked', status), (self.row(job_id).state, subject.status))
            for words in ('was tried 3 times', f'job retry {job_id}'):
                self.assertIn(words, subject.status_reason)
            self.assertEqual(subject.status_reason, self.log(job_id).error_info)

    def test_the_last_try_counts(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        for _ in range(2):
            self.lose_worker(job_id)
        self.runner.run(job_id)
        self.assertEqual('available', self.subject('protect', checkpoint_id).status)

    def test_a_wait_for_keystone_is_no_try(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        with mock.patch.object(
            self.runner, '_check_trust', side_effect=exception.IdentityUnavailable(reason='x')
        ):
            for _ in range(20):
                self.runner.run(job_id)
                with db.writer() as session:
                    job_rows.take_up_again(session)
        self.runner.run(job_id)
        self.assertEqual('available', self.subject('protect', checkpoint_id).status)


class RetryTest(ControlTestCase):
    def test_one_that_is_parked(self) -> None:
        for kind, _ in self.ENDS:
            subject_id, job_id = self.parked(kind)
            job_admin.retry(job_kinds.JOB_KINDS, job_id)
            self.assertEqual(_RUNNING[kind], self.subject(kind, subject_id).status)
            self.assertEqual(
                (_RUNNING[kind], None), (self.log(job_id).status, self.log(job_id).ended_at)
            )
            self.runner.run(job_id)
            self.assertIn(
                self.subject(kind, subject_id).status, ('available', 'deleted', 'success')
            )
            self.assertIsNone(self.subject(kind, subject_id).status_reason)
            self.assertIsNotNone(self.log(job_id).ended_at)

    def test_one_that_is_over_or_unknown(self) -> None:
        _, job_id = self.post_protect()
        self.assertRaises(exception.JobNotPossible, job_admin.retry, job_kinds.JOB_KINDS, job_id)
        self.runner.run(job_id)
        self.assertRaises(exception.JobNotPossible, job_admin.retry, job_kinds.JOB_KINDS, job_id)
        self.assertRaises(exception.JobNotFound, job_admin.retry, job_kinds.JOB_KINDS, new_id())

    def test_what_it_is_about_has_changed(self) -> None:
        checkpoint_id, job_id = self.parked('protect')
        _, delete_id = self.post('delete', checkpoint_id)
        error = self.assertRaises(
            exception.JobNotPossible, job_admin.retry, job_kinds.JOB_KINDS, job_id
        )
        self.assertIn('another job', error.msg)
        self.runner.run(delete_id)
        error = self.assertRaises(
            exception.JobNotPossible, job_admin.retry, job_kinds.JOB_KINDS, job_id
        )
        self.assertIn('status deleted', error.msg)
        self.assertEqual('parked', self.row(job_id).state)

    def test_a_run_while_another_one_goes_on(self) -> None:
        _, job_id = self.parked('protect')
        _, other_id = self.post_protect()
        operation_id = new_id()
        with db.writer() as session:
            for found in (job_id, other_id):
                session.get(models.Job, found).scheduled_operation_id = operation_id
        error = self.assertRaises(
            exception.JobNotPossible, job_admin.retry, job_kinds.JOB_KINDS, job_id
        )
        self.assertIn('another run', error.msg)


class CancelTest(ControlTestCase):
    def test_one_that_waits(self) -> None:
        for kind, status in self.ENDS:
            subject_id, job_id = self.post_any(kind)
            job_admin.cancel(job_kinds.JOB_KINDS, job_id)
            subject = self.subject(kind, subject_id)
            self.assertEqual(('failed', status), (self.row(job_id).state, subject.status))
            self.assertIn('cancelled', subject.status_reason)
            self.runner.run(job_id)
            self.assertEqual(status, self.subject(kind, subject_id).status)

    def test_one_that_runs_or_is_over(self) -> None:
        _, job_id = self.post_protect()
        db.transaction(job_rows.claim)(job_id, None)
        self.assertRaises(exception.JobNotPossible, job_admin.cancel, job_kinds.JOB_KINDS, job_id)
        with db.writer() as session:
            job_rows.take_up_again(session)
        self.runner.run(job_id)
        self.assertRaises(exception.JobNotPossible, job_admin.cancel, job_kinds.JOB_KINDS, job_id)

    def test_one_that_is_parked(self) -> None:
        _, job_id = self.parked('protect')
        job_admin.cancel(job_kinds.JOB_KINDS, job_id)
        self.assertEqual('failed', self.row(job_id).state)


class ListTest(ControlTestCase):
    def test_by_state_newest_first(self) -> None:
        _, first = self.post_protect()
        _, second = self.post_protect()
        _, parked = self.parked('protect')
        self.assertEqual(
            [parked, second, first], [job.id for job in job_admin.newest(job_admin.STATES, 10)]
        )
        self.assertEqual([parked], [job.id for job in job_admin.newest(['parked'], 10)])
        self.assertEqual([second], [job.id for job in job_admin.newest(['pending'], 1)])
        self.assertEqual(first, job_admin.get(first).id)
