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

import copy
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import openapi_spec_validator
from falcon import inspect, testing

from karbor.api import app, media, openapi
from karbor.testing import fake_cinder
from karbor.tests.base import PROJECT_ID, new_id
from karbor.tests.functional import base, documented, test_policy
from karbor.tests.functional.base import VOLUME

_FIRST = '/v1/{project_id}'
#: what can be in the place of any value of a body
_WRONG = (
    None,
    True,
    -1,
    1.5,
    10**20,
    '',
    ' ',
    'x',
    'x' * 300,
    'a\x00',
    '\ud800',
    [],
    [None],
    ['x'],
    {},
    {'x': 'y'},
    {'a/b': 1},
    {'x': {'y': 'z'}},
    {'x': None},
)


class DocumentTest(base.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.document = self.client.simulate_get('/v1/openapi.json').json

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, item in self.document['paths'].items():
            for method, operation in item.items():
                if method != 'parameters':
                    yield path, method, operation

    def test_it_is_valid(self):
        self.assertEqual('3.1.0', self.document['openapi'])
        self.assertEqual(
            [],
            [
                error.message
                for error in openapi_spec_validator.OpenAPIV31SpecValidator(
                    self.document
                ).iter_errors()
            ],
        )

    def test_it_is_for_anybody_and_the_same_for_all(self):
        for headers in ({}, {'X-Auth-Token': 'wrong'}, {'X-Auth-Token': base.TOKEN}):
            result = self.client.simulate_get('/v1/openapi.json', headers=headers)
            self.assertEqual(
                (200, 'application/json'), (result.status_code, result.headers['content-type'])
            )
            self.assertEqual(documented.document(), result.json)
        for path in ('/v1/openapi', '/openapi.json'):
            self.assertIn(self.client.simulate_get(path).status_code, (401, 404), path)

    def test_every_route_is_in_it(self):
        routes = {
            (route.path, method.method.lower())
            for route in inspect.inspect_app(self.client.app).routes
            for method in route.methods
            if not method.internal and method.method != 'HEAD'
        }
        self.assertEqual(routes, {(path, method) for path, method, _ in self.operations()})

    def test_names(self):
        ids = [operation['operationId'] for _, _, operation in self.operations()]
        self.assertEqual(len(ids), len(set(ids)))
        for path, method, operation in self.operations():
            self.assertTrue(operation['summary'] and operation['tags'], f'{method} {path}')

    def test_what_an_operation_needs_is_said(self):
        rules = test_policy.operations()
        for path, method, operation in self.operations():
            asked = f'{method.upper()} {path.removeprefix(_FIRST)}'
            if asked in rules:
                self.assertIn(f'``{rules[asked]}``', operation['description'])
                self.assertLessEqual({'200', '4XX'}, set(operation['responses']), asked)

    def test_parameters(self):
        for path, item in self.document['paths'].items():
            names = [parameter['name'] for parameter in item.get('parameters', ())]
            self.assertEqual(re.findall(r'\{(\w+)\}', path), names)
        for path, method, operation in self.operations():
            names = [parameter['name'] for parameter in operation.get('parameters', ())]
            self.assertEqual(len(names), len(set(names)), f'{method} {path}')

    def test_patterns_are_such_as_everybody_reads(self):
        r"""ECMA's regular expressions have neither \A nor \Z nor Python's (?...)."""
        text = json.dumps(self.document)
        for part in ('\\\\Z', '\\\\A', '(?'):
            self.assertNotIn(part, text)

    def test_a_name_is_that_of_one_schema(self):
        found: dict[str, Any] = {}
        for _, _, operation in openapi.operations(app.ROUTES):
            for schema in self._titled([operation.answers, operation.body]):
                self.assertEqual(found.setdefault(schema['title'], schema), schema)
        self.assertEqual({*found, 'Error', 'Fault'}, set(self.document['components']['schemas']))

    def _titled(self, value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, list):
            yield from itertools.chain.from_iterable(map(self._titled, value))
        elif isinstance(value, dict):
            if isinstance(value.get('title'), str) and 'properties' in value:
                yield value
            yield from self._titled(list(value.values()))


# Lists and what python-karborclient may send with them, which nobody looks at.
_IGNORED = {
    ('providers', 'sort'),
    ('instances', 'sort'),
}


class QueryParametersTest(test_policy.ObjectsTestCase):
    """Each parameter that the document names is taken as the document says."""

    def values(self, parameter: dict[str, Any]) -> list[Any]:
        schema = parameter['schema']
        if 'enum' in schema:
            return schema['enum']
        return {
            'limit': [1, 1000],
            'offset': [0, 2**31 - 1],
            'marker': [],
            'sort': ['created_at', 'id:asc'],
            'all_tenants': ['true', 'false'],
            'enabled': ['true', 'false'],
            'project_id': [PROJECT_ID],
            'start_date': ['2020-11-05'],
            'end_date': ['9999-12-31'],
            'since': ['2020-11-05', '2020-11-05T10:00:00+01:00'],
            'until': ['9999-12-31', '2020-11-05T10:00:00Z'],
            'parameters': ['{}', "{'a': 'b'}"],
        }.get(parameter['name'], ['x', 'ü %'])

    def test_each(self):
        fields = self.fields()
        for path, item in documented.document()['paths'].items():
            for parameter in item.get('get', {}).get('parameters', ()):
                for value in self.values(parameter):
                    if path.startswith(_FIRST):
                        self.get(
                            path.removeprefix(_FIRST).format(**fields),
                            persona='admin',
                            params={parameter['name']: value},
                        )

    def test_there_is_no_other(self):
        """What is filtered by, or checked, is in the document."""
        fields = self.fields()
        for path, item in documented.document()['paths'].items():
            known = {parameter['name'] for parameter in item.get('get', {}).get('parameters', ())}
            if not path.startswith(_FIRST) or 'get' not in item:
                continue
            asked = path.removeprefix(_FIRST).format(**fields)
            self.get(asked, persona='admin')
            for name in {
                'limit',
                'sort',
                'sort_key',
                'sort_dir',
                'name',
                'status',
                'all_tenants',
                'host',
                'start_date',
                'parameters',
            } - known:
                if (path.rpartition('/')[2], name) in _IGNORED:
                    self.get(asked, persona='admin', params={name: '\x00'})
                else:
                    self.assertIn(
                        f"'{name}' is no parameter",
                        self.get(asked, 400, persona='admin', params={name: '\x00'}),
                    )


class BodiesTest(test_policy.ObjectsTestCase):
    """A body is taken if, and only if, it is one that the document describes.

    Every request looks for one half: what is taken fits. This is the other: what does not fit
    is refused with 400, and changes nothing.
    """

    def mutations(self, body: Any) -> Iterator[Any]:
        """Bodies like a good one in all but one place."""
        yield from (
            [],
            {},
            None,
            'x',
            5,
            [body],
            {'x': body},
            {**body, 'x': 1},
            {**body, 'type': 'x'},
        )
        for path in self._places(body):
            for wrong in _WRONG:
                yield self._changed(body, path, wrong)
            yield self._changed(body, path, missing=True)
            yield self._changed(body, (*path[:-1], 'colour'), 'red')

    def _places(self, value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if path:
            yield path
        pairs = (
            value.items()
            if isinstance(value, dict)
            else enumerate(value)
            if isinstance(value, list)
            else ()
        )
        for key, item in pairs:
            yield from self._places(item, (*path, key))

    @staticmethod
    def _changed(
        body: Any, path: tuple[Any, ...], value: Any = None, *, missing: bool = False
    ) -> Any:
        changed = copy.deepcopy(body)
        place = changed
        for key in path[:-1]:
            place = place[key]
        if not isinstance(place, dict) and not isinstance(path[-1], int):
            return changed
        if missing:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        return changed

    def test_bodies_that_do_not_fit(self):
        self.config.config(quota_plans=-1, quota_schedules=-1)
        for path, item in documented.document()['paths'].items():
            for method, operation in item.items():
                if method == 'parameters' or 'requestBody' not in operation:
                    continue
                asked = f'{method.upper()} {path.removeprefix(_FIRST)}'
                schema = operation['requestBody']['content']['application/json']['schema']
                validator = jsonschema.Draft202012Validator(
                    {**schema, 'components': documented.document()['components']},
                    format_checker=media.FORMATS,
                )
                fields = self.fields()
                good = self.body(asked, fields)
                self.assertTrue(validator.is_valid(good), asked)
                before = self.everything()
                for body in self.mutations(good):
                    if not validator.is_valid(body):
                        self.request(
                            method.upper(),
                            path.removeprefix(_FIRST).format(**fields),
                            400,
                            persona='admin',
                            json=body,
                        )
                self.assertEqual(before, self.everything(), asked)


class AnswersTest(base.CloudTestCase):
    """That what checks every answer of the functional tests would find a misfit."""

    def misfit(
        self,
        method: str,
        path: str,
        body: bytes | None,
        status: str,
        content: bytes,
        **headers: str,
    ) -> None:
        given = {'content-type': 'application/json', 'x-openstack-request-id': 'req-1', **headers}
        result = testing.Result([content], status, list(given.items()))
        self.assertRaises(documented.Misfit, documented.check, method, path, body, result)

    def test_a_misfit_is_found(self):
        plan = self.create_plan(self.volume())
        path = f'/v1/{PROJECT_ID}/plans/{plan["id"]}'
        for shown in (
            {**plan, 'colour': 'red'},
            {**plan, 'id': 'x'},
            {**plan, 'name': 5},
            {key: value for key, value in plan.items() if key != 'status'},
            None,
            [],
        ):
            self.misfit('GET', path, None, '200 OK', json.dumps({'plan': shown}).encode())
        good = json.dumps({'plan': plan}).encode()
        documented.check(
            'GET',
            path,
            None,
            testing.Result(
                [good],
                '200 OK',
                [('content-type', 'application/json'), ('x-openstack-request-id', 'req-1')],
            ),
        )
        self.misfit('GET', path, None, '200 OK', good, **{'content-type': 'text/html'})
        self.misfit('GET', path, None, '201 Created', good)
        self.misfit('GET', path, None, '500 Internal Server Error', good)
        self.misfit('GET', path, None, '404 Not Found', good)
        self.misfit('DELETE', path, None, '200 OK', good)
        self.misfit('PUT', path, b'{"plan": {"nam": "x"}}', '200 OK', good)
        self.misfit('PUT', path, b'[]', '200 OK', good)

    def test_every_operation_is_found_by_its_path(self):
        for path in documented.document()['paths']:
            filled = re.sub(r'\{\w+\}', new_id(), path)
            self.assertEqual(path, documented.template_of(filled))
            self.assertEqual(path, documented.template_of(f'{filled}?a=/b'))

    def test_a_cloud_that_does_not_answer(self):
        self.cinder.faults.append(fake_cinder.Fault(method='GET', status=403))
        self.get(f'/protectables/{VOLUME}/instances', 503)
