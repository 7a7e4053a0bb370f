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

"""An upgrade gives recovery points to checkpoints that are older, wherever it is broken off.

``tools/bench points`` does the same to many, and to processes.
"""

import contextlib
import itertools
import unittest
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import sqlalchemy as sa
from alembic import autogenerate
from alembic import migration as alembic_migration
from oslo_db import exception as db_exc
from sqlalchemy import event

from karbor import db
from karbor.db import migration, models, point_filling, schema_gate
from karbor.services.protection import provider
from karbor.services.recovery import point_filling as bank_filling
from karbor.tests import base, old_checkpoints
from karbor.tests.functional import lists
from karbor.tests.functional.base import at_once

# What of the upgrade is told apart from the filling: the schema.
_HEAD = schema_gate.known()[-1]
_VOLUMES = 3
_COUNT = 2 * len(old_checkpoints.STORIES)


class BrokenOff(Exception):
    """Ends an upgrade as the end of its process would."""


@contextlib.contextmanager
def broken_off_after(statements: int) -> Iterator[None]:
    """The process that migrates ends after so many statements, unless it needs fewer."""
    numbers = itertools.count(1)

    def note(*_: Any) -> None:
        if next(numbers) == statements:
            raise BrokenOff('after a statement')

    event.listen(db.engine(), 'after_cursor_execute', note)
    try:
        yield
    finally:
        event.remove(db.engine(), 'after_cursor_execute', note)


@contextlib.contextmanager
def broken_off_in(number: int) -> Iterator[None]:
    """The process that fills in points ends in a transaction, at the last moment.

    :param number: of the transaction, from 1.
    """
    numbers = itertools.count(1)

    def transaction(write: Callable[..., int]) -> Callable[..., int]:
        def write_in_transaction(*args: Any) -> int:
            with db.writer() as session:
                written = write(session, *args)
                if next(numbers) == number:
                    raise BrokenOff('before the end of a transaction')
            return written

        return write_in_transaction

    with mock.patch.object(point_filling.db, 'transaction', transaction):
        yield


def is_broken_off(act: Callable[[], object]) -> bool:
    try:
        act()
    except BrokenOff:
        return True
    except db_exc.DBError as exc:  # oslo.db makes that of what is raised while a statement runs
        if not isinstance(exc.inner_exception, BrokenOff):
            raise
        return True
    return False


class OldCheckpointsTestCase(base.TestCase):
    changes_schema = True

    def setUp(self) -> None:
        super().setUp()
        db.dispose()
        self.patch(point_filling, '_CHECKPOINTS', 4)
        self.old = self.database_with(_COUNT)

    def database_with(self, count: int) -> old_checkpoints.OldCheckpoints:
        """Go on with a database as the release before has left it."""
        self.open_new_database()
        migration.upgrade(old_checkpoints.SCHEMA)
        old = old_checkpoints.OldCheckpoints(_VOLUMES, seed=1)
        old.write(count)
        return old

    def until_it_is_done(self, fill: Callable[[], object]) -> Iterator[int]:
        """Do it again and again, with one transaction more each time; how often, when not done."""
        for number in itertools.count(1):
            with broken_off_in(2):
                if not is_broken_off(fill):
                    return
            yield number

    def assert_points(self) -> None:
        """The points are those that there are to be, and nothing is left to do."""
        self.assertEqual(
            [],
            old_checkpoints.differences(self.old.points(), old_checkpoints.found_points()),
        )
        before = rows()
        self.assertEqual(0, point_filling.fill())
        self.assertEqual(before, rows())


def rows() -> dict[str, Any]:
    """By id, the points with the moments at which they were last changed."""
    with db.reader() as session:
        return {
            row.id: (row.checkpoint_id, row.resource_id, row.state, row.updated_at)
            for row in session.execute(sa.select(models.RecoveryPoint.__table__))
        }


class UpgradeTest(OldCheckpointsTestCase):
    def test_at_once(self) -> None:
        migration.upgrade()
        self.assert_points()

    def test_it_is_broken_off_after_each_statement_of_the_migration(self) -> None:
        for statements in itertools.count(1):
            with broken_off_after(statements):
                if not is_broken_off(lambda: migration.upgrade(_HEAD)):
                    break

        self.assertGreater(statements, len(models.RecoveryPoint.__table__.indexes))
        with db.engine().connect() as connection:
            context = alembic_migration.MigrationContext.configure(connection)
            self.assertEqual([], autogenerate.compare_metadata(context, models.Base.metadata))
        migration.upgrade()
        self.assert_points()

    def test_it_is_broken_off_in_each_transaction(self) -> None:
        migration.upgrade(_HEAD)
        before: dict[str, Any] = {}
        for _ in self.until_it_is_done(migration.upgrade):
            self.assertEqual(before, {key: rows()[key] for key in before}, 'they are kept')
            self.assertGreater(len(rows()), len(before), 'one transaction is there to stay')
            before = rows()

        self.assert_points()

    def test_older_processes_have_gone_on_and_it_is_broken_off_again(self) -> None:
        migration.upgrade()
        self.old.go_on()
        self.assertLess(_COUNT / 10, len(list(self.until_it_is_done(point_filling.fill))))
        self.assert_points()

    def test_older_processes_go_on_while_it_is_broken_off(self) -> None:
        with broken_off_in(_COUNT // 8):
            self.assertRaises(BrokenOff, migration.upgrade)
        self.old.go_on()
        migration.upgrade()
        self.assert_points()

    def test_several_at_once(self) -> None:
        migration.upgrade(_HEAD)
        written = at_once(*[point_filling.fill] * 4)
        self.assertNotIn(None, written)
        self.assert_points()
        self.old.go_on()
        self.assertNotIn(None, at_once(*[point_filling.fill] * 4))
        self.assert_points()


def explained(statement: str, parameters: Any) -> list[str]:
    """How SQLite finds what a statement asks for."""
    with db.engine().connect() as connection:
        rows = connection.exec_driver_sql(f'EXPLAIN QUERY PLAN {statement}', parameters)
        return [row[-1] for row in rows]


class CostTest(OldCheckpointsTestCase):
    def duty(self) -> bank_filling.PointFilling:
        """What workers do each hour."""
        return bank_filling.PointFilling(provider.ProviderRegistry(self.provider_dir()))

    def costs_of(self, count: int) -> list[lists.Cost]:
        """What it costs to fill in points, to find nothing to do, and after older processes."""
        self.old = self.database_with(count)
        migration.upgrade(_HEAD)
        duty = self.duty()
        found = []
        for prepare, act in (
            (lambda: 0, point_filling.fill),
            (old_checkpoints.ask_banks, duty.fill_points),
            (self.old.go_on, point_filling.fill),
        ):
            prepare()
            with lists.cost() as cost:
                act()
            found.append(cost)
        self.assert_points()
        return found

    def test_costs_are_in_line_with_checkpoints_and_each_statement_with_its_part(self) -> None:
        for few, many in zip(self.costs_of(_COUNT), self.costs_of(3 * _COUNT), strict=True):
            self.assertLessEqual(len(many.statements), 1.2 * 3 * len(few.statements))
            # Steps are counted by SQLite only.
            self.assertLessEqual(many.steps, 1.2 * 3 * few.steps + 10)
            self.assertLessEqual(many.longest, 1.5 * few.longest + 10)

    @unittest.skipUnless(base.DATABASE == 'sqlite', 'plans are looked at in SQLite')
    def test_that_there_is_nothing_to_do_is_read_from_an_index(self) -> None:
        migration.upgrade()
        old_checkpoints.ask_banks()
        with lists.cost() as cost:
            self.duty().fill_points()
        plans = {
            plan
            for statement, parameters in cost.statements
            if 'FROM recovery_points' in statement
            for plan in explained(statement, parameters)
        }
        index = 'recovery_points_state_idx'
        self.assertTrue(any(f'COVERING INDEX {index} ' in plan for plan in plans), plans)
        self.assertFalse(any('recovery_points' in plan and index not in plan for plan in plans))
