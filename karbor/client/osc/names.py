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

"""What is meant by a name or an id that somebody has typed."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from openstack import exceptions
from osc_lib.exceptions import CommandError

from karbor.client.base import Resource, is_id
from karbor.client.checkpoints import Checkpoint
from karbor.client.coverage import CoveredVolume
from karbor.client.plans import Plan
from karbor.client.protectables import ProtectableInstance
from karbor.client.providers import Provider
from karbor.client.proxy import Proxy
from karbor.client.recovery_points import RecoveryPoint
from karbor.client.schedules import Schedule

VOLUME = 'OS::Cinder::Volume'

_GONE = 'gone'

Volume = ProtectableInstance | CoveredVolume
ResourceT = TypeVar('ResourceT', bound=Resource)


def plan(protection: Proxy, name_or_id: str) -> Plan:
    """:raises SDKException: several have the name.
    :raises CommandError: there is none.
    """
    found = protection.find_plan(name_or_id)
    if found is None:
        raise CommandError(f'There is no plan {name_or_id}.')
    return found


def schedule(protection: Proxy, name_or_id: str) -> Schedule:
    """:raises SDKException: several have the name.
    :raises CommandError: there is none.
    """
    found = protection.find_schedule(name_or_id)
    if found is None:
        raise CommandError(f'There is no schedule {name_or_id}.')
    return found


def provider(protection: Proxy, name_or_id: str | None) -> Provider:
    """The one that is named, or else the only one.

    :raises SDKException: several have the name.
    :raises CommandError: there is none; or none is named, and there are several.
    """
    if name_or_id is not None:
        found = protection.find_provider(name_or_id)
        if found is None:
            raise CommandError(f'There is no provider {name_or_id}.')
        return found
    providers = list(protection.providers())
    if len(providers) != 1:
        named = ', '.join(each.name for each in providers) or 'none'
        raise CommandError(f'Say which provider protects, with --provider; there is {named}.')
    return providers[0]


def checkpoint(protection: Proxy, checkpoint_id: str) -> Checkpoint:
    """:raises SDKException: there is none."""
    missing: exceptions.NotFoundException | None = None
    for each in protection.providers():
        try:
            return protection.get_checkpoint(checkpoint_id, each)
        except exceptions.NotFoundException as fault:
            missing = fault
    raise missing or CommandError('There is no provider, and so no checkpoint.')


def volume(protection: Proxy, name_or_id: str) -> Volume:
    """A volume that is in Cinder.

    :raises CommandError: there is none, or several have the name.
    """
    return _only(volumes(protection, name_or_id), name_or_id)


def volumes(protection: Proxy, name_or_id: str) -> Sequence[Volume]:
    """Those in Cinder that have an id or, if none has it, a name.

    Volumes that can be protected are asked for as they are now; coverage, which may be half a
    minute old, knows the others as well, such as those in error.
    """
    if is_id(name_or_id):
        try:
            return [protection.get_protectable_instance(VOLUME, name_or_id)]
        except exceptions.NotFoundException:
            pass  # a name may look like an id
    named = _called(protection.protectable_instances(VOLUME), name_or_id)
    return named or [
        each for each in _called(protection.coverage().volumes, name_or_id) if each.state != _GONE
    ]


def known_volume(protection: Proxy, name_or_id: str) -> CoveredVolume:
    """A volume as coverage tells of it; it may be gone, and have recovery points.

    :raises CommandError: there is none, or several have the name.
    """
    named = _called(protection.coverage(name=name_or_id).volumes, name_or_id)
    return _only(named or _called(protection.coverage().volumes, name_or_id), name_or_id)


def point(points: Iterable[RecoveryPoint], name_or_id: str) -> RecoveryPoint:
    """That of a volume, of the points of a checkpoint.

    :raises CommandError: it has none, or several of the name.
    """
    points = list(points)
    found = [each for each in points if each.resource_id == name_or_id] or [
        each for each in points if each.resource_name == name_or_id
    ]
    if not found:
        raise CommandError(f'The checkpoint has no volume {name_or_id}.')
    if len(found) > 1:
        ids = ', '.join(each.resource_id for each in found)
        raise CommandError(f'More than one volume is called {name_or_id}: {ids}')
    return found[0]


def _called(found: Iterable[ResourceT], name_or_id: str) -> list[ResourceT]:
    return [each for each in found if name_or_id in (each.id, each.name)]


def _only(found: Sequence[ResourceT], name_or_id: str) -> ResourceT:
    if not found:
        raise CommandError(f'There is no volume {name_or_id}.')
    if len(found) > 1:
        ids = ', '.join(each.id for each in found)
        raise CommandError(
            f'More than one volume is called {name_or_id}; take one by its ID: {ids}'
        )
    return found[0]
