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
"""The proxy is itself a tool of tests: what it counts and breaks must be exact."""

import concurrent.futures
import http.client
import http.server
import json
import threading
import time
from typing import Any

from oslotest import base

from karbor.testing import fault_proxy
from karbor.testing.fault_proxy import Fault, Rule

PROJECT = '0123456789abcdef0123456789abcdef'
SNAPSHOT = '5a1e2b3c-0000-4000-8000-123456789abc'


class _UpstreamHandler(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked, and remembers it."""

    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    server: '_Upstream'

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        seen = {
            'method': self.command,
            'path': self.path,
            'host': self.headers['Host'],
            'token': self.headers.get('X-Auth-Token'),
            'body': body.decode(),
            'client': self.client_address[1],
        }
        self.server.seen.append(seen)
        content = json.dumps(seen).encode()
        if self.path.endswith('/empty'):
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(202)
        if self.path.endswith('/chunked'):
            self.send_header('Transfer-Encoding', 'chunked')
            content = b'%x\r\n%s\r\n0\r\n\r\n' % (len(content), content)
        else:
            self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass


class _Upstream(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), _UpstreamHandler)
        self.seen: list[dict[str, Any]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class FaultProxyTestCase(base.BaseTestCase):
    """A proxy in front of a tiny server."""

    def setUp(self) -> None:
        super().setUp()
        self.upstream = _Upstream()
        self.addCleanup(self.upstream.end)
        self.proxy = fault_proxy.FaultProxy(f'http://127.0.0.1:{self.upstream.server_address[1]}')
        self.proxy.start()
        self.addCleanup(self.proxy.stop)
        self.connection = self.connect()

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(
            '127.0.0.1', int(self.proxy.url.rpartition(':')[2]), timeout=10
        )
        self.addCleanup(connection.close)
        return connection

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Any = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = connection or self.connection
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response, response.read()

    def assert_reset(self, method: str, path: str) -> None:
        # A polite end would be seen as RemoteDisconnected or as an empty answer.
        error = self.assertRaises(ConnectionResetError, self.ask, method, path)
        self.assertNotIsInstance(error, http.client.RemoteDisconnected)
        self.connection.close()


class PassingOnTest(FaultProxyTestCase):
    def test_request_and_answer_are_unchanged(self) -> None:
        target = f'/v3/{PROJECT}/snapshots?limit=1&marker=x%20y'
        response, content = self.ask(
            'POST', target, b'{"snapshot": {}}', {'X-Auth-Token': 'secret'}
        )
        self.assertEqual(202, response.status)
        seen = json.loads(content)
        self.assertEqual([seen], self.upstream.seen)
        self.assertEqual(target, seen['path'])
        self.assertEqual('{"snapshot": {}}', seen['body'])
        self.assertEqual('secret', seen['token'])

    def test_host_header_is_the_proxys(self) -> None:
        _, content = self.ask('GET', '/v3/volumes')
        self.assertEqual(self.proxy.url, 'http://' + json.loads(content)['host'])

    def test_connections_are_kept_on_both_sides(self) -> None:
        self.ask('GET', '/v3/volumes')
        kept = self.connection.sock
        self.assertIsNotNone(kept)
        self.ask('GET', '/v3/volumes')
        self.assertIs(kept, self.connection.sock)
        self.assertEqual(1, len({seen['client'] for seen in self.upstream.seen}))

    def test_chunked_request_and_answer(self) -> None:
        _, content = self.ask('POST', '/v3/chunked', iter([b'some', b'thing']))
        self.assertEqual('something', json.loads(content)['body'])

    def test_answers_without_body(self) -> None:
        response, content = self.ask('DELETE', '/v3/empty')
        self.assertEqual((204, b''), (response.status, content))
        response, content = self.ask('HEAD', '/v3/volumes')
        self.assertEqual((202, b''), (response.status, content))
        self.assertNotEqual('0', response.headers['Content-Length'])
        response, _ = self.ask('GET', '/v3/volumes')
        self.assertEqual(202, response.status)

    def test_dead_upstream_is_seen_as_reset(self) -> None:
        self.upstream.end()
        self.assert_reset('GET', '/v3/volumes')

    def test_stop_cuts_open_connections(self) -> None:
        self.ask('GET', '/v3/volumes')
        self.proxy.stop()
        self.assertRaises(ConnectionError, self.ask, 'GET', '/v3/volumes')
        self.assertEqual(1, len(self.upstream.seen))

    def test_can_be_started_again(self) -> None:
        self.proxy.stop()
        self.proxy.start()
        response, _ = self.ask('GET', '/v3/volumes', connection=self.connect())
        self.assertEqual(202, response.status)


class FaultsTest(FaultProxyTestCase):
    def test_statuses(self) -> None:
        for fault, status, retry_after in (
            (Fault.TOO_MANY_REQUESTS, 429, '1'),
            (Fault.INTERNAL_ERROR, 500, None),
            (Fault.UNAVAILABLE, 503, None),
        ):
            self.proxy.rules = [Rule(fault=fault)]
            response, content = self.ask('POST', '/v3/snapshots', b'body')
            self.assertEqual(status, response.status)
            self.assertEqual(retry_after, response.headers['Retry-After'])
            self.assertEqual(status, json.loads(content)['error']['code'])
        self.assertEqual([], self.upstream.seen)

    def test_retry_after(self) -> None:
        for fault in (Fault.TOO_MANY_REQUESTS, Fault.UNAVAILABLE):
            self.proxy.rules = [Rule(fault=fault, retry_after=7)]
            response, _ = self.ask('GET', '/v3/volumes')
            self.assertEqual('7', response.headers['Retry-After'])

    def test_reset_before_does_not_reach_the_service(self) -> None:
        self.proxy.rules = [Rule(fault=Fault.RESET_BEFORE)]
        self.assert_reset('POST', '/v3/snapshots')
        self.assertEqual([], self.upstream.seen)

    def test_reset_after_reaches_the_service(self) -> None:
        self.proxy.rules = [Rule(fault=Fault.RESET_AFTER)]
        self.assert_reset('POST', '/v3/snapshots')
        self.assertEqual(['POST'], [seen['method'] for seen in self.upstream.seen])

    def test_latency_alone_and_with_a_fault(self) -> None:
        for fault, status in ((Fault.PASS, 202), (Fault.UNAVAILABLE, 503)):
            self.proxy.rules = [Rule(fault=fault, latency=0.2)]
            begun = time.monotonic()
            response, _ = self.ask('GET', '/v3/volumes')
            self.assertEqual(status, response.status)
            self.assertGreaterEqual(time.monotonic() - begun, 0.2)

    def test_stop_does_not_wait_for_latency(self) -> None:
        self.proxy.rules = [Rule(latency=60)]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = pool.submit(self.ask, 'GET', '/v3/volumes')
            while not self.proxy.requests:
                time.sleep(0.01)
            self.proxy.stop()
            self.assertIsInstance(asked.exception(timeout=5), ConnectionError)
        self.assertEqual([], self.upstream.seen)


class RulesTest(FaultProxyTestCase):
    def statuses(self, number: int, method: str = 'GET', path: str = '/v3/volumes') -> list[int]:
        return [self.ask(method, path)[0].status for _ in range(number)]

    def test_times(self) -> None:
        rule = Rule(fault=Fault.UNAVAILABLE, times=2)
        self.proxy.rules = [rule]
        self.assertEqual([503, 503, 202, 202], self.statuses(4))
        self.assertEqual(2, rule.applied)

    def test_times_is_exact_with_many_threads(self) -> None:
        self.proxy.rules = [Rule(fault=Fault.UNAVAILABLE, times=17)]

        def ask(_number: int) -> int:
            return self.ask('GET', '/v3/volumes', connection=self.connect())[0].status

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, range(64)))
        self.assertEqual(17, statuses.count(503))
        self.assertEqual(64, self.proxy.requests[('GET', '/volumes')])

    def test_probability_is_repeatable(self) -> None:
        outcomes = []
        for _ in range(2):
            self.proxy.reset()
            self.proxy.rules = [Rule(fault=Fault.UNAVAILABLE, probability=0.5)]
            outcomes.append(self.statuses(40))
        self.assertEqual(outcomes[0], outcomes[1])
        self.assertTrue(10 < outcomes[0].count(503) < 30, outcomes[0])

    def test_probability_zero_never_decides(self) -> None:
        self.proxy.rules = [Rule(fault=Fault.UNAVAILABLE, probability=0.0)]
        self.assertEqual([202] * 5, self.statuses(5))

    def test_method_and_path(self) -> None:
        self.proxy.rules = [Rule(method='POST', path='/snapshots$', fault=Fault.UNAVAILABLE)]
        self.assertEqual([503], self.statuses(1, 'POST', f'/v3/{PROJECT}/snapshots?a=b'))
        self.assertEqual([202], self.statuses(1, 'GET', f'/v3/{PROJECT}/snapshots'))
        self.assertEqual([202], self.statuses(1, 'POST', f'/v3/snapshots/{SNAPSHOT}/action'))

    def test_a_rule_for_one_id(self) -> None:
        self.proxy.rules = [Rule(path=f'^/snapshots/{SNAPSHOT}$', fault=Fault.UNAVAILABLE)]
        self.assertEqual([503], self.statuses(1, 'DELETE', f'/v3/{PROJECT}/snapshots/{SNAPSHOT}'))
        self.assertEqual([202], self.statuses(1, 'DELETE', f'/v3/{PROJECT}/snapshots/{PROJECT}'))

    def test_the_first_rule_that_applies_decides(self) -> None:
        self.proxy.rules = [
            Rule(fault=Fault.UNAVAILABLE, times=1),
            Rule(fault=Fault.INTERNAL_ERROR, times=1),
        ]
        self.assertEqual([503, 500, 202], self.statuses(3))

    def test_requests_are_counted_by_template(self) -> None:
        self.proxy.rules = [Rule(method='POST', fault=Fault.UNAVAILABLE)]
        self.statuses(2, 'POST', f'/v3/{PROJECT}/snapshots')
        self.statuses(1, 'GET', f'/v3/{PROJECT}/snapshots/detail?limit=2')
        self.statuses(3, 'DELETE', f'/v3/snapshots/{SNAPSHOT}')
        self.assertEqual(
            {
                ('POST', '/snapshots'): 2,
                ('GET', '/snapshots/detail'): 1,
                ('DELETE', '/snapshots/{id}'): 3,
            },
            self.proxy.requests,
        )
        self.proxy.reset()
        self.assertEqual({}, self.proxy.requests)
        self.assertEqual([], self.proxy.rules)


class TextTest(base.BaseTestCase):
    def test_path_template(self) -> None:
        for target, template in (
            ('/', '/'),
            ('/v3', '/'),
            ('/v3/', '/'),
            (f'/v3/{PROJECT}', '/'),
            ('/v3/auth/tokens', '/auth/tokens'),
            (f'/v2.0/users/{PROJECT}', '/users/{id}'),
            (
                f'/v3/{PROJECT}/volumes/{SNAPSHOT}/metadata/{SNAPSHOT}',
                '/volumes/{id}/metadata/{id}',
            ),
            ('/healthcheck?x=/y', '/healthcheck'),
        ):
            self.assertEqual(template, fault_proxy.path_template(target))

    def test_parse_rule(self) -> None:
        rule = fault_proxy.parse_rule(
            r'POST|PUT /snapshots/[^/\d]+$ 503 times=3 probability=0.5 latency=1.5 retry_after=2'
        )
        self.assertEqual('POST|PUT', rule.method)
        self.assertEqual(r'/snapshots/[^/\d]+$', rule.path)
        self.assertEqual(Fault.UNAVAILABLE, rule.fault)
        self.assertEqual(
            (3, 0.5, 1.5, 2), (rule.times, rule.probability, rule.latency, rule.retry_after)
        )

    def test_parse_rule_refuses_nonsense(self) -> None:
        for text in (
            'POST',
            'POST /x 418',
            'POST /x 503 often=1',
            'POST /x 503 times=many',
            'POST /x 503 times',
            '.* /x pass applied=3',
        ):
            self.assertRaises(ValueError, fault_proxy.parse_rule, text)
