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

"""The watcher: how far it reads, whom it wakes, when it looks, how its thread lives.

Its thread's sleep is a gate: a test lets it look when everything is in place.
"""

import dataclasses
import queue
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import fixtures
from oslotest import base

from karbor.services.cinder import watcher

LONG = 30  # a wait that a test ends itself


class Gone(Exception):
    """There is no such item."""


class Passing(Exception):
    """Worth another look."""


@dataclasses.dataclass
class Item:
    id: str
    created_at: str
    status: str = 'creating'


def moment(second: int) -> str:
    return f'2026-01-01T00:{second // 60:02}:{second % 60:02}.000000'


class Gate:
    """Sleeps until a test opens it."""

    def __init__(self) -> None:
        self.intervals: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._opened = threading.Semaphore(0)

    def sleep(self, seconds: float) -> None:
        self.intervals.put(seconds)
        self._opened.acquire()

    def open(self, times: int = 1) -> None:
        self._opened.release(times)


class Service:
    """Items in the order in which they were made, 10 seconds apart."""

    def __init__(self, newest_first: bool) -> None:
        self._newest_first = newest_first
        self.items: list[Item] = []
        self.pages: list[tuple[int, str | None]] = []
        self.got: list[str] = []
        self.faults: list[Exception] = []

    def add(self, number: int = 1, **fields: Any) -> list[Item]:
        begin = len(self.items)
        new = [Item(f'id{i:04}', moment(10 * i), **fields) for i in range(begin, begin + number)]
        self.items += new
        return new

    def list_page(self, limit: int, marker: str | None) -> list[Item]:
        self.pages.append((limit, marker))
        if self.faults:
            raise self.faults.pop(0)
        ordered = sorted(
            self.items, key=lambda item: (item.created_at, item.id), reverse=self._newest_first
        )
        ids = [item.id for item in ordered]
        begin = 0 if marker is None else ids.index(marker) + 1
        return [dataclasses.replace(item) for item in ordered[begin : begin + limit]]

    def get(self, item_id: str) -> Item:
        self.got.append(item_id)
        if self.faults:
            raise self.faults.pop(0)
        for item in self.items:
            if item.id == item_id:
                return dataclasses.replace(item)
        raise Gone


def is_settled(item: Item | None) -> bool:
    return item is None or item.status != 'creating'


class WatcherTestCase(base.BaseTestCase):
    newest_first = True
    time_passes = False  # while the watcher sleeps

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.Timeout(60, gentle=True))
        self.gate = Gate()
        self.now = 0.0
        self.looked: list[watcher.Waiting] = []
        self.service = Service(self.newest_first)
        self.watcher = self.new_watcher()
        self.addCleanup(self._end_all)

    def _end_all(self) -> None:
        """Fail the waits that the test has left, and let the thread end."""
        self.service.faults = [ValueError('the test is over')] * 100
        self.gate.open(1000)

    def new_watcher(self, longest_interval: float = 8.0) -> watcher.Watcher:
        return watcher.Watcher(
            self.service.list_page,
            self.service.get,
            newest_first=self.newest_first,
            is_gone=lambda exc: isinstance(exc, Gone),
            is_passing=lambda exc: isinstance(exc, Passing),
            longest_interval=longest_interval,
            sleep=self.gate.sleep,
            monotonic=lambda: self.now,
            looked=self.looked.append,
        )

    def wait(
        self, *items: Item, timeout: float = 3600, listed: bool = True
    ) -> list[futures.Future[Any]]:
        """Begin to wait for items."""
        return [
            self.watcher.wait(dataclasses.replace(item), is_settled, timeout, listed)
            for item in items
        ]

    def until(self, is_true: Callable[[], bool]) -> None:
        """Let other threads do their part, for 20 seconds at most."""
        for _ in range(20000):
            if is_true():
                return
            time.sleep(0.001)
        self.fail('it did not happen')

    def look(self) -> float:
        """Let the watcher look once; returns how long it wanted to sleep before.

        Returns when the look is over: when the thread sleeps again, or has ended.
        """
        interval = self.gate.intervals.get(timeout=20)
        if self.time_passes:
            self.now += interval
        self.gate.open()
        self.until(lambda: not self.gate.intervals.empty() or not self.watcher._looking)
        return interval

    def end(self) -> None:
        """Let the thread find that nobody waits."""
        self.look()
        self.assertFalse(self.watcher._looking)


class ToldTest(WatcherTestCase):
    """What is told after each look."""

    def test_what_is_waited_for_and_for_how_long(self) -> None:
        first, second = self.service.add(2)
        self.wait(first)
        self.now = 5.0
        self.wait(second)
        self.now = 40.0
        self.look()
        first.status = 'available'
        self.now = 50.0
        self.look()
        second.status = 'error'
        self.look()
        self.end()
        self.assertEqual(
            [
                ([first.id, second.id], 2, 40.0),
                ([second.id], 2, 45.0),
                ([], 2, 0.0),
                ([], 2, 0.0),
            ],
            [([item.id for item in told.items], told.total, told.seconds) for told in self.looked],
        )

    def test_a_look_that_failed(self) -> None:
        self.wait(*self.service.add())
        self.service.faults = [Passing()]
        for fault_type in (Passing, type(None)):
            self.look()
            self.assertIsInstance(self.looked[-1].fault, fault_type)

    def test_who_is_told_ends_all_waits_by_raising(self) -> None:
        class Over(BaseException):
            pass

        def looked(_waiting: watcher.Waiting) -> None:
            raise Over

        self.watcher._looked = looked
        waits = self.wait(*self.service.add(2))
        self.look()
        for wait in waits:
            self.assertIsInstance(wait.exception(LONG), Over)
        self.assertFalse(self.watcher._looking)


class NewestFirstTest(WatcherTestCase):
    """Things being made: the newest are the unsettled ones."""

    def test_settled(self) -> None:
        (item,) = self.service.add()
        (wait,) = self.wait(item)
        self.look()
        self.assertFalse(wait.done())
        item.status = 'available'
        self.look()
        self.assertEqual(item, wait.result(LONG))

    def test_only_whose_item_settled_is_woken(self) -> None:
        items = self.service.add(3)
        waits = self.wait(*items)
        items[1].status = 'error'
        self.look()
        self.assertEqual('error', waits[1].result(LONG).status)
        self.assertEqual([False, False], [waits[0].done(), waits[2].done()])
        items[0].status = items[2].status = 'available'
        self.look()
        self.assertEqual(['available'] * 2, [waits[i].result(LONG).status for i in (0, 2)])

    def test_one_list_a_look_however_many_wait(self) -> None:
        waits = self.wait(*self.service.add(15))
        self.look()
        self.assertEqual(1, len(self.service.pages))
        self.service.items.clear()
        self.look()
        self.assertEqual([None] * 15, [wait.result(LONG) for wait in waits])
        self.assertEqual([], self.service.got)

    def test_reads_no_further_than_what_is_waited_for(self) -> None:
        self.service.add(100)
        (item,) = self.service.add()
        self.service.add(30)
        self.wait(item)
        self.look()
        self.assertEqual([(20, None), (20, 'id0111')], self.service.pages)

    def test_reads_no_further_than_where_it_would_be(self) -> None:
        self.service.add(60)
        (item,) = self.service.add()
        self.service.add(10)
        self.service.items.remove(item)
        (wait,) = self.wait(item)
        self.look()
        self.assertIsNone(wait.result(LONG))
        self.assertEqual(1, len(self.service.pages))

    def test_reads_to_the_end_for_the_oldest(self) -> None:
        items = self.service.add(45)
        (wait,) = self.wait(items[0])
        self.look()
        self.assertEqual(3, len(self.service.pages))
        self.assertFalse(wait.done())

    def test_pages_grow_with_what_is_waited_for(self) -> None:
        self.wait(*self.service.add(40))
        self.look()
        self.assertEqual([(80, None)], self.service.pages)

    def test_made_in_the_same_moment(self) -> None:
        """The list is sorted by time; among equals its order says nothing."""
        items = self.service.add(30)
        for item in items:
            item.created_at = moment(0)
        waits = self.wait(items[0], items[-1])
        self.look()
        self.assertFalse(any(wait.done() for wait in waits), 'taken for gone')
        self.assertEqual(2, len(self.service.pages))

    def test_time_kept_less_exactly_than_told(self) -> None:
        items = self.service.add(4)
        told = dataclasses.replace(items[2], created_at=moment(20).replace('.0', '.9'))
        items[3].created_at = items[2].created_at  # comes first; the id decides
        (wait,) = self.wait(told)
        self.look()
        self.assertFalse(wait.done(), 'taken for gone')

    def test_gone(self) -> None:
        (item,) = self.service.add()
        (wait,) = self.wait(item)
        self.service.items.clear()
        self.look()
        self.assertIsNone(wait.result(LONG))

    def test_what_is_not_listed_is_read_by_itself(self) -> None:
        item = Item('alone', moment(0))
        (wait,) = self.wait(item, listed=False)
        self.service.items.append(item)
        self.look()
        self.assertFalse(wait.done())
        self.assertEqual(([], ['alone']), (self.service.pages, self.service.got))
        item.status = 'available'
        self.look()
        self.assertEqual('available', wait.result(LONG).status)

    def test_what_is_not_listed_and_gone(self) -> None:
        (wait,) = self.wait(Item('alone', moment(0)), listed=False)
        self.look()
        self.assertIsNone(wait.result(LONG))

    def test_listed_and_not_listed_together(self) -> None:
        items = self.service.add(2)
        waits = self.wait(items[0]) + self.wait(items[1], listed=False)
        for item in items:
            item.status = 'available'
        self.look()
        self.assertEqual(['id0000', 'id0001'], [wait.result(LONG).id for wait in waits])
        self.assertEqual(['id0001'], self.service.got)

    def test_the_same_item_for_two(self) -> None:
        (item,) = self.service.add()
        waits = self.wait(item) + self.wait(item)
        item.status = 'available'
        self.look()
        self.assertEqual(['available'] * 2, [wait.result(LONG).status for wait in waits])


class OldestFirstTest(WatcherTestCase):
    """Things being removed, in the order in which they were made."""

    newest_first = False

    def test_reads_no_further_than_what_is_waited_for(self) -> None:
        items = self.service.add(100)
        self.wait(items[0], items[25])
        self.look()
        self.assertEqual([(20, None), (20, 'id0019')], self.service.pages)

    def test_reads_no_further_than_where_it_would_be(self) -> None:
        items = self.service.add(100)
        (wait,) = self.wait(self.service.items.pop(3))
        self.look()
        self.assertIsNone(wait.result(LONG))
        self.assertEqual(1, len(self.service.pages))
        self.assertEqual('id0003', items[3].id)

    def test_made_in_the_same_moment(self) -> None:
        items = self.service.add(30)
        for item in items:
            item.created_at = moment(0)
        waits = self.wait(items[0], items[-1])
        self.look()
        self.assertFalse(any(wait.done() for wait in waits), 'taken for gone')

    def test_time_kept_less_exactly_than_told(self) -> None:
        items = self.service.add(4)
        told = dataclasses.replace(items[2], created_at=moment(19).replace('.0', '.7'))
        items[1].created_at = items[2].created_at  # comes first; the id decides
        (wait,) = self.wait(told)
        self.look()
        self.assertFalse(wait.done(), 'taken for gone')


class FaultsTest(WatcherTestCase):
    def test_passing_fault_then_recovery(self) -> None:
        (item,) = self.service.add()
        (wait,) = self.wait(item)
        item.status = 'available'
        self.service.faults = [Passing('one'), Passing('two')]
        self.look()
        self.look()
        self.assertFalse(wait.done())
        self.look()
        self.assertEqual('available', wait.result(LONG).status)

    def test_permanent_fault_ends_all_waits(self) -> None:
        items = self.service.add(3)
        waits = self.wait(*items[:2]) + self.wait(items[2], listed=False)
        self.service.faults = [ValueError('no')]
        self.look()
        for wait in waits:
            self.assertIsInstance(wait.exception(LONG), ValueError)

    def test_permanent_fault_of_one_that_is_not_listed(self) -> None:
        (wait,) = self.wait(Item('alone', moment(0)), listed=False)
        self.service.faults = [ValueError('no')]
        self.look()
        self.assertIsInstance(wait.exception(LONG), ValueError)

    def test_works_again_after_a_permanent_fault(self) -> None:
        (item,) = self.service.add()
        (wait,) = self.wait(item)
        self.service.faults = [ValueError('no')]
        self.look()
        self.assertIsInstance(wait.exception(LONG), ValueError)
        (wait,) = self.wait(item)
        item.status = 'available'
        self.look()
        self.assertEqual('available', wait.result(LONG).status)

    def test_time_out_tells_what_was_seen_last(self) -> None:
        (item,) = self.service.add()
        item.status = 'creating'
        (wait,) = self.wait(dataclasses.replace(item, status='unknown'), timeout=0.3)
        self.now = 0.3
        self.look()
        error = wait.exception(LONG)
        self.assertIsInstance(error, watcher.WaitTimeout)
        self.assertEqual((0.3, item, None), (error.seconds, error.last, error.fault))

    def test_time_out_tells_why_nothing_was_seen(self) -> None:
        (item,) = self.service.add()
        (wait,) = self.wait(item, timeout=0.3)
        fault = Passing('x')
        self.service.faults = [fault]
        self.now = 0.4
        self.look()
        error = wait.exception(LONG)
        self.assertEqual((item, fault), (error.last, error.fault))

    def test_a_fault_that_is_over_is_not_told(self) -> None:
        (item,) = self.service.add()
        (wait,) = self.wait(item, timeout=0.5)
        self.service.faults = [Passing('x')]
        self.look()
        self.now = 0.6
        self.look()
        self.assertIsNone(wait.exception(LONG).fault)

    def test_no_time_at_all(self) -> None:
        (item,) = self.service.add()
        (wait,) = self.wait(item, timeout=0)
        self.assertLess(self.look(), watcher.FIRST_INTERVAL)
        self.assertIsInstance(wait.exception(LONG), watcher.WaitTimeout)

    def test_the_last_look_is_at_the_end_of_the_time(self) -> None:
        (item,) = self.service.add()
        self.time_passes = True
        (wait,) = self.wait(item, timeout=0.8)
        self.assertEqual([watcher.FIRST_INTERVAL, 0.3], [round(self.look(), 3) for _ in range(2)])
        self.assertIsInstance(wait.exception(LONG), watcher.WaitTimeout)

    def test_who_timed_out_is_not_looked_for_any_more(self) -> None:
        items = self.service.add(2)
        (wait,) = self.wait(items[0], timeout=0.01)
        self.now = 0.01
        self.look()
        self.assertIsInstance(wait.exception(LONG), watcher.WaitTimeout)
        self.end()
        self.assertEqual(1, len(self.service.pages))

    def test_who_gave_up_is_not_looked_for_any_more(self) -> None:
        waits = self.wait(*self.service.add(2))
        for wait in waits:
            self.assertTrue(wait.cancel())
        self.end()
        self.assertEqual([], self.service.pages)


class IntervalTest(WatcherTestCase):
    time_passes = True

    def test_grows_while_nothing_begins_and_shrinks_again(self) -> None:
        self.wait(*self.service.add(2))
        seen = [self.look() for _ in range(14)]
        first = watcher.FIRST_INTERVAL
        self.assertEqual([first, first, first, first * 1.5, first * 1.5**2], seen[:5])
        self.assertEqual([8.0, 8.0], seen[-2:])
        self.wait(*self.service.add(1))  # while it sleeps for 8 seconds
        self.assertEqual([8.0, 4.0, 6.0], [self.look() for _ in range(3)])

    def test_never_shorter_than_the_first(self) -> None:
        for _ in range(4):
            (item,) = self.service.add()
            (wait,) = self.wait(item)
            item.status = 'available'
            self.assertEqual(watcher.FIRST_INTERVAL, self.look())
            wait.result(LONG)

    def test_longest_interval_shorter_than_the_first(self) -> None:
        self.watcher = self.new_watcher(longest_interval=0.1)
        self.wait(*self.service.add(1))
        self.assertEqual([0.1, 0.1], [self.look(), self.look()])


class ThreadTest(WatcherTestCase):
    def threads(self) -> list[threading.Thread]:
        """Alive watchers' threads, without those that other tests left to end."""
        return [
            thread
            for thread in threading.enumerate()
            if thread.name == 'watcher' and thread not in self.before
        ]

    def setUp(self) -> None:
        super().setUp()
        self.before = threading.enumerate()

    def test_no_thread_without_a_wait(self) -> None:
        self.assertEqual([], self.threads())

    def test_one_thread_for_many_waits(self) -> None:
        self.wait(*self.service.add(50))
        self.look()
        self.assertEqual(1, len(self.threads()))
        self.assertTrue(self.threads()[0].daemon, 'would keep the process alive')

    def test_ends_when_nobody_waits_and_begins_again(self) -> None:
        for _ in range(2):
            (item,) = self.service.add()
            (wait,) = self.wait(item)
            item.status = 'available'
            self.look()
            wait.result(LONG)
            self.end()
            self.until(lambda: not self.threads())
        self.assertEqual(2, len(self.service.pages))

    def test_begins_again_with_the_first_interval(self) -> None:
        (item,) = self.service.add()
        self.wait(item)
        for _ in range(5):
            self.look()
        item.status = 'available'
        self.look()
        self.end()
        self.wait(*self.service.add())
        self.assertEqual(watcher.FIRST_INTERVAL, self.look())

    def test_who_comes_while_it_sleeps_is_seen_by_the_next_look(self) -> None:
        items = self.service.add(2)
        (first,) = self.wait(items[0])
        self.look()
        (second,) = self.wait(items[1])
        for item in items:
            item.status = 'available'
        self.look()
        self.assertEqual(['id0000', 'id0001'], [first.result(LONG).id, second.result(LONG).id])
        self.assertEqual(1, len(self.threads()))
