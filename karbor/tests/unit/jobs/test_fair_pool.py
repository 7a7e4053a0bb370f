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

"""The pool: whose turn it is, how many threads there are, and what is not begun any more."""

import threading
import time
from concurrent import futures
from typing import Any

from oslotest import base

from karbor.services.jobs import fair_pool


class FairPoolTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pool = fair_pool.FairPool(1)
        self.order: list[str] = []
        self.may_go_on = threading.Event()
        self.addCleanup(self.may_go_on.set)

    def lane(self, project_id: str, job_id: str) -> fair_pool.Lane:
        return self.pool.lane(project_id, job_id, lambda: None)

    def block(self) -> futures.Future[Any]:
        """Keep the one thread busy until it may go on."""
        begun = threading.Event()

        def wait() -> None:
            begun.set()
            self.may_go_on.wait(20)

        blocking = self.lane('blocking', 'j').submit(wait)
        self.assertTrue(begun.wait(20))
        return blocking

    def test_projects_and_then_jobs_have_their_turns(self) -> None:
        self.block()
        calls = [
            self.lane(name[0], name[:2]).submit(self.order.append, name)
            for name in ('a1-1', 'a1-2', 'a1-3', 'a2-1', 'a2-2', 'b1-1', 'b1-2', 'c1-1')
        ]
        self.may_go_on.set()
        futures.wait(calls, 20)
        self.assertEqual(
            ['a1-1', 'b1-1', 'c1-1', 'a2-1', 'b1-2', 'a1-2', 'a2-2', 'a1-3'], self.order
        )

    def test_what_a_call_returns_or_raises(self) -> None:
        lane = self.lane('p', 'j')
        self.assertEqual(3, lane.submit(max, 2, 3).result(20))
        self.assertIsInstance(lane.submit(int, 'x').exception(20), ValueError)
        self.assertIsInstance(lane.submit(self._stop).exception(20), SystemExit)
        self.assertEqual(1, lane.submit(len, 'x').result(20))

    def _stop(self) -> None:
        raise SystemExit

    def test_a_check_that_fails(self) -> None:
        def check() -> None:
            raise LookupError

        call = self.pool.lane('p', 'j', check).submit(self.order.append, 'x')
        self.assertIsInstance(call.exception(20), LookupError)
        self.assertEqual([], self.order)

    def test_what_is_not_begun_is_dropped(self) -> None:
        blocking = self.block()
        lane = self.lane('p', 'j')
        dropped = [lane.submit(self.order.append, 'x') for _ in range(3)]
        other = self.lane('p', 'other').submit(self.order.append, 'other')
        lane.shutdown()
        self.assertEqual([True] * 3, [call.cancelled() for call in dropped])
        self.may_go_on.set()
        futures.wait([blocking, other], 20)
        self.assertEqual(['other'], self.order)

    def test_as_many_threads_as_are_needed(self) -> None:
        pool = fair_pool.FairPool(3)
        meeting = threading.Barrier(3)
        for _ in range(5):
            lane = pool.lane('p', 'j', lambda: None)
            calls = [lane.submit(meeting.wait, 20) for _ in range(3)]
            futures.wait(calls, 20)
            self.assertEqual([None] * 3, [call.exception() for call in calls])
        self.assertLessEqual(pool._threads, 3)


class FewLimiter:
    """A limit that a test sets.

    :ivar told: what it was told.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.told: list[tuple[Any, ...]] = []

    def answered(self, *answer: Any) -> None:
        self.told.append(answer)

    def refused(self) -> None:
        self.told.append(('refused',))


class LimitedTest(base.BaseTestCase):
    """How many work at once, and who is held back."""

    def setUp(self) -> None:
        super().setUp()
        self.limiter = FewLimiter(2)
        self.now = 100.0
        self.pool = fair_pool.FairPool(4, self.limiter, lambda: self.now)
        self.running = 0
        self.most = 0
        self.lock = threading.Lock()

    def lane(self, project_id: str) -> fair_pool.Lane:
        return self.pool.lane(project_id, 'j', lambda: None)

    def call(self) -> None:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.002)
        with self.lock:
            self.running -= 1

    def do(self, count: int = 40) -> int:
        """How many worked at once of so many."""
        self.most = 0
        calls = [self.lane(f'p{number % 3}').submit(self.call) for number in range(count)]
        _, left = futures.wait(calls, 20)
        self.assertEqual(set(), left)
        return self.most

    def test_the_limit_holds_and_may_change(self) -> None:
        self.assertEqual(2, self.do())
        self.limiter.limit = 3
        self.assertEqual(3, self.do())
        self.limiter.limit = 1
        self.assertEqual(1, self.do())
        self.limiter.limit = 64
        self.assertEqual(4, self.do())

    def test_a_share_of_the_threads(self) -> None:
        self.limiter.limit = 64
        for part, whole, most in ((1, 2, 2), (1, 9, 1), (2, 2, 4)):
            self.pool.share(part, whole)
            self.assertEqual(most, self.do())

    def test_the_limiter_is_told(self) -> None:
        lane = self.lane('p')
        lane.submit(lane.answered, 'POST snapshots', 0.02).result(20)
        lane.refused(None, is_for_all=False)
        self.assertEqual([('POST snapshots', 0.02, 1), ('refused',)], self.limiter.told)

    def test_who_is_refused_is_held_back_and_the_others_are_not(self) -> None:
        self.lane('a').refused('0.3', is_for_all=False)
        held = self.lane('a').submit(len, 'x')
        self.assertEqual(1, self.lane('b').submit(len, 'x').result(20))
        self.assertFalse(held.done())
        self.now += 1
        self.assertEqual(1, held.result(20))

    def test_all_are_held_back(self) -> None:
        self.lane('a').refused('0.3', is_for_all=True)
        held = self.lane('b').submit(len, 'x')
        self.assertRaises(futures.TimeoutError, held.result, 0.05)
        self.now += 1
        self.assertEqual(1, held.result(20))

    def test_nobody_is_held_back_for_long(self) -> None:
        for retry_after, seconds in (('86400', 30), (None, 0.5), ('x', 0.5)):
            self.lane('a').refused(retry_after, is_for_all=False)
            self.assertEqual(self.now + seconds, self.pool._held['a'])
            self.now += 31
