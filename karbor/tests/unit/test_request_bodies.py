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

"""What a body may cost before it is refused."""

from collections.abc import Iterator
from typing import Any

import jsonschema

from karbor import exception
from karbor.api import app, media, openapi
from karbor.api.v1 import plans
from karbor.common import faults
from karbor.tests import base

_MANY = 20_000
_LONGEST_REASON = 600  # characters


def _bodies() -> Iterator[tuple[str, Any]]:
    for path, method, operation in openapi.operations(app.ROUTES):
        if operation.body is not None:
            yield f'{method} {path}', operation.body


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and all in it that are schemas, each of which is an object."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key in ('properties', 'patternProperties'):
        for part in schema.get(key, {}).values():
            yield from _parts(part)
    yield from _parts(schema.get('items'))


def _plan(resources: list[Any], parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        'plan': {
            'name': 'nightly',
            'provider_id': base.new_id(),
            'resources': resources,
            'parameters': parameters or {},
        }
    }


class BoundsTest(base.TestCase):
    def test_every_list_has_a_bound_that_is_looked_at_first(self) -> None:
        for name, body in _bodies():
            for part in _parts(body):
                if 'items' in part:
                    self.assertIn('maxItems', part, name)
                    self.assertLess(list(part).index('maxItems'), list(part).index('items'), name)

    def test_every_object_with_names_of_the_callers_choice_has_a_bound(self) -> None:
        for name, body in _bodies():
            for part in _parts(body):
                is_open = 'properties' not in part and 'object' in part.get('type', ())
                if is_open or 'patternProperties' in part:
                    self.assertIn('maxProperties', part, f'{name}: {part}')

    def test_as_many_resources_as_a_plan_may_have(self) -> None:
        resource = {'id': 'x', 'type': 'OS::Cinder::Volume', 'name': ''}
        media.check(_plan([resource] * 10_000), plans.CREATE)
        error = self.assertRaises(
            exception.InvalidInput, media.check, _plan([resource] * 10_001), plans.CREATE
        )
        self.assertIn('plan.resources: more than 10000 items', str(error))


class CostTest(base.TestCase):
    def _faults_looked_at(self, document: Any, schema: Any) -> int:
        """How many faults are made; each costs time, whether it is told or not."""
        made = []
        validator = jsonschema.Draft202012Validator(schema, format_checker=media.FORMATS)

        def errors() -> Iterator[jsonschema.ValidationError]:
            for error in validator.iter_errors(document):
                made.append(error)
                yield error

        self.assertIsNotNone(faults.worst(errors()))
        return len(made)

    def test_twenty_faults_are_enough(self) -> None:
        self.assertEqual(20, self._faults_looked_at(_plan([1] * 9_000), plans.CREATE))
        self.assertEqual(
            20,
            self._faults_looked_at(
                _plan([], {f'x{number}': 1 for number in range(9_000)}), plans.CREATE
            ),
        )

    def test_too_many_are_not_looked_at(self) -> None:
        self.assertEqual(1, self._faults_looked_at(_plan([1] * 99_000), plans.CREATE))

    def test_every_refusal_is_short(self) -> None:
        many = [
            [1] * _MANY,
            {f'k\u00e9{number}': 1 for number in range(_MANY)},
            'x' * _MANY,
        ]
        for name, body in _bodies():
            key = next(iter(body['properties']))
            for value in many:
                for document in (value, {key: value}):
                    error = self.assertRaises(exception.InvalidInput, media.check, document, body)
                    self.assertLess(len(str(error)), _LONGEST_REASON, name)
                    self.assertNotEqual('', str(error))
