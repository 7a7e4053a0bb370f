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

"""The metadata by which Karbor finds again what it has made in Cinder.

Snapshots say of which volume they are, and in which checkpoint; volumes say as well which
restore made them. Whoever owns an item can write its metadata, so what is read from one is a
claim: any part may be missing, or be anything.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from karbor.common import origins

Metadata = dict[str, str]

_KEYS = {
    'checkpoint_id': 'karbor_checkpoint_id',
    'provider_id': 'karbor_provider_id',
    'plan_id': 'karbor_plan_id',
    'resource_id': 'karbor_resource_id',
    'restore_id': 'karbor_restore_id',
    'scheduled_operation_id': 'karbor_scheduled_operation_id',
}

#: What the snapshot of a safety checkpoint carries besides: when its volume was changed last, in
#: Cinder's words, before it was asked for.
CHANGED_AT = 'karbor_volume_changed_at'

#: And when the checkpoint expires, in UTC.
EXPIRES_AT = 'karbor_expires_at'

# By these nothing is looked for: what requests of older Karbors make does not carry them.
_NOT_SOUGHT = frozenset(('scheduled_operation_id',))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """What an item is said to be for, or what all items that are meant have in common.

    :ivar plan_id: of the plan that the checkpoint is of.
    :ivar resource_id: of the volume that is protected.
    :ivar restore_id: of the restore that made the item; a snapshot has none.
    :ivar scheduled_operation_id: of the scheduled operation whose run made the snapshot.
    """

    checkpoint_id: str | None = None
    provider_id: str | None = None
    plan_id: str | None = None
    resource_id: str | None = None
    restore_id: str | None = None
    scheduled_operation_id: str | None = None

    @classmethod
    def of_resource(cls, checkpoint: Any, resource_id: str) -> Self:
        """The marks of what protects one volume.

        :param checkpoint: as hooks are given it.
        """
        return cls(
            checkpoint_id=checkpoint.id,
            provider_id=checkpoint.provider_id,
            plan_id=checkpoint.protection_plan['id'],
            resource_id=resource_id,
        )

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> Self:
        """What the metadata of an item claims."""
        return cls(**{name: metadata.get(key) for name, key in _KEYS.items()})

    def of_restore(self, restore_id: str) -> Self:
        """The same, of what a restore makes."""
        return dataclasses.replace(self, restore_id=restore_id)

    def of_run(self, checkpoint: Any) -> Self:
        """The same, with the scheduled operation that made the checkpoint, if one did."""
        operation_id = origins.scheduled_operation_id(checkpoint.extra_info)
        return dataclasses.replace(self, scheduled_operation_id=operation_id)

    def metadata(self) -> Metadata:
        """As Cinder keeps them."""
        return {
            key: value for name, key in _KEYS.items() if (value := getattr(self, name)) is not None
        }

    def sought(self) -> Metadata:
        """As Cinder's lists are filtered by them."""
        return dataclasses.replace(self, **dict.fromkeys(_NOT_SOUGHT)).metadata()
