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

"""What the fake answers: JSON as Cinder writes it, and refusals in Cinder's words."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

_ERROR_NAMES = {
    400: 'badRequest',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    406: 'computeFault',
    409: 'conflictingRequest',
    413: 'overLimit',
    429: 'overLimit',
    500: 'computeFault',
    503: 'serviceUnavailable',
}

#: A volume, a snapshot or a message, as the API shows it.
Item = dict[str, Any]
#: Status, headers and body.
Answer = tuple[int, dict[str, str], bytes]


class Refused(Exception):
    """An answer of Cinder's that is an error."""

    def __init__(self, status: int, message: str, **details: str) -> None:
        super().__init__(message)
        self._status = status
        self._body = {'code': status, 'message': message, **details}

    def answer(self) -> Answer:
        headers = {'Retry-After': '0'} if self._status == 413 else {}
        return self._status, _headers(headers), _encoded({_ERROR_NAMES[self._status]: self._body})


def missing(collection: str, item_id: str | None) -> Refused:
    """There is no such item, or it is not the user's."""
    return Refused(404, f'{collection[:-1].capitalize()} {item_id} could not be found.')


def missing_type(name: str) -> Refused:
    """There is no such volume type."""
    return Refused(404, f'Volume type with name {name} could not be found.')


def content(status: int, body: Any) -> Answer:
    """An answer with a body; None is an empty one."""
    return status, _headers({}), b'' if body is None else _encoded(body)


def error(status: int, headers: Mapping[str, str]) -> Answer:
    """The answer that a fault makes up."""
    name = _ERROR_NAMES.get(status, 'error')
    body = {'code': status, 'message': 'made up by a fault'}
    return status, _headers(headers), _encoded({name: body})


def web_page() -> Answer:
    """What a proxy that is no Cinder answers."""
    return 200, {'Content-Type': 'text/html'}, b'<html>of a proxy</html>'


def decoded(body: bytes | None) -> Any:
    """The JSON of a request.

    :raises Refused: it is none.
    """
    try:
        return json.loads(body or b'')
    except ValueError:
        raise Refused(400, 'cannot understand JSON') from None


def _encoded(content: Any) -> bytes:
    return json.dumps(content).encode()


def _headers(more: Mapping[str, str]) -> dict[str, str]:
    return {
        'Content-Type': 'application/json',
        'OpenStack-API-Version': 'volume 3.43',
        'x-openstack-request-id': f'req-{uuid.uuid4()}',
        **more,
    }
