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

"""Every call of ``karbor.client``, asked of the API over HTTP."""

import datetime
import threading

import sqlalchemy as sa
from openstack import exceptions

from karbor import db
from karbor.client import waiting
from karbor.db import models
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, calling
from karbor.tests.functional.base import VOLUME
from karbor.tests.functional.calling import PARAMETERS, PATIENCE


class WhatThereIsTest(calling.CallsTestCase):
    def test_providers(self) -> None:
        (provider,) = self.calls.providers()
        self.assertEqual((PROVIDER_ID, 'provider'), (provider.id, provider.name))
        for found in (
            self.calls.get_provider(PROVIDER_ID),
            self.calls.find_provider('provider'),
            self.calls.find_provider(PROVIDER_ID),
        ):
            self.assertEqual(provider.to_dict(), found.to_dict())
        self.assertIn(VOLUME, provider.extended_info_schema['options_schema'])
        self.assertEqual([], list(self.calls.providers(name='another')))
        self.assertIsNone(self.calls.find_provider('another'))

    def test_protectables(self) -> None:
        volume = self.volume(name='db')
        self.assertEqual({base.PROJECT, VOLUME}, set(self.calls.protectable_types()))
        project = self.calls.get_protectable_type(base.PROJECT)
        self.assertEqual((base.PROJECT, [VOLUME]), (project.name, project.dependent_types))
        (instance,) = self.calls.protectable_instances(VOLUME, limit=1)
        for found in (
            instance,
            self.calls.get_protectable_instance(VOLUME, volume['id']),
            self.calls.get_protectable_instance(VOLUME, volume['id'], {'a': 'b'}),
        ):
            self.assertEqual((volume['id'], 'db', VOLUME), (found.id, found.name, found.type))
        (inside,) = self.calls.get_protectable_instance(
            base.PROJECT, PROJECT_ID
        ).dependent_resources
        self.assertEqual(volume['id'], inside['id'])

    def test_health(self) -> None:
        health = self.calls.health()
        self.assertEqual('ok', health.status)
        self.assertEqual({'database', 'job_board', 'banks'}, set(health.checks))

    def test_services(self) -> None:
        row = self.add_row(
            models.Service,
            host='h',
            binary='karbor-protection',
            reported_at=datetime.datetime(2020, 11, 5),
        )
        admin = self.protection('admin')
        self.assertEqual([], list(admin.services(host='another')))
        (service,) = admin.services(host='h', binary='karbor-protection')
        self.assertEqual((row.id, 'enabled', 'down'), (service.id, service.status, service.state))
        disabled = admin.disable_service(service, 'an upgrade')
        self.assertEqual(('disabled', 'an upgrade'), (disabled.status, disabled.disabled_reason))
        self.assertEqual('enabled', admin.enable_service(row.id).status)


class PlansTest(calling.CallsTestCase):
    def test_a_life(self) -> None:
        volume = self.volume()
        plan = self.calls.create_plan(
            'nightly', PROVIDER_ID, [volume], parameters=PARAMETERS, description='of the test'
        )
        self.assertEqual([volume], plan.resources)
        self.assertEqual(PARAMETERS, plan.parameters)
        self.assertEqual(
            (PROJECT_ID, PROVIDER_ID, 'of the test', 'suspended'),
            (plan.project_id, plan.provider_id, plan.description, plan.status),
        )
        for found in (
            self.calls.get_plan(plan.id),
            self.calls.get_plan(plan),
            self.calls.find_plan('nightly'),
            self.calls.find_plan(plan.id),
            *self.calls.plans(name='night'),
        ):
            self.assertEqual(plan.to_dict(), found.to_dict())

        changed = self.calls.update_plan(plan, name='new', description=None)
        self.assertEqual(
            ('new', None, [volume]), (changed.name, changed.description, plan.resources)
        )
        self.assertEqual('new', self.calls.get_plan(plan).name)
        (covered,) = self.calls.plan_resources(plan)
        self.assertEqual((volume['id'], True), (covered.id, covered.covered))

        self.calls.delete_plan(plan)
        self.assertEqual([], list(self.calls.plans()))
        self.calls.delete_plan(plan)
        self.assertRaises(
            exceptions.NotFoundException, self.calls.delete_plan, plan, ignore_missing=False
        )

    def test_two_of_one_name(self) -> None:
        ids = {self.plan().id, self.plan().id}
        fault = self.assertRaises(exceptions.DuplicateResource, self.calls.find_plan, 'nightly')
        self.assertEqual(ids, set(str(fault).partition(': ')[2].split(', ')))

    def test_all_pages(self) -> None:
        """1,000 and more, of which a page has at most a thousand."""
        self.fill_plans(1003)
        with calling.requests_of(self.calls) as asked:
            self.assertEqual(1003, len({plan.id for plan in self.calls.plans(sort='name:asc')}))
        self.assertEqual(2, len(asked))
        with calling.requests_of(self.calls) as asked:
            some = self.calls.plans(limit=100, offset=2)
            self.assertEqual(100, len([next(some) for _ in range(100)]))
            self.assertEqual(1, len(asked))
            self.assertEqual(901, len(list(some)))
        self.assertEqual(11, len(asked))

    def fill_plans(self, count: int) -> None:
        with db.writer() as session:
            session.execute(
                sa.insert(models.Plan),
                [{**base.fields_of(models.Plan), 'id': new_id()} for _ in range(count)],
            )


class CheckpointsTest(calling.CallsTestCase):
    def test_a_life(self) -> None:
        volume = self.volume()
        plan = self.plan(volume)
        seen = []
        begun = self.calls.create_checkpoint(plan, {'why': 'test'})
        made = self.calls.wait_for_checkpoint(begun, callback=seen.append, **PATIENCE)
        self.assertEqual(
            ('available', PROVIDER_ID, False), (made.status, made.provider_id, made.pinned)
        )
        self.assertEqual(waiting.Progress(1, 0, 1), seen[-1])
        self.assertIn('"why": "test"', made.extra_info)
        (inside,) = made.resources
        self.assertEqual((volume['id'], 'good'), (inside['id'], inside['state']))
        today = datetime.datetime.now(datetime.UTC).date()
        for listed in (
            self.calls.checkpoints(),
            self.calls.checkpoints(PROVIDER_ID, plan_id=plan.id, start_date=today, end_date=today),
            self.calls.checkpoints(self.calls.get_provider(PROVIDER_ID), status='available'),
        ):
            self.assertEqual([(made.id, PROVIDER_ID)], [(c.id, c.provider_id) for c in listed])
        (point,) = self.calls.recovery_points(resource_id=volume['id'], state='good', since=today)
        self.assertEqual((made.id, plan.id), (point.checkpoint_id, point.plan_id))

        self.calls.pin_checkpoint(made)
        self.assertTrue(self.calls.get_checkpoint(made).pinned)
        self.calls.unpin_checkpoint(made.id, PROVIDER_ID)
        self.assertFalse(self.calls.get_checkpoint(made.id, PROVIDER_ID).pinned)
        self.calls.reset_checkpoint(made, 'error')
        self.assertEqual('error', self.calls.get_checkpoint(made).status)

        self.calls.delete_checkpoint(made)
        self.assertEqual('deleted', self.calls.wait_for_checkpoint(made, **PATIENCE).status)
        self.assertEqual({}, self.cinder.snapshots)
        self.assertEqual([], list(self.calls.checkpoints()))

    def test_one_that_fails(self) -> None:
        good, bad = self.volume(), self.volume(status='error')
        begun = self.calls.create_checkpoint(self.plan(good, bad))
        seen = []
        fault = self.assertRaises(
            waiting.Failed,
            self.calls.wait_for_checkpoint,
            begun,
            callback=seen.append,
            **PATIENCE,
        )
        self.assertEqual(waiting.Progress(1, 1, 2), seen[-1])
        self.assertIn(fault.resource.status_reason, str(fault))
        self.assertIn(bad['id'], str(fault.resource.resources_reason))

    def test_one_that_takes_too_long(self) -> None:
        held = threading.Event()
        self.addCleanup(held.set)
        self.cinder.faults.append(
            Fault(method='POST', path='/snapshots', times=1, hook=lambda: held.wait(20))
        )
        begun = self.calls.create_checkpoint(self.plan())
        fault = self.assertRaises(
            waiting.TimedOut, self.calls.wait_for_checkpoint, begun, interval=0.05, timeout=0.2
        )
        self.assertIn('protecting after 0.2 seconds', str(fault))
        held.set()
        self.assertEqual('available', self.calls.wait_for_checkpoint(begun, **PATIENCE).status)

    def test_copies(self) -> None:
        plan = self.plan()
        fault = self.assertRaises(exceptions.BadRequestException, self.calls.copy_checkpoints, plan)
        self.assertIn('No plugin of the provider', fault.details)


class UsesTest(calling.CallsTestCase):
    def test_a_restore(self) -> None:
        one, two = self.volume(), self.volume()
        made = self.checkpoint(one, two)
        seen = []
        begun = self.calls.create_restore(
            made, {VOLUME: {'restore_name': 'back'}}, restore_target='http://here'
        )
        ended = self.calls.wait_for_restore(begun, callback=seen.append, **PATIENCE)
        self.assertEqual(('success', 'http://here'), (ended.status, ended.restore_target))
        self.assertEqual(waiting.Progress(2, 0, 2), seen[-1])
        new = {self.cinder.volumes[each]['name'] for each in ended.new_resources.values()}
        self.assertEqual((2, {'back'}), (len(ended.new_resources), new))
        (listed,) = self.calls.restores(checkpoint_id=made.id)
        self.assertEqual(begun.id, listed.id)
        self.assertEqual(ended.to_dict(), self.calls.get_restore(begun.id).to_dict())

    def test_a_restore_that_fails(self) -> None:
        made = self.checkpoint()
        self.cinder.faults.append(Fault(method='POST', path='/volumes', status=400, times=9))
        begun = self.calls.create_restore(made)
        fault = self.assertRaises(waiting.Failed, self.calls.wait_for_restore, begun, **PATIENCE)
        self.assertIn(f'Restore {begun.id} ended with fail: ', str(fault))

    def test_a_verification(self) -> None:
        made = self.checkpoint()
        seen = []
        begun = self.calls.create_verification(made)
        ended = self.calls.wait_for_verification(begun.id, callback=seen.append, **PATIENCE)
        self.assertEqual('success', ended.status)
        self.assertEqual(waiting.Progress(1, 0, 1), seen[-1])
        (listed,) = self.calls.verifications(status='success')
        self.assertEqual(begun.id, listed.id)
        self.assertEqual(ended.to_dict(), self.calls.get_verification(begun).to_dict())

        self.cinder.snapshots.clear()
        begun = self.calls.create_verification(made)
        fault = self.assertRaises(
            waiting.Failed, self.calls.wait_for_verification, begun, **PATIENCE
        )
        self.assertEqual('fail', fault.resource.status)
