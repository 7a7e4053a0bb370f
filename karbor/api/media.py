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

from typing import Any

import falcon
import falcon.media
import jsonschema
from oslo_utils import uuidutils

from karbor import exception
from karbor.api.schema import Schema
from karbor.common import documents, faults

Object = dict[str, Any]  # of JSON, in a request or an answer

FORMATS = jsonschema.FormatChecker(())


@FORMATS.checks('uuid')
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or uuidutils.is_uuid_like(value)


def handlers() -> falcon.media.Handlers:
    """What reads a body: JSON only, and only such as every database can hold."""
    return falcon.media.Handlers(
        {falcon.MEDIA_JSON: falcon.media.JSONHandler(loads=documents.loads)}
    )


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
