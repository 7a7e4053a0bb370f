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

"""When triggers fire: goldens through changes of the clocks, and properties of every series."""

import datetime
import itertools
from typing import Any

import hypothesis
from dateutil import rrule
from hypothesis import strategies as st
from oslotest import base

from karbor import exception
from karbor.services.schedules import time_triggers

SETTINGS = hypothesis.settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.filter_too_much],
)

WEEKDAYS = ('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU')

# Format, pattern, zone, start in local time, the next fires in local time.
GOLDENS = (
    # A daily one fires once: at the first valid time, and in the first of two equal hours.
    (
        'crontab',
        '30 2 * * *',
        'Europe/Berlin',
        '2026-03-27T12:00+01:00',
        '03-28T02:30+01:00',
        '03-29T03:00+02:00',
        '03-30T02:30+02:00',
    ),
    (
        'calendar',
        'FREQ=DAILY;BYHOUR=2;BYMINUTE=30',
        'Europe/Berlin',
        '2026-03-27T12:00+01:00',
        '03-28T02:30+01:00',
        '03-29T03:00+02:00',
        '03-30T02:30+02:00',
    ),
    (
        'crontab',
        '30 2 * * *',
        'Europe/Berlin',
        '2026-10-23T12:00+02:00',
        '10-24T02:30+02:00',
        '10-25T02:30+02:00',
        '10-26T02:30+01:00',
    ),
    (
        'calendar',
        'FREQ=DAILY;BYHOUR=2;BYMINUTE=30',
        'Europe/Berlin',
        '2026-10-23T12:00+02:00',
        '10-24T02:30+02:00',
        '10-25T02:30+02:00',
        '10-26T02:30+01:00',
    ),
    # Asked within the second of the hours.
    ('crontab', '30 2 * * *', 'Europe/Berlin', '2026-10-25T02:10+01:00', '10-26T02:30+01:00'),
    ('crontab', '50 2 * * *', 'Europe/Berlin', '2026-10-25T02:45+01:00', '10-26T02:50+01:00'),
    (
        'calendar',
        'FREQ=DAILY;BYHOUR=2',
        'Europe/Berlin',
        '2026-10-25T02:10+01:00',
        '10-26T02:10+01:00',
    ),
    # What would fire several times in the hour that is left out fires once.
    (
        'crontab',
        '0,30 2,3 * * *',
        'Europe/Berlin',
        '2026-03-29T00:00+01:00',
        '03-29T03:00+02:00',
        '03-29T03:30+02:00',
        '03-30T02:00+02:00',
    ),
    (
        'calendar',
        'FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30',
        'Europe/Berlin',
        '2026-03-29T00:00+01:00',
        '03-29T03:00+02:00',
        '03-29T03:30+02:00',
        '03-30T02:00+02:00',
    ),
    # An hourly one goes on in real time.
    (
        'crontab',
        '0 * * * *',
        'Europe/Berlin',
        '2026-03-29T00:30+01:00',
        '03-29T01:00+01:00',
        '03-29T03:00+02:00',
        '03-29T04:00+02:00',
    ),
    (
        'calendar',
        'FREQ=HOURLY;BYMINUTE=0',
        'Europe/Berlin',
        '2026-03-29T00:30+01:00',
        '03-29T01:00+01:00',
        '03-29T03:00+02:00',
        '03-29T04:00+02:00',
    ),
    (
        'crontab',
        '0 */1 * * *',
        'Europe/Berlin',
        '2026-10-25T00:30+02:00',
        '10-25T01:00+02:00',
        '10-25T02:00+02:00',
        '10-25T02:00+01:00',
        '10-25T03:00+01:00',
    ),
    (
        'calendar',
        'FREQ=HOURLY',
        'Europe/Berlin',
        '2026-10-25T00:30+02:00',
        '10-25T00:30+02:00',
        '10-25T01:30+02:00',
        '10-25T02:30+02:00',
        '10-25T02:30+01:00',
    ),
    (
        'calendar',
        'FREQ=MINUTELY;INTERVAL=90',
        'Europe/Berlin',
        '2026-10-25T00:30+02:00',
        '10-25T00:30+02:00',
        '10-25T02:00+02:00',
        '10-25T02:30+01:00',
        '10-25T04:00+01:00',
    ),
    # A star does not make real time of what is not hourly, as it would in Debian's cron.
    (
        'crontab',
        '0 */2 * * *',
        'Europe/Berlin',
        '2026-10-25T01:00+02:00',
        '10-25T02:00+02:00',
        '10-25T04:00+01:00',
    ),
    (
        'crontab',
        '*/60 2 * * *',
        'Europe/Berlin',
        '2026-03-28T12:00+01:00',
        '03-29T03:00+02:00',
        '03-30T02:00+02:00',
    ),
    (
        'crontab',
        '*/60 2 * * *',
        'Europe/Berlin',
        '2026-10-25T00:00+02:00',
        '10-25T02:00+02:00',
        '10-26T02:00+01:00',
    ),
    (
        'crontab',
        '15 2 * * *',
        'America/New_York',
        '2026-03-07T00:00-05:00',
        '03-07T02:15-05:00',
        '03-08T03:00-04:00',
        '03-09T02:15-04:00',
    ),
    (
        'calendar',
        'FREQ=DAILY',
        'America/New_York',
        '2026-10-31T01:15-04:00',
        '10-31T01:15-04:00',
        '11-01T01:15-04:00',
        '11-02T01:15-05:00',
    ),
    (
        'calendar',
        'FREQ=WEEKLY;BYDAY=SU',
        'America/New_York',
        '2026-03-01T02:15-05:00',
        '03-01T02:15-05:00',
        '03-08T03:00-04:00',
        '03-15T02:15-04:00',
    ),
    # Half an hour.
    (
        'crontab',
        '15 2 * * *',
        'Australia/Lord_Howe',
        '2026-10-03T00:00+10:30',
        '10-03T02:15+10:30',
        '10-04T02:30+11:00',
        '10-05T02:15+11:00',
    ),
    (
        'calendar',
        'FREQ=DAILY',
        'Australia/Lord_Howe',
        '2026-04-04T01:45+11:00',
        '04-04T01:45+11:00',
        '04-05T01:45+11:00',
        '04-06T01:45+10:30',
    ),
    (
        'crontab',
        '0 * * * *',
        'Australia/Lord_Howe',
        '2026-04-05T00:30+11:00',
        '04-05T01:00+11:00',
        '04-05T02:00+10:30',
        '04-05T03:00+10:30',
    ),
    (
        'calendar',
        'FREQ=HOURLY;BYMINUTE=0',
        'Australia/Lord_Howe',
        '2026-04-05T00:30+11:00',
        '04-05T01:00+11:00',
        '04-05T02:00+10:30',
        '04-05T03:00+10:30',
    ),
    (
        'calendar',
        'FREQ=HOURLY;BYMINUTE=0',
        'Australia/Lord_Howe',
        '2026-10-04T00:30+10:30',
        '10-04T01:00+10:30',
        '10-04T03:00+11:00',
        '10-04T04:00+11:00',
    ),
    (
        'crontab',
        '0 9 * * 1-5',
        'Asia/Kolkata',
        '2026-01-02T12:00+05:30',
        '01-05T09:00+05:30',
        '01-06T09:00+05:30',
    ),
    (
        'calendar',
        'FREQ=HOURLY;BYDAY=FR;BYHOUR=9,23',
        'Asia/Kolkata',
        '2026-01-02T22:30+05:30',
        '01-02T23:30+05:30',
        '01-09T09:30+05:30',
    ),
    (
        'crontab',
        '0 0 1 * *',
        'UTC',
        '2026-01-01T00:00+00:00',
        '02-01T00:00+00:00',
        '03-01T00:00+00:00',
    ),
    (
        'calendar',
        'FREQ=MONTHLY',
        'UTC',
        '2026-01-31T00:00+00:00',
        '01-31T00:00+00:00',
        '03-31T00:00+00:00',
    ),
    (
        'calendar',
        'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1',
        'UTC',
        '2026-01-01T06:00+00:00',
        '01-30T06:00+00:00',
        '02-27T06:00+00:00',
    ),
    (
        'calendar',
        'FREQ=MINUTELY;INTERVAL=60;',
        'UTC',
        '2026-01-01T06:10+00:00',
        '01-01T06:10+00:00',
        '01-01T07:10+00:00',
    ),
    (
        'calendar',
        'FREQ=HOURLY;BYMINUTE=5;BYSECOND=7',
        'UTC',
        '2026-01-01T06:10+00:00',
        '01-01T07:05:07+00:00',
        '01-01T08:05:07+00:00',
    ),
)
# Rule, zone, the last fire in UTC; the series begins at noon UTC on 1 January 2026.
LAST = (
    ('FREQ=DAILY;COUNT=3', 'Europe/Berlin', '2026-01-03T12:00'),
    ('FREQ=HOURLY;INTERVAL=36;COUNT=3', 'Europe/Berlin', '2026-01-04T12:00'),
    ('FREQ=DAILY;UNTIL=20260105T120000Z', 'Asia/Kolkata', '2026-01-05T12:00'),
    ('FREQ=DAILY;UNTIL=20260105T115959Z', 'Asia/Kolkata', '2026-01-04T12:00'),
    # 12:00 UTC is 17:30 in Kolkata.
    ('FREQ=DAILY;UNTIL=20260105T173000', 'Asia/Kolkata', '2026-01-05T12:00'),
    ('FREQ=DAILY;UNTIL=20260105T172959', 'Asia/Kolkata', '2026-01-04T12:00'),
    ('FREQ=DAILY;UNTIL=20260105', 'Asia/Kolkata', '2026-01-05T12:00'),
    ('FREQ=HOURLY;UNTIL=20260105', 'Asia/Kolkata', '2026-01-05T18:00'),
)


def utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC).replace(tzinfo=None)


def trigger(
    form: str, pattern: str, zone: str, start: datetime.datetime, **properties: Any
) -> time_triggers.TimeTrigger:
    if form == 'calendar':
        pattern = f'BEGIN:VEVENT\nRRULE:{pattern}\nEND:VEVENT'
    return time_triggers.parse(
        {
            'format': form,
            'pattern': pattern,
            'timezone': zone,
            'start_time': start.isoformat(),
            **properties,
        },
        now=start,
        min_window=0,
        max_window=1,
        min_interval=1,
    )


def trigger_that_fires(*args: Any, **properties: Any) -> time_triggers.TimeTrigger:
    """dateutil would look for others up to the year 9999."""
    try:
        return trigger(*args, **properties)
    except exception.InvalidInput as exc:
        if 'it never fires' not in str(exc):
            raise
        hypothesis.reject()


class GoldenTest(base.BaseTestCase):
    def test_next_times(self) -> None:
        for form, pattern, zone, start, *wanted in GOLDENS:
            begin = utc(start)
            found = time_triggers.next_times(
                trigger(form, pattern, zone, begin), begin - datetime.timedelta(1), len(wanted)
            )
            self.assertEqual([utc(f'2026-{text}') for text in wanted], found, (form, pattern, zone))

    def test_last(self) -> None:
        start = datetime.datetime(2026, 1, 1, 12)
        for rule, zone, last in LAST:
            series = trigger('calendar', rule, zone, start)
            found = time_triggers.next_times(series, start - datetime.timedelta(1), 200)
            self.assertEqual(datetime.datetime.fromisoformat(last), found[-1], rule)
            self.assertEqual([], time_triggers.next_times(series, found[-1], 1))

    def test_start_and_end(self) -> None:
        start = datetime.datetime(2026, 1, 1)
        early = start - datetime.timedelta(days=400)
        for form, pattern, wanted in (
            ('crontab', '0 0 * * *', [2, 3]),
            ('calendar', 'FREQ=DAILY', [1, 2, 3]),
        ):
            series = trigger(form, pattern, 'UTC', start, end_time='2026-01-03 00:00:00')
            found = time_triggers.next_times(series, early, 9)
            self.assertEqual([datetime.datetime(2026, 1, day) for day in wanted], found)

    def test_an_old_series_is_not_walked_through(self) -> None:
        series = trigger(
            'calendar', 'FREQ=MINUTELY;INTERVAL=7', 'Europe/Berlin', datetime.datetime(1970, 1, 1)
        )
        (found,) = time_triggers.next_times(series, datetime.datetime(2026, 5, 5, 5, 5), 1)
        self.assertEqual(0, (found - series.start_time).total_seconds() % 420)
        self.assertLess(found, datetime.datetime(2026, 5, 5, 5, 13))


def numbers(least: int, most: int, size: int = 4) -> st.SearchStrategy[str]:
    return st.lists(st.integers(least, most), min_size=1, max_size=size, unique=True).map(
        lambda values: ','.join(map(str, values))
    )


def from_both_ends(most: int, size: int = 6) -> st.SearchStrategy[str]:
    return st.lists(
        st.integers(1, most) | st.integers(-most, -1), min_size=1, max_size=size, unique=True
    ).map(lambda values: ','.join(map(str, values)))


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Recurrence rules in which dateutil has no fault that is known.

    It lets BYDAY=MO,1TU never fire, counts BYSETPOS in a first week from the series' first
    day, and is a week off with BYWEEKNO at some turns of the year if weeks do not begin on
    Monday.
    """
    freq = draw(st.sampled_from(['YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY', 'HOURLY', 'MINUTELY']))
    days = draw(st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True))
    if freq in ('YEARLY', 'MONTHLY') and draw(st.booleans()):
        days = [f'{draw(st.sampled_from([1, 2, 5, -1, -4]))}{day}' for day in days]
    parts = {
        'INTERVAL': st.integers(1, 6),
        'BYMONTH': numbers(1, 12),
        'BYDAY': st.just(','.join(days)),
        'BYMONTHDAY': from_both_ends(31),
        'BYHOUR': numbers(0, 23),
        'BYMINUTE': numbers(0, 59),
    }
    if freq == 'YEARLY':
        parts['BYYEARDAY'] = from_both_ends(366, 20)
    if freq in ('YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY'):
        if freq != 'WEEKLY':
            parts['BYSETPOS'] = from_both_ends(4)
        parts['COUNT'] = st.integers(1, 30)
        parts['WKST'] = st.sampled_from(WEEKDAYS)
    chosen = draw(st.lists(st.sampled_from(sorted(parts)), max_size=4, unique=True))
    return ';'.join([f'FREQ={freq}', *(f'{name}={draw(parts[name])}' for name in chosen)])


ZONES = st.sampled_from(
    [
        'UTC',
        'Europe/Berlin',
        'America/New_York',
        'Australia/Lord_Howe',
        'Asia/Kolkata',
        'America/Havana',
        'Africa/Cairo',
        'Antarctica/Troll',
        'Pacific/Apia',
        'America/Santiago',
    ]
)
STARTS = st.datetimes(datetime.datetime(2010, 1, 1), datetime.datetime(2035, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)
DELAYS = st.timedeltas(datetime.timedelta(days=-2), datetime.timedelta(days=500))
LINES = st.tuples(
    st.just('crontab'),
    st.sampled_from(
        [
            '30 2 * * *',
            '0 * * * *',
            '0 0 * * *',
            '15 */2 * * 1-5',
            '*/30 1,2 * * *',
            '0 3 L * *',
            '59 23 * * SUN',
            '0 0-23 29 2 *',
            '20 1-3 1,15 * 0',
        ]
    ),
)
EVENTS = st.tuples(
    st.just('calendar'),
    st.sampled_from(
        [
            'FREQ=DAILY',
            'FREQ=HOURLY',
            'FREQ=HOURLY;BYMINUTE=0,30',
            'FREQ=MINUTELY;INTERVAL=50',
            'FREQ=DAILY;BYHOUR=0,1,2,3;BYMINUTE=0,30',
            'FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;BYHOUR=2',
            'FREQ=HOURLY;BYHOUR=1,2;BYDAY=SU',
            'FREQ=MONTHLY;BYDAY=-1SU;BYHOUR=2;BYMINUTE=30',
            'FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=2,-1',
            'FREQ=YEARLY;BYWEEKNO=1,20,53',
            'FREQ=YEARLY',
            'FREQ=DAILY;COUNT=90',
        ]
    ),
)


class SeriesTest(base.BaseTestCase):
    @SETTINGS
    @hypothesis.given(
        LINES | EVENTS, ZONES, STARTS, DELAYS, st.integers(0, 19), st.none() | st.integers(1, 500)
    )
    def test_every_series(
        self,
        pattern: tuple[str, str],
        zone: str,
        start: datetime.datetime,
        delay: datetime.timedelta,
        place: int,
        days: int | None,
    ) -> None:
        end = datetime.datetime.max if days is None else start + datetime.timedelta(days=days)
        series = trigger_that_fires(
            *pattern, zone, start, **({} if days is None else {'end_time': end.isoformat()})
        )
        after = start + delay
        found = time_triggers.next_times(series, after, 20)
        self.assertTrue(all(earlier < later for earlier, later in itertools.pairwise(found)))
        self.assertTrue(all(fire > after and start <= fire <= end for fire in found))
        if place < len(found):
            self.assertEqual(
                found[place + 1 :], time_triggers.next_times(series, found[place], 19 - place)
            )
            self.assertEqual(
                found[place:],
                time_triggers.next_times(
                    series, found[place] - datetime.timedelta(microseconds=1), 20 - place
                ),
            )

    @SETTINGS
    @hypothesis.given(
        rules(), STARTS, st.timedeltas(datetime.timedelta(days=-2), datetime.timedelta(days=50))
    )
    def test_rules_as_dateutil_has_them(
        self, rule: str, start: datetime.datetime, delay: datetime.timedelta
    ) -> None:
        series = trigger_that_fires('calendar', rule, 'UTC', start)
        found = time_triggers.next_times(series, start + delay, 10)
        wanted = rrule.rrulestr(rule, dtstart=start).xafter(start + delay)
        self.assertEqual(list(itertools.islice(wanted, len(found))), found)

    @SETTINGS
    @hypothesis.given(st.integers(1, 53), STARTS)
    def test_weeks_of_the_year_as_iso_has_them(self, week: int, start: datetime.datetime) -> None:
        series = trigger('calendar', f'FREQ=YEARLY;BYWEEKNO={week}', 'UTC', start)
        for fire in time_triggers.next_times(series, start, 15):
            self.assertEqual(week, fire.isocalendar().week)
