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

Nothing is orphaned: a job is written down before it asks for anything, and all that it makes
carries metadata by which an attempt that follows finds it, also when the answer to the request was
lost. The bank has what was made once that is good, or is left of what failed.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Generator
from typing import Any

from cinderclient import exceptions as cinder_exc
from oslo_config import cfg
from oslo_log import log as logging

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants, origins
from karbor.resource import Resource
from karbor.services import retrying
from karbor.services.cinder import faults as cinder_faults
from karbor.services.cinder import marks, records, statuses
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.faults import CinderFault
from karbor.services.cinder.items import CinderItems, Order
from karbor.services.cinder.job import CinderJob
from karbor.services.cinder.marks import Marks
from karbor.services.cinder.properties import VolumeProperties
from karbor.services.protection import bank_plugin, protection_plugin
from karbor.services.protection.protection_plugins import utils
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_faults as faults,
)
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_recorded as recorded,
)
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_texts as texts,
)
from karbor.services.protection.steps import Steps, Wait, stepwise

LOG = logging.getLogger(__name__)

Context = karbor_context.RequestContext


class SnapshotOperation(protection_plugin.Operation):
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

    def _made_before(
        self,
        cinder: CinderJob,
        items: CinderItems,
        marks: Marks,
        record: records.BankRecord[Any],
    ) -> Generator[Wait, Any, Any]:
        """What earlier attempts of the job have made; None when that is nothing.

        A request of theirs may still wait to be served, so it is waited for.
        """
        if cinder.is_first_attempt:
            return None
        known = yield record.begin_read()
        made_id = None if known is None else known.made_id
        in_flight_until = cinder.in_flight_until(self._options.in_flight_timeout)
        return (yield from items.adopt(marks, made_id, in_flight_until))


class ProtectOperation(SnapshotOperation):
    """Takes the snapshot of a volume, and records what the volume is like.

    :param protected: ids of all volumes of the job; it may still grow.
    """

    def __init__(
        self,
        cinder: Callable[[Context], CinderJob],
        options: cfg.ConfigOpts.GroupAttr,
        clock: retrying.Clock,
        *,
        protected: Collection[str],
    ) -> None:
        super().__init__(cinder, options, clock)
        self._protected = protected

    @stepwise
    def on_main(
        self,
        checkpoint: Any,
        resource: Resource,
        context: Context,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> Steps:
        section = checkpoint.get_resource_bank_section(resource.id)
        values = texts.values_of(checkpoint, resource)
        cinder = self._cinder(context)
        order = Order(
            marks=Marks.of_resource(checkpoint, resource.id).of_run(checkpoint),
            arguments={
                'volume_id': resource.id,
                'force': parameters.get('force', False),
                'name': texts.filled(parameters.get('snapshot_name'), values),
                'description': texts.filled(parameters.get('description'), values),
            },
        )
        with faults.failing_as(exception.CreateResourceFailed, resource):
            protecting = self._protect(cinder, order, section, checkpoint)
            yield from faults.marking_failed(section, protecting)

    def _protect(
        self,
        cinder: CinderJob,
        order: Order,
        section: bank_plugin.BankSection,
        checkpoint: Any,
    ) -> Steps:
        volume_id = str(order.marks.resource_id)
        volume = yield from self._properties(cinder, volume_id)
        if origins.is_of_restore(checkpoint.extra_info):
            order = dataclasses.replace(order, metadata=_metadata_of_safety(checkpoint, volume))
        snapshots = cinder.snapshots(Marks(checkpoint_id=order.marks.checkpoint_id))
        record = records.of_snapshot(section, volume_id, volume)
        making = self._available_snapshot(cinder, snapshots, order, record)
        snapshot = yield from cinder.places.holding(faults.telling_gone(cinder, volume_id, making))
        written = record.begin_made(snapshot)
        yield records.begin_status(section, constants.ResourceStatus.AVAILABLE)
        yield written

    def _properties(
        self, cinder: CinderJob, volume_id: str
    ) -> Generator[Wait, Any, VolumeProperties | None]:
        """What the volume is like; a snapshot is worth more than to know that."""
        try:
            return (yield from cinder.properties(volume_id, self._protected))
        except cinder_requests.CLIENT_ERRORS as exc:
            LOG.warning(
                'What the volume %s is like is not recorded: %s',
                volume_id,
                cinder_requests.describe(exc),
            )
            return None

    def _available_snapshot(
        self,
        cinder: CinderJob,
        snapshots: CinderItems,
        order: Order,
        record: records.BankRecord[records.SnapshotRecord],
    ) -> Generator[Wait, Any, Any]:
        """The snapshot, made and available; the bank knows one that was made and is not good."""
        snapshot = yield from self._made_before(cinder, snapshots, order.marks, record)
        if snapshot is None:
            snapshot = yield from self._make_when_settled(cinder, snapshots, order)
        try:
            yield from snapshots.wait_until_available(snapshot, self._options.snapshot_timeout)
        except cinder_faults.FAULTS:
            with contextlib.suppress(exception.BankError):  # what Cinder said matters more
                yield record.begin_made(snapshot)
            raise
        return snapshot

    def _make_when_settled(
        self, cinder: CinderJob, snapshots: CinderItems, order: Order
    ) -> Generator[Wait, Any, Any]:
        """Make the snapshot; a volume between two states is waited for.

        :raises VolumeGone: the volume is being deleted.
        :raises CinderFault: its status forbids it.
        """
        volume_id = order.arguments['volume_id']
        deadline = retrying.Deadline(self._options.settle_timeout, self._clock)
        was_ready, was_refused = False, False
        with cinder.telling(volume_id) as tell:
            for pause in cinder_requests.pauses():
                try:
                    return (yield from snapshots.make(order, look_first=was_refused))
                except cinder_exc.BadRequest as exc:
                    status = (yield from cinder.volume(volume_id)).status
                    if status == 'deleting':
                        raise faults.VolumeGone('the volume is being deleted') from exc
                    if status in statuses.PASSING:
                        if deadline.remaining() < pause:
                            raise
                    elif was_ready or status not in ('available', 'in-use'):
                        raise CinderFault(faults.refusal(exc, status, order)) from exc
                    else:  # perhaps only since the refusal
                        was_ready = True
                was_refused = True
                tell(f'the volume {volume_id} is {status}', deadline.passed())
                yield snapshots.pause(pause)
        raise AssertionError('pauses never end')


def _metadata_of_safety(checkpoint: Any, volume: VolumeProperties | None) -> marks.Metadata:
    """What the snapshot of a safety checkpoint carries besides.

    :param volume: as it was before the snapshot was asked for, also where a later attempt adopts
        it.
    """
    metadata = {}
    if volume is not None:
        metadata[marks.CHANGED_AT] = str(volume.changed_at)
    if checkpoint.expires_at is not None:
        metadata[marks.EXPIRES_AT] = checkpoint.expires_at.isoformat()
    return metadata


class VerifyOperation(SnapshotOperation):
    """Looks whether a restore would find what it needs."""

    @stepwise
    def on_main(
        self,
        checkpoint: Any,
        resource: Resource,
        context: Context,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> Steps:
        verify = kwargs.get('verify')
        with faults.failing_as(exception.VerifyResourceFailed, resource):
            try:
                cinder = self._cinder(context)
                found = yield from recorded.read(cinder, checkpoint, resource, context)
                self._check(found)
            except CinderFault as exc:
                utils.update_resource_verify_result(
                    verify, resource.type, resource.id, constants.ResourceStatus.ERROR, str(exc)
                )
                raise
            utils.update_resource_verify_result(
                verify, resource.type, resource.id, constants.ResourceStatus.AVAILABLE
            )

    @staticmethod
    def _check(found: recorded.Recorded) -> None:
        saved, snapshot = found
        if snapshot.status != 'available':
            raise CinderFault(f'the snapshot {snapshot.id} is in status {snapshot.status}')
        if snapshot.size != saved.size:
            raise CinderFault(
                f'the snapshot {snapshot.id} has {snapshot.size} GiB, not {saved.size} as recorded'
            )


class DeleteOperation(SnapshotOperation):
    """Deletes every snapshot that this checkpoint has of the volume.

    One that only says so, and may be its user's, is left.
    """

    @stepwise
    def on_main(
        self,
        checkpoint: Any,
        resource: Resource,
        context: Context,
        parameters: dict[str, Any],
        **kwargs: Any,
    ) -> Steps:
        section = checkpoint.get_resource_bank_section(resource.id)
        with faults.failing_as(exception.DeleteResourceFailed, resource):
            yield from faults.marking_failed(
                section, self._delete(context, checkpoint.id, resource, section)
            )

    def _delete(
        self,
        context: Context,
        checkpoint_id: str,
        resource: Resource,
        section: bank_plugin.BankSection,
    ) -> Steps:
        status = records.begin_status(section, constants.ResourceStatus.DELETING)
        saved = yield records.of_snapshot(section, resource.id).begin_read()
        yield status
        yield from self._delete_snapshots(context, checkpoint_id, resource, saved)
        yield records.begin_remove(section)
        yield records.begin_status(section, constants.ResourceStatus.DELETED)

    def _delete_snapshots(
        self,
        context: Context,
        checkpoint_id: str,
        resource: Resource,
        saved: records.SnapshotRecord | None,
    ) -> Steps:
        cinder = self._cinder(context)
        snapshots = cinder.snapshots(Marks(checkpoint_id=checkpoint_id))
        marked = yield from snapshots.at_start(resource.id)
        saved_id = None if saved is None else saved.made_id
        named = next((item for item in marked if item.id == saved_id), None)
        unmarked = None
        if saved_id and named is None:
            unmarked = yield from self._unmarked(cinder, snapshots, resource, saved_id)
        if named or unmarked:
            recorded.check(named or unmarked, resource, context)
        for snapshot in marked:
            doubt = None if snapshot is named else recorded.doubt(snapshot, resource, context)
            if doubt is None:
                yield from snapshots.remove(snapshot, self._options.delete_timeout)
            else:
                LOG.warning('The snapshot %s is left: %s', snapshot.id, doubt)
        if unmarked is not None:
            yield from snapshots.remove(unmarked, self._options.delete_timeout, listed=False)

    @staticmethod
    def _unmarked(
        cinder: CinderJob, snapshots: CinderItems, resource: Resource, snapshot_id: str
    ) -> Generator[Wait, Any, Any]:
        """A snapshot that is not among the checkpoint's; None when there is none.

        After an attempt that was broken off there may be none of very many, and so all of the
        project's are listed once, for all.
        """
        if cinder.is_first_attempt:
            return (yield from snapshots.get_or_none(snapshot_id))
        all_of_volume = yield from cinder.snapshots(Marks()).at_start(resource.id)
        return next((item for item in all_of_volume if item.id == snapshot_id), None)
