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

"""What a volume is like beside its bytes: recorded when it is protected, put back by a restore.

A volume that is made from a snapshot has none of its name, description, metadata and read-only
flag. Its bootable flag is that of the source now, and without it there is no image metadata.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

_MARK_PREFIX = 'karbor_'

# Shown among the metadata, and not of them.
_READ_ONLY = 'readonly'
_SHOWN_AMONG_METADATA = frozenset((_READ_ONLY, 'attached_mode'))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VolumeProperties:
    """What a volume is like.

    :ivar metadata: without marks of Karbor's.
    :ivar volume_type: its name; None where the cloud has no types.
    :ivar changed_at: when Cinder has changed what it says of it, in Cinder's words; who attaches it
        changes that.
    """

    name: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    volume_type: str | None = None
    availability_zone: str | None = None
    is_bootable: bool = False
    image_metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_read_only: bool = False
    changed_at: str | None = None

    @classmethod
    def of_volume(cls, volume: Any) -> Self:
        """Those of a volume as Cinder shows it in full."""
        shown = getattr(volume, 'metadata', None) or {}
        return cls(
            name=getattr(volume, 'name', None),
            description=getattr(volume, 'description', None),
            metadata={
                key: value
                for key, value in shown.items()
                if key not in _SHOWN_AMONG_METADATA and not key.startswith(_MARK_PREFIX)
            },
            volume_type=getattr(volume, 'volume_type', None),
            availability_zone=getattr(volume, 'availability_zone', None),
            is_bootable=_is_true(getattr(volume, 'bootable', None)),
            image_metadata=dict(getattr(volume, 'volume_image_metadata', None) or {}),
            is_read_only=_is_true(shown.get(_READ_ONLY)),
            changed_at=getattr(volume, 'updated_at', None),
        )

    @classmethod
    def from_dict(cls, saved: Any) -> Self | None:
        """Those that a bank has; None of what an older Karbor has left."""
        if not isinstance(saved, Mapping):
            return None
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in saved.items() if name in names})

    def to_dict(self) -> dict[str, Any]:
        """As banks have them."""
        values = dataclasses.asdict(self)
        del values['changed_at']
        return values


def _is_true(shown: Any) -> bool:
    """As Cinder writes it, of which there are two ways."""
    return str(shown).lower() == 'true'
