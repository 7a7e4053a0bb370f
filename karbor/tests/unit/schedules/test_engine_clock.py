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

"""An engine whose clock is set backwards and forwards, and how it finds what is due."""

import datetime
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import db
from karbor.db import jobs, models, schedules
from karbor.services.schedules import engine, runs, time_triggers
from karbor.tests import base, schedule_rows

START = datetime.datetime(2026, 5, 4, 12)
HOUR = datetime.timedelta(hours=1)
MINUTE = datetime.timedelta(minutes=1)
POLL_INTERVAL = 5


class ClockTest(base.TestCase):
    """The trigger fires at every full hour after START, and may be 15 minutes late."""

    def setUp(self) -> None:
        super().setUp()
        self.now = START
        self.engine = engine.Engine(lambda _job_id: None, POLL_INTERVAL, lambda _session: self.now)

    def schedule(self, catch_up: str = time_triggers.CatchUp.SKIP) -> None:
        self.item = schedule_rows.armed(
            schedule_rows.calendar('FREQ=HOURLY', START, catch_up=catch_up), START
        )
        schedule_rows.insert([self.item])

    def look_at(self, *moments: datetime.datetime) -> None:
        """Let the engine fire at moments, and end what that starts."""
        for moment in moments:
            self.now = moment
            self.engine.fire_all_due()
            self.assertGreater(self.engine.seconds_to_next(), 0)
            with db.writer() as session:
                session.execute(sa.update(models.Job).values(state=jobs.JobState.DONE))

    def hours(self, first: int, last: int) -> list[datetime.datetime]:
        return [START + number * HOUR for number in range(first, last + 1)]

    def assert_ran(self, *fires: datetime.datetime) -> None:
        """These fires have been run, each of them once, and no others."""
        with db.reader() as session:
            recorded = session.scalars(sa.select(models.TriggerFire.fire_at)).all()
            logs = session.scalars(
                sa.select(models.OperationLog).where(models.OperationLog.status != 'skipped')
            ).all()
            job_ids = session.scalars(sa.select(models.Job.id)).all()
        self.assertEqual(sorted(fires), sorted(recorded))
        self.assertEqual(
            [str(fire) for fire in sorted(fires)],
            sorted(log.extra_info['fire_time'] for log in logs),
        )
        self.assertEqual(sorted(job_ids), sorted(log.id for log in logs))

    def assert_told(self, *missed: tuple[datetime.datetime, int]) -> None:
        """There is a log for each of these, with the first missed fire and how many."""
        with db.reader() as session:
            logs = session.scalars(
                sa.select(models.OperationLog).where(models.OperationLog.status == 'skipped')
            ).all()
        self.assertEqual(
            sorted((str(first), count) for first, count in missed),
            sorted((log.extra_info['fire_time'], log.extra_info['missed']) for log in logs),
        )
        for log in logs:
            self.assertIn('missed', log.error_info)

    def next_fire_at(self) -> datetime.datetime | None:
        with db.reader() as session:
            return session.scalar(sa.select(models.Trigger.next_fire_at))

    def test_backwards(self) -> None:
        """Nothing is repeated, and nothing is lost once the clock is there again."""
        for catch_up in (time_triggers.CatchUp.SKIP, time_triggers.CatchUp.LATEST):
            with self.subTest(catch_up):
                base.empty_tables()
                self.schedule(catch_up)
                self.look_at(*self.hours(0, 3))
                back = START + 2 * HOUR
                self.look_at(*(back + number * MINUTE for number in range(0, 119, 7)))
                self.assert_ran(*self.hours(1, 3))
                self.look_at(*self.hours(4, 6))
                self.assert_ran(*self.hours(1, 6))
                self.assert_told()

    def test_backwards_and_armed_anew(self) -> None:
        """An operation that is enabled meanwhile does not bring back what has been run."""
        self.schedule()
        self.look_at(*self.hours(0, 3))
        self.now = START + 2 * HOUR
        with db.writer() as session:
            trigger = schedules.get_trigger(
                session, base.PROJECT_ID, self.item.trigger_id, lock=True
            )
            engine.arm(session, trigger, self.now)
        self.look_at(*self.hours(2, 5))
        self.assert_ran(*self.hours(1, 5))

    def test_backwards_before_the_start(self) -> None:
        self.schedule()
        self.look_at(START + HOUR, START - 1000 * HOUR, START, START + HOUR)
        self.assertEqual(POLL_INTERVAL, self.engine.seconds_to_next())
        self.assert_ran(START + HOUR)
        self.look_at(START + 2 * HOUR)
        self.assert_ran(*self.hours(1, 2))

    def test_forwards(self) -> None:
        """What was missed is told at once; what is in its window is run."""
        self.schedule()
        self.look_at(START + HOUR, START + 25 * HOUR + 5 * MINUTE)
        self.assert_told((START + 2 * HOUR, 23))
        self.assert_ran(START + HOUR, START + 25 * HOUR)
        self.look_at(*self.hours(26, 27))
        self.assert_told((START + 2 * HOUR, 23))
        self.assert_ran(START + HOUR, *self.hours(25, 27))

    def test_forwards_beyond_every_window(self) -> None:
        self.schedule()
        self.look_at(START + HOUR, START + 25 * HOUR + 30 * MINUTE)
        self.assert_told((START + 2 * HOUR, 24))
        self.assert_ran(START + HOUR)
        self.assertEqual(START + 26 * HOUR, self.next_fire_at())
        self.look_at(*self.hours(26, 27))
        self.assert_ran(START + HOUR, *self.hours(26, 27))

    def test_forwards_and_the_latest_is_caught_up(self) -> None:
        self.schedule(time_triggers.CatchUp.LATEST)
        self.look_at(START + HOUR, START + 25 * HOUR + 30 * MINUTE)
        self.assert_told((START + 2 * HOUR, 23))
        self.assert_ran(*self.hours(1, 1), START + 25 * HOUR)
        self.look_at(*self.hours(26, 27))
        self.assert_told((START + 2 * HOUR, 23))
        self.assert_ran(START + HOUR, *self.hours(25, 27))

    def test_forwards_and_the_latest_is_in_its_window(self) -> None:
        """Of the missed ones none is run, since a later one is."""
        self.schedule(time_triggers.CatchUp.LATEST)
        self.look_at(START + HOUR, START + 25 * HOUR + 5 * MINUTE)
        self.assert_told((START + 2 * HOUR, 23))
        self.assert_ran(START + HOUR, START + 25 * HOUR)

    def test_forwards_by_one_fire(self) -> None:
        """The one that is missed is run if it is to be caught up, and then not told."""
        for catch_up, ran in (
            (time_triggers.CatchUp.SKIP, []),
            (time_triggers.CatchUp.LATEST, [2]),
        ):
            with self.subTest(catch_up):
                base.empty_tables()
                self.schedule(catch_up)
                self.look_at(START + HOUR, START + 2 * HOUR + 30 * MINUTE)
                self.assert_ran(START + HOUR, *(START + hour * HOUR for hour in ran))
                self.assert_told(*([] if ran else [(START + 2 * HOUR, 1)]))

    def test_forwards_by_mistake_and_back(self) -> None:
        """What was decided on while the clock was wrong stays so; the rest goes on."""
        self.schedule()
        self.look_at(START + HOUR, START + 4 * HOUR + 30 * MINUTE)
        self.assert_told((START + 2 * HOUR, 3))
        self.look_at(*self.hours(1, 6))
        self.assert_ran(START + HOUR, *self.hours(5, 6))
        self.assert_told((START + 2 * HOUR, 3))

    def test_a_long_time_forwards(self) -> None:
        """Years of hours are not counted one by one, nor told one by one."""
        years = 10 * 366 * 24
        self.schedule()
        self.look_at(START + HOUR, START + years * HOUR + 30 * MINUTE)
        self.assert_told((START + 2 * HOUR, 1000))
        self.assertEqual(START + (years + 1) * HOUR, self.next_fire_at())
        self.look_at(START + (years + 1) * HOUR)
        self.assertEqual(START + (years + 2) * HOUR, self.next_fire_at())
        with db.reader() as session:  # which fires there were is forgotten after a month
            self.assertEqual(
                [START + (years + 1) * HOUR],
                list(session.scalars(sa.select(models.TriggerFire.fire_at))),
            )


class DueTest(base.TestCase):
    def test_what_is_due_is_found_by_its_index(self) -> None:
        schedule_rows.insert(
            schedule_rows.armed(
                schedule_rows.calendar('FREQ=DAILY', START + number * MINUTE),
                START,
                runs.Overlap.QUEUE,
            )
            for number in range(1_000)
        )
        for due in (0, 3):
            self.assert_uses_index(
                lambda session, due=due: schedules.take_due(session, START + due * MINUTE)
            )
        self.assert_uses_index(schedules.earliest_due)

    def assert_uses_index(self, look: Callable[[orm.Session], Any]) -> None:
        plan = schedule_rows.explained(look)
        # MariaDB looks up the least value before it makes a plan, or it could not say so.
        self.assertRegex(plan, 'triggers_due_idx|Select tables optimized away')
        self.assertNotRegex(plan, '(?i)SCAN triggers$|Seq Scan|temp b-tree|filesort|Sort Key')
