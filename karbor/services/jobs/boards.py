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

"""Where jobs wait for a worker.

A board carries ids only; the rows of the jobs are the truth, from which it can be filled
again at any time.
"""

import dataclasses
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from karbor import db
from karbor.db import job_line, jobs

# How many of the jobs that wait a worker looks at. As each project has its first job in line
# before any has its second, one that has very many does not hide the others.
_IN_LINE = 64


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A job that waits.

    :ivar age: for how long it has been there, in seconds.
    """

    job_id: str
    project_id: str
    age: float


class Board(Protocol):
    """Where jobs wait. The rows decide what there is to do, and in which order."""

    def post(self, job_id: str) -> None:
        """Have a job done, whose row is there already. Never fails: see :meth:`waiting`."""

    def post_now(self, job_id: str) -> None:
        """The same, and not a little later."""

    def waiting(self, scope: jobs.Scope, full_projects: Collection[str] = ()) -> Sequence[Waiting]:
        """The jobs that a worker can do and that are next in line.

        :param full_projects: those that are to wait.
        """

    def listen(self, heard: Callable[[], None], stopping: threading.Event) -> None:
        """Tell when a job may have been posted, until the process stops.

        Not every one need be told, nor by every board: workers look by themselves, too.

        :param heard: called then.
        """

    def claim(self, waiting: Waiting) -> bool:
        """Take a job that waits; returns whether this process may begin it.

        The claim on the row, which follows, decides.
        """

    def renew(self) -> None:
        """Keep what this process has claimed."""

    def release(self, job_id: str) -> None:
        """Take a job off the board that this process has claimed, as it is over."""

    def hand_back(self) -> None:
        """Let others claim what this process has claimed."""

    def tidy(self) -> None:
        """Take off what nobody needs."""

    def lost(self, scope: jobs.Scope) -> list[str]:
        """The jobs next in line that should be on the board, and are not."""

    def answers(self) -> bool:
        """Whether the server of the board is there, if it needs one."""

    def check(self) -> None:
        """:raises DBError: workers could not look."""


class DatabaseBoard:
    """No more than the rows themselves: workers look for those that are pending."""

    def post(self, job_id: str) -> None:
        """Have a job done, whose row is there already. Never fails: see :meth:`waiting`."""

    def post_now(self, job_id: str) -> None:
        """The same, and not a little later."""

    def waiting(self, scope: jobs.Scope, full_projects: Collection[str] = ()) -> Sequence[Waiting]:
        """The jobs that a worker can do and that are next in line.

        :param full_projects: those that are to wait.
        """
        return in_line(scope, full_projects)

    def listen(self, heard: Callable[[], None], stopping: threading.Event) -> None:
        """Nothing is told: workers look."""

    def claim(self, waiting: Waiting) -> bool:
        """Take a job that waits; returns whether this process may begin it.

        The claim on the row, which follows, decides.
        """
        return True

    def renew(self) -> None:
        """Keep what this process has claimed."""

    def release(self, job_id: str) -> None:
        """Take a job off the board that this process has claimed, as it is over."""

    def hand_back(self) -> None:
        """Let others claim what this process has claimed."""

    def tidy(self) -> None:
        """Take off what nobody needs."""

    def lost(self, scope: jobs.Scope) -> list[str]:
        """The jobs next in line that should be on the board, and are not."""
        return []

    def answers(self) -> bool:
        """Whether the server of the board is there, if it needs one."""
        return True

    def check(self) -> None:
        """:raises DBError: workers could not look."""
        in_line(jobs.Scope(kinds=frozenset(), provider_ids=frozenset()), ())


def in_line(scope: jobs.Scope, full_projects: Collection[str]) -> Sequence[Waiting]:
    """The jobs that wait in the database, and are the next to begin."""
    with db.reader() as session:
        return [Waiting(*row) for row in job_line.in_line(session, scope, full_projects, _IN_LINE)]
