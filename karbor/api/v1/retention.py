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

import zoneinfo
from typing import Any

from karbor import context as karbor_context
from karbor import db
from karbor.api import schema
from karbor.api.operation import operation
from karbor.services.schedules import retention, retention_jobs, time_triggers

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


def view(verdict: retention.Verdict) -> dict[str, Any]:
    candidate = verdict.candidate
    return {
        'checkpoint_id': candidate.id,
        'created_at': candidate.created_at.isoformat(timespec='microseconds'),
        'pinned': candidate.pinned,
        'reasons': list(verdict.reasons),
    }


class Preview:
    @operation(
        'plan:preview_retention',
        schema.wrapped('retention', RETENTION),
        body=PREVIEW,
    )
    def on_post(self, context: karbor_context.RequestContext, plan_id: str, body: Any) -> Any:
        zone = zoneinfo.ZoneInfo(time_triggers.timezone(body['retention']))
        policy = retention.parse(body['retention'])
        with db.reader() as session:
            verdicts = retention_jobs.preview(session, context.project_id, plan_id, policy, zone)
        return {
            'retention': {
                'kept': [view(verdict) for verdict in verdicts if verdict.keep],
                'removed': [view(verdict) for verdict in verdicts if not verdict.keep],
            }
        }
