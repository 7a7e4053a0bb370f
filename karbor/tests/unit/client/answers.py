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

"""Answers of the API, made of what its OpenAPI document says; nobody has to be asked."""

import json
from typing import Any

import requests
from requests import adapters

from karbor.api import app, openapi
from karbor.tests.base import new_id

Schema = dict[str, Any]

DOCUMENT = openapi.document(app.ROUTES)
SCHEMAS: dict[str, Schema] = DOCUMENT['components']['schemas']

_PLAIN: dict[str, Any] = {
    'integer': 7,
    'number': 0.5,
    'boolean': True,
    'object': {'a': 'b'},
    'array': [],
}


def example(schema: Any) -> Any:
    """Something that fits a schema, with all properties there can be."""
    if '$ref' in schema:
        return example(SCHEMAS[schema['$ref'].rpartition('/')[2]])
    if 'enum' in schema:
        return schema['enum'][0]
    kind = schema['type'][0] if isinstance(schema['type'], list) else schema['type']
    if 'properties' in schema:
        shown = {name: _property(value) for name, value in schema['properties'].items()}
        return {name: value for name, value in shown.items() if not name.endswith('_links')}
    if kind == 'array':
        return [example(schema['items'])]
    if kind == 'string':
        return _text(schema.get('format'))
    return _PLAIN[kind]


def _property(schema: Any) -> Any:
    return {'any': 'thing'} if schema is True else example(schema)


def _text(form: str | None) -> str:
    return '2026-11-27T02:00:00+00:00' if form == 'date-time' else new_id()


class Transport(adapters.BaseAdapter):
    """Keeps the requests and answers each with what is told.

    :ivar requests: those that were sent.
    :ivar status: of all answers.
    :ivar away: statuses that some requests are answered with instead, by their numbers; one can be
        'no connection'.
    :ivar answers: bodies to answer with, in turn; the last one again and again.
    """

    def __init__(self, *answers: Any, status: int = 200) -> None:
        super().__init__()
        self.requests: list[requests.PreparedRequest] = []
        self.answers = list(answers)
        self.status = status
        self.away: dict[int, Any] = {}

    def send(self, request: requests.PreparedRequest, *_args: Any, **_kwargs: Any) -> Any:
        away = self.away.get(len(self.requests))
        self.requests.append(request)
        if away == 'no connection':
            raise requests.ConnectionError('No connection.')
        if away is not None:
            return self._response(request, away, {'fault': {'message': 'It is away.'}})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return self._response(request, self.status, answer)

    @staticmethod
    def _response(request: requests.PreparedRequest, status: int, answer: Any) -> Any:
        response = requests.Response()
        response.status_code = status
        response.request = request
        response.url = str(request.url)
        response.headers['Content-Type'] = 'application/json'
        response._content = b'' if answer is None else json.dumps(answer).encode()
        return response

    def close(self) -> None:
        pass
