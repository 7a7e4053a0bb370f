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

"""The cloud of a standalone Karbor, from clouds.yaml or ``OS_*`` variables."""

import dataclasses
import functools
from typing import Any, cast

import openstack.config
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import base as ks_identity
from openstack import exceptions as sdk_exc

from karbor.common.connections import service_session

_SERVICE = 'block-storage'


class CloudError(Exception):
    """The cloud cannot be used; the text says why."""


@dataclasses.dataclass(frozen=True)
class Cloud:
    """Credentials that work, and what they are for.

    :param cinder_endpoint: URL to use instead of the catalog's, without the project id.
    :param glance_endpoint: URL to use instead of the catalog's.
    """

    session: ks_session.Session
    project_id: str
    project_name: str | None
    user_id: str | None
    region: str | None
    interface: str | list[str] | None
    cinder_endpoint: str | None
    glance_endpoint: str | None = None


def load(name: str | None, connections: int, timeout: float) -> Cloud:
    """Find the credentials and try them.

    :param name: name in clouds.yaml; None takes ``OS_CLOUD`` or the other ``OS_*``
        variables.
    :param connections: how many requests may be under way at once.
    :param timeout: longest time that one request may take, in seconds.
    :raises CloudError:
    """
    try:
        config = openstack.config.OpenStackConfig(
            session_constructor=cast(Any, functools.partial(_pooled_session, connections))
        )
        region = config.get_one(cloud=name, api_timeout=timeout, app_name='karbor')
        session = region.get_session()
        access = _identity(session).get_access(session)
    except (sdk_exc.SDKException, ValueError) as exc:  # ValueError: a URL that is none
        raise CloudError(str(exc)) from exc
    except ks_exc.MissingRequiredOptions as exc:
        missing = ', '.join(option.dest for option in exc.options)
        raise CloudError(
            f'The credentials are not complete, {missing} is missing; name a cloud of '
            f'clouds.yaml (--os-cloud or OS_CLOUD), or set OS_* variables.'
        ) from exc
    except ks_exc.ClientException as exc:
        raise CloudError(f'Keystone does not take the credentials: {exc}') from exc
    except Exception as exc:
        if type(exc) is not Exception:  # keystoneauth raises it for a password that is missing
            raise
        raise CloudError(str(exc)) from exc
    if access.project_id is None:
        raise CloudError('The credentials are for no project; name one (project_name).')
    endpoint = region.get_endpoint(_SERVICE)
    return Cloud(
        session,
        access.project_id,
        access.project_name,
        access.user_id,
        region.get_region_name(_SERVICE),
        region.get_interface(_SERVICE),
        endpoint and endpoint.rstrip('/').removesuffix(f'/{access.project_id}'),
        region.get_endpoint('image'),
    )


def _identity(session: ks_session.Session) -> ks_identity.BaseIdentityPlugin:
    if not isinstance(session.auth, ks_identity.BaseIdentityPlugin):
        raise CloudError(
            f'The credentials ({type(session.auth).__module__}) do not go through '
            f'Keystone, which alone can tell whose project they are for.'
        )
    return session.auth


def _pooled_session(connections: int, **kwargs: Any) -> ks_session.Session:
    """A session with a connection for every thread that wants one at once."""
    adapter = ks_session.TCPKeepAliveAdapter(pool_maxsize=connections)
    return ks_session.Session(session=service_session(adapter), **kwargs)
