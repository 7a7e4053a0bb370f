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

import falcon

from karbor.api import media, query
from karbor.api.schemas import plans as schemas
from karbor.db import models
from karbor.services.protection import plans

_SORT_KEYS = ('id', 'name', 'status', 'created_at')


def view(plan: models.Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in (
        'id', 'name', 'description', 'resources', 'provider_id', 'status', 'parameters')}


class Plans:

    def __init__(self, service: plans.Plans) -> None:
        self._plans = service

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        items, has_more = self._plans.page(
            req.context.karbor, query.filters(req, ('name', 'status', 'description')),
            query.page(req, _SORT_KEYS))
        resp.media = query.listed(req, 'plans', [view(item) for item in items], has_more)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        plan = self._plans.create(req.context.karbor, media.body(req, schemas.CREATE))
        resp.media = {'plan': view(plan)}


class Plan:

    def __init__(self, service: plans.Plans) -> None:
        self._plans = service

    def on_get(self, req: falcon.Request, resp: falcon.Response, plan_id: str) -> None:
        query.check_uuid('plan', plan_id)
        resp.media = {'plan': view(self._plans.get(req.context.karbor, plan_id))}

    def on_put(self, req: falcon.Request, resp: falcon.Response, plan_id: str) -> None:
        query.check_uuid('plan', plan_id)
        plan = self._plans.update(req.context.karbor, plan_id, media.body(req, schemas.UPDATE))
        resp.media = {'plan': view(plan)}

    def on_delete(self, req: falcon.Request, _resp: falcon.Response, plan_id: str) -> None:
        query.check_uuid('plan', plan_id)
        self._plans.delete(req.context.karbor, plan_id)
