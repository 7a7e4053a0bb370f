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

"""Retention: which recovery points of a resource stay, which go, and why.

A point is called by the checkpoint that it is in. Nothing here knows of a database or the API.
Every moment is UTC without a zone, as in :mod:`karbor.db.models`.

- The newest point of all stays, pinned or not, whatever the rules say.
- Pinned ones stay and are set aside: no rule counts them.
- What a point that stays is built on stays with it; the rules count it as any other.
- Without any rule, all stay.
- ``max_backups`` and ``retention_duration`` are limits. Together they are one rule, which holds
  what is within those of them that are given: one of so many newest, and not more than so many
  whole days old.
- ``keep_last`` holds so many newest ones. ``keep_hourly``, ``keep_daily``, ``keep_weekly``,
  ``keep_monthly`` and ``keep_yearly`` hold the newest one of each of so many periods: the newest
  periods that have any. ``keep_within`` holds what is not older than so long.
- Periods are those of a zone's wall clock. Weeks are those of ISO 8601, from Monday. An hour
  that comes twice because the clocks go back is two hours.
- What any rule holds stays. So one more keep rule never removes more, unless it is the first
  rule of all; a limit may do so where there is another limit or no keep rule.
- To remove only some of what is to go does not change what is to become of the others, so a
  removal that was cut short can be taken up again.
- What is dated in the future, as the clock was once wrong, is simply the newest. So the one
  that was just made stays in any case.
"""

import dataclasses
import datetime
import re
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from karbor import exception

_LARGEST_LIMIT = 999999999
_LARGEST_COUNT = 999999
_LIMIT = re.compile('-?[0-9]{1,9}')
_COUNT = re.compile('[0-9]{1,9}')
_AGE = re.compile('([0-9]{1,5})([hdw])')
_UNITS = {'h': 'hours', 'd': 'days', 'w': 'weeks'}

_HOUR = datetime.timedelta(hours=1)
_DAY = datetime.timedelta(days=1)
# Zones' clocks cannot be asked for times at the ends of the calendar.
_FIRST_MOMENT = datetime.datetime.min + _DAY
_LAST_MOMENT = datetime.datetime.max - _DAY


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A good recovery point of a resource.

    :ivar id: of the checkpoint that it is in.
    :ivar created_at: when that was begun, in UTC without a zone.
    :ivar pinned: it stays whatever the rules say.
    :ivar needed_for: what it stays for, though the rules count it as any other.
    :ivar built_on: id of another candidate without which it is worth nothing.
    """

    id: str
    created_at: datetime.datetime
    pinned: bool = False
    needed_for: str | None = None
    built_on: str | None = None


@dataclasses.dataclass(frozen=True)
class Policy:
    """The rules; one that is None, or 0, is not given.

    :ivar retention_duration: in days.
    """

    max_backups: int | None = None
    retention_duration: int | None = None
    keep_last: int | None = None
    keep_hourly: int | None = None
    keep_daily: int | None = None
    keep_weekly: int | None = None
    keep_monthly: int | None = None
    keep_yearly: int | None = None
    keep_within: datetime.timedelta | None = None

    def has_any(self, rules: Iterable[str]) -> bool:
        return any(getattr(self, name) for name in rules)

    @property
    def is_empty(self) -> bool:
        return not self.has_any(RULES)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a recovery point stays.

    :ivar reasons: all that holds it or, if it goes, why no rule does; there is at least one.
    """

    candidate: Candidate
    keep: bool
    reasons: tuple[str, ...]


RULES = tuple(field.name for field in dataclasses.fields(Policy))
KEEP_RULES = tuple(name for name in RULES if name.startswith('keep_'))
PERIOD_RULES = ('keep_hourly', 'keep_daily', 'keep_weekly', 'keep_monthly', 'keep_yearly')

# What holds a point, by its id.
_Held: TypeAlias = dict[str, str]


def parse(definition: Mapping[str, Any]) -> Policy:
    """The rules in a scheduled operation's definition; whatever else it has is ignored.

    :param definition: numbers are integers or text; keep_within is text such as 36h, 14d or 8w.
    :raises InvalidInput: names the rule, what it is and what is expected.
    """
    rules: dict[str, Any] = {
        name: _read(name, definition[name]) for name in RULES if name in definition
    }
    return Policy(**rules)


def judge(
    candidates: Iterable[Candidate],
    policy: Policy,
    now: datetime.datetime,
    zone: zoneinfo.ZoneInfo,
    just_made: str | None = None,
) -> list[Verdict]:
    """Which points stay and which go, newest first, those of the same time by their ids.

    :param candidates: all good points of one resource that are counted together, in any order.
    :param now: UTC without a zone.
    :param zone: the zone whose wall clock says to which hour, day and so on a point belongs.
    :param just_made: id of the checkpoint after which this is asked; it stays, though others may
        be dated later.
    """
    newest_first = sort(candidates)
    counted = [candidate for candidate in newest_first if not candidate.pinned]
    exceeded = {
        candidate.id: list(_exceeded(candidate, number, policy, now))
        for number, candidate in enumerate(counted, 1)
    }
    rules = (
        {candidate.id: 'it is the last good one' for candidate in newest_first[:1]},
        {
            candidate.id: 'it was just made'
            for candidate in newest_first
            if candidate.id == just_made
        },
        {candidate.id: 'it is pinned' for candidate in newest_first if candidate.pinned},
        {
            candidate.id: candidate.needed_for
            for candidate in newest_first
            if candidate.needed_for is not None
        },
        {candidate.id: 'there is no rule' for candidate in newest_first if policy.is_empty},
        _within_limits(exceeded, policy),
        _last(counted, policy),
        *(_newest_of_periods(name, counted, policy, zone) for name in PERIOD_RULES),
        _within(counted, policy, now),
    )
    holding = {
        candidate.id: [held[candidate.id] for held in rules if candidate.id in held]
        for candidate in newest_first
    }
    _hold_what_is_built_on(newest_first, holding)
    return [
        Verdict(
            candidate,
            keep=bool(holding[candidate.id]),
            reasons=tuple(
                holding[candidate.id] or (*exceeded[candidate.id], *_no_keep_rule(policy))
            ),
        )
        for candidate in newest_first
    ]


def sort(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Newest first, those of the same time by their ids."""
    return sorted(
        sorted(candidates, key=lambda candidate: candidate.id),
        key=lambda candidate: candidate.created_at,
        reverse=True,
    )


def _hold_what_is_built_on(
    candidates: Iterable[Candidate], holding: Mapping[str, list[str]]
) -> None:
    """Add to what holds points that others which stay are built on them."""
    by_id = {candidate.id: candidate for candidate in candidates}
    staying = [candidate for candidate in by_id.values() if holding[candidate.id]]
    while staying:
        candidate = staying.pop()
        base = by_id.get(candidate.built_on or '')
        if base is None:
            continue
        if not holding[base.id]:
            staying.append(base)
        holding[base.id].append(f'{candidate.id}, which stays, is built on it')


def _exceeded(
    candidate: Candidate, number: int, policy: Policy, now: datetime.datetime
) -> Iterator[str]:
    if policy.max_backups and number > policy.max_backups:
        yield f'beyond max_backups {policy.max_backups}'
    if policy.retention_duration and (now - candidate.created_at).days > policy.retention_duration:
        yield f'older than retention_duration {_days(policy.retention_duration)}'


def _no_keep_rule(policy: Policy) -> Iterator[str]:
    if policy.has_any(KEEP_RULES):
        yield 'no keep rule holds it'


def _within_limits(exceeded: Mapping[str, Sequence[str]], policy: Policy) -> _Held:
    limits = []
    if policy.max_backups:
        limits.append(f'max_backups {policy.max_backups}')
    if policy.retention_duration:
        limits.append(f'retention_duration {_days(policy.retention_duration)}')
    reason = f'within {" and ".join(limits)}'
    return {candidate_id: reason for candidate_id, by in exceeded.items() if limits and not by}


def _last(counted: Sequence[Candidate], policy: Policy) -> _Held:
    count = policy.keep_last or 0
    return {
        candidate.id: f'keep_last {count}: number {number}'
        for number, candidate in enumerate(counted[:count], 1)
    }


def _newest_of_periods(
    name: str, counted: Sequence[Candidate], policy: Policy, zone: zoneinfo.ZoneInfo
) -> _Held:
    count = getattr(policy, name) or 0
    newest: dict[str, Candidate] = {}
    for candidate in counted:
        if len(newest) == count:
            break
        newest.setdefault(period(name, candidate.created_at, zone), candidate)
    return {
        candidate.id: f'{name} {count}: the newest of {when}' for when, candidate in newest.items()
    }


def period(name: str, moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> str:
    """The hour, day, week, month or year of a moment, as a rule counts them.

    :param name: one of :data:`PERIOD_RULES`.
    :param moment: UTC without a zone.
    """
    return _PERIODS[name](_local(moment, zone))


def _within(counted: Iterable[Candidate], policy: Policy, now: datetime.datetime) -> _Held:
    longest = policy.keep_within
    if not longest:
        return {}
    reason = f'keep_within {_age(longest)}: it is not older'
    return {candidate.id: reason for candidate in counted if now - candidate.created_at <= longest}


def _local(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    moment = min(max(moment, _FIRST_MOMENT), _LAST_MOMENT)
    return moment.replace(tzinfo=datetime.UTC).astimezone(zone)


def _hour(local: datetime.datetime) -> str:
    """With the offset, which tells an hour that comes twice apart."""
    text = local.isoformat(' ', 'hours')
    return f'{text[:13]}:00{text[13:]}'


def _day(local: datetime.datetime) -> str:
    return local.date().isoformat()


def _week(local: datetime.datetime) -> str:
    year, week, _ = local.isocalendar()
    return f'{year}-W{week:02}'


def _month(local: datetime.datetime) -> str:
    return f'{local.year}-{local.month:02}'


def _year(local: datetime.datetime) -> str:
    return str(local.year)


_PERIODS: dict[str, Callable[[datetime.datetime], str]] = {
    'keep_hourly': _hour,
    'keep_daily': _day,
    'keep_weekly': _week,
    'keep_monthly': _month,
    'keep_yearly': _year,
}


def _days(number: int) -> str:
    return '1 day' if number == 1 else f'{number} days'


def _age(age: datetime.timedelta) -> str:
    return f'{age // _HOUR}h' if age % _DAY else f'{age.days}d'


def _read(name: str, given: object) -> int | datetime.timedelta | None:
    if name == 'keep_within':
        return _read_age(name, given)
    if name in KEEP_RULES:
        return _read_count(name, given)
    return _read_limit(name, given)


def _read_limit(name: str, given: object) -> int | None:
    limit = _whole_number(given, _LIMIT)
    if limit is None or abs(limit) > _LARGEST_LIMIT:
        unit = 'days' if name == 'retention_duration' else 'checkpoints'
        raise _fault(name, given, f'a number of {unit} up to {_LARGEST_LIMIT}, or -1 for no limit')
    return limit if limit > 0 else None


def _read_count(name: str, given: object) -> int | None:
    count = _whole_number(given, _COUNT)
    if count is None or not 0 <= count <= _LARGEST_COUNT:
        raise _fault(name, given, f'a number of checkpoints from 0 to {_LARGEST_COUNT}')
    return count or None


def _read_age(name: str, given: object) -> datetime.timedelta:
    parts = _AGE.fullmatch(given) if isinstance(given, str) else None
    if parts is None or not int(parts[1]):
        raise _fault(
            name, given, 'a time of 1 to 99999 hours, days or weeks such as 36h, 14d or 8w'
        )
    return datetime.timedelta(**{_UNITS[parts[2]]: int(parts[1])})


def _whole_number(given: object, text: re.Pattern[str]) -> int | None:
    if isinstance(given, str):
        return int(given) if text.fullmatch(given) else None
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _fault(name: str, given: object, expected: str) -> exception.InvalidInput:
    return exception.InvalidInput(reason=f'{name}: {given!r} is not {expected}.')
