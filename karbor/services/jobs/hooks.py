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

"""Runs the plugins' hooks of one job, on the resources that no earlier attempt has done."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.resource import Resource
from karbor.services.checkpoints import parameters, plugin_records
from karbor.services.jobs import walker
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import graph, protection_plugin
from karbor.services.protection import provider as providers

LOG = logging.getLogger(__name__)

Failures = dict[Resource, str]


@dataclasses.dataclass
class JobHooks:
    """The hooks of one job.

    :param schema_kind: which of the provider's schemas the parameters are for: 'options',
        'restore' or 'verify'; None leaves them as they are.
    :param request_parameters: as the plan, restore or verification has them.
    :param keywords: what the hooks are given beyond the contract's four arguments.
    """

    job: models.Job
    context: karbor_context.RequestContext
    provider: providers.Provider
    checkpoint: bank_checkpoint.Checkpoint
    schema_kind: str | None
    request_parameters: parameters.Parameters
    keywords: dict[str, Any]

    def run(self, roots: list[graph.GraphNode], max_workers: int) -> Failures:
        """Run them over the graph.

        :param max_workers: how many hooks may run at once.
        :returns: the resources that failed, with the reasons.
        :raises KarborException: no hook was run, since a plugin cannot serve this job.
        """
        resources = [node.value for node in graph.walk_nodes(roots)]
        self.provider.check_types(resource.type for resource in resources)
        self.keywords['operation_log'] = plugin_records.OperationLogRecord(
            operation_type=self.job.kind, checkpoint_id=self.checkpoint.id
        )
        values = {resource: self._values(resource) for resource in resources}
        operations = self._operations(resources)
        failures: Failures = {}

        def run_hook(resource: Resource, hook: str) -> None:
            four = {
                'checkpoint': self.checkpoint,
                'resource': resource,
                'context': self.context,
                'parameters': values[resource],
            }
            call(operations.get(resource), hook, four, self.keywords)

        def finished(resource: Resource, error: Exception | None) -> None:
            if resource in operations:
                if error is not None:
                    failures[resource] = self._logged_reason(resource, error)
                self._record(resource, failures.get(resource))

        walker.walk(roots, run_hook, finished, max_workers)
        return failures

    def _values(self, resource: Resource) -> parameters.Values:
        schema = (
            self.provider.schema_of(self.schema_kind)(resource.type) if self.schema_kind else None
        )
        return parameters.complete(
            parameters.merged(self.request_parameters, resource), schema, resource.key
        )

    def _operations(self, resources: list[Resource]) -> dict[Resource, protection_plugin.Operation]:
        """The operation of each resource that is not done yet."""
        done = self._done_before()
        plugins = self.provider.new_plugins()
        return {
            resource: operation_of(plugins[resource.type], self.job.kind, resource)
            for resource in resources
            if resource.key not in done
        }

    def _done_before(self) -> set[str]:
        """Keys of the resources that earlier attempts have done.

        Their new resources go to ``new_resources``, where parents look for them.
        """
        if self.job.attempts == 1:
            return set()
        with db.reader() as session:
            rows = [row for row in job_rows.resources(session, self.job.id) if row.is_done]
        if 'new_resources' in self.keywords:
            self.keywords['new_resources'].update(
                {row.resource_id: row.new_resource_id for row in rows if row.new_resource_id}
            )
        return {f'{row.resource_type}#{row.resource_id}' for row in rows}

    @db.until_it_works
    def _record(self, resource: Resource, reason: str | None) -> None:
        new_id = self.keywords.get('new_resources', {}).get(resource.id)
        with db.writer() as session:
            job_rows.record_resource(
                session, self.job.id, resource.type, resource.id, reason is None, reason, new_id
            )

    def _logged_reason(self, resource: Resource, error: Exception) -> str:
        reason = reason_of(error)
        is_expected = isinstance(error, exception.ResourceFailed)
        LOG.error(
            'Job %s: %s: %s',
            self.job.id,
            resource.key,
            reason,
            exc_info=None if is_expected else error,
        )
        return reason


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


def reason_of(error: Exception) -> str:
    """What to tell of an error, in characters that every database can hold.

    It is never empty, since no reason means that all is well.
    """
    if isinstance(error, exception.ResourceFailed) and error.kwargs.get('reason'):
        reason = str(error.kwargs['reason'])
    elif isinstance(error, exception.KarborException):
        reason = error.msg or type(error).__name__
    else:
        reason = f'{type(error).__name__}: {error}'
    return reason.replace('\x00', '').encode(errors='replace').decode()
