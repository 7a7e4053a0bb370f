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

"""What is asked of Keystone about trusts, as Karbor's own user and as those who trust it."""

import contextlib
import functools
from collections.abc import Collection, Iterator
from typing import Any

import requests
from keystoneauth1 import access, identity, loading
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import access as identity_access
from oslo_config import cfg

from karbor import context as karbor_context
from karbor import exception
from karbor.common.connections import service_session
from karbor.conf import trustee
from karbor.services import retrying

_MOST_SESSIONS = 256

_MARK = 'karbor'  # Keystone keeps fields of a trust that it does not know

_NO_SCOPE = dict.fromkeys(
    (
        'project_id',
        'project_name',
        'project_domain_id',
        'project_domain_name',
        'domain_id',
        'domain_name',
        'system_scope',
    )
)


@contextlib.contextmanager
def available() -> Iterator[None]:
    """What goes wrong within is nothing that the caller's user could mend."""
    try:
        yield
    except ks_exc.ClientException as exc:
        raise exception.IdentityUnavailable(reason=str(exc)) from exc


class Keystone:
    """Keystone, as the user of ``[trustee]`` sees it.

    Every method that asks it may raise :class:`karbor.exception.IdentityUnavailable`.

    :param conf: configuration, group ``[trustee]``.
    :param connections: how many requests may be under way at once.
    :raises KarborException: trusts cannot be used with the credentials of ``[trustee]``.
    """

    def __init__(self, conf: cfg.ConfigOpts, connections: int) -> None:
        trustee.register_opts(conf)
        self._conf = conf
        self._mark = conf.trustee.trust_mark
        # One for all sessions, so that they share connections.
        self._adapter = ks_session.TCPKeepAliveAdapter(
            pool_maxsize=connections,
            tls_ciphers=conf.trustee.tls_ciphers,
            tls_min_version=conf.trustee.tls_min_version,
        )
        auth = _load_auth(conf)
        self._own = self._session(auth)
        self._auth_url = str(auth.auth_url).rstrip('/').removesuffix('/v3') + '/v3'
        self._trusts_url = f'{self._auth_url}/OS-TRUST/trusts'
        self.session_of_trust = functools.lru_cache(_MOST_SESSIONS)(self._new_session_of_trust)

    def _session(self, auth: identity.BaseIdentityPlugin) -> ks_session.Session:
        return loading.load_session_from_conf_options(
            self._conf, trustee.GROUP, auth=auth, session=service_session(self._adapter)
        )

    def _new_session_of_trust(self, trust_id: str) -> ks_session.Session:
        return self._session(_load_auth(self._conf, trust_id=trust_id, **_NO_SCOPE))

    def session_of_token(self, token: str, info: dict[str, Any]) -> ks_session.Session:
        """A session of a caller, as long as the token is good.

        :param info: what Keystone said of the token, its catalog included.
        """
        return self._session(
            identity_access.AccessInfoPlugin(
                access.create(body=info, auth_token=token), self._auth_url
            )
        )

    @property
    def own_session(self) -> ks_session.Session:
        """The session of the user itself, in the project of ``[trustee]``."""
        return self._own

    @functools.cached_property
    def _user_id(self) -> str | None:
        return self._own.get_user_id()

    @available()
    def create(self, context: karbor_context.RequestContext, roles: Collection[str]) -> str:
        """Make a trust with a caller's token; returns its id.

        :raises TrustNotPossible: Keystone makes none for this token.
        """
        trust = {
            'trustor_user_id': context.user_id,
            'trustee_user_id': self._user_id,
            'project_id': context.project_id,
            'impersonation': True,
            'roles': [{'name': role} for role in roles],
            _MARK: self._mark,
        }
        try:
            answer = self._own.post(
                self._trusts_url,
                json={'trust': trust},
                authenticated=False,
                headers={'X-Auth-Token': context.auth_token},
            )
        except ks_exc.HTTPClientError as exc:
            if retrying.is_passing(exc):
                raise
            raise exception.TrustNotPossible(
                reason=f'Keystone refuses it: {exc}. Ask with a token of a login of your own, '
                f'not of an application credential.'
            ) from exc
        return _content(answer, 'trust')['id']

    @available()
    def refusal(self, trust_id: str) -> str | None:
        """What Keystone says to a trust that gives no new token; None when it gives one."""
        session = self.session_of_trust(trust_id)
        session.invalidate()
        try:
            session.get_token()
        except (ks_exc.Unauthorized, ks_exc.Forbidden, ks_exc.NotFound) as exc:
            return str(exc)
        return None

    @available()
    def knows(self, trust_id: str) -> bool:
        """Whether a trust is there, whatever it is good for."""
        self._own.invalidate()  # a token from before the password was changed proves nothing
        self._own.get_token()
        try:
            self._own.get(f'{self._trusts_url}/{trust_id}')
        except ks_exc.NotFound:
            return False
        return True

    @available()
    def delete(self, trust_id: str) -> None:
        """Delete a trust, or find it deleted.

        As the one who made it, as older Keystones want it; if it died, as an administrator.
        """
        url = f'{self._trusts_url}/{trust_id}'
        with contextlib.suppress(ks_exc.Unauthorized, ks_exc.Forbidden, ks_exc.NotFound):
            self.session_of_trust(trust_id).delete(url)
            return
        self._own.get_token()  # so that a 404 below is about the trust
        with contextlib.suppress(ks_exc.NotFound):
            self._own.delete(url)

    @available()
    def made(self) -> set[str]:
        """Ids of all trusts that this Karbor has made."""
        answer = self._own.get(self._trusts_url, params={'trustee_user_id': self._user_id})
        return {
            trust['id'] for trust in _content(answer, 'trusts') if trust.get(_MARK) == self._mark
        }


def _load_auth(conf: cfg.ConfigOpts, **changes: str | None) -> identity.BaseIdentityPlugin:
    try:
        auth = loading.load_auth_from_conf_options(conf, trustee.GROUP, **changes)
    except ks_exc.AuthPluginException as exc:
        raise exception.KarborException(f'[trustee]: {exc}') from exc
    # An application credential is bound to its project, and gets no token by a trust.
    if not isinstance(auth, identity.BaseIdentityPlugin) or isinstance(
        auth, identity.V3ApplicationCredential
    ):
        raise exception.KarborException(
            '[trustee] auth_type must be one that can use trusts, such as password.'
        )
    return auth


def _content(answer: requests.Response, key: str) -> Any:
    try:
        return answer.json()[key]
    except (ValueError, LookupError, TypeError) as exc:  # of a proxy in between
        raise ks_exc.InvalidResponse(answer) from exc
