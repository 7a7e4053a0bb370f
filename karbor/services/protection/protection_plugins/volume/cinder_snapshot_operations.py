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

"""The four operations of the volume snapshot plugin, each with its work in the main hook.

Nothing is orphaned: that something will be made is written to the bank before it is asked
for, its id right after, before any waiting; and it carries metadata by which a job that
runs again finds it, also when the answer to the request was lost.
"""

import datetime
import functools
import time
from collections.abc import Callable
from typing import Any

from cinderclient import exceptions as cinder_exc
from oslo_config import cfg
from oslo_utils import timeutils

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services import retrying
from karbor.services.cinder import items as cinder_items
from karbor.services.cinder import records
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.items import CinderFault, CinderItems, Order
from karbor.services.cinder.job import CinderJob
from karbor.services.cinder.marks import Marks
from karbor.services.cinder.requests import Made
from karbor.services.protection import bank_plugin, protection_plugin
from karbor.services.protection.protection_plugins import utils
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_faults as faults,
)

Context = karbor_context.RequestContext


class _SnapshotOperation(protection_plugin.Operation):
    """What the four have in common.

    :param cinder: finds what the job's resources share of Cinder.
    :param options: group ``[volume_snapshot_plugin]`` of the provider file.
    :param clock: what a volume between two states is waited for with.
    """

    def __init__(
        self,
        cinder: Callable[[Context], CinderJob],
        options: cfg.ConfigOpts.GroupAttr,
        clock: retrying.Clock = time,
    ) -> None:
        self._cinder = cinder
        self._options = options
        self._clock = clock

    def _made_once(
        self,
        items: CinderItems,
        order: Order,
        record: records.BankRecord[Any],
        make: Callable[[bool], Made],
    ) -> Made:
        """The one item that a record is about: known, asked for before, or new.

        A request of a run that was killed may still wait to be served, so it is waited for
        before another one is sent.

        :param make: makes it; told whether it was asked for before.
        """
        known = record.read()
        if known is not None and known.made_id:
            return Made(items.get(known.made_id), is_doubtful=True)
        adopted = None
        if known is not None:
            in_flight = _in_flight(known.asked_at, self._options.in_flight_timeout)
            adopted = items.adopt(order.marks, in_flight)
        if adopted is not None:
            made = Made(adopted, is_doubtful=True)
        else:
            record.write_asked()
            made = make(known is not None)
        record.write_made(made.item)
        return made


class ProtectOperation(_SnapshotOperation):
    """Takes the snapshot of a volume."""

    def on_main(
        self,
        checkpoint: Any,
        resource: Resource,
        context: Context,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        section = checkpoint.get_resource_bank_section(resource.id)
        with faults.failing_as(exception.CreateResourceFailed, resource, section):
            records.write_status(section, constants.ResourceStatus.PROTECTING)
            cinder = self._cinder(context)
            snapshots = cinder.snapshots(Marks(checkpoint_id=checkpoint.id))
            order = Order(
                marks=Marks.of_resource(checkpoint, resource.id).of_run(checkpoint),
                arguments={
                    'volume_id': resource.id,
                    'force': parameters.get('force', False),
                    'name': parameters.get('snapshot_name'),
                    'description': parameters.get('description'),
                },
            )
            with faults.telling_gone(cinder, resource.id):
                snapshot, is_doubtful = self._made_once(
                    snapshots,
                    order,
                    records.of_snapshot(section, resource.id),
                    functools.partial(self._make_when_settled, cinder, snapshots, order),
                )
                snapshots.wait_until_available(snapshot, self._options.snapshot_timeout)
            if is_doubtful:
                snapshots.remove_doubles(
                    order.marks, {resource.id: snapshot.id}, self._options.delete_timeout
                )
            records.write_status(section, constants.ResourceStatus.AVAILABLE)

    def _make_when_settled(
        self, cinder: CinderJob, snapshots: CinderItems, order: Order, look_first: bool
    ) -> Made:
        """Make the snapshot; a volume between two states is waited for.

        :raises VolumeGone: the volume is being deleted.
        :raises CinderFault: its status forbids it.
        """
        volume_id = order.arguments['volume_id']
        deadline = retrying.Deadline(self._options.settle_timeout, self._clock)
        was_ready = False
        with cinder.telling(volume_id) as tell:
            for pause in cinder_requests.pauses():
                try:
                    return snapshots.make(order, look_first)
                except cinder_exc.BadRequest as exc:
                    status = cinder.volume(volume_id).status
                    if status == 'deleting':
                        raise faults.VolumeGone('the volume is being deleted') from exc
                    if status in cinder_items.PASSING_STATUSES:
                        if deadline.remaining() < pause:
                            raise
                    elif was_ready or status not in ('available', 'in-use'):
                        raise CinderFault(faults.refusal(exc, status, order)) from exc
                    else:  # perhaps only since the refusal
                        was_ready = True
                look_first = True
                tell(f'the volume {volume_id} is {status}', deadline.passed())
                self._clock.sleep(pause)
        raise AssertionError('pauses never end')


class RestoreOperation(_SnapshotOperation):
    """Makes a new volume from the snapshot."""

    def on_main(
        self,
        checkpoint: Any,
        resource: Resource,
        context: Context,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        restore = kwargs['restore']
        section = checkpoint.get_resource_bank_section(resource.id)
        with faults.failing_as(exception.RestoreResourceFailed, resource):
            saved = _saved_snapshot(section, resource)
            order = Order(
                marks=Marks.of_resource(checkpoint, resource.id).of_restore(restore['id']),
                arguments={
                    'size': saved.size,
                    'snapshot_id': saved.snapshot_id,
                    'name': (
                        parameters.get('restore_name') or f'volume-{checkpoint.id}@{resource.id}'
                    ),
                    'description': parameters.get('restore_description'),
                },
            )
            volume = self._available_volume(
                self._cinder(context).volumes(Marks(restore_id=restore['id'])),
                order,
                records.of_restore(section, restore['id']),
            )
            kwargs['new_resources'][resource.id] = volume.id
            utils.update_resource_restore_result(
                restore, resource.type, volume.id, constants.ResourceStatus.AVAILABLE
            )

    def _available_volume(
        self,
        volumes: CinderItems,
        order: Order,
        record: records.BankRecord[records.RestoreRecord],
    ) -> Any:
        """The new volume of this restore; when it fails, nothing of it stays in Cinder.

        :raises CinderFault: tells why it failed, and whether what was made is removed.
        """
        volume = None
        try:
            volume, is_doubtful = self._made_once(
                volumes, order, record, functools.partial(volumes.make, order)
            )
            volumes.wait_until_available(volume, self._options.restore_timeout)
        except cinder_items.FAULTS as exc:
            if volume is None and cinder_requests.is_refusal(exc):
                raise
            outcome = self._remove_all(volumes, order.marks, volume)
            record.write_asked()
            raise CinderFault(f'{cinder_items.describe(exc)}; {outcome}') from exc
        if is_doubtful:
            volumes.remove_doubles(
                order.marks, {str(order.marks.resource_id): volume.id}, self._options.settle_timeout
            )
        return volume

    def _remove_all(self, volumes: CinderItems, marks: Marks, volume: Any) -> str:
        """Remove every volume that a failed restore made; tells in words how that went."""
        try:
            made = {item.id: item for item in volumes.find(marks)}
            if volume is not None:
                made[volume.id] = volume
            for item in made.values():
                volumes.remove(item, self._options.settle_timeout, listed=False)
        except cinder_items.FAULTS as exc:
            return f'it is left in Cinder: {cinder_items.describe(exc)}'
        return 'it was removed' if made else 'nothing was made'


class VerifyOperation(_SnapshotOperation):
    """Looks whether a restore would find what it needs."""

    def on_main(
        self,
        checkpoint: Any,
        resource: Resource,
        context: Context,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        verify = kwargs.get('verify')
        section = checkpoint.get_resource_bank_section(resource.id)
        with faults.failing_as(exception.VerifyResourceFailed, resource):
            try:
                self._check(
                    self._cinder(context).snapshots(Marks(checkpoint_id=checkpoint.id)),
                    resource,
                    _saved_snapshot(section, resource),
                )
            except CinderFault as exc:
                utils.update_resource_verify_result(
                    verify, resource.type, resource.id, constants.ResourceStatus.ERROR, str(exc)
                )
                raise
            utils.update_resource_verify_result(
                verify, resource.type, resource.id, constants.ResourceStatus.AVAILABLE
            )

    @staticmethod
    def _check(snapshots: CinderItems, resource: Resource, saved: records.SnapshotRecord) -> None:
        snapshot_id = str(saved.snapshot_id)
        listed = {item.id: item for item in snapshots.at_start(resource.id)}
        snapshot = listed.get(snapshot_id) or snapshots.get_or_none(snapshot_id)
        if snapshot is None:
            raise CinderFault(f'the snapshot {snapshot_id} does not exist any more')
        if snapshot.status != 'available':
            raise CinderFault(f'the snapshot {snapshot_id} is in status {snapshot.status}')
        if snapshot.volume_id != resource.id:
            raise CinderFault(f'the snapshot {snapshot_id} is of the volume {snapshot.volume_id}')
        if snapshot.size != saved.size:
            raise CinderFault(
                f'the snapshot {snapshot_id} has {snapshot.size} GiB, not {saved.size} as recorded'
            )


class DeleteOperation(_SnapshotOperation):
    """Deletes every snapshot that this checkpoint has of the volume."""

    def on_main(
        self,
        checkpoint: Any,
        resource: Resource,
        context: Context,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        section = checkpoint.get_resource_bank_section(resource.id)
        with faults.failing_as(exception.DeleteResourceFailed, resource, section):
            records.write_status(section, constants.ResourceStatus.DELETING)
            self._delete_snapshots(
                self._cinder(context).snapshots(Marks(checkpoint_id=checkpoint.id)),
                resource,
                records.of_snapshot(section, resource.id).read(),
            )
            records.remove(section)
            records.write_status(section, constants.ResourceStatus.DELETED)

    def _delete_snapshots(
        self, snapshots: CinderItems, resource: Resource, saved: records.SnapshotRecord | None
    ) -> None:
        marked = snapshots.at_start(resource.id)
        for snapshot in marked:
            snapshots.remove(snapshot, self._options.delete_timeout)
        saved_id = None if saved is None else saved.made_id
        if saved_id and saved_id not in {snapshot.id for snapshot in marked}:
            unmarked = snapshots.get_or_none(saved_id)
            if unmarked is not None:
                snapshots.remove(unmarked, self._options.delete_timeout, listed=False)


def _in_flight(asked_at: datetime.datetime | None, longest: float) -> float:
    """For how long Cinder may still get to a request of an earlier run, in seconds.

    :param asked_at: when it was about to be sent, as far as the bank says.
    :param longest: time from its sending on.
    """
    if asked_at is None:
        return longest
    since = timeutils.utcnow() - asked_at
    return min(max(longest - since.total_seconds(), 0), longest)


def _saved_snapshot(section: bank_plugin.BankSection, resource: Resource) -> records.SnapshotRecord:
    """What protect has recorded.

    :raises CinderFault: it did not get as far as a snapshot.
    """
    saved = records.of_snapshot(section, resource.id).read()
    if saved is None or not saved.made_id:
        raise CinderFault('the checkpoint has no snapshot of it')
    return saved
