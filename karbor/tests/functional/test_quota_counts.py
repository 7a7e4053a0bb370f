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

import collections
import random
from collections.abc import Callable
from typing import Any

from karbor import db
from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.tests.base import PROJECT_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import resource
from karbor.tests.functional.test_quotas import DEFAULTS, TRIGGER, QuotasTestCase

THREADS = 50
LIMIT = 20


class ManyAtOnceTest(QuotasTestCase):
    """The limit holds, exactly, however many ask at the same moment."""

    def make(self, path: str, bodies: Callable[[], Any], name: str) -> None:
        codes = base.at_once(*[lambda: self.ask('POST', path, bodies())] * THREADS)
        self.assertEqual({200: LIMIT, 413: THREADS - LIMIT}, dict(collections.Counter(codes)))
        self.assertEqual(LIMIT, self.in_use()[name])
        self.assertEqual(self.in_rows(), self.in_use())

    def unmake(self, paths: list[str], name: str) -> None:
        """Delete all but one, each of them three times at once."""
        codes = base.at_once(
            *[lambda path=path: self.ask('DELETE', path) for path in paths[1:] for _ in range(3)]
        )
        gone = len(paths) - 1
        self.assertEqual({200: gone, 404: 2 * gone}, dict(collections.Counter(codes)))
        self.assertEqual(1, self.in_use()[name])
        self.assertEqual(self.in_rows(), self.in_use())

    def test_plans(self):
        self.set_limits(plans=LIMIT)
        self.make('/plans', self.plan_body, 'plans')
        self.unmake([f'/plans/{row.id}' for row in self.rows(models.Plan)], 'plans')

    def test_checkpoints(self):
        plan = self.create_plan()
        self.set_limits(checkpoints=LIMIT)
        self.make(
            self.checkpoints_path(), lambda: {'checkpoint': {'plan_id': plan['id']}}, 'checkpoints'
        )
        self.assertEqual(LIMIT, len(self.rows(models.Job)))

    def test_scheduled_operations(self):
        plan = self.create_plan()
        trigger = self.post('/triggers', TRIGGER)['trigger_info']
        self.set_limits(schedules=LIMIT)
        self.make('/scheduled_operations', lambda: self.scheduled(plan, trigger), 'schedules')
        self.unmake(
            [f'/scheduled_operations/{row.id}' for row in self.rows(models.ScheduledOperation)],
            'schedules',
        )

    def test_triggers(self):
        self.set_limits(triggers=LIMIT)
        self.make('/triggers', lambda: TRIGGER, 'triggers')
        self.unmake([f'/triggers/{row.id}' for row in self.rows(models.Trigger)], 'triggers')

    def test_verifications(self):
        body = self.verification()
        self.set_limits(verifications=LIMIT)
        self.make('/verifications', lambda: body, 'verifications')

    def test_unfinished_jobs(self):
        plan = self.create_plan()
        self.set_limits(jobs=LIMIT)
        self.make(self.checkpoints_path(), lambda: {'checkpoint': {'plan_id': plan['id']}}, 'jobs')

    def test_make_and_unmake_at_once(self):
        plans = [self.create_plan() for _ in range(10)]
        self.set_limits(plans=10)
        codes = base.at_once(
            *[lambda plan=plan: self.ask('DELETE', f'/plans/{plan["id"]}') for plan in plans],
            *[lambda: self.ask('POST', '/plans', self.plan_body())] * 15,
        )
        self.assertEqual([200] * 10, codes[:10])
        self.assertEqual({200, 413}, {*codes[10:], 200, 413})
        self.assertEqual(self.in_rows(), self.in_use())
        self.assertLessEqual(self.in_use()['plans'], 10)


class CountedTest(base.CloudTestCase, QuotasTestCase):
    """What is counted is what there is, whatever was done, refused or failed."""

    def setUp(self):
        super().setUp()
        self.plan = self.create_plan(resource(PROJECT_ID, base.PROJECT))

    def checkpoint(self) -> dict[str, Any]:
        return self.ended_checkpoint(self.create_checkpoint(self.plan))

    def checkpoints_in_use(self) -> int:
        return self.in_use()['checkpoints']

    def remove(self, checkpoint: dict[str, Any], status: str = 'deleted') -> None:
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual(status, self.ended_checkpoint(checkpoint)['status'])

    def test_a_checkpoint_is_counted_until_it_is_deleted(self):
        self.board.end()
        self.build(self.registry)
        checkpoint = self.create_checkpoint(self.plan)
        self.assertEqual(1, self.checkpoints_in_use())
        self.work()
        self.ended_checkpoint(checkpoint)
        self.board.end()
        self.build(self.registry)
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual(1, self.checkpoints_in_use())
        self.work()
        self.ended_checkpoint(checkpoint)
        self.assertEqual(0, self.checkpoints_in_use())
        self.assertEqual(409, self.ask('DELETE', self.checkpoints_path(checkpoint['id'])))
        self.assertEqual(0, self.checkpoints_in_use())

    def test_one_that_failed_is_counted(self):
        kept = self.checkpoint()
        failed = self.ended_checkpoint(self.create_checkpoint(self.create_plan(resource())))
        self.assertEqual(('error', 2), (failed['status'], self.checkpoints_in_use()))
        self.put(self.checkpoints_path(failed['id']), {'os-resetState': {'state': 'available'}})
        self.put(self.checkpoints_path(failed['id']), {'os-resetState': {'state': 'error'}})
        self.assertEqual(2, self.checkpoints_in_use())
        self.remove(failed)
        self.assertEqual(1, self.checkpoints_in_use())
        self.remove(kept)
        self.assertEqual(0, self.checkpoints_in_use())

    def test_one_that_cannot_be_deleted_is_counted(self):
        checkpoint = self.protected()
        self.checkpoint()
        self.cinder.settle_to['deletion'] = 'error_deleting'
        self.remove(checkpoint, 'error-deleting')
        self.assertEqual(2, self.checkpoints_in_use())
        self.cinder.settle_to['deletion'] = 'gone'
        for snapshot in self.cinder.snapshots.values():
            snapshot['status'] = 'error'
        self.remove(checkpoint)
        self.assertEqual(1, self.checkpoints_in_use())

    def test_one_whose_delete_runs_again_is_given_back_once(self):
        checkpoint = self.checkpoint()
        self.checkpoint()
        self.remove(checkpoint)
        for attempts in (1, 2):
            job = self.add_row(
                models.Job,
                kind=constants.OperationType.DELETE,
                subject_id=checkpoint['id'],
                checkpoint_id=checkpoint['id'],
                state=job_rows.JobState.PENDING,
                attempts=attempts,
            )
            self.board.post(job.id)
            self.wait_until(
                lambda job=job: next(
                    row.state == job_rows.JobState.DONE
                    for row in self.rows(models.Job)
                    if row.id == job.id
                ),
                'the end of the job',
            )
        self.assertEqual(1, self.checkpoints_in_use())

    def test_never_below_zero(self):
        """What was made behind the counter's back can be deleted all the same."""
        uncounted = [self.add_row(models.Plan) for _ in range(2)]
        for row in (uncounted[0].id, self.plan['id'], uncounted[1].id):
            self.delete(f'/plans/{row}')
        self.assertEqual(0, self.in_use()['plans'])
        checkpoint = self.add_row(models.Checkpoint, plan_id=self.plan['id'])
        self.remove({'id': checkpoint.id})
        self.assertEqual(0, self.checkpoints_in_use())

    def test_a_plan_that_is_gone_is_not_counted_for_its_checkpoints(self):
        self.checkpoint()
        self.delete(f'/plans/{self.plan["id"]}')
        self.assertEqual({**dict.fromkeys(DEFAULTS, 0), 'checkpoints': 1}, self.in_use())

    def test_after_a_random_sequence(self):
        self.set_limits(plans=4, checkpoints=3, schedules=3)
        trigger = self.post('/triggers', TRIGGER)['trigger_info']
        chance = random.Random(20)
        codes: collections.Counter[int] = collections.Counter()
        for number in range(100):
            codes[self._step(chance, trigger)] += 1
            if number % 10 == 9:
                self.wait_until(self._are_jobs_over, 'the end of all jobs')
                self.assertEqual(self.in_rows(), self.in_use())
        self.assertEqual(set(), {200, 400, 404, 413} - set(codes), codes)

    def _step(self, chance: random.Random, trigger: dict[str, Any]) -> int:
        """Do anything, whether it makes sense or not; returns the status of the answer."""

        def any_of(model: Any) -> str:
            rows = sorted(self.rows(model), key=lambda row: row.created_at)
            return chance.choice([*(row.id for row in rows), new_id()])

        plan = {'id': any_of(models.Plan)}
        return chance.choice(
            (
                lambda: self.ask(
                    'POST', '/plans', self.plan_body(resource(PROJECT_ID, base.PROJECT))
                ),
                lambda: self.ask('POST', '/plans', self.plan_body(resources=[])),
                lambda: self.ask('DELETE', f'/plans/{plan["id"]}'),
                lambda: self.ask(
                    'POST', self.checkpoints_path(), {'checkpoint': {'plan_id': plan['id']}}
                ),
                lambda: self.ask('DELETE', self.checkpoints_path(any_of(models.Checkpoint))),
                lambda: self.ask('DELETE', self.checkpoints_path(any_of(models.Checkpoint))),
                lambda: self.ask('POST', '/scheduled_operations', self.scheduled(plan, trigger)),
                lambda: self.ask(
                    'DELETE', '/scheduled_operations/' + any_of(models.ScheduledOperation)
                ),
            )
        )()

    def _are_jobs_over(self) -> bool:
        with db.reader() as session:
            return (
                not session.query(models.Job)
                .filter(models.Job.state.in_(job_rows.UNFINISHED))
                .count()
            )
