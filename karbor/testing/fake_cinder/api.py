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

"""The API of the fake: which request is answered by what."""

import collections
import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib import parse

import requests
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint

from karbor.testing.fake_cinder import actions, answers, lists, store, transport
from karbor.testing.fake_cinder.answers import Answer, Item, Refused
from karbor.testing.fake_cinder.faults import Fault

#: Answers with status and content, given query and body.
Route = Callable[[str, bytes | None], tuple[int, Any]]

_COLLECTIONS = ('volumes', 'snapshots', 'messages', 'limits', 'os-services')
_VERSION = re.compile(r'^/v3(?=/|$)')


class FakeCinder(store.Store):
    """Cinder's API, as one user of a project sees it; used by many threads at once.

    Everything public may be changed by a test at any time.

    :ivar requests: how many requests arrived, by method and path with ``{id}`` in it.
    :param project_id: the project, whose id may be part of the path.
    """

    def __init__(self, project_id: str = 'p') -> None:
        super().__init__(project_id)
        self.url = 'http://cinder.fake/v3'
        #: What goes wrong; the first that matches a request and is not used up.
        self.faults: list[Fault] = []
        self.requests: collections.Counter[tuple[str, str]] = collections.Counter()
        #: How many snapshots there may be; None is no limit.
        self.quota_snapshots: int | None = None
        #: How many volumes there may be; None is no limit.
        self.quota_volumes: int | None = None
        #: How many items a page has at most.
        self.osapi_max_limit = 1000
        #: False is a Cinder before microversion 3.22: the filter is dropped in silence.
        self.knows_metadata_filter = True

    # How it is reached

    def handle(self, method: str, path_and_query: str, body: bytes | None) -> Answer:
        """Answer one request.

        :raises ConnectionResetError: a fault wants the connection reset.
        """
        path, _, query = path_and_query.partition('?')
        parts, project_id = self._parts(path)
        fault = self._count(method, parts)
        return fault.answer(lambda: self._answer(method, parts, project_id, query, body))

    def session(self) -> ks_session.Session:
        """A keystoneauth session whose requests end in :meth:`handle`."""
        adapted = requests.Session()
        adapted.mount('http://', transport.Adapter(self))
        return ks_session.Session(
            auth=token_endpoint.Token(f'{self.url}/{self.project_id}', 'token'), session=adapted
        )

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Serve over HTTP on a port of 127.0.0.1; gives the URL up to ``/v3``."""
        with transport.Server(self).serving() as url:
            before, self.url = self.url, f'{url}/v3'
            try:
                yield self.url
            finally:
                self.url = before

    # Which request is answered by what

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
        with self.lock:
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
                raise Refused(400, 'Malformed request url')  # noqa: TRY301
            return answers.content(*self._route(method, parts)(query, body))
        except Refused as exc:
            return exc.answer()

    def _route(self, method: str, parts: list[str]) -> Route:
        if not parts:
            return lambda query, body: (300, self._versions())
        collection, item_id = parts[0], parts[1] if len(parts) > 1 else None
        if collection == 'volumes' and item_id and parts[2:] == ['action'] and method == 'POST':
            return lambda query, body: self._act(item_id, answers.decoded(body))
        if collection not in _COLLECTIONS or len(parts) > 2:
            raise Refused(404, 'The resource could not be found.')
        if item_id in (None, 'detail'):
            route = self._collection_routes(collection).get(method)
        else:
            route = self._item_routes(collection, item_id).get(method)
        if route is None:
            raise Refused(405, 'The method is not allowed for this resource.')
        return route

    def _collection_routes(self, collection: str) -> dict[str, Route]:
        """What answers requests about all of a collection, by method."""
        return {
            'volumes': {
                'GET': lambda query, body: self._list('volumes', query),
                'POST': lambda query, body: self._create_volume(answers.decoded(body)),
            },
            'snapshots': {
                'GET': lambda query, body: self._list('snapshots', query),
                'POST': lambda query, body: self._create_snapshot(answers.decoded(body)),
            },
            'messages': {'GET': lambda query, body: self._list_messages(query)},
            'limits': {'GET': lambda query, body: (200, self._limits())},
            'os-services': {'GET': lambda query, body: self._list_services()},
        }[collection]

    def _item_routes(self, collection: str, item_id: str) -> dict[str, Route]:
        """What answers requests about one item, by method."""
        deletes = {'volumes': self._delete_volume, 'snapshots': self._delete_snapshot}
        if collection not in deletes:
            return {}
        return {
            'GET': lambda query, body: self._show(collection, item_id),
            'DELETE': lambda query, body: deletes[collection](item_id),
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
            raise Refused(
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

    def _show(self, collection: str, item_id: str) -> tuple[int, Item]:
        with self.lock:
            shown = self.look(collection, self.find(collection, item_id))
            if shown is None:
                raise answers.missing(collection, item_id)
            return 200, {collection[:-1]: shown}

    def _list(self, collection: str, query: str) -> tuple[int, Item]:
        options = dict(parse.parse_qsl(query))
        limit = min(int(options.get('limit', self.osapi_max_limit)), self.osapi_max_limit)
        unknown = () if self.knows_metadata_filter else ('metadata',)
        known = {name: value for name, value in options.items() if name not in unknown}
        with self.lock:
            shown = lists.page(self, collection, known, limit)
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

    def _list_messages(self, query: str) -> tuple[int, Item]:
        wanted = dict(parse.parse_qsl(query)).get('resource_uuid')
        with self.lock:
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
            raise Refused(400, f'Invalid input for field/attribute force. Value: {force}.')
        with self.lock:
            volume = self.find('volumes', wanted.get('volume_id', ''))
            if volume['status'] != 'available' and not (force and volume['status'] == 'in-use'):
                raise Refused(
                    400,
                    'Invalid volume: Volume {} status must be {}available, but '
                    'current status is: {}.'.format(
                        volume['id'], 'in-use or ' if force else '', volume['status']
                    ),
                )
            _check_quota(
                'SnapshotLimitExceeded: Maximum number of snapshots',
                self.quota_snapshots,
                self.snapshots_in_use(),
            )
            snapshot = self.new_snapshot(volume, wanted)
            self.snapshots[snapshot['id']] = snapshot
            self.begin(snapshot, 'snapshot', 'snapshots')
            return 202, {'snapshot': dict(snapshot)}

    def _act(self, volume_id: str, body: Any) -> tuple[int, Any]:
        with self.lock:
            return actions.act(self, self.find('volumes', volume_id), body)

    def _create_volume(self, body: Item) -> tuple[int, Item]:
        wanted = dict(_member(body, 'volume'))
        with self.lock:
            self._check_type_and_zone(wanted)
            if wanted.get('snapshot_id'):
                snapshot = self.find('snapshots', wanted['snapshot_id'])
                wanted['size'] = wanted.get('size') or snapshot['size']
                _check_source(snapshot, wanted['size'])
            if not isinstance(wanted.get('size'), int):
                raise Refused(400, 'Invalid input received: Volume size is required.')
            _check_quota(
                'VolumeLimitExceeded: Maximum number of volumes',
                self.quota_volumes,
                len(self.volumes),
            )
            volume = self.new_volume(wanted)
            self.volumes[volume['id']] = volume
            self.begin(volume, 'volume', 'volumes')
            return 202, {'volume': dict(volume)}

    def _check_type_and_zone(self, wanted: Item) -> None:
        zone, volume_type = wanted.get('availability_zone'), wanted.get('volume_type')
        if zone and zone not in self.zones:
            raise Refused(400, f"Availability zone '{zone}' is invalid.")
        if not volume_type:
            return
        if volume_type not in self.volume_types:
            raise answers.missing_type(volume_type)
        snapshot = self.snapshots.get(wanted.get('snapshot_id') or '', {})
        source = self.volumes.get(snapshot.get('volume_id', ''), {})
        if snapshot and volume_type != source.get('volume_type', '__DEFAULT__'):
            raise Refused(
                400,
                f'Invalid input received: Invalid volume_type provided: {volume_type} (requested '
                'type is not compatible; recommend omitting the type argument).',
            )

    def _delete_snapshot(self, snapshot_id: str) -> tuple[int, None]:
        with self.lock:
            snapshot = self.find('snapshots', snapshot_id)
            if snapshot['status'] not in ('available', 'error'):
                raise Refused(
                    400,
                    'Invalid snapshot: Snapshot status must be available or '
                    'error and must not be part of a group.',
                )
            return self._begin_deletion(snapshot, 'snapshots')

    def _delete_volume(self, volume_id: str) -> tuple[int, None]:
        with self.lock:
            volume = self.find('volumes', volume_id)
            if volume['status'] not in (
                'available',
                'error',
                'error_restoring',
                'error_extending',
                'error_managing',
                'maintenance',
            ) or any(item['volume_id'] == volume_id for item in self.snapshots.values()):
                raise Refused(
                    400,
                    'Invalid volume: Volume status must be available or error '
                    '... and must not be migrating, attached, belong to a '
                    'group, have snapshots or be disassociated from '
                    'snapshots after volume transfer.',
                )
            return self._begin_deletion(volume, 'volumes')

    def _begin_deletion(self, item: Item, collection: str) -> tuple[int, None]:
        item['status'] = 'deleting'
        self.begin(item, 'deletion', collection)
        return 202, None


def _check_source(snapshot: Item, size: int) -> None:
    if snapshot['status'] != 'available':
        raise Refused(
            400, "Invalid snapshot: Originating snapshot status must be one of 'available' values"
        )
    if size < snapshot['size']:
        raise Refused(
            400,
            f'Invalid input received: Volume size {size}GB cannot be smaller '
            f'than the snapshot size {snapshot["size"]}GB.',
        )


def _check_quota(what: str, quota: int | None, used: int) -> None:
    if quota is not None and used >= quota:
        raise Refused(413, f'{what} allowed ({quota}) exceeded', retryAfter='0')


def _member(body: Item, name: str) -> Item:
    if not isinstance(body, dict) or not isinstance(body.get(name), dict):
        raise Refused(
            400, f"Invalid input for field/attribute {name}. '{name}' is a required property"
        )
    return body[name]
