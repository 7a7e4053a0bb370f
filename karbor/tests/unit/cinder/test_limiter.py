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

"""The limiter, against a model of Cinder whose time is counted, not waited for."""

import heapq
import random

from oslotest import base

from karbor.services.cinder import limiter

_BEST = 0.02  # seconds of an answer
_CAPACITY, _MOST = 16, 64


class Cinder:
    """Answers are slower beyond the capacity, and refused beyond the most."""

    def __init__(self, capacity: int = _CAPACITY, jitter: float = 0.0) -> None:
        self.capacity = capacity
        self.now = 0.0
        self.in_flight = 0
        self.answers: list[float] = []
        self.refused = 0
        self._jitter = jitter
        self._random = random.Random(1)
        self._events: list[tuple[float, int, int, float]] = []
        self._number = 0

    def send(self, worker: int) -> bool:
        """Whether a request is taken."""
        if self.in_flight >= _MOST:
            self.refused += 1
            return False
        self.in_flight += 1
        self._number += 1
        takes = _BEST * max(self.in_flight / self.capacity, 1)
        takes *= 1 + self._random.uniform(-self._jitter, self._jitter)
        heapq.heappush(self._events, (self.now + takes, self._number, worker, takes))
        return True

    def next(self) -> tuple[int, float]:
        """Let time pass until an answer; whose it is, and what it took."""
        self.now, _, worker, takes = heapq.heappop(self._events)
        self.in_flight -= 1
        self.answers.append(self.now)
        return worker, takes

    def rate(self, since: float) -> float:
        """Answers a second since a moment."""
        return sum(moment > since for moment in self.answers) / (self.now - since)


class LimiterTest(base.BaseTestCase):
    def run_for(
        self, cinder: Cinder, seconds: float, workers: int = 1, fixed: int | None = None
    ) -> list[limiter.Limiter]:
        """Have workers, who have always more to ask for, work for so long."""
        limiters = [limiter.Limiter(128, lambda: cinder.now) for _ in range(workers)]
        sent = [0] * workers
        begun = cinder.now
        while cinder.now < begun + seconds:
            for worker, bound in enumerate(limiters):
                while sent[worker] < (fixed or bound.limit):
                    if not cinder.send(worker):
                        bound.refused()
                        break
                    sent[worker] += 1
            worker, takes = cinder.next()
            limiters[worker].answered('POST', takes, sent[worker])
            sent[worker] -= 1
        return limiters

    def best_fixed(self, jitter: float = 0.0) -> float:
        rates = []
        for fixed in (4, 8, 16, 24, 32, 48):
            cinder = Cinder(jitter=jitter)
            self.run_for(cinder, 10, fixed=fixed)
            rates.append(cinder.rate(5))
        return max(rates)

    def assert_well(self, cinder: Cinder, best: float) -> None:
        self.assertGreater(cinder.rate(5), 0.85 * best)
        self.assertLess(cinder.refused, 0.01 * len(cinder.answers))

    def test_as_good_as_the_best_fixed_limit(self) -> None:
        for jitter in (0.0, 0.3, 0.6):
            cinder = Cinder(jitter=jitter)
            (found,) = self.run_for(cinder, 10)
            self.assert_well(cinder, self.best_fixed(jitter))
            self.assertLess(found.limit, 48)

    def test_two_together(self) -> None:
        cinder = Cinder()
        self.run_for(cinder, 20, workers=2)
        self.assert_well(cinder, self.best_fixed())

    def test_a_cloud_that_becomes_slower_and_quick_again(self) -> None:
        cinder = Cinder(capacity=16)
        limiters = self.run_for(cinder, 10)
        self.assertGreater(limiters[0].limit, 12)
        cinder = Cinder(capacity=4)
        (found,) = self.run_for(cinder, 10)
        self.assertLess(found.limit, 16)
        self.assertGreater(cinder.rate(5), 0.85 * 4 / _BEST)

    def test_who_asks_for_little_raises_nothing(self) -> None:
        bound = limiter.Limiter(128)
        for _ in range(1_000):
            bound.answered('POST', _BEST, in_flight=1)
        self.assertEqual(8, bound.limit)

    def test_never_less_than_one_nor_more_than_the_largest(self) -> None:
        bound = limiter.Limiter(32)
        for _ in range(50):
            for _ in range(64):
                bound.answered('POST', _BEST, in_flight=64)
        self.assertEqual(32, bound.limit)
        for _ in range(50):
            bound.answered('POST', _BEST, in_flight=1)
            bound.refused()
        self.assertEqual(1, bound.limit)

    def test_kinds_that_take_longer_are_no_sign_of_a_queue(self) -> None:
        bound = limiter.Limiter(128)
        for number in range(2_000):
            kind, seconds = ('list', 0.5) if number % 4 == 0 else ('POST', _BEST)
            bound.answered(kind, seconds, in_flight=bound.limit)
        self.assertEqual(128, bound.limit)
