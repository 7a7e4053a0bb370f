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

"""What the retention of a scheduled operation makes of the checkpoints of its plan.

It is a job of its own, which begins in the transaction in which a run of the operation ends
well. It asks for deletes; each of them is a job again.
"""

import datetime
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import checkpoints, models, operation_logs, schedules
from karbor.db import jobs as job_rows
from karbor.db import plans as plan_rows
from karbor.services.checkpoints import commands
from karbor.services.jobs import kinds
from karbor.services.jobs.kinds import Attempt, JobKind, Outcome
from karbor.services.schedules import retention, time_triggers

LOG = logging.getLogger(__name__)

# Of so many checkpoints the log of one retention tells why they are removed.
_MOST_TOLD = 100


def begin(session: orm.Session, job: models.Job) -> models.Job | None:
    """After a run that ended well, the job of the operation's retention, if it has one.

    :param job: the run.
    """
    operation = _with_retention(session, job.scheduled_operation_id)
    if operation is None:
        return None
    made = job_rows.create(
        session,
        job_rows.NewJob(
            kind=constants.OperationType.RETENTION,
            subject_id=operation.id,
            checkpoint_id=job.checkpoint_id,
            provider_id=job.provider_id,
            project_id=job.project_id,
            user_id=job.user_id,
            trust_id=job.trust_id,
            scheduled_operation_id=operation.id,
        ),
    )
    operation_logs.begin(
        session,
        karbor_context.RequestContext(job.user_id, job.project_id),
        constants.OperationType.RETENTION,
        constants.OperationStatus.IN_PROGRESS,
        id=made.id,
        checkpoint_id=job.checkpoint_id,
        plan_id=operation.plan_id,
        provider_id=job.provider_id,
        scheduled_operation_id=operation.id,
    )
    return made


def _with_retention(
    session: orm.Session, operation_id: str | None
) -> models.ScheduledOperation | None:
    """A scheduled operation, if it is there and has a retention."""
    operation = session.get(models.ScheduledOperation, operation_id) if operation_id else None
    has_one = (
        operation is not None
        and operation.operation_type == constants.ScheduledOperationType.RETENTION_PROTECT
    )
    return operation if has_one else None


class Retention:
    """What the API asks about retention."""

    def preview(
        self, context: karbor_context.RequestContext, plan_id: str, rules: Mapping[str, Any]
    ) -> list[retention.Verdict]:
        """What some rules would keep and remove of a plan's checkpoints now.

        :param rules: as in the definition of a scheduled operation, and a ``timezone``.
        :raises InvalidInput: names the rule, or the time zone, and the fault.
        :raises PlanNotFound:
        """
        zone = zoneinfo.ZoneInfo(time_triggers.timezone(rules))
        policy = retention.parse(rules)
        with db.reader() as session:
            plan_rows.get(session, context.project_id, plan_id)
            rows = _available(session, context.project_id, plan_id)
            return _judge(rows, policy, zone, now=db.now(session))


def _run(attempt: Attempt) -> Outcome:
    environment = attempt.environment
    deletes = commands.Commands(
        environment.registry, environment.protectables, environment.post, environment.trusts
    )
    return Outcome(reason=_apply(deletes, attempt.context, attempt.job))


def _apply(
    deletes: commands.Commands, context: karbor_context.RequestContext, job: models.Job
) -> str | None:
    """Delete what no rule holds, and again what could not be deleted before.

    :param context: whom the job acts for.
    :returns: why some could not be asked for; they are tried again after the next run.
    """
    with db.reader() as session:
        operation = _with_retention(session, job.scheduled_operation_id)
        made = session.get(models.Checkpoint, job.checkpoint_id)
        if operation is None or made is None or made.plan_id != operation.plan_id:
            return (
                'nothing is removed: the scheduled operation has no retention of this plan any more'
            )
        verdicts = _judge_operation(session, operation, made.id)
        again = checkpoints.of_plan(
            session,
            job.project_id,
            operation.plan_id,
            status=constants.CheckpointStatus.ERROR_DELETING,
        )
    going = {
        verdict.candidate.id: '; '.join(verdict.reasons) for verdict in verdicts if not verdict.keep
    }
    going |= {row.id: 'an earlier delete of it failed' for row in again if not row.pinned}
    db.transaction(_tell)(job, sum(verdict.keep for verdict in verdicts), going)
    failures = [
        failure
        for checkpoint_id in going
        if (failure := _delete(deletes, context, job, checkpoint_id))
    ]
    return '; '.join(failures) or None


def _tell(session: orm.Session, job: models.Job, kept: int, going: Mapping[str, str]) -> None:
    """Write what goes to the log, with what went before the job was broken off."""
    job_rows.hold_claim(session, job)
    log = session.get_one(models.OperationLog, job.id)
    before = log.extra_info or {'removed': 0, 'reasons': {}}
    new = {key: reason for key, reason in going.items() if key not in before['reasons']}
    log.extra_info = {
        'kept': kept,
        'removed': before['removed'] + len(new),
        'reasons': dict(list({**before['reasons'], **new}.items())[:_MOST_TOLD]),
    }


def _delete(
    deletes: commands.Commands,
    context: karbor_context.RequestContext,
    job: models.Job,
    checkpoint_id: str,
) -> str | None:
    try:
        deletes.delete_checkpoint(context, job.provider_id, checkpoint_id, by_retention=job)
    except exception.CheckpointNotBeDeleted as exc:
        LOG.warning('Job %s: %s', job.id, exc.msg)
        return exc.msg
    return None


def relief(job: models.Job) -> str:
    """To be added to the reason when a quota is in the way of a run: what retention would do."""
    with db.reader() as session:
        operation = _with_retention(session, job.scheduled_operation_id)
        if operation is None:
            return ''
        verdicts = _judge_operation(session, operation)
        sizes = {
            row.id: row.resources_total
            for row in _available(session, operation.project_id, operation.plan_id)
        }
    going = [verdict.candidate.id for verdict in verdicts if not verdict.keep]
    return (
        f'; the retention of the scheduled operation would free {len(going)} checkpoints '
        f'with {sum(sizes.get(found, 0) for found in going)} resources, but it removes '
        f'nothing before a run ends well'
    )


def _judge_operation(
    session: orm.Session, operation: models.ScheduledOperation, just_made: str | None = None
) -> list[retention.Verdict]:
    trigger = schedules.get_trigger(session, operation.project_id, operation.trigger_id)
    zone = zoneinfo.ZoneInfo(time_triggers.load(trigger.properties).timezone)
    return _judge(
        _available(session, operation.project_id, operation.plan_id),
        retention.parse(operation.operation_definition),
        zone,
        now=db.now(session),
        just_made=just_made,
    )


def _available(session: orm.Session, project_id: str, plan_id: str) -> Sequence[Any]:
    return checkpoints.of_plan(
        session, project_id, plan_id, status=constants.CheckpointStatus.AVAILABLE
    )


def _judge(
    rows: Sequence[Any],
    policy: retention.Policy,
    zone: zoneinfo.ZoneInfo,
    *,
    now: datetime.datetime,
    just_made: str | None = None,
) -> list[retention.Verdict]:
    return retention.judge(
        (retention.Candidate(row.id, row.created_at, row.pinned) for row in rows),
        policy,
        now,
        zone,
        just_made,
    )


KIND = JobKind(
    name=constants.OperationType.RETENTION,
    run=_run,
    end=kinds.end_without_subject,
    running=constants.OperationStatus.IN_PROGRESS,
    failed=constants.OperationStatus.FAIL,
    table=None,
)
