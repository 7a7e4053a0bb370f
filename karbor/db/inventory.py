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

Each is given at most a batch of ids: see :mod:`karbor.db.batches`.
"""

import datetime
import functools
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.common import constants
from karbor.common.accounts import Account
from karbor.db import jobs, models

# A parked job may be tried again.
_UNFINISHED = (*jobs.UNFINISHED, jobs.JobState.PARKED)
_OVER = (jobs.JobState.DONE, jobs.JobState.FAILED)


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


def restores(session: orm.Session, ids: Collection[str]) -> dict[str, models.Restore]:
    """Those that have a row, by id, with no more of them than their status and what they are of."""
    found = session.scalars(
        sa.select(models.Restore)
        .where(models.Restore.id.in_(ids))
        .options(
            orm.load_only(
                models.Restore.status,
                models.Restore.project_id,
                models.Restore.checkpoint_id,
                models.Restore.created_at,
            )
        )
    )
    return {row.id: row for row in found}


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


def accounts(session: orm.Session, ids: Collection[str]) -> dict[str, Account]:
    """How checkpoints were made, by their ids, of those that have a row."""
    last_change = sa.func.coalesce(models.Job.updated_at, models.Job.created_at)
    ended_at = sa.case((models.Job.state.in_(_OVER), last_change))
    made = session.execute(
        sa.select(
            models.Checkpoint.id,
            models.Checkpoint.project_id,
            models.Checkpoint.created_at,
            sa.func.max(ended_at).label('until'),
        )
        .outerjoin(
            models.Job,
            sa.and_(
                models.Job.checkpoint_id == models.Checkpoint.id,
                models.Job.kind.in_(constants.PROTECTS),
            ),
        )
        .where(models.Checkpoint.id.in_(ids))
        .group_by(models.Checkpoint.id, models.Checkpoint.project_id, models.Checkpoint.created_at)
    ).all()
    points = recorded_ids(session, ids)
    return {
        row.id: Account(
            project_id=row.project_id,
            since=row.created_at,
            until=functools.partial(_same, row.until),
            resource_ids=frozenset(points.get(row.id, ())),
            recorded=known_only(points.get(row.id, {})),
        )
        for row in made
    }


def _same(moment: datetime.datetime | None) -> datetime.datetime | None:
    return moment


def known_only(recorded: Mapping[str, str | None]) -> dict[str, str]:
    """What is known of what was made of resources, by their ids."""
    return {key: value for key, value in recorded.items() if value is not None}


def recorded_ids(
    session: orm.Session, checkpoint_ids: Collection[str]
) -> dict[str, dict[str, str | None]]:
    """What was made of the resources of checkpoints, by checkpoint and resource."""
    points: dict[str, dict[str, str | None]] = {}
    for row in session.execute(
        sa.select(
            models.RecoveryPoint.checkpoint_id,
            models.RecoveryPoint.resource_id,
            models.RecoveryPoint.cloud_id,
        ).where(models.RecoveryPoint.checkpoint_id.in_(checkpoint_ids))
    ):
        points.setdefault(row.checkpoint_id, {})[row.resource_id] = row.cloud_id
    return points
