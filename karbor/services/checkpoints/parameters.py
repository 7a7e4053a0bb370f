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

"""Parameters of plans, restores and verifications: merged, coerced, validated.

A request carries ``{"<type>": {...}, "<type>#<id>": {...}}``. The first holds for every
resource of the type, the second for one, and wins property by property (Karbor contract,
section A.15). Clients send text, which is coerced to what the plugin's schema asks for, and null
for what they leave out. What is missing is no fault, whatever a schema lists as ``required``: the
Karbor of old never asked for it. A plugin that needs it says what stands in its place.
"""

import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jsonschema
from oslo_utils import strutils, uuidutils

from karbor import exception
from karbor.common import constants, faults
from karbor.resource import Resource
from karbor.services.protection.protection_plugin import Schema

Values = dict[str, Any]
Parameters = Mapping[str, Values]
SchemaOf = Callable[[str], Schema | None]
DefaultsOf = Callable[[str], Values]
CheckValues = Callable[[str, Values, str], None]


def no_defaults(_resource_type: str) -> Values:
    """Nothing stands in the place of what is missing, beyond the schema's defaults."""
    return {}


def takes_any(_resource_type: str, _values: Values, _where: str) -> None:
    """Nothing is to be looked at beyond the schema."""


def merged(parameters: Parameters, resource: Resource) -> Values:
    """The values that hold for one resource."""
    return {**parameters.get(resource.type, {}), **parameters.get(resource.key, {})}


def filled(
    parameters: Parameters,
    resources: Iterable[Resource],
    later_types: Iterable[str],
    defaults_of: DefaultsOf,
) -> dict[str, Values]:
    """The parameters with a type's defaults where a resource of it lacks something.

    :param resources: the resources that are known already.
    :param later_types: types of which resources may be found later.
    """
    whole = dict(parameters)
    lacking = [(resource.type, merged(parameters, resource)) for resource in resources]
    lacking += [(name, parameters.get(name, {})) for name in later_types]
    for resource_type, values in lacking:
        missing = {k: v for k, v in defaults_of(resource_type).items() if k not in values}
        if missing:
            whole[resource_type] = {**missing, **whole.get(resource_type, {})}
    return whole


def check(
    parameters: Parameters,
    resources: Iterable[Resource],
    later_types: Iterable[str],
    schema_of: SchemaOf,
    *,
    defaults_of: DefaultsOf = no_defaults,
    check_values: CheckValues = takes_any,
) -> dict[str, Values]:
    """Validate what a request carries, before anything is made of it.

    :param parameters: as the caller sent them.
    :param resources: the resources that are known already.
    :param later_types: types of which resources may be found later, whose ids nobody can
        name yet.
    :param schema_of: the schema of a type; None when nobody publishes one.
    :param defaults_of: what stands in the place of what is missing.
    :param check_values: looks at values of a type that fit its schema: those of one key, and
        those that hold for a resource.
    :returns: the parameters with every value coerced, and filled.
    :raises InvalidInput: names the key, the property and the fault.
    """
    coerced = {key: _check_entry(key, values, schema_of) for key, values in parameters.items()}
    for key, values in coerced.items():
        check_values(key.partition('#')[0], values, key)
    resources, later_types = list(resources), list(later_types)
    whole = filled(coerced, resources, later_types, defaults_of)
    # Of resources without values of their own, one of a type is enough.
    by_type = dict.fromkeys(later_types, '')
    for resource in resources:
        if resource.key in whole:
            values = complete(merged(whole, resource), schema_of(resource.type), resource.key)
            check_values(resource.type, values, resource.key)
        else:
            by_type[resource.type] = by_type.get(resource.type) or resource.key
    for resource_type, key in by_type.items():
        where = key or resource_type
        values = complete(whole.get(resource_type, {}), schema_of(resource_type), where)
        check_values(resource_type, values, where)
    return whole


def complete(values: Values, schema: Schema | None, where: str) -> Values:
    """The values coerced, valid, and with the schema's defaults filled in.

    A default of null says that there is none.

    :param values: merged values of one resource.
    :param schema: the plugin's schema for its type; None or empty takes anything.
    :param where: what to call the resource in an error.
    :raises InvalidInput: names the property and the fault.
    """
    if not schema:
        return _given(values)
    properties = schema.get('properties', {})
    defaults = _given({name: rule.get('default') for name, rule in properties.items()})
    whole = {**defaults, **_coerced(values, schema, where)}
    _validate(whole, schema, where)
    return whole


def _given(values: Values) -> Values:
    """The values without nulls, which stand for what is left out."""
    return {name: value for name, value in values.items() if value is not None}


def _check_entry(key: str, values: Values, schema_of: SchemaOf) -> Values:
    resource_type, hash_sign, resource_id = key.partition('#')
    schema = schema_of(resource_type)
    if schema is None and resource_type not in constants.RESOURCE_TYPES:
        raise exception.InvalidInput(reason=f'{resource_type!r} is no known resource type.')
    if hash_sign:
        check_id(resource_type, resource_id, key)
    if not schema:
        return _given(values)
    coerced = _coerced(values, schema, key)
    _validate(coerced, schema, key)
    return coerced


def check_id(resource_type: str, resource_id: str, key: str) -> None:
    """Refuse an id that is written otherwise than resources have it, and so fits none.

    How those of other types than volumes and projects are written is their plugins' business: the
    network of a project has the project's id.

    :raises InvalidInput: names the key and the fault.
    """
    if not uuidutils.is_uuid_like(resource_id):
        raise exception.InvalidInput(reason=f'In {key!r}, {resource_id!r} is not a UUID.')
    written = uuid.UUID(resource_id)
    usual = {
        constants.PROJECT_RESOURCE_TYPE: written.hex,
        constants.VOLUME_RESOURCE_TYPE: str(written),
    }.get(resource_type, resource_id)
    if resource_id != usual:
        raise exception.InvalidInput(reason=f'In {key!r}, the id is to be written {usual}.')


def _coerced(values: Values, schema: Schema, where: str) -> Values:
    properties = schema.get('properties', {})
    unknown = sorted(set(values) - set(properties))
    if unknown:
        known = ', '.join(sorted(properties)) or 'none'
        raise exception.InvalidInput(
            reason=f'{where} has no property {", ".join(unknown)}; it has {known}.'
        )
    return {
        name: coerce(value, properties[name].get('type'), f'{where}: {name}')
        for name, value in _given(values).items()
    }


def coerce(value: Any, schema_type: str | list[str] | None, where: str) -> Any:
    """A value as its schema's type: text to boolean or number, a scalar to text.

    :param value: as a client sent it.
    :param schema_type: the ``type`` of the property's schema; a list of types is left to the
        validation, since any choice among them would be a guess.
    :param where: what to call the property in an error.
    :raises InvalidInput: the value cannot be read as that type.
    """
    if schema_type == 'string' and isinstance(value, bool | int | float):
        return str(value)
    if (
        not isinstance(value, str)
        or not isinstance(schema_type, str)
        or schema_type not in _FROM_TEXT
    ):
        return value
    try:
        return _FROM_TEXT[schema_type](value.strip())
    except ValueError:
        raise exception.InvalidInput(
            reason=f'{where}: {value!r} cannot be read as {schema_type}.'
        ) from None


def _integer(text: str) -> int:
    if '_' in text:  # Python reads 1_000, nobody else does
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if '_' in text or not math.isfinite(value):  # JSON has neither nan nor infinity
        raise ValueError(text)
    return value


_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    'boolean': lambda text: strutils.bool_from_string(text, strict=True),
    'integer': _integer,
    'number': _number,
}


def _validate(values: Values, schema: Schema, where: str) -> None:
    lenient = {**schema, 'required': []}
    error = faults.worst(jsonschema.Draft202012Validator(lenient).iter_errors(values))
    if error is not None:
        place = ''.join(f'{part}: ' for part in error.absolute_path)
        raise exception.InvalidInput(reason=f'{where}: {place}{faults.told(error)}')
