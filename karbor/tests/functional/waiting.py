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

"""A Karbor whose time a test lets pass, with its bank in an object store that can be away."""

import dataclasses
import datetime
import pathlib
import time
from typing import Any

import fixtures
import sqlalchemy as sa

from karbor import db
from karbor.common import outages
from karbor.db import clock as db_clock
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.protection import provider
from karbor.testing import fake_object_store, fault_proxy, provider_files
from karbor.testing.fault_proxy import Fault, Rule
from karbor.tests import object_store_banks, runners
from karbor.tests.base import PROVIDER_ID
from karbor.tests.functional import test_schedules

PATIENCE = 3600
_STEP = 5
_LEASE = 60

STORES = {
    'swift': (fake_object_store.FakeSwift, object_store_banks.swift_sections),
    's3': (fake_object_store.FakeS3, object_store_banks.s3_sections),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """What an outage has cost.

    :ivar asked: requests to what was away, from the first that was not answered.
    :ivar attempts: of all jobs.
    :ivar jobs: how many there were, those before it included.
    :ivar tries: the most of any job.
    :ivar back_after: seconds from its end to that of the last job.
    """

    asked: int
    attempts: int
    jobs: int
    tries: int
    back_after: float


class WaitingTestCase(test_schedules.SchedulesTestCase):
    """Jobs run when a test lets time pass; by that, the rows and the outages go, too.

    :ivar passed: seconds of it so far.
    """

    store = 'swift'
    retry_timeout = 0.5
    altogether = 0.2

    def setUp(self) -> None:
        self.passed = 0.0
        real = db_clock.now
        for place in ('karbor.db.clock.now', 'karbor.db.now'):
            self.useFixture(
                fixtures.MonkeyPatch(
                    place, lambda session: real(session) + datetime.timedelta(seconds=self.passed)
                )
            )
        self.useFixture(
            fixtures.MonkeyPatch('karbor.services.jobs.holding._ALTOGETHER', self.altogether)
        )
        super().setUp()

    def build(self, registry: provider.ProviderRegistry) -> None:
        """With a bank in an object store, behind what can make it be away."""
        del registry
        kind, sections_of = STORES[self.store]
        self.object_store = kind()
        serving = self.object_store.serve()
        self.proxy = fault_proxy.FaultProxy(serving.__enter__())
        self.addCleanup(serving.__exit__, None, None, None)
        self.proxy.start()
        self.addCleanup(self.proxy.stop)
        self.object_store.url = self.proxy.url
        options = {f'{self.store}_retry_backoff': 0.01, f'{self.store}_request_timeout': 5}
        sections = sections_of(self.object_store, **options)
        folder = self.provider_dir(in_flight_timeout=0, retry_timeout=self.retry_timeout)
        _use_bank(folder / 'provider.conf', f'karbor-{self.store}-bank-plugin', sections)
        super().build(provider.ProviderRegistry(folder))
        self.runner = self.new_runner()

    def new_runner(self) -> Any:
        """What runs the jobs of a process that has just begun."""
        self.registry.get(PROVIDER_ID).bank.outage = outages.Outage(self.monotonic)
        self.environment.requests.outage = outages.Outage(self.monotonic)
        return runners.runner(self.environment, lease=_LEASE, patience=PATIENCE)

    def monotonic(self) -> float:
        return time.monotonic() + self.passed

    def work(self) -> None:
        """The test itself runs each job."""

    def bank_goes(self) -> None:
        """The bank is away from now on."""
        self.proxy.reset()
        self.proxy.rules = [Rule(fault=Fault.RESET_BEFORE)]

    def bank_returns(self) -> None:
        self.asked = sum(self.proxy.requests.values())
        self.proxy.rules = []

    def run_jobs(self) -> None:
        """Run what waits, and what that begins."""
        while job_ids := self.pending():
            for job_id in job_ids:
                self.runner.run(job_id)

    def pending(self) -> list[str]:
        """The ids of the jobs that wait for a worker, the oldest first."""
        with db.writer() as session:
            job_rows.hand_back_expired(session, _LEASE)
            return list(
                session.scalars(
                    sa.select(models.Job.id)
                    .where(models.Job.state == job_rows.JobState.PENDING)
                    .order_by(models.Job.created_at)
                )
            )

    def pass_time(self, seconds: float) -> None:
        """Let time pass, in which jobs run that come to be due."""
        end = self.passed + seconds
        self.run_jobs()
        while self.passed < end:
            self.passed = min(self.passed + _STEP, end)
            self.run_jobs()

    def unfinished(self) -> list[models.Job]:
        return [row for row in self.rows(models.Job) if row.state in job_rows.UNFINISHED]

    def until_all_is_done(self) -> Figures:
        """Let time pass until no job is left."""
        begun = self.passed
        while self.unfinished():
            self.pass_time(_STEP)
            self.assertLess(self.passed - begun, 2 * PATIENCE)
        jobs = self.rows(models.Job)
        return Figures(
            asked=self.asked,
            attempts=sum(job.attempts for job in jobs),
            jobs=len(jobs),
            tries=max(job.tries for job in jobs),
            back_after=self.passed - begun,
        )

    def snapshots(self) -> list[str]:
        """What each snapshot in Cinder is of, sorted."""
        return sorted(each['volume_id'] for each in self.cinder.snapshots.values())


def _use_bank(path: pathlib.Path, bank: str, sections: provider_files.Sections) -> None:
    """Let a provider file name another bank."""
    text = path.read_text().replace('bank = karbor-fs-bank-plugin', f'bank = {bank}')
    path.write_text(f'{text}\n{provider_files.ini_text(sections)}')
