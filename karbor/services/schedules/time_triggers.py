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

"""Time triggers: what a request asks for, checked, and the times at which they fire.

Nothing here knows of a database, the API or what a trigger starts. Every moment is UTC
without a zone, as in :mod:`karbor.db.models`.
"""

import dataclasses
import datetime
import enum
import itertools
import re
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from karbor import exception
from karbor.services.schedules import calendar_rules, crontab, recurrence


class Format(enum.StrEnum):
    """How a pattern is read."""

    CRONTAB = 'crontab'
    CALENDAR = 'calendar'


class CatchUp(enum.StrEnum):
    """What becomes of fires that were missed."""

    SKIP = 'skip'
    LATEST = 'latest'


_CHECKS: Mapping[str, Callable[[str], object]] = {
    Format.CRONTAB: crontab.check,
    Format.CALENDAR: calendar_rules.read,
}
PROPERTIES = (
    'format',
    'pattern',
    'start_time',
    'end_time',
    'window',
    'timezone',
    'catch_up',
    'jitter',
)
_LONGEST_PATTERN = 4096
_DEFAULT_ZONE = 'UTC'

_TIME = re.compile(r'(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?', re.ASCII)
_ZONE = re.compile(r'[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}')
_SECONDS = re.compile('[0-9]{1,9}')
# Zones' clocks cannot be asked for times near the end of the calendar.
_START_YEARS = range(1970, 3000)

_SECOND = datetime.timedelta(seconds=1)
# How far the distance between fires is looked at: a pattern repeats itself by then.
_FIRES_LOOKED_AT = 100
_TIME_LOOKED_AT = datetime.timedelta(days=366)


@dataclasses.dataclass(frozen=True)
class TimeTrigger:
    """When something is to be done, again and again.

    :ivar format: how ``pattern`` is read: crontab or calendar.
    :ivar pattern: a crontab line, or iCalendar text with a recurrence rule.
    :ivar start_time: the beginning of the series, in whole seconds, UTC without a zone.
    :ivar end_time: the last moment at which it may fire, UTC without a zone.
    :ivar window: how much later than its time a fire may still run, in seconds.
    :ivar timezone: IANA name of the zone whose wall clock the pattern speaks of.
    :ivar catch_up: what becomes of fires that were missed for longer than the window: skip, or
        latest, which runs the last of them.
    :ivar jitter: by how much a fire is put off at most, in seconds; each one by another time.
    """

    format: str
    pattern: str
    start_time: datetime.datetime
    end_time: datetime.datetime | None
    window: int
    timezone: str = _DEFAULT_ZONE
    catch_up: CatchUp = CatchUp.SKIP
    jitter: int = 0


def parse(
    properties: Mapping[str, Any],
    *,
    now: datetime.datetime,
    min_window: int,
    max_window: int,
    min_interval: int,
) -> TimeTrigger:
    """The trigger that a request asks for.

    :param properties: format and pattern, and perhaps the others, as the request has them.
    :param now: UTC without a zone; what start_time is if it is not given.
    :param min_window: least window, in seconds, and the window if none is given.
    :param max_window: longest window, in seconds.
    :param min_interval: least time between two fires, in seconds. That a change of the clocks
        brings two closer is not held against a pattern.
    :raises InvalidInput: names the property and the fault.
    """
    for name in properties:
        if name not in PROPERTIES:
            raise _fault(name, f'there is no such property; there are {", ".join(PROPERTIES)}')
    window = _seconds(properties, 'window', default=min_window, least=min_window, most=max_window)
    trigger = TimeTrigger(
        format=_format(properties),
        pattern=_pattern(properties),
        start_time=_start_time(properties, now),
        end_time=_time(properties, 'end_time'),
        window=window,
        timezone=timezone(properties),
        catch_up=_catch_up(properties),
        jitter=_seconds(properties, 'jitter', default=0, least=0, most=window),
    )
    if trigger.end_time is not None and trigger.end_time <= trigger.start_time:
        raise _fault(
            'end_time',
            f'{_text(trigger.end_time)} is not after start_time {_text(trigger.start_time)}',
        )
    _check_fires(trigger, min_interval)
    return trigger


def load(properties: Mapping[str, Any]) -> TimeTrigger:
    """The trigger of properties that :func:`as_properties` gave.

    Nothing is held against options, which may have changed since.
    """
    end_time = properties.get('end_time')
    return TimeTrigger(
        format=properties['format'],
        pattern=properties['pattern'],
        start_time=datetime.datetime.fromisoformat(properties['start_time']),
        end_time=None if end_time is None else datetime.datetime.fromisoformat(end_time),
        window=properties['window'],
        timezone=properties.get('timezone', _DEFAULT_ZONE),
        catch_up=CatchUp(properties.get('catch_up', CatchUp.SKIP)),
        jitter=properties.get('jitter', 0),
    )


def as_properties(trigger: TimeTrigger) -> dict[str, Any]:
    """The properties of a trigger for storing and showing; :func:`parse` takes them, too."""
    properties: dict[str, Any] = {
        'format': trigger.format,
        'pattern': trigger.pattern,
        'start_time': _text(trigger.start_time),
        'window': trigger.window,
    }
    if trigger.end_time is not None:
        properties['end_time'] = _text(trigger.end_time)
    if trigger.timezone != _DEFAULT_ZONE:
        properties['timezone'] = trigger.timezone
    if trigger.catch_up != CatchUp.SKIP:
        properties['catch_up'] = trigger.catch_up.value
    if trigger.jitter:
        properties['jitter'] = trigger.jitter
    return properties


def next_times(
    trigger: TimeTrigger, after: datetime.datetime, count: int
) -> list[datetime.datetime]:
    """The next fires, of which there are fewer if the series ends; see :func:`fires`.

    :param count: how many at most, up to some hundreds.
    """
    return list(itertools.islice(fires(trigger, after), count))


def fires(trigger: TimeTrigger, after: datetime.datetime) -> Iterator[datetime.datetime]:
    """The fires after a moment, none of them before the trigger's start nor after its end.

    A crontab line does not fire at its start_time itself, a calendar rule does if it fits.

    :param trigger: from :func:`parse` or :func:`load`.
    :param after: UTC without a zone; every fire is later than this.
    """
    zone = zoneinfo.ZoneInfo(trigger.timezone)
    if trigger.format == Format.CRONTAB:
        series = crontab.fires(trigger.pattern, zone, max(after, trigger.start_time))
    else:
        series = recurrence.fires(
            calendar_rules.read(trigger.pattern), trigger.start_time, zone, after
        )
    end_time = trigger.end_time or datetime.datetime.max
    return itertools.takewhile(lambda fire: fire <= end_time, series)


def _check_fires(trigger: TimeTrigger, min_interval: int) -> None:
    series = fires(trigger, trigger.start_time - _SECOND)
    first = next(series, None)
    if first is None:
        end = '' if trigger.end_time is None else f' to {_text(trigger.end_time)}'
        raise _fault('pattern', f'it never fires from {_text(trigger.start_time)}{end}')
    looked_at = [
        first,
        *itertools.takewhile(
            lambda fire: fire - first <= _TIME_LOOKED_AT,
            itertools.islice(series, _FIRES_LOOKED_AT - 1),
        ),
    ]
    zone = zoneinfo.ZoneInfo(trigger.timezone)
    for earlier, later in itertools.pairwise(looked_at):
        distance = _distance(earlier, later, zone)
        if distance < min_interval:
            raise _fault(
                'pattern',
                f'it fires at {_text(earlier)} and at {_text(later)} UTC, '
                f'{distance} seconds apart, where {min_interval} is the '
                f'least',
            )


def _distance(earlier: datetime.datetime, later: datetime.datetime, zone: zoneinfo.ZoneInfo) -> int:
    """Seconds between two fires as time passes or as the clocks show it, whichever is more."""
    shown = recurrence.to_local(later, zone) - recurrence.to_local(earlier, zone)
    return int(max(later - earlier, shown).total_seconds())


def _fault(name: str, what: str) -> exception.InvalidInput:
    return exception.InvalidInput(reason=f'{name}: {what}.')


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat(' ', 'seconds')


def _required(properties: Mapping[str, Any], name: str) -> str:
    if name not in properties:
        raise _fault(name, 'it is required')
    value = properties[name]
    if not isinstance(value, str):
        raise _fault(name, f'{value!r} is not text')
    return value


def _format(properties: Mapping[str, Any]) -> str:
    value = _required(properties, 'format')
    if value not in _CHECKS:
        raise _fault('format', f'{value!r} is none of {", ".join(_CHECKS)}')
    return value


def _pattern(properties: Mapping[str, Any]) -> str:
    pattern_format = _format(properties)
    pattern = _required(properties, 'pattern')
    if len(pattern) > _LONGEST_PATTERN:
        raise _fault(
            'pattern', f'it has {len(pattern)} characters, where {_LONGEST_PATTERN} is the most'
        )
    reason = _misfit(pattern, pattern_format)
    if reason is None:
        return pattern
    other = format_of(pattern)
    if other is not None:
        raise _fault('pattern', f'it is written as {other}, but format is {pattern_format}')
    raise _fault('pattern', reason)


def format_of(pattern: str) -> str | None:
    """How a pattern is written; None if it is none."""
    return next((name for name in _CHECKS if _misfit(pattern, name) is None), None)


def _misfit(pattern: str, pattern_format: str) -> str | None:
    try:
        _CHECKS[pattern_format](pattern)
    except ValueError as exc:
        return str(exc)
    return None


def _start_time(properties: Mapping[str, Any], now: datetime.datetime) -> datetime.datetime:
    start_time = _time(properties, 'start_time') or now.replace(microsecond=0)
    if start_time.year not in _START_YEARS:
        raise _fault(
            'start_time',
            f'the year {start_time.year} is not from {_START_YEARS[0]} to {_START_YEARS[-1]}',
        )
    return start_time


def _time(properties: Mapping[str, Any], name: str) -> datetime.datetime | None:
    if name not in properties:
        return None
    given = properties[name]
    parts = _TIME.fullmatch(given) if isinstance(given, str) else None
    try:
        if parts is not None:
            date, time, zone = parts.groups('Z')
            moment = datetime.datetime.fromisoformat(f'{date}T{time}{zone}')
            return moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        pass
    raise _fault(
        name, f'{given!r} is not a time YYYY-MM-DD HH:MM:SS, in UTC or followed by an offset'
    )


def _seconds(
    properties: Mapping[str, Any], name: str, *, default: int, least: int, most: int
) -> int:
    given = properties.get(name, default)
    value = int(given) if isinstance(given, str) and _SECONDS.fullmatch(given) else given
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _fault(name, f'{given!r} is not a number of seconds from {least} to {most}')
    return value


def _catch_up(properties: Mapping[str, Any]) -> CatchUp:
    value = properties.get('catch_up', CatchUp.SKIP)
    if value not in tuple(CatchUp):
        raise _fault('catch_up', f'{value!r} is none of {", ".join(CatchUp)}')
    return CatchUp(value)


def timezone(properties: Mapping[str, Any]) -> str:
    """The name of the time zone in some properties, UTC if there is none.

    :raises InvalidInput: there is no such zone.
    """
    name = properties.get('timezone', _DEFAULT_ZONE)
    if isinstance(name, str) and _ZONE.fullmatch(name):
        try:
            return zoneinfo.ZoneInfo(name).key
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise _fault('timezone', f'{name!r} is not a time zone such as Europe/Berlin')
