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

"""Whether a volume is protected: the judgement, which is of values only.

It is of now, and of what was due: a volume is protected while a schedule that goes on covers it,
and nothing that was due since its newest good recovery point has failed or is missing.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from karbor.common.constants import CoverageState as State

_NONE_YET = 'no recovery point yet'
_ALL_MISSING = 'all recovery points are missing in the cloud'


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A scheduled operation that covers a volume. Moments are UTC without a zone.

    :ivar due_at: when its last run was due; None if none was yet.
    :ivar grace: for how long a run that is due may take to begin.
    :ivar next_run_at: None when no further one follows.
    :ivar failed_at: when its newest run began, if that came to no checkpoint.
    :ivar failure: why it failed.
    """

    id: str
    name: str
    plan_id: str
    is_enabled: bool
    due_at: datetime.datetime | None = None
    grace: datetime.timedelta = datetime.timedelta()
    next_run_at: datetime.datetime | None = None
    failed_at: datetime.datetime | None = None
    failure: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """The recovery points of a volume; each moment is when its checkpoint was begun."""

    good: int = 0
    missing: int = 0
    newest_good_at: datetime.datetime | None = None
    newest_missing_at: datetime.datetime | None = None
    newest_failed_at: datetime.datetime | None = None
    newest_making_at: datetime.datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no run has ever come to it."""
        return self == Points()


class Verdict(NamedTuple):
    """A state, and why it is that."""

    state: State
    reason: str


def judge(
    schedules: Sequence[Schedule], points: Points, now: datetime.datetime, *, is_there: bool
) -> Verdict:
    """The state of a volume.

    :param schedules: all that cover it.
    :param now: UTC without a zone.
    :param is_there: whether it is in the cloud.
    """
    if not is_there:
        left = f'{points.good or "no"} good recovery point{"" if points.good == 1 else "s"} left'
        return Verdict(State.GONE, f'it is not in the cloud any more; {left}')
    if not schedules:
        return Verdict(State.UNPROTECTED, _without_schedule(points))
    enabled = [schedule for schedule in schedules if schedule.is_enabled]
    if not enabled:
        return Verdict(State.PAUSED, f'disabled: {_names(schedules)}')
    failing = _failure(enabled, points)
    if failing is not None:
        return Verdict(State.FAILING, failing)
    due = max(_overdue(enabled, points, now), default=None)
    if due is not None and not points.is_empty:  # else it may have been taken into the plan since
        lost = f'; {_ALL_MISSING}' if points.missing and not points.good else ''
        return Verdict(
            State.LATE, f'no good recovery point since the run that was due at {_text(due)}{lost}'
        )
    coming = [schedule.next_run_at for schedule in enabled if schedule.next_run_at is not None]
    if not coming:
        return Verdict(State.UNPROTECTED, f'no run follows any more: {_names(enabled)}')
    if not points.good:
        what = _ALL_MISSING if points.missing else _NONE_YET
        if due is not None:
            what += f'; a run was due at {_text(due)}'
        return Verdict(State.UNPROTECTED, f'{what}; the next run is at {_text(min(coming))}')
    return Verdict(State.PROTECTED, f'covered by {_names(enabled)}')


def _without_schedule(points: Points) -> str:
    if points.good:
        return 'no schedule covers it; its recovery points were made by hand, or by one before'
    return 'no schedule covers it'


def _failure(enabled: Sequence[Schedule], points: Points) -> str | None:
    """Why it has no good point now; None if the newest that was tried has come out well."""
    made = (points.newest_good_at, points.newest_missing_at)  # what is missing was made well
    last_made = max((each for each in made if each is not None), default=datetime.datetime.min)
    if points.newest_failed_at is not None and points.newest_failed_at > last_made:
        return 'the newest recovery point has failed'
    for schedule in enabled:
        if schedule.failed_at is not None and schedule.failed_at > last_made:
            return f'the last run of {_names([schedule])} has failed'
    return None


def _overdue(
    enabled: Sequence[Schedule], points: Points, now: datetime.datetime
) -> Iterator[datetime.datetime]:
    """When runs were due that have left nothing good of a volume."""
    moments = [
        each for each in (points.newest_good_at, points.newest_making_at) if each is not None
    ]
    for schedule in enabled:
        due = schedule.due_at
        if due is not None and now > due + schedule.grace and all(each < due for each in moments):
            yield due


def _names(schedules: Sequence[Schedule]) -> str:
    return ', '.join(schedule.name or schedule.id for schedule in schedules)


def _text(moment: datetime.datetime) -> str:
    return f'{moment.isoformat(" ", "seconds")} UTC'
