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

"""Clients of OpenStack services for plugins.

A client module of ``karbor.services.protection.clients`` names its ``SERVICE`` and has a
``create(context, conf, session=..., **kwargs)``. Where the credentials come from is the
process's business: it calls :func:`use_sessions` once.
"""

import functools
import importlib
import pkgutil
import types
from collections.abc import Callable
from typing import Any

from keystoneauth1 import session as ks_session
from keystoneauth1.identity import base as ks_identity
from oslo_config import cfg
from oslo_log import log as logging

from karbor import context as karbor_context
from karbor import exception
from karbor.common import catalogs, intents, leases
from karbor.services.protection import clients, plugin_edge

LOG = logging.getLogger(__name__)

SessionLoader = Callable[[karbor_context.RequestContext], ks_session.Session]

_SAFE_METHODS = frozenset(('GET', 'HEAD'))

_session_loader: SessionLoader | None = None


def use_sessions(loader: SessionLoader | None) -> None:
    """Set what finds the keystoneauth session of a context, for the whole process.

    :param loader: given a context, returns its session; None goes back to the token and
        catalog that a context carries.
    """
    global _session_loader
    _session_loader = loader
    karbor_context.use_catalogs(None if loader is None else _catalog_of)


def _catalog_of(context: karbor_context.RequestContext) -> catalogs.Catalog:
    """The catalog of whom a context acts for; an empty one when there is none."""
    if _session_loader is None:
        return []
    session = _session_loader(context)
    if not isinstance(session.auth, ks_identity.BaseIdentityPlugin):
        return []
    return catalogs.of_token(session.auth.get_access(session).service_catalog.catalog or ())


class ClientFactory:
    """Makes the client of a service, by the name its module gives it."""

    @staticmethod
    def create_client(
        service: str,
        context: karbor_context.RequestContext,
        conf: cfg.ConfigOpts = cfg.CONF,
        privileged_user: bool = False,
        **kwargs: Any,
    ) -> Any:
        """A client that acts as the context's user.

        :param service: for example 'cinder'.
        :param context: who asks.
        :param conf: configuration with the ``[<service>_client]`` groups.
        :param privileged_user: passed on to the client module.
        :raises KarborException: there is no such service, or no endpoint of it.
        """
        module = _client_module(service)
        return module.create(
            context, conf, privileged_user=privileged_user, **_with_session(context, kwargs)
        )

    @staticmethod
    def region(
        service: str,
        context: karbor_context.RequestContext,
        conf: cfg.ConfigOpts = cfg.CONF,
        **kwargs: Any,
    ) -> str | None:
        """The region that such a client acts in; None when nothing tells.

        :raises RegionNotChosen: there are several, and none is configured.
        :raises keystoneauth1.exceptions.ClientException: Keystone cannot be asked.
        """
        return _client_module(service).region(context, conf, **_with_session(context, kwargs))


def _with_session(context: karbor_context.RequestContext, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with the session of the context unless one is among them."""
    if _session_loader is None or context is None or 'session' in kwargs:
        return kwargs
    return {**kwargs, 'session': fenced(_session_loader(context), context)}


def fenced(
    session: ks_session.Session, context: karbor_context.RequestContext
) -> ks_session.Session:
    """A session for a context: that of a job changes nothing once the lease is lost, nor before
    it is written down that it will.
    """
    lease = getattr(context, 'lease', None)  # a context may be anything that oslo.context makes
    if lease is None:
        return session
    return _FencedSession(session, lease, context.intent)


class _FencedSession(ks_session.Session):
    """Another view of a session, with its connections and its token.

    :param session: what sends the requests.
    :param lease: asked before each of them that may change something.
    :param intent: where it is said that they will, if somebody wants to know.
    """

    def __init__(
        self, session: ks_session.Session, lease: leases.Lease, intent: intents.Intent | None
    ) -> None:
        self.__dict__.update(session.__dict__)
        self._session = None  # what is to be closed with this view: nothing
        self._lease = lease
        self._intent = intent

    def request(self, url: str, method: str, *args: Any, **kwargs: Any) -> Any:
        if method.upper() not in _SAFE_METHODS:
            is_for_token = kwargs.get('authenticated') is False
            if self._intent is not None and not is_for_token:
                self._intent.declare()
            self._lease.check()
        return super().request(url, method, *args, **kwargs)


def _client_module(service: str) -> types.ModuleType:
    for found in pkgutil.iter_modules(clients.__path__, f'{clients.__name__}.'):
        module = _imported(found.name)
        if module is not None and getattr(module, 'SERVICE', None) == service:
            return module
    raise exception.KarborException(f'There is no client for the service {service!r}.')


@functools.cache
def _imported(name: str) -> types.ModuleType | None:
    """A module; None of one that cannot be imported, which is logged, and not tried again."""
    try:
        with plugin_edge.kept():
            return importlib.import_module(name)
    except Exception:
        # A third party's module may raise anything; the others are there without it.
        LOG.exception('The client module %s is passed over', name)
        return None
