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

"""Who made a checkpoint, by what its ``extra_info`` says."""

import json
from typing import Any

from karbor.common import constants, ids


def is_of_restore(extra_info: Any) -> bool:
    """Whether a checkpoint is of what a restore overwrites.

    :param extra_info: as below.
    """
    return _read(extra_info).get(constants.CHECKPOINT_CREATED_BY) == (
        constants.CHECKPOINT_CREATED_BY_RESTORE
    )


def scheduled_operation_id(extra_info: Any) -> str | None:
    """The id of the scheduled operation that made a checkpoint; None when none did.

    :param extra_info: an object, as rows have it, or its JSON text, as the bank and plugins do.
    """
    info = _read(extra_info)
    if info.get(constants.CHECKPOINT_CREATED_BY) != constants.CHECKPOINT_CREATED_BY_SCHEDULE:
        return None
    found = info.get(constants.CHECKPOINT_SCHEDULE_ID)
    return found if ids.is_own(found) else None


def _read(extra_info: Any) -> dict[str, Any]:
    """``extra_info`` as an object; an empty one where it is none."""
    info = extra_info
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except ValueError:
            return {}
    return info if isinstance(info, dict) else {}
