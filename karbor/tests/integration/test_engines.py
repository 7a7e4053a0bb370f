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

"""Three karbor-operationengine on one database, killed again and again while triggers fire."""

import dataclasses
import datetime
import functools
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import time
from typing import Any

import fixtures
import sqlalchemy as sa
from oslo_utils import timeutils
from testtools import content

from karbor import db
from karbor.common import constants
from karbor.db import jobs, migration, models, schedules
from karbor.services.schedules import firing, runs, time_triggers
from karbor.tests import base, database_servers, processes, schedule_rows

_ENGINES = 3
# From when the rows are made until the first fire: for the rows, and the start of processes.
_LEAD = datetime.timedelta(seconds=10)
_JITTER = 3
# How long after the last fire is due kills go on if not all is done, on a busy machine.
_PATIENCE = datetime.timedelta(seconds=10)
_SECOND = datetime.timedelta(seconds=1)


@dataclasses.dataclass(frozen=True)
class _Course:
    """How long triggers fire, in seconds.

    :ivar triggers: how many there are.
    :ivar first_fires: all fire for the first time.
    :ivar again: those of so many first seconds fire again, a minute later.
    :ivar least_kills: meanwhile.
    """

    triggers: int
    first_fires: int
    again: int
    least_kills: int

    @property
    def span(self) -> datetime.timedelta:
        return datetime.timedelta(seconds=self.first_fires + self.again)


# ``KARBOR_TEST_ENGINES=whole`` has both databases do all of this; it wants a machine for itself.
_WHOLE = _Course(triggers=2_000, first_fires=60, again=15, least_kills=15)
_FEW = _Course(triggers=800, first_fires=60, again=15, least_kills=15)
# Rules and overlaps are nothing to the database: of another one, one fire a trigger is enough.
_SHORT = _Course(triggers=800, first_fires=30, again=0, least_kills=7)

# Whether a user's connection holds the row of a trigger.
_HOLDS_A_ROW = {
    'mariadb': 'SELECT count(*) FROM information_schema.innodb_trx t '
    'JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id '
    'WHERE p.user = :user AND t.trx_rows_locked > 0',
    'postgresql': 'SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid '
    "WHERE a.usename = :user AND l.relation = 'triggers'::regclass "
    "AND l.mode = 'RowShareLock'",
}
_NEW_USER = {
    'mariadb': ('CREATE USER {0}@localhost', 'GRANT ALL ON *.* TO {0}@localhost'),
    'postgresql': ('CREATE ROLE {0} LOGIN SUPERUSER',),
}


class _Engine:
    """A process of karbor-operationengine, and who it is to the database."""

    def __init__(self, folder: pathlib.Path, name: str, url: str) -> None:
        self.name = name
        self.log = folder / f'{name}.log'
        self._config = folder / f'{name}.conf'
        url = sa.make_url(url).set(username=name).render_as_string(hide_password=False)
        self._config.write_text(
            f'[DEFAULT]\nhost = {name}\nreport_interval = 1\n'
            f'[database]\nconnection = {url}\n[operationengine]\npoll_interval = 0.5\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = pathlib.Path(sys.executable).with_name('karbor-operationengine')
        with self.log.open('ab') as log:
            self._process = subprocess.Popen(
                [program, '--config-file', self._config],
                stdout=log,
                stderr=log,
                preexec_fn=functools.partial(  # noqa: PLW1509 - tests begin without threads
                    processes.die_with_parent, os.getpid()
                ),
            )

    def stop(self, number: signal.Signals) -> None:
        """Send a signal, and wait for the end if it is to end by that."""
        if self._process is None:
            return
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)
        else:
            self._process.wait(30)


@dataclasses.dataclass
class _Kills:
    """How many there were, and how many broke off the transaction of a fire."""

    count: int = 0
    within_a_fire: int = 0


class EnginesTest(base.TestCase):
    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '300'))
        super().setUp()
        seed = int(os.environ.get('KARBOR_SEED', time.time_ns()))
        self.addDetail('seed', content.text_content(f'KARBOR_SEED={seed}'))
        self.random = random.Random(seed)

    def test_mariadb(self) -> None:
        self._test('mariadb', _FEW)

    def test_postgresql(self) -> None:
        self._test('postgresql', _SHORT)

    def _test(self, kind: str, course: _Course) -> None:
        is_whole = os.environ.get('KARBOR_TEST_ENGINES') == 'whole'
        self.kind, self.course = kind, _WHOLE if is_whole else course
        server = database_servers.KINDS[kind]()
        self.addCleanup(server.stop)
        url = server.create_database()
        self.config.config(group='database', connection=url)
        db.configure()
        self.addCleanup(db.dispose)
        migration.upgrade()
        self.begin = timeutils.utcnow().replace(microsecond=0) + _LEAD
        items = self._schedules()
        schedule_rows.insert(items)
        self._assert_what_is_due_is_found_by_its_index()
        kills = self._fire_and_kill(self._engines(url))
        self._assert_each_fired_once(items)
        self._assert_runs(items)
        self._assert_triggers(items)
        self._say(items, kills)
        self.assertGreaterEqual(kills.count, self.course.least_kills)
        self.assertGreater(kills.within_a_fire, 0)

    def _schedules(self) -> list[schedule_rows.Schedule]:
        return [
            schedule_rows.armed(
                self._timer(number), self.begin - _SECOND, tuple(runs.Overlap)[number // 2 % 2]
            )
            for number in range(self.course.triggers)
        ]

    def _timer(self, number: int) -> time_triggers.TimeTrigger:
        """Some series go on for long, some end; some fires are put off."""
        second = number * self.course.first_fires // self.course.triggers
        jitter = _JITTER if number % 4 == 0 else 0
        start = self.begin + second * _SECOND
        if second >= self.course.again:
            rule = 'FREQ=HOURLY' if number % 2 else 'FREQ=MINUTELY;COUNT=1'
            return schedule_rows.calendar(rule, start, jitter=jitter)
        rule, end = (
            ('FREQ=MINUTELY;COUNT=2', None)
            if number % 2
            else ('FREQ=MINUTELY', self.begin + self.course.span)
        )
        return schedule_rows.calendar(rule, start, jitter=jitter, end_time=end)

    def _fires(self, item: schedule_rows.Schedule) -> list[datetime.datetime]:
        """What is to happen within the span."""
        found = time_triggers.next_times(item.timer, self.begin - _SECOND, 3)
        return [fire for fire in found if fire <= self.begin + self.course.span]

    def _engines(self, url: str) -> list[_Engine]:
        found = [_Engine(self.temp_dir, f'engine{number}', url) for number in range(_ENGINES)]
        with db.engine().connect() as connection:
            for engine in found:
                for statement in _NEW_USER[self.kind]:
                    connection.exec_driver_sql(statement.format(engine.name))
            connection.commit()
        for engine in found:
            self.addOnException(
                lambda _, log=engine.log: print(  # noqa: T201
                    log.read_text(errors='replace')[-2000:]
                )
            )
            self.addCleanup(engine.stop, signal.SIGKILL)
            engine.start()
        return found

    def _fire_and_kill(self, engines: list[_Engine]) -> _Kills:
        """Never let the engines be in peace until all is done, or should be."""
        kills = _Kills()
        time.sleep(max((self.begin - timeutils.utcnow()).total_seconds(), 0))
        end = self.begin + self.course.span + _PATIENCE
        while self._is_more_due() and timeutils.utcnow() < end:
            self._wait_for_work()
            self._kill(self.random.choice(engines), kills)
        self.wait_until(lambda: not self._is_more_due(), 'the last fire', 40)
        for engine in engines:
            engine.stop(signal.SIGTERM)
        return kills

    def _kill(self, engine: _Engine, kills: _Kills) -> None:
        """End an engine as it stands, and start it again."""
        engine.stop(signal.SIGSTOP)
        time.sleep(0.02)  # what it has asked for is answered
        kills.within_a_fire += self._holds_a_row(engine)
        kills.count += 1
        engine.stop(signal.SIGKILL)
        engine.start()

    def _wait_for_work(self) -> None:
        """Triggers fire at full seconds: most kills are to find engines that do something."""
        time.sleep(self.random.uniform(0.2, 1.2))
        time.sleep(1 - time.time() % 1 + self.random.uniform(0, 0.3))

    def _is_more_due(self) -> bool:
        with db.reader() as session:
            due = schedules.earliest_due(session)
        return due is not None and due <= self.begin + self.course.span + _JITTER * _SECOND

    def _holds_a_row(self, engine: _Engine) -> bool:
        with db.engine().connect() as connection:
            return bool(connection.scalar(sa.text(_HOLDS_A_ROW[self.kind]), {'user': engine.name}))

    def _assert_same(self, wanted: Any, found: Any) -> None:
        """Of what differs, not more is shown than can be read."""
        self.assertEqual([], sorted(wanted - found, key=str)[:10], 'not found')
        self.assertEqual([], sorted(found - wanted, key=str)[:10], 'not wanted')

    def _assert_each_fired_once(self, items: list[schedule_rows.Schedule]) -> None:
        wanted = {(item.trigger_id, fire) for item in items for fire in self._fires(item)}
        self._assert_same(
            wanted, {(row.trigger_id, row.fire_at) for row in _all(models.TriggerFire)}
        )

    def _assert_runs(self, items: list[schedule_rows.Schedule]) -> None:
        """Each fire has one log: of its job, or of why there is none."""
        wanted = {
            (item.operation_id, item.trigger_id, str(fire), *_outcome(item, number))
            for item in items
            for number, fire in enumerate(self._fires(item))
        }
        made = {job.id: job for job in _all(models.Job)}
        logs = _all(models.OperationLog)
        self._assert_same(
            wanted,
            {
                (
                    log.scheduled_operation_id,
                    log.extra_info['trigger_id'],
                    log.extra_info['fire_time'],
                    log.status,
                    made[log.id].state if log.id in made else None,
                )
                for log in logs
            },
        )
        self.assertEqual(len(wanted), len(logs))
        self._assert_same(
            {(job.id, job.scheduled_operation_id) for job in made.values()},
            {(log.id, log.scheduled_operation_id) for log in logs if log.status != 'skipped'},
        )

    def _assert_triggers(self, items: list[schedule_rows.Schedule]) -> None:
        wanted = set()
        for item in items:
            last = self._fires(item)[-1]
            after = next(time_triggers.fires(item.timer, last), None)
            wanted.add(
                (
                    item.trigger_id,
                    last,
                    after,
                    after and firing.due_at(item.timer, item.trigger_id, after),
                )
            )
        self._assert_same(
            wanted,
            {
                (row.id, row.last_fire_at, row.next_fire_at, row.due_at)
                for row in _all(models.Trigger)
            },
        )

    def _say(self, items: list[schedule_rows.Schedule], kills: _Kills) -> None:
        timers = {item.trigger_id: item.timer for item in items}
        late = sorted(
            (
                row.fired_at - firing.due_at(timers[row.trigger_id], row.trigger_id, row.fire_at)
            ).total_seconds()
            for row in _all(models.TriggerFire)
        )
        print(  # noqa: T201
            f'{self.kind}: {len(late)} fires of {len(items)} triggers, '
            f'{kills.count} kills, {kills.within_a_fire} of them within a fire; late by '
            f'{statistics.median(late):.3f} s (median), '
            f'{statistics.quantiles(late, n=100)[98]:.3f} s (99 %), {late[-1]:.3f} s (most)',
            flush=True,
        )
        self.assertGreaterEqual(late[0], 0)

    def _assert_what_is_due_is_found_by_its_index(self) -> None:
        for look in (
            schedules.earliest_due,
            *(
                lambda session, due=due: schedules.take_due(session, self.begin + due * _SECOND)
                for due in (-1, 0, 5)
            ),
        ):
            plan = schedule_rows.explained(look)
            # MariaDB looks up the least value before it makes a plan, or it could not say so.
            self.assertRegex(plan, 'triggers_due_idx|Select tables optimized away')
            self.assertNotRegex(plan, 'filesort|Seq Scan|Sort Key')


def _outcome(item: schedule_rows.Schedule, number: int) -> tuple[str, str | None]:
    """The status of the log of a fire, and the state of its job: no job ever ends here."""
    if number == 0:
        return constants.CheckpointStatus.PROTECTING, jobs.JobState.PENDING
    if item.overlap == runs.Overlap.QUEUE:
        return constants.OperationStatus.QUEUED, jobs.JobState.QUEUED
    return constants.OperationStatus.SKIPPED, None


def _all(model: Any) -> list[Any]:
    with db.reader() as session:
        return list(session.scalars(sa.select(model)))
