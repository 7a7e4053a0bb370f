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

import contextlib
import http.server
import json
import os
import pathlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import fixtures
from oslotest import base

from karbor.common import clouds

PROJECT_ID = 'aaaabbbbccccddddeeeeffff00001111'


class FakeKeystone:
    """Gives a token to everybody who knows the password."""

    def __init__(self) -> None:
        self.project: dict[str, Any] | None = {
            'id': PROJECT_ID,
            'name': 'demo',
            'domain': {'id': 'default', 'name': 'Default'},
        }
        self.catalog: list[dict[str, Any]] = []

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Serve on a port of 127.0.0.1; gives the auth_url."""
        handler = type('Handler', (_Handler,), {'keystone': self})
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f'http://127.0.0.1:{server.server_address[1]}/v3'
        finally:
            server.shutdown()
            server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    keystone: FakeKeystone

    def do_GET(self) -> None:
        url = f'http://{self.headers["Host"]}/v3/'
        self._answer(
            200,
            {
                'version': {
                    'id': 'v3.14',
                    'status': 'stable',
                    'links': [{'rel': 'self', 'href': url}],
                }
            },
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        if body['auth']['identity']['password']['user']['password'] != 'right':
            self._answer(
                401,
                {
                    'error': {
                        'code': 401,
                        'message': 'The request you have made requires authentication.',
                    }
                },
            )
            return
        token: dict[str, Any] = {
            'user': {'id': 'u1', 'name': 'u', 'domain': {'id': 'default', 'name': 'Default'}},
            'methods': ['password'],
            'issued_at': '2020-11-05T10:00:00.000000Z',
            'expires_at': '2999-11-05T10:00:00.000000Z',
            'roles': [],
        }
        if self.keystone.project:
            token.update(project=self.keystone.project, catalog=self.keystone.catalog)
        self._answer(201, {'token': token})

    def _answer(self, status: int, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (
            ('Content-Type', 'application/json'),
            ('X-Subject-Token', 'secret'),
            ('Content-Length', str(len(data))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Print nothing."""


def cloud_of(auth_url: str, **fields: Any) -> dict[str, Any]:
    """An entry of clouds.yaml."""
    return {
        'auth': {
            'auth_url': auth_url,
            'username': 'u',
            'password': 'right',
            'user_domain_id': 'default',
            'project_id': PROJECT_ID,
        },
        **fields,
    }


def only_these_clouds(
    test: base.BaseTestCase, folder: pathlib.Path, **entries: dict[str, Any]
) -> pathlib.Path:
    """Let a test know these clouds and no others, whatever the tester's shell knows."""
    for name in list(os.environ):
        if name.startswith('OS_') and not name.endswith('_CAPTURE'):
            test.useFixture(fixtures.EnvironmentVariable(name))
    path = folder / 'clouds.yaml'
    path.write_text(json.dumps({'clouds': entries}))  # JSON is YAML
    test.useFixture(fixtures.EnvironmentVariable('OS_CLIENT_CONFIG_FILE', str(path)))
    return path


class LoadTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.keystone = FakeKeystone()
        serving = self.keystone.serve()
        self.url = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)

    def load(self, **fields: Any) -> clouds.Cloud:
        only_these_clouds(self, self.folder, c=cloud_of(self.url, **fields))
        return clouds.load('c', 7, 5)

    def refused(self, name: str | None = 'c', **entries: dict[str, Any]) -> str:
        only_these_clouds(self, self.folder, **entries)
        return str(self.assertRaises(clouds.CloudError, clouds.load, name, 7, 5))

    def test_who_and_where(self) -> None:
        cloud = self.load(region_name='R1', interface='internal')
        self.assertEqual(
            (PROJECT_ID, 'demo', 'u1', 'R1', 'internal', None),
            (
                cloud.project_id,
                cloud.project_name,
                cloud.user_id,
                cloud.region,
                cloud.interface,
                cloud.cinder_endpoint,
            ),
        )
        self.assertEqual('secret', cloud.session.get_token())

    def test_every_thread_has_a_connection(self) -> None:
        session = self.load().session.session
        for scheme in ('http', 'https'):
            adapter = session.get_adapter(f'{scheme}://cinder.example')
            self.assertEqual(7, adapter._pool_maxsize)

    def test_requests_end(self) -> None:
        self.assertEqual(5, self.load().session.timeout)

    def test_an_endpoint_of_the_file_loses_the_project(self) -> None:
        for endpoint in (
            'http://c.example/v3',
            'http://c.example/v3/',
            f'http://c.example/v3/{PROJECT_ID}',
            f'http://c.example/v3/{PROJECT_ID}/',
        ):
            cloud = self.load(block_storage_endpoint_override=endpoint)
            self.assertEqual('http://c.example/v3', cloud.cinder_endpoint)

    def test_the_cloud_of_the_environment(self) -> None:
        only_these_clouds(self, self.folder, c=cloud_of(self.url))
        self.useFixture(fixtures.EnvironmentVariable('OS_CLOUD', 'c'))
        self.assertEqual(PROJECT_ID, clouds.load(None, 7, 5).project_id)

    def test_credentials_of_the_environment(self) -> None:
        only_these_clouds(self, self.folder)
        for name, value in cloud_of(self.url)['auth'].items():
            self.useFixture(fixtures.EnvironmentVariable(f'OS_{name.upper()}', value))
        self.assertEqual(PROJECT_ID, clouds.load(None, 7, 5).project_id)

    def test_no_credentials(self) -> None:
        only_these_clouds(self, self.folder)
        reason = str(self.assertRaises(clouds.CloudError, clouds.load, None, 7, 5))
        self.assertIn('auth_url', reason)
        self.assertIn('--os-cloud', reason)
        self.assertNotIn('does not take', reason)

    def test_no_such_cloud(self) -> None:
        self.assertIn('nowhere', self.refused('nowhere', c=cloud_of(self.url)))

    def test_no_cloud_at_all(self) -> None:
        self.assertTrue(self.refused(None))

    def test_a_file_that_is_no_yaml(self) -> None:
        only_these_clouds(self, self.folder).write_text('clouds: [}')
        self.assertRaises(clouds.CloudError, clouds.load, 'c', 7, 5)

    def test_keystone_that_is_not_there(self) -> None:
        with socket.socket() as unused:
            unused.bind(('127.0.0.1', 0))  # bound and not listening: refused at once
            url = f'http://127.0.0.1:{unused.getsockname()[1]}/v3'
            self.assertIn(url, self.refused(c=cloud_of(url)))

    def test_a_url_that_is_none(self) -> None:
        for url in ('nonsense', 'http://[', ''):
            self.assertTrue(self.refused(c=cloud_of(url)), url)

    def test_a_wrong_password(self) -> None:
        cloud = cloud_of(self.url)
        cloud['auth']['password'] = 'wrong-password'
        message = self.refused(c=cloud)
        self.assertIn('requires authentication', message)
        self.assertNotIn('wrong-password', message)

    def test_credentials_that_lack_something(self) -> None:
        for name in ('auth_url', 'password'):
            cloud = cloud_of(self.url)
            del cloud['auth'][name]
            self.assertTrue(self.refused(c=cloud), name)

    def test_credentials_for_no_project(self) -> None:
        self.keystone.project = None
        cloud = cloud_of(self.url)
        del cloud['auth']['project_id']
        self.assertIn('project_name', self.refused(c=cloud))

    def test_a_way_to_log_in_that_knows_no_project(self) -> None:
        """Among others what openrc of a Karbor that runs gives to a shell."""
        for kind, auth in (
            ('admin_token', {'endpoint': self.url, 'token': 't'}),
            ('none', {'endpoint': self.url}),
        ):
            self.assertTrue(self.refused(c={'auth_type': kind, 'auth': auth}), kind)
        self.assertTrue(self.refused(c={'auth_type': 'no-such-type', 'auth': {}}))
