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

"""Shows what an engine costs while nothing is due, and how late it is, in tables of many sizes.

Run it by ``tools/bench firing``. The engine is a thread in process, and the database an SQLite
file or what ``KARBOR_TEST_DATABASE`` says. Idle, it is looked at for half a minute; a look is
then timed by itself, which with a server has that server's time in it. Late is by how much the
job of a fire is made after it is due, with 20 fires a second. The ratios are those to the
smallest table: more than 1 would say that triggers which are not due make the others dear.
"""

import datetime
import logging
import statistics
import sys
import time
import unittest
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from oslo_utils import timeutils
from sqlalchemy import event

from karbor import db
from karbor.db import models
from karbor.services.schedules import engine
from karbor.tests import base, schedule_rows, threads

_COUNTS = (100, 10_000, 100_000)
_IDLE_SECONDS = 30
_LOOKS = 200
_DUE, _DUE_SECONDS = 200, 10
_FAR = datetime.datetime(2100, 1, 1)


class Firing(base.TestCase):
    """Not a test: the set-up of one, for each number of triggers."""

    count = 0
    #: the figures of the smallest table
    first: list[float] = []

    def setUp(self) -> None:
        super().setUp()
        logging.disable(logging.WARNING)
        self.engine = engine.Engine(lambda _job_id: None, cfg.CONF.operationengine.poll_interval)
        self.statements = 0
        event.listen(db.engine(), 'before_cursor_execute', self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.statements += not statement.startswith('BEGIN')

    def runTest(self) -> None:
        timer = schedule_rows.calendar('FREQ=HOURLY', _FAR)
        schedule_rows.insert(
            schedule_rows.Schedule(timer, base.new_id(), _FAR, _FAR) for _ in range(self.count)
        )
        with threads.running(self.engine.run):
            statements, seconds = self._idle()
            late = self._late()
        self._show(
            statements,
            [seconds, self._look(), statistics.median(late), statistics.quantiles(late, n=100)[98]],
        )

    def _idle(self) -> tuple[float, float]:
        """Statements and processor seconds in a second, after the first look."""
        time.sleep(1)
        statements, seconds = self.statements, time.process_time()
        time.sleep(_IDLE_SECONDS)
        return (
            (self.statements - statements) / _IDLE_SECONDS,
            (time.process_time() - seconds) / _IDLE_SECONDS,
        )

    def _look(self) -> float:
        """Seconds that a look takes."""
        taken = []
        for _ in range(_LOOKS):
            begun = time.perf_counter()
            self.engine.seconds_to_next()
            taken.append(time.perf_counter() - begun)
        return statistics.median(taken)

    def _late(self) -> list[float]:
        begin = timeutils.utcnow() + datetime.timedelta(
            seconds=cfg.CONF.operationengine.poll_interval + 1
        )
        due_at = {}
        for number in range(_DUE):
            due = begin + number * datetime.timedelta(seconds=_DUE_SECONDS) / _DUE
            fire = due.replace(microsecond=0)
            item = schedule_rows.Schedule(
                schedule_rows.calendar('FREQ=HOURLY', fire), base.new_id(), fire, due
            )
            due_at[item] = due
        schedule_rows.insert(due_at)
        time.sleep((max(due_at.values()) - timeutils.utcnow()).total_seconds())
        made = self.wait_until(self._made, f'the fire of {_DUE} triggers', 60)
        return [(made[item.operation_id] - due).total_seconds() for item, due in due_at.items()]

    def _made(self) -> dict[str, datetime.datetime] | None:
        """When the job of each operation was made, once all are."""
        with db.reader() as session:
            made = {
                job.scheduled_operation_id: job.created_at
                for job in session.scalars(sa.select(models.Job))
            }
        return made if len(made) == _DUE else None

    def _show(self, statements: float, figures: list[float]) -> None:
        if not self.first:
            type(self).first = figures
        cpu, *times = figures
        ratios = [figure / first for figure, first in zip(figures, self.first, strict=True)]
        print(  # noqa: T201
            f'{self.count:8} {statements:12.2f} {cpu:9.5f}',
            *(f'{1000 * seconds:9.2f}' for seconds in times),
            '   ',
            *(f'{ratio:6.2f}' for ratio in ratios),
            flush=True,
        )


def main(counts: list[int]) -> bool:
    print(  # noqa: T201
        f'{"triggers":>8} {"statements/s":>12} {"CPU s/s":>9} {"ms a look":>9} '
        f'{"late ms":>9} {"late 99 %":>9}      ratios of CPU, look, late, late 99 %',
        flush=True,
    )
    for count in counts:
        Firing.count = count
        if not unittest.TextTestRunner(verbosity=0).run(Firing()).wasSuccessful():
            return False
    return True


if __name__ == '__main__':
    sys.exit(not main([int(argument) for argument in sys.argv[1:]] or list(_COUNTS)))
