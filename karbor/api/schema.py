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

"""What the JSON schemas of several resources share (Karbor contract, section A.4).

In the body of a request unknown keys are refused, since a misspelt one would be lost in silence.
"""

from collections.abc import Collection
from typing import Any

Schema = dict[str, Any]

# Patterns end in \Z, since $ lets a newline at the end through; and none of them can be
# matched in two ways, since trying all would take quadratic time.

UUID: Schema = {'type': 'string', 'format': 'uuid'}
NAME: Schema = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'pattern': r'^ *[^\x00-\x20\x7f][^\x00-\x1f\x7f]*\Z',
}
DESCRIPTION: Schema = {
    'type': ['string', 'null'],
    'maxLength': 255,
    'pattern': r'^[^\x00-\x1f\x7f]*\Z',
}
_KEY = r'^[a-zA-Z0-9-_:.# ]{1,255}\Z'
_VALUES = ['boolean', 'string', 'integer', 'number']
# Bounds stand before what they bound, so that too much of it is not looked at.
MOST_RESOURCES = 10_000  # of a plan
_MOST_VALUES = 100  # of one object that has names of the caller's choice
METADATA: Schema = {
    'type': ['object', 'null'],
    'maxProperties': _MOST_VALUES,
    'patternProperties': {_KEY: {'type': _VALUES}},
    'additionalProperties': False,
}
# Null is what forms send of a field that nobody filled in.
PARAMETERS: Schema = {
    'type': 'object',
    'maxProperties': MOST_RESOURCES + _MOST_VALUES,  # of each resource, and of types
    'patternProperties': {
        _KEY: {
            'type': 'object',
            'maxProperties': _MOST_VALUES,
            'patternProperties': {_KEY: {'type': [*_VALUES, 'null']}},
            'additionalProperties': False,
        }
    },
    'additionalProperties': False,
}


def wrapped(key: str, body: Schema) -> Schema:
    """The schema of a request that has its object under one key."""
    return {
        'type': 'object',
        'properties': {key: body},
        'required': [key],
        'additionalProperties': False,
    }


def strict(properties: Schema, required: list[str]) -> Schema:
    """The schema of an object that has these properties and no other."""
    return {
        'type': 'object',
        'properties': properties,
        'required': required,
        'additionalProperties': False,
    }


def or_null(rule: Schema) -> Schema:
    """The same, or null.

    :param rule: has one type or a list of them.
    """
    types = rule['type'] if isinstance(rule['type'], list) else [rule['type']]
    values = {'enum': [*rule['enum'], None]} if 'enum' in rule else {}
    return {**rule, **values, 'type': [*types, 'null']}


TEXT: Schema = {'type': 'string'}
FILTER: Schema = {'type': 'string', 'maxLength': 255}  # as long as what it is compared with
TEXT_OR_NULL: Schema = {'type': ['string', 'null']}
MOMENT: Schema = {'type': 'string', 'format': 'date-time'}
MOMENT_OR_NULL: Schema = {'type': ['string', 'null'], 'format': 'date-time'}
INTEGER: Schema = {'type': 'integer', 'minimum': 0}
OBJECT: Schema = {'type': 'object'}


def shown(title: str, properties: Schema, optional: Collection[str] = ()) -> Schema:
    """The schema of something that is answered.

    :param title: its name in the OpenAPI document.
    :param optional: properties that are not always there.
    """
    return {
        'title': title,
        'type': 'object',
        'properties': properties,
        'required': [name for name in properties if name not in optional],
    }


def listed(collection: str, item: Schema, beside: Schema | None = None) -> Schema:
    """The schema of an answer with a page of a list.

    :param beside: schemas of what an answer may have beside the list.
    """
    links = {'type': 'array', 'items': shown('Link', {'rel': TEXT, 'href': TEXT})}
    return {
        'type': 'object',
        'required': [collection],
        'additionalProperties': False,
        'properties': {
            collection: {'type': 'array', 'items': item},
            f'{collection}_links': links,
            **(beside or {}),
        },
    }
