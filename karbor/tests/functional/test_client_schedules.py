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

"""Schedules, coverage and quotas by ``karbor.client``; what the API refuses; how it is found."""

from typing import Any

import falcon
import fixtures
import openstack
from openstack import exceptions

import karbor.client
from karbor.client import waiting
from karbor.testing import fake_keystone
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, calling
from karbor.tests.functional.base import TRIGGER_PROPERTIES
from karbor.tests.functional.calling import PATIENCE


class SchedulesTest(calling.CallsTestCase):
    def test_triggers(self) -> None:
        trigger = self.calls.create_trigger('nightly', TRIGGER_PROPERTIES)
        self.assertEqual(5, len(trigger.next_fires))
        for found in (
            self.calls.get_trigger(trigger),
            self.calls.find_trigger(trigger.id),
        ):
            self.assertEqual(trigger.to_dict(), found.to_dict())
        (listed,) = self.calls.triggers(name='night')
        self.assertEqual((trigger.id, trigger.properties), (listed.id, listed.properties))
        self.assertEqual(trigger.id, self.calls.find_trigger('nightly').id)
        changed = self.calls.update_trigger(
            trigger, name='new', properties={'timezone': 'Europe/Berlin', 'start_time': None}
        )
        self.assertEqual('new', changed.name)
        self.assertEqual('Europe/Berlin', changed.properties['timezone'])
        self.assertEqual(trigger.properties['pattern'], changed.properties['pattern'])
        self.calls.delete_trigger(trigger)
        self.assertEqual([], list(self.calls.triggers()))

    def test_scheduled_operations(self) -> None:
        plan, trigger = self.plan(), self.calls.create_trigger('nightly', TRIGGER_PROPERTIES)
        operation = self.calls.create_scheduled_operation(
            'keep', plan, trigger, definition={'keep_last': 1}, description='of the test'
        )
        self.assertEqual(
            ('retention_protect', True, 1, 'of the test'),
            (
                operation.operation_type,
                operation.enabled,
                operation.operation_definition['keep_last'],
                operation.description,
            ),
        )
        for found in (
            self.calls.get_scheduled_operation(operation),
            self.calls.find_scheduled_operation('keep'),
            *self.calls.scheduled_operations(trigger_id=trigger.id),
        ):
            self.assertEqual(operation.to_dict(), found.to_dict())
        fault = self.assertRaises(exceptions.ConflictException, self.calls.delete_plan, plan)
        self.assertIn(operation.id, fault.details)

        run = self.calls.run_scheduled_operation(operation)
        seen = []
        ended = self.calls.wait_for_run(run, callback=seen.append, **PATIENCE)
        self.assertEqual(('available', operation.id), (ended.status, ended.scheduled_operation_id))
        self.assertEqual(waiting.Progress(1, 0, 1), seen[-1])
        self.assertEqual(ended.to_dict(), self.calls.get_operation_log(run.id).to_dict())
        (listed,) = self.calls.operation_logs(
            scheduled_operation_id=operation.id, operation_type='protect'
        )
        self.assertEqual(run.id, listed.id)

        for preview in (
            self.calls.preview_plan_retention(plan, keep_daily=7, timezone='Europe/Berlin'),
            self.calls.preview_scheduled_operation_retention(operation, retention_scope='plan'),
        ):
            self.assertEqual([], preview.removed)
            self.assertEqual(
                [ended.checkpoint_id], [each['checkpoint_id'] for each in preview.kept]
            )

        changed = self.calls.update_scheduled_operation(
            operation, enabled=False, operation_definition={'keep_daily': 3}
        )
        self.assertEqual(
            (False, 1, 3),
            (
                changed.enabled,
                changed.operation_definition['keep_last'],
                changed.operation_definition['keep_daily'],
            ),
        )
        self.calls.delete_scheduled_operation(operation)
        self.assertEqual([], list(self.calls.scheduled_operations()))

    def test_schedules(self) -> None:
        """A trigger and its operation as one."""
        plan = self.plan()
        preview = self.calls.preview_schedule(
            '30 2 * * *', plan, timezone='Europe/Berlin', retention={'keep_daily': 7}
        )
        self.assertEqual((5, 7), (len(preview.next_fires), preview.most['recovery_points']))
        self.assertEqual((1, 8), (preview.most['volumes'], preview.most['snapshots']))
        self.assertEqual([], list(self.calls.schedules()))

        schedule = self.calls.create_schedule(
            'nightly', plan, '30 2 * * *', timezone='Europe/Berlin', retention={'keep_daily': 7}
        )
        self.assertEqual(
            [fire['utc'] for fire in preview.next_fires],
            [fire['utc'] for fire in schedule.next_fires],
        )
        for found in (self.calls.get_schedule(schedule), self.calls.find_schedule(schedule.id)):
            self.assertEqual(schedule.to_dict(), found.to_dict())
        self.assertEqual(schedule.id, self.calls.find_schedule('nightly').id)
        (listed,) = self.calls.schedules(plan_id=plan.id, enabled=True)
        self.assertEqual((schedule.id, None), (listed.id, listed.next_fires))
        self.assertEqual([], list(self.calls.schedules(enabled=False)))

        run = self.calls.run_scheduled_operation(schedule.id)
        self.calls.wait_for_run(run, **PATIENCE)
        shown = self.calls.get_schedule(schedule)
        self.assertEqual(
            (run.id, 'available'), (shown.last_run['operation_log_id'], shown.last_run['status'])
        )
        changed = self.calls.update_schedule(
            schedule, enabled=False, pattern='0 4 * * *', retention={'keep_weekly': 4}
        )
        self.assertEqual(
            (False, '0 4 * * *', None), (changed.enabled, changed.pattern, changed.next_run_at)
        )
        self.assertEqual({'keep_daily': 7, 'keep_weekly': 4}, changed.retention)
        self.calls.delete_schedule(schedule)
        self.assertEqual([], list(self.calls.schedules()))
        self.assertEqual([], list(self.calls.triggers()))

    def test_a_run_that_fails(self) -> None:
        plan = self.plan(self.volume(status='error'))
        trigger = self.calls.create_trigger('nightly', TRIGGER_PROPERTIES)
        operation = self.calls.create_scheduled_operation('keep', plan, trigger.id)
        run = self.calls.run_scheduled_operation(operation)
        fault = self.assertRaises(waiting.Failed, self.calls.wait_for_run, run, **PATIENCE)
        self.assertIn('ended with error: ', str(fault))

    def test_coverage(self) -> None:
        covered, other = self.volume(name='a'), self.volume(name='b')
        self.checkpoint(covered)
        report = self.calls.coverage(limit=1)
        self.assertEqual(2, report.totals['unprotected'])
        self.assertIsNotNone(report.look.seen_at)
        self.assertEqual((None, None), (report.look.fault, report.look.remark))
        with calling.requests_of(self.calls) as asked:
            volumes = {volume.id: volume for volume in report.volumes}
        self.assertEqual(1, len(asked), 'the first page is there already')
        self.assertEqual({covered['id'], other['id']}, set(volumes))
        self.assertEqual(1, volumes[covered['id']].recovery_points)
        (named,) = self.calls.coverage(name='b', state='unprotected').volumes
        self.assertEqual((other['id'], 'b'), (named.id, named.name))
        behind = self.calls.coverage(marker=next(iter(volumes)))
        self.assertEqual((None, 1), (behind.totals, len(list(behind.volumes))))


class QuotasTest(calling.CallsTestCase):
    def test_a_project(self) -> None:
        admin = self.protection('admin')
        default = self.calls.get_quota()
        self.assertEqual(PROJECT_ID, default.id)
        self.assertEqual(default.to_dict(), self.calls.get_quota_defaults(PROJECT_ID).to_dict())
        changed = admin.update_quota(PROJECT_ID, plans=7, checkpoints=-1)
        self.assertEqual(
            (7, -1, default.schedules), (changed.plans, changed.checkpoints, changed.schedules)
        )
        self.plan()
        detail = self.calls.get_quota_detail()
        self.assertEqual({'limit': 7, 'in_use': 1, 'reserved': 0}, detail.plans)
        admin.delete_quota(PROJECT_ID)
        self.assertEqual(default.to_dict(), self.calls.get_quota(PROJECT_ID).to_dict())
        self.assertRaises(exceptions.NotFoundException, self.calls.get_quota, OTHER_PROJECT_ID)
        self.assertEqual(OTHER_PROJECT_ID, admin.get_quota(OTHER_PROJECT_ID).id.replace('-', ''))

    def test_a_class(self) -> None:
        admin = self.protection('admin')
        self.assertEqual(5, admin.update_quota_class(plans=5).plans)
        self.assertEqual(
            ('default', 5), (admin.get_quota_class().id, admin.get_quota_class().plans)
        )
        self.assertEqual(5, self.calls.get_quota().plans)
        self.assertEqual('a b', admin.get_quota_class('a b').id)


class ErrorsTest(calling.CallsTestCase):
    def test_what_the_api_says(self) -> None:
        plan = self.plan()
        missing = new_id()
        for status, call in (
            (400, lambda: self.calls.get_plan('x')),
            (400, lambda: list(self.calls.plans(colour='red'))),
            (400, lambda: self.calls.update_plan(plan, colour='red')),
            (403, lambda: self.protection('reader').delete_plan(plan)),
            (404, lambda: self.calls.get_plan(missing)),
            (404, lambda: self.calls.get_checkpoint(missing, PROVIDER_ID)),
            (400, lambda: self.calls.create_trigger('t', {'format': 'x', 'pattern': 'y'})),
        ):
            fault = self.assertRaises(exceptions.HttpException, call)
            expected = fault.response.json()
            (told,) = expected.values()
            self.assertEqual((status, told['message']), (fault.status_code, fault.details))
            self.assertIn(told['message'], str(fault))
            self.assertTrue(fault.request_id.startswith('req-'))

    def test_a_quota(self) -> None:
        self.protection('admin').update_quota(PROJECT_ID, plans=0)
        fault = self.assertRaises(exceptions.HttpException, self.plan)
        self.assertEqual(413, fault.status_code)
        self.assertIn('0', fault.details)


class _Tokens(personas.Authentication):
    """Takes the tokens of a fake Keystone for a manager's."""

    def __init__(self, keystone: fake_keystone.FakeKeystone) -> None:
        self._keystone = keystone

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.get_header('X-Auth-Token') in self._keystone.tokens:
            req.env['HTTP_X_AUTH_TOKEN'] = base.TOKEN
        super().process_request(req, resp)


@base.in_process_only('the tokens are those that Keystone gives out in this process')
class CatalogTest(calling.ClientTestCase):
    """How Karbor is found."""

    def setUp(self) -> None:
        self.keystone = fake_keystone.FakeKeystone()
        serving = self.keystone.serve()
        self.auth_url = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)
        super().setUp()
        states = self.useFixture(fixtures.TempDir()).path  # nor whoever runs this
        self.useFixture(fixtures.EnvironmentVariable('XDG_STATE_HOME', states))

    def authentication(self) -> Any:
        return _Tokens(self.keystone)

    def connection(self, **more: Any) -> openstack.connection.Connection:
        conn = openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            region_name='RegionOne',
            auth={
                'auth_url': self.auth_url,
                'user_id': fake_keystone.ME,
                'password': fake_keystone.PASSWORD,
                'project_id': PROJECT_ID,
            },
            **more,
        )
        self.addCleanup(conn.close)
        return conn

    def test_by_the_catalog(self) -> None:
        self.keystone.services['data-protect'] = self.endpoint()
        conn = self.connection()
        calls = karbor.client.add_to(conn)
        self.assertIs(calls, conn.protection)
        self.assertEqual([PROVIDER_ID], [each.id for each in conn.protection.providers()])
        self.assertEqual(PROJECT_ID, calls.own_project_id)

    def test_by_an_override(self) -> None:
        for more in ({}, {'data_protect_api_version': '1'}):
            conn = self.connection(data_protect_endpoint_override=self.endpoint(), **more)
            karbor.client.add_to(conn)
            self.assertEqual([PROVIDER_ID], [each.id for each in conn.protection.providers()])

    def test_a_cloud_without_karbor(self) -> None:
        calls = karbor.client.add_to(self.connection())
        fault = self.assertRaises(exceptions.ServiceDisabledException, getattr, calls, 'plans')
        self.assertIn('data-protect', str(fault))
