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

"""The walker: order of hooks, how many at once, and what a failure leaves out."""

import collections
import functools
import itertools
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any
from unittest import mock

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from karbor.resource import Resource
from karbor.services.jobs import walker
from karbor.services.protection import graph, steps
from karbor.tests.unit.protection import graphs

BEGIN, FINISH, MAIN, COMPLETE = HOOKS = (
    'on_prepare_begin',
    'on_prepare_finish',
    'on_main',
    'on_complete',
)

SETTINGS = hypothesis.settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def walk(
    roots: list[graph.GraphNode],
    run_of: Callable[[Resource, str], Callable[[], steps.Steps | None] | None],
    tell: Callable[[Sequence[walker.End]], None] = lambda _ends: None,
    workers: int = 4,
) -> None:
    """Walk with some threads.

    :param run_of: what each hook has to do.
    """
    with futures.ThreadPoolExecutor(workers) as executor:

        def work_of(resource: Resource, hook: str) -> walker.Work | None:
            run = run_of(resource, hook)
            return None if run is None else walker.Work(run, executor)

        walker.walk(roots, work_of, tell)


class Journal:
    """Notes the start and the end of each hook, and who is finished how.

    :param fails: raises what a hook is to raise.
    """

    def __init__(self, fails: Callable[[Resource, str], None] = lambda *_: None) -> None:
        self._fails = fails
        self._ticks = itertools.count()
        self.starts: dict[tuple[Resource, str], list[int]] = collections.defaultdict(list)
        self.ends: dict[tuple[Resource, str], int] = {}
        self.finished: dict[Resource, list[Exception | None]] = collections.defaultdict(list)
        self.finished_in: set[int] = set()
        self.told: list[int] = []

    def work_of(self, resource: Resource, hook: str) -> functools.partial[None]:
        return functools.partial(self.run_hook, resource, hook)

    def run_hook(self, resource: Resource, hook: str) -> None:
        self.starts[resource, hook].append(next(self._ticks))
        try:
            self._fails(resource, hook)
        finally:
            self.ends[resource, hook] = next(self._ticks)

    def tell(self, ends: Sequence[walker.End]) -> None:
        self.told.append(len(ends))
        for resource, error in ends:
            self.finished[resource].append(error)
            self.finished_in.add(threading.get_ident())

    def walk(self, roots: list[graph.GraphNode], workers: int = 4) -> None:
        walk(roots, self.work_of, self.tell, workers)

    def comes_before(self, first: tuple[Resource, str], second: tuple[Resource, str]) -> bool:
        return self.ends[first] < self.starts[second][0]


class WalkerOrderTest(base.BaseTestCase):
    @SETTINGS
    @hypothesis.given(graphs.roots(), st.integers(1, 5))
    def test_every_hook_once_in_the_order_of_the_contract(
        self, roots: list[graph.GraphNode], workers: int
    ) -> None:
        journal = Journal()

        journal.walk(roots, workers)

        every = {(resource, hook) for resource in graphs.resources(roots) for hook in HOOKS}
        self.assertEqual(every, set(journal.starts))
        self.assertEqual({1}, {len(starts) for starts in journal.starts.values()})
        for resource in graphs.resources(roots):
            for before, after in itertools.pairwise(HOOKS):
                self.assertTrue(journal.comes_before((resource, before), (resource, after)))
        for parent, child in graphs.edges(roots):
            self.assertTrue(journal.comes_before((parent, BEGIN), (child, BEGIN)))
            self.assertTrue(journal.comes_before((child, FINISH), (parent, FINISH)))
            self.assertTrue(journal.comes_before((child, COMPLETE), (parent, COMPLETE)))

    @SETTINGS
    @hypothesis.given(graphs.roots())
    def test_finished_once_a_resource_in_the_callers_thread(
        self, roots: list[graph.GraphNode]
    ) -> None:
        journal = Journal()

        journal.walk(roots)

        self.assertEqual(
            {resource: [None] for resource in graphs.resources(roots)}, dict(journal.finished)
        )
        self.assertEqual({threading.get_ident()}, journal.finished_in)

    def test_finished_comes_after_the_last_hook(self) -> None:
        done: list[str] = []
        node = graph.GraphNode(graphs.resource(1))

        walk(
            [node],
            lambda _, hook: functools.partial(done.append, hook),
            lambda _ends: done.append('finished'),
        )

        self.assertEqual([*HOOKS, 'finished'], done)

    def test_nothing_to_walk(self) -> None:
        journal = Journal()

        journal.walk([])

        self.assertEqual({}, dict(journal.starts))
        self.assertEqual({}, dict(journal.finished))


class WalkerFailureTest(base.BaseTestCase):
    @SETTINGS
    @hypothesis.given(graphs.roots(), st.data())
    def test_a_failure_leaves_out_the_later_hooks_of_its_resource_only(
        self, roots: list[graph.GraphNode], data: Any
    ) -> None:
        everyone = sorted(graphs.resources(roots), key=lambda resource: resource.id)
        failing = {
            resource: (data.draw(st.sampled_from(HOOKS)), ValueError(resource.id))
            for resource in everyone
            if data.draw(st.booleans())
        }

        def fails(resource: Resource, hook: str) -> None:
            if resource in failing and failing[resource][0] == hook:
                raise failing[resource][1]

        journal = Journal(fails)
        journal.walk(roots)

        for resource in everyone:
            last, error = failing.get(resource, (COMPLETE, None))
            self.assertEqual(
                HOOKS[: HOOKS.index(last) + 1],
                tuple(hook for hook in HOOKS if (resource, hook) in journal.starts),
            )
            self.assertEqual([error], journal.finished[resource])

    def test_relatives_of_a_failed_resource_keep_their_order(self) -> None:
        child = graph.GraphNode(graphs.resource(1))
        parent = graph.GraphNode(graphs.resource(2), (child,))

        def fails(resource: Resource, hook: str) -> None:
            if (resource, hook) == (child.value, FINISH):
                raise ValueError

        journal = Journal(fails)
        journal.walk([parent])

        self.assertTrue(journal.comes_before((parent.value, BEGIN), (child.value, BEGIN)))
        self.assertTrue(journal.comes_before((child.value, FINISH), (parent.value, FINISH)))
        self.assertIn((parent.value, COMPLETE), journal.ends)

    def test_what_is_no_exception_passes_through(self) -> None:
        class Stop(BaseException):
            pass

        def fails(resource: Resource, hook: str) -> None:
            if hook == MAIN:
                raise Stop

        journal = Journal(fails)

        self.assertRaises(Stop, journal.walk, [graph.GraphNode(graphs.resource(1))])
        self.assertEqual({}, dict(journal.finished))

    def test_an_error_of_finished_passes_through(self) -> None:
        def tell(_ends: Any) -> None:
            raise LookupError('the database is away')

        roots = [graph.GraphNode(graphs.resource(1))]
        self.assertRaises(LookupError, walk, roots, lambda *_: None, tell)


class HeldTest(base.BaseTestCase):
    """One of a child and its parent, and of others, meets what holds all back."""

    def test_what_runs_comes_to_its_end_and_nothing_more_begins(self) -> None:
        held, other, later = (Resource('t', name, name) for name in 'abc')
        parent = graph.GraphNode(Resource('t', 'p', 'p'), [graph.GraphNode(held)])
        roots = [parent, graph.GraphNode(other), graph.GraphNode(later)]
        has_raised = threading.Event()
        error = OSError('away')
        calls: list[tuple[str, str]] = []
        ended: list[walker.End] = []

        def run(resource: Resource, hook: str) -> Callable[[], None]:
            def call() -> None:
                calls.append((resource.id, hook))
                if (resource, hook) == (held, BEGIN):
                    has_raised.set()
                    raise error
                if resource == other:
                    has_raised.wait(10)

            return call

        def walk_held() -> None:
            with futures.ThreadPoolExecutor(2) as executor:
                walker.walk(
                    roots,
                    lambda resource, hook: walker.Work(run(resource, hook), executor),
                    ended.extend,
                    lambda raised: raised is error,
                )

        self.assertIs(error, self.assertRaises(OSError, walk_held))
        hooks = [hook for _, hook in calls]
        self.assertNotIn(COMPLETE, hooks)
        self.assertNotIn(('a', MAIN), calls)
        self.assertEqual([], [end for end in ended if end.resource in (held, parent.value)])


class WalkerConcurrencyTest(base.BaseTestCase):
    def _most_at_once(self, workers: int, meeting: threading.Barrier | None) -> int:
        lock = threading.Lock()
        running: list[int] = []
        counts: list[int] = []

        def fails(resource: Resource, hook: str) -> None:
            with lock:
                running.append(1)
                counts.append(len(running))
            if hook == MAIN and meeting is not None:
                meeting.wait(10)
            with lock:
                running.pop()

        journal = Journal(fails)
        journal.walk([graph.GraphNode(graphs.resource(number)) for number in range(24)], workers)
        self.assertEqual({None}, {errors[0] for errors in journal.finished.values()})
        return max(counts)

    def test_the_bound_is_reached_and_kept(self) -> None:
        # The barrier breaks, and fails the resources, unless four mains run at once.
        self.assertEqual(4, self._most_at_once(4, threading.Barrier(4)))

    def test_one_at_a_time(self) -> None:
        self.assertEqual(1, self._most_at_once(1, None))


class StepsTest(base.BaseTestCase):
    """Hooks that wait without a thread."""

    def setUp(self) -> None:
        super().setUp()
        self.waits: queue.SimpleQueue[futures.Future[Any]] = queue.SimpleQueue()
        self.seen: dict[Resource, Any] = {}
        self.closed: list[Resource] = []

    def run_of(self, resource: Resource, hook: str) -> functools.partial[steps.Steps] | None:
        return functools.partial(self.steps, resource) if hook == MAIN else None

    def steps(self, resource: Resource) -> steps.Steps:
        wait: futures.Future[Any] = futures.Future()
        self.waits.put(wait)
        try:
            self.seen[resource] = yield wait
        except GeneratorExit:
            self.closed.append(resource)
            raise

    def begin(
        self,
        number: int,
        tell: Callable[[Sequence[walker.End]], None] = lambda _ends: None,
        begun: int | None = None,
    ) -> tuple[futures.Future[None], list[futures.Future[Any]]]:
        """A walk over so many resources with one thread, and what they wait for.

        :param begun: how many of them are begun; None is all.
        """
        roots = [graph.GraphNode(graphs.resource(each)) for each in range(number)]
        caller = futures.ThreadPoolExecutor(1)
        self.addCleanup(caller.shutdown)
        going = caller.submit(walk, roots, self.run_of, tell, 1)
        return going, [self.waits.get(timeout=20) for _ in range(begun or number)]

    def test_only_so_many_are_begun(self) -> None:
        with mock.patch.object(walker, '_MOST_BEGUN', 3):
            going, waits = self.begin(7, begun=3)
            self.assertRaises(queue.Empty, self.waits.get, timeout=0.05)
            for _ in range(4):
                waits.pop().set_result(None)
                waits.append(self.waits.get(timeout=20))
                self.assertTrue(self.waits.empty())
            for wait in waits:
                wait.set_result(None)
            going.result(20)
        self.assertEqual(7, len(self.seen))

    def test_more_wait_than_there_are_threads(self) -> None:
        told: list[walker.End] = []
        going, waits = self.begin(400, told.extend)
        for number, wait in enumerate(waits):
            wait.set_result(number)
        going.result(20)
        self.assertEqual(set(range(400)), set(self.seen.values()))
        self.assertEqual({None}, {end.error for end in told})

    def test_what_a_wait_raises_fails_its_resource(self) -> None:
        told: list[walker.End] = []
        going, (first, second) = self.begin(2, told.extend)
        first.set_exception(LookupError('x'))
        second.set_result('y')
        going.result(20)
        self.assertEqual({'LookupError', 'NoneType'}, {type(end.error).__name__ for end in told})

    def test_what_waits_is_closed_when_the_walk_is_ended(self) -> None:
        class Stop(BaseException):
            pass

        going, waits = self.begin(3)
        waits[0].set_exception(Stop())
        self.assertIsInstance(going.exception(20), Stop)
        self.assertEqual(2, len(self.closed))
        self.assertEqual([True, True], [wait.cancelled() for wait in waits[1:]])

    def test_what_ends_together_is_told_together(self) -> None:
        told: list[int] = []
        going, waits = self.begin(400, lambda ends: told.append(len(ends)))
        for wait in waits:
            wait.set_result(None)
        going.result(20)
        self.assertEqual(400, sum(told))
        self.assertLess(len(told), 60)


class WalkerScaleTest(base.BaseTestCase):
    @staticmethod
    def _project_of(count: int) -> list[graph.GraphNode]:
        """A project, ``count`` volumes, and servers that share some of them."""
        volumes = [
            graph.GraphNode(Resource('OS::Cinder::Volume', f'v{number}', ''))
            for number in range(count)
        ]
        servers = [
            graph.GraphNode(
                Resource('OS::Nova::Server', f's{number}', ''),
                tuple(volumes[number * 10 : number * 10 + 11]),
            )
            for number in range(count // 10)
        ]
        return [graph.GraphNode(Resource('OS::Keystone::Project', 'p', ''), (*servers, *volumes))]

    def test_ten_thousand_resources(self) -> None:
        journal = Journal()

        journal.walk(self._project_of(9_090), workers=32)

        self.assertEqual(4 * 10_000, len(journal.starts))
        self.assertEqual(10_000, len(journal.finished))

    def _calls(self, count: int) -> int:
        """Function calls of the walking thread; unlike seconds, no load changes them much."""
        calls = itertools.count()
        roots = self._project_of(count)
        sys.setprofile(lambda _frame, event, _what: event.endswith('call') and next(calls))
        try:
            walk(roots, lambda *_: None)
        finally:
            sys.setprofile(None)
        return next(calls)

    def test_the_work_grows_with_the_graph_and_not_faster(self) -> None:
        self.assertLess(self._calls(1_600), 4.8 * self._calls(400))
