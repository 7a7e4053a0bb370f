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

"""Nobody has to look to know: what goes wrong with schedules and volumes stands as a trouble."""

import datetime
from typing import Any
from unittest import mock

import sqlalchemy as sa

from karbor import db, exception
from karbor.cmd import job_kinds
from karbor.common.constants import TroubleKind
from karbor.db import models, purging, troubles
from karbor.services.jobs import admin, runner
from karbor.services.notifications import coverage_looks, coverage_troubles
from karbor.testing.fake_cinder import Fault
from karbor.tests import inventories, personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, new_id
from karbor.tests.functional import base, test_retention

_UNKNOWN = ('id', 'advice', 'opened_at', 'updated_at')


class TroublesTestCase(test_retention.RetentionTestCase):
    """A plan of two volumes, ``a`` and ``b``."""

    def troubles(self, **query: str) -> list[dict[str, Any]]:
        """The newest first."""
        shown: list[dict[str, Any]] = self.get('/troubles', params=query)['troubles']
        return shown

    def kinds(self, **query: str) -> list[str]:
        return sorted(trouble['kind'] for trouble in self.troubles(**query))

    def health(self, code: int = 200) -> dict[str, Any]:
        assert self.client is not None
        answer = self.client.simulate_get(
            f'/v1/{PROJECT_ID}/health',
            headers={'X-Auth-Token': personas.token('reader', PROJECT_ID)},
        )
        self.assertEqual(code, answer.status_code, answer.text)
        health: dict[str, Any] = answer.json['health']
        return health


class RunTest(TroublesTestCase):
    def test_a_run_that_failed_and_the_next_that_went_well(self) -> None:
        operation = self.create_operation()
        self.run_once()
        self.assertEqual([], self.troubles())
        for volume in (self.a, self.b):
            self.set_status(volume, 'error')
        log = self.run_once()
        (trouble,) = self.troubles()
        self.assertEqual(
            {
                'project_id': PROJECT_ID,
                'kind': 'run_failed',
                'subject_type': 'schedule',
                'subject_id': operation['id'],
                'subject_name': 'keep',
                'reason': log['error_info'],
                'count': 2,
                'state': 'open',
                'closed_at': None,
            },
            {name: trouble[name] for name in trouble if name not in _UNKNOWN},
        )
        self.assertIn('schedule run', trouble['advice'])
        self.assertEqual({'trouble': trouble}, self.get(f'/troubles/{trouble["id"]}'))

        self.set_status(self.a, 'available')
        self.run_once()
        self.assertEqual(['run_partly_failed'], self.kinds())
        for volume in (self.a, self.b):
            self.set_status(volume, 'available')
        self.run_once()
        self.assertEqual([], self.troubles())
        self.assertEqual(['run_failed', 'run_partly_failed'], self.kinds(state='closed'))
        (before,) = self.troubles(state='closed', kind='run_failed')
        self.assertIsNotNone(before['closed_at'])

        for volume in (self.a, self.b):
            self.set_status(volume, 'error')
        self.run_once()
        (again,) = self.troubles()
        self.assertEqual((before['id'], None), (again['id'], again['closed_at']))
        self.assertLess(before['opened_at'], again['opened_at'])

    def test_one_that_fails_again_is_the_same(self) -> None:
        self.create_operation()
        self.set_status(self.a, 'error')
        self.run_once()
        (before,) = self.troubles()
        self.set_status(self.b, 'error')
        self.set_status(self.a, 'available')
        self.run_once()
        (after,) = self.troubles()
        self.assertEqual((before['id'], before['opened_at']), (after['id'], after['opened_at']))
        self.assertNotEqual(before['reason'], after['reason'])
        self.assertLess(before['updated_at'] or '', after['updated_at'])

    def test_missed(self) -> None:
        operation = self.create_operation()
        self.now += datetime.timedelta(days=1)
        self.engine.fire_all_due()
        self.wait_for_quiet()
        told = self.troubles(kind='run_missed', state='all')
        self.assertEqual([operation['id']], [trouble['subject_id'] for trouble in told])
        self.assertGreater(told[0]['count'], 1)

    def test_skipped(self) -> None:
        self.create_operation('protect')
        self.board.end()
        self.fire()
        self.fire()
        (trouble,) = self.troubles()
        self.assertEqual('run_skipped', trouble['kind'])
        self.assertIn('goes on', trouble['reason'])
        (job,) = self.rows(models.Job)
        self.runner.run(job.id)
        self.assertEqual([], self.troubles())

    def test_of_one_that_was_disabled_or_deleted(self) -> None:
        operation = self.create_operation()
        path = f'/scheduled_operations/{operation["id"]}'
        self.set_status(self.a, 'error')
        self.run_once()
        self.assertEqual(['run_partly_failed'], self.kinds())
        self.put(path, {'scheduled_operation': {'enabled': False}})
        self.assertEqual([], self.kinds())
        self.run_now(operation)
        self.assertEqual([], self.kinds())
        self.put(path, {'scheduled_operation': {'enabled': True}})
        self.run_now(operation)
        self.assertEqual(['run_partly_failed'], self.kinds())
        self.delete(path)
        self.assertEqual([], self.kinds(state='all'))

    def test_a_trust_that_died_and_somebody_who_takes_over(self) -> None:
        operation = self.create_operation()
        died = exception.TrustDied(reason='Ask again.')
        with mock.patch.object(runner.JobRunner, '_check_trust', side_effect=died):
            self.run_once()
        (trouble,) = self.troubles(kind='trust_dead')
        self.assertEqual(
            (operation['id'], 'Ask again.'), (trouble['subject_id'], trouble['reason'])
        )
        self.put(f'/schedules/{operation["id"]}', {'schedule': {'enabled': True}})
        self.assertEqual([], self.kinds(kind='trust_dead'))

    def test_by_schedules(self) -> None:
        operation = self.create_operation()
        self.set_status(self.a, 'error')
        self.run_once()
        self.put(f'/schedules/{operation["id"]}', {'schedule': {'enabled': False}})
        self.assertEqual([], self.kinds())


class RetentionTest(TroublesTestCase):
    def test_what_cannot_be_removed(self) -> None:
        self.create_operation(keep_last=1)
        self.runs(1)
        self.cinder.faults.append(Fault('DELETE', '/snapshots', status=403))
        self.runs(1)
        (trouble,) = self.troubles()
        self.assertEqual('retention_failed', trouble['kind'])
        self.runs(1)
        self.assertEqual([trouble['id']], [each['id'] for each in self.troubles()])
        self.cinder.faults.clear()
        self.runs(1)
        self.assertEqual([], self.troubles())

    def test_without_retention_there_is_nothing_to_remove(self) -> None:
        operation = self.create_operation(keep_last=1)
        self.runs(1)
        self.cinder.faults.append(Fault('DELETE', '/snapshots', status=403))
        self.runs(1)
        self.assertEqual(['retention_failed'], self.kinds())
        self.put(f'/schedules/{operation["id"]}', {'schedule': {'retention': None}})
        self.assertEqual([], self.kinds())

    def test_one_of_two_removals_fails_again(self) -> None:
        """It is over only once all that was asked for is removed."""
        self.create_operation(keep_last=1)
        first, *_ = self.runs(1)
        self.cinder.faults.append(Fault('DELETE', '/snapshots', status=403))
        self.runs(1)
        self.cinder.faults.clear()
        held = self.snapshot_of(self.a, first)
        self.cinder.faults.append(Fault('DELETE', f'/snapshots/{held}', status=403))
        self.runs(1)
        self.assertEqual(['retention_failed'], self.kinds())
        self.cinder.faults.clear()
        self.runs(1)
        self.assertEqual([], self.kinds())


class OperatorTest(TroublesTestCase):
    def test_a_parked_job(self) -> None:
        self.create_operation('protect')
        self.board.end()
        self.fire()
        (job,) = self.rows(models.Job)
        with db.writer() as session:
            session.execute(sa.update(models.Job).values(tries=99))
        self.runner.run(job.id)
        self.assertEqual(['run_failed'], self.kinds())
        theirs = self.get('/troubles?all_tenants=1', persona='admin')['troubles']
        self.assertEqual({'run_failed', 'job_parked'}, {each['kind'] for each in theirs})
        (parked,) = [each for each in theirs if each['kind'] == 'job_parked']
        self.assertEqual(('', job.id), (parked['project_id'], parked['subject_id']))
        self.get(f'/troubles/{parked["id"]}', 404)
        admin.cancel(job_kinds.JOB_KINDS, job.id)
        theirs = self.get('/troubles?all_tenants=1', persona='admin')['troubles']
        self.assertEqual(['run_failed'], [each['kind'] for each in theirs])


class VolumesTest(TroublesTestCase):
    def setUp(self) -> None:
        super().setUp()
        (first,) = (row for row in self.rows(models.Plan) if row.id != self.plan['id'])
        del self.cinder.volumes[first.resources[0]['id']]
        self.cinder.is_admin = True
        self.coverage_look = coverage_looks.CoverageLook(
            lambda: inventories.inventory(self.cinder.url)
        )

    def look(self) -> list[str]:
        """Look as a worker does after five minutes; returns the kinds that stand then."""
        self.get('/coverage')
        with db.writer() as session:
            session.execute(sa.update(models.ProjectLook).values(judged_at=None))
        self.coverage_look.look_at_coverage()
        return self.kinds()

    def test_many_volumes_of_a_plan_are_one_trouble(self) -> None:
        self.create_operation()
        self.run_once()
        self.assertEqual([], self.look())
        with db.writer() as session:
            before = db.now(session) - datetime.timedelta(hours=2)
            for model in (models.ScheduledOperation, models.RecoveryPoint):
                session.execute(sa.update(model).values(created_at=before))
            due = before + datetime.timedelta(hours=1)
            session.execute(sa.update(models.Trigger).values(last_fire_at=due))
        self.assertEqual(['volumes_late'], self.look())
        (trouble,) = self.troubles()
        self.assertEqual(
            ('plan', self.plan['id'], self.plan['name'], 2),
            tuple(
                trouble[name] for name in ('subject_type', 'subject_id', 'subject_name', 'count')
            ),
        )
        self.assertIn('a: no good recovery point since', trouble['reason'])
        self.assertEqual(['volumes_late'], self.look())
        self.run_once()
        self.assertEqual([], self.look())

    def test_unprotected_ones_of_a_project_are_one(self) -> None:
        other = self.volume(name='c')
        self.assertEqual(['volumes_unprotected'], self.look())
        (trouble,) = self.troubles()
        self.assertEqual(('project', PROJECT_ID), (trouble['subject_type'], trouble['subject_id']))
        self.create_operation()
        self.assertEqual(['volumes_unprotected'], self.look())
        (trouble,) = self.troubles()
        self.assertEqual((1, 'c: no schedule covers it'), (trouble['count'], trouble['reason']))
        del self.cinder.volumes[other['id']]
        with db.writer() as session:
            session.execute(sa.update(models.ProjectLook).values(volumes_seen_at=None))
        self.assertEqual([], self.look())

    def test_gone_and_missing(self) -> None:
        self.create_operation()
        self.run_once()
        del self.cinder.volumes[self.a['id']]
        with db.writer() as session:
            session.execute(sa.update(models.ProjectLook).values(volumes_seen_at=None))
            session.execute(
                sa.update(models.RecoveryPoint)
                .where(models.RecoveryPoint.resource_id == self.b['id'])
                .values(state='missing')
            )
        self.assertEqual(['points_missing', 'volumes_gone'], self.look())

    def test_many_names_are_some(self) -> None:
        for number in range(15):
            self.volume(name=f'v{number}')
        self.look()
        (trouble,) = self.troubles()
        self.assertEqual(17, trouble['count'])
        self.assertIn('; and 7 more', trouble['reason'])

    def test_keystone_may_be_away_once_the_region_is_known(self) -> None:
        self.create_operation()
        self.runs(1)
        inventory = mock.Mock(side_effect=exception.InventoryFailed(reason='Keystone is away'))
        del self.cinder.volumes[self.a['id']]
        self.get('/coverage')
        away = coverage_looks.CoverageLook(inventory)
        with self.assertLogs(coverage_looks.LOG.logger, 'WARNING') as logs:
            away.look_at_coverage()
        self.assertIn('Keystone is away', logs.output[0])
        self.assertEqual([], self.kinds())
        self.assertEqual(['volumes_gone'], self.look())
        self.patch(self.coverage_look, '_inventory', inventory)
        self.assertEqual(['volumes_gone'], self.look())

    def test_each_project_is_looked_at_by_one(self) -> None:
        self.look()
        judged = mock.Mock(wraps=coverage_troubles.of_project)
        self.patch(coverage_troubles, 'of_project', judged)
        base.at_once(*[self.coverage_look.look_at_coverage] * 4)
        judged.assert_not_called()
        with db.writer() as session:
            session.execute(sa.update(models.ProjectLook).values(judged_at=None))
        base.at_once(*[self.coverage_look.look_at_coverage] * 4)
        judged.assert_called_once()


class HealthTest(TroublesTestCase):
    def test_all_is_well(self) -> None:
        self.create_operation()
        self.run_once()
        health = self.health()
        self.assertEqual(
            ('ok', [], []), tuple(health[n] for n in ('status', 'reasons', 'troubles'))
        )
        self.assertEqual(2, health['coverage']['protected'])

    def test_what_is_not(self) -> None:
        self.create_operation()
        self.set_status(self.a, 'error')
        self.run_once()
        health = self.health(503)
        self.assertEqual('troubled', health['status'])
        self.assertIn('1 failing', health['reasons'])
        self.assertEqual(['run_partly_failed'], [each['kind'] for each in health['troubles']])

    def test_cinder_does_not_answer(self) -> None:
        """What was seen before counts, and that it was is told."""
        self.cinder.faults.append(Fault('GET', '/volumes/detail', status=403))
        health = self.health()
        self.assertIn('403', health['look']['fault'])

    def test_of_others(self) -> None:
        self.create_operation()
        self.set_status(self.a, 'error')
        self.run_once()
        (trouble,) = self.troubles()
        token = personas.token('manager', OTHER_PROJECT_ID)
        other = {'project_id': OTHER_PROJECT_ID, 'headers': {'X-Auth-Token': token}}
        self.assertEqual([], self.get('/troubles', **other)['troubles'])
        self.get(f'/troubles/{trouble["id"]}', 404, **other)
        self.assertEqual('ok', self.get('/health', **other)['health']['status'])


class AtOnceTest(TroublesTestCase):
    def test_several_open_one(self) -> None:
        trouble = troubles.Trouble(
            project_id=PROJECT_ID,
            kind=TroubleKind.RUN_FAILED,
            subject_id=new_id(),
            subject_name='keep',
            reason='it broke',
        )
        open_ = db.transaction(troubles.open_)
        base.at_once(*[lambda: open_(trouble)] * 6)
        self.assertEqual(['run_failed'], self.kinds())

    def test_old_ones_that_are_over_are_removed(self) -> None:
        self.create_operation()
        self.set_status(self.a, 'error')
        self.run_once()
        later = datetime.datetime.now() + datetime.timedelta(days=2)
        self.assertEqual(0, purging.purge_troubles(later))
        self.set_status(self.a, 'available')
        self.run_once()
        self.assertEqual(1, purging.purge_troubles(later))
