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

"""Waiting for what takes time."""

import dataclasses
import math
import re
import time
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

from keystoneauth1 import exceptions as ks_exceptions
from openstack import exceptions

from karbor.client.base import Resource

ResourceT = TypeVar('ResourceT', bound=Resource)

_INTERVAL = 2.0  # seconds
_OUTAGE = 60.0  # seconds
_PASSING = (500, 502, 503, 504)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far something is.

    :ivar done: how many resources are done.
    :ivar failed: how many could not be done.
    :ivar total: how many there are; None when it is not known yet.
    """

    done: int
    failed: int
    total: int | None


class Patience(TypedDict, total=False):
    """How something is waited for.

    :ivar timeout: seconds after which it is not waited for any more; without it there is no end.
    :ivar interval: seconds between two looks.
    :ivar callback: is told of the progress with each look.
    """

    timeout: float
    interval: float
    callback: Callable[[Progress], Any]


class Failed(exceptions.ResourceFailure):
    """It has ended, and not well; the text has the reason.

    :ivar resource: as it ended.
    """

    def __init__(self, resource: Resource, status: str, reason: str | None) -> None:
        super().__init__(
            f'{_named(resource)} ended with {status}: {reason or "no reason is known"}'
        )
        self.resource = resource


class TimedOut(exceptions.ResourceTimeout):
    """It goes on, and is not waited for any more; the text says how far it is.

    :ivar resource: as it was seen last.
    """

    def __init__(self, resource: Resource, seconds: float, seen: 'Look') -> None:
        told = '; ' + seen.reason.removesuffix('.') if seen.reason else ''
        super().__init__(
            f'{_named(resource)} is {seen.status} after {seconds:g} seconds, with '
            f'{seen.progress.done} done and {seen.progress.failed} failed{told}. It goes on.'
        )
        self.resource = resource


@dataclasses.dataclass(frozen=True)
class Look:
    """How something was found.

    :ivar is_well: whether it has ended, and how; None is that it goes on.
    """

    status: str
    reason: str | None
    progress: Progress
    is_well: bool | None


Judge = Callable[[Any], Look]


def until_ended(find: Callable[[], ResourceT], judge: Judge, patience: Patience) -> ResourceT:
    """Wait for something; gives it as it ended.

    While the API does not answer, it is asked again for a minute.

    :param find: finds it as it is now.
    :param judge: says how it is.
    :raises Failed:
    :raises TimedOut:
    """
    timeout = patience.get('timeout', math.inf)
    begun = answered = time.monotonic()
    while True:
        try:
            found = find()
            seen = judge(found)
        except (exceptions.HttpException, ks_exceptions.ConnectFailure) as fault:
            now = time.monotonic()
            if not _is_passing(fault) or now - answered > _OUTAGE or now - begun >= timeout:
                raise
        else:
            answered = time.monotonic()
            if _has_ended(found, seen, patience):
                return found
            if time.monotonic() - begun >= timeout:
                raise TimedOut(found, timeout, seen)
        left = begun + timeout - time.monotonic()
        time.sleep(min(patience.get('interval', _INTERVAL), max(left, 0)))


def _has_ended(found: Resource, seen: Look, patience: Patience) -> bool:
    """Whether it has ended well.

    :raises Failed: it has ended otherwise.
    """
    callback = patience.get('callback')
    if callback is not None:
        callback(seen.progress)
    if seen.is_well is False:
        raise Failed(found, seen.status, seen.reason)
    return bool(seen.is_well)


def _is_passing(fault: Exception) -> bool:
    """Whether the same question may be answered later."""
    return not isinstance(fault, exceptions.HttpException) or fault.status_code in _PASSING


def _named(resource: Resource) -> str:
    kind = re.sub('(?<=[a-z])(?=[A-Z])', ' ', type(resource).__name__).capitalize()
    return f'{kind} {resource.id}'
