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

import dataclasses
from collections.abc import Sequence

from karbor import context as karbor_context
from karbor import shown
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.v1 import checkpoint_uses
from karbor.db import models, paging
from karbor.services.checkpoints import queries, restore_results

# How what is made is to differ from what was; all of them are optional.
CHOICES: schema.Schema = {
    'name_suffix': {**schema.NAME, 'pattern': r'^[^\x00-\x1f\x7f]*\Z'},
    'volume_type': schema.NAME,
    'availability_zone': schema.NAME,
    'size': {'type': 'integer', 'minimum': 1, 'maximum': 2**31 - 1},
    'in_place': {'type': 'boolean'},
    'safety': {'type': 'string', 'enum': ['snapshot', 'none']},
    'accept_grown': {'type': 'boolean'},
}
# For how many days what is overwritten is kept.
SAFETY_KEEP: schema.Schema = {'type': 'integer', 'minimum': 1, 'maximum': 36500}
RESOURCES: schema.Schema = {
    'type': 'array',
    'minItems': 1,
    'maxItems': schema.MOST_RESOURCES,
    'items': schema.strict(
        {
            'type': {'type': 'string', 'minLength': 1, 'maxLength': 255},
            'id': {'type': 'string', 'minLength': 1, 'maxLength': 255},
            **CHOICES,
        },
        ['type', 'id'],
    ),
}

CREATE = schema.wrapped(
    'restore',
    schema.strict(
        {
            'provider_id': schema.UUID,
            'checkpoint_id': schema.UUID,
            'parameters': schema.PARAMETERS,
            'restore_target': schema.DESCRIPTION,
            'restore_auth': schema.METADATA,
            'resources': RESOURCES,
            'partial': {'type': 'boolean'},
            'safety_keep': SAFETY_KEEP,
            **CHOICES,
        },
        ['provider_id', 'checkpoint_id', 'parameters'],
    ),
)

RESULT = schema.shown(
    'RestoreResult',
    {
        'type': schema.TEXT,
        'id': schema.TEXT,
        'recovery_point_id': schema.TEXT_OR_NULL,
        'end': {'enum': sorted(restore_results.End)},
        'new_id': schema.TEXT_OR_NULL,
        'name': schema.TEXT_OR_NULL,
        'reason': schema.TEXT_OR_NULL,
        'seconds': {'type': ['number', 'null'], 'minimum': 0},
    },
)

RESTORE = schema.shown(
    'Restore',
    {
        **checkpoint_uses.PROPERTIES,
        'restore_target': schema.TEXT_OR_NULL,
        'group_id': schema.or_null(schema.UUID),
        'resources': schema.or_null(RESOURCES),
        'partial': {'type': 'boolean'},
        **{name: schema.or_null(rule) for name, rule in CHOICES.items()},
        'safety_keep': schema.or_null(SAFETY_KEEP),
        'safety_checkpoint_id': schema.or_null(schema.UUID),
        'new_resources': schema.OBJECT,
        'results': {'type': 'array', 'items': RESULT},
    },
    ['new_resources', 'results'],
)

LISTING = query.Listing('restores', checkpoint_uses.FILTERS, checkpoint_uses.SORT_KEYS)
ONE = schema.wrapped('restore', RESTORE)


class RestoreHandler(checkpoint_uses.UseHandler):
    model = models.Restore

    def view(
        self,
        use: models.Restore,
        results: Sequence[models.ResourceResult],
        progress: queries.Progress,
    ) -> Object:
        choices = use.choices or {}
        return {
            **super().view(use, results, progress),
            # Of a Karbor that did not refuse them, it may have credentials.
            'restore_target': use.restore_target and shown.without_credentials(use.restore_target),
            'group_id': use.group_id,
            'resources': choices.get('resources'),
            'partial': choices.get('partial', False),
            **{name: choices.get(name) for name in CHOICES},
            'safety_keep': choices.get('safety_keep'),
            'safety_checkpoint_id': use.safety_checkpoint_id,
        }

    def whole(self, restore: restore_results.WholeRestore) -> Object:
        """One with all that it has made so far."""
        failed = sum(not row.is_done for row in restore.ends.values())
        progress = queries.Progress(len(restore.ends) - failed, failed)
        return {
            **self.view(restore.row, list(restore.told.values()), progress),
            'new_resources': {
                row.resource_key: row.new_resource_id
                for row in restore.ends.values()
                if row.new_resource_id
            },
            'results': [dataclasses.asdict(each) for each in restore.restored],
        }


class Restores(RestoreHandler):
    @operation('restore:get_all', schema.listed('restores', RESTORE), listing=LISTING)
    def on_get(
        self, _context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        return self.page(selection)

    @operation('restore:create', ONE, body=CREATE)
    def on_post(self, context: karbor_context.RequestContext, body: Object) -> Object:
        restore = self.services.commands.create_restore(context, body['restore'])
        return {'restore': self.whole(self.services.queries.begun(restore))}


class Restore(RestoreHandler):
    @operation('restore:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, restore_id: str) -> Object:
        return {'restore': self.whole(self.services.queries.restore(context, restore_id))}
