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

"""Safety checkpoints expire also when all of Karbor was lost and written again meanwhile."""

import datetime
from typing import Any

from karbor import db
from karbor.common import constants
from karbor.db import models
from karbor.services.checkpoints import safety_expiry
from karbor.services.recovery import bank_rebuilding, cinder_rebuilding
from karbor.tests import inventories
from karbor.tests.base import PROVIDER_ID, empty_tables
from karbor.tests.functional.test_restores_in_place import InPlaceTestCase


class RebuiltSafetyTest(InPlaceTestCase):
    def provider(self) -> Any:
        return self.registry.get(PROVIDER_ID)

    def made(self, **choices: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A restore in place that has ended, and its safety checkpoint."""
        _, (checkpoint,) = self.held('first')
        restore = self.restored(checkpoint, **choices)
        return restore, self.safety(restore)

    def lose_bank(self) -> None:
        bank = self.provider().bank
        for key in bank.list_objects():
            bank.delete_object(key)

    def rebuild_from_cinder(self) -> None:
        self.cinder.is_admin = True
        inventory = inventories.inventory(self.cinder.url)
        report = cinder_rebuilding.from_cinder(self.provider(), inventory)
        self.assertEqual({}, report.faulty)

    def rebuild_from_bank(self) -> None:
        self.assertEqual({}, bank_rebuilding.from_bank(self.provider()).faulty)

    def expire(self) -> int:
        with db.writer() as session:
            for row in session.query(models.Checkpoint).where(
                models.Checkpoint.expires_at.is_not(None)
            ):
                row.expires_at = datetime.datetime(2020, 1, 1)
        return safety_expiry.Expiry(self.environment).remove_expired()

    def test_from_the_bank(self) -> None:
        restore, before = self.made(safety_keep=30)
        empty_tables()
        self.rebuild_from_bank()
        after = self.safety(restore)
        self.assertEqual((True, before['expires_at']), (after['pinned'], after['expires_at']))

    def test_from_cinder(self) -> None:
        for is_row_lost in (False, True):
            restore, before = self.made(safety_keep=30)
            self.lose_bank()
            if is_row_lost:
                empty_tables()
            self.rebuild_from_cinder()
            empty_tables()
            self.rebuild_from_bank()
            after = self.safety(restore)
            self.assertEqual((True, before['expires_at']), (after['pinned'], after['expires_at']))
            with db.reader() as session:
                row = session.get_one(models.Checkpoint, after['id'])
            self.assertEqual(
                constants.CHECKPOINT_CREATED_BY_RESTORE,
                row.extra_info[constants.CHECKPOINT_CREATED_BY],
            )

    def test_not_at_once(self) -> None:
        """Who had pinned it for good can do so again."""
        restore, before = self.made(safety_keep=1)
        empty_tables()
        self.rebuild_from_bank()
        after = datetime.datetime.fromisoformat(self.safety(restore)['expires_at'])
        gained = after - datetime.datetime.fromisoformat(before['expires_at'])
        self.assertTrue(datetime.timedelta(days=5) < gained < datetime.timedelta(days=7), gained)

    def test_it_is_deleted_by_a_job_of_its_project(self) -> None:
        restore, _ = self.made()
        empty_tables()
        self.rebuild_from_bank()
        self.assertEqual(0, self.expire())  # nobody is known to act for
        self.assertEqual('available', self.safety(restore)['status'])
        self.protected()
        self.assertEqual(1, self.expire())
        path = self.checkpoints_path(restore['safety_checkpoint_id'])
        self.assertEqual('deleted', self.ended(path, 'checkpoint')['status'])

    def test_what_a_karbor_before_has_recorded(self) -> None:
        restore, _ = self.made()
        safety_id = restore['safety_checkpoint_id']
        written = self.provider().checkpoints.get(safety_id)
        del written._index['expires_at']
        written.commit()
        empty_tables()
        self.rebuild_from_bank()
        after = self.safety(restore)
        self.assertEqual((False, None), (after['pinned'], after['expires_at']))
        self.lose_bank()
        empty_tables()
        for told in (None, 'x'):
            for item in self.cinder.snapshots.values():
                item['metadata'].pop('karbor_expires_at', None)
                item['metadata'].update({} if told is None else {'karbor_expires_at': told})
            self.rebuild_from_cinder()
            after = self.safety(restore)
            self.assertEqual((False, None), (after['pinned'], after['expires_at']))
