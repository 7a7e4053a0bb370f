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

"""Waiting for many things of one job with one list call an interval.

A volume plugin that waited for each volume by itself would send as many requests an
interval as there are volumes. Here whoever waits gets a future from a :class:`Watcher`, whose
one thread lists what the job made (filtered by the server) and ends the futures of what has
settled.
"""

import dataclasses
import datetime
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent import futures
from typing import Any, NamedTuple

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

FIRST_INTERVAL = 0.5
_SHORTEST_INTERVAL = 0.01
_SMALLEST_PAGE = 20
_LARGEST_PAGE = 1000  # Cinder's own default of osapi_max_limit

# The answer to POST can tell created_at more exactly than a list does: MariaDB and MySQL keep
# whole seconds, cut off or rounded.
_ROUNDING = datetime.timedelta(seconds=1)

Page = Callable[[int, str | None], list[Any]]


class WaitTimeout(Exception):
    """The deadline came before the thing settled.

    :param seconds: how long was waited.
    :param last: the thing as it was last seen, or None.
    :param fault: why the last look failed, if it did.
    """

    def __init__(self, seconds: float, last: Any, fault: Exception | None) -> None:
        super().__init__(f'not settled after {seconds:.0f} seconds')
        self.seconds = seconds
        self.last = last
        self.fault = fault


class Waiting(NamedTuple):
    """What is still waited for after a look.

    :param items: as they were last seen; nothing when the watcher stops looking.
    :param total: how many different items have been waited for so far.
    :param seconds: for how long the oldest wait goes on.
    :param fault: why the look failed, if it did.
    """

    items: Sequence[Any]
    total: int
    seconds: float
    fault: Exception | None


@dataclasses.dataclass(eq=False, slots=True)
class _Wait:
    item: Any
    settled: Callable[[Any], bool]
    listed: bool
    since: float
    timeout: float
    result: futures.Future[Any] = dataclasses.field(default_factory=futures.Future)


class Watcher:
    """Waits for items that have an ``id`` and a ``created_at``.

    A list is read page by page only as far as the items that are waited for can be: an
    item that is missing though the list went past its ``created_at`` is gone. So a look
    costs as much as there is in flight, not as much as the job is large.

    The interval grows with the time for which the youngest wait goes on, up to
    ``longest_interval``.

    :param list_page: ``list_page(limit, marker)`` returns the next items, sorted by
        ``created_at``.
    :param get: reads one item by its id; raises what ``is_gone`` recognises.
    :param newest_first: the direction in which ``list_page`` sorts.
    :param is_gone: whether an exception of ``get`` means that there is no such item.
    :param is_passing: whether an exception is worth another look later; any other one
        ends all waits.
    :param longest_interval: in seconds.
    :param sleep: lets the time between two looks pass; what it raises ends all waits.
    :param monotonic: tells seconds, by which waits are measured.
    :param looked: told after each look what is waited for; what it raises ends all waits.
    """

    def __init__(
        self,
        list_page: Page,
        get: Callable[[str], Any],
        *,
        newest_first: bool,
        is_gone: Callable[[Exception], bool],
        is_passing: Callable[[Exception], bool],
        longest_interval: float,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        looked: Callable[[Waiting], None] = lambda _waiting: None,
    ) -> None:
        self._list_page = list_page
        self._get = get
        self._newest_first = newest_first
        self._is_gone = is_gone
        self._is_passing = is_passing
        self._first_interval = min(FIRST_INTERVAL, longest_interval)
        self._longest_interval = longest_interval
        self._sleep = sleep
        self._monotonic = monotonic
        self._looked = looked
        self._lock = threading.Lock()
        self._waits: list[_Wait] = []
        self._ids: set[str] = set()
        self._looking = False
        self._fault: Exception | None = None

    def wait(
        self, item: Any, settled: Callable[[Any], bool], timeout: float, listed: bool = True
    ) -> futures.Future[Any]:
        """Wait until an item has settled.

        :param item: the item as last seen.
        :param settled: whether the waiting is over, for an item as seen now or None when
            it is gone.
        :param timeout: longest time to wait, in seconds; the look behind it is the last.
        :param listed: False when the list does not show the item (somebody took its
            metadata away), so that it has to be read by itself.
        :returns: gives the item as it was when it had settled, None when it is gone, or raises
            :class:`WaitTimeout`. One that is cancelled is not looked for any more.
        """
        wait = _Wait(item, settled, listed, self._monotonic(), timeout)
        with self._lock:
            if not self._looking:
                threading.Thread(target=self._run, name='watcher', daemon=True).start()
                self._looking = True
            self._waits.append(wait)
            self._ids.add(item.id)
        return wait.result

    def _run(self) -> None:
        try:
            while True:
                self._sleep(self._interval())
                waits = self._waits_or_stop()
                if waits:
                    self._look(waits)
                    self._end_late_ones(waits)
                self._looked(self._waiting())
                if not waits:
                    return
        except BaseException as exc:  # noqa: BLE001 - a thread's edge: told to those who wait
            self._abandon(exc)

    def _interval(self) -> float:
        """How long until the next look: half as long as the youngest wait goes on."""
        now = self._monotonic()
        with self._lock:
            age = min((now - wait.since for wait in self._waits), default=0)
            left = min((wait.since + wait.timeout - now for wait in self._waits), default=math.inf)
        interval = min(max(age / 2, self._first_interval), self._longest_interval)
        return max(min(interval, left), _SHORTEST_INTERVAL)

    def _waits_or_stop(self) -> list[_Wait]:
        """What is to be looked at; when it is nothing, the next wait begins another thread."""
        with self._lock:
            self._waits = [wait for wait in self._waits if not wait.result.cancelled()]
            self._looking = bool(self._waits)
            return list(self._waits)

    def _end_late_ones(self, waits: Sequence[_Wait]) -> None:
        now = self._monotonic()
        self._end(
            [wait for wait in waits if now >= wait.since + wait.timeout],
            lambda wait: wait.result.set_exception(
                WaitTimeout(wait.timeout, wait.item, self._fault)
            ),
        )

    def _waiting(self) -> Waiting:
        with self._lock:
            waits = list(self._waits)
            total = len(self._ids)
        oldest = min((wait.since for wait in waits), default=self._monotonic())
        items = [wait.item for wait in waits]
        return Waiting(items, total, self._monotonic() - oldest, self._fault)

    def _abandon(self, reason: BaseException) -> None:
        with self._lock:
            waits, self._waits = self._waits, []
            self._looking = False
        for wait in waits:
            _tell(wait, lambda wait: wait.result.set_exception(reason))

    def _look(self, waits: list[_Wait]) -> None:
        """One look at everything."""
        try:
            seen = self._read(waits)
        except Exception as exc:  # noqa: BLE001 - a thread's edge: told to those who wait
            self._fault = fault = exc
            if self._is_passing(fault):
                LOG.warning('A look at Cinder failed and will be tried again: %s', fault)
            else:
                self._end(waits, lambda wait: wait.result.set_exception(fault))
            return
        self._fault = None
        ended = []
        for wait in waits:
            current = seen.get(wait.item.id)
            if wait.settled(current):
                ended.append(wait)
            elif current is not None:
                wait.item = current
        self._end(ended, lambda wait: wait.result.set_result(seen.get(wait.item.id)))

    def _end(self, waits: Collection[_Wait], tell: Callable[[_Wait], None]) -> None:
        """End waits; one is told but once."""
        going = set(map(id, waits))
        with self._lock:
            ending = [wait for wait in self._waits if id(wait) in going]
            self._waits = [wait for wait in self._waits if id(wait) not in going]
        for wait in ending:
            _tell(wait, tell)

    def _read(self, waits: list[_Wait]) -> dict[str, Any]:
        """What is waited for and is still there, by id."""
        seen = {}
        unseen = {wait.item.id: wait.item.created_at for wait in waits if wait.listed}
        for item in self._listed(2 * len(waits)) if unseen else ():
            if unseen.pop(item.id, None) is not None:
                seen[item.id] = item
            if not any(self._may_follow(item, created_at) for created_at in unseen.values()):
                break
        for wait in waits:
            if not wait.listed:
                item = self._read_one(wait.item.id)
                if item is not None:
                    seen[item.id] = item
        return seen

    def _listed(self, wanted: int) -> Iterator[Any]:
        limit = min(max(wanted, _SMALLEST_PAGE), _LARGEST_PAGE)
        marker = None
        while True:
            page = self._list_page(limit, marker)
            yield from page
            if len(page) < limit:
                return
            marker = page[-1].id

    def _may_follow(self, item: Any, created_at: str) -> bool:
        """Whether something made at that time may come after the item in the list."""
        later = datetime.datetime.fromisoformat(created_at) - datetime.datetime.fromisoformat(
            item.created_at
        )
        return later <= _ROUNDING if self._newest_first else later >= -_ROUNDING

    def _read_one(self, item_id: str) -> Any:
        try:
            return self._get(item_id)
        except Exception as exc:
            if self._is_gone(exc):
                return None
            raise


def _tell(wait: _Wait, tell: Callable[[_Wait], None]) -> None:
    if not wait.result.set_running_or_notify_cancel():
        return
    tell(wait)
