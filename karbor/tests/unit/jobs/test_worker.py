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

"""Several workers on one database, and jobs that act by a trust."""

import collections
import datetime
import threading
from typing import Any
from unittest import mock

import fixtures
from oslo_config import cfg
from oslo_utils import timeutils

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import jobs as job_rows
from karbor.db import models, schema_gate, services
from karbor.services import periodic, processes
from karbor.services.identity import trusts
from karbor.services.jobs import boards, worker
from karbor.services.jobs import runner as job_runner
from karbor.services.protection import provider
from karbor.tests import runners
from karbor.tests.unit.jobs import test_runner
from karbor.tests.unit.protection import contract_plugins, test_contract

TRUST_ID = '11112222333344445555666677778888'
LEASE = 60


class FakeTrusts(trusts.NoTrusts):
    """Trusts that answer what a test wants."""

    def __init__(self, *checks: Exception | None) -> None:
        self.checks = list(checks)
        self.released: list[str | None] = []

    def of(self, context: karbor_context.RequestContext) -> str | None:
        return TRUST_ID

    def check(self, trust_id: str) -> None:
        found = self.checks.pop(0) if self.checks else None
        if found is not None:
            raise found

    def release(self, trust_id: str | None) -> None:
        self.released.append(trust_id)


class WorkerTestCase(test_runner.JobsTestCase):
    def worker_runner(self, used_trusts: Any = None, registry: Any = None) -> job_runner.JobRunner:
        return runners.runner(
            runners.environment(
                registry or self.registry,
                self.protectables,
                self.posted.append,
                lambda _: self.context,
                used_trusts=used_trusts,
            ),
            lease=LEASE,
        )

    def set_job(self, job_id: str, **values: Any) -> None:
        with db.writer() as session:
            job = session.get(models.Job, job_id)
            for name, value in values.items():
                setattr(job, name, value)

    def hand_back_expired(self) -> int:
        return db.transaction(job_rows.hand_back_expired)(LEASE)


class LeaseTest(WorkerTestCase):
    def test_a_running_job_is_taken_up_when_its_lease_has_ended(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        now = timeutils.utcnow()
        self.set_job(
            job_id,
            state='running',
            attempts=1,
            claimed_until=now + datetime.timedelta(seconds=LEASE),
        )
        self.assertEqual(0, self.hand_back_expired())

        self.set_job(job_id, claimed_until=now - datetime.timedelta(seconds=10))
        self.assertEqual(1, self.hand_back_expired())
        self.worker_runner().run(job_id)

        self.assertEqual(('done', 2), (self.row(job_id).state, self.row(job_id).attempts))
        self.assertEqual('available', self.checkpoint(checkpoint_id).status)

    def test_a_job_of_a_process_that_is_alone_has_no_lease(self) -> None:
        _, job_id = self.post_protect()
        self.set_job(job_id, state='running', attempts=1)
        self.assertEqual(0, self.hand_back_expired())

    def test_a_lease_is_renewed_while_the_job_runs(self) -> None:
        _, job_id = self.post_protect()
        runner = self.worker_runner()
        seen: list[datetime.datetime] = []

        def look(*_: Any) -> None:
            past = timeutils.utcnow() - datetime.timedelta(hours=1)
            self.set_job(job_id, claimed_until=past)
            runner.renew_claims()
            seen.append(self.row(job_id).claimed_until)

        with mock.patch.object(runner, '_check_trust', look):
            runner.run(job_id)

        self.assertLess(timeutils.utcnow(), seen[0])
        self.set_job(job_id, claimed_until=None)
        runner.renew_claims()
        self.assertIsNone(self.row(job_id).claimed_until)

    def test_who_lost_a_job_neither_ends_nor_renews_it(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        runner = self.worker_runner()

        def lose(*_: Any) -> None:
            self.set_job(job_id, state='running', attempts=2, claimed_until=None)
            runner.renew_claims()

        with mock.patch.object(runner, '_check_trust', lose):
            runner.run(job_id)

        job = self.row(job_id)
        self.assertEqual(('running', 2, None), (job.state, job.attempts, job.claimed_until))
        self.assertEqual('protecting', self.checkpoint(checkpoint_id).status)


class TrustTest(WorkerTestCase):
    def post_by_trust(self) -> tuple[str, str]:
        checkpoint_id, job_id = self.post_protect()
        with db.writer() as session:
            session.add(
                models.Trust(
                    id=TRUST_ID, user_id='u', project_id='p', roles=['member'], live_key='k'
                )
            )
        self.set_job(job_id, trust_id=TRUST_ID)
        return checkpoint_id, job_id

    def test_a_trust_is_left_when_the_job_has_ended(self) -> None:
        _, job_id = self.post_by_trust()
        used = FakeTrusts()
        self.worker_runner(used).run(job_id)
        self.assertEqual([TRUST_ID], used.released)
        self.assertEqual('done', self.row(job_id).state)

    def test_a_dead_trust_is_the_reason(self) -> None:
        checkpoint_id, job_id = self.post_by_trust()
        used = FakeTrusts(exception.TrustDied(reason='Ask again.'))
        self.worker_runner(used).run(job_id)

        shown = self.checkpoint(checkpoint_id)
        self.assertEqual(('error', 'Ask again.'), (shown.status, shown.status_reason))
        self.assertEqual([], contract_plugins.JOURNAL)
        self.assertEqual([TRUST_ID], used.released)

    def test_a_trust_that_died_meanwhile_is_the_reason_of_all_failures(self) -> None:
        checkpoint_id, job_id = self.post_by_trust()
        volume = test_contract.VOLUMES[0]
        contract_plugins.FAULTS['protect', volume.id, 'on_main'] = KeyError('401')
        self.worker_runner(FakeTrusts(None, exception.TrustDied(reason='Ask again.'))).run(job_id)

        shown = self.checkpoint(checkpoint_id)
        self.assertEqual(('error', 'Ask again.'), (shown.status, shown.status_reason))

    def test_a_job_waits_for_keystone(self) -> None:
        checkpoint_id, job_id = self.post_by_trust()
        used = FakeTrusts(exception.IdentityUnavailable(reason='down'))
        runner = self.worker_runner(used)
        runner.run(job_id)

        self.assertEqual('protecting', self.checkpoint(checkpoint_id).status)
        self.assertLess(timeutils.utcnow(), self.row(job_id).claimed_until)
        self.set_job(job_id, claimed_until=timeutils.utcnow() - datetime.timedelta(seconds=10))
        self.hand_back_expired()
        runner.run(job_id)
        self.assertEqual('available', self.checkpoint(checkpoint_id).status)


class WorkerTest(WorkerTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.config.config(job_poll_interval=0.1, group='protection')
        self.config.config(report_interval=1)

    def start(
        self,
        registry: provider.ProviderRegistry | None = None,
        board: boards.DatabaseBoard | None = None,
    ) -> worker.Worker:
        made = worker.Worker(
            self.worker_runner(registry=registry),
            FakeTrusts(),
            board or boards.DatabaseBoard(),
        )
        made.start()
        self.addCleanup(made.stop, 5)
        return made

    def service(self) -> models.Service:
        (found,) = processes.Processes().all_of({'binary': processes.PROTECTION})
        return found

    def is_over(self, job_id: str) -> bool:
        return self.row(job_id).state == 'done'

    def test_two_workers_do_each_job_once(self) -> None:
        job_ids = [self.post_protect()[1] for _ in range(6)]
        self.start()
        self.start()

        self.wait_until(lambda: all(map(self.is_over, job_ids)), 'the end of all jobs')

        self.assertEqual([1] * 6, [self.row(job_id).attempts for job_id in job_ids])
        self.assertEqual(cfg.CONF.host, self.service().host)
        known = processes.Processes()
        self.assertTrue(known.is_up(self.service(), known.now()))

    def test_a_disabled_worker_takes_nothing_new(self) -> None:
        with db.writer() as session:
            services.report(session, cfg.CONF.host, processes.PROTECTION)
        processes.Processes().set_enabled(self.context, self.service().id, False, {})
        _, job_id = self.post_protect()
        looked = threading.Event()
        found = self.start()
        with mock.patch.object(found._crew, 'free', side_effect=looked.set):
            self.assertFalse(looked.wait(0.5))
        self.assertEqual('pending', self.row(job_id).state)

        processes.Processes().set_enabled(self.context, self.service().id, True, {})
        self.wait_until(lambda: self.is_over(job_id), 'the end of the job')

    def test_one_that_is_too_old_for_the_schema_takes_nothing_new(self) -> None:
        _, job_id = self.post_protect()
        with mock.patch.object(schema_gate, 'refusal', return_value='The schema is too new.'):
            found = self.start()
            looked = threading.Event()
            with mock.patch.object(found._crew, 'free', side_effect=looked.set):
                self.assertFalse(looked.wait(0.5))
            self.assertEqual('pending', self.row(job_id).state)
        self.wait_until(lambda: self.is_over(job_id), 'the end of the job')

    def test_jobs_of_other_providers_do_not_stand_in_the_way(self) -> None:
        _, other = self.post_protect()
        self.set_job(other, provider_id='other')
        _, job_id = self.post_protect()
        self.start()
        self.wait_until(lambda: self.is_over(job_id), 'the end of the job')
        self.assertEqual('pending', self.row(other).state)

    def test_a_project_leaves_places_for_others(self) -> None:
        for _ in range(5):
            self.post_protect()
        _, other = self.post_protect()
        self.set_job(other, project_id='other')
        go = threading.Event()
        self.addCleanup(go.set)
        begun: list[str] = []

        def run(job_id: str) -> None:
            db.transaction(job_rows.claim)(job_id, None)
            begun.append(job_id)
            go.wait(10)

        self.config.config(max_concurrent_jobs_per_project=3, group='protection')
        runner = self.worker_runner()
        with mock.patch.object(runner, 'run', run):
            made = worker.Worker(runner, FakeTrusts(), boards.DatabaseBoard())
            made.start()
            self.addCleanup(made.stop, 5)
            self.wait_until(lambda: len(begun) >= 4, 'the begin of four jobs')
            self.assertFalse(go.wait(0.3))  # what must not happen needs a moment
            self.assertEqual(4, len(begun))
            self.assertIn(other, begun)
            go.set()
            self.wait_until(lambda: len(begun) >= 6, 'the begin of all jobs')

    def test_projects_with_very_many_jobs_leave_places_for_others(self) -> None:
        self.config.config(
            max_concurrent_jobs=8, max_concurrent_jobs_per_project=8, group='protection'
        )
        made = worker.Worker(self.worker_runner(), FakeTrusts(), boards.DatabaseBoard())
        begun: collections.Counter[str] = collections.Counter()
        for number in range(8):
            project_id = next(each for each in 'abcdefgh' if not made._is_full(each))
            made._taken[str(number)] = project_id
            begun[project_id] += 1
        self.assertEqual({'a': 4, 'b': 2, 'c': 1, 'd': 1}, dict(begun))

    def test_what_a_stop_cannot_wait_for_is_handed_back(self) -> None:
        _, job_id = self.post_protect()
        go, begun = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def wait(*_: Any) -> None:
            begun.set()
            go.wait(10)

        runner = self.worker_runner()
        board = boards.DatabaseBoard()
        handed_back = self.useFixture(fixtures.MockPatchObject(board, 'hand_back')).mock
        with mock.patch.object(runner, '_check_trust', wait):
            made = worker.Worker(runner, FakeTrusts(), board)
            made.start()
            self.assertTrue(begun.wait(10))
            self.assertEqual(1, made.stop(0.1))

        job = self.row(job_id)
        self.assertEqual(('pending', 1, 0), (job.state, job.attempts, job.tries))
        self.assertLess(job.claimed_until, timeutils.utcnow() + datetime.timedelta(seconds=5))
        handed_back.assert_called_once_with()
        go.set()  # in a real process it would be gone; what it still does has no effect
        self.start()
        self.wait_until(lambda: self.is_over(job_id), 'the end of the job')
        self.assertEqual(2, self.row(job_id).attempts)

    def test_what_was_claimed_while_it_stops_is_handed_back(self) -> None:
        self.post_protect()
        claiming, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)
        board = boards.DatabaseBoard()

        def claim(_: boards.Waiting) -> bool:
            claiming.set()
            return go.wait(10)

        self.useFixture(fixtures.MockPatchObject(board, 'claim', claim))
        order: list[str] = []
        self.useFixture(
            fixtures.MockPatchObject(board, 'hand_back', lambda: order.append('handed back'))
        )
        made = self.start(board=board)
        self.assertTrue(claiming.wait(10))
        threading.Timer(0.2, lambda: (order.append('claimed'), go.set())).start()
        made.stop(0)
        self.assertEqual(['claimed', 'handed back'], order)

    def test_projects_at_their_limit_do_not_hide_others(self) -> None:
        for number in range(boards._IN_LINE + 1):
            _, job_id = self.post_protect()
            self.set_job(job_id, project_id=f'full-{number:03}')
        self.set_job(job_id, project_id='last')
        full = [f'full-{number:03}' for number in range(boards._IN_LINE)]
        (found,) = boards.DatabaseBoard().waiting(self.runner.scope, full)
        self.assertEqual((job_id, 'last'), (found.job_id, found.project_id))

    def test_a_duty_that_may_not_be_done_is_left_out(self) -> None:
        done, asked = threading.Event(), threading.Semaphore(0)
        stopping = threading.Event()
        self.addCleanup(stopping.set)
        duty = periodic.Duty(0.01, done.set)
        duty.begin(stopping, lambda: asked.release() is not None)
        for _ in range(3):
            self.assertTrue(asked.acquire(timeout=10))
        self.assertFalse(done.is_set())

    def test_a_failing_duty_is_done_again(self) -> None:
        calls = threading.Semaphore(0)

        def fail() -> None:
            calls.release()
            raise LookupError

        stopping = threading.Event()
        self.addCleanup(stopping.set)
        duty = periodic.Duty(0.01, fail)
        threading.Thread(target=duty.fulfil, args=(stopping,), daemon=True).start()
        for _ in range(3):
            self.assertTrue(calls.acquire(timeout=10))
