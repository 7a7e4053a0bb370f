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

"""``/providers/{provider_id}/checkpoints``"""

import datetime
from typing import Any

import falcon

from karbor.api import media, query
from karbor.api.schemas import checkpoints as schemas
from karbor.db import models
from karbor.services.protection import manager, records

_SORT_KEYS = ('id', 'status', 'created_at')
_LAST_DAY = datetime.datetime.max - datetime.timedelta(days=1)


def view(checkpoint: models.Checkpoint, progress: manager.Progress) -> dict[str, Any]:
    return {
        'id': checkpoint.id,
        'project_id': checkpoint.project_id,
        'status': checkpoint.status,
        'status_reason': checkpoint.status_reason,
        'protection_plan': checkpoint.protection_plan,
        'resource_graph': checkpoint.resource_graph,
        'resources_total': checkpoint.resources_total,
        'resources_done': progress.done,
        'resources_failed': progress.failed,
        'created_at': checkpoint.created_at.strftime('%Y-%m-%d'),
        'extra_info': records.as_json_text(checkpoint.extra_info),
    }


class Checkpoints:

    def __init__(self, service: manager.ProtectionManager) -> None:
        self._manager = service

    def on_get(self, req: falcon.Request, resp: falcon.Response, provider_id: str) -> None:
        query.check_uuid('provider', provider_id)
        before = query.date(req, 'end_date')
        if before is not None:  # the day itself is included; the last day of time has no next
            before = min(before, _LAST_DAY) + datetime.timedelta(days=1)
        items, has_more = self._manager.page_of_checkpoints(
            req.context.karbor, provider_id, query.filters(req, ('plan_id', 'status')),
            query.date(req, 'start_date'), before, query.page(req, _SORT_KEYS))
        progress = self._manager.progress([item.id for item in items])
        resp.media = query.listed(
            req, 'checkpoints', [view(item, progress[item.id]) for item in items], has_more)

    def on_post(self, req: falcon.Request, resp: falcon.Response, provider_id: str) -> None:
        query.check_uuid('provider', provider_id)
        body = media.body(req, schemas.CREATE)
        checkpoint = self._manager.create_checkpoint(
            req.context.karbor, provider_id, body['plan_id'],
            {**(body.get('extra_info') or {}), **(body.get('extra-info') or {})})
        resp.media = {'checkpoint': view(checkpoint, manager.Progress(0, 0))}


class Checkpoint:

    def __init__(self, service: manager.ProtectionManager) -> None:
        self._manager = service

    def on_get(self, req: falcon.Request, resp: falcon.Response, provider_id: str,
               checkpoint_id: str) -> None:
        _check_ids(provider_id, checkpoint_id)
        checkpoint = self._manager.get_checkpoint(
            req.context.karbor, provider_id, checkpoint_id)
        progress = self._manager.progress([checkpoint.id])[checkpoint.id]
        resp.media = {'checkpoint': {
            **view(checkpoint, progress),
            'resources_reason': self._manager.failures(checkpoint.id)}}

    def on_delete(self, req: falcon.Request, resp: falcon.Response, provider_id: str,
                  checkpoint_id: str) -> None:
        _check_ids(provider_id, checkpoint_id)
        self._manager.delete_checkpoint(req.context.karbor, provider_id, checkpoint_id)
        resp.media = {}

    def on_put(self, req: falcon.Request, resp: falcon.Response, provider_id: str,
               checkpoint_id: str) -> None:
        _check_ids(provider_id, checkpoint_id)
        body = media.body(req, schemas.RESET_STATE)
        self._manager.reset_checkpoint(
            req.context.karbor, provider_id, checkpoint_id, body['state'])
        resp.media = {}


def _check_ids(provider_id: str, checkpoint_id: str) -> None:
    query.check_uuid('provider', provider_id)
    query.check_uuid('checkpoint', checkpoint_id)
