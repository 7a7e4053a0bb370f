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

"""What may be asked for: checkpoints made, deleted, reset and pinned; restores, verifications.

Each call checks, writes what is asked for and its job in one transaction, posts the job
and returns; the job does the work. Whether a call is allowed is decided on the locked row
of the checkpoint, so that a protect, a restore and a delete of one checkpoint never meet.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import checkpoints, models, operation_logs, recovery_points, schedules, uses
from karbor.db import jobs as job_rows
from karbor.db import plans as plan_rows
from karbor.resource import Key
from karbor.services.checkpoints import (
    drafts,
    job_begins,
    regions,
    removing,
    restore_groups,
    status_reset,
    use_begins,
)
from karbor.services.identity import trusts
from karbor.services.protection import protectables
from karbor.services.protection import provider as providers

Subject = TypeVar('Subject')

_DELETABLE = (
    constants.CheckpointStatus.AVAILABLE,
    constants.CheckpointStatus.ERROR,
    constants.CheckpointStatus.ERROR_DELETING,
)


@dataclasses.dataclass(frozen=True)
class _Written(Generic[Subject]):
    """What is written.

    :ivar jobs: that it waits for; none when nothing is to be done.
    :ivar trust_id: the trust by which the job acts.
    """

    subject: Subject
    jobs: Sequence[models.Job]
    trust_id: str | None


class Commands:
    """What the API, and jobs, ask for about checkpoints.

    :param registry: the providers.
    :param protectable_plugins: what finds resources.
    :param post: has a job done, given its id.
    :param used_trusts: where the trusts come from that jobs act by.
    """

    def __init__(
        self,
        registry: providers.ProviderRegistry,
        protectable_plugins: protectables.Protectables,
        post: Callable[[str], None],
        used_trusts: trusts.Trusts,
    ) -> None:
        self._registry = registry
        self._protectables = protectable_plugins
        self._post = post
        self._trusts = used_trusts

    def create_checkpoint(
        self,
        context: karbor_context.RequestContext,
        provider_id: str,
        plan_id: str,
        extra_info: Mapping[str, Any],
    ) -> models.Checkpoint:
        """Begin to protect what a plan covers now.

        :raises ProviderNotFound:
        :raises CheckpointLimitExceeded:
        :raises ScheduledOperationNotFound: that ``extra_info`` says it is made by.
        :raises KarborException: as :func:`drafts.draft`.
        """
        provider = self._registry.get(provider_id)
        draft = drafts.draft(provider, self._protectables, context, plan_id)

        def write(session: orm.Session, trust_id: str | None) -> _Written[models.Checkpoint]:
            schedule_id = _schedule_id(session, context, extra_info)
            checkpoint = draft.write(
                session,
                {
                    constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_MANUALLY,
                    **extra_info,
                },
                scheduled_operation_id=schedule_id,
            )
            new_job = job_begins.new_job(
                constants.OperationType.PROTECT, context, checkpoint, trust_id
            )
            job = job_begins.begin(
                session,
                context,
                new_job,
                checkpoint,
                status=checkpoint.status,
                scheduled_operation_id=schedule_id,
            )
            return _Written(checkpoint, [job], trust_id)

        return self._write_and_post(context, write)

    def delete_checkpoint(
        self,
        context: karbor_context.RequestContext,
        provider_id: str,
        checkpoint_id: str,
    ) -> None:
        """Begin to delete a checkpoint with all that protects its resources.

        :raises CheckpointNotFound:
        :raises CheckpointNotBeDeleted: its status or a job that uses it forbids it, or it was made
            in another region.
        """
        self._registry.get(provider_id)
        region = regions.acting(context)

        def write(session: orm.Session, trust_id: str | None) -> _Written[models.Checkpoint]:
            checkpoint = _lock_idle(session, context, provider_id, checkpoint_id, acting_in=region)
            job = _begin_deletion(session, context, checkpoint, trust_id)
            return _Written(checkpoint, [job], trust_id)

        self._write_and_post(context, write)

    def remove_points(
        self,
        context: karbor_context.RequestContext,
        removal: removing.Removal,
        by_retention: models.Job,
    ) -> Collection[Key]:
        """Begin to delete some of what a checkpoint has, or all of it with the checkpoint.

        :param removal: what is to go; what newer good points are not there for any more stays.
        :param by_retention: the retention job that asks for it.
        :returns: the resources of which it goes.
        :raises CheckpointNotFound:
        :raises CheckpointNotBeDeleted: it is pinned, or its status or a job that uses it forbids
            it, or it was made in another region, or nothing of it can go.
        :raises LeaseLost: another has the retention job.
        """
        self._registry.get(removal.provider_id)
        region = regions.acting(context)

        def write(session: orm.Session, trust_id: str | None) -> _Written[Collection[Key]]:
            checkpoint = _lock_idle(
                session,
                context,
                removal.provider_id,
                removal.checkpoint_id,
                acting_in=region,
                is_by_retention=True,
            )
            job_rows.hold_claim(session, by_retention)
            going = removing.lock(session, removal)
            schedule_id = by_retention.scheduled_operation_id
            if going.is_all:
                job = _begin_deletion(session, context, checkpoint, trust_id, schedule_id)
            elif going.resources:
                job = removing.begin(session, context, checkpoint, trust_id, going, schedule_id)
            else:
                raise exception.CheckpointNotBeDeleted(
                    checkpoint_id=checkpoint.id, reason='newer recovery points are lost meanwhile.'
                )
            return _Written(going.resources, [job], trust_id)

        return self._write_and_post(context, write)

    def reset_checkpoint(
        self,
        context: karbor_context.RequestContext,
        provider_id: str,
        checkpoint_id: str,
        status: str,
    ) -> None:
        """Set the status by hand, to 'available' or 'error'.

        :raises CheckpointNotFound:
        :raises CheckpointNotBeReset: it is deleted, or a job works on it.
        """
        status_reset.reset(context, self._registry.get(provider_id), checkpoint_id, status)

    def pin_checkpoint(
        self,
        context: karbor_context.RequestContext,
        provider_id: str,
        checkpoint_id: str,
        is_pinned: bool,
    ) -> None:
        """Keep a checkpoint from the retention, or leave it to that again.

        :raises CheckpointNotFound:
        """
        self._registry.get(provider_id)

        @db.transaction
        def write(session: orm.Session) -> None:
            row = checkpoints.get(
                session, context.project_id, provider_id, checkpoint_id, lock=True
            )
            row.pinned = is_pinned
            if is_pinned:  # one that would expire is kept for good
                row.expires_at = None
            if not session.is_modified(row):
                return
            operation_logs.record(
                session,
                context,
                'checkpoint_update',
                checkpoint_id=row.id,
                plan_id=row.plan_id,
                provider_id=row.provider_id,
                extra_info={'pinned': is_pinned},
            )

        write()

    def check_copy(
        self, context: karbor_context.RequestContext, provider_id: str, plan_id: str
    ) -> None:
        """Look whether a plan's checkpoints could be copied, if a plugin could do it.

        :raises ProviderNotFound:
        :raises PlanNotFound:
        :raises Invalid: the plan is another provider's.
        """
        self._registry.get(provider_id)
        with db.reader() as session:
            plan = plan_rows.get(session, context.project_id, plan_id)
        drafts.check_provider(plan, provider_id)

    def create_restore(
        self, context: karbor_context.RequestContext, fields: Mapping[str, Any]
    ) -> models.Restore:
        """Begin to make new resources from a checkpoint.

        :param fields: provider_id, checkpoint_id, parameters, restore_target, and what
            :mod:`restore_choices` says.
        :raises NotFound: there is no such provider or checkpoint.
        :raises Invalid: a fault in the parameters, or in what is chosen.
        """
        provider = self._registry.get(fields['provider_id'])
        return self._begin_use(context, use_begins.restore(context, provider, fields))

    def create_restore_group(
        self, context: karbor_context.RequestContext, fields: Mapping[str, Any]
    ) -> Sequence[models.Restore]:
        """Begin to make resources anew as they were at a moment, see :mod:`restore_groups`.

        No checkpoint that one of the restores is of can be deleted before that has ended.

        :param fields: resources, before, at, provider_id, parameters, and choices.
        :raises ProviderNotFound:
        :raises Invalid: a fault in the parameters, or something that cannot be had.
        """
        asked = restore_groups.ask(context, self._registry, fields)

        def write(session: orm.Session, trust_id: str | None) -> _Written[Sequence[models.Restore]]:
            written = [each.write(session, context, trust_id) for each in asked]
            jobs = [job for _, job in written if job is not None]
            if len(jobs) < len(written):
                raise exception.InvalidInput(
                    reason='what was to be restored is being deleted meanwhile.'
                )
            return _Written([restore for restore, _ in written], jobs, trust_id)

        return self._write_and_post(context, write)

    def create_verification(
        self, context: karbor_context.RequestContext, fields: Mapping[str, Any]
    ) -> models.Verification:
        """Begin to look whether a checkpoint could be restored; see
        :meth:`create_restore`."""
        provider = self._registry.get(fields['provider_id'])
        return self._begin_use(context, use_begins.verification(context, provider, fields))

    def _begin_use(
        self, context: karbor_context.RequestContext, asked: use_begins.Asked[uses.Use]
    ) -> uses.Use:
        def write(session: orm.Session, trust_id: str | None) -> _Written[uses.Use]:
            use, job = asked.write(session, context, trust_id)
            return _Written(use, [] if job is None else [job], trust_id)

        return self._write_and_post(context, write)

    def _write_and_post(
        self,
        context: karbor_context.RequestContext,
        write: Callable[[orm.Session, str | None], _Written[Subject]],
    ) -> Subject:
        """Write what is asked for with its jobs and post these; returns what is written.

        :param write: see :func:`trusts.with_trust`.
        """
        written = trusts.with_trust(self._trusts, context, write)
        if not written.jobs:
            self._trusts.release(written.trust_id)
        for job in written.jobs:
            self._post(job.id)
        return written.subject


def _schedule_id(
    session: orm.Session, context: karbor_context.RequestContext, extra_info: Mapping[str, Any]
) -> str | None:
    """The id of the scheduled operation that a checkpoint is said to be made by.

    :raises ScheduledOperationNotFound: the project has none of that id.
    """
    made_by = extra_info.get(constants.CHECKPOINT_CREATED_BY)
    schedule_id = extra_info.get(constants.CHECKPOINT_SCHEDULE_ID)
    if made_by != constants.CHECKPOINT_CREATED_BY_SCHEDULE or schedule_id is None:
        return None
    return schedules.get_operation(session, context.project_id, str(schedule_id)).id


def _lock_idle(
    session: orm.Session,
    context: karbor_context.RequestContext,
    provider_id: str,
    checkpoint_id: str,
    *,
    acting_in: str | None,
    is_by_retention: bool = False,
) -> models.Checkpoint:
    """A checkpoint of which something can be deleted; it stays so until the transaction ends.

    :param acting_in: the region in which it would be.
    :raises CheckpointNotFound:
    :raises CheckpointNotBeDeleted:
    """
    checkpoint = checkpoints.get(session, context.project_id, provider_id, checkpoint_id, lock=True)
    obstacle = status_reset.why_busy(session, checkpoint)
    if checkpoint.status not in _DELETABLE:
        obstacle = f'it is in status {checkpoint.status}.'
    elif checkpoint.pinned and is_by_retention:
        obstacle = 'it is pinned.'
    if not obstacle:
        obstacle = regions.why_not(checkpoint.region, acting_in)
    if obstacle:
        raise exception.CheckpointNotBeDeleted(checkpoint_id=checkpoint.id, reason=obstacle)
    return checkpoint


def _begin_deletion(
    session: orm.Session,
    context: karbor_context.RequestContext,
    checkpoint: models.Checkpoint,
    trust_id: str | None,
    scheduled_operation_id: str | None = None,
) -> models.Job:
    checkpoint.status = constants.CheckpointStatus.DELETING
    checkpoint.status_reason = None
    recovery_points.begin_deletion(session, checkpoint.id)
    new_job = job_begins.new_job(
        constants.OperationType.DELETE,
        context,
        checkpoint,
        trust_id,
        scheduled_operation_id=scheduled_operation_id,
    )
    return job_begins.begin(session, context, new_job, checkpoint, status=checkpoint.status)
