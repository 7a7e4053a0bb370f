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
import datetime
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

from cinderclient import exceptions as cinder_exc
from oslo_config import cfg
from oslo_utils import timeutils

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.cinder import items as cinder_items
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.items import CinderFault, CinderItems, Marks
from karbor.services.cinder.job import CinderJob
from karbor.services.protection import bank_plugin, protection_plugin
from karbor.services.protection.protection_plugins import utils

NAME = 'Volume Snapshot'

Context = karbor_context.RequestContext


class _SnapshotOperation(protection_plugin.Operation):
    """What the four have in common.

    :param cinder: finds what the job's resources share of Cinder.
    :param options: group ``[volume_snapshot_plugin]`` of the provider file.
    """

    def __init__(
        self, cinder: Callable[[Context], CinderJob], options: cfg.ConfigOpts.GroupAttr
    ) -> None:
        self._cinder = cinder
        self._options = options

    def _made_once(
        self,
        items: CinderItems,
        marks: Marks,
        record: '_Record',
        make: Callable[[bool], tuple[Any, bool]],
    ) -> tuple[Any, bool]:
        """The one item that a bank object is about: known, asked for before, or new.

        A request of a run that was killed may still wait to be served, so it is waited for
        before another one is sent.

        :param make: makes it; told whether it was asked for before.
        :returns: the item, and whether there may be more than one.
        """
        known = record.read()
        if known and known.get(record.id_name):
            return items.get(known[record.id_name]), True
        item, doubtful = None, known is not None
        if known is not None:
            item = items.adopt(marks, _in_flight(known, self._options.in_flight_timeout))
        if item is None:
            record.write_intent()
            item, was_lost = make(doubtful)
            doubtful = doubtful or was_lost
        record.write_facts(item)
        return item, doubtful


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
        with _failing_as(exception.CreateResourceFailed, resource, section):
            section.update_object('status', constants.ResourceStatus.PROTECTING)
            cinder = self._cinder(context)
            snapshots = cinder.snapshots(_marks_of(checkpoint))
            marks = _marks_of(checkpoint, resource)
            make = functools.partial(
                snapshots.manager.create,
                resource.id,
                force=parameters.get('force', False),
                name=parameters.get('snapshot_name'),
                description=parameters.get('description'),
                metadata=marks,
            )
            snapshot, doubtful = self._made_once(
                snapshots,
                marks,
                _SnapshotRecord(section, resource),
                lambda look_first: self._when_settled(
                    cinder, resource, functools.partial(snapshots.make, make, marks), look_first
                ),
            )
            snapshots.wait_until_available(snapshot, self._options.snapshot_timeout)
            if doubtful:
                snapshots.remove_doubles(marks, snapshot, self._options.delete_timeout)
            section.update_object('status', constants.ResourceStatus.AVAILABLE)

    def _when_settled(
        self,
        cinder: CinderJob,
        resource: Resource,
        make: Callable[[bool], tuple[Any, bool]],
        look_first: bool,
    ) -> tuple[Any, bool]:
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
        with _failing_as(exception.RestoreResourceFailed, resource):
            saved = _saved_snapshot(section)
            volumes = self._cinder(context).volumes({'karbor_restore_id': restore['id']})
            marks = {'karbor_restore_id': restore['id'], **_marks_of(checkpoint, resource)}
            make = functools.partial(
                volumes.manager.create,
                saved['size'],
                snapshot_id=saved['snapshot_id'],
                name=(parameters.get('restore_name') or f'volume-{checkpoint.id}@{resource.id}'),
                description=parameters.get('restore_description'),
                metadata=marks,
            )
            volume = self._available_volume(
                volumes,
                marks,
                _RestoreRecord(section, restore['id']),
                functools.partial(volumes.make, make, marks),
            )
            kwargs['new_resources'][resource.id] = volume.id
            utils.update_resource_restore_result(
                restore, resource.type, volume.id, constants.ResourceStatus.AVAILABLE
            )

    def _available_volume(
        self,
        volumes: CinderItems,
        marks: Marks,
        record: '_RestoreRecord',
        make: Callable[[bool], tuple[Any, bool]],
    ) -> Any:
        """The new volume of this restore; when it fails, nothing of it stays in Cinder.

        :param make: makes it; told whether it was asked for before.
        :raises CinderFault: tells why it failed, and whether what was made is removed.
        """
        volume = None
        try:
            volume, doubtful = self._made_once(volumes, marks, record, make)
            volumes.wait_until_available(volume, self._options.restore_timeout)
        except cinder_items.FAULTS as exc:
            if volume is None and cinder_requests.is_refusal(exc):
                raise
            outcome = self._remove_all(volumes, marks, volume)
            record.write_intent()
            raise CinderFault(f'{cinder_items.describe(exc)}; {outcome}') from exc
        if doubtful:
            volumes.remove_doubles(marks, volume, self._options.settle_timeout)
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
        with _failing_as(exception.VerifyResourceFailed, resource):
            try:
                self._check(
                    self._cinder(context).snapshots(_marks_of(checkpoint)),
                    resource,
                    _saved_snapshot(section),
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
    def _check(snapshots: CinderItems, resource: Resource, saved: dict[str, Any]) -> None:
        snapshot_id = saved['snapshot_id']
        listed = {item.id: item for item in snapshots.at_start(resource.id)}
        snapshot = listed.get(snapshot_id) or snapshots.get_or_none(snapshot_id)
        if snapshot is None:
            raise CinderFault(f'the snapshot {snapshot_id} does not exist any more')
        if snapshot.status != 'available':
            raise CinderFault(f'the snapshot {snapshot_id} is in status {snapshot.status}')
        if snapshot.volume_id != resource.id:
            raise CinderFault(f'the snapshot {snapshot_id} is of the volume {snapshot.volume_id}')
        if snapshot.size != saved['size']:
            raise CinderFault(
                f'the snapshot {snapshot_id} has {snapshot.size} GiB, not '
                f'{saved["size"]} as recorded'
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
        with _failing_as(exception.DeleteResourceFailed, resource, section):
            section.update_object('status', constants.ResourceStatus.DELETING)
            self._delete_snapshots(
                self._cinder(context).snapshots(_marks_of(checkpoint)), resource, section
            )
            for key in section.list_objects():
                if key != 'status':
                    section.delete_object(key)
            section.update_object('status', constants.ResourceStatus.DELETED)

    def _delete_snapshots(
        self, snapshots: CinderItems, resource: Resource, section: bank_plugin.BankSection
    ) -> None:
        marked = snapshots.at_start(resource.id)
        for snapshot in marked:
            snapshots.remove(snapshot, self._options.delete_timeout)
        saved_id = (_recorded(section, 'metadata') or {}).get('snapshot_id')
        if saved_id and saved_id not in {snapshot.id for snapshot in marked}:
            unmarked = snapshots.get_or_none(saved_id)
            if unmarked is not None:
                snapshots.remove(unmarked, self._options.delete_timeout, listed=False)


class _Record:
    """The bank object in which an operation keeps what it makes.

    :param section: of the resource.
    :param key: of the object.
    :param id_name: under which name it keeps the id of what was made.
    """

    def __init__(self, section: bank_plugin.BankSection, key: str, id_name: str) -> None:
        self._section = section
        self._key = key
        self.id_name = id_name

    def read(self) -> dict[str, Any] | None:
        return _recorded(self._section, self._key)

    def write_intent(self) -> None:
        """Say that it will be asked for, and since when."""
        self._section.update_object(
            self._key, {**self._intent(), 'asked_at': timeutils.utcnow().isoformat()}
        )

    def write_facts(self, item: Any) -> None:
        """Say what was made."""
        self._section.update_object(self._key, {**self._intent(), **self._facts(item)})

    def _intent(self) -> dict[str, Any]:
        return {}

    def _facts(self, item: Any) -> dict[str, Any]:
        return {self.id_name: item.id}


class _SnapshotRecord(_Record):
    def __init__(self, section: bank_plugin.BankSection, resource: Resource) -> None:
        super().__init__(section, 'metadata', 'snapshot_id')
        self._volume_id = resource.id

    def _intent(self) -> dict[str, Any]:
        return {'volume_id': self._volume_id}

    def _facts(self, item: Any) -> dict[str, Any]:
        return {'size': item.size, 'snapshot_id': item.id}


class _RestoreRecord(_Record):
    def __init__(self, section: bank_plugin.BankSection, restore_id: str) -> None:
        super().__init__(section, f'restore-{restore_id}', 'volume_id')


def _in_flight(intent: dict[str, Any], longest: float) -> float:
    """For how long Cinder may still get to a request of an earlier run, in seconds.

    :param intent: what the bank says of it.
    :param longest: time from its sending on.
    """
    if 'asked_at' not in intent:
        return longest
    since = timeutils.utcnow() - datetime.datetime.fromisoformat(intent['asked_at'])
    return min(max(longest - since.total_seconds(), 0), longest)


def _marks_of(checkpoint: Any, resource: Resource | None = None) -> Marks:
    """The metadata by which Cinder's list finds what belongs to a checkpoint."""
    marks = {'karbor_checkpoint_id': checkpoint.id}
    if resource is not None:
        marks.update(
            {
                'karbor_provider_id': checkpoint.provider_id,
                'karbor_plan_id': checkpoint.protection_plan['id'],
                'karbor_resource_id': resource.id,
            }
        )
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
def _failing_as(
    error: type[exception.ResourceFailed],
    resource: Resource,
    section: bank_plugin.BankSection | None = None,
) -> Iterator[None]:
    """Turn what Cinder does into the contract's exception, and mark it in the bank."""
    try:
        yield
    except cinder_items.FAULTS as exc:
        if section is not None:
            with contextlib.suppress(exception.BankError):  # what Cinder said matters more
                section.update_object('status', constants.ResourceStatus.ERROR)
        raise error(
            name=NAME,
            reason=cinder_items.describe(exc),
            resource_id=resource.id,
            resource_type=resource.type,
            is_over_quota=cinder_requests.is_over_quota(exc),
        ) from exc
