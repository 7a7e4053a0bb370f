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

"""Runs the four hooks of every resource of a graph, in their order.

Resources that have nothing to do with each other run side by side. A hook that gives its steps has
a thread only while it does something.
"""

import collections
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from typing import NamedTuple

from oslo_log import log as logging

from karbor.common import constants
from karbor.resource import Resource
from karbor.services.jobs import order
from karbor.services.jobs.order import Task
from karbor.services.protection import graph, plugin_edge, steps
from karbor.services.protection.steps import Steps, Wait

LOG = logging.getLogger(__name__)

# What has ended is told together: after so many seconds, or when it is so many resources.
_TELL_AFTER = 0.1
_TELL_AT = 500

# How many hooks are begun and not at their end. Each that waits keeps some memory.
_MOST_BEGUN = 500


class Work(NamedTuple):
    """What a hook has to do.

    :ivar run: does it, or returns the steps in which it is done.
    :ivar executor: where it runs, and each of its steps; None if it is done in no time.
    """

    run: Callable[[], Steps | None]
    executor: futures.Executor | None


class End(NamedTuple):
    """That a resource is finished, or has failed.

    :ivar error: what its first failing hook raised; None when all went well.
    """

    resource: Resource
    error: Exception | None


class _Pause(NamedTuple):
    """Where a hook waits."""

    steps: Steps
    wait: Wait

    def end(self) -> None:
        """Let nobody wait any more."""
        self.wait.cancel()
        _close(self.steps)


class _Event(NamedTuple):
    """That a hook has come to its end.

    :ivar error: what it raised.
    """

    task: Task
    error: BaseException | None


def walk(
    roots: Iterable[graph.GraphNode],
    work_of: Callable[[Resource, str], Work | None],
    tell: Callable[[Sequence[End]], None],
    holds: Callable[[BaseException], bool] = lambda _error: False,
) -> None:
    """Run all hooks; returns when each resource is finished or failed.

    An exception of one hook fails its resource: its later hooks are left out, every other
    resource goes on. One that holds all back does not: nothing more is begun then, and when what
    runs is over, it is raised.

    :param roots: the graph.
    :param work_of: what a hook of a resource, by its name, has to do; None is nothing.
    :param tell: told of each resource that it has ended, of many at once.
    :param holds: whether what a hook raises holds all back.
    :raises Exception: what has held all back.
    :raises BaseException: what a hook raises that is no ``Exception`` ends the walk at once.
    """
    walk_of_graph = _Walk(order.HookOrder(roots), work_of, tell, holds)
    try:
        walk_of_graph.go()
    finally:
        walk_of_graph.close()


class _Walk:
    """One walk; see :func:`walk`."""

    def __init__(
        self,
        hooks: order.HookOrder,
        work_of: Callable[[Resource, str], Work | None],
        tell: Callable[[Sequence[End]], None],
        holds: Callable[[BaseException], bool],
    ) -> None:
        self._order = hooks
        self._ready: collections.deque[Task] = collections.deque(hooks.first())
        self._work_of = work_of
        self._tell = tell
        self._holds = holds
        self._held: Exception | None = None
        self._failed: set[Resource] = set()
        self._ends: list[End] = []
        self._tell_at = 0.0
        self._running = 0
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        # Of what follows. What Python collects may close steps, and so come here, at any moment.
        self._lock = threading.RLock()
        self._pauses: dict[Task, _Pause] = {}
        self._is_over = False

    def go(self) -> None:
        """Walk to the end."""
        while self._ready or self._running:
            while self._ready and self._running < _MOST_BEGUN:
                self._begin(self._ready.popleft())
            if self._running:
                self._handle_next()
            if self._ends and (len(self._ends) >= _TELL_AT or time.monotonic() >= self._tell_at):
                self._tell_ends()
        if self._ends:
            self._tell_ends()
        if self._held is not None:
            raise self._held

    def close(self) -> None:
        """End what waits; nothing of it goes on any more."""
        with self._lock:
            self._is_over = True
            pauses = list(self._pauses.values())
        for pause in pauses:
            pause.end()

    def _begin(self, task: Task) -> None:
        work = None if task[0] in self._failed else self._work_of(*task)
        if work is None:
            self._end(task, None)
        elif work.executor is None:
            self._do_at_once(task, work)
        else:
            self._running += 1
            self._submit(task, work.executor, functools.partial(_begun, work))

    def _do_at_once(self, task: Task, work: Work) -> None:
        error = None
        try:
            work.run()
        except Exception as exc:  # noqa: BLE001 - told of the resource
            error = exc
        self._end(task, error)

    def _handle_next(self) -> None:
        """Handle what comes next; what has ended is not left untold for long."""
        timeout = max(self._tell_at - time.monotonic(), 0) if self._ends else None
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return
        self._running -= 1
        task, error = event
        if error is None or isinstance(error, Exception):
            self._end(task, error)
            return
        try:
            raise error
        finally:
            del event, error  # its traceback has this frame, and would keep what waits there

    def _end(self, task: Task, error: Exception | None) -> None:
        if error is not None and self._holds(error):
            # The resource is neither finished nor failed, and nothing that follows it begins.
            self._held = self._held or error
            self._ready.clear()
            return
        resource, hook = task
        is_last = hook == constants.Hook.COMPLETE and resource not in self._failed
        if error is not None:
            self._failed.add(resource)
        if error is not None or is_last:
            if not self._ends:
                self._tell_at = time.monotonic() + _TELL_AFTER
            self._ends.append(End(resource, error))
        following = self._order.done(task)
        if self._held is None:
            self._ready.extend(following)

    def _tell_ends(self) -> None:
        ends, self._ends = self._ends, []
        self._tell(ends)

    # What follows runs in any thread.

    def _submit(
        self,
        task: Task,
        executor: futures.Executor,
        run: Callable[[], _Pause | None],
        going: Steps | None = None,
    ) -> None:
        """Begin a hook, or go on with its steps.

        :param going: the steps.
        """
        try:
            outcome = executor.submit(run)
        except RuntimeError as exc:  # there can be no thread more
            outcome = futures.Future()
            outcome.set_exception(exc)
        outcome.add_done_callback(functools.partial(self._note, task, executor, going))

    def _note(
        self,
        task: Task,
        executor: futures.Executor,
        going: Steps | None,
        outcome: futures.Future[_Pause | None],
    ) -> None:
        """Note that a hook has come to its end or to a pause."""
        try:
            pause = outcome.result()
        except BaseException as exc:  # noqa: BLE001 - told; a lane that is shut cancels
            _close(going)  # if it was not even gone on with
            self._events.put(_Event(task, exc))
            return
        if pause is None:
            self._events.put(_Event(task, None))
        else:
            self._park(task, executor, pause)

    def _park(self, task: Task, executor: futures.Executor, pause: _Pause) -> None:
        with self._lock:
            is_over = self._is_over
            if not is_over:
                self._pauses[task] = pause
        if is_over:
            pause.end()
        else:
            pause.wait.add_done_callback(functools.partial(self._resume, task, executor))

    def _resume(self, task: Task, executor: futures.Executor, wait: Wait) -> None:
        """Go on behind a wait."""
        with self._lock:
            if self._is_over:
                return
            going = self._pauses.pop(task).steps
        self._submit(task, executor, functools.partial(_advanced, going, wait), going)


def _close(going: Steps | None) -> None:
    """End steps where they wait."""
    if going is None:
        return
    try:
        going.close()
    except BaseException:
        # A plugin's edge, and the others are to be ended, too.
        LOG.exception('Steps could not be ended')


def _begun(work: Work) -> _Pause | None:
    """Begin a hook, in its executor; returns where it waits, None when it is over."""
    going = work.run()
    return None if going is None else _advanced(going)


def _advanced(going: Steps, ended: Wait | None = None) -> _Pause | None:
    """Go on to where the steps have to wait; returns that, None when they are over."""
    with plugin_edge.kept():
        wait = steps.advance(going, ended)
        while wait is not None and wait.done():
            wait = steps.advance(going, wait)
    return None if wait is None else _Pause(going, wait)
