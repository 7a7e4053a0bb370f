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

"""Shows what it costs to give recovery points to checkpoints that are older, and breaks it off.

Run it by ``tools/bench points``. On each database, checkpoints in all states that they can be in
are written as the release before leaves them. They are upgraded

- at once, which is measured: the migration, the filling in of points, what workers do each hour
  when there is nothing to do, and what they do after processes of the release before have gone on;
- by processes that are killed at random moments, and after which the next one goes on;
- by two processes at the same time.

Each time the points are compared with those that there are to be, and to fill them in again must
change nothing. The ratios are those of what a checkpoint takes, in time and in statements, to that
with the fewest checkpoints: more than 1 would say that many checkpoints make each of them dear. The
dearest statement is told by itself: its time is to be the same however many checkpoints there are.
The servers are private ones that do not wait for a disk, and MariaDB has the memory for its tables:
one that has not reads them from the disk again and again, and takes longer for each row.
"""

import argparse
import logging
import random
import sys
import time
import unittest
from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event

from karbor import db
from karbor.db import migration, models, point_filling, schema_gate
from karbor.services.protection import provider
from karbor.services.recovery import point_filling as bank_filling
from karbor.tests import base, database_servers, old_checkpoints, processes

_COUNTS = (100, 1_000)
_DATABASES = ('sqlite', *database_servers.KINDS)
_LONGEST = 3600
_MEMORY = 1024  # of MariaDB, in MiB
# Of the processes that are killed, those that are killed in the migration.
_EARLY = 0.3


class Cost(NamedTuple):
    """What something took: seconds, statements, and seconds of the dearest statement."""

    seconds: float
    statements: int
    dearest: float


class Meter:
    """Measures what is done with the open database."""

    def __init__(self) -> None:
        self._begun = 0.0
        self._times: list[float] = []

    def measure(self, act: Callable[[], object]) -> Cost:
        self._times = []
        listeners = (('before_cursor_execute', self._begin), ('after_cursor_execute', self._end))
        for name, note in listeners:
            event.listen(db.engine(), name, note)
        begun = time.perf_counter()
        act()
        seconds = time.perf_counter() - begun
        for name, note in listeners:
            event.remove(db.engine(), name, note)
        return Cost(seconds, len(self._times), max(self._times, default=0))

    def _begin(self, *_: Any) -> None:
        self._begun = time.perf_counter()

    def _end(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith('BEGIN'):
            self._times.append(time.perf_counter() - self._begun)


class Points(base.TestCase):
    """Not a test: the set-up of one, for each database and number of checkpoints."""

    options: argparse.Namespace
    database = ''
    count = 0
    #: what a checkpoint takes in the smallest table, by database and what is done
    first: dict[tuple[str, str], tuple[float, float]] = {}

    def setUp(self) -> None:
        super().setUp()
        logging.disable(logging.WARNING)
        self._dice = random.Random(self.options.seed)
        self._log = self.temp_dir / 'processes.log'
        self._log.touch()

    def runTest(self) -> None:
        self._upgrade_at_once()
        self._upgrade_broken_off()
        self._upgrade_twice_at_once()
        self.assertEqual('', self._log.read_text())

    def _open(self) -> None:
        """Go on with a database as the release before has left it."""
        db.dispose()
        self.open_new_database(self.database)
        migration.upgrade(old_checkpoints.SCHEMA)
        self.old = old_checkpoints.OldCheckpoints(self.options.volumes, self.options.seed)
        self.old.write(self.count)

    def _upgrade_at_once(self) -> None:
        self._open()
        self._schema = self._show('migrate', lambda: migration.upgrade(schema_gate.known()[-1]))
        self._filling = self._show('fill in', migration.upgrade)
        self._check()
        old_checkpoints.ask_banks()
        duty = bank_filling.PointFilling(provider.ProviderRegistry(self.provider_dir()))
        self._show('nothing to do', duty.fill_points)
        self.old.go_on()
        self._settling = self._show('after older', point_filling.fill)
        self._check()
        # What each process needs to come to where the one before was.
        self._begin = Meter().measure(lambda: self._upgrade_in(1)).seconds

    def _show(self, what: str, act: Callable[[], object]) -> Cost:
        cost = Meter().measure(act)
        each = (cost.seconds / self.count, cost.statements / self.count)
        first = self.first.setdefault((self.database, what), each)
        ratios = [now / before for now, before in zip(each, first, strict=True)]
        say(
            f'{self.database:10} {what:13} {self.count:11} {cost.seconds:8.2f} '
            f'{1000 * each[0]:9.3f} {ratios[0]:6.2f} {cost.statements:10} {ratios[1]:6.2f} '
            f'{1000 * cost.dearest:10.1f}'
        )
        return cost

    def _upgrade_broken_off(self) -> None:
        self._open()
        early = int(_EARLY * self.options.kills)
        often = self.options.kills - early
        shares = [self._broken_off(self._begin + self._schema.seconds) for _ in range(early)]
        shares += self._broken_off_often(often, self._filling)
        self._go_on_and_check()
        self.old.go_on()
        more = self._broken_off_often(often, self._settling)
        self._go_on_and_check()
        killed = [f'{100 * share:.0f}' for share in shares if share is not None]
        say(
            f'{self.database:10} {len(killed)} processes killed, when so many points of 100 were '
            f'there: {", ".join(killed)}; and {len(more) - more.count(None)} after older ones had '
            'gone on'
        )

    def _broken_off_often(self, often: int, whole: Cost) -> list[float | None]:
        """The same so often that it may come to its end.

        :param whole: what it costs when it is not broken off.
        """
        return [self._broken_off(self._begin + 2 * whole.seconds / often) for _ in range(often)]

    def _broken_off(self, longest: float) -> float | None:
        """Upgrade in a process that is killed.

        :param longest: the time that it has at most, in seconds.
        :returns: the share of the points that are there then; None if it had ended before.
        """
        db.dispose()
        process = processes.Fork(migration.upgrade, self._log)
        time.sleep(self._dice.uniform(0, longest))
        if process.wait(0):
            return None
        process.kill()
        return _written() / len(self.old.points())

    def _go_on_and_check(self) -> None:
        migration.upgrade()
        self._check()

    def _upgrade_twice_at_once(self) -> None:
        self._open()
        for _ in range(2):
            self._upgrade_in(2)
            self._check()
            self.old.go_on()
        say(f'{self.database:10} upgraded by two processes at once')

    def _upgrade_in(self, count: int) -> None:
        """Upgrade in so many processes at once, which are left in peace."""
        db.dispose()  # a fork must not use its parent's connections
        for process in [processes.Fork(migration.upgrade, self._log) for _ in range(count)]:
            self.assertTrue(process.wait(_LONGEST))

    def _check(self) -> None:
        """The points are those that there are to be, and to fill them in again changes nothing."""
        found = old_checkpoints.differences(self.old.points(), old_checkpoints.found_points())
        self.assertFalse(found, f'{len(found)} points are wrong, such as {found[:3]}')
        before = _rows()
        self.assertEqual(0, point_filling.fill())
        self.assertTrue(before == _rows(), 'points are written again')


def _written() -> int:
    """How many points there are, if there is a table for them."""
    if not sa.inspect(db.engine()).has_table(models.RecoveryPoint.__tablename__):
        return 0
    with db.reader() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(models.RecoveryPoint)) or 0


def _rows() -> set[tuple[Any, ...]]:
    columns = (models.RecoveryPoint.id, models.RecoveryPoint.state, models.RecoveryPoint.updated_at)
    with db.reader() as session:
        return {tuple(row) for row in session.execute(sa.select(*columns))}


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='tools/bench points', description=__doc__.split('\n')[0])
    parser.add_argument(
        'counts', nargs='*', type=int, metavar='N', help='checkpoints (default: 100 1000)'
    )
    parser.add_argument('--volumes', type=int, default=10, help='of each (default: %(default)s)')
    parser.add_argument('--kills', type=int, default=10, help='default: %(default)s')
    parser.add_argument('--seed', type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument(
        '--database', choices=_DATABASES, action='append', help='may be repeated (default: all)'
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> bool:
    options = _options(arguments)
    Points.options = options
    say(
        f'{options.volumes} volumes a checkpoint; seed {options.seed}\n'
        f'{"database":10} {"what is done":13} {"checkpoints":>11} {"seconds":>8} {"ms each":>9} '
        f'{"ratio":>6} {"statements":>10} {"ratio":>6} {"dearest ms":>10}'
    )
    database_servers.MariaDB.memory = _MEMORY
    for Points.database in options.database or _DATABASES:
        for Points.count in options.counts or _COUNTS:
            if not unittest.TextTestRunner(verbosity=0).run(Points()).wasSuccessful():
                return False
    return True


if __name__ == '__main__':
    sys.exit(not main(sys.argv[1:]))
