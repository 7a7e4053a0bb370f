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

"""What an operation of the API demands and answers, said once.

From it come the check of the policy, of the path, the query and the body, and the OpenAPI
document.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import falcon
import jsonschema

from karbor import exception, policy
from karbor.api import media, paths, query
from karbor.api.schema import Schema
from karbor.common import documents
from karbor.services.protection import plugin_edge


@dataclasses.dataclass(frozen=True)
class Operation:
    """See :func:`operation`."""

    rule: str
    answers: Schema | None
    body: Schema | None
    listing: query.Listing | None
    parameters: Sequence[query.Parameter]
    is_unwell: Callable[[Any], bool] | None


def operation(
    rule: str,
    answers: Schema | None = None,
    *,
    body: Schema | None = None,
    listing: query.Listing | None = None,
    parameters: Sequence[query.Parameter] = (),
    is_unwell: Callable[[Any], bool] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Decorates a method of a resource, as ``on_get``.

    The method is called with the caller's context and, by name, the fields of the path, the
    ``body``, the values of the ``parameters``, and for a list the ``selection``. It returns
    the body of the answer; that of a list returns :data:`query.Items`.

    :param rule: the policy rule that must allow it.
    :param answers: schema of the answer; None is an empty one.
    :param body: schema that the request's body must fit.
    :param listing: what the list can be filtered and sorted by.
    :param parameters: further parameters of the query string.
    :param is_unwell: of an answer, whether it is sent with the status 503, for what looks at that
        alone.
    """
    description = Operation(rule, answers, body, listing, parameters, is_unwell)

    def decorate(method: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(method)
        def handle(self: Any, req: falcon.Request, resp: falcon.Response, **fields: Any) -> None:
            context = req.context.karbor
            policy.authorize(context, rule)
            _check_path(fields)
            query.check_names(req, listing, parameters)
            fields.update({parameter.name: parameter.read(req) for parameter in parameters})
            if listing is not None:
                fields['selection'] = listing.read(req)
            if body is not None:
                fields['body'] = media.body(req, body)
            with plugin_edge.kept():
                answer = method(self, context, **fields)
            if listing is not None:
                answer = query.listed(req, listing, *answer)
            if answer is not None:
                resp.media = answer
            if is_unwell is not None and is_unwell(answer):
                resp.status = falcon.HTTP_SERVICE_UNAVAILABLE

        handle.operation = description  # type: ignore[attr-defined]
        return handle

    return decorate


def _check_path(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        schema = paths.PARAMETERS[name]
        try:
            documents.check_text(value)
            jsonschema.Draft202012Validator(schema, format_checker=media.FORMATS).validate(value)
        except (ValueError, jsonschema.ValidationError):
            what = name.removesuffix('_id').replace('_', ' ')
            kind = 'a UUID' if schema.get('format') == 'uuid' else 'valid'
            raise exception.InvalidInput(reason=f'The {what} id {value!r} is not {kind}.') from None
