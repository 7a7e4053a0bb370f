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

"""Queries on jobs.

A job is ``pending`` until a worker takes it, ``running`` while it works, and ends as
``done`` or ``failed``. One that a scheduled operation has started is ``queued`` before, while
an earlier run of the same operation, or what that waits for, is not over. ``done`` says that the
job came to its end, not that every resource did well: that is said on what the job is about.
``parked`` is a job that was begun too often; it waits for an administrator.

``attempts`` tells one claim from the next; ``tries`` counts those that came to no end, since one
has got on.
"""

import dataclasses
import datetime
import enum
from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.common import constants, leases
from karbor.db import clock, holds, models


class JobState(enum.StrEnum):
    """See above."""

    QUEUED = 'queued'
    PENDING = 'pending'
    RUNNING = 'running'
    DONE = 'done'
    FAILED = 'failed'
    PARKED = 'parked'


# By how much the clock of a database may be ahead of that of the host from which it has taken
# over. The worker that holds a lease does not know of it until its next renewal.
CLOCK_MARGIN = datetime.timedelta(seconds=2)

# Lease of what nobody renews, in seconds: a bank in an object store may try for as long.
LONGEST_UNRENEWED = 900

# Since when a job is quiet that has never sent anything.
_ALWAYS = datetime.datetime(1970, 1, 1)

#: Whether a job waits for a worker, whatever it is. Idle workers ask it all the time.
ANY_PENDING = (
    sa.select(models.Job.__table__.c.id)
    .where(models.Job.__table__.c.state == JobState.PENDING)
    .limit(1)
)

UNFINISHED = (JobState.QUEUED, JobState.PENDING, JobState.RUNNING)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job that is to be written.

    :ivar kind: name of its kind.
    :ivar subject_id: of what it is about.
    :ivar trust_id: the trust by which it acts.
    :ivar plan_id: of a run of a scheduled operation, the plan that it had at that time.
    :ivar trigger_id: of a run, the trigger that it waited for.
    :ivar fire_at: of a run that a trigger has started, the moment for which it fired.
    :ivar retry_of: of a run that is tried once more, the job of the one before.
    """

    kind: str
    subject_id: str
    checkpoint_id: str
    provider_id: str
    project_id: str
    user_id: str | None
    trust_id: str | None = None
    scheduled_operation_id: str | None = None
    plan_id: str | None = None
    trigger_id: str | None = None
    fire_at: datetime.datetime | None = None
    retry_of: str | None = None
    state: JobState = JobState.PENDING


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scope:
    """Which jobs a worker can do.

    :ivar kinds: names of the kinds that it knows.
    :ivar provider_ids: of the providers that it has loaded.
    """

    kinds: frozenset[str]
    provider_ids: frozenset[str]


def create(session: orm.Session, new: NewJob) -> models.Job:
    """Write a job; returns its row."""
    job = models.Job(**{field.name: getattr(new, field.name) for field in dataclasses.fields(new)})
    session.add(job)
    session.flush()
    return job


def claim(session: orm.Session, job_id: str, lease: float | None) -> models.Job | None:
    """Take a pending job; None when another worker was first or it is over.

    :param lease: for how long others may not take it unless the claim is renewed, in seconds;
        None when nobody else works on this database.
    """
    now = clock.now(session)
    until = None if lease is None else now + datetime.timedelta(seconds=lease)
    row = models.Job
    # While it was claimed, an attempt may have sent something.
    end_of_last = sa.case((row.claimed_until < now, row.claimed_until), else_=now)
    quiet_since = sa.case((row.attempts > 0, sa.func.coalesce(row.quiet_since, end_of_last)))
    taken = session.execute(
        sa.update(row)
        .where(row.id == job_id, row.state == JobState.PENDING)
        .ordered_values(  # MariaDB: what is set first is seen by what follows
            (row.quiet_since, quiet_since),
            (row.state, JobState.RUNNING),
            (row.claimed_until, until),
            (row.attempts, row.attempts + 1),
            (row.tries, row.tries + 1),
        )
    )
    return session.get(row, job_id) if taken.rowcount else None  # type: ignore[attr-defined]


def quiet_for(session: orm.Session, job: models.Job) -> float | None:
    """For how long no earlier attempt has sent anything that changes a cloud, in seconds.

    :param job: just claimed.
    :returns: None of the first attempt.
    """
    if job.quiet_since is None:
        return None
    return (clock.now(session) - job.quiet_since).total_seconds()


def begin_sending(session: orm.Session, job: models.Job) -> None:
    """Write that the attempt is about to change something in a cloud.

    :raises LeaseLost: another has the job.
    """
    if not session.execute(_claimed(job).values(quiet_since=None)).rowcount:  # type: ignore[attr-defined]
        raise leases.LeaseLost


def renew(session: orm.Session, jobs: Collection[models.Job], lease: float) -> set[str]:
    """Keep claims; returns the ids of the jobs whose claims were still there.

    :param lease: for how long others may not take them from now on, in seconds.
    """
    until = clock.now(session) + datetime.timedelta(seconds=lease)
    return {
        job.id
        for job in jobs
        if session.execute(_claimed(job).values(claimed_until=until)).rowcount  # type: ignore[attr-defined]
    }


def pause(
    session: orm.Session,
    job: models.Job,
    seconds: float,
    *,
    has_sent: bool,
    hold: holds.Hold | None = None,
) -> None:
    """Let a job begin again later, which does not count as a try.

    :param has_sent: whether the attempt, which is over, may have changed something in a cloud.
    :param hold: what the job is held back by.
    """
    now = clock.now(session)
    held = {} if hold is None else {'error': hold.as_error()}
    session.execute(
        _claimed(job).values(
            claimed_until=now + datetime.timedelta(seconds=seconds),
            quiet_since=now if has_sent else job.quiet_since or _ALWAYS,
            tries=models.Job.tries - 1,
            **held,
        )
    )


def note_progress(session: orm.Session, job: models.Job) -> None:
    """Write that the attempt has got on: of the tries, this one is the first."""
    if job.tries > 1 or job.error is not None:
        session.execute(_claimed(job).values(tries=1, error=None))


def hand_back(session: orm.Session, jobs: Collection[models.Job]) -> None:
    """Let others begin jobs anew, which does not count as a try."""
    now = clock.now(session)
    for job in jobs:
        session.execute(
            _claimed(job).values(
                state=JobState.PENDING, claimed_until=now, tries=models.Job.tries - 1
            )
        )


def _is_claimed(job: models.Job) -> sa.ColumnElement[bool]:
    """Whether the row of a job is that claim's: each claim is an attempt more."""
    return sa.and_(
        models.Job.id == job.id,
        models.Job.state == JobState.RUNNING,
        models.Job.attempts == job.attempts,
    )


def _claimed(job: models.Job) -> sa.Update:
    return sa.update(models.Job).where(_is_claimed(job))


def hand_back_expired(session: orm.Session, lease: float) -> int:
    """Make the jobs of workers that are gone pending; returns how many.

    A lease that ends later than any that is given comes from a clock that was set back. It is
    shortened, which leaves a worker that is there the time to renew it.

    :param lease: that of workers, in seconds.
    """
    now = clock.now(session)
    latest = now + datetime.timedelta(seconds=max(lease, LONGEST_UNRENEWED))
    session.execute(
        sa.update(models.Job)
        .where(
            models.Job.state == JobState.RUNNING,
            models.Job.claimed_until > latest + CLOCK_MARGIN,
        )
        .values(claimed_until=latest)
    )
    expired = session.execute(
        sa.update(models.Job)
        .where(models.Job.state == JobState.RUNNING, is_expired(now))
        .values(state=JobState.PENDING)
    )
    return int(expired.rowcount)  # type: ignore[attr-defined]


def is_expired(now: datetime.datetime) -> sa.ColumnElement[bool]:
    """Whether a lease has ended.

    :param now: by the clock of the database.
    """
    return models.Job.claimed_until < now - CLOCK_MARGIN


def count_running(session: orm.Session) -> int:
    """How many jobs run, in all processes."""
    return (
        session.scalar(sa.select(sa.func.count()).where(models.Job.state == JobState.RUNNING)) or 0
    )


def are_crowded(session: orm.Session, count: int) -> bool:
    """Whether more jobs than that are pending."""
    return (
        len(
            session.scalars(
                sa.select(models.Job.id)
                .where(models.Job.state == JobState.PENDING)
                .limit(count + 1)
            ).all()
        )
        > count
    )


def finished(session: orm.Session, job_ids: Collection[str]) -> set[str]:
    """Those of some jobs that are over, or not there."""
    unfinished = session.scalars(
        sa.select(models.Job.id).where(models.Job.id.in_(job_ids), models.Job.state.in_(UNFINISHED))
    )
    return set(job_ids).difference(unfinished)


def finish(session: orm.Session, job: models.Job, state: str, error: str | None = None) -> bool:
    """End a job; False when the claim on it was lost to another worker."""
    ended = session.execute(_claimed(job).values(state=state, error=error))
    return bool(ended.rowcount)  # type: ignore[attr-defined]


def unfinished_of_checkpoint(session: orm.Session, checkpoint_id: str) -> list[str]:
    """The kinds of the jobs that a checkpoint still waits for."""
    return list(
        session.scalars(
            sa.select(models.Job.kind).where(
                models.Job.checkpoint_id == checkpoint_id, models.Job.state.in_(UNFINISHED)
            )
        )
    )


def unfinished_runs(session: orm.Session, scheduled_operation_id: str) -> Sequence[models.Job]:
    """The protects that a scheduled operation has started and that are not over, oldest first."""
    return session.scalars(
        sa.select(models.Job)
        .where(
            models.Job.scheduled_operation_id == scheduled_operation_id,
            models.Job.kind == constants.OperationType.PROTECT,
            models.Job.state.in_(UNFINISHED),
        )
        .order_by(models.Job.created_at, models.Job.id)
        .execution_options(populate_existing=True)
    ).all()


def goes_on(session: orm.Session, scheduled_operation_id: str) -> bool:
    """Whether a run of a scheduled operation, its retention or a deletion by that is not over.

    One that waits for their end does not count.
    """
    return (
        session.scalar(
            sa.select(models.Job.id)
            .where(
                models.Job.scheduled_operation_id == scheduled_operation_id,
                models.Job.state.in_((JobState.PENDING, JobState.RUNNING)),
            )
            .limit(1)
        )
        is not None
    )


def is_removal_left(session: orm.Session, scheduled_operation_id: str) -> bool:
    """Whether something that the newest retention has asked for is not removed: it goes on, or it
    has failed.
    """
    job = models.Job
    newest_retention = (
        sa.select(sa.func.max(job.created_at))
        .where(
            job.scheduled_operation_id == scheduled_operation_id,
            job.kind == constants.OperationType.RETENTION,
        )
        .scalar_subquery()
    )
    left = (
        sa.select(job.id)
        .where(
            job.scheduled_operation_id == scheduled_operation_id,
            job.kind.in_((constants.OperationType.DELETE, constants.OperationType.REMOVE)),
            job.created_at >= newest_retention,
            sa.or_(job.state.in_(UNFINISHED), job.error.is_not(None)),
        )
        .limit(1)
    )
    return session.scalar(left) is not None


def change_state(session: orm.Session, job_id: str, state: str, then: str) -> bool:
    """Change the state of a job that has a certain one; returns whether it had."""
    changed = session.execute(
        sa.update(models.Job)
        .where(models.Job.id == job_id, models.Job.state == state)
        .values(state=then)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def hold_claim(session: orm.Session, job: models.Job) -> None:
    """Keep a claim as it is until the transaction ends, which writes what the attempt has done.

    :raises LeaseLost: another has the job.
    """
    claimed = session.scalar(
        sa.select(models.Job.id).where(_is_claimed(job)).with_for_update(read=True)
    )
    if claimed is None:
        raise leases.LeaseLost


def take_up_again(session: orm.Session) -> Sequence[str]:
    """Make every unfinished job pending, for the one process that works on this database.

    :returns: their ids, oldest first.
    """
    session.execute(
        sa.update(models.Job)
        .where(models.Job.state == JobState.RUNNING)
        .values(state=JobState.PENDING)
    )
    return session.scalars(
        sa.select(models.Job.id)
        .where(models.Job.state == JobState.PENDING)
        .order_by(models.Job.created_at)
    ).all()
