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

import datetime
from collections.abc import Callable
from typing import Any

from oslo_log import log as logging
from oslo_utils import timeutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import models, uses
from karbor.services.checkpoints import manager as protection_manager
from karbor.services.checkpoints import plugin_records, status_reset
from karbor.services.cinder import limits as cinder_limits
from karbor.services.identity import trusts
from karbor.services.jobs import hooks, job_ends
from karbor.services.protection import graph
from karbor.services.protection import provider as providers
from karbor.services.schedules import retention_jobs

LOG = logging.getLogger(__name__)

# For how long a job waits when Keystone cannot be asked, in seconds.
_PAUSE = 30

ContextOf = Callable[[models.Job], karbor_context.RequestContext]
# What failed, and one line about all of it; None when all went well.
Outcome = tuple[hooks.Failures, str | None]


class JobRunner:
    """Does the work of a job, given its id.

    :param registry: the providers.
    :param manager: makes the checkpoints of scheduled operations, and removes them.
    :param context_of: whom a job acts for.
    :param max_concurrent_resources: how many resources of a job are worked on at once.
    :param trusts: where jobs get the trusts from that they act by, and leave them.
    :param lease: how long a claim holds unless it is renewed, in seconds; None when no
        other process works on this database.
    :param max_tries: how often a job is begun that does not come to an end.
    """

    def __init__(
        self,
        registry: providers.ProviderRegistry,
        manager: protection_manager.ProtectionManager,
        context_of: ContextOf,
        max_concurrent_resources: int,
        trusts: trusts.Trusts | trusts.NoTrusts,
        lease: float | None = None,
        max_tries: int = 10,
    ) -> None:
        self._registry = registry
        self._manager = manager
        self._context_of = context_of
        self._max_workers = max_concurrent_resources
        self._trusts = trusts
        self._lease = lease
        self._max_tries = max_tries
        self._running: dict[str, models.Job] = {}
        self._kinds: dict[str, Callable[[models.Job], Outcome]] = {
            constants.OperationType.PROTECT: self._protect,
            constants.OperationType.RESTORE: self._restore,
            constants.OperationType.DELETE: self._delete,
            constants.OperationType.VERIFY: self._verify,
            constants.OperationType.RETENTION: self._retain,
            constants.OperationType.RESET: self._write_record,
        }

    def run(self, job_id: str) -> None:
        """Run a pending job to its end.

        One that is not pending is left alone. So is one whose provider is not loaded: its
        file may be mended before the next start.
        """
        job = self._claim(job_id)
        if job is None:
            return
        LOG.info(
            'Job %s: %s of %s begins (attempt %d)', job.id, job.kind, job.subject_id, job.attempts
        )
        self._running[job.id] = job
        try:
            if job.tries > self._max_tries:
                self._park(job)
            else:
                self._run_to_end(job)
        finally:
            del self._running[job.id]
        self._trusts.release(job.trust_id)

    def renew_claims(self) -> None:
        """Tell other workers that the jobs that run here do run."""
        running = list(self._running.values())
        if running and self._lease is not None:
            db.transaction(job_rows.renew)(running, _moment_after(self._lease))

    def hand_back(self) -> None:
        """Let other workers begin at once what runs here, as this process ends now."""
        db.transaction(job_rows.hand_back)(list(self._running.values()))

    def _claim(self, job_id: str) -> models.Job | None:
        with db.reader() as session:
            provider_id = job_rows.provider_id(session, job_id)
        if provider_id is not None and provider_id not in self._registry:
            LOG.error('Job %s waits: its provider %s is not loaded', job_id, provider_id)
            return None
        return db.transaction(job_rows.claim)(
            job_id, None if self._lease is None else _moment_after(self._lease)
        )

    def _park(self, job: models.Job) -> None:
        """End what has been begun too often and never came to an end: it kills its workers."""
        LOG.error('Job %s: parked', job.id)
        self._end(
            job,
            job_rows.JobState.PARKED,
            f'it was tried {job.tries - 1} times and its worker was '
            f'gone each time; an administrator can have it tried again: karbor-manage job '
            f'retry {job.id}',
            {},
        )

    def _run_to_end(self, job: models.Job) -> None:
        failures: hooks.Failures = {}
        state, reason = job_rows.JobState.DONE, None
        try:
            self._check_trust(job)
            failures, reason = self._kinds[job.kind](job)
            if failures:
                self._check_trust(job)  # dead meanwhile, it is the reason of all the others
        except exception.IdentityUnavailable as exc:
            # The claim runs out unrenewed; then a worker takes the job up again.
            LOG.warning('Job %s: is tried again later: %s', job.id, exc.msg)
            db.transaction(job_rows.pause)(job, _moment_after(_PAUSE))
            return
        except Exception as exc:
            # A job's edge: whatever a plugin raises must end on what the user looks at.
            LOG.error(
                'Job %s: %s of %s failed',
                job.id,
                job.kind,
                job.subject_id,
                exc_info=not isinstance(exc, exception.TrustDied),
            )
            state = job_rows.JobState.FAILED
            reason = (
                hooks.reason_of(exc)
                if isinstance(exc, exception.KarborException)
                else (f'an unexpected {type(exc).__name__} happened; see the log for job {job.id}')
            )
        self._end(job, state, reason, failures)

    def _end(
        self, job: models.Job, state: str, reason: str | None, failures: hooks.Failures
    ) -> None:
        for next_job in self._finish(job, state, reason, failures):
            self._manager.post(next_job.id)

    @staticmethod
    @db.until_it_works
    @db.transaction
    def _finish(
        session: orm.Session,
        job: models.Job,
        state: str,
        reason: str | None,
        failures: hooks.Failures,
    ) -> list[models.Job]:
        return job_ends.finish(session, job, state, reason, failures)

    def _check_trust(self, job: models.Job) -> None:
        if job.trust_id is not None:
            self._trusts.check(job.trust_id)

    def _checkpoint_row(self, job: models.Job) -> models.Checkpoint:
        with db.reader() as session:
            row = session.get(models.Checkpoint, job.checkpoint_id)
        if row is None:
            raise exception.CheckpointNotFound(checkpoint_id=job.checkpoint_id)
        return row

    def _protect(self, job: models.Job) -> Outcome:
        try:
            row = self._checkpoint_row(job)
        except exception.CheckpointNotFound:
            if job.scheduled_operation_id is None:
                raise
            row = self._begin_scheduled(job)
        provider = self._registry.get(row.provider_id)
        checkpoint = plugin_records.write_checkpoint(row, provider)
        failures = self._run_hooks(
            row,
            hooks.JobHooks(
                job,
                self._context_of(job),
                provider,
                checkpoint,
                'options',
                row.protection_plan['parameters'],
                {},
            ),
        )
        checkpoint.status = (
            constants.CheckpointStatus.ERROR if failures else constants.CheckpointStatus.AVAILABLE
        )
        checkpoint.commit()
        reason = _summary(failures, row.resources_total)
        if any(failure.is_over_quota for failure in failures.values()):
            reason = (
                f'{reason}; in use are {cinder_limits.in_use(self._context_of(job))}'
                f'{retention_jobs.relief(job)}'
            )
        return failures, reason

    def _begin_scheduled(self, job: models.Job) -> models.Checkpoint:
        try:
            return self._manager.create_scheduled_checkpoint(self._context_of(job), job)
        except exception.CheckpointLimitExceeded as exc:
            raise exception.CheckpointLimitExceeded(
                f'{exc.msg}{retention_jobs.relief(job)}'
            ) from exc

    def _delete(self, job: models.Job) -> Outcome:
        row = self._checkpoint_row(job)
        provider = self._registry.get(row.provider_id)
        # Written again if need be: a break after the purge must not keep the rest undone.
        checkpoint = plugin_records.write_checkpoint(row, provider)
        failures = self._run_hooks(
            row, hooks.JobHooks(job, self._context_of(job), provider, checkpoint, None, {}, {})
        )
        if failures:
            checkpoint.status = constants.CheckpointStatus.ERROR_DELETING
            checkpoint.commit()
            return failures, _summary(failures, row.resources_total)
        checkpoint.delete()
        try:
            checkpoint.purge()
        except RuntimeError as exc:
            # A plugin has left objects that it will never ask for again; by contract
            # that is its own business, and no reason to keep the checkpoint for ever.
            LOG.warning('Job %s: %s', job.id, exc)
        return failures, None

    def _restore(self, job: models.Job) -> Outcome:
        return self._use(job, models.Restore, 'restore')

    def _verify(self, job: models.Job) -> Outcome:
        return self._use(job, models.Verification, 'verify')

    def _use(self, job: models.Job, model: Any, keyword: str) -> Outcome:
        """A restore or a verification: both leave the checkpoint as it is."""
        row = self._checkpoint_row(job)
        provider = self._registry.get(row.provider_id)
        with db.reader() as session:
            use = uses.get(session, model, job.project_id, job.subject_id)
        record = plugin_records.UseRecord(
            {column.key: getattr(use, column.key) for column in model.__table__.columns}
        )
        failures = self._run_hooks(
            row,
            hooks.JobHooks(
                job,
                self._context_of(job),
                provider,
                provider.checkpoints.get(row.id),
                keyword,
                use.parameters,
                {keyword: record, 'new_resources': {}},
            ),
        )
        return failures, _summary(failures, row.resources_total)

    def _retain(self, job: models.Job) -> Outcome:
        return {}, retention_jobs.apply(self._manager, self._context_of(job), job)

    def _write_record(self, job: models.Job) -> Outcome:
        row = self._checkpoint_row(job)
        if row.status != constants.CheckpointStatus.DELETED:
            plugin_records.write_checkpoint(row, self._registry.get(row.provider_id))
        return {}, status_reset.BROKEN_OFF

    def _run_hooks(self, row: models.Checkpoint, job_hooks: hooks.JobHooks) -> hooks.Failures:
        return job_hooks.run(graph.deserialize(row.resource_graph), self._max_workers)


def _summary(failures: hooks.Failures, total: int) -> str | None:
    """One line about all failures; None when there is none."""
    if not failures:
        return None
    resource, failure = next(
        (item for item in failures.items() if item[1].is_over_quota), next(iter(failures.items()))
    )
    more = f'; and {len(failures) - 1} more' if len(failures) > 1 else ''
    return f'{len(failures)} of {total} resources failed: {resource.key}: {failure}{more}'


def _moment_after(seconds: float) -> datetime.datetime:
    return timeutils.utcnow() + datetime.timedelta(seconds=seconds)
