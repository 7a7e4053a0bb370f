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

"""Errors as the API tells them: ``{"itemNotFound": {"code": 404, "message": "..."}}``."""

import json
from http import HTTPStatus
from typing import Any

import falcon
from oslo_db import exception as db_exc
from oslo_log import log as logging
from sqlalchemy import exc as sa_exc

from karbor import db, exception, shown
from karbor.common import causes

LOG = logging.getLogger(__name__)

_LONGEST_MESSAGE = 2000  # a fault quotes what it is about, which may be a body of megabytes

_DATABASE_AWAY: tuple[type[Exception], ...] = (
    db_exc.DBConnectionError,
    db_exc.CantStartEngineError,
    db_exc.DBNonExistentTable,
    sa_exc.TimeoutError,
)

_KEYS = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    408: 'requestTimeout',
    409: 'conflictingRequest',
    411: 'lengthRequired',
    413: 'overLimit',
    415: 'badMediaType',
    431: 'headerTooLarge',
    501: 'notImplemented',
    503: 'serviceUnavailable',
}


def fault(code: int, message: str) -> dict[str, Any]:
    """The body of an error; clients take their text from it."""
    message = shown.without_credentials(message)
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 3] + '...'
    told = {'code': code, 'message': message}
    if code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        told['retryAfter'] = '0'  # to wait does not help
    return {_KEYS.get(code, 'computeFault'): told}


def too_large(largest: int) -> str:
    """What is said of a body that has more bytes."""
    return f'The body is larger than {largest} bytes.'


def install(app: falcon.App[Any, Any]) -> None:
    """Answer every error of an application in that form."""
    app.set_error_serializer(_serialize)
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _http_error)
    app.add_error_handler(exception.KarborException, _karbor_error)
    for error in _DATABASE_AWAY:
        app.add_error_handler(error, _database_away)
    app.add_error_handler(db.DatabaseUnusable, _database_unusable)


def _serialize(_req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    _answer(
        resp,
        error.status_code,
        error.description or error.title or HTTPStatus(error.status_code).phrase,
    )
    for name, value in dict(error.headers or {}).items():
        resp.set_header(name, value)


def _http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict[str, Any]
) -> None:
    _serialize(req, resp, error)


def _karbor_error(
    _req: falcon.Request,
    resp: falcon.Response,
    error: exception.KarborException,
    _params: dict[str, Any],
) -> None:
    if error.code >= 500:
        LOG.error('Answering %d: %s', error.code, causes.in_full(error))
    resp.set_headers(error.headers)
    _answer(resp, error.code, error.msg)


def _database_away(
    _req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]
) -> None:
    LOG.error('Answering 503: %s', error)
    _answer(resp, 503, 'The database does not answer now.')


def _database_unusable(
    _req: falcon.Request, resp: falcon.Response, error: db.DatabaseUnusable, _params: dict[str, Any]
) -> None:
    LOG.error('Answering 503: %s', str(error).partition('\n')[0])
    _answer(
        resp,
        503,
        'The disk of the database is full; an administrator is to make room.'
        if error.is_full
        else 'The database cannot be used now.',
    )


def _unexpected(
    _req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]
) -> None:
    LOG.error('Answering 500', exc_info=error)
    _answer(resp, 500, 'An unexpected error happened; the log has it under the request id.')


def _answer(resp: falcon.Response, code: int, message: str) -> None:
    resp.status = code
    resp.content_type = falcon.MEDIA_JSON
    resp.text = json.dumps(fault(code, message))
