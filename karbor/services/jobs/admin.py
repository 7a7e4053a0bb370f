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

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import db, exception
from karbor.common import constants
from karbor.db import checkpoints, models, operation_logs, schedules, uses
from karbor.db import jobs as job_rows
from karbor.services.jobs import job_ends

STATES = tuple(job_rows.JobState)
_CANCELLABLE = (job_rows.JobState.QUEUED, job_rows.JobState.PENDING, job_rows.JobState.PARKED)
_CANCELLED = 'It was cancelled by an administrator.'


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What a job of a kind is about while it runs, and after it failed."""

    running: str
    failed: str


_KINDS: dict[str, _Kind] = {
    constants.OperationType.PROTECT: _Kind(
        constants.CheckpointStatus.PROTECTING, constants.CheckpointStatus.ERROR
    ),
    constants.OperationType.DELETE: _Kind(
        constants.CheckpointStatus.DELETING, constants.CheckpointStatus.ERROR_DELETING
    ),
    constants.OperationType.RESTORE: _Kind(
        constants.OperationStatus.IN_PROGRESS, constants.OperationStatus.FAIL
    ),
    constants.OperationType.VERIFY: _Kind(
        constants.OperationStatus.IN_PROGRESS, constants.OperationStatus.FAIL
    ),
    constants.OperationType.RESET: _Kind(
        constants.OperationStatus.IN_PROGRESS, constants.OperationStatus.FAIL
    ),
    constants.OperationType.RETENTION: _Kind(
        constants.OperationStatus.IN_PROGRESS, constants.OperationStatus.FAIL
    ),
}


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
def retry(session: orm.Session, job_id: str) -> None:
    """Have a parked job done again.

    :raises JobNotFound:
    :raises JobNotPossible: it is in another state, or what it is about has changed since.
    """
    job = _get(session, job_id)
    if job.state != job_rows.JobState.PARKED:
        raise exception.JobNotPossible(job_id=job.id, reason=f'it is {job.state}')
    _check_no_other_run(session, job)
    if job_rows.unfinished_of_checkpoint(session, job.checkpoint_id):
        raise exception.JobNotPossible(job_id=job.id, reason='another job works on the checkpoint')
    _begin_again(session, job)
    job.state, job.tries, job.error = job_rows.JobState.PENDING, 0, None
    operation_logs.begin_again(session, job.id, _KINDS[job.kind].running)


@db.transaction
def cancel(session: orm.Session, job_id: str) -> None:
    """End a job that no worker has; what it is about fails.

    :raises JobNotFound:
    :raises JobNotPossible: a worker has it, or it is over.
    """
    job = _get(session, job_id)
    if job.state not in _CANCELLABLE:
        raise exception.JobNotPossible(job_id=job.id, reason=f'it is {job.state}')
    job.state = job_rows.JobState.PENDING
    session.flush()
    claimed = job_rows.claim(session, job.id, None)
    if claimed is not None:
        job_ends.finish(session, claimed, job_rows.JobState.FAILED, _CANCELLED, {})


def _check_no_other_run(session: orm.Session, job: models.Job) -> None:
    if job.kind == constants.OperationType.PROTECT and job.scheduled_operation_id is not None:
        schedules.lock_operation(session, job.scheduled_operation_id)
        if job_rows.unfinished_runs(session, job.scheduled_operation_id):
            raise exception.JobNotPossible(
                job_id=job.id, reason='another run of its scheduled operation goes on'
            )


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


def _begin_again(session: orm.Session, job: models.Job) -> None:
    """Put what a job is about into the status that it has while the job runs."""
    kind, status = _KINDS[job.kind], _status(session, job)
    if status is None:  # of a run whose checkpoint was never made, or a retention
        return
    if status != kind.failed:
        raise exception.JobNotPossible(
            job_id=job.id, reason=f'what it is about is in status {status}, not {kind.failed}'
        )
    model = _USES.get(job.kind)
    if model is None:
        checkpoints.set_status(session, job.subject_id, kind.running)
    else:
        uses.set_status(session, model, job.subject_id, kind.running, None)


_USES: dict[str, Any] = {
    constants.OperationType.RESTORE: models.Restore,
    constants.OperationType.VERIFY: models.Verification,
}


def _status(session: orm.Session, job: models.Job) -> str | None:
    found = session.get(_USES.get(job.kind, models.Checkpoint), job.subject_id)
    return None if found is None else str(found.status)
