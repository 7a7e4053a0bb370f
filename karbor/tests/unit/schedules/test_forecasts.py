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

import dataclasses
import datetime
import time
import zoneinfo
from collections.abc import Sequence
from typing import Any

import hypothesis
from hypothesis import strategies as st

from karbor.services.schedules import forecasts, retention, time_triggers
from karbor.services.schedules.retention import Candidate, Policy
from karbor.tests import base

SETTINGS = hypothesis.settings(max_examples=150, deadline=None, database=None, derandomize=True)
BERLIN = zoneinfo.ZoneInfo('Europe/Berlin')
NOW = datetime.datetime(2026, 11, 27, 9)  # a Friday
DAY = datetime.timedelta(days=1)

_COUNTS = st.integers(0, 9)
POLICIES = st.builds(
    Policy,
    max_backups=st.none() | st.integers(1, 30),
    retention_duration=st.none() | st.integers(1, 40),
    **{name: st.none() | _COUNTS for name in ('keep_last', *retention.PERIOD_RULES)},
    keep_within=st.none() | st.timedeltas(datetime.timedelta(hours=1), 40 * DAY),
)
MOMENTS = st.lists(
    st.integers(1, 60 * 24).map(lambda hours: NOW + datetime.timedelta(hours=hours)),
    unique=True,
    max_size=60,
).map(sorted)


def trigger(pattern: str = '30 2 * * *', **fields: Any) -> time_triggers.TimeTrigger:
    made = time_triggers.TimeTrigger(
        format='crontab',
        pattern=pattern,
        start_time=NOW,
        end_time=None,
        window=900,
        timezone='Europe/Berlin',
    )
    return dataclasses.replace(made, **fields)


def each_retention(moments: Sequence[datetime.datetime], policy: Policy) -> list[list[Candidate]]:
    """What is left after the retention of each run."""
    left: list[Candidate] = []
    after = []
    for number, moment in enumerate(moments):
        left = [
            verdict.candidate
            for verdict in retention.judge(
                [*left, Candidate(str(number), moment)], policy, moment, BERLIN, str(number)
            )
            if verdict.keep
        ]
        after.append(left)
    return after


class ForecastTest(base.TestCase):
    def test_a_daily_one(self) -> None:
        forecast = forecasts.forecast(trigger(), Policy(keep_daily=7, keep_weekly=4), NOW)
        self.assertEqual(
            (NOW, datetime.datetime(2027, 11, 28, 23), None, 366),
            (forecast.begins_at, forecast.ends_at, forecast.limit, forecast.runs),
        )
        self.assertEqual(53, len(forecast.weeks))
        self.assertEqual(
            [('2026-W48', 2, 2), ('2026-W49', 7, 8), ('2026-W50', 7, 9), ('2026-W51', 7, 10)],
            [(week.name, week.runs, week.kept) for week in forecast.weeks[:4]],
        )
        self.assertEqual({10}, {week.kept for week in forecast.weeks[3:]})
        self.assertEqual((10, 11), (forecast.kept, forecast.at_once))
        last = forecast.weeks[-1]
        self.assertEqual('2027-W47', last.name)
        self.assertEqual(datetime.datetime(2027, 11, 7, 1, 30), last.oldest_at)
        self.assertEqual(
            [datetime.datetime(2027, 3, 21, 23), datetime.datetime(2027, 3, 28, 22)],
            [week.ends_at for week in forecast.weeks[16:18]],
        )

    def test_all_stay_without_a_rule(self) -> None:
        forecast = forecasts.forecast(trigger(), Policy(), NOW)
        self.assertEqual(366, forecast.weeks[-1].kept)
        self.assertEqual((366, 366), (forecast.kept, forecast.at_once))

    def test_one_that_begins_later_or_ends(self) -> None:
        start = NOW + 400 * DAY
        forecast = forecasts.forecast(trigger(start_time=start), Policy(keep_last=3), NOW)
        self.assertEqual(start, forecast.begins_at)
        self.assertEqual(3, forecast.kept)
        forecast = forecasts.forecast(trigger(end_time=NOW + 2 * DAY), Policy(keep_last=3), NOW)
        self.assertEqual((2, 2, 2), (forecast.runs, forecast.kept, forecast.at_once))
        self.assertEqual({2}, {week.kept for week in forecast.weeks})
        forecast = forecasts.forecast(trigger(end_time=NOW), Policy(keep_last=3), NOW)
        self.assertEqual((0, 0, 0), (forecast.runs, forecast.kept, forecast.at_once))
        self.assertEqual({None}, {week.oldest_at for week in forecast.weeks})

    def test_what_fires_often_is_not_looked_at_for_a_year(self) -> None:
        minutely = 'BEGIN:VEVENT\nRRULE:FREQ=MINUTELY\nEND:VEVENT'
        for first, often in (
            (1, trigger('* * * * *')),
            (0, trigger(minutely, format='calendar')),
        ):
            begun = time.process_time()
            forecast = forecasts.forecast(often, Policy(keep_last=5), NOW)
            self.assertLess(time.process_time() - begun, 5)
            self.assertIn('10000 times', str(forecast.limit))
            self.assertEqual(forecasts.MOST_FIRES, forecast.runs)
            minutes = first + forecasts.MOST_FIRES - 1
            self.assertEqual(NOW + datetime.timedelta(minutes=minutes), forecast.ends_at)
            self.assertEqual([5], [week.kept for week in forecast.weeks])

    def test_what_keeps_very_much_is_not_judged_for_a_year(self) -> None:
        begun = time.process_time()
        forecast = forecasts.forecast(trigger('0 * * * *'), Policy(keep_last=999999), NOW)
        self.assertLess(time.process_time() - begun, 5)
        self.assertIn('100000', str(forecast.limit))
        last = forecast.weeks[-1]
        self.assertEqual(
            (forecast.runs, forecast.kept, forecast.ends_at),
            (last.kept, last.kept, last.ends_at),
        )
        self.assertGreater(len(forecast.weeks), 20)

    def test_an_hourly_one_is_looked_at_for_a_year(self) -> None:
        policy = Policy(keep_hourly=24, keep_daily=7, keep_weekly=4, keep_monthly=12)
        forecast = forecasts.forecast(trigger('0 * * * *'), policy, NOW)
        self.assertIsNone(forecast.limit)
        self.assertEqual(53, len(forecast.weeks))

    @SETTINGS
    @hypothesis.given(moments=MOMENTS, policy=POLICIES)
    def test_as_if_each_retention_had_been(
        self, moments: list[datetime.datetime], policy: Policy
    ) -> None:
        after = each_retention(moments, policy)
        most = forecasts.most_kept(moments, policy, BERLIN)
        self.assertLessEqual(max(map(len, after), default=0), most)
        weeks = forecasts.weeks_of(
            moments, [NOW + number * 7 * DAY for number in range(1, 10)], policy, BERLIN
        )
        for week in weeks:
            done = sum(moment < week.ends_at for moment in moments)
            left = after[done - 1] if done else []
            self.assertEqual(len(left), week.kept)
            self.assertEqual(
                min((candidate.created_at for candidate in left), default=None), week.oldest_at
            )


class MostKeptTest(base.TestCase):
    """The bound is what is reached, for rules as people give them."""

    def test_it_is_reached(self) -> None:
        for pattern, days, policy in (
            ('30 2 * * *', 60, Policy(keep_daily=7, keep_weekly=4)),
            ('30 2 * * *', 60, Policy(keep_last=3)),
            ('30 2 * * *', 60, Policy(keep_within=14 * DAY)),
            ('30 2 * * *', 60, Policy(retention_duration=14)),
            ('30 2 * * *', 60, Policy(retention_duration=14, max_backups=5)),
            ('30 2 * * *', 100, Policy(keep_daily=7, keep_weekly=4, keep_monthly=2)),
            ('0 */6 * * *', 40, Policy(keep_last=4, keep_daily=7)),
            ('0 3 * * 0', 200, Policy(keep_weekly=8, keep_yearly=2)),
        ):
            moments = [
                moment
                for moment in time_triggers.next_times(trigger(pattern), NOW, 300)
                if moment < NOW + days * DAY
            ]
            after = each_retention(moments, policy)
            self.assertEqual(
                max(map(len, after)), forecasts.most_kept(moments, policy, BERLIN), policy
            )
