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

"""What is changed of a new volume once it is made: where it is not what it is to be.

Each change may be asked for twice, and is asked for only where it is missing, so that an attempt
that follows goes on where one was broken off.
"""

import contextlib
from collections.abc import Callable, Generator
from typing import Any

from cinderclient import exceptions as cinder_exc

from karbor.services.cinder import faults as cinder_faults
from karbor.services.cinder.faults import CinderFault
from karbor.services.cinder.in_place_records import InPlaceRecord
from karbor.services.cinder.items import CinderItems
from karbor.services.cinder.job import CinderJob
from karbor.services.cinder.properties import VolumeProperties
from karbor.services.protection.protection_plugins.volume.cinder_snapshot_wanted import Wanted
from karbor.services.protection.steps import Wait

_RETYPE_POLICY = 'on-demand'

# Of the image metadata: what says of which image the volume is.
_WITNESS = 'image_id'

_Remarks = Generator[Wait, Any, list[str]]
_Changing = Generator[Wait, Any, Any]


class PutBack:
    """Makes a new volume what it is to be.

    :param cinder: of the job.
    :param volumes: those of the restore.
    :param timeout: longest time that a change of its type may take, in seconds.
    """

    def __init__(self, cinder: CinderJob, volumes: CinderItems, timeout: float) -> None:
        self._cinder = cinder
        self._volumes = volumes
        self._timeout = timeout

    def all(self, volume: Any, wanted: Wanted) -> _Remarks:
        """Change what is not as it is to be; returns what could not be put back.

        :param volume: as Cinder shows it in full, available.
        :raises CinderFault: something that was asked for cannot be had; so do FAULTS.
        """
        remarks = list(wanted.remarks)
        volume = yield from self._chosen(volume, wanted)
        before = wanted.before
        if before is None:
            return remarks
        if wanted.volume_type is None and before.volume_type is not None:
            remarks += yield from _trying(
                f'its volume type {before.volume_type}',
                self._retyped(volume, before.volume_type),
            )
        if wanted.availability_zone is None:
            remarks += _told_of_zone(volume, before)
        remarks += yield from self._flags(volume, before)
        return remarks

    def _chosen(self, volume: Any, wanted: Wanted) -> _Changing:
        """The volume with what was asked for."""
        zone = wanted.availability_zone
        if zone is not None and volume.availability_zone != zone:
            raise CinderFault(
                f'Cinder has made it in the zone {volume.availability_zone}, not in {zone}'
            )
        if wanted.volume_type is not None:
            name = yield from self._cinder.type_name(wanted.volume_type)
            volume = yield from self._retyped(volume, name)
        return volume

    def _retyped(self, volume: Any, type_name: str) -> _Changing:
        """The volume with a type, moved for that where need be.

        :raises CinderFault: it has another in the end.
        """
        if volume.volume_type == type_name:
            return volume
        refusal: Exception | None = None
        try:
            yield from self._volumes.change(
                lambda manager: manager.retype(volume.id, type_name, _RETYPE_POLICY)
            )
        except cinder_exc.BadRequest as exc:
            refusal = exc  # unless the answer to one before this was lost
        changed = yield from self._volumes.wait_for_change(volume, self._timeout)
        if changed.volume_type != type_name and refusal is not None:
            raise refusal
        if changed.volume_type != type_name:
            told = self._volumes.message_about(volume.id)
            raise CinderFault(
                f'Cinder has not changed its volume type from {changed.volume_type} to '
                f'{type_name}; {told}'
            )
        return changed

    def _flags(self, volume: Any, before: VolumeProperties) -> _Remarks:
        now = VolumeProperties.of_volume(volume)
        changes: list[tuple[str, Callable[[Any], Any]]] = []
        if now.is_bootable != before.is_bootable:
            changes.append(
                ('its bootable flag', lambda each: each.set_bootable(volume, before.is_bootable))
            )
        missing = dict(before.image_metadata.items() - now.image_metadata.items())
        if missing:
            changes.append(
                ('its image metadata', lambda each: each.set_image_metadata(volume, missing))
            )
        # The last: it may be that a volume that can only be read is not changed any more.
        if now.is_read_only != before.is_read_only:
            changes.append(
                (
                    'its read-only flag',
                    lambda each: each.update_readonly_flag(volume, before.is_read_only),
                )
            )
        remarks = []
        for what, request in changes:
            remarks += yield from _trying(what, self._volumes.change(request))
        return remarks


def put_back_after_reimage(volumes: CinderItems, volume: Any, before: InPlaceRecord) -> _Remarks:
    """Give a volume back the flag and the image metadata that a reimage has replaced.

    What names the image goes last: as long as it is there, all this is done again.

    :param volumes: through which the volume is asked for.
    :param volume: as Cinder shows it behind the reimage.
    :param before: what it was like.
    """
    now = VolumeProperties.of_volume(volume)
    remarks: list[str] = []
    if now.is_bootable != before.is_bootable:
        remarks += yield from _trying(
            'its bootable flag',
            volumes.change(lambda each: each.set_bootable(volume, before.is_bootable)),
        )
    own = {key: value for key, value in before.image_metadata.items() if key != _WITNESS}
    for key in sorted(now.image_metadata.keys() - own.keys() - {_WITNESS}):
        remarks += yield from _trying(
            f'its image metadata {key}', _without_image_metadata(volumes, volume, key)
        )
    if own.items() - now.image_metadata.items():
        remarks += yield from _trying(
            'its image metadata',
            volumes.change(lambda each: each.set_image_metadata(volume, own)),
        )
    image_id = before.image_metadata.get(_WITNESS)
    if image_id is None:
        last = _without_image_metadata(volumes, volume, _WITNESS)
    else:
        last = volumes.change(lambda each: each.set_image_metadata(volume, {_WITNESS: image_id}))
    remarks += yield from _trying('the image that it is of', last)
    return remarks


def _without_image_metadata(volumes: CinderItems, volume: Any, key: str) -> _Changing:
    with contextlib.suppress(cinder_exc.NotFound):  # an earlier request has removed it
        yield from volumes.change(lambda each: each.delete_image_metadata(volume, [key]))


def _trying(what: str, going: _Changing) -> _Remarks:
    """What is to be said of something that cannot be put back.

    :raises CinderFault: the volume is lost by that.
    """
    try:
        yield from going
    except (cinder_faults.ItemFailed, cinder_faults.ItemGone):
        raise
    except cinder_faults.FAULTS as exc:
        return [f'{what}: {cinder_faults.describe(exc)}']
    return []


def _told_of_zone(volume: Any, before: VolumeProperties) -> list[str]:
    if before.availability_zone in (None, volume.availability_zone):
        return []
    return [f'its zone {before.availability_zone}: it is in {volume.availability_zone}']
