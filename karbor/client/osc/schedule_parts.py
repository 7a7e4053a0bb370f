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

"""What options say of a schedule: when it fires, and what it keeps."""

import argparse
import pathlib
import re
from typing import Any

from osc_lib.exceptions import CommandError

from karbor.client.osc import words
from karbor.client.osc.base import lines
from karbor.client.schedules import Schedule, SchedulePreview

_DAYS = ('sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday')
_TIME = re.compile('([01]?[0-9]|2[0-3]):([0-5][0-9])')
# What --every makes: minute, hour, day of the month, day of the week.
_SIMPLE = re.compile(r'(\d{1,2}) (\d{1,2}|\*) (\d{1,2}|\*) \* ([0-6]|\*)')
_PERIODS = ('last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly')
_EVERY = ('hour', 'day', 'week', 'month')

Fields = dict[str, Any]


def add_times_to(parser: argparse.ArgumentParser, required: bool) -> None:
    """Options that say when it fires."""
    forms = parser.add_mutually_exclusive_group(required=required)
    forms.add_argument('--every', choices=_EVERY, help='How often')
    forms.add_argument('--cron', metavar='<line>', help='When, as in a crontab: "30 2 * * *"')
    forms.add_argument(
        '--ical', metavar='<file>', type=pathlib.Path, help='When, by the rule in a calendar file'
    )
    parser.add_argument(
        '--at',
        metavar='<HH:MM>',
        help='With --every, the time of day; of each hour, its minutes are taken (default: 00:00)',
    )
    parser.add_argument(
        '--on',
        metavar='<day>',
        help='With --every week, a day as monday (the default); with --every month, a day from 1 '
        '(the default) to 31',
    )
    parser.add_argument('--timezone', metavar='<zone>', help='As Europe/Berlin (default: UTC)')
    parser.add_argument('--start', metavar='<moment>', help='From when on, in UTC')
    parser.add_argument('--end', metavar='<moment>', help='Until when, in UTC')
    for name, told in (
        ('window', 'How late it may begin'),
        ('jitter', 'Up to how much later it begins, by chance'),
    ):
        parser.add_argument(f'--{name}', metavar='<seconds>', type=int, help=told)
    parser.add_argument(
        '--overlap',
        choices=('skip', 'queue'),
        help='Whether a run is left out or waits while the one before goes on (default: skip)',
    )


def add_rules_to(parser: argparse.ArgumentParser) -> None:
    """Options that say what is kept."""
    for period in _PERIODS:
        told = 'newest ones' if period == 'last' else f'{period} ones'
        parser.add_argument(
            f'--keep-{period}', metavar='<number>', type=int, help=f'Keep so many {told}'
        )
    parser.add_argument(
        '--keep-within', metavar='<time>', help='Keep all that are newer, as 36h, 14d or 8w'
    )


def times(parsed_args: argparse.Namespace) -> Fields:
    """What is said of when it fires.

    :raises CommandError: the options do not go together.
    """
    fields: Fields = {}
    if parsed_args.every:
        fields |= {'format': 'crontab', 'pattern': crontab(parsed_args)}
    elif parsed_args.at or parsed_args.on:
        raise CommandError('--at and --on go with --every.')
    if parsed_args.cron:
        fields |= {'format': 'crontab', 'pattern': parsed_args.cron}
    if parsed_args.ical:
        fields |= {'format': 'calendar', 'pattern': _read(parsed_args.ical)}
    for option, name in (
        ('timezone', 'timezone'),
        ('start', 'start_time'),
        ('end', 'end_time'),
        ('window', 'window'),
        ('jitter', 'jitter'),
        ('overlap', 'overlap'),
    ):
        if getattr(parsed_args, option) is not None:
            fields[name] = getattr(parsed_args, option)
    return fields


def crontab(parsed_args: argparse.Namespace) -> str:
    """The line of a crontab that --every, --at and --on mean.

    :raises CommandError: it cannot be read.
    """
    found = _TIME.fullmatch(parsed_args.at or '00:00')
    if found is None:
        raise CommandError(f'{parsed_args.at!r} is not a time as 02:30.')
    hour, minute = map(int, found.groups())
    every, on = parsed_args.every, parsed_args.on
    if on and every not in ('week', 'month'):
        raise CommandError('--on goes with --every week and --every month.')
    if every == 'hour':
        return f'{minute} * * * *'
    if every == 'week':
        day = (on or 'monday').lower()
        if day not in _DAYS:
            raise CommandError(f'{on!r} is none of {", ".join(_DAYS)}.')
        return f'{minute} {hour} * * {_DAYS.index(day)}'
    return f'{minute} {hour} {(on or "1") if every == "month" else "*"} * *'


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as fault:
        raise CommandError(f'{path} cannot be read: {fault}') from fault


def rules(parsed_args: argparse.Namespace) -> Fields:
    """What is said of what is kept; None ends a rule."""
    said = {f'keep_{period}': getattr(parsed_args, f'keep_{period}') for period in _PERIODS}
    said['keep_within'] = parsed_args.keep_within
    return {name: value or None for name, value in said.items() if value is not None}


def keeps(schedule: Schedule) -> str:
    """What a schedule keeps, for people."""
    if schedule.retention is None:
        return 'all'
    told = [
        f'{name.removeprefix("keep_").replace("_", " ")} {value}'
        for name, value in schedule.retention.items()
    ]
    return ', '.join(told) or 'all that is good'


def when(schedule: Schedule) -> str:
    """When a schedule fires, as it is said by --every; of a calendar, its rule."""
    lines = schedule.pattern.splitlines()
    shown = next((line for line in lines if line.startswith('RRULE')), None)
    return f'{shown or _every(schedule.pattern)} ({schedule.timezone})'


def _every(pattern: str) -> str:
    """What --every, --at and --on were for a line of a crontab; other lines stay."""
    found = _SIMPLE.fullmatch(pattern)
    if found is None:
        return pattern
    minute, hour, day, weekday = found.groups()
    if hour == '*':
        return pattern if (day, weekday) != ('*', '*') else f'every hour at :{int(minute):02}'
    at = f'at {int(hour):02}:{int(minute):02}'
    if weekday != '*':
        return pattern if day != '*' else f'every {_DAYS[int(weekday)].capitalize()} {at}'
    return f'every day {at}' if day == '*' else f'every month on day {int(day)} {at}'


def fires(shown: Schedule | SchedulePreview) -> str:
    """The next fires by the clocks of their zone."""
    return lines(words.moment_there(fire['local']) for fire in shown.next_fires or ())


def year(preview: SchedulePreview) -> str:
    """What a year of it would keep, and need."""
    most = preview.most
    told = [f'{words.counted(most["recovery_points"] or 0, "recovery point")} of a volume at most']
    if most['snapshots'] is not None:
        told.append(
            f'{words.counted(most["snapshots"], "snapshot")} of '
            f'{words.counted(most["volumes"] or 0, "volume")}, {words.size(most["gigabytes"])}, '
            'at once'
        )
    return lines([*told, *preview.remarks])
