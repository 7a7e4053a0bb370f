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

"""A fake of Glance, with as much of it as restores in place need: images without bytes.

It answers as Glance 33 does: images are listed, filtered by their fields and properties, made,
given their bytes, which are thrown away, and deleted. The fake of Cinder looks them up in it::

    glance = FakeGlance()
    cinder.glance = glance
    with glance.serve() as url: ...
"""

import collections
import contextlib
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib import parse

from karbor.testing.fake_cinder import answers, transport
from karbor.testing.fake_cinder.answers import Answer, Refused
from karbor.testing.fake_cinder.faults import Fault

_PAGE = 25  # Glance's own default of limit_param_default


class FakeGlance:
    """Glance's API, as one user sees it; used by many threads at once.

    :ivar images: by their ids, as the API shows them.
    :ivar faults: what goes wrong; the first that matches a request and is not used up.
    :ivar requests: how many requests arrived, by method and path with ``{id}`` in it.
    :ivar made: how many images were made.
    """

    def __init__(self) -> None:
        self.url = 'http://glance.fake'
        self.images: dict[str, dict[str, Any]] = {}
        self.faults: list[Fault] = []
        self.requests: collections.Counter[tuple[str, str]] = collections.Counter()
        self.made = 0
        self.lock = threading.RLock()

    def shown(self, image_id: str) -> dict[str, Any] | None:
        """An image, as Cinder gets it."""
        with self.lock:
            return self.images.get(image_id)

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Serve over HTTP on a port of 127.0.0.1; gives the URL."""
        with transport.Server(self).serving() as url:
            before, self.url = self.url, url
            try:
                yield url
            finally:
                self.url = before

    def handle(self, method: str, path_and_query: str, body: bytes | None) -> Answer:
        """Answer one request.

        :raises ConnectionResetError: a fault wants the connection reset.
        """
        path, _, query = path_and_query.partition('?')
        fault = self._count(method, path)
        return fault.answer(lambda: self._answer(method, path, dict(parse.parse_qsl(query)), body))

    def _count(self, method: str, path: str) -> Fault:
        template = ['{id}' if len(part) == 36 else part for part in path.split('/')]
        with self.lock:
            self.requests[method, '/'.join(template)] += 1
            for fault in self.faults:
                if fault.matches(method, path):
                    fault.applied += 1
                    return fault
        return Fault()

    def _answer(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None
    ) -> Answer:
        parts = path.strip('/').split('/')[1:]  # behind the version
        try:
            with self.lock:
                match method, parts:
                    case 'GET', ['images']:
                        return answers.content(200, self._list(query))
                    case 'POST', ['images']:
                        return answers.content(201, self._create(answers.decoded(body)))
                    case 'PUT', ['images', image_id, 'file']:
                        self._upload(image_id, body or b'')
                    case 'DELETE', ['images', image_id]:
                        del self.images[self._find(image_id)['id']]
                    case _:
                        raise Refused(404, 'The resource could not be found.')  # noqa: TRY301
                return answers.content(204, None)
        except Refused as exc:
            return exc.answer()

    def _list(self, query: Mapping[str, str]) -> dict[str, Any]:
        found = [
            image
            for image in self.images.values()
            if query.get('name', image['name']) == image['name']
            and ('tag' not in query or query['tag'] in image['tags'])
        ]
        if 'marker' in query:
            ids = [image['id'] for image in found]
            found = found[ids.index(query['marker']) + 1 :]
        limit = int(query.get('limit', _PAGE))
        following = {'next': '/v2/images?...'} if len(found) > limit else {}
        return {'images': found[:limit], 'first': '/v2/images', **following}

    def _create(self, fields: dict[str, Any]) -> dict[str, Any]:
        texts = (value for name, value in fields.items() if name != 'tags')
        if not all(isinstance(value, str) for value in texts):
            raise Refused(400, 'Provided object does not match schema: not of type string')
        image_id = str(uuid.uuid4())
        self.made += 1
        self.images[image_id] = {
            'tags': [],
            **fields,
            'id': image_id,
            'status': 'queued',
            'size': None,
        }
        return self.images[image_id]

    def _find(self, image_id: str) -> dict[str, Any]:
        if image_id not in self.images:
            raise Refused(404, f'Failed to find image {image_id}')
        return self.images[image_id]

    def _upload(self, image_id: str, data: bytes) -> None:
        image = self._find(image_id)
        if image['status'] == 'active':
            raise Refused(409, 'Image status transition from active to saving is not allowed')
        image.update(status='active', size=len(data))
