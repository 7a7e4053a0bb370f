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

"""Restores a volume in place: Cinder writes the snapshot over the volume itself.

The order of what happens, so that at no moment anything is lost:

1. The safety checkpoint is there before this begins: a snapshot of what is overwritten, that says
   when its volume was changed last before it was asked for.
2. An image that names the snapshot is made in Glance; Cinder asks for one.
3. The bank gets what the volume is like, and that it will be asked for.
4. The volume is looked at: it is to be as it was before the safety snapshot, and detached.
5. Cinder is asked. From then on nobody can attach it until Cinder has done it.
6. It is done when the volume's image metadata names the image. The bank gets that.
7. Bootable flag and image metadata are put back, what names the image last; the image is removed.

An attempt that begins anew goes on behind the last of these steps of which it finds a witness, in
the bank or in the volume itself: what is done is not done a second time, as people may have written
to the volume since. Before 5 nothing has changed; what fails in 5 is rolled back from the safety
snapshot, in the same way. Where Cinder might still get to a request of an attempt that was broken
off, it is waited for; one that is later than that finds no image any more.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterator
from typing import Any

from karbor.services.cinder import faults as cinder_faults
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder import watcher as cinder_watcher
from karbor.services.cinder.faults import CinderFault, ItemGone
from karbor.services.cinder.in_place_records import InPlaceRecord, InPlaceRecords, Step
from karbor.services.cinder.job import CinderJob
from karbor.services.cinder.marks import CHANGED_AT, Marks
from karbor.services.cinder.properties import VolumeProperties
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_in_place_checks as checks,
)
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_in_place_texts as texts,
)
from karbor.services.protection.protection_plugins.volume.cinder_snapshot_put_back import (
    put_back_after_reimage,
)
from karbor.services.protection.protection_plugins.volume.cinder_snapshot_recorded import Recorded
from karbor.services.protection.steps import Steps, Wait

_Recording = Generator[Wait, Any, InPlaceRecord]
_Looking = Generator[Wait, Any, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long what may take, in seconds.

    :ivar reimage: until Cinder has written.
    :ivar retry: for how long a passing fault of the request is tried again.
    :ivar in_flight: for how long Cinder may get to a request after it was sent.
    """

    reimage: float
    retry: float
    in_flight: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Safety:
    """The snapshot of what is overwritten.

    :ivar checkpoint_id: the checkpoint that it is in.
    """

    checkpoint_id: str
    snapshot_id: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Overwrite:
    """What is to be written over which volume.

    :ivar project_id: whose the volume is to be.
    :ivar marks: of the restore and the volume.
    :ivar read: finds the snapshot, and what protect has recorded of it.
    :ivar safety: the snapshot of what is overwritten; None where none was asked for.
    :ivar accepts_grown: whether the volume may be larger than the snapshot.
    """

    volume_id: str
    project_id: str | None
    marks: Marks
    read: Callable[[], Generator[Wait, Any, Recorded]]
    safety: Safety | None
    accepts_grown: bool


class InPlace:
    """One restore in place of one volume.

    :param cinder: of the job.
    :param records: where it is written how far it is.
    """

    def __init__(
        self,
        cinder: CinderJob,
        records: InPlaceRecords,
        overwrite: Overwrite,
        timeouts: Timeouts,
    ) -> None:
        self._cinder = cinder
        self._records = records
        self._overwrite = overwrite
        self._timeouts = timeouts
        self._volumes = cinder.volumes(Marks())
        self._is_resumed = False

    def restored(self) -> Generator[Wait, Any, tuple[Any, list[str]]]:
        """The volume with the bytes of the snapshot, and what there is to say of it.

        :raises CinderFault: says what is, and what to do; so do FAULTS.
        """
        record = yield from self._resumed()
        if record is None:
            record = yield from self._cleaning_up(self._prepared())
        if record.step == Step.ASKED:
            record = yield from self._cleaning_up(self._written(record))
        if record.step != Step.WRITTEN:
            yield from self._cleaning_up(self._roll_back(record))
        return (yield from self._finished(record))

    def _resumed(self) -> Generator[Wait, Any, InPlaceRecord | None]:
        """How far an earlier attempt has come; None when it has changed nothing."""
        record: InPlaceRecord | None = yield self._records.begin_read()
        if record is None:
            return None
        self._is_resumed = True
        if record.step == Step.ASKED:
            with self._telling_of_doubt():
                volume = yield from self._looked_after_earlier_request(record)
            return record if _is_begun(volume, record) else None
        return record

    def _cleaning_up(self, going: Generator[Wait, Any, Any]) -> Generator[Wait, Any, Any]:
        """Steps behind whose failure no image is left."""
        try:
            return (yield from going)
        except cinder_faults.FAULTS:
            yield from self._remove_images()
            raise

    # Before anything changes

    def _prepared(self) -> _Recording:
        """Look whether it can be done, make the image, and record that it will be asked for."""
        volume = yield from self._volume()
        saved, snapshot = yield from self._overwrite.read()
        checks.check_snapshot(snapshot, self._overwrite.volume_id)
        wish = checks.Wish(
            project_id=self._overwrite.project_id,
            size=saved.size,
            has_safety=self._overwrite.safety is not None,
            accepts_grown=self._overwrite.accepts_grown,
        )
        checks.check_volume(volume, wish)
        changed_at = str(volume.updated_at)
        if self._overwrite.safety is not None:
            safety = yield from self._safety_snapshot(self._overwrite.safety)
            changed_at = safety.metadata.get(CHANGED_AT, '')
        before = VolumeProperties.of_volume(volume)
        record = InPlaceRecord(
            step=Step.ASKED,
            image_id=(yield from self._cinder.images.make(self._overwrite.marks, snapshot)),
            changed_at=changed_at,
            was_error=volume.status == 'error',
            size=saved.size,
            is_bootable=before.is_bootable,
            image_metadata=before.image_metadata,
        )
        yield self._records.begin_write(record)
        return record

    def _safety_snapshot(self, safety: Safety) -> _Looking:
        """The snapshot of what is overwritten.

        :raises CinderFault: it is not there any more, or not good.
        """
        snapshot = yield from self._cinder.snapshots(Marks()).get_or_none(safety.snapshot_id)
        if snapshot is None:
            raise CinderFault(f'the safety snapshot {safety.snapshot_id} does not exist any more')
        checks.check_snapshot(snapshot, self._overwrite.volume_id)
        return snapshot

    def _volume(self) -> _Looking:
        """The volume as it is now.

        :raises ItemGone: there is none.
        """
        volume = yield from self._volumes.get_or_none(self._overwrite.volume_id)
        if volume is None:
            raise ItemGone(texts.GONE)
        return volume

    # The change itself

    def _written(self, record: InPlaceRecord) -> _Recording:
        """Have the snapshot written; tells whether it was, or is to be rolled back."""
        volume = yield from self._asked(record)
        volume = yield from self._settled(volume)
        if checks.names(volume, record.image_id):
            record = record.then(Step.WRITTEN)
        elif volume.status != 'error':
            raise CinderFault(texts.not_begun(volume))
        elif self._overwrite.safety is None:
            raise CinderFault(texts.failed_without_safety(self._failure(volume)))
        else:
            record = record.then(Step.ROLLING_BACK, reason=self._failure(volume))
        yield self._records.begin_write(record)
        return record

    def _asked(self, record: InPlaceRecord) -> _Looking:
        """Ask Cinder, unless that has been done; returns the volume as it is behind that.

        :raises CinderFault: the volume is not as it was; so do refusals of Cinder.
        """
        deadline = self._cinder.deadline(self._timeouts.retry)
        # Whether Cinder may have got a request without anybody knowing: only then what it does to
        # the volume is taken for ours.
        is_doubtful = self._is_resumed
        failure: Exception | None = None
        for pause in cinder_requests.pauses():
            with self._telling_of_doubt() if is_doubtful else contextlib.nullcontext():
                volume = yield from self._volume()
            if is_doubtful and _is_begun(volume, record):
                return volume
            if failure is not None:
                raise failure
            checks.check_unchanged(volume, record)
            try:
                self._cinder.reimage(volume.id, record.image_id)
            except cinder_requests.CLIENT_ERRORS as exc:
                is_doubtful = is_doubtful or not cinder_requests.is_refusal(exc)
                if not cinder_requests.is_passing(exc) or deadline.remaining() < pause:
                    failure = exc  # unless the answer to this, or to one before, was lost
                yield self._cinder.pause(pause)
            else:
                with self._telling_of_doubt():
                    return (yield from self._volume())
        raise AssertionError('pauses never end')

    def _looked_after_earlier_request(self, record: InPlaceRecord) -> _Looking:
        """The volume when Cinder cannot get to an earlier attempt's request any more, or has."""
        volume = yield from self._volume()
        left = self._cinder.in_flight_left(self._timeouts.in_flight)
        if left > 0 and not _is_begun(volume, record):
            yield self._cinder.pause(left)
            volume = yield from self._volume()
        return volume

    def _settled(self, volume: Any) -> _Looking:
        """The volume when Cinder does not write any more.

        :raises CinderFault: that did not end in time.
        """
        with self._telling_of_doubt():
            settled = yield from self._volumes.until_settled(volume, self._timeouts.reimage)
        if settled is None:
            raise ItemGone(texts.GONE)
        return settled

    @contextlib.contextmanager
    def _telling_of_doubt(self) -> Iterator[None]:
        """Tell, when looks at a volume fail that Cinder may be writing, what can be done.

        :raises CinderFault:
        """
        safety = self._overwrite.safety
        safety_id = None if safety is None else safety.checkpoint_id
        try:
            yield
        except cinder_watcher.WaitTimeout as exc:
            raise CinderFault(texts.stuck(cinder_faults.describe(exc), safety_id)) from exc
        except cinder_requests.CLIENT_ERRORS as exc:
            raise CinderFault(texts.unseen(cinder_requests.describe(exc), safety_id)) from exc

    def _failure(self, volume: Any) -> str:
        return texts.failure(self._volumes.message_about(volume.id))

    # Behind it

    def _finished(self, record: InPlaceRecord) -> Generator[Wait, Any, tuple[Any, list[str]]]:
        """Put back what Cinder has changed beside the bytes, and remove the image.

        :raises CinderFault: Cinder does not show the volume, so that nothing is put back.
        """
        try:
            volume = yield from self._volume()
        except cinder_requests.CLIENT_ERRORS as exc:
            yield from self._remove_images()
            raise CinderFault(texts.not_put_back(cinder_requests.describe(exc))) from exc
        remarks: list[str] = []
        if checks.names(volume, record.image_id):
            not_put_back = yield from put_back_after_reimage(self._volumes, volume, record)
            remarks += [f'not put back: {each}' for each in not_put_back]
        remarks += yield from self._remove_images()
        remarks += texts.remarks(volume, record.size)
        return volume, remarks

    def _remove_images(self) -> Generator[Wait, Any, list[str]]:
        """Remove what was made in Glance; returns what is to be said if it is left there."""
        try:
            yield from self._cinder.images.remove(self._overwrite.marks)
        except CinderFault as exc:
            return [f'an image is left in Glance: {exc}']
        return []

    def _roll_back(self, record: InPlaceRecord) -> Steps:
        """Have the safety snapshot written, unless that is done.

        :raises CinderFault: always; says what has become of the volume.
        """
        safety, reason = self._overwrite.safety, str(record.reason)
        if safety is None:
            raise CinderFault(texts.failed_without_safety(reason))
        try:
            if record.step != Step.ROLLED_BACK:
                yield from self._rolled_back(record, safety)
        except cinder_faults.FAULTS as exc:
            raise CinderFault(
                texts.not_rolled_back(reason, cinder_faults.describe(exc), safety.checkpoint_id)
            ) from exc
        raise CinderFault(texts.rolled_back(reason, self._overwrite.volume_id))

    def _rolled_back(self, record: InPlaceRecord, safety: Safety) -> Steps:
        snapshot = yield from self._safety_snapshot(safety)
        image_id = yield from self._cinder.images.make(self._overwrite.marks, snapshot)
        again = record.then(Step.ROLLING_BACK, image_id=image_id, was_error=True)
        if self._is_resumed:
            yield from self._looked_after_earlier_request(again)
        volume = yield from self._asked(again)
        volume = yield from self._settled(volume)
        if not checks.names(volume, image_id):
            raise CinderFault(self._failure(volume))
        yield self._records.begin_write(record.then(Step.ROLLED_BACK))
        yield from put_back_after_reimage(self._volumes, volume, again)
        yield from self._remove_images()


def _is_begun(volume: Any, record: InPlaceRecord) -> bool:
    """Whether Cinder writes, or has tried to."""
    return (
        checks.names(volume, record.image_id)
        or volume.status == 'downloading'
        or (volume.status == 'error' and not record.was_error)
    )
