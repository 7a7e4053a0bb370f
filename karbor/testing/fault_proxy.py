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
"""An HTTP reverse proxy that makes a service behind it look unreliable.

In a test::

    proxy = fault_proxy.FaultProxy('http://127.0.0.1:8776')
    proxy.start()
    proxy.rules = [Rule(method='POST', path='/snapshots$', fault=Fault.RESET_AFTER, times=3)]
    ...  # use proxy.url in place of the service's address
    proxy.requests[('POST', '/snapshots')]
    proxy.stop()

By hand::

    python -m karbor.testing.fault_proxy --upstream http://127.0.0.1:8776 --port 9776 \\
        --rule 'POST /snapshots$ 503 times=3 retry_after=2' \\
        --rule 'GET|DELETE /snapshots/ reset-after probability=0.1' \\
        --rule '.* .* pass latency=0.5'

A rule is a regular expression for the whole method, one that is searched in the path, a fault,
and options. The path is as the client sent it, but without the version prefix, the project id
and the query: ``/snapshots/5a1e...``. The first rule that matches and has neither used up its
times nor lost its throw of the dice decides; a request that no rule decides is passed on.

=============  ====================================================================
fault          what the client sees
=============  ====================================================================
pass           the service's answer
429, 500, 503  that status, from the proxy; the service sees nothing of the request
reset-before   a connection reset; the service sees nothing of the request
reset-after    a connection reset; the service has done what was asked for
=============  ====================================================================

=============  ====================================================================
option         meaning
=============  ====================================================================
times          how often the rule decides at most (no limit)
probability    of deciding, for each request that matches (1.0)
latency        seconds of waiting before anything else happens (0)
retry_after    the Retry-After header of 429 (1) and 503 (none)
=============  ====================================================================

The Host header is passed on unchanged, so that links in the answers lead through the proxy. A
service that does not answer at all is seen as a connection reset.
"""

import argparse
import collections
import contextlib
import dataclasses
import enum
import http.client
import http.server
import json
import random
import re
import select
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib import parse

from karbor.testing import cut_server

_UPSTREAM_TIMEOUT = 120.0
_UUID = '[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}'
_PREFIX = re.compile(rf'^/v\d+(\.\d+)?(/{_UUID}(?=/|$))?', re.IGNORECASE)
_ID = re.compile(rf'(?<=/){_UUID}(?=/|$)', re.IGNORECASE)
# Headers that speak of one connection, not of the message.
_HOP_BY_HOP = frozenset(
    {
        'connection',
        'keep-alive',
        'proxy-connection',
        'te',
        'trailer',
        'transfer-encoding',
        'upgrade',
    }
)


class Fault(enum.Enum):
    """What happens to a request; the values are the words of the rule syntax."""

    PASS = 'pass'
    TOO_MANY_REQUESTS = '429'
    INTERNAL_ERROR = '500'
    UNAVAILABLE = '503'
    RESET_BEFORE = 'reset-before'
    RESET_AFTER = 'reset-after'


_STATUS = {
    Fault.TOO_MANY_REQUESTS: http.HTTPStatus.TOO_MANY_REQUESTS,
    Fault.INTERNAL_ERROR: http.HTTPStatus.INTERNAL_SERVER_ERROR,
    Fault.UNAVAILABLE: http.HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclasses.dataclass(eq=False)
class Rule:
    """Which requests meet with which fault; see the module's description."""

    method: str = '.*'
    path: str = ''
    fault: Fault = Fault.PASS
    times: int | None = None
    probability: float = 1.0
    latency: float = 0.0
    retry_after: int | None = None
    message: str = 'This answer was made up by the fault proxy.'
    applied: int = dataclasses.field(default=0, init=False)

    def matches(self, method: str, path: str) -> bool:
        """Whether the rule speaks of such a request and is not used up."""
        return (
            (self.times is None or self.applied < self.times)
            and re.fullmatch(self.method, method) is not None
            and re.search(self.path, path) is not None
        )

    def headers(self) -> dict[str, str]:
        """The headers of an answer that the proxy makes up."""
        seconds = self.retry_after
        if seconds is None and self.fault is Fault.TOO_MANY_REQUESTS:
            seconds = 1
        return {} if seconds is None else {'Retry-After': str(seconds)}


def parse_rule(text: str) -> Rule:
    """Read a rule of the command line."""
    method, path, fault, *options = text.split()
    types: dict[str, Callable[[str], Any]] = {
        'times': int,
        'probability': float,
        'latency': float,
        'retry_after': int,
    }
    values = dict(option.split('=', 1) for option in options)
    if values.keys() - types.keys():
        raise ValueError(f'unknown options: {", ".join(values.keys() - types.keys())}')
    re.compile(method)
    re.compile(path)
    return Rule(
        method, path, Fault(fault), **{name: types[name](value) for name, value in values.items()}
    )


def short_path(target: str) -> str:
    """The path of a request without the version prefix, the project id and the query."""
    return _PREFIX.sub('', target.partition('?')[0]) or '/'


def path_template(target: str) -> str:
    """The same, with ids replaced: the kind of a request."""
    return _ID.sub('{id}', short_path(target))


class FaultProxy:
    """A proxy in front of one service, with rules that can change at any time."""

    def __init__(self, upstream: str, port: int = 0, seed: int = 0) -> None:
        address = parse.urlsplit(upstream)
        if address.scheme != 'http' or address.hostname is None:
            raise ValueError(f'not an http address: {upstream}')
        self.upstream_address = (address.hostname, address.port or http.client.HTTP_PORT)
        self._port = port
        self._seed = seed
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.stopping = threading.Event()
        self._rules: list[Rule] = []
        self._requests: collections.Counter[tuple[str, str]] = collections.Counter()
        self._random = random.Random(seed)

    @property
    def url(self) -> str:
        """The address to use in place of the service's."""
        if self._server is None:
            raise RuntimeError('the proxy is not started')
        return self._server.url

    @property
    def rules(self) -> list[Rule]:
        """The rules in the order in which they are asked."""
        with self._lock:
            return list(self._rules)

    @rules.setter
    def rules(self, rules: Iterable[Rule]) -> None:
        with self._lock:
            self._rules = list(rules)

    @property
    def requests(self) -> collections.Counter[tuple[str, str]]:
        """How many requests arrived, by method and path template."""
        with self._lock:
            return self._requests.copy()

    def reset(self) -> None:
        """Forget the rules and the counts, and begin the same throws of the dice again."""
        with self._lock:
            self._rules = []
            self._requests.clear()
            self._random = random.Random(self._seed)

    def start(self) -> None:
        """Listen; each connection is served by a thread of its own."""
        self.stopping.clear()
        self._server = _Server(self, self._port)
        self._server.start()

    def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self.stopping.set()
            self._server.stop()
            self._server = None

    def decide(self, method: str, target: str) -> Rule:
        """Count a request and find the rule for it."""
        path = short_path(target)
        with self._lock:
            self._requests[(method, path_template(target))] += 1
            for rule in self._rules:
                if rule.matches(method, path) and self._random.random() < rule.probability:
                    rule.applied += 1
                    return rule
        return Rule()


class _Server(cut_server.CutServer):
    def __init__(self, proxy: FaultProxy, port: int) -> None:
        self.proxy = proxy
        super().__init__(_Handler, port)


class _Handler(cut_server.CuttingHandler):
    """One connection of a client, and the connection to the service that belongs to it."""

    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(
            *self.server.proxy.upstream_address, timeout=_UPSTREAM_TIMEOUT
        )

    def handle(self) -> None:
        try:
            super().handle()
        finally:
            self._upstream.close()

    def serve_request(self) -> None:
        """Let the rule decide; the body is read first, so that the connection stays usable."""
        body = self._read_body()
        rule = self.server.proxy.decide(self.command, self.path)
        if rule.latency and self.server.proxy.stopping.wait(rule.latency):
            self.reset()
        elif rule.fault in _STATUS:
            self._answer_with_error(_STATUS[rule.fault], rule)
        elif rule.fault is Fault.RESET_BEFORE:
            self.reset()
        else:
            self._pass_on(body, throw_away=rule.fault is Fault.RESET_AFTER)

    do_GET = do_HEAD = do_POST = do_PUT = serve_request  # noqa: N815
    do_PATCH = do_DELETE = do_OPTIONS = serve_request  # noqa: N815

    def _read_body(self) -> bytes:
        if self.headers.get('Transfer-Encoding', '').lower() == 'chunked':
            return b''.join(self._read_chunks())
        return self.rfile.read(int(self.headers.get('Content-Length', 0)))

    def _read_chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b';')[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass

    def _pass_on(self, body: bytes, throw_away: bool) -> None:
        try:
            response = self._ask_upstream(body)
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._upstream.close()
            self.reset()
            return
        if throw_away:
            self.reset()
        else:
            self._answer(response.status, response.reason, response.getheaders(), content)

    def _ask_upstream(self, body: bytes) -> http.client.HTTPResponse:
        upstream = self._upstream
        # A kept connection that the service has closed meanwhile must be found out before the
        # request is sent: to repeat it afterwards could do things twice.
        if upstream.sock is not None and select.select([upstream.sock], [], [], 0)[0]:
            upstream.close()
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP | {'content-length', 'expect'}:
                upstream.putheader(name, value)
        if body or 'Content-Length' in self.headers:
            upstream.putheader('Content-Length', str(len(body)))
        upstream.endheaders(body or None)
        return upstream.getresponse()

    def _answer_with_error(self, status: http.HTTPStatus, rule: Rule) -> None:
        """Answer as an OpenStack service does."""
        error = {
            'error': {
                'code': status.value,
                'title': status.phrase,
                'message': rule.message,
            }
        }
        content = json.dumps(error).encode()
        self._answer(
            status.value,
            status.phrase,
            [
                *rule.headers().items(),
                ('Content-Type', 'application/json'),
                ('Content-Length', str(len(content))),
            ],
            content,
        )

    def _answer(
        self, status: int, reason: str, headers: Iterable[tuple[str, str]], content: bytes
    ) -> None:
        self.send_response_only(status, reason)
        has_length = self.command == 'HEAD' or status in (204, 304)
        for name, value in headers:
            if name.lower() in _HOP_BY_HOP:
                continue
            has_length = has_length or name.lower() == 'content-length'
            self.send_header(name, value)
        if not has_length:
            self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)


def main() -> None:
    """Serve until Ctrl-C, then print what arrived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--upstream', required=True, help='the address of the service')
    parser.add_argument('--port', type=int, default=0, help='default: a free one')
    parser.add_argument('--seed', type=int, default=0, help='for the throws of the dice')
    parser.add_argument(
        '--rule',
        type=parse_rule,
        action='append',
        default=[],
        help='METHOD PATH FAULT [OPTION=VALUE]...; can be repeated',
    )
    options = parser.parse_args()
    proxy = FaultProxy(options.upstream, options.port, options.seed)
    proxy.rules = options.rule
    proxy.start()
    print(f'{proxy.url} -> {options.upstream}', flush=True)  # noqa: T201
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    proxy.stop()
    for (method, path), number in sorted(proxy.requests.items()):
        print(f'{number:6} {method} {path}')  # noqa: T201


if __name__ == '__main__':
    main()
