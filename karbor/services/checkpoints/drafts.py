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

"""What a plan covers now, from which a checkpoint is made."""

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import checkpoints, models, recovery_points
from karbor.db import plans as plan_rows
from karbor.resource import Key, Resource
from karbor.services import quotas
from karbor.services.checkpoints import parameters, plans
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import graph, protectables
from karbor.services.protection import provider as providers


@dataclasses.dataclass(frozen=True)
class Draft:
    """What a plan covers now."""

    plan: models.Plan
    parameters: parameters.Parameters
    resource_graph: str
    resources: Sequence[Resource]

    def write(
        self,
        session: orm.Session,
        extra_info: Mapping[str, Any],
        *,
        checkpoint_id: str | None = None,
        scheduled_operation_id: str | None = None,
    ) -> models.Checkpoint:
        """Make a checkpoint of it, with its recovery points.

        :param scheduled_operation_id: of the scheduled operation that makes it.
        :raises CheckpointLimitExceeded:
        """
        plan = self.plan
        quotas.take(session, plan.project_id, quotas.CHECKPOINTS)
        checkpoint = checkpoints.create(
            session,
            id=checkpoint_id,
            # By the clock that triggers are due by, whichever host this is.
            created_at=db.now(session),
            project_id=plan.project_id,
            provider_id=plan.provider_id,
            plan_id=plan.id,
            status=constants.CheckpointStatus.PROTECTING,
            protection_plan={
                'id': plan.id,
                'name': plan.name,
                'provider_id': plan.provider_id,
                'resources': [plans.as_resource(fields).to_dict() for fields in plan.resources],
                'parameters': self.parameters,
            },
            resource_graph=self.resource_graph,
            resources_total=len(self.resources),
            extra_info=dict(extra_info),
        )
        recovery_points.add(
            session,
            checkpoint,
            [recovery_points.Point(resource=resource) for resource in self.resources],
            scheduled_operation_id,
        )
        return checkpoint


def draft(
    provider: providers.Provider,
    protectable_plugins: protectables.Protectables,
    context: karbor_context.RequestContext,
    plan_id: str,
    *,
    done: Collection[Key] = (),
) -> Draft:
    """What a plan covers now.

    :param provider: the provider that is asked for.
    :param protectable_plugins: what finds resources.
    :param done: resources that are left out, but for those that hang together with others, and
        unless nothing would be left.
    :raises PlanNotFound:
    :raises Invalid: the plan is another provider's, or a resource found now does not fit the
        plan's parameters.
    :raises ListProtectableResourceFailed: the cloud cannot tell what there is.
    """
    with db.reader() as session:
        plan = plan_rows.get(session, context.project_id, plan_id)
    check_provider(plan, provider.id)
    roots = protectable_plugins.graph(
        context, [plans.as_resource(fields) for fields in plan.resources]
    )
    if done:
        roots = graph.without(roots, _done_units(roots, done))
    resources = [node.value for node in graph.walk_nodes(roots)]
    provider.check_types(resource.type for resource in resources)
    # A plan may be older than what its plugin needs to know, or than a type that it covers.
    filled = parameters.filled(
        plan.parameters,
        resources,
        (),
        functools.partial(provider.default_options, plan_name=plan.name),
    )
    for resource in resources:
        bank_checkpoint.check_resource_id(resource.id)
        values = parameters.complete(
            parameters.merged(filled, resource),
            provider.schema_of('options')(resource.type),
            resource.key,
        )
        provider.check_options(resource.type, values, resource.key)
    return Draft(plan, filled, graph.serialize(roots), resources)


def _done_units(roots: Iterable[graph.GraphNode], done: Collection[Key]) -> set[Resource]:
    """The resources that are done, each with all that hangs on it and all that it hangs on.

    None when nothing else would be left.
    """
    nodes = [
        node
        for node in graph.walk_nodes(roots)
        if node.value.type not in recovery_points.WITHOUT_POINTS
    ]
    undone: set[Resource] = set()
    for node in nodes:
        below = [each.value for each in graph.walk_nodes((node,))]
        if any((resource.type, resource.id) not in done for resource in below):
            undone.update(below)
    return {node.value for node in nodes} - undone if undone else set()


def check_provider(plan: models.Plan, provider_id: str) -> None:
    """:raises InvalidInput: the plan is another provider's."""
    if plan.provider_id != provider_id:
        raise exception.InvalidInput(
            reason=f'The plan {plan.id} is for the provider {plan.provider_id}, not for '
            f'{provider_id}.'
        )
