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

"""The fields of a JSON schema of the OpenAPI document, as rows of a table."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]

_LIMITS = {
    'format': 'format {}',
    'minLength': 'at least {} characters',
    'maxLength': 'at most {} characters',
    'minimum': 'at least {}',
    'maximum': 'at most {}',
    'minItems': 'at least {} items',
    'maxItems': 'at most {} items',
    'minProperties': 'at least {} of its fields',
    'maxProperties': 'at most {} fields',
    'pattern': 'like ``{}``',
}


class Field(NamedTuple):
    """A field: where it stands, as ``plan.resources[].id``, and what it may be."""

    place: str
    type: str
    required: str
    limits: str


class Reader:
    """Reads schemas.

    :param components: the schemas of the document, by name.
    """

    def __init__(self, components: Mapping[str, Schema]) -> None:
        self._components = components

    def fields(self, schema: Schema, place: str = '') -> Iterator[Field]:
        """Every field of an object, and those of the objects in it after it."""
        schema = self._resolved(schema)
        for name, found in schema.get('properties', {}).items():
            yield from self._field(found, f'{place}{name}', name in schema.get('required', ()))
        for pattern, found in schema.get('patternProperties', {}).items():
            yield from self._field(found, f'{place}<key>', False, f'key like ``{pattern}``')

    def type_and_limits(self, schema: Schema | bool) -> tuple[str, str]:
        """What a value may be: the names of its types, and what holds besides."""
        if isinstance(schema, bool):
            return 'any', ''
        schema = self._resolved(schema)
        types = schema.get('type', 'string' if 'enum' in schema else 'any')
        limits = [form.format(schema[name]) for name, form in _LIMITS.items() if name in schema]
        if 'enum' in schema:
            limits.append('one of ' + ', '.join(f'``{value}``' for value in schema['enum']))
        if 'description' in schema:
            limits.append(schema['description'].rstrip('.'))
        if schema.get('additionalProperties') is False and schema.get('properties'):
            limits.append('no other fields')
        return types if isinstance(types, str) else ' or '.join(types), '; '.join(limits)

    def _field(
        self, schema: Schema | bool, place: str, is_required: bool, note: str = ''
    ) -> Iterator[Field]:
        kind, limits = self.type_and_limits(schema)
        yield Field(
            place,
            kind,
            'yes' if is_required else '',
            '; '.join(text for text in (note, limits) if text),
        )
        if isinstance(schema, bool):
            return
        schema = self._resolved(schema)
        yield from self.fields(schema, f'{place}.')
        items = self._resolved(schema.get('items', {}))
        if 'properties' in items:
            yield from self.fields(items, f'{place}[].')
        elif items:
            yield from self._field(items, f'{place}[]', False)

    def _resolved(self, schema: Schema) -> Schema:
        reference = schema.get('$ref')
        return schema if reference is None else self._components[reference.rpartition('/')[2]]
