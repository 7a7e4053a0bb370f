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

"""Recurrence rules of iCalendar (RFC 5545, section 3.3.10) and when they fire.

``dateutil.rrule`` is not used for three reasons. It cannot be stopped between two fires:
``FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30`` keeps a processor busy for seconds, up to the year
9999. It counts hours on the wall clock, so an hourly rule pauses for two hours when the clocks
go back. And it walks through the whole series to find what is next. The unit tests hold this
module against it.
"""

import calendar
import dataclasses
import datetime
import itertools
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import TypeAlias

# What of FREQ goes on in real time.
BY_HOURS = ('HOURLY', 'MINUTELY')

_YEAR = 366
# A rule that does not fire for so long is over. All dates and weekdays come around within 28
# years, or 40 where a year without a leap day, as 2100, is between.
_LONGEST_SEARCH = datetime.timedelta(days=40 * _YEAR)
# Of a rule by hours or minutes that hardly ever finds a time it wants, no more is looked at.
_MOST_STEPS = 3000

Moment: TypeAlias = datetime.datetime
Numbers: TypeAlias = frozenset[int]
_NONE: Numbers = frozenset()


@dataclasses.dataclass(frozen=True)
class Rule:
    """A recurrence rule; an empty set leaves its part of the rule out.

    :ivar freq: YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY or MINUTELY.
    :ivar until: the last moment: a whole day of the trigger's zone, a time without a zone in
        it, or a time with one.
    :ivar week_start: 0 for Monday.
    :ivar weekdays: pairs of which one in the month or year (0 for every one) and weekday.
    :ivar positions: which of a period's fires count.
    """

    freq: str
    interval: int = 1
    count: int | None = None
    until: datetime.date | None = None
    week_start: int = 0
    months: Numbers = _NONE
    month_days: Numbers = _NONE
    year_days: Numbers = _NONE
    weeks: Numbers = _NONE
    weekdays: frozenset[tuple[int, int]] = frozenset()
    hours: Numbers = _NONE
    minutes: Numbers = _NONE
    second: int | None = None
    positions: Numbers = _NONE


def to_local(moment: Moment, zone: zoneinfo.ZoneInfo) -> Moment:
    """What the clocks of a zone show at a moment in UTC; neither carries its zone."""
    return moment.replace(tzinfo=datetime.UTC).astimezone(zone).replace(tzinfo=None)


def to_utc(local: Moment, zone: zoneinfo.ZoneInfo) -> Moment:
    """The moment in UTC at which the clocks of a zone show a time; neither carries its zone.

    It is the first one where they show it twice, and the first minute that they do show where
    they leave it out.
    """
    while True:
        moment = local.replace(tzinfo=zone, fold=0).astimezone(datetime.UTC).replace(tzinfo=None)
        if to_local(moment, zone) == local:
            return moment
        local = local.replace(second=0) + datetime.timedelta(minutes=1)


def fires(rule: Rule, start: Moment, zone: zoneinfo.ZoneInfo, after: Moment) -> Iterator[Moment]:
    """The moments at which a rule fires, as UTC without a zone.

    Rules by days and longer follow the wall clock, see :func:`to_utc`; rules by hours and
    minutes go on in real time when the clocks change.

    :param start: the beginning of the series in whole seconds, as UTC without a zone. It gives
        what the rule leaves open, such as the hour of a daily one, and fires if it fits.
    :param zone: the zone that the rule speaks of.
    :param after: UTC without a zone; the first fire is later than this.
    :returns: what ends with the series, or when a rule is hardly ever met: none of its fires
        are found for 40 years or, by hours and minutes, in the next few thousand attempts.
    """
    since = start if rule.count else max(start, after)
    until = _last_moment(rule, zone)
    found = 0
    last = start - datetime.timedelta(seconds=1)
    for moment in (_by_hours if rule.freq in BY_HOURS else _by_days)(rule, start, zone, since):
        if until is not None and moment > until:
            return
        if moment <= last:
            continue
        last = moment
        found += 1
        if rule.count is not None and found > rule.count:
            return
        if moment > after:
            yield moment


def _last_moment(rule: Rule, zone: zoneinfo.ZoneInfo) -> Moment | None:
    if not isinstance(rule.until, datetime.datetime):
        if rule.until is None:
            return None
        return to_utc(datetime.datetime.combine(rule.until, datetime.time(23, 59, 59)), zone)
    if rule.until.tzinfo is None:
        return to_utc(rule.until, zone)
    return rule.until.astimezone(datetime.UTC).replace(tzinfo=None)


def _by_days(rule: Rule, start: Moment, zone: zoneinfo.ZoneInfo, since: Moment) -> Iterator[Moment]:
    local = to_local(start, zone)
    rule = _completed(rule, local)
    times = [
        datetime.time(hour, minute, rule.second or 0)
        for hour in sorted(rule.hours)
        for minute in sorted(rule.minutes)
    ]
    positions = sorted(rule.positions, key=abs)
    first = to_local(since, zone).date()
    limit = first + _LONGEST_SEARCH
    for days in _periods(rule, local.date(), first):
        if days[0] > limit:
            return
        chosen = [day for day in days if _fits(rule, day)]
        for day, time in _picked(positions, chosen, times, first):
            yield to_utc(datetime.datetime.combine(day, time), zone)
            limit = day + _LONGEST_SEARCH


def _completed(rule: Rule, local: Moment) -> Rule:
    """The rule with what it leaves open taken from the beginning of its series."""
    rule = dataclasses.replace(
        rule,
        hours=rule.hours or frozenset({local.hour}),
        minutes=rule.minutes or frozenset({local.minute}),
        second=local.second if rule.second is None else rule.second,
    )
    if rule.weeks or rule.year_days or rule.month_days or rule.weekdays:
        return rule
    if rule.freq == 'WEEKLY':
        return dataclasses.replace(rule, weekdays=frozenset({(0, local.weekday())}))
    if rule.freq == 'MONTHLY':
        return dataclasses.replace(rule, month_days=frozenset({local.day}))
    if rule.freq == 'YEARLY':
        return dataclasses.replace(
            rule, months=rule.months or frozenset({local.month}), month_days=frozenset({local.day})
        )
    return rule


def _periods(
    rule: Rule, start: datetime.date, since: datetime.date
) -> Iterator[Sequence[datetime.date]]:
    """The days of every year, month, week or day that is the rule's turn.

    :param start: a day of the first period.
    :param since: a day in or after the first period; earlier periods are left out.
    """
    if rule.freq in ('DAILY', 'WEEKLY'):
        length = 7 if rule.freq == 'WEEKLY' else 1
        origin = start.toordinal() - (start.weekday() - rule.week_start) % 7 % length
        for first in _turns(origin, since.toordinal(), length * rule.interval):
            yield list(_days(first, length))
    else:
        months = 12 if rule.freq == 'YEARLY' else 1
        origin = start.year * 12 + (start.month - 1) // months
        for index in _turns(origin, since.year * 12 + since.month - 1, months * rule.interval):
            first, end = (
                datetime.date(month // 12, month % 12 + 1, 1).toordinal()
                for month in (index, index + months)
            )
            yield list(_days(first, end - first))


def _turns(origin: int, since: int, step: int) -> Iterator[int]:
    return itertools.count(origin + (since - origin) // step * step, step)


def _days(first: int, length: int) -> Iterator[datetime.date]:
    return map(datetime.date.fromordinal, range(first, first + length))


def _picked(
    positions: Sequence[int],
    days: Sequence[datetime.date],
    times: Sequence[datetime.time],
    first: datetime.date,
) -> Iterator[tuple[datetime.date, datetime.time]]:
    """The fires of a period, from the day ``first`` on if nothing depends on earlier ones.

    :param positions: the next to either end first, so that the far ones cost nothing.
    """
    if not positions:
        yield from itertools.product((day for day in days if day >= first), times)
        return
    total = len(days) * len(times)
    there = itertools.takewhile(lambda position: abs(position) <= total, positions)
    for index in sorted({position - 1 if position > 0 else total + position for position in there}):
        yield days[index // len(times)], times[index % len(times)]


def _fits(rule: Rule, day: datetime.date) -> bool:
    return (
        (not rule.months or day.month in rule.months)
        and (
            not rule.month_days
            or _is_in(rule.month_days, day.day, calendar.monthrange(day.year, day.month)[1])
        )
        and (not rule.weekdays or _is_weekday(rule, day))
        and (not rule.year_days or _is_in(rule.year_days, *_in_year(day)))
        and (not rule.weeks or _is_in_week(rule, day))
    )


def _is_in(wanted: Numbers, position: int, length: int) -> bool:
    """Whether a position is wanted, counted from the beginning or, below zero, from the end."""
    return position in wanted or position - length - 1 in wanted


def _in_year(day: datetime.date) -> tuple[int, int]:
    return day.timetuple().tm_yday, 366 if calendar.isleap(day.year) else 365


def _is_weekday(rule: Rule, day: datetime.date) -> bool:
    weekday = day.weekday()
    if (0, weekday) in rule.weekdays:
        return True
    wanted = frozenset(which for which, name in rule.weekdays if name == weekday)
    if not wanted:
        return False
    if rule.freq == 'YEARLY' and not rule.months:
        position, length = _in_year(day)
    else:
        position, length = day.day, calendar.monthrange(day.year, day.month)[1]
    return (position + 6) // 7 in wanted or -((length - position) // 7 + 1) in wanted


def _is_in_week(rule: Rule, day: datetime.date) -> bool:
    """A week belongs to the year that has the greater part of it, and so its fourth day."""
    fourth = day + datetime.timedelta(days=3 - (day.weekday() - rule.week_start) % 7)
    position, length = _in_year(fourth)
    return (position + 6) // 7 in rule.weeks or -((length - position) // 7 + 1) in rule.weeks


def _by_hours(
    rule: Rule, start: Moment, zone: zoneinfo.ZoneInfo, since: Moment
) -> Iterator[Moment]:
    step = (
        datetime.timedelta(hours=rule.interval)
        if rule.freq == 'HOURLY'
        else datetime.timedelta(minutes=rule.interval)
    )
    moment = start + (since - start) // step * step
    limit = since + _LONGEST_SEARCH
    for _ in range(_MOST_STEPS):
        if moment > limit:
            return
        local = to_local(moment, zone)
        wanted = _next_wanted(rule, local)
        if wanted == local:
            yield from _in_turn(rule, moment, local, zone)
            moment += step
        else:
            # Rounded up; the clocks going back may have it that nothing lies between.
            moment += step * max(1, -((moment - to_utc(wanted, zone)) // step))


def _next_wanted(rule: Rule, local: Moment) -> Moment:
    """The time itself if the rule wants it, or one up to which nothing is wanted."""
    today = local.date()
    if not _fits(rule, today):
        days = _days(today.toordinal() + 1, _YEAR)
        day = next(
            (day for day in days if _fits(rule, day)), today + datetime.timedelta(days=_YEAR)
        )
        return datetime.datetime.combine(day, datetime.time())
    if rule.hours and local.hour not in rule.hours:
        hours = min((hour - local.hour) % 24 for hour in rule.hours)
        return local.replace(minute=0, second=0) + datetime.timedelta(hours=hours)
    if rule.freq == 'MINUTELY' and rule.minutes and local.minute not in rule.minutes:
        minutes = min((minute - local.minute) % 60 for minute in rule.minutes)
        return local.replace(second=0) + datetime.timedelta(minutes=minutes)
    return local


def _in_turn(
    rule: Rule, moment: Moment, local: Moment, zone: zoneinfo.ZoneInfo
) -> Iterator[Moment]:
    """The fires of an hour or a minute whose turn it is."""
    if rule.second is not None:
        moment += datetime.timedelta(seconds=rule.second - local.second)
    if rule.freq == 'MINUTELY' or not rule.minutes:
        yield moment
        return
    for minute in sorted(rule.minutes):
        fire = moment + datetime.timedelta(minutes=minute - local.minute)
        # On Lord Howe Island the clocks change by half an hour.
        if to_local(fire, zone).minute == minute:
            yield fire
