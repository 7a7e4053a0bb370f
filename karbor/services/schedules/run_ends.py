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

"""What follows when a run of a scheduled operation ends: see :class:`protecting.Schedules`."""

from collections.abc import Sequence

from sqlalchemy import orm

from karbor.common.constants import RecoveryPointState as State
from karbor.db import jobs as job_rows
from karbor.db import models, recovery_points, schedules
from karbor.services.checkpoints.protecting import TriedBefore
from karbor.services.jobs.kinds import Outcome
from karbor.services.schedules import retention_jobs, run_troubles, runs

_NOTHING_REMOVED = 'There is nothing that retention could remove.'


def lock(session: orm.Session, job: models.Job) -> None:
    """Keep runs of the same scheduled operation from being added or ended meanwhile."""
    if job.scheduled_operation_id is not None:
        schedules.lock_operation(session, job.scheduled_operation_id)


def obstacle(session: orm.Session, job: models.Job) -> str | None:
    """Why a run cannot begin again, if something is in the way."""
    if job.scheduled_operation_id is not None and job_rows.unfinished_runs(
        session, job.scheduled_operation_id
    ):
        return 'another run of its scheduled operation goes on'
    return None


def tried_before(session: orm.Session, job: models.Job) -> TriedBefore | None:
    """The run that a job tries once more, if it is there for that alone."""
    if job.retry_of is None or not runs.is_retry(session, job):
        return None
    failed = session.get(models.Job, job.retry_of)
    if failed is None or (failed.plan_id, failed.provider_id) != (job.plan_id, job.provider_id):
        return None  # the operation is about something else since then
    good = recovery_points.in_states(session, failed.checkpoint_id, {State.GOOD})
    return TriedBefore(
        checkpoint_id=failed.checkpoint_id,
        good={(point.resource_type, point.resource_id) for point in good},
    )


def follow(session: orm.Session, job: models.Job, outcome: Outcome) -> Sequence[models.Job]:
    """The jobs that begin as a run has ended: its retention, and a run that waits."""
    if job.scheduled_operation_id is None:
        return ()
    is_anything_good = bool(outcome.failures) and _is_anything_good(session, job)
    run_troubles.after_run(session, job, outcome, is_anything_good=is_anything_good)
    retention_job = retention_jobs.begin(session, job)
    if retention_job is not None and outcome.is_over_quota and job.retry_of is None:
        runs.try_again(session, job)
    waiting = runs.let_next_begin(session, job.scheduled_operation_id)
    return [job for job in (retention_job, waiting) if job is not None]


def _is_anything_good(session: orm.Session, job: models.Job) -> bool:
    """Whether a run, or the one that it tries again, has made a good recovery point."""
    if recovery_points.in_states(session, job.checkpoint_id, {State.GOOD}):
        return True
    before = tried_before(session, job)
    return before is not None and bool(before.good)


def follow_retention(
    session: orm.Session, job: models.Job, outcome: Outcome
) -> Sequence[models.Job]:
    """The jobs that begin as a retention has ended.

    A run is not tried again when nothing was removed.
    """
    operation_id = str(job.scheduled_operation_id)
    if not retention_jobs.has_removed(session, job):
        runs.cancel_retries(session, operation_id, outcome.reason or _NOTHING_REMOVED)
    return follow_removal(session, job, outcome)


def follow_removal(session: orm.Session, job: models.Job, outcome: Outcome) -> Sequence[models.Job]:
    """The jobs that begin as something is deleted, which a retention may have asked for."""
    if job.scheduled_operation_id is None:
        return ()
    run_troubles.after_retention(session, job, outcome)
    waiting = runs.let_next_begin(session, job.scheduled_operation_id)
    return () if waiting is None else (waiting,)


relief = retention_jobs.relief
