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

"""``/plans/{plan_id}/retention`` and ``/scheduled_operations/{id}/retention``"""

from collections.abc import Sequence

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.services.schedules import retention
from karbor.services.schedules.removal_plans import Share

# What stands in them is checked in karbor.services.schedules.
_RULES: dict[str, schema.Schema] = {
    name: {'type': ['integer', 'string']} for name in retention.RULES
}
RULES_OF_SCHEDULE = {**_RULES, 'retention_scope': schema.TEXT}
PREVIEW = schema.wrapped('retention', schema.strict({**_RULES, 'timezone': schema.TEXT}, []))
PREVIEW_OF_OPERATION = schema.wrapped(
    'retention', schema.strict({**RULES_OF_SCHEDULE, 'timezone': schema.TEXT}, [])
)

_REASONS: schema.Schema = {'type': 'array', 'items': schema.TEXT}
_NUMBER: schema.Schema = {'type': 'integer'}
_VERDICTS: schema.Schema = {
    'type': 'array',
    'items': schema.shown(
        'RetentionVerdict',
        {
            'checkpoint_id': schema.UUID,
            'created_at': schema.MOMENT,
            'pinned': {'type': 'boolean'},
            'recovery_points_kept': _NUMBER,
            'recovery_points_removed': _NUMBER,
            'reasons': _REASONS,
            'removal_reasons': _REASONS,
        },
    ),
}

RETENTION = schema.shown('Retention', {'kept': _VERDICTS, 'removed': _VERDICTS})


def view(shares: Sequence[Share]) -> Object:
    """What stays and what goes, of each checkpoint."""
    return {
        'retention': {
            'kept': [_view(share, share.reasons) for share in shares if share.is_kept],
            'removed': [
                _view(share, share.removal_reasons) for share in shares if not share.is_kept
            ],
        }
    }


def _view(share: Share, reasons: Sequence[str]) -> Object:
    return {
        'checkpoint_id': share.checkpoint_id,
        'created_at': query.shown_moment(share.created_at),
        'pinned': share.pinned,
        'recovery_points_kept': share.points_kept,
        'recovery_points_removed': share.points_removed,
        'reasons': list(reasons),
        'removal_reasons': list(share.removal_reasons),
    }


class Preview(Handler):
    """What rules would make of all that there is of a plan."""

    @operation(
        'plan:preview_retention',
        schema.wrapped('retention', RETENTION),
        body=PREVIEW,
    )
    def on_post(self, context: karbor_context.RequestContext, plan_id: str, body: Object) -> Object:
        return view(self.services.retention.preview_of_plan(context, plan_id, body['retention']))


class OperationPreview(Handler):
    """What a scheduled operation's retention would make of what it is about."""

    @operation(
        'scheduled_operation:preview_retention',
        schema.wrapped('retention', RETENTION),
        body=PREVIEW_OF_OPERATION,
    )
    def on_post(
        self, context: karbor_context.RequestContext, scheduled_operation_id: str, body: Object
    ) -> Object:
        return view(
            self.services.retention.preview_of_operation(
                context, scheduled_operation_id, body['retention']
            )
        )
