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

"""What a new volume is to be like: as the old one was, but for what was asked for."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from karbor.resource import Resource
from karbor.services.cinder.items import Order
from karbor.services.cinder.marks import Marks
from karbor.services.cinder.properties import VolumeProperties
from karbor.services.cinder.records import SnapshotRecord

LONGEST_NAME = 255
MOST_METADATA = 128  # Cinder's default of quota_metadata_items

_MOST_TOLD = 10  # names in one line


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a new volume is to be like.

    :ivar order: what Cinder is asked to make.
    :ivar before: what the old volume was like; None where nobody knows.
    :ivar volume_type: that was asked for.
    :ivar availability_zone: that was asked for.
    :ivar remarks: what of the old volume is left out from the start.
    """

    order: Order
    before: VolumeProperties | None
    volume_type: str | None
    availability_zone: str | None
    remarks: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """What a restore asks for, of one volume.

    :ivar parameters: of the plugin's restore schema.
    :ivar choices: those that it serves.
    """

    checkpoint_id: str
    resource: Resource
    marks: Marks
    parameters: Mapping[str, Any]
    choices: Mapping[str, Any]

    def wanted(self, saved: SnapshotRecord) -> Wanted:
        """What the new volume is to be like.

        :param saved: what protect has recorded.
        """
        before = saved.volume
        metadata = dict(before.metadata) if before is not None else {}
        left_out = list(metadata)[MOST_METADATA - len(self.marks.metadata()) :]
        for key in left_out:
            del metadata[key]
        arguments = {
            'size': self.choices.get('size', saved.size),
            'snapshot_id': saved.snapshot_id,
            'name': self._name(before),
            'description': self.parameters.get('restore_description')
            or (None if before is None else before.description),
            **{
                name: self.choices[name]
                for name in ('volume_type', 'availability_zone')
                if name in self.choices
            },
        }
        return Wanted(
            order=Order(marks=self.marks, arguments=arguments, metadata=metadata),
            before=before,
            volume_type=self.choices.get('volume_type'),
            availability_zone=self.choices.get('availability_zone'),
            remarks=_told_of_metadata(left_out),
        )

    def _name(self, before: VolumeProperties | None) -> str | None:
        """The name, with the suffix whole, also where Cinder takes no more of it."""
        suffix = self.choices.get('name_suffix', '')
        own = self.parameters.get('restore_name')
        if not own:
            if before is None:
                own = f'volume-{self.checkpoint_id}@{self.resource.id}'
            elif not suffix:
                return before.name
            else:
                own = before.name or ''
        return f'{own[: LONGEST_NAME - len(suffix)]}{suffix}' if suffix else own


def _told_of_metadata(left_out: list[str]) -> tuple[str, ...]:
    if not left_out:
        return ()
    more = len(left_out) - _MOST_TOLD
    names = ', '.join(left_out[:_MOST_TOLD]) + (f' and {more} more' if more > 0 else '')
    return (
        f'metadata that there is no place for beside the marks, as Cinder keeps {MOST_METADATA}: '
        f'{names}',
    )
