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

"""Restores a volume: makes a new one from the snapshot, as the old one was."""

import dataclasses
from collections.abc import Generator, Mapping
from typing import Any

from cinderclient import exceptions as cinder_exc

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.cinder import faults as cinder_faults
from karbor.services.cinder import records
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.faults import CinderFault
from karbor.services.cinder.in_place_records import InPlaceRecords
from karbor.services.cinder.items import CinderItems, Order
from karbor.services.cinder.job import CinderJob
from karbor.services.cinder.marks import Marks
from karbor.services.protection.protection_plugins import utils
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_faults as faults,
)
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_recorded as recorded,
)
from karbor.services.protection.protection_plugins.volume.cinder_snapshot_in_place import (
    InPlace,
    Overwrite,
    Safety,
    Timeouts,
)
from karbor.services.protection.protection_plugins.volume.cinder_snapshot_operations import (
    SnapshotOperation,
)
from karbor.services.protection.protection_plugins.volume.cinder_snapshot_put_back import PutBack
from karbor.services.protection.protection_plugins.volume.cinder_snapshot_wanted import (
    Asked,
    Wanted,
)
from karbor.services.protection.steps import Steps, Wait, stepwise


class RestoreOperation(SnapshotOperation):
    """Makes a new volume from the snapshot."""

    @stepwise
    def on_main(
        self,
        checkpoint: Any,
        resource: Resource,
        context: karbor_context.RequestContext,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> Steps:
        restore = kwargs['restore']
        section = checkpoint.get_resource_bank_section(resource.id)
        if restore.choices_of(resource.type, resource.id).get('in_place'):
            yield from self._restore_in_place(
                checkpoint, resource, context, {**kwargs, 'parameters': parameters}
            )
            return
        asked = Asked(
            checkpoint_id=checkpoint.id,
            resource=resource,
            marks=Marks.of_resource(checkpoint, resource.id).of_restore(restore['id']),
            parameters=parameters,
            choices=restore.choices_of(resource.type, resource.id),
        )
        with faults.failing_as(exception.RestoreResourceFailed, resource):
            cinder = self._cinder(context)
            saved = yield from recorded.read_saved(cinder, checkpoint, resource, context)
            wanted = asked.wanted(saved)
            making = self._restored_volume(
                cinder,
                cinder.volumes(Marks(restore_id=restore['id'])),
                wanted,
                records.of_restore(section, restore['id']),
            )
            try:
                volume, remarks = yield from cinder.places.holding(making)
            except cinder_exc.NotFound:
                # Perhaps it is the snapshot; if so, that is told.
                yield from recorded.read(cinder, checkpoint, resource, context)
                raise
        kwargs['new_resources'][resource.id] = volume.id
        utils.update_resource_restore_result(
            restore,
            resource.type,
            volume.id,
            constants.ResourceStatus.AVAILABLE,
            f'not put back: {"; ".join(remarks)}' if remarks else '',
            name=volume.name,
        )

    def _restore_in_place(
        self,
        checkpoint: Any,
        resource: Resource,
        context: karbor_context.RequestContext,
        keywords: Mapping[str, Any],
    ) -> Steps:
        """Write the snapshot over the volume itself; see :mod:`cinder_snapshot_in_place`."""
        restore = keywords['restore']
        section = checkpoint.get_resource_bank_section(resource.id)
        choices = restore.choices_of(resource.type, resource.id)
        with faults.failing_as(exception.RestoreResourceFailed, resource):
            cinder = self._cinder(context)
            overwrite = Overwrite(
                volume_id=resource.id,
                project_id=context.project_id,
                marks=Marks.of_resource(checkpoint, resource.id).of_restore(restore['id']),
                read=lambda: recorded.read(cinder, checkpoint, resource, context),
                safety=_safety(restore, resource),
                accepts_grown=choices.get('accept_grown', False),
            )
            in_place = InPlace(
                cinder,
                InPlaceRecords(section, restore['id']),
                overwrite,
                Timeouts(
                    reimage=self._options.restore_timeout,
                    retry=self._options.retry_timeout,
                    in_flight=self._options.in_flight_timeout,
                ),
            )
            volume, remarks = yield from cinder.places.holding(in_place.restored())
        keywords['new_resources'][resource.id] = volume.id
        utils.update_resource_restore_result(
            restore,
            resource.type,
            volume.id,
            constants.ResourceStatus.AVAILABLE,
            '; '.join([*remarks, *_left_out(keywords['parameters'])]),
            name=volume.name,
        )

    def _restored_volume(
        self,
        cinder: CinderJob,
        volumes: CinderItems,
        wanted: Wanted,
        record: records.BankRecord[records.RestoreRecord],
    ) -> Generator[Wait, Any, tuple[Any, list[str]]]:
        """The new volume of this restore, and what could not be put back of the old one.

        When it fails, nothing of it stays in Cinder. The bank names it from the request on, and
        not any more when it has failed.

        :raises CinderFault: tells why it failed, and whether what was made is removed.
        """
        marks, timeout = wanted.order.marks, self._options.restore_timeout
        volume = written = None
        try:
            volume = yield from self._made_before(cinder, volumes, marks, record)
            if volume is None:
                yield record.begin_blank()
                volume = yield from _make(volumes, wanted.order)
            written = record.begin_made(volume)
            made = yield from volumes.wait_until_available(volume, timeout)
            remarks = yield from PutBack(cinder, volumes, timeout).all(made, wanted)
        except cinder_faults.FAULTS as exc:
            is_not_made = cinder_requests.is_refusal(exc) or isinstance(exc, cinder_faults.NotAsked)
            if volume is None and is_not_made:
                raise
            outcome = yield from self._remove_all(volumes, marks, volume)
            if written is not None:
                yield written
            yield record.begin_blank()
            raise CinderFault(f'{cinder_faults.describe(exc)}; {outcome}') from exc
        yield written
        return volume, remarks

    def _remove_all(
        self, volumes: CinderItems, marks: Marks, volume: Any
    ) -> Generator[Wait, Any, str]:
        """Remove every volume that a failed restore made; tells in words how that went."""
        try:
            found = yield from volumes.find(marks)
            made = {item.id: item for item in found}
            if volume is not None:
                made[volume.id] = volume
            for item in made.values():
                yield from volumes.remove(item, self._options.settle_timeout, listed=False)
        except cinder_faults.FAULTS as exc:
            return f'it is left in Cinder: {cinder_faults.describe(exc)}'
        return 'it was removed' if made else 'nothing was made'


def _left_out(parameters: Mapping[str, Any]) -> list[str]:
    """What is said of parameters that are about new volumes, of one that is not."""
    given = [name for name in ('restore_name', 'restore_description') if parameters.get(name)]
    return [f'{" and ".join(given)} left out, as nothing is new'] if given else []


def _safety(restore: Any, resource: Resource) -> Safety | None:
    """The safety snapshot of a volume, as the rows have it; None where none was asked for.

    :raises CinderFault: it was not taken.
    """
    if not restore.has_safety(resource.type, resource.id):
        return None
    point = restore.safety_of(resource.type, resource.id)
    if point.cloud_id is None:
        raise CinderFault(
            f'nothing was overwritten, as there is no safety snapshot of it: {point.reason}'
        )
    return Safety(checkpoint_id=point.checkpoint_id, snapshot_id=point.cloud_id)


def _make(volumes: CinderItems, order: Order) -> Generator[Wait, Any, Any]:
    """Ask for a volume; without the type if Cinder makes none of it from this snapshot."""
    try:
        return (yield from volumes.make(order))
    except cinder_exc.BadRequest:
        if 'volume_type' not in order.arguments:
            raise
    arguments = {name: value for name, value in order.arguments.items() if name != 'volume_type'}
    return (yield from volumes.make(dataclasses.replace(order, arguments=arguments)))
