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

"""Queries on what the database knows of things that are in Cinder.

Each is given at most :data:`BATCH` ids, so that no statement grows with the cloud.
"""

import datetime
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.common import constants
from karbor.db import jobs, models

BATCH = 500

# How wrong the clocks of hosts may be; nobody measures it.
_SKEW = datetime.timedelta(hours=1)

# A parked job may be tried again.
_UNFINISHED = (*jobs.UNFINISHED, jobs.JobState.PARKED)


def batches(ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The ids in parts that one statement may have."""
    remaining = iter(ids)
    while batch := tuple(itertools.islice(remaining, BATCH)):
        yield batch


def checkpoint_statuses(session: orm.Session, ids: Collection[str]) -> dict[str, str]:
    """Status by id, of the checkpoints that have a row."""
    return {
        row.id: row.status
        for row in session.execute(
            sa.select(models.Checkpoint.id, models.Checkpoint.status).where(
                models.Checkpoint.id.in_(ids)
            )
        )
    }


def restore_statuses(session: orm.Session, ids: Collection[str]) -> dict[str, str]:
    """Status by id, of the restores that have a row."""
    return {
        row.id: row.status
        for row in session.execute(
            sa.select(models.Restore.id, models.Restore.status).where(models.Restore.id.in_(ids))
        )
    }


def busy_checkpoints(session: orm.Session, ids: Collection[str]) -> set[str]:
    """Those of the checkpoints that a job still works on, or may."""
    return set(
        session.scalars(
            sa.select(models.Job.checkpoint_id).where(
                models.Job.checkpoint_id.in_(ids), models.Job.state.in_(_UNFINISHED)
            )
        )
    )


def deleted_checkpoints(session: orm.Session, ids: Collection[str]) -> Sequence[str]:
    """Those of the checkpoints whose rows say that they are deleted, with no job left to do."""
    is_busy = sa.exists().where(
        models.Job.checkpoint_id == models.Checkpoint.id, models.Job.state.in_(_UNFINISHED)
    )
    return session.scalars(
        sa.select(models.Checkpoint.id).where(
            models.Checkpoint.id.in_(ids),
            models.Checkpoint.status == constants.CheckpointStatus.DELETED,
            sa.not_(is_busy),
        )
    ).all()


def deleted_after_reruns(
    session: orm.Session, provider_id: str, since: datetime.datetime
) -> Sequence[str]:
    """Deleted checkpoints of a provider on which a job has worked more than once lately.

    :param since: when the last of its jobs has changed at the earliest.
    """
    is_rerun = sa.exists().where(
        models.Job.checkpoint_id == models.Checkpoint.id,
        models.Job.attempts > 1,
        models.Job.updated_at >= since,
        models.Job.state.not_in(_UNFINISHED),
    )
    return session.scalars(
        sa.select(models.Checkpoint.id).where(
            models.Checkpoint.provider_id == provider_id,
            models.Checkpoint.status == constants.CheckpointStatus.DELETED,
            models.Checkpoint.updated_at >= since,
            is_rerun,
        )
    ).all()


def good_results(session: orm.Session, restore_ids: Collection[str]) -> set[tuple[str, str]]:
    """Restore and resource, of all resources that these restores have restored."""
    return {
        (row.subject_id, row.resource_id)
        for row in session.execute(
            sa.select(models.ResourceResult.subject_id, models.ResourceResult.resource_id).where(
                models.ResourceResult.subject_id.in_(restore_ids),
                models.ResourceResult.status == constants.ResourceStatus.AVAILABLE,
            )
        )
    }


def made(session: orm.Session, restore_ids: Collection[str]) -> set[tuple[str, str]]:
    """Restore and new resource, of all that the jobs of these restores have noted as made."""
    return {
        (row.subject_id, row.new_resource_id)
        for row in session.execute(
            sa.select(models.Job.subject_id, models.JobResource.new_resource_id)
            .join(models.JobResource, models.JobResource.job_id == models.Job.id)
            .where(
                models.Job.subject_id.in_(restore_ids),
                models.JobResource.new_resource_id.is_not(None),
            )
        )
    }


def live_checkpoints(session: orm.Session, provider_id: str) -> Sequence[str]:
    """The ids of a provider's checkpoints that are not deleted."""
    return session.scalars(
        sa.select(models.Checkpoint.id).where(
            models.Checkpoint.provider_id == provider_id,
            models.Checkpoint.status != constants.CheckpointStatus.DELETED,
        )
    ).all()


def has_checkpoints(session: orm.Session, provider_id: str) -> bool:
    """Whether there is any row of a checkpoint with a provider, whatever its status."""
    return (
        session.scalar(
            sa.select(models.Checkpoint.id)
            .where(models.Checkpoint.provider_id == provider_id)
            .limit(1)
        )
        is not None
    )


def remembers_since(session: orm.Session) -> datetime.datetime | None:
    """A moment since which this database was certainly written to; None if unknown.

    It is an hour after the oldest row, whose clock may have been slow. Rows of checkpoints tell
    nothing: those that were rebuilt are as old as what they stand for. Nor do those of processes,
    of which every host writes its own by its own clock.
    """
    found = [
        session.scalar(sa.select(sa.func.min(model.created_at)))
        for model in (models.Plan, models.OperationLog)
    ]
    oldest = min((moment for moment in found if moment is not None), default=None)
    return None if oldest is None else oldest + _SKEW
