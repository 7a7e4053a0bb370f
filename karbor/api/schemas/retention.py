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

"""Bodies of requests about retention, and what is answered."""

from karbor.api.schemas import types
from karbor.services.schedules import retention

# What stands in them is checked in karbor.services.operationengine.
PREVIEW = types.wrapped(
    'retention',
    types.strict(
        {
            **{name: {'type': ['integer', 'string']} for name in retention.RULES},
            'timezone': types.TEXT,
        },
        [],
    ),
)

_VERDICTS: types.Schema = {
    'type': 'array',
    'items': types.shown(
        'RetentionVerdict',
        {
            'checkpoint_id': types.UUID,
            'created_at': types.TEXT,
            'pinned': {'type': 'boolean'},
            'reasons': {'type': 'array', 'items': types.TEXT},
        },
    ),
}

RETENTION = types.shown('Retention', {'kept': _VERDICTS, 'removed': _VERDICTS})
