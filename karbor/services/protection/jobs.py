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

"""Runs jobs: protect, restore, delete and verify.

A job can run again from its start after any break: what its row and the bank say is done
is left out. The row is marked as done last, in one transaction with the status of what the
job is about.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import checkpoints, models, uses
from karbor.db import jobs as job_rows
from karbor.resource import Resource
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import graph, parameters, protection_plugin, records, walker
from karbor.services.protection import provider as providers

LOG = logging.getLogger(__name__)

ContextOf = Callable[[models.Job], karbor_context.RequestContext]
Failures = dict[Resource, str]


@dataclasses.dataclass
class _Walk:
    """What one walk over the graph needs to know."""

    job: models.Job
    context: karbor_context.RequestContext
    checkpoint: bank_checkpoint.Checkpoint
    operations: dict[Resource, protection_plugin.Operation]
    values: dict[Resource, parameters.Values]
    keywords: dict[str, Any]


class JobRunner:
    """Does the work of a job, given its id.

    :param registry: the providers.
    :param context_of: whom a job acts for.
    :param max_concurrent_resources: how many resources of a job are worked on at once.
    """

    def __init__(self, registry: providers.ProviderRegistry, context_of: ContextOf,
                 max_concurrent_resources: int) -> None:
        self._registry = registry
        self._context_of = context_of
        self._max_workers = max_concurrent_resources
        self._kinds = {
            constants.OPERATION_PROTECT: self._protect,
            constants.OPERATION_RESTORE: self._restore,
            constants.OPERATION_DELETE: self._delete,
            constants.OPERATION_VERIFY: self._verify,
        }

    def run(self, job_id: str) -> None:
        """Run a pending job to its end; one that is not pending is left alone."""
        with db.writer() as session:
            job = job_rows.claim(session, job_id)
        if job is None:
            return
        LOG.info('Job %s: %s of %s begins (attempt %d)', job.id, job.kind, job.subject_id,
                 job.attempts)
        try:
            self._kinds[job.kind](job)
        except Exception as exc:
            # A job's edge: whatever a plugin raises must end on what the user looks at.
            LOG.exception('Job %s: %s of %s failed', job.id, job.kind, job.subject_id)
            reason = _reason(exc) if isinstance(exc, exception.KarborException) else (
                f'an unexpected {type(exc).__name__} happened; see the log for job {job.id}')
            self._finish(job, job_rows.FAILED, reason)

    def _protect(self, job: models.Job) -> None:
        row = self._checkpoint_row(job)
        provider = self._registry.get(row.provider_id)
        checkpoint = provider.checkpoints.create(
            row.id, row.protection_plan, row.project_id, row.resource_graph,
            records.as_json_text(row.extra_info), row.created_at)
        failures = self._walk(job, provider, checkpoint, row, 'options',
                              row.protection_plan['parameters'], {})
        checkpoint.status = (constants.CHECKPOINT_STATUS_ERROR if failures
                             else constants.CHECKPOINT_STATUS_AVAILABLE)
        checkpoint.commit()
        self._finish(job, job_rows.DONE, _summary(failures, row.resources_total))

    def _delete(self, job: models.Job) -> None:
        row = self._checkpoint_row(job)
        provider = self._registry.get(row.provider_id)
        # Written again if need be: a break after the purge must not keep the rest undone.
        checkpoint = provider.checkpoints.create(
            row.id, row.protection_plan, row.project_id, row.resource_graph,
            records.as_json_text(row.extra_info), row.created_at)
        checkpoint.status = constants.CHECKPOINT_STATUS_DELETING
        checkpoint.commit()
        failures = self._walk(job, provider, checkpoint, row, None, {}, {})
        if failures:
            checkpoint.status = constants.CHECKPOINT_STATUS_ERROR_DELETING
            checkpoint.commit()
        else:
            checkpoint.delete()
            try:
                checkpoint.purge()
            except RuntimeError as exc:
                # A plugin has left objects that it will never ask for again; by contract
                # that is its own business, and no reason to keep the checkpoint for ever.
                LOG.warning('Job %s: %s', job.id, exc)
        self._finish(job, job_rows.DONE, _summary(failures, row.resources_total))

    def _restore(self, job: models.Job) -> None:
        self._use(job, models.Restore, 'restore')

    def _verify(self, job: models.Job) -> None:
        self._use(job, models.Verification, 'verify')

    def _use(self, job: models.Job, model: Any, keyword: str) -> None:
        """A restore or a verification: both leave the checkpoint as it is."""
        with db.reader() as session:
            use = uses.get(session, model, job.project_id, job.subject_id)
        row = self._checkpoint_row(job)
        provider = self._registry.get(row.provider_id)
        record = records.UseRecord({
            column.key: getattr(use, column.key) for column in model.__table__.columns})
        failures = self._walk(
            job, provider, provider.checkpoints.get(row.id), row, keyword, use.parameters,
            {keyword: record, 'new_resources': {}})
        for resource, reason in failures.items():
            record.update_resource_status(resource.type, resource.id,
                                          constants.RESOURCE_STATUS_ERROR, reason)
        self._finish(job, job_rows.DONE, _summary(failures, row.resources_total))

    def _checkpoint_row(self, job: models.Job) -> models.Checkpoint:
        with db.reader() as session:
            row = session.get(models.Checkpoint, job.checkpoint_id)
        if row is None:
            raise exception.CheckpointNotFound(checkpoint_id=job.checkpoint_id)
        return row

    def _walk(self, job: models.Job, provider: providers.Provider,
              checkpoint: bank_checkpoint.Checkpoint, row: models.Checkpoint,
              schema_kind: str | None, request_parameters: parameters.Parameters,
              keywords: dict[str, Any]) -> Failures:
        """Run the hooks of every resource that no earlier attempt has done.

        :returns: the resources that failed, with the reasons.
        """
        roots = graph.deserialize(row.resource_graph)
        resources = [node.value for node in graph.walk_nodes(roots)]
        provider.check_types(resource.type for resource in resources)
        schema_of = provider.schema_of(schema_kind) if schema_kind else lambda _: None
        done = self._done_before(job, keywords.get('new_resources', {}))
        plugins = provider.new_plugins()
        walk = _Walk(
            job, self._context_of(job), checkpoint,
            {resource: _operation(plugins[resource.type], job.kind, resource)
             for resource in resources if resource.key not in done},
            {resource: parameters.complete(parameters.merged(request_parameters, resource),
                                           schema_of(resource.type), resource.key)
             for resource in resources},
            {**keywords, 'operation_log': records.OperationLogRecord(
                operation_type=job.kind, checkpoint_id=row.id)})
        return self._run_hooks(walk, roots)

    @staticmethod
    def _done_before(job: models.Job, new_resources: dict[str, str]) -> set[str]:
        """Keys of the resources that earlier attempts have done."""
        if job.attempts == 1:
            return set()
        with db.reader() as session:
            rows = [row for row in job_rows.resources(session, job.id) if row.is_done]
        new_resources.update({row.resource_id: row.new_resource_id for row in rows
                              if row.new_resource_id})
        return {f'{row.resource_type}#{row.resource_id}' for row in rows}

    def _run_hooks(self, walk: _Walk, roots: list[graph.GraphNode]) -> Failures:
        failures: Failures = {}
        new_resources = walk.keywords.get('new_resources', {})

        def run_hook(resource: Resource, hook: str) -> None:
            operation = walk.operations.get(resource)
            method = getattr(operation, hook, None)
            if method is not None:
                # By name, as the contract has it: a plugin may order them as it likes.
                method(checkpoint=walk.checkpoint, resource=resource, context=walk.context,
                       parameters=walk.values[resource], **walk.keywords)

        def finished(resource: Resource, error: Exception | None) -> None:
            if resource not in walk.operations:
                return
            if error is not None:
                failures[resource] = _reason(error)
                LOG.error('Job %s: %s: %s', walk.job.id, resource.key, failures[resource],
                          exc_info=None if isinstance(error, exception.ResourceFailed)
                          else error)
            with db.writer() as session:
                job_rows.record_resource(
                    session, walk.job.id, resource.type, resource.id, error is None,
                    failures.get(resource), new_resources.get(resource.id))

        walker.walk(roots, run_hook, finished, self._max_workers)
        return failures

    @staticmethod
    def _finish(job: models.Job, state: str, reason: str | None) -> None:
        """Write the end of the job and of what it is about, together."""
        with db.writer() as session:
            _END_OF_SUBJECT[job.kind](session, job, reason)
            job_rows.finish(session, job.id, state, reason)
        LOG.info('Job %s: %s of %s is %s%s', job.id, job.kind, job.subject_id, state,
                 f': {reason}' if reason else '')


def _end_protect(session: orm.Session, job: models.Job, reason: str | None) -> None:
    checkpoints.set_status(
        session, job.subject_id, constants.CHECKPOINT_STATUS_ERROR if reason
        else constants.CHECKPOINT_STATUS_AVAILABLE, reason)


def _end_delete(session: orm.Session, job: models.Job, reason: str | None) -> None:
    checkpoints.set_status(
        session, job.subject_id, constants.CHECKPOINT_STATUS_ERROR_DELETING if reason
        else constants.CHECKPOINT_STATUS_DELETED, reason)


def _end_use(model: Any) -> Callable[[orm.Session, models.Job, str | None], None]:
    def end(session: orm.Session, job: models.Job, reason: str | None) -> None:
        uses.set_status(session, model, job.subject_id,
                        constants.OPERATION_STATUS_FAIL if reason
                        else constants.OPERATION_STATUS_SUCCESS, reason)
    return end


_END_OF_SUBJECT: dict[str, Callable[[orm.Session, models.Job, str | None], None]] = {
    constants.OPERATION_PROTECT: _end_protect,
    constants.OPERATION_DELETE: _end_delete,
    constants.OPERATION_RESTORE: _end_use(models.Restore),
    constants.OPERATION_VERIFY: _end_use(models.Verification),
}


def _operation(plugin: protection_plugin.ProtectionPlugin, kind: str,
               resource: Resource) -> protection_plugin.Operation:
    try:
        return getattr(plugin, f'get_{kind}_operation')(resource)
    except NotImplementedError:
        raise exception.InvalidInput(
            reason=f'The plugin of {resource.type} has no {kind} operation.') from None


def _reason(error: Exception) -> str:
    """What to tell of an error; never empty, since no reason means that all is well."""
    if isinstance(error, exception.ResourceFailed) and error.kwargs.get('reason'):
        return str(error.kwargs['reason'])
    if isinstance(error, exception.KarborException):
        return error.msg or type(error).__name__
    return f'{type(error).__name__}: {error}'


def _summary(failures: Failures, total: int) -> str | None:
    """One line about all failures; None when there is none."""
    if not failures:
        return None
    resource, reason = next(iter(failures.items()))
    more = f'; and {len(failures) - 1} more' if len(failures) > 1 else ''
    return f'{len(failures)} of {total} resources failed: {resource.key}: {reason}{more}'
