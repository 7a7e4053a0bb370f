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

"""Whether all of a project is protected and goes well, in one answer."""

import dataclasses
from collections.abc import Mapping, Sequence

from karbor import context as karbor_context
from karbor.common.constants import CoverageState
from karbor.db import models, paging
from karbor.services.checkpoints.coverage import Coverage, Look
from karbor.services.notifications.troubles import Troubles

_MOST_TROUBLES = 100
_BAD = (CoverageState.FAILING, CoverageState.LATE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """How a project is.

    :ivar reasons: why it is not well; empty when it is.
    :ivar totals: how many volumes are in each state of coverage.
    :ivar look: when that was looked at.
    :ivar troubles: some of those that stand, the newest first.
    """

    reasons: Sequence[str]
    totals: Mapping[str, int]
    look: Look
    troubles: Sequence[models.Trouble]


class ProjectHealth:
    """What the API asks about it.

    :param coverage: tells the states of the volumes.
    """

    def __init__(self, coverage: Coverage, troubles: Troubles) -> None:
        self._coverage = coverage
        self._troubles = troubles

    def look(self, context: karbor_context.RequestContext) -> Health:
        """How the caller's project is now.

        That its volumes could not be looked at is told, and is no reason by itself: what was seen
        before counts then.
        """
        project_id = str(context.project_id)
        report = self._coverage.report(context, paging.Selection(project_id, paging.Page(limit=1)))
        troubles, has_more = self._troubles.page(
            paging.Selection(project_id, paging.Page(limit=_MOST_TROUBLES))
        )
        totals = report.totals or {}
        reasons = [f'{totals[state]} {state}' for state in _BAD if totals.get(state)]
        reasons += [f'{trouble.kind}: {trouble.reason}' for trouble in troubles]
        reasons += ['and more'] if has_more else []
        return Health(reasons=reasons, totals=totals, look=report.look, troubles=troubles)
