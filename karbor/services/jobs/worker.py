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

"""A worker process among others on the same database: it takes jobs from their board.

Each claim is a lease that is renewed while the job runs. When a process dies its leases
run out, and another takes up the jobs.
"""

import threading
from collections.abc import Sequence

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_log import log as logging

from karbor import db
from karbor.db import jobs as job_rows
from karbor.services import periodic, processes
from karbor.services.identity import trusts
from karbor.services.jobs import boards, pool
from karbor.services.jobs import runner as job_runner

LOG = logging.getLogger(__name__)

_SWEEP_INTERVAL = 300
_TEND_INTERVAL = 60
_SHARE_INTERVAL = 2
# What a look may take to end when the board does not answer, in seconds.
_LONGEST_LOOK = 5


class Worker:
    """Has pending jobs done until it is stopped.

    :param runner: does the work of a job; jobs that it cannot run are left to other workers.
    :param used_trusts: what to sweep now and then.
    :param board: where jobs wait.
    :param more_duties: what it does beside that.
    """

    def __init__(
        self,
        runner: job_runner.JobRunner,
        used_trusts: trusts.Trusts,
        board: boards.Board,
        more_duties: Sequence[periodic.Duty] = (),
    ) -> None:
        options = cfg.CONF.protection
        self._lease = options.job_lease
        self._poll_interval = options.job_poll_interval
        self._limit = options.max_concurrent_jobs
        self._limit_of_project = options.max_concurrent_jobs_per_project
        self._board = board
        self._crew = pool.WorkerPool(self._limit)
        self._runner = runner
        self._reporter = processes.Reporter(processes.PROTECTION)
        self._closing = threading.Event()
        self._stopping = threading.Event()
        self._looker = threading.Thread(
            target=self._look_for_jobs, daemon=True, name='look for jobs'
        )
        self._listener = threading.Thread(
            target=board.listen,
            args=(self._crew.freed.set, self._stopping),
            daemon=True,
            name='listen for jobs',
        )
        # Job id -> project, of those taken here that are not over.
        self._taken: dict[str, str] = {}
        self._duties = (
            # Apart: a board that does not answer must not keep rows from being renewed.
            periodic.Duty(options.job_lease / 3, runner.renew_claims),
            periodic.Duty(options.job_lease / 3, board.renew),
            periodic.Duty(_SHARE_INTERVAL, runner.share_requests),
            periodic.Duty(cfg.CONF.report_interval, self._reporter.report),
        )
        # Not while it may not work on the schema.
        self._more_duties = (
            periodic.Duty(options.job_lease / 3, self._hand_back_expired),
            periodic.Duty(_SWEEP_INTERVAL, used_trusts.sweep),
            periodic.Duty(_TEND_INTERVAL, self._tend_board),
            *more_duties,
        )

    def start(self) -> None:
        self._crew.start(self._run)
        try:
            self._reporter.report()
        except db_exc.DBError as exc:
            LOG.warning('The database does not answer; it is asked again: %s', exc)
        self._looker.start()
        self._listener.start()
        for duty in self._duties:
            duty.begin(self._stopping)
        for duty in self._more_duties:
            duty.begin(self._stopping, lambda: self._reporter.may_work)

    def stop(self, grace: float) -> int:
        """Take no further job, wait a little for those that run, and hand back the others.

        The process must end then: another worker begins them anew, and what they do here is
        of no use any more.

        :param grace: longest time to wait, in seconds.
        :returns: how many were handed back.
        """
        self._closing.set()
        self._crew.freed.set()
        left = self._crew.stop(grace)
        self._looker.join(_LONGEST_LOOK)
        self._stopping.set()
        # The rows last, as others begin then.
        self._board.hand_back()
        self._runner.hand_back()
        return left

    def _look_for_jobs(self) -> None:
        pending = db.Look(job_rows.ANY_PENDING)
        while not self._closing.is_set():
            try:
                if pending.finds_any():
                    self._take_jobs()
            except Exception:
                # A thread's edge: a database that is away for a moment must not end it.
                LOG.exception('Looking for jobs failed; it is tried again')
            self._crew.freed.wait(self._poll_interval)
            self._crew.freed.clear()
        pending.close()

    def _take_jobs(self) -> None:
        places = self._crew.free() if self._reporter.may_take_work else 0
        if not places:
            return
        full = [project_id for project_id in set(self._taken.values()) if self._is_full(project_id)]
        for waiting in self._board.waiting(self._runner.scope, full):
            if self._may_begin(waiting) and self._board.claim(waiting):
                self._taken[waiting.job_id] = waiting.project_id
                self._crew.post(waiting.job_id)
                places -= 1
                if not places:
                    return

    def _may_begin(self, waiting: boards.Waiting) -> bool:
        return waiting.job_id not in self._taken and not self._is_full(waiting.project_id)

    def _is_full(self, project_id: str) -> bool:
        """Whether a project has what it may, of what others leave no more than half: however many
        have very many jobs, another can begin.
        """
        projects = list(self._taken.values())
        own = projects.count(project_id)
        left = self._limit - (len(projects) - own)
        return own >= min(self._limit_of_project, (left + 1) // 2)

    def _run(self, job_id: str) -> None:
        try:
            self._runner.run(job_id)
        finally:
            del self._taken[job_id]
            self._board.release(job_id)

    def _tend_board(self) -> None:
        self._board.tidy()
        lost = self._board.lost(self._runner.scope)
        if lost:
            LOG.warning('%d jobs were not on the board any more; they are posted again', len(lost))
        for job_id in lost:
            self._board.post_now(job_id)

    def _hand_back_expired(self) -> None:
        count = db.transaction(job_rows.hand_back_expired)(self._lease)
        if count:
            LOG.warning('%d jobs whose leases have ended wait for a worker', count)
