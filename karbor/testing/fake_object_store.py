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

"""Small object stores for tests of what goes wrong: Swift's protocol, and that of S3.

::

    store = FakeS3()
    with store.serve(): ...                # store.url, store.user, store.key

They are no stores: they keep a few dictionaries, know what the banks ask for and no more, check
no signatures, and are never behind. What real servers do is seen in the integration tests.
"""

import collections
import contextlib
import datetime
import hashlib
import http
import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any
from urllib import parse
from xml.sax import saxutils

from karbor.testing import cut_server

_MARK = 'x-object-meta-serialized'


class FakeStore:
    """Containers and objects; :meth:`serve` puts them on a port.

    :ivar containers: contents and headers of the objects, by container and name.
    :ivar requests: counts by method and kind of thing, such as ``('PUT', 'object')``.
    :ivar answers: by the same keys, statuses that the next such requests get, in turn.
    :ivar answer_headers: headers of these answers.
    :ivar corrupt_reads: how many of the next reads give other bytes than were written.
    """

    user = 'test:karbor'
    key = 'a-secret-of-the-fake'
    page = 8
    handler: type['_Handler']

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.containers: dict[str, dict[str, tuple[bytes, dict[str, str]]]] = {}
        self.requests: collections.Counter[tuple[str, str]] = collections.Counter()
        self.answers: dict[tuple[str, str], list[int]] = {}
        self.answer_headers: dict[str, str] = {}
        self.corrupt_reads = 0
        self.url = ''

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Serve on a port of 127.0.0.1; gives the URL."""
        handler = type('Handler', (self.handler,), {'store': self})
        with cut_server.CutServer(handler).serving() as self.url:
            yield self.url

    def names(self, container: str, prefix: str, marker: str, reverse: bool) -> list[str]:
        """What a listing has, whole."""
        return [
            name
            for name in sorted(self.containers[container], reverse=reverse)
            if name.startswith(prefix)
            and (not marker or (name < marker if reverse else name > marker))
        ]


class _Handler(cut_server.CuttingHandler):
    """What both protocols have in common.

    ``container`` and ``name`` are the request's, empty if it is about what has them.
    """

    store: Any
    container = ''
    name = ''

    def serve_request(self) -> None:
        length = int(self.headers.get('Content-Length', 0))
        self.body = self.rfile.read(length)
        address = parse.urlsplit(self.path)
        self.query = dict(parse.parse_qsl(address.query, keep_blank_values=True))
        with self.store.lock:
            self.find(address.path)
            kind = 'object' if self.name else 'container' if self.container else 'service'
            self.store.requests[(self.command, kind)] += 1
            if self.store.answers.get((self.command, kind)):
                self.answer(
                    self.store.answers[(self.command, kind)].pop(0),
                    b'made up',
                    **self.store.answer_headers,
                )
            else:
                self.act(kind)

    do_GET = do_HEAD = do_PUT = do_DELETE = serve_request  # noqa: N815

    def find(self, path: str) -> None:
        raise NotImplementedError

    def act(self, kind: str) -> None:
        raise NotImplementedError

    @property
    def objects(self) -> Any:
        return self.store.containers.get(self.container)

    def read(self) -> bytes:
        """The content, at times another one of the same length."""
        data = self.objects[self.name][0]
        if self.store.corrupt_reads and self.command == 'GET':
            self.store.corrupt_reads -= 1
            return bytes(byte ^ 1 for byte in data)
        return data

    def answer(self, status: int, content: bytes = b'', **headers: str) -> None:
        self.send_response_only(status, http.HTTPStatus(status).phrase)
        self.send_header('Content-Length', str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)


class _SwiftHandler(_Handler):
    def find(self, path: str) -> None:
        parts = parse.unquote(path).split('/', 4)
        is_account = parts[1] == 'v1'
        self.container = parts[3] if is_account and len(parts) > 3 else ''
        self.name = parts[4] if is_account and len(parts) > 4 else ''

    def act(self, kind: str) -> None:
        if kind == 'service':
            self._log_in()
        elif self.headers.get('X-Auth-Token') not in self.store.tokens:
            self.answer(401)
        elif kind == 'container':
            self._act_on_container()
        elif self.objects is None or (self.command != 'PUT' and self.name not in self.objects):
            self.answer(404)
        else:
            self._act_on_object()

    def _log_in(self) -> None:
        if (self.headers.get('X-Auth-User'), self.headers.get('X-Auth-Key')) != (
            self.store.user,
            self.store.key,
        ):
            self.answer(401)
            return
        token = f'token-{uuid.uuid4()}'
        self.store.tokens.add(token)
        self.answer(
            200, X_Auth_Token=token, X_Storage_Url=f'http://{self.headers["Host"]}/v1/AUTH_test'
        )

    def _act_on_container(self) -> None:
        if self.command == 'PUT':
            self.store.containers.setdefault(self.container, {})
            self.answer(201)
        elif self.objects is None:
            self.answer(404)
        elif self.command == 'HEAD':
            self.answer(204)
        elif int(self.query.get('limit', 0)) > self.store.page:
            self.answer(412)
        else:
            self._list()

    def _list(self) -> None:
        names = self.store.names(
            self.container,
            self.query.get('prefix', ''),
            self.query.get('marker', ''),
            'reverse' in self.query,
        )
        limit = int(self.query.get('limit', self.store.page))
        self.answer(
            200,
            json.dumps([{'name': name} for name in names[:limit]]).encode(),
            Content_Type='application/json',
        )

    def _act_on_object(self) -> None:
        if self.command == 'PUT':
            self.objects[self.name] = (
                self.body,
                {
                    name.lower(): value
                    for name, value in self.headers.items()
                    if name.lower() == _MARK
                },
            )
            self.answer(201)
        elif self.command == 'DELETE':
            del self.objects[self.name]
            self.answer(204)
        else:
            data, marks = self.objects[self.name]
            self.answer(200, self.read(), ETag=_md5(data), **marks)


class FakeSwift(FakeStore):
    """Swift with tokens of its own; ``tokens`` has those that are good."""

    handler = _SwiftHandler

    def __init__(self) -> None:
        super().__init__()
        self.tokens: set[str] = set()

    @property
    def auth_url(self) -> str:
        return f'{self.url}/auth/v1.0'


class _S3Handler(_Handler):
    def find(self, path: str) -> None:
        _, self.container, *rest = parse.unquote(path).split('/', 2)
        self.name = rest[0] if rest else ''

    def act(self, kind: str) -> None:
        if f'Credential={self.store.user}/' not in self.headers.get('Authorization', ''):
            self._refuse(403, 'InvalidAccessKeyId')
        elif kind == 'container':
            self._act_on_bucket()
        elif self.objects is None:
            self._refuse(404, 'NoSuchBucket')
        elif self.command in ('GET', 'HEAD') and self.name not in self.objects:
            self._refuse(404, 'NoSuchKey')
        else:
            self._act_on_object()

    def _act_on_bucket(self) -> None:
        if self.command == 'PUT' and self.objects is None:
            self.store.containers[self.container] = {}
            self.answer(200)
        elif self.command == 'PUT':
            self._refuse(409, 'BucketAlreadyOwnedByYou')
        elif self.objects is None:
            self._refuse(404, 'NoSuchBucket')
        elif self.command == 'HEAD':
            self.answer(200)
        else:
            self._list()

    def _list(self) -> None:
        names = self.store.names(
            self.container, self.query.get('prefix', ''), self.query.get('start-after', ''), False
        )
        limit = min(int(self.query.get('max-keys', self.store.page)), self.store.page)
        entries = ''.join(
            f'<Contents><Key>{saxutils.escape(name)}</Key></Contents>' for name in names[:limit]
        )
        self._answer_xml(
            200,
            f'<ListBucketResult><IsTruncated>{str(len(names) > limit).lower()}'
            f'</IsTruncated>{entries}</ListBucketResult>',
        )

    def _act_on_object(self) -> None:
        if self.command == 'PUT':
            self.objects[self.name] = (
                self.body,
                {
                    name.lower(): value
                    for name, value in self.headers.items()
                    if name.lower().startswith('x-amz-meta-')
                },
            )
            self.answer(200, ETag='"x"')
        elif self.command == 'DELETE':
            self.objects.pop(self.name, None)
            self.answer(204)
        else:
            data, marks = self.objects[self.name]
            moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
            self.answer(
                200,
                self.read(),
                ETag=f'"{_md5(data)}"',
                **marks,
                Last_Modified=f'{moment:%a, %d %b %Y %H:%M:%S GMT}',
            )

    def _refuse(self, status: int, code: str) -> None:
        self._answer_xml(status, f'<Error><Code>{code}</Code><Message>No.</Message></Error>')

    def _answer_xml(self, status: int, text: str) -> None:
        self.answer(
            status,
            f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode(),
            Content_Type='application/xml',
        )


class FakeS3(FakeStore):
    """A server of S3."""

    handler = _S3Handler


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
