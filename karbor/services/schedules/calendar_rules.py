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

"""iCalendar text: the recurrence rule of its first event, by icalendar."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import icalendar
from icalendar import parser

from karbor.services.schedules import recurrence

_FREQUENCIES = ('YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY', 'HOURLY', 'MINUTELY')
_WEEKDAYS = ('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU')

# Every one of them is looked at again whenever the next is wanted.
_MOST_FIRES = 1000
_LONGEST_INTERVAL = 1000
_LONGEST_INTERVAL_BY_HOURS = 1000000
_FIRST_YEAR = 1970
_SHOWN = 80

# What each part of numbers is in a rule, its largest number, and whether it counts from the
# end with numbers below zero.
_SETS = {
    'BYMONTH': ('months', 12, False),
    'BYMONTHDAY': ('month_days', 31, True),
    'BYYEARDAY': ('year_days', 366, True),
    'BYWEEKNO': ('weeks', 53, True),
    'BYHOUR': ('hours', 23, False),
    'BYMINUTE': ('minutes', 59, False),
    'BYSETPOS': ('positions', 366, True),
}
_FROM_ZERO = ('BYHOUR', 'BYMINUTE')
_KNOWN = {'FREQ', 'INTERVAL', 'COUNT', 'UNTIL', 'WKST', 'BYDAY', 'BYSECOND', *_SETS}

Parts = Mapping[str, Sequence[Any]]


def read(pattern: str) -> recurrence.Rule:
    """The rule of the first event; everything else, its start included, is left alone.

    :param pattern: lines, or one line with backslash and n between what is to be lines.
    :raises ValueError: says what is wrong.
    """
    parts = _parts(_rule_text(pattern.replace('\\n', '\n')))
    freq = str(_one(parts, 'FREQ'))
    if freq not in _FREQUENCIES:
        raise ValueError(f'FREQ of the RRULE is to be one of {", ".join(_FREQUENCIES)}')
    by_hours = freq in recurrence.BY_HOURS
    if by_hours:
        _check_by_hours(parts)
    sets = {
        name: _numbers(
            parts, part, least=0 if part in _FROM_ZERO else 1, most=most, from_end=from_end
        )
        for part, (name, most, from_end) in _SETS.items()
    }
    return recurrence.Rule(
        freq=freq,
        interval=_number(
            parts, 'INTERVAL', 1, _LONGEST_INTERVAL_BY_HOURS if by_hours else _LONGEST_INTERVAL
        )
        or 1,
        count=_number(parts, 'COUNT', 1, _MOST_FIRES),
        until=_until(parts),
        week_start=_week_start(parts),
        weekdays=_weekdays(parts, freq),
        second=_number(parts, 'BYSECOND', 0, 59),
        **sets,
    )


def _check_by_hours(parts: Parts) -> None:
    """Refuse what would take much work to find, all of which FREQ=DAILY has as well."""
    if 'BYSETPOS' in parts or ('COUNT' in parts and {'BYHOUR', 'BYMINUTE'} & set(parts)):
        raise ValueError(
            'FREQ=HOURLY and MINUTELY go neither with BYSETPOS nor with COUNT '
            'beside BYHOUR or BYMINUTE; FREQ=DAILY does'
        )


def _rule_text(text: str) -> str:
    inside = False
    rules = []
    for line in parser.Contentlines.from_ical(text):
        name, value = _split(line)
        if (name, value.upper()) == ('BEGIN', 'VEVENT'):
            inside = True
        elif (name, value.upper()) == ('END', 'VEVENT'):
            break
        elif inside and name == 'RRULE':
            rules.append(value)
    if not inside:
        raise ValueError('it is not iCalendar text with a VEVENT')
    if len(rules) != 1:
        raise ValueError(f'its first VEVENT has {len(rules)} RRULEs where one is wanted')
    return rules[0]


def _split(line: parser.Contentline) -> tuple[str, str]:
    if not line:
        return '', ''
    try:
        name, _, value = line.parts()
    except ValueError as exc:
        raise ValueError(f'{line[:_SHOWN]!r} is not a line of iCalendar text') from exc
    return name.upper(), value


def _parts(rule: str) -> Parts:
    try:
        parts = icalendar.vRecur.from_ical(rule)
    except ValueError as exc:
        raise ValueError(f'its RRULE is not valid: {exc}') from exc
    unknown = sorted(set(parts) - _KNOWN)
    if unknown:
        raise ValueError(f'{", ".join(unknown)} of the RRULE is not supported')
    # icalendar leaves out what it cannot split, and keeps the last of what comes twice.
    if len(parts) != len([part for part in rule.split(';') if part.strip()]):
        raise ValueError('every part of the RRULE is to be NAME=VALUE, and given once')
    return parts


def _one(parts: Parts, name: str) -> Any:
    values = parts.get(name, [None])
    if len(values) != 1:
        raise ValueError(f'{name} of the RRULE is to have one value')
    return values[0]


def _number(parts: Parts, name: str, least: int, most: int) -> int | None:
    value = _one(parts, name)
    if value is not None and not least <= value <= most:
        raise ValueError(f'{name} of the RRULE is to be from {least} to {most}')
    return value


def _numbers(parts: Parts, name: str, *, least: int, most: int, from_end: bool) -> frozenset[int]:
    values = frozenset(int(value) for value in parts.get(name, ()))
    if not all(least <= (abs(value) if from_end else value) <= most for value in values):
        sign = ', or as much below zero' if from_end else ''
        raise ValueError(f'{name} of the RRULE is to be from {least} to {most}{sign}')
    return values


def _week_start(parts: Parts) -> int:
    day = _one(parts, 'WKST') or _WEEKDAYS[0]
    if day not in _WEEKDAYS:
        raise ValueError(f'WKST of the RRULE is to be one of {", ".join(_WEEKDAYS)}')
    return _WEEKDAYS.index(day)


def _weekdays(parts: Parts, freq: str) -> frozenset[tuple[int, int]]:
    given = parts.get('BYDAY', ())
    days = frozenset((day.relative or 0, _WEEKDAYS.index(day.weekday)) for day in given)
    if any(which for which, _ in days) and (
        freq not in ('YEARLY', 'MONTHLY') or 'BYWEEKNO' in parts
    ):
        raise ValueError(
            'BYDAY of the RRULE has a number, which goes with FREQ=YEARLY or '
            'MONTHLY only, and not with BYWEEKNO'
        )
    if not all(abs(which) <= 53 for which, _ in days):
        raise ValueError('BYDAY of the RRULE is to have numbers from 1 to 53')
    return days


def _until(parts: Parts) -> datetime.date | None:
    until = _one(parts, 'UNTIL')
    if until is None:
        return None
    if not isinstance(until, datetime.date) or until.year < _FIRST_YEAR:
        raise ValueError(
            f'UNTIL of the RRULE is to be a date, or a date with a time, from {_FIRST_YEAR} on'
        )
    # Later than any fire; a zone's clocks cannot be asked for the last days of the calendar.
    return until if until.year < datetime.MAXYEAR else None
