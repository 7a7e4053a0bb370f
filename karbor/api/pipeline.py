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

"""What stands between a web server and the API of a cloud's Karbor."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import webob
import webob.exc
from keystoneauth1 import exceptions as ks_exc
from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import log as logging
from oslo_middleware import cors, http_proxy_to_wsgi

from karbor import conf as karbor_conf
from karbor.api import errors, middleware

LOG = logging.getLogger(__name__)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

SERVICE_TYPE = 'data-protect'

_REQUEST_ID = 'x-openstack-request-id'

_PATIENCE = 5  # seconds for an answer of Keystone; it is asked four times

_REASONS = {
    401: 'The header X-Auth-Token has no valid token of Keystone.',
    503: 'Keystone cannot be asked about the token now.',
}


def set_defaults() -> None:
    """Defaults of oslo's options where Karbor's differ, those of the middleware included."""
    karbor_conf.set_defaults()
    _set_defaults_of_cors()


def _set_defaults_of_cors() -> None:
    """Browsers need leave to send and read what the API works with."""
    headers = ['X-Auth-Token', 'X-OpenStack-Request-ID']
    cors.set_defaults(
        allow_headers=headers,
        expose_headers=headers,
        allow_methods=['GET', 'PUT', 'POST', 'DELETE'],
    )


def behind_keystone(application: Application, conf: cfg.ConfigOpts) -> Application:
    """The application with request ids, CORS, proxies understood and tokens checked.

    :param application: what answers who has a valid token, and anybody about what is public.
    :param conf: configuration, groups of keystonemiddleware and oslo.middleware.
    """
    # keystonemiddleware itself would wait for ever.
    conf.set_default('http_connect_timeout', _PATIENCE, group='keystone_authtoken')
    checked = _Keystone(application, {'oslo_config_config': conf, 'service_type': SERVICE_TYPE})

    def check_token(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_public = environ.get('PATH_INFO', '') in middleware.PUBLIC_PATHS
        return (application if is_public else checked)(environ, start_response)

    _set_defaults_of_cors()
    wrapped = _with_cors(check_token, conf)
    proxied = http_proxy_to_wsgi.HTTPProxyToWSGI(wrapped, conf)
    if conf.oslo_middleware.enable_proxy_headers_parsing:
        wrapped = proxied
    return _with_request_id(wrapped)


def _with_cors(application: Application, conf: cfg.ConfigOpts) -> Application:
    """The application with CORS, which is asked only about what a browser may have sent."""
    browsed = cors.CORS(application, conf)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_browsed = 'HTTP_ORIGIN' in environ or environ['REQUEST_METHOD'] == 'OPTIONS'
        return (browsed if is_browsed else application)(environ, start_response)

    return answer


def _with_request_id(application: Application) -> Application:
    """The application with an id for each request, which its answer has, too.

    As that of oslo.middleware, but it leaves requests and answers to the others as they are:
    to read them takes longer than most of what Karbor does.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request_id = environ['openstack.request_id'] = oslo_context.generate_request_id()

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if not any(name.lower() == _REQUEST_ID for name, _ in headers):
                headers = [*headers, (_REQUEST_ID, request_id)]
            return start_response(status, headers, *exc_info)

        return application(environ, start)

    return answer


class _Keystone(auth_token.AuthProtocol):
    """Tells what is wrong in the form that all other errors of the API have."""

    def process_request(self, request: webob.Request) -> webob.Response | None:
        try:
            return super().process_request(request)
        except ks_exc.ClientException as exc:
            LOG.error('Keystone cannot be asked about a token: %s', exc)
            return _refusal(503)
        except webob.exc.HTTPException as exc:
            answer = _refusal(exc.status_code)
            if 'WWW-Authenticate' in exc.headers:
                answer.headers['WWW-Authenticate'] = exc.headers['WWW-Authenticate']
            return answer


def _refusal(code: int) -> webob.Response:
    reason = _REASONS.get(code, 'Keystone does not accept the token.')
    return webob.Response(
        status=code,
        content_type='application/json',
        charset='UTF-8',
        text=json.dumps(errors.fault(code, reason)),
    )
