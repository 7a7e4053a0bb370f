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

"""The threads of a process that work on jobs."""

import queue
import threading
import time
from collections.abc import Callable

from oslo_log import log as logging

from karbor.db import jobs
from karbor.services.jobs import boards

LOG = logging.getLogger(__name__)


class WorkerPool:
    """Some threads, and the queue of jobs that they take from.

    :param workers: how many jobs may run at once.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        # Threads at work, not ids of jobs: one may be posted twice.
        self._busy: set[int] = set()
        #: set when a job has ended
        self.freed = threading.Event()

    def start(self, run: Callable[[str], None]) -> None:
        """Begin to take jobs.

        :param run: does the work of a job, given its id.
        """
        self._threads = [
            threading.Thread(target=self._work, args=(run,), name=f'jobs-{number}', daemon=True)
            for number in range(self._workers)
        ]
        for thread in self._threads:
            thread.start()

    def post(self, job_id: str) -> None:
        """Have a job done. That the same id is posted twice does no harm."""
        self._waiting.put(job_id)

    def post_pending(self, scope: jobs.Scope) -> None:
        """Post the jobs that wait in the database, as many as there are workers free."""
        count = self.free()
        if count:
            for waiting in boards.in_line(scope, ())[:count]:
                self.post(waiting.job_id)

    def check(self) -> None:
        """:raises RuntimeError: nobody would take a job."""
        if not self._threads or not all(thread.is_alive() for thread in self._threads):
            raise RuntimeError('the threads that work on jobs are not there')

    def free(self) -> int:
        """How many workers have nothing to do and may begin something."""
        if self._stopping.is_set():
            return 0
        return max(0, self._workers - len(self._busy) - self._waiting.qsize())

    def stop(self, grace: float) -> int:
        """Begin no further job, and wait a little for those that run.

        :param grace: longest time to wait, in seconds.
        :returns: how many still run; the next start takes them up again.
        """
        self._stopping.set()
        end = time.monotonic() + grace
        while self._busy and time.monotonic() < end:
            time.sleep(0.05)
        return len(self._busy)

    def _work(self, run: Callable[[str], None]) -> None:
        while True:
            job_id = self._waiting.get()
            if self._stopping.is_set():
                return
            self._busy.add(threading.get_ident())
            try:
                run(job_id)
            except Exception:
                # A thread's edge: without it the worker would be lost to all later jobs.
                LOG.exception('The job %s broke off; it is taken up again', job_id)
            finally:
                self._busy.discard(threading.get_ident())
                self.freed.set()
