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

"""How many requests Cinder likes to have open at once, found by how long it takes to answer.

As long as more open requests do not make answers slower, more are let through. What is beyond that
waits inside Cinder, and helps nobody: by how much slower answers are than they were at their best,
it is known how many those are, as in TCP Vegas (Brakmo and Peterson, 1995). A refusal takes a third
away at once.
"""

import threading
import time
from collections.abc import Callable

_FIRST = 8
# So many may wait inside Cinder: with fewer, more are let through; with more, fewer.
_FEW, _MANY = 4, 10
_SMALLEST_SAMPLE = 3
_AFTER_REFUSAL = 0.7
# What was best is forgotten after so long, as a cloud may change; in seconds.
_BEST_HOLDS = 60.0


class _Window:
    """The answers that came while one limit held.

    :ivar fullest: how many requests were open at most.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.count = 0
        self.fullest = 0

    def add(self, kind: str, seconds: float, in_flight: int) -> None:
        self.seconds.setdefault(kind, []).append(seconds)
        self.count += 1
        self.fullest = max(self.fullest, in_flight)

    def averages(self) -> dict[str, tuple[float, int]]:
        """How long each kind of request took, and how many there were, if there were enough."""
        return {
            kind: (sum(taken) / len(taken), len(taken))
            for kind, taken in self.seconds.items()
            if len(taken) >= _SMALLEST_SAMPLE
        }


class Limiter:
    """The limit for one Cinder, of all requests of a process.

    :param largest: what the limit never exceeds.
    :param monotonic: tells seconds.
    """

    def __init__(self, largest: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._largest = largest
        self._monotonic = monotonic
        self._limit = float(min(_FIRST, largest))
        self._is_growing_fast = True
        self._window = _Window()
        self._best: dict[str, float] = {}
        self._best_since = monotonic()
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """How many requests may be open at once, at least one."""
        return max(int(self._limit), 1)

    def answered(self, kind: str, seconds: float, in_flight: int) -> None:
        """Note an answer.

        :param kind: of the request: those of one kind take about as long.
        :param seconds: how long it took.
        :param in_flight: how many requests were open, itself included.
        """
        with self._lock:
            self._window.add(kind, seconds, in_flight)
            if self._window.count >= max(self.limit, _SMALLEST_SAMPLE):
                self._judge(self._window)
                self._window = _Window()

    def refused(self) -> None:
        """Note that Cinder asks for fewer requests. More refusals of the same moment are one."""
        with self._lock:
            if self._window.count:  # else the limit is lower already, since nothing came back
                self._limit = max(self._limit * _AFTER_REFUSAL, 1)
                self._is_growing_fast = False
                self._window = _Window()

    def _judge(self, window: _Window) -> None:
        averages = window.averages()
        waiting = self.limit * (1 - 1 / self._slowness(averages))
        self._remember(averages)
        if waiting > _MANY:
            self._is_growing_fast = False
            self._limit = max(self._limit - waiting + _FEW, 1)
        elif waiting < _FEW and window.fullest >= self.limit:
            self._limit = min(
                self._limit * 2 if self._is_growing_fast else self._limit + 1, self._largest
            )

    def _slowness(self, averages: dict[str, tuple[float, int]]) -> float:
        """How many times as long as at their best requests took."""
        known = {kind: each for kind, each in averages.items() if kind in self._best}
        total = sum(count for _, count in known.values())
        if not total:
            return 1.0
        ratios = sum(count * seconds / self._best[kind] for kind, (seconds, count) in known.items())
        return max(ratios / total, 1.0)

    def _remember(self, averages: dict[str, tuple[float, int]]) -> None:
        """Remember what was best; after a while, half the limit is tried to find it anew."""
        now = self._monotonic()
        if now - self._best_since > _BEST_HOLDS:
            self._best_since = now
            self._best = {}
            self._limit = max(self._limit / 2, 1)
            self._is_growing_fast = True
            return
        for kind, (seconds, _) in averages.items():
            self._best[kind] = min(self._best.get(kind, seconds), seconds)
