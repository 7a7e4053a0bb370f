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

"""Bodies of trigger requests, and triggers as they are answered."""

from karbor.api.schemas import types

# What stands in them is checked in karbor.services.operationengine.
_PROPERTIES = types.strict(
    {
        'format': types.TEXT,
        'pattern': types.TEXT,
        'start_time': types.TEXT,
        'end_time': types.TEXT,
        'window': {'type': ['integer', 'string']},
        'timezone': types.TEXT,
        'catch_up': types.TEXT,
        'jitter': {'type': ['integer', 'string']},
    },
    [],
)

CREATE = types.wrapped(
    'trigger_info',
    types.strict(
        {
            'name': types.NAME,
            'type': {'enum': ['time']},
            'properties': {**_PROPERTIES, 'required': ['format', 'pattern']},
        },
        ['name', 'type', 'properties'],
    ),
)

UPDATE = types.wrapped(
    'trigger_info',
    types.strict(
        {
            'name': {**types.NAME, 'minLength': 0, 'pattern': rf'^\Z|{types.NAME["pattern"]}'},
            'type': {'enum': ['time']},
            'properties': _PROPERTIES,
        },
        [],
    ),
)

FILTERS = {'name': types.FILTER, 'type': types.FILTER}

TRIGGER = types.shown(
    'Trigger',
    {
        'id': types.UUID,
        'project_id': types.TEXT,
        'name': types.TEXT,
        'type': types.TEXT,
        'properties': types.OBJECT,
    },
)

DETAILED_TRIGGER = types.shown(
    'DetailedTrigger',
    {**TRIGGER['properties'], 'next_fires': {'type': 'array', 'items': types.TEXT}},
)
