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

"""What a year of a schedule comes to: what its retention keeps, and how much that is at once.

Nothing here knows of a database or the API. Every moment is UTC without a zone. It is taken that
nothing is there at the beginning, that each run makes what it is to make at the time of its fire,
and that nothing is pinned or removed by hand.
"""

import bisect
import dataclasses
import datetime
import itertools
import zoneinfo
from collections.abc import Callable, Iterator, Sequence

from karbor.services.schedules import recurrence, retention, time_triggers
from karbor.services.schedules.retention import Candidate, Policy

#: Fires that are looked at; a year has less than 8,785 hours.
MOST_FIRES = 10_000
#: Recovery points that are judged, at all ends of weeks together; each takes some microseconds.
MOST_JUDGED = 100_000

_WEEKS = 53  # the one in which it begins, and 52 whole ones
_AT_A_TIME = 500  # what is taken of a series before it is entered anew, see time_triggers.fires

_Moment = datetime.datetime


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Week:
    """What there is of a volume when a week is over.

    :ivar name: as ``2026-W48``; it begins on Monday, by the zone's clocks.
    :ivar ends_at: the first moment of the next one.
    :ivar runs: how many there are in it.
    :ivar kept: how many recovery points are there at its end.
    :ivar oldest_at: when the oldest of them was made; None when there is none.
    """

    name: str
    ends_at: _Moment
    runs: int
    kept: int
    oldest_at: _Moment | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a year comes to, of each volume.

    :ivar ends_at: the end of what was looked at.
    :ivar limit: why that is less than a year, as a sentence; None when it is one.
    :ivar runs: how many there are.
    :ivar kept: how many recovery points a retention leaves at most.
    """

    weeks: Sequence[Week]
    begins_at: _Moment
    ends_at: _Moment
    limit: str | None
    runs: int
    kept: int

    @property
    def at_once(self) -> int:
        """How many points there are at most: one is made before others are removed."""
        return min(self.runs, self.kept + 1)


def forecast(trigger: time_triggers.TimeTrigger, policy: Policy, now: _Moment) -> Forecast:
    """What a year comes to, from now on, or from the trigger's start if that is later.

    :param policy: an empty one keeps all.
    """
    zone = zoneinfo.ZoneInfo(trigger.timezone)
    begin = max(now, trigger.start_time)
    ends = list(_ends_of_weeks(begin, zone))
    moments, limit = _moments(trigger, begin, ends[-1])
    end = ends[-1] if limit is None else moments[-1]
    ends = [week_end for week_end in ends if week_end <= end]
    weeks = list(weeks_of(moments, ends, policy, zone))
    if len(weeks) < len(ends):
        end = weeks[-1].ends_at
        moments = [moment for moment in moments if moment < end]
        limit = f'More than {MOST_JUDGED} recovery points would have to be judged.'
    return Forecast(
        weeks=weeks,
        begins_at=begin,
        ends_at=end,
        limit=limit,
        runs=len(moments),
        kept=most_kept(moments, policy, zone),
    )


def _ends_of_weeks(begin: _Moment, zone: zoneinfo.ZoneInfo) -> Iterator[_Moment]:
    today = recurrence.to_local(begin, zone).date()
    monday = today - datetime.timedelta(days=today.weekday())
    for number in range(1, _WEEKS + 1):
        next_monday = monday + datetime.timedelta(weeks=number)
        yield recurrence.to_utc(datetime.datetime.combine(next_monday, datetime.time()), zone)


def _moments(
    trigger: time_triggers.TimeTrigger, begin: _Moment, end: _Moment
) -> tuple[list[_Moment], str | None]:
    """The fires from a moment to another one, and why some are left out, if they are."""
    found: list[_Moment] = []
    after = begin - datetime.timedelta.resolution
    while fires := list(
        itertools.takewhile(
            lambda fire: fire < end,
            itertools.islice(time_triggers.fires(trigger, after), _AT_A_TIME),
        )
    ):
        found += fires
        after = found[-1]
        if len(found) > MOST_FIRES:
            return found[:MOST_FIRES], f'It fires more than {MOST_FIRES} times in a year.'
    return found, None


def weeks_of(
    moments: Sequence[_Moment],
    ends: Sequence[_Moment],
    policy: Policy,
    zone: zoneinfo.ZoneInfo,
) -> Iterator[Week]:
    """The weeks up to one at whose end too much would have to be judged.

    To judge all that has come in a week, as the last retention in it does, leaves what is left
    when each retention in it has removed what it does not keep.
    """
    coming = [Candidate(str(number), moment) for number, moment in enumerate(moments)]
    kept: list[Candidate] = []
    done = judged = 0
    for week_end in ends:
        end = bisect.bisect_left(moments, week_end)
        new, done = coming[done:end], end
        kept += new
        if new and not policy.is_empty:
            judged += len(kept)
            if judged > MOST_JUDGED:
                return
            verdicts = retention.judge(kept, policy, new[-1].created_at, zone)
            kept = [verdict.candidate for verdict in reversed(verdicts) if verdict.keep]
        yield Week(
            name=retention.period('keep_weekly', week_end - datetime.timedelta.resolution, zone),
            ends_at=week_end,
            runs=len(new),
            kept=len(kept),
            oldest_at=kept[0].created_at if kept else None,
        )


def most_kept(moments: Sequence[_Moment], policy: Policy, zone: zoneinfo.ZoneInfo) -> int:
    """How many recovery points a retention leaves at most, whenever it is asked.

    Each rule holds the newest point, and so together they hold no more than that one and what
    each holds besides.

    :param moments: when points are made, the oldest first.
    """
    held = [min(count, len(moments)) for count in _held(moments, policy, zone)]
    if policy.is_empty or not moments:
        return len(moments)
    return min(len(moments), 1 + sum(count - 1 for count in held))


def _held(moments: Sequence[_Moment], policy: Policy, zone: zoneinfo.ZoneInfo) -> Iterator[int]:
    """How many each rule that is given holds at most."""
    limits = [policy.max_backups] if policy.max_backups else []
    if days := policy.retention_duration:
        limits.append(_most_together(moments, lambda age: age.days <= days))
    if limits:
        yield min(limits)
    if policy.keep_last:
        yield policy.keep_last
    for name in retention.PERIOD_RULES:
        if count := getattr(policy, name):
            yield min(count, len({retention.period(name, moment, zone) for moment in moments}))
    if longest := policy.keep_within:
        yield _most_together(moments, lambda age: age <= longest)


def _most_together(
    moments: Sequence[_Moment], is_young: Callable[[datetime.timedelta], bool]
) -> int:
    """How many moments there are at most that are young when the last of them is now."""
    most = first = 0
    for number, moment in enumerate(moments, 1):
        while not is_young(moment - moments[first]):
            first += 1
        most = max(most, number - first)
    return most
