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

"""Safety checkpoints: what a restore in place is about to overwrite, as it is now.

One is written with the restore, in one transaction, and made by a job like any other checkpoint;
the job of the restore is queued until that has ended, well or not. It is pinned, and expires; see
:mod:`safety_expiry`.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db
from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import checkpoints, models, recovery_points
from karbor.db import jobs as job_rows
from karbor.db import safety as rows
from karbor.resource import Key, Resource
from karbor.services import quotas
from karbor.services.checkpoints import job_begins
from karbor.services.jobs.kinds import JobKind, Outcome
from karbor.services.protection import graph, protection_plugin

DEFAULT_DAYS = 7


def write(
    session: orm.Session,
    context: karbor_context.RequestContext,
    restore: models.Restore,
    checkpoint: models.Checkpoint,
    resources: Sequence[Resource],
    *,
    trust_id: str | None,
) -> models.Job:
    """Write the safety checkpoint of a restore, with its job, which is to be posted.

    It is made with the parameters by which the checkpoint was made that is restored.

    :param checkpoint: that is restored.
    :param resources: those that are overwritten, and kept before that.
    :raises CheckpointLimitExceeded:
    """
    quotas.take(session, restore.project_id, quotas.CHECKPOINTS)
    now = db.now(session)
    days = (restore.choices or {}).get('safety_keep', DEFAULT_DAYS)
    row = checkpoints.create(
        session,
        created_at=now,
        project_id=restore.project_id,
        provider_id=restore.provider_id,
        plan_id=checkpoint.plan_id,
        status=constants.CheckpointStatus.PROTECTING,
        protection_plan={
            **checkpoint.protection_plan,
            'resources': [resource.to_dict() for resource in resources],
        },
        resource_graph=graph.serialize([graph.GraphNode(resource) for resource in resources]),
        resources_total=len(resources),
        extra_info={
            constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_BY_RESTORE,
            constants.CHECKPOINT_RESTORE_ID: restore.id,
        },
        pinned=True,
        expires_at=now + datetime.timedelta(days=days),
    )
    recovery_points.add(
        session, row, [recovery_points.Point(resource=resource) for resource in resources], None
    )
    restore.safety_checkpoint_id = row.id
    new_job = job_begins.new_job(constants.OperationType.SAFETY_PROTECT, context, row, trust_id)
    return job_begins.begin(
        session, context, new_job, row, status=row.status, restore_id=restore.id
    )


def columns_of_rebuilt(expires_at: datetime.datetime | None) -> dict[str, Any]:
    """What the row of a checkpoint has for its expiry that is written again after all was lost.

    It does not expire at once: who had pinned it for good, which is lost, can do so again.

    :param expires_at: as the bank has it.
    """
    if expires_at is None:
        return {}
    soonest = timeutils.utcnow() + datetime.timedelta(days=DEFAULT_DAYS)
    return {'pinned': True, 'expires_at': max(expires_at, soonest)}


def kind(protect: JobKind) -> JobKind:
    """The kind of the jobs that make them.

    One of its own, as the release before would not let the restore begin.

    :param protect: the kind of all others that make checkpoints.
    """
    return dataclasses.replace(
        protect,
        name=constants.OperationType.SAFETY_PROTECT,
        operation=constants.OperationType.PROTECT,
        follow=_follow,
    )


def _follow(session: orm.Session, job: models.Job, _outcome: Outcome) -> Sequence[models.Job]:
    """The restore that has waited for it, which looks itself at what there is now."""
    waiting = rows.restores_of(session, job.subject_id, [job_rows.JobState.QUEUED])
    queued, pending = job_rows.JobState.QUEUED, job_rows.JobState.PENDING
    return [each for each in waiting if job_rows.change_state(session, each.id, queued, pending)]


def why_held(session: orm.Session, checkpoint_id: str) -> str | None:
    """Why a checkpoint has to stay as it is, if a restore still relies on it."""
    if rows.restores_of(session, checkpoint_id, job_rows.UNFINISHED):
        return 'the restore that it was made for is not finished.'
    return None


def points(
    session: orm.Session, restore: Mapping[str, Any]
) -> dict[Key, protection_plugin.SafetyPoint]:
    """What a safety checkpoint has of each resource.

    :param restore: its fields.
    """
    checkpoint_id = restore.get('safety_checkpoint_id')
    if checkpoint_id is None:
        return {}
    return {
        (point.resource_type, point.resource_id): _point(point)
        for point in recovery_points.of_checkpoints(session, [checkpoint_id])
    }


def _point(point: models.RecoveryPoint) -> protection_plugin.SafetyPoint:
    is_good = point.state == State.GOOD
    reason = None if is_good else point.reason or f'its recovery point is {point.state}'
    return protection_plugin.SafetyPoint(
        checkpoint_id=point.checkpoint_id,
        cloud_id=point.cloud_id if is_good else None,
        reason=reason or (None if point.cloud_id else 'which it is is not known'),
    )
