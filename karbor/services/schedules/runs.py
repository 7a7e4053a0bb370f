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

"""Runs of scheduled operations: each is a protect job, which makes its checkpoint itself."""

import datetime
import enum
from collections.abc import Sequence
from typing import Any

from oslo_utils import timeutils, uuidutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import jobs, models, operation_logs
from karbor.services import quotas


class Overlap(enum.StrEnum):
    """What becomes of a run that is asked for while another one goes on."""

    SKIP = 'skip'
    QUEUE = 'queue'


def start(
    session: orm.Session,
    context: karbor_context.RequestContext,
    operation: models.ScheduledOperation,
    fire_at: datetime.datetime | None = None,
) -> models.Job:
    """Begin a run, or let it wait for the end of the one that goes on.

    :param context: of who begins it, for the log. It acts for the operation's user.
    :param operation: locked, so that no run begins or ends meanwhile.
    :param fire_at: moment for which the trigger fired, in UTC; None of a run by hand.
    :returns: its job; it need be posted only if it is pending.
    :raises OperationRunning: a run goes on, and this one is not to wait.
    :raises JobLimitExceeded:
    """
    let_next_begin(session, operation.id)  # if the end of what it waits for went by unseen
    going_on = jobs.unfinished_runs(session, operation.id)
    _check_overlap(operation, going_on)
    quotas.take(session, operation.project_id, quotas.JOBS)
    job = jobs.create(session, _new_run(operation, fire_at, is_waiting=bool(going_on)))
    _log(session, context, operation, _status(job), told=fire_told(fire_at), id=job.id)
    return job


def _new_run(
    operation: models.ScheduledOperation,
    fire_at: datetime.datetime | None,
    *,
    is_waiting: bool,
    retry_of: str | None = None,
) -> jobs.NewJob:
    # The checkpoint will have this id; it is made when the job begins.
    checkpoint_id = uuidutils.generate_uuid()
    return jobs.NewJob(
        kind=constants.OperationType.PROTECT,
        subject_id=checkpoint_id,
        checkpoint_id=checkpoint_id,
        provider_id=operation.operation_definition['provider_id'],
        project_id=operation.project_id,
        user_id=operation.user_id,
        trust_id=operation.trust_id,
        scheduled_operation_id=operation.id,
        plan_id=operation.plan_id,
        trigger_id=operation.trigger_id,
        fire_at=fire_at,
        retry_of=retry_of,
        state=jobs.JobState.QUEUED if is_waiting else jobs.JobState.PENDING,
    )


def _status(job: models.Job) -> str:
    """Of the log of a run that has not begun."""
    if job.state == jobs.JobState.QUEUED:
        return constants.OperationStatus.QUEUED
    return constants.CheckpointStatus.PROTECTING


def try_again(session: orm.Session, failed: models.Job) -> None:
    """Let a run wait that does what another one could not; one that waits already does it.

    It begins when the retention of the scheduled operation is over, with all that it removes.

    :param failed: job of the run that failed; its operation is locked.
    """
    operation = session.get(models.ScheduledOperation, failed.scheduled_operation_id)
    if operation is None:
        return
    for waiting in jobs.unfinished_runs(session, operation.id):
        waiting.retry_of = failed.id
        return
    job = jobs.create(
        session, _new_run(operation, failed.fire_at, is_waiting=True, retry_of=failed.id)
    )
    context = karbor_context.RequestContext(operation.user_id, operation.project_id)
    told = {**fire_told(failed.fire_at), 'retry_of': failed.id}
    _log(session, context, operation, _status(job), told=told, id=job.id)


def cancel_retries(session: orm.Session, operation_id: str, reason: str) -> None:
    """Leave out runs that were only to do what others could not.

    One that somebody or a trigger has asked for waits no more than others do.

    :param operation_id: of the scheduled operation, which is locked.
    """
    for job in jobs.unfinished_runs(session, operation_id):
        if job.retry_of is None or job.state != jobs.JobState.QUEUED:
            continue
        if is_retry(session, job):
            _cancel(session, job, reason)
        else:
            job.retry_of = None


def is_retry(session: orm.Session, job: models.Job) -> bool:
    """Whether a run is there only to try another once more, and was not asked for by itself."""
    return 'retry_of' in (operation_logs.of_job(session, job.id).extra_info or {})


def fire_told(fire_at: datetime.datetime | None) -> dict[str, str]:
    """What logs and checkpoints tell of the moment for which a trigger fired."""
    if fire_at is None:
        return {}
    return {constants.CHECKPOINT_FIRE_TIME: fire_at.isoformat(' ', 'seconds')}


def _check_overlap(operation: models.ScheduledOperation, going_on: Sequence[models.Job]) -> None:
    if not going_on:
        return
    if operation.operation_definition.get('overlap', Overlap.SKIP) == Overlap.SKIP:
        asked_at = f'{going_on[0].created_at:%Y-%m-%d %H:%M:%S} UTC'
        reason = (
            f'a run waits since {asked_at} for what retention removes'
            if going_on[0].state == jobs.JobState.QUEUED
            else f'the run that began at {asked_at} goes on'
        )
    elif any(job.state == jobs.JobState.QUEUED for job in going_on):
        reason = 'a run goes on, and another one waits for its end'
    else:
        return
    raise exception.OperationRunning(operation_id=operation.id, reason=reason)


def skip(
    session: orm.Session,
    context: karbor_context.RequestContext,
    operation: models.ScheduledOperation,
    reason: str,
    **told: Any,
) -> None:
    """Tell the user that a run is left out, and why."""
    log = _log(session, context, operation, constants.OperationStatus.SKIPPED, told=told)
    log.ended_at = timeutils.utcnow()
    log.error_info = reason


def let_next_begin(session: orm.Session, operation_id: str) -> models.Job | None:
    """Begin the run that waits, if what it waits for is over; returns its job.

    It waits for an earlier run. One that is tried again waits for the retention as well, and for
    all that that removes.

    :param operation_id: of the scheduled operation, which is locked.
    """
    going_on = jobs.unfinished_runs(session, operation_id)
    if any(job.state != jobs.JobState.QUEUED for job in going_on):
        return None
    for waiting in going_on:
        if waiting.retry_of is not None and jobs.goes_on(session, operation_id):
            return None
        if jobs.change_state(session, waiting.id, jobs.JobState.QUEUED, jobs.JobState.PENDING):
            operation_logs.set_status(session, waiting.id, constants.CheckpointStatus.PROTECTING)
            return waiting
    return None


def cancel_queued(session: orm.Session, operation: models.ScheduledOperation, reason: str) -> None:
    """Leave out the runs that have not begun.

    :param operation: locked.
    """
    for job in jobs.unfinished_runs(session, operation.id):
        _cancel(session, job, reason)


def _cancel(session: orm.Session, job: models.Job, reason: str) -> None:
    if jobs.change_state(session, job.id, jobs.JobState.QUEUED, jobs.JobState.FAILED):
        operation_logs.end(session, job.id, constants.OperationStatus.SKIPPED, reason)


def _log(
    session: orm.Session,
    context: karbor_context.RequestContext,
    operation: models.ScheduledOperation,
    status: str,
    *,
    told: dict[str, Any],
    **more: Any,
) -> models.OperationLog:
    return operation_logs.begin(
        session,
        context,
        constants.OperationType.PROTECT,
        status,
        created_at=db.now(session),  # as checkpoints are, with which it is compared
        plan_id=operation.plan_id,
        provider_id=operation.operation_definition['provider_id'],
        scheduled_operation_id=operation.id,
        extra_info={constants.CHECKPOINT_TRIGGER_ID: operation.trigger_id, **told},
        **more,
    )
