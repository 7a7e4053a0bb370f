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

from typing import Any

from karbor import context as karbor_context
from karbor.api import query
from karbor.api.operation import operation
from karbor.api.schemas import plans as schemas
from karbor.api.schemas import types
from karbor.db import models, paging
from karbor.services.checkpoints import plans

LISTING = query.Listing('plans', schemas.FILTERS, ('id', 'name', 'status', 'created_at'))
ONE = types.wrapped('plan', schemas.PLAN)


def view(plan: models.Plan) -> dict[str, Any]:
    return {
        name: getattr(plan, name)
        for name in (
            'id',
            'project_id',
            'name',
            'description',
            'resources',
            'provider_id',
            'status',
            'parameters',
        )
    }


class Plans:
    def __init__(self, service: plans.Plans) -> None:
        self._plans = service

    @operation('plan:get_all', types.listed('plans', schemas.PLAN), listing=LISTING)
    def on_get(self, _context: karbor_context.RequestContext, wanted: paging.Wanted) -> query.Items:
        items, has_more = self._plans.page(wanted)
        return [view(item) for item in items], has_more

    @operation('plan:create', ONE, body=schemas.CREATE)
    def on_post(self, context: karbor_context.RequestContext, body: Any) -> Any:
        return {'plan': view(self._plans.create(context, body['plan']))}


class Plan:
    def __init__(self, service: plans.Plans) -> None:
        self._plans = service

    @operation('plan:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, plan_id: str) -> Any:
        return {'plan': view(self._plans.get(context, plan_id))}

    @operation('plan:update', ONE, body=schemas.UPDATE)
    def on_put(self, context: karbor_context.RequestContext, plan_id: str, body: Any) -> Any:
        return {'plan': view(self._plans.update(context, plan_id, body['plan']))}

    @operation('plan:delete')
    def on_delete(self, context: karbor_context.RequestContext, plan_id: str) -> None:
        self._plans.delete(context, plan_id)
