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

"""The client of Cinder (block storage)."""

import time
from collections.abc import Iterable
from typing import Any

from cinderclient import client as cinder_client
from cinderclient import exceptions as cinder_exc
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint
from keystoneauth1.identity import base as ks_identity
from oslo_config import cfg

from karbor import context as karbor_context
from karbor import exception
from karbor.common.traffic import Traffic
from karbor.conf import cinder_client as cinder_client_conf
from karbor.services.protection import client_factory
from karbor.services.protection.clients import utils

SERVICE = 'cinder'

# Tests of third parties' plugins set options of it before they make a client.
cinder_client_conf.register_opts(cfg.CONF)

# Old enough for every cloud since Pike, new enough to filter snapshots by metadata (3.22),
# and one where Cinder honours `force` (before 3.66).
MICROVERSION = '3.43'

# Knows how to write an image over a volume that is there.
REIMAGING_MICROVERSION = '3.68'

_UNREACHED = (
    ks_exc.RetriableConnectionFailure,
    ks_exc.UnknownConnectionError,
    ks_exc.DiscoveryFailure,
)


def create(
    context: karbor_context.RequestContext,
    conf: cfg.ConfigOpts,
    session: ks_session.Session | None = None,
    microversion: str = MICROVERSION,
    **_: Any,
) -> cinder_client.Client:
    """A client that acts as the context's user.

    :param context: who asks; without a session, its token and catalog are used.
    :param conf: configuration, group ``[cinder_client]``.
    :param session: the keystoneauth session of the context.
    :param microversion: for what the usual one lacks.
    :raises KarborException: there is neither a session nor an endpoint.
    """
    cinder_client_conf.register_opts(conf)
    options = conf.cinder_client
    endpoint = options.cinder_endpoint
    if endpoint:
        endpoint = f'{endpoint.rstrip("/")}/{context.project_id}'
    if session is None:
        session = _session_of_token(context, options, endpoint)
        endpoint = None
    client = cinder_client.Client(microversion, session=session)
    client.client = _SessionClient(
        session=session,
        api_version=client.api_version,
        service_type=options.service_type,
        region_name=options.region_id,
        interface=options.interface,
        endpoint_override=endpoint,
        user_agent='karbor',
    )
    client.client.traffic = getattr(context, 'traffic', None)
    return client


def region(
    context: karbor_context.RequestContext,
    conf: cfg.ConfigOpts,
    session: ks_session.Session | None = None,
    **_: Any,
) -> str | None:
    """The region of the endpoint that a client would use; None when nothing tells.

    Where in the region that endpoint is, is of no matter: internal or public, http or https.

    :param context: as for :func:`create`, and so are the others.
    :raises RegionNotChosen: there are several, and none is configured.
    :raises keystoneauth1.exceptions.ClientException: Keystone does not give the catalog.
    """
    cinder_client_conf.register_opts(conf)
    options = conf.cinder_client
    if options.region_id or options.cinder_endpoint:
        return options.region_id or None
    if session is None:
        endpoints = _catalog_endpoints(context, options.cinder_catalog_info)
        names = {each.get('region') for each in endpoints}
    elif isinstance(session.auth, ks_identity.BaseIdentityPlugin):
        catalog = session.auth.get_access(session).service_catalog
        found = catalog.get_endpoint_data_list(
            service_type=options.service_type, interface=options.interface or 'public'
        )
        # Of several types, such as volumev3 beside block-storage, clients take the first one.
        names = {each.region_name for each in found if each.service_type == found[0].service_type}
    else:
        return None
    return _only_one(names)


def _only_one(names: Iterable[str | None]) -> str | None:
    """The name of the only region that there is; None when none has a name.

    :raises RegionNotChosen: there are several.
    """
    regions = sorted({name for name in names if name})
    if len(regions) > 1:
        raise exception.RegionNotChosen(regions=', '.join(regions))
    return regions[0] if regions else None


def _may_be_empty(response: Any) -> bool:
    """Whether an answer without JSON can be Cinder's: of a deletion, or of an action."""
    request = response.request
    is_action = str(request.path_url).partition('?')[0].endswith('/action')
    return request.method == 'DELETE' or (is_action and not response.content)


class _SessionClient(cinder_client.SessionClient):
    """Keeps what cinderclient's exceptions forget: an answer's Retry-After and address.

    :ivar traffic: what is told how requests are answered, if anything is.
    """

    traffic: Traffic | None = None

    def request(self, url: str, method: str, **kwargs: Any) -> Any:
        begun = time.monotonic()
        try:
            response, body = super().request(url, method, raise_exc=False, **kwargs)
        except _UNREACHED:
            if self.traffic is not None:
                self.traffic.heard(None)
            raise
        if self.traffic is not None:
            _tell(self.traffic, url, response, time.monotonic() - begun)
        if response.status_code >= 400:
            error = _error_of(response, body)
            error.retry_after = response.headers.get('Retry-After')
            error.url = response.url
            raise error
        if body is None and not _may_be_empty(response):
            # Of a proxy in between, or cut off: as good as no answer.
            raise cinder_exc.ClientException(502, 'The answer is not JSON')
        return response, body


def _tell(traffic: Traffic, url: str, response: Any, seconds: float) -> None:
    """Tell of an answer; that of a list takes as long as the list is long, and tells nothing."""
    method, code = response.request.method, response.status_code
    traffic.heard(code)
    if code in (429, 503):
        traffic.refused(response.headers.get('Retry-After'), is_for_all=code == 503)
    elif code < 500 and '/detail' not in url:
        traffic.answered(f'{method} {url.split("/")[1]}', seconds)


def _error_of(response: Any, body: Any) -> cinder_exc.ClientException:
    try:
        return cinder_exc.from_response(response, body)
    except AttributeError:  # JSON, but not Cinder's: of a proxy in between
        return cinder_exc.from_response(response, None)


def _session_of_token(
    context: karbor_context.RequestContext, options: Any, endpoint: str | None
) -> ks_session.Session:
    endpoint = endpoint or _catalog_endpoint(context, options)
    if endpoint is None:
        raise exception.KarborException('The catalog has no endpoint of Cinder.')
    session = ks_session.Session(
        auth=token_endpoint.Token(endpoint, context.auth_token),
        verify=not options.cinder_auth_insecure and (options.cinder_ca_cert_file or True),
        timeout=options.request_timeout,
    )
    return client_factory.fenced(session, context)


def _catalog_endpoint(context: karbor_context.RequestContext, options: Any) -> str | None:
    endpoints = _catalog_endpoints(context, options.cinder_catalog_info)
    chosen = options.region_id or _only_one(each.get('region') for each in endpoints)
    interface = utils.catalog_info('cinder', options.cinder_catalog_info).interface
    found = (each for each in endpoints if each.get('region') in (chosen, None))
    return next((each.get(interface) for each in found), None)


def _catalog_endpoints(
    context: karbor_context.RequestContext, catalog_info: str
) -> list[dict[str, Any]]:
    """The endpoints of a request's catalog, with the URLs of their interfaces."""
    service_type = utils.catalog_info('cinder', catalog_info).service_type
    for entry in context.service_catalog:
        if entry.get('type') == service_type and entry.get('endpoints'):
            return list(entry['endpoints'])
    return []
