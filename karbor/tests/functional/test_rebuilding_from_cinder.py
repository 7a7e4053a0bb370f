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

"""The bank is lost, and written again from the snapshots in Cinder."""

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from oslo_db import exception as db_exc

from karbor import db
from karbor.cmd import assembly, manage
from karbor.db import models
from karbor.services.protection import bank_plugin
from karbor.services.recovery import bank_rebuilding, cinder_rebuilding
from karbor.tests import inventories
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, empty_tables, new_id
from karbor.tests.functional import base

PLACE = 'os-extended-snapshot-attributes:project_id'


def _broken(name: str, calls: Iterator[int]) -> Callable[..., Any]:
    """A method of banks that breaks off when there are no calls more."""
    method = getattr(bank_plugin.Bank, name)

    def broken(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return method(*arguments)

    return broken


class RebuildTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cinder.is_admin = True
        self.inventory = inventories.inventory(self.cinder.url)

    def provider(self) -> Any:
        return self.registry.get(PROVIDER_ID)

    def lose_bank(self) -> dict[str, Any]:
        """Delete all that the bank has, and return it."""
        had = self.bank()
        for key in had:
            self.provider().bank.delete_object(key)
        return had

    def bank(self) -> dict[str, Any]:
        """What the bank has; but for what volumes are like, which snapshots do not tell."""
        bank = self.provider().bank
        found = {key: bank.get_object(key) for key in bank.list_objects()}
        for value in found.values():
            if isinstance(value, dict):
                value.pop('volume', None)
        return found

    def lose_database(self) -> None:
        empty_tables()

    def rebuild(self, is_dry_run: bool = False) -> bank_rebuilding.Report:
        return cinder_rebuilding.from_cinder(self.provider(), self.inventory, is_dry_run)

    def shown(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        return self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']

    def snapshots(self, checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            item
            for item in self.cinder.snapshots.values()
            if item['metadata'].get('karbor_checkpoint_id') == checkpoint['id']
        ]

    def set_status(self, checkpoint: dict[str, Any], status: str) -> None:
        with db.writer() as session:
            session.get(models.Checkpoint, checkpoint['id']).status = status

    def assert_works(self, checkpoint: dict[str, Any], count: int) -> None:
        """It can be verified, restored and deleted."""
        before = len(self.cinder.volumes)
        for kind in ('verification', 'restore'):
            use = self.ended_use(kind, self.use(kind, checkpoint))
            self.assertEqual('success', use['status'], use)
        self.assertEqual(before + count, len(self.cinder.volumes))
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual([], self.snapshots(checkpoint))


class WithRowsTest(RebuildTestCase):
    """The database still has the checkpoints."""

    def test_one_that_was_made_nobody_knows_where(self) -> None:
        """Where nothing of it is seen, it is not written as lost: it may be in another region."""
        checkpoint = self.protected()
        self.lose_bank()
        self.config.config(region_id='B', group='cinder_client')
        with mock.patch.object(self.cinder, 'snapshots', {}):
            report = self.rebuild()
        self.assertIn('nothing of it is in region B', report.faulty[checkpoint['id']])
        self.assertEqual({}, self.bank())
        self.assertEqual('available', self.shown(checkpoint)['status'])
        self.assertEqual([checkpoint['id']], self.rebuild().restored)
        self.assert_works(checkpoint, 1)

    def test_the_bank_is_as_it_was(self) -> None:
        made = [self.protected(self.volume(), self.volume()) for _ in range(3)]
        shown = [self.shown(checkpoint) for checkpoint in made]
        had = self.lose_bank()
        report = self.rebuild()
        self.assertEqual(
            ({row['id'] for row in made}, [], {}),
            (set(report.restored), report.known, report.faulty),
        )
        self.assertEqual(had, self.bank())
        self.assertEqual(shown, [self.shown(checkpoint) for checkpoint in made])
        self.assert_works(made[0], 2)

    def test_a_project(self) -> None:
        for _ in range(2):
            self.cinder.add_volume()
        checkpoint = self.protected(base.resource(PROJECT_ID, base.PROJECT))
        had = self.lose_bank()
        self.assertEqual({}, self.rebuild().faulty)
        self.assertEqual(had, self.bank())
        self.assert_works(checkpoint, 2)

    def test_what_a_bank_has_is_not_written_over(self) -> None:
        checkpoint = self.protected()
        key = f'/checkpoints/{checkpoint["id"]}/index.json'
        bank = self.provider().bank
        bank.update_object(key, {**bank.get_object(key), 'more': 1})
        had = self.bank()
        report = self.rebuild()
        self.assertEqual(
            ([], [checkpoint['id']], {}), (report.restored, report.known, report.faulty)
        )
        self.assertEqual(had, self.bank())

    def test_a_run_that_was_broken_off(self) -> None:
        self.protected(self.volume(), self.volume())
        had = self.lose_bank()
        for count in range(len(had)):
            self.lose_bank()
            calls = iter(range(count))

            with (
                mock.patch.object(
                    bank_plugin.Bank, 'update_object', _broken('update_object', calls)
                ),
                mock.patch.object(bank_plugin.Bank, 'begin_update', _broken('begin_update', calls)),
            ):
                self.assertRaises(KeyboardInterrupt, self.rebuild)
            self.rebuild()
            self.assertEqual(had, self.bank())

    def test_a_dry_run(self) -> None:
        checkpoint = self.protected()
        self.lose_bank()
        self.assertEqual([checkpoint['id']], self.rebuild(is_dry_run=True).restored)
        self.assertEqual({}, self.bank())

    def test_a_snapshot_that_is_missing(self) -> None:
        for status in (None, 'error', 'creating'):
            checkpoint = self.protected(self.volume(), self.volume())
            lost = self.snapshots(checkpoint)[0]
            if status is None:
                del self.cinder.snapshots[lost['id']]
            else:
                lost['status'] = status
            self.lose_bank()
            self.rebuild()
            shown = self.shown(checkpoint)
            self.assertEqual('error', shown['status'])
            self.assertIn(
                f'no good snapshot of OS::Cinder::Volume#{lost["volume_id"]}.',
                shown['status_reason'],
            )
            self.assertEqual('error', self.provider().checkpoints.get(checkpoint['id']).status)

    def test_what_is_left_can_be_restored_after_a_reset(self) -> None:
        checkpoint = self.protected(self.volume(), self.volume())
        del self.cinder.snapshots[self.snapshots(checkpoint)[0]['id']]
        self.lose_bank()
        self.rebuild()
        use = self.ended_use('restore', self.use('restore', checkpoint))
        self.assertIn('ask for a partial restore', use['status_reason'])
        self.put(self.checkpoints_path(checkpoint['id']), {'os-resetState': {'state': 'available'}})
        before = len(self.cinder.volumes)
        use = self.ended_use('restore', self.use('restore', checkpoint))
        self.assertEqual(('fail', before + 1), (use['status'], len(self.cinder.volumes)))
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def test_no_snapshot_at_all(self) -> None:
        checkpoint = self.protected()
        self.cinder.snapshots.clear()
        self.lose_bank()
        self.assertEqual([checkpoint['id']], self.rebuild().restored)
        self.assertEqual('error', self.shown(checkpoint)['status'])

    def test_statuses(self) -> None:
        for status, then in (
            ('error', 'error'),
            ('protecting', 'error'),
            ('deleting', 'error-deleting'),
            ('error-deleting', 'error-deleting'),
        ):
            checkpoint = self.protected()
            self.set_status(checkpoint, status)
            self.lose_bank()
            self.rebuild()
            self.assertEqual(then, self.shown(checkpoint)['status'])
            self.assertEqual(then, self.provider().checkpoints.get(checkpoint['id']).status)
            self.delete(self.checkpoints_path(checkpoint['id']))
            self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def test_what_is_deleted_stays_so(self) -> None:
        checkpoint = self.protected()
        self.set_status(checkpoint, 'deleted')
        self.lose_bank()
        self.assertIn('is deleted', self.rebuild().faulty[checkpoint['id']])
        self.assertEqual({}, self.bank())

    def test_a_job_that_is_not_finished(self) -> None:
        checkpoint = self.protected()
        self.add_row(
            models.Job,
            kind='delete',
            subject_id=checkpoint['id'],
            state='queued',
            checkpoint_id=checkpoint['id'],
        )
        self.lose_bank()
        self.assertIn('not finished', self.rebuild().faulty[checkpoint['id']])
        self.assertEqual({}, self.bank())

    def test_snapshots_of_other_projects_are_not_taken(self) -> None:
        checkpoint = self.protected()
        (good,) = self.snapshots(checkpoint)
        self.cinder.add_snapshot(
            good['volume_id'],
            metadata=good['metadata'],
            created_at='2020-01-01T00:00:00',
            **{PLACE: OTHER_PROJECT_ID},
        )
        had = self.lose_bank()
        self.rebuild()
        self.assertEqual(had, self.bank())


class WithoutRowsTest(RebuildTestCase):
    """Bank and database are lost."""

    def test_all_comes_back(self) -> None:
        made = [self.protected(self.volume(), self.volume()) for _ in range(3)]
        self.lose_bank()
        self.lose_database()
        report = self.rebuild()
        self.assertEqual(
            ({row['id'] for row in made}, [], {}),
            (set(report.restored), report.known, report.faulty),
        )
        for checkpoint in made:
            shown = self.shown(checkpoint)
            self.assertEqual(
                ('available', PROJECT_ID, checkpoint['protection_plan']['id']),
                (shown['status'], shown['project_id'], shown['protection_plan']['id']),
            )
            self.assertIn('rebuilt', shown['protection_plan']['name'])
            self.assertEqual(
                {item['id'] for item in checkpoint['protection_plan']['resources']},
                {item['id'] for item in shown['protection_plan']['resources']},
            )
        self.assert_works(made[0], 2)

        bank, rows = self.bank(), self.rows_of_checkpoints()
        self.lose_database()
        self.assertEqual(2, len(bank_rebuilding.from_bank(self.provider()).restored))
        self.assertEqual((bank, rows), (self.bank(), self.rows_of_checkpoints()))
        self.assertEqual(2, len(self.rebuild().known))
        for checkpoint in made[1:]:
            self.assert_works(checkpoint, 2)
        self.assertEqual(
            ({}, 0),
            (
                self.cinder.snapshots,
                self.get(f'/quotas/{PROJECT_ID}/detail')['quota']['checkpoints']['in_use'],
            ),
        )

    def rows_of_checkpoints(self) -> dict[str, Any]:
        """Without moments below a second, which no bank has."""
        return {
            row.id: (
                row.status,
                row.plan_id,
                row.resource_graph,
                row.protection_plan,
                row.resources_total,
                row.extra_info,
                row.project_id,
                row.created_at.replace(microsecond=0),
            )
            for row in self.rows(models.Checkpoint)
            if row.status != 'deleted'
        }

    def test_only_the_row_is_lost(self) -> None:
        checkpoint = self.protected()
        had = self.bank()
        self.lose_database()
        self.assertEqual([checkpoint['id']], self.rebuild().restored)
        self.assertEqual(had, self.bank())
        self.assertEqual('available', self.shown(checkpoint)['status'])

    def test_each_project_gets_its_own(self) -> None:
        checkpoint = self.protected()
        self.snapshots(checkpoint)[0][PLACE] = OTHER_PROJECT_ID
        self.lose_bank()
        self.lose_database()
        self.rebuild()
        (row,) = self.rows(models.Checkpoint)
        self.assertEqual(OTHER_PROJECT_ID, row.project_id)

    def test_snapshots_in_error(self) -> None:
        checkpoint = self.protected(self.volume(), self.volume())
        self.snapshots(checkpoint)[0]['status'] = 'error'
        self.lose_bank()
        self.lose_database()
        self.rebuild()
        shown = self.shown(checkpoint)
        self.assertEqual('error', shown['status'])
        self.assertIn('no good snapshot', shown['status_reason'])
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def test_metadata_that_was_tampered_with(self) -> None:
        volume_id = self.cinder.add_volume()['id']
        wrong = {
            'no checkpoint': inventories.marks(provider=PROVIDER_ID, checkpoint='../../x'),
            'no plan, or no volume': inventories.marks(
                provider=PROVIDER_ID, checkpoint=new_id(), plan='x/y'
            ),
        }
        self.cinder.add_snapshot(
            volume_id,
            metadata=inventories.marks(
                provider=PROVIDER_ID, checkpoint=new_id(), plan=new_id(), resource='../x'
            ),
        )
        for metadata in wrong.values():
            self.cinder.add_snapshot(volume_id, metadata=metadata)
        both = new_id()
        for project_id in (PROJECT_ID, OTHER_PROJECT_ID):
            self.cinder.add_snapshot(
                volume_id,
                metadata=inventories.marks(
                    provider=PROVIDER_ID, checkpoint=both, plan=new_id(), resource=volume_id
                ),
                **{PLACE: project_id},
            )
        good = self.protected()
        self.lose_bank()
        self.lose_database()
        report = self.rebuild()
        self.assertEqual([good['id']], report.restored)
        self.assertEqual(4, len(report.faulty))
        for words in (*wrong, 'several projects'):
            self.assertIn(words, '\n'.join(report.faulty.values()))
        self.assertEqual({good['id']}, {row.id for row in self.rows(models.Checkpoint)})

    def test_ids_that_are_written_in_another_way(self) -> None:
        """One of them would be too long for its column, and end it for the whole cloud."""
        volume_id = self.cinder.add_volume()['id']
        for marks in (
            {'plan': new_id() + 40 * '-'},
            {'plan': '{' + new_id() + '}'},
            {'checkpoint': new_id().upper()},
            {'checkpoint': new_id() + 40 * '-'},
            {'resource': new_id() + 190 * '-'},
        ):
            ours = {'checkpoint': new_id(), 'plan': new_id(), 'resource': volume_id, **marks}
            self.cinder.add_snapshot(
                volume_id, metadata=inventories.marks(provider=PROVIDER_ID, **ours)
            )
        good = self.protected()
        self.lose_bank()
        self.lose_database()
        report = self.rebuild()
        self.assertEqual(([good['id']], 5), (report.restored, len(report.faulty)))
        self.lose_database()
        report = bank_rebuilding.from_bank(self.provider())
        self.assertEqual(([good['id']], {}), (report.restored, report.faulty))

    def test_one_bad_snapshot_beside_good_ones(self) -> None:
        checkpoint = self.protected()
        (good,) = self.snapshots(checkpoint)
        bad = self.cinder.add_snapshot(
            good['volume_id'],
            metadata={**good['metadata'], 'karbor_plan_id': new_id() + 40 * '-'},
        )
        self.lose_bank()
        self.lose_database()
        report = self.rebuild()
        self.assertEqual([checkpoint['id']], report.restored)
        self.assertIn(f'not of ours: {bad["id"]}', report.remarks[checkpoint['id']])

    def test_what_the_database_does_not_take(self) -> None:
        """It is told, the others are written, and no index of the bank leads to it."""
        wrong, good = self.protected(), self.protected()
        self.lose_bank()
        self.lose_database()
        write = bank_rebuilding.write_row

        def refuse(session: Any, values: Any, points: Any) -> bool:
            if values['id'] == wrong['id']:
                raise db_exc.DBDataError('Data too long\n[SQL: INSERT]')
            return write(session, values, points)

        with mock.patch.object(bank_rebuilding, 'write_row', refuse):
            report = self.rebuild()
            self.assertEqual([good['id']], report.restored)
            self.assertIn('does not take it: Data too long', report.faulty[wrong['id']])
            self.assertNotIn('INSERT', report.faulty[wrong['id']])
            indexed = set(bank_rebuilding.ids_in_bank(self.provider().bank, PROVIDER_ID))
            self.assertEqual({good['id']}, indexed)
        self.assertEqual([wrong['id']], self.rebuild().restored)
        self.assertEqual(2, len(self.rebuild().known))

    def test_a_database_that_is_away(self) -> None:
        self.protected()
        self.lose_bank()
        self.lose_database()
        away = mock.patch.object(
            bank_rebuilding, 'write_row', side_effect=db_exc.DBConnectionError('gone')
        )
        with away:
            self.assertRaises(db_exc.DBConnectionError, self.rebuild)


class CommandTest(RebuildTestCase):
    def run_manage(self, *arguments: str, code: int = 0) -> str:
        printed = io.StringIO()
        with (
            mock.patch.object(assembly, 'configure'),
            mock.patch.object(assembly, 'providers', return_value=self.registry),
            mock.patch.object(assembly.Surroundings, 'inventory', return_value=self.inventory),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            found = manage.main(['checkpoint', 'rebuild', '--from', 'cinder', *arguments])
        self.assertEqual(code, found, printed.getvalue())
        return printed.getvalue()

    def test_report(self) -> None:
        self.protected()
        gone = self.protected()
        self.lose_bank()
        self.set_status(gone, 'deleted')
        self.assertIn('1 would be written, 0 known, 1 faulty', self.run_manage('--dry-run', code=1))
        self.assertIn('1 written, 0 known, 1 faulty', self.run_manage(code=1))
        said = self.run_manage('--provider', PROVIDER_ID, code=1)
        self.assertIn('0 written, 1 known, 1 faulty', said)
        self.assertIn(f'{gone["id"]}: it is deleted', said)

    def test_what_is_made_of_snapshots_only_is_told(self) -> None:
        known, purged = self.protected(), self.protected()
        with db.writer() as session:  # as after `db purge`, with a snapshot that was left
            session.delete(session.get(models.Checkpoint, purged['id']))
        self.lose_bank()
        for arguments in (['--dry-run'], []):
            said = self.run_manage(*arguments)
            self.assertIn(f'checkpoint {purged["id"]}: made of its snapshots only', said)
            self.assertNotIn(known['id'], said)
        self.assertNotIn('snapshots only', self.run_manage())

    def test_a_user_who_is_no_administrator(self) -> None:
        self.cinder.is_admin = False
        self.assertIn('needs the role admin', self.run_manage(code=1))
