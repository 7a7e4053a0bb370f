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

"""Which jobs are next in line, and what it costs to find them."""

import collections
import datetime
import random
import unittest
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from karbor import db
from karbor.db import models
from karbor.db.jobs import JobState, Scope
from karbor.services.jobs import boards
from karbor.tests import base

_KINDS, _PROVIDERS = ('protect', 'delete', 'newer'), ('p', 'q', 'other')
_SCOPE = Scope(kinds=frozenset(_KINDS[:2]), provider_ids=frozenset(_PROVIDERS[:2]))
_BEGUN = datetime.datetime(2026, 11, 5)
_IN_LINE = boards._IN_LINE


class JobLineTest(base.TestCase):
    def add(self, projects: Collection[str], count: int, **fields: Any) -> None:
        """Jobs of some projects in turn, one a second."""
        names = list(projects)
        rows = [
            {
                'id': base.new_id(),
                'kind': 'protect',
                'subject_id': 's',
                'checkpoint_id': 'c',
                'provider_id': 'p',
                'project_id': names[number % len(names)],
                'state': JobState.PENDING,
                'created_at': _BEGUN + datetime.timedelta(seconds=number),
                **fields,
            }
            for number in range(count)
        ]
        with db.writer() as session:
            session.execute(sa.insert(models.Job), rows)

    def in_line(self, full_projects: Collection[str] = ()) -> list[str]:
        return [found.job_id for found in boards.in_line(_SCOPE, full_projects)]

    def expected(self, full_projects: Collection[str]) -> list[str]:
        """The same by looking at every row."""
        with db.reader() as session:
            rows = list(session.scalars(sa.select(models.Job)))
        lines = collections.defaultdict(list)
        for row in sorted(rows, key=lambda row: (row.created_at, row.id)):
            is_ours = row.kind in _SCOPE.kinds and row.provider_id in _SCOPE.provider_ids
            if row.state == JobState.PENDING and is_ours and row.project_id not in full_projects:
                lines[row.project_id].append(row)
        placed = [
            (place, row.created_at, row.id)
            for line in lines.values()
            for place, row in enumerate(line)
        ]
        return [job_id for _, _, job_id in sorted(placed)[:_IN_LINE]]

    def test_the_first_of_each_project_before_any_second(self) -> None:
        chance = random.Random(12)
        for most_projects, most_jobs in ((1, 3), (3, 200), (40, 30), (_IN_LINE, 2), (100, 3)):
            with db.writer() as session:
                session.execute(sa.delete(models.Job))
            names = [f'{chance.random():.9f}' for _ in range(most_projects)]
            for name in names:
                for _ in range(chance.randint(1, most_jobs)):
                    self.add(
                        [name],
                        1,
                        kind=chance.choice(_KINDS),
                        provider_id=chance.choice(_PROVIDERS),
                        state=chance.choice((JobState.PENDING, JobState.PENDING, JobState.DONE)),
                        created_at=_BEGUN + datetime.timedelta(seconds=chance.randint(0, 99)),
                    )
            for full in ((), names[:1], names[::2], names):
                self.assertEqual(self.expected(full), self.in_line(full), (most_projects, full))

    def test_none(self) -> None:
        self.assertEqual([], self.in_line())
        self.add(['a'], 3, state=JobState.RUNNING)
        self.assertEqual([], self.in_line())

    @unittest.skipUnless(base.DATABASE == 'sqlite', 'only SQLite counts its steps')
    def test_it_costs_the_same_however_many_wait(self) -> None:
        for projects in (['a'], [f'p{number}' for number in range(20)]):
            with db.writer() as session:
                session.execute(sa.delete(models.Job))
            self.add(projects, 20 * _IN_LINE)
            few = self.steps()
            self.add(projects, 200 * _IN_LINE)
            self.assertLess(self.steps(), 1.2 * few + 2)

    def steps(self) -> int:
        """Hundreds of steps of SQLite's machine that a look takes."""
        steps = [0]

        def note() -> int:
            steps[0] += 1
            return 0

        def watch(connection: Any, _record: Any) -> None:
            connection.set_progress_handler(note, 100)

        event.listen(db.engine(), 'connect', watch)
        self.in_line()
        event.remove(db.engine(), 'connect', watch)
        self.assertGreater(steps[0], 1)
        return steps[0]
