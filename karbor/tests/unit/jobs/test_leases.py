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

"""What becomes of an attempt that loses its lease, and of one that only seems to."""

import math
import threading
from typing import Any
from unittest import mock

from keystoneauth1 import session as ks_session
from oslo_config import cfg

from karbor import context as karbor_context
from karbor import db
from karbor.common import leases
from karbor.db import models
from karbor.services import retrying
from karbor.services.cinder import items as cinder_items
from karbor.services.cinder.marks import Marks
from karbor.services.cinder.watcher import Watcher
from karbor.services.jobs import fencing
from karbor.services.protection import bank_plugin, client_factory, steps
from karbor.testing import memory_bank
from karbor.tests import base, runners
from karbor.tests.unit.jobs import test_runner

LEASE = 60


class Clock:
    """Of leases: seconds since the host began."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class LeaseTest(base.base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.lease = leases.Lease(LEASE, self.clock.now, self.clock)

    def test_it_counts_from_when_a_renewal_was_sent(self) -> None:
        self.clock.now += LEASE - 1
        self.lease.check()
        self.lease.renewed(self.clock.now - 10)
        self.clock.now += LEASE - 11
        self.lease.check()
        self.clock.now += 1
        self.assertRaises(leases.LeaseLost, self.lease.check)

    def test_it_never_comes_back(self) -> None:
        self.clock.now += LEASE
        self.assertTrue(self.lease.is_lost)
        self.lease.renewed(self.clock.now)
        self.assertRaises(leases.LeaseLost, self.lease.check)

    def test_one_without_an_end(self) -> None:
        lease = leases.Lease(math.inf, self.clock.now, self.clock)
        self.clock.now += 1e9
        lease.check()
        lease.lose()
        self.assertRaises(leases.LeaseLost, lease.check)


class FencingTest(base.base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.lease = leases.Lease()

    def test_a_bank_is_read_and_not_written(self) -> None:
        plugin = memory_bank.MemoryBankPlugin()
        bank = bank_plugin.Bank(fencing.FencedBankPlugin(bank_plugin.Bank(plugin), self.lease))
        bank.update_object('/a', 'x')
        self.lease.lose()
        self.assertRaises(leases.LeaseLost, bank.update_object, '/a', 'y')
        self.assertRaises(leases.LeaseLost, bank.delete_object, '/a')
        self.assertEqual(('x', ['/a']), (bank.get_object('/a'), bank.list_objects()))

    def test_a_write_that_is_tried_again(self) -> None:
        """A request that was reset is not sent again, however long the bank is tried."""
        attempts: list[int] = []

        def attempt(number: int) -> None:
            attempts.append(number)
            self.lease.lose()
            raise ConnectionError

        with leases.held(self.lease):
            self.assertRaises(
                leases.LeaseLost,
                retrying.retry,
                attempt,
                service='bank',
                errors=ConnectionError,
                is_passing=lambda _: True,
                retry_after=lambda _: 0,
                pauses=[0, 0, 0],
            )
        self.assertEqual([0], attempts)

    def test_requests_that_change_something(self) -> None:
        session = ks_session.Session()
        context = karbor_context.RequestContext('u', 'p', overwrite=False, lease=self.lease)
        fenced = client_factory.fenced(session, context)
        with mock.patch('keystoneauth1.session.Session.request') as request:
            self.lease.lose()
            fenced.request('http://cinder', 'GET')
            for method in ('POST', 'PUT', 'DELETE', 'PATCH'):
                self.assertRaises(leases.LeaseLost, fenced.request, 'http://cinder', method)
        self.assertEqual(1, request.call_count)

    def test_a_context_that_is_not_ours(self) -> None:
        session = mock.Mock()
        self.assertIs(session, client_factory.fenced(session, mock.Mock(spec=())))


class WaitingTest(base.base.BaseTestCase):
    """Whoever waits when the lease is lost is told."""

    def lost(self, *_: Any, **__: Any) -> Any:
        raise leases.LeaseLost

    def test_for_the_first_list(self) -> None:
        manager = mock.Mock()
        items = cinder_items.CinderItems(
            manager, Marks(checkpoint_id='c'), user_message=str, poll_interval=1, patience=0
        )
        with mock.patch.object(items, 'find', self.lost):
            self.assertRaises(leases.LeaseLost, steps.drive, items.at_start('a'))
        self.assertRaises(leases.LeaseLost, steps.drive, items.at_start('b'))

    def test_in_a_pause_between_two_looks(self) -> None:
        self._wait(sleep=self.lost, list_page=lambda *_: [])

    def test_in_a_look(self) -> None:
        self._wait(sleep=lambda _: None, list_page=self.lost)

    def _wait(self, sleep: Any, list_page: Any) -> None:
        watcher = Watcher(
            list_page,
            mock.Mock(),
            newest_first=True,
            is_gone=lambda _: False,
            is_passing=lambda _: True,
            longest_interval=0.01,
            sleep=sleep,
        )
        item = mock.Mock(id='a', created_at='2026-01-01T00:00:00')
        for _ in range(2):  # it begins to look anew
            wait = watcher.wait(item, bool, 20)
            self.assertIsInstance(wait.exception(20), leases.LeaseLost)


class RunnerTest(test_runner.JobsTestCase):
    def new(self, **options: Any) -> Any:
        return runners.runner(self.environment(lambda _: self.context), lease=LEASE, **options)

    def test_the_hooks_that_still_run_lose_it_with_the_row(self) -> None:
        _, job_id = self.post_protect()
        runner = self.new()
        seen: list[leases.Lease] = []

        def take_away(context: Any) -> None:
            seen.append(context.lease)
            with db.writer() as session:
                session.get_one(models.Job, job_id).attempts = 2

        with mock.patch.object(runner, '_attempt', self._noticing(runner._attempt, take_away)):
            runner.run(job_id)
        self.assertTrue(seen[0].is_lost)
        self.assertEqual('running', self.row(job_id).state)

    @staticmethod
    def _noticing(make: Any, notice: Any) -> Any:
        def attempt(*args: Any) -> Any:
            made = make(*args)
            notice(made.context)
            return made

        return attempt

    def test_a_process_that_is_alone_goes_on_after_a_sleep(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        runner = self.new(is_alone=True)
        clock = Clock()

        def sleep(*_: Any) -> None:
            clock.now += 10 * LEASE
            runner.renew_claims()

        with (
            mock.patch.object(leases, 'boot_time', clock),
            mock.patch.object(runner, '_check_trust', sleep),
        ):
            runner.run(job_id)
        self.assertEqual(('done', 1), (self.row(job_id).state, self.row(job_id).attempts))
        self.assertEqual('available', self.checkpoint(checkpoint_id).status)

    def test_two_attempts_in_one_process(self) -> None:
        """The first hangs still when the second, in the same process, is at work."""
        _, job_id = self.post_protect()
        runner = self.new()
        begun, go_on = threading.Event(), threading.Event()
        running: list[int] = []

        def hang(job: models.Job) -> None:
            if job.attempts == 1:
                begun.set()
                go_on.wait(20)
                return
            go_on.set()
            thread.join(20)
            running.append(len(runner._running))

        with mock.patch.object(runner, '_check_trust', hang):
            thread = threading.Thread(target=runner.run, args=(job_id,))
            thread.start()
            self.assertTrue(begun.wait(20))
            with db.writer() as session:
                session.get_one(models.Job, job_id).state = 'pending'
            runner.run(job_id)
        self.assertEqual([1], running)
        self.assertEqual(('done', 2), (self.row(job_id).state, self.row(job_id).attempts))
        self.assertEqual({}, runner._running)

    def test_a_fault_when_a_plugin_looks_again_spoils_nothing(self) -> None:
        checkpoint_id, job_id = self.post_protect()
        with db.writer() as session:
            session.get_one(models.Job, job_id).attempts = 1
        looked: list[str] = []

        def look_again(_plugin: Any, operation: str, **_: Any) -> None:
            looked.append(operation)
            raise LookupError

        with mock.patch(
            'karbor.services.protection.protection_plugin.ProtectionPlugin.look_again', look_again
        ):
            self.new().run(job_id)
        self.assertLessEqual({'protect'}, set(looked))
        self.assertEqual('available', self.checkpoint(checkpoint_id).status)

    def test_the_longest_lease(self) -> None:
        """What is not renewed holds for as long, and nobody cuts a longer one."""
        self.assertRaises(ValueError, self.config.config, group='protection', job_lease=901)
        self.assertEqual(LEASE, cfg.CONF.protection.job_lease)
