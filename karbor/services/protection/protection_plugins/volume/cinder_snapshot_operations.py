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

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

from cinderclient import exceptions as cinder_exc
from oslo_config import cfg

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import bank_plugin, cinder_requests, protection_plugin
from karbor.services.protection.protection_plugins import utils
from karbor.services.protection.protection_plugins.volume import cinder_items
from karbor.services.protection.protection_plugins.volume.cinder_items import (
    CinderFault,
    CinderItems,
    Marks,
)
from karbor.services.protection.protection_plugins.volume.cinder_job import CinderJob

NAME = 'Volume Snapshot'

Context = karbor_context.RequestContext


class _SnapshotOperation(protection_plugin.Operation):
    """What the four have in common.

    :param cinder: finds what the job's resources share of Cinder.
    :param options: group ``[volume_snapshot_plugin]`` of the provider file.
    """

    def __init__(self, cinder: Callable[[Context], CinderJob],
                 options: cfg.ConfigOpts.GroupAttr) -> None:
        self._cinder = cinder
        self._options = options


class ProtectOperation(_SnapshotOperation):
    """Takes the snapshot of a volume."""

    def on_main(self, checkpoint: Any, resource: Resource, context: Context,
                parameters: dict[str, Any], **kwargs: Any) -> None:
        section = checkpoint.get_resource_bank_section(resource.id)
        with _failing_as(exception.CreateResourceFailed, resource, section):
            section.update_object('status', constants.RESOURCE_STATUS_PROTECTING)
            cinder = self._cinder(context)
            snapshots = cinder.snapshots(_marks_of(checkpoint))
            marks = _marks_of(checkpoint, resource)
            make = functools.partial(
                snapshots.manager.create, resource.id, force=parameters.get('force', False),
                name=parameters.get('snapshot_name'),
                description=parameters.get('description'), metadata=marks)
            snapshot, doubtful = self._snapshot(
                cinder, snapshots, resource, section,
                lambda look_first: snapshots.make(make, marks, look_first))
            snapshots.wait_until_available(snapshot, self._options.snapshot_timeout)
            if doubtful:
                snapshots.remove_doubles(marks, snapshot, self._options.delete_timeout)
            section.update_object('status', constants.RESOURCE_STATUS_AVAILABLE)

    def _snapshot(self, cinder: CinderJob, snapshots: CinderItems, resource: Resource,
                  section: bank_plugin.BankSection,
                  make: Callable[[bool], tuple[Any, bool]]) -> tuple[Any, bool]:
        """The snapshot of this volume, the one in the bank or a new one.

        :param make: makes it; told whether an earlier run may have.
        :returns: the snapshot, and whether there may be more than one.
        """
        known = _recorded(section, 'metadata')
        if known and known.get('snapshot_id'):
            return snapshots.get(known['snapshot_id']), True
        section.update_object('metadata', {'volume_id': resource.id})
        snapshot, doubtful = self._when_settled(cinder, resource, make, known is not None)
        section.update_object('metadata', {
            'volume_id': resource.id, 'size': snapshot.size, 'snapshot_id': snapshot.id})
        return snapshot, doubtful

    def _when_settled(self, cinder: CinderJob, resource: Resource,
                      make: Callable[[bool], tuple[Any, bool]],
                      look_first: bool) -> tuple[Any, bool]:
        """Make the snapshot; a volume between two states is waited for."""
        deadline = cinder_requests.Deadline(self._options.settle_timeout)
        was_ready = False
        for pause in cinder_requests.pauses():
            try:
                return make(look_first)
            except cinder_exc.BadRequest:
                status = cinder.volume(resource.id).status
                if status in cinder_items.PASSING_STATUSES:
                    if deadline.remaining() < pause:
                        raise
                elif was_ready or status not in ('available', 'in-use'):
                    raise
                else:  # perhaps only since the refusal
                    was_ready = True
            look_first = True
            time.sleep(pause)
        raise AssertionError('pauses never end')


class RestoreOperation(_SnapshotOperation):
    """Makes a new volume from the snapshot."""

    def on_main(self, checkpoint: Any, resource: Resource, context: Context,
                parameters: dict[str, Any], **kwargs: Any) -> None:
        restore = kwargs['restore']
        section = checkpoint.get_resource_bank_section(resource.id)
        with _failing_as(exception.RestoreResourceFailed, resource):
            saved = _saved_snapshot(section)
            volumes = self._cinder(context).volumes({'karbor_restore_id': restore['id']})
            marks = {'karbor_restore_id': restore['id'], **_marks_of(checkpoint, resource)}
            make = functools.partial(
                volumes.manager.create, saved['size'], snapshot_id=saved['snapshot_id'],
                name=(parameters.get('restore_name')
                      or f'volume-{checkpoint.id}@{resource.id}'),
                description=parameters.get('restore_description'), metadata=marks)
            volume = self._available_volume(
                volumes, marks, section, f'restore-{restore["id"]}',
                lambda look_first: volumes.make(make, marks, look_first))
            kwargs['new_resources'][resource.id] = volume.id
            utils.update_resource_restore_result(
                restore, resource.type, volume.id, constants.RESOURCE_STATUS_AVAILABLE)

    def _available_volume(self, volumes: CinderItems, marks: Marks,
                          section: bank_plugin.BankSection, record: str,
                          make: Callable[[bool], tuple[Any, bool]]) -> Any:
        """The new volume of this restore; when it fails, nothing of it stays in Cinder.

        :param record: key of the bank object that keeps its id.
        :param make: makes it; told whether an earlier run may have.
        :raises CinderFault: tells why it failed, and whether what was made is removed.
        """
        volume = None
        try:
            volume, doubtful = self._volume(volumes, section, record, make)
            volumes.wait_until_available(volume, self._options.restore_timeout)
        except cinder_items.FAULTS as exc:
            if volume is None and cinder_requests.is_refusal(exc):
                raise
            outcome = self._remove_all(volumes, marks, volume)
            section.update_object(record, {})
            raise CinderFault(f'{cinder_items.describe(exc)}; {outcome}') from exc
        if doubtful:
            volumes.remove_doubles(marks, volume, self._options.settle_timeout)
        return volume

    @staticmethod
    def _volume(volumes: CinderItems, section: bank_plugin.BankSection, record: str,
                make: Callable[[bool], tuple[Any, bool]]) -> tuple[Any, bool]:
        """The new volume, the one in the bank or another.

        :returns: the volume, and whether there may be more than one.
        """
        known = _recorded(section, record)
        if known and known.get('volume_id'):
            return volumes.get(known['volume_id']), True
        section.update_object(record, {})
        volume, doubtful = make(known is not None)
        section.update_object(record, {'volume_id': volume.id})
        return volume, doubtful

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

    def on_main(self, checkpoint: Any, resource: Resource, context: Context,
                parameters: dict[str, Any], **kwargs: Any) -> None:
        verify = kwargs.get('verify')
        section = checkpoint.get_resource_bank_section(resource.id)
        with _failing_as(exception.VerifyResourceFailed, resource):
            try:
                self._check(self._cinder(context).snapshots(_marks_of(checkpoint)),
                            resource, _saved_snapshot(section))
            except CinderFault as exc:
                utils.update_resource_verify_result(
                    verify, resource.type, resource.id, constants.RESOURCE_STATUS_ERROR,
                    str(exc))
                raise
            utils.update_resource_verify_result(
                verify, resource.type, resource.id, constants.RESOURCE_STATUS_AVAILABLE)

    @staticmethod
    def _check(snapshots: CinderItems, resource: Resource, saved: dict[str, Any]) -> None:
        snapshot_id = saved['snapshot_id']
        listed = {item.id: item for item in snapshots.at_start(resource.id)}
        snapshot = listed.get(snapshot_id) or snapshots.get_or_none(snapshot_id)
        if snapshot is None:
            raise CinderFault(f'the snapshot {snapshot_id} does not exist any more')
        if snapshot.status != 'available':
            raise CinderFault(f'the snapshot {snapshot_id} is in status {snapshot.status}')
        if snapshot.volume_id != resource.id:
            raise CinderFault(f'the snapshot {snapshot_id} is of the volume '
                              f'{snapshot.volume_id}')
        if snapshot.size != saved['size']:
            raise CinderFault(f'the snapshot {snapshot_id} has {snapshot.size} GiB, not '
                              f'{saved["size"]} as recorded')


class DeleteOperation(_SnapshotOperation):
    """Deletes every snapshot that this checkpoint has of the volume."""

    def on_main(self, checkpoint: Any, resource: Resource, context: Context,
                parameters: dict[str, Any], **kwargs: Any) -> None:
        section = checkpoint.get_resource_bank_section(resource.id)
        with _failing_as(exception.DeleteResourceFailed, resource, section):
            section.update_object('status', constants.RESOURCE_STATUS_DELETING)
            self._delete_snapshots(self._cinder(context).snapshots(_marks_of(checkpoint)),
                                   resource, section)
            for key in section.list_objects():
                if key != 'status':
                    section.delete_object(key)
            section.update_object('status', constants.RESOURCE_STATUS_DELETED)

    def _delete_snapshots(self, snapshots: CinderItems, resource: Resource,
                          section: bank_plugin.BankSection) -> None:
        marked = snapshots.at_start(resource.id)
        for snapshot in marked:
            snapshots.remove(snapshot, self._options.delete_timeout)
        saved_id = (_recorded(section, 'metadata') or {}).get('snapshot_id')
        if saved_id and saved_id not in {snapshot.id for snapshot in marked}:
            unmarked = snapshots.get_or_none(saved_id)
            if unmarked is not None:
                snapshots.remove(unmarked, self._options.delete_timeout, listed=False)


def _marks_of(checkpoint: Any, resource: Resource | None = None) -> Marks:
    """The metadata by which Cinder's list finds what belongs to a checkpoint."""
    marks = {'karbor_checkpoint_id': checkpoint.id}
    if resource is not None:
        marks.update({'karbor_provider_id': checkpoint.provider_id,
                      'karbor_plan_id': checkpoint.protection_plan['id'],
                      'karbor_resource_id': resource.id})
    return marks


def _recorded(section: bank_plugin.BankSection, key: str) -> dict[str, Any] | None:
    try:
        return section.get_object(key)
    except exception.BankObjectNotFound:
        return None


def _saved_snapshot(section: bank_plugin.BankSection) -> dict[str, Any]:
    """What protect has recorded.

    :raises CinderFault: it did not get as far as a snapshot.
    """
    saved = _recorded(section, 'metadata')
    if not saved or not saved.get('snapshot_id'):
        raise CinderFault('the checkpoint has no snapshot of it')
    return saved


@contextlib.contextmanager
def _failing_as(error: type[exception.ResourceFailed], resource: Resource,
                section: bank_plugin.BankSection | None = None) -> Iterator[None]:
    """Turn what Cinder does into the contract's exception, and mark it in the bank."""
    try:
        yield
    except cinder_items.FAULTS as exc:
        if section is not None:
            with contextlib.suppress(exception.BankError):  # what Cinder said matters more
                section.update_object('status', constants.RESOURCE_STATUS_ERROR)
        raise error(name=NAME, reason=cinder_items.describe(exc), resource_id=resource.id,
                    resource_type=resource.type) from exc
