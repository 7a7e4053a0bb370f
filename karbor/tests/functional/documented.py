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

"""Holds requests and their answers against the OpenAPI document."""

import copy
import functools
import json
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

import jsonschema
from falcon import testing

from karbor.api import app, media, openapi

Schema = dict[str, Any]

_FORMATS = jsonschema.FormatChecker(('uuid', 'date'))
_FORMATS_OF_REQUESTS = media.FORMATS  # Karbor takes more for a UUID than it gives


class Misfit(AssertionError):
    """A request or an answer is not as the document says."""


@functools.cache
def document() -> Schema:
    """The document, which does not depend on what stands behind the API."""
    return openapi.document(app.ROUTES)


def check(method: str, path: str, body: bytes | None, result: testing.Result) -> None:
    """Look whether a request and its answer are as the document says.

    What is sent must fit the schema of the body, or else be refused. What is answered must
    be declared, fit its schema, and have no property that the schema does not name.

    :param path: from the root, as it was asked for.
    :raises Misfit:
    """
    template = template_of(path)
    operation = document()['paths'].get(template, {}).get(method.lower())
    if operation is None:  # 404 and 405 of what there is not
        return
    code = result.status_code
    about = f'{method} {path} -> {code}'
    if code < 400 and not _takes(method, template, body):
        raise Misfit(f'{about}: the body does not fit the document: {body!r:.2000}')
    key = next(
        (key for key in (str(code), f'{code // 100}XX') if key in operation['responses']), None
    )
    if key is None:
        raise Misfit(f'{about}: there is no such answer in the document')
    answer = operation['responses'][key]
    for name in answer.get('headers', ()):
        if name not in result.headers:
            raise Misfit(f'{about}: the header {name} is missing')
    _check_content(about, method, template, key, result)


def _check_content(
    about: str, method: str, template: str, key: str, result: testing.Result
) -> None:
    validator = _answer_validator(method, template, key)
    if validator is None:
        if result.content:
            raise Misfit(f'{about}: {result.text:.2000} where there should be nothing')
        return
    if result.headers.get('content-type') != 'application/json':
        raise Misfit(f'{about}: content of type {result.headers.get("content-type")}')
    for error in validator.iter_errors(result.json):
        place = '.'.join(str(part) for part in error.absolute_path)
        raise Misfit(f'{about}: {place}: {error.message:.2000}')


def _takes(method: str, template: str, body: bytes | None) -> bool:
    validator = _request_validator(method, template)
    return validator is None or (body is not None and validator.is_valid(json.loads(body)))


@functools.cache
def _templates() -> Mapping[str, re.Pattern[str]]:
    """Patterns of all paths, those with fewer fields first."""
    return {
        template: re.compile(re.sub(r'\\{\w+\\}', '[^/]+', re.escape(template)))
        for template in sorted(document()['paths'], key=lambda path: path.count('{'))
    }


def template_of(path: str) -> str | None:
    """The path in the document that a path is an example of; None when there is none."""
    plain = urllib.parse.unquote(path.partition('?')[0])
    shorter = plain.removesuffix('/').removesuffix('.json')
    return next(
        (
            template
            for form in (plain, shorter)
            for template, pattern in _templates().items()
            if pattern.fullmatch(form)
        ),
        None,
    )


@functools.cache
def _answer_validator(
    method: str, template: str, key: str
) -> jsonschema.Draft202012Validator | None:
    answer = document()['paths'][template][method.lower()]['responses'][key]
    if 'content' not in answer:
        return None
    return _validator(
        answer['content']['application/json']['schema'], _strict_components(), _FORMATS
    )


@functools.cache
def _request_validator(method: str, template: str) -> jsonschema.Draft202012Validator | None:
    body = document()['paths'][template][method.lower()].get('requestBody')
    if body is None:
        return None
    return _validator(
        body['content']['application/json']['schema'],
        document()['components'],
        _FORMATS_OF_REQUESTS,
    )


def _validator(
    schema: Schema, components: Schema, formats: jsonschema.FormatChecker
) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        {**schema, 'components': components}, format_checker=formats
    )


@functools.cache
def _strict_components() -> Schema:
    """What is answered, without any property that is not named."""
    components = copy.deepcopy(document()['components'])
    for schema in components['schemas'].values():
        if 'properties' in schema:
            schema.setdefault('additionalProperties', False)
    return components
