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

"""Names on the wire: resource types, operations, hooks and statuses.

The enumerations are what this project uses. Plugins know their members by names such as
``RESOURCE_STATUS_ERROR`` (plugin contract, section B.10).
"""

import enum
from typing import Final

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


class OperationType(enum.StrEnum):
    """What a job does, and what operation logs are about."""

    PROTECT = 'protect'
    RESTORE = 'restore'
    CHOSEN_RESTORE = 'chosen_restore'
    SAFETY_PROTECT = 'safety_protect'
    DELETE = 'delete'
    REMOVE = 'remove'
    VERIFY = 'verify'
    COPY = 'copy'
    RETENTION = 'retention'
    RESET = 'reset'
    COMPARE = 'compare'


class Hook(enum.StrEnum):
    """The methods of a plugin's operation, in their order."""

    PRE_BEGIN = 'on_prepare_begin'
    PRE_FINISH = 'on_prepare_finish'
    MAIN = 'on_main'
    COMPLETE = 'on_complete'


class ResourceStatus(enum.StrEnum):
    """Of a resource in a checkpoint, a restore or a verification."""

    ERROR = 'error'
    PROTECTING = 'protecting'
    STARTED = 'started'
    AVAILABLE = 'available'
    DELETING = 'deleting'
    DELETED = 'deleted'
    RESTORING = 'restoring'
    UNDEFINED = 'undefined'


class CheckpointStatus(enum.StrEnum):
    """Of a checkpoint."""

    PROTECTING = 'protecting'
    AVAILABLE = 'available'
    ERROR = 'error'
    DELETING = 'deleting'
    DELETED = 'deleted'
    ERROR_DELETING = 'error-deleting'


class RecoveryPointState(enum.StrEnum):
    """Of a resource in a checkpoint, as it can be gone back to.

    ``missing`` is what was good and is not in the cloud any more; ``unknown`` is what nobody can
    tell, and what is therefore kept.
    """

    MAKING = 'making'
    GOOD = 'good'
    FAILED = 'failed'
    MISSING = 'missing'
    DELETING = 'deleting'
    DELETED = 'deleted'
    UNKNOWN = 'unknown'


class CoverageState(enum.StrEnum):
    """Of a volume, by whether there is what it can be gone back to, and soon will be.

    ``late`` has no good recovery point since a run was due; ``failing`` since one failed;
    ``gone`` is not in the cloud any more, and still has recovery points.
    """

    PROTECTED = 'protected'
    LATE = 'late'
    FAILING = 'failing'
    PAUSED = 'paused'
    UNPROTECTED = 'unprotected'
    GONE = 'gone'


class TroubleKind(enum.StrEnum):
    """What does not go as somebody wants; the last ones are the operator's."""

    RUN_FAILED = 'run_failed'
    RUN_PARTLY_FAILED = 'run_partly_failed'
    RUN_MISSED = 'run_missed'
    RUN_SKIPPED = 'run_skipped'
    TRUST_DEAD = 'trust_dead'
    RETENTION_FAILED = 'retention_failed'
    VOLUMES_LATE = 'volumes_late'
    VOLUMES_UNPROTECTED = 'volumes_unprotected'
    VOLUMES_GONE = 'volumes_gone'
    POINTS_MISSING = 'points_missing'
    JOB_PARKED = 'job_parked'


class PlanStatus(enum.StrEnum):
    """Of a plan."""

    SUSPENDED = 'suspended'
    STARTED = 'started'


class OperationStatus(enum.StrEnum):
    """Of a restore, a verification or an operation log."""

    IN_PROGRESS = 'in_progress'
    SUCCESS = 'success'
    FAIL = 'fail'
    QUEUED = 'queued'
    SKIPPED = 'skipped'


class ScheduledOperationType(enum.StrEnum):
    """What a scheduled operation does with its plan."""

    PROTECT = 'protect'
    RETENTION_PROTECT = 'retention_protect'


CHECKPOINT_CREATED_BY = 'created_by'
CHECKPOINT_CREATED_MANUALLY = 'manual'
CHECKPOINT_CREATED_BY_SCHEDULE = 'operation-engine'
CHECKPOINT_CREATED_BY_RESTORE = 'restore'
CHECKPOINT_RESTORE_ID = 'restore_id'
CHECKPOINT_SCHEDULE_ID = 'scheduled_operation_id'
CHECKPOINT_TRIGGER_ID = 'trigger_id'
CHECKPOINT_FIRE_TIME = 'fire_time'

# What plugins import.
#: The kinds of jobs that make checkpoints.
PROTECTS: Final = (OperationType.PROTECT, OperationType.SAFETY_PROTECT)

OPERATION_PROTECT: Final = OperationType.PROTECT
OPERATION_RESTORE: Final = OperationType.RESTORE
OPERATION_DELETE: Final = OperationType.DELETE
OPERATION_VERIFY: Final = OperationType.VERIFY
OPERATION_COPY: Final = OperationType.COPY
OPERATION_RETENTION: Final = OperationType.RETENTION
OPERATION_RESET: Final = OperationType.RESET

RESOURCE_STATUS_ERROR: Final = ResourceStatus.ERROR
RESOURCE_STATUS_PROTECTING: Final = ResourceStatus.PROTECTING
RESOURCE_STATUS_STARTED: Final = ResourceStatus.STARTED
RESOURCE_STATUS_AVAILABLE: Final = ResourceStatus.AVAILABLE
RESOURCE_STATUS_DELETING: Final = ResourceStatus.DELETING
RESOURCE_STATUS_DELETED: Final = ResourceStatus.DELETED
RESOURCE_STATUS_RESTORING: Final = ResourceStatus.RESTORING
RESOURCE_STATUS_UNDEFINED: Final = ResourceStatus.UNDEFINED

CHECKPOINT_STATUS_PROTECTING: Final = CheckpointStatus.PROTECTING
CHECKPOINT_STATUS_AVAILABLE: Final = CheckpointStatus.AVAILABLE
CHECKPOINT_STATUS_ERROR: Final = CheckpointStatus.ERROR
CHECKPOINT_STATUS_DELETING: Final = CheckpointStatus.DELETING
CHECKPOINT_STATUS_DELETED: Final = CheckpointStatus.DELETED
CHECKPOINT_STATUS_ERROR_DELETING: Final = CheckpointStatus.ERROR_DELETING
CHECKPOINT_STATUS_WAIT_COPYING: Final = 'wait_copying'
CHECKPOINT_STATUS_COPYING: Final = 'copying'

OPERATION_STATUS_IN_PROGRESS: Final = OperationStatus.IN_PROGRESS
OPERATION_STATUS_SUCCESS: Final = OperationStatus.SUCCESS
OPERATION_STATUS_FAIL: Final = OperationStatus.FAIL
OPERATION_STATUS_QUEUED: Final = OperationStatus.QUEUED
OPERATION_STATUS_SKIPPED: Final = OperationStatus.SKIPPED

HOOK_PRE_BEGIN: Final = Hook.PRE_BEGIN
HOOK_PRE_FINISH: Final = Hook.PRE_FINISH
HOOK_MAIN: Final = Hook.MAIN
HOOK_COMPLETE: Final = Hook.COMPLETE
