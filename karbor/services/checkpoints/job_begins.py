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

"""How a job about a checkpoint begins: its row and its log are written together."""

from oslo_utils import timeutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import models, operation_logs
from karbor.services import quotas

# What operation logs call a kind of job, where that is not its name.
_LOGGED_AS: dict[str, str] = {
    constants.OperationType.CHOSEN_RESTORE: constants.OperationType.RESTORE,
    constants.OperationType.SAFETY_PROTECT: constants.OperationType.PROTECT,
}


def new_job(
    kind: constants.OperationType,
    context: karbor_context.RequestContext,
    checkpoint: models.Checkpoint,
    trust_id: str | None,
    *,
    subject_id: str | None = None,
    scheduled_operation_id: str | None = None,
) -> job_rows.NewJob:
    """A job about a checkpoint, which acts for a caller.

    :param trust_id: the trust by which it acts.
    :param subject_id: of what it is about, unless that is the checkpoint itself.
    :param scheduled_operation_id: of the scheduled operation whose retention asks for it.
    """
    return job_rows.NewJob(
        kind=kind,
        subject_id=subject_id or checkpoint.id,
        checkpoint_id=checkpoint.id,
        provider_id=checkpoint.provider_id,
        project_id=context.project_id,
        user_id=context.user_id,
        trust_id=trust_id,
        scheduled_operation_id=scheduled_operation_id,
    )


def begin(
    session: orm.Session,
    context: karbor_context.RequestContext,
    new_job: job_rows.NewJob,
    checkpoint: models.Checkpoint,
    *,
    status: str,
    **logged: str | None,
) -> models.Job:
    """Write a job about a checkpoint, with its log.

    :param status: of what the job is about.
    :param logged: further ids for the log.
    :raises JobLimitExceeded: unless a retention asks for it, which makes room.
    """
    if new_job.scheduled_operation_id is None:
        quotas.take(session, new_job.project_id, quotas.JOBS)
    job = job_rows.create(session, new_job)
    ids = {'scheduled_operation_id': new_job.scheduled_operation_id, **logged}
    _log(session, context, new_job, checkpoint, status=status, id=job.id, **ids)
    return job


def log_refusal(
    session: orm.Session,
    context: karbor_context.RequestContext,
    refused: job_rows.NewJob,
    checkpoint: models.Checkpoint,
    *,
    restore_id: str | None,
) -> None:
    """Write that nothing is to be done, as the checkpoint is not good."""
    status = constants.OperationStatus.FAIL
    log = _log(session, context, refused, checkpoint, status=status, restore_id=restore_id)
    log.ended_at, log.error_info = timeutils.utcnow(), why_not(checkpoint, refused.kind)


def _log(
    session: orm.Session,
    context: karbor_context.RequestContext,
    new_job: job_rows.NewJob,
    checkpoint: models.Checkpoint,
    *,
    status: str,
    **more: str | None,
) -> models.OperationLog:
    kind = new_job.kind
    return operation_logs.begin(
        session,
        context,
        _LOGGED_AS.get(kind, kind),
        status,
        checkpoint_id=checkpoint.id,
        plan_id=checkpoint.plan_id,
        provider_id=checkpoint.provider_id,
        **more,
    )


def why_not(checkpoint: models.Checkpoint, kind: str) -> str:
    """Why a checkpoint is not restored or verified, and what to do.

    :param kind: of the job that would do it.
    """
    reason = f'The checkpoint is in status {checkpoint.status}, not available.'
    if checkpoint.status == constants.CheckpointStatus.ERROR:
        if kind == constants.OperationType.VERIFY:
            return f'{reason} To verify what it does have, reset its state to available.'
        reason += (
            ' To restore what is good in it, ask for a partial restore, or name what is to be '
            'restored.'
        )
    return reason
