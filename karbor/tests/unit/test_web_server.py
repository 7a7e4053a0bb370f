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

"""What the web server bears of clients that are hostile, slow, or wrong."""

import contextlib
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import fixtures

from karbor.cmd import web_server
from karbor.tests import base

_LIMITS = web_server.Limits(
    body=100_000,
    connections=12,
    connections_per_address=8,
    request_time=1,
    answer_time=1,
    idle_time=2,
    look_interval=0.1,
)
_THREADS = 2
_LONG = 10  # seconds for what happens at once
_SMUGGLED = b'GET /smuggled HTTP/1.1\r\nHost: k\r\n\r\n'


class Application:
    """Answers with the length of the body, or slowly, or much."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.is_entered = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.paths.append(environ['PATH_INFO'])
        answer = environ.get('HTTP_X', str(len(environ['wsgi.input'].read()))).encode()
        if environ['PATH_INFO'] == '/slow':
            self.is_entered.set()
            self.may_go_on.wait(_LONG)
        if environ['PATH_INFO'] == '/exit':
            raise SystemExit
        if environ['PATH_INFO'].startswith('/wrong'):
            raise ValueError
        if environ['PATH_INFO'] == '/much':
            answer = b'a' * 50_000_000
        start_response('200 OK', [('Content-Length', str(len(answer)))])
        return [answer]


class WebServerTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.application = Application()
        self.server = web_server.WebServer(_THREADS, _LIMITS)
        self.address = self.server.listen('127.0.0.1', 0, self.application)
        self.thread = threading.Thread(target=self.server.serve, daemon=True)
        self.thread.start()
        self.addCleanup(self.thread.join, _LONG)
        self.addCleanup(self.server.stop)
        self.addCleanup(self.application.may_go_on.set)

    def connect(self, source: str = '127.0.0.1') -> socket.socket:
        connection = socket.create_connection(self.address, _LONG, (source, 0))
        self.addCleanup(connection.close)
        return connection

    def asked(self, request: bytes) -> bytes:
        """What is answered until the connection is closed."""
        connection = self.connect()
        connection.sendall(request)
        return _all(connection)

    def status(self, request: bytes) -> int:
        return int(self.asked(request).split(b' ', 2)[1])

    def assertServed(self, source: str = '127.0.0.1') -> None:
        connection = self.connect(source)
        connection.sendall(b'GET / HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n')
        self.assertTrue(_all(connection).startswith(b'HTTP/1.1 200 '))

    def assertClosed(self, connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(b'', connection.recv(1))

    def test_an_application_is_served(self):
        received = self.asked(b'GET / HTTP/1.1\r\nHost: k\r\nX: ab\r\nConnection: close\r\n\r\n')
        self.assertRegex(received, rb'(?s)^HTTP/1.1 200 OK.*\r\nServer: karbor\r\n.*\r\nab$')

    def test_a_connection_is_kept(self):
        connection = self.connect()
        for count in (3, 4):
            body = b'a' * count
            connection.sendall(b'PUT / HTTP/1.1\r\nHost: k\r\nContent-Length: %d\r\n\r\n' % count)
            connection.sendall(body)
            self.assertTrue(_one(connection).endswith(b'\r\n\r\n%d' % count))

    def test_a_body_that_is_waited_for(self):
        connection = self.connect()
        connection.sendall(
            b'PUT / HTTP/1.1\r\nHost: k\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n'
        )
        self.assertEqual(b'HTTP/1.1 100 Continue\r\n\r\n', connection.recv(1000))
        connection.sendall(b'abc')
        self.assertTrue(_one(connection).startswith(b'HTTP/1.1 200 OK\r\n'))

    def test_no_body_that_is_waited_for(self):
        connection = self.connect()
        for _ in range(2):  # the headers of one are not those of the next
            connection.sendall(b'GET / HTTP/1.1\r\nX: a\r\nExpect: 100-continue\r\n\r\n')
            self.assertRegex(_one(connection), rb'(?s)^HTTP/1.1 200 OK.*\r\n\r\na$')

    def test_a_large_body_is_refused_before_it_is_read(self):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for expect in (b'', b'Expect: 100-continue\r\n'):
            connection = self.connect()
            connection.sendall(
                b'POST / HTTP/1.1\r\nHost: k\r\n%bContent-Length: 700000000\r\n\r\n' % expect
            )
            received = _one(connection)
            self.assertTrue(received.startswith(b'HTTP/1.1 413 '), received)
            fault = json.loads(received.partition(b'\r\n\r\n')[2])
            self.assertEqual('The body is larger than 100000 bytes.', fault['overLimit']['message'])
            with contextlib.suppress(ConnectionError):
                for _ in range(100):
                    connection.sendall(b'a' * 1_000_000)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.assertLess(after - before, 20_000)  # kilobytes
        self.assertEqual([], self.application.paths)

    def test_who_sends_all_of_a_large_body_sees_why_it_is_refused(self):
        connection = self.connect()
        connection.sendall(b'POST / HTTP/1.1\r\nHost: k\r\nContent-Length: 9000000\r\n\r\n')
        connection.sendall(b'a' * 9_000_000)
        self.assertTrue(_all(connection).startswith(b'HTTP/1.1 413 '))

    def test_the_largest_body(self):
        head = b'PUT / HTTP/1.1\r\nHost: k\r\nConnection: close\r\nContent-Length: %d\r\n\r\n'
        self.assertTrue(self.asked(head % 100_000 + b'a' * 100_000).endswith(b'\r\n\r\n100000'))
        self.assertEqual(413, self.status(head % 100_001))

    def test_bodies_that_wait_are_bounded_together(self):
        slow = [self.connect(f'127.0.1.{number // 4}') for number in range(12)]
        for connection in slow:
            connection.sendall(b'PUT / HTTP/1.1\r\nHost: k\r\nContent-Length: 99999\r\n\r\n')
            connection.sendall(b'a' * 90_000)
        held = 0
        for _ in range(20):
            time.sleep(0.02)
            held = max(held, sum(each.held for each in self.server._listeners[0].connections()))
        self.assertGreater(held, 500_000)
        self.assertLessEqual(held, 20 * 100_000)
        self.assertServed()

    def test_a_length_is_digits(self):
        for lines in (
            b'Content-Length: -1',
            b'Content-Length: +5',
            b'Content-Length: 1_0',
            b'Content-Length: 0x5',
            b'Content-Length: ',
            b'Content-Length: 5, 5',
            b'Content-Length: 5\r\nContent-Length: 6',
            b'Content-Length: ' + b'9' * 5000,
        ):
            request = b'POST / HTTP/1.1\r\nHost: k\r\n' + lines + b'\r\n\r\n' + _SMUGGLED
            received = self.asked(request)
            self.assertTrue(received.startswith(b'HTTP/1.1 400 '), (lines, received))
            self.assertEqual(1, received.count(b'HTTP/1.1 '), received)
        self.assertEqual([], self.application.paths)

    def test_a_length_that_nobody_can_count_to(self):
        head = b'GET / HTTP/1.1\r\nHost: k\r\nContent-Length: ' + b'9' * 23 + b'\r\n\r\n'
        self.assertEqual(413, self.status(head))

    def test_a_coded_body_is_refused(self):
        for version in (b'1.0\r\nConnection: keep-alive', b'1.1'):
            for coding in (b': chunked', b': gzip, chunked', b':', b' : chunked', b': x\r\n\ty'):
                for body in (
                    b'5\r\nabcde\r\n0\r\n\r\n',
                    b'5;' + _SMUGGLED,
                    b'0\r\n\r\n' + _SMUGGLED,
                    _SMUGGLED,
                ):
                    received = self.asked(
                        b'POST / HTTP/'
                        + version
                        + b'\r\nTransfer-Encoding'
                        + coding
                        + b'\r\nContent-Length: 5\r\n\r\n'
                        + body
                    )
                    self.assertRegex(received, b'^HTTP/1.[01] 411 ')
                    self.assertEqual(1, received.count(b'HTTP/1.'), received)
        self.assertEqual([], self.application.paths)

    def test_bytes_behind_a_request_are_no_request(self):
        received = self.asked(b'GET / HTTP/1.1\r\nHost: k\r\n\r\n' + _SMUGGLED)
        self.assertRegex(received, b'(?s)^HTTP/1.1 200 .*\r\nConnection: close\r\n')
        self.assertEqual(['/'], self.application.paths)

    def test_what_is_no_request(self):
        for request in (
            b'GET / HTTP/1.1\r\n X: a\r\nHost: k\r\n\r\n',
            b'GET / HTTP/1.1\r\n\tX: a\r\nHost: k\r\n\r\n',
            b'GET http://[::1 HTTP/1.1\r\nHost: k\r\n\r\n',
            b'GET / HTTP/1.1\r\nX : a\r\n\r\n',
            b'get / HTTP/1.1\r\nHost: k\r\n\r\n',
            b'GET\r\n\r\n',
        ):
            self.assertEqual(400, self.status(request), request)

    def test_who_asks_for_a_head_gets_no_body(self):
        for status, request in (
            (411, b'HEAD / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n'),
            (413, b'HEAD / HTTP/1.1\r\nContent-Length: 700000000\r\n\r\n'),
            (400, b'HEAD / HTTP/1.1\r\nX : a\r\n\r\n'),
            (400, b'HEAD http://[::1 HTTP/1.1\r\nHost: k\r\n\r\n'),
            (431, b'\r\nHEAD / HTTP/1.1\r\nX: ' + b'a' * 65536),
            (408, b'HEAD / HTTP/1.1\r\nX: '),
            (500, b'HEAD /wrong HTTP/1.1\r\n\r\n'),
        ):
            received = self.asked(request)
            self.assertRegex(received, rb'^HTTP/1.[01] %d ' % status)
            self.assertRegex(received, rb'\r\nContent-Length: [1-9]')
            self.assertTrue(received.endswith(b'\r\n\r\n'), received)

    def test_headers_have_an_end(self):
        head = b'GET / HTTP/1.1\r\nConnection: close\r\nX: '
        self.assertEqual(431, self.status(head + b'a' * 65536 + b'\r\n\r\n'))
        self.assertEqual(431, self.status(head + b'a' * 65536))
        self.assertEqual(200, self.status(head + b'a' * 60000 + b'\r\n\r\n'))

    def test_a_request_has_a_time(self):
        for head in (b'GET / HTTP/1.1\r\nX: ', b'PUT / HTTP/1.1\r\nContent-Length: 99\r\n\r\n'):
            connection = self.connect()
            began = time.monotonic()
            connection.sendall(head)
            connection.settimeout(0.2)
            received = b''
            while not received and time.monotonic() < began + _LONG:
                self.assertServed()
                connection.sendall(b'a')
                with contextlib.suppress(TimeoutError):
                    received = connection.recv(1000)
            self.assertLess(time.monotonic() - began, 3)
            self.assertRegex(received, rb'^HTTP/1.[01] 408 (?s:.*)Connection: close')

    def test_blank_lines_are_no_request(self):
        connection = self.connect()
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < began + _LONG:
                connection.sendall(b'\r\n')
                time.sleep(0.1)
        self.assertLess(time.monotonic() - began, 4)
        self.assertServed()

    def test_an_idle_connection_is_closed(self):
        connection = self.connect()
        began = time.monotonic()
        self.assertClosed(connection)
        self.assertLess(time.monotonic() - began, 4)
        self.assertServed()

    def test_an_answer_has_a_time(self):
        slow = []
        for _ in range(2 * _THREADS):
            connection = self.connect()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b'GET /much HTTP/1.1\r\nHost: k\r\n\r\n')
            slow.append(connection)
        self.assertServed()  # those threads are free
        time.sleep(2)
        self.assertEqual([], self.server._listeners[0].connections())

    def test_connections_of_an_address_are_bounded(self):
        slow = [self.connect() for _ in range(8)]
        for connection in slow:
            connection.sendall(b'GET / HTTP/1.1\r\nX: ')
        self.assertServed()
        self.assertClosed(slow[0])
        slow[7].sendall(b'a\r\nConnection: close\r\n\r\n')
        self.assertTrue(_all(slow[7]).startswith(b'HTTP/1.1 200 '))

    def test_connections_of_all_addresses_are_bounded(self):
        slow = [self.connect(f'127.0.1.{number}') for number in range(12)]
        for connection in slow:
            connection.sendall(b'GET / HTTP/1.1\r\nX: ')
        self.assertServed()
        self.assertClosed(slow[0])

    def test_who_waits_for_an_answer_is_not_closed(self):
        waiting = self.connect()
        waiting.sendall(b'GET /slow HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n')
        self.assertTrue(self.application.is_entered.wait(_LONG))
        more = [self.connect() for _ in range(16)]
        self.assertClosed(more[0])
        self.application.may_go_on.set()
        self.assertTrue(_all(waiting).startswith(b'HTTP/1.1 200 '))

    def test_the_end_waits_for_answers(self):
        waiting, idle = self.connect(), self.connect()
        waiting.sendall(b'GET /slow HTTP/1.1\r\nHost: k\r\n\r\n')
        self.assertTrue(self.application.is_entered.wait(_LONG))
        stopping = threading.Thread(target=self.server.stop)
        stopping.start()
        time.sleep(0.3)
        self.assertRaises(ConnectionRefusedError, self.connect)
        self.assertTrue(stopping.is_alive())
        self.application.may_go_on.set()
        self.assertTrue(_all(waiting).startswith(b'HTTP/1.1 200 '))
        stopping.join(_LONG)
        self.assertFalse(stopping.is_alive() or self.thread.is_alive())
        self.assertClosed(idle)

    def test_the_end_does_not_wait_for_ever(self):
        self.connect().sendall(b'GET /slow HTTP/1.1\r\nHost: k\r\n\r\n')
        self.connect().sendall(b'GET / HTTP/1.1\r\nX: ')
        self.assertTrue(self.application.is_entered.wait(_LONG))
        began = time.monotonic()
        self.server.stop()
        self.assertLess(time.monotonic() - began, 8)

    def test_urgent_bytes_keep_nobody_busy(self):
        log = self.useFixture(fixtures.FakeLogger())
        connection = self.connect()
        connection.send(b'a', socket.MSG_OOB)
        self.assertClosed(connection)
        self.assertServed()
        self.assertEqual('', log.output)

    def test_the_log_has_no_lines_of_clients(self):
        log = self.useFixture(fixtures.FakeLogger())
        self.assertEqual(500, self.status(b'GET /wrong%0AFORGED%1B HTTP/1.1\r\nHost: k\r\n\r\n'))
        self.assertIn(r'/wrong\nFORGED\x1b', log.output)
        self.assertNotIn('\nFORGED', log.output)

    def test_an_application_that_exits_ends_no_thread(self):
        self.useFixture(fixtures.FakeLogger())
        for _ in range(2 * _THREADS):
            self.assertEqual(b'', self.asked(b'GET /exit HTTP/1.1\r\nHost: k\r\n\r\n'))
        self.assertEqual([], self.server._listeners[0].connections())
        self.assertServed()

    def test_addresses(self):
        server = web_server.WebServer(_THREADS, _LIMITS)
        for host, shown in (('::1', '::1'), ('::', '::'), ('localhost', None)):
            address = server.listen(host, 0, self.application)
            self.assertGreater(address[1], 0)
            self.assertIn(address[0], (shown, '127.0.0.1', '::1') if shown is None else (shown,))
        self.assertRaises(OSError, server.listen, *self.address, self.application)


def _one(connection: socket.socket) -> bytes:
    """An answer."""
    received = b''
    while b'\r\n\r\n' not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b'\r\n\r\n')
    length = int(head.lower().partition(b'content-length: ')[2].split(b'\r\n')[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b'\r\n\r\n' + body


def _all(connection: socket.socket) -> bytes:
    return b''.join(_received(connection))


def _received(connection: socket.socket) -> Iterator[bytes]:
    while more := connection.recv(65536):
        yield more
