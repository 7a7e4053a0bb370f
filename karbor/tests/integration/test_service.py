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

"""A cloud's Karbor as operators, proxies and browsers see it."""

import collections
import contextlib
import re
import sqlite3
import subprocess
from typing import Any

import requests

from karbor.tests.integration import callers, cloud, service_case


class ServicesTest(service_case.ServiceTestCase):
    options = {'DEFAULT': {'service_down_time': 4}}

    def test_up_and_down_and_disabled(self) -> None:
        worker = self._started_worker()
        [shown] = self._shown()
        self.assertEqual(
            ('karbor-protection', 'enabled', None),
            (shown['binary'], shown['status'], shown['disabled_reason']),
        )
        self.service.kill(worker)
        cloud.wait_until(lambda: self._state() == 'down', 'the killed worker is down')
        self._started_worker()
        self.assertEqual([shown['id']], [service['id'] for service in self._shown()])

        administrator = self.administrator()
        administrator.call(
            'PUT',
            f'/os-services/{shown["id"]}',
            {'status': 'disabled', 'disabled_reason': 'maintenance'},
        )
        self._wait_for_reports(2)
        checkpoint_id = self.caller.protect(self.caller.plan(self.project.volumes(1)))
        self._wait_for_reports(2)
        self.assertEqual('protecting', self.caller.checkpoint(checkpoint_id)['status'])
        self.assertNotIn('begins', self.log())
        [shown] = self._shown()
        self.assertEqual(
            ('disabled', 'up', 'maintenance'),
            (shown['status'], shown['state'], shown['disabled_reason']),
        )
        administrator.call('PUT', f'/os-services/{shown["id"]}', {'status': 'enabled'})
        self.assert_ends_well(checkpoint_id)

    def _started_worker(self) -> subprocess.Popen[bytes]:
        worker = self.start_worker()
        cloud.wait_until(lambda: self._state() == 'up', 'a worker is up')
        return worker

    def _shown(self) -> list[Any]:
        return self.administrator().call('GET', '/os-services')

    def _state(self) -> str | None:
        return next((service['state'] for service in self._shown()), None)

    def _wait_for_reports(self, count: int) -> None:
        for _ in range(count):
            before = self._shown()[0]['updated_at']
            cloud.wait_until(
                lambda before=before: self._shown()[0]['updated_at'] != before, 'the next report'
            )


class RequestsTest(service_case.ServiceTestCase):
    """What stands around the API."""

    options = {
        'oslo_middleware': {'enable_proxy_headers_parsing': True},
        'cors': {'allowed_origin': 'https://dashboard.example'},
    }

    def test_request_ids(self) -> None:
        answer = self.caller.ask(
            'POST',
            '/triggers',
            {
                'trigger_info': {
                    'name': 'n',
                    'type': 'time',
                    'properties': {'format': 'crontab', 'pattern': '0 3 * * *'},
                }
            },
        )
        request_id = answer.headers['x-openstack-request-id']
        self.assertRegex(request_id, r'^req-[0-9a-f-]{36}\Z')
        self.assertEqual(request_id, answer.headers['x-compute-request-id'])
        [log] = self.caller.call('GET', '/operation_logs')
        self.assertEqual(
            ('trigger_create', request_id, self.project.user_id, self.project.id),
            (log['operation_type'], log['request_id'], log['user_id'], log['project_id']),
        )
        plan_id = self.caller.plan(self.project.volumes(1))
        answer = self.caller.ask('POST', callers.CHECKPOINTS, {'checkpoint': {'plan_id': plan_id}})
        [log] = self.caller.call('GET', '/operation_logs?operation_type=protect')
        self.assertEqual(answer.headers['x-openstack-request-id'], log['request_id'])
        for path in ('/plans/x', '/nowhere', f'/plans/{self.project.user_id}'):
            answer = self.caller.ask('GET', path)
            self.assertGreaterEqual(answer.status_code, 400)
            self.assertRegex(answer.headers['x-openstack-request-id'], '^req-')

    def test_the_log_says_who_asked(self) -> None:
        """Also after each thread of the server has had a request of somebody else."""
        other = cloud.Project()
        for _ in range(12):
            self.caller.ask('GET', '/plans')
        answer = callers.of(other.session, self.service.url).ask('GET', '/plans')
        who = self._who(answer)
        self.assertIn(answer.headers['x-openstack-request-id'], who)
        self.assertIn(f' {other.user_id} {other.id} ', who)
        who = self._who(requests.get(f'{self.service.url}/v1'))
        self.assertNotIn(self.project.user_id, who)

    def _who(self, answer: requests.Response) -> str:
        """Whose request an answer was to, as the log has it."""
        request_id = answer.headers['x-openstack-request-id']
        [line] = cloud.wait_until(
            lambda: [line for line in self.log().splitlines() if f"{request_id} 'GET" in line],
            'the line of the log',
        )
        return line.partition('[')[2].partition(']')[0]

    def test_links_behind_a_proxy(self) -> None:
        for name in ('a', 'b'):
            self.caller.trigger(name)
        proxy = {
            'X-Forwarded-Proto': 'https',
            'X-Forwarded-Host': 'cloud.example:8443',
            'X-Forwarded-Prefix': '/data-protect',
        }
        token = {'X-Auth-Token': self.project.session.get_token()}
        path = f'/v1/{self.project.id}/triggers?limit=1&sort=name:asc'
        root = 'https://cloud.example:8443/data-protect'
        for headers, expected in ((proxy, root), ({}, self.service.url)):
            version = requests.get(f'{self.service.url}/v1', headers=headers).json()['version']
            self.assertEqual(f'{expected}/v1/', version['links'][0]['href'])
            page = requests.get(self.service.url + path, headers={**headers, **token}).json()
            [link] = page['triggers_links']
            self.assertEqual('next', link['rel'])
            self.assertTrue(
                link['href'].startswith(f'{expected}/v1/{self.project.id}/triggers?'), link
            )
            following = requests.get(link['href'].replace(root, self.service.url), headers=token)
            self.assertEqual(['b'], [trigger['name'] for trigger in following.json()['triggers']])

    def test_requests_of_browsers(self) -> None:
        url = f'{self.service.url}/v1/{self.project.id}/plans'
        asked = {
            'Access-Control-Request-Method': 'PUT',
            'Access-Control-Request-Headers': 'X-Auth-Token',
        }
        ours = {'Origin': 'https://dashboard.example'}
        answer = requests.options(url, headers={**ours, **asked})
        self.assertEqual(200, answer.status_code, answer.text)
        self.assertEqual('https://dashboard.example', answer.headers['Access-Control-Allow-Origin'])
        self.assertIn('PUT', answer.headers['Access-Control-Allow-Methods'])
        self.assertIn('X-Auth-Token', answer.headers['Access-Control-Allow-Headers'])
        answer = requests.get(
            url, headers={**ours, 'X-Auth-Token': self.project.session.get_token()}
        )
        self.assertEqual(
            (200, 'https://dashboard.example'),
            (answer.status_code, answer.headers['Access-Control-Allow-Origin']),
        )
        self.assertIn('X-OpenStack-Request-ID', answer.headers['Access-Control-Expose-Headers'])
        answer = requests.get(url, headers=ours)  # what is refused can be read, too
        self.assertEqual(
            (401, 'https://dashboard.example'),
            (answer.status_code, answer.headers.get('Access-Control-Allow-Origin')),
        )
        answer = requests.options(url, headers={'Origin': 'https://evil.example', **asked})
        self.assertNotIn('Access-Control-Allow-Origin', answer.headers)

    def test_health_check(self) -> None:
        live, ready = (f'{self.service.url}/healthcheck{path}' for path in ('', '/ready'))
        well = {'database': 'ok', 'job_board': 'ok', 'banks': 'ok'}
        self.assertEqual({'status': 'ok'}, requests.get(live).json())
        self._assert_ready(ready, 200, {'status': 'ok', 'checks': well})
        with contextlib.closing(sqlite3.connect(self.folder / 'karbor.db')) as database:
            database.execute('ALTER TABLE jobs RENAME TO elsewhere')
            self._assert_ready(
                ready, 503, {'status': 'failed', 'checks': {**well, 'job_board': 'failed'}}
            )
            self.assertEqual(200, requests.get(live).status_code)
            database.execute('ALTER TABLE elsewhere RENAME TO jobs')
        self._assert_ready(ready, 200, {'status': 'ok', 'checks': well})
        self.assertRegex(self.log(), 'Not ready: .*job_board')
        (self.folder / 'bank').rename(self.folder / 'elsewhere')
        self.addCleanup((self.folder / 'elsewhere').rename, self.folder / 'bank')
        self._assert_ready(ready, 503, {'status': 'failed', 'checks': {**well, 'banks': 'failed'}})

    def _assert_ready(self, url: str, status: int, told: Any) -> None:
        answer = requests.get(url)
        self.assertEqual((status, told), (answer.status_code, answer.json()))

    def test_gunicorn(self) -> None:
        url = self.service.start_gunicorn(2)
        self.assertEqual(
            requests.get(f'{self.service.url}/v1/openapi.json').json(),
            requests.get(f'{url}/v1/openapi.json').json(),
        )
        self.assertEqual(
            f'{url}/v1/', requests.get(f'{url}/v1').json()['version']['links'][0]['href']
        )
        caller = callers.of(self.project.session, url)
        plan_id = caller.plan(self.project.volumes(1), 'by gunicorn')
        self.assertEqual(
            self.caller.call('GET', f'/plans/{plan_id}'), caller.call('GET', f'/plans/{plan_id}')
        )
        nobody = callers.Caller(url, self.project.id, None).ask('GET', '/plans')
        self.assertEqual((401, 'unauthorized'), (nobody.status_code, next(iter(nobody.json()))))
        checkpoint_id = caller.protect(plan_id)
        self.start_worker()
        self.assert_ends_well(checkpoint_id)

        def processes() -> Any:
            answer = callers.of(self.project.session, url).ask('GET', '/providers')
            self.assertEqual(200, answer.status_code)
            served = collections.Counter(
                re.findall(
                    r"^\S+ \S+ (\d+) INFO karbor.api.middleware .* 'GET \S+/providers' -> 200",
                    self.log(),
                    re.MULTILINE,
                )
            )
            return served if len(served) == 2 else None

        cloud.wait_until(processes, 'requests are served by both processes')
