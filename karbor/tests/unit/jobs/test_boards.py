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

"""The board inside the process."""

import threading
import time

from oslotest import base

from karbor.services.jobs import pool

PATIENCE = 10


class Work:
    """Jobs that wait to be let go; one called 'bad' fails."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.go = threading.Event()
        self._lock = threading.Condition()

    def run(self, job_id: str) -> None:
        with self._lock:
            self.begun.append(job_id)
            self._lock.notify_all()
        if job_id == 'bad':
            raise LookupError(job_id)
        if not job_id.startswith('quick'):
            self.go.wait(PATIENCE)
        with self._lock:
            self.ended.append(job_id)
            self._lock.notify_all()

    def wait_for(self, *, begun: int = 0, ended: int = 0) -> bool:
        with self._lock:
            return self._lock.wait_for(
                lambda: len(self.begun) >= begun and len(self.ended) >= ended, PATIENCE
            )


class InProcessBoardTest(base.BaseTestCase):
    def _board(self, workers: int = 2) -> pool.WorkerPool:
        self.work = Work()
        self.addCleanup(self.work.go.set)
        board = pool.WorkerPool(workers)
        self.addCleanup(board.stop, 0)
        return board

    def test_it_runs_what_is_posted_before_and_after_its_start(self) -> None:
        board = self._board()
        board.post('quick-1')
        board.start(self.work.run)
        board.post('quick-2')

        self.assertTrue(self.work.wait_for(ended=2))
        self.assertEqual({'quick-1', 'quick-2'}, set(self.work.ended))

    def test_nothing_runs_before_its_start(self) -> None:
        self._board().post('quick')

        self.assertEqual([], self.work.begun)

    def test_one_worker_keeps_the_order(self) -> None:
        board = self._board(1)
        names = [f'quick-{number}' for number in range(20)]
        for name in names:
            board.post(name)
        board.start(self.work.run)

        self.assertTrue(self.work.wait_for(ended=20))
        self.assertEqual(names, self.work.ended)

    def test_as_many_at_once_as_there_are_workers(self) -> None:
        board = self._board(3)
        board.start(self.work.run)
        for number in range(5):
            board.post(f'slow-{number}')

        self.assertTrue(self.work.wait_for(begun=3))
        self.assertEqual(3, len(self.work.begun))
        self.work.go.set()
        self.assertTrue(self.work.wait_for(ended=5))

    def test_a_worker_outlives_an_exception(self) -> None:
        board = self._board(1)
        board.start(self.work.run)
        for name in ('bad', 'bad', 'quick'):
            board.post(name)

        self.assertTrue(self.work.wait_for(begun=3, ended=1))
        self.assertEqual(['quick'], self.work.ended)
        self.assertEqual(0, board.stop(0))

    def test_a_stop_begins_nothing_more(self) -> None:
        board = self._board(2)
        board.start(self.work.run)
        for number in range(6):
            board.post(f'slow-{number}')
        self.assertTrue(self.work.wait_for(begun=2))

        self.assertEqual(2, board.stop(0))
        self.work.go.set()

        self.assertTrue(self.work.wait_for(ended=2))
        time.sleep(0.05)  # nothing to wait for: what must not happen needs a moment
        self.assertEqual(2, len(self.work.begun))
        self.assertEqual(0, board.stop(0))

    def test_a_stop_waits_for_what_ends_in_time(self) -> None:
        board = self._board(1)
        board.start(self.work.run)
        board.post('slow')
        self.assertTrue(self.work.wait_for(begun=1))
        threading.Timer(0.1, self.work.go.set).start()

        begun = time.monotonic()
        self.assertEqual(0, board.stop(PATIENCE))

        self.assertLess(time.monotonic() - begun, PATIENCE / 2)
        self.assertEqual(['slow'], self.work.ended)

    def test_a_stop_does_not_wait_longer_than_its_grace(self) -> None:
        board = self._board(1)
        board.start(self.work.run)
        board.post('slow')
        self.assertTrue(self.work.wait_for(begun=1))

        self.assertEqual(1, board.stop(0.1))

        self.assertEqual([], self.work.ended)

    def test_an_idle_board_stops_at_once(self) -> None:
        board = self._board()
        board.start(self.work.run)

        self.assertEqual(0, board.stop(PATIENCE))

    def test_a_job_posted_twice_is_still_counted_while_it_runs(self) -> None:
        let_go = threading.Event()
        self.addCleanup(let_go.set)
        calls: list[str] = []
        second = threading.Event()

        def run(job_id: str) -> None:
            calls.append(job_id)
            if len(calls) == 1:
                let_go.wait(PATIENCE)
            elif job_id == 'last':
                second.set()

        board = pool.WorkerPool(2)
        for name in ('same', 'same', 'last'):  # the second 'same' finds it taken and is over
            board.post(name)
        board.start(run)
        self.assertTrue(second.wait(PATIENCE))

        self.assertEqual(1, board.stop(0.1))
