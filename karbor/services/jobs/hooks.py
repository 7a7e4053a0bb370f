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

"""Runs the plugins' hooks of one attempt, on the resources that no earlier one has done."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import db, exception
from karbor.common import constants
from karbor.db import job_resources
from karbor.db import jobs as job_rows
from karbor.resource import Resource
from karbor.services.jobs import walker
from karbor.services.jobs.failures import Failure, Failures
from karbor.services.jobs.kinds import Attempt, ResourceOutcome, SavedInfo
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import graph, protection_plugin

LOG = logging.getLogger(__name__)

Plugins = Mapping[str, protection_plugin.ProtectionPlugin]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttemptHooks:
    """The hooks of one attempt.

    :param checkpoint: as the hooks see it.
    :param values: the parameters of each resource, complete.
    :param keywords: what the hooks are given beyond the contract's four arguments;
        ``new_resources`` is one dict for all of them.
    """

    attempt: Attempt
    checkpoint: bank_checkpoint.Checkpoint
    values: Mapping[Resource, dict[str, Any]]
    keywords: dict[str, Any]

    def run(self, roots: Sequence[graph.GraphNode], plugins: Plugins) -> Failures:
        """Run them over the graph.

        :param plugins: by resource type, made for this attempt.
        :returns: the resources that failed, and why.
        :raises KarborException: no hook was run, since a plugin cannot serve this job.
        :raises LeaseLost: the attempt is over.
        """
        operations = self._operations(plugins)
        failures: Failures = {}
        saved: dict[Resource, SavedInfo] = {}

        def run_hook(resource: Resource, hook: str) -> None:
            self.attempt.lease.check()
            four = {
                'checkpoint': self.checkpoint,
                'resource': resource,
                'context': self.attempt.context,
                'parameters': self.values[resource],
            }
            call(operations.get(resource), hook, four, self.keywords)
            if (
                self.attempt.kind.saves
                and hook == constants.Hook.COMPLETE
                and resource in operations
            ):
                saved[resource] = saved_info(plugins[resource.type], self.checkpoint, resource)

        def finished(resource: Resource, error: Exception | None) -> None:
            if resource in operations:
                if error is not None:
                    failures[resource] = self._logged(resource, error)
                    if self.attempt.kind.saves:  # something may be left of what it has made
                        saved[resource] = saved_info(
                            plugins[resource.type], self.checkpoint, resource
                        )
                self._record(
                    ResourceOutcome(
                        resource=resource,
                        failure=failures.get(resource),
                        saved=saved.pop(resource, SavedInfo()),
                    )
                )

        walker.walk(roots, run_hook, finished, self.attempt.environment.max_concurrent_resources)
        return failures

    def look_again(self, plugins: Plugins) -> None:
        """Let plugins look for what requests of earlier attempts have made since then."""
        by_type: dict[str, list[Resource]] = {}
        for resource in self.values:
            by_type.setdefault(resource.type, []).append(resource)
        for resource_type, resources in by_type.items():
            try:
                plugins[resource_type].look_again(
                    operation=self.attempt.kind.plugin_operation,
                    checkpoint=self.checkpoint,
                    resources=resources,
                    context=self.attempt.context,
                    **self.keywords,
                )
            except Exception:
                # A plugin's edge: what was done is good all the same.
                LOG.exception('Job %s: looking again for %s', self.attempt.job.id, resource_type)

    def _operations(self, plugins: Plugins) -> dict[Resource, protection_plugin.Operation]:
        """The operation of each resource that is not done yet."""
        done = self._done_before()
        return {
            resource: operation_of(
                plugins[resource.type], self.attempt.kind.plugin_operation, resource
            )
            for resource in self.values
            if resource.key not in done
        }

    def _done_before(self) -> set[str]:
        """Keys of the resources that earlier attempts have done.

        Their new resources go to ``new_resources``, where parents look for them.
        """
        job = self.attempt.job
        if job.attempts == 1:
            return set()
        with db.reader() as session:
            rows = [row for row in job_resources.of_job(session, job.id) if row.is_done]
        if 'new_resources' in self.keywords:
            self.keywords['new_resources'].update(
                {row.resource_id: row.new_resource_id for row in rows if row.new_resource_id}
            )
        return {row.resource_key for row in rows}

    @db.until_it_works
    def _record(self, outcome: ResourceOutcome) -> None:
        self.attempt.lease.check()
        job, resource, failure = self.attempt.job, outcome.resource, outcome.failure
        progress = job_resources.ResourceProgress(
            resource_type=resource.type,
            resource_id=resource.id,
            is_done=failure is None,
            reason=None if failure is None else failure.reason,
            new_resource_id=self.keywords.get('new_resources', {}).get(resource.id),
        )

        @db.transaction
        def write(session: orm.Session) -> None:
            job_rows.hold_claim(session, job)
            job_resources.record(session, job.id, progress)
            self.attempt.kind.record(session, job, outcome)

        write()

    def _logged(self, resource: Resource, error: Exception) -> Failure:
        failure = Failure.of(error)
        is_expected = isinstance(error, exception.ResourceFailed)
        LOG.error(
            'Job %s: %s: %s',
            self.attempt.job.id,
            resource.key,
            failure,
            exc_info=None if is_expected else error,
        )
        return failure


def operation_of(
    plugin: protection_plugin.ProtectionPlugin, kind: str, resource: Resource
) -> protection_plugin.Operation:
    """The plugin's operation for a resource.

    :raises InvalidInput: the plugin has none of that kind.
    """
    try:
        return getattr(plugin, f'get_{kind}_operation')(resource)
    except NotImplementedError:
        raise exception.InvalidInput(
            reason=f'The plugin of {resource.type} has no {kind} operation.'
        ) from None


def saved_info(
    plugin: protection_plugin.ProtectionPlugin | type[protection_plugin.ProtectionPlugin],
    checkpoint: bank_checkpoint.Checkpoint,
    resource: Resource,
) -> SavedInfo:
    """What a plugin tells that it keeps of a resource.

    By contract it reads the bank, and that is all that it can do here.
    """
    try:
        section = checkpoint.read_only_section(resource.id)
        return SavedInfo(told=plugin.get_saved_info(section, resource))
    except (NotImplementedError, exception.BankObjectNotFound):
        return SavedInfo()
    except (Exception, SystemExit):
        # A plugin may raise anything; what it protects is good all the same.
        LOG.warning('What is kept of %s is not known', resource.key, exc_info=True)
        return SavedInfo(is_to_be_asked=True)


def call(operation: Any, hook: str, four: dict[str, Any], keywords: dict[str, Any]) -> None:
    """Call a hook of an operation; one that it does not have does nothing.

    :param four: the contract's arguments, given by name: a plugin may order them as it likes.
    :param keywords: given to a hook that declares them.
    """
    method = getattr(operation, hook, None)
    if method is None:
        return
    try:
        method(**four, **_accepted(method, keywords))
    except SystemExit as exc:  # it would end the worker, not the plugin
        raise RuntimeError('The hook called sys.exit.') from exc


def _accepted(method: Callable[..., Any], keywords: dict[str, Any]) -> dict[str, Any]:
    """Those of the keywords that a hook declares, or all if it takes any."""
    declared = inspect.signature(method).parameters
    if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in declared.values()):
        return keywords
    return {name: value for name, value in keywords.items() if name in declared}
