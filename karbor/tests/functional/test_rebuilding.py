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

"""The database is lost, and written again from the bank."""

import contextlib
import io
import json
from typing import Any
from unittest import mock

from karbor import db
from karbor.cmd import assembly, manage
from karbor.db import models
from karbor.services.recovery import bank_rebuilding
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, empty_tables
from karbor.tests.functional import base


class RebuildTest(base.CloudTestCase):
    def provider(self) -> Any:
        return self.registry.get(PROVIDER_ID)

    def lose_database(self) -> None:
        empty_tables()

    def shown(self) -> list[dict[str, Any]]:
        """The checkpoints, without what only the database knew."""
        found = self.get(f'{self.checkpoints_path()}?sort=id:asc')['checkpoints']
        for checkpoint in found:
            del checkpoint['resources_done']
            checkpoint['created_at'] = checkpoint['created_at'][:19]
        return found

    def in_use(self) -> int:
        return self.get(f'/quotas/{PROJECT_ID}/detail')['quota']['checkpoints']['in_use']

    def test_the_same_checkpoints_and_one_is_restored(self):
        made = [self.protected(self.volume(), self.volume()) for _ in range(3)]
        self.delete(self.checkpoints_path(made[0]['id']))
        self.ended_checkpoint(made[0])
        before = self.shown()
        self.lose_database()
        self.assertEqual(([], 0), (self.shown(), self.in_use()))

        report = bank_rebuilding.from_bank(self.provider())

        self.assertEqual(
            ({row['id'] for row in made[1:]}, [], {}),
            (set(report.restored), report.known, report.faulty),
        )
        self.assertEqual((before, 2), (self.shown(), self.in_use()))
        restore = self.ended_use('restore', self.use('restore', made[1]))
        self.assertEqual(('success', 4 + 4), (restore['status'], len(self.cinder.volumes)))
        for checkpoint in made[1:]:
            self.delete(self.checkpoints_path(checkpoint['id']))
            self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual(({}, 0), (self.cinder.snapshots, self.in_use()))

    def test_what_is_known_stays_as_it_is(self):
        checkpoint = self.protected()
        with db.writer() as session:
            session.get(models.Checkpoint, checkpoint['id']).pinned = True
        report = bank_rebuilding.from_bank(self.provider())
        self.assertEqual(([], [checkpoint['id']]), (report.restored, report.known))
        self.assertTrue(self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']['pinned'])
        self.assertEqual(1, self.in_use())

    def test_a_dry_run_writes_nothing(self):
        checkpoint = self.protected()
        self.lose_database()
        report = bank_rebuilding.from_bank(self.provider(), is_dry_run=True)
        self.assertEqual([checkpoint['id']], report.restored)
        self.assertEqual(([], 0), (self.shown(), self.in_use()))

    def test_what_a_job_worked_on(self):
        for status, then in (
            ('protecting', 'error'),
            ('deleting', 'error-deleting'),
            ('error', 'error'),
            ('available', 'available'),
        ):
            checkpoint = self.protected()
            written = self.provider().checkpoints.get(checkpoint['id'])
            written.status = status
            written.commit()
            self.lose_database()
            bank_rebuilding.from_bank(self.provider())
            shown = self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']
            self.assertEqual(then, shown['status'])
            self.assertEqual(status != then, bool(shown['status_reason']))

    def test_what_cannot_be_read_is_told_and_hides_nothing(self):
        good, other, gone = (self.protected() for _ in range(3))
        bank = self.provider().bank
        index = f'/checkpoints/{other["id"]}/index.json'
        bank.update_object(index, {**bank.get_object(index), 'version': '7'})
        bank.delete_object(f'/checkpoints/{gone["id"]}/index.json')
        self.lose_database()
        report = bank_rebuilding.from_bank(self.provider())
        self.assertEqual([good['id']], report.restored)
        self.assertEqual({other['id'], gone['id']}, set(report.faulty))
        self.assertIn('version 7', report.faulty[other['id']])

    def test_what_the_database_would_not_take(self):
        good, poisoned = self.protected(), self.protected()
        bank = self.provider().bank
        index = f'/checkpoints/{poisoned["id"]}/index.json'
        saved = bank.get_object(index)
        saved['protection_plan']['id'] += 40 * '-'
        bank.update_object(index, saved)
        self.lose_database()
        report = bank_rebuilding.from_bank(self.provider())
        self.assertEqual([good['id']], report.restored)
        self.assertIn('no id of ours', report.faulty[poisoned['id']])

    def test_more_than_a_page(self):
        made = {self.protected(self.volume())['id'] for _ in range(5)}
        self.lose_database()
        with mock.patch.object(bank_rebuilding, '_PAGE', 2):
            self.assertEqual(made, set(bank_rebuilding.from_bank(self.provider()).restored))

    def test_by_command(self):
        checkpoint = self.protected()
        self.lose_database()
        with (
            mock.patch.object(assembly, 'configure'),
            mock.patch.object(assembly, 'providers', return_value=self.registry),
        ):
            for arguments, words, code in (
                (('--dry-run',), '1 would be written, 0 known, 0 faulty', 0),
                ((), '1 written, 0 known, 0 faulty', 0),
                (('--provider', PROVIDER_ID), '0 written, 1 known', 0),
                (('--provider', checkpoint['id']), 'could not be found', 1),
            ):
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                    found = manage.main(['checkpoint', 'rebuild', '--from', 'bank', *arguments])
                self.assertEqual(code, found, printed.getvalue())
                self.assertIn(words, printed.getvalue())
        self.assertIn(checkpoint['id'], json.dumps(self.shown()))
