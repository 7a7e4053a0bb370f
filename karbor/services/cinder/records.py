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

"""What the snapshot plugin keeps in the bank of one volume.

``metadata``
    the snapshot: ``volume_id``, ``size``, ``snapshot_id`` and ``created_at``, when it is good, or
    is there and has failed; and in ``volume`` what the volume was like. Karbors before left that
    out, and had ``volume_id`` alone in it when it was asked for.
``restore-<id>``
    the volume of a restore: ``asked_at`` before it is asked for, ``volume_id`` when it is made.
``status``
    how the resource is doing, as text.

Moments are UTC. Older Karbors left them out.
"""

import dataclasses
import datetime
from collections.abc import Mapping
from concurrent import futures
from typing import Any, Generic, Protocol, Self, TypeVar

from oslo_utils import timeutils

from karbor import exception
from karbor.common import moments
from karbor.services.cinder.properties import VolumeProperties
from karbor.services.protection import bank_plugin
from karbor.services.protection.steps import Wait

SNAPSHOT_KEY = 'metadata'
_STATUS_KEY = 'status'


class Record(Protocol):
    """What was asked for, or made."""

    @property
    def made_id(self) -> str | None:
        """The id of what was made; None when it was asked for and no more."""

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """The record that the bank has.

        :raises AttributeError: it is none.
        """

    def to_dict(self) -> dict[str, Any]:
        """As the bank has it: without what is not known."""

    def made(self, item: Any) -> Self:
        """The record of what was made."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotRecord:
    """The snapshot of a volume.

    :ivar size: of the volume when it was taken, in GiB.
    :ivar created_at: when it was taken by Cinder's clock, in UTC without a zone.
    :ivar volume: what the volume was like, where that is known.
    """

    volume_id: str | None
    size: int | None = None
    snapshot_id: str | None = None
    created_at: datetime.datetime | None = None
    volume: VolumeProperties | None = None

    @property
    def made_id(self) -> str | None:
        return self.snapshot_id

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        return cls(
            volume_id=saved.get('volume_id'),
            size=saved.get('size'),
            snapshot_id=saved.get('snapshot_id'),
            created_at=moments.read_utc(saved.get('created_at')),
            volume=VolumeProperties.from_dict(saved.get('volume')),
        )

    def to_dict(self) -> dict[str, Any]:
        return _known_fields(self)

    def made(self, item: Any) -> Self:
        return dataclasses.replace(
            self,
            size=item.size,
            snapshot_id=item.id,
            created_at=moments.read_utc(getattr(item, 'created_at', None)),
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RestoreRecord:
    """The new volume of a restore.

    :ivar asked_at: when it was about to be asked for, in UTC without a zone.
    """

    volume_id: str | None = None
    asked_at: datetime.datetime | None = None

    @property
    def made_id(self) -> str | None:
        return self.volume_id

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        return cls(
            volume_id=saved.get('volume_id'), asked_at=moments.read_utc(saved.get('asked_at'))
        )

    def to_dict(self) -> dict[str, Any]:
        return _known_fields(self)

    def made(self, item: Any) -> Self:
        return dataclasses.replace(self, volume_id=item.id)


RecordT = TypeVar('RecordT', bound=Record)


class BankRecord(Generic[RecordT]):
    """The bank object that has a record.

    :param section: of the volume in a checkpoint.
    :param key: of the object.
    :param blank: the record of nothing yet.
    """

    def __init__(self, section: bank_plugin.BankSection, key: str, blank: RecordT) -> None:
        self._section = section
        self._key = key
        self._blank = blank

    def read(self) -> RecordT | None:
        """The record; None when there is none.

        :raises AttributeError: something else is in its place.
        """
        try:
            return self._blank.from_dict(self._section.get_object(self._key))
        except exception.BankObjectNotFound:
            return None

    def begin_read(self) -> 'futures.Future[RecordT | None]':
        """The record, when the bank has answered; None when there is none."""
        return self._section.begin(self.read)

    def begin_blank(self) -> Wait:
        """Say that nothing is made yet; gives what ends when that is written."""
        return self._write(self._blank)

    def begin_made(self, item: Any) -> Wait:
        """Say what was made; gives what ends when that is written."""
        return self._write(self._blank.made(item))

    def _write(self, record: RecordT) -> Wait:
        return self._section.begin_update(self._key, record.to_dict())


def of_snapshot(
    section: bank_plugin.BankSection, volume_id: str, volume: VolumeProperties | None = None
) -> BankRecord[SnapshotRecord]:
    """The record of a volume's snapshot.

    :param volume: what the volume is like, for one that is to be written.
    """
    return BankRecord(section, SNAPSHOT_KEY, SnapshotRecord(volume_id=volume_id, volume=volume))


def of_restore(section: bank_plugin.BankSection, restore_id: str) -> BankRecord[RestoreRecord]:
    """The record of the volume that a restore makes."""
    blank = RestoreRecord(asked_at=timeutils.utcnow())
    return BankRecord(section, f'restore-{restore_id}', blank)


def status(section: bank_plugin.BankSection) -> str | None:
    """How the resource is doing; None when nothing tells."""
    try:
        return section.get_object(_STATUS_KEY)
    except exception.BankObjectNotFound:
        return None


def begin_status(section: bank_plugin.BankSection, value: str) -> Wait:
    """Say how the resource is doing; gives what ends when that is written."""
    return section.begin_update(_STATUS_KEY, value)


def begin_remove(section: bank_plugin.BankSection) -> Wait:
    """Remove all records, but for the status; gives what ends when they are gone."""
    return section.begin(lambda: remove(section))


def remove(section: bank_plugin.BankSection) -> None:
    """Remove all records, but for the status."""
    for key in section.list_objects():
        if key != _STATUS_KEY:
            section.delete_object(key)


def _known_fields(record: SnapshotRecord | RestoreRecord) -> dict[str, Any]:
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {name: _as_json(value) for name, value in values.items() if value is not None}


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value.to_dict() if isinstance(value, VolumeProperties) else value
