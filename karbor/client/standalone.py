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

"""The karbor-standalone that serves a cloud's project on this machine.

It is asked by the socket in its state directory, which lets its user in without a token: none of
the cloud's is sent.
"""

import pathlib
from typing import Any

import requests
import urllib3
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import plugin, session
from openstack import connection, exceptions
from requests import adapters

from karbor import local
from karbor.client.proxy import Proxy

_SCHEME = 'http+unix://'
_TIMEOUT = 120  # seconds without a byte of an answer
_NAMELESS = (None, '', 'envvars', 'defaults')  # clouds that clouds.yaml does not name


class Absent:
    """What ``conn.protection`` is where there is no Karbor: every call raises why.

    :param reason: a sentence.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        """:raises ServiceDisabledException:"""
        raise exceptions.ServiceDisabledException(self._reason)


def find(conn: connection.Connection, service_type: str) -> Proxy | Absent:
    """What asks the karbor-standalone of a connection's project.

    :param service_type: of Karbor, in catalogs.
    """
    nowhere = f'The catalog of the cloud has no {service_type}'
    project_id = conn.session.get_project_id()
    if project_id is None:
        return Absent(f'{nowhere}, and the credentials are for no project.')
    start = _start(conn.config.name)
    found, passed = _folders_of(project_id, conn.config.get_region_name(service_type))
    named = [path for path in found if path.name == conn.config.name]
    if not found:
        return Absent(
            ' '.join(
                [
                    f'{nowhere}, and no karbor-standalone has a folder for the project '
                    f'{project_id} in {local.home()}. To have one: {start}',
                    *passed,
                ]
            )
        )
    if len(found) > 1 and not named:
        return Absent(
            f'{nowhere}, and several folders of karbor-standalone are for its project: '
            f'{", ".join(map(str, found))}. Use the cloud by the name of one of them, or source '
            f'the openrc in it.'
        )
    calls = Proxy(
        session=_session(conn, (named or found)[0], start),
        service_type=service_type,
        endpoint_override=f'{_SCHEME}karbor/v1/{project_id}',
    )
    calls._connection = conn
    return calls


def _start(cloud_name: str | None) -> str:
    """The command that starts one."""
    option = '' if cloud_name in _NAMELESS else f' --os-cloud {cloud_name}'
    return f'karbor-standalone{option}'


def _folders_of(project_id: str, region: str | None) -> tuple[list[pathlib.Path], list[str]]:
    """State directories of a project, and why others were passed over."""
    found, passed = [], []
    for path in local.folders():
        try:
            with local.Folder(path) as folder:
                if folder.claim(local.PROJECT) != project_id:
                    continue
                home = folder.claim(local.REGION)
        except local.Untrusted as exc:
            passed.append(f'{str(exc).removesuffix(".")}, and is not trusted.')
        except OSError as exc:
            passed.append(f'{path} cannot be read: {exc.strerror}.')
        else:
            if home and region and home != region:
                passed.append(f'{path} is of the region {home}, not of {region}.')
            else:
                found.append(path)
    return found, passed


def _session(conn: connection.Connection, path: pathlib.Path, start: str) -> session.Session:
    timeout = float(conn.config.config.get('api_timeout') or _TIMEOUT)
    asking = requests.Session()
    asking.trust_env = False  # no proxy is between
    adapter = _Adapter(path, start, timeout)
    for scheme in ('http://', 'https://', _SCHEME):  # whatever it answers leads nowhere else
        asking.mount(scheme, adapter)
    return session.Session(auth=_NoToken(), session=asking, timeout=timeout)


class _NoToken(plugin.BaseAuthPlugin):
    """Says nothing of who asks: the kernel does."""

    def get_headers(self, _session: session.Session) -> dict[str, str]:
        return {}


class _Adapter(adapters.HTTPAdapter):
    """Sends requests to the socket of a folder.

    :param start: the command that starts what listens.
    :param timeout: seconds, for messages.
    """

    def __init__(self, path: pathlib.Path, start: str, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout
        self._pool = _Pool('karbor', maxsize=10, path=path, start=start)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> urllib3.HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Both errors say who does not answer.

        :raises ConnectTimeout:
        :raises ConnectFailure:
        """
        who = f'The karbor-standalone of {self._path}'
        try:
            return super().send(*args, **kwargs)
        except requests.Timeout as exc:
            raise ks_exc.ConnectTimeout(
                f'{who} has not answered for {self._timeout:g} seconds.'
            ) from exc
        except requests.ConnectionError as exc:
            raise ks_exc.ConnectFailure(f'{who} has ended before it answered.') from exc


class _Connection(urllib3.connection.HTTPConnection):
    """A connection to the socket of a folder."""

    def __init__(self, *args: Any, path: pathlib.Path, start: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = path
        self._start = start

    def connect(self) -> None:
        """:raises ConnectFailure: nobody listens, or somebody else; says so."""
        try:
            with local.Folder(self._path) as folder:
                self.sock = folder.connect(self.timeout)
        except (TimeoutError, BlockingIOError) as exc:  # too many wait for it already
            raise urllib3.exceptions.ConnectTimeoutError(self, str(exc)) from exc
        except local.Untrusted as exc:
            raise ks_exc.ConnectFailure(str(exc)) from exc
        except OSError as exc:
            raise ks_exc.ConnectFailure(
                f'No karbor-standalone runs on {self._path}. To start it: {self._start}'
            ) from exc


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection
