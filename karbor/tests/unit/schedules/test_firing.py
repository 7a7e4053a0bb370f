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

import datetime

from karbor.services.schedules import firing, time_triggers
from karbor.tests import base

_DAY = datetime.datetime(2026, 3, 10)


def at(text: str, day: int = 0) -> datetime.datetime:
    """A moment of the first day, or one later."""
    return datetime.datetime.combine(_DAY, datetime.time.fromisoformat(text)) + (
        datetime.timedelta(days=day)
    )


def trigger(
    pattern: str = '0 * * * *', window: int = 900, **more: object
) -> time_triggers.TimeTrigger:
    return time_triggers.TimeTrigger(
        'crontab', pattern, _DAY - datetime.timedelta(days=1), None, window, **more
    )  # type: ignore[arg-type]


def decide(timer: time_triggers.TimeTrigger, fire: str, now: datetime.datetime) -> firing.Decision:
    return firing.decide(timer, 'trigger', at(fire), now)


def missed(*fires: datetime.datetime) -> firing.Missed:
    return firing.Missed(fires[0], fires[-1], len(fires))


#: catch_up, fire that is due, now -> the fire that runs, those that do not
HOURLY = [
    ('skip', '03:00', at('03:00'), at('03:00'), None),
    ('skip', '03:00', at('03:15'), at('03:00'), None),
    ('skip', '03:00', at('03:15:01'), None, missed(at('03:00'))),
    ('skip', '03:00', at('04:00'), None, missed(at('03:00'))),
    ('skip', '03:00', at('05:20'), None, missed(at('03:00'), at('04:00'), at('05:00'))),
    ('skip', '03:00', at('05:10'), None, missed(at('03:00'), at('04:00'))),
    ('latest', '03:00', at('03:15'), at('03:00'), None),
    ('latest', '03:00', at('03:15:01'), at('03:00'), None),
    ('latest', '03:00', at('05:20'), at('05:00'), missed(at('03:00'), at('04:00'))),
    # That of 05:00 runs anyway.
    ('latest', '03:00', at('05:10'), None, missed(at('03:00'), at('04:00'))),
    ('latest', '03:00', at('04:00'), None, missed(at('03:00'))),
]


class DecideTest(base.TestCase):
    def test_hourly(self):
        for catch_up, fire, now, run, left in HOURLY:
            decision = decide(trigger(catch_up=catch_up), fire, now)
            self.assertEqual(
                (run, left), (decision.run, decision.missed), f'{catch_up} {fire} {now}'
            )
            self.assertEqual(run or left.last, decision.last)

    def test_a_day_is_told_as_one(self):
        decision = decide(trigger(), '03:00', at('03:20', day=1))
        self.assertEqual(firing.Missed(at('03:00'), at('03:00', day=1), 25), decision.missed)
        self.assertEqual(
            '25 fires from 2026-03-10 03:00:00 to 2026-03-11 03:00:00 UTC were missed',
            str(decision.missed),
        )
        self.assertEqual('The fire of 2026-03-10 03:00:00 UTC was missed', str(missed(at('03:00'))))

    def test_a_year_of_minutes_is_not_counted(self):
        for catch_up in ('skip', 'latest'):
            decision = decide(
                trigger('* * * * *', catch_up=catch_up), '03:00', at('03:00:30', day=400)
            )
            self.assertEqual((None, at('02:45', day=400)), (decision.run, decision.last))
            self.assertEqual((1000, True), (decision.missed.count, decision.missed.is_more))
            self.assertTrue(str(decision.missed).startswith('At least 1000 fires from 2026'))

    def test_the_last_of_very_many_that_are_long_over(self):
        timer = trigger('* * 10-11 3 *', catch_up='latest')
        decision = decide(timer, '03:00', at('03:00', day=100))
        self.assertEqual((at('23:59', day=1), at('23:59', day=1)), (decision.run, decision.last))
        self.assertTrue(decision.missed.is_more)

    def test_the_last_one_of_a_series(self):
        timer = time_triggers.TimeTrigger(
            'crontab', '0 * * * *', _DAY, at('05:00'), 900, catch_up='latest'
        )
        decision = decide(timer, '03:00', at('00:00', day=5))
        self.assertEqual(
            (at('05:00'), missed(at('03:00'), at('04:00'))), (decision.run, decision.missed)
        )


class JitterTest(base.TestCase):
    def test_a_fire_is_put_off_by_no_more(self):
        timer = trigger(jitter=600)
        delays = [
            (firing.due_at(timer, trigger_id, at('03:00')) - at('03:00')).total_seconds()
            for trigger_id in map(str, range(2000))
        ]
        self.assertTrue(all(0 <= delay <= 600 for delay in delays))
        self.assertTrue(min(delays) < 10 and max(delays) > 590)
        self.assertTrue(250 < sum(delays) / len(delays) < 350)

    def test_always_by_the_same(self):
        timer = trigger(jitter=600)
        self.assertEqual(
            firing.due_at(timer, 'x', at('03:00')), firing.due_at(timer, 'x', at('03:00'))
        )
        self.assertEqual(at('03:00'), firing.due_at(trigger(), 'x', at('03:00')))

    def test_the_window_begins_after_it(self):
        timer = trigger(jitter=600)
        late = firing.due_at(timer, 'trigger', at('03:00')) + datetime.timedelta(seconds=900)
        self.assertEqual(at('03:00'), decide(timer, '03:00', late).run)
        self.assertIsNone(decide(timer, '03:00', late + datetime.timedelta(seconds=1)).run)
