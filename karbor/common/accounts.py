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

"""What the rows tell of how a checkpoint was made, by which claims of others are judged.

Whoever owns an item in a cloud can give it the metadata of another one, and a bank can be
written to by others than Karbor.
"""

import dataclasses
import datetime
from collections.abc import Callable, Collection, Mapping

# How wrong clocks may be, and how late a request may be served.
_SLACK = datetime.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A snapshot as its cloud has it, whatever it claims.

    :ivar project_id: whose it is; None where the cloud does not tell.
    :ivar created_at: UTC without a zone, by the cloud's clock; None when it does not tell.
    """

    id: str
    resource_id: str | None
    project_id: str | None
    created_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """How a checkpoint was made. Moments are UTC without a zone.

    :ivar project_id: whose it is.
    :ivar since: when it was asked for.
    :ivar until: tells when the last attempt had ended; None when that is not known. It is asked of
        what is not recorded only.
    :ivar resource_ids: what it is of.
    :ivar recorded: resource id -> id of what was made of it, where that is known.
    """

    project_id: str
    since: datetime.datetime
    until: Callable[[], datetime.datetime | None]
    resource_ids: Collection[str]
    recorded: Mapping[str, str]

    def contradiction(self, item: Item, resource_id: str) -> str | None:
        """Why an item cannot be what was made of a resource; None when it can."""
        if item.resource_id != resource_id:
            return f'it is of the volume {item.resource_id}, not {resource_id}'
        if item.project_id not in (None, self.project_id):
            return f'it is of the project {item.project_id}, its checkpoint of {self.project_id}'
        if resource_id not in self.resource_ids:
            return f'its checkpoint is not of the volume {resource_id}'
        return None

    def doubt(self, item: Item, resource_id: str) -> str | None:
        """Why it is not sure that an item was made of a resource; None when it is.

        What is recorded is sure, unless it is another's by now. Anything else must have been made
        while the checkpoint was.
        """
        contradiction = self.contradiction(item, resource_id)
        if contradiction is not None or self.recorded.get(resource_id) == item.id:
            return contradiction
        until = self.until()
        if item.created_at is None or until is None:
            return 'nothing tells that it was made by the job of its checkpoint'
        if not self.since - _SLACK <= item.created_at <= until + _SLACK:
            return 'no job of its checkpoint was at work when it was made'
        return None
