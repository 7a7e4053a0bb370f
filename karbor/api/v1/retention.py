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

"""``/plans/{plan_id}/retention``"""

from karbor import context as karbor_context
from karbor.api import schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.services.schedules import retention

# What stands in them is checked in karbor.services.schedules.
PREVIEW = schema.wrapped(
    'retention',
    schema.strict(
        {
            **{name: {'type': ['integer', 'string']} for name in retention.RULES},
            'timezone': schema.TEXT,
        },
        [],
    ),
)

_VERDICTS: schema.Schema = {
    'type': 'array',
    'items': schema.shown(
        'RetentionVerdict',
        {
            'checkpoint_id': schema.UUID,
            'created_at': schema.TEXT,
            'pinned': {'type': 'boolean'},
            'reasons': {'type': 'array', 'items': schema.TEXT},
        },
    ),
}

RETENTION = schema.shown('Retention', {'kept': _VERDICTS, 'removed': _VERDICTS})


def view(verdict: retention.Verdict) -> Object:
    candidate = verdict.candidate
    return {
        'checkpoint_id': candidate.id,
        'created_at': candidate.created_at.isoformat(timespec='microseconds'),
        'pinned': candidate.pinned,
        'reasons': list(verdict.reasons),
    }


class Preview(Handler):
    @operation(
        'plan:preview_retention',
        schema.wrapped('retention', RETENTION),
        body=PREVIEW,
    )
    def on_post(self, context: karbor_context.RequestContext, plan_id: str, body: Object) -> Object:
        verdicts = self.services.retention.preview(context, plan_id, body['retention'])
        return {
            'retention': {
                'kept': [view(verdict) for verdict in verdicts if verdict.keep],
                'removed': [view(verdict) for verdict in verdicts if not verdict.keep],
            }
        }
