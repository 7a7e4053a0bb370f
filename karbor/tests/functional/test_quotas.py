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

import uuid
from typing import Any

import sqlalchemy as sa

from karbor import db
from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import resource

DEFAULTS = {
    'plans': 50,
    'checkpoints': 50_000,
    'schedules': 100,
    'triggers': 1_000,
    'verifications': 50_000,
    'jobs': 10_000,
}
HEADERS = {'X-Auth-Token': base.TOKEN}
GRAPH = '[{}, []]'
TRIGGER = {'trigger_info': {'name': 't', 'type': 'time', 'properties': base.TRIGGER_PROPERTIES}}


class QuotasTestCase(base.ApiTestCase):
    def quota(
        self, project_id: str = PROJECT_ID, part: str = '', persona: str = 'admin'
    ) -> dict[str, Any]:
        return self.get(f'/quotas/{project_id}{part}', persona=persona)['quota']

    def set_limits(self, code: int = 200, project_id: str = PROJECT_ID, **limits: Any) -> Any:
        answer = self.put(f'/quotas/{project_id}', {'quota': limits}, code, persona='admin')
        return answer['quota'] if code == 200 else answer

    def set_class(self, name: str = 'default', code: int = 200, **limits: Any) -> Any:
        answer = self.put(f'/quota_classes/{name}', {'quota_class': limits}, code, persona='admin')
        return answer['quota_class'] if code == 200 else answer

    def in_use(self) -> dict[str, int]:
        detail = self.quota(part='/detail')
        detail.pop('id')
        self.assertEqual({0}, {item['reserved'] for item in detail.values()})
        return {name: item['in_use'] for name, item in detail.items()}

    def in_rows(self) -> dict[str, int]:
        """What there really is."""
        return {
            'plans': len(self.rows(models.Plan)),
            'checkpoints': len(
                [row for row in self.rows(models.Checkpoint) if row.status != 'deleted']
            ),
            'schedules': len(self.rows(models.ScheduledOperation)),
            'triggers': len(self.rows(models.Trigger)),
            'verifications': len(self.rows(models.Verification)),
            'jobs': len([row for row in self.rows(models.Job) if row.state in job_rows.UNFINISHED]),
        }

    def scheduled(self, plan: dict[str, Any], trigger: dict[str, Any]) -> dict[str, Any]:
        return {
            'scheduled_operation': {
                'name': 's',
                'operation_type': 'protect',
                'trigger_id': trigger['id'],
                'operation_definition': {'provider_id': PROVIDER_ID, 'plan_id': plan['id']},
            }
        }

    def verification(self) -> dict[str, Any]:
        """The body that asks for one, of a checkpoint of its own."""
        checkpoint_id = self.create_checkpoint(self.create_plan())['id']
        with db.writer() as session:
            row = session.get_one(models.Checkpoint, checkpoint_id)
            row.status = constants.CheckpointStatus.AVAILABLE
        asked = {'provider_id': PROVIDER_ID, 'checkpoint_id': checkpoint_id, 'parameters': {}}
        return {'verification': asked}

    def ask(self, method: str, path: str, body: Any = None) -> int:
        """The status of an answer, whatever it is."""
        more = {} if body is None else {'json': body}
        result = self.client.simulate_request(
            method, f'/v1/{PROJECT_ID}{path}', headers=HEADERS, **more
        )
        self.error_of(result)
        return result.status_code


class LimitsTest(QuotasTestCase):
    @base.in_process_only('options change between two requests')
    def test_configured(self):
        limits = DEFAULTS
        for part in ('', '/defaults'):
            self.assertEqual({**limits, 'id': PROJECT_ID}, self.quota(part=part))
        self.assertEqual(
            {
                **{
                    name: {'limit': limit, 'in_use': 0, 'reserved': 0}
                    for name, limit in limits.items()
                },
                'id': PROJECT_ID,
            },
            self.quota(part='/detail', persona='reader'),
        )
        self.config.config(quota_plans=3, quota_checkpoints=4, quota_schedules=5)
        self.assertEqual(
            {**limits, 'plans': 3, 'checkpoints': 4, 'schedules': 5, 'id': PROJECT_ID},
            self.quota(persona='reader'),
        )
        self.config.config(quota_triggers=6, quota_verifications=7, quota_jobs=8)
        self.assertEqual(
            [6, 7, 8], [self.quota()[name] for name in ('triggers', 'verifications', 'jobs')]
        )

    def test_precedence(self):
        self.config.config(quota_plans=30)
        self.set_class(plans=20)
        self.set_class('gold', plans=99, checkpoints=99, schedules=99)
        for part in ('', '/defaults'):
            self.assertEqual(20, self.quota(part=part)['plans'])
            self.assertEqual(
                (50_000, 100),
                tuple(self.quota(part=part)[name] for name in ('checkpoints', 'schedules')),
            )
        self.assertEqual(10, self.set_limits(plans=10)['plans'])
        self.assertEqual((10, 20), (self.quota()['plans'], self.quota(part='/defaults')['plans']))
        self.assertEqual(10, self.quota(part='/detail')['plans']['limit'])
        self.assertEqual(20, self.quota(OTHER_PROJECT_ID)['plans'])
        self.set_class(plans=21)
        self.assertEqual((10, 21), (self.quota()['plans'], self.quota(part='/defaults')['plans']))
        self.delete(f'/quotas/{PROJECT_ID}', persona='admin')
        self.assertEqual(21, self.quota()['plans'])
        self.delete(f'/quotas/{PROJECT_ID}', persona='admin')

    @base.in_process_only('options change between two requests')
    def test_only_what_is_named_is_set(self):
        self.set_limits(plans=1)
        self.assertEqual(
            {**DEFAULTS, 'plans': 1, 'checkpoints': 2, 'id': PROJECT_ID},
            self.set_limits(checkpoints=2),
        )
        self.config.config(quota_schedules=7)
        self.assertEqual(7, self.quota()['schedules'])

    def test_numbers_may_be_text(self):
        for number in (-1, 0, 1, 7, 999_999_999, 1_000_000_000, 2_147_483_647):
            for given in (number, str(number)):
                self.assertEqual(number, self.set_limits(plans=given)['plans'], repr(given))
                self.assertEqual(number, self.set_class(plans=given)['plans'], repr(given))
                self.assertEqual(number, self.quota()['plans'])

    def test_what_is_no_limit(self):
        for bad in (
            -2,
            '-2',
            2**31,
            str(2**31),
            '9' * 5000,
            10**400,
            1.5,
            '1.5',
            '',
            ' ',
            ' 7',
            '7\n',
            'x',
            '0x1',
            '1e3',
            '٣',
            True,
            None,
            [],
            {},
            [7],
            '--1',
            '-',
        ):
            for message in (
                self.set_limits(400, plans=bad),
                self.set_limits(400, checkpoints=1, plans=bad),
                self.set_class(code=400, schedules=bad),
            ):
                self.assertRegex(message, 'plans|schedules', repr(bad))
        for body in (
            {},
            [],
            {'quota': None},
            {'quota': []},
            {'quota': {}},
            {'plans': 5},
            {'quota_class': {'plans': 5}},
        ):
            self.put(f'/quotas/{PROJECT_ID}', body, 400, persona='admin')
        self.assertEqual(([], []), (self.rows(models.Quota), self.rows(models.QuotaClass)))

    def test_ids(self):
        for name in ('x', '%00', '..', '1', PROJECT_ID[:-1]):
            for method, part in (
                ('GET', ''),
                ('GET', '/detail'),
                ('GET', '/defaults'),
                ('DELETE', ''),
            ):
                self.request(method, f'/quotas/{name}{part}', 400, persona='admin')
            self.put(f'/quotas/{name}', {'quota': {'plans': 1}}, 400, persona='admin')

    def test_an_id_is_the_same_however_it_is_written(self):
        dashes = str(uuid.UUID(OTHER_PROJECT_ID))
        self.set_limits(project_id=dashes, plans=3)
        for name in (OTHER_PROJECT_ID, OTHER_PROJECT_ID.upper(), dashes, dashes.upper()):
            self.assertEqual((3, name), (self.quota(name)['plans'], self.quota(name)['id']))
        self.assertEqual([OTHER_PROJECT_ID], [row.project_id for row in self.rows(models.Quota)])
        self.delete(f'/quotas/{dashes.upper()}', persona='admin')
        self.assertEqual(50, self.quota(OTHER_PROJECT_ID)['plans'])

    def test_another_project(self):
        self.set_limits(project_id=OTHER_PROJECT_ID, plans=3)
        for persona in ('reader', 'member', 'manager'):
            for part in ('', '/detail', '/defaults'):
                self.assertEqual(PROJECT_ID, self.quota(part=part, persona=persona)['id'])
                message = self.get(f'/quotas/{OTHER_PROJECT_ID}{part}', 404, persona=persona)
                self.assertIn(OTHER_PROJECT_ID, message)
        self.assertEqual(3, self.quota(OTHER_PROJECT_ID, '/detail')['plans']['limit'])

    def test_classes(self):
        for name in ('default', 'gold', 'Ünï', "'", '%25', 'n' * 255, 'a b'):
            shown = self.get(f'/quota_classes/{name}', persona='admin')['quota_class']
            self.assertEqual({*DEFAULTS, 'id'}, set(shown))
            self.assertEqual(9, self.set_class(name, plans=9)['plans'])
            shown = self.get(f'/quota_classes/{name}', persona='admin')['quota_class']
            self.assertEqual((9, 50_000), (shown['plans'], shown['checkpoints']))
        for name in ('%00', 'n' * 256):
            self.get(f'/quota_classes/{name}', 400, persona='admin')
            self.set_class(name, 400, plans=9)

    def test_what_there_is_not(self):
        for method, path in (
            ('POST', f'/quotas/{PROJECT_ID}'),
            ('DELETE', '/quota_classes/x'),
            ('PUT', f'/quotas/{PROJECT_ID}/detail'),
            ('PUT', f'/quotas/{PROJECT_ID}/defaults'),
        ):
            self.request(method, path, 405, persona='admin')
        for path in ('/quotas', '/quota_classes', f'/quotas/{PROJECT_ID}/x'):
            self.get(path, 404, persona='admin')

    def test_limits_set_at_once(self):
        """The first rows of a project and of a class are made by many at the same time."""
        self.assertEqual(50, self.quota()['plans'])
        results = base.at_once(
            *[
                call
                for number in range(6)
                for call in (
                    lambda number=number: self.set_limits(plans=number),
                    lambda number=number: self.set_class('gold', plans=number),
                )
            ]
        )
        self.assertNotIn(None, results)
        self.assertEqual(list(range(6)), sorted(item['plans'] for item in results[::2]))
        self.assertEqual(1, len(self.rows(models.Quota)))
        self.assertIn(self.quota()['plans'], range(6))


class ExceededTest(QuotasTestCase):
    def calls(self) -> dict[str, tuple[str, Any]]:
        """For each resource what makes one of it."""
        plan = self.create_plan()
        trigger = self.post('/triggers', TRIGGER)['trigger_info']
        return {
            'plans': ('/plans', self.plan_body()),
            'checkpoints': (self.checkpoints_path(), {'checkpoint': {'plan_id': plan['id']}}),
            'schedules': ('/scheduled_operations', self.scheduled(plan, trigger)),
            'triggers': ('/triggers', TRIGGER),
            'verifications': ('/verifications', self.verification()),
        }

    def assert_over(self, path: str, body: Any, limit: int) -> None:
        result = self.client.simulate_post(f'/v1/{PROJECT_ID}{path}', json=body, headers=HEADERS)
        self.assertEqual((413, '0'), (result.status_code, result.headers.get('Retry-After')))
        self.assertRegex(self.error_of(result), rf'\b{limit}\b')

    def test_the_limit_is_named(self):
        for name, (path, body) in self.calls().items():
            self.set_limits(**{name: 3})
            before = self.in_use()[name]
            for _ in range(3 - before):
                self.post(path, body)
            for _ in range(2):
                self.assert_over(path, body, 3)
            self.assertEqual(3, self.in_use()[name])
            self.assertEqual(self.in_rows(), self.in_use())
            self.set_limits(**{name: 4})
            self.post(path, body)
            self.assert_over(path, body, 4)
            self.set_limits(**{name: -1})
            self.post(path, body)

    def test_jobs_of_any_kind(self):
        """What would begin one is refused as a whole, until another one has ended."""
        calls = self.calls()
        operation = self.post(*calls['schedules'])['scheduled_operation']
        checkpoint = self.add_row(models.Checkpoint, status='available', resource_graph=GRAPH)
        with db.writer() as session:
            for job in session.scalars(sa.select(models.Job)):
                job.state = 'done'
        restore = {'provider_id': PROVIDER_ID, 'checkpoint_id': checkpoint.id, 'parameters': {}}
        path = self.checkpoints_path(checkpoint.id)
        waiting = self.add_row(
            models.Job, kind='protect', subject_id='s', checkpoint_id='c', state='queued'
        )
        self.set_limits(jobs=1)
        before = self.in_use(), self.in_rows()
        self.assertEqual(1, before[0]['jobs'])
        refused = (
            ('POST', *calls['checkpoints']),
            ('POST', *calls['verifications']),
            ('POST', '/restores', {'restore': restore}),
            ('DELETE', path, None),
            ('PUT', path, {'os-resetState': {'state': 'error'}}),
            ('POST', f'/scheduled_operations/{operation["id"]}/action', {'run': None}),
        )
        logs = len(self.rows(models.OperationLog))
        for method, url, body in refused:
            self.assertEqual(413, self.ask(method, url, body), url)
        self.assertEqual(before, (self.in_use(), self.in_rows()))
        self.assertEqual(logs, len(self.rows(models.OperationLog)))
        self.assertEqual([], self.rows(models.Restore))
        with db.writer() as session:
            session.get_one(models.Job, waiting.id).state = 'done'
        self.post(*calls['checkpoints'])
        self.assert_over(*calls['verifications'], 1)
        self.set_limits(jobs=-1)
        self.post(*calls['verifications'])

    def test_an_ended_verification_counts_until_it_is_purged(self):
        path, body = self.calls()['verifications']
        self.set_limits(verifications=1)
        made = self.post(path, body)['verification']
        with db.writer() as session:
            session.get_one(models.Verification, made['id']).status = 'success'
        self.assert_over(path, body, 1)
        db.transaction(
            lambda session: session.delete(session.get_one(models.Verification, made['id']))
        )()
        self.post(path, body)

    def test_none_at_all(self):
        for name, (path, body) in self.calls().items():
            before = self.in_use()
            self.set_limits(**{name: 0})
            self.assert_over(path, body, 0)
            self.assertEqual(before, self.in_use())

    def test_a_limit_below_what_there_is(self):
        plans = [self.create_plan() for _ in range(3)]
        self.set_limits(plans=1)
        self.assert_over('/plans', self.plan_body(), 1)
        for plan in plans[:2]:
            self.delete(f'/plans/{plan["id"]}')
            self.assert_over('/plans', self.plan_body(), 1)
        self.delete(f'/plans/{plans[2]["id"]}')
        self.create_plan()

    def test_the_class_default_and_the_option_are_limits(self):
        self.set_class(plans=2)
        for _ in range(2):
            self.create_plan()
        self.assert_over('/plans', self.plan_body(), 2)
        self.set_class('gold', plans=100)
        self.assert_over('/plans', self.plan_body(), 2)
        self.set_limits(plans=3)
        self.create_plan()
        self.delete(f'/quotas/{PROJECT_ID}', persona='admin')
        self.assert_over('/plans', self.plan_body(), 2)

    def test_projects_do_not_share(self):
        self.set_class(plans=1)
        self.create_plan()
        self.assert_over('/plans', self.plan_body(), 1)
        theirs = {
            'headers': {'X-Auth-Token': personas.token('member', OTHER_PROJECT_ID)},
            'project_id': OTHER_PROJECT_ID,
        }
        plan = self.post('/plans', self.plan_body(), **theirs)['plan']
        self.post('/plans', self.plan_body(), 413, **theirs)
        self.delete(f'/plans/{plan["id"]}', 404)
        self.delete(f'/plans/{plan["id"]}', **theirs)
        self.assert_over('/plans', self.plan_body(), 1)
        self.assertEqual(1, self.in_use()['plans'])

    def test_what_is_refused_takes_nothing(self):
        calls = self.calls()
        before = self.in_use()
        for path, body in (
            (calls['plans'][0], self.plan_body(provider_id=new_id())),
            (calls['plans'][0], self.plan_body(resource('..'))),
            (calls['checkpoints'][0], {'checkpoint': {'plan_id': new_id()}}),
            (calls['schedules'][0], self.scheduled({'id': new_id()}, {'id': new_id()})),
        ):
            self.assertIn(self.ask('POST', path, body), (400, 404))
        self.assertEqual(before, self.in_use())
