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

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import falcon

from karbor import db
from karbor.tests import base
from karbor.tests.functional import api_server

_WORKERS = 3


class _Mirror:
    """Tells how a request arrived, and in which process."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        time.sleep(0.05)  # long enough for others to come at the same time
        resp.media = {
            'process': os.getpid(),
            'path': req.path,
            'query': req.query_string,
            'headers': req.headers,
            'prefix': req.prefix,
        }

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {'type': req.content_type, 'body': req.bounded_stream.read().decode()}

    def on_put(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.status = falcon.HTTP_413  # and leaves the body unread

    def on_delete(self, _req: falcon.Request, _resp: falcon.Response) -> None:
        raise LookupError('written to the log')


class HttpClientTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        app = falcon.App()
        app.add_sink(self._answer, '/')
        self.log = self.temp_dir / 'log'
        self.client = api_server.HttpClient(app, _WORKERS, self.log, threading.Lock())
        self.addCleanup(self.client.stop)

    @staticmethod
    def _answer(req: falcon.Request, resp: falcon.Response, **_: Any) -> None:
        getattr(_Mirror(), f'on_{req.method.lower()}')(req, resp)

    def get(self, path: str, **kwargs: Any) -> Any:
        return self.client.simulate_get(path, **kwargs).json

    def test_many_processes_answer(self) -> None:
        self.get('/')
        seen: set[int] = set()

        def ask() -> None:
            for _ in range(5):
                seen.add(self.get('/')['process'])

        threads = [threading.Thread(target=ask) for _ in range(2 * _WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(_WORKERS, len(seen - {os.getpid()}))

    def test_a_request_arrives_as_it_was_sent(self) -> None:
        for path, arrived in (
            ('/a/../b/', '/a/../b/'),
            ('//v1', '//v1'),
            ('/a b', '/a b'),
            ('/%2e%20', '/. '),
            ('/\xfc%C3%BC', '/\xfc\xfc'),
            ('/%', '/%'),
        ):
            self.assertEqual(arrived, self.get(path)['path'])
        self.assertEqual('a=1&a=2&b=%26', self.get('/', params={'a': [1, 2], 'b': '&'})['query'])
        self.assertEqual('a=%26b', self.get('/?a=%26b')['query'])
        self.assertEqual('t\xf6ken', self.get('/', headers={'X-T': 't\xf6ken'})['headers']['X-T'])
        self.assertEqual('http://falconframework.org', self.get('/')['prefix'])
        self.assertEqual('http://k:8799', self.get('/', host='k', port=8799)['prefix'])

    def test_bodies(self) -> None:
        for kwargs, body, content_type in (
            ({'body': 'a\xfc'}, 'a\xfc', None),
            ({}, '', None),
            ({'json': {'a': 1}}, '{"a": 1}', 'application/json'),
        ):
            answer = self.client.simulate_post('/', **kwargs)
            self.assertEqual({'type': content_type, 'body': body}, answer.json)

    def test_a_body_that_nobody_reads(self) -> None:
        answer = self.client.simulate_put('/', body=b'x' * 10_000_000)
        self.assertEqual(413, answer.status_code)

    def test_what_processes_log_is_kept(self) -> None:
        self.assertEqual(500, self.client.simulate_delete('/').status_code)
        self.assertIn('written to the log', self.log.read_text())

    def test_they_do_not_use_the_connections_of_the_test(self) -> None:
        with db.engine().connect() as connection:
            self.get('/')
            self.client.stop()
            self.assertEqual(1, connection.exec_driver_sql('SELECT 1').scalar())

    def test_what_was_patched_before_the_first_request(self) -> None:
        self.patch(_Mirror, 'on_get', lambda _self, _req, resp: setattr(resp, 'media', 'new'))
        self.assertEqual('new', self.get('/'))

    def test_many_first_requests(self) -> None:
        seen: list[int] = []
        threads = [
            threading.Thread(target=lambda: seen.append(self.get('/')['process'])) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(8, len(seen))
        self.assertLessEqual(len(set(seen)), _WORKERS)
        self.assertIn('process', self.get('/'))  # though the thread that forked has ended

    def test_they_end_when_they_are_stopped(self) -> None:
        process = self.get('/')['process']
        self.client.stop()
        self.client.stop()
        self.wait_until(lambda: _is_gone(process), 'the end of a worker')
        self.assertNotEqual(process, self.get('/')['process'])

    def test_they_end_with_the_tests(self) -> None:
        """Even when the tests are killed."""
        program = (
            'from karbor.tests.unit.test_api_server import HttpClientTest as T\n'
            't = T("test_bodies"); t.setUp()\n'
            'print(t.get("/")["process"], flush=True); input()'
        )
        with subprocess.Popen(
            [sys.executable, '-c', program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, 'TMPDIR': str(self.temp_dir), 'KARBOR_TEST_DATABASE': 'sqlite'},
        ) as tests:
            worker = int(tests.stdout.readline())
            self.assertFalse(_is_gone(worker))
            tests.send_signal(signal.SIGKILL)
        self.wait_until(lambda: _is_gone(worker), 'the end of a worker')


def _is_gone(process: int) -> bool:
    """Whether a process has ended, though nobody may have asked how."""
    try:
        state = pathlib.Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0]
    except FileNotFoundError:
        return True
    return state in 'ZX'
