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

"""``/plans``"""

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.common import constants
from karbor.db import models, paging
from karbor.services.checkpoints.plan_resources import Covered

_RESOURCES: schema.Schema = {
    'type': 'array',
    'minItems': 1,
    'maxItems': schema.MOST_RESOURCES,
    'items': {
        'type': 'object',
        'properties': {
            'id': {'type': 'string', 'minLength': 1, 'maxLength': 255},
            'type': {'type': 'string', 'minLength': 1, 'maxLength': 255},
            'name': {'type': 'string', 'maxLength': 255},
            'extra_info': True,
        },
        'required': ['id', 'type', 'name'],
    },
}

CREATE = schema.wrapped(
    'plan',
    schema.strict(
        {
            'name': schema.NAME,
            'description': schema.DESCRIPTION,
            'provider_id': schema.UUID,
            'resources': _RESOURCES,
            'parameters': schema.PARAMETERS,
        },
        ['name', 'provider_id', 'resources', 'parameters'],
    ),
)

UPDATE = schema.wrapped(
    'plan',
    {
        **schema.strict(
            {
                'name': schema.NAME,
                'description': schema.DESCRIPTION,
                'status': {'enum': [status.value for status in constants.PlanStatus]},
                'resources': _RESOURCES,
                'parameters': schema.PARAMETERS,
            },
            [],
        ),
        'minProperties': 1,
    },
)

FILTERS = {'name': schema.FILTER, 'status': schema.FILTER, 'description': schema.FILTER}

PLAN = schema.shown(
    'Plan',
    {
        'id': schema.UUID,
        'project_id': schema.TEXT,
        'name': schema.TEXT,
        'description': schema.TEXT_OR_NULL,
        'provider_id': schema.UUID,
        'status': schema.TEXT,
        'resources': {
            'type': 'array',
            'items': schema.shown(
                'PlanResource',
                {
                    'id': schema.TEXT,
                    'type': schema.TEXT,
                    'name': schema.TEXT,
                    'extra_info': True,
                },
                ['extra_info'],
            ),
        },
        'parameters': schema.OBJECT,
    },
)

COVERED = schema.shown(
    'CoveredResource',
    {
        'id': schema.TEXT,
        'type': schema.TEXT,
        'name': schema.TEXT,
        'covered': {'type': 'boolean'},
        'reason': schema.TEXT,
    },
)

# Of an id alone, there may be resources of several types.
RESOURCES = query.Listing(
    'resources', {}, has_tenants=False, marker=lambda item: f'{item["type"]}#{item["id"]}'
)
LISTING = query.Listing('plans', FILTERS, ('id', 'name', 'status', 'created_at'))
ONE = schema.wrapped('plan', PLAN)


def view(plan: models.Plan) -> Object:
    return {name: getattr(plan, name) for name in PLAN['properties']}


def view_of_resource(covered: Covered) -> Object:
    resource, verdict = covered
    return {
        'id': resource.id,
        'type': resource.type,
        'name': resource.name,
        'covered': verdict.is_in,
        'reason': verdict.reason,
    }


class Plans(Handler):
    @operation('plan:get_all', schema.listed('plans', PLAN), listing=LISTING)
    def on_get(
        self, _context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        items, has_more = self.services.plans.page(selection)
        return [view(item) for item in items], has_more

    @operation('plan:create', ONE, body=CREATE)
    def on_post(self, context: karbor_context.RequestContext, body: Object) -> Object:
        return {'plan': view(self.services.plans.create(context, body['plan']))}


class Plan(Handler):
    @operation('plan:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, plan_id: str) -> Object:
        return {'plan': view(self.services.plans.get(context, plan_id))}

    @operation('plan:update', ONE, body=UPDATE)
    def on_put(self, context: karbor_context.RequestContext, plan_id: str, body: Object) -> Object:
        return {'plan': view(self.services.plans.update(context, plan_id, body['plan']))}

    @operation('plan:delete')
    def on_delete(self, context: karbor_context.RequestContext, plan_id: str) -> None:
        self.services.plans.delete(context, plan_id)


class Resources(Handler):
    """What a plan covers now."""

    @operation('plan:get_resources', schema.listed('resources', COVERED), listing=RESOURCES)
    def on_get(
        self, context: karbor_context.RequestContext, plan_id: str, selection: paging.Selection
    ) -> query.Items:
        plan = self.services.plans.get(context, plan_id)
        items, has_more = self.services.plan_resources.page(context, plan, selection.page)
        return [view_of_resource(item) for item in items], has_more
