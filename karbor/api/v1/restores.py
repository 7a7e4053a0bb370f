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

"""``/restores``"""

from collections.abc import Sequence

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.v1 import checkpoint_uses
from karbor.db import models, paging
from karbor.services.checkpoints import queries

CREATE = schema.wrapped(
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

RESTORE = schema.shown(
    'Restore',
    {
        **checkpoint_uses.PROPERTIES,
        'restore_target': schema.TEXT_OR_NULL,
        'new_resources': schema.OBJECT,
    },
    ['new_resources'],
)

LISTING = query.Listing('restores', checkpoint_uses.FILTERS, checkpoint_uses.SORT_KEYS)
ONE = schema.wrapped('restore', RESTORE)


class _RestoreHandler(checkpoint_uses.UseHandler):
    model = models.Restore

    def view(
        self,
        use: models.Restore,
        results: Sequence[models.ResourceResult],
        progress: queries.Progress,
    ) -> Object:
        return {**super().view(use, results, progress), 'restore_target': use.restore_target}


class Restores(_RestoreHandler):
    @operation('restore:get_all', schema.listed('restores', RESTORE), listing=LISTING)
    def on_get(
        self, _context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        return self.page(selection)

    @operation('restore:create', ONE, body=CREATE)
    def on_post(self, context: karbor_context.RequestContext, body: Object) -> Object:
        restore = self.services.commands.create_restore(context, body['restore'])
        return {'restore': {**self.begun(restore), 'new_resources': {}}}


class Restore(_RestoreHandler):
    @operation('restore:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, restore_id: str) -> Object:
        restore = self.one(context, restore_id)
        new_resources = self.services.queries.new_resources(restore_id)
        return {'restore': {**restore, 'new_resources': new_resources}}
