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

"""Shows what a look for jobs costs when very many wait, of one project and of a thousand.

Run it by ``tools/bench looks``. The database is an SQLite file or what ``KARBOR_TEST_DATABASE``
says. The ratio is that to a look at 64 jobs of one project.
"""

import datetime
import logging
import statistics
import sys
import time
import unittest
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from karbor import db
from karbor.db import models
from karbor.db.jobs import JobState, Scope
from karbor.services.jobs import boards
from karbor.tests import base

_COUNTS = (64, 20_000, 200_000)
_LOOKS = 7
_BATCH = 5_000
_SCOPE = Scope(kinds=frozenset({'protect', 'delete'}), provider_ids=frozenset({'p'}))


class Looks(base.TestCase):
    """Not a test: the set-up of one, with a database of its own."""

    counts: tuple[int, ...] = _COUNTS
    projects = 1
    #: the seconds of the first look of all
    first = 0.0

    def runTest(self) -> None:
        logging.disable(logging.WARNING)
        made = 0
        for count in self.counts:
            _fill(made, count, self.projects)
            made = count
            seconds = statistics.median(_look() for _ in range(_LOOKS))
            Looks.first = Looks.first or seconds
            print(  # noqa: T201
                f'{self.projects:8} {count:8} {1000 * seconds:9.2f} {seconds / self.first:7.1f}',
                flush=True,
            )


class ManyProjects(Looks):
    projects = 1_000


def _look() -> float:
    begun = time.perf_counter()
    boards.in_line(_SCOPE, ())
    return time.perf_counter() - begun


def _fill(begin: int, end: int, projects: int) -> None:
    begun = datetime.datetime(2026, 1, 1)
    for first in range(begin, end, _BATCH):
        rows = list(_rows(range(first, min(first + _BATCH, end)), projects, begun))
        with db.engine().begin() as connection:
            connection.execute(sa.insert(models.Job), rows)
    analyze = {'postgresql': 'ANALYZE jobs', 'mysql': 'ANALYZE TABLE jobs'}
    statement = analyze.get(db.engine().dialect.name)
    if statement is not None:
        with db.engine().begin() as connection:
            connection.execute(sa.text(statement))


def _rows(numbers: range, projects: int, begun: datetime.datetime) -> Iterator[dict[str, Any]]:
    for number in numbers:
        yield {
            'kind': 'protect',
            'subject_id': base.new_id(),
            'checkpoint_id': base.new_id(),
            'provider_id': 'p',
            'project_id': f'{number % projects:032x}',
            'state': JobState.PENDING,
            'created_at': begun + datetime.timedelta(seconds=number),
        }


def main(counts: list[int]) -> bool:
    Looks.counts = tuple(counts) or _COUNTS
    print(f'{"projects":>8} {"pending":>8} {"ms a look":>9} {"ratio":>7}', flush=True)  # noqa: T201
    suite = unittest.TestSuite([Looks(), ManyProjects()])
    return unittest.TextTestRunner().run(suite).wasSuccessful()


if __name__ == '__main__':
    sys.exit(not main([int(count) for count in sys.argv[1:]]))
