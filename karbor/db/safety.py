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

"""Queries on safety checkpoints: of what a restore in place overwrites, for some time."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import jobs, models

_REMOVABLE = (
    constants.CheckpointStatus.AVAILABLE,
    constants.CheckpointStatus.ERROR,
    constants.CheckpointStatus.ERROR_DELETING,
)


def restores_of(
    session: orm.Session, checkpoint_id: str, states: Sequence[jobs.JobState]
) -> Sequence[models.Job]:
    """The jobs of restores that overwrite what a safety checkpoint is of.

    :param states: in which they are.
    """
    return session.scalars(
        sa.select(models.Job)
        .join(models.Restore, models.Restore.id == models.Job.subject_id)
        .where(models.Restore.safety_checkpoint_id == checkpoint_id, models.Job.state.in_(states))
        .execution_options(populate_existing=True)
    ).all()


def choosing(session: orm.Session, project_id: str) -> Sequence[tuple[models.Restore, str]]:
    """The restores of a project with choices that are not finished, and their resource graphs."""
    found = session.execute(
        sa.select(models.Restore, models.Checkpoint.resource_graph)
        .join(models.Job, models.Job.subject_id == models.Restore.id)
        .join(models.Checkpoint, models.Checkpoint.id == models.Restore.checkpoint_id)
        .where(
            models.Job.project_id == project_id,
            models.Job.kind == constants.OperationType.CHOSEN_RESTORE,
            models.Job.state.in_(jobs.UNFINISHED),
        )
        .order_by(models.Restore.created_at, models.Restore.id)
    )
    return [(restore, resource_graph) for restore, resource_graph in found]


def expired(
    session: orm.Session, now: datetime.datetime, limit: int
) -> Sequence[models.Checkpoint]:
    """Those whose time is over, but for any that has the only good point of a resource."""
    return session.scalars(
        sa.select(models.Checkpoint)
        .where(
            models.Checkpoint.expires_at <= now,
            models.Checkpoint.status.in_(_REMOVABLE),
            sa.not_(_has_last_point()),
        )
        .order_by(models.Checkpoint.expires_at)
        .limit(limit)
    ).all()


def _has_last_point() -> sa.ColumnElement[bool]:
    """Whether a resource in the checkpoint of the row has no other good point."""
    own, other = orm.aliased(models.RecoveryPoint), orm.aliased(models.RecoveryPoint)
    return sa.exists().where(
        own.checkpoint_id == models.Checkpoint.id,
        own.state == State.GOOD,
        sa.not_(
            sa.exists().where(
                other.project_id == own.project_id,
                other.resource_id == own.resource_id,
                other.resource_type == own.resource_type,
                other.state == State.GOOD,
                other.checkpoint_id != own.checkpoint_id,
            )
        ),
    )


def take(
    session: orm.Session, checkpoint: models.Checkpoint, until: datetime.datetime
) -> models.Job | None:
    """Take an expired one for its deletion; None when another process was quicker.

    :param until: when it is tried again, if it is there still.
    :returns: a job that tells for whom and by what trust: the one that has made it, or of one that
        was rebuilt the newest of the project.
    """
    taken = session.execute(
        sa.update(models.Checkpoint)
        .where(
            models.Checkpoint.id == checkpoint.id,
            models.Checkpoint.expires_at == checkpoint.expires_at,
        )
        .values(expires_at=until)
        .execution_options(synchronize_session=False)
    )
    if not taken.rowcount:  # type: ignore[attr-defined]
        return None
    maker = session.scalar(
        sa.select(models.Job).where(
            models.Job.subject_id == checkpoint.id,
            models.Job.kind == constants.OperationType.SAFETY_PROTECT,
        )
    )
    return maker or _newest_that_can_act(session, checkpoint.project_id)


def _newest_that_can_act(session: orm.Session, project_id: str) -> models.Job | None:
    """The newest job of a project whose trust is live; or, where there are none, that has none."""
    return session.scalar(
        sa.select(models.Job)
        .outerjoin(models.Trust, models.Trust.id == models.Job.trust_id)
        .where(
            models.Job.project_id == project_id,
            sa.or_(models.Trust.live_key.is_not(None), models.Job.trust_id.is_(None)),
        )
        .order_by(
            models.Trust.live_key.is_(None), models.Job.created_at.desc(), models.Job.id.desc()
        )
        .limit(1)
    )


def needs_trust() -> sa.ColumnElement[bool]:
    """Whether a checkpoint that will expire is to be deleted by the trust of the row."""
    return sa.exists().where(
        models.Job.trust_id == models.Trust.id,
        models.Job.kind == constants.OperationType.SAFETY_PROTECT,
        models.Job.subject_id == models.Checkpoint.id,
        models.Checkpoint.expires_at.is_not(None),
        models.Checkpoint.status != constants.CheckpointStatus.DELETED,
    )
