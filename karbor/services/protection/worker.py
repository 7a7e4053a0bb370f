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

"""A worker process among others on the same database: it takes pending jobs from the rows.

Each claim is a lease that is renewed while the job runs. When a process dies its leases
run out, and another takes up the jobs.
"""

import threading

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import timeutils

from karbor import db
from karbor.db import jobs as job_rows
from karbor.services import duties, processes, trusts
from karbor.services.protection import jobboard, jobs, provider

LOG = logging.getLogger(__name__)

_SWEEP_INTERVAL = 300


class Worker:
    """Has pending jobs done until it is stopped.

    :param registry: the providers; jobs of others are left to other workers.
    :param runner: does the work of a job.
    :param used_trusts: what to sweep now and then.
    """

    def __init__(self, registry: provider.ProviderRegistry, runner: jobs.JobRunner,
                 used_trusts: trusts.Trusts) -> None:
        options = cfg.CONF.protection
        self._provider_ids = [found.id for found in registry]
        self._board = jobboard.InProcessBoard(options.max_concurrent_jobs)
        self._runner = runner
        self._may_take_work = True
        self._stopping = threading.Event()
        self._duties = (
            duties.Duty(options.job_poll_interval, self._take_jobs),
            duties.Duty(options.job_lease / 3, runner.renew_claims),
            duties.Duty(options.job_lease / 3, self._hand_back_expired),
            duties.Duty(cfg.CONF.report_interval, self._report),
            duties.Duty(_SWEEP_INTERVAL, used_trusts.sweep),
        )

    def start(self) -> None:
        self._board.start(self._runner.run)
        self._report()
        for duty in self._duties:
            threading.Thread(target=duty.fulfil, args=(self._stopping,), daemon=True,
                             name=duty.name).start()

    def stop(self, grace: float) -> int:
        """Take no further job, and wait a little for those that run.

        :param grace: longest time to wait, in seconds.
        :returns: how many still run; other workers take them up when their leases end.
        """
        left = self._board.stop(grace)
        self._stopping.set()
        return left

    def _report(self) -> None:
        self._may_take_work = processes.report(processes.PROTECTION)

    def _hand_back_expired(self) -> None:
        count = db.transaction(job_rows.hand_back_expired)(timeutils.utcnow())
        if count:
            LOG.warning('%d jobs whose leases have ended wait for a worker', count)

    def _take_jobs(self) -> None:
        if self._may_take_work:
            self._board.post_pending(self._provider_ids)
