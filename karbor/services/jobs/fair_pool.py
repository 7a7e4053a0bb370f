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

"""The threads of a process that send requests, shared fairly by all of its jobs.

How many of them send at once is left to a limiter, which is told of each answer.
"""

import collections
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any, NamedTuple, Protocol, TypeVar

from oslo_log import log as logging

from karbor.common import outages
from karbor.services import retrying

LOG = logging.getLogger(__name__)

_Result = TypeVar('_Result')

# For how long is held back who was refused: unless the service says, and at most; in seconds.
_SHORTEST_HOLD, _LONGEST_HOLD = 0.5, 30.0


class Limiter(Protocol):
    """Finds how many requests a service likes to have open at once."""

    @property
    def limit(self) -> int:
        """How many may be open, at least one."""

    def answered(self, kind: str, seconds: float, in_flight: int) -> None:
        """Note an answer.

        :param kind: of the request: those of one kind take about as long.
        :param seconds: how long it took.
        :param in_flight: how many requests were open, itself included.
        """

    def refused(self) -> None:
        """Note that the service asks for fewer requests."""


class _Call(NamedTuple):
    """What a thread is to do."""

    function: Callable[[], Any]
    outcome: futures.Future[Any]

    def do(self) -> None:
        """Call it, and tell what comes of it."""
        if not self.outcome.set_running_or_notify_cancel():
            return
        try:
            result = self.function()
        except BaseException as exc:  # noqa: BLE001 - raised again for whoever has asked
            self.outcome.set_exception(exc)
        else:
            self.outcome.set_result(result)


class _Jobs:
    """What the jobs of one project have to do, each job in its turn."""

    def __init__(self) -> None:
        self._calls: collections.OrderedDict[str, collections.deque[_Call]] = (
            collections.OrderedDict()
        )

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, job_id: str, call: _Call) -> None:
        self._calls.setdefault(job_id, collections.deque()).append(call)

    def take(self) -> _Call:
        job_id, calls = self._calls.popitem(last=False)
        call = calls.popleft()
        if calls:
            self._calls[job_id] = calls  # behind the others
        return call

    def drop(self, job_id: str) -> list[_Call]:
        return list(self._calls.pop(job_id, ()))


class FairPool:
    """Some threads, which work for each project in turn, and for each of its jobs in turn.

    :param workers: how many threads there are at most; they begin when they are needed.
    :param limiter: how many of them may work at once; all, if there is none.
    :param monotonic: tells seconds.
    :ivar outage: of the service that the requests go to.
    """

    def __init__(
        self,
        workers: int,
        limiter: Limiter | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.outage = outages.Outage(monotonic)
        self._workers = workers
        self._limiter = limiter
        self._monotonic = monotonic
        self._share = workers
        self._condition = threading.Condition()
        # Of what follows.
        self._threads = 0
        self._idle = 0
        self._woken = 0
        self._running = 0
        self._projects: collections.OrderedDict[str, _Jobs] = collections.OrderedDict()
        # Until when nothing is done for a project, and for any.
        self._held: dict[str, float] = {}
        self._all_held = 0.0

    def lane(self, project_id: str, job_id: str, check: Callable[[], None]) -> 'Lane':
        """The pool as one job has it.

        :param check: called before everything that is done; what it raises is raised in place of
            that.
        """
        return Lane(self, project_id, job_id, check)

    def share(self, part: int, whole: int) -> None:
        """Let only a part of the threads work at once, as other processes send requests, too."""
        self._share = max(self._workers * part // whole, 1)

    def answered(self, kind: str, seconds: float) -> None:
        """See :meth:`Limiter.answered`."""
        if self._limiter is not None:
            self._limiter.answered(kind, seconds, self._running)

    def refused(self, seconds: float, project_id: str | None) -> None:
        """Hold back what follows, as a service wants to be asked less.

        :param seconds: for so long; not for very long, whatever it says.
        :param project_id: whose calls are held back; None for those of all.
        """
        if self._limiter is not None:
            self._limiter.refused()
        until = self._monotonic() + min(seconds, _LONGEST_HOLD)
        with self._condition:
            if project_id is None:
                self._all_held = max(until, self._all_held)
            else:
                self._held[project_id] = max(until, self._held.get(project_id, 0.0))

    def add(self, project_id: str, job_id: str, call: _Call) -> None:
        """Have a call done in its turn.

        :raises RuntimeError: there is no thread, and none can be begun.
        """
        with self._condition:
            self._projects.setdefault(project_id, _Jobs()).add(job_id, call)
            try:
                self._wake_one()
            except RuntimeError:
                self.drop(project_id, job_id)
                raise

    def _wake_one(self) -> None:
        """Let one more thread look for what there is to do, if there may be one."""
        if self._running + self._woken >= self._limit():
            return
        if self._idle > self._woken:
            self._woken += 1
            self._condition.notify()
        elif self._threads < self._workers:
            self._begin_thread()

    def _limit(self) -> int:
        limit = self._share if self._limiter is None else self._limiter.limit
        return min(limit, self._share)

    def _begin_thread(self) -> None:
        thread = threading.Thread(
            target=self._work, daemon=True, name=f'requests-{self._threads + 1}'
        )
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
            LOG.exception('There can be no more threads')
        else:
            self._threads += 1
            self._woken += 1

    def drop(self, project_id: str, job_id: str) -> None:
        """Do nothing more of what a job has asked for and is not begun."""
        with self._condition:
            jobs = self._projects.get(project_id)
            calls = [] if jobs is None else jobs.drop(job_id)
            if jobs is not None and not jobs:
                del self._projects[project_id]
        for call in calls:
            call.outcome.cancel()

    def _work(self) -> None:
        with self._condition:
            self._woken -= 1
            self._running += 1
        while True:
            call = self._take()
            try:
                call.do()
            except BaseException:
                # A thread's edge: of whoever is told of a call that is over.
                LOG.exception('What follows a call has failed')

    def _take(self) -> _Call:
        """End what this thread was at, and wait for what it is to do next."""
        with self._condition:
            self._running -= 1
            while True:
                call, pause = self._next()
                if call is not None:
                    self._running += 1
                    if self._projects:
                        self._wake_one()
                    return call
                self._idle += 1
                self._condition.wait(pause)
                self._idle -= 1
                self._woken = max(self._woken - 1, 0)

    def _next(self) -> tuple[_Call | None, float | None]:
        """The call whose turn it is, or until when there can be none, in seconds from now."""
        if self._running >= self._limit() or not self._projects:
            return None, None
        now = self._monotonic()
        if now < self._all_held:
            return None, self._all_held - now
        self._held = {each: until for each, until in self._held.items() if until > now}
        project_id = next((each for each in self._projects if each not in self._held), None)
        if project_id is None:
            return None, min(self._held[each] for each in self._projects) - now
        jobs = self._projects.pop(project_id)
        call = jobs.take()
        if jobs:
            self._projects[project_id] = jobs  # behind the others
        return call, None


class Lane(futures.Executor):
    """The pool as one job has it.

    :param pool: the threads.
    :param check: see :meth:`FairPool.lane`.
    """

    def __init__(
        self, pool: FairPool, project_id: str, job_id: str, check: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._project_id = project_id
        self._job_id = job_id
        self._check = check
        self._is_shut = False

    def submit(
        self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any
    ) -> futures.Future[_Result]:
        """Have something done in the job's turn; it is cancelled when the lane is shut."""

        def function() -> _Result:
            if self._is_shut:
                raise futures.CancelledError
            self._check()
            return fn(*args, **kwargs)

        outcome: futures.Future[_Result] = futures.Future()
        if self._is_shut:
            outcome.cancel()
        else:
            self._pool.add(self._project_id, self._job_id, _Call(function, outcome))
        return outcome

    def answered(self, kind: str, seconds: float) -> None:
        """See :meth:`Limiter.answered`."""
        self._pool.answered(kind, seconds)

    def refused(self, retry_after: str | None, *, is_for_all: bool) -> None:
        """Hold back what follows, as a service wants to be asked less.

        :param retry_after: the answer's header of that name.
        :param is_for_all: whether it wants so of everybody, and not only of the job's project.
        """
        seconds = retrying.seconds_of(retry_after) or _SHORTEST_HOLD
        self._pool.refused(seconds, None if is_for_all else self._project_id)

    def heard(self, code: int | None) -> None:
        """Note whether the service answers at all, well or not.

        :param code: the HTTP status of an answer; None when nobody was reached.
        """
        if code is None or retrying.is_unanswered_code(code):
            self._pool.outage.fault()
        else:
            self._pool.outage.end()

    @property
    def is_away(self) -> bool:
        """Whether the service has answered none for so long that each is to be sent but once."""
        return self._pool.outage.is_on

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing more of what is not begun; what runs is not waited for."""
        self._is_shut = True
        self._pool.drop(self._project_id, self._job_id)
