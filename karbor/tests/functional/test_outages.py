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

"""Banks, and a Cinder, that are away for a minute and for half an hour, by a clock of a test."""

from typing import Any

from karbor import db
from karbor.db import models
from karbor.db.holds import Hold
from karbor.services.jobs import holding
from karbor.testing.fault_proxy import Fault as BankFault
from karbor.testing.fault_proxy import Rule
from karbor.tests.base import PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base, waiting
from karbor.tests.functional.outage_hours import (
    HALF_HOUR,
    MINUTE,
    AllWorkTestCase,
    BankTestCase,
)


class Killed(BaseException):
    """Ends an attempt as kill -9 of its process does."""


class SwiftTest(AllWorkTestCase):
    def test_protect(self) -> None:
        self.check_protect(MINUTE)

    def test_protect_for_half_an_hour(self) -> None:
        self.check_protect(HALF_HOUR)

    def test_restore(self) -> None:
        self.check_restore(MINUTE)

    def test_delete(self) -> None:
        self.check_delete(MINUTE)

    def test_retention(self) -> None:
        self.check_retention(MINUTE)


class S3Test(AllWorkTestCase):
    store = 's3'

    def test_protect(self) -> None:
        self.check_protect(MINUTE)

    def test_delete(self) -> None:
        self.check_delete(MINUTE)


class PatienceTest(BankTestCase):
    def test_it_ends(self) -> None:
        checkpoint = self.create_checkpoint(self.plan)
        self.goes_with('POST', '/snapshots', 5)
        self.pass_time(waiting.PATIENCE - 60)
        self.assertEqual('protecting', self.shown(checkpoint)['status'])
        self.pass_time(60 + 360)
        shown = self.shown(checkpoint)
        self.assertEqual('error', shown['status'])
        self.assertIn('no answer for 1 h', shown['status_reason'])

    def test_it_is_the_same_for_the_worker_that_takes_over(self) -> None:
        checkpoint = self.create_checkpoint(self.plan)
        self.goes_with('POST', '/snapshots', 5)
        self.pass_time(HALF_HOUR)
        since = self.hold().since
        self.new_worker_is_killed()
        self.runner = self.new_runner()
        self.pass_time(600)
        self.assertEqual(since, self.hold().since)
        self.pass_time(waiting.PATIENCE - HALF_HOUR)
        self.assertEqual('error', self.shown(checkpoint)['status'])

    def hold(self) -> Hold:
        (job,) = self.rows(models.Job)
        hold = Hold.of_job(job)
        self.assertIsNotNone(hold)
        return hold

    def new_worker_is_killed(self) -> None:
        """One that knows of no outage begins with the job, and dies while it asks the bank."""
        self.runner = self.new_runner()
        bank = self.registry.get(PROVIDER_ID).bank.plugin

        def die(*_: Any, **__: Any) -> None:
            raise Killed

        bank.update_object, kept = die, bank.update_object
        try:
            self.assertRaises(Killed, self.pass_time, 600)
        finally:
            bank.update_object = kept

    def test_what_comes_meanwhile_waits_for_itself(self) -> None:
        """Each job is begun, told why it waits, and put back without a request."""
        self.bank_goes()
        self.create_checkpoint(self.plan)
        self.pass_time(60)
        asked = sum(self.proxy.requests.values())
        later = [self.create_checkpoint(self.plan) for _ in range(5)]
        self.pass_time(5)
        self.assertLessEqual(sum(self.proxy.requests.values()), asked + 1)
        for checkpoint in later:
            self.assertIn('waits for the bank', self.shown(checkpoint)['status_reason'])
        self.bank_returns()
        self.until_all_is_done()
        self.assertEqual(6, len(self.available()))
        self.assertEqual(sorted(6 * self.ids), self.snapshots())

    def test_a_status_is_reset_when_it_is_back(self) -> None:
        """By the API, which runs no jobs that would find that out."""
        checkpoint = self.create_checkpoint(self.plan)
        self.run_jobs()
        path = self.checkpoints_path(checkpoint['id'])
        self.bank_goes()
        message = self.put(path, {'os-resetState': {'state': 'error'}}, 503)
        self.assertIn('Swift could not be reached', message)
        self.bank_returns()
        with db.writer() as session:  # a worker has put it right meanwhile
            for job in session.query(models.Job):
                job.state = 'done'
        self.passed += 10
        self.put(path, {'os-resetState': {'state': 'error'}})
        self.assertEqual('error', self.shown(checkpoint)['status'])

    def test_a_bank_that_refuses_is_not_waited_for(self) -> None:
        for status in (401, 403, 413, 507):
            self.proxy.rules = []
            self.object_store.answers = {('PUT', 'object'): 20 * [status]}
            checkpoint = self.create_checkpoint(self.plan)
            self.run_jobs()
            shown = self.shown(checkpoint)
            self.assertEqual('error', shown['status'], status)
            self.assertIn(f'Swift answered {status}', shown['status_reason'])

    def test_nobody_is_told_where_it_is(self) -> None:
        config = self.registry.get(PROVIDER_ID).config
        secret = (
            self.proxy.url.removeprefix('http://'),
            config.swift_bank_plugin.bank_swift_object_container,
            'AUTH_test',
            'made up',
        )
        self.runner = waiting.runners.runner(self.environment)  # without patience
        told = []
        for rule in (BankFault.RESET_BEFORE, BankFault.UNAVAILABLE):
            self.proxy.rules = [Rule(fault=rule)]
            self.create_checkpoint(self.plan)
            self.run_jobs()
            self.runner = waiting.runners.runner(self.environment)
            self.registry.get(PROVIDER_ID).bank.outage.end()
            told += [row.error_info for row in self.rows(models.OperationLog)]
            told += [row.status_reason for row in self.rows(models.Checkpoint)]
        self.proxy.rules = []
        self.object_store.answers = {('PUT', 'object'): [403]}
        checkpoint = self.create_checkpoint(self.plan)
        self.run_jobs()
        told.append(self.shown(checkpoint)['status_reason'])
        self.assertEqual(7, len([text for text in told if text]), told)
        for text in told:
            for part in secret:
                self.assertNotIn(part, text)


class CinderTest(BankTestCase):
    """It answers nobody."""

    retry_timeout = 1.5

    def check(self, seconds: float, **fault: Any) -> None:
        checkpoint = self.create_checkpoint(self.plan)
        self.cinder_goes(**fault)
        self.cinder.requests.clear()
        self.pass_time(seconds)
        asked = sum(self.cinder.requests.values())
        shown = self.shown(checkpoint)
        self.assertEqual('protecting', shown['status'], shown)
        self.assertIn('waits for Cinder, which has not answered since', shown['status_reason'])
        self.cinder.faults = []
        self.bank_returns()
        figures = self.until_all_is_done()
        self.assertEqual('available', self.shown(checkpoint)['status'])
        self.assertEqual(self.ids, self.snapshots())
        self.assertEqual(1, figures.tries)
        self.assertLessEqual(asked, 100 + 3 * seconds / 10)

    def test_refused(self) -> None:
        self.check(MINUTE, reset='before')

    def test_503(self) -> None:
        self.check(MINUTE, status=503)

    def test_a_run_that_begins_meanwhile(self) -> None:
        """What the plan covers now cannot be seen, so there is no checkpoint yet."""
        self.useFixture(
            waiting.fixtures.MonkeyPatch(
                'karbor.services.protection.protectable_plugins.volume._PATIENCE', 1.5
            )
        )
        self.plan = self.create_plan(base.resource(PROJECT_ID, base.PROJECT))
        operation = self.create_operation('protect')
        self.cinder_goes(reset='before')
        self.post(f'/scheduled_operations/{operation["id"]}/action', {'run': {}})
        self.pass_time(MINUTE)
        self.assertEqual([], self.rows(models.Checkpoint))
        self.cinder.faults = []
        self.bank_returns()
        self.until_all_is_done()
        self.assertEqual(1, len(self.available()))

    def test_retention(self) -> None:
        operation = self.create_operation('retention_protect', max_backups=1)
        path = f'/scheduled_operations/{operation["id"]}/action'
        self.post(path, {'run': {}})
        self.run_jobs()
        self.post(path, {'run': {}})
        self.runner.run(self.pending()[0])
        self.cinder_goes(reset='before')
        self.pass_time(MINUTE)
        self.assertEqual(2, len(self.available()))
        self.cinder.faults = []
        self.bank_returns()
        self.until_all_is_done()
        self.assertEqual(1, len(self.available()))


class PartOfCinderTest(BankTestCase):
    """It answers some."""

    retry_timeout = 2
    altogether = holding._ALTOGETHER

    def test_one_that_answers_others_goes_on_as_ever(self) -> None:
        """It makes no snapshots, and can be looked at."""
        checkpoint = self.create_checkpoint(self.plan)
        self.cinder_goes(method='POST', path='/snapshots', status=503)
        self.run_jobs()
        shown = self.shown(checkpoint)
        self.assertEqual('error', shown['status'])
        self.assertIn('Cinder answered 503', shown['status_reason'])

    def test_one_that_answers_some_by_500_goes_on_as_ever(self) -> None:
        checkpoint = self.create_checkpoint(self.plan)
        self.cinder_goes(method='POST', path='/snapshots', status=500)
        self.run_jobs()
        self.assertEqual('error', self.shown(checkpoint)['status'])
