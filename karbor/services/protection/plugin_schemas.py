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

"""Schemas as plugins give them, made such that they can be published and held against values."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema

from karbor.common import documents
from karbor.services.protection.protection_plugin import Schema


def usable(schema: Any) -> Schema:
    """A copy that is JSON, as callers see it; each property of it has an object of rules.

    :param schema: what a plugin has returned.
    :raises Exception: it cannot be used; the text says why.
    """
    copy = documents.loads(json.dumps(schema))
    if not isinstance(copy, dict):
        raise TypeError(f'{copy!r:.100} is no object')
    jsonschema.Draft202012Validator.check_schema(copy)
    _check_references(copy)
    properties = copy.get('properties', {})
    properties.update({name: {} for name, rules in properties.items() if rules is True})
    properties.update({name: {'not': {}} for name, rules in properties.items() if rules is False})
    return copy


def without_unfit_defaults(schema: Schema) -> list[str]:
    """Take defaults away that the schema itself refuses; returns the names of their properties."""
    unfit = [
        name
        for name, rules in schema.get('properties', {}).items()
        if rules.get('default') is not None
        and not jsonschema.Draft202012Validator(schema)
        .evolve(schema=rules)
        .is_valid(rules['default'])
    ]
    for name in unfit:
        del schema['properties'][name]['default']
    return unfit


def _check_references(schema: Schema) -> None:
    """Follow each: whether it leads anywhere shows only then, which would be with a plan."""
    validator = jsonschema.Draft202012Validator(schema)
    for reference in _references(schema):
        if not reference.startswith('#'):
            raise ValueError(f'it refers to {reference:.100}, which is not in it')
        list(validator.evolve(schema={'$ref': reference}).iter_errors(None))


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get('$ref'), str):
            yield part['$ref']
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _references(each)
