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

import datetime
import threading
from typing import Any

import sqlalchemy as sa
from oslo_config import fixture as config_fixture
from oslo_utils import timeutils

from karbor import db
from karbor.cmd import job_kinds
from karbor.db import models, purging
from karbor.services import old_logs
from karbor.tests import base
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id

_DAY = datetime.timedelta(days=1)


class PurgeTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = timeutils.utcnow()

    def add(self, model: Any, days: float, **fields: Any) -> str:
        """A row that was written so many days ago; returns its id."""
        row = model(**{'project_id': PROJECT_ID, 'created_at': self.now - days * _DAY, **fields})
        with db.writer() as session:
            session.add(row)
        return row.id

    def checkpoint(self, days: float, status: str) -> str:
        """With a protect job, of one resource."""
        checkpoint_id = self.add(
            models.Checkpoint,
            days,
            provider_id=PROVIDER_ID,
            plan_id=new_id(),
            status=status,
            protection_plan={},
            resource_graph='',
            resources_total=1,
            extra_info={},
        )
        self.job(days, 'protect', checkpoint_id, checkpoint_id)
        self.add(
            models.RecoveryPoint,
            days,
            checkpoint_id=checkpoint_id,
            resource_type='t',
            resource_id='r',
            resource_name='',
            provider_id=PROVIDER_ID,
            plan_id=new_id(),
            state='deleted' if status == 'deleted' else 'good',
        )
        return checkpoint_id

    def job(
        self, days: float, kind: str, subject_id: str, checkpoint_id: str, state: str = 'done'
    ) -> str:
        job_id = self.add(
            models.Job,
            days,
            kind=kind,
            subject_id=subject_id,
            state=state,
            checkpoint_id=checkpoint_id,
            provider_id=PROVIDER_ID,
        )
        with db.writer() as session:
            session.add(
                models.JobResource(job_id=job_id, resource_type='t', resource_id='r', is_done=True)
            )
        return job_id

    def use(self, days: float, status: str, checkpoint_id: str) -> str:
        use_id = self.add(
            models.Restore,
            days,
            provider_id=PROVIDER_ID,
            status=status,
            checkpoint_id=checkpoint_id,
            parameters={},
        )
        self.job(days, 'restore', use_id, checkpoint_id)
        with db.writer() as session:
            session.add(
                models.ResourceResult(
                    subject_id=use_id, resource_type='t', resource_id='r', status='x'
                )
            )
        return use_id

    def count(self) -> dict[str, int]:
        with db.reader() as session:
            return {
                name: session.scalar(sa.select(sa.func.count()).select_from(table))
                for name, table in models.Base.metadata.tables.items()
            }

    def ids(self, model: Any) -> set[str]:
        with db.reader() as session:
            return set(session.scalars(sa.select(model.id)))

    def purge(self) -> dict[str, int]:
        before = self.now - 30 * _DAY
        counted = purging.count(before)
        removed = purging.purge(before, job_kinds.JOB_KINDS.by_table())
        self.assertEqual(counted, removed)
        self.assertEqual(0, sum(purging.purge(before, job_kinds.JOB_KINDS.by_table()).values()))
        return {name: number for name, number in removed.items() if number}

    def test_deleted_checkpoints_go_with_their_jobs(self):
        self.checkpoint(40, 'deleted')
        kept = {
            self.checkpoint(20, 'deleted'),
            self.checkpoint(400, 'available'),
            self.checkpoint(400, 'error'),
            self.checkpoint(400, 'error-deleting'),
        }
        self.assertEqual({'checkpoints': 1}, self.purge())
        self.assertEqual(kept, self.ids(models.Checkpoint))
        self.assertEqual((4, 4), (self.count()['jobs'], self.count()['job_resources']))
        self.assertEqual(4, self.count()['recovery_points'])

    def test_uses_that_are_over(self):
        checkpoint_id = self.checkpoint(400, 'available')
        self.use(40, 'success', checkpoint_id)
        self.use(40, 'fail', checkpoint_id)
        kept = {self.use(40, 'in_progress', checkpoint_id), self.use(2, 'success', checkpoint_id)}
        self.assertEqual({'restores': 2}, self.purge())
        self.assertEqual(kept, self.ids(models.Restore))
        found = self.count()
        self.assertEqual(
            (3, 3, 2), (found['jobs'], found['job_resources'], found['resource_results'])
        )

    def test_jobs_of_nothing(self):
        operation_id = new_id()
        self.job(40, 'retention', operation_id, operation_id)
        self.job(40, 'protect', operation_id, operation_id, state='failed')
        kept = {
            self.job(40, 'protect', new_id(), new_id(), state=state)
            for state in ('pending', 'running', 'queued', 'parked')
        }
        kept.add(self.job(2, 'retention', operation_id, operation_id))
        self.assertEqual({'jobs': 2}, self.purge())
        self.assertEqual(kept, self.ids(models.Job))

    def test_logs_and_fires(self):
        for days in (40, 2):
            ended = self.now - days * _DAY
            self.add(models.OperationLog, days, operation_type='x', status='x', ended_at=ended)
            self.add(models.OperationLog, days, operation_type='x', status='x')
            trigger_id = self.add(models.Trigger, days, name='t', type='time', properties={})
            with db.writer() as session:
                session.add(
                    models.TriggerFire(trigger_id=trigger_id, fire_at=ended, fired_at=ended)
                )
        self.assertEqual({'operation_logs': 1, 'trigger_fires': 1}, self.purge())
        self.assertEqual(3, self.count()['operation_logs'])

    def test_logs_go_by_themselves(self):
        ended = self.now - 91 * _DAY
        self.add(models.OperationLog, 91, operation_type='x', status='x', ended_at=ended)
        parked = self.job(91, 'protect', new_id(), new_id(), state='parked')
        fields = {'operation_type': 'x', 'status': 'x'}
        kept = {
            self.add(models.OperationLog, 91, id=parked, ended_at=ended, **fields),
            self.add(models.OperationLog, 89, ended_at=self.now - 89 * _DAY, **fields),
            self.add(models.OperationLog, 91, ended_at=self.now - 89 * _DAY, **fields),
            self.add(models.OperationLog, 400, **fields),
        }
        (duty,) = old_logs.duties()
        stopping = threading.Event()
        stopping.wait = lambda _interval: True
        duty.fulfil(stopping)
        self.assertEqual(kept, self.ids(models.OperationLog))
        self.useFixture(config_fixture.Config()).config(operation_log_days=0)
        self.assertEqual((), old_logs.duties())

    def test_more_than_one_transaction_removes(self):
        with db.writer() as session:
            session.add_all(
                models.OperationLog(
                    project_id=PROJECT_ID,
                    operation_type='x',
                    status='x',
                    created_at=self.now - 40 * _DAY,
                    ended_at=self.now - 40 * _DAY,
                )
                for _ in range(1201)
            )
        self.assertEqual({'operation_logs': 1201}, self.purge())
