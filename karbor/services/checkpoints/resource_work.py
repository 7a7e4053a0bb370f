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

"""What jobs about a checkpoint share: hooks on its resources, and what to tell of them."""

import datetime
import functools
import itertools
from collections.abc import Collection, Mapping
from typing import Any

from karbor import db
from karbor.common import accounts
from karbor.db import inventory, models
from karbor.resource import Key, Resource
from karbor.services.checkpoints import parameters, plugin_records, regions
from karbor.services.jobs import hooks
from karbor.services.jobs.failures import Failure, Failures
from karbor.services.jobs.kinds import Attempt, ResourceOutcome
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import graph

_MOST_NAMES = 10  # in one line


def run_hooks(
    attempt: Attempt,
    row: models.Checkpoint,
    checkpoint: bank_checkpoint.Checkpoint,
    *,
    left_out: Collection[Key] = (),
    schema_kind: str | None = None,
    request_parameters: parameters.Parameters | None = None,
    keywords: Mapping[str, Any] | None = None,
    told: hooks.Told | None = None,
) -> Failures:
    """Run the hooks on the resources of a checkpoint; returns those that failed, and why.

    :param checkpoint: the one of the row, as the hooks see it.
    :param left_out: type and id of each resource that is left as it is.
    :param schema_kind: which of the provider's schemas the parameters are for: 'options',
        'restore' or 'verify'; None leaves them as they are.
    :param request_parameters: as the plan, restore or verification has them.
    :param keywords: what the hooks are given beyond what all are given.
    :param told: what plugins tell meanwhile.
    :raises KarborException: no hook was run, since a plugin cannot serve this job.
    :raises OtherRegion: no hook was run, since the checkpoint was made elsewhere.
    :raises LeaseLost: the attempt is over.
    """
    if row.region is not None:
        regions.check(row.region, regions.acting(attempt.context))
    provider = attempt.environment.registry.get(row.provider_id)
    roots = without(graph.deserialize(row.resource_graph), left_out)
    resources = [node.value for node in graph.walk_nodes(roots)]
    provider.check_types(resource.type for resource in resources)
    values = {}
    for resource in resources:
        schema = provider.schema_of(schema_kind)(resource.type) if schema_kind else None
        merged = parameters.merged(request_parameters or {}, resource)
        values[resource] = parameters.complete(merged, schema, resource.key)
    log = plugin_records.OperationLogRecord(
        operation_type=attempt.kind.plugin_operation, checkpoint_id=checkpoint.id
    )
    if not attempt.kind.saves:
        attempt.context.account = _account(row, resources)
    plugins = provider.new_plugins(resource.type for resource in resources)
    attempt_hooks = hooks.AttemptHooks(
        attempt=attempt,
        checkpoint=checkpoint,
        values=values,
        keywords={**(keywords or {}), 'operation_log': log},
        told=told,
    )
    failures = attempt_hooks.run(roots, plugins)
    attempt_hooks.look_again(plugins)
    return failures


def _account(row: models.Checkpoint, resources: Collection[Resource]) -> accounts.Account:
    """How a checkpoint was made. What it is of, its row tells."""
    with db.reader() as session:
        recorded = inventory.recorded_ids(session, [row.id]).get(row.id, {})
    return accounts.Account(
        project_id=row.project_id,
        since=row.created_at,
        until=functools.cache(functools.partial(_made_until, row.id)),
        resource_ids=frozenset(resource.id for resource in resources),
        recorded=inventory.known_only(recorded),
    )


def _made_until(checkpoint_id: str) -> datetime.datetime | None:
    with db.reader() as session:
        return inventory.accounts(session, [checkpoint_id])[checkpoint_id].until()


def run_delete_hooks(
    attempt: Attempt,
    row: models.Checkpoint,
    checkpoint: bank_checkpoint.Checkpoint,
    *,
    left_out: Collection[Key] = (),
) -> Failures:
    """Run the hooks that delete; see :func:`run_hooks`.

    A resource that no plugin serves any more fails, and the others are deleted without it.
    """
    provider = attempt.environment.registry.get(row.provider_id)
    roots = without(graph.deserialize(row.resource_graph), left_out)
    unserved: Failures = {
        node.value: Failure(
            f'no plugin of the provider {provider.name} serves {node.value.type} any more, so what '
            f'was made of it is left'
        )
        for node in graph.walk_nodes(roots)
        if node.value.type not in provider.plugin_classes
    }
    failures = run_hooks(
        attempt,
        row,
        checkpoint,
        left_out={*left_out, *((resource.type, resource.id) for resource in unserved)},
    )
    if unserved:
        hooks.AttemptHooks(attempt=attempt, checkpoint=checkpoint, values={}, keywords={}).record(
            [ResourceOutcome(resource=each, failure=why) for each, why in unserved.items()]
        )
    return failures | unserved


def without(roots: list[graph.GraphNode], left_out: Collection[Key]) -> list[graph.GraphNode]:
    """A graph without some resources, by their types and ids."""
    if not left_out:
        return roots
    resources = [node.value for node in graph.walk_nodes(roots)]
    return graph.without(
        roots, {resource for resource in resources if (resource.type, resource.id) in left_out}
    )


def leave_out(
    checkpoint: bank_checkpoint.Checkpoint, resources: Collection[Resource]
) -> list[graph.GraphNode]:
    """Make a checkpoint in its bank one without some resources; its index is not written yet.

    :returns: the graph of the rest.
    """
    kept = graph.without(checkpoint.resource_graph or (), resources)
    if resources:
        checkpoint.resource_graph = kept
        kept_ids = {node.value.id for node in graph.walk_nodes(kept)}
        for resource_id in {resource.id for resource in resources} - kept_ids:
            checkpoint.erase_resource(resource_id)
    return kept


def leave_out_of_row(row: models.Checkpoint, resources: Collection[Resource]) -> None:
    """Make the row of a checkpoint one without some resources."""
    if resources:
        kept = graph.without(graph.deserialize(row.resource_graph), resources)
        row.resource_graph = graph.serialize(kept)
        row.resources_total = sum(1 for _ in graph.walk_nodes(kept))


def summary_of_gone(gone: Collection[Resource], total: int) -> str | None:
    """One line about the resources that there are not any more; None when there is none."""
    if not gone:
        return None
    verb = 'is' if len(gone) == 1 else 'are'
    return f'{len(gone)} of {total} resources {verb} gone: {names_of(gone)}'


def names_of(resources: Collection[Resource]) -> str:
    """What to call some resources before a person, and how many more there are."""
    names = [described(resource) for resource in itertools.islice(resources, _MOST_NAMES)]
    more = f' and {len(resources) - _MOST_NAMES} more' if len(resources) > _MOST_NAMES else ''
    return f'{", ".join(names)}{more}'


def described(resource: Resource) -> str:
    """What to call a resource before a person."""
    return f'{resource.key} ({resource.name})' if resource.name else resource.key


def summary(failures: Failures, total: int) -> str | None:
    """One line about all failures; None when there is none."""
    if not failures:
        return None
    resource, failure = next(
        (item for item in failures.items() if item[1].is_over_quota), next(iter(failures.items()))
    )
    more = f'; and {len(failures) - 1} more' if len(failures) > 1 else ''
    return f'{len(failures)} of {total} resources failed: {resource.key}: {failure}{more}'
