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

"""What client modules of third parties find their service by (Karbor contract, B.12)."""

from typing import Any, NamedTuple

from keystoneauth1 import session as ks_session

from karbor import context as karbor_context
from karbor import exception


class CatalogInfo(NamedTuple):
    """What a ``<service>_catalog_info`` says.

    :ivar interface: as a catalog of Keystone v2 has it, for example ``publicURL``.
    """

    service_type: str
    interface: str


def catalog_info(service: str, text: str) -> CatalogInfo:
    """Read the option.

    :raises KarborException: it is not in that form.
    """
    service_type, *others = text.split(':')
    if len(others) != 2 or not service_type or not others[1]:
        raise exception.KarborException(
            f'[{service}_client] {service}_catalog_info {text!r} is not <type>:<name>:<interface>.'
        )
    return CatalogInfo(service_type, others[1])


def get_url(
    service: str,
    context: karbor_context.RequestContext,
    client_config: Any,
    append_project_fmt: str | None = None,
    *,
    privileged_user: bool = False,
    session: ks_session.Session | None = None,
    **_: Any,
) -> str:
    """The URL of a service: as it is configured, as the catalog has it, or as Keystone says.

    :param service: for example 'nova'.
    :param context: who asks.
    :param client_config: the group ``[<service>_client]``.
    :param append_project_fmt: how ``%(url)s`` and ``%(project)s`` make the URL of a project of a
        configured endpoint, which is without the project.
    :param privileged_user: whether only Keystone is asked.
    :param session: by which Keystone is asked; without it, it is not.
    :raises KarborException: nothing tells.
    """
    url = None
    if not privileged_user:
        url = _configured(service, context, client_config, append_project_fmt)
        url = url or _of_catalog(service, context, client_config)
    if url is None and session is not None:
        url = session.get_endpoint(
            service_type=client_config.service_type,
            service_name=client_config.service_name,
            region_name=client_config.region_id,
            interface=client_config.interface,
        )
    if url is None:
        raise exception.KarborException(f'There is no endpoint of the service {service!r}.')
    return url


def _configured(
    service: str,
    context: karbor_context.RequestContext,
    client_config: Any,
    append_project_fmt: str | None,
) -> str | None:
    endpoint = getattr(client_config, f'{service}_endpoint', None)
    if not endpoint or append_project_fmt is None:
        return endpoint or None
    return append_project_fmt % {'url': endpoint, 'project': context.project_id}


def _of_catalog(
    service: str, context: karbor_context.RequestContext, client_config: Any
) -> str | None:
    """The endpoint of the type in ``<service>_catalog_info``, in its region if it can be."""
    text = getattr(client_config, f'{service}_catalog_info', None)
    if not text:
        return None
    service_type, interface = catalog_info(service, text)
    for entry in context.service_catalog:
        endpoints = entry.get('endpoints')
        if entry.get('type') == service_type and endpoints:
            region = client_config.region_id
            here = (each for each in endpoints if each.get('region') == region)
            return next(here, endpoints[0]).get(interface)
    return None
