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

"""Jobs of a cloud's Karbor: they act by trusts, and outlast workers and Keystone's absence."""

import contextlib
import json
import os
import re
import time
from typing import Any

import requests
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import v3

from karbor.tests.integration import base, callers, cloud, service_case

_DATA = b'before' * 1000
_LEASE = 4


@contextlib.contextmanager
def _once(project: cloud.Project, url: str) -> Any:
    session = project.login()
    token = session.get_token()
    yield callers.Caller(url, project.id, token)
    cloud.admin().identity.delete('/auth/tokens', headers={'X-Subject-Token': token})
    answer = cloud.admin().identity.get('/auth/tokens', headers={'X-Subject-Token': token})
    assert answer.status_code == 404, answer.text


class JobsTest(service_case.ServiceTestCase):
    """Jobs act by a trust."""

    def test_a_restore_in_place(self) -> None:
        """The trust stays as long as the safety checkpoint is to be deleted by it."""
        (volume_id,) = self.project.volumes(1)
        cloud.write(volume_id, _DATA)
        self.start_worker()
        with self.once() as caller:
            checkpoint_id = caller.protect(self.caller.plan([volume_id]))
        self.assert_ends_well(checkpoint_id)
        cloud.write(volume_id, b'after!' * 1000)
        with self.once() as caller:
            restore_id = caller.use('restore', checkpoint_id, in_place=True)
        restore = self.caller.wait_for_use('restore', restore_id)
        self.assertEqual('success', restore['status'], restore)
        self.assertEqual(cloud.sha256_of(_DATA), cloud.sha256(volume_id, len(_DATA)))
        self.assertEqual([], list(self.project.images.images(visibility='private')))
        self.assertEqual(1, len(self.project.trusts()))
        with self.once() as caller:
            caller.call('DELETE', f'{callers.CHECKPOINTS}/{restore["safety_checkpoint_id"]}')
        self.caller.wait_for_checkpoint(restore['safety_checkpoint_id'], 'deleted')
        self.wait_for_no_trust()

    def once(self) -> contextlib.AbstractContextManager[callers.Caller]:
        """The user, with a token that is revoked right after the request."""
        return _once(self.project, self.service.url)

    def test_the_token_of_the_request_is_revoked(self) -> None:
        volume_ids = self.project.volumes(2)
        cloud.write(volume_ids[0], _DATA)
        plan_id = self.caller.plan(volume_ids)
        with self.once() as caller:
            checkpoint_id = caller.protect(plan_id)
        self.start_worker()
        self.assert_ends_well(checkpoint_id)
        self.assertEqual(
            dict.fromkeys(volume_ids, 1),
            {volume_id: len(ids) for volume_id, ids in self.project.snapshots().items()},
        )
        cloud.write(volume_ids[0], b'after!' * 1000)

        with self.once() as caller:
            restore_id = caller.use('restore', checkpoint_id)
            verification_id = caller.use('verification', checkpoint_id)
        restore = self.caller.wait_for_use('restore', restore_id)
        self.assertEqual(('success', None), (restore['status'], restore['status_reason']))
        new_id = restore['new_resources'][f'{base.VOLUME}#{volume_ids[0]}']
        self.assertEqual(cloud.sha256_of(_DATA), cloud.sha256(new_id, len(_DATA)))
        verification = self.caller.wait_for_use('verification', verification_id)
        self.assertEqual(
            ('success', {f'{base.VOLUME}#{volume_id}': 'available' for volume_id in volume_ids}),
            (verification['status'], verification['resources_status']),
        )

        with self.once() as caller:
            caller.call('DELETE', f'{callers.CHECKPOINTS}/{checkpoint_id}')
        self.caller.wait_for_checkpoint(checkpoint_id, 'deleted')
        self.assertEqual({}, self.project.snapshots())
        self.wait_for_no_trust()

    def test_one_trust_for_many_jobs(self) -> None:
        plan_id = self.caller.plan(self.project.volumes(1))
        checkpoint_ids = []
        for _ in range(4):
            with self.once() as caller:
                checkpoint_ids.append(caller.protect(plan_id))
        [trust_id] = self.project.trusts()
        trust = cloud.admin().identity.get(f'/OS-TRUST/trusts/{trust_id}').json()['trust']
        self.assertEqual(
            (self.project.id, ['member'], True),
            (
                trust['project_id'],
                [role['name'] for role in trust['roles']],
                trust['impersonation'],
            ),
        )
        self.start_worker()
        self.assert_ends_well(*checkpoint_ids)
        self.assertEqual([4], [len(ids) for ids in self.project.snapshots().values()])
        self.wait_for_no_trust()

    def test_a_token_by_a_trust(self) -> None:
        caller, trust_id = self._by_trust()
        plan_id = caller.plan(self.project.volumes(1))
        self._assert_refused(
            caller,
            plan_id,
            {trust_id},
        )

    def test_a_token_by_an_application_credential(self) -> None:
        caller = self._by_credential(unrestricted=False)
        plan_id = caller.plan(self.project.volumes(1))
        for refused in (caller, self._by_credential(unrestricted=True)):
            self._assert_refused(refused, plan_id, set())
        self._assert_makes_no_schedule(caller, plan_id)

    def _by_trust(self) -> tuple[callers.Caller, str]:
        """Another user, to whom the project's user has given a trust, and the trust's id."""
        auth = self.project.add_user()
        trustee = cloud.admin().identity.find_user(auth['username'])
        trust_id = self.project.session.post(
            '/OS-TRUST/trusts',
            endpoint_filter={'service_type': 'identity'},
            json={
                'trust': {
                    'trustor_user_id': self.project.user_id,
                    'trustee_user_id': trustee.id,
                    'project_id': self.project.id,
                    'impersonation': True,
                    'roles': [{'name': 'member'}],
                }
            },
        ).json()['trust']['id']
        session = ks_session.Session(
            v3.Password(
                cloud.settings()['keystone_url'],
                username=auth['username'],
                password=auth['password'],
                user_domain_id='default',
                trust_id=trust_id,
            )
        )
        return callers.of(session, self.service.url), trust_id

    def _by_credential(self, unrestricted: bool) -> callers.Caller:
        made = self.project.session.post(
            f'/users/{self.project.user_id}/application_credentials',
            endpoint_filter={'service_type': 'identity'},
            json={
                'application_credential': {
                    'name': f'unrestricted {unrestricted}',
                    'unrestricted': unrestricted,
                }
            },
        ).json()['application_credential']
        return callers.of(
            ks_session.Session(
                v3.ApplicationCredential(
                    cloud.settings()['keystone_url'],
                    application_credential_id=made['id'],
                    application_credential_secret=made['secret'],
                )
            ),
            self.service.url,
        )

    def _assert_refused(self, caller: callers.Caller, plan_id: str, trust_ids: set[str]) -> None:
        """In clear words, and nothing is left.

        :param trust_ids: what the user has for himself.
        """
        answer = caller.ask('POST', callers.CHECKPOINTS, {'checkpoint': {'plan_id': plan_id}})
        self.assertEqual(403, answer.status_code, answer.text)
        message = answer.json()['forbidden']['message']
        self.assertIn('Karbor needs a trust to act for you after your request', message)
        self.assertIn('your token came from an application credential or from a trust', message)
        self.assertEqual([], self.caller.call('GET', callers.CHECKPOINTS))
        self.assertEqual(
            0, self.caller.call('GET', f'/quotas/{self.project.id}/detail')['checkpoints']['in_use']
        )
        self.assertEqual(trust_ids, set(self.project.trusts()))

    def _assert_makes_no_schedule(self, caller: callers.Caller, plan_id: str) -> None:
        """It would outlive what its token came from, by the trust of one that the user made."""
        schedule = {
            'name': 'nightly',
            'plan_id': plan_id,
            'format': 'crontab',
            'pattern': '0 2 * * *',
        }
        made = self.caller.call('POST', '/schedules', {'schedule': schedule})
        (trust_id,) = self.project.trusts()
        path = f'/schedules/{made["id"]}'
        for method, where, body in (
            ('POST', '/schedules', {**schedule, 'name': 'mine'}),
            ('PUT', path, {'enabled': True}),
            ('PUT', path, {'retention': {'max_backups': 1}}),
        ):
            answer = caller.ask(method, where, {'schedule': body})
            self.assertEqual(403, answer.status_code, answer.text)
            self.assertIn('application credential', answer.text)
        self.assertEqual(made, self.caller.call('GET', path))
        self.assertEqual(1, len(self.caller.call('GET', '/schedules')))
        caller.call('PUT', path, {'schedule': {'enabled': False}})
        caller.call('DELETE', path)
        cloud.wait_until(lambda: not self.project.trusts(), f'the end of {trust_id}')

    def test_trusts_die_while_jobs_wait(self) -> None:
        identity = cloud.admin().identity
        roleless, disabled = self.project, cloud.Project()
        checkpoint_ids = {}
        for project in (roleless, disabled):
            caller = callers.of(project.session, self.service.url)
            checkpoint_ids[project] = caller.protect(caller.plan(project.volumes(1)))
        identity.unassign_project_role_from_user(roleless.id, roleless.user_id, roleless.role_id)
        identity.update_user(disabled.user_id, is_enabled=False)
        self.start_worker()
        for project in (roleless, disabled):
            self._assert_says_what_to_do(project, checkpoint_ids[project])

        identity.assign_project_role_to_user(roleless.id, roleless.user_id, roleless.role_id)
        self.caller = callers.of(roleless.login(), self.service.url)
        self.assertEqual('error', self.caller.checkpoint(checkpoint_ids[roleless])['status'])
        plan_id = self.caller.checkpoint(checkpoint_ids[roleless])['protection_plan']['id']
        self.assert_ends_well(self.caller.protect(plan_id))
        self.caller.call('DELETE', f'{callers.CHECKPOINTS}/{checkpoint_ids[roleless]}')
        self.caller.wait_for_checkpoint(checkpoint_ids[roleless], 'deleted')
        self.wait_for_no_trust()

    def _assert_says_what_to_do(self, project: cloud.Project, checkpoint_id: str) -> None:
        def ended() -> Any:
            return [
                checkpoint
                for checkpoint in self.administrator().call(
                    'GET', f'{callers.CHECKPOINTS}?project_id={project.id}'
                )
                if checkpoint['status'] != 'protecting'
            ]

        [checkpoint] = cloud.wait_until(ended, 'the end of the job')
        self.assertEqual((checkpoint_id, 'error'), (checkpoint['id'], checkpoint['status']))
        for part in (
            'Keystone does not honour trust',
            f'user {project.user_id}',
            f'project {project.id}',
            'The user or the project is disabled, or the user has lost the role member.',
            'ask again with a token of your own',
        ):
            self.assertIn(part, checkpoint['status_reason'])
        [log] = self.administrator().call(
            'GET', f'/operation_logs?checkpoint_id={checkpoint_id}&all_tenants=1'
        )
        self.assertEqual(('error', checkpoint['status_reason']), (log['status'], log['error_info']))
        cloud.wait_until(lambda: not project.trusts(), 'the end of the trust')
        snapshots = cloud.admin_cinder().volume_snapshots.list(
            search_opts={'all_tenants': 1, 'project_id': project.id}
        )
        self.assertEqual([], snapshots)


class WorkerEndsTest(service_case.ServiceTestCase):
    """One of two workers ends in the middle of a job."""

    options = {
        'protection': {'job_lease': _LEASE, 'shutdown_grace': 1},
        'cinder_client': {'max_creating': 2},
    }

    def setUp(self) -> None:
        super().setUp()
        self.volume_ids = self.project.volumes(10)
        plan_id = self.caller.plan(self.volume_ids)
        self.workers = {worker.pid: worker for worker in (self.start_worker(), self.start_worker())}
        cloud.wait_until(lambda: self.log().count('Waiting for jobs') == 2, 'the workers')
        self.checkpoint_id = self.caller.protect(plan_id)
        self.first = self._group_at_work()
        cloud.wait_until(lambda: len(self.project.snapshots()) >= 2, 'the first snapshots')

    def test_another_one_takes_up_what_a_killed_one_had(self) -> None:
        self.service.kill(self.workers[self.first])
        self._assert_the_other_ends_it()

    def test_what_does_not_end_in_time_is_handed_back(self) -> None:
        begun = time.monotonic()
        self.workers[self.first].terminate()
        self.assertEqual(0, self.workers[self.first].wait(10))
        self.assertLess(time.monotonic() - begun, 5)
        self.assertIn('1 jobs are not finished; they are handed back', self.log())
        cloud.wait_until(lambda: 'begins (attempt 2)' in self.log(), 'the other one')
        # It did not wait for the lease to end.
        self.assertNotIn('whose leases have ended', self.log())
        self._assert_the_other_ends_it()

    def _assert_the_other_ends_it(self) -> None:
        self.assertLess(len(self.project.snapshots()), 10)
        self.assert_ends_well(self.checkpoint_id)
        self.assertNotEqual(self.first, self._group_at_work())
        self.assertIn('begins (attempt 2)', self.log())
        self.assertEqual(10, self.caller.checkpoint(self.checkpoint_id)['resources_done'])
        self.assertEqual(
            {volume_id: [self._recorded(volume_id)] for volume_id in self.volume_ids},
            self.project.snapshots(),
        )
        self.caller.call('DELETE', f'{callers.CHECKPOINTS}/{self.checkpoint_id}')
        self.caller.wait_for_checkpoint(self.checkpoint_id, 'deleted')
        self.assertEqual({}, self.project.snapshots())
        self.wait_for_no_trust()

    def _group_at_work(self) -> int:
        """Process group of the worker that began the protection last, as the log has it."""
        pid = int(
            cloud.wait_until(
                lambda: re.findall(
                    rf'^\S+ \S+ (\d+) .* protect of {self.checkpoint_id} begins',
                    self.log(),
                    re.MULTILINE,
                ),
                'the begin of the job',
            )[-1]
        )
        return os.getpgid(pid)

    def _recorded(self, volume_id: str) -> str:
        """The id of a snapshot as the bank has it."""
        path = (
            self.folder
            / 'bank/karbor/checkpoints'
            / self.checkpoint_id
            / 'resource-data'
            / volume_id
            / 'metadata'
        )
        return json.loads(path.read_text())['snapshot_id']


class KeystoneSilentTest(service_case.ServiceTestCase):
    """Keystone takes connections, and does not answer."""

    options = {
        'keystone_authtoken': {
            'http_connect_timeout': 3,
            'http_request_max_retries': 0,
            'token_cache_time': 300,
        },
        'trustee': {'timeout': 3},
        'protection': {'job_lease': _LEASE},
    }

    def test_jobs_wait_until_it_is_back(self) -> None:
        checkpoint_id = self.caller.protect(self.caller.plan(self.project.volumes(1)))
        other = cloud.Project()
        without_trust = callers.of(other.session, self.service.url)
        plan_id = without_trust.plan(other.volumes(1))
        with cloud.keystone_paused():
            self.start_worker()
            answer = without_trust.ask(
                'POST', callers.CHECKPOINTS, {'checkpoint': {'plan_id': plan_id}}
            )
            _assert_unavailable(self, answer)
            self.assertEqual([], without_trust.call('GET', callers.CHECKPOINTS))
            cloud.wait_until(lambda: 'is tried again later' in self.log(), 'the worker waits')
            self.assertEqual('protecting', self.caller.checkpoint(checkpoint_id)['status'])
        self.assert_ends_well(checkpoint_id)
        self.wait_for_no_trust()

    def test_unknown_tokens(self) -> None:
        unknown = callers.of(self.project.login(), self.service.url)
        self.caller.call('GET', '/plans')
        with cloud.keystone_paused():
            self.assertEqual([], self.caller.call('GET', '/plans'))
            _assert_unavailable(self, unknown.ask('GET', '/plans'))
            for path, status in (('/', 300), ('/healthcheck/ready', 200)):
                answer = requests.get(
                    self.service.url + path, timeout=5, headers={'X-Auth-Token': 'unknown'}
                )
                self.assertEqual(status, answer.status_code)
        self.assertEqual([], unknown.call('GET', '/plans'))


class KeystoneDownTest(service_case.ServiceTestCase):
    """There is nobody who takes connections."""

    options = {
        'keystone_authtoken': {'auth_url': 'http://127.0.0.1:9/v3', 'http_request_max_retries': 0}
    }

    def test_tokens(self) -> None:
        _assert_unavailable(self, self.caller.ask('GET', '/plans'))
        nobody = callers.Caller(self.service.url, self.project.id, None)
        self.assertEqual(401, nobody.ask('GET', '/plans').status_code)


def _assert_unavailable(test: service_case.ServiceTestCase, answer: requests.Response) -> None:
    test.assertEqual(503, answer.status_code, answer.text)
    test.assertRegex(answer.headers['x-openstack-request-id'], '^req-')
    test.assertEqual(503, answer.json()['serviceUnavailable']['code'])
    test.assertIn('Keystone cannot be asked', answer.json()['serviceUnavailable']['message'])
