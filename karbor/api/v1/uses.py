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

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.operation import operation
from karbor.db import models, paging
from karbor.services.checkpoints import manager

RESTORE = schema.wrapped(
    'restore',
    schema.strict(
        {
            'provider_id': schema.UUID,
            'checkpoint_id': schema.UUID,
            'parameters': schema.PARAMETERS,
            'restore_target': schema.DESCRIPTION,
            'restore_auth': schema.METADATA,
        },
        ['provider_id', 'checkpoint_id', 'parameters'],
    ),
)

VERIFICATION = schema.wrapped(
    'verification',
    schema.strict(
        {
            'provider_id': schema.UUID,
            'checkpoint_id': schema.UUID,
            'parameters': schema.PARAMETERS,
        },
        ['provider_id', 'checkpoint_id'],
    ),
)

FILTERS = {'status': schema.FILTER, 'checkpoint_id': schema.FILTER, 'provider_id': schema.FILTER}

_USE = {
    'id': schema.UUID,
    'project_id': schema.TEXT,
    'provider_id': schema.UUID,
    'checkpoint_id': schema.UUID,
    'parameters': schema.OBJECT,
    'status': schema.TEXT,
    'status_reason': schema.TEXT_OR_NULL,
    'resources_done': schema.INTEGER,
    'resources_failed': schema.INTEGER,
    'resources_status': schema.OBJECT,
    'resources_reason': schema.OBJECT,
}

SHOWN_RESTORE = schema.shown(
    'Restore',
    {
        **_USE,
        'restore_target': schema.TEXT_OR_NULL,
        'new_resources': schema.OBJECT,
    },
    ['new_resources'],
)

SHOWN_VERIFICATION = schema.shown('Verification', _USE)

_SORT_KEYS = ('id', 'status', 'created_at')
ONE_RESTORE = schema.wrapped('restore', SHOWN_RESTORE)
ONE_VERIFICATION = schema.wrapped('verification', SHOWN_VERIFICATION)


def view(
    use: Any, results: Iterable[models.ResourceResult], progress: manager.Progress
) -> dict[str, Any]:
    told = {f'{item.resource_type}#{item.resource_id}': item for item in results}
    shown = {
        name: getattr(use, name)
        for name in (
            'id',
            'project_id',
            'provider_id',
            'checkpoint_id',
            'parameters',
            'status',
            'status_reason',
        )
    }
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
    def __init__(self, service: manager.ProtectionManager) -> None:
        self._manager = service

    def _page(self, model: Any, wanted: paging.Wanted) -> query.Items:
        items, has_more = self._manager.page_of_uses(model, wanted)
        ids = [item.id for item in items]
        results, progress = self._manager.results(ids), self._manager.progress(ids)
        return [view(item, results.get(item.id, ()), progress[item.id]) for item in items], has_more

    def _one(
        self, context: karbor_context.RequestContext, model: Any, use_id: str
    ) -> dict[str, Any]:
        use = self._manager.get_use(context, model, use_id)
        return view(
            use,
            self._manager.results([use.id]).get(use.id, ()),
            self._manager.progress([use.id])[use.id],
        )


class Restores(_Uses):
    @operation(
        'restore:get_all',
        schema.listed('restores', SHOWN_RESTORE),
        listing=query.Listing('restores', FILTERS, _SORT_KEYS),
    )
    def on_get(self, _context: karbor_context.RequestContext, wanted: paging.Wanted) -> query.Items:
        return self._page(models.Restore, wanted)

    @operation('restore:create', ONE_RESTORE, body=RESTORE)
    def on_post(self, context: karbor_context.RequestContext, body: Any) -> Any:
        restore = self._manager.create_restore(context, body['restore'])
        return {'restore': {**view(restore, (), manager.Progress(0, 0)), 'new_resources': {}}}


class Restore(_Uses):
    @operation('restore:get', ONE_RESTORE)
    def on_get(self, context: karbor_context.RequestContext, restore_id: str) -> Any:
        return {
            'restore': {
                **self._one(context, models.Restore, restore_id),
                'new_resources': self._manager.new_resources(restore_id),
            }
        }


class Verifications(_Uses):
    @operation(
        'verification:get_all',
        schema.listed('verifications', SHOWN_VERIFICATION),
        listing=query.Listing('verifications', FILTERS, _SORT_KEYS),
    )
    def on_get(self, _context: karbor_context.RequestContext, wanted: paging.Wanted) -> query.Items:
        return self._page(models.Verification, wanted)

    @operation('verification:create', ONE_VERIFICATION, body=VERIFICATION)
    def on_post(self, context: karbor_context.RequestContext, body: Any) -> Any:
        verification = self._manager.create_verification(
            context, {'parameters': {}, **body['verification']}
        )
        return {'verification': view(verification, (), manager.Progress(0, 0))}


class Verification(_Uses):
    @operation('verification:get', ONE_VERIFICATION)
    def on_get(self, context: karbor_context.RequestContext, verification_id: str) -> Any:
        return {'verification': self._one(context, models.Verification, verification_id)}
