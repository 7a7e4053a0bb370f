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

"""Services that are away: what a process knows of one, for all of its jobs."""

import threading
import time
from collections.abc import Callable

# How often it is found out whether a service is back, in seconds.
_ASK_EVERY = 10


class Outage:
    """Whether a service is away.

    While it is, nobody asks it in vain but one in so many seconds, who finds out whether it is
    back.

    :param monotonic: tells seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        # Of what follows.
        self._first_fault: float | None = None
        self._is_on = False
        self._is_asked = False
        self._ask_at = 0.0

    @property
    def is_on(self) -> bool:
        """Whether who needs the service is not to ask it."""
        return self._is_on

    @property
    def seconds(self) -> float | None:
        """For how long nothing was answered; None while all is, as far as is known."""
        first_fault = self._first_fault
        return None if first_fault is None else self._monotonic() - first_fault

    def fault(self) -> None:
        """Note that a request was not answered."""
        with self._lock:
            if self._first_fault is None:
                self._first_fault = self._monotonic()

    def begin(self) -> None:
        """Let nobody ask who need not, since a request was not answered however often sent."""
        self.fault()
        with self._lock:
            if not self._is_on:
                self._is_on = True
                self._ask_at = self._monotonic() + _ASK_EVERY

    def end(self) -> None:
        """Note that the service answers."""
        if self._first_fault is None:  # so that it costs nothing while all is well
            return
        with self._lock:
            self._first_fault = None
            self._is_on = False

    def is_over(self, answers: Callable[[], bool]) -> bool:
        """Whether the service may be asked: it is not away, or is found to be back.

        :param answers: asks the service whether it does, at most once in so many seconds,
            whoever wants to know.
        """
        if not self._is_on:  # so that it costs nothing while all is well
            return True
        with self._lock:
            if self._is_asked or self._monotonic() < self._ask_at:
                return False
            self._is_asked = True
        try:
            is_back = answers()
        finally:
            with self._lock:
                self._is_asked = False
                self._ask_at = self._monotonic() + _ASK_EVERY
        if is_back:
            self.end()
        return is_back
