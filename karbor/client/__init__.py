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

"""Karbor for programs that use openstacksdk.

One line adds it to a connection::

    import karbor.client
    import openstack

    conn = openstack.connect(cloud='mycloud')
    karbor.client.add_to(conn)

    for checkpoint in conn.protection.checkpoints(status='available'):
        print(checkpoint.id, checkpoint.created_at)
"""

from typing import Any

from openstack import connection, service_description

from karbor.client import standalone
from karbor.client.proxy import Proxy

#: of Karbor, in catalogs
SERVICE_TYPE = 'data-protect'
ALIAS = 'protection'


def add_to(conn: connection.Connection) -> Proxy:
    """Give a connection ``protection``, by which it calls Karbor.

    Karbor is found in the catalog under ``data-protect``, or by ``data_protect_endpoint_override``
    of clouds.yaml, which ends in ``/v1/PROJECT``. Where neither is, it is the karbor-standalone
    that the same user runs on this machine for the project, and no token is sent.

    :param conn: has credentials for a project.
    :returns: what ``conn.protection`` is, with its type. Where there is no Karbor, its calls
        raise ServiceDisabledException, which says what to start.
    :raises SDKException: Keystone does not let the caller in.
    """
    conn.add_service(_Description(SERVICE_TYPE, supported_versions={'1': Proxy}, aliases=[ALIAS]))
    added: Proxy = getattr(conn, ALIAS)
    return added


class _Description(service_description.ServiceDescription):
    """Where Karbor is found."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        """What the property of a connection is."""
        found = super().__get__(instance, owner)
        is_found = instance is None or isinstance(found, (Proxy, standalone.Absent))
        if is_found or not instance.config.has_service(SERVICE_TYPE):
            return found
        # Kept with the connection: the last description that is added is that of all of them.
        instance._proxies[SERVICE_TYPE] = standalone.find(instance, SERVICE_TYPE)
        return instance._proxies[SERVICE_TYPE]
