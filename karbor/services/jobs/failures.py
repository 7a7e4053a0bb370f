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

"""Why a job could not do a resource, and what to tell of errors."""

import dataclasses
import re
from typing import Self

from karbor import exception, shown
from karbor.resource import Resource
from karbor.services.protection import plugin_edge

# As urllib3, requests, keystoneauth and botocore write them.
_ADDRESS = re.compile(
    r"""https?://[^\s'"<>)\]]+
    |HTTPS?ConnectionPool\([^)]*\)(:\ Max\ retries\ exceeded\ with\ url:\ \S+)?
    |\bhost=\S+
    |/v1/[A-Z]+_\S+""",
    re.VERBOSE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Why a resource could not be done; as text it is its reason.

    :ivar reason: for a person to act on; never empty.
    :ivar is_over_quota: whether it is that a quota of the project is used up.
    :ivar is_gone: whether it is that there is no such resource any more.
    :ivar is_lost: whether it is that what the checkpoint had of it is not in the cloud any more.
    """

    reason: str
    is_over_quota: bool = False
    is_gone: bool = False
    is_lost: bool = False

    @classmethod
    def of(cls, error: Exception) -> Self:
        """What to remember of what a hook raised."""
        return cls(
            reason_of(error),
            is_over_quota=isinstance(error, exception.ResourceFailed) and error.is_over_quota,
            is_gone=isinstance(error, exception.ResourceGone),
            is_lost=isinstance(error, exception.ResourceFailed) and error.is_lost,
        )

    def __str__(self) -> str:
        return self.reason


Failures = dict[Resource, Failure]


def reason_of(error: Exception) -> str:
    """What to tell of an error, in characters that every database can hold.

    It is never empty, since no reason means that all is well. Where services are, which errors of
    clients tell that a plugin passes on, is not for users.
    """
    if isinstance(error, exception.ResourceFailed) and error.kwargs.get('reason'):
        reason = str(error.kwargs['reason'])
    elif isinstance(error, exception.KarborException):
        reason = error.msg or type(error).__name__
    else:
        reason = f'{type(error).__name__}: {plugin_edge.text_of(error)}'
    reason = _ADDRESS.sub('(address in the log)', shown.without_credentials(reason))
    return reason.replace('\x00', '').encode(errors='replace').decode()
