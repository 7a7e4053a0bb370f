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

"""A fake Keystone over HTTP: tokens for passwords and trusts, and the trusts themselves.

It is no Keystone: whose token may do what is told to it by the test. What the real one does
is seen in the integration tests.
"""

import contextlib
import http.server
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from keystoneauth1 import fixture as ks_fixture

from karbor.testing import cut_server

ME = 'karbor-user'
PASSWORD = 'of-karbor'
USER_TOKEN = 'token-of-the-user'


class FakeKeystone:
    """State and behaviour; :meth:`serve` puts it on a port.

    ``requests`` counts what was asked: 'password', 'trust token', 'create', 'list', 'get',
    'delete by trust', 'delete'. ``answers`` has the status that such a request is answered
    with instead, as if something else than Keystone did.
    """

    def __init__(self) -> None:
        self.trusts: dict[str, dict[str, Any]] = {}
        self.requests: Counter[str] = Counter()
        self.answers: dict[str, int] = {}
        self.before_create: Callable[[], Any] = lambda: None
        self.lock = threading.Lock()
        self.tokens: dict[str, str | None] = {}

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Serve on a port of 127.0.0.1; gives the auth_url."""
        handler = type('Handler', (_Handler,), {'keystone': self})
        with cut_server.CutServer(handler).serving() as url:
            yield f'{url}/v3'

    def add(self, **fields: Any) -> str:
        trust_id = uuid.uuid4().hex
        self.trusts[trust_id] = {'id': trust_id, 'trustee_user_id': ME, **fields}
        return trust_id

    def token(self, trust_id: str | None) -> str:
        token = f'secret-{uuid.uuid4().hex}'
        self.tokens[token] = trust_id
        return token


class _Handler(cut_server.CuttingHandler):
    keystone: FakeKeystone

    def do_GET(self) -> None:
        path, _, query = self.path.partition('?')
        version = {
            'id': 'v3.14',
            'status': 'stable',
            'links': [{'rel': 'self', 'href': f'http://{self.headers["Host"]}/v3/'}],
        }
        if path == '/':
            self._answer(300, {'versions': {'values': [version]}})
        elif path.rstrip('/') == '/v3':
            self._answer(200, {'version': version})
        elif path.endswith('/OS-TRUST/trusts'):
            assert query == f'trustee_user_id={ME}'
            self._unless_refused(
                'list', lambda: self._answer(200, {'trusts': list(self.keystone.trusts.values())})
            )
        else:
            self._unless_refused(
                'get', lambda: self._with_trust(lambda trust: self._answer(200, {'trust': trust}))
            )

    def do_DELETE(self) -> None:
        def delete(trust: dict[str, Any]) -> None:
            del self.keystone.trusts[trust['id']]
            self._answer(204, None)

        by_trust = self.keystone.tokens[self.headers['X-Auth-Token']]
        self._unless_refused(
            'delete by trust' if by_trust else 'delete', lambda: self._with_trust(delete)
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        if 'trust' in body:
            assert self.headers['X-Auth-Token'] == USER_TOKEN
            self.keystone.before_create()
            self._unless_refused('create', lambda: self._create(body['trust']))
            return
        password = body['auth']['identity']['password']['user']['password']
        if password != PASSWORD:
            self._refuse(401)
            return
        trust = body['auth'].get('scope', {}).get('OS-TRUST:trust')
        self._unless_refused(
            'trust token' if trust else 'password', lambda: self._token(trust and trust['id'])
        )

    def _create(self, trust: dict[str, Any]) -> None:
        trust_id = self.keystone.add(**trust)
        self._answer(201, {'trust': self.keystone.trusts[trust_id]})

    def _token(self, trust_id: str | None) -> None:
        if trust_id is not None and trust_id not in self.keystone.trusts:
            self._refuse(401)
            return
        trust = self.keystone.trusts.get(trust_id or '', {})
        token = ks_fixture.V3Token(
            user_id=trust.get('trustor_user_id', ME),
            project_id=trust.get('project_id'),
            trust_id=trust_id,
        )
        self._answer(201, token, {'X-Subject-Token': self.keystone.token(trust_id)})

    def _unless_refused(self, request: str, answer: Callable[[], None]) -> None:
        with self.keystone.lock:
            self.keystone.requests[request] += 1
            status = self.keystone.answers.get(request)
            if status is not None:
                self._refuse(status)
            else:
                answer()

    def _with_trust(self, answer: Callable[[dict[str, Any]], None]) -> None:
        trust = self.keystone.trusts.get(self.path.rpartition('/')[2])
        if trust is None:
            self._refuse(404)
        else:
            answer(trust)

    def _refuse(self, status: int) -> None:
        self._answer(
            status,
            {'error': {'code': status, 'message': http.HTTPStatus(status).description or 'No.'}},
        )

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        data = b'' if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {
            'Content-Type': 'application/json',
            'Content-Length': str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
