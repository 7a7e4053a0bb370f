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

"""Plans: what is to be protected, by which provider, with which parameters."""

from collections.abc import Iterable, Mapping
from typing import Any

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import models, paging
from karbor.db import plans as plan_rows
from karbor.resource import Resource
from karbor.services.protection import (
    checkpoint,
    parameters,
    protectables,
    provider,
    records,
)

_CHANGEABLE = ('name', 'description', 'status', 'resources')


class Plans:
    """What the API does with plans.

    :param registry: the providers.
    :param protectable_plugins: what finds resources.
    """

    def __init__(self, registry: provider.ProviderRegistry,
                 protectable_plugins: protectables.Protectables) -> None:
        self._registry = registry
        self._protectables = protectable_plugins

    def create(self, context: karbor_context.RequestContext,
               wanted: Mapping[str, Any]) -> models.Plan:
        """A new plan.

        :param wanted: name, description, provider_id, resources and parameters, of the
            types that the request schema demands.
        :raises Invalid: a fault in the resources or parameters, or an unknown provider.
        """
        checked = self._checked_parameters(
            wanted['provider_id'], wanted['resources'], wanted['parameters'])
        with db.writer() as session:
            return plan_rows.create(
                session, project_id=context.project_id, name=wanted['name'],
                description=wanted.get('description'), provider_id=wanted['provider_id'],
                status=constants.PLAN_STATUS_SUSPENDED,
                resources=[_stored(resource) for resource in wanted['resources']],
                parameters=checked)

    def get(self, context: karbor_context.RequestContext, plan_id: str) -> models.Plan:
        with db.reader() as session:
            return plan_rows.get(session, context.project_id, plan_id)

    def page(self, context: karbor_context.RequestContext, filters: Mapping[str, str],
             wanted: paging.Page) -> tuple[list[models.Plan], bool]:
        """See :func:`karbor.db.plans.page`."""
        with db.reader() as session:
            return plan_rows.page(session, context.project_id, filters, wanted)

    def update(self, context: karbor_context.RequestContext, plan_id: str,
               changes: Mapping[str, Any]) -> models.Plan:
        """Change the name, description, status or resources.

        :raises PlanNotFound:
        :raises Invalid: new resources do not fit the plan's provider or parameters.
        """
        plan = self.get(context, plan_id)
        if 'resources' in changes:
            self._checked_parameters(plan.provider_id, changes['resources'], plan.parameters)
            changes = {**changes, 'resources': [_stored(item) for item in changes['resources']]}
        with db.writer() as session:
            plan = plan_rows.get(session, context.project_id, plan_id)
            for name in _CHANGEABLE:
                if name in changes:
                    setattr(plan, name, changes[name])
            return plan

    def delete(self, context: karbor_context.RequestContext, plan_id: str) -> None:
        """Remove a plan. Its checkpoints stay: they have all that they need.

        :raises PlanNotFound:
        """
        with db.writer() as session:
            session.delete(plan_rows.get(session, context.project_id, plan_id))

    def _checked_parameters(self, provider_id: str, wanted: Iterable[Mapping[str, Any]],
                            given: parameters.Parameters) -> dict[str, parameters.Values]:
        try:
            found = self._registry.get(provider_id)
        except exception.ProviderNotFound as exc:
            raise exception.InvalidPlan(reason=exc.msg) from exc
        resources = [as_resource(fields) for fields in wanted]
        types = dict.fromkeys(resource.type for resource in resources)
        for resource in resources:
            checkpoint.check_resource_id(resource.id)
        found.check_types(types)
        later = [name for name in self._protectables.all_dependent_types(types)
                 if name in found.plugin_classes]
        return parameters.check(given, resources, later, found.schema_of('options'))


def as_resource(fields: Mapping[str, Any]) -> Resource:
    """A resource of a plan as plugins are given it (Karbor contract, section B.8)."""
    return Resource(fields['type'], fields['id'], fields['name'],
                    records.as_json_text(fields.get('extra_info')))


def _stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan keeps of a resource; ``extra_info`` only when there is something in it."""
    kept = {name: fields[name] for name in ('id', 'type', 'name')}
    if fields.get('extra_info'):
        kept['extra_info'] = fields['extra_info']
    return kept
