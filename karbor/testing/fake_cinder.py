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

"""A fake of Cinder's volume API, for unit tests and benchmarks.

It keeps volumes and snapshots in memory and answers as Cinder 29 does at microversion 3.43,
as far as Karbor uses it. It is a fake: what it says of Cinder is what its authors know of
Cinder. The real thing, on one machine, is in ``tools/sandbox``.

    cinder = FakeCinder()
    volume = cinder.add_volume()
    session = cinder.session()             # keystoneauth, without any network
    with cinder.serve() as url: ...        # the same over HTTP

States change by looking, not by time: a new snapshot, volume or deletion is shown as
``creating`` or ``deleting`` by the next ``looks_until_settled`` lists or gets that show it.
"""

import ast
import collections
import contextlib
import dataclasses
import datetime
import http.client
import http.server
import io
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib import parse

import requests
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint

from karbor.testing import cut_server

_COLLECTIONS = ('volumes', 'snapshots', 'messages', 'limits', 'os-services')
_VERSION = re.compile(r'^/v3(?=/|$)')
_PROJECT = {
    'volumes': 'os-vol-tenant-attr:tenant_id',
    'snapshots': 'os-extended-snapshot-attributes:project_id',
}
_ERROR_NAMES = {
    400: 'badRequest',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    413: 'overLimit',
    429: 'overLimit',
    500: 'computeFault',
    503: 'serviceUnavailable',
}

Item = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]


@dataclasses.dataclass(eq=False)
class Fault:
    """What goes wrong with the requests that match.

    :param method: regular expression of the whole method.
    :param path: regular expression to be found in the path, which is without version,
        project id and query: ``/snapshots``, ``/snapshots/detail``, ``/snapshots/<id>``.
    :param status: the answer instead of Cinder's; None leaves Cinder's, 200 is a page of
        HTML.
    :param headers: headers of that answer, for example Retry-After.
    :param reset: 'before' or 'after' Cinder has done what was asked for.
    :param times: how often it happens; None is always.
    :param done: with a status: Cinder has done what was asked for (a 504 of a proxy).
    :param hook: called first, outside of the fake's lock; to look or to change something
        in the middle of a request.
    """

    method: str = '.*'
    path: str = ''
    status: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reset: str | None = None
    times: int | None = None
    done: bool = False
    hook: Callable[[], None] | None = None
    applied: int = dataclasses.field(default=0, init=False)

    def matches(self, method: str, path: str) -> bool:
        """Whether it speaks of such a request and is not used up."""
        return (
            (self.times is None or self.applied < self.times)
            and re.fullmatch(self.method, method) is not None
            and re.search(self.path, path) is not None
        )


class _Refused(Exception):
    """An answer of Cinder's that is an error."""

    def __init__(self, status: int, message: str, **details: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {'code': status, 'message': message, **details}


@dataclasses.dataclass(slots=True)
class _Pending:
    """A state that will change: what kind of change, after how many looks."""

    kind: str
    looks: int
    target: str | None = None


class FakeCinder:
    """Cinder's API, as one user of a project sees it; used by many threads at once.

    Everything public may be changed by a test at any time.

    :param project_id: the project, whose id may be part of the path.
    """

    def __init__(self, project_id: str = 'p') -> None:
        self.project_id = project_id
        self.url = 'http://cinder.fake/v3'
        self.volumes: dict[str, Item] = {}
        self.snapshots: dict[str, Item] = {}
        self.messages: list[Item] = []
        self.looks_until_settled = 1
        #: What becomes of what is made: 'available', 'error', or None for never; and of
        #: what is deleted: 'gone', 'error_deleting', or None. Asked when it settles.
        self.settle_to: dict[str, str | None] = {
            'snapshot': 'available',
            'volume': 'available',
            'deletion': 'gone',
        }
        self.error_message = ''  # what the user is told when something settles to an error
        self.quota_snapshots: int | None = None
        self.quota_volumes: int | None = None
        self.busy_snapshots: dict[str, int] = {}
        self.faults: list[Fault] = []
        self.requests: collections.Counter[tuple[str, str]] = collections.Counter()
        self.osapi_max_limit = 1000
        #: False is a Cinder before microversion 3.22: the filter is dropped in silence.
        self.knows_metadata_filter = True
        #: False is a database that keeps whole seconds only (MariaDB's DATETIME), so that
        #: a list shows another created_at than the answer to POST did.
        self.keeps_microseconds = True
        #: Whether the user may list the services, and all projects' things.
        self.is_admin = False
        self._pending: dict[str, _Pending] = {}
        self._last_time = datetime.datetime.min
        self._lock = threading.RLock()

    # What tests set up

    def add_volume(
        self, name: str = 'v', size: int = 1, status: str = 'available', **fields: Any
    ) -> Item:
        """A volume that is there already; ``fields`` replace what the API would show."""
        with self._lock:
            volume = self._new_volume({'name': name, 'size': size})
            volume.update(status=status, **fields)
            self.volumes[volume['id']] = volume
            return volume

    def add_snapshot(self, volume_id: str, status: str = 'available', **fields: Any) -> Item:
        """A snapshot that is there already."""
        with self._lock:
            snapshot = self._new_snapshot(self.volumes[volume_id], {})
            snapshot.update(status=status, **fields)
            self.snapshots[snapshot['id']] = snapshot
            return snapshot

    def add_message(self, resource_id: str, text: str) -> Item:
        """A message for the user about a volume or snapshot."""
        with self._lock:
            message = {
                'id': str(uuid.uuid4()),
                'resource_uuid': resource_id,
                'user_message': text,
                'message_level': 'ERROR',
                'created_at': self._now(),
            }
            self.messages.append(message)
            return message

    def settle_later(self, item_id: str, status: str, looks: int = 1) -> None:
        """Let a volume or snapshot go to a status after some looks at it."""
        with self._lock:
            self._pending[item_id] = _Pending('planned', looks, status)

    # How it is reached

    def handle(self, method: str, path_and_query: str, body: bytes | None) -> Answer:
        """Answer one request.

        :raises ConnectionResetError: a fault wants the connection reset.
        """
        path, _, query = path_and_query.partition('?')
        parts, project_id = self._parts(path)
        fault = self._count(method, parts)
        if fault.hook:
            fault.hook()
        if fault.reset == 'before':
            raise ConnectionResetError('reset by a fault')
        if fault.status == 200:
            return 200, {'Content-Type': 'text/html'}, b'<html>of a proxy</html>'
        if fault.status is not None and not fault.done:
            return _error(fault.status, 'made up by a fault', fault.headers)
        answer = self._answer(method, parts, project_id, query, body)
        if fault.reset == 'after':
            raise ConnectionResetError('reset by a fault')
        if fault.status is not None:
            return _error(fault.status, 'made up by a fault', fault.headers)
        return answer

    def session(self) -> ks_session.Session:
        """A keystoneauth session whose requests end in :meth:`handle`."""
        transport = requests.Session()
        transport.mount('http://', _Adapter(self))
        return ks_session.Session(
            auth=token_endpoint.Token(f'{self.url}/{self.project_id}', 'token'), session=transport
        )

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Serve over HTTP on a port of 127.0.0.1; gives the URL up to ``/v3``."""
        server = _Server(self)
        before, self.url = self.url, f'http://127.0.0.1:{server.server_address[1]}/v3'
        threading.Thread(
            target=server.serve_forever, args=(0.02,), name='fake-cinder', daemon=True
        ).start()
        try:
            yield self.url
        finally:
            self.url = before
            server.shutdown()
            server.server_close()
            server.cut_connections()

    # Dispatch

    def _parts(self, path: str) -> tuple[list[str], str | None]:
        """The path's segments behind version and project id, and that id."""
        segments = [parse.unquote(part) for part in _VERSION.sub('', path).split('/') if part]
        if segments and segments[0] not in _COLLECTIONS:
            return segments[1:], segments[0]
        return segments, None

    def _count(self, method: str, parts: list[str]) -> Fault:
        template = list(parts)
        if len(parts) > 1 and parts[1] != 'detail':
            template[1] = '{id}'
        path = '/' + '/'.join(parts)
        with self._lock:
            self.requests[method, '/' + '/'.join(template)] += 1
            for fault in self.faults:
                if fault.matches(method, path):
                    fault.applied += 1
                    return fault
        return Fault()

    def _answer(
        self, method: str, parts: list[str], project_id: str | None, query: str, body: bytes | None
    ) -> Answer:
        try:
            if project_id not in (None, self.project_id):
                raise _Refused(400, 'Malformed request url')  # noqa: TRY301
            status, content = self._route(method, parts)(query, body)
        except _Refused as exc:
            headers = {'Retry-After': '0'} if exc.status == 413 else {}
            return exc.status, _headers(headers), _encoded({_ERROR_NAMES[exc.status]: exc.body})
        return status, _headers({}), b'' if content is None else _encoded(content)

    def _route(self, method: str, parts: list[str]) -> Callable[..., tuple[int, Any]]:
        """What answers, called with query and body."""
        if not parts:
            return lambda query, body: (300, self._versions())
        collection, item_id = parts[0], (parts[1:] or [None])[0]
        if collection not in _COLLECTIONS or len(parts) > 2:
            raise _Refused(404, 'The resource could not be found.')
        if collection == 'messages':
            routes = {('GET', False): lambda query, body: self._list_messages(query)}
        elif collection == 'limits':
            routes = {('GET', False): lambda query, body: (200, self._limits())}
        elif collection == 'os-services':
            routes = {('GET', False): lambda query, body: self._list_services()}
        else:
            routes = self._item_routes(collection, item_id)
        route = routes.get((method, item_id not in (None, 'detail')))
        if route is None:
            raise _Refused(405, 'The method is not allowed for this resource.')
        return route

    def _item_routes(
        self, collection: str, item_id: str | None
    ) -> dict[tuple[str, bool], Callable[..., tuple[int, Any]]]:
        create, delete = {
            'volumes': (self._create_volume, self._delete_volume),
            'snapshots': (self._create_snapshot, self._delete_snapshot),
        }[collection]
        return {
            ('GET', False): lambda query, body: self._list(collection, query),
            ('GET', True): lambda query, body: self._show(collection, item_id),
            ('POST', False): lambda query, body: create(_decoded(body)),
            ('DELETE', True): lambda query, body: delete(item_id),
        }

    def _versions(self) -> Item:
        return {
            'versions': [
                {
                    'id': 'v3.0',
                    'status': 'CURRENT',
                    'version': '3.71',
                    'min_version': '3.0',
                    'updated': '2023-08-31T00:00:00Z',
                    'links': [{'rel': 'self', 'href': f'{self.url}/'}],
                }
            ]
        }

    def _list_services(self) -> tuple[int, Item]:
        if not self.is_admin:
            raise _Refused(
                403, "Policy doesn't allow volume_extension:services:index to be performed."
            )
        return 200, {
            'services': [
                {'binary': 'cinder-scheduler', 'host': 'fake', 'status': 'enabled', 'state': 'up'}
            ]
        }

    def _limits(self) -> Item:
        def most(quota: int | None) -> int:
            return -1 if quota is None else quota

        return {
            'limits': {
                'rate': [],
                'absolute': {
                    'totalSnapshotsUsed': len(self.snapshots),
                    'totalGigabytesUsed': sum(
                        item['size'] for item in (*self.volumes.values(), *self.snapshots.values())
                    ),
                    'maxTotalSnapshots': most(self.quota_snapshots),
                    'maxTotalVolumeGigabytes': -1,
                },
            }
        }

    # Reading

    def _items(self, collection: str) -> dict[str, Item]:
        return self.volumes if collection == 'volumes' else self.snapshots

    def _show(self, collection: str, item_id: str) -> tuple[int, Item]:
        with self._lock:
            shown = self._look(collection, self._find(collection, item_id))
            if shown is None:
                raise _missing(collection, item_id)
            return 200, {collection[:-1]: shown}

    def _find(self, collection: str, item_id: str) -> Item:
        item = self._items(collection).get(item_id)
        if item is None or not (self.is_admin or self._is_own(collection, item)):
            raise _missing(collection, item_id)
        return item

    def _is_own(self, collection: str, item: Item) -> bool:
        return item[_PROJECT[collection]] == self.project_id

    def _list(self, collection: str, query: str) -> tuple[int, Item]:
        options = dict(parse.parse_qsl(query))
        limit = min(int(options.get('limit', self.osapi_max_limit)), self.osapi_max_limit)
        with self._lock:
            shown = self._page(collection, options, limit)
        content: Item = {collection: shown}
        if shown and len(shown) == limit:
            following = parse.urlencode({**options, 'marker': shown[-1]['id']})
            content[f'{collection}_links'] = [
                {
                    'rel': 'next',
                    'href': f'{self.url}/{self.project_id}/{collection}/detail?{following}',
                }
            ]
        return 200, content

    def _page(self, collection: str, options: Mapping[str, str], limit: int) -> list[Item]:
        """The next items, looked at: what is gone by this look is not shown any more."""
        items = self._items(collection)
        passes = _filter(
            options
            if self.knows_metadata_filter
            else {name: value for name, value in options.items() if name != 'metadata'}
        )
        # Who is no administrator is told nothing of the filter that is left out.
        sees_all = self.is_admin and options.get('all_tenants') in ('1', 'True', 'true')

        def wanted(item: Item) -> bool:
            return passes(item) and (sees_all or self._is_own(collection, item))

        key, descending = self._order(options)
        if 'marker' in options:
            begin = key(self._find(collection, options['marker']))
            found = [
                item
                for item in items.values()
                if wanted(item) and (key(item) < begin if descending else key(item) > begin)
            ]
        else:
            found = [item for item in items.values() if wanted(item)]
        found.sort(key=key, reverse=descending)
        shown: list[Item] = []
        for item in found:
            if len(shown) == limit:
                break
            seen = self._look(collection, item)
            if seen is not None and wanted(seen):
                shown.append(seen)
        return shown

    def _order(self, options: Mapping[str, str]) -> tuple[Callable[[Item], Any], bool]:
        name, _, direction = options.get('sort', 'created_at:desc').partition(':')

        def key(item: Item) -> tuple[str, str]:
            return self._shown_time(item[name]), item['id']

        return key, direction != 'asc'

    def _shown_time(self, moment: str) -> str:
        return moment if self.keeps_microseconds else f'{moment[:19]}.000000'

    def _look(self, collection: str, item: Item) -> Item | None:
        """Show an item: settles it when enough looks have gone by; None when it is gone."""
        pending = self._pending.get(item['id'])
        if pending is not None:
            if pending.looks > 0:
                pending.looks -= 1
            else:
                self._settle(collection, item, pending)
        if item['id'] not in self._items(collection):
            return None
        return {**item, 'created_at': self._shown_time(item['created_at'])}

    def _settle(self, collection: str, item: Item, pending: _Pending) -> None:
        status = pending.target or self._end_of(pending.kind, item)
        if status is None:
            return
        del self._pending[item['id']]
        if status == 'gone':
            del self._items(collection)[item['id']]
            return
        item['status'] = status
        if status.startswith('error') and self.error_message:
            self.add_message(item['id'], self.error_message)

    def _end_of(self, kind: str, item: Item) -> str | None:
        if kind == 'deletion' and self.busy_snapshots.get(item['id'], 0) > 0:
            self.busy_snapshots[item['id']] -= 1
            self.add_message(item['id'], 'Snapshot is busy.')
            return 'available'
        return self.settle_to.get(kind)

    def _list_messages(self, query: str) -> tuple[int, Item]:
        wanted = dict(parse.parse_qsl(query)).get('resource_uuid')
        with self._lock:
            return 200, {
                'messages': [
                    message
                    for message in reversed(self.messages)
                    if wanted in (None, message['resource_uuid'])
                ]
            }

    # Changing

    def _create_snapshot(self, body: Item) -> tuple[int, Item]:
        wanted = _member(body, 'snapshot')
        force = wanted.get('force', False)
        if not isinstance(force, bool):
            raise _Refused(400, f'Invalid input for field/attribute force. Value: {force}.')
        with self._lock:
            volume = self._find('volumes', wanted.get('volume_id'))
            if volume['status'] != 'available' and not (force and volume['status'] == 'in-use'):
                raise _Refused(
                    400,
                    'Invalid volume: Volume {} status must be {}available, but '
                    'current status is: {}.'.format(
                        volume['id'], 'in-use or ' if force else '', volume['status']
                    ),
                )
            _check_quota(
                'SnapshotLimitExceeded: Maximum number of snapshots',
                self.quota_snapshots,
                len(self.snapshots),
            )
            snapshot = self._new_snapshot(volume, wanted)
            self.snapshots[snapshot['id']] = snapshot
            self._begin(snapshot, 'snapshot', 'snapshots')
            return 202, {'snapshot': dict(snapshot)}

    def _create_volume(self, body: Item) -> tuple[int, Item]:
        wanted = dict(_member(body, 'volume'))
        with self._lock:
            if wanted.get('snapshot_id'):
                snapshot = self._find('snapshots', wanted['snapshot_id'])
                wanted['size'] = wanted.get('size') or snapshot['size']
                _check_source(snapshot, wanted['size'])
            if not isinstance(wanted.get('size'), int):
                raise _Refused(400, 'Invalid input received: Volume size is required.')
            _check_quota(
                'VolumeLimitExceeded: Maximum number of volumes',
                self.quota_volumes,
                len(self.volumes),
            )
            volume = self._new_volume(wanted)
            self.volumes[volume['id']] = volume
            self._begin(volume, 'volume', 'volumes')
            return 202, {'volume': dict(volume)}

    def _delete_snapshot(self, snapshot_id: str) -> tuple[int, None]:
        with self._lock:
            snapshot = self._find('snapshots', snapshot_id)
            if snapshot['status'] not in ('available', 'error'):
                raise _Refused(
                    400,
                    'Invalid snapshot: Snapshot status must be available or '
                    'error and must not be part of a group.',
                )
            return self._begin_deletion(snapshot, 'snapshots')

    def _delete_volume(self, volume_id: str) -> tuple[int, None]:
        with self._lock:
            volume = self._find('volumes', volume_id)
            if volume['status'] not in (
                'available',
                'error',
                'error_restoring',
                'error_extending',
                'error_managing',
                'maintenance',
            ) or any(item['volume_id'] == volume_id for item in self.snapshots.values()):
                raise _Refused(
                    400,
                    'Invalid volume: Volume status must be available or error '
                    '... and must not be migrating, attached, belong to a '
                    'group, have snapshots or be disassociated from '
                    'snapshots after volume transfer.',
                )
            return self._begin_deletion(volume, 'volumes')

    def _begin_deletion(self, item: Item, collection: str) -> tuple[int, None]:
        item['status'] = 'deleting'
        self._begin(item, 'deletion', collection)
        return 202, None

    def _begin(self, item: Item, kind: str, collection: str) -> None:
        self._pending[item['id']] = pending = _Pending(kind, self.looks_until_settled)
        if self.looks_until_settled == 0:
            self._settle(collection, item, pending)

    def _new_snapshot(self, volume: Item, wanted: Item) -> Item:
        return {
            'id': str(uuid.uuid4()),
            'created_at': self._now(),
            'updated_at': None,
            'name': wanted.get('name'),
            'description': wanted.get('description'),
            'volume_id': volume['id'],
            'status': 'creating',
            'size': volume['size'],
            'metadata': dict(wanted.get('metadata') or {}),
            'group_snapshot_id': None,
            'user_id': 'u',
            _PROJECT['snapshots']: self.project_id,
        }

    def _new_volume(self, wanted: Item) -> Item:
        return {
            'id': str(uuid.uuid4()),
            'created_at': self._now(),
            'updated_at': None,
            'name': wanted.get('name'),
            'description': wanted.get('description'),
            'status': 'creating',
            'size': wanted['size'],
            'metadata': dict(wanted.get('metadata') or {}),
            'snapshot_id': wanted.get('snapshot_id'),
            'source_volid': None,
            'volume_type': wanted.get('volume_type') or '__DEFAULT__',
            'availability_zone': wanted.get('availability_zone') or 'nova',
            'attachments': [],
            'bootable': 'false',
            'encrypted': False,
            'multiattach': False,
            'group_id': None,
            'consistencygroup_id': None,
            'migration_status': None,
            'replication_status': None,
            'user_id': 'u',
            _PROJECT['volumes']: self.project_id,
        }

    def _now(self) -> str:
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        with self._lock:
            now = max(now, self._last_time + datetime.timedelta(microseconds=1))
            self._last_time = now
        return now.isoformat(timespec='microseconds')


def _filter(options: Mapping[str, str]) -> Callable[[Item], bool]:
    """What a list's options let through."""
    metadata = _parsed(options['metadata']) if 'metadata' in options else {}
    fields = {name: options[name] for name in ('status', 'volume_id', 'name') if name in options}

    def wanted(item: Item) -> bool:
        return metadata.items() <= item['metadata'].items() and all(
            item.get(name) == value for name, value in fields.items()
        )

    return wanted


def _parsed(text: str) -> Item:
    """The metadata of a query, which cinderclient writes as Python and others as JSON."""
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError):
            return dict(read(text))
    raise _Refused(400, f'Could not evaluate value {text}, please check the query.')


def _check_source(snapshot: Item, size: int) -> None:
    if snapshot['status'] != 'available':
        raise _Refused(
            400, "Invalid snapshot: Originating snapshot status must be one of 'available' values"
        )
    if size < snapshot['size']:
        raise _Refused(
            400,
            f'Invalid input received: Volume size {size}GB cannot be smaller '
            f'than the snapshot size {snapshot["size"]}GB.',
        )


def _check_quota(what: str, quota: int | None, used: int) -> None:
    if quota is not None and used >= quota:
        raise _Refused(413, f'{what} allowed ({quota}) exceeded', retryAfter='0')


def _missing(collection: str, item_id: str | None) -> _Refused:
    return _Refused(404, f'{collection[:-1].capitalize()} {item_id} could not be found.')


def _member(body: Item, name: str) -> Item:
    if not isinstance(body, dict) or not isinstance(body.get(name), dict):
        raise _Refused(
            400, f"Invalid input for field/attribute {name}. '{name}' is a required property"
        )
    return body[name]


def _decoded(body: bytes | None) -> Any:
    try:
        return json.loads(body or b'')
    except ValueError:
        raise _Refused(400, 'cannot understand JSON') from None


def _encoded(content: Any) -> bytes:
    return json.dumps(content).encode()


def _headers(more: Mapping[str, str]) -> dict[str, str]:
    return {
        'Content-Type': 'application/json',
        'OpenStack-API-Version': 'volume 3.43',
        'x-openstack-request-id': f'req-{uuid.uuid4()}',
        **more,
    }


def _error(status: int, message: str, headers: Mapping[str, str]) -> Answer:
    name = _ERROR_NAMES.get(status, 'error')
    return status, _headers(headers), _encoded({name: {'code': status, 'message': message}})


class _Adapter(requests.adapters.BaseAdapter):
    """Hands requests of the requests library to a fake."""

    def __init__(self, cinder: FakeCinder) -> None:
        super().__init__()
        self._cinder = cinder

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        body = request.body.encode() if isinstance(request.body, str) else request.body
        try:
            status, headers, content = self._cinder.handle(request.method, request.path_url, body)
        except ConnectionResetError as exc:
            raise requests.exceptions.ConnectionError(exc, request=request) from exc
        response = requests.Response()
        response.status_code = status
        response.reason = http.client.responses.get(status, '')
        response.headers.update(headers)
        response.raw = io.BytesIO(content)
        response.url, response.request, response.encoding = request.url, request, 'utf-8'
        return response

    def close(self) -> None:
        """Nothing is open."""


class _Server(cut_server.CutServer):
    def __init__(self, cinder: FakeCinder) -> None:
        self.cinder = cinder
        super().__init__(('127.0.0.1', 0), _Handler)


class _Handler(cut_server.CuttingHandler):
    wbufsize = -1  # one packet an answer
    server: _Server

    def handle(self) -> None:
        with self.server.connection(self.connection):
            super().handle()

    def serve_request(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        try:
            status, headers, content = self.server.cinder.handle(self.command, self.path, body)
        except ConnectionResetError:
            self.reset()
            return
        self.send_response_only(status)
        for name, value in {**headers, 'Content-Length': str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = serve_request  # noqa: N815
