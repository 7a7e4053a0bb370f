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
import socket
import threading
from collections.abc import Iterator
from typing import Any

from karbor.cmd import web_server
from karbor.tests import base


def _application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response('200 OK', [('Content-Length', '2')])
    return [environ.get('HTTP_X', 'no').encode()[:2]]


class WebServerTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.address = self.enterContext(_serving())

    def answer(self, request: bytes) -> bytes:
        with socket.create_connection(self.address, 10) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            received = b''
            while more := connection.recv(65536):
                received += more
        return received

    def test_an_application_is_served(self):
        self.assertRegex(
            self.answer(b'GET / HTTP/1.1\r\nHost: k\r\nX: ab\r\n\r\n'),
            rb'(?s)^HTTP/1.1 200 OK.*ab$',
        )

    def test_a_first_header_line_that_continues_none(self):
        for blank in (b' ', b'\t'):
            received = self.answer(b'GET / HTTP/1.1\r\n' + blank + b'X: a\r\nHost: k\r\n\r\n')
            self.assertTrue(received.startswith(b'HTTP/1.1 400 '), received)

    def test_a_length_that_nobody_can_count_to(self):
        received = self.answer(
            b'GET / HTTP/1.1\r\nHost: k\r\nContent-Length: ' + b'9' * 23 + b'\r\n\r\n'
        )
        self.assertTrue(received.startswith(b'HTTP/1.1 413 '), received)

    def test_headers_have_an_end(self):
        received = self.answer(b'GET / HTTP/1.1\r\nX: ' + b'a' * 65536 + b'\r\n\r\n')
        self.assertTrue(received.startswith(b'HTTP/1.1 413 '), received)
        received = self.answer(b'GET / HTTP/1.1\r\nX: ' + b'a' * 60000 + b'\r\n\r\n')
        self.assertTrue(received.startswith(b'HTTP/1.1 200 '), received)


@contextlib.contextmanager
def _serving() -> Iterator[tuple[str, int]]:
    server = web_server.create(('127.0.0.1', 0), _application, 2)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server.bind_addr
    finally:
        server.stop()
        thread.join(20)
