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

"""How a job ends: its row, its log and what it is about are written together."""

from collections.abc import Callable
from typing import Any

from oslo_log import log as logging
from sqlalchemy import orm

from karbor.common import constants
from karbor.db import checkpoints, models, operation_logs, schedules, uses
from karbor.db import jobs as job_rows
from karbor.services import quotas
from karbor.services.jobs import hooks
from karbor.services.schedules import retention_jobs, runs

LOG = logging.getLogger(__name__)

EndOfSubject = Callable[[orm.Session, models.Job, str | None, hooks.Failures], str]


def finish(
    session: orm.Session, job: models.Job, state: str, reason: str | None, failures: hooks.Failures
) -> list[models.Job]:
    """Write the end of a job that runs.

    :param reason: why what it is about did not go well; None if it did.
    :param failures: the resources that it could not do.
    :returns: the jobs that begin with it.
    """
    is_run = job.kind == constants.OperationType.PROTECT and job.scheduled_operation_id is not None
    if is_run:  # so that no run is added meanwhile that would wait for this one
        schedules.lock_operation(session, str(job.scheduled_operation_id))
    if not job_rows.finish(session, job, state, reason):
        LOG.warning('Job %s: another worker has it, or its end is written already', job.id)
        return []
    status = _END_OF_SUBJECT[job.kind](session, job, reason, failures)
    operation_logs.end(session, job.id, status, reason)
    LOG.info(
        'Job %s: %s of %s is %s%s',
        job.id,
        job.kind,
        job.subject_id,
        state,
        f': {reason}' if reason else '',
    )
    if not is_run:
        return []
    following = [runs.let_next_begin(session, str(job.scheduled_operation_id))]
    if status == constants.CheckpointStatus.AVAILABLE:
        following.append(retention_jobs.begin(session, job))
    return [found for found in following if found is not None]


def _end_of_protect(
    session: orm.Session, job: models.Job, reason: str | None, _failures: hooks.Failures
) -> str:
    status = constants.CheckpointStatus.ERROR if reason else constants.CheckpointStatus.AVAILABLE
    checkpoints.set_status(session, job.subject_id, status, reason)
    return status


def _end_of_delete(
    session: orm.Session, job: models.Job, reason: str | None, _failures: hooks.Failures
) -> str:
    status = (
        constants.CheckpointStatus.ERROR_DELETING if reason else constants.CheckpointStatus.DELETED
    )
    is_new = checkpoints.set_status(session, job.subject_id, status, reason)
    if is_new and not reason:
        quotas.give_back(session, job.project_id, quotas.CHECKPOINTS)
    return status


def _end_without_subject(
    _session: orm.Session, _job: models.Job, reason: str | None, _failures: hooks.Failures
) -> str:
    return constants.OperationStatus.FAIL if reason else constants.OperationStatus.SUCCESS


def _end_of_use(model: Any) -> EndOfSubject:
    def end(
        session: orm.Session, job: models.Job, reason: str | None, failures: hooks.Failures
    ) -> str:
        status = constants.OperationStatus.FAIL if reason else constants.OperationStatus.SUCCESS
        reasons = {resource: failure.reason for resource, failure in failures.items()}
        uses.record_failures(session, job.subject_id, reasons)
        uses.set_status(session, model, job.subject_id, status, reason)
        return status

    return end


_END_OF_SUBJECT: dict[str, EndOfSubject] = {
    constants.OperationType.PROTECT: _end_of_protect,
    constants.OperationType.DELETE: _end_of_delete,
    constants.OperationType.RESTORE: _end_of_use(models.Restore),
    constants.OperationType.VERIFY: _end_of_use(models.Verification),
    constants.OperationType.RETENTION: _end_without_subject,
    constants.OperationType.RESET: _end_without_subject,
}
