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

"""What an administrator does with jobs: list them, try one again, cancel one."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import db, exception
from karbor.db import jobs as job_rows
from karbor.db import models, operation_logs
from karbor.services.jobs import ends
from karbor.services.jobs.kinds import JobKind, JobKinds, Outcome

STATES = tuple(job_rows.JobState)

_CANCELLABLE = (job_rows.JobState.QUEUED, job_rows.JobState.PENDING, job_rows.JobState.PARKED)
_CANCELLED = 'It was cancelled by an administrator.'


def newest(states: Sequence[str], limit: int) -> Sequence[models.Job]:
    """The newest jobs in some states, newest first."""
    with db.reader() as session:
        return session.scalars(
            sa.select(models.Job)
            .where(models.Job.state.in_(states))
            .order_by(models.Job.created_at.desc())
            .limit(limit)
        ).all()


def get(job_id: str) -> models.Job:
    """:raises JobNotFound:"""
    with db.reader() as session:
        return _get(session, job_id)


@db.transaction
def retry(session: orm.Session, kinds: JobKinds, job_id: str) -> None:
    """Have a parked job done again.

    :raises JobNotFound:
    :raises JobNotPossible: it is in another state, or what it is about has changed since.
    """
    job = _get(session, job_id)
    if job.state != job_rows.JobState.PARKED:
        raise exception.JobNotPossible(job_id=job.id, reason=f'it is {job.state}')
    kind = _kind_of(kinds, job)
    kind.lock(session, job)
    obstacle = kind.obstacle(session, job)
    if obstacle is None and job_rows.unfinished_of_checkpoint(session, job.checkpoint_id):
        obstacle = 'another job works on the checkpoint'
    if obstacle is not None:
        raise exception.JobNotPossible(job_id=job.id, reason=obstacle)
    _begin_again(session, kind, job)
    job.state, job.tries, job.error = job_rows.JobState.PENDING, 0, None
    ends.relieve_operator(session, job)
    operation_logs.begin_again(session, job.id, kind.running)


@db.transaction
def cancel(session: orm.Session, kinds: JobKinds, job_id: str) -> None:
    """End a job that no worker has; what it is about fails.

    :raises JobNotFound:
    :raises JobNotPossible: a worker has it, or it is over.
    """
    job = _get(session, job_id)
    if job.state not in _CANCELLABLE:
        raise exception.JobNotPossible(job_id=job.id, reason=f'it is {job.state}')
    kind = _kind_of(kinds, job)
    job.state = job_rows.JobState.PENDING
    session.flush()
    ends.relieve_operator(session, job)
    claimed = job_rows.claim(session, job.id, None)
    if claimed is not None:
        outcome = Outcome(state=job_rows.JobState.FAILED, reason=_CANCELLED)
        ends.finish(session, kind, claimed, outcome)


def _kind_of(kinds: JobKinds, job: models.Job) -> JobKind:
    if job.kind not in kinds:
        raise exception.JobNotPossible(
            job_id=job.id, reason=f'{job.kind} is a kind of job that this Karbor does not know'
        )
    return kinds[job.kind]


def _get(session: orm.Session, job_id: str) -> models.Job:
    job = session.scalar(
        sa.select(models.Job)
        .where(models.Job.id == job_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if job is None:
        raise exception.JobNotFound(job_id=job_id)
    return job


def _begin_again(session: orm.Session, kind: JobKind, job: models.Job) -> None:
    """Put what a job is about into the status that it has while the job runs."""
    subject = session.get(kind.table, job.subject_id) if kind.table else None
    if subject is None:  # of a run whose checkpoint was never made, or a retention
        return
    if subject.status != kind.failed:
        raise exception.JobNotPossible(
            job_id=job.id,
            reason=f'what it is about is in status {subject.status}, not {kind.failed}',
        )
    subject.status, subject.status_reason = kind.running, None
