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

"""Sets the status of a checkpoint by hand, in its row and in the bank.

A bank may be far away, so no lock is held while it is written. Instead, a job row keeps
deletions and other resets from the checkpoint meanwhile. If the bank fails or the process dies,
a worker runs that job: it writes to the bank what the row says, which has the old status still.
"""

import uuid

from oslo_utils import timeutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants, leases
from karbor.db import checkpoints, models, operation_logs
from karbor.db import jobs as job_rows
from karbor.services import quotas
from karbor.services.checkpoints import plugin_records, safety
from karbor.services.jobs import failures, fencing, kinds
from karbor.services.jobs.kinds import Attempt, JobKind, Outcome
from karbor.services.protection import provider as providers

_BY_HAND = 'The status was set by hand.'
BROKEN_OFF = 'It was broken off before its end; the status is what it was.'


def reset(
    context: karbor_context.RequestContext,
    provider: providers.Provider,
    checkpoint_id: str,
    status: str,
) -> None:
    """Set the status.

    :param status: 'available' or 'error'.
    :raises CheckpointNotFound:
    :raises CheckpointNotBeReset: it is deleted, or a job works on it.
    :raises JobLimitExceeded:
    :raises BankUpdateObjectFailed: the bank fails, and the status is what it was.
    """
    sent = leases.boot_time()
    row, job = db.transaction(_begin)(context, provider.id, checkpoint_id, status=status)
    lease = leases.Lease(job_rows.LONGEST_UNRENEWED, sent)
    row.status = status  # of this object, which belongs to no transaction
    try:
        plugin_records.write_checkpoint(row, fencing.checkpoints(provider.bank, lease))
    except leases.LeaseLost:
        raise exception.CheckpointNotBeReset(checkpoint_id=row.id, reason=BROKEN_OFF) from None
    except exception.KarborException as exc:
        db.transaction(_give_up)(job, failures.reason_of(exc))
        raise
    db.transaction(_end)(row, job)


def _begin(
    session: orm.Session,
    context: karbor_context.RequestContext,
    provider_id: str,
    checkpoint_id: str,
    *,
    status: str,
) -> tuple[models.Checkpoint, models.Job]:
    row = checkpoints.get(session, context.project_id, provider_id, checkpoint_id, lock=True)
    obstacle = why_busy(session, row)
    if row.status == constants.CheckpointStatus.DELETED:
        obstacle = 'it is in status deleted.'
    if obstacle:
        raise exception.CheckpointNotBeReset(checkpoint_id=row.id, reason=obstacle)
    quotas.take(session, context.project_id, quotas.JOBS)
    # It is about nothing that is shown: what is, is told by the jobs about the checkpoint.
    job = job_rows.create(
        session,
        job_rows.NewJob(
            kind=constants.OperationType.RESET,
            subject_id=str(uuid.uuid4()),
            checkpoint_id=row.id,
            provider_id=provider_id,
            project_id=context.project_id,
            user_id=context.user_id,
        ),
    )
    operation_logs.begin(
        session,
        context,
        'checkpoint_update',
        constants.OperationStatus.IN_PROGRESS,
        id=job.id,
        checkpoint_id=row.id,
        plan_id=row.plan_id,
        provider_id=row.provider_id,
        started_at=timeutils.utcnow(),
        extra_info={'status': status},
    )
    return row, job_rows.claim(session, job.id, job_rows.LONGEST_UNRENEWED) or job


def why_busy(session: orm.Session, row: models.Checkpoint) -> str | None:
    """Why nothing else may begin with a checkpoint now.

    :param row: locked.
    """
    kinds = job_rows.unfinished_of_checkpoint(session, row.id)
    if kinds:
        return f'a {kinds[0].replace("_", " ")} of it is not finished.'
    return safety.why_held(session, row.id)


def _give_up(session: orm.Session, job: models.Job, reason: str) -> None:
    # Who knows what the bank has written: a worker is to make it what it was.
    job_rows.hand_back(session, [job])
    operation_logs.end(session, job.id, constants.OperationStatus.FAIL, reason)


def _end(session: orm.Session, row: models.Checkpoint, job: models.Job) -> None:
    if not job_rows.finish(session, job, job_rows.JobState.DONE):
        raise exception.CheckpointNotBeReset(checkpoint_id=row.id, reason=BROKEN_OFF)
    written = session.get_one(models.Checkpoint, row.id)
    written.status, written.status_reason = row.status, _reason_after(written.status_reason)
    operation_logs.end(session, job.id, constants.OperationStatus.SUCCESS, None)


def _reason_after(reason: str | None) -> str:
    """The reason of a status that was set by hand: the one that was there stays in it."""
    if not reason or reason.startswith(_BY_HAND):
        return reason or _BY_HAND
    return f'{_BY_HAND} Before: {reason}'


def _run(attempt: Attempt) -> Outcome:
    """Write to the bank what the row says, after a reset that was broken off."""
    row = attempt.checkpoint_row()
    if row.status != constants.CheckpointStatus.DELETED:
        provider = attempt.environment.registry.get(row.provider_id)
        plugin_records.write_checkpoint(row, fencing.checkpoints(provider.bank, attempt.lease))
    return Outcome(reason=BROKEN_OFF)


KIND = JobKind(
    name=constants.OperationType.RESET,
    run=_run,
    end=kinds.end_without_subject,
    running=constants.OperationStatus.IN_PROGRESS,
    failed=constants.OperationStatus.FAIL,
    table=None,
)
