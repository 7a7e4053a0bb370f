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

"""Operation logs as they are answered."""

from karbor.api.schemas import types

FILTERS = dict.fromkeys(
    (
        'checkpoint_id',
        'plan_id',
        'restore_id',
        'scheduled_operation_id',
        'operation_type',
        'status',
    ),
    types.FILTER,
)

OPERATION_LOG = types.shown(
    'OperationLog',
    {
        'id': types.UUID,
        'operation_type': types.TEXT,
        'checkpoint_id': types.TEXT_OR_NULL,
        'plan_id': types.TEXT_OR_NULL,
        'provider_id': types.TEXT_OR_NULL,
        'restore_id': types.TEXT_OR_NULL,
        'scheduled_operation_id': types.TEXT_OR_NULL,
        'status': types.TEXT,
        'started_at': types.TEXT,
        'ended_at': types.TEXT_OR_NULL,
        'error_info': types.TEXT_OR_NULL,
        'extra_info': {'type': ['object', 'null']},
        'project_id': types.TEXT,
        'user_id': types.TEXT_OR_NULL,
        'request_id': types.TEXT_OR_NULL,
    },
)
