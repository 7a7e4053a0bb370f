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

"""Whether each volume is protected."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack

from openstack.resource import Body

from karbor.client import base

_KEY = 'coverage'


class CoveredVolume(base.Resource):
    """A volume, and how it is protected."""

    resources_key = _KEY
    allow_fetch = False

    name: str = Body('name')
    #: as Cinder has it; None of one that is gone
    volume_status: str | None = Body('volume_status')
    #: in GiB
    size: int | None = Body('size')
    #: ``protected``, ``late``, ``failing``, ``paused``, ``unprotected`` or ``gone``
    state: str = Body('state')
    #: why it is in that state
    reason: str = Body('reason')
    last_good_at: str | None = Body('last_good_at')
    #: in seconds
    last_good_age: int | None = Body('last_good_age')
    last_good_checkpoint_id: str | None = Body('last_good_checkpoint_id')
    oldest_good_at: str | None = Body('oldest_good_at')
    #: how many good ones there are
    recovery_points: int = Body('recovery_points')
    recovery_points_missing: int = Body('recovery_points_missing')
    #: each has ``id`` and ``name``
    plans: list[dict[str, Any]] = Body('plans')
    #: each has ``id``, ``name``, ``plan_id``, ``enabled`` and ``next_run_at``
    schedules: list[dict[str, Any]] = Body('schedules')
    next_run_at: str | None = Body('next_run_at')
    #: ``at`` and ``reason``
    last_failure: dict[str, Any] | None = Body('last_failure')


@dataclasses.dataclass(frozen=True)
class Look:
    """How Cinder was looked at last.

    :ivar seen_at: when.
    :ivar fault: why the last try failed.
    :ivar remark: what the answer cannot tell.
    """

    seen_at: str | None
    fault: str | None
    remark: str | None


@dataclasses.dataclass(frozen=True)
class CoverageReport:
    """How the volumes of the project are protected.

    :ivar totals: how many are in each state, whatever is filtered; None behind a ``marker``.
    :ivar volumes: them, to be gone through once; pages are asked for when they are needed.
    """

    look: Look
    totals: Mapping[str, int] | None
    volumes: Iterator[CoveredVolume]


class CoverageQuery(base.Page, total=False):
    """What volumes are listed; ``name`` is looked for as a part."""

    state: str
    name: str
    plan_id: str


class Calls(base.ServiceProxy):
    def coverage(self, **query: Unpack[CoverageQuery]) -> CoverageReport:
        """Tell whether each volume of the project is protected, and why others are not."""
        pages = self._pages('/coverage', _KEY, query)
        first = next(pages)
        return CoverageReport(
            Look(**first['look']),
            first.get('totals'),
            self._volumes(itertools.chain([first], pages)),
        )

    def _volumes(self, pages: Iterable[base.Body]) -> Iterator[CoveredVolume]:
        for page in pages:
            for item in page[_KEY]:
                yield self._shown(CoveredVolume, item)
