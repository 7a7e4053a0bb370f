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

"""The connections by which services of a cloud are asked.

Most of what a request costs a busy worker is what requests does for browsers: it merges cookies
and the environment, quotes the URL again, looks into ``.netrc``, and more. Keystoneauth needs none
of it for what it sends to a service.
"""

import functools
import re
import urllib.parse
from typing import Any

import requests
from requests import adapters, hooks, structures

# A URL in which nothing is to be quoted (RFC 3986, appendix A).
_QUOTED = re.compile(r"[\w.~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)

# As requests sends them.
_HEADERS = {'Accept-Encoding': 'gzip, deflate', 'Connection': 'keep-alive'}

_Verify = bool | str | None
_Certificate = str | tuple[str, str] | None


def service_session(adapter: adapters.HTTPAdapter) -> requests.Session:
    """A session for keystoneauth.

    :param adapter: has the connections, which it may share with other sessions.
    """
    session = _ServiceSession()
    for scheme in ('http://', 'https://'):
        session.mount(scheme, adapter)
    return session


class _ServiceSession(requests.Session):
    """One that does for a request to a service what that needs; for any other, all."""

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        data: str | None = None,
        timeout: Any = None,
        verify: _Verify = None,
        cert: _Certificate = None,
        allow_redirects: bool = True,
        **more: Any,
    ) -> requests.Response:
        is_plain = data is None or isinstance(data, str)
        if more or allow_redirects or not is_plain or not _QUOTED.fullmatch(url):
            return super().request(
                method,
                url,
                headers=headers,
                data=data,
                timeout=timeout,
                verify=verify,
                cert=cert,
                allow_redirects=allow_redirects,
                **more,
            )
        response = self.get_adapter(url).send(
            _prepared(method, url, headers or {}, data or None),
            timeout=timeout,
            **_environment(_origin(url), verify, cert),
        )
        response.content  # noqa: B018 - read, so that the connection is free for the next
        return response


def _prepared(
    method: str, url: str, headers: dict[str, str], data: str | None
) -> requests.PreparedRequest:
    prepared = requests.PreparedRequest()
    prepared.method = method.upper()
    prepared.url = url
    prepared.headers = structures.CaseInsensitiveDict(_HEADERS)
    prepared.headers.update(headers)
    prepared.body = data
    prepared.hooks = hooks.default_hooks()
    prepared.prepare_content_length(data)
    return prepared


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f'{parts.scheme}://{parts.netloc}'


@functools.lru_cache
def _environment(origin: str, verify: _Verify, cert: _Certificate) -> dict[str, Any]:
    """Proxies and certificates for a server, as the environment of the process has them."""
    return dict(requests.Session().merge_environment_settings(origin, {}, False, verify, cert))
