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

"""Writes the recovery points that checkpoints lack, from graphs and jobs.

Checkpoints that are older than recovery points lack them, and so do those that a process of the
release before makes beside newer ones. What that does with points of newer ones, it does not
write either. All is done in small transactions, of which each leaves less to do: it can be broken
off at any moment and be done again, also by several at once. Each statement is about one part of
the checkpoints, which it finds by an index, however many there are.
"""

import collections
import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping, Sequence

import sqlalchemy as sa
from oslo_log import log as logging
from sqlalchemy import orm

from karbor.common import constants, origins
from karbor.common.constants import CheckpointStatus as Status
from karbor.common.constants import RecoveryPointState as State
from karbor.db import api as db
from karbor.db import jobs, models, recovery_points
from karbor.resource import Key, Resource

LOG = logging.getLogger(__name__)

# Points that a part has, about, and checkpoints.
_POINTS = 2000
_CHECKPOINTS = 100

_KINDS = (constants.OperationType.PROTECT, constants.OperationType.DELETE)

NOT_TOLD = 'It is older than recovery points, and nothing tells whether it is good.'

# What a point cannot be while its checkpoint is in a status, and no job ends it any more.
_WRONG: Mapping[str, Collection[State]] = {
    Status.AVAILABLE: (State.MAKING, State.DELETING),
    Status.ERROR: (State.MAKING, State.DELETING),
    Status.DELETING: (State.MAKING, State.GOOD, State.MISSING, State.UNKNOWN),
    Status.ERROR_DELETING: (State.MAKING, State.GOOD, State.DELETING),
    Status.DELETED: tuple(state for state in State if state != State.DELETED),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What the newest job of a kind tells of a checkpoint's resources.

    :ivar error: why the job itself failed; None when it did not.
    :ivar resources: type and id -> why it could not be done; None when it was.
    """

    error: str | None
    resources: Mapping[Key, str | None]


# By checkpoint and kind of job.
AllTold = Mapping[tuple[str, str], Told]


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """What a point is, and why."""

    state: State
    reason: str | None = None


# Ids of checkpoints that follow one another -> their statuses.
Part = Mapping[str, str]


def fill() -> int:
    """Write what is lacking, and what others have not; returns how many points that are."""
    return sum(map(_fill_part, parts()))


def parts() -> Iterator[Part]:
    """All checkpoints, as many at once as a transaction is for."""
    after = ''
    while True:
        with db.reader() as session:
            part = _next_part(session, after)
        if not part:
            return
        yield part
        after = list(part)[-1]  # by the order that the database has


def _next_part(session: orm.Session, after: str) -> Part:
    checkpoints = session.execute(
        sa.select(models.Checkpoint.id, models.Checkpoint.status, models.Checkpoint.resources_total)
        .where(models.Checkpoint.id > after)
        .order_by(models.Checkpoint.id)
        .limit(_CHECKPOINTS)
    ).all()
    part: dict[str, str] = {}
    total = 0
    for checkpoint_id, status, resources_total in checkpoints:
        total += resources_total
        if part and total > _POINTS:
            break
        part[checkpoint_id] = status
    return part


def _fill_part(part: Part) -> int:
    with db.reader() as session:
        states = recovery_points.states_of(session, part)
    lacking = [each for each in part if each not in states]
    astray = [each for each in states if states[each].intersection(_WRONG.get(part[each], ()))]
    written = db.transaction(_write)(lacking) if lacking else 0
    return written + (db.transaction(_settle)(astray) if astray else 0)


def _removed_from(session: orm.Session, ids: Sequence[str]) -> set[str]:
    """Those of some checkpoints some of whose points a job removes, which are so not astray."""
    return set(
        session.scalars(
            sa.select(models.Job.checkpoint_id).where(
                models.Job.checkpoint_id.in_(ids),
                models.Job.kind == constants.OperationType.REMOVE,
                models.Job.state.in_(jobs.UNFINISHED),
            )
        )
    )


def _write(session: orm.Session, ids: Sequence[str]) -> int:
    told = _told(session, ids)
    rows = []
    for checkpoint in _checkpoints(session, ids):
        points = []
        for resource in resources_of(checkpoint.resource_graph):
            judged = judge(checkpoint, resource.type, resource.id, told)
            points.append(
                recovery_points.Point(resource=resource, state=judged.state, reason=judged.reason)
            )
        operation_id = origins.scheduled_operation_id(checkpoint.extra_info)
        rows += recovery_points.rows_of(checkpoint, points, operation_id)
    return recovery_points.add_missing_rows(session, rows)


def _settle(session: orm.Session, ids: Sequence[str]) -> int:
    checkpoints = {each.id: each for each in _checkpoints(session, ids)}
    told = _told(session, ids)
    astray = collections.defaultdict(list)
    points = recovery_points.of_checkpoints(session, ids)
    removed_from = _removed_from(session, ids)
    for point in points:
        checkpoint = checkpoints.get(point.checkpoint_id)
        if point.checkpoint_id in removed_from:
            continue
        if checkpoint is not None and point.state in _WRONG.get(checkpoint.status, ()):
            judged = judge(checkpoint, point.resource_type, point.resource_id, told)
            astray[point.state, judged].append(point.id)
    return sum(
        recovery_points.settle(session, point_ids, state, judged.state, judged.reason)
        for (state, judged), point_ids in astray.items()
    )


def judge(
    checkpoint: models.Checkpoint, resource_type: str, resource_id: str, told: AllTold
) -> Judgement:
    """What a resource's point is, by its checkpoint and by what jobs have told.

    :param told: by checkpoint and kind of job, if there was one and its row is left.
    """
    key = resource_type, resource_id
    protect = told.get((checkpoint.id, constants.OperationType.PROTECT))
    delete = told.get((checkpoint.id, constants.OperationType.DELETE))
    if checkpoint.status == Status.DELETED:
        return Judgement(State.DELETED)
    if delete is not None and key in delete.resources:
        return _judged(State.DELETED, delete.resources[key])
    if checkpoint.status == Status.DELETING:
        return Judgement(State.DELETING)
    if checkpoint.status == Status.ERROR_DELETING:
        return Judgement(State.FAILED, checkpoint.status_reason)
    if delete is not None:  # it was to be deleted, and then its status was set by hand
        return Judgement(State.UNKNOWN, NOT_TOLD)
    if protect is not None and key in protect.resources:
        return _judged(State.GOOD, protect.resources[key])
    if checkpoint.status == Status.PROTECTING:
        return Judgement(State.MAKING)
    if protect is not None and checkpoint.status == Status.ERROR:
        return Judgement(State.FAILED, protect.error or checkpoint.status_reason)
    return Judgement(State.UNKNOWN, NOT_TOLD)


def _judged(good: State, reason: str | None) -> Judgement:
    return Judgement(good) if reason is None else Judgement(State.FAILED, reason)


def resources_of(resource_graph: str) -> list[Resource]:
    """The resources of a graph as rows have it; none of what is no graph."""
    try:
        nodes, _ = json.loads(resource_graph)
        return [Resource(*fields) for fields in nodes.values()]
    except (ValueError, TypeError, AttributeError):
        LOG.warning('The graph of a checkpoint cannot be read: %.100r', resource_graph)
        return []


def _checkpoints(session: orm.Session, ids: Sequence[str]) -> Sequence[models.Checkpoint]:
    """Checkpoints, locked, so that none gets another status before its points are written."""
    return session.scalars(
        sa.select(models.Checkpoint)
        .where(models.Checkpoint.id.in_(ids))
        .order_by(models.Checkpoint.id)
        .with_for_update()
    ).all()


def _told(session: orm.Session, ids: Sequence[str]) -> AllTold:
    """What the newest protect and the newest deletion of checkpoints tell."""
    jobs = {
        (job.subject_id, job.kind): job
        for job in session.execute(
            sa.select(models.Job.id, models.Job.subject_id, models.Job.kind, models.Job.error)
            .where(models.Job.subject_id.in_(ids), models.Job.kind.in_(_KINDS))
            .order_by(models.Job.created_at, models.Job.id)
        )
    }
    resources: dict[str, dict[Key, str | None]] = {job.id: {} for job in jobs.values()}
    for row in session.execute(
        sa.select(
            models.JobResource.job_id,
            models.JobResource.resource_type,
            models.JobResource.resource_id,
            models.JobResource.is_done,
            models.JobResource.reason,
        ).where(models.JobResource.job_id.in_(resources))
    ):
        reason = None if row.is_done else row.reason or ''
        resources[row.job_id][row.resource_type, row.resource_id] = reason
    return {key: Told(job.error, resources[job.id]) for key, job in jobs.items()}
