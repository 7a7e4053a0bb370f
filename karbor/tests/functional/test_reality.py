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

"""Recovery points beside what Cinder has: lost, found again, and left alone in doubt."""

import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import sqlalchemy as sa
import testtools
from keystoneauth1 import exceptions as ks_exc
from oslo_utils import timeutils

from karbor import db, exception
from karbor.common import constants
from karbor.db import models, recovery_points
from karbor.services.jobs import failures
from karbor.services.protection import provider
from karbor.services.recovery import inventory as cinder_inventory
from karbor.services.recovery import orphans, reality_looks
from karbor.testing.fake_cinder import Fault
from karbor.tests import inventories
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import VOLUME

_ONE_BY_ONE = ('GET', '/snapshots/{id}')


class RealityTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cinder.is_admin = True
        self.inventory = inventories.inventory(self.cinder.url)

    def look(self) -> None:
        """Look once, as the processes do now and then."""
        orphans.OrphanCheck(self.registry, lambda: self.inventory).check_orphans()

    def lose(self, volume: dict[str, Any]) -> dict[str, Any]:
        """Delete the snapshot of a volume behind Karbor's back; returns it."""
        (snapshot,) = [
            each for each in self.cinder.snapshots.values() if each['volume_id'] == volume['id']
        ]
        return self.cinder.snapshots.pop(snapshot['id'])

    def states(self, checkpoint: dict[str, Any]) -> dict[str, str]:
        """The states of a checkpoint's points, by the ids of their volumes."""
        shown = self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']
        return {each['id']: each['state'] for each in shown['resources']}

    def reason(self, checkpoint: dict[str, Any]) -> str | None:
        return self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']['status_reason']

    def logs(self, **filters: Any) -> list[dict[str, Any]]:
        """What is told of comparisons, oldest first."""
        listed = self.get('/operation_logs', params={'operation_type': 'compare', **filters})
        return listed['operation_logs'][::-1]

    def remark(self) -> str | None:
        (look,) = self.rows(models.ProjectLook)
        return look.remark


class LookTest(RealityTestCase):
    def test_a_snapshot_that_somebody_has_deleted(self) -> None:
        lost, kept = self.volume(), self.volume()
        checkpoint = self.protected(lost, kept)
        self.lose(lost)
        self.look()
        self.assertEqual({lost['id']: 'missing', kept['id']: 'good'}, self.states(checkpoint))
        shown = self.get(self.checkpoints_path(checkpoint['id']))['checkpoint']
        self.assertEqual('available', shown['status'])
        self.assertEqual('1 recovery point is missing', shown['status_reason'])
        (listed,) = self.get(self.checkpoints_path())['checkpoints']
        self.assertEqual(shown['status_reason'], listed['status_reason'])
        (point,) = self.get('/recovery_points', params={'state': 'missing'})['recovery_points']
        self.assertIn('It is not in the cloud any more: Cinder neither lists', point['reason'])
        self.assertIn(f'{timeutils.utcnow():%Y-%m-%d}', point['reason'])
        (log,) = self.logs()
        self.assertEqual(('fail', checkpoint['id']), (log['status'], log['checkpoint_id']))
        self.assertIn(lost['id'], log['error_info'])
        self.assertNotIn(kept['id'], log['error_info'])
        self.look()  # which changes nothing more, and tells it not again
        self.assertEqual(1, len(self.logs()))
        self.assertEqual({lost['id']: 'missing', kept['id']: 'good'}, self.states(checkpoint))

    def test_the_only_one(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume)
        self.lose(volume)
        self.look()
        self.assertEqual({volume['id']: 'missing'}, self.states(checkpoint))

    def test_it_is_counted_no_more_and_causes_no_removal(self) -> None:
        volume = self.volume()
        plan = self.create_plan(volume)
        checkpoints = [self.ended_checkpoint(self.create_checkpoint(plan)) for _ in range(3)]
        newest = max(self.cinder.snapshots.values(), key=lambda each: each['created_at'])
        oldest = min(self.cinder.snapshots.values(), key=lambda each: each['created_at'])
        before = self.preview(plan)
        self.assertEqual({each['id'] for each in checkpoints[:2]}, before['removed'])
        del self.cinder.snapshots[newest['id']]
        self.look()
        # The second one is the last good one now.
        self.assertEqual({checkpoints[0]['id']}, self.preview(plan)['removed'])
        self.cinder.snapshots[newest['id']] = newest
        self.look()
        self.assertEqual(before, self.preview(plan))
        # What would stay if it were good does not go as it is missing.
        del self.cinder.snapshots[oldest['id']]
        self.look()
        self.assertEqual(set(), self.preview(plan, max_backups=3)['removed'])
        self.assertEqual(
            {checkpoints[0]['id'], checkpoints[1]['id']}, self.preview(plan)['removed']
        )

    def preview(self, plan: dict[str, Any], max_backups: int = 1) -> dict[str, set[str]]:
        shown = self.post(
            f'/plans/{plan["id"]}/retention', {'retention': {'max_backups': max_backups}}
        )['retention']
        return {
            name: {each['checkpoint_id'] for each in shown[name]} for name in ('kept', 'removed')
        }

    def test_more_than_half_of_a_project(self) -> None:
        volumes = [self.volume() for _ in range(3)]
        checkpoint = self.protected(*volumes)
        lost = [self.lose(volume) for volume in volumes[:2]]
        self.cinder.requests.clear()
        for _ in range(2):
            self.look()
            self.assertEqual({'good'}, set(self.states(checkpoint).values()))
        self.assertEqual(4, self.cinder.requests[_ONE_BY_ONE])  # 20 at most each time
        self.assertIn('2 of 3 good recovery points', self.remark())
        (log,) = self.logs()  # not each time
        self.assertEqual(('fail', None), (log['status'], log['checkpoint_id']))
        self.assertEqual(self.remark(), log['error_info'])
        self.cinder.snapshots[lost[0]['id']] = lost[0]
        self.look()
        self.assertIsNone(self.remark())
        self.assertEqual(1, list(self.states(checkpoint).values()).count('missing'))

    def test_more_than_half_of_what_is_good_still(self) -> None:
        """What is missing already makes the rest no more believable."""
        volumes = [self.volume() for _ in range(4)]
        checkpoint = self.protected(*volumes)
        for volume in volumes[:2]:
            self.lose(volume)
        self.look()
        self.assertEqual(2, list(self.states(checkpoint).values()).count('missing'))
        for volume in volumes[2:]:
            self.lose(volume)
        self.look()
        self.assertEqual(2, list(self.states(checkpoint).values()).count('missing'))
        self.assertIn('2 of 2 good', self.remark())

    def test_the_only_one_in_another_cloud(self) -> None:
        """It has neither the snapshot nor the volume, though its region is called alike."""
        checkpoint = self.protected()
        snapshots, volumes = dict(self.cinder.snapshots), dict(self.cinder.volumes)
        self.cinder.snapshots.clear()
        self.cinder.volumes.clear()
        self.look()
        self.assertEqual({'good'}, set(self.states(checkpoint).values()))
        self.assertIn('it may be another cloud', self.remark())
        self.cinder.volumes.update(volumes)
        self.cinder.snapshots.update(snapshots)
        self.look()
        self.assertIsNone(self.remark())

    def test_each_project_by_itself(self) -> None:
        """What most of another project is lost of keeps nothing from being believed here."""
        volumes = [self.volume() for _ in range(2)]
        checkpoint = self.protected(*volumes)
        theirs = self.protected(*[self.volume() for _ in range(3)])
        with db.writer() as session:
            for model in (models.RecoveryPoint, models.Checkpoint):
                key = 'checkpoint_id' if model is models.RecoveryPoint else 'id'
                session.execute(
                    sa.update(model)
                    .where(getattr(model, key) == theirs['id'])
                    .values(project_id=OTHER_PROJECT_ID)
                )
        for each in list(self.cinder.snapshots.values()):
            if each['metadata']['karbor_checkpoint_id'] == theirs['id']:
                del self.cinder.snapshots[each['id']]
        self.lose(volumes[0])
        self.look()
        self.assertEqual(['good', 'missing'], sorted(self.states(checkpoint).values()))
        remarks = {row.project_id: row.remark for row in self.rows(models.ProjectLook)}
        self.assertIsNone(remarks[PROJECT_ID])
        self.assertIn('3 of 3', remarks[OTHER_PROJECT_ID])

    def test_one_that_has_lost_its_metadata(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume, self.volume())
        for each in self.cinder.snapshots.values():
            if each['volume_id'] == volume['id']:
                each['metadata'] = {}
        self.look()
        self.assertEqual({'good'}, set(self.states(checkpoint).values()))

    def test_when_most_have_lost_their_metadata(self) -> None:
        """They are there; and what is really gone beside them is found."""
        volumes = [self.volume() for _ in range(5)]
        checkpoint = self.protected(*volumes)
        ids = {volume['id'] for volume in volumes[:3]}
        for each in self.cinder.snapshots.values():
            if each['volume_id'] in ids:
                each['metadata'] = {}
        self.look()
        self.assertEqual({'good'}, set(self.states(checkpoint).values()))
        self.assertIsNone(self.remark())
        self.lose(volumes[4])
        self.look()
        self.assertEqual('missing', self.states(checkpoint)[volumes[4]['id']])
        self.assertEqual(1, list(self.states(checkpoint).values()).count('missing'))

    def test_one_that_is_another_projects_now(self) -> None:
        """Its volume was transferred, with its snapshots: for its owner it is not there."""
        volume = self.volume()
        checkpoint = self.protected(volume, self.volume(), self.volume())
        (snapshot,) = [
            each for each in self.cinder.snapshots.values() if each['volume_id'] == volume['id']
        ]
        name = 'os-extended-snapshot-attributes:project_id'
        before, snapshot[name] = snapshot[name], OTHER_PROJECT_ID
        for _ in range(2):
            self.look()
            self.assertEqual('missing', self.states(checkpoint)[volume['id']])
        snapshot[name] = before
        self.look()
        self.assertEqual('good', self.states(checkpoint)[volume['id']])

    def test_what_is_seen_again(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume, self.volume())
        snapshot = self.lose(volume)
        self.look()
        self.cinder.snapshots[snapshot['id']] = {**snapshot, 'status': 'error'}
        self.look()
        self.assertEqual('missing', self.states(checkpoint)[volume['id']])
        self.cinder.snapshots[snapshot['id']] = snapshot
        self.look()
        self.assertEqual('good', self.states(checkpoint)[volume['id']])
        self.assertIsNone(self.reason(checkpoint))
        self.assertEqual(['fail', 'success'], [each['status'] for each in self.logs()])

    def test_what_was_never_good_is_not_made_so(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume)
        for state in ('failed', 'unknown', 'deleting', 'deleted', 'missing'):
            with db.writer() as session:
                session.execute(
                    sa.update(models.RecoveryPoint).values(state=state, seen_good_at=None)
                )
            self.look()
            self.assertEqual({volume['id']: state}, self.states(checkpoint))

    def test_a_dry_run(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume)
        self.lose(volume)
        check = orphans.OrphanCheck(self.registry, lambda: self.inventory)
        (report,) = check.reports(0, False, is_dry_run=True)
        self.assertIn(volume['id'], report.points.lines()[0])
        self.assertEqual({volume['id']: 'good'}, self.states(checkpoint))
        self.assertEqual([], self.rows(models.ProjectLook))

    def test_deleting_what_has_missing_points(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume, self.volume())
        self.lose(volume)
        self.look()
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({'deleted'}, set(self.states(checkpoint).values()))


class RaceTest(RealityTestCase):
    """What happens while a look is under way."""

    @contextlib.contextmanager
    def before_asking(self, act: Callable[[], Any]) -> Iterator[None]:
        """Do something between the list and the first request for one snapshot."""
        done: list[Any] = []
        ask = cinder_inventory.Inventory.has_snapshot

        def asked(
            inventory: cinder_inventory.Inventory, snapshot_id: str, *, of_project: str
        ) -> bool:
            if not done:
                done.append(act())
            return ask(inventory, snapshot_id, of_project=of_project)

        with mock.patch.object(cinder_inventory.Inventory, 'has_snapshot', asked):
            yield
        self.assertEqual(1, len(done))

    def test_a_point_that_turns_good_behind_the_list(self) -> None:
        self.protected()
        made = []
        listed = cinder_inventory.Inventory.snapshots

        def list_and_then(inventory: cinder_inventory.Inventory, provider_id: str) -> Any:
            found = listed(inventory, provider_id)
            made.append(self.protected())
            return found

        with mock.patch.object(cinder_inventory.Inventory, 'snapshots', list_and_then):
            self.cinder.requests.clear()
            self.look()
        self.assertEqual({'good'}, set(self.states(made[0]).values()))
        self.assertEqual(0, self.cinder.requests[_ONE_BY_ONE])

    def test_a_deletion_that_begins(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume)
        self.lose(volume)
        with self.before_asking(
            lambda: db.transaction(recovery_points.begin_deletion)(checkpoint['id'])
        ):
            self.look()
        self.assertEqual({volume['id']: 'deleting'}, self.states(checkpoint))
        self.assertEqual([], self.logs())

    def test_two_looks_at_once(self) -> None:
        volumes = [self.volume() for _ in range(4)]
        checkpoint = self.protected(*volumes)
        for volume in volumes[:2]:
            self.lose(volume)
        base.at_once(self.look, self.look, self.look)
        self.assertEqual(
            ['good', 'good', 'missing', 'missing'], sorted(self.states(checkpoint).values())
        )
        self.assertEqual(2, sum(each['extra_info']['missing'] for each in self.logs()))

    def test_a_cinder_that_fails_in_the_middle(self) -> None:
        volumes = [self.volume() for _ in range(6)]
        checkpoint = self.protected(*volumes)
        lost = [self.lose(volume)['id'] for volume in volumes[:3]]
        gone = {volume['id'] for volume in volumes[:3]}
        self.patch_patience()
        for fault in (
            Fault(method='GET', path=f'/snapshots/{lost[1]}', status=500),
            Fault(method='GET', path='/snapshots/(?!detail)', reset='before'),
        ):
            self.cinder.faults.append(fault)
            self.look()
            states = self.states(checkpoint)
            self.assertLessEqual({each for each in states if states[each] == 'missing'}, gone)
            self.assertEqual('good', states[volumes[1]['id']])
        self.cinder.faults.clear()
        self.look()
        self.assertEqual(
            gone, {each for each, state in self.states(checkpoint).items() if state == 'missing'}
        )

    def test_a_list_that_fails(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume)
        self.lose(volume)
        self.patch_patience()
        self.cinder.faults.append(Fault(method='GET', path='/snapshots/detail', status=500))
        self.look()
        self.assertEqual({volume['id']: 'good'}, self.states(checkpoint))

    def patch_patience(self) -> None:
        patch = mock.patch.object(cinder_inventory, '_PATIENCE', 0.1)
        patch.start()
        self.addCleanup(patch.stop)

    def test_rights_that_end_in_between(self) -> None:
        """Who may not see others' snapshots is told that there are none."""
        self.protected()
        (snapshot,) = self.cinder.snapshots.values()
        snapshot['os-extended-snapshot-attributes:project_id'] = OTHER_PROJECT_ID
        with db.writer() as session:
            for model in (models.Checkpoint, models.RecoveryPoint):
                session.execute(sa.update(model).values(project_id=OTHER_PROJECT_ID))
        self.look()
        self.assertEqual(['good'], [each.state for each in self.rows(models.RecoveryPoint)])

        def lose_rights() -> None:
            self.cinder.is_admin = False

        listed = cinder_inventory.Inventory.snapshots

        def list_without(inventory: cinder_inventory.Inventory, provider_id: str) -> Any:
            lose_rights()
            return listed(inventory, provider_id)

        with (
            mock.patch.object(cinder_inventory.Inventory, 'snapshots', list_without),
            self.assertLogs('karbor', 'WARNING') as logged,
        ):
            self.look()
        self.assertIn('role admin', logged.output[-1])
        self.assertEqual(['good'], [each.state for each in self.rows(models.RecoveryPoint)])
        self.look()
        self.assertEqual(['good'], [each.state for each in self.rows(models.RecoveryPoint)])
        self.assertIn('lacks the right', self.remark())

    def test_more_than_one_look_asks_for(self) -> None:
        volumes = [self.volume() for _ in range(4)]
        checkpoint = self.protected(*volumes)
        for volume in volumes[:2]:
            self.lose(volume)
        with mock.patch.object(reality_looks, '_MOST_ASKED', 1):
            with self.assertLogs('karbor', 'WARNING') as logged:
                self.look()
            self.assertIn('1 of 2 snapshots that are not in the list', logged.output[0])
            self.assertEqual(1, list(self.states(checkpoint).values()).count('missing'))
            self.look()
        self.assertEqual(2, list(self.states(checkpoint).values()).count('missing'))


class RemarkTest(RealityTestCase):
    """What is told of projects when looks fail, or see something else."""

    def doubtful(self) -> list[dict[str, Any]]:
        """Lose all of a project; returns the snapshots."""
        volumes = [self.volume() for _ in range(2)]
        self.protected(*volumes)
        return [self.lose(volume) for volume in volumes]

    def add_provider(self) -> str:
        """A second provider, which is looked at after the first one: they go by their ids."""
        other_id = f'f{new_id()[1:]}'
        folder = self.provider_dir(name='z', provider_id=other_id)
        self.registry = provider.ProviderRegistry(folder)
        return other_id

    @contextlib.contextmanager
    def failing_for(self, provider_id: str, error: Exception) -> Iterator[None]:
        listed = cinder_inventory.Inventory.snapshots

        def list_or_fail(inventory: cinder_inventory.Inventory, asked_id: str) -> Any:
            if asked_id == provider_id:
                raise error
            return listed(inventory, asked_id)

        with mock.patch.object(cinder_inventory.Inventory, 'snapshots', list_or_fail):
            yield

    def test_rights_that_are_lacking(self) -> None:
        self.protected()
        self.cinder.is_admin = False
        for _ in range(2):
            self.look()
            self.assertIn('lacks the right', self.remark())
        self.assertNotIn('karbor', self.remark())  # the name of Karbor's user is nobody's business
        (log,) = self.logs()
        self.assertEqual(('fail', self.remark()), (log['status'], log['error_info']))
        self.assertEqual(self.remark(), self.get('/coverage')['look']['remark'])
        self.cinder.is_admin = True
        self.look()
        self.assertIsNone(self.remark())

    def test_credentials_that_keystone_refuses(self) -> None:
        self.protected()
        refusal = ks_exc.Unauthorized('no')
        with mock.patch.object(self.inventory._session, 'get_project_id', side_effect=refusal):
            self.look()
        self.assertIn('lacks the right', self.remark())

    def test_rights_in_a_dry_run(self) -> None:
        self.protected()
        self.cinder.is_admin = False
        check = orphans.OrphanCheck(self.registry, lambda: self.inventory)
        self.assertRaises(
            exception.InventoryRefused, list, check.reports(0, False, is_dry_run=True)
        )
        self.assertEqual([], self.rows(models.ProjectLook))

    def test_a_second_provider_that_fails(self) -> None:
        """What was compared is told, and of the rest only what rights are lacking."""
        other_id = self.add_provider()
        theirs = self.add_row(models.Checkpoint, project_id=OTHER_PROJECT_ID, provider_id=other_id)
        self.add_row(
            models.RecoveryPoint,
            checkpoint_id=theirs.id,
            project_id=OTHER_PROJECT_ID,
            provider_id=other_id,
            plan_id=theirs.plan_id,
            resource_type=VOLUME,
            resource_id=new_id(),
            resource_name='',
            cloud_id=new_id(),
            state='good',
        )
        self.doubtful()
        for error, told in (
            (exception.InventoryFailed(reason='away'), None),
            (exception.InventoryRefused(reason='no'), 'lacks the right'),
        ):
            with self.failing_for(other_id, error):
                self.look()
            remarks = {row.project_id: row.remark for row in self.rows(models.ProjectLook)}
            self.assertIn('2 of 2', remarks[PROJECT_ID])
            if told is None:
                self.assertNotIn(OTHER_PROJECT_ID, remarks)
            else:
                self.assertIn(told, remarks[OTHER_PROJECT_ID])

    def test_a_fault_behind_the_comparison(self) -> None:
        self.doubtful()
        self.protected()
        with mock.patch.object(orphans, 'Judge', side_effect=LookupError):
            self.assertRaises(LookupError, self.look)
        self.assertIn('2 of 3', self.remark())

    def test_what_another_worker_looks_at(self) -> None:
        """Who has other providers says nothing of its projects."""
        self.doubtful()
        self.look()
        remark = self.remark()
        orphans.OrphanCheck([], lambda: self.inventory).check_orphans()
        self.assertEqual(remark, self.remark())

    def test_a_project_that_has_nothing_any_more(self) -> None:
        self.doubtful()
        self.look()
        with db.writer() as session:
            session.execute(sa.update(models.RecoveryPoint).values(state='deleted'))
        self.look()
        self.assertIsNone(self.remark())


class CostTest(RealityTestCase):
    def test_many_points(self) -> None:
        """Few statements, and as many a point when there are more of them."""
        self.board.end()  # whose looks at the jobs are not meant
        costs = []
        for count in (1000, 9000):
            self._fill(count)
            statements: list[str] = []
            with self._counted(statements), self._without_snapshots():
                self.look()
            costs.append(len(statements))
        with db.reader() as session:
            missing = session.scalar(
                sa.select(sa.func.count())
                .select_from(models.RecoveryPoint)
                .where(models.RecoveryPoint.state == 'missing')
            )
        self.assertEqual(10000 // 10, missing)
        self.assertLess(costs[1], 60, costs)

    @contextlib.contextmanager
    def _counted(self, statements: list[str]) -> Iterator[None]:
        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        engine = db.engine()
        sa.event.listen(engine, 'before_cursor_execute', note)
        try:
            yield
        finally:
            sa.event.remove(engine, 'before_cursor_execute', note)

    @contextlib.contextmanager
    def _without_snapshots(self) -> Iterator[None]:
        """A Cinder that has nine of ten of them."""
        items = [
            cinder_inventory.Item(
                id=str(row.cloud_id),
                name='',
                status='available',
                created_at=datetime.datetime(2026, 1, 1),
                size=1,
                volume_id=row.resource_id,
                project_id=row.project_id,
                metadata={},
            )
            for row in self.rows(models.RecoveryPoint)
            if not row.cloud_id.endswith('-0')
        ]
        with (
            mock.patch.object(cinder_inventory.Inventory, 'snapshots', return_value=items),
            mock.patch.object(cinder_inventory.Inventory, 'has_snapshot', return_value=False),
            # What orphans cost is not meant.
            mock.patch.object(orphans, 'Judge'),
        ):
            yield

    def _fill(self, count: int) -> None:
        checkpoint = self.add_row(models.Checkpoint)
        rows = [
            {
                'id': new_id(),
                'checkpoint_id': checkpoint.id,
                'resource_type': VOLUME,
                'resource_id': f'{checkpoint.id}-{number}',
                'resource_name': '',
                'project_id': PROJECT_ID,
                'provider_id': PROVIDER_ID,
                'plan_id': checkpoint.plan_id,
                'cloud_id': f'{number}-of-{checkpoint.id}-{number % 10}',
                'state': constants.RecoveryPointState.GOOD,
            }
            for number in range(count)
        ]
        with db.writer() as session:
            session.execute(sa.insert(models.RecoveryPoint), rows)


class VerificationTest(RealityTestCase):
    def verified(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        return self.ended_use('verification', self.use('verification', checkpoint))

    def test_what_it_does_not_find_is_missing(self) -> None:
        lost, kept = self.volume(), self.volume()
        checkpoint = self.protected(lost, kept)
        snapshot = self.lose(lost)
        found = self.verified(checkpoint)
        self.assertEqual('fail', found['status'])
        self.assertIn('does not exist any more', found['status_reason'])
        self.assertIn('1 recovery point is missing', found['status_reason'])
        self.assertEqual({lost['id']: 'missing', kept['id']: 'good'}, self.states(checkpoint))
        (point,) = self.get('/recovery_points', params={'state': 'missing'})['recovery_points']
        self.assertIn(found['id'], point['reason'])
        self.assertEqual('1 recovery point is missing', self.reason(checkpoint))
        (log,) = self.logs()
        self.assertEqual(('fail', checkpoint['id']), (log['status'], log['checkpoint_id']))
        self.verified(checkpoint)
        self.assertEqual(1, len(self.logs()))
        self.cinder.snapshots[snapshot['id']] = snapshot
        found = self.verified(checkpoint)
        self.assertEqual('success', found['status'])
        self.assertIn('1 recovery point is good again', found['status_reason'])
        self.assertEqual({'good'}, set(self.states(checkpoint).values()))
        self.assertIsNone(self.reason(checkpoint))

    def test_more_than_half_of_a_project(self) -> None:
        volumes = [self.volume() for _ in range(3)]
        checkpoint = self.protected(*volumes)
        for volume in volumes[:2]:
            self.lose(volume)
        found = self.verified(checkpoint)
        self.assertIn('2 of 3 good recovery points cannot', found['status_reason'])
        self.assertEqual({'good'}, set(self.states(checkpoint).values()))
        self.assertIn('2 of 3 good recovery points', self.remark())
        (log,) = self.logs(checkpoint_id=checkpoint['id'])
        self.assertEqual(('fail', self.remark()), (log['status'], log['error_info']))
        self.protected(*[self.volume() for _ in range(2)])
        self.verified(checkpoint)
        self.assertEqual(['good', 'missing', 'missing'], sorted(self.states(checkpoint).values()))

    def test_more_than_half_of_what_is_good_still(self) -> None:
        volumes = [self.volume() for _ in range(4)]
        checkpoint = self.protected(*volumes)
        for part in (volumes[:2], volumes[2:]):
            for volume in part:
                self.lose(volume)
            found = self.verified(checkpoint)
            self.assertEqual(2, list(self.states(checkpoint).values()).count('missing'))
        self.assertIn('2 of 2 good', found['status_reason'])

    def test_the_only_one(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume)
        self.lose(volume)
        kept = dict(self.cinder.volumes)
        self.cinder.volumes.clear()
        self.assertIn('it may be another cloud', self.verified(checkpoint)['status_reason'])
        self.assertEqual({volume['id']: 'good'}, self.states(checkpoint))
        self.cinder.volumes.update(kept)
        self.verified(checkpoint)
        self.assertEqual({volume['id']: 'missing'}, self.states(checkpoint))

    def test_a_project_that_is_well_is_no_sign(self) -> None:
        """It is there in every cloud, so it says nothing of what else is not."""
        self.cinder.add_volume()
        project = base.resource(PROJECT_ID, constants.PROJECT_RESOURCE_TYPE, 'p')
        checkpoint = self.protected(project)
        self.cinder.snapshots.clear()
        self.cinder.volumes.clear()
        self.assertIn('it may be another cloud', self.verified(checkpoint)['status_reason'])
        self.assertEqual({'good'}, set(self.states(checkpoint).values()))

    def test_a_cinder_that_does_not_tell(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume)
        self.lose(volume)
        self.cinder.faults.append(Fault(method='GET', path='/snapshots/(?!detail)', status=403))
        self.assertEqual('fail', self.verified(checkpoint)['status'])
        self.assertEqual({volume['id']: 'good'}, self.states(checkpoint))

    def test_a_deletion_that_begins(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume)
        (snapshot,) = self.cinder.snapshots.values()
        self.lose(volume)

        def begin() -> None:
            db.transaction(recovery_points.begin_deletion)(checkpoint['id'])

        self.cinder.faults.append(
            Fault(method='GET', path=f'/snapshots/{snapshot["id"]}', times=1, hook=begin)
        )
        self.verified(checkpoint)
        self.assertEqual({volume['id']: 'deleting'}, self.states(checkpoint))

    def test_another_fault_of_a_snapshot(self) -> None:
        volume = self.volume()
        checkpoint = self.protected(volume)
        (snapshot,) = self.cinder.snapshots.values()
        snapshot['status'] = 'error'
        self.assertEqual('fail', self.verified(checkpoint)['status'])
        self.assertEqual({volume['id']: 'good'}, self.states(checkpoint))


class SeamTest(testtools.TestCase):
    def test_a_plugin_tells_it_by_its_exception(self) -> None:
        for error, is_lost in (
            (exception.VerifyResourceFailed(reason='r', is_lost=True), True),
            (exception.VerifyResourceFailed(reason='r'), False),
            (RuntimeError('r'), False),
        ):
            self.assertIs(is_lost, failures.Failure.of(error).is_lost)
