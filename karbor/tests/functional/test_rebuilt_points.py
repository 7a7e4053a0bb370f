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

"""Recovery points of checkpoints that are written again, from a bank or from Cinder."""

import datetime
from typing import Any

import sqlalchemy as sa

from karbor import db
from karbor.db import models
from karbor.services.recovery import bank_points, bank_rebuilding, cinder_rebuilding
from karbor.tests import inventories
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, empty_tables
from karbor.tests.functional import base, test_point_filling, test_schedules
from karbor.tests.functional.base import resource
from karbor.tests.functional.test_recovery_points import point_rows


class RebuiltTestCase(test_point_filling.FillingTestCase):
    def setUp(self):
        super().setUp()
        self.cinder.is_admin = True
        self.inventory = inventories.inventory(self.cinder.url)

    def provider(self) -> Any:
        return self.registry.get(PROVIDER_ID)

    def lose_database(self) -> None:
        empty_tables()

    def lose_bank(self) -> None:
        bank = self.provider().bank
        for key in bank.list_objects():
            bank.delete_object(key)

    def from_bank(self, is_dry_run: bool = False) -> bank_rebuilding.Report:
        return bank_rebuilding.from_bank(self.provider(), is_dry_run)

    def from_cinder(self, is_dry_run: bool = False) -> bank_rebuilding.Report:
        return cinder_rebuilding.from_cinder(self.provider(), self.inventory, is_dry_run)

    def set_state(self, name: str, state: str) -> None:
        with db.writer() as session:
            session.execute(
                sa.update(models.RecoveryPoint)
                .where(models.RecoveryPoint.resource_name == name)
                .values(state=state)
            )


class FromBankTest(RebuiltTestCase):
    def told(self) -> dict[tuple[str, str], tuple[Any, ...]]:
        """As before, but that banks know the moment of a checkpoint in seconds."""
        return {
            key: (*told[:5], told[5].replace(microsecond=0), *told[6:])
            for key, told in super().told().items()
        }

    def test_what_was_good_and_what_was_not(self):
        self.protected(self.volume(name='a'), self.volume(name='b', size=3))
        mixed = self.made_of(self.volume(name='c'), self.volume(name='bad', status='error'))
        before = self.told()
        self.lose_database()
        self.assertEqual(2, len(self.from_bank(is_dry_run=True).restored))
        self.assertEqual([], point_rows())
        self.from_bank()
        self.assertEqual(before, self.told())
        self.assertEqual({'c': None, 'bad': bank_points.NOT_PROTECTED}, self.reasons(mixed))
        with db.writer() as session:
            session.execute(sa.update(models.RecoveryPoint).values(state='missing'))
        self.from_bank()
        self.assertEqual({'missing'}, {row.state for row in point_rows()}, 'known ones stay')

    def test_a_project(self):
        self.volume(name='a')
        plan = self.create_plan(resource(PROJECT_ID, base.PROJECT))
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.lose_database()
        self.from_bank()
        self.assertEqual({'a': 'good'}, self.states(checkpoint))

    def test_what_a_job_worked_on(self):
        for of_checkpoint, of_resource, state in (
            ('protecting', 'protecting', 'failed'),
            ('protecting', 'available', 'good'),
            ('protecting', None, 'unknown'),
            ('deleting', 'available', 'failed'),
            ('deleting', 'deleting', 'failed'),
            ('deleting', 'deleted', 'deleted'),
            ('error-deleting', 'error', 'failed'),
        ):
            checkpoint = self.protected(self.volume(name='a'))
            written = self.provider().checkpoints.get(checkpoint['id'])
            written.status = of_checkpoint
            written.commit()
            section = self.section(point_rows(checkpoint['id'])[0])
            section.delete_object('status')
            if of_resource is not None:
                section.update_object('status', of_resource)
            self.lose_database()
            self.from_bank()
            self.assertEqual({'a': state}, self.states(checkpoint), of_checkpoint)
            self.assertEqual(state in ('good', 'deleted'), self.reasons(checkpoint)['a'] is None)


class FromCinderTest(RebuiltTestCase):
    def test_the_bank_is_lost(self):
        checkpoint = self.protected(*(self.volume(name=name) for name in ('a', 'b', 'c', 'd', 'e')))
        moment = datetime.datetime(2020, 1, 1)
        with db.writer() as session:
            session.execute(sa.update(models.RecoveryPoint).values(seen_good_at=moment))
        rows = {row.resource_name: row for row in point_rows()}
        for name in ('b', 'c'):
            del self.cinder.snapshots[rows[name].cloud_id]
        for name, state in (('c', 'making'), ('d', 'failed'), ('e', 'unknown')):
            self.set_state(name, state)
        self.lose_bank()
        self.from_cinder(is_dry_run=True)
        self.assertEqual('good', self.states(checkpoint)['b'])

        self.from_cinder()

        self.assertEqual(
            {'a': 'good', 'b': 'missing', 'c': 'failed', 'd': 'failed', 'e': 'good'},
            self.states(checkpoint),
        )
        reasons = self.reasons(checkpoint)
        self.assertIsNone(reasons['a'])
        for name in ('b', 'c'):
            self.assertIn('Cinder has no good snapshot of it', reasons[name])
        seen = {row.resource_name: row.seen_good_at for row in point_rows()}
        self.assertGreater(seen['a'], moment)
        self.assertEqual([moment] * 2, [seen[name] for name in ('b', 'd')])
        self.assertEqual(
            {name: row.cloud_id for name, row in rows.items()},
            {row.resource_name: row.cloud_id for row in point_rows()},
        )

    def test_the_bank_is_lost_and_the_rows_are_of_an_older_karbor(self):
        self.protected(self.volume(name='a', size=3))
        before = self.told()
        self.forget_points()
        self.lose_bank()
        self.from_cinder()
        self.assertEqual(before, self.told())

    def test_a_deletion_that_was_broken_off(self):
        checkpoint = self.protected(self.volume(name='a'), self.volume(name='b'))
        rows = {row.resource_name: row for row in point_rows()}
        del self.cinder.snapshots[rows['b'].cloud_id]
        with db.writer() as session:
            session.get(models.Checkpoint, checkpoint['id']).status = 'deleting'
            session.execute(sa.update(models.RecoveryPoint).values(state='deleting'))
        self.lose_bank()
        self.from_cinder()
        self.assertEqual({'a': 'failed', 'b': 'deleted'}, self.states(checkpoint))

    def test_all_is_lost(self):
        checkpoint = self.protected(self.volume(name='a', size=3))
        (before,) = point_rows()
        self.lose_database()
        self.lose_bank()
        self.from_cinder()
        (row,) = point_rows(checkpoint['id'])
        self.assertEqual(
            ('good', before.cloud_id, 3, before.taken_at, before.resource_id, before.plan_id),
            (row.state, row.cloud_id, row.size, row.taken_at, row.resource_id, row.plan_id),
        )
        self.assertIsNotNone(row.seen_good_at)

    def test_the_row_is_lost_and_the_bank_is_not(self):
        checkpoint = self.protected(self.volume(name='a'))
        self.lose_database()
        self.from_cinder()
        self.assertEqual({'a': 'good'}, self.states(checkpoint))

    def test_an_older_bank_does_not_have_the_moment_but_cinder_does(self):
        checkpoint = self.protected(self.volume(name='a', size=3))
        (before,) = point_rows()
        with db.writer() as session:
            session.execute(
                sa.update(models.RecoveryPoint).values(taken_at=None, size=None, cloud_id=None)
            )
        self.from_cinder(is_dry_run=True)
        self.assertIsNone(point_rows()[0].taken_at)
        self.from_cinder()
        (row,) = point_rows(checkpoint['id'])
        self.assertEqual(
            (before.taken_at, 3, before.cloud_id, 'good'),
            (row.taken_at, row.size, row.cloud_id, row.state),
        )


class OperationTest(test_schedules.SchedulesTestCase):
    def test_which_operation_made_what_cinder_has(self):
        self.cinder.is_admin = True
        operation = self.create_operation('protect')
        self.run_of_fire()
        self.assertEqual([operation['id']], [row.scheduled_operation_id for row in point_rows()])
        empty_tables()
        found = self.registry.get(PROVIDER_ID)
        for key in found.bank.list_objects():
            found.bank.delete_object(key)
        inventory = inventories.inventory(self.cinder.url)
        cinder_rebuilding.from_cinder(found, inventory)
        self.assertEqual([operation['id']], [row.scheduled_operation_id for row in point_rows()])
        empty_tables()  # and the bank knows it now, too
        bank_rebuilding.from_bank(found)
        self.assertEqual([operation['id']], [row.scheduled_operation_id for row in point_rows()])
