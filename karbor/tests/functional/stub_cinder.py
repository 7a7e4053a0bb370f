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

"""A stub of Cinder for benchmarks: little, and quick.

It is no Cinder, and less than :mod:`karbor.testing.fake_cinder`: it has what a protect, a restore
and a delete ask for, believes everything, and is never wrong. Each answer takes some milliseconds,
and what is made or deleted settles after a while, by the clock. It runs in a process of its own::

    python -m karbor.tests.functional.stub_cinder [--delay SECONDS] [--settle SECONDS]

In some projects it may take longer. With a capacity, answers are slower the more requests are open
beyond it, and of too many open ones some are refused.
"""

import argparse
import ast
import asyncio
import dataclasses
import datetime
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib import parse

_VERSION = b'OpenStack-API-Version: volume 3.43\r\n'
_REASONS = {200: b'OK', 202: b'Accepted', 404: b'Not Found', 429: b'Too Many Requests'}
_CHECKPOINT, _RESTORE = 'karbor_checkpoint_id', 'karbor_restore_id'


@dataclasses.dataclass(slots=True)
class Item:
    """A volume or a snapshot.

    :ivar settles_at: when it is made, or deleted, by the clock of the process.
    :ivar shown: what a list shows of it, by status.
    """

    id: str
    fields: dict[str, Any]
    settles_at: float
    is_going: bool = False
    shown: dict[str, bytes] = dataclasses.field(default_factory=dict)

    @property
    def status(self) -> str | None:
        """None of what is gone."""
        is_settled = time.monotonic() >= self.settles_at
        if self.is_going:
            return None if is_settled else 'deleting'
        return 'available' if is_settled else 'creating'

    def json(self) -> bytes:
        status = str(self.status)
        if status not in self.shown:
            self.shown[status] = json.dumps({**self.fields, 'status': status}).encode()
        return self.shown[status]


class Stub:
    """What there is, and the answers to requests.

    :param settle: how long what is made or deleted takes, in seconds.
    :param settle_of: the same of some projects, by their ids.
    """

    def __init__(self, settle: float, settle_of: Mapping[str, float]) -> None:
        self._settle = settle
        self._settle_of = settle_of
        self._items: dict[str, dict[str, Item]] = {'snapshots': {}, 'volumes': {}}
        # By a value of metadata, in the order in which they are made.
        self._marked: dict[str, dict[str, Item]] = {}

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        path, _, query = target.partition('?')
        project_id, *parts = path.strip('/').split('/')[1:] or ['']  # behind the version
        if not parts or parts[0] not in self._items:
            return 200, b'{"messages": [], "limits": {"absolute": {}, "rate": []}}'
        collection, rest = parts[0], parts[1:]
        singular = collection[:-1]
        settles_at = time.monotonic() + self._settle_of.get(project_id, self._settle)
        if method == 'POST':
            item = self._make(collection, json.loads(body)[singular], settles_at)
            return 202, b'{"%s": %s}' % (singular.encode(), item.json())
        if rest == ['detail']:
            listed = b', '.join(item.json() for item in self._listed(collection, query))
            return 200, b'{"%s": [%s]}' % (collection.encode(), listed)
        item = self._find(collection, rest[0])
        if item is None:
            return 404, b'{"itemNotFound": {"code": 404, "message": "there is none"}}'
        if method == 'DELETE':
            item.is_going, item.settles_at = True, settles_at
            return 202, b''
        return 200, b'{"%s": %s}' % (singular.encode(), item.json())

    def _make(self, collection: str, wanted: dict[str, Any], settles_at: float) -> Item:
        item_id = str(uuid.uuid4())
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        metadata = wanted.get('metadata') or {}
        fields = {
            'id': item_id,
            'created_at': now.isoformat(timespec='microseconds'),
            'name': wanted.get('name'),
            'size': wanted.get('size') or 1,
            'volume_id': wanted.get('volume_id'),
            'snapshot_id': wanted.get('snapshot_id'),
            'metadata': metadata,
        }
        item = Item(item_id, fields, settles_at)
        self._items[collection][item_id] = item
        for name in (_CHECKPOINT, _RESTORE):
            self._marked.setdefault(f'{collection} {metadata.get(name)}', {})[item_id] = item
        return item

    def _find(self, collection: str, item_id: str) -> Item | None:
        item = self._items[collection].get(item_id)
        if item is not None and item.status is not None:
            return item
        if item is None and collection == 'volumes':  # of what is protected
            return Item(item_id, {'id': item_id, 'name': 'v', 'size': 1, 'metadata': {}}, 0)
        return None

    def _listed(self, collection: str, query: str) -> Iterator[Item]:
        values = dict(parse.parse_qsl(query))
        metadata = ast.literal_eval(values.get('metadata', '{}'))
        marked = metadata.get(_RESTORE) or metadata.get(_CHECKPOINT)
        items = list(self._marked.get(f'{collection} {marked}', {}).values())
        if values.get('sort', '').endswith('desc'):
            items.reverse()
        if 'marker' in values:
            ids = [item.id for item in items]
            items = items[ids.index(values['marker']) + 1 :]
        left = int(values.get('limit', 1000))
        for item in items:
            if not left:
                return
            if item.status is not None:
                left -= 1
                yield item


class Load:
    """How many requests are open, and what that makes of the next one.

    :param delay: what an answer takes, in seconds.
    :param capacity: how many may be open without others being slower; None is any number.
    :param most: more than so many are refused.
    """

    def __init__(self, delay: float, capacity: int | None = None, most: int = 1_000_000) -> None:
        self._delay = delay
        self._capacity = capacity
        self._most = most
        self.open = 0

    @property
    def is_too_much(self) -> bool:
        return self.open > self._most

    @property
    def delay(self) -> float:
        return self._delay * max(self.open / (self._capacity or self.open), 1)


class Connection(asyncio.Protocol):
    """A connection of a client, which sends one request after the other.

    :param stub: what answers.
    :param load: what an answer takes.
    """

    transport: asyncio.Transport

    def __init__(self, stub: Stub, load: Load) -> None:
        self._stub = stub
        self._load = load
        self._received = b''

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b'\r\n\r\n')
        if not separator:
            return
        line, *headers = head.split(b'\r\n')
        length = next(
            (int(each[15:]) for each in headers if each.lower().startswith(b'content-length:')), 0
        )
        if len(rest) < length:
            return
        self._received = rest[length:]
        method, target, _ = line.decode().split(' ')
        self._load.open += 1
        if self._load.is_too_much:
            status, body = 429, b'{"overLimit": {"code": 429, "message": "too many requests"}}'
        else:
            status, body = self._stub.answer(method, target, rest[:length])
        answer = (
            b'HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n'
            % (status, _REASONS[status], _VERSION, len(body))
        )
        asyncio.get_running_loop().call_later(self._load.delay, self._write, answer + body)

    def _write(self, answer: bytes) -> None:
        self._load.open -= 1
        self.transport.write(answer)


async def serve(load: Load, stub: Stub) -> None:
    """Serve on a free port, and print it."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(stub, load), '127.0.0.1', 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--delay', type=float, default=0.02, metavar='SECONDS')
    parser.add_argument('--settle', type=float, default=0.5, metavar='SECONDS')
    parser.add_argument(
        '--settle-of', nargs=2, action='append', default=[], metavar=('PROJECT', 'SECONDS')
    )
    parser.add_argument('--capacity', type=int, metavar='REQUESTS')
    parser.add_argument('--most', type=int, default=1_000_000, metavar='REQUESTS')
    arguments = parser.parse_args()
    load = Load(arguments.delay, arguments.capacity, arguments.most)
    settle_of = {project_id: float(seconds) for project_id, seconds in arguments.settle_of}
    asyncio.run(serve(load, Stub(arguments.settle, settle_of)))


if __name__ == '__main__':
    main()
