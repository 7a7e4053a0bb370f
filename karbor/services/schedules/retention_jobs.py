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

"""What the retention of a scheduled operation makes of recovery points.

It is a job of its own, which begins in the transaction in which a run of the operation ends, well
or not. It asks for deletes and removals; each of them is a job again.
"""

import dataclasses
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import models, operation_logs, schedules
from karbor.db import plans as plan_rows
from karbor.services.checkpoints import commands
from karbor.services.checkpoints.removing import Removal
from karbor.services.jobs import kinds
from karbor.services.jobs.kinds import Attempt, JobKind, Outcome
from karbor.services.schedules import (
    histories,
    removal_plans,
    retention,
    retention_looks,
    retention_scopes,
    time_triggers,
)
from karbor.services.schedules.removal_plans import Share

LOG = logging.getLogger(__name__)

# Of so many checkpoints the log of one retention tells why they are removed.
_MOST_TOLD = 100


def begin(session: orm.Session, job: models.Job) -> models.Job | None:
    """After a run, the job of the operation's retention, if it has one.

    :param job: the run.
    """
    operation = _with_retention(session, job.scheduled_operation_id)
    if operation is None:
        return None
    retention_job = job_rows.create(
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
        id=retention_job.id,
        checkpoint_id=_made_by(session, job),
        plan_id=operation.plan_id,
        provider_id=job.provider_id,
        scheduled_operation_id=operation.id,
    )
    return retention_job


def _made_by(session: orm.Session, run: models.Job) -> str | None:
    """The id of the checkpoint that a run has made, if it came so far."""
    return run.checkpoint_id if session.get(models.Checkpoint, run.checkpoint_id) else None


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


def _run(attempt: Attempt) -> Outcome:
    """Ask for the deletion of what no rule holds, and again of what failed before."""
    job = attempt.job
    with db.reader() as session:
        operation = _with_retention(session, job.scheduled_operation_id)
        if operation is None:
            return Outcome(reason='nothing is removed: the scheduled operation has no retention')
        contents = _contents(
            session, operation, retention_scopes.parse(operation.operation_definition)
        )
        rules = _rules_of(session, operation, just_made=job.checkpoint_id)
    try:
        judgement = retention_looks.judge(attempt, contents, rules)
    except retention_looks.CannotLook as exc:
        return Outcome(reason=f'nothing is removed: {exc}')
    shares = removal_plans.shares(contents, judgement.parts)
    db.transaction(_tell)(job, shares)
    removals = removal_plans.removals(contents, shares)
    obstacles = [] if judgement.doubt is None else [judgement.doubt]
    begun = dict(_remove_all(attempt, removals.values(), obstacles))
    if len(begun) < len(removals) or any(begun[name] < _size(removals[name]) for name in begun):
        db.transaction(_take_back)(job, shares, begun)
    if obstacles:
        return Outcome(reason=_together([*obstacles, *judgement.lost]))
    return Outcome(remark=_together(judgement.lost) if judgement.lost else None)


def _together(sentences: Sequence[str]) -> str:
    more = len(sentences) - _MOST_TOLD
    return '; '.join([*sentences[:_MOST_TOLD], *([f'and {more} more'] if more > 0 else [])])


def _size(removal: Removal) -> int:
    return sum(len(unit) for unit in removal.units)


def _remove_all(
    attempt: Attempt, removals: Iterable[Removal], obstacles: list[str]
) -> Iterator[tuple[str, int]]:
    """Ask for what is to go; gives each checkpoint of which something goes, and of how many
    resources.

    What could not be asked for is tried again after the next run.

    :param obstacles: gets the reasons for that.
    """
    environment = attempt.environment
    asked = commands.Commands(
        environment.registry, environment.protectables, environment.post, environment.trusts
    )
    for removal in removals:
        try:
            going = asked.remove_points(attempt.context, removal, attempt.job)
        except (
            exception.CheckpointNotBeDeleted,
            exception.CheckpointNotFound,
            exception.ProviderNotFound,
        ) as exc:
            LOG.warning('Job %s: %s', attempt.job.id, exc.msg)
            obstacles.append(exc.msg)
        else:
            yield removal.checkpoint_id, len(going)


def _tell(session: orm.Session, job: models.Job, shares: Sequence[Share]) -> None:
    """Write what goes to the log, with what went before the job was broken off."""
    job_rows.hold_claim(session, job)
    log = session.get_one(models.OperationLog, job.id)
    before = log.extra_info or {'removed': 0, 'recovery_points_removed': 0, 'reasons': {}}
    new = [
        share
        for share in shares
        if share.removal_reasons and share.checkpoint_id not in before['reasons']
    ]
    reasons = {
        **before['reasons'],
        **{share.checkpoint_id: '; '.join(share.removal_reasons) for share in new},
    }
    log.extra_info = {
        'kept': sum(share.is_kept for share in shares),
        'removed': before['removed'] + sum(not share.is_kept for share in new),
        'recovery_points_kept': sum(share.points_kept for share in shares),
        'recovery_points_removed': (
            before['recovery_points_removed'] + sum(share.points_removed for share in new)
        ),
        'reasons': dict(list(reasons.items())[:_MOST_TOLD]),
    }


def _take_back(
    session: orm.Session, job: models.Job, shares: Sequence[Share], begun: Mapping[str, int]
) -> None:
    """Write to the log that some of what was to go stays.

    :param begun: by checkpoint of which something goes, of how many resources.
    """
    job_rows.hold_claim(session, job)
    log = session.get_one(models.OperationLog, job.id)
    told = dict(log.extra_info or {})
    reasons = dict(told['reasons'])
    for share in shares:
        staying = share.points_removed - begun.get(share.checkpoint_id, 0)
        if not share.removal_reasons or (share.checkpoint_id in begun and not staying):
            continue
        told['recovery_points_kept'] += staying
        told['recovery_points_removed'] -= staying
        told['kept'] += not share.is_kept
        told['removed'] -= not share.is_kept
        if share.checkpoint_id not in begun:
            reasons.pop(share.checkpoint_id, None)
    log.extra_info = {**told, 'reasons': reasons}


def has_removed(session: orm.Session, job: models.Job) -> bool:
    """Whether a retention has begun to remove something."""
    told = operation_logs.of_job(session, job.id).extra_info or {}
    return bool(told.get('removed') or told.get('recovery_points_removed'))


def relief(session: orm.Session, job: models.Job) -> str:
    """To be added to the reason when a quota is in the way of a run: what retention does."""
    operation = _with_retention(session, job.scheduled_operation_id)
    if operation is None:
        return ''
    if job.retry_of is not None:
        return '; retention has removed what it could before this run was tried again'
    contents = _contents(
        session,
        operation,
        retention_scopes.parse(operation.operation_definition),
        just_made=job.checkpoint_id,
    )
    parts = contents.histories.judge(_rules_of(session, operation, just_made=job.checkpoint_id))
    going = [share for share in removal_plans.shares(contents, parts) if share.removal_reasons]
    checkpoints = sum(not share.is_kept for share in going)
    resources = sum(share.points_removed for share in going)
    told = (
        '; the retention of the scheduled operation would free '
        f'{_counted(resources, "recovery point")} and {_counted(checkpoints, "checkpoint")}'
    )
    return told + ('; then the run is tried once more' if going else '')


def _counted(number: int, noun: str) -> str:
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


class Retention:
    """What the API asks about retention."""

    def preview_of_plan(
        self, context: karbor_context.RequestContext, plan_id: str, rules: Mapping[str, Any]
    ) -> list[Share]:
        """What some rules would keep and remove of all that a plan has now.

        :param rules: as in the definition of a scheduled operation, and a ``timezone``.
        :raises InvalidInput: names the rule, or the time zone, and the fault.
        :raises PlanNotFound:
        """
        zone = zoneinfo.ZoneInfo(time_triggers.timezone(rules))
        policy = retention.parse(rules)
        with db.reader() as session:
            plan_rows.get(session, context.project_id, plan_id)
            scope = retention_scopes.Scope(project_id=context.project_id, plan_id=plan_id)
            contents = retention_scopes.read(session, scope)
            judged_by = histories.Rules(policy=policy, now=db.now(session), zone=zone)
        return removal_plans.shares(contents, contents.histories.judge(judged_by))

    def preview_of_operation(
        self,
        context: karbor_context.RequestContext,
        operation_id: str,
        changes: Mapping[str, Any],
    ) -> list[Share]:
        """What the retention of a scheduled operation would keep and remove now.

        :param changes: rules that take the place of all those in its definition, its
            ``retention_scope``, and a ``timezone`` in place of its trigger's; each may be left out.
        :raises InvalidInput: names the rule, the scope or the time zone, and the fault.
        :raises ScheduledOperationNotFound:
        """
        with db.reader() as session:
            operation = schedules.get_operation(session, context.project_id, operation_id)
            rules = _rules_of(session, operation)
            if any(name in retention.RULES for name in changes):
                rules = dataclasses.replace(rules, policy=retention.parse(changes))
            if 'timezone' in changes:
                zone = zoneinfo.ZoneInfo(time_triggers.timezone(changes))
                rules = dataclasses.replace(rules, zone=zone)
            scope = retention_scopes.parse({**operation.operation_definition, **changes})
            contents = _contents(session, operation, scope)
        return removal_plans.shares(contents, contents.histories.judge(rules))


def _contents(
    session: orm.Session,
    operation: models.ScheduledOperation,
    scope: retention_scopes.RetentionScope,
    just_made: str | None = None,
) -> retention_scopes.Contents:
    return retention_scopes.read(
        session, retention_scopes.of_operation(operation, scope), just_made
    )


def _rules_of(
    session: orm.Session, operation: models.ScheduledOperation, just_made: str | None = None
) -> histories.Rules:
    """What the points of an operation are judged by."""
    trigger = schedules.get_trigger(session, operation.project_id, operation.trigger_id)
    return histories.Rules(
        policy=retention.parse(operation.operation_definition),
        now=db.now(session),
        zone=zoneinfo.ZoneInfo(time_triggers.load(trigger.properties).timezone),
        just_made=just_made,
    )


def kind(
    lock: Callable[[orm.Session, models.Job], None],
    follow: Callable[[orm.Session, models.Job, Outcome], Sequence[models.Job]],
) -> JobKind:
    """The kind.

    :param lock: keeps runs of the same scheduled operation from being added or ended meanwhile.
    :param follow: the jobs that begin when it ends.
    """
    return JobKind(
        name=constants.OperationType.RETENTION,
        run=_run,
        end=kinds.end_without_subject,
        running=constants.OperationStatus.IN_PROGRESS,
        failed=constants.OperationStatus.FAIL,
        table=None,
        lock=lock,
        follow=follow,
    )
