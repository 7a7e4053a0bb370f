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

"""The jobs that delete a checkpoint with all that protects its resources."""

from collections.abc import Iterable

from oslo_log import log as logging
from sqlalchemy import orm

from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import checkpoints, models, recovery_points
from karbor.services import quotas
from karbor.services.checkpoints import plugin_records, resource_work
from karbor.services.jobs import fencing
from karbor.services.jobs.kinds import Attempt, JobKind, Outcome, ResourceOutcome

LOG = logging.getLogger(__name__)


def _run(attempt: Attempt) -> Outcome:
    row = attempt.checkpoint_row()
    provider = attempt.environment.registry.get(row.provider_id)
    # Written again if need be: a break after the purge must not keep the rest undone.
    checkpoint = plugin_records.write_checkpoint(
        row, fencing.checkpoints(provider.bank, attempt.lease)
    )
    failures = resource_work.run_delete_hooks(attempt, row, checkpoint)
    if failures:
        checkpoint.status = constants.CheckpointStatus.ERROR_DELETING
        checkpoint.commit()
        return Outcome(
            reason=resource_work.summary(failures, row.resources_total), failures=failures
        )
    checkpoint.delete()
    try:
        checkpoint.purge()
    except RuntimeError as exc:
        # A plugin has left objects that it will never ask for again; by contract
        # that is its own business, and no reason to keep the checkpoint for ever.
        LOG.warning('Job %s: %s', attempt.job.id, exc)
    return Outcome()


def record(session: orm.Session, job: models.Job, outcomes: Iterable[ResourceOutcome]) -> None:
    """Write what has become of recovery points."""
    recovery_points.record(session, job.checkpoint_id, map(_result, outcomes))


def _result(outcome: ResourceOutcome) -> recovery_points.Result:
    if outcome.failure is None:
        return recovery_points.Result(resource=outcome.resource, state=State.DELETED)
    return recovery_points.Result(
        resource=outcome.resource, state=State.FAILED, reason=outcome.failure.reason
    )


def _end(session: orm.Session, job: models.Job, outcome: Outcome) -> str:
    status = (
        constants.CheckpointStatus.ERROR_DELETING
        if outcome.reason
        else constants.CheckpointStatus.DELETED
    )
    is_new = checkpoints.set_status(session, job.subject_id, status, outcome.reason)
    recovery_points.end_deletion(session, job.checkpoint_id, outcome.reason)
    if is_new and not outcome.reason:
        quotas.give_back(session, job.project_id, quotas.CHECKPOINTS)
    return status


KIND = JobKind(
    name=constants.OperationType.DELETE,
    run=_run,
    end=_end,
    record=record,
    running=constants.CheckpointStatus.DELETING,
    failed=constants.CheckpointStatus.ERROR_DELETING,
    table=models.Checkpoint,
)
