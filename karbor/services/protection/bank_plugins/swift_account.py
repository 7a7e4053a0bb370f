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

"""The account of Swift that a bank's container is in: how it is found and asked."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import requests
import swiftclient
import urllib3
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import loading
from keystoneauth1 import plugin as ks_plugin
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import generic
from oslo_config import cfg
from swiftclient import client as swift

from karbor import exception
from karbor.services import retrying
from karbor.services.protection.bank_plugins import object_faults
from karbor.services.protection.bank_plugins.object_faults import Fault, Missing
from karbor.services.protection.clients import utils

CLIENT_GROUP = 'swift_client'

CLIENT_OPTS = [
    cfg.URIOpt(
        'swift_auth_url',
        schemes=['http', 'https'],
        help='URL of Keystone. With auth_type set, the options of that kind of '
        'authentication are used instead of this and the next five.',
    ),
    cfg.StrOpt('swift_user', help='Name of the user who owns the container.'),
    cfg.StrOpt('swift_key', secret=True, help='Password of the user.'),
    cfg.StrOpt('swift_tenant_name', help='Name of the project that the container is in.'),
    cfg.StrOpt('swift_user_domain_name', default='Default', help='Name of the domain of the user.'),
    cfg.StrOpt(
        'swift_project_domain_name', default='Default', help='Name of the domain of the project.'
    ),
    cfg.StrOpt(
        'swift_catalog_info',
        default='object-store:swift:publicURL',
        help='<type>:<name>:<interface> of Swift in the catalog; the name is not looked at.',
    ),
    cfg.StrOpt('region_id', help='Region of the endpoint; unset takes the first one.'),
    cfg.URIOpt(
        'swift_endpoint',
        schemes=['http', 'https'],
        help="URL of the account to use instead of the catalog's, for example "
        'http://swift.example/v1/AUTH_0123.',
    ),
    cfg.StrOpt(
        'swift_ca_cert_file', help='File of the certificate authorities to check certificates with.'
    ),
    cfg.BoolOpt('swift_auth_insecure', default=False, help='Do not check certificates.'),
    cfg.IntOpt(
        'swift_retry_attempts',
        default=3,
        min=0,
        help='How often a request that fails in passing is sent again.',
    ),
    cfg.FloatOpt(
        'swift_retry_backoff',
        default=2,
        min=0,
        help='Seconds before it is sent again; twice as long every further time.',
    ),
    cfg.FloatOpt(
        'swift_request_timeout',
        default=60,
        min=1,
        help='Longest time to wait for an answer, or for more of it, in seconds.',
    ),
]

_UNPROCESSABLE = 422  # what arrived is not what was sent


class Account:
    """Where the container is: URL, token and connections.

    The token is shared, a connection serves one request at a time.

    :param config: the provider file's own ``ConfigOpts``.
    :raises InvalidParameterValue:
    """

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._options = config[CLIENT_GROUP]
        self._endpoint_filter = _endpoint_filter(self._options)
        self._session = _session(config)
        self._lock = threading.Lock()
        self._idle: list[swift.HTTPConnection] = []

    def send(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function of swiftclient that sends one request.

        :raises Missing: Swift answered 404.
        :raises Fault: whatever else went wrong.
        """
        try:
            return self._send_with_token(function, *args, **kwargs)
        except swiftclient.ClientException as exc:
            if exc.http_status == requests.codes.not_found:
                raise Missing from exc
            raise _fault_of_answer(exc) from exc
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as exc:
            raise Fault(
                f'Swift could not be reached: {exc}',
                is_passing=True,
                told='Swift could not be reached',
            ) from exc
        except ks_exc.ClientException as exc:
            raise _fault_of_keystone(exc) from exc
        except ValueError as exc:
            raise Fault(f'Swift sent no JSON: {exc}', is_passing=True) from exc

    def _send_with_token(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        token = self._session.get_token()
        try:
            return self._send(function, token, *args, **kwargs)
        except swiftclient.ClientException as exc:
            if exc.http_status != requests.codes.unauthorized:
                raise
        # A token can end before its time; then a new one helps, and nothing else does.
        if self._session.get_token() == token:
            self._session.invalidate()
        return self._send(function, self._session.get_token(), *args, **kwargs)

    def _send(
        self, function: Callable[..., Any], token: str | None, *args: Any, **kwargs: Any
    ) -> Any:
        url = self._url()
        with self._connection(url) as connection:
            return function(
                url, token, *args, http_conn=(connection.parsed_url, connection), **kwargs
            )

    def _url(self) -> str:
        url = self._options.swift_endpoint or self._session.get_endpoint(**self._endpoint_filter)
        if not url:
            raise Fault(
                'The catalog has no endpoint of Swift: {service_type}, {interface}, '
                'region {region_name}'.format(**self._endpoint_filter)
            )
        return url.rstrip('/')

    @contextlib.contextmanager
    def _connection(self, url: str) -> Iterator[swift.HTTPConnection]:
        """A connection for one request; it is kept unless the request got no answer."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None or connection.url != url:
            connection = self._connect(url)
        try:
            yield connection
        except swiftclient.ClientException:
            self._keep(connection)
            raise
        except BaseException:
            connection.close()
            raise
        self._keep(connection)

    def _keep(self, connection: swift.HTTPConnection) -> None:
        with self._lock:
            self._idle.append(connection)

    def _connect(self, url: str) -> swift.HTTPConnection:
        options = self._options
        return swift.HTTPConnection(
            url,
            cacert=options.swift_ca_cert_file,
            insecure=options.swift_auth_insecure,
            timeout=options.swift_request_timeout,
            default_user_agent='karbor',
        )


def _endpoint_filter(options: Any) -> dict[str, Any]:
    try:
        service_type, interface = utils.catalog_info('swift', options.swift_catalog_info)
    except exception.KarborException as exc:
        raise exception.InvalidParameterValue(err=exc.msg) from None
    return {
        'service_type': service_type,
        'interface': interface.removesuffix('URL'),
        'region_name': options.region_id,
    }


def _session(config: cfg.ConfigOpts) -> ks_session.Session:
    options = config[CLIENT_GROUP]
    return ks_session.Session(
        auth=_auth(config),
        verify=not options.swift_auth_insecure and (options.swift_ca_cert_file or True),
        timeout=options.swift_request_timeout,
        user_agent='karbor',
    )


def _auth(config: cfg.ConfigOpts) -> ks_plugin.BaseAuthPlugin | None:
    """As ``auth_type`` says; without it, by the names that Karbor always had."""
    options = config[CLIENT_GROUP]
    if not options.auth_type and not options.auth_section:
        return _password(options)
    try:
        return loading.load_auth_from_conf_options(config, CLIENT_GROUP)
    except ks_exc.ClientException as exc:
        raise exception.InvalidParameterValue(err=f'[{CLIENT_GROUP}] {exc}') from exc


def _password(options: Any) -> generic.Password:
    missing = [
        name
        for name in ('swift_auth_url', 'swift_user', 'swift_key', 'swift_tenant_name')
        if not options[name]
    ]
    if missing:
        raise exception.InvalidParameterValue(
            err=f'[{CLIENT_GROUP}] {", ".join(missing)} must be set, or auth_type.'
        )
    return generic.Password(
        auth_url=options.swift_auth_url,
        username=options.swift_user,
        password=options.swift_key,
        project_name=options.swift_tenant_name,
        user_domain_name=options.swift_user_domain_name,
        project_domain_name=options.swift_project_domain_name,
    )


def _fault_of_answer(error: swiftclient.ClientException) -> Fault:
    """Without the URL of the request, and with the reason that Swift gives, if it does."""
    headers = error.http_response_headers or {}
    status = error.http_status
    reason = told = f'Swift answered {status} {error.http_reason or ""}'.rstrip()
    if not status:
        return Fault(f'Swift could not be used: {error.msg}', told='Swift could not be used')
    text = error.http_response_content
    if isinstance(text, bytes):
        text = text.decode(errors='replace')
    if text and not text.lstrip().startswith('<'):
        reason = f'{reason}: {text[:200]}'
    return Fault(
        reason,
        status == _UNPROCESSABLE or object_faults.is_passing_code(status),
        retrying.seconds_of(headers.get('retry-after')),
        told=told,
    )


def _fault_of_keystone(error: ks_exc.ClientException) -> Fault:
    return Fault(
        f'there is no token for Swift: {error}',
        retrying.is_passing(error),
        retrying.seconds_of(getattr(error, 'retry_after', None)),
        told='there is no token for Swift',
    )
