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

"""What a job waits for, as the reason of what it is about: when it is written, and when not."""

from typing import Any
from unittest import mock

from oslo_db import exception as db_exc

from karbor import db
from karbor.cmd import job_kinds
from karbor.common import leases
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.services.jobs import progress
from karbor.testing.clock import Clock
from karbor.tests.unit.jobs import test_runner


class ProgressTest(test_runner.JobsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.begin('protect')

    def begin(self, kind: str) -> None:
        """A job of that kind, which runs."""
        self.kind = kind
        self.subject_id, self.job_id = self.post_any(kind)
        self.progress = self.claim()

    def claim(self) -> progress.JobProgress:
        with db.writer() as session:
            job = job_rows.claim(session, self.job_id, 60)
        return progress.JobProgress(job_kinds.JOB_KINDS[self.kind], job, self.clock)

    def reason(self) -> Any:
        return self.subject(self.kind, self.subject_id).status_reason

    def test_nothing_before_it_takes_long(self) -> None:
        with mock.patch.object(db, 'transaction') as transaction:
            for seconds in (0, 1, 29.9):
                self.progress.tell('a', 'waits', seconds)
        transaction.assert_not_called()
        self.progress.tell('a', 'waits', 30)
        self.assertEqual('waits', self.reason())

    def test_once_a_minute(self) -> None:
        seen = []
        for seconds in range(30, 200, 10):
            self.clock.now = float(seconds)
            self.progress.tell('a', f'waits for {seconds}', seconds)
            seen.append(self.reason())
        self.assertEqual(
            ['waits for 30', 'waits for 90', 'waits for 150'], list(dict.fromkeys(seen))
        )

    def test_it_is_taken_back(self) -> None:
        self.progress.tell('a', 'waits', 60)
        self.progress.tell('a', 'waits for another', 3)
        self.assertIsNone(self.reason())
        with mock.patch.object(db, 'transaction') as transaction:
            self.progress.tell('a', '', 0)
        transaction.assert_not_called()

    def test_of_several_the_one_that_waits_longest(self) -> None:
        self.progress.tell('a', 'waits a', 60)
        self.clock.now = 60.0
        self.progress.tell('b', 'waits b', 200)
        self.assertEqual('waits b', self.reason())
        self.progress.tell('b', '', 0)
        self.assertEqual('waits b', self.reason(), 'a minute is not over')
        self.clock.now = 120.0
        self.progress.tell('a', 'waits a', 120)
        self.assertEqual('waits a', self.reason())

    def test_restores_and_deletions_tell_it_too(self) -> None:
        for kind in ('restore', 'verify', 'delete'):
            self.begin(kind)
            self.clock.now += 100
            self.progress.tell('a', f'{kind} waits', 60)
            self.assertEqual(f'{kind} waits', self.reason())

    def test_an_attempt_that_lost_its_lease_writes_nothing(self) -> None:
        self.progress.tell('a', 'waits', 60)
        self.start_again()
        second = self.claim()
        self.clock.now = 100.0
        self.assertRaises(leases.LeaseLost, self.progress.tell, 'a', 'waits longer', 160)
        self.assertEqual('waits', self.reason())
        second.tell('a', 'waits', 1)
        self.assertIsNone(self.reason(), 'what the first attempt has left stays')

    def test_a_job_that_has_ended(self) -> None:
        with db.writer() as session:
            job_rows.finish(session, session.get_one(models.Job, self.job_id), 'done')
        self.assertRaises(leases.LeaseLost, self.progress.tell, 'a', 'waits', 60)

    def test_a_database_that_is_away(self) -> None:
        with mock.patch.object(db, 'transaction', side_effect=db_exc.DBConnectionError):
            self.progress.tell('a', 'waits', 60)
        self.clock.now = 60.0
        self.progress.tell('a', 'waits', 120)
        self.assertEqual('waits', self.reason())

    def test_a_job_about_nothing_that_has_a_status(self) -> None:
        self.kind = 'reset'
        with db.writer() as session:
            session.get_one(models.Job, self.job_id).state = job_rows.JobState.PENDING
        self.claim().tell('a', 'waits', 60)
        self.assertIsNone(self.checkpoint(self.subject_id).status_reason)

    def test_the_end_writes_over_it(self) -> None:
        self.progress.tell('a', 'waits', 60)
        self.start_again()
        self.runner.run(self.job_id)
        checkpoint = self.checkpoint(self.subject_id)
        self.assertEqual(('available', None), (checkpoint.status, checkpoint.status_reason))
