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

"""Names on the wire: resource types, operations, hooks and statuses."""

PROJECT_RESOURCE_TYPE = 'OS::Keystone::Project'
SERVER_RESOURCE_TYPE = 'OS::Nova::Server'
VOLUME_RESOURCE_TYPE = 'OS::Cinder::Volume'
IMAGE_RESOURCE_TYPE = 'OS::Glance::Image'
SHARE_RESOURCE_TYPE = 'OS::Manila::Share'
NETWORK_RESOURCE_TYPE = 'OS::Neutron::Network'
DATABASE_RESOURCE_TYPE = 'OS::Trove::Instance'
POD_RESOURCE_TYPE = 'OS::Kubernetes::Pod'

RESOURCE_TYPES = (
    PROJECT_RESOURCE_TYPE,
    SERVER_RESOURCE_TYPE,
    VOLUME_RESOURCE_TYPE,
    IMAGE_RESOURCE_TYPE,
    SHARE_RESOURCE_TYPE,
    NETWORK_RESOURCE_TYPE,
    DATABASE_RESOURCE_TYPE,
    POD_RESOURCE_TYPE,
)

OPERATION_PROTECT = 'protect'
OPERATION_RESTORE = 'restore'
OPERATION_DELETE = 'delete'
OPERATION_VERIFY = 'verify'
OPERATION_COPY = 'copy'
OPERATION_RETENTION = 'retention'
OPERATION_RESET = 'reset'

HOOK_PRE_BEGIN = 'on_prepare_begin'
HOOK_PRE_FINISH = 'on_prepare_finish'
HOOK_MAIN = 'on_main'
HOOK_COMPLETE = 'on_complete'

RESOURCE_STATUS_ERROR = 'error'
RESOURCE_STATUS_PROTECTING = 'protecting'
RESOURCE_STATUS_STARTED = 'started'
RESOURCE_STATUS_AVAILABLE = 'available'
RESOURCE_STATUS_DELETING = 'deleting'
RESOURCE_STATUS_DELETED = 'deleted'
RESOURCE_STATUS_RESTORING = 'restoring'
RESOURCE_STATUS_UNDEFINED = 'undefined'

CHECKPOINT_STATUS_PROTECTING = 'protecting'
CHECKPOINT_STATUS_AVAILABLE = 'available'
CHECKPOINT_STATUS_ERROR = 'error'
CHECKPOINT_STATUS_DELETING = 'deleting'
CHECKPOINT_STATUS_DELETED = 'deleted'
CHECKPOINT_STATUS_ERROR_DELETING = 'error-deleting'

CHECKPOINT_CREATED_BY = 'created_by'
CHECKPOINT_CREATED_MANUALLY = 'manual'
CHECKPOINT_CREATED_BY_SCHEDULE = 'operation-engine'
CHECKPOINT_SCHEDULE_ID = 'scheduled_operation_id'
CHECKPOINT_TRIGGER_ID = 'trigger_id'
CHECKPOINT_FIRE_TIME = 'fire_time'

PLAN_STATUS_SUSPENDED = 'suspended'
PLAN_STATUS_STARTED = 'started'

OPERATION_STATUS_IN_PROGRESS = 'in_progress'
OPERATION_STATUS_SUCCESS = 'success'
OPERATION_STATUS_FAIL = 'fail'
OPERATION_STATUS_QUEUED = 'queued'
OPERATION_STATUS_SKIPPED = 'skipped'

SCHEDULED_PROTECT = 'protect'
SCHEDULED_RETENTION_PROTECT = 'retention_protect'
SCHEDULED_OPERATION_TYPES = (SCHEDULED_PROTECT, SCHEDULED_RETENTION_PROTECT)
