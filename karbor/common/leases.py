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

"""The lease by which an attempt works on a job.

A process that was stopped, or whose host slept, may go on when another has long taken its job.
So whoever works asks :meth:`Lease.check` before each thing that changes something. The deadline
is one of the clock that goes on while a host sleeps, and counts from when the last successful
renewal was sent; so it never lies behind the one that the database knows.
"""

import contextlib
import contextvars
import math
import threading
import time
from collections.abc import Callable, Iterator


def boot_time() -> float:
    """Seconds since the host began, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseLost(BaseException):
    """The attempt has lost its lease, and must change nothing more.

    Like :class:`asyncio.CancelledError` it is no ``Exception``, so that no plugin takes it for a
    fault of what it works with.
    """


class Lease:
    """The right of one attempt to work on its job.

    :param seconds: for how long it holds after a renewal was sent; infinite where no other
        process works on this database.
    :param sent: when the claim was sent, by the clock.
    :param clock: tells seconds; see :func:`boot_time`.
    """

    def __init__(
        self, seconds: float = math.inf, sent: float = 0.0, clock: Callable[[], float] = boot_time
    ) -> None:
        self._seconds = seconds
        self._deadline = sent + seconds
        self._clock = clock
        self._lost = threading.Event()

    @property
    def is_lost(self) -> bool:
        """Whether it is over. It never comes back."""
        if not self._lost.is_set() and self._clock() >= self._deadline:
            self._lost.set()
        return self._lost.is_set()

    def check(self) -> None:
        """:raises LeaseLost: it is over."""
        if self.is_lost:
            raise LeaseLost

    def renewed(self, sent: float) -> None:
        """Go on, as the database has kept the claim.

        :param sent: when the renewal was sent, by the clock.
        """
        self._deadline = sent + self._seconds

    def lose(self) -> None:
        """End it: another has the job, or is to have it."""
        self._lost.set()


_current: contextvars.ContextVar[Lease | None] = contextvars.ContextVar('_current', default=None)


@contextlib.contextmanager
def held(lease: Lease) -> Iterator[None]:
    """What is done within is done by a lease, as far as :func:`check_current` is asked.

    :raises LeaseLost: it is over already.
    """
    lease.check()
    token = _current.set(lease)
    try:
        yield
    finally:
        _current.reset(token)


def check_current() -> None:
    """Before something is tried again that may change something.

    :raises LeaseLost: it is done by a lease, which is over.
    """
    lease = _current.get()
    if lease is not None:
        lease.check()
