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

"""The client of Glance (images)."""

from collections.abc import Mapping
from typing import Any

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import session as ks_session
from oslo_config import cfg

from karbor import context as karbor_context
from karbor import exception
from karbor.conf import cinder_client as cinder_client_conf
from karbor.conf import glance_client as glance_client_conf

SERVICE = 'glance'

Image = dict[str, Any]

_VERSION = '/v2'
_PAGE = 100


class GlanceClient:
    """Glance, as one user sees it.

    What it does not do it tells by keystoneauth's exceptions.

    :param requests: sends the requests, to the endpoint without a version.
    """

    def __init__(self, requests: adapter.Adapter) -> None:
        self._requests = requests

    def images(self, *, tag: str | None = None, name: str | None = None) -> list[Image]:
        """All images that the user sees with a tag, or a name."""
        found: list[Image] = []
        wanted = {'tag': tag, 'name': name}
        query = {key: value for key, value in wanted.items() if value is not None}
        query['limit'] = str(_PAGE)
        while True:
            answer = self._requests.get(f'{_VERSION}/images', params=query)
            page = _content(answer, 'images')
            found += page
            if 'next' not in answer.json() or not page:
                return found
            query['marker'] = page[-1]['id']

    def create(self, fields: Mapping[str, Any]) -> Image:
        """Make an image that has no bytes yet."""
        answer = self._requests.post(f'{_VERSION}/images', json=dict(fields))
        _content(answer, 'id')
        return dict(answer.json())

    def upload(self, image_id: str, data: bytes) -> None:
        """Give an image its bytes, which may be none."""
        self._requests.put(
            f'{_VERSION}/images/{image_id}/file',
            data=data,
            headers={'Content-Type': 'application/octet-stream'},
        )

    def delete(self, image_id: str) -> None:
        self._requests.delete(f'{_VERSION}/images/{image_id}')


def create(
    context: karbor_context.RequestContext,
    conf: cfg.ConfigOpts,
    session: ks_session.Session | None = None,
    **_: Any,
) -> GlanceClient:
    """A client that acts as the context's user.

    :param context: who asks.
    :param conf: configuration, groups ``[glance_client]`` and ``[cinder_client]``.
    :param session: the keystoneauth session of the context.
    :raises ServiceMissing: the cloud has no Glance.
    :raises KarborException: there is no session.
    """
    if session is None:
        raise exception.KarborException('There is no session to reach Glance with.')
    glance_client_conf.register_opts(conf)
    cinder_client_conf.register_opts(conf)
    options, cinder = conf.glance_client, conf.cinder_client
    where = {
        'service_type': options.service_type,
        'interface': options.interface or cinder.interface,
        'region_name': options.region_id or cinder.region_id,
    }
    endpoint = options.glance_endpoint or session.get_endpoint(**where)
    if not endpoint:
        raise exception.ServiceMissing(service=f'Glance ({options.service_type})')
    return GlanceClient(
        adapter.Adapter(
            session,
            **where,
            endpoint_override=endpoint.rstrip('/').removesuffix(_VERSION),
            user_agent='karbor',
            connect_retries=0,
        )
    )


def _content(answer: Any, name: str) -> Any:
    """A member of an answer; one that is not Glance's is as good as none."""
    try:
        return answer.json()[name]
    except (ValueError, KeyError, TypeError) as exc:
        raise ks_exc.BadGateway("The answer is not Glance's", response=answer) from exc
