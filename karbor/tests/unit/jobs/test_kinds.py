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

"""A kind of job is added in one file: this one."""

import dataclasses
from typing import Any

from sqlalchemy import orm

from karbor import db
from karbor.cmd import job_kinds
from karbor.db import jobs as job_rows
from karbor.db import models, operation_logs, purging
from karbor.services.jobs import admin, boards
from karbor.services.jobs.kinds import Attempt, JobKind, JobKinds, Outcome
from karbor.services.jobs.runner import JobRunner
from karbor.tests import base, runners
from karbor.tests.unit.jobs import test_runner


class Count:
    """Counts the resources of a checkpoint, and writes the number to its extra_info."""

    def __init__(self) -> None:
        self.attempts: list[int] = []

    def kind(self) -> JobKind:
        return JobKind(
            name='count',
            run=self.run,
            end=self.end,
            running='available',
            failed='error',
            table=models.Checkpoint,
            follow=self.follow,
        )

    def run(self, attempt: Attempt) -> Outcome:
        self.attempts.append(attempt.job.attempts)
        checkpoint = attempt.checkpoint_row()
        if checkpoint.extra_info.get('fails'):
            return Outcome(reason='It was to fail.')
        return Outcome()

    def end(self, session: orm.Session, job: models.Job, outcome: Outcome) -> str:
        checkpoint = session.get_one(models.Checkpoint, job.subject_id)
        checkpoint.extra_info = {**checkpoint.extra_info, 'counted': checkpoint.resources_total}
        return 'fail' if outcome.reason else 'success'

    def follow(self, session: orm.Session, job: models.Job, outcome: Outcome) -> list[models.Job]:
        if outcome.reason or job.scheduled_operation_id is not None:
            return []
        return [new_job(session, job.subject_id, scheduled_operation_id='of the first')]


def new_job(session: orm.Session, checkpoint_id: str, **values: Any) -> models.Job:
    job = runners.create_job(
        session,
        'count',
        subject_id=checkpoint_id,
        checkpoint_id=checkpoint_id,
        provider_id=base.PROVIDER_ID,
        **values,
    )
    session.add(
        models.OperationLog(
            id=job.id, project_id=base.PROJECT_ID, operation_type='count', status='in_progress'
        )
    )
    session.flush()
    return job


class NewKindTest(test_runner.JobsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.count = Count()
        self.kinds = JobKinds((*job_kinds.JOB_KINDS.values(), self.count.kind()))
        self.newer = JobRunner(self.kinds, self.environment(lambda _: self.context), max_tries=1)
        self.checkpoint_id, job_id = self.post_protect()
        self.runner.run(job_id)
        self.job_id = db.transaction(new_job)(self.checkpoint_id).id

    def log(self, job_id: str) -> models.OperationLog:
        with db.reader() as session:
            return operation_logs.get(session, base.PROJECT_ID, job_id)

    def test_it_runs_and_ends_and_what_follows_is_posted(self) -> None:
        self.posted.clear()
        self.newer.run(self.job_id)

        self.assertEqual([1], self.count.attempts)
        self.assertEqual('done', self.row(self.job_id).state)
        self.assertEqual('success', self.log(self.job_id).status)
        self.assertEqual(6, self.checkpoint(self.checkpoint_id).extra_info['counted'])
        (following,) = self.posted
        self.newer.run(following)
        self.assertEqual([1, 1], self.count.attempts)
        self.assertEqual([following], self.posted)

    def test_a_worker_that_does_not_know_it_leaves_it_alone(self) -> None:
        self.assertEqual([], list(boards.in_line(self.runner.scope, ())))
        self.runner.run(self.job_id)
        self.assertEqual(
            ('pending', 0), (self.row(self.job_id).state, self.row(self.job_id).attempts)
        )
        (waiting,) = boards.in_line(self.newer.scope, ())
        self.assertEqual(self.job_id, waiting.job_id)

    def test_an_administrator_has_a_parked_one_tried_again(self) -> None:
        with db.writer() as session:
            session.get_one(models.Job, self.job_id).tries = 1
            session.get_one(models.Checkpoint, self.checkpoint_id).status = 'error'
        self.newer.run(self.job_id)
        self.assertEqual('parked', self.row(self.job_id).state)
        with db.writer() as session:
            session.get_one(models.Checkpoint, self.checkpoint_id).status = 'error'

        admin.retry(self.kinds, self.job_id)

        self.assertEqual('available', self.checkpoint(self.checkpoint_id).status)
        self.newer.run(self.job_id)
        self.assertEqual(([2], 'done'), (self.count.attempts, self.row(self.job_id).state))

    def test_it_is_purged_with_its_checkpoint(self) -> None:
        self.assertIn('count', self.kinds.by_table()[models.Checkpoint])
        with db.writer() as session:
            session.get_one(models.Checkpoint, self.checkpoint_id).status = 'deleted'
            session.get_one(models.Job, self.job_id).state = job_rows.JobState.DONE
            end = db.now(session).replace(year=9000)
        purging.purge(end, self.kinds.by_table())
        with db.reader() as session:
            self.assertIsNone(session.get(models.Job, self.job_id))

    def test_a_kind_cannot_be_changed(self) -> None:
        with self.assertRaises(dataclasses.FrozenInstanceError):
            self.count.kind().name = 'other'  # type: ignore[misc]
