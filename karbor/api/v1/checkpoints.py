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

from karbor import context as karbor_context
from karbor import exception
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.common import constants
from karbor.db import models, paging
from karbor.services.checkpoints import plugin_records, queries, reality

# Karbor's schema had `extra-info`, its code read `extra_info`: both are taken.
CREATE = schema.wrapped(
    'checkpoint',
    schema.strict(
        {
            'plan_id': schema.UUID,
            'extra-info': schema.METADATA,
            'extra_info': schema.METADATA,
        },
        ['plan_id'],
    ),
)

RESET_STATE = schema.wrapped(
    'os-resetState',
    schema.strict(
        {
            'state': {
                'enum': [
                    constants.CheckpointStatus.AVAILABLE.value,
                    constants.CheckpointStatus.ERROR.value,
                ]
            },
        },
        ['state'],
    ),
)

FILTERS = dict.fromkeys(('plan_id', 'status', 'resource_id', 'resource_type'), schema.FILTER)

_PROTECTED_RESOURCE = schema.shown(
    'ProtectedResource',
    {
        'type': schema.TEXT,
        'id': schema.TEXT,
        'name': schema.TEXT,
        'state': schema.TEXT,
        'reason': schema.TEXT_OR_NULL,
        'taken_at': schema.MOMENT_OR_NULL,
        'size': {'type': ['integer', 'null'], 'minimum': 0},
    },
)

_LISTED: schema.Schema = {
    'id': schema.UUID,
    'project_id': schema.TEXT,
    'status': schema.TEXT,
    'status_reason': schema.TEXT_OR_NULL,
    'protection_plan': schema.shown('PlanOfCheckpoint', {'id': schema.UUID, 'name': schema.TEXT}),
    'resources_total': schema.INTEGER,
    'resources_done': schema.INTEGER,
    'resources_failed': schema.INTEGER,
    'pinned': {'type': 'boolean'},
    'region': schema.TEXT_OR_NULL,
    'created_at': schema.MOMENT,
    'expires_at': schema.MOMENT_OR_NULL,
    'extra_info': schema.TEXT_OR_NULL,
}

LISTED_CHECKPOINT = schema.shown('ListedCheckpoint', _LISTED)

CHECKPOINT = schema.shown(
    'Checkpoint',
    {
        **_LISTED,
        'protection_plan': schema.shown(
            'ProtectedPlan',
            {
                'id': schema.UUID,
                'name': schema.TEXT,
                'provider_id': schema.UUID,
                'resources': {'type': 'array', 'items': schema.OBJECT},
                'parameters': schema.OBJECT,
            },
        ),
        'resource_graph': schema.TEXT,
        'resources_reason': schema.OBJECT,
        'resources': {'type': 'array', 'items': _PROTECTED_RESOURCE},
    },
    ['resources_reason', 'resources'],
)

COPY = schema.wrapped(
    'copy',
    schema.strict(
        {
            'plan_id': schema.UUID,
            'parameters': schema.PARAMETERS,
        },
        ['plan_id'],
    ),
)

LISTING = query.Listing('checkpoints', FILTERS, ('id', 'status', 'created_at'))
ONE = schema.wrapped('checkpoint', CHECKPOINT)


def view(checkpoint: models.Checkpoint, progress: queries.Progress, missing: int = 0) -> Object:
    """A checkpoint as it is shown alone; parameters as those of :func:`view_in_list`."""
    return {
        **view_in_list(checkpoint, progress, missing),
        'protection_plan': checkpoint.protection_plan,
        'resource_graph': checkpoint.resource_graph,
    }


def view_in_list(checkpoint: models.Checkpoint, progress: queries.Progress, missing: int) -> Object:
    """A checkpoint as it is shown among others.

    :param missing: how many of its recovery points are missing, which its reason tells then.
    """
    return {
        'id': checkpoint.id,
        'project_id': checkpoint.project_id,
        'status': checkpoint.status,
        'status_reason': _reason(checkpoint.status_reason, missing),
        'protection_plan': {'id': checkpoint.plan_id, 'name': checkpoint.plan_name or ''},
        'resources_total': checkpoint.resources_total,
        'resources_done': progress.done,
        'resources_failed': progress.failed,
        'pinned': checkpoint.pinned,
        'region': checkpoint.region,
        'created_at': query.shown_moment(checkpoint.created_at),
        'expires_at': None
        if checkpoint.expires_at is None
        else query.shown_moment(checkpoint.expires_at),
        'extra_info': plugin_records.as_json_text(checkpoint.extra_info),
    }


def _reason(reason: str | None, missing: int) -> str | None:
    if not missing:
        return reason
    told = f'{reality.counted(missing)} missing'
    if not reason:
        return told
    return f'{reason}{" " if reason.endswith(".") else "; "}{told}'


def view_resource(point: models.RecoveryPoint) -> Object:
    """A line of the table of what is in a checkpoint."""
    return {
        'type': point.resource_type,
        'id': point.resource_id,
        'name': point.resource_name,
        'state': point.state,
        'reason': point.reason,
        'taken_at': None if point.taken_at is None else query.shown_moment(point.taken_at),
        'size': point.size,
    }


class Checkpoints(Handler):
    @operation(
        'provider:checkpoint_get_all',
        schema.listed('checkpoints', LISTED_CHECKPOINT),
        listing=LISTING,
        parameters=(query.START_DATE, query.END_DATE),
    )
    def on_get(
        self,
        _context: karbor_context.RequestContext,
        provider_id: str,
        *,
        selection: paging.Selection,
        start_date: datetime.datetime | None,
        end_date: datetime.datetime | None,
    ) -> query.Items:
        items, has_more = self.services.queries.page_of_checkpoints(
            provider_id, selection, start_date, end_date
        )
        return [view_in_list(*item) for item in items], has_more

    @operation('provider:checkpoint_create', ONE, body=CREATE)
    def on_post(
        self, context: karbor_context.RequestContext, provider_id: str, body: Object
    ) -> Object:
        fields = body['checkpoint']
        checkpoint = self.services.commands.create_checkpoint(
            context,
            provider_id,
            fields['plan_id'],
            {**(fields.get('extra_info') or {}), **(fields.get('extra-info') or {})},
        )
        return {'checkpoint': view(checkpoint, queries.Progress(0, 0))}


class Checkpoint(Handler):
    @operation('provider:checkpoint_get', ONE)
    def on_get(
        self, context: karbor_context.RequestContext, provider_id: str, checkpoint_id: str
    ) -> Object:
        whole = self.services.queries.get_checkpoint(context, provider_id, checkpoint_id)
        return {
            'checkpoint': {
                **view(whole.row, whole.progress, whole.missing),
                'resources_reason': whole.failures,
                'resources': [view_resource(point) for point in whole.points],
            }
        }

    @operation('provider:checkpoint_delete', schema.OBJECT)
    def on_delete(
        self, context: karbor_context.RequestContext, provider_id: str, checkpoint_id: str
    ) -> Object:
        self.services.commands.delete_checkpoint(context, provider_id, checkpoint_id)
        return {}

    @operation('provider:checkpoint_update', schema.OBJECT, body=RESET_STATE)
    def on_put(
        self,
        context: karbor_context.RequestContext,
        provider_id: str,
        checkpoint_id: str,
        body: Object,
    ) -> Object:
        self.services.commands.reset_checkpoint(
            context, provider_id, checkpoint_id, body['os-resetState']['state']
        )
        return {}


class Pin(Handler):
    """``/providers/{provider_id}/checkpoints/{checkpoint_id}/pin``"""

    @operation('provider:checkpoint_pin')
    def on_put(
        self, context: karbor_context.RequestContext, provider_id: str, checkpoint_id: str
    ) -> None:
        self.services.commands.pin_checkpoint(context, provider_id, checkpoint_id, True)

    @operation('provider:checkpoint_pin')
    def on_delete(
        self, context: karbor_context.RequestContext, provider_id: str, checkpoint_id: str
    ) -> None:
        self.services.commands.pin_checkpoint(context, provider_id, checkpoint_id, False)


class Copies(Handler):
    """``/providers/{provider_id}/checkpoints/action``"""

    @operation('copy:create', body=COPY)
    def on_post(
        self, context: karbor_context.RequestContext, provider_id: str, body: Object
    ) -> Object:
        self.services.commands.check_copy(context, provider_id, body['copy']['plan_id'])
        raise exception.InvalidInput(
            reason=f'No plugin of the provider {provider_id} can copy checkpoints.'
        )
