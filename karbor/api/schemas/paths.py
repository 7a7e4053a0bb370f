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

"""Fields of paths."""

from collections.abc import Mapping

from karbor.api.schemas import types

_TEXT: types.Schema = {'type': 'string', 'minLength': 1, 'maxLength': 255}

PARAMETERS: Mapping[str, types.Schema] = {
    'project_id': _TEXT,
    'provider_id': types.UUID,
    'resource_type': _TEXT,
    'resource_id': _TEXT,
    'plan_id': types.UUID,
    'checkpoint_id': types.UUID,
    'restore_id': types.UUID,
    'verification_id': types.UUID,
    'trigger_id': types.UUID,
    'scheduled_operation_id': types.UUID,
    'operation_log_id': types.UUID,
    'service_id': {'type': 'string', 'pattern': r'^[0-9]{1,9}\Z'},
    'quota_project_id': types.UUID,
    'class_name': _TEXT,
}
