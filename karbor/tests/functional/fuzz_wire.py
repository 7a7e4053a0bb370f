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

"""Bytes that no HTTP library would send, to the web server of karbor-api."""

import contextlib
import dataclasses
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from karbor.cmd import web_server
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID
from karbor.tests.functional import fuzzing

# How long the server waits for a request, or the rest of one; a minute in karbor-api.
PATIENCE = 0.2
_THREADS = 3
_LONGEST_EXCHANGE = 20

_TOKEN = f'X-Auth-Token: {personas.token("manager", PROJECT_ID)}'
_STRANGER = f'X-Auth-Token: {personas.token("manager", OTHER_PROJECT_ID)}'
_PLANS = f'/v1/{PROJECT_ID}/plans'
_JSON = 'Content-Type: application/json'
_STATUS = re.compile(rb'^HTTP/1\.\d (\d{3})', re.MULTILINE)
# A server may say of a version of HTTP, or of a coding, that it does not have it.
_OF_THE_SERVER = (501, 505)

_LINES = (
    f'GET {_PLANS} HTTP/1.1',
    f'GET {_PLANS} HTTP/1.0',
    f'GET {_PLANS}',
    f'GET  {_PLANS}  HTTP/1.1',
    f'GET {_PLANS} HTTP/9.9',
    f'GET {_PLANS} HTTP/2.0',
    f'GET {_PLANS} http/1.1',
    f'GET {_PLANS} HTTP/1.1 x',
    f'GET\t{_PLANS}\tHTTP/1.1',
    f' GET {_PLANS} HTTP/1.1',
    f'get {_PLANS} HTTP/1.1',
    'GET',
    '',
    '\0\1\2',
    '\x16\x03\x01\x02\0\1',
    'PRI * HTTP/2.0',
    'OPTIONS * HTTP/1.1',
    'GET * HTTP/1.1',
    'CONNECT karbor:1 HTTP/1.1',
    'TRACE / HTTP/1.1',
    f'GET http://karbor{_PLANS} HTTP/1.1',
    f'GET https://evil:1{_PLANS} HTTP/1.1',
    f'GET //evil{_PLANS} HTTP/1.1',
    f'GET {_PLANS[1:]} HTTP/1.1',
    'GET ? HTTP/1.1',
    f'GET {_PLANS}/..%2f..%2f..%2fv1%2fopenapi.json HTTP/1.1',
    f'GET {_PLANS}%2f HTTP/1.1',
    f'GET {_PLANS}/../plans HTTP/1.1',
    f'GET /v1/../v1/{PROJECT_ID}/plans HTTP/1.1',
    f'GET /v1%2f{PROJECT_ID}%2fplans HTTP/1.1',
    f'GET {_PLANS}/%00 HTTP/1.1',
    f'GET {_PLANS}/%ff%fe HTTP/1.1',
    f'GET {_PLANS}?name=%00 HTTP/1.1',
    f'GET {_PLANS}?name=\xff\xfe HTTP/1.1',
    f'GET {_PLANS}/\xff HTTP/1.1',
    f'GET {_PLANS}#x HTTP/1.1',
    f'GET {_PLANS}?a b HTTP/1.1',
    f'GET {_PLANS}\0 HTTP/1.1',
    f'GET {_PLANS}?name={"a" * 60000} HTTP/1.1',
    f'GET {_PLANS}/{"a" * 200000} HTTP/1.1',
    f'DELETE {_PLANS}/%2e%2e HTTP/1.1',
    f'HEAD {_PLANS} HTTP/1.1',
    'G\0T / HTTP/1.1',
    f'{"A" * 5000} / HTTP/1.1',
    'GET / HTTP/1.1',
    'GET /v1 HTTP/1.1',
    'GET /v1/openapi.json HTTP/1.1',
    'GET /healthcheck/ready HTTP/1.1',
    'GET /%2e%2e/%2e%2e HTTP/1.1',
    f'GET {_PLANS};x=y HTTP/1.1',
    f'GET {_PLANS}%zz HTTP/1.1',
    f'GET {_PLANS}% HTTP/1.1',
    f'GET {_PLANS}?% HTTP/1.1',
    f'GET {_PLANS}\r HTTP/1.1',
    f'POST {_PLANS} HTTP/1.1',
    f'PUT {_PLANS}/x HTTP/1.1',
    f'POST {_PLANS} HTTP/1.1',
    f'POST {_PLANS} HTTP/1.1',
)

_HEADERS = (
    'Host: karbor',
    'Host: karbor',
    'Host: evil:99999',
    'Host: ',
    'Host: a b',
    'Host: [::1',
    'Host: \xff',
    'Host: karbor\r\nHost: evil',
    _TOKEN,
    _TOKEN,
    _TOKEN,
    _TOKEN,
    f'{_TOKEN}\r\n{_STRANGER}',
    f'{_TOKEN}\r\nX-Auth-Token: ',
    f'{_TOKEN}\r\n , more',
    f'{_TOKEN} ',
    f'{_TOKEN}\0',
    'X-Auth-Token:',
    'X-Auth-Token',
    'X-Auth-Token : manager',
    ': x',
    'no colon',
    '\xff: \xff',
    'X_Roles: admin',
    'X-Roles: admin\r\nX-Identity-Status: Confirmed',
    'X: a\rb',
    'X: a\0b',
    'X: ' + 'a' * 100000,
    '\r\n'.join(f'X-{number}: 1' for number in range(2000)),
    _JSON,
    _JSON,
    'Content-Type: \xff',
    'Content-Length: 2',
    'Content-Length: 0',
    'Content-Length: -1',
    'Content-Length: 5_0',
    'Content-Length: 0x2',
    'Content-Length: 99999999999999999999999',
    'Content-Length: 2\r\nContent-Length: 2',
    'Content-Length: 2\r\nContent-Length: 30',
    'Content-Length: 1000',
    'Content-Length: 17000000',
    'Content-Length: ',
    'Content-Length: two',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: chunked, gzip',
    'Transfer-Encoding: chunked\r\nContent-Length: 2',
    'Transfer-Encoding: x',
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding : chunked',
    'Transfer-Encoding:\x0bchunked',
    'Expect: 100-continue',
    'Expect: 200-maybe',
    'Connection: close',
    'Connection: keep-alive',
    'Connection: \xff',
    'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings',
    'Range: bytes=0-1',
    'Cookie: ' + 'a=b; ' * 5000,
    'Origin: http://evil',
    'Forwarded: for=x;host="a\\"b"',
)

_BODIES = (
    '',
    '{}',
    '{"plan": {}}',
    '2\r\n{}\r\n0\r\n\r\n',
    '2;ext=1\r\n{}\r\n0\r\nTrailer: x\r\n\r\n',
    'zz\r\n{}\r\n0\r\n\r\n',
    'ffffffffffffffffffff\r\n{}\r\n0\r\n\r\n',
    '-2\r\n{}\r\n0\r\n\r\n',
    '2\r\n{}',
    '2\r\n{}0\r\n\r\n',
    '0\r\n\r\n',
    '\r\n',
    '2\n{}\n0\n\n',
    '0' * 70000,
    '400000\r\n' + '[' * 0x400000 + '\r\n0\r\n\r\n',
    '[' * 1000,
    '\0' * 1000,
    'a' * 3000000,
    f'GET /v1/{PROJECT_ID}/plans HTTP/1.1\r\nHost: karbor\r\n{_TOKEN}\r\n\r\n',
    f'{{}}GET /v1/{OTHER_PROJECT_ID}/plans HTTP/1.1\r\nHost: x\r\n\r\n',
    '\xff\xfe\0\0',
)

_TEXTS = st.text(st.characters(max_codepoint=255), max_size=40)
_ODD = st.tuples(
    st.one_of(st.sampled_from(_LINES), _TEXTS),
    st.lists(st.one_of(st.sampled_from(_HEADERS), _TEXTS), max_size=5),
    st.sampled_from(_BODIES),
)
# What would be done but for a header or the body.
_NEARLY_GOOD = st.tuples(
    st.sampled_from((f'POST {_PLANS} HTTP/1.1', f'GET {_PLANS} HTTP/1.1', *_LINES)),
    st.lists(st.sampled_from(_HEADERS), max_size=2).map(
        lambda more: ['Host: karbor', _TOKEN, _JSON, *more]
    ),
    st.sampled_from(_BODIES),
)

# Bytes, and whether it is said that they are all.
EXCHANGES = st.tuples(
    st.one_of(_NEARLY_GOOD, _ODD), st.sampled_from(('\r\n',) * 8 + ('\n', '\r')), st.booleans()
).map(
    lambda given: (
        (given[1].join([given[0][0], *given[0][1], '', '']) + given[0][2]).encode('latin-1'),
        given[2],
    )
)


class Wire:
    """A server, to which bytes are sent; ``unanswered`` are those it kept to itself.

    :param application: what it serves.
    :param count: how many requests the application has had.
    :param report: is told what does not hold: kind, operation and text.
    """

    def __init__(
        self, application: Any, count: Callable[[], int], report: Callable[[str, str, str], None]
    ) -> None:
        self.unanswered = 0
        self._count = count
        self._report = report
        limits = dataclasses.replace(
            web_server.Limits.configured(),
            request_time=PATIENCE,
            idle_time=PATIENCE,
            look_interval=PATIENCE / 4,
        )
        self._server = web_server.WebServer(_THREADS, limits)
        self._address = self._server.listen('127.0.0.1', 0, application)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.stop()
            thread.join(20)

    def send(self, data: bytes, is_closed: bool) -> None:
        """One connection.

        :param is_closed: whether nothing more will come is said after the bytes.
        """
        before = self._count()
        received, has_ended = self._exchanged(data, is_closed)
        self.unanswered += self._count() == before
        shown = f'{data[:1500]!r} ({len(data)} bytes)\n-> {received[:1500]!r}'
        if not has_ended:
            self._report('connection that does not end', 'the wire', shown)
        for status in _STATUS.findall(received):
            if int(status) >= 500 and int(status) not in _OF_THE_SERVER:
                self._report(f'{int(status)} by the server', 'the wire', shown)
        if b'Traceback' in received or b'.py' in received:
            self._report('insides', 'the wire', shown)
        if fuzzing.SECRET.encode() in received and OTHER_PROJECT_ID.encode() not in data:
            self._report('text of another project', 'the wire', shown)

    def look(self) -> None:
        """The server still answers."""
        received, has_ended = self._exchanged(
            b'GET /healthcheck/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', False
        )
        alive = self._server.threads
        if not has_ended or not received.startswith(b'HTTP/1.1 200') or alive < _THREADS:
            self._report('the server has gone', 'the wire', f'{alive} threads, {received!r}')

    def _exchanged(self, data: bytes, is_closed: bool) -> tuple[bytes, bool]:
        received = b''
        with socket.create_connection(self._address, _LONGEST_EXCHANGE) as connection:
            try:
                connection.sendall(data)
                if is_closed:
                    connection.shutdown(socket.SHUT_WR)
                while more := connection.recv(65536):
                    received += more
            except TimeoutError:
                return received, False
            except OSError:
                pass  # the server has had enough
        return received, True
