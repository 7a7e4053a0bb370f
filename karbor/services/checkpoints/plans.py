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

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import models, operation_logs, paging, schedules
from karbor.db import plans as plan_rows
from karbor.resource import Resource
from karbor.services import quotas
from karbor.services.checkpoints import parameters, plugin_records
from karbor.services.protection import checkpoint, choices, protectables
from karbor.services.protection import provider as providers

_MOST_EXTRA_INFO = 256 * 1024  # characters; it is kept again with each checkpoint
_CHANGEABLE = ('name', 'description', 'status', 'resources', 'parameters')


class Plans:
    """What the API does with plans.

    :param registry: the providers.
    :param protectable_plugins: what finds resources.
    """

    def __init__(
        self, registry: providers.ProviderRegistry, protectable_plugins: protectables.Protectables
    ) -> None:
        self._registry = registry
        self._protectables = protectable_plugins

    def create(
        self, context: karbor_context.RequestContext, fields: Mapping[str, Any]
    ) -> models.Plan:
        """A new plan.

        :param fields: name, description, provider_id, resources and parameters, of the
            types that the request schema demands.
        :raises Invalid: a fault in the resources or parameters, or an unknown provider.
        :raises PlanLimitExceeded:
        """
        _check_choices(fields['resources'])
        checked = self._checked_parameters(
            fields['provider_id'],
            fields['resources'],
            fields['parameters'],
            plan_name=fields['name'],
            are_new=True,
        )

        @db.transaction
        def write(session: orm.Session) -> models.Plan:
            quotas.take(session, context.project_id, quotas.PLANS)
            plan = plan_rows.create(
                session,
                project_id=context.project_id,
                name=fields['name'],
                description=fields.get('description'),
                provider_id=fields['provider_id'],
                status=constants.PlanStatus.SUSPENDED,
                resources=[_stored(resource) for resource in fields['resources']],
                parameters=checked,
            )
            _record(session, context, 'plan_create', plan)
            return plan

        return write()

    def contents(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The resources and parameters of a plan that is there elsewhere, as one keeps them here.

        No more is asked of them than of a plan that is here already.

        :param fields: as :meth:`create`.
        :raises Invalid: a fault in the resources or parameters, or an unknown provider.
        """
        return {
            'resources': [_stored(resource) for resource in fields['resources']],
            'parameters': self._checked_parameters(
                fields['provider_id'],
                fields['resources'],
                fields['parameters'],
                plan_name=fields['name'],
                are_new=False,
            ),
        }

    def get(self, context: karbor_context.RequestContext, plan_id: str) -> models.Plan:
        with db.plain_reader() as connection:
            return plan_rows.look(connection, context.project_id, plan_id)

    def page(self, selection: paging.Selection) -> tuple[list[models.Plan], bool]:
        with db.plain_reader() as connection:
            return plan_rows.page(connection, selection)

    def update(
        self, context: karbor_context.RequestContext, plan_id: str, changes: Mapping[str, Any]
    ) -> models.Plan:
        """Change the name, description, status, resources or parameters.

        What a checkpoint was made of stays in that checkpoint; what begins now takes the new.

        :param changes: resources and parameters take the place of all earlier ones.
        :raises PlanNotFound:
        :raises Invalid: resources and parameters, of which one may be as it was, do not fit each
            other or the plan's provider.
        """

        @db.transaction
        def write(session: orm.Session) -> models.Plan:
            plan = plan_rows.get(session, context.project_id, plan_id, lock=True)
            changed = {**changes, **self._checked_contents(plan, changes)}
            for name in _CHANGEABLE:
                if name in changed:
                    setattr(plan, name, changed[name])
            if session.is_modified(plan):
                _record(session, context, 'plan_update', plan, changed=sorted(changes))
            return plan

        return write()

    def _checked_contents(self, plan: models.Plan, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Those of resources and parameters that change, as a plan keeps them.

        :param plan: locked, so that what one change leaves is what the next one is held against.
        :raises Invalid: as :meth:`update`.
        """
        new_contents = {
            name: changes[name] for name in ('resources', 'parameters') if name in changes
        }
        if not new_contents:
            return {}
        resources = [_stored(fields) for fields in new_contents.get('resources', plan.resources)]
        values = new_contents.get('parameters', plan.parameters)
        if resources != plan.resources:
            _check_choices(resources)
        contents = {
            'resources': resources,
            'parameters': self._checked_parameters(
                plan.provider_id,
                resources,
                values,
                plan_name=changes.get('name', plan.name),
                are_new=values != plan.parameters,
            ),
        }
        return {name: contents[name] for name in new_contents}

    def delete(self, context: karbor_context.RequestContext, plan_id: str) -> None:
        """Remove a plan. Its checkpoints stay: they have all that they need.

        :raises PlanNotFound:
        :raises PlanInUse: a scheduled operation needs it.
        """

        @db.transaction
        def write(session: orm.Session) -> None:
            plan = plan_rows.get(session, context.project_id, plan_id, lock=True)
            operation_id = schedules.operation_for_plan(session, plan.id)
            if operation_id is not None:
                raise exception.PlanInUse(plan_id=plan.id, operation_id=operation_id)
            session.delete(plan)
            quotas.give_back(session, context.project_id, quotas.PLANS)
            _record(session, context, 'plan_delete', plan)

        write()

    def _checked_parameters(
        self,
        provider_id: str,
        resource_fields: Iterable[Mapping[str, Any]],
        values: parameters.Parameters,
        *,
        plan_name: str,
        are_new: bool,
    ) -> dict[str, parameters.Values]:
        """The parameters coerced and completed, once they fit the resources and the provider.

        :param plan_name: what plugins may call something by of which the parameters say nothing.
        :param are_new: they were not in the plan before, so that plugins may ask more of them.
        """
        try:
            provider = self._registry.get(provider_id)
        except exception.ProviderNotFound as exc:
            raise exception.InvalidPlan(reason=exc.msg) from exc
        resources = [as_resource(fields) for fields in resource_fields]
        _check_extra_info(resources)
        types = dict.fromkeys(resource.type for resource in resources)
        for resource in resources:
            checkpoint.check_resource_id(resource.id)
            if resource.type == constants.VOLUME_RESOURCE_TYPE:
                parameters.check_id(resource.type, resource.id, resource.key)
        provider.check_types(types)
        later = [
            name
            for name in self._protectables.all_dependent_types(types)
            if name in provider.plugin_classes
        ]
        return parameters.check(
            values,
            resources,
            later,
            provider.schema_of('options'),
            defaults_of=functools.partial(provider.default_options, plan_name=plan_name),
            check_values=provider.check_new_options if are_new else provider.check_options,
        )


def _record(
    session: orm.Session,
    context: karbor_context.RequestContext,
    what: str,
    plan: models.Plan,
    **told: Any,
) -> None:
    operation_logs.record(
        session,
        context,
        what,
        plan_id=plan.id,
        provider_id=plan.provider_id,
        extra_info=told or None,
    )


def as_resource(fields: Mapping[str, Any]) -> Resource:
    """A resource of a plan as plugins are given it (Karbor contract, section B.8)."""
    return Resource(
        fields['type'],
        fields['id'],
        fields['name'],
        plugin_records.as_json_text(fields.get('extra_info')),
    )


def _check_extra_info(resources: Iterable[Resource]) -> None:
    size = sum(len(resource.extra_info or '') for resource in resources)
    if size > _MOST_EXTRA_INFO:
        raise exception.InvalidPlan(
            reason=f'The extra_info of all resources is {size} '
            f'characters of JSON; {_MOST_EXTRA_INFO} are the most.'
        )


def _check_choices(resource_fields: Iterable[Mapping[str, Any]]) -> None:
    """Refuse choices that are wrong, where they are new: in a plan that has them they do nothing.

    :raises InvalidInput:
    """
    for fields in resource_fields:
        if fields['type'] == constants.PROJECT_RESOURCE_TYPE:
            choices.parse(fields.get('extra_info'))


def _stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan keeps of a resource; ``extra_info`` only when there is something in it."""
    kept = {name: fields[name] for name in ('id', 'type', 'name')}
    if fields.get('extra_info'):
        kept['extra_info'] = fields['extra_info']
    return kept
