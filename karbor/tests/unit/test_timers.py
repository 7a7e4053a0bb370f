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

import threading
import time
from concurrent import futures

from oslotest import base

from karbor.common import timers


class TimersTest(base.BaseTestCase):
    def test_they_end_in_their_order(self) -> None:
        many = timers.Timers()
        ended: list[float] = []
        pauses = []
        for seconds in (0.2, 0.05, 0.1, 0):
            pause = many.after(seconds)
            pause.add_done_callback(lambda _, seconds=seconds: ended.append(seconds))
            pauses.append(pause)
        begun = time.monotonic()
        futures.wait(pauses, 20)
        self.assertEqual([0, 0.05, 0.1, 0.2], ended)
        self.assertGreaterEqual(time.monotonic() - begun, 0.15)

    def test_one_that_is_cancelled(self) -> None:
        many = timers.Timers()
        first, second = many.after(0.01), many.after(0.02)
        self.assertTrue(first.cancel())
        self.assertIsNone(second.result(20))

    def test_one_thread_for_all(self) -> None:
        before = threading.active_count()
        many = timers.Timers()
        futures.wait([many.after(0.01) for _ in range(100)], 20)
        self.assertLessEqual(threading.active_count() - before, 1)
