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

"""The jobs that protect what a plan covers, and so make a checkpoint good.

That of a run of a scheduled operation makes the checkpoint itself, when it begins.
"""

import dataclasses
import datetime
import functools
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from sqlalchemy import orm

from karbor import db, exception
from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import checkpoints, job_resources, models, operation_logs, recovery_points
from karbor.db import jobs as job_rows
from karbor.db import reality as reality_rows
from karbor.resource import Key, Resource
from karbor.services.checkpoints import drafts, plugin_records, regions, resource_work, saved_info
from karbor.services.cinder import limits as cinder_limits
from karbor.services.jobs import fencing
from karbor.services.jobs.failures import Failure, Failures
from karbor.services.jobs.kinds import Attempt, JobKind, Outcome, ResourceOutcome
from karbor.services.protection import choices, graph

# Cinder gives the quota of a snapshot back a moment after the snapshot is gone, in seconds.
QUOTA_LAG = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TriedBefore:
    """What a run has left that is tried once more.

    :ivar checkpoint_id: of what it made.
    :ivar good: the resources whose points in that are good.
    """

    checkpoint_id: str
    good: Collection[Key]


class Schedules(Protocol):
    """What schedules have to say to a protect that may be a run of theirs."""

    def lock(self, session: orm.Session, job: models.Job) -> None:
        """Keep runs of the same scheduled operation from being added or ended meanwhile."""

    def obstacle(self, session: orm.Session, job: models.Job) -> str | None:
        """Why a run cannot begin again, if something is in the way."""

    def follow(
        self, session: orm.Session, job: models.Job, outcome: Outcome
    ) -> Sequence[models.Job]:
        """The jobs that begin as a protect has ended."""

    def tried_before(self, session: orm.Session, job: models.Job) -> 'TriedBefore | None':
        """The run that a job tries once more, if it is there for that alone."""

    def relief(self, session: orm.Session, job: models.Job) -> str:
        """To be added to the reason when a quota is in the way of a run."""


def kind(schedules: Schedules) -> JobKind:
    """The kind.

    :param schedules: what knows of runs.
    """
    return JobKind(
        name=constants.OperationType.PROTECT,
        run=functools.partial(_run, schedules),
        end=_end,
        record=_record,
        saves=True,
        running=constants.CheckpointStatus.PROTECTING,
        failed=constants.CheckpointStatus.ERROR,
        table=models.Checkpoint,
        lock=schedules.lock,
        obstacle=schedules.obstacle,
        follow=schedules.follow,
    )


def _run(schedules: Schedules, attempt: Attempt) -> Outcome:
    try:
        row = _checkpoint_row(schedules, attempt)
    except exception.CheckpointLimitExceeded as exc:
        return Outcome(
            state=job_rows.JobState.FAILED,
            reason=f'{exc.msg}{_relief(schedules, attempt)}',
            is_over_quota=True,
        )
    if row.region is None:
        _record_region(attempt, row)
    provider = attempt.environment.registry.get(row.provider_id)
    checkpoint = plugin_records.write_checkpoint(
        row, fencing.checkpoints(provider.bank, attempt.lease)
    )
    failures = resource_work.run_hooks(
        attempt,
        row,
        checkpoint,
        schema_kind='options',
        request_parameters=row.protection_plan['parameters'],
    )
    failures |= _elsewhere(attempt, row, failures)
    gone = [resource for resource, failure in failures.items() if failure.is_gone]
    failed = {resource: failure for resource, failure in failures.items() if not failure.is_gone}
    covered = resource_work.leave_out(checkpoint, gone)
    remark = _remark(schedules, attempt, row, gone)
    reason = _reason_of_failures(schedules, attempt, failed, row.resources_total)
    if reason and remark:
        reason = f'{reason}; {remark}'
    elif not _is_anything(covered):
        reason = f'the plan covers nothing now: {remark or _what_is_empty(covered)}'
    checkpoint.status = _status_for(reason)
    checkpoint.commit()
    return Outcome(
        reason=reason,
        remark=remark,
        failures=failed,
        gone=gone,
        is_over_quota=any(failure.is_over_quota for failure in failed.values()),
    )


def _record_region(attempt: Attempt, row: models.Checkpoint) -> None:
    """Write where the checkpoint is made, before anything of it is; unless nothing tells."""
    region = regions.acting(attempt.context)
    if region is not None:
        db.transaction(regions.record)(attempt.job, row.id, region)
        row.region = region  # of this object, which belongs to no transaction


def _elsewhere(attempt: Attempt, row: models.Checkpoint, failures: Failures) -> Failures:
    """Those that are not gone but in another region, where their points are; which is written."""
    gone = {(each.type, each.id): each for each, why in failures.items() if why.is_gone}
    if not gone:
        return {}
    with db.reader() as session:
        found = reality_rows.regions_of(session, row.project_id, gone)
    away = {
        gone[key]: Failure(
            f'it is not found in {regions.named(row.region)}, in which this Karbor acts; its '
            f'recovery points were made in region {region}'
        )
        for key, region in found.items()
        if region != row.region
    }
    if away:
        db.transaction(_fail)(attempt.job, away)
    return away


def _fail(session: orm.Session, job: models.Job, failures: Failures) -> None:
    """Write why resources could not be protected, in place of what their plugins said."""
    job_rows.hold_claim(session, job)
    recovery_points.record(
        session,
        job.checkpoint_id,
        [
            recovery_points.Result(resource=resource, state=State.FAILED, reason=failure.reason)
            for resource, failure in failures.items()
        ],
    )


def _status_for(reason: str | None) -> constants.CheckpointStatus:
    """Of a checkpoint that was made, or for a reason was not."""
    return constants.CheckpointStatus.ERROR if reason else constants.CheckpointStatus.AVAILABLE


def _reason_of_failures(
    schedules: Schedules, attempt: Attempt, failed: Failures, total: int
) -> str | None:
    reason = resource_work.summary(failed, total)
    if any(failure.is_over_quota for failure in failed.values()):
        reason = (
            f'{reason}; in use are {cinder_limits.in_use(attempt.context)}'
            f'{_relief(schedules, attempt)}'
        )
    return reason


def _relief(schedules: Schedules, attempt: Attempt) -> str:
    with db.reader() as session:
        return schedules.relief(session, attempt.job)


def _is_anything(covered: Iterable[graph.GraphNode]) -> bool:
    """Whether there is anything to protect: not a project itself, but what it holds."""
    return any(
        node.value.type != constants.PROJECT_RESOURCE_TYPE for node in graph.walk_nodes(covered)
    )


def _what_is_empty(covered: Iterable[graph.GraphNode]) -> str:
    return f'nothing is in {", ".join(_as_chosen(node.value) for node in covered)}'


def _as_chosen(project: Resource) -> str:
    """A project as it is described, and whether the plan chooses among what is in it."""
    described = resource_work.described(project)
    if choices.stored(project.extra_info) == choices.EVERYTHING:
        return described
    return f'{described} that its include and exclude let in'


def _checkpoint_row(schedules: Schedules, attempt: Attempt) -> models.Checkpoint:
    try:
        return attempt.checkpoint_row()
    except exception.CheckpointNotFound:
        if attempt.job.scheduled_operation_id is None:
            raise
    if attempt.job.retry_of is not None:
        time.sleep(QUOTA_LAG)
    return _make_checkpoint(schedules, attempt)


def _make_checkpoint(schedules: Schedules, attempt: Attempt) -> models.Checkpoint:
    """The checkpoint of a run, whose job has begun.

    It is of the plan that the operation had when the run was asked for, without what is good
    already in the one of a run that is tried again.

    :raises KarborException: as :func:`drafts.draft`.
    """
    job, environment = attempt.job, attempt.environment
    if job.plan_id is None:
        _take_run_from_log(job)
    before = _tried_before(schedules, job)
    draft = drafts.draft(
        environment.registry.get(job.provider_id),
        environment.protectables,
        attempt.context,
        str(job.plan_id),
        done=() if before is None else before.good,
    )
    return db.transaction(_write_checkpoint)(job, draft)


def _tried_before(schedules: Schedules, job: models.Job) -> TriedBefore | None:
    with db.reader() as session:
        return schedules.tried_before(session, job)


def _remark(
    schedules: Schedules, attempt: Attempt, row: models.Checkpoint, gone: Collection[Resource]
) -> str | None:
    """One line about what is left out of a checkpoint; None when nothing is."""
    before = _tried_before(schedules, attempt.job)
    remarks = (
        resource_work.summary_of_gone(gone, row.resources_total),
        None if before is None else _summary_of_rest(before, row),
    )
    return '; '.join(remark for remark in remarks if remark) or None


def _summary_of_rest(before: TriedBefore, row: models.Checkpoint) -> str | None:
    """One line about what is good in the checkpoint before; None when all is in this one."""
    nodes = graph.walk_nodes(graph.deserialize(row.resource_graph))
    elsewhere = set(before.good) - {(node.value.type, node.value.id) for node in nodes}
    if not elsewhere:
        return None
    return (
        f'of {len(elsewhere)} resources, which did not fail before, the recovery points are in the '
        f'checkpoint {before.checkpoint_id}, of which they are restored by naming them'
    )


def _take_run_from_log(job: models.Job) -> None:
    """Complete a job that the release before has made, of schema 0003: its log has the rest.

    To be removed with the next migration whose ``oldest_code`` is not 0003 any more.
    """
    with db.reader() as session:
        log = operation_logs.of_job(session, job.id)
    extra_info = log.extra_info or {}
    job.plan_id = log.plan_id
    job.trigger_id = extra_info.get(constants.CHECKPOINT_TRIGGER_ID)
    if (fire_time := extra_info.get(constants.CHECKPOINT_FIRE_TIME)) is not None:
        job.fire_at = datetime.datetime.fromisoformat(fire_time)


def _write_checkpoint(
    session: orm.Session, job: models.Job, draft: drafts.Draft
) -> models.Checkpoint:
    job_rows.hold_claim(session, job)
    extra_info = {
        constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_BY_SCHEDULE,
        constants.CHECKPOINT_SCHEDULE_ID: job.scheduled_operation_id,
        constants.CHECKPOINT_TRIGGER_ID: job.trigger_id,
    }
    if job.fire_at is not None:
        extra_info[constants.CHECKPOINT_FIRE_TIME] = job.fire_at.isoformat(' ', 'seconds')
    row = draft.write(
        session,
        extra_info,
        checkpoint_id=job.checkpoint_id,
        scheduled_operation_id=job.scheduled_operation_id,
    )
    operation_logs.set_checkpoint(session, job.id, row.id)
    return row


def _record(session: orm.Session, job: models.Job, outcomes: Iterable[ResourceOutcome]) -> None:
    """Write what has become of recovery points."""
    recovery_points.record(session, job.checkpoint_id, map(_result, outcomes))


def _result(outcome: ResourceOutcome) -> recovery_points.Result:
    failure = outcome.failure
    return recovery_points.Result(
        resource=outcome.resource,
        state=State.GOOD if failure is None else State.FAILED,
        reason=None if failure is None else failure.reason,
        saved=saved_info.read(outcome.saved.told),
        is_to_be_asked=outcome.saved.is_to_be_asked and failure is None,
    )


def _end(session: orm.Session, job: models.Job, outcome: Outcome) -> str:
    if outcome.gone:
        row = session.get_one(models.Checkpoint, job.subject_id)
        resource_work.leave_out_of_row(row, outcome.gone)
        job_resources.forget(session, job.id, outcome.gone)
    status = _status_for(outcome.reason)
    checkpoints.set_status(session, job.subject_id, status, outcome.told)
    recovery_points.forget(session, job.checkpoint_id, outcome.gone)
    if outcome.reason:
        recovery_points.fail_unfinished(session, job.checkpoint_id, outcome.reason)
    return status
