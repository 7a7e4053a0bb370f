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

"""What holds of every answer of the API, whatever the request: :class:`Watch` looks at it.

What does not hold is a finding. It is kept with its request; the test goes on and fails at its
end with all of them.
"""

import collections
import dataclasses
import heapq
import io
import json
import logging
import re
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib import parse

import jsonschema

from karbor.api import media, middleware
from karbor.tests import memory, personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID

STRANGERS = '5555666677778888aaaabbbbccccdddd'  # a project of its own that may write, too
PROJECTS = (PROJECT_ID, OTHER_PROJECT_ID, STRANGERS)

# In texts of the project that must never be seen, and of the project that is fuzzed.
SECRET = 'zq7-of-the-other-project'
OWN_SECRET = 'zq8-of-the-fuzzed-project'

# A request that takes longer than this is shown; one that also keeps a processor busy for as
# long is a finding, as is one that waits far longer for whatever it may be.
SLOW = 1.0
HANGS = 20.0
# MiB that a request may take, with what jobs take meanwhile.
LARGE = 100

_FAULTS = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'conflictingRequest',
    413: 'overLimit',
    415: 'badMediaType',
    503: 'serviceUnavailable',
}
# Sent with a body, and yet only a look.
_LOOKS = (
    'POST /plans/{plan_id}/retention',
    'POST /scheduled_operations/{scheduled_operation_id}/retention',
    'POST /schedules/preview',
)
_INSIDES = re.compile(
    r'Traceback|File "|\.py\b|site-packages|sqlalchemy|sqlite3|'
    r'\bSELECT .* FROM\b|\bINSERT INTO\b|0x[0-9a-f]{8,}|<[a-z_.]+ object'
)
_REQUEST_ID = re.compile(r'req-[0-9a-f-]{36}')
_HOST = re.compile(r'[A-Za-z0-9.:-]*')  # of another, links are as odd
_CONTROLS = re.compile(r'[\x00-\x1f\x7f]')
_SHOWN = 1500

Headers = list[tuple[str, str]]


# What is done already is not done again, beside every PUT.
_IDEMPOTENT = (
    'DELETE /quotas/{quota_project_id}',
    'DELETE /providers/{provider_id}/checkpoints/{checkpoint_id}/pin',
)


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as it would be on the wire.

    :ivar target: path and query, percent-encoded.
    :ivar headers: a Content-Length is added unless they have one.
    """

    method: str
    target: str
    headers: Headers
    body: bytes = b''

    def environ(self) -> dict[str, Any]:
        path, _, query = self.target.partition('?')
        environ: dict[str, Any] = {
            'REQUEST_METHOD': self.method,
            'SCRIPT_NAME': '',
            'PATH_INFO': parse.unquote_to_bytes(path).decode('latin-1'),
            'QUERY_STRING': query,
            'SERVER_NAME': 'karbor.test',
            'SERVER_PORT': '8799',
            'SERVER_PROTOCOL': 'HTTP/1.1',
            'REMOTE_ADDR': '192.0.2.1',
            'wsgi.version': (1, 0),
            'wsgi.url_scheme': 'http',
            'wsgi.input': io.BytesIO(self.body),
            'wsgi.errors': io.StringIO(),
            'wsgi.multithread': True,
            'wsgi.multiprocess': False,
            'wsgi.run_once': False,
            'CONTENT_LENGTH': str(len(self.body)),
        }
        given: dict[str, str] = {}
        for name, value in self.headers:
            key = name.upper().replace('-', '_')
            key = key if key in ('CONTENT_TYPE', 'CONTENT_LENGTH') else f'HTTP_{key}'
            given[key] = f'{given[key]}, {value}' if key in given else value
        return {**environ, **given}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Headers
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclasses.dataclass
class Finding:
    """Something that must not be.

    :ivar kind: what does not hold.
    :ivar where: the operation.
    :ivar example: the first request with its answer.
    """

    kind: str
    where: str
    example: str
    count: int = 1

    def __str__(self) -> str:
        return f'{self.kind} ({self.count} times) in {self.where}:\n{self.example}\n'


@dataclasses.dataclass(frozen=True)
class _Seen:
    """A request and its answer, as the checks look at them."""

    environ: Mapping[str, Any]
    operation: str
    request: str
    answer: Answer
    text: str
    persona: str | None
    project_id: str | None

    @property
    def is_public(self) -> bool:
        return self.environ['PATH_INFO'].removesuffix('.json') in middleware.PUBLIC_PATHS or (
            self.environ['PATH_INFO'].rstrip('/') in middleware.PUBLIC_PATHS
        )

    @property
    def is_of_health(self) -> bool:
        """Whether it says that a project is not well, which is no error."""
        return self.answer.status == 503 and self.text.startswith('{"health": {"status"')

    @property
    def method(self) -> str:
        return self.environ['REQUEST_METHOD']

    @property
    def only_looks(self) -> bool:
        return self.method in ('GET', 'HEAD', 'OPTIONS') or self.operation in _LOOKS


class Watch:
    """A WSGI application that looks at every answer of another one.

    :param application: the other one.
    :param document: its OpenAPI document.
    :param other_ids: ids of rows of other projects; an answer may have one only if the
        request had it.
    :param paths: folders that no answer may name.
    :param rows: how many rows there are of what; a refused request makes none.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        document: dict[str, Any],
        other_ids: Collection[str],
        paths: Collection[str],
        rows: Callable[[], Any],
    ) -> None:
        self.findings: dict[tuple[str, str], Finding] = {}
        self.statuses: dict[str, collections.Counter[int]] = collections.defaultdict(
            collections.Counter
        )
        self.slowest: list[tuple[float, float, str]] = []
        self.largest: list[tuple[int, str]] = []
        self.total = 0
        self.busy = 0.0
        self.errors = Errors(lambda kind, where, text: self.add(kind, where, text[-_SHOWN:]))
        self._application = application
        self._operations = _Operations(document)
        self._other_ids, self._paths, self._rows = other_ids, paths, rows
        self._rows_before = rows()
        self._lock = threading.Lock()

    def send(self, request: Request) -> Answer:
        """The answer to a request."""
        found: dict[str, Any] = {}

        def start_response(status: str, headers: Headers, *_: object) -> None:
            found['answer'] = int(status[:3]), headers

        content = b''.join(self(request.environ(), start_response))
        return Answer(*found['answer'], content)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        with self._lock:
            asked = dict(environ)  # what is called may change it
            memory_before = memory.forget_peak()
            began, busy_before = time.perf_counter(), time.thread_time()
            self.errors.begin()
            try:
                status, headers, content = _called(self._application, environ)
            except Exception:  # noqa: BLE001 - whatever it is, it is a finding
                status, headers, content = '599 Raised', [], traceback.format_exc().encode()
            self.errors.end()
            took, busy = time.perf_counter() - began, time.thread_time() - busy_before
            taken = (memory.peak() - memory_before) // 1024
            seen = self._seen(asked, Answer(int(status[:3]), headers, content))
            self._count(seen, took, busy, taken)
            self._check(seen, took, busy, taken)
        start_response(status, headers)
        return [content]

    def add(self, kind: str, where: str, example: str) -> None:
        """Keep a finding."""
        found = self.findings.get((kind, where))
        if found is None:
            self.findings[kind, where] = Finding(kind, where, example)
        else:
            found.count += 1

    def _seen(self, environ: Mapping[str, Any], answer: Answer) -> _Seen:
        token = (
            environ.get('HTTP_X_AUTH_TOKEN') or environ.get('HTTP_X_STORAGE_TOKEN') or ''
        ).strip()
        persona, _, project_id = token.partition('@')
        known = persona in personas.ROLES and project_id in PROJECTS
        return _Seen(
            environ,
            self._operations.name_of(environ),
            _shown(environ),
            answer,
            answer.content.decode('utf-8', 'replace'),
            persona if known else None,
            project_id if known else None,
        )

    def _count(self, seen: _Seen, took: float, busy: float, taken: int) -> None:
        self.total += 1
        self.busy += took
        self.statuses[seen.operation][seen.answer.status] += 1
        shown = f'{seen.answer.status} {seen.request[:200]!r}'
        _keep(self.slowest, (took, busy, shown))
        _keep(self.largest, (taken, shown))

    def _check(self, seen: _Seen, took: float, busy: float, taken: int) -> None:
        reasons = [
            reason
            for check in (
                self._server_errors,
                _form,
                self._schema,
                self._leaks,
                _rights,
                self._rows_made,
            )
            for reason in check(seen)
        ]
        if min(took, busy) > SLOW or took > HANGS:
            reasons.append('slow')
        if taken > LARGE:
            reasons.append(f'takes {taken} MiB')
        for reason in reasons:
            self.add(
                reason,
                seen.operation,
                f'{seen.request}\n-> {seen.answer.status} after {took:.2f} s '
                f'({busy:.2f} s busy) {seen.answer.headers}\n{seen.text[:_SHOWN]}\n'
                f'{self.errors}',
            )

    def _server_errors(self, seen: _Seen) -> Iterator[str]:
        if seen.answer.status >= 500 and not seen.is_of_health:
            lines = str(self.errors).strip().splitlines() or ['']
            yield f'{seen.answer.status} {lines[-1][:100]}'

    def _schema(self, seen: _Seen) -> Iterator[str]:
        if seen.answer.status == 200 and seen.method in ('GET', 'POST', 'PUT', 'DELETE'):
            reason = self._operations.misfit(seen.operation, seen.answer)
            if reason:
                yield f'answer does not fit the document: {reason}'

    def _leaks(self, seen: _Seen) -> Iterator[str]:
        for path in self._paths:
            if path in seen.text:
                yield 'path in an answer'
        if seen.answer.status >= 400:
            inside = _INSIDES.search(seen.text)
            if inside and inside[0] not in seen.request:
                yield f'insides in an error: {inside[0]}'
        if seen.project_id == OTHER_PROJECT_ID:
            return
        query = seen.environ.get('QUERY_STRING', '')
        sees_all = seen.persona == 'admin' and ('all_tenants' in query or 'project_id' in query)
        if SECRET in seen.text and not sees_all:
            yield 'text of another project'
        if OWN_SECRET in seen.text and seen.project_id != PROJECT_ID and not sees_all:
            yield 'text of another project'
        # The log of an administrator has the projects whose limits were set.
        if (
            not sees_all
            and 'operation_logs' not in seen.operation
            and any(
                row_id in seen.text and row_id not in seen.request for row_id in self._other_ids
            )
        ):
            yield 'id of another project'

    def _rows_made(self, seen: _Seen) -> Iterator[str]:
        """A refused request makes or removes no row; one that is done writes one log.

        One that changes nothing may leave none.
        """
        if seen.only_looks and self.total % 20:
            return  # nearly always nothing: now and then is enough
        rows = self._rows()
        before, self._rows_before = self._rows_before, rows
        if seen.answer.status >= 300 or seen.only_looks:
            if rows != before:
                yield f'rows made by a request that changes nothing: {before} -> {rows}'
            return
        written = rows['operation_logs'] - before['operation_logs']
        may_change_nothing = seen.operation.startswith('PUT') or seen.operation in _IDEMPOTENT
        if written != 1 and (written or not may_change_nothing):
            yield f'{written} operation logs'

    def look_again(self) -> None:
        """Rows were changed otherwise than by a request."""
        self._rows_before = self._rows()


class Errors(logging.Handler):
    """Keeps what is logged as an error.

    :param report: is told of what must not be in a log: kind, logger and text.
    """

    def __init__(self, report: Callable[[str, str, str], None]) -> None:
        super().__init__(logging.INFO)
        self._report = report
        self._texts: list[str] = []
        self._watched: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
            message.encode()
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            self._report('log cannot be written', record.name, traceback.format_exc())
            return
        if ('\n' in message or '\r' in message) and record.levelno < logging.ERROR:
            self._report('log of two lines', record.name, repr(message))
        if record.levelno >= logging.ERROR:
            text = self.format(record)
            if threading.get_ident() == self._watched:
                self._texts.append(text)
            elif record.exc_info or record.name == 'waitress':
                self._report('error of a thread', record.name, text)

    def begin(self) -> None:
        """What this thread logs from now on belongs to a request."""
        self._texts, self._watched = [], threading.get_ident()

    def end(self) -> None:
        self._watched = None

    def __str__(self) -> str:
        return '\n'.join(self._texts)[-2 * _SHOWN :]


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Path, method and description of every operation."""
    for path, methods in document['paths'].items():
        for method, operation in methods.items():
            if method in ('get', 'post', 'put', 'delete'):
                yield path, method.upper(), operation


class _Operations:
    """The operations of the OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = [
            (re.compile(re.sub(r'\\{[a-z_]+\\}', '[^/]+', re.escape(path))), path)
            for path in sorted(document['paths'], key=lambda path: path.count('{'))
        ]
        self._validators: dict[str, jsonschema.Draft202012Validator | None] = {}
        for path, method, operation in operations(document):
            done = [
                answer
                for status, answer in operation['responses'].items()
                if status in ('200', '300')
            ]
            self._validators[_name(method, path)] = _validator(done[0], document)

    def name_of(self, environ: Mapping[str, Any]) -> str:
        asked = f'/{environ["PATH_INFO"].strip("/").removesuffix(".json")}'
        for pattern, path in self._paths:
            if pattern.fullmatch(asked):
                name = _name(environ['REQUEST_METHOD'], path)
                return name if name in self._validators else 'other method'
        return 'other path'

    def misfit(self, operation: str, answer: Answer) -> str | None:
        if operation not in self._validators:
            return None
        validator = self._validators[operation]
        if validator is None:
            return 'a body where none is described' if answer.content else None
        error = next(validator.iter_errors(answer.json), None)
        return None if error is None else f'{list(error.absolute_path)} {error.message[:100]}'


def _name(method: str, path: str) -> str:
    return f'{method} {path.removeprefix("/v1/{project_id}")}'


def _validator(
    described: Mapping[str, Any], document: Mapping[str, Any]
) -> jsonschema.Draft202012Validator | None:
    if 'content' not in described:
        return None
    schema = described['content']['application/json']['schema']
    return jsonschema.Draft202012Validator(
        {**schema, 'components': document['components']}, format_checker=media.FORMATS
    )


def _keep(largest: list[Any], item: Any) -> None:
    """Keep the ten largest items of all."""
    heapq.heappush(largest, item)
    if len(largest) > 10:
        heapq.heappop(largest)


def _called(
    application: Callable[..., Iterable[bytes]], environ: dict[str, Any]
) -> tuple[str, Headers, bytes]:
    found: list[Any] = []

    def start_response(status: str, headers: Headers, *_: object) -> Callable[[bytes], None]:
        found[:] = [status, headers]
        return lambda _: None

    result = application(environ, start_response)
    try:
        content = b''.join(result)
    finally:
        getattr(result, 'close', lambda: None)()
    return found[0], list(found[1]), content


def _shown(environ: Mapping[str, Any]) -> str:
    """The request as text, for a finding and to see what an answer only repeats."""
    headers = {
        key: value for key, value in environ.items() if key.startswith(('HTTP_', 'CONTENT_'))
    }
    sent = environ.get('wsgi.input')
    body = sent.getvalue() if isinstance(sent, io.BytesIO) else b''
    target = f'{environ["PATH_INFO"]}?{environ.get("QUERY_STRING", "")}'
    start = body[: 3 * _SHOWN].decode('utf-8', 'replace')
    return (
        f'{environ["REQUEST_METHOD"]} {target[: 3 * _SHOWN]} {str(headers)[: 3 * _SHOWN]} '
        f'{start} ({len(body)} bytes)'
    )


def _form(seen: _Seen) -> Iterator[str]:
    """The form of every answer."""
    yield from _header_faults(seen)
    answer = seen.answer
    if seen.method == 'HEAD':
        return
    if not answer.content:
        if answer.status >= 400:
            yield f'error {answer.status} without a body'
        return
    if not (answer.header('content-type') or [''])[0].startswith('application/json'):
        yield f'content-type {answer.header("content-type")}'
    try:
        document = json.loads(answer.content, parse_constant=_refuse)
        json.dumps(document, ensure_ascii=False).encode()
    except ValueError as exc:
        yield f'body is no JSON that everybody can read: {type(exc).__name__}'
        return
    if answer.status >= 400 and not seen.is_of_health:
        yield from _fault(answer, document)
    elif isinstance(document, dict) and _HOST.fullmatch(seen.environ.get('HTTP_HOST', '')):
        yield from _links(document)


def _header_faults(seen: _Seen) -> Iterator[str]:
    answer = seen.answer
    request_ids = answer.header('x-openstack-request-id')
    if len(request_ids) != 1 or not _REQUEST_ID.fullmatch(request_ids[0]):
        yield f'request ids {request_ids}'
    for name, value in answer.headers:
        if _CONTROLS.search(name + value) or not (name + value).isascii():
            yield f'header {name} has characters that are not allowed'
    lengths = answer.header('content-length')
    if seen.method != 'HEAD' and lengths and lengths != [str(len(answer.content))]:
        yield f'content-length {lengths}'


def _refuse(name: str) -> None:
    raise ValueError(name)


def _fault(answer: Answer, document: Any) -> Iterator[str]:
    key = _FAULTS.get(answer.status, 'computeFault')
    fault = document.get(key) if isinstance(document, dict) else None
    more = {'retryAfter'} if answer.status == 413 else set()
    if (
        not isinstance(fault, dict)
        or set(fault) != {'code', 'message'} | more
        or len(document) != 1
        or fault['code'] != answer.status
        or not str(fault['message']).strip()
    ):
        yield f'error {answer.status} is not told as a fault'
    elif len(fault['message']) > 2000:
        yield 'error with a long message'


def _links(document: Mapping[str, Any]) -> Iterator[str]:
    for name, links in document.items():
        if name.endswith('_links'):
            for link in links:
                if not re.fullmatch(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", link['href']):
                    yield 'link that is no URL'


def _rights(seen: _Seen) -> Iterator[str]:
    if seen.answer.status >= 300 or seen.is_public or seen.method == 'OPTIONS':
        return
    if seen.persona in (None, 'nobody') and seen.operation != 'other path':
        yield f'done for {seen.persona}'
    if seen.persona == 'reader' and not seen.only_looks:
        yield 'done for a reader'
