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

import datetime
from typing import Any

from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.testing.fake_cinder import Fault
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base
from karbor.tests.functional.base import VOLUME

_IDS = ('checkpoint_id', 'plan_id', 'provider_id', 'restore_id', 'scheduled_operation_id')
TRIGGER = {'trigger_info': {'name': 't', 'type': 'time', 'properties': base.TRIGGER_PROPERTIES}}


class _Logs(base.ApiTestCase):
    def logs(self, **query: Any) -> list[dict[str, Any]]:
        """The logs that the list shows, oldest first."""
        return self.get('/operation_logs', params={'sort_dir': 'asc', **query})['operation_logs']

    def asked(
        self, method: str, path: str, body: Any = None, persona: str = 'manager', code: int = 200
    ) -> tuple[Any, str]:
        """The answer to a request, and the id of the request."""
        more = {} if body is None else {'json': body}
        result = self.client.simulate_request(
            method,
            f'/v1/{PROJECT_ID}{path}',
            headers={'X-Auth-Token': personas.token(persona, PROJECT_ID)},
            **more,
        )
        self.assertEqual(code, result.status_code, result.text)
        return (result.json if result.content else None), result.headers['x-openstack-request-id']

    def one_more(
        self, method: str, path: str, body: Any = None, persona: str = 'manager'
    ) -> tuple[dict[str, Any], Any]:
        """The one log that a request leaves, and the answer to the request."""
        before = {log['id'] for log in self.logs()}
        answer, request_id = self.asked(method, path, body, persona)
        (log,) = [log for log in self.logs() if log['id'] not in before]
        self.assertEqual(
            (PROJECT_ID, f'{persona}-of-the-test', request_id),
            (log['project_id'], log['user_id'], log['request_id']),
        )
        self.assertEqual({'operation_log': log}, self.get(f'/operation_logs/{log["id"]}'))
        return log, answer

    def assert_ids(self, log: dict[str, Any], **expected: str) -> None:
        self.assertEqual({**dict.fromkeys(_IDS), **expected}, {name: log[name] for name in _IDS})

    def assert_done(self, log: dict[str, Any], what: str) -> None:
        """The log of something that is over with the request."""
        self.assertEqual(
            (what, 'success', None), (log['operation_type'], log['status'], log['error_info'])
        )
        started, ended = (
            datetime.datetime.fromisoformat(log[name]) for name in ('started_at', 'ended_at')
        )
        self.assertLessEqual(started, ended)
        self.assertIsNone(started.tzinfo)


class DoneAtOnceTest(_Logs):
    """Every call that changes something leaves one log of who did it."""

    def test_plans(self):
        log, answer = self.one_more('POST', '/plans', self.plan_body(), 'member')
        plan_id = answer['plan']['id']
        self.assert_done(log, 'plan_create')
        self.assert_ids(log, plan_id=plan_id, provider_id=PROVIDER_ID)
        for method, what, body in (
            ('PUT', 'plan_update', {'plan': {'name': 'new'}}),
            ('DELETE', 'plan_delete', None),
        ):
            log, _ = self.one_more(method, f'/plans/{plan_id}', body)
            self.assert_done(log, what)
            self.assert_ids(log, plan_id=plan_id, provider_id=PROVIDER_ID)
            told = {'changed': ['name']} if body else None
            self.assertEqual(told, log['extra_info'])

    def test_triggers(self):
        log, answer = self.one_more('POST', '/triggers', TRIGGER, 'admin')
        trigger_id = answer['trigger_info']['id']
        self.assert_done(log, 'trigger_create')
        for method, what, body in (
            ('PUT', 'trigger_update', {'trigger_info': {'name': 'new'}}),
            ('DELETE', 'trigger_delete', None),
        ):
            log, _ = self.one_more(method, f'/triggers/{trigger_id}', body, 'member')
            self.assert_done(log, what)
            self.assert_ids(log)
            self.assertEqual(trigger_id, log['extra_info']['trigger_id'])

    def test_scheduled_operations(self):
        plan = self.create_plan()
        trigger = self.post('/triggers', TRIGGER)['trigger_info']
        log, answer = self.one_more(
            'POST',
            '/scheduled_operations',
            {
                'scheduled_operation': {
                    'name': 's',
                    'operation_type': 'protect',
                    'trigger_id': trigger['id'],
                    'operation_definition': {'provider_id': PROVIDER_ID, 'plan_id': plan['id']},
                }
            },
        )
        operation_id = answer['scheduled_operation']['id']
        ids = {
            'scheduled_operation_id': operation_id,
            'plan_id': plan['id'],
            'provider_id': PROVIDER_ID,
        }
        self.assert_done(log, 'scheduled_operation_create')
        self.assert_ids(log, **ids)
        log, _ = self.one_more(
            'PUT',
            f'/scheduled_operations/{operation_id}',
            {'scheduled_operation': {'enabled': False}},
            'member',
        )
        self.assert_done(log, 'scheduled_operation_update')
        self.assert_ids(log, **ids)
        log, _ = self.one_more('DELETE', f'/scheduled_operations/{operation_id}')
        self.assert_done(log, 'scheduled_operation_delete')
        self.assert_ids(log, **ids)

    def test_quotas(self):
        for method, path, body, what, extra in (
            (
                'PUT',
                f'/quotas/{OTHER_PROJECT_ID}',
                {'quota': {'plans': '7'}},
                'quota_update',
                {'project_id': OTHER_PROJECT_ID, 'plans': 7},
            ),
            (
                'DELETE',
                f'/quotas/{OTHER_PROJECT_ID}',
                None,
                'quota_delete',
                {'project_id': OTHER_PROJECT_ID},
            ),
            (
                'PUT',
                '/quota_classes/default',
                {'quota_class': {'plans': 8}},
                'quota_class_update',
                {'class_name': 'default', 'plans': 8},
            ),
        ):
            log, _ = self.one_more(method, path, body, 'admin')
            self.assert_done(log, what)
            self.assert_ids(log)
            self.assertEqual(extra, log['extra_info'])

    def test_services(self):
        row = self.add_row(
            models.Service,
            host='h',
            binary='karbor-protection',
            disabled=False,
            reported_at=datetime.datetime(2020, 11, 5),
        )
        log, _ = self.one_more(
            'PUT',
            f'/os-services/{row.id}',
            {'status': 'disabled', 'disabled_reason': 'mending'},
            'admin',
        )
        self.assert_done(log, 'service_update')
        self.assertEqual(
            {'service_id': row.id, 'is_enabled': False, 'reason': 'mending'}, log['extra_info']
        )

    def test_what_changes_nothing_leaves_none(self):
        plan = self.create_plan()
        trigger = self.post('/triggers', TRIGGER)['trigger_info']
        definition = {'provider_id': PROVIDER_ID, 'plan_id': plan['id']}
        operation = {
            'name': 's',
            'operation_type': 'protect',
            'trigger_id': trigger['id'],
            'operation_definition': definition,
        }
        asked = {'scheduled_operation': operation}
        operation_id = self.post('/scheduled_operations', asked)['scheduled_operation']['id']
        schedule = self.get(f'/schedules/{operation_id}')['schedule']
        service = self.add_row(
            models.Service,
            host='h',
            binary='karbor-protection',
            disabled=False,
            reported_at=datetime.datetime(2020, 11, 5),
        )
        pin = self.checkpoints_path(self.add_row(models.Checkpoint).id) + '/pin'
        same = {name: plan[name] for name in ('name', 'resources', 'parameters')}
        times = {name: schedule[name] for name in ('name', 'format', 'pattern')}
        calls = (
            ('PUT', f'/plans/{plan["id"]}', {'plan': same}),
            ('PUT', f'/triggers/{trigger["id"]}', {'trigger_info': {'name': trigger['name']}}),
            (
                'PUT',
                f'/triggers/{trigger["id"]}',
                {'trigger_info': {'properties': trigger['properties']}},
            ),
            (
                'PUT',
                f'/scheduled_operations/{operation_id}',
                {
                    'scheduled_operation': {
                        'name': 's',
                        'trigger_id': trigger['id'],
                        'operation_definition': definition,
                        'enabled': True,
                    }
                },
            ),
            ('PUT', f'/schedules/{operation_id}', {'schedule': {**times, 'enabled': True}}),
            ('DELETE', pin, None),
            ('PUT', f'/os-services/{service.id}', {'status': 'enabled'}),
            ('DELETE', f'/quotas/{OTHER_PROJECT_ID}', None),
        )
        before = len(self.rows(models.OperationLog))
        for method, path, body in calls:
            persona = 'admin' if path.startswith(('/os-', '/quotas')) else 'manager'
            self.asked(method, path, body, persona)
            self.assertEqual(before, len(self.rows(models.OperationLog)), path)

    def test_what_was_done_already_leaves_none(self):
        pin = self.checkpoints_path(self.add_row(models.Checkpoint).id) + '/pin'
        for path, body in (
            (pin, None),
            (f'/quotas/{OTHER_PROJECT_ID}', {'quota': {'plans': 7, 'jobs': 3}}),
            ('/quota_classes/default', {'quota_class': {'plans': 8}}),
        ):
            self.one_more('PUT', path, body, 'admin')
            before = len(self.rows(models.OperationLog))
            self.asked('PUT', path, body, 'admin')
            self.assertEqual(before, len(self.rows(models.OperationLog)), path)

    def test_a_reset_by_hand(self):
        row = self.add_row(models.Checkpoint)
        log, _ = self.one_more(
            'PUT', self.checkpoints_path(row.id), {'os-resetState': {'state': 'error'}}
        )
        self.assert_done(log, 'checkpoint_update')
        self.assert_ids(log, checkpoint_id=row.id, plan_id=row.plan_id, provider_id=PROVIDER_ID)
        self.assertEqual({'status': 'error'}, log['extra_info'])

    def test_a_pin(self):
        row = self.add_row(models.Checkpoint)
        for method, is_pinned in (('PUT', True), ('DELETE', False)):
            log, _ = self.one_more(method, f'{self.checkpoints_path(row.id)}/pin')
            self.assert_done(log, 'checkpoint_update')
            self.assert_ids(log, checkpoint_id=row.id, plan_id=row.plan_id, provider_id=PROVIDER_ID)
            self.assertEqual({'pinned': is_pinned}, log['extra_info'])

    def test_looking_leaves_none(self):
        plan = self.create_plan()
        before = self.logs()
        for path in (
            '/plans',
            f'/plans/{plan["id"]}',
            '/triggers',
            '/scheduled_operations',
            '/restores',
            '/verifications',
            '/operation_logs',
            '/providers',
            self.checkpoints_path(),
            '/protectables',
            f'/quotas/{PROJECT_ID}',
            f'/quotas/{PROJECT_ID}/detail',
            f'/quotas/{PROJECT_ID}/defaults',
        ):
            self.get(path)
        self.post(f'/plans/{plan["id"]}/retention', {'retention': {'keep_last': 1}})
        self.get('/os-services', persona='admin')
        self.get('/quota_classes/default', persona='admin')
        self.assertEqual(before, self.logs())


class RefusedTest(_Logs):
    def test_a_refused_request_leaves_none(self):
        self.config.config(quota_plans=1, quota_checkpoints=0, quota_schedules=0)
        plan = self.create_plan()
        checkpoint = self.add_row(models.Checkpoint, status='protecting')
        operation = self.add_row(
            models.ScheduledOperation,
            plan_id=plan['id'],
            trigger_id=(trigger := self.add_row(models.Trigger)).id,
        )
        gone = new_id()
        before = self.logs()
        use = {'provider_id': PROVIDER_ID, 'checkpoint_id': gone, 'parameters': {}}
        scheduled = {
            'name': 's',
            'operation_type': 'protect',
            'trigger_id': trigger.id,
            'operation_definition': operation.operation_definition,
        }
        for code, method, path, body, persona in (
            (413, 'POST', '/plans', self.plan_body(), 'manager'),
            (400, 'POST', '/plans', self.plan_body(name=''), 'manager'),
            (403, 'POST', '/plans', self.plan_body(), 'reader'),
            (409, 'DELETE', f'/plans/{plan["id"]}', None, 'manager'),
            (404, 'DELETE', f'/plans/{gone}', None, 'manager'),
            (404, 'PUT', f'/plans/{gone}', {'plan': {'name': 'x'}}, 'manager'),
            (409, 'DELETE', f'/triggers/{trigger.id}', None, 'manager'),
            (400, 'PUT', f'/triggers/{trigger.id}', {'trigger_info': {'x': 1}}, 'manager'),
            (404, 'POST', '/scheduled_operations', {'scheduled_operation': scheduled}, 'manager'),
            (
                413,
                'POST',
                '/scheduled_operations',
                {
                    'scheduled_operation': {
                        **scheduled,
                        'operation_definition': {'provider_id': PROVIDER_ID, 'plan_id': plan['id']},
                    }
                },
                'manager',
            ),
            (404, 'DELETE', f'/scheduled_operations/{gone}', None, 'manager'),
            (
                404,
                'PUT',
                f'/scheduled_operations/{gone}',
                {'scheduled_operation': {'name': 'x'}},
                'manager',
            ),
            (
                400,
                'PUT',
                f'/scheduled_operations/{operation.id}',
                {'scheduled_operation': {}},
                'manager',
            ),
            (
                404,
                'PUT',
                f'/scheduled_operations/{operation.id}',
                {'scheduled_operation': {'trigger_id': gone}},
                'manager',
            ),
            (
                403,
                'PUT',
                f'/scheduled_operations/{operation.id}',
                {'scheduled_operation': {'name': 'x'}},
                'reader',
            ),
            (404, 'POST', f'/scheduled_operations/{gone}/action', {'run': {}}, 'manager'),
            (400, 'POST', f'/scheduled_operations/{operation.id}/action', {}, 'manager'),
            (403, 'POST', f'/scheduled_operations/{operation.id}/action', {'run': {}}, 'reader'),
            (404, 'PUT', f'{self.checkpoints_path(gone)}/pin', None, 'manager'),
            (403, 'DELETE', f'{self.checkpoints_path(checkpoint.id)}/pin', None, 'reader'),
            (404, 'POST', f'/plans/{gone}/retention', {'retention': {}}, 'manager'),
            (
                413,
                'POST',
                self.checkpoints_path(),
                {'checkpoint': {'plan_id': plan['id']}},
                'manager',
            ),
            (404, 'POST', self.checkpoints_path(), {'checkpoint': {'plan_id': gone}}, 'manager'),
            (409, 'DELETE', self.checkpoints_path(checkpoint.id), None, 'manager'),
            (
                404,
                'PUT',
                self.checkpoints_path(gone),
                {'os-resetState': {'state': 'error'}},
                'manager',
            ),
            (
                403,
                'PUT',
                self.checkpoints_path(checkpoint.id),
                {'os-resetState': {'state': 'error'}},
                'reader',
            ),
            (404, 'POST', '/restores', {'restore': use}, 'manager'),
            (404, 'POST', '/verifications', {'verification': use}, 'manager'),
            (404, 'PUT', '/os-services/9', {'status': 'enabled'}, 'admin'),
            (403, 'PUT', f'/quotas/{PROJECT_ID}', {'quota': {'plans': 1}}, 'manager'),
            (400, 'PUT', f'/quotas/{PROJECT_ID}', {'quota': {'plans': -2}}, 'admin'),
            (
                400,
                'POST',
                self.checkpoints_path('action'),
                {'copy': {'plan_id': plan['id']}},
                'manager',
            ),
        ):
            self.asked(method, path, body, persona, code)
            self.assertEqual(before, self.logs(), f'{method} {path} -> {code}')
        self.assertEqual(len(before), len(self.rows(models.OperationLog)))

    def test_they_cannot_be_changed(self):
        self.create_plan()
        (log,) = self.logs()
        for method in ('POST', 'PUT', 'PATCH', 'DELETE'):
            self.asked(method, f'/operation_logs/{log["id"]}', {}, 'admin', 405)
            self.asked(method, '/operation_logs', {}, 'admin', 405)

    def test_ids(self):
        missing = new_id()
        self.assertIn(missing, self.get(f'/operation_logs/{missing}', 404))
        for name in ('x', '%00', '..', '1'):
            self.get(f'/operation_logs/{name}', 400)
        theirs = self.add_row(models.OperationLog, project_id=OTHER_PROJECT_ID)
        self.get(f'/operation_logs/{theirs.id}', 404)

    def test_a_restore_that_cannot_begin_is_logged_as_failed(self):
        """It is answered with 200 and a record, by contract; the log says so, too."""
        row = self.add_row(models.Checkpoint, status='error')
        for kind, what in (('restore', 'restore'), ('verification', 'verify')):
            log, answer = self.one_more(
                'POST',
                f'/{kind}s',
                {kind: {'provider_id': PROVIDER_ID, 'checkpoint_id': row.id, 'parameters': {}}},
            )
            self.assertEqual(
                (what, 'fail', answer[kind]['status_reason']),
                (log['operation_type'], log['status'], log['error_info']),
            )
            self.assertIsNotNone(log['ended_at'])
            restore = {'restore_id': answer['restore']['id']} if kind == 'restore' else {}
            self.assert_ids(
                log, checkpoint_id=row.id, plan_id=row.plan_id, provider_id=PROVIDER_ID, **restore
            )


class FiltersTest(_Logs):
    def test_each(self):
        fields = {
            name: new_id()
            for name in ('checkpoint_id', 'plan_id', 'restore_id', 'scheduled_operation_id')
        }
        fields |= {'operation_type': 'restore', 'status': 'fail'}
        row = self.add_row(models.OperationLog, **fields)
        self.add_row(
            models.OperationLog,
            checkpoint_id=None,
            plan_id=None,
            operation_type='protect',
            status='available',
        )
        for name, value in fields.items():
            self.assertEqual([row.id], [log['id'] for log in self.logs(**{name: value})], name)
            self.assertEqual([], self.logs(**{name: value[:-1]}), name)
        self.assertEqual([row.id], [log['id'] for log in self.logs(**fields)])
        self.assertEqual([], self.logs(**{**fields, 'status': 'available'}))

    def test_sort_by_when_it_began(self):
        moments = [datetime.datetime(2020, 11, day) for day in (2, 3, 1)]
        ids = [self.add_row(models.OperationLog, started_at=moment).id for moment in moments]
        found = [log['id'] for log in self.logs(sort='started_at:asc', sort_dir='')]
        self.assertEqual([ids[2], ids[0], ids[1]], found)


class JobsTest(base.CloudTestCase, _Logs):
    """The log of a job begins with the request, and says in the end what became of it."""

    def setUp(self):
        super().setUp()
        self.board.end()  # until work() is called again, jobs wait
        self.build(self.registry)

    def finished(self, log: dict[str, Any]) -> dict[str, Any]:
        """The log after all jobs that wait have ended, on a new board."""
        self.work()
        shown = self.wait_until(
            lambda: (
                (found := self.get(f'/operation_logs/{log["id"]}')['operation_log'])['ended_at']
                and found
            ),
            'the end of the log',
        )
        self.board.end()
        self.build(self.registry)
        for job in self.rows(models.Job):
            self.assertIn(job.state, (job_rows.JobState.DONE, job_rows.JobState.FAILED))
        kept = ('id', 'operation_type', 'project_id', 'user_id', 'request_id', 'started_at', *_IDS)
        self.assertEqual({name: log[name] for name in kept}, {name: shown[name] for name in kept})
        self.assertGreaterEqual(shown['ended_at'], shown['started_at'])
        return shown

    def begun(self, log: dict[str, Any], what: str, status: str) -> None:
        self.assertEqual(
            (what, status, None, None),
            tuple(log[name] for name in ('operation_type', 'status', 'ended_at', 'error_info')),
        )

    def protect(self, *volumes: dict[str, Any], **fields: Any) -> tuple[dict[str, Any], Any]:
        plan = self.create_plan(*volumes)
        log, answer = self.one_more(
            'POST',
            self.checkpoints_path(),
            {'checkpoint': {'plan_id': plan['id'], **fields}},
            'member',
        )
        self.begun(log, 'protect', 'protecting')
        self.assert_ids(
            log,
            checkpoint_id=answer['checkpoint']['id'],
            plan_id=plan['id'],
            provider_id=PROVIDER_ID,
        )
        return log, answer['checkpoint']

    def test_from_protect_to_delete(self):
        log, checkpoint = self.protect(self.volume())
        self.assertEqual(('available', None), self._end(self.finished(log)))
        for kind, what in (('restore', 'restore'), ('verification', 'verify')):
            log, answer = self.one_more(
                'POST',
                f'/{kind}s',
                {
                    kind: {
                        'provider_id': PROVIDER_ID,
                        'checkpoint_id': checkpoint['id'],
                        'parameters': {},
                    }
                },
            )
            self.begun(log, what, 'in_progress')
            restore = {'restore_id': answer['restore']['id']} if kind == 'restore' else {}
            self.assert_ids(
                log,
                checkpoint_id=checkpoint['id'],
                provider_id=PROVIDER_ID,
                plan_id=checkpoint['protection_plan']['id'],
                **restore,
            )
            self.assertEqual(('success', None), self._end(self.finished(log)))
        log, _ = self.one_more('DELETE', self.checkpoints_path(checkpoint['id']))
        self.begun(log, 'delete', 'deleting')
        self.assert_ids(
            log,
            checkpoint_id=checkpoint['id'],
            provider_id=PROVIDER_ID,
            plan_id=checkpoint['protection_plan']['id'],
        )
        self.assertEqual(('deleted', None), self._end(self.finished(log)))
        self.assertEqual(
            ['protect', 'restore', 'verify', 'delete'],
            [log['operation_type'] for log in self.logs(checkpoint_id=checkpoint['id'])],
        )

    def test_failures_say_why(self):
        log, checkpoint = self.protect(self.volume(), lost := self.volume(status='error'))
        status, reason = self._end(self.finished(log))
        self.assertEqual('error', status)
        self.assertIn(f'{VOLUME}#{lost["id"]}', reason)
        self.put(self.checkpoints_path(checkpoint['id']), {'os-resetState': {'state': 'available'}})
        self.cinder.faults.append(Fault(method='POST', status=403))
        log, _ = self.one_more(
            'POST',
            '/restores',
            {
                'restore': {
                    'provider_id': PROVIDER_ID,
                    'checkpoint_id': checkpoint['id'],
                    'parameters': {},
                }
            },
        )
        status, reason = self._end(self.finished(log))
        self.assertEqual('fail', status)
        self.assertIn('2 of 2 resources failed', reason)
        self.cinder.settle_to['deletion'] = 'error_deleting'
        log, _ = self.one_more('DELETE', self.checkpoints_path(checkpoint['id']))
        status, reason = self._end(self.finished(log))
        self.assertEqual('error-deleting', status)
        self.assertIn('error_deleting', reason)

    def test_a_checkpoint_that_a_schedule_made_says_so(self):
        """Karbor contract, J.4: the log has the id of the scheduled operation."""
        plan = self.create_plan(self.volume())
        trigger = self.post(
            '/triggers',
            {'trigger_info': {'name': 't', 'type': 'time', 'properties': base.TRIGGER_PROPERTIES}},
        )['trigger_info']
        operation_id = self.post(
            '/scheduled_operations',
            {
                'scheduled_operation': {
                    'name': 'nightly',
                    'operation_type': 'protect',
                    'trigger_id': trigger['id'],
                    'operation_definition': {'provider_id': PROVIDER_ID, 'plan_id': plan['id']},
                }
            },
        )['scheduled_operation']['id']
        answer, _ = self.asked(
            'POST',
            self.checkpoints_path(),
            {
                'checkpoint': {
                    'plan_id': plan['id'],
                    'extra-info': {
                        'created_by': 'operation-engine',
                        'scheduled_operation_id': operation_id,
                    },
                }
            },
        )
        (log,) = self.logs(checkpoint_id=answer['checkpoint']['id'])
        self.assertEqual(operation_id, log['scheduled_operation_id'])
        self.post(
            self.checkpoints_path(),
            {
                'checkpoint': {
                    'plan_id': plan['id'],
                    'extra-info': {
                        'created_by': 'operation-engine',
                        'scheduled_operation_id': new_id(),
                    },
                }
            },
            404,
        )

    @staticmethod
    def _end(log: dict[str, Any]) -> tuple[str, str | None]:
        return log['status'], log['error_info']
