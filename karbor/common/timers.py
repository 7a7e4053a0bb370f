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

"""Pauses that keep no thread."""

import heapq
import itertools
import os
import threading
import time
from concurrent import futures

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


class Timers:
    """Ends futures when their time has come, with one thread for all of them."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # which has not the thread

    def _begin(self) -> None:
        self._condition = threading.Condition()
        self._pauses: list[tuple[float, int, futures.Future[None]]] = []
        self._is_running = False

    def after(self, seconds: float) -> futures.Future[None]:
        """What ends after so many seconds."""
        pause: futures.Future[None] = futures.Future()
        with self._condition:
            if not self._is_running:
                threading.Thread(target=self._run, daemon=True, name='timers').start()
                self._is_running = True
            heapq.heappush(self._pauses, (time.monotonic() + seconds, next(self._numbers), pause))
            self._condition.notify()
        return pause

    def _run(self) -> None:
        while True:
            pause = self._next()
            try:
                if pause.set_running_or_notify_cancel():
                    pause.set_result(None)
            except BaseException:
                # A thread's edge: of whoever has waited.
                LOG.exception('What follows a pause has failed')

    def _next(self) -> futures.Future[None]:
        with self._condition:
            while True:
                if not self._pauses:
                    self._condition.wait()
                    continue
                left = self._pauses[0][0] - time.monotonic()
                if left <= 0:
                    return heapq.heappop(self._pauses)[-1]
                self._condition.wait(left)


#: Ends after so many seconds; of the process.
after = Timers().after
