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

"""The kinds of jobs that this Karbor knows."""

import dataclasses

from oslo_config import cfg

from karbor.services.checkpoints import (
    deleting,
    protecting,
    removing,
    restoring,
    safety,
    status_reset,
)
from karbor.services.cinder.limiter import Limiter
from karbor.services.jobs.fair_pool import FairPool
from karbor.services.jobs.kinds import Environment, JobKind, JobKinds
from karbor.services.jobs.runner import JobRunner
from karbor.services.schedules import retention_jobs, run_ends


def _by_retention(kind: JobKind) -> JobKind:
    """A kind of which retention may have asked for a job: a run may wait for its end."""
    return dataclasses.replace(kind, lock=run_ends.lock, follow=run_ends.follow_removal)


JOB_KINDS = JobKinds(
    (
        protecting.kind(run_ends),
        safety.kind(protecting.kind(run_ends)),
        _by_retention(deleting.KIND),
        _by_retention(removing.KIND),
        restoring.RESTORE,
        restoring.CHOSEN_RESTORE,
        restoring.VERIFY,
        status_reset.KIND,
        retention_jobs.kind(run_ends.lock, run_ends.follow_retention),
    )
)


def request_threads() -> FairPool:
    """What sends the requests of all jobs: as many at once as Cinder likes."""
    most = cfg.CONF.protection.max_requests_in_flight
    return FairPool(most, Limiter(most))


def runner(environment: Environment, *, is_alone: bool = False) -> JobRunner:
    """What runs jobs of all kinds, as ``[protection]`` has it.

    :param environment: what it does them with.
    :param is_alone: whether no other process works on the database.
    """
    options = cfg.CONF.protection
    return JobRunner(
        JOB_KINDS,
        environment,
        lease=options.job_lease,
        is_alone=is_alone,
        max_tries=options.max_job_tries,
        patience=options.bank_patience,
    )
