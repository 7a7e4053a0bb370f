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

"""What the faults of Cinder become when the plugin works on a volume."""

import contextlib
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

from cinderclient import exceptions as cinder_exc

from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.cinder import faults as cinder_faults
from karbor.services.cinder import records
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.items import Order
from karbor.services.cinder.job import CinderJob
from karbor.services.protection import bank_plugin
from karbor.services.protection.steps import Steps, Wait

NAME = 'Volume Snapshot'

Result = TypeVar('Result')


class VolumeGone(Exception):
    """There is no volume any more to take a snapshot of; the text is for a person."""


class SnapshotGone(cinder_faults.CinderFault):
    """The snapshot that a checkpoint has is not there any more, as its owner sees it."""


def refusal(fault: cinder_exc.BadRequest, status: str, order: Order) -> str:
    """What to tell of a snapshot that Cinder does not take of a volume in a status."""
    said = cinder_requests.describe(fault)
    if status == 'in-use' and not order.arguments['force']:
        return (
            'the volume is attached, and so its snapshot is only taken when force is true in the '
            f"plan's parameters: set it there; {said}"
        )
    return f'the volume is in status {status}; {said}'


def telling_gone(
    cinder: CinderJob, volume_id: str, going: Generator[Wait, Any, Result]
) -> Generator[Wait, Any, Result]:
    """Steps, and a look whether something is missing since the volume itself is not there.

    :raises VolumeGone: it is not.
    """
    try:
        return (yield from going)
    except (cinder_exc.NotFound, cinder_faults.ItemGone) as exc:
        if (yield from cinder.has_volume(volume_id)):
            raise
        raise VolumeGone(
            f'the volume does not exist any more; {cinder_faults.describe(exc)}'
        ) from exc


def marking_failed(section: bank_plugin.BankSection, going: Steps) -> Steps:
    """Steps whose failure the bank tells, too."""
    try:
        yield from going
    except cinder_faults.FAULTS:
        with contextlib.suppress(exception.BankError):  # what Cinder said matters more
            yield records.begin_status(section, constants.ResourceStatus.ERROR)
        raise


@contextlib.contextmanager
def failing_as(
    error: type[exception.ResourceFailed],
    resource: Resource,
) -> Iterator[None]:
    """Turn what Cinder does into the contract's exception."""
    try:
        yield
    except VolumeGone as exc:
        raise exception.ResourceGone(
            name=NAME, reason=str(exc), resource_id=resource.id, resource_type=resource.type
        ) from exc
    except cinder_faults.FAULTS as exc:
        raise error(
            name=NAME,
            reason=cinder_faults.describe(exc),
            resource_id=resource.id,
            resource_type=resource.type,
            is_over_quota=cinder_requests.is_over_quota(exc),
            is_lost=isinstance(exc, SnapshotGone),
            is_passing=cinder_faults.is_unanswered(exc),
        ) from exc
