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

"""Bodies of scheduled operation requests, and scheduled operations as they are answered."""

from karbor.api.schemas import types
from karbor.common import constants

_FIELDS: types.Schema = {
    'name': types.NAME,
    'description': types.DESCRIPTION,
    'trigger_id': types.UUID,
    # The newest openstack client sends it as the text "provider_id=...,plan_id=...".
    'operation_definition': {'type': ['object', 'string'], 'maxLength': 4096},
}

CREATE = types.wrapped(
    'scheduled_operation',
    types.strict(
        {
            **_FIELDS,
            'operation_type': {'enum': [kind.value for kind in constants.ScheduledOperationType]},
        },
        ['name', 'operation_type', 'trigger_id', 'operation_definition'],
    ),
)

UPDATE = types.wrapped(
    'scheduled_operation',
    {**types.strict({**_FIELDS, 'enabled': {'type': 'boolean'}}, []), 'minProperties': 1},
)

RUN = types.wrapped('run', {'type': ['object', 'null'], 'maxProperties': 0})

# Its rules are checked in karbor.services.operationengine.
DEFINITION: types.Schema = {
    'type': 'object',
    'properties': {'provider_id': types.UUID, 'plan_id': types.UUID},
    'required': ['provider_id', 'plan_id'],
    'maxProperties': 64,
}

FILTERS = {'name': types.FILTER, 'operation_type': types.FILTER, 'trigger_id': types.FILTER}

SCHEDULED_OPERATION = types.shown(
    'ScheduledOperation',
    {
        'id': types.UUID,
        'project_id': types.TEXT,
        'name': types.TEXT,
        'description': types.TEXT_OR_NULL,
        'operation_type': types.TEXT,
        'trigger_id': types.UUID,
        'operation_definition': types.OBJECT,
        'enabled': {'type': 'boolean'},
    },
)
