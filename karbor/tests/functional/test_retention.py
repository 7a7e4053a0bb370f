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

"""What the retention of a scheduled operation makes of volumes, each judged by itself."""

import json
import threading
from typing import Any
from unittest import mock

import sqlalchemy as sa

from karbor import db, exception
from karbor.db import models, reality
from karbor.services.checkpoints import drafts
from karbor.services.protection import client_factory
from karbor.services.protection.protection_plugins.volume.cinder_snapshot_plugin import (
    CinderSnapshotProtectionPlugin,
)
from karbor.services.schedules import retention_looks
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import base, test_schedules
from karbor.tests.functional.base import resource


class RetentionTestCase(test_schedules.SchedulesTestCase):
    """A plan of two volumes, ``a`` and ``b``."""

    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = self.volume(name='a'), self.volume(name='b')
        self.plan = self.create_plan(self.a, self.b)

    def run_once(self) -> dict[str, Any]:
        """The log of a run of the one operation, once all that follows is over."""
        log = self.run_of_fire()
        self.wait_for_quiet()
        return log

    def runs(self, count: int) -> list[str]:
        """The checkpoints of so many runs, oldest first."""
        return [self.run_once()['checkpoint_id'] for _ in range(count)]

    def run_now(self, operation: dict[str, Any]) -> str:
        """The checkpoint of a run of an operation, once all that follows is over."""
        path = f'/scheduled_operations/{operation["id"]}/action'
        log = self.post(path, {'run': {}})['operation_log']
        self.wait_for_quiet()
        return str(self.ended_log(log['id'])['checkpoint_id'])

    def change(self, operation: dict[str, Any], **rules: Any) -> None:
        """Change the definition of an operation."""
        definition = {**operation['operation_definition'], **rules}
        self.put(
            f'/scheduled_operations/{operation["id"]}',
            {'scheduled_operation': {'operation_definition': definition}},
        )

    def set_status(self, volume: dict[str, Any], status: str) -> None:
        self.cinder.volumes[volume['id']]['status'] = status

    def shown(self, checkpoint_id: str) -> dict[str, Any]:
        return self.get(self.checkpoints_path(checkpoint_id))['checkpoint']

    def points(self, volume: dict[str, Any]) -> dict[str, str]:
        """The states of a volume's points that are not deleted, by checkpoint, oldest first."""
        with db.reader() as session:
            rows = session.scalars(
                sa.select(models.RecoveryPoint)
                .where(
                    models.RecoveryPoint.resource_id == volume['id'],
                    models.RecoveryPoint.state != 'deleted',
                )
                .order_by(models.RecoveryPoint.created_at)
            )
            return {row.checkpoint_id: row.state for row in rows}

    def good(self, volume: dict[str, Any]) -> list[str]:
        """The checkpoints with good points of a volume, oldest first."""
        return [row_id for row_id, state in self.points(volume).items() if state == 'good']

    def snapshot_of(self, volume: dict[str, Any], checkpoint_id: str) -> str:
        """The id of what a checkpoint has of a volume in the cloud."""
        with db.reader() as session:
            return str(
                session.scalar(
                    sa.select(models.RecoveryPoint.cloud_id).where(
                        models.RecoveryPoint.resource_id == volume['id'],
                        models.RecoveryPoint.checkpoint_id == checkpoint_id,
                    )
                )
            )

    def vanish(self, volume: dict[str, Any], checkpoint_id: str) -> None:
        """Let a snapshot be deleted behind Karbor's back."""
        del self.cinder.snapshots[self.snapshot_of(volume, checkpoint_id)]

    def told(self) -> dict[str, Any]:
        """The log of the newest retention."""
        return self.logs('retention')[-1]

    def assert_in_step(self) -> None:
        """Rows, bank and Cinder have the same, and no more."""
        self.wait_for_quiet()
        checkpoints = {row.id: row for row in self.rows(models.Checkpoint)}
        there = {row.id for row in checkpoints.values() if row.status != 'deleted'}
        points = [row for row in self.rows(models.RecoveryPoint) if row.state != 'deleted']
        self.assertLessEqual({point.checkpoint_id for point in points}, there)
        self.assertEqual(
            {point.cloud_id for point in points if point.state in ('good', 'unknown')},
            set(self.cinder.snapshots),
        )
        bank = self.registry.get(PROVIDER_ID).bank
        self.assertEqual(
            there, {row_id for row_id in checkpoints if any(row_id in key for key in _keys(bank))}
        )
        for row_id in there:
            nodes, _ = json.loads(checkpoints[row_id].resource_graph)
            covered = {node[1] for node in nodes.values()}
            in_bank = self.registry.get(PROVIDER_ID).checkpoints.get(row_id)
            self.assertEqual(
                checkpoints[row_id].resource_graph, in_bank.to_dict()['resource_graph']
            )
            self.assertEqual(checkpoints[row_id].status, in_bank.status)
            self.assertEqual(len(covered), checkpoints[row_id].resources_total)
            of_points = {point.resource_id for point in points if point.checkpoint_id == row_id}
            self.assertEqual(covered - {PROJECT_ID}, of_points)
            in_sections = {
                key.split('/')[1]
                for key in in_bank.checkpoint_section.list_objects()
                if key.startswith('resource-data/')
            }
            self.assertLessEqual(in_sections, covered)


def _keys(bank: Any) -> list[str]:
    return list(bank.list_objects('/'))


class VolumesTest(RetentionTestCase):
    def test_one_in_error_keeps_its_last_good_ones(self):
        self.create_operation(keep_last=2)
        first, second = self.runs(2)
        self.set_status(self.b, 'error')
        third, fourth, fifth = self.runs(3)
        self.assertEqual(([first, second], [fourth, fifth]), (self.good(self.b), self.good(self.a)))
        self.assertEqual(
            {first: 'good', second: 'good', fifth: 'failed'},
            self.points(self.b),
        )
        self.assertEqual('deleted', self.shown(third)['status'])
        self.assertEqual({first, second}, {row['id'] for row in self.available()})
        for volume, having in ((self.a, {fourth, fifth}), (self.b, {first, second, fifth})):
            path = f'{self.checkpoints_path()}?resource_id={volume["id"]}'
            self.assertEqual(having, {row['id'] for row in self.get(path)['checkpoints']})
        self.assert_in_step()
        for row_id, reason in (
            (first, '1 recovery point was removed by retention'),
            (second, '1 recovery point was removed by retention'),
        ):
            self.assertEqual(reason, self.shown(row_id)['status_reason'])
        self.assertRegex(
            self.shown(fourth)['status_reason'],
            '^1 of 2 resources failed: .*; 1 recovery point was removed by retention$',
        )
        self.assertNotIn('removed', self.shown(fifth)['status_reason'])
        log = self.told()
        self.assertEqual(('success', None), (log['status'], log['error_info']))
        self.assertEqual(
            {
                'kept': 4,
                'removed': 1,
                'recovery_points_kept': 5,
                'recovery_points_removed': 2,
            },
            {name: value for name, value in log['extra_info'].items() if name != 'reasons'},
        )
        self.assertEqual({third, fourth}, set(log['extra_info']['reasons']))

    def test_it_goes_on_when_it_is_well_again(self):
        self.create_operation(keep_last=2)
        self.runs(2)
        self.set_status(self.b, 'error')
        self.runs(2)
        self.set_status(self.b, 'available')
        last = self.runs(2)
        self.assertEqual((last, last), (self.good(self.a), self.good(self.b)))
        self.assertEqual(last, [row['id'] for row in self.available()])
        self.assertEqual(4, len(self.cinder.snapshots))
        self.assert_in_step()

    def test_all_in_error(self):
        self.create_operation(keep_last=1)
        (good,) = self.runs(1)
        for volume in (self.a, self.b):
            self.set_status(volume, 'error')
        *failed, newest = self.runs(3)
        self.assertEqual(([good], [good]), (self.good(self.a), self.good(self.b)))
        self.assertEqual(['deleted'] * 2, [self.shown(row_id)['status'] for row_id in failed])
        self.assertEqual('error', self.shown(newest)['status'])
        self.assert_in_step()

    def test_one_that_is_gone(self):
        """Its last good ones stay; what they stand beside goes on."""
        self.create_operation(keep_last=2)
        first, second = self.runs(2)
        self.set_status(self.b, 'deleting')
        logs = [self.run_once() for _ in range(3)]
        self.assertEqual(['available'] * 3, [log['status'] for log in logs])
        self.assertEqual([first, second], self.good(self.b))
        self.assertEqual([log['checkpoint_id'] for log in logs[1:]], self.good(self.a))
        self.assertEqual({first: 'good', second: 'good'}, self.points(self.b))
        self.assert_in_step()

    def test_of_a_project(self):
        """The project itself keeps nothing, and a checkpoint goes though that is in it."""
        self.plan = self.create_plan(resource(PROJECT_ID, base.PROJECT))
        others = [item for item in self.cinder.volumes if item not in (self.a['id'], self.b['id'])]
        for volume_id in others:
            del self.cinder.volumes[volume_id]
        self.create_operation(keep_last=1)
        (first,) = self.runs(1)
        self.set_status(self.b, 'error')
        second, third = self.runs(2)
        self.assertEqual(([third], [first]), (self.good(self.a), self.good(self.b)))
        self.assertEqual('deleted', self.shown(second)['status'])
        self.assertEqual((2, 2), self.counts(first))
        self.set_status(self.b, 'available')
        (last,) = self.runs(1)
        self.assertEqual([last], [row['id'] for row in self.available()])
        self.assert_in_step()

    def counts(self, checkpoint_id: str) -> tuple[int, int]:
        shown = self.shown(checkpoint_id)
        self.assertEqual(0, shown['resources_failed'])
        return shown['resources_total'], shown['resources_done']

    def test_what_is_left_is_counted_and_shown(self):
        self.create_operation(keep_last=1)
        (first,) = self.runs(1)
        self.set_status(self.b, 'error')
        second, third = self.runs(2)
        self.set_status(self.b, 'available')
        shown = self.shown(first)
        self.assertEqual((1, 1), self.counts(first))
        self.assertEqual(
            [('a', 'deleted'), ('b', 'good')],
            [(item['name'], item['state']) for item in shown['resources']],
        )
        self.assertEqual({}, shown['resources_reason'])
        self.runs(1)
        self.assertEqual(['deleted'] * 3, [self.shown(x)['status'] for x in (first, second, third)])

    def test_what_failed_is_told_no_more_when_it_is_removed(self):
        self.create_operation(keep_last=2)
        self.set_status(self.b, 'error')
        first, second = self.runs(2)
        self.assertEqual((1, 1), self.counts(first))
        self.assertEqual({}, self.shown(first)['resources_reason'])
        self.assertEqual(
            [f'{base.VOLUME}#{self.b["id"]}'], list(self.shown(second)['resources_reason'])
        )

    def test_a_restore_of_what_is_left(self):
        self.create_operation(keep_last=1)
        (first,) = self.runs(1)
        self.set_status(self.b, 'error')
        self.runs(1)
        key_of = {name: f'{base.VOLUME}#{volume["id"]}' for name, volume in self.named().items()}
        checkpoint = {'id': first}
        restore = self.ended_use('restore', self.use('restore', checkpoint))
        self.assertEqual(('success', None), (restore['status'], restore['status_reason']))
        self.assertEqual([key_of['b']], list(restore['new_resources']))
        self.assertEqual((1, 0), (restore['resources_done'], restore['resources_failed']))
        verification = self.ended_use('verification', self.use('verification', checkpoint))
        self.assertEqual('success', verification['status'])
        self.delete(self.checkpoints_path(first))
        self.wait_for_quiet()
        self.assertEqual('deleted', self.shown(first)['status'])
        self.assertEqual([], self.good(self.b))
        self.assert_in_step()

    def named(self) -> dict[str, dict[str, Any]]:
        return {'a': self.a, 'b': self.b}

    def test_a_reset_makes_nothing_good(self):
        """One in which most failed is not the last good one, whatever its status says."""
        self.create_operation(keep_last=1)
        (good,) = self.runs(1)
        for volume in (self.a, self.b):
            self.set_status(volume, 'error')
        (failed,) = self.runs(1)
        self.put(self.checkpoints_path(failed), {'os-resetState': {'state': 'available'}})
        self.runs(1)
        self.assertEqual(([good], [good]), (self.good(self.a), self.good(self.b)))
        self.assertEqual('deleted', self.shown(failed)['status'])
        self.assert_in_step()


class ScopeTest(RetentionTestCase):
    def test_operations_and_people_do_not_touch_what_others_made(self):
        hourly = self.create_operation(keep_last=1)
        nightly = self.create_operation(keep_last=2)
        by_hand = [self.ended_checkpoint(self.create_checkpoint(self.plan))['id'] for _ in 'ab']
        of_night = [self.run_now(nightly) for _ in range(3)]
        of_hour = [self.run_now(hourly) for _ in range(3)]
        expected = [*by_hand, *of_night[1:], *of_hour[-1:]]
        self.assertEqual(set(expected), {row['id'] for row in self.available()})
        self.assertEqual(set(expected), set(self.good(self.a)))
        self.assert_in_step()

    def test_the_plans(self):
        for _ in range(2):
            self.ended_checkpoint(self.create_checkpoint(self.plan))
        other = self.protected(self.volume(name='c'))
        nightly = self.create_operation(keep_last=1)
        self.run_now(nightly)
        hourly = self.create_operation(keep_last=2, retention_scope='plan')
        last = [self.run_now(hourly) for _ in range(2)]
        self.assertEqual({other['id'], *last}, {row['id'] for row in self.available()})
        self.assert_in_step()

    def test_what_does_not_fit(self):
        for value in ('Plan', 'all', '', None, 5, [], {}, True):
            message = self.create_operation(code=400, retention_scope=value)
            self.assertIn('retention_scope: ', message)
            self.assertIn('operation, plan', message)
        for name in ('retention_scop', 'retentionscope', 'retention-scope', 'retention_scopes'):
            self.assertIn(
                f'{name}: there is no such property, but retention_scope.',
                self.create_operation(code=400, **{name: 'plan'}),
            )
        for scope in ('plan', 'operation'):
            self.assertIn(
                'retention_scope has no effect unless operation_type is retention_protect',
                self.create_operation('protect', 400, retention_scope=scope),
            )
            made = self.create_operation(keep_last=1, retention_scope=scope)
            self.assertEqual(scope, made['operation_definition']['retention_scope'])
        self.assertIn(
            'retention_scope, keep_last'[:15],
            self.create_operation('protect', 400, retention_scope='plan', keep_last=1),
        )

    def test_another_project_with_a_checkpoint_that_names_it(self):
        """Only what the project has is its."""
        operation = self.create_operation(keep_last=1)
        (first,) = self.runs(1)
        with db.writer() as session:
            row = session.get_one(models.Checkpoint, first)
            row.project_id = 'f' * 32
        self.runs(2)
        self.assertIn(first, self.good(self.a))
        self.assertEqual(operation['id'], self.told()['scheduled_operation_id'])

    def test_an_operation_that_is_deleted_leaves_all(self):
        operation = self.create_operation(keep_last=3)
        self.runs(2)
        self.set_status(self.b, 'error')
        self.runs(1)
        before = self.points(self.a), self.points(self.b)
        self.delete(f'/scheduled_operations/{operation["id"]}')
        (log,) = self.logs('scheduled_operation_delete')
        self.assertEqual(
            {'left': {'checkpoints': 3, 'recovery_points': 6, 'gigabytes': 5}}, log['extra_info']
        )
        self.create_operation(keep_last=1)
        self.runs(2)
        self.assertEqual((4, 2), (len(self.good(self.a)), len(self.good(self.b))))
        for volume, points in zip((self.a, self.b), before, strict=True):
            self.assertLessEqual(points.items(), self.points(volume).items())

    def test_one_that_has_made_nothing(self):
        operation = self.create_operation()
        self.delete(f'/scheduled_operations/{operation["id"]}')
        (log,) = self.logs('scheduled_operation_delete')
        self.assertEqual(
            {'left': {'checkpoints': 0, 'recovery_points': 0, 'gigabytes': 0}}, log['extra_info']
        )


class LookTest(RetentionTestCase):
    """Before anything is removed, Cinder is asked for what would stay."""

    def setUp(self) -> None:
        super().setUp()
        self.operation = self.create_operation(keep_last=3)
        self.made = self.runs(3)

    def test_one_that_vanished(self):
        """The older one stays for it; nothing else is changed by that."""
        first, second, third = self.made
        self.vanish(self.a, third)
        (fourth,) = self.runs(1)
        self.assertEqual([first, second, fourth], self.good(self.a))
        self.assertEqual([second, third, fourth], self.good(self.b))
        self.assertEqual('missing', self.points(self.a)[third])
        log = self.told()
        self.assertEqual('success', log['status'])
        for text in (f'{base.VOLUME}#{self.a["id"]}', third, 'is not in Cinder any more'):
            self.assertIn(text, log['error_info'])
        self.assertEqual(1, log['extra_info']['recovery_points_removed'])
        (point,) = [item for item in self.shown(third)['resources'] if item['id'] == self.a['id']]
        self.assertEqual('missing', point['state'])
        self.assertIn('is not in Cinder any more', point['reason'])
        # It is told once; it goes when all that stay are newer.
        self.runs(1)
        self.assertIsNone(self.told()['error_info'])
        self.assertIn(third, self.points(self.a))
        self.runs(2)
        self.assertNotIn(third, self.points(self.a))
        self.assertEqual('deleted', self.shown(third)['status'])
        self.assert_in_step()

    def test_one_that_is_not_well_any_more(self):
        """In error it is there, so its row says good still; but it is not relied on."""
        first, _, third = self.made
        snapshot = self.snapshot_of(self.a, third)
        for status in ('error', 'deleting', 'error_deleting'):
            self.cinder.snapshots[snapshot]['status'] = status
            (newest,) = self.runs(1)
            self.assertIn(first, self.good(self.a))
            self.assertNotIn(first, self.good(self.b))
            self.assertIn(f'is in status {status}', self.told()['error_info'])
            self.delete(self.checkpoints_path(newest))
            self.wait_for_quiet()
        self.cinder.snapshots[snapshot]['status'] = 'available'
        self.runs(1)
        self.assertNotIn(first, self.good(self.a))

    def test_most_of_them_vanished(self):
        """Then it is more likely that it is not the same cloud."""
        first, second, third = self.made
        for volume in (self.a, self.b):
            for row_id in (second, third):
                self.vanish(volume, row_id)
        (fourth,) = self.runs(1)
        self.assertEqual([*self.made, fourth], self.good(self.a))
        log = self.told()
        self.assertEqual('fail', log['status'])
        for text in ('4 of the 6 recovery points that would stay', 'cannot be seen'):
            self.assertIn(text, log['error_info'])
        self.assertEqual(0, log['extra_info']['recovery_points_removed'])
        self.assertIn(self.snapshot_of(self.a, first), self.cinder.snapshots)

    def test_one_that_was_made_nobody_knows_where(self):
        """It is gone only if something says that it was here: another of it, or its volume."""
        self.change(self.operation, keep_last=1)
        _, second, third = self.made
        for volume in (self.a, self.b):
            self.vanish(volume, third)
        with mock.patch.object(self.cinder, 'volumes', {}):
            self.runs(1)
        log = self.told()
        self.assertEqual('fail', log['status'])
        for text in ('nothing is removed', third, 'nothing tells in which region it was made'):
            self.assertIn(text, log['error_info'])
        self.assertEqual(self.made, self.good(self.a))
        for volume in (self.a, self.b):
            self.set_status(volume, 'error')
        self.runs(1)
        self.assertEqual([second], self.good(self.a))
        self.assertEqual('missing', self.points(self.a)[third])

    def test_a_service_that_acts_in_another_region_now(self):
        """Runs fail there for what they do not find, and nothing that was good goes for it."""
        self.change(self.operation, keep_last=1)
        db.transaction(reality.set_region_of_all)('A')
        with (
            mock.patch.object(client_factory.ClientFactory, 'region', return_value='B'),
            mock.patch.object(self.cinder, 'volumes', {}),
        ):
            failed, _ = self.runs(2)
        log = self.told()
        self.assertEqual('fail', log['status'])
        for text in ('nothing is removed', 'region A', 'region B'):
            self.assertIn(text, log['error_info'])
        self.assertEqual(self.made, self.good(self.a))
        (point,) = [item for item in self.shown(failed)['resources'] if item['id'] == self.a['id']]
        self.assertEqual('failed', point['state'])
        self.assertIn('it is not found in region B', point['reason'])

    def test_cinder_cannot_tell(self):
        fault = Fault('GET', '/snapshots/detail', status=500)
        judge = retention_looks.judge

        def judge_without_cinder(*args: Any) -> Any:
            self.cinder.faults.append(fault)
            try:
                return judge(*args)
            finally:
                self.cinder.faults.remove(fault)

        with mock.patch.object(retention_looks, 'judge', judge_without_cinder):
            self.runs(1)
        self.assertEqual(4, len(self.good(self.a)))
        log = self.told()
        self.assertEqual('fail', log['status'])
        self.assertIn('nothing is removed: ', log['error_info'])
        self.assertIn('500', log['error_info'])
        self.runs(1)
        self.assertEqual(3, len(self.good(self.a)))
        self.assertEqual('success', self.told()['status'])
        self.assert_in_step()

    def test_a_provider_that_has_no_plugin_for_it_any_more(self):
        self.board.end()
        self.fire()
        (job,) = [row for row in self.rows(models.Job) if row.state == 'pending']
        self.runner.run(job.id)
        (job,) = [row for row in self.rows(models.Job) if row.state == 'pending']
        provider = self.registry.get(PROVIDER_ID)
        with mock.patch.object(type(provider), 'new_plugins', return_value={}):
            self.runner.run(job.id)
        self.assertIn('has no plugin of OS::Cinder::Volume', self.told()['error_info'])
        self.assertEqual(4, len(self.good(self.a)))

    def test_nothing_to_remove_asks_for_nothing(self):
        self.change(self.operation, keep_last=99)
        with mock.patch.object(CinderSnapshotProtectionPlugin, 'find_losses') as asked:
            self.runs(1)
        self.assertEqual(0, asked.call_count)
        self.assertEqual('success', self.told()['status'])


class FailedTest(RetentionTestCase):
    def test_failed_points_go_when_a_newer_one_is_good(self):
        self.create_operation(keep_last=5)
        self.set_status(self.b, 'error')
        (failed,) = self.runs(1)
        self.set_status(self.b, 'available')
        (good,) = self.runs(1)
        self.assertEqual({good: 'good'}, self.points(self.b))
        self.assertEqual([failed, good], self.good(self.a))
        self.assert_in_step()

    def test_what_could_not_be_removed_stays_when_the_newer_one_is_lost(self):
        """It has failed by its row only: its snapshot is whole, and the last of the volume."""
        self.create_operation(keep_last=1)
        refusal = Fault('DELETE', '/snapshots/', status=403)
        self.cinder.faults.append(refusal)
        first, second = self.runs(2)
        self.assertEqual({first: 'failed', second: 'good'}, self.points(self.a))
        left = self.snapshot_of(self.a, first)
        self.cinder.faults.remove(refusal)
        self.vanish(self.a, second)
        self.set_status(self.a, 'error')
        self.runs(2)
        self.assertIn(left, self.cinder.snapshots)
        self.assertEqual('failed', self.points(self.a)[first])
        # Once a newer one is good, it goes.
        self.set_status(self.a, 'available')
        self.runs(1)
        self.assertNotIn(left, self.cinder.snapshots)

    def test_a_snapshot_that_came_too_late_stays_until_a_newer_one_is_good(self):
        self.create_operation(keep_last=1)
        self.cinder.settle_to['snapshot'] = 'error'
        first, second = self.runs(2)
        self.assertEqual({first: 'failed', second: 'failed'}, self.points(self.a))
        self.assertIn(self.snapshot_of(self.a, first), self.cinder.snapshots)

    def test_a_snapshot_in_error_goes_with_its_point(self):
        self.create_operation(keep_last=5)
        self.cinder.settle_to['snapshot'] = 'error'
        (failed,) = self.runs(1)
        left = dict(self.cinder.snapshots)
        self.cinder.settle_to['snapshot'] = 'available'
        (good,) = self.runs(1)
        self.assertEqual('deleted', self.shown(failed)['status'])
        self.assertEqual(set(), set(left) & set(self.cinder.snapshots))
        self.assertEqual([good], self.good(self.a))
        self.assert_in_step()

    def test_empty_ones_go_but_the_newest(self):
        self.create_operation(keep_last=5)
        (good,) = self.runs(1)
        for volume in (self.a, self.b):
            self.set_status(volume, 'deleting')
        first, second, third = self.runs(3)
        self.assertEqual(
            ['deleted', 'deleted', 'error'],
            [self.shown(row_id)['status'] for row_id in (first, second, third)],
        )
        self.assertEqual([good], self.good(self.a))
        log = self.told()
        self.assertEqual({second: 'there is nothing in it'}, log['extra_info']['reasons'])
        self.assertEqual(
            {'checkpoints': 2},
            {
                'checkpoints': self.get(f'/quotas/{PROJECT_ID}/detail')['quota']['checkpoints'][
                    'in_use'
                ]
            },
        )
        self.assertEqual(4, len(self.logs()))
        self.assert_in_step()

    def test_it_runs_after_a_run_that_never_made_a_checkpoint(self):
        operation = self.create_operation(keep_last=5)
        third = self.runs(3)[-1]
        self.change(operation, keep_last=1)
        with mock.patch.object(drafts, 'draft', side_effect=exception.PlanNotFound(plan_id='x')):
            log = self.run_once()
        self.assertEqual('error', log['status'])
        self.assertEqual([third], self.good(self.a))
        self.assert_in_step()


class MeanwhileTest(RetentionTestCase):
    """What people do while a removal goes on: Cinder keeps the delete of a snapshot waiting."""

    def setUp(self) -> None:
        super().setUp()
        self.create_operation(keep_last=1)
        (self.first,) = self.runs(1)
        self.set_status(self.b, 'error')
        self.asked, self.let_go = threading.Event(), threading.Event()
        self.addCleanup(self.let_go.set)
        self.cinder.faults.append(Fault('DELETE', '/snapshots/', hook=self._wait))
        self.fire()
        self.assertTrue(self.asked.wait(20))

    def _wait(self) -> None:
        self.asked.set()
        self.let_go.wait(20)

    def go_on(self) -> None:
        self.let_go.set()
        self.wait_for_quiet()

    def test_it_is_shown(self):
        shown = self.shown(self.first)
        self.assertEqual('available', shown['status'])
        self.assertEqual(
            [('a', 'deleting'), ('b', 'good')],
            [(item['name'], item['state']) for item in shown['resources']],
        )
        self.go_on()
        self.assert_in_step()

    def test_a_restore_leaves_out_what_goes(self):
        restore = self.use('restore', {'id': self.first})
        restore = self.ended_use('restore', restore)
        self.assertEqual('success', restore['status'])
        self.assertEqual([f'{base.VOLUME}#{self.b["id"]}'], list(restore['new_resources']))
        self.assertIn(
            f'left out, as retention removes it: {base.VOLUME}#', restore['status_reason']
        )
        self.go_on()
        self.assertEqual([self.first], self.good(self.b))
        self.assert_in_step()

    def test_a_delete_by_a_person(self):
        message = self.delete(self.checkpoints_path(self.first), 409)
        self.assertIn('not finished', message)
        self.go_on()
        self.delete(self.checkpoints_path(self.first))
        self.wait_for_quiet()
        self.assertEqual('deleted', self.shown(self.first)['status'])
        self.assert_in_step()

    def test_a_reset_by_a_person(self):
        path = self.checkpoints_path(self.first)
        self.assertIn('not finished', self.put(path, {'os-resetState': {'state': 'error'}}, 409))
        self.go_on()
        self.put(path, {'os-resetState': {'state': 'error'}})
        self.assertIn('1 recovery point was removed', self.shown(self.first)['status_reason'])
        self.assert_in_step()

    def test_a_pin(self):
        """What goes already goes; the rest stays."""
        self.request('PUT', f'{self.checkpoints_path(self.first)}/pin')
        self.go_on()
        self.set_status(self.b, 'available')
        self.runs(1)
        self.assertIn(self.first, self.good(self.b))
        self.assertNotIn(self.first, self.good(self.a))
        self.assert_in_step()


class PinnedMeanwhileTest(RetentionTestCase):
    def test_between_judgement_and_removal(self):
        self.create_operation(keep_last=1)
        (first,) = self.runs(1)
        judge = retention_looks.judge

        def judge_and_pin(*args: Any) -> Any:
            judged = judge(*args)
            self.request('PUT', f'{self.checkpoints_path(first)}/pin')
            return judged

        with mock.patch.object(retention_looks, 'judge', judge_and_pin):
            (second,) = self.runs(1)
        self.assertEqual([first, second], self.good(self.a))
        self.assertIn('it is pinned', self.told()['error_info'])
        self.assert_in_step()
