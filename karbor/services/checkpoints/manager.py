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

"""What may be asked about checkpoints: make, show, delete, reset, restore, verify.

Each call checks, writes what is asked for and its job in one transaction, posts the job
and returns; the job does the work. Whether a call is allowed is decided on the locked row
of the checkpoint, so that a protect, a restore and a delete of one checkpoint never meet.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import checkpoints, models, operation_logs, paging, schedules, uses
from karbor.db import jobs as job_rows
from karbor.db import plans as plan_rows
from karbor.services import quotas
from karbor.services.checkpoints import parameters, plans, status_reset
from karbor.services.identity import trusts
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import graph, protectables, provider

# What is written, and the job that it waits for.
_Written = tuple[Any, models.Job | None]

_DELETABLE = (
    constants.CheckpointStatus.AVAILABLE,
    constants.CheckpointStatus.ERROR,
    constants.CheckpointStatus.ERROR_DELETING,
)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the newest job about something is, counted in resources."""

    done: int
    failed: int


class ProtectionManager:
    """What the API asks of the protection service.

    :param registry: the providers.
    :param protectable_plugins: what finds resources.
    :param post: has a job done, given its id.
    :param trusts: where the trusts come from that jobs act by.
    """

    def __init__(
        self,
        registry: provider.ProviderRegistry,
        protectable_plugins: protectables.Protectables,
        post: Callable[[str], None],
        trusts: trusts.Trusts | trusts.NoTrusts,
    ) -> None:
        self._registry = registry
        self._protectables = protectable_plugins
        self.post = post
        self._trusts = trusts

    def create_checkpoint(
        self,
        context: karbor_context.RequestContext,
        provider_id: str,
        plan_id: str,
        extra_info: Mapping[str, Any],
    ) -> models.Checkpoint:
        """Begin to protect what a plan covers now.

        :raises ProviderNotFound:
        :raises PlanNotFound:
        :raises Invalid: the plan is another provider's, or a resource found now does not
            fit the plan's parameters.
        :raises ListProtectableResourceFailed: the cloud cannot tell what there is.
        :raises CheckpointLimitExceeded:
        :raises ScheduledOperationNotFound: that ``extra_info`` says it is made by.
        """
        draft = self._draft(context, provider_id, plan_id)

        def write(session: orm.Session, trust_id: str | None) -> _Written:
            schedule_id = _schedule_id(session, context, extra_info)
            row = draft.write(
                session,
                {
                    constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_MANUALLY,
                    **extra_info,
                },
            )
            return row, _job(
                session,
                context,
                constants.OperationType.PROTECT,
                row.id,
                row,
                row.status,
                trust_id,
                scheduled_operation_id=schedule_id,
            )

        return self._write_job(context, write)

    def create_scheduled_checkpoint(
        self, context: karbor_context.RequestContext, job: models.Job
    ) -> models.Checkpoint:
        """The checkpoint of a run of a scheduled operation, whose job has begun.

        It is of the plan that the operation had when the run was asked for.

        :raises KarborException: as :meth:`create_checkpoint`.
        """
        with db.reader() as session:
            log = operation_logs.get(session, job.project_id, job.id)
        draft = self._draft(context, job.provider_id, str(log.plan_id))

        @db.transaction
        def write(session: orm.Session) -> models.Checkpoint:
            if not job_rows.is_claimed(session, job):
                raise exception.JobNotPossible(job_id=job.id, reason='another worker has it')
            row = draft.write(
                session,
                {
                    constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_BY_SCHEDULE,
                    constants.CHECKPOINT_SCHEDULE_ID: job.scheduled_operation_id,
                    **(log.extra_info or {}),
                },
                job.checkpoint_id,
            )
            operation_logs.set_checkpoint(session, job.id, row.id)
            return row

        return write()

    def _draft(
        self, context: karbor_context.RequestContext, provider_id: str, plan_id: str
    ) -> '_Draft':
        found = self._registry.get(provider_id)
        with db.reader() as session:
            plan = plan_rows.get(session, context.project_id, plan_id)
        _check_provider(plan, provider_id)
        roots = self._protectables.graph(
            context, [plans.as_resource(fields) for fields in plan.resources]
        )
        resources = [node.value for node in graph.walk_nodes(roots)]
        found.check_types(resource.type for resource in resources)
        for resource in resources:
            bank_checkpoint.check_resource_id(resource.id)
            parameters.complete(
                parameters.merged(plan.parameters, resource),
                found.schema_of('options')(resource.type),
                resource.key,
            )
        return _Draft(plan, graph.serialize(roots), len(resources))

    def get_checkpoint(
        self, context: karbor_context.RequestContext, provider_id: str, checkpoint_id: str
    ) -> models.Checkpoint:
        self._registry.get(provider_id)
        with db.reader() as session:
            return checkpoints.get(session, context.project_id, provider_id, checkpoint_id)

    def page_of_checkpoints(
        self,
        provider_id: str,
        wanted: paging.Wanted,
        since: datetime.datetime | None,
        before: datetime.datetime | None,
    ) -> tuple[list[models.Checkpoint], bool]:
        """See :func:`karbor.db.checkpoints.page`."""
        self._registry.get(provider_id)
        with db.reader() as session:
            return checkpoints.page(session, provider_id, wanted, since, before)

    def delete_checkpoint(
        self,
        context: karbor_context.RequestContext,
        provider_id: str,
        checkpoint_id: str,
        by_retention_of: str | None = None,
    ) -> None:
        """Begin to delete a checkpoint with all that protects its resources.

        :param by_retention_of: the scheduled operation whose retention does it; then a pinned
            checkpoint stays.
        :raises CheckpointNotFound:
        :raises CheckpointNotBeDeleted: its status or a job that uses it forbids it.
        """
        self._registry.get(provider_id)

        def write(session: orm.Session, trust_id: str | None) -> _Written:
            row = checkpoints.get(
                session, context.project_id, provider_id, checkpoint_id, lock=True
            )
            obstacle = status_reset.why_busy(session, row)
            if row.status not in _DELETABLE:
                obstacle = f'it is in status {row.status}.'
            if by_retention_of is not None:
                obstacle = obstacle or _what_retention_minds(session, row)
            if obstacle:
                raise exception.CheckpointNotBeDeleted(checkpoint_id=row.id, reason=obstacle)
            row.status = constants.CheckpointStatus.DELETING
            row.status_reason = None
            return row, _job(
                session,
                context,
                constants.OperationType.DELETE,
                row.id,
                row,
                row.status,
                trust_id,
                scheduled_operation_id=by_retention_of,
            )

        self._write_job(context, write)

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
        _check_provider(plan, provider_id)

    def create_restore(
        self, context: karbor_context.RequestContext, wanted: Mapping[str, Any]
    ) -> models.Restore:
        """Begin to make new resources from a checkpoint.

        :param wanted: provider_id, checkpoint_id, parameters and restore_target.
        :raises NotFound: there is no such provider or checkpoint.
        :raises Invalid: a fault in the parameters.
        """
        return self._create_use(
            context,
            models.Restore,
            constants.OperationType.RESTORE,
            wanted,
            restore_target=wanted.get('restore_target'),
        )

    def create_verification(
        self, context: karbor_context.RequestContext, wanted: Mapping[str, Any]
    ) -> models.Verification:
        """Begin to look whether a checkpoint could be restored; see
        :meth:`create_restore`."""
        return self._create_use(
            context, models.Verification, constants.OperationType.VERIFY, wanted
        )

    def get_use(self, context: karbor_context.RequestContext, model: Any, use_id: str) -> Any:
        """A restore or a verification, by the table it is in."""
        with db.reader() as session:
            return uses.get(session, model, context.project_id, use_id)

    def page_of_uses(self, model: Any, wanted: paging.Wanted) -> tuple[list[Any], bool]:
        """One page of the restores or verifications, by the table they are in."""
        with db.reader() as session:
            return uses.page(session, model, wanted)

    def results(self, use_ids: Sequence[str]) -> dict[str, list[models.ResourceResult]]:
        """What plugins told of the resources of restores or verifications."""
        with db.reader() as session:
            return uses.results(session, use_ids)

    def progress(self, subject_ids: Sequence[str]) -> dict[str, Progress]:
        """How far the newest job about each checkpoint, restore or verification is."""
        with db.reader() as session:
            counts = job_rows.progress(session, subject_ids)
        return {
            subject_id: Progress(
                counts.get(subject_id, {}).get(True, 0), counts.get(subject_id, {}).get(False, 0)
            )
            for subject_id in subject_ids
        }

    def new_resources(self, subject_id: str) -> dict[str, str]:
        """What a restore has made so far: ``type#id`` of the original -> id of the new one."""
        with db.reader() as session:
            return {
                f'{row.resource_type}#{row.resource_id}': row.new_resource_id
                for row in job_rows.made_by_newest(session, subject_id)
                if row.new_resource_id
            }

    def failures(self, subject_id: str) -> dict[str, str | None]:
        """Reasons of the resources that the newest job could not do, by ``type#id``."""
        with db.reader() as session:
            return {
                f'{row.resource_type}#{row.resource_id}': row.reason
                for row in job_rows.failures_of_newest(session, subject_id)
            }

    def _create_use(
        self,
        context: karbor_context.RequestContext,
        model: Any,
        kind: str,
        wanted: Mapping[str, Any],
        **more: Any,
    ) -> Any:
        found = self._registry.get(wanted['provider_id'])
        row = self.get_checkpoint(context, found.id, wanted['checkpoint_id'])
        resources = [node.value for node in graph.walk_nodes(graph.deserialize(row.resource_graph))]
        checked = parameters.check(wanted['parameters'], resources, (), found.schema_of(kind))

        def write(session: orm.Session, trust_id: str | None) -> _Written:
            row = checkpoints.get(
                session, context.project_id, found.id, wanted['checkpoint_id'], lock=True
            )
            is_available = row.status == constants.CheckpointStatus.AVAILABLE
            use = uses.create(
                session,
                model,
                project_id=context.project_id,
                provider_id=found.id,
                checkpoint_id=row.id,
                parameters=checked,
                status=constants.OperationStatus.IN_PROGRESS
                if is_available
                else constants.OperationStatus.FAIL,
                status_reason=None if is_available else _why_not(row),
                **more,
            )
            job = _job(
                session,
                context,
                kind,
                use.id,
                row,
                use.status,
                trust_id,
                restore_id=use.id if model is models.Restore else None,
            )
            return use, job

        return self._write_job(context, write)

    def _write_job(
        self,
        context: karbor_context.RequestContext,
        write: Callable[[orm.Session, str | None], _Written],
    ) -> Any:
        """Write what is asked for with its job and post the job; returns what is written.

        :param write: see :func:`trusts.with_trust`.
        """
        trust_of_job: list[str | None] = []

        def write_noting(session: orm.Session, trust_id: str | None) -> _Written:
            trust_of_job[:] = [trust_id]
            return write(session, trust_id)

        subject, job = trusts.with_trust(self._trusts, context, write_noting)
        if job is None:
            self._trusts.release(*trust_of_job)
        else:
            self.post(job.id)
        return subject


@dataclasses.dataclass(frozen=True)
class _Draft:
    """What a plan covers now."""

    plan: models.Plan
    resource_graph: str
    resources_total: int

    def write(
        self, session: orm.Session, extra_info: Mapping[str, Any], checkpoint_id: str | None = None
    ) -> models.Checkpoint:
        """Make a checkpoint of it.

        :raises CheckpointLimitExceeded:
        """
        plan = self.plan
        quotas.take(session, plan.project_id, quotas.CHECKPOINTS)
        return checkpoints.create(
            session,
            id=checkpoint_id,
            project_id=plan.project_id,
            provider_id=plan.provider_id,
            plan_id=plan.id,
            status=constants.CheckpointStatus.PROTECTING,
            protection_plan={
                'id': plan.id,
                'name': plan.name,
                'provider_id': plan.provider_id,
                'resources': [plans.as_resource(fields).to_dict() for fields in plan.resources],
                'parameters': plan.parameters,
            },
            resource_graph=self.resource_graph,
            resources_total=self.resources_total,
            extra_info=dict(extra_info),
        )


def _check_provider(plan: models.Plan, provider_id: str) -> None:
    if plan.provider_id != provider_id:
        raise exception.InvalidInput(
            reason=f'The plan {plan.id} is for the provider {plan.provider_id}, not for '
            f'{provider_id}.'
        )


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


def _job(
    session: orm.Session,
    context: karbor_context.RequestContext,
    kind: str,
    subject_id: str,
    row: models.Checkpoint,
    status: str,
    trust_id: str | None,
    **logged: str | None,
) -> models.Job | None:
    """A job about a checkpoint, with its log; None when there is nothing to be done.

    :param status: of what the job is about; a use that has failed needs no job.
    :param logged: further ids for the log.
    """
    is_needed = status != constants.OperationStatus.FAIL
    job = (
        job_rows.create(
            session,
            kind,
            subject_id,
            row.id,
            row.provider_id,
            context.project_id,
            context.user_id,
            trust_id,
        )
        if is_needed
        else None
    )
    log = operation_logs.begin(
        session,
        context,
        kind,
        status,
        checkpoint_id=row.id,
        plan_id=row.plan_id,
        provider_id=row.provider_id,
        **logged,
        **({'id': job.id} if job else {}),
    )
    if job is None:
        log.ended_at, log.error_info = timeutils.utcnow(), _why_not(row)
    return job


def _why_not(row: models.Checkpoint) -> str:
    """Why a checkpoint is not restored or verified, and what to do."""
    reason = f'The checkpoint is in status {row.status}, not available.'
    if row.status == constants.CheckpointStatus.ERROR:
        reason += ' To restore what it does have, reset its state to available.'
    return reason


def _what_retention_minds(session: orm.Session, row: models.Checkpoint) -> str | None:
    """Why retention must not delete a checkpoint, which may be so since it judged."""
    if row.pinned:
        return 'it is pinned.'
    if row.status == constants.CheckpointStatus.AVAILABLE and not checkpoints.lock_other_available(
        session, row
    ):
        return 'it is the last good one of its plan.'
    return None
