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

"""Directives that show the API as its OpenAPI document says it is.

``api-operation`` makes a section of one operation, with what it demands and answers; its content
says what the document cannot. ``api-example`` shows a request and its answer, and holds both
against the document. ``api-rules`` shows the rules of the policy. An operation that no page
shows is a warning. The document itself is put beside the pages, as ``openapi.json``.
"""

import functools
import hashlib
import json
import pathlib
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jsonschema
import schema_fields
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from karbor import policies
from karbor.api import app as karbor_app
from karbor.api import media, openapi

LOG = logging.getLogger(__name__)

_PREFIX = '/v1/{project_id}'


class Api:
    """What the code says of the API."""

    def __init__(self) -> None:
        self.document = openapi.document(karbor_app.ROUTES)
        self.rules = {
            f'{method.upper()} {path.removeprefix(_PREFIX)}': operation.rule
            for path, method, operation in openapi.operations(karbor_app.ROUTES)
        }
        self.defaults = {rule.name: rule for rule in policies.list_rules()}
        self.reader = schema_fields.Reader(self.document['components']['schemas'])

    def operation(self, name: str) -> dict[str, Any]:
        """An operation, as ``GET /plans``, with the parameters of its path.

        :raises KeyError: there is none.
        """
        method, _, path = name.partition(' ')
        found = self.document['paths'][_PREFIX + path]
        return {
            **found[method.lower()],
            'parameters': [*found['parameters'], *found[method.lower()].get('parameters', ())],
        }

    def name_of(self, request: str) -> str | None:
        """The operation of a request, as ``GET /plans?limit=1``; None when there is none."""
        plain = request.partition('?')[0]
        fits = [
            name
            for name in self.rules
            if re.fullmatch(re.sub(r'\\{\w+\\}', '[^/]+', re.escape(name)), plain)
        ]
        return min(fits, key=lambda name: name.count('{'), default=None)

    def misfit(self, schema: dict[str, Any] | None, value: Any) -> str | None:
        """What is wrong with a body of a request or an answer."""
        if schema is None:
            return None
        error = jsonschema.exceptions.best_match(
            jsonschema.Draft202012Validator(
                {**schema, 'components': self.document['components']}, format_checker=media.FORMATS
            ).iter_errors(value)
        )
        return None if error is None else f'{error.json_path}: {error.message}'


@functools.cache
def api() -> Api:
    return Api()


def _body(described: dict[str, Any]) -> dict[str, Any] | None:
    return described.get('content', {}).get('application/json', {}).get('schema')


def _table(columns: Sequence[str], widths: str, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from ('', '.. list-table::', f'   :widths: {widths}', '   :header-rows: 1', '')
    for first, *others in (columns, *rows):
        yield f'   * - {first}'
        yield from (f'     - {text}' for text in others)
    yield ''


def _fields(whose: str, certain: str, described: dict[str, Any]) -> Iterator[str]:
    fields = [
        (f'``{field.place}``', *field[1:]) for field in api().reader.fields(_body(described) or {})
    ]
    if fields:
        yield from _table(
            (f'Field of the {whose}', 'Type', certain, 'Limits'), '30 15 10 45', fields
        )
    elif whose == 'answer':
        yield 'The answer has no fields.'


class Operation(SphinxDirective):
    """``api-operation:: GET /plans``"""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        try:
            operation = api().operation(name)
        except KeyError:
            raise self.error(f'there is no operation {name}') from None
        _shown(self.env).setdefault(self.env.docname, []).append(name)
        section = nodes.section(
            '',
            nodes.title('', operation['summary']),
            ids=[operation['operationId'].replace('_', '-')],
        )
        self.state.document.note_explicit_target(section)
        section += self._parsed(self._head(name))
        section += self.parse_content_to_nodes()
        section += self._parsed(self._tables(operation))
        return [section]

    def _parsed(self, lines: Iterable[str]) -> list[nodes.Node]:
        return self.parse_text_to_nodes('\n'.join(lines))

    def _head(self, name: str) -> Iterator[str]:
        method, _, path = name.partition(' ')
        rule = api().rules[name]
        yield from (f'``{method} {_PREFIX}{path}``', '')
        yield f'Policy: ``{rule}``, by default ``{api().defaults[rule].check_str}``.'

    def _tables(self, operation: dict[str, Any]) -> Iterator[str]:
        parameters = [
            (f'``{found["name"]}``', found['in'], *api().reader.type_and_limits(found['schema']))
            for found in operation['parameters']
            if found['name'] != 'project_id' or found['in'] == 'query'
        ]
        if parameters:
            yield from _table(('Parameter', 'In', 'Type', 'Limits'), '25 10 20 45', parameters)
        yield from _fields('request', 'Required', operation.get('requestBody', {}))
        yield from _fields('answer', 'Always there', operation['responses']['200'])


class Example(SphinxDirective):
    """``api-example:: GET /plans?limit=1``; the content is the bodies, one after the other."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        request = self.arguments[0]
        name = api().name_of(request)
        if name is None:
            raise self.error(f'no operation takes {request}')
        operation = api().operation(name)
        schemas = [_body(operation['responses']['200'])]
        if 'requestBody' in operation:
            schemas.insert(0, _body(operation['requestBody']))
        texts = re.split(r'(?<=\n\})\n+(?=\{)', '\n'.join(self.content).strip())
        if len(texts) != len(schemas):
            raise self.error(f'{name} has {len(schemas)} bodies, not {len(texts)}')
        for text, schema in zip(texts, schemas, strict=True):
            fault = api().misfit(schema, json.loads(text))
            if fault is not None:
                raise self.error(f'the example does not fit {name}: {fault}')
        method, _, path = request.partition(' ')
        shown = [f'{method} /v1/{{project_id}}{path}', *texts[:-1]]
        return self.parse_text_to_nodes(
            '\n'.join(
                (
                    '.. code-block:: text',
                    '',
                    textwrap.indent('\n\n'.join(shown), '   '),
                    '',
                    'Answer:',
                    '',
                    '.. code-block:: json',
                    '',
                    textwrap.indent(texts[-1], '   '),
                )
            )
        )


class Rules(SphinxDirective):
    """``api-rules::``, a table of who may do what by default."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(
            '\n'.join(
                _table(
                    ('Rule', 'By default', 'What for'),
                    '30 25 45',
                    (
                        (f'``{name}``', f'``{rule.check_str}``', str(rule.description))
                        for name, rule in api().defaults.items()
                    ),
                )
            )
        )


def _shown(env: BuildEnvironment) -> dict[str, list[str]]:
    """The operations that pages show, by page."""
    if not hasattr(env, 'karbor_operations'):
        env.karbor_operations = {}  # type: ignore[attr-defined]
    return env.karbor_operations  # type: ignore[attr-defined]


def _forget(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _shown(env).pop(docname, None)


def _check_all_shown(_app: Sphinx, env: BuildEnvironment) -> None:
    shown = [name for names in _shown(env).values() for name in names]
    for name in api().rules:
        if shown.count(name) != 1:
            LOG.warning('%s is shown %d times in the API reference', name, shown.count(name))


def _write_document(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == 'html':
        pathlib.Path(app.outdir, 'openapi.json').write_text(
            json.dumps(api().document, indent=2) + '\n'
        )


def setup(app: Sphinx) -> dict[str, Any]:
    # Without it, pages would stay as they are when only the code has changed.
    app.add_config_value(
        'api_digest',
        hashlib.sha256(
            repr(
                (api().document, api().rules, [str(rule) for rule in policies.list_rules()])
            ).encode()
        ).hexdigest(),
        'env',
    )
    app.add_directive('api-operation', Operation)
    app.add_directive('api-example', Example)
    app.add_directive('api-rules', Rules)
    app.connect('env-purge-doc', _forget)
    app.connect('env-check-consistency', _check_all_shown)
    app.connect('build-finished', _write_document)
    return {'version': '1'}
