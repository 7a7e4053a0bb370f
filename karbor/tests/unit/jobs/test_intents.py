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

"""Since when a job is quiet: what its next attempt is told of requests that may be on their way."""

import dataclasses
import datetime
from typing import Any
from unittest import mock

from keystoneauth1 import session as ks_session
from oslo_utils import timeutils

from karbor import context as karbor_context
from karbor import db, exception
from karbor.cmd import job_kinds
from karbor.common import leases
from karbor.db import jobs as job_rows
from karbor.services.jobs import intents, kinds
from karbor.services.jobs import runner as job_runner
from karbor.services.protection import client_factory
from karbor.tests.unit.jobs import test_worker

AGES = datetime.timedelta(days=365)
CINDER, KEYSTONE = 'http://cinder', 'http://keystone'


class IntentsTestCase(test_worker.WorkerTestCase):
    def setUp(self) -> None:
        super().setUp()
        _, self.job_id = self.post_protect()

    def begin(self) -> tuple[intents.JobIntent, float | None]:
        """An attempt: its intent, and for how long the job was quiet."""
        with db.writer() as session:
            job = job_rows.claim(session, self.job_id, test_worker.LEASE)
            assert job is not None
            return intents.JobIntent(job), job_rows.quiet_for(session, job)

    def die(self, seconds: float) -> None:
        """The attempt ends without a word, and its claim that many seconds ago."""
        until = timeutils.utcnow() - datetime.timedelta(seconds=seconds)
        self.set_job(self.job_id, state='pending', claimed_until=until)


class QuietTest(IntentsTestCase):
    def test_the_first_attempt(self) -> None:
        _, quiet_for = self.begin()
        self.assertIsNone(quiet_for)

    def test_the_end_of_a_claim_counts(self) -> None:
        self.begin()
        self.die(40)
        _, quiet_for = self.begin()
        self.assertAlmostEqual(40, quiet_for, delta=5)

    def test_an_attempt_that_sends_nothing_does_not_count(self) -> None:
        """One that is killed while it waits for the requests of the one before."""
        self.begin()
        self.die(40)
        for _ in range(3):
            self.begin()
            self.die(5)
        _, quiet_for = self.begin()
        self.assertAlmostEqual(40, quiet_for, delta=5)

    def test_an_attempt_that_sends_counts(self) -> None:
        self.begin()
        self.die(40)
        intent, _ = self.begin()
        intent.declare()
        self.die(10)
        _, quiet_for = self.begin()
        self.assertAlmostEqual(10, quiet_for, delta=5)

    def test_a_claim_that_has_not_ended(self) -> None:
        self.begin()
        self.die(-60)
        _, quiet_for = self.begin()
        self.assertAlmostEqual(0, quiet_for, delta=5)

    def test_a_job_that_nobody_knows_the_end_of(self) -> None:
        """As of a process that worked alone, or of a Karbor that was older."""
        self.begin()
        self.set_job(self.job_id, state='pending', claimed_until=None)
        _, quiet_for = self.begin()
        self.assertAlmostEqual(0, quiet_for, delta=5)

    def test_who_has_lost_the_job_sends_nothing(self) -> None:
        self.begin()
        self.die(40)
        intent, _ = self.begin()
        self.die(5)
        self.begin()
        self.assertRaises(leases.LeaseLost, intent.declare)
        self.assertFalse(intent.is_declared)

    def test_it_is_written_once(self) -> None:
        self.begin()
        self.die(40)
        intent, _ = self.begin()
        intent.declare()
        with mock.patch.object(db, 'transaction') as transaction:
            intent.declare()
        transaction.assert_not_called()


class PauseTest(IntentsTestCase):
    """Keystone cannot be asked, so the attempt ends and another begins later."""

    def quiet_for_after(self, *attempts_send: bool) -> Any:
        sends = iter(attempts_send)

        def run(attempt: kinds.Attempt) -> kinds.Outcome:
            if next(sends):
                attempt.context.intent.declare()
            raise exception.IdentityUnavailable(reason='down')

        kind = dataclasses.replace(job_kinds.JOB_KINDS['protect'], run=run)
        environment = self.environment(lambda _: self.context)
        runner = job_runner.JobRunner(kinds.JobKinds([kind]), environment, lease=test_worker.LEASE)
        for _ in attempts_send:
            runner.run(self.job_id)
            self.set_job(self.job_id, state='pending')
        _, quiet_for = self.begin()
        return quiet_for

    def test_nothing_was_ever_sent(self) -> None:
        self.assertGreater(self.quiet_for_after(False, False), AGES.total_seconds())

    def test_something_was_sent(self) -> None:
        """The attempt is over, though its claim goes on until the next is to begin."""
        self.assertAlmostEqual(0, self.quiet_for_after(True), delta=5)
        self.assertLess(self.row(self.job_id).quiet_since, timeutils.utcnow())

    def test_something_was_sent_before(self) -> None:
        self.begin()
        self.die(40)
        self.assertAlmostEqual(40, self.quiet_for_after(False), delta=5)


class RequestsTest(IntentsTestCase):
    """Clients declare by themselves."""

    def setUp(self) -> None:
        super().setUp()
        self.intent = mock.Mock()
        context = karbor_context.RequestContext(
            'u', 'p', overwrite=False, lease=leases.Lease(), intent=self.intent
        )
        self.session = client_factory.fenced(ks_session.Session(), context)

    def declared_by(self, url: str, method: str, **options: Any) -> int:
        self.intent.reset_mock()
        with mock.patch('keystoneauth1.session.Session.request') as request:
            request.side_effect = lambda *_, **__: self.asked_at.append(
                self.intent.declare.call_count
            )
            self.asked_at: list[int] = []
            self.session.request(url, method, **options)
        (count,) = self.asked_at
        return count

    def test_what_changes_something(self) -> None:
        for method in ('POST', 'PUT', 'DELETE', 'PATCH'):
            self.assertEqual(1, self.declared_by(CINDER, method), method)

    def test_what_only_looks(self) -> None:
        for method in ('GET', 'HEAD'):
            self.assertEqual(0, self.declared_by(CINDER, method), method)

    def test_a_token(self) -> None:
        self.assertEqual(0, self.declared_by(KEYSTONE, 'POST', authenticated=False))

    def test_what_cannot_be_declared_is_not_sent(self) -> None:
        self.intent.declare.side_effect = leases.LeaseLost
        with mock.patch('keystoneauth1.session.Session.request') as request:
            self.assertRaises(leases.LeaseLost, self.session.request, CINDER, 'POST')
        request.assert_not_called()
