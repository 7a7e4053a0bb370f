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

"""Bodies of checkpoint requests."""

from karbor.api.schemas import types
from karbor.common import constants

# Karbor's schema had `extra-info`, its code read `extra_info`: both are taken.
CREATE = types.wrapped(
    'checkpoint',
    types.strict(
        {
            'plan_id': types.UUID,
            'extra-info': types.METADATA,
            'extra_info': types.METADATA,
        },
        ['plan_id'],
    ),
)

RESET_STATE = types.wrapped(
    'os-resetState',
    types.strict(
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

FILTERS = {'plan_id': types.FILTER, 'status': types.FILTER}

CHECKPOINT = types.shown(
    'Checkpoint',
    {
        'id': types.UUID,
        'project_id': types.TEXT,
        'status': types.TEXT,
        'status_reason': types.TEXT_OR_NULL,
        'protection_plan': types.shown(
            'ProtectedPlan',
            {
                'id': types.UUID,
                'name': types.TEXT,
                'provider_id': types.UUID,
                'resources': {'type': 'array', 'items': types.OBJECT},
                'parameters': types.OBJECT,
            },
        ),
        'resource_graph': types.TEXT,
        'resources_total': types.INTEGER,
        'resources_done': types.INTEGER,
        'resources_failed': types.INTEGER,
        'resources_reason': types.OBJECT,
        'pinned': {'type': 'boolean'},
        'created_at': {'type': 'string', 'format': 'date'},
        'extra_info': types.TEXT_OR_NULL,
    },
    ['resources_reason'],
)

COPY = types.wrapped(
    'copy',
    types.strict(
        {
            'plan_id': types.UUID,
            'parameters': types.PARAMETERS,
        },
        ['plan_id'],
    ),
)
