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

"""What plugins tell that they keep of a resource, read for its recovery point.

The contract leaves the form to each plugin, so what is looked for are the usual names.
"""

from collections.abc import Mapping
from typing import Any

from karbor.common import moments
from karbor.db.recovery_points import Saved

_IDS = ('snapshot_id', 'backup_id')
_SIZES = ('size', 'volume_size')
_LONGEST_ID = 255
_LARGEST_SIZE = 2**31 - 1  # GiB, as columns have it


def read(saved: Any) -> Saved:
    """What can be understood of it; what cannot is not known.

    :param saved: as a plugin told it; None when it told nothing.
    """
    if not isinstance(saved, Mapping):
        return Saved()
    return Saved(
        cloud_id=_first(saved, _IDS, _is_id),
        size=_first(saved, _SIZES, _is_size),
        taken_at=moments.read_utc(saved.get('created_at')),
    )


def _first(saved: Mapping[Any, Any], names: tuple[str, ...], fits: Any) -> Any:
    return next((saved[name] for name in names if fits(saved.get(name))), None)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable()


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST_SIZE
