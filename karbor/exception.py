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

"""Every error of Karbor, each with the HTTP status that a caller sees.

::

    KarborException                        500
      Invalid                              400
        InvalidInput, InvalidParameterValue, InvalidPlan,
        InvalidOperationDefinition, InvalidName, ValidationError,
        ScheduledOperationExist, TriggerIsInvalid,
        InvalidProtectableInstance, InvalidTaskFlowObject,
        ServiceMissing, InPlaceNotPossible
      NotAuthorized                        403
        PolicyNotAuthorized, TrustNotPossible, AdminRequired,
        AuthorizationFailure, AccessCheckpointNotAllowed,
        DeleteCheckpointNotAllowed, DeleteTriggerNotAllowed
      NotFound                             404
        PlanNotFound, ProviderNotFound, CheckpointNotFound, RestoreNotFound, RestoreGroupNotFound,
        VerificationNotFound, TriggerNotFound, ScheduledOperationNotFound,
        OperationLogNotFound, TroubleNotFound, ServiceNotFound, ProjectNotFound, JobNotFound,
        MarkerNotFound,
        ProtectableTypeNotFound, ProtectableResourceNotFound,
        ProtectionPluginNotFound, ConfigNotFound
      Conflict                             409
        CheckpointNotBeDeleted, CheckpointNotBeReset,
        ProtectableResourceInvalidStatus, PlanInUse, TriggerInUse,
        OperationRunning, JobNotPossible, TrustGone, ResourceHeld,
        OtherRegion
      OverLimit                            413
        PlanLimitExceeded, CheckpointLimitExceeded, ScheduleLimitExceeded,
        TriggerLimitExceeded, VerificationLimitExceeded, JobLimitExceeded
      ResourceFailed                       500
        CreateResourceFailed, RestoreResourceFailed,
        DeleteResourceFailed, VerifyResourceFailed, ResourceGone
      FlowError, CheckpointNotAvailable      500
      TrustDied                            500
      ListProtectableResourceFailed        503
      InventoryFailed                      503
        InventoryRefused, RegionNotChosen
      CloudUnavailable                     503
      IdentityUnavailable                  503
      ExtraMissing                         500
      BankError                            500
        BankUpdateObjectFailed, BankGetObjectFailed, BankDeleteObjectFailed,
        BankListObjectsFailed, BankReadonlyViolation, AcquireLeaseFailed,
        CreateContainerFailed, CreateBucketFailed
          BankObjectNotFound (is a BankGetObjectFailed)

The names, keyword arguments and codes are those that plugins written for Karbor use
(plugin contract, section B.10); codes that the contract calls defects are mended. Those at the end
are never raised by Karbor itself: they are there for plugins that name them.
"""

from typing import Any


class KarborException(Exception):
    """Base of all: ``message`` is a template that the keyword arguments fill.

    :param message: text that replaces the class's template.
    :param is_passing: whether it is that a service does not answer now, and may do so later.
    :param kwargs: values of the template's fields; a field that is missing leaves the
        template as it is, since an error about an error would hide the first.
    """

    message = 'An unknown error happened.'
    code = 500
    headers: dict[str, str] = {}
    safe = True
    is_passing = False

    def __init__(self, message: object = None, *, is_passing: bool = False, **kwargs: Any) -> None:
        self.is_passing = is_passing
        self.kwargs = kwargs
        if message is None:
            try:
                self.msg = self.message % kwargs
            except KeyError:
                self.msg = self.message
        else:
            self.msg = str(message)
        super().__init__(self.msg)


class Invalid(KarborException):
    message = 'The request is not valid.'
    code = 400


class InvalidInput(Invalid):
    message = 'Invalid input: %(reason)s'


class ServiceMissing(Invalid):
    """What is asked for needs a service of the cloud that it does not have."""

    message = 'The cloud has no %(service)s in its catalog.'


class InPlaceNotPossible(Invalid):
    message = 'This cannot be restored in place: %(reason)s'


class InvalidParameterValue(Invalid):
    message = '%(err)s'


class InvalidPlan(Invalid):
    message = 'Invalid plan: %(reason)s'


class InvalidOperationDefinition(Invalid):
    message = 'Invalid operation_definition: %(reason)s'


class NotAuthorized(KarborException):
    message = 'This is not allowed.'
    code = 403


class PolicyNotAuthorized(NotAuthorized):
    message = 'The policy does not allow %(action)s with the roles of this token.'


class TrustNotPossible(NotAuthorized):
    message = (
        'Karbor needs a trust to act for you after your request, and cannot have one: %(reason)s'
    )


class NotFound(KarborException):
    message = 'Not found.'
    code = 404


class PlanNotFound(NotFound):
    message = 'Plan %(plan_id)s could not be found.'


class ProviderNotFound(NotFound):
    message = 'Provider %(provider_id)s could not be found.'


class CheckpointNotFound(NotFound):
    message = 'Checkpoint %(checkpoint_id)s could not be found.'


class RestoreNotFound(NotFound):
    message = 'Restore %(restore_id)s could not be found.'


class RestoreGroupNotFound(NotFound):
    message = 'Restore group %(restore_group_id)s could not be found.'


class VerificationNotFound(NotFound):
    message = 'Verification %(verification_id)s could not be found.'


class TriggerNotFound(NotFound):
    message = 'Trigger %(id)s could not be found.'


class ScheduledOperationNotFound(NotFound):
    message = 'Scheduled operation %(id)s could not be found.'


class OperationLogNotFound(NotFound):
    message = 'Operation log %(operation_log_id)s could not be found.'


class TroubleNotFound(NotFound):
    message = 'Trouble %(trouble_id)s could not be found.'


class JobNotFound(NotFound):
    message = 'Job %(job_id)s could not be found.'


class ServiceNotFound(NotFound):
    message = 'Service %(service_id)s could not be found.'


class MarkerNotFound(NotFound):
    message = 'There is no marker %(marker)s.'


class ProjectNotFound(NotFound):
    message = 'Project %(project_id)s could not be found.'


class ProtectableTypeNotFound(NotFound):
    message = 'Protectable type %(protectable_type)s could not be found.'


class ProtectableResourceNotFound(NotFound):
    message = 'The %(type)s %(id)s could not be found: %(reason)s'


class ProtectionPluginNotFound(NotFound):
    message = 'No protection plugin of this provider serves the type %(type)s.'


class ConfigNotFound(NotFound):
    message = 'There is no configuration %(path)s.'


class Conflict(KarborException):
    message = 'The state of the object does not allow this.'
    code = 409


class CheckpointNotBeDeleted(Conflict):
    message = 'Checkpoint %(checkpoint_id)s cannot be deleted: %(reason)s'


class CheckpointNotBeReset(Conflict):
    message = 'The state of checkpoint %(checkpoint_id)s cannot be reset: %(reason)s'


class PlanInUse(Conflict):
    message = (
        'Plan %(plan_id)s cannot be deleted: the scheduled operation %(operation_id)s is for it; '
        'delete that first.'
    )


class JobNotPossible(Conflict):
    message = 'Job %(job_id)s: this cannot be done: %(reason)s.'


class OperationRunning(Conflict):
    message = 'Scheduled operation %(operation_id)s is not run now: %(reason)s.'


class TriggerInUse(Conflict):
    message = (
        'Trigger %(trigger_id)s cannot be deleted: the scheduled operation '
        '%(operation_id)s waits for it.'
    )


class TrustGone(Conflict):
    """What a job was about to be given to has just been deleted; another one can be had."""

    message = 'Trust %(trust_id)s is not in use any more. Ask again.'


class ResourceHeld(Conflict):
    message = 'This cannot be restored in place now: %(reason)s'


class OtherRegion(Conflict):
    """What a checkpoint has is where Karbor does not look now."""

    message = 'The checkpoint is left alone: %(reason)s'


class OverLimit(KarborException):
    """A quota of the project is used up.

    :param allowed: the limit.
    """

    message = 'The quota of %(allowed)s is used up.'
    code = 413
    headers = {'Retry-After': '0'}


class PlanLimitExceeded(OverLimit):
    message = 'The project may have no more than %(allowed)s plans.'


class CheckpointLimitExceeded(OverLimit):
    message = 'The project may have no more than %(allowed)s checkpoints.'


class ScheduleLimitExceeded(OverLimit):
    message = 'The project may have no more than %(allowed)s scheduled operations.'


class TriggerLimitExceeded(OverLimit):
    message = 'The project may have no more than %(allowed)s triggers.'


class VerificationLimitExceeded(OverLimit):
    message = 'The project may have no more than %(allowed)s verifications.'


class JobLimitExceeded(OverLimit):
    message = 'The project may have no more than %(allowed)s jobs that are not finished.'


class ResourceFailed(KarborException):
    """A plugin could not do its work on one resource.

    :param name: what the plugin works with, for example 'Volume Snapshot'.
    :param reason: what happened, for a person to act on.
    :param resource_id: id of the resource.
    :param resource_type: its type, for example 'OS::Cinder::Volume'.
    :param is_over_quota: whether it is that a quota of the project is used up.
    :param is_lost: whether it is that what the checkpoint had of the resource is not in the cloud
        any more, seen as its owner sees it. From a hook of a verification, it makes the recovery
        point one that is missing.
    """

    message = '%(resource_type)s %(resource_id)s: %(name)s failed: %(reason)s'
    is_over_quota = False
    is_lost = False

    def __init__(
        self,
        message: object = None,
        *,
        is_over_quota: bool = False,
        is_lost: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(message, **kwargs)
        self.is_over_quota = is_over_quota
        self.is_lost = is_lost


class CreateResourceFailed(ResourceFailed):
    message = 'Protecting %(resource_type)s %(resource_id)s (%(name)s) failed: %(reason)s'


class RestoreResourceFailed(ResourceFailed):
    message = 'Restoring %(resource_type)s %(resource_id)s (%(name)s) failed: %(reason)s'


class DeleteResourceFailed(ResourceFailed):
    message = (
        'Deleting what protects %(resource_type)s %(resource_id)s (%(name)s) failed: %(reason)s'
    )


class VerifyResourceFailed(ResourceFailed):
    message = (
        'Verifying what protects %(resource_type)s %(resource_id)s (%(name)s) failed: %(reason)s'
    )


class ResourceGone(ResourceFailed):
    """There is nothing to protect any more, and nothing was made.

    Raised by a hook of a protect, it leaves the resource out of the checkpoint, which is good
    without it. From any other hook it is a failure as any other.
    """

    message = '%(resource_type)s %(resource_id)s (%(name)s) is gone: %(reason)s'


class ProtectableResourceInvalidStatus(Conflict):
    message = 'The %(type)s %(id)s is in status %(status)s.'


class TrustDied(KarborException):
    """Keystone does not honour the trust of a job any more."""

    message = '%(reason)s'


class ListProtectableResourceFailed(KarborException):
    message = 'Listing resources of type %(type)s failed: %(reason)s'
    code = 503


class InventoryFailed(KarborException):
    message = 'What there is in Cinder cannot be seen: %(reason)s'
    code = 503


class InventoryRefused(InventoryFailed):
    """Whoever looks lacks the rights, which does not pass by itself."""


class RegionNotChosen(InventoryFailed):
    """Which region is acted in would be left to the order of the catalog."""

    message = 'Cinder is in several regions (%(regions)s): name one in [cinder_client] region_id.'


class CloudUnavailable(KarborException):
    """The cloud cannot be asked now whether what is asked for could be done."""

    message = 'The cloud cannot be asked: %(reason)s'
    code = 503


class IdentityUnavailable(KarborException):
    """Keystone does not answer, or not to Karbor's own user; it may do so later."""

    message = 'Keystone cannot be asked: %(reason)s'
    code = 503


class ExtraMissing(KarborException):
    """What is configured needs libraries that are not installed; see karbor.common.extras."""

    message = "%(what)s needs karbor[%(extra)s]: pip install 'karbor[%(extra)s]'"


class BankError(KarborException):
    """The bank does not do what it was asked for; 503 if that may pass."""

    message = 'The bank failed: %(reason)s'

    def __init__(self, message: object = None, *, is_passing: bool = False, **kwargs: Any) -> None:
        super().__init__(message, is_passing=is_passing, **kwargs)
        if is_passing:
            self.code = 503


class BankUpdateObjectFailed(BankError):
    message = 'Writing %(key)s to the bank failed: %(reason)s'


class BankGetObjectFailed(BankError):
    message = 'Reading %(key)s from the bank failed: %(reason)s'


class BankObjectNotFound(BankGetObjectFailed):
    """The object is not there, as against a bank that does not answer."""


class BankDeleteObjectFailed(BankError):
    message = 'Deleting %(key)s from the bank failed: %(reason)s'


class BankListObjectsFailed(BankError):
    message = 'Listing objects of the bank failed: %(reason)s'


class BankReadonlyViolation(BankError):
    message = 'This part of the bank is read-only.'


class AcquireLeaseFailed(BankError):
    message = 'Getting the lease of the bank failed: %(reason)s'


class CreateContainerFailed(BankError):
    message = 'Making the container of the bank failed: %(reason)s'


class CreateBucketFailed(BankError):
    message = 'Making the bucket of the bank failed: %(reason)s'


class InvalidName(Invalid):
    message = 'Invalid name: %(reason)s'


class ValidationError(Invalid):
    message = '%(detail)s'


class ScheduledOperationExist(Invalid):
    message = 'There is such a scheduled operation already.'


class TriggerIsInvalid(Invalid):
    message = 'The trigger is not valid.'


class InvalidProtectableInstance(Invalid):
    message = 'The protectable instance is not valid.'


class InvalidTaskFlowObject(Invalid):
    message = 'The task flow is not valid.'


class AdminRequired(NotAuthorized):
    message = 'Only an administrator may do this.'


class AuthorizationFailure(NotAuthorized):
    message = 'This is not allowed: %(obj)s'


class AccessCheckpointNotAllowed(NotAuthorized):
    message = 'The checkpoint %(checkpoint_id)s is not yours.'


class DeleteCheckpointNotAllowed(NotAuthorized):
    message = 'The checkpoint %(checkpoint_id)s is not yours to delete.'


class DeleteTriggerNotAllowed(NotAuthorized):
    message = 'The trigger %(trigger_id)s is not yours to delete.'


class FlowError(KarborException):
    message = 'The flow %(flow)s failed: %(error)s'


class CheckpointNotAvailable(KarborException):
    message = 'Checkpoint %(checkpoint_id)s is not available.'
