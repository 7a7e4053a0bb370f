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

"""Which faults a job waits for, and what its row and its subject tell meanwhile."""

import dataclasses
from typing import Any

from karbor import db, exception
from karbor.cmd import job_kinds
from karbor.common import outages
from karbor.db.holds import Hold
from karbor.services.jobs import kinds
from karbor.services.jobs import runner as job_runner
from karbor.testing import clock
from karbor.tests import base
from karbor.tests.unit.jobs import test_worker

_BANK = exception.BankError(reason='no answer', is_passing=True)
_CINDER = exception.InventoryFailed(reason='no answer', is_passing=True)


class HoldingTestCase(test_worker.WorkerTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.checkpoint_id, self.job_id = self.post_protect()
        self.made_in = self.environment(lambda _: self.context)
        self.clock = clock.Clock()
        self.cinder = self.made_in.requests.outage = outages.Outage(self.clock.monotonic)
        self.bank = self.registry.get(base.PROVIDER_ID).bank

    def run_job(self, run: Any, patience: float = 3600) -> str:
        """Run the job once; returns its state behind that.

        :param run: what the kind does.
        """
        kind = dataclasses.replace(job_kinds.JOB_KINDS['protect'], run=run)
        runner = job_runner.JobRunner(
            kinds.JobKinds([kind]), self.made_in, lease=test_worker.LEASE, patience=patience
        )
        self.set_job(self.job_id, state='pending')
        runner.run(self.job_id)
        return self.row(self.job_id).state

    def raising(self, error: Exception) -> Any:
        def run(_attempt: kinds.Attempt) -> kinds.Outcome:
            raise error

        return run


class HoldingTest(HoldingTestCase):
    def test_a_bank_that_is_away(self) -> None:
        self.assertEqual('running', self.run_job(self.raising(_BANK)))
        job = self.row(self.job_id)
        self.assertEqual((1, 0), (job.attempts, job.tries))
        hold = Hold.of_job(job)
        self.assertEqual(hold.reason, self.subject('protect', self.checkpoint_id).status_reason)
        self.assertIn('waits for the bank', hold.reason)
        self.assertTrue(self.bank.outage.is_on)

    def test_what_comes_of_it(self) -> None:
        """A plugin has raised what it likes."""

        def run(_attempt: kinds.Attempt) -> kinds.Outcome:
            try:
                raise _BANK
            except exception.BankError as exc:
                raise ValueError('mine') from exc

        self.assertEqual('running', self.run_job(run))

    def test_a_bank_that_refuses(self) -> None:
        error = exception.BankError(reason='forbidden')
        self.assertEqual('failed', self.run_job(self.raising(error)))

    def test_without_patience(self) -> None:
        self.assertEqual('failed', self.run_job(self.raising(_BANK), patience=0))

    def test_a_cinder_that_answers(self) -> None:
        self.cinder.fault()
        self.assertEqual('failed', self.run_job(self.raising(_CINDER)))

    def test_a_cinder_that_answers_nobody(self) -> None:
        self.cinder.fault()
        self.clock.now = 60
        self.assertEqual('running', self.run_job(self.raising(_CINDER)))
        self.assertIn('waits for Cinder', Hold.of_job(self.row(self.job_id)).reason)

    def test_it_is_back_when_the_attempt_ends(self) -> None:
        """Its other hooks have come to their ends meanwhile, by Cinder's answers."""
        self.cinder.fault()
        self.clock.now = 60

        def run(attempt: kinds.Attempt) -> kinds.Outcome:
            self.assertTrue(attempt.holds(_CINDER))
            self.cinder.end()
            raise _CINDER

        self.assertEqual('running', self.run_job(run))
        self.assertFalse(self.cinder.is_on)

    def test_the_first_fault_counts(self) -> None:
        self.run_job(self.raising(_BANK))
        since = Hold.of_job(self.row(self.job_id)).since
        self.bank.outage.end()
        self.run_job(self.raising(_BANK))
        self.assertEqual(since, Hold.of_job(self.row(self.job_id)).since)

    def test_patience_ends(self) -> None:
        self.run_job(self.raising(_BANK))
        self.bank.outage.end()
        with db.reader() as session:
            now = db.now(session)
        self.set_job(self.job_id, error=Hold(now.replace(year=2020), 'x').as_error())
        self.assertEqual('failed', self.run_job(self.raising(_BANK)))
        self.assertIn('no answer', self.row(self.job_id).error)
