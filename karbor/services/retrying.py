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

"""Asking a service again: after which faults, after what pauses, for how long.

One loop and one table for Cinder, Swift, S3 and Keystone. What a service alone does is said
where it is asked: the errors of its client, how long it is tried, and further codes that pass.
"""

import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from keystoneauth1 import exceptions as ks_exc
from oslo_log import log as logging

from karbor.common import leases

LOG = logging.getLogger(__name__)

_PASSING_CODES = frozenset({408, 425, 429})
# Of the service's faults; all others may pass. The last one is a store that is full.
_LASTING_CODES = frozenset({501, 505, 507})
# What a proxy in between says, or the service itself while it does not serve.
_UNANSWERED_CODES = frozenset({502, 503, 504})

_PASSING_ERRORS = (
    ks_exc.RetriableConnectionFailure,
    ks_exc.UnknownConnectionError,
    ks_exc.DiscoveryFailure,
)

Result = TypeVar('Result')
Error = TypeVar('Error', bound=Exception)


class Clock(Protocol):
    """What time passes by. The module ``time`` is one."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float, /) -> None:
        """Let so much time pass."""


def is_passing_code(code: int | None) -> bool:
    """Whether an answer with this HTTP status says that the same request may succeed later."""
    if code is None:
        return False
    return code in _PASSING_CODES or (code >= 500 and code not in _LASTING_CODES)


def is_passing(error: BaseException) -> bool:
    """Whether what keystoneauth raises says that the same request may succeed later."""
    return isinstance(error, _PASSING_ERRORS) or is_passing_code(
        getattr(error, 'http_status', None)
    )


def is_unanswered_code(code: int | None) -> bool:
    """Whether an answer with this HTTP status says that nobody serves the request now."""
    return code in _UNANSWERED_CODES


def is_unanswered(error: BaseException) -> bool:
    """Whether what keystoneauth raises says that nobody was reached."""
    return isinstance(error, _PASSING_ERRORS)


def seconds_of(retry_after: object) -> float:
    """The value of a Retry-After header; 0 for none, and for the form with a date."""
    try:
        seconds = float(str(retry_after))
    except ValueError:
        return 0.0
    return seconds if seconds > 0 else 0.0


class Deadline:
    """A moment some seconds from now.

    :param seconds: how far away it is.
    """

    def __init__(self, seconds: float, clock: Clock = time) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never less than 0."""
        return max(self._end - self._clock.monotonic(), 0)

    def passed(self) -> float:
        """Seconds since it was set."""
        return self.seconds - self._end + self._clock.monotonic()


def pauses(first: float, longest: float) -> Iterator[float]:
    """Pauses that double, without end, with some chance in them to spread the load.

    :param first: seconds of the first one, before chance.
    :param longest: seconds that they grow to.
    """
    pause = first
    while True:
        yield pause * random.uniform(0.75, 1.25)  # noqa: S311 # nosec B311 # no secret
        pause = min(pause * 2, longest)


def attempts(
    attempt: Callable[[int], Result],
    *,
    service: str,
    errors: type[Error] | tuple[type[Error], ...],
    is_passing: Callable[[Error], bool],
    retry_after: Callable[[Error], float],
    pauses: Iterable[float],
    patience: float = float('inf'),
    clock: Clock = time,
) -> Generator[float, None, Result]:
    """Call what is safe to call again until it answers; gives the seconds before each further call.

    :param attempt: does it; told how many attempts there were before.
    :param service: what to call the other side in the log.
    :param errors: what its client raises; anything else is a fault of the code.
    :param is_passing: whether another attempt may help.
    :param retry_after: how many seconds the other side asks to wait; 0 if it does not ask.
    :param pauses: seconds before each further attempt; when they end, the next is the last.
    :param patience: for how long attempts are made, in seconds.
    :raises: the last error, when no further attempt is made.
    """
    deadline = Deadline(patience, clock)
    number = 0
    for pause in pauses:
        try:
            return attempt(number)
        except errors as exc:
            wait = max(retry_after(exc), pause)
            if not is_passing(exc) or wait > deadline.remaining():
                raise
            LOG.warning('%s: %s; trying again in %.1f s', service, exc, wait)
        yield wait
        number += 1
    return attempt(number)


def retry(attempt: Callable[[int], Result], *, clock: Clock = time, **more: Any) -> Result:
    """Call what is safe to call again until it answers, and block between the calls.

    :param more: see :func:`attempts`.
    :raises: the last error, when no further attempt is made.
    :raises LeaseLost: the attempt of a job for which it is done is over.
    """
    going = attempts(attempt, clock=clock, **more)
    try:
        while True:
            clock.sleep(next(going))
            leases.check_current()
    except StopIteration as end:
        return end.value
