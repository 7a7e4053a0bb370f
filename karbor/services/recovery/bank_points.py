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

"""What a bank tells of the recovery points of a checkpoint.

By convention a plugin keeps in an object how its resource is doing; and by contract it can be
asked what it keeps of it.
"""

import dataclasses

from oslo_log import log as logging

from karbor import exception
from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db.recovery_points import Saved
from karbor.resource import Resource
from karbor.services.checkpoints import saved_info
from karbor.services.protection import bank_plugin
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import provider as providers

LOG = logging.getLogger(__name__)

_STATUS_KEY = 'status'

LOST = 'The bank has nothing of it.'
NOT_PROTECTED = 'By what the bank has, it was not protected.'
NOT_TOLD = 'The bank does not tell whether it is good.'
NOT_DELETED = 'By what the bank has, it was to be deleted, and is not.'


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What the bank tells of one resource.

    :ivar state: what its point is, by the bank alone.
    :ivar reason: why it is not good.
    :ivar is_lost: whether what its plugin would need for a restore is not there.
    """

    state: State
    reason: str | None
    saved: Saved
    is_lost: bool


def look(
    provider: providers.Provider, checkpoint: bank_checkpoint.Checkpoint, resource: Resource
) -> Told:
    """What the bank tells of a resource.

    :raises BankError: the bank cannot tell now.
    """
    section = checkpoint.read_only_section(resource.id)
    saved, is_lost = _saved(provider, section, resource)
    state, reason = _state(_status(section), is_lost, checkpoint.status)
    return Told(state, reason, saved, is_lost)


def _status(section: bank_plugin.BankSection) -> object:
    try:
        return section.get_object(_STATUS_KEY)
    except exception.BankObjectNotFound:
        return None


def _saved(
    provider: providers.Provider, section: bank_plugin.BankSection, resource: Resource
) -> tuple[Saved, bool]:
    """What the plugin keeps of a resource, and whether that is lost."""
    plugin_class = provider.plugin_classes.get(resource.type)
    if plugin_class is None:
        return Saved(), False
    try:
        return saved_info.read(plugin_class.get_saved_info(section, resource)), False
    except NotImplementedError:
        return Saved(), False
    except exception.BankObjectNotFound:
        return Saved(), True
    except (exception.BankGetObjectFailed, exception.BankListObjectsFailed):
        raise
    except Exception:
        # A plugin may raise anything; then it tells nothing.
        LOG.warning('What is kept of %s is not known', resource.key, exc_info=True)
        return Saved(), False


def _state(status: object, is_lost: bool, of_checkpoint: str) -> tuple[State, str | None]:
    if status == constants.ResourceStatus.DELETED:
        return State.DELETED, None
    if of_checkpoint in (
        constants.CheckpointStatus.DELETING,
        constants.CheckpointStatus.ERROR_DELETING,
    ):
        return State.FAILED, NOT_DELETED
    if status == constants.ResourceStatus.AVAILABLE:
        return (State.UNKNOWN, LOST) if is_lost else (State.GOOD, None)
    if status is None:
        return State.UNKNOWN, NOT_TOLD
    return State.FAILED, NOT_PROTECTED
