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

"""A karbor-standalone that is found on the same machine, and what may be wrong with it."""

import contextlib
import json
import os
import pathlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import fixtures
import openstack
from keystoneauth1 import exceptions as ks_exc
from openstack import exceptions

import karbor.client
from karbor import local
from karbor.client.proxy import Proxy
from karbor.cmd import web_server
from karbor.testing import fake_keystone
from karbor.tests import base
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID

_LIMITS = web_server.Limits(body=1000, connections=20, connections_per_address=1)


class StandaloneTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.states = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.EnvironmentVariable('XDG_STATE_HOME', str(self.states)))
        self.keystone = fake_keystone.FakeKeystone()
        self.auth_url = self.enterContext(self.keystone.serve())
        self.environs: list[dict[str, Any]] = []

    def folder(self, name: str, project_id: str = PROJECT_ID, **claims: str) -> pathlib.Path:
        path = self.states / 'karbor' / name
        path.mkdir(mode=0o700, parents=True)
        for claim, text in {local.PROJECT: project_id, **claims}.items():
            (path / claim).write_text(f'{text}\n')
        return path

    def conn(self, name: str = 'mycloud', **more: Any) -> Any:
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
        conn.config._name = name
        self.addCleanup(conn.close)
        return conn

    def calls(self, *args: Any, **more: Any) -> Any:
        return karbor.client.add_to(self.conn(*args, **more))

    def absent(self, *args: Any, **more: Any) -> str:
        """Why there is none."""
        calls = self.calls(*args, **more)
        return str(self.assertRaises(exceptions.ServiceDisabledException, getattr, calls, 'plans'))

    def application(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.environs.append(environ)
        marker = 'marker' in environ['QUERY_STRING']
        url = 'http://elsewhere.example/v1/x/plans?marker=a&limit=1'
        answer = {
            'plans': [{'id': 'b' if marker else 'a'}],
            **({} if marker else {'plans_links': [{'rel': 'next', 'href': url}]}),
        }
        start_response('200 OK', [('Content-Type', 'application/json')])
        return [json.dumps(answer).encode()]

    @contextlib.contextmanager
    def serving(self, path: pathlib.Path) -> Iterator[None]:
        server = web_server.WebServer(2, _LIMITS)
        with local.Folder(path) as folder:
            server.listen_on(folder.listen(), self.application)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.stop()
            thread.join(20)

    def test_it_is_asked_without_a_token(self) -> None:
        self.folder('other', OTHER_PROJECT_ID)
        path = self.folder('mycloud')
        with self.serving(path):
            calls = self.calls()
            self.assertIsInstance(calls, Proxy)
            self.assertEqual(PROJECT_ID, calls.own_project_id)
            self.assertEqual(['a', 'b'], [plan.id for plan in calls.plans(limit=1)])
        for environ in self.environs:
            self.assertEqual(f'/v1/{PROJECT_ID}/plans', environ['PATH_INFO'])
            self.assertNotIn('HTTP_X_AUTH_TOKEN', environ)
            self.assertNotIn('HTTP_AUTHORIZATION', environ)

    def test_no_proxy_is_between(self) -> None:
        for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy'):
            self.useFixture(fixtures.EnvironmentVariable(name, 'http://127.0.0.1:1'))
        self.useFixture(fixtures.EnvironmentVariable('no_proxy', '127.0.0.1'))
        with self.serving(self.folder('mycloud')):
            self.assertEqual(2, len(list(self.calls().plans())))

    def test_it_leads_nowhere_else(self) -> None:
        listening = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listening.close)
        listening.settimeout(0.1)
        url = f'http://127.0.0.1:{listening.getsockname()[1]}/'

        def redirect(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            self.environs.append(environ)
            start_response('302 Found', [('Location', url), ('Content-Length', '0')])
            return []

        with (
            mock.patch.object(self, 'application', redirect),
            self.serving(self.folder('mycloud')),
        ):
            calls = self.calls()
            with contextlib.suppress(TypeError, ks_exc.ClientException):
                list(calls.plans())
        self.assertRaises(TimeoutError, listening.accept)
        self.assertGreater(len(self.environs), 1)  # all of them came here

    def test_a_long_path(self) -> None:
        path = self.folder('a' * 200)
        with self.serving(path):
            self.assertEqual(2, len(list(self.calls().plans())))

    def test_the_catalog_comes_first(self) -> None:
        self.keystone.services['data-protect'] = 'http://127.0.0.1:1/v1/x'
        with self.serving(self.folder('mycloud')):
            self.assertEqual('http://127.0.0.1:1/v1/x', self.calls().get_endpoint())

    def test_an_override_comes_first(self) -> None:
        url = 'http://127.0.0.1:1/v1/x'
        with self.serving(self.folder('mycloud')):
            calls = self.calls(data_protect_endpoint_override=url)
            self.assertEqual(url, calls.get_endpoint())

    def test_a_cloud_without_karbor_may_say_so(self) -> None:
        with self.serving(self.folder('mycloud')):
            conn = self.conn()
            karbor.client.add_to(conn)
            conn.config.disable_service('data-protect', 'no')
            conn._proxies.clear()
            self.assertRaises(exceptions.ServiceDisabledException, getattr, conn.protection, 'x')

    def test_none(self) -> None:
        said = self.absent()
        for part in ('no data-protect', PROJECT_ID, 'karbor-standalone --os-cloud mycloud'):
            self.assertIn(part, said)
        self.assertTrue(self.absent('envvars').endswith('karbor-standalone'))
        self.folder('mycloud', OTHER_PROJECT_ID)
        self.assertEqual(said, self.absent())

    def test_each_connection_asks_that_of_its_own_cloud(self) -> None:
        for name in ('one', 'two'):
            self.folder(name)
        conns = [self.conn(name) for name in ('one', 'two', 'third')]
        for conn in conns:
            karbor.client.add_to(conn)
        for conn, said in zip(conns[:2], ('one', 'two'), strict=True):
            fault = self.assertRaises(ks_exc.ConnectFailure, list, conn.protection.plans())
            self.assertIn(f'runs on {self.states}/karbor/{said}.', str(fault))
            self.assertIs(conn, conn.protection._connection)
        self.assertRaises(
            exceptions.ServiceDisabledException, getattr, conns[2].protection, 'plans'
        )

    def test_what_leads_nowhere_hides_no_other(self) -> None:
        path = self.folder('mycloud')
        (path.parent / 'away').symlink_to('a' * 300)
        self.assertIsInstance(self.calls(), Proxy)

    def test_several(self) -> None:
        paths = [self.folder(name) for name in ('one', 'mycloud', 'two')]
        with self.serving(paths[1]):
            self.assertEqual(2, len(list(self.calls().plans())))
        said = self.absent('third')
        for path in paths:
            self.assertIn(str(path), said)

    def test_another_region(self) -> None:
        path = self.folder('mycloud', region='A')
        self.assertIn(f'{path} is of the region A, not of RegionOne', self.absent())
        (path / local.REGION).write_text('RegionOne\n')
        self.assertIsInstance(self.calls(), Proxy)

    def test_a_folder_that_is_open_to_others(self) -> None:
        path = self.folder('mycloud')
        path.chmod(0o750)
        self.assertIn(f'{path} is open to others (mode 750), and is not trusted', self.absent())

    def test_a_folder_of_another_user(self) -> None:
        path = self.folder('mycloud')
        with mock.patch.object(os, 'geteuid', return_value=os.geteuid() + 1):
            self.assertIn(f'{path} belongs to another user', self.absent())

    def test_claims_are_no_links(self) -> None:
        path = self.folder('mycloud')
        (path / local.PROJECT).rename(path / 'elsewhere')
        (path / local.PROJECT).symlink_to('elsewhere')
        self.assertIn(f'{path} cannot be read', self.absent())

    def test_a_folder_that_is_opened_to_others_later(self) -> None:
        path = self.folder('mycloud')
        with self.serving(path):
            calls = self.calls()
            path.chmod(0o755)
            fault = self.assertRaises(ks_exc.ConnectFailure, list, calls.plans())
        self.assertIn('open to others', str(fault))

    def test_a_socket_of_another_user(self) -> None:
        path = self.folder('mycloud')
        with self.serving(path):
            calls = self.calls()
            with mock.patch.object(local, 'peer', return_value=os.geteuid() + 1):
                fault = self.assertRaises(ks_exc.ConnectFailure, list, calls.plans())
        self.assertIn(f'listens in {path}', str(fault))
        self.assertEqual([], self.environs)

    def test_it_does_not_run(self) -> None:
        path = self.folder('mycloud')
        calls = self.calls()
        for _ in range(2):
            fault = self.assertRaises(ks_exc.ConnectFailure, list, calls.plans())
            self.assertIn(f'No karbor-standalone runs on {path}', str(fault))
            self.assertIn('karbor-standalone --os-cloud mycloud', str(fault))
            with self.serving(path):
                self.assertEqual(2, len(list(calls.plans())))

    def listen(self, path: pathlib.Path) -> socket.socket:
        with local.Folder(path) as folder:
            listening = folder.listen()
        self.addCleanup(listening.close)
        return listening

    def test_it_ends_meanwhile(self) -> None:
        path = self.folder('mycloud')
        listening = self.listen(path)

        def accept() -> None:
            listening.accept()[0].close()

        threading.Thread(target=accept, daemon=True).start()
        fault = self.assertRaises(ks_exc.ConnectFailure, list, self.calls().plans())
        self.assertEqual(
            f'The karbor-standalone of {path} has ended before it answered.', str(fault)
        )

    def test_it_does_not_answer(self) -> None:
        path = self.folder('mycloud')
        self.listen(path)
        calls = self.calls(api_timeout=0.3)
        began = time.monotonic()
        fault = self.assertRaises(ks_exc.ConnectTimeout, list, calls.plans())
        self.assertEqual(
            f'The karbor-standalone of {path} has not answered for 0.3 seconds.', str(fault)
        )
        self.assertLess(time.monotonic() - began, 5)

    def test_a_socket_that_was_left_is_replaced(self) -> None:
        path = self.folder('mycloud')
        self.listen(path).close()
        with self.serving(path):
            self.assertEqual(0o600, (path / local.SOCKET).stat().st_mode & 0o777)
            self.assertEqual(2, len(list(self.calls().plans())))
        with local.Folder(path) as folder:
            folder.remove()
            folder.remove()
        self.assertFalse((path / local.SOCKET).exists())

    def test_another_user_is_not_answered(self) -> None:
        path = self.folder('mycloud')
        with self.serving(path), local.Folder(path) as folder:
            with mock.patch.object(local, 'peer', return_value=os.geteuid() + 1):
                connection = socket.socket(socket.AF_UNIX)
                self.addCleanup(connection.close)
                connection.settimeout(10)
                connection.connect(folder._address)
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b'GET / HTTP/1.1\r\n\r\n')
                    self.assertEqual(b'', connection.recv(1000))
            self.assertEqual(2, len(list(self.calls().plans())))  # others still are
        self.assertEqual(2, len(self.environs))
