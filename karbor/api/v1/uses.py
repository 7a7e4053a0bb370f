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

"""``/restores`` and ``/verifications``: both use a checkpoint and leave it as it is."""

from collections.abc import Iterable
from typing import Any

import falcon

from karbor.api import media, query
from karbor.api.schemas import uses as schemas
from karbor.db import models
from karbor.services.protection import manager

_SORT_KEYS = ('id', 'status', 'created_at')


def view(use: Any, results: Iterable[models.ResourceResult],
         progress: manager.Progress) -> dict[str, Any]:
    told = {f'{item.resource_type}#{item.resource_id}': item for item in results}
    shown = {name: getattr(use, name) for name in (
        'id', 'project_id', 'provider_id', 'checkpoint_id', 'parameters', 'status',
        'status_reason')}
    if isinstance(use, models.Restore):
        shown['restore_target'] = use.restore_target
    return {
        **shown,
        'resources_done': progress.done,
        'resources_failed': progress.failed,
        'resources_status': {key: item.status for key, item in told.items()},
        'resources_reason': {key: item.reason for key, item in told.items() if item.reason},
    }


class _Uses:
    """The list; a subclass says of what."""

    _model: Any
    _collection: str

    def __init__(self, service: manager.ProtectionManager) -> None:
        self._manager = service

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        items, has_more = self._manager.page_of_uses(
            req.context.karbor, self._model,
            query.filters(req, ('status', 'checkpoint_id', 'provider_id')),
            query.page(req, _SORT_KEYS))
        ids = [item.id for item in items]
        results, progress = self._manager.results(ids), self._manager.progress(ids)
        resp.media = query.listed(
            req, self._collection,
            [view(item, results.get(item.id, ()), progress[item.id]) for item in items],
            has_more)


class _Use:
    """One of them; a subclass says of what."""

    _model: Any
    _key: str

    def __init__(self, service: manager.ProtectionManager) -> None:
        self._manager = service

    def on_get(self, req: falcon.Request, resp: falcon.Response, use_id: str) -> None:
        query.check_uuid(self._key, use_id)
        use = self._manager.get_use(req.context.karbor, self._model, use_id)
        shown = view(use, self._manager.results([use.id]).get(use.id, ()),
                     self._manager.progress([use.id])[use.id])
        resp.media = {self._key: {**shown, **self._more(use.id)}}

    def _more(self, use_id: str) -> dict[str, Any]:
        """What is shown of one that a list leaves out."""
        return {}


class Restores(_Uses):
    _model = models.Restore
    _collection = 'restores'

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = media.body(req, schemas.RESTORE)
        restore = self._manager.create_restore(req.context.karbor, body)
        resp.media = {'restore': {**view(restore, (), manager.Progress(0, 0)),
                                  'new_resources': {}}}


class Restore(_Use):
    _model = models.Restore
    _key = 'restore'

    def _more(self, use_id: str) -> dict[str, Any]:
        return {'new_resources': self._manager.new_resources(use_id)}


class Verifications(_Uses):
    _model = models.Verification
    _collection = 'verifications'

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = {'parameters': {}, **media.body(req, schemas.VERIFICATION)}
        verification = self._manager.create_verification(req.context.karbor, body)
        resp.media = {'verification': view(verification, (), manager.Progress(0, 0))}


class Verification(_Use):
    _model = models.Verification
    _key = 'verification'
