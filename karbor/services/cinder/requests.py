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

"""Requests to Cinder that survive its passing faults, and what its errors mean.

What is safe to send twice is sent again: a 429 or 503 after the time its Retry-After
asks for, a 5xx, a reset or a time-out with growing pauses. What makes something is sent
again only after a look whether the first request made it. A 4xx is never hidden.
"""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from cinderclient import exceptions as cinder_exc
from keystoneauth1 import exceptions as ks_exc
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

PAGE_LIMIT = 1000  # Cinder's own default of osapi_max_limit

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0

CLIENT_ERRORS = (cinder_exc.ClientException, ks_exc.ClientException)

_OVER_QUOTA = 413
_PASSING_CODES = {408, 429, 500, 502, 503, 504}
_PASSING_ERRORS = (
    ks_exc.ConnectFailure,
    ks_exc.ConnectTimeout,
    ks_exc.UnknownConnectionError,
    ks_exc.DiscoveryFailure,
)

Result = TypeVar('Result')


class MarkerGone(cinder_exc.ClientException):
    """The last item of the page before was deleted meanwhile."""


def status_code(error: BaseException) -> int | None:
    """The HTTP status of an answer that became an exception; None without an answer."""
    if isinstance(error, cinder_exc.ClientException):
        return error.code
    return getattr(error, 'http_status', None)


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, (*_PASSING_ERRORS, MarkerGone)) or status_code(error) in _PASSING_CODES


def is_refusal(error: BaseException) -> bool:
    """Whether Cinder said no to a request, and so did nothing."""
    code = status_code(error)
    return code is not None and 400 <= code < 500 and not is_passing(error)


def is_gone(error: BaseException) -> bool:
    return status_code(error) == 404


def is_over_quota(error: BaseException) -> bool:
    """Whether Cinder refused something since a quota of the project is used up."""
    return status_code(error) == _OVER_QUOTA


class Deadline:
    """A moment some seconds from now.

    :param seconds: how far away it is.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never less than 0."""
        return max(self._end - time.monotonic(), 0)


def pauses() -> Iterator[float]:
    """Growing pauses, in seconds, with some chance in them to spread the load."""
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        pause = min(pause * 2, LONGEST_PAUSE)


def retry(call: Callable[[], Result], patience: float) -> Result:
    """Call what is safe to call twice until it answers.

    :param call: sends the request.
    :param patience: for how long a passing fault is tried again, in seconds.
    :raises: the last fault, once the patience is used up, and any other error at once.
    """
    return _retry(lambda _: call(), patience)


def create(
    make: Callable[[], Result],
    find: Callable[[], Result | None],
    patience: float,
    look_first: bool = False,
) -> tuple[Result, bool]:
    """Make something once, though the answer may get lost.

    :param make: sends the request that makes it.
    :param find: looks for what an earlier request made; None when there is nothing.
    :param patience: for how long a passing fault is tried again, in seconds.
    :param look_first: whether an earlier run may have made it already.
    :returns: the thing, and whether it is open how many requests made one.
    """

    def attempt(number: int) -> tuple[Result, bool]:
        doubtful = look_first or number > 0
        made = find() if doubtful else None
        return (make() if made is None else made), doubtful

    return _retry(attempt, patience)


def _retry(attempt: Callable[[int], Result], patience: float) -> Result:
    deadline = Deadline(patience)
    number, delays = 0, pauses()
    while True:
        try:
            return attempt(number)
        except CLIENT_ERRORS as exc:
            wait = max(_retry_after(exc), next(delays))
            if not is_passing(exc) or wait > deadline.remaining():
                raise
            LOG.warning('Cinder: %s; trying again in %.1f s', exc, wait)
            time.sleep(wait)
            number += 1


def _retry_after(error: BaseException) -> float:
    try:
        return float(getattr(error, 'retry_after', None) or 0)
    except ValueError:  # the form with a date, which Cinder does not use
        return 0


def listed(manager: Any, metadata: dict[str, str], patience: float) -> list[Any]:
    """Everything of a manager's that carries some metadata, oldest first.

    :param manager: cinderclient's ``volumes`` or ``volume_snapshots``.
    :param metadata: keys and values that each item has; none lists everything. They are
        compared here, too: a cloud that does not know the filter lists everything.
    :param patience: for how long a passing fault is tried again, in seconds.
    """

    def whole_list() -> list[Any]:
        items: list[Any] = []
        while True:
            marker = items[-1].id if items else None
            found = page(manager, metadata, PAGE_LIMIT, marker, 'created_at:asc')
            items += found
            if len(found) < PAGE_LIMIT:
                return [
                    item
                    for item in items
                    if all(item.metadata.get(key) == value for key, value in metadata.items())
                ]

    return retry(whole_list, patience)


def page(
    manager: Any,
    metadata: dict[str, str],
    limit: int,
    marker: str | None,
    sort: str,
    **filters: Any,
) -> list[Any]:
    """One page of what carries some metadata.

    :param filters: others of Cinder's, such as ``all_tenants``.
    :raises MarkerGone: the list has to be read from its start again.
    """
    try:
        return list(
            manager.list(
                detailed=True,
                search_opts={'metadata': metadata, **filters},
                limit=limit,
                marker=marker,
                sort=sort,
            )
        )
    except cinder_exc.NotFound as exc:
        # cinderclient itself follows markers where the cloud's pages are smaller.
        if marker is None and 'marker=' not in getattr(exc, 'url', ''):
            raise
        raise MarkerGone(exc.code, exc.message) from exc


def describe(error: BaseException) -> str:
    """What to tell a person of an error, without the trace and without secrets."""
    code = status_code(error)
    if is_over_quota(error):
        return f'a quota would be exceeded: {error}'
    if code is not None:
        return f'Cinder answered {code}: {getattr(error, "message", None) or error}'
    return f'Cinder could not be reached: {error}'
