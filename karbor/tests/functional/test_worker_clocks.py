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

"""Workers and engines on hosts whose clocks differ by twenty minutes.

Each is a process of its own, in which oslo.utils tells another time than that of the tests'
process, which is that of the database.
"""

import datetime
import threading
import time
import types
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from oslo_utils import timeutils
from testtools import content

from karbor import db
from karbor.cmd import assembly
from karbor.db import models
from karbor.services.identity import trusts
from karbor.services.jobs import boards, worker
from karbor.tests import base as tests_base
from karbor.tests import processes, runners, schedule_rows
from karbor.tests.functional import base

_AHEAD = datetime.timedelta(minutes=10)
_BEHIND = -_AHEAD
# In seconds.
_LEASE = 2.0
# What a machine with much to do may make of a moment, in seconds.
_TOLERANCE = 2.0


class HostsTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.hosts: list[processes.Fork] = []
        self.log = self.temp_dir / 'hosts.log'
        self.log.touch()
        self.addOnException(
            lambda _: self.addDetail('hosts', content.text_content(self.log.read_text()))
        )

    def work(self) -> None:
        """Jobs are left to the hosts."""

    def start_host(self, act: Callable[[], object], difference: datetime.timedelta) -> None:
        """Begin a process that does something on a host with another clock."""

        def act_there() -> None:
            _set_clock(difference)
            act()

        db.dispose()  # a fork must not use its parent's connections
        self.hosts.append(processes.Fork(act_there, self.log))
        self.addCleanup(self.hosts[-1].kill)


def _set_clock(difference: datetime.timedelta) -> None:
    """Let oslo.utils tell another time, also those who have its function already."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime.now(tz) + difference

    timeutils.datetime = types.SimpleNamespace(**{**vars(datetime), 'datetime': Clock})
    before = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    assert abs(timeutils.utcnow() - before - difference) < datetime.timedelta(seconds=5)


@base.in_process_only('workers are forked from the process of the tests')
class WorkersTest(HostsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.config.config(job_lease=_LEASE, job_poll_interval=0.1, group='protection')

    def start_worker(self, difference: datetime.timedelta) -> None:
        def work() -> None:
            runner = runners.runner(self.environment, lease=_LEASE)
            worker.Worker(runner, trusts.NoTrusts(), boards.DatabaseBoard()).start()
            threading.Event().wait()

        self.start_host(work, difference)

    def protect(self) -> str:
        """Ask for a checkpoint of a volume; returns its id."""
        return self.create_checkpoint(self.create_plan(self.volume()))['id']

    def is_over(self) -> bool:
        return all(job.state == 'done' for job in self.rows(models.Job))

    def test_no_job_is_taken_twice(self) -> None:
        """Each takes longer than what a worker needs to look for leases that have ended."""
        self.cinder.settle_to['snapshot'] = None
        for _ in range(6):
            self.protect()
        self.start_worker(_AHEAD)
        self.start_worker(_BEHIND)
        time.sleep(_LEASE)
        self.cinder.settle_to['snapshot'] = 'available'
        self.wait_until(self.is_over, 'the end of all jobs')
        self.assertEqual([1] * 6, [job.attempts for job in self.rows(models.Job)])
        self.assertEqual(6, self.cinder.requests['POST', '/snapshots'])

    def test_when_a_checkpoint_of_a_schedule_was_made(self) -> None:
        """It is compared with when its run was due, which is by the clock of the database."""
        run = self.run_of_schedule()
        self.start_worker(_BEHIND)
        self.wait_until(self.is_over, 'the end of the job')
        (checkpoint,) = self.rows(models.Checkpoint)
        made_after = checkpoint.created_at - timeutils.parse_isotime(run['started_at']).replace(
            tzinfo=None
        )
        self.assertLess(abs(made_after.total_seconds()), 60)

    def run_of_schedule(self) -> dict[str, Any]:
        """Ask a scheduled operation for a run; returns its log."""
        plan = self.create_plan(self.volume())
        properties = {'format': 'crontab', 'pattern': '0 0 1 1 *'}
        trigger = self.post(
            '/triggers',
            {'trigger_info': {'name': 'yearly', 'type': 'time', 'properties': properties}},
        )['trigger_info']
        operation = self.post(
            '/scheduled_operations',
            {
                'scheduled_operation': {
                    'name': 'keep',
                    'operation_type': 'protect',
                    'trigger_id': trigger['id'],
                    'operation_definition': {
                        'provider_id': plan['provider_id'],
                        'plan_id': plan['id'],
                    },
                }
            },
        )['scheduled_operation']
        path = f'/scheduled_operations/{operation["id"]}/action'
        log: dict[str, Any] = self.post(path, {'run': None})['operation_log']
        return log

    def test_jobs_of_a_worker_that_dies_are_taken_over_soon(self) -> None:
        for killed, other in ((_AHEAD, _BEHIND), (_BEHIND, _AHEAD)):
            with self.subTest(killed=killed):
                self._take_over(killed, other)

    def _take_over(self, killed: datetime.timedelta, other: datetime.timedelta) -> None:
        self.cinder.settle_to['snapshot'] = None
        checkpoint_id = self.protect()
        asked = self.cinder.requests['POST', '/snapshots']
        self.start_worker(killed)
        self.wait_until(lambda: self.cinder.requests['POST', '/snapshots'] > asked, 'the begin')
        self.hosts.pop().kill()
        self.cinder.settle_to['snapshot'] = 'available'
        self.start_worker(other)
        self.wait_until(self.is_over, 'the end of the job', 2 * _LEASE + _TOLERANCE)
        self.hosts.pop().kill()
        shown = self.get(self.checkpoints_path(checkpoint_id))['checkpoint']
        self.assertEqual('available', shown['status'])


class EnginesTest(HostsTestCase):
    """Triggers that fire every minute, in three seconds next."""

    def setUp(self) -> None:
        super().setUp()
        self.config.config(poll_interval=0.5, group='operationengine')
        now = timeutils.utcnow().replace(microsecond=0)
        self.fires = [now + datetime.timedelta(seconds=3 + number) for number in range(2)]
        self.items = [
            schedule_rows.Schedule(
                schedule_rows.calendar(f'FREQ=MINUTELY;BYSECOND={fire.second}', now),
                tests_base.new_id(),
                fire,
                fire,
            )
            for fire in self.fires
        ]
        schedule_rows.insert(self.items)

    def start_engine(self, difference: datetime.timedelta) -> None:
        self.start_host(lambda: assembly.operation_engine().run(threading.Event()), difference)

    def seen(self) -> dict[tuple[str, datetime.datetime], datetime.datetime]:
        """When fires were seen first, by trigger and moment, until all must have been."""
        found: dict[tuple[str, datetime.datetime], datetime.datetime] = {}
        end = max(self.fires) + datetime.timedelta(seconds=_TOLERANCE)
        while (now := timeutils.utcnow()) < end:
            with db.reader() as session:
                fires = session.execute(
                    sa.select(models.TriggerFire.trigger_id, models.TriggerFire.fire_at)
                ).all()
            for fire in fires:
                found.setdefault(tuple(fire), now)
            time.sleep(0.05)
        return found

    def assert_on_time(self) -> None:
        """Each fire is there once, with one job, neither early nor late."""
        seen = self.seen()
        wanted = {
            (item.trigger_id, fire) for item, fire in zip(self.items, self.fires, strict=True)
        }
        self.assertEqual(wanted, set(seen))
        early_or_late = {
            fire: moment
            for (_, fire), moment in seen.items()
            if not fire <= moment <= fire + datetime.timedelta(seconds=_TOLERANCE)
        }
        self.assertEqual({}, early_or_late)
        self.assertEqual(len(wanted), len(self.rows(models.Job)))

    def test_two_engines(self) -> None:
        self.start_engine(_AHEAD)
        self.start_engine(_BEHIND)
        self.assert_on_time()

    def test_one_that_is_ahead(self) -> None:
        self.start_engine(_AHEAD)
        self.assert_on_time()

    def test_one_that_is_behind(self) -> None:
        self.start_engine(_BEHIND)
        self.assert_on_time()
