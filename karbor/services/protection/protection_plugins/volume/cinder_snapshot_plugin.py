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

"""Protects Cinder volumes by snapshots.

Nothing is orphaned: that a snapshot will be made is written to the bank before it is
asked for, its id right after, before any waiting; and the snapshot carries metadata by
which a job that runs again finds it, also when the answer to the request was lost.

Specification: https://blueprints.launchpad.net/karbor/+spec/cinder-volume-snapshot-plugin
"""

import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from typing import Any

from cinderclient import exceptions as cinder_exc
from oslo_config import cfg
from oslo_log import log as logging

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import bank_plugin, protection_plugin
from karbor.services.protection.protection_plugins import utils
from karbor.services.protection.protection_plugins.volume import (
    cinder_requests,
    watcher,
)
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_plugin_schemas as schemas,
)
from karbor.services.protection.protection_plugins.volume.cinder_job import CinderJob

LOG = logging.getLogger(__name__)

GROUP = 'volume_snapshot_plugin'

OPTS = [
    cfg.FloatOpt('poll_interval', default=15, min=0.05,
                 help='Longest time between two looks at what Cinder is working on, in '
                      'seconds. The first looks follow faster.'),
    cfg.FloatOpt('snapshot_timeout', default=3600, min=1,
                 help='Longest time that a snapshot may take to become available, in seconds.'),
    cfg.FloatOpt('restore_timeout', default=21600, min=1,
                 help='Longest time that a volume may take to be made from a snapshot, in '
                      'seconds.'),
    cfg.FloatOpt('delete_timeout', default=3600, min=1,
                 help='Longest time to get a snapshot deleted, in seconds; as long, a busy '
                      'one is tried again.'),
    cfg.FloatOpt('settle_timeout', default=300, min=0,
                 help='Longest time to wait for a volume that is between two states '
                      '(attaching, extending, ...) before its snapshot is taken, and for a '
                      'failed volume of a restore to be removed, in seconds.'),
    cfg.FloatOpt('retry_timeout', default=300, min=0,
                 help='For how long a request is tried again that Cinder answers with 429, '
                      '500, 503 or not at all, in seconds.'),
]

_NAME = 'Volume Snapshot'

_PASSING_VOLUME_STATUSES = frozenset((
    'attaching', 'backing-up', 'creating', 'detaching', 'downloading',
    'extending', 'reserved', 'restoring-backup', 'retyping', 'uploading'))
_READY_VOLUME_STATUSES = frozenset(('available', 'in-use'))
_DELETABLE_SNAPSHOT_STATUSES = frozenset(('available', 'error'))
_PASSING_SNAPSHOT_STATUSES = frozenset(('creating', 'deleting', 'backing-up', 'restoring'))
_FAILED_STATUSES = frozenset(('error', 'error_deleting', 'error_restoring', 'deleting'))


class SnapshotFault(Exception):
    """Cinder answered, but not with what was asked for; the text is for a person."""


class CinderSnapshotProtectionPlugin(protection_plugin.ProtectionPlugin):
    """The plugin; one object serves one job.

    :param config: the provider file's own ``ConfigOpts``, group
        ``[volume_snapshot_plugin]``.
    """

    _SUPPORT_RESOURCE_TYPES = [constants.VOLUME_RESOURCE_TYPE]

    def __init__(self, config: cfg.ConfigOpts | None = None) -> None:
        config = cfg.ConfigOpts() if config is None else config
        super().__init__(config)
        config.register_opts(OPTS, GROUP)
        self.options = config[GROUP]
        self._lock = threading.Lock()
        self._job: CinderJob | None = None

    def cinder(self, context: karbor_context.RequestContext) -> CinderJob:
        """What the job's resources share of Cinder, made when it is first needed."""
        with self._lock:
            if self._job is None:
                self._job = CinderJob(
                    context, self.options.poll_interval, self.options.retry_timeout)
            return self._job

    @classmethod
    def get_supported_resources_types(cls) -> list[str]:
        return cls._SUPPORT_RESOURCE_TYPES

    @classmethod
    def get_options_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return schemas.OPTIONS_SCHEMA

    @classmethod
    def get_restore_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return schemas.RESTORE_SCHEMA

    @classmethod
    def get_verify_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return schemas.VERIFY_SCHEMA

    @classmethod
    def get_saved_info_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return schemas.SAVED_INFO_SCHEMA

    @classmethod
    def get_saved_info(cls, metadata_store: bank_plugin.BankSection,
                       resource: Resource) -> Any:
        return metadata_store.get_object('metadata')

    def get_protect_operation(self, resource: Resource) -> 'ProtectOperation':
        return ProtectOperation(self)

    def get_restore_operation(self, resource: Resource) -> 'RestoreOperation':
        return RestoreOperation(self)

    def get_delete_operation(self, resource: Resource) -> 'DeleteOperation':
        return DeleteOperation(self)

    def get_verify_operation(self, resource: Resource) -> 'VerifyOperation':
        return VerifyOperation(self)


class _SnapshotOperation(protection_plugin.Operation):

    def __init__(self, plugin: CinderSnapshotProtectionPlugin) -> None:
        self._plugin = plugin
        self._options = plugin.options


class ProtectOperation(_SnapshotOperation):
    """Takes the snapshot of a volume."""

    def on_main(self, checkpoint: Any, resource: Resource,
                context: karbor_context.RequestContext, parameters: dict[str, Any],
                **kwargs: Any) -> None:
        section = checkpoint.get_resource_bank_section(resource.id)
        with _failing_as(exception.CreateResourceFailed, resource, section):
            section.update_object('status', constants.RESOURCE_STATUS_PROTECTING)
            cinder = self._plugin.cinder(context)
            snapshot, doubtful = self._snapshot(cinder, checkpoint, resource, parameters,
                                                section)
            _wait_until_available(
                cinder.watcher(cinder.snapshots, _marks_of(checkpoint), newest_first=True),
                snapshot, self._options.snapshot_timeout, cinder)
            if doubtful:
                self._remove_doubles(cinder, checkpoint, resource, snapshot)
            section.update_object('status', constants.RESOURCE_STATUS_AVAILABLE)

    def _snapshot(self, cinder: CinderJob, checkpoint: Any, resource: Resource,
                  parameters: dict[str, Any], section: bank_plugin.BankSection) -> Any:
        """The one snapshot of this volume for this checkpoint, found or made.

        :returns: the snapshot, and whether there may be more than one.
        """
        known = _recorded(section, 'metadata')
        if known and known.get('snapshot_id'):
            return cinder.get(cinder.snapshots, known['snapshot_id']), True
        section.update_object('metadata', {'volume_id': resource.id})
        snapshot, doubtful = self._make(cinder, checkpoint, resource, parameters,
                                        is_rerun=known is not None)
        section.update_object('metadata', {
            'volume_id': resource.id, 'size': snapshot.size, 'snapshot_id': snapshot.id})
        return snapshot, doubtful

    def _make(self, cinder: CinderJob, checkpoint: Any, resource: Resource,
              parameters: dict[str, Any], is_rerun: bool) -> tuple[Any, bool]:
        """Make the snapshot; a volume between two states is waited for."""
        marks = _marks_of(checkpoint, resource)
        make = functools.partial(
            cinder.snapshots.create, resource.id, force=parameters.get('force', False),
            name=parameters.get('snapshot_name'), description=parameters.get('description'),
            metadata=marks)

        def find() -> Any:
            return next(iter(cinder.find(cinder.snapshots, marks)), None)

        was_ready = False
        deadline = cinder_requests.Deadline(self._options.settle_timeout)
        for pause in cinder_requests.pauses():
            try:
                return cinder_requests.create(make, find, cinder.patience, is_rerun)
            except cinder_exc.BadRequest:
                volume = cinder.get(cinder.volumes, resource.id)
                if volume.status in _PASSING_VOLUME_STATUSES:
                    if deadline.remaining() < pause:
                        raise
                elif was_ready or volume.status not in _READY_VOLUME_STATUSES:
                    raise
                else:  # perhaps only since the refusal
                    was_ready = True
            time.sleep(pause)
        raise AssertionError('pauses never end')

    def _remove_doubles(self, cinder: CinderJob, checkpoint: Any, resource: Resource,
                        kept: Any) -> None:
        for snapshot in cinder.find(cinder.snapshots, _marks_of(checkpoint, resource)):
            if snapshot.id != kept.id:
                _remove_snapshot(cinder, checkpoint, snapshot, self._options.delete_timeout)


class RestoreOperation(_SnapshotOperation):
    """Makes a new volume from the snapshot."""

    def on_main(self, checkpoint: Any, resource: Resource,
                context: karbor_context.RequestContext, parameters: dict[str, Any],
                **kwargs: Any) -> None:
        restore = kwargs['restore']
        section = checkpoint.get_resource_bank_section(resource.id)
        with _failing_as(exception.RestoreResourceFailed, resource):
            cinder = self._plugin.cinder(context)
            marks = {'karbor_restore_id': restore['id'], **_marks_of(checkpoint, resource)}
            volume, doubtful = self._volume(
                cinder, checkpoint, resource, parameters, marks, section)
            volumes = cinder.watcher(
                cinder.volumes, {'karbor_restore_id': restore['id']}, newest_first=True)
            try:
                _wait_until_available(volumes, volume, self._options.restore_timeout, cinder)
            except (SnapshotFault, watcher.WaitTimeout) as exc:
                raise SnapshotFault(
                    f'{_describe(exc)}; {self._discard(cinder, volumes, volume)}') from exc
            if doubtful:
                self._discard_doubles(cinder, volumes, marks, volume)
            kwargs['new_resources'][resource.id] = volume.id
            utils.update_resource_restore_result(
                restore, resource.type, volume.id, constants.RESOURCE_STATUS_AVAILABLE)

    def _volume(self, cinder: CinderJob, checkpoint: Any, resource: Resource,
                parameters: dict[str, Any], marks: dict[str, str],
                section: bank_plugin.BankSection) -> tuple[Any, bool]:
        """The new volume of this restore, found or made.

        :returns: the volume, and whether there may be more than one.
        """
        saved = _recorded(section, 'metadata')
        if not saved or not saved.get('snapshot_id'):
            raise SnapshotFault('the checkpoint has no snapshot of it')
        record = f'restore-{marks["karbor_restore_id"]}'
        known = _recorded(section, record)
        if known and known.get('volume_id'):
            return cinder.get(cinder.volumes, known['volume_id']), True
        make = functools.partial(
            cinder.volumes.create, saved['size'], snapshot_id=saved['snapshot_id'],
            name=parameters.get('restore_name') or f'volume-{checkpoint.id}@{resource.id}',
            description=parameters.get('restore_description'), metadata=marks)

        def find() -> Any:
            return next(iter(cinder.find(cinder.volumes, marks)), None)

        section.update_object(record, {})
        volume, doubtful = cinder_requests.create(
            make, find, cinder.patience, look_first=known is not None)
        section.update_object(record, {'volume_id': volume.id})
        return volume, doubtful

    def _discard_doubles(self, cinder: CinderJob, volumes: watcher.Watcher,
                         marks: dict[str, str], kept: Any) -> None:
        for double in cinder.find(cinder.volumes, marks):
            if double.id != kept.id:
                LOG.warning('A request to restore made a second volume; %s',
                            self._discard(cinder, volumes, double))

    def _discard(self, cinder: CinderJob, volumes: watcher.Watcher, volume: Any) -> str:
        """Remove what a failed restore left; tells in words how that went."""
        deadline = cinder_requests.Deadline(self._options.settle_timeout)
        try:
            for pause in cinder_requests.pauses():
                try:
                    cinder_requests.retry(
                        functools.partial(_delete_volume, cinder, volume), cinder.patience)
                    break
                except cinder_exc.BadRequest:
                    current = _get_or_none(cinder, cinder.volumes, volume.id)
                    if current is None or current.status == 'deleting':
                        break
                    if deadline.remaining() < pause:
                        raise
                time.sleep(pause)
            left = volumes.wait(volume, lambda item: item is None or item.status != 'deleting',
                                deadline.remaining(), listed=False)
        except (*cinder_requests.CLIENT_ERRORS, watcher.WaitTimeout) as exc:
            return f'the volume {volume.id} is left in Cinder: {_describe(exc)}'
        if left is None:
            return f'the volume {volume.id} was removed'
        return f'the volume {volume.id} is left in Cinder in status {left.status}'


class VerifyOperation(_SnapshotOperation):
    """Looks whether a restore would find what it needs."""

    def on_main(self, checkpoint: Any, resource: Resource,
                context: karbor_context.RequestContext, parameters: dict[str, Any],
                **kwargs: Any) -> None:
        verify = kwargs.get('verify')
        section = checkpoint.get_resource_bank_section(resource.id)
        with _failing_as(exception.VerifyResourceFailed, resource):
            try:
                self._check(self._plugin.cinder(context), checkpoint, resource, section)
            except SnapshotFault as exc:
                utils.update_resource_verify_result(
                    verify, resource.type, resource.id, constants.RESOURCE_STATUS_ERROR,
                    str(exc))
                raise
            utils.update_resource_verify_result(
                verify, resource.type, resource.id, constants.RESOURCE_STATUS_AVAILABLE)

    @staticmethod
    def _check(cinder: CinderJob, checkpoint: Any, resource: Resource,
               section: bank_plugin.BankSection) -> None:
        saved = _recorded(section, 'metadata')
        if not saved or not saved.get('snapshot_id'):
            raise SnapshotFault('the checkpoint has no snapshot of it')
        snapshot_id = saved['snapshot_id']
        listed = cinder.snapshots_at_start(_marks_of(checkpoint), resource.id)
        snapshot = (next((item for item in listed if item.id == snapshot_id), None)
                    or _get_or_none(cinder, cinder.snapshots, snapshot_id))
        if snapshot is None:
            raise SnapshotFault(f'the snapshot {snapshot_id} does not exist any more')
        if snapshot.status != 'available':
            raise SnapshotFault(f'the snapshot {snapshot_id} is in status {snapshot.status}')
        if snapshot.volume_id != resource.id:
            raise SnapshotFault(f'the snapshot {snapshot_id} is of the volume '
                                f'{snapshot.volume_id}')
        if snapshot.size != saved['size']:
            raise SnapshotFault(f'the snapshot {snapshot_id} has {snapshot.size} GiB, not '
                                f'{saved["size"]} as recorded')


class DeleteOperation(_SnapshotOperation):
    """Deletes every snapshot that this checkpoint has of the volume."""

    def on_main(self, checkpoint: Any, resource: Resource,
                context: karbor_context.RequestContext, parameters: dict[str, Any],
                **kwargs: Any) -> None:
        section = checkpoint.get_resource_bank_section(resource.id)
        with _failing_as(exception.DeleteResourceFailed, resource, section):
            section.update_object('status', constants.RESOURCE_STATUS_DELETING)
            cinder = self._plugin.cinder(context)
            self._delete_snapshots(cinder, checkpoint, resource, section)
            for key in section.list_objects():
                if key != 'status':
                    section.delete_object(key)
            section.update_object('status', constants.RESOURCE_STATUS_DELETED)

    def _delete_snapshots(self, cinder: CinderJob, checkpoint: Any, resource: Resource,
                          section: bank_plugin.BankSection) -> None:
        marked = cinder.snapshots_at_start(_marks_of(checkpoint), resource.id)
        for snapshot in marked:
            _remove_snapshot(cinder, checkpoint, snapshot, self._options.delete_timeout)
        saved_id = (_recorded(section, 'metadata') or {}).get('snapshot_id')
        if saved_id and saved_id not in {snapshot.id for snapshot in marked}:
            snapshot = _get_or_none(cinder, cinder.snapshots, saved_id)
            if snapshot is not None:
                _remove_snapshot(cinder, checkpoint, snapshot, self._options.delete_timeout,
                                 listed=False)


def _marks_of(checkpoint: Any, resource: Resource | None = None) -> dict[str, str]:
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


def _get_or_none(cinder: CinderJob, manager: Any, item_id: str) -> Any:
    try:
        return cinder.get(manager, item_id)
    except cinder_exc.NotFound:
        return None


def _wait_until_available(items: watcher.Watcher, item: Any, timeout: float,
                          cinder: CinderJob) -> None:
    """Wait for a new volume or snapshot.

    :raises SnapshotFault: it ended in another status, or was deleted by somebody.
    :raises watcher.WaitTimeout: it did not end in time.
    """
    def settled(current: Any) -> bool:
        return (current is None or current.status in _FAILED_STATUSES
                or current.status in ('available', 'in-use'))

    if settled(item):
        current = item
    else:
        deadline = cinder_requests.Deadline(timeout)
        current = (items.wait(item, settled, timeout)
                   # not in the list any more: gone, or only without its metadata?
                   or items.wait(item, settled, deadline.remaining(), listed=False))
    kind = type(item).__name__.lower()
    if current is None:
        raise SnapshotFault(f'the {kind} {item.id} was deleted while it was being made')
    if current.status in _FAILED_STATUSES:
        message = cinder.user_message(item.id)
        raise SnapshotFault(f'the {kind} {item.id} is in status {current.status}'
                            + (f': {message}' if message else ''))


def _remove_snapshot(cinder: CinderJob, checkpoint: Any, snapshot: Any, timeout: float,
                     listed: bool = True) -> None:
    """Delete a snapshot and see it gone; a busy one is tried again until the time is over.

    :raises SnapshotFault: it is still there.
    """
    items = cinder.watcher(cinder.snapshots, _marks_of(checkpoint), newest_first=False)
    deadline = cinder_requests.Deadline(timeout)
    reason = ''
    for pause in cinder_requests.pauses():
        if _ask_to_delete(cinder, snapshot):
            try:
                left = items.wait(
                    snapshot, lambda item: item is None or item.status != 'deleting',
                    deadline.remaining(), listed)
            except watcher.WaitTimeout:
                if reason:  # of the tries before; this one may have been too short to see
                    break
                raise
            if left is None:
                return
            message = cinder.user_message(snapshot.id)
            reason = f'is in status {left.status} after it was deleted' + (
                f': {message}' if message else '')
            if left.status == 'error_deleting':
                raise SnapshotFault(f'the snapshot {snapshot.id} {reason}')
        else:
            reason = 'cannot be deleted while Cinder is working on it'
        if deadline.remaining() < pause:
            break
        time.sleep(pause)
    raise SnapshotFault(
        f'the snapshot {snapshot.id} {reason}; tried for {timeout:.0f} seconds')


def _ask_to_delete(cinder: CinderJob, snapshot: Any, is_second: bool = False) -> bool:
    """Send the DELETE; False when Cinder refuses for now.

    That it is gone or being deleted already counts as accepted.

    :param is_second: whether one was refused although the snapshot can be deleted.
    :raises SnapshotFault: Cinder refuses for good.
    """
    try:
        cinder_requests.retry(functools.partial(cinder.snapshots.delete, snapshot.id),
                              cinder.patience)
    except cinder_exc.NotFound:
        return True
    except cinder_exc.BadRequest as exc:
        current = _get_or_none(cinder, cinder.snapshots, snapshot.id)
        if current is None or current.status == 'deleting':
            return True
        if current.status in _DELETABLE_SNAPSHOT_STATUSES and not is_second:
            return _ask_to_delete(cinder, snapshot, is_second=True)  # since the refusal?
        if current.status not in _PASSING_SNAPSHOT_STATUSES:
            raise SnapshotFault(f'the snapshot {snapshot.id} is in status {current.status}; '
                                f'{cinder_requests.describe(exc)}') from exc
        return False
    return True


def _delete_volume(cinder: CinderJob, volume: Any) -> None:
    with contextlib.suppress(cinder_exc.NotFound):
        cinder.volumes.delete(volume.id)


@contextlib.contextmanager
def _failing_as(error: type[exception.ResourceFailed], resource: Resource,
                section: bank_plugin.BankSection | None = None) -> Iterator[None]:
    """Turn what Cinder does into the contract's exception, and mark it in the bank."""
    try:
        yield
    except (*cinder_requests.CLIENT_ERRORS, SnapshotFault, watcher.WaitTimeout) as exc:
        if section is not None:
            section.update_object('status', constants.RESOURCE_STATUS_ERROR)
        raise error(name=_NAME, reason=_describe(exc), resource_id=resource.id,
                    resource_type=resource.type) from exc


def _describe(error: Exception) -> str:
    if isinstance(error, watcher.WaitTimeout):
        kind = type(error.last).__name__.lower()
        text = (f'the {kind} {error.last.id} is still in status {error.last.status} after '
                f'{error.seconds:.0f} seconds')
        return text + (f' (the last look failed: {error.fault})' if error.fault else '')
    if isinstance(error, SnapshotFault):
        return str(error)
    return cinder_requests.describe(error)
