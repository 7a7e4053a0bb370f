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

"""Request bodies: JSON that is safe to store, checked against a schema."""

import json
import math
from typing import Any

import falcon
import falcon.media
import jsonschema
from oslo_utils import uuidutils

from karbor import exception
from karbor.api.schema import Schema
from karbor.common import faults

Object = dict[str, Any]  # of JSON, in a request or an answer

_DEEPEST_NESTING = 30  # MariaDB takes 32 for the deepest that is valid
_MOST_VALUES = 100_000  # about; a plan of 10,000 volumes has 50,000
FORMATS = jsonschema.FormatChecker(())


@FORMATS.checks('uuid')
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or uuidutils.is_uuid_like(value)


def handlers() -> falcon.media.Handlers:
    """What reads a body: JSON only, and only such as every database can hold."""
    return falcon.media.Handlers({falcon.MEDIA_JSON: falcon.media.JSONHandler(loads=_loads)})


def body(req: falcon.Request, schema: Schema) -> Object:
    """The JSON document of a request.

    :raises InvalidInput: names the place and the fault.
    """
    try:
        document = req.get_media()
    except OSError:  # as a time-out of the connection
        raise falcon.HTTPBadRequest(description='The body did not arrive whole.') from None
    check(document, schema)
    return document


def check(document: Any, schema: Schema, name: str = '') -> None:
    """Hold a document against a schema.

    :param name: of the document, for the message.
    :raises InvalidInput: names the place and the fault.
    """
    error = faults.worst(
        jsonschema.Draft202012Validator(schema, format_checker=FORMATS).iter_errors(document)
    )
    if error is not None:
        place = '.'.join(str(part) for part in (name, *error.absolute_path) if part != '')
        raise exception.InvalidInput(reason=f'{place}: {faults.told(error)}'.removeprefix(': '))


def check_text(text: str) -> None:
    """:raises ValueError: a character that not every database can hold."""
    if '\x00' in text:
        raise ValueError('a NUL character')
    text.encode()  # raises for a lone surrogate


def _loads(text: str) -> Any:
    if sum(map(text.count, ',[{')) > _MOST_VALUES:  # before it costs seconds to read them
        raise ValueError(f'the JSON has more than {_MOST_VALUES} values')
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError('the JSON is nested too deep') from None
    _check(value, _DEEPEST_NESTING)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f'{name} is no JSON')


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise ValueError('the JSON is nested too deep')
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError('a number is too large')  # as 1e999, which is read as infinity
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            _check(item, depth - 1)
