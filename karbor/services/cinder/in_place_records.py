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

"""What the bank has of a restore in place of one volume, at ``in-place-<id>`` of the restore.

It is written before Cinder is asked, so that an attempt that follows knows what was asked for, and
what the volume was like before.
"""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any, Self

from oslo_utils import timeutils

from karbor import exception
from karbor.common import moments
from karbor.services.protection import bank_plugin
from karbor.services.protection.steps import Wait


class Step(enum.StrEnum):
    """How far it is: asked for or about to be, written, or on the way back after a failure."""

    ASKED = 'asked'
    WRITTEN = 'written'
    ROLLING_BACK = 'rolling_back'
    ROLLED_BACK = 'rolled_back'


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InPlaceRecord:
    """How far a restore in place of a volume is.

    :ivar image_id: of the image that Cinder is, or was, to write.
    :ivar changed_at: the volume's ``updated_at`` before its safety snapshot.
    :ivar was_error: whether the volume was in status error before.
    :ivar is_bootable: whether it was, before.
    :ivar image_metadata: that it had before.
    :ivar size: of the snapshot, in GiB.
    :ivar reason: why it is rolled back.
    :ivar asked_at: when it was about to be asked for, in UTC without a zone.
    """

    step: Step
    image_id: str
    changed_at: str
    was_error: bool = False
    is_bootable: bool = False
    image_metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    size: int | None = None
    reason: str | None = None
    asked_at: datetime.datetime = dataclasses.field(default_factory=timeutils.utcnow)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """That of the bank.

        :raises ValueError: it is none.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        known = {name: value for name, value in saved.items() if name in names}
        return cls(
            **{
                **known,
                'step': Step(str(saved.get('step'))),
                'asked_at': moments.read_utc(saved.get('asked_at')) or timeutils.utcnow(),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """As the bank has it."""
        return {
            **dataclasses.asdict(self),
            'step': str(self.step),
            'asked_at': self.asked_at.isoformat(),
        }

    def then(self, step: Step, **changes: Any) -> Self:
        """The same, a step further."""
        return dataclasses.replace(self, step=step, **changes)


class InPlaceRecords:
    """Where the record of one volume is.

    :param section: of the volume in the checkpoint that is restored.
    """

    def __init__(self, section: bank_plugin.BankSection, restore_id: str) -> None:
        self._section = section
        self._key = f'in-place-{restore_id}'

    def begin_read(self) -> Wait:
        """The record, when the bank has answered; None when there is none."""
        return self._section.begin(self._read)

    def _read(self) -> InPlaceRecord | None:
        try:
            return InPlaceRecord.from_dict(self._section.get_object(self._key))
        except exception.BankObjectNotFound:
            return None

    def begin_write(self, record: InPlaceRecord) -> Wait:
        """Write it; gives what ends when it is there to stay."""
        return self._section.begin_update(self._key, record.to_dict())
