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

"""Bodies of plan requests."""

from karbor.api.schemas import types
from karbor.common import constants

_RESOURCES: types.Schema = {
    'type': 'array',
    'minItems': 1,
    'items': {
        'type': 'object',
        'properties': {
            'id': {'type': 'string', 'minLength': 1, 'maxLength': 255},
            'type': {'type': 'string', 'minLength': 1, 'maxLength': 255},
            'name': {'type': 'string', 'maxLength': 255},
            'extra_info': True,
        },
        'required': ['id', 'type', 'name'],
    },
}

CREATE = types.wrapped(
    'plan',
    types.strict(
        {
            'name': types.NAME,
            'description': types.DESCRIPTION,
            'provider_id': types.UUID,
            'resources': _RESOURCES,
            'parameters': types.PARAMETERS,
        },
        ['name', 'provider_id', 'resources', 'parameters'],
    ),
)

UPDATE = types.wrapped(
    'plan',
    {
        **types.strict(
            {
                'name': types.NAME,
                'description': types.DESCRIPTION,
                'status': {'enum': [status.value for status in constants.PlanStatus]},
                'resources': _RESOURCES,
            },
            [],
        ),
        'minProperties': 1,
    },
)

FILTERS = {'name': types.FILTER, 'status': types.FILTER, 'description': types.FILTER}

PLAN = types.shown(
    'Plan',
    {
        'id': types.UUID,
        'project_id': types.TEXT,
        'name': types.TEXT,
        'description': types.TEXT_OR_NULL,
        'provider_id': types.UUID,
        'status': types.TEXT,
        'resources': {
            'type': 'array',
            'items': types.shown(
                'PlanResource',
                {
                    'id': types.TEXT,
                    'type': types.TEXT,
                    'name': types.TEXT,
                    'extra_info': True,
                },
                ['extra_info'],
            ),
        },
        'parameters': types.OBJECT,
    },
)
