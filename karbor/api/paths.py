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

from karbor.api import schema

_TEXT: schema.Schema = {'type': 'string', 'minLength': 1, 'maxLength': 255}

PARAMETERS: Mapping[str, schema.Schema] = {
    'project_id': _TEXT,
    'provider_id': schema.UUID,
    'resource_type': _TEXT,
    'resource_id': _TEXT,
    'plan_id': schema.UUID,
    'checkpoint_id': schema.UUID,
    'restore_id': schema.UUID,
    'restore_group_id': schema.UUID,
    'verification_id': schema.UUID,
    'trigger_id': schema.UUID,
    'scheduled_operation_id': schema.UUID,
    'operation_log_id': schema.UUID,
    'schedule_id': schema.UUID,
    'trouble_id': schema.UUID,
    'service_id': {'type': 'string', 'pattern': r'^[0-9]{1,9}\Z'},
    'quota_project_id': schema.UUID,
    'class_name': _TEXT,
}
