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

"""Jobs on a TaskFlow jobboard, in etcd, Redis or ZooKeeper.

What is posted carries the id of a job and nothing else. The rows decide what there is to do
and in which order; so what a board has lost is posted again, and while it is away, workers go by
the rows alone. A claim on the board keeps other workers from trying, as long as one lease; the
claim on the row, which follows, is what makes a job run once.
"""

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from oslo_log import log as logging
from taskflow import exceptions as taskflow_exc
from taskflow.jobs import backends, base

from karbor import db
from karbor.db import jobs
from karbor.services.jobs import boards, taskflow_drivers

LOG = logging.getLogger(__name__)

# While more than this wait, new jobs are not posted before a worker begins them: the board
# stays small, whatever there is to do.
_CROWD = 64
# For how long a board that has failed is left alone, in seconds.
_PAUSE = 5
# What handing back may take, in seconds, and one answer of the server more.
_LONGEST_HAND_BACK = 3
# Whoever asks for a job posts it; after this time, in seconds, it counts as forgotten.
_TIME_TO_POST = 2


class BoardAwayError(Exception):
    """The server of the board does not answer."""


class TaskFlowBoard:
    """A board that many processes share.

    :param driver: of what ``[jobboard] connection`` says.
    :param owner: the name under which this process claims; no other may have it.
    :param expiry: for how long a claim holds that is not renewed, in seconds.
    """

    def __init__(self, driver: taskflow_drivers.Driver, owner: str, expiry: float) -> None:
        self._driver = driver
        self._owner = owner
        self._expiry = expiry
        self._connecting = threading.Lock()
        self._board: base.JobBoard | None = None
        self._away_until = 0.0
        self._beginning_to_post = threading.Lock()
        self._unposted: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._poster: threading.Thread | None = None
        self._seen: dict[str, base.Job] = {}
        self._claimed: dict[str, base.Job] = {}
        # Job id -> since when others have claimed it on the board, and it is not begun.
        self._refused: dict[str, float] = {}

    def post(self, job_id: str) -> None:
        """Tell the workers of a job, soon: who asked for it does not wait for the board."""
        self._unposted.put(job_id)
        with self._beginning_to_post:
            if self._poster is None:  # not before: a process may have been forked until now
                self._poster = threading.Thread(
                    target=self._post_all, name='post jobs', daemon=True
                )
                self._poster.start()

    def post_now(self, job_id: str) -> None:
        """Tell the workers of a job, unless many wait. They find one by its row as well."""
        if not self._is_crowded():
            with contextlib.suppress(BoardAwayError), self._using() as board:
                board.post(job_id)
                self._driver.announce(board)

    def _post_all(self) -> None:
        while True:
            job_id = self._unposted.get()
            try:
                self.post_now(job_id)
            except Exception:
                # A thread's edge: a database that is away for a moment must not end it.
                LOG.exception('Job %s could not be posted; workers find it by its row', job_id)

    def _is_crowded(self) -> bool:
        with db.reader() as session:
            return jobs.are_crowded(session, _CROWD)

    def waiting(
        self, scope: jobs.Scope, full_projects: Collection[str] = ()
    ) -> Sequence[boards.Waiting]:
        """See :meth:`boards.Board.waiting`."""
        in_line = boards.in_line(scope, full_projects)
        job_ids = {found.job_id for found in in_line}
        seen = {job_id: posting for job_id, posting in self._seen.items() if job_id in job_ids}
        self._seen = {}
        self._refused = {job_id: self._refused[job_id] for job_id in job_ids & self._refused.keys()}
        if in_line:
            with contextlib.suppress(BoardAwayError), self._using() as board:
                self._seen = seen | _postings_of(board, job_ids.difference(seen))
        return in_line

    def claim(self, waiting: boards.Waiting) -> bool:
        """Claim a job, which is posted if it is not on the board, unless who made it may still do
        that. Without a board, the claim on its row is enough; and so it is where somebody has had
        the claim on the board for a lease, and has not begun.
        """
        try:
            with self._using() as board:
                posting = self._seen.get(waiting.job_id)
                if posting is None and (waiting.age > _TIME_TO_POST or self._is_crowded()):
                    LOG.info('Job %s is not on the board; it is posted', waiting.job_id)
                    posting = board.post(waiting.job_id)
                if posting is None:
                    return False
                if not self._claim(board, posting):
                    self._seen.pop(waiting.job_id, None)  # perhaps there is another by now
                    return self._is_held_in_vain(waiting.job_id)
                self._claimed[waiting.job_id] = posting
        except BoardAwayError:
            pass
        return True

    def _is_held_in_vain(self, job_id: str) -> bool:
        """Whether others have had the claim for so long that a worker would have begun."""
        now = time.monotonic()
        if now - self._refused.setdefault(job_id, now) < self._expiry:
            return False
        LOG.warning(
            'Job %s is claimed on the board by somebody who has not begun it for %g seconds; that '
            'is ignored',
            job_id,
            self._expiry,
        )
        return True

    def listen(self, heard: Callable[[], None], stopping: threading.Event) -> None:
        """See :meth:`boards.Board.listen`."""
        while not stopping.is_set():
            try:
                self._driver.listen(self._connected(), heard, stopping)
            except Exception as exc:  # noqa: BLE001
                # The board's edge: whatever three libraries raise, jobs are found by their rows.
                LOG.debug('Nothing is heard of new jobs: %s: %s', type(exc).__name__, exc)
                stopping.wait(_PAUSE)

    def renew(self) -> None:
        """Keep the claims on the board."""
        for job_id, posting in list(self._claimed.items()):
            with contextlib.suppress(BoardAwayError), self._using():
                if not self._driver.renew(posting, self._expiry):
                    LOG.warning(
                        'The claim on job %s has gone from the board; its row keeps it', job_id
                    )
                    self._claimed.pop(job_id, None)

    def release(self, job_id: str) -> None:
        """Take a job off the board that is over, or else its claim expires."""
        posting = self._claimed.pop(job_id, None)
        if posting is not None:
            with contextlib.suppress(BoardAwayError), self._using() as board:
                self._consume(board, posting, self._owner)

    def hand_back(self) -> None:
        """Let others claim what this process has claimed, as far as that can be done soon."""
        end = time.monotonic() + _LONGEST_HAND_BACK
        while self._claimed and time.monotonic() < end:
            _, posting = self._claimed.popitem()
            with contextlib.suppress(BoardAwayError), self._using() as board:
                _unless_lost(board.abandon, posting, self._owner)

    def tidy(self) -> None:
        """Take off the jobs that are over, whose worker was killed before it could, or whom a
        stranger has claimed; and all but one posting of a job that was posted more than once.
        """
        unclaimed: list[base.Job] = []
        posted: list[base.Job] = []
        with contextlib.suppress(BoardAwayError), self._using() as board:
            unclaimed = _postings(board, only_unclaimed=True)
            posted = _postings(board)
        with db.reader() as session:
            over = jobs.finished(session, {posting.name for posting in posted})
        unneeded = [posting for posting in posted if posting.name in over]
        unneeded += _repeated([posting for posting in unclaimed if posting.name not in over])
        with contextlib.suppress(BoardAwayError), self._using() as board:
            for posting in unneeded:
                if self._claim(board, posting):
                    LOG.info('Job %s is taken off the board', posting.name)
                    self._consume(board, posting, self._owner)
                elif posting.name in over:
                    self._consume(board, posting, _owner_of(board, posting))

    def lost(self, scope: jobs.Scope) -> list[str]:
        """The jobs next in line that should be on the board, and are not.

        Those that were just made are left out: who made them may still post them. Of very many
        that wait, those that no worker has come to are not posted.
        """
        if self._is_crowded():
            return []
        in_line = boards.in_line(scope, ())
        with contextlib.suppress(BoardAwayError), self._using() as board:
            posted = {posting.name for posting in _postings(board)}
            return [
                found.job_id
                for found in in_line
                if found.job_id not in posted and found.age > _TIME_TO_POST
            ]
        return []

    def answers(self) -> bool:
        """Whether the server of the board is there."""
        try:
            with self._using() as board:
                _postings(board)
        except BoardAwayError:
            return False
        return True

    def check(self) -> None:
        """:raises DBError: workers could not look; without a server they go by the rows."""
        boards.DatabaseBoard().check()

    def _claim(self, board: base.JobBoard, posting: base.Job) -> bool:
        try:
            self._driver.claim(board, posting, self._owner, self._expiry)
        except (taskflow_exc.UnclaimableJob, taskflow_exc.NotFound):
            return False
        return True

    def _consume(self, board: base.JobBoard, posting: base.Job, owner: str) -> None:
        _unless_lost(functools.partial(self._driver.consume, board), posting, owner)

    @contextlib.contextmanager
    def _using(self) -> Iterator[base.JobBoard]:
        """The board, connected.

        :raises BoardAwayError: it does not answer, or has not a moment ago.
        """
        self._check_not_away()
        try:
            yield self._connected()
        except BoardAwayError:
            raise
        except Exception as exc:
            # The board's edge: whatever TaskFlow and three libraries raise, jobs go on.
            if isinstance(exc, taskflow_exc.NotFound):
                self._close()  # the place of the board itself has gone; a new one makes it
            LOG.warning(
                'The job board does not answer, jobs go by their rows: %s: %s',
                type(exc).__name__,
                str(exc).partition('\n')[0],
            )
            self._away_until = time.monotonic() + _PAUSE
            raise BoardAwayError from exc

    def _check_not_away(self) -> None:
        if time.monotonic() < self._away_until:
            raise BoardAwayError

    def _connected(self) -> base.JobBoard:
        with self._connecting:
            self._check_not_away()  # who has waited for another's attempt makes none himself
            if self._board is None:
                self._board = self._connect()
        self._driver.check(self._board)
        return self._board

    def _connect(self) -> base.JobBoard:
        board = backends.fetch('karbor', self._driver.options, client=self._driver.client())
        try:
            self._driver.connect(board)
        except Exception:
            self._away_until = time.monotonic() + _PAUSE
            self._driver.close(board)
            raise
        return board

    def _close(self) -> None:
        with self._connecting:
            if self._board is not None:
                self._driver.close(self._board)
                self._board = None
                self._seen = {}


def _postings(board: base.JobBoard, *, only_unclaimed: bool = False) -> list[base.Job]:
    """What is on the board, the newest first: of several of one job, the oldest counts."""
    found = board.iterjobs(only_unclaimed=only_unclaimed, ensure_fresh=True)
    return sorted(found, key=lambda posting: posting.sequence, reverse=True)


def _postings_of(board: base.JobBoard, job_ids: Collection[str]) -> dict[str, base.Job]:
    """A posting of each of some jobs, as far as they are on the board.

    Each one that is looked at is a request, so no more are than it takes; on Redis the newest come
    first.
    """
    postings: dict[str, base.Job] = {}
    if job_ids:
        for posting in board.iterjobs(ensure_fresh=True):
            if posting.name in job_ids:
                postings[posting.name] = posting
            if len(postings) == len(job_ids):
                break
    return postings


def _repeated(postings: Sequence[base.Job]) -> list[base.Job]:
    """All postings of a job but the oldest.

    :param postings: the newest first.
    """
    oldest = {posting.name: posting for posting in postings}
    return [posting for posting in postings if posting is not oldest[posting.name]]


def _owner_of(board: base.JobBoard, posting: base.Job) -> str:
    """Who has claimed a posting; TaskFlow lets everybody consume it in that name."""
    try:
        return str(board.find_owner(posting))
    except TypeError:  # TaskFlow's answer on Redis for a claim that has gone
        return str(None)


def _unless_lost(act: Callable[..., Any], posting: base.Job, owner: str) -> None:
    """Do something with a posting, if the claim on it still is the owner's."""
    try:
        act(posting, owner)
    except (taskflow_exc.NotFound, taskflow_exc.JobFailure) as exc:
        if isinstance(exc, taskflow_exc.JobFailure) and exc.__cause__ is not None:
            raise  # of the library: the server does not answer
        LOG.info(
            'Job %s was not on the board any more: %s', posting.name, str(exc).partition('\n')[0]
        )
