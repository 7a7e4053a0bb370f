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

::

    keystone = FakeKeystone()
    with keystone.serve() as auth_url: ...

It is not Keystone: it has one user, :data:`ME`, whose password is :data:`PASSWORD`, and one
more who comes with :data:`USER_TOKEN` and may delegate any role in any project. Its catalog has
nothing but itself and :attr:`FakeKeystone.services`, it validates no token but those of
:attr:`FakeKeystone.valid`, none expires, and it keeps a trust as it was sent. What the real one
does is seen in the integration tests.
"""

import contextlib
import datetime
import http.server
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from karbor.testing import cut_server

ME = 'karbor-user'
PASSWORD = 'of-karbor'
USER_TOKEN = 'token-of-the-user'


class FakeKeystone:
    """State and behaviour; :meth:`serve` puts it on a port.

    :ivar trusts: by id, as they are shown.
    :ivar requests: counts what was asked: 'password', 'trust token', 'create', 'list', 'get',
        'delete by trust', 'delete'.
    :ivar answers: the status that such a request is answered with instead, as if something
        else than Keystone did.
    :ivar before_create: called before a trust is made.
    :ivar tokens: those that were given out, with the trust that each is of.
    :ivar valid: what is told of a token that is to be validated, by token.
    :ivar services: URLs of other services in the catalog, by their types.
    """

    def __init__(self) -> None:
        self.trusts: dict[str, dict[str, Any]] = {}
        self.requests: Counter[str] = Counter()
        self.answers: dict[str, int] = {}
        self.before_create: Callable[[], Any] = lambda: None
        self.lock = threading.Lock()
        self.tokens: dict[str, str | None] = {}
        self.valid: dict[str, dict[str, Any]] = {}
        self.services: dict[str, str] = {}

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Serve on a port of 127.0.0.1; gives the auth_url."""
        handler = type('Handler', (_Handler,), {'keystone': self})
        with cut_server.CutServer(handler).serving() as url:
            yield f'{url}/v3'

    def add(self, **fields: Any) -> str:
        """Make a trust; gives its id."""
        trust_id = uuid.uuid4().hex
        self.trusts[trust_id] = {'id': trust_id, 'trustee_user_id': ME, **fields}
        return trust_id

    def token(self, trust_id: str | None) -> str:
        """A new token, of a trust or of a password."""
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
            'links': [{'rel': 'self', 'href': f'{self._url}/'}],
        }
        if path == '/':
            self._answer(300, {'versions': {'values': [version]}})
        elif path.rstrip('/') == '/v3':
            self._answer(200, {'version': version})
        elif path == '/v3/auth/tokens':
            self._validate(self.headers['X-Subject-Token'])
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
        scope = body['auth'].get('scope', {})
        trust = scope.get('OS-TRUST:trust')
        self._unless_refused(
            'trust token' if trust else 'password',
            lambda: self._token(trust and trust['id'], scope.get('project', {}).get('id')),
        )

    def _validate(self, token: str) -> None:
        if token in self.keystone.valid:
            self._answer(200, {'token': self.keystone.valid[token]}, {'X-Subject-Token': token})
        else:
            self._refuse(404)

    def _create(self, trust: dict[str, Any]) -> None:
        trust_id = self.keystone.add(**trust)
        self._answer(201, {'trust': self.keystone.trusts[trust_id]})

    def _token(self, trust_id: str | None, project_id: str | None) -> None:
        if trust_id is not None and trust_id not in self.keystone.trusts:
            self._refuse(401)
            return
        trust = self.keystone.trusts.get(trust_id or '', {})
        project_id = trust.get('project_id', project_id)
        self._answer(
            201,
            {'token': {**_token(trust, project_id), 'catalog': self._catalog()}},
            {'X-Subject-Token': self.keystone.token(trust_id)},
        )

    @property
    def _url(self) -> str:
        return f'http://{self.headers["Host"]}/v3'

    def _catalog(self) -> list[dict[str, Any]]:
        urls = {'identity': self._url, **self.keystone.services}
        return [
            {
                'id': service_type,
                'type': service_type,
                'name': service_type,
                'endpoints': [
                    {'id': interface, 'interface': interface, 'region': 'RegionOne', 'url': url}
                    for interface in ('public', 'internal', 'admin')
                ],
            }
            for service_type, url in urls.items()
        ]

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


def _token(trust: dict[str, Any], project_id: str | None) -> dict[str, Any]:
    """What a token says: it is one of a trust, or of the password if that is empty.

    :param project_id: of the project that it is for; None is no project.
    """
    domain = {'id': 'default', 'name': 'Default'}
    user_id = trust.get('trustor_user_id', ME)
    issued_at = datetime.datetime.now(datetime.UTC)
    token: dict[str, Any] = {
        'methods': ['password'],
        'issued_at': _moment(issued_at),
        'expires_at': _moment(issued_at + datetime.timedelta(hours=1)),
        'user': {'id': user_id, 'name': user_id, 'domain': domain},
    }
    if project_id is not None:
        token['project'] = {'id': project_id, 'name': project_id, 'domain': domain}
    if trust:
        token['OS-TRUST:trust'] = {'id': trust['id'], 'impersonation': True}
    return token


def _moment(moment: datetime.datetime) -> str:
    return f'{moment:%Y-%m-%dT%H:%M:%S.%fZ}'
