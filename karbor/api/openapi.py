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

"""The OpenAPI document, made of what the operations say of themselves."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import falcon

from karbor import policies
from karbor.api import paths, schema
from karbor.api.media import Object
from karbor.api.operation import Operation
from karbor.api.services import Handler

_WITHOUT_TAG = ('instances', 'action', 'detail', 'defaults', 'preview')

METHODS = ('get', 'post', 'put', 'delete')

_FAULT = schema.shown(
    'Fault',
    {'code': schema.INTEGER, 'message': schema.TEXT, 'retryAfter': schema.TEXT},
    ['retryAfter'],
)
_ERRORS: Object = {
    'type': 'object',
    'minProperties': 1,
    'maxProperties': 1,
    'additionalProperties': _FAULT,
}
_REQUEST_ID = {
    'x-openstack-request-id': {
        'description': 'Under which the logs have the request.',
        'schema': schema.TEXT,
    }
}


class Document:
    """``/v1/openapi.json``, for anybody.

    :param document: the document.
    """

    def __init__(self, document: Object) -> None:
        self._document = document

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = self._document


def operations(handlers: Mapping[str, type[Handler]]) -> Iterator[tuple[str, str, Operation]]:
    """Path, method and description of every operation.

    :param handlers: what answers, by path.
    """
    for path, handler in handlers.items():
        for method in METHODS:
            responder = getattr(handler, f'on_{method}', None)
            if responder is not None:
                yield path, method, responder.operation


def document(handlers: Mapping[str, type[Handler]]) -> Object:
    """The document.

    :param handlers: what answers, by path.
    """
    components: Object = {}
    described: Object = {}
    summaries = {rule.name: str(rule.description) for rule in policies.list_rules()}
    for path, method, operation in operations(handlers):
        described.setdefault(path, {'parameters': _path_parameters(path)})[method] = _operation(
            path, method, operation, summaries[operation.rule]
        )
    described.update(_public())
    shown = _published({'paths': described, 'errors': _ERRORS}, components)
    return {
        'openapi': '3.1.0',
        'info': {
            'title': 'Karbor',
            'version': 'v1.0',
            'summary': 'Data protection for OpenStack',
            'license': {'name': 'Apache-2.0', 'identifier': 'Apache-2.0'},
        },
        'servers': [{'url': '/'}],
        'security': [{'token': []}],
        'paths': shown['paths'],
        'components': {
            'schemas': {**components, 'Error': shown['errors']},
            'securitySchemes': {
                'token': {'type': 'apiKey', 'in': 'header', 'name': 'X-Auth-Token'}
            },
        },
    }


def _public() -> Object:
    """What anybody may ask for, without a token."""
    return {
        path: {
            'get': {
                'operationId': operation_id,
                'tags': [tag],
                'summary': summary,
                'security': [],
                'responses': {str(status): _answer('Done.', schema.OBJECT) for status in statuses},
            }
        }
        for path, operation_id, tag, summary, statuses in (
            ('/', 'list_versions', 'versions', 'List the versions of the API', (300,)),
            ('/v1', 'show_version', 'versions', 'Show version 1', (200,)),
            ('/v1/openapi.json', 'show_openapi', 'versions', 'Show this document', (200,)),
            ('/healthcheck', 'show_liveness', 'health', 'Say that the process lives', (200,)),
            (
                '/healthcheck/ready',
                'show_readiness',
                'health',
                'Say whether the database, the job board and the banks work',
                (200, 503),
            ),
        )
    }


def _path_parameters(path: str) -> list[Object]:
    return [
        {'name': name, 'in': 'path', 'required': True, 'schema': paths.PARAMETERS[name]}
        for name in re.findall('{([a-z_]+)}', path)
    ]


def _operation(path: str, method: str, operation: Operation, summary: str) -> Object:
    described: Object = {
        'operationId': _operation_id(path, method),
        'tags': [_tag(path)],
        'summary': summary.rstrip('.'),
        'description': f'Policy: ``{operation.rule}``',
        'responses': {
            '200': _answer('Done.', operation.answers),
            '4XX': _answer(
                'The request is not as it must be; nothing is changed.',
                {'$ref': '#/components/schemas/Error'},
            ),
            '503': _answer(
                'A service that Karbor needs does not answer.',
                {'$ref': '#/components/schemas/Error'},
            ),
        },
    }
    if operation.is_unwell is not None:
        described['responses']['503'] = _answer('All is not well.', operation.answers)
    parameters = [
        *(operation.listing.parameters() if operation.listing else ()),
        *((parameter.name, parameter.schema) for parameter in operation.parameters),
    ]
    if parameters:
        described['parameters'] = [
            {'name': name, 'in': 'query', 'schema': value} for name, value in parameters
        ]
    if operation.body is not None:
        described['requestBody'] = {'required': True, 'content': _json(operation.body)}
    return described


def _tag(path: str) -> str:
    """The resource that a path is about: the innermost collection of its own."""
    return [part for part in path.split('/')[3:] if part[0] != '{' and part not in _WITHOUT_TAG][-1]


def _operation_id(path: str, method: str) -> str:
    """As ``get_plans`` and ``get_plans_plan_id``."""
    parts = [part.strip('{}').replace('-', '_') for part in path.split('/')[3:]]
    return '_'.join([method, *parts])


def _answer(description: str, content: Object | None) -> Object:
    answer: Object = {'description': description, 'headers': _REQUEST_ID}
    return answer if content is None else {**answer, 'content': _json(content)}


def _json(content: Object) -> Object:
    return {falcon.MEDIA_JSON: {'schema': content}}


def _published(value: Any, components: Object) -> Any:
    r"""A schema for others: what has a title is put under its name, and ``\Z`` of Python's
    patterns, which ECMA's do not have, is their ``$``.
    """
    if isinstance(value, list):
        return [_published(item, components) for item in value]
    if not isinstance(value, Mapping):
        return value
    shown = {
        _pattern(key): _pattern(item)
        if key == 'pattern' and isinstance(item, str)
        else _published(item, components)
        for key, item in value.items()
    }
    title = shown.get('title')
    if not isinstance(title, str) or 'properties' not in shown:
        return shown
    components[title] = shown
    return {'$ref': f'#/components/schemas/{title}'}


def _pattern(text: str) -> str:
    return text.replace(r'\Z', '$')
