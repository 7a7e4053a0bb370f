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

"""Bodies of restore and verification requests."""

from karbor.api.schemas import types

RESTORE = types.wrapped(
    'restore',
    types.strict(
        {
            'provider_id': types.UUID,
            'checkpoint_id': types.UUID,
            'parameters': types.PARAMETERS,
            'restore_target': types.DESCRIPTION,
            'restore_auth': types.METADATA,
        },
        ['provider_id', 'checkpoint_id', 'parameters'],
    ),
)

VERIFICATION = types.wrapped(
    'verification',
    types.strict(
        {
            'provider_id': types.UUID,
            'checkpoint_id': types.UUID,
            'parameters': types.PARAMETERS,
        },
        ['provider_id', 'checkpoint_id'],
    ),
)

FILTERS = {'status': types.FILTER, 'checkpoint_id': types.FILTER, 'provider_id': types.FILTER}

_USE = {
    'id': types.UUID,
    'project_id': types.TEXT,
    'provider_id': types.UUID,
    'checkpoint_id': types.UUID,
    'parameters': types.OBJECT,
    'status': types.TEXT,
    'status_reason': types.TEXT_OR_NULL,
    'resources_done': types.INTEGER,
    'resources_failed': types.INTEGER,
    'resources_status': types.OBJECT,
    'resources_reason': types.OBJECT,
}

SHOWN_RESTORE = types.shown(
    'Restore',
    {
        **_USE,
        'restore_target': types.TEXT_OR_NULL,
        'new_resources': types.OBJECT,
    },
    ['new_resources'],
)

SHOWN_VERIFICATION = types.shown('Verification', _USE)
