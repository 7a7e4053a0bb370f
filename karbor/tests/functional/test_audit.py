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
"""The audit of storms, on a Karbor whose cloud is a fake: what it finds of what is put there."""

import types
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg

from karbor import db
from karbor.db import models
from karbor.services.protection import client_factory
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, test_point_filling
from karbor.tests.functional.base import resource
from karbor.tests.functional.test_point_filling import older_karbor
from karbor.tests.functional.test_recovery_points import point_rows
from karbor.tests.integration import audit


@base.in_process_only('the audit asks no API')
class UnequalTest(test_point_filling.FillingTestCase):
    """Recovery points, the bank and Cinder are compared."""

    def setUp(self) -> None:
        super().setUp()
        context = base.context_of(models.Job(user_id='u', project_id=PROJECT_ID))
        cinder = client_factory.ClientFactory.create_client('cinder', context)
        self.audit = audit.Audit(
            audit.Rows(cfg.CONF.database.connection, PROJECT_ID),
            types.SimpleNamespace(id=PROJECT_ID, cinder=cinder),
            caller=None,
            own_volumes=(),
            bank=self.temp_dir / 'bank-provider',
        )

    def unequal(self) -> list[str]:
        found = list(self.audit.unequal())
        self.assertEqual({audit.UNEQUAL} if found else set(), {each.kind for each in found})
        return [each.text for each in found]

    def write_points(self, **values: Any) -> None:
        with db.writer() as session:
            session.execute(sa.update(models.RecoveryPoint).values(**values))

    def test_of_every_kind_of_checkpoint(self):
        self.protected(self.volume(), self.volume(size=3))
        self.made_of(self.volume(), self.volume(status='error'))
        self.made_of(self.volume(), resource(name='gone'))
        self.ended_checkpoint(
            self.create_checkpoint(self.create_plan(resource(PROJECT_ID, base.PROJECT)))
        )
        self.deleted(self.protected(self.volume(), self.volume()))
        kept = self.protected(self.volume(), self.volume())
        (first, _) = point_rows(kept['id'])
        self.cinder.snapshots[first.cloud_id]['status'] = 'backing-up'
        self.deleted(kept)
        self.assertEqual([], self.unequal())
        self.assertIn('14 (deleted 3, failed 3, good 8)', self.audit.told_compared())

    def test_nothing(self):
        self.assertEqual([], self.unequal())
        self.assertTrue(self.audit.told_compared().endswith(': 0'))

    def test_a_snapshot_that_cinder_has_lost(self):
        self.protected()
        (snapshot_id,) = self.cinder.snapshots
        del self.cinder.snapshots[snapshot_id]
        (text,) = self.unequal()
        self.assertIn(f'Cinder has no snapshot {snapshot_id}', text)

    def test_a_record_that_the_bank_has_lost(self):
        checkpoint = self.protected()
        found = self.registry.get(PROVIDER_ID).checkpoints.get(checkpoint['id'])
        found.get_resource_bank_section(point_rows()[0].resource_id).delete_object('metadata')
        (text,) = self.unequal()
        self.assertIn('the bank tells', text)
        found.erase()
        self.assertIn('it is available, and None by the bank', self.unequal()[0])

    def test_points_that_are_wrong(self):
        self.protected()
        for values, part in (
            ({'cloud_id': None}, 'no snapshot None'),
            ({'state': 'making'}, 'no job works on it'),
            ({'state': 'failed', 'reason': 'r'}, 'no job has failed'),
            ({'checkpoint_id': new_id()}, 'there is no point'),
        ):
            self.write_points(**values)
            self.assertIn(part, self.unequal()[0])
        self.assertIn('of no checkpoint', self.unequal()[-1])

    def test_what_a_job_works_on_is_not_compared(self):
        self.board.end()
        self.create_checkpoint(self.create_plan(self.volume()))
        self.assertEqual([], self.unequal())
        self.assertTrue(self.audit.told_compared().endswith(': 0'))
        (job,) = self.rows(models.Job)
        self.runner.run(job.id)
        self.assertEqual([], self.unequal())
        self.assertTrue(self.audit.told_compared().endswith(': 1 (good 1)'))

    def test_what_the_release_before_leaves_is_made_equal(self):
        kept = self.protected(self.volume())
        with older_karbor():
            self.protected(self.volume(), self.volume())
            self.made_of(self.volume(), self.volume(status='error'))
            self.deleted(kept)
        self.board.end()
        self.create_checkpoint(self.create_plan(self.volume()))
        (job,) = [row for row in self.rows(models.Job) if row.state != 'done']
        with older_karbor():
            self.runner.run(job.id)
        self.assertEqual(
            {': there is no point': 4, 'and the checkpoint is deleted': 1, 'no job works on it': 1},
            {
                part: sum(part in text for text in self.unequal())
                for part in (
                    ': there is no point',
                    'and the checkpoint is deleted',
                    'no job works on it',
                )
            },
        )
        self.complete()
        self.assertEqual([], self.unequal())
        self.assertTrue(self.audit.told_compared().endswith(': 6 (deleted 1, failed 1, good 4)'))
