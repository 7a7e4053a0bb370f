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

"""What a request for a time trigger may say, and what is refused with which reason."""

import contextlib
import datetime
import sys
from collections.abc import Iterator
from typing import Any

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from karbor import exception
from karbor.services.schedules import time_triggers

SETTINGS = hypothesis.settings(max_examples=100, deadline=None, database=None, derandomize=True)

NOW = datetime.datetime(2026, 1, 5, 10, 0, 0, 250000)
START = NOW.replace(microsecond=0)
NIGHTLY = '0 2 * * *'
ALL_HOURS = ','.join(map(str, range(24)))
ALL_MINUTES = ','.join(map(str, range(60)))


def event(rule: str) -> str:
    return f'BEGIN:VCALENDAR\nBEGIN:VEVENT\nRRULE:{rule}\nEND:VEVENT\nEND:VCALENDAR'


def parse(properties: dict[str, Any], min_interval: int = 3600) -> time_triggers.TimeTrigger:
    return time_triggers.parse(
        properties, now=NOW, min_window=900, max_window=1800, min_interval=min_interval
    )


def crontab(pattern: str = NIGHTLY, **properties: Any) -> time_triggers.TimeTrigger:
    return parse({'format': 'crontab', 'pattern': pattern, **properties})


def calendar(pattern: str, **properties: Any) -> time_triggers.TimeTrigger:
    return parse({'format': 'calendar', 'pattern': pattern, **properties})


class ParseTestCase(base.BaseTestCase):
    def assert_refused(self, wanted: str, properties: dict[str, Any]) -> None:
        """The reason begins with the property and has the words that are wanted."""
        fault = self.assertRaises(
            exception.InvalidInput, parse, {'format': 'crontab', 'pattern': NIGHTLY, **properties}
        )
        self.assertIn(f'Invalid input: {wanted}', str(fault))


class PropertiesTest(ParseTestCase):
    def test_what_is_left_out(self) -> None:
        self.assertEqual(
            time_triggers.TimeTrigger(
                format='crontab',
                pattern=NIGHTLY,
                start_time=START,
                end_time=None,
                window=900,
                timezone='UTC',
            ),
            crontab(),
        )

    def test_required(self) -> None:
        for name in ('format', 'pattern'):
            properties = {'format': 'crontab', 'pattern': NIGHTLY}
            del properties[name]
            fault = self.assertRaises(exception.InvalidInput, parse, properties)
            self.assertIn(f'{name}: it is required.', str(fault))
            self.assert_refused(f'{name}: 7 is not text', {name: 7})

    def test_unknown(self) -> None:
        self.assert_refused('colour: there is no such property', {'colour': 'red'})
        self.assert_refused("format: 'cron' is none of crontab, calendar", {'format': 'cron'})

    def test_format_is_honoured(self) -> None:
        self.assert_refused(
            'pattern: it is written as calendar, but format is crontab.',
            {'pattern': event('FREQ=DAILY')},
        )
        self.assert_refused(
            'pattern: it is written as crontab, but format is calendar.', {'format': 'calendar'}
        )

    def test_times(self) -> None:
        wanted = datetime.datetime(2026, 3, 1, 4, 5, 6)
        for given in (
            '2026-03-01 04:05:06',
            '2026-03-01T04:05:06',
            '2026-03-01T04:05:06Z',
            '2026-03-01T04:05:06.789012',
            '2026-03-01 05:35:06+01:30',
            '2026-02-28T23:05:06.5-05:00',
        ):
            self.assertEqual(wanted, crontab(start_time=given).start_time)
            self.assertEqual(wanted, crontab(end_time=given).end_time)

    def test_bad_times(self) -> None:
        for given in (
            '',
            'now',
            '2026-03-01',
            '2026-13-01 00:00:00',
            '2026-03-01 24:30:00',
            '20260301T040506',
            '2026-03-01 04:05:06 ',
            '2026-W09-1 00:00:00',
            '2026-03-01 04:05:06+99:00',
            '9999-12-31 23:59:59-05:00',
            None,
            5,
            '202\u0666-03-01 04:05:06',
        ):
            for name in ('start_time', 'end_time'):
                self.assert_refused(f'{name}: {given!r} is not a time', {name: given})

    def test_start_time_that_no_clock_can_be_asked_for(self) -> None:
        for year in ('1969', '3000', '9999'):
            self.assert_refused(
                f'start_time: the year {year} is not from 1970 to 2999',
                {'start_time': f'{year}-06-01 00:00:00'},
            )

    def test_end_time(self) -> None:
        for given in ('2026-01-05 10:00:00', '2020-01-01 00:00:00'):
            self.assert_refused(
                f'end_time: {given} is not after start_time 2026-01-05 10:00:00.',
                {'end_time': given},
            )
        forever = '9999-12-31 23:59:59'
        self.assertEqual(9999, crontab(end_time=forever, timezone='Pacific/Apia').end_time.year)

    def test_window(self) -> None:
        for given, wanted in ((900, 900), (1800, 1800), ('1200', 1200)):
            self.assertEqual(wanted, crontab(window=given).window)
        for given in (
            899,
            1801,
            -900,
            '899',
            '1_000',
            ' 900',
            '\u0661\u0660\u0660\u0660',
            '9' * 4000,
            1000.0,
            True,
            None,
            'x',
        ):
            self.assert_refused(
                f'window: {given!r} is not a number of seconds from 900 to 1800.', {'window': given}
            )

    def test_timezone(self) -> None:
        for name in ('Europe/Berlin', 'UTC', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5'):
            self.assertEqual(name, crontab(timezone=name).timezone)
        for given in (
            '',
            'Mars/Base',
            '../../etc/passwd',
            '/etc/passwd',
            'Europe/../UTC',
            'Europe',
            'Europe/',
            'a\0b',
            'x' * 5000,
            None,
            3,
            'Europe/Berlin\n',
        ):
            self.assert_refused(f'timezone: {given!r} is not a time zone', {'timezone': given})

    def test_properties_of_a_trigger(self) -> None:
        self.assertEqual(
            {
                'format': 'crontab',
                'pattern': NIGHTLY,
                'start_time': '2026-01-05 10:00:00',
                'window': 900,
            },
            time_triggers.as_properties(crontab()),
        )
        self.assertEqual(
            {
                'format': 'crontab',
                'pattern': NIGHTLY,
                'start_time': '2026-02-01 00:00:00',
                'end_time': '2026-03-01 00:00:00',
                'window': 1000,
                'timezone': 'Asia/Kolkata',
            },
            time_triggers.as_properties(
                crontab(
                    start_time='2026-02-01 00:00:00',
                    end_time='2026-03-01T05:30:00+05:30',
                    window='1000',
                    timezone='Asia/Kolkata',
                )
            ),
        )

    @SETTINGS
    @hypothesis.given(
        st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2999, 12, 1)),
        st.none() | st.integers(3 * 86400, 10**10),
        st.integers(900, 1800),
        st.sampled_from(['UTC', 'Europe/Berlin', 'Asia/Kolkata']),
    )
    def test_round_trip(
        self, start: datetime.datetime, length: int | None, window: int, timezone: str
    ) -> None:
        properties = {
            'format': 'crontab',
            'pattern': NIGHTLY,
            'start_time': start.isoformat(),
            'window': window,
            'timezone': timezone,
        }
        if length is not None:
            properties['end_time'] = (start + datetime.timedelta(seconds=length)).isoformat()
        trigger = parse(properties)
        stored = time_triggers.as_properties(trigger)
        self.assertEqual(trigger, time_triggers.load(stored))
        self.assertEqual(trigger, parse(stored))


class CrontabTest(ParseTestCase):
    def test_refused(self) -> None:
        for pattern in (
            '',
            'x',
            '@daily',
            '0 2 * *',
            '0 2 * * * *',
            '61 2 * * *',
            '0 2 31 4 *',
            '0 2 * * *\n0 3 * * *',
            '*/0 2 * * *',
            '0 5-2 * * *',
            '0 2 * * \u00b2L',
        ):
            self.assert_refused('pattern: it is not a crontab line', {'pattern': pattern})

    def test_never(self) -> None:
        self.assert_refused(
            'pattern: it never fires from 2026-01-05 10:00:00.', {'pattern': '0 0 */31 * 1#2'}
        )
        self.assert_refused(
            'pattern: it never fires from 2026-01-05 10:00:00 to 2026-01-06 01:59:59.',
            {'end_time': '2026-01-06 01:59:59'},
        )

    def test_too_often(self) -> None:
        self.assert_refused(
            'pattern: it fires at 2026-01-06 02:00:00 and at 2026-01-06 02:59:00 UTC, 3540 '
            'seconds apart, where 3600 is the least.',
            {'pattern': '0,59 2 * * *'},
        )
        self.assert_refused(
            'pattern: it fires at 2026-02-01 00:00:00 and at 2026-02-01 00:30:00',
            {'pattern': '0,30 0 1 * *'},
        )

    def test_a_change_of_the_clocks_is_not_held_against_it(self) -> None:
        """On 29 March, 01:30 and 02:30, which is 03:00, are half an hour apart."""
        crontab('30 1,2 * * *', start_time='2026-03-20 00:00:00', timezone='Europe/Berlin')


class CalendarTest(ParseTestCase):
    def assert_rule_refused(self, wanted: str, rule: str) -> None:
        self.assert_refused(f'pattern: {wanted}', {'format': 'calendar', 'pattern': event(rule)})

    def first(self, pattern: str, **properties: Any) -> str:
        trigger = calendar(pattern, **properties)
        return str(time_triggers.next_times(trigger, START, 1)[0])

    def test_text(self) -> None:
        rule = 'RRULE:FREQ=WEEKLY;BYDAY=TU'
        for pattern in (
            event('FREQ=WEEKLY;BYDAY=TU'),
            f'BEGIN:VEVENT\n{rule}\nEND:VEVENT',
            f'BEGIN:VEVENT\\n{rule};\\nEND:VEVENT',
            f'begin:vevent\r\n{rule}\r\nend:vevent\r\n',
            'BEGIN:VEVENT\nRRULE:FREQ=WEEK\n LY;BYDAY=TU\nEND:VEVENT',
        ):
            self.assertEqual('2026-01-06 10:00:00', self.first(pattern))

    def test_only_the_first_rule_counts(self) -> None:
        pattern = (
            'BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nBEGIN:STANDARD\nRRULE:FREQ=YEARLY\n'
            'END:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\nDTSTART:19990101T000000\n'
            'EXDATE:20260106T100000Z\nSUMMARY:x\nRRULE:FREQ=DAILY\nEND:VEVENT\n'
            'BEGIN:VEVENT\nRRULE:FREQ=YEARLY\nEND:VEVENT\nEND:VCALENDAR'
        )
        self.assertEqual('2026-01-06 10:00:00', self.first(pattern))

    def test_bad_text(self) -> None:
        for pattern, wanted in (
            ('', 'it is not iCalendar text with a VEVENT'),
            ('x', "'x' is not a line of iCalendar text"),
            ('RRULE:FREQ=DAILY', 'it is not iCalendar text with a VEVENT'),
            ('BEGIN:VEVENT\nEND:VEVENT', 'its first VEVENT has 0 RRULEs'),
            ('BEGIN:VEVENT\nRRULE:FREQ=DAILY\nRRULE:FREQ=DAILY', 'its first VEVENT has 2'),
            ('BEGIN:VEVENT\n' + 'X' * 5000, 'it has 5013 characters, where 4096 is the most'),
        ):
            self.assert_refused(f'pattern: {wanted}', {'format': 'calendar', 'pattern': pattern})

    def test_bad_rules(self) -> None:
        for rule, wanted in (
            ('', 'FREQ of the RRULE is to be one of'),
            ('FREQ=SECONDLY', 'FREQ of the RRULE is to be one of'),
            ('FREQ=NEVER', 'its RRULE is not valid'),
            ('FREQ=DAILY,WEEKLY', 'FREQ of the RRULE is to have one value'),
            ('FREQ=DAILY;INTERVAL=0', 'INTERVAL of the RRULE is to be from 1 to 1000'),
            ('FREQ=HOURLY;INTERVAL=1000001', 'INTERVAL of the RRULE is to be from 1 to'),
            ('FREQ=DAILY;COUNT=1001', 'COUNT of the RRULE is to be from 1 to 1000'),
            ('FREQ=DAILY;BYHOUR=24', 'BYHOUR of the RRULE is to be from 0 to 23'),
            ('FREQ=DAILY;BYHOUR=x', 'its RRULE is not valid'),
            ('FREQ=DAILY;BYMONTHDAY=0', 'BYMONTHDAY of the RRULE is to be from 1 to 31, or'),
            ('FREQ=DAILY;BYMONTH=13', 'BYMONTH of the RRULE is to be from 1 to 12'),
            ('FREQ=DAILY;BYSECOND=0,30', 'BYSECOND of the RRULE is to have one value'),
            ('FREQ=DAILY;BYDAY=1MO', 'BYDAY of the RRULE has a number'),
            ('FREQ=YEARLY;BYWEEKNO=2;BYDAY=1MO', 'BYDAY of the RRULE has a number'),
            ('FREQ=YEARLY;BYDAY=54MO', 'BYDAY of the RRULE is to have numbers from 1 to 53'),
            ('FREQ=WEEKLY;WKST=1MO', 'WKST of the RRULE is to be one of MO'),
            ('FREQ=DAILY;BYEASTER=1', 'BYEASTER of the RRULE is not supported'),
            ('FREQ=DAILY;UNTIL=P1D', 'UNTIL of the RRULE is to be a date'),
            ('FREQ=DAILY;UNTIL=19690101', 'UNTIL of the RRULE is to be a date'),
            ('FREQ=WEEKLY;BYDAY:TU', 'every part of the RRULE is to be NAME=VALUE'),
            ('FREQ=DAILY;BYHOUR=1;BYHOUR=2', 'every part of the RRULE is to be NAME=VALUE'),
            ('FREQ=HOURLY;BYSETPOS=1', 'FREQ=HOURLY and MINUTELY go neither'),
            ('FREQ=HOURLY;COUNT=5;BYHOUR=1', 'FREQ=HOURLY and MINUTELY go neither'),
        ):
            self.assert_rule_refused(wanted, rule)

    def test_never(self) -> None:
        for rule in (
            'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30',
            'FREQ=YEARLY;UNTIL=20260104',
            'FREQ=DAILY;BYSETPOS=2',
            'FREQ=HOURLY;INTERVAL=2;BYHOUR=3',
        ):
            self.assert_rule_refused('it never fires from 2026-01-05 10:00:00.', rule)

    def test_too_often(self) -> None:
        self.assert_rule_refused(
            'it fires at 2026-01-05 10:00:00 and at 2026-01-05 10:59:00 UTC, 3540 seconds apart',
            'FREQ=MINUTELY;INTERVAL=59',
        )
        trigger = parse({'format': 'calendar', 'pattern': event('FREQ=MINUTELY')}, 60)
        self.assertEqual(900, trigger.window)


@contextlib.contextmanager
def counted_calls() -> Iterator[list[int]]:
    """How many functions this thread calls and returns from meanwhile, in a list of one."""
    count = [0]

    def note(*_: Any) -> None:
        count[0] += 1

    sys.setprofile(note)
    try:
        yield count
    finally:
        sys.setprofile(None)


class CostTest(base.BaseTestCase):
    """dateutil takes seconds for the first of them. Calls are counted, which no load changes."""

    def test_it_takes_little_to_check_a_pattern(self) -> None:
        odd_minutes = ','.join(map(str, range(1, 60, 2)))
        positions = ','.join(map(str, range(1, 367)))
        never = 'BYMONTH=2;BYMONTHDAY=30'
        all_times = f'BYHOUR={ALL_HOURS};BYMINUTE={ALL_MINUTES}'
        patterns = [
            event(rule)
            for rule in (
                f'FREQ=HOURLY;{never}',
                f'FREQ=DAILY;{never}',
                f'FREQ=YEARLY;{never}',
                'FREQ=DAILY;BYMONTHDAY=1;BYWEEKNO=30;BYYEARDAY=1,2,3;BYDAY=MO,TU',
                f'FREQ=DAILY;{all_times};BYSETPOS={positions};{never}',
                f'FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;{all_times}',
                f'FREQ=MINUTELY;INTERVAL=2;BYMINUTE={odd_minutes}',
                'FREQ=MINUTELY;INTERVAL=61;BYHOUR=3;BYMINUTE=0',
                'FREQ=YEARLY;INTERVAL=1000',
                'FREQ=MINUTELY;INTERVAL=1000000',
            )
        ]
        for pattern in (*patterns, '0 0 */31 * 1#2', '0 0 29 2 */7', '* * * * *'):
            form = 'calendar' if '\n' in pattern else 'crontab'
            with counted_calls() as count, contextlib.suppress(exception.InvalidInput):
                parse({'format': form, 'pattern': pattern, 'timezone': 'Europe/Berlin'})
            self.assertLess(count[0], 1_000_000, pattern)

    @SETTINGS
    @hypothesis.given(
        st.text(max_size=200)
        | st.text('0123456789*/,-L#W \n', max_size=40)
        | st.text('FREQDAILYHOUBM=;,0123456789-+\\n:', max_size=60).map(event)
    )
    def test_any_text_is_taken_or_refused(self, pattern: str) -> None:
        for form in ('crontab', 'calendar'):
            with contextlib.suppress(exception.InvalidInput):
                parse({'format': form, 'pattern': pattern})
