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

"""Removes rows that are of no use to anybody any more.

What is removed is what has been over since before a moment: checkpoints that are deleted, with
their recovery points; restores and verifications; the jobs of all of them, and jobs that belong
to none; operation logs; troubles; and when triggers fired. What a user can still act on stays,
whatever its age.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.common import constants
from karbor.db import api as db
from karbor.db import jobs, models

# Rows that one transaction removes, so that nobody waits long for it; of checkpoints fewer, as
# each may have thousands of recovery points.
_BATCH = 500
_BATCH_OF_CHECKPOINTS = 5

# Table -> names of the kinds of jobs that are removed with its rows.
KindsWith = Mapping[type[models.Subject], Sequence[str]]

_OVER = (jobs.JobState.DONE, jobs.JobState.FAILED)


def count(before: datetime.datetime) -> dict[str, int]:
    """How many rows of which table :func:`purge` would remove first of all.

    Jobs that go with what they are about are not counted.
    """
    with db.reader() as session:
        return {
            name: session.scalar(
                sa.select(sa.func.count()).select_from(model).where(condition(before))
            )
            or 0
            for name, (model, condition) in _OLD.items()
        }


def purge(before: datetime.datetime, kinds_with: KindsWith) -> dict[str, int]:
    """Remove the rows; returns how many of which table.

    :param before: UTC without a zone; a row that was over by then goes.
    :param kinds_with: names of the kinds of jobs that are removed with rows of a table.
    """
    return {
        name: _purge(model, condition(before), kinds_with.get(model, ()))
        for name, (model, condition) in _OLD.items()
    }


def purge_logs(before: datetime.datetime) -> int:
    """Remove the operation logs of what has ended before a moment; returns how many.

    :param before: UTC without a zone.
    """
    return _purge(models.OperationLog, _old_log(before), ())


def purge_troubles(before: datetime.datetime) -> int:
    """Remove the troubles that are over since before a moment; returns how many.

    :param before: UTC without a zone.
    """
    return _purge(models.Trouble, models.Trouble.closed_at < before, ())


def _purge(model: Any, condition: sa.ColumnElement[bool], kinds: Sequence[str]) -> int:
    total = 0
    while removed := db.transaction(_purge_batch)(model, condition, kinds):
        total += removed
    return total


def _purge_batch(
    session: orm.Session, model: Any, condition: sa.ColumnElement[bool], kinds: Sequence[str]
) -> int:
    key = sa.inspect(model).primary_key
    batch = _BATCH_OF_CHECKPOINTS if model is models.Checkpoint else _BATCH
    keys = session.execute(sa.select(*key).where(condition).limit(batch)).all()
    if keys:
        _remove_dependents(session, model, [row[0] for row in keys], kinds)
        session.execute(sa.delete(model).where(sa.tuple_(*key).in_(map(tuple, keys))))
    return len(keys)


def _remove_dependents(
    session: orm.Session, model: Any, ids: Sequence[str], kinds: Sequence[str]
) -> None:
    if model is models.Job:
        session.execute(sa.delete(models.JobResource).where(models.JobResource.job_id.in_(ids)))
    elif model is models.Checkpoint:
        session.execute(
            sa.delete(models.RecoveryPoint).where(models.RecoveryPoint.checkpoint_id.in_(ids))
        )
        _remove_jobs(
            session, sa.and_(models.Job.checkpoint_id.in_(ids), models.Job.kind.in_(kinds))
        )
    elif model in (models.Restore, models.Verification):
        session.execute(
            sa.delete(models.ResourceResult).where(models.ResourceResult.subject_id.in_(ids))
        )
        _remove_jobs(session, sa.and_(models.Job.subject_id.in_(ids), models.Job.kind.in_(kinds)))


def _remove_jobs(session: orm.Session, condition: sa.ColumnElement[bool]) -> None:
    gone = sa.select(models.Job.id).where(condition)
    session.execute(sa.delete(models.JobResource).where(models.JobResource.job_id.in_(gone)))
    session.execute(sa.delete(models.Job).where(condition))


def _old(model: Any, before: datetime.datetime) -> sa.ColumnElement[bool]:
    return sa.func.coalesce(model.updated_at, model.created_at) < before


def _old_use(model: Any) -> Callable[[datetime.datetime], sa.ColumnElement[bool]]:
    return lambda before: sa.and_(
        model.status != constants.OperationStatus.IN_PROGRESS, _old(model, before)
    )


def _old_checkpoint(before: datetime.datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        models.Checkpoint.status == constants.CheckpointStatus.DELETED,
        _old(models.Checkpoint, before),
    )


def _old_job(before: datetime.datetime) -> sa.ColumnElement[bool]:
    """Of a run that never had a checkpoint, or of something that is purged already."""
    return sa.and_(
        models.Job.state.in_(_OVER),
        _old(models.Job, before),
        sa.not_(sa.exists().where(models.Checkpoint.id == models.Job.checkpoint_id)),
    )


def _old_log(before: datetime.datetime) -> sa.ColumnElement[bool]:
    """That of a job that is parked is needed when the job is retried."""
    unfinished = sa.exists().where(
        models.Job.id == models.OperationLog.id, models.Job.state.not_in(_OVER)
    )
    return sa.and_(
        models.OperationLog.created_at < before,  # has an index, and is never after the end
        models.OperationLog.ended_at < before,
        sa.not_(unfinished),
    )


_OLD: dict[str, tuple[Any, Callable[[datetime.datetime], sa.ColumnElement[bool]]]] = {
    'restores': (models.Restore, _old_use(models.Restore)),
    'verifications': (models.Verification, _old_use(models.Verification)),
    'checkpoints': (models.Checkpoint, _old_checkpoint),
    'jobs': (models.Job, _old_job),
    'operation_logs': (models.OperationLog, _old_log),
    'troubles': (models.Trouble, lambda before: models.Trouble.closed_at < before),
    'trigger_fires': (models.TriggerFire, lambda before: models.TriggerFire.fired_at < before),
}
