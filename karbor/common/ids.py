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

"""What an id of Karbor's own looks like."""

import uuid
from typing import Any, TypeGuard

from oslo_utils import uuidutils


def is_own(value: Any) -> TypeGuard[str]:
    """Whether something that was read can be an id that Karbor has given, as it writes them.

    A UUID may be written with any number of dashes, in braces and in capitals; none of ours is.
    """
    return (
        isinstance(value, str) and uuidutils.is_uuid_like(value) and value == str(uuid.UUID(value))
    )
