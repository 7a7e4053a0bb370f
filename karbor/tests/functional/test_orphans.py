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

"""Snapshots and volumes in Cinder that nobody knows: found, told of, and removed if wanted."""

import contextlib
import datetime
import functools
import logging
from typing import Any
from unittest import mock

from karbor import db, exception
from karbor.db import jobs, models
from karbor.services.cinder import requests as cinder_requests
from karbor.services.protection import bank_plugin
from karbor.services.recovery import orphans
from karbor.testing.fake_cinder import Fault
from karbor.tests import inventories, runners
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base

PLACE = 'os-extended-snapshot-attributes:project_id'


class OrphansTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cinder.is_admin = True
        self.inventory = inventories.inventory(self.cinder.url)
        # Three snapshots, so that up to three more are no more than half.
        self.good = self.protected(self.volume(), self.volume(), self.volume())

    def provider(self) -> Any:
        return self.registry.get(PROVIDER_ID)

    def snapshot(
        self, checkpoint_id: str | None = None, resource_id: str | None = None, **fields: Any
    ) -> str:
        """A snapshot that carries our metadata, behind Karbor's back; returns its id.

        :param checkpoint_id: of a checkpoint; without it, of one of the volume that is deleted.
        """
        volume = self.cinder.add_volume() if resource_id is None else {'id': resource_id}
        if checkpoint_id is None:
            checkpoint_id = self.deleted(volume['id'], fields.get(PLACE, PROJECT_ID))
        return self.cinder.add_snapshot(
            volume['id'],
            **{
                'metadata': inventories.marks(
                    checkpoint=checkpoint_id,
                    provider=PROVIDER_ID,
                    plan=new_id(),
                    resource=volume['id'],
                ),
                **fields,
            },
        )['id']

    def deleted(self, volume_id: str, project_id: str = PROJECT_ID) -> str:
        """A checkpoint of a volume that was deleted just after it was made; returns its id."""
        ours = {'provider_id': PROVIDER_ID, 'plan_id': new_id(), 'project_id': project_id}
        checkpoint_id = self.add_row(
            models.Checkpoint,
            status='deleted',
            protection_plan={},
            resource_graph='[{}, []]',
            resources_total=1,
            extra_info={},
            **ours,
        ).id
        self.add_row(
            models.RecoveryPoint,
            checkpoint_id=checkpoint_id,
            resource_type=base.VOLUME,
            resource_id=volume_id,
            resource_name='',
            state='deleted',
            **ours,
        )
        self.add_row(
            models.Job,
            kind='protect',
            subject_id=checkpoint_id,
            checkpoint_id=checkpoint_id,
            state='done',
            **ours,
        )
        return checkpoint_id

    def look(self, grace: float = 0, is_removing: bool = True) -> orphans.Report:
        return orphans.look(self.provider(), self.inventory, grace, is_removing=is_removing)

    def write_record(self, resource_id: str, restore_id: str, record: dict[str, str]) -> None:
        """What the bank has of a restore of a volume."""
        self.provider().checkpoints.get(self.good['id']).get_resource_bank_section(
            resource_id
        ).update_object(f'restore-{restore_id}', record)

    def assert_left(self, report: orphans.Report, item_id: str, words: str) -> None:
        """It is there, and said to be no orphan for sure."""
        self.assertEqual(([], []), (report.orphans, report.removed))
        reasons = {verdict.item.id: verdict.reason for verdict in report.unsure}
        self.assertIn(words, reasons.get(item_id, ''))
        self.assertIn(item_id, (*self.cinder.snapshots, *self.cinder.volumes))

    def assert_nothing_found(self, report: orphans.Report) -> None:
        self.assertEqual(
            ([], [], [], [], {}, None),
            (
                report.orphans,
                report.young,
                report.unsure,
                report.removed,
                report.left,
                report.refusal,
            ),
        )

    def set_status(self, checkpoint_id: str, status: str) -> None:
        with db.writer() as session:
            session.get(models.Checkpoint, checkpoint_id).status = status

    def forget(self, checkpoint_id: str) -> None:
        with db.writer() as session:
            session.delete(session.get(models.Checkpoint, checkpoint_id))


class SnapshotTest(OrphansTestCase):
    def test_good_ones_are_left(self) -> None:
        report = self.look()
        self.assert_nothing_found(report)
        self.assertEqual((3, 0), (report.snapshots, report.volumes))

    def test_one_that_nobody_knows(self) -> None:
        good, orphan = set(self.cinder.snapshots), self.snapshot()
        report = self.look(grace=100)
        self.assertEqual(
            ([orphan], []), ([verdict.item.id for verdict in report.young], report.orphans)
        )
        report = self.look(is_removing=False)
        self.assertEqual(
            ([orphan], []), ([verdict.item.id for verdict in report.orphans], report.removed)
        )
        self.assertIn(orphan, self.cinder.snapshots)
        self.assertEqual([orphan], self.look().removed)
        self.assertEqual(good, set(self.cinder.snapshots))
        self.assert_nothing_found(self.look())

    def test_what_is_left_of_a_deleted_checkpoint(self) -> None:
        deleted = self.protected(self.volume())
        self.delete(self.checkpoints_path(deleted['id']))
        self.ended_checkpoint(deleted)
        orphan = self.snapshot(deleted['id'], deleted['protection_plan']['resources'][0]['id'])
        report = self.look()
        self.assertEqual([orphan], report.removed)
        self.assertIn('is deleted', report.orphans[0].reason)

    def test_a_job_that_is_not_finished_may_know_it(self) -> None:
        self.board.end()  # or else it is finished soon
        for state in (*jobs.UNFINISHED, jobs.JobState.PARKED):
            checkpoint_id = new_id()
            self.add_row(
                models.Job,
                kind='protect',
                subject_id=checkpoint_id,
                state=state,
                checkpoint_id=checkpoint_id,
            )
            self.snapshot(checkpoint_id)
            self.assert_nothing_found(self.look())

    def test_the_bank_knows_it(self) -> None:
        other = self.protected(self.volume())
        self.forget(other['id'])
        (snapshot_id,) = [
            item['id']
            for item in self.cinder.snapshots.values()
            if item['metadata']['karbor_checkpoint_id'] == other['id']
        ]
        self.assert_left(self.look(), snapshot_id, 'rebuild --from bank')
        # The index alone is enough.
        self.provider().bank.delete_object(f'/checkpoints/{other["id"]}/index.json')
        self.assert_left(self.look(), snapshot_id, 'rebuild --from bank')

    def test_the_bank_is_away(self) -> None:
        orphan = self.snapshot(new_id())
        for method in ('get_object', 'list_objects'):
            with mock.patch.object(
                bank_plugin.Bank,
                method,
                side_effect=exception.BankGetObjectFailed(key='k', reason='x'),
            ):
                self.assert_left(self.look(), orphan, 'the bank cannot be read')
        self.assert_left(self.look(), orphan, 'know no such checkpoint')

    def test_a_second_one_of_a_volume(self) -> None:
        resource_id = self.good['protection_plan']['resources'][0]['id']
        double = self.snapshot(self.good['id'], resource_id)
        good = set(self.cinder.snapshots) - {double}
        report = self.look()
        self.assertEqual([double], report.removed)
        self.assertIn('second one', report.orphans[0].reason)
        self.assertEqual(good, set(self.cinder.snapshots))

    def test_a_second_one_where_the_first_is_not_good(self) -> None:
        resource_id = self.good['protection_plan']['resources'][0]['id']
        double = self.snapshot(self.good['id'], resource_id)
        for item in self.cinder.snapshots.values():
            if item['volume_id'] == resource_id and item['id'] != double:
                item['status'] = 'error'
        self.assert_left(self.look(), double, 'names none of them that is available')

    def test_metadata_that_was_copied_from_the_first(self) -> None:
        resource_id = self.good['protection_plan']['resources'][0]['id']
        other = self.cinder.add_volume()['id']
        copies = [self.snapshot(self.good['id'], other), self.snapshot(self.good['id'])]
        for copy in copies:
            self.cinder.snapshots[copy]['metadata']['karbor_resource_id'] = resource_id
        copies.append(self.snapshot(self.good['id'], resource_id, **{PLACE: OTHER_PROJECT_ID}))
        for copy, words in zip(
            copies,
            (f'of the volume {other}', 'of the volume', f'its checkpoint of {PROJECT_ID}'),
            strict=True,
        ):
            self.assert_left(self.look(), copy, words)
        double = self.snapshot(self.good['id'], resource_id)
        self.assertEqual([double], self.look().removed)

    def test_metadata_that_was_copied_from_what_is_deleted(self) -> None:
        deleted = self.protected(self.volume())
        self.delete(self.checkpoints_path(deleted['id']))
        self.ended_checkpoint(deleted)
        copy = self.snapshot(deleted['id'])
        self.cinder.snapshots[copy]['metadata']['karbor_resource_id'] = new_id()
        self.assert_left(self.look(), copy, 'of the volume')

    def test_metadata_that_was_tampered_with(self) -> None:
        for checkpoint_id in ('', '../x', 'x' * 300, None):
            item = self.snapshot(
                metadata=inventories.marks(checkpoint=checkpoint_id, provider=PROVIDER_ID)
            )
            self.assert_left(self.look(), item, 'names no checkpoint')

    def test_other_providers_and_users(self) -> None:
        self.snapshot(metadata={})
        self.snapshot(metadata=inventories.marks(checkpoint=new_id(), provider=new_id()))
        self.cinder.knows_metadata_filter = False
        self.assert_nothing_found(self.look())


class GuardTest(OrphansTestCase):
    def test_a_database_that_knows_no_checkpoint(self) -> None:
        self.forget(self.good['id'])
        report = self.look()
        self.assertIn('the database may be lost', report.refusal)
        self.assertEqual(([], 3), (report.removed, len(self.cinder.snapshots)))

    def test_more_than_half(self) -> None:
        made = [self.snapshot() for _ in range(4)]
        report = self.look()
        self.assertIn('4 of 7', report.refusals[PROJECT_ID])
        self.assertIn(f'nothing of project {PROJECT_ID} is removed', report.summary())
        self.assertEqual((4, []), (len(report.orphans), report.removed))
        self.assertLess(set(made), set(self.cinder.snapshots))

    def test_what_was_made_when_no_job_was_at_work(self) -> None:
        """A user's own snapshot, that has got the metadata of one of ours."""
        for created_at in ('2020-01-01T00:00:00.000000', '2999-01-01T00:00:00.000000'):
            copy = self.snapshot(created_at=created_at)
            self.assert_left(self.look(), copy, 'no job of its checkpoint was at work')

    def test_a_volume_that_was_given_away(self) -> None:
        """Its snapshots go with it, and are the other project's then."""
        given = self.snapshot()
        self.cinder.snapshots[given][PLACE] = OTHER_PROJECT_ID
        self.assert_left(self.look(), given, f'is of the project {OTHER_PROJECT_ID}')

    def test_forged_ones_do_not_switch_it_off(self) -> None:
        forged = [
            self.snapshot(checkpoint_id, **{PLACE: project_id})
            for checkpoint_id in (new_id(), self.good['id'])
            for project_id in (PROJECT_ID, OTHER_PROJECT_ID)
            for _ in range(3)
        ]
        orphan = self.snapshot()
        report = self.look()
        self.assertEqual(([orphan], None, {}), (report.removed, report.refusal, report.refusals))
        self.assertLess(set(forged), set(self.cinder.snapshots))

    def test_a_new_database_beside_a_lost_bank(self) -> None:
        """The worst case: all is lost, and a new checkpoint was made since."""
        lost = set(self.cinder.snapshots)
        with db.writer() as session:
            for model in (models.Plan, models.OperationLog, models.Checkpoint, models.Job):
                session.query(model).delete()
        bank = self.provider().bank
        for key in bank.list_objects():
            bank.delete_object(key)
        for _ in range(4):
            self.protected(self.volume())
        report = self.look()
        self.assertEqual(([], None, 3), (report.removed, report.refusal, len(report.unsure)))
        self.assertLess(lost, set(self.cinder.snapshots))

    def test_what_becomes_known_meanwhile(self) -> None:
        orphan = self.snapshot()
        checkpoint_id = self.cinder.snapshots[orphan]['metadata']['karbor_checkpoint_id']
        self.cinder.faults.append(
            Fault(
                'GET',
                f'/snapshots/{orphan}',
                times=1,
                hook=lambda: self.add_row(
                    models.Job,
                    kind='protect',
                    subject_id=checkpoint_id,
                    state=jobs.JobState.PENDING,
                    checkpoint_id=checkpoint_id,
                ),
            )
        )
        report = self.look()
        self.assertEqual({orphan: 'it is no orphan any more'}, report.left)
        self.assertIn(orphan, self.cinder.snapshots)

    def test_the_first_one_changes_before_the_second_is_removed(self) -> None:
        resource_id = self.good['protection_plan']['resources'][0]['id']
        (first,) = [
            item for item in self.cinder.snapshots.values() if item['volume_id'] == resource_id
        ]
        double = self.snapshot(self.good['id'], resource_id)
        for change in (
            lambda: first.update(status='error'),
            lambda: first.update(metadata={}),
            lambda: self.cinder.snapshots.pop(first['id']),
        ):
            metadata = first['metadata']
            self.cinder.faults.append(Fault('GET', f'/snapshots/{double}', times=1, hook=change))
            report = self.look()
            self.assertEqual([double], [verdict.item.id for verdict in report.orphans])
            self.assertEqual({double: 'it is no orphan any more'}, report.left)
            self.assertIn(double, self.cinder.snapshots)
            first.update(status='available', metadata=metadata)

    def test_metadata_that_is_changed_meanwhile(self) -> None:
        orphan = self.snapshot()
        self.cinder.faults.append(
            Fault(
                'GET',
                f'/snapshots/{orphan}',
                times=1,
                hook=lambda: self.cinder.snapshots[orphan].update(metadata={}),
            )
        )
        self.assertIn('metadata was changed', self.look().left[orphan])


class RemovalTest(OrphansTestCase):
    def test_what_another_worker_has_removed(self) -> None:
        orphan = self.snapshot()
        self.cinder.faults.append(
            Fault(
                'GET',
                f'/snapshots/{orphan}',
                times=1,
                hook=lambda: self.cinder.snapshots.pop(orphan),
            )
        )
        self.assertEqual([orphan], self.look().removed)

    def test_deleted_between_look_and_delete(self) -> None:
        orphan = self.snapshot()
        self.cinder.faults.append(
            Fault(
                'DELETE',
                f'/snapshots/{orphan}',
                times=1,
                hook=lambda: self.cinder.snapshots.pop(orphan),
            )
        )
        self.assertEqual([orphan], self.look().removed)

    def test_what_another_worker_is_removing(self) -> None:
        restore_id = self.add_row(models.Restore, status='fail', checkpoint_id=self.good['id']).id
        resource_id = self.good['protection_plan']['resources'][0]['id']
        self.write_record(resource_id, restore_id, {'asked_at': '2026-01-01T00:00:00'})
        volume_id = self.cinder.add_volume(
            status='error',
            metadata=inventories.marks(
                checkpoint=self.good['id'],
                provider=PROVIDER_ID,
                resource=resource_id,
                restore=restore_id,
            ),
        )['id']
        orphan = self.snapshot()
        for path in (f'/snapshots/{orphan}', f'/volumes/{volume_id}'):
            _, collection, item_id = path.split('/')
            self.cinder.faults.append(
                Fault(
                    'GET',
                    path,
                    times=1,
                    hook=functools.partial(
                        self.cinder.handle,
                        'DELETE',
                        f'/v3/{PROJECT_ID}/{collection}/{item_id}',
                        None,
                    ),
                )
            )
        report = self.look()
        self.assertEqual(({orphan, volume_id}, {}), (set(report.removed), report.left))

    def test_one_that_stays_does_not_keep_the_others(self) -> None:
        stuck, orphan = self.snapshot(status='creating'), self.snapshot()
        report = self.look()
        self.assertEqual([orphan], report.removed)
        self.assertIn('status creating', report.left[stuck])
        self.assertIn('status creating', '\n'.join(report.details()))

    def test_a_busy_one(self) -> None:
        orphan = self.snapshot()
        self.cinder.busy_snapshots[orphan] = 99
        with mock.patch.object(orphans, '_LONGEST_OF_ONE', 2.5):
            self.assertIn('is in status available after it was deleted', self.look().left[orphan])

    def test_no_time(self) -> None:
        orphan = self.snapshot()
        with mock.patch.object(orphans, '_LONGEST', 0):
            self.assertIn('no time', self.look().left[orphan])

    def test_cinder_goes_away(self) -> None:
        orphan = self.snapshot()
        self.cinder.faults.append(Fault('GET', f'/snapshots/{orphan}', status=401))
        self.assertIn('401', self.look().left[orphan])


class VolumeTest(OrphansTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.resource_id = self.good['protection_plan']['resources'][0]['id']

    def restored(self, status: str, restore_id: str, **fields: Any) -> str:
        return self.cinder.add_volume(
            status=status,
            metadata=inventories.marks(
                checkpoint=self.good['id'],
                provider=PROVIDER_ID,
                resource=self.resource_id,
                restore=restore_id,
            ),
            **fields,
        )['id']

    def restore(self, status: str) -> str:
        return self.add_row(models.Restore, status=status, checkpoint_id=self.good['id']).id

    def failed_restore(self) -> str:
        restore_id = self.restore('fail')
        self.write_record(self.resource_id, restore_id, {'asked_at': '2026-01-01T00:00:00'})
        return restore_id

    def test_of_a_restore_that_failed(self) -> None:
        volume_id = self.restored('error', self.failed_restore())
        self.assertEqual([volume_id], self.look().removed)
        self.assertNotIn(volume_id, self.cinder.volumes)

    def test_of_a_restore_that_failed_by_another_record_or_none(self) -> None:
        volume_id = self.restored('error', restore_id := self.restore('fail'))
        self.assert_left(self.look(), volume_id, 'may have been good once')
        self.write_record(self.resource_id, restore_id, {'volume_id': volume_id})
        self.assert_left(self.look(), volume_id, 'may have been good once')
        self.write_record(self.resource_id, restore_id, {'volume_id': new_id()})
        self.assertEqual([volume_id], self.look().removed)

    def test_the_bank_cannot_tell_what_a_restore_made(self) -> None:
        volume_id = self.restored('error', self.failed_restore())
        with mock.patch.object(
            bank_plugin.Bank,
            'get_object',
            side_effect=exception.BankGetObjectFailed(key='k', reason='x'),
        ):
            self.assert_left(self.look(), volume_id, 'the bank cannot be read')

    def test_good_by_the_job_of_a_restore_that_failed(self) -> None:
        restore_id = self.failed_restore()
        good, bad = (self.restored('error', restore_id) for _ in range(2))
        job = self.add_row(
            models.Job,
            kind='restore',
            subject_id=restore_id,
            state='failed',
            checkpoint_id=self.good['id'],
        )
        with db.writer() as session:
            runners.record_resource(
                session, job.id, base.VOLUME, self.resource_id, is_done=True, new_resource_id=good
            )
        self.assertEqual([bad], self.look().removed)

    def test_what_users_have(self) -> None:
        for status in ('available', 'in-use', 'retyping', 'error_extending', 'maintenance'):
            self.restored(status, new_id())
            self.restored(status, self.restore('fail'))
        for status in ('success', 'in_progress'):
            self.restored('error', self.restore(status))
        self.cinder.add_volume(
            status='error', metadata=inventories.marks(checkpoint=new_id(), provider=PROVIDER_ID)
        )
        self.assert_nothing_found(self.look())

    def test_good_in_a_restore_of_which_another_volume_failed(self) -> None:
        restore_id = self.failed_restore()
        good, bad = (self.restored('error', restore_id) for _ in range(2))
        self.add_row(
            models.ResourceResult,
            subject_id=restore_id,
            resource_type=base.VOLUME,
            resource_id=good,
            status='available',
        )
        self.assertEqual([bad], self.look().removed)

    def test_a_restore_that_goes_on(self) -> None:
        restore_id = new_id()
        self.restored('creating', restore_id)
        self.add_row(
            models.Job,
            kind='restore',
            subject_id=restore_id,
            state='running',
            checkpoint_id=self.good['id'],
        )
        self.assert_nothing_found(self.look())

    def test_of_a_restore_that_nobody_knows(self) -> None:
        volume_id = self.restored('error', restore_id := new_id())
        self.assert_left(self.look(), volume_id, 'nothing knows its restore')
        self.write_record(self.resource_id, restore_id, {'asked_at': '2026-01-01T00:00:00'})
        self.assert_left(self.look(), volume_id, 'nothing knows its restore')

    def test_what_is_not_of_the_restore_that_it_names(self) -> None:
        place = 'os-vol-tenant-attr:tenant_id'
        for fields, words in (
            ({place: OTHER_PROJECT_ID}, f'its restore is of the project {PROJECT_ID}'),
            ({'created_at': '2020-01-01T00:00:00.000000'}, 'it is older than its restore'),
        ):
            volume_id = self.restored('error', self.failed_restore(), **fields)
            self.assert_left(self.look(), volume_id, words)

    def test_one_that_was_never_made(self) -> None:
        volume_id = self.restored('creating', self.failed_restore())
        self.assertIn('administrator can reset', self.look().left[volume_id])


class WholeCloudTest(OrphansTestCase):
    def test_other_projects(self) -> None:
        for good in list(self.cinder.snapshots.values())[:2]:
            good[PLACE] = OTHER_PROJECT_ID
        orphan = self.snapshot(**{PLACE: OTHER_PROJECT_ID})
        report = self.look()
        self.assertEqual([orphan], report.removed)
        self.assertEqual(OTHER_PROJECT_ID, report.orphans[0].item.project_id)

    def test_a_user_who_is_no_administrator(self) -> None:
        self.snapshot(**{PLACE: OTHER_PROJECT_ID})
        self.cinder.is_admin = False
        error = self.assertRaises(exception.InventoryFailed, self.inventory.check)
        for word in ('karbor', PROJECT_ID, 'role admin', '403'):
            self.assertIn(word, error.msg)
        with self.assertLogs('karbor', logging.WARNING) as logged:
            self.check().check_orphans()
        self.assertIn('Orphans are not looked for', logged.output[0])
        self.assertEqual(1, len(logged.output))

    def test_one_project_alone(self) -> None:
        self.cinder.is_admin = False
        self.inventory = inventories.inventory(self.cinder.url, is_whole_cloud=False)
        self.inventory.check()
        self.snapshot(**{PLACE: OTHER_PROJECT_ID})
        mine = self.snapshot()
        self.assertEqual([mine], self.look().removed)

    def check(self) -> orphans.OrphanCheck:
        return orphans.OrphanCheck(self.registry, lambda: self.inventory)

    def test_the_log(self) -> None:
        with self.assertNoLogs('karbor.services.recovery.orphans', logging.WARNING):
            self.check().check_orphans()
        orphan = self.snapshot()
        with self.assertLogs('karbor', logging.WARNING) as logged:
            self.check().check_orphans()
        self.assertEqual(1, len(logged.output))
        self.assertIn('1 younger than the grace period', logged.output[0])
        self.assertIn(orphan, logged.output[0])

    def test_a_log_of_many(self) -> None:
        for _ in range(60):
            self.snapshot()
        with self.assertLogs('karbor', logging.WARNING) as logged:
            self.check().check_orphans()
        self.assertEqual((50, 1), (logged.output[0].count('young orphan:'), len(logged.output)))
        self.assertIn('and 10 more', logged.output[0])

    def test_options(self) -> None:
        orphan = self.snapshot()
        self.config.config(group='protection', orphan_grace=0)
        self.check().check_orphans()
        self.assertIn(orphan, self.cinder.snapshots)
        self.config.config(group='protection', remove_orphans=True)
        self.check().check_orphans()
        self.assertNotIn(orphan, self.cinder.snapshots)
        (duty,) = self.check().duties()
        self.assertEqual('check_orphans', duty.name)
        self.config.config(group='protection', orphan_check_interval=0)
        self.assertEqual((), self.check().duties())

    def test_several_at_once(self) -> None:
        made = {self.snapshot() for _ in range(2)}
        reports = base.at_once(
            *[
                lambda: orphans.look(
                    self.provider(), inventories.inventory(self.cinder.url), 0, is_removing=True
                )
            ]
            * 3
        )
        for report in reports:
            self.assertEqual({}, report.left)
        self.assertFalse(made & set(self.cinder.snapshots))
        self.assertEqual(3, len(self.cinder.snapshots))

    def test_few_requests_and_statements(self) -> None:
        self.board.end()  # whose looks at the jobs are not meant
        volume = self.cinder.add_volume()
        later = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        for number in range(1200):
            self.snapshot(
                new_id(),
                volume['id'],
                created_at=(later + datetime.timedelta(microseconds=number)).isoformat(),
            )
        self.cinder.requests.clear()
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(cinder_requests, 'PAGE_LIMIT', 500))
            statements = stack.enter_context(inventories.counted_statements())
            report = self.look(is_removing=False)
        self.assertEqual((1203, 1200), (report.snapshots, len(report.unsure)))
        self.assertEqual(
            {('GET', '/snapshots/detail'): 3, ('GET', '/volumes/detail'): 1}, self.cinder.requests
        )
        # Two a batch of 500, two for each in which there is a doubt, one about the provider, and
        # one about its recovery points.
        self.assertLessEqual(len(statements), 2 * 3 + 2 * 3 + 1 + 1)
