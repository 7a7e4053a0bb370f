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

import textwrap
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple, TypeVar

from cinderclient import exceptions as cinder_exc
from keystoneauth1 import exceptions as ks_exc

from karbor.services import retrying
from karbor.services.protection.steps import Wait

PAGE_LIMIT = 1000  # Cinder's own default of osapi_max_limit

_LONGEST_TOLD = 500  # characters of an error

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0

CLIENT_ERRORS = (cinder_exc.ClientException, ks_exc.ClientException)

_OVER_QUOTA = 413

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
    return (
        isinstance(error, MarkerGone)
        or retrying.is_passing(error)
        or retrying.is_passing_code(status_code(error))
    )


def is_unanswered(error: BaseException) -> bool:
    """Whether nobody serves the request now, as against a Cinder that has answered it."""
    return retrying.is_unanswered(error) or retrying.is_unanswered_code(status_code(error))


def is_refusal(error: BaseException) -> bool:
    """Whether Cinder said no to a request, and so did nothing."""
    code = status_code(error)
    return code is not None and 400 <= code < 500 and not is_passing(error)


def is_gone(error: BaseException) -> bool:
    return status_code(error) == 404


def is_over_quota(error: BaseException) -> bool:
    """Whether Cinder refused something since a quota of the project is used up."""
    return status_code(error) == _OVER_QUOTA


class Made(NamedTuple):
    """What was made, and whether it is open how many requests made one."""

    item: Any
    is_doubtful: bool


def pauses() -> Iterator[float]:
    """Pauses between requests about the same thing, in seconds."""
    return retrying.pauses(FIRST_PAUSE, LONGEST_PAUSE)


def retry(call: Callable[[], Result], patience: float, clock: retrying.Clock = time) -> Result:
    """Call what is safe to call twice until it answers.

    :param call: sends the request.
    :param patience: for how long a passing fault is tried again, in seconds.
    :raises: the last fault, once the patience is used up, and any other error at once.
    """
    return retrying.retry(lambda _: call(), patience=patience, clock=clock, **_how_to_retry())


def retry_in_steps(
    attempt: Callable[[int], Result],
    patience: float,
    pause: Callable[[float], Wait],
    clock: retrying.Clock = time,
) -> Generator[Wait, Any, Result]:
    """The same in steps, which wait between the calls.

    :param attempt: sends the request; told how many times it was sent before.
    :param pause: gives what ends after so many seconds.
    """
    going = retrying.attempts(attempt, patience=patience, clock=clock, **_how_to_retry())
    try:
        while True:
            yield pause(next(going))
    except StopIteration as end:
        return end.value


def create(
    make: Callable[[], Any],
    find: Callable[[], Any],
    patience: float,
    pause: Callable[[float], Wait],
    *,
    look_first: bool = False,
    clock: retrying.Clock = time,
) -> Generator[Wait, Any, Made]:
    """Make something once, though the answer may get lost.

    :param make: sends the request that makes it.
    :param find: looks for what an earlier request made; None when there is nothing.
    :param patience: for how long a passing fault is tried again, in seconds.
    :param pause: gives what ends after so many seconds.
    :param look_first: whether an earlier run may have made it already.
    """

    def attempt(number: int) -> Made:
        is_doubtful = look_first or number > 0
        item = find() if is_doubtful else None
        return Made(make() if item is None else item, is_doubtful)

    return retry_in_steps(attempt, patience, pause, clock)


def _how_to_retry() -> dict[str, Any]:
    return {
        'service': 'Cinder',
        'errors': CLIENT_ERRORS,
        'is_passing': is_passing,
        'retry_after': lambda error: retrying.seconds_of(getattr(error, 'retry_after', None)),
        'pauses': pauses(),
    }


def listed(
    manager: Any, metadata: dict[str, str], patience: float, clock: retrying.Clock = time
) -> list[Any]:
    """Everything of a manager's that carries some metadata, oldest first.

    :param manager: cinderclient's ``volumes`` or ``volume_snapshots``.
    :param metadata: keys and values that each item has; none lists everything. They are
        compared here, too: a cloud that does not know the filter lists everything.
    :param patience: for how long a passing fault is tried again, in seconds.
    """
    return retry(lambda: listed_once(manager, metadata), patience, clock)


def listed_once(manager: Any, metadata: dict[str, str]) -> list[Any]:
    """The same, with each request sent once."""
    items: list[Any] = []
    while True:
        marker = items[-1].id if items else None
        next_page = page(manager, metadata, limit=PAGE_LIMIT, marker=marker, sort='created_at:asc')
        items += next_page
        if len(next_page) < PAGE_LIMIT:
            return [
                item
                for item in items
                if all(item.metadata.get(key) == value for key, value in metadata.items())
            ]


def page(
    manager: Any,
    metadata: dict[str, str],
    *,
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
    """What to tell a person of an error, without the trace, secrets and addresses.

    Cinder answers with kilobytes of a regular expression where a text does not match it.
    """
    return textwrap.shorten(_described(error), _LONGEST_TOLD, placeholder=' ...')


def _described(error: BaseException) -> str:
    code = status_code(error)
    if is_over_quota(error):
        return f'a quota would be exceeded: {error}'
    if code is not None:
        return f'Cinder answered {code}: {getattr(error, "message", None) or error}'
    return 'Cinder could not be reached'
