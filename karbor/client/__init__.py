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

from openstack import connection, service_description

from karbor.client.proxy import Proxy

#: of Karbor, in catalogs
SERVICE_TYPE = 'data-protect'
ALIAS = 'protection'


def add_to(conn: connection.Connection) -> Proxy:
    """Give a connection ``protection``, by which it calls Karbor.

    Karbor is found in the catalog under ``data-protect``, or by ``data_protect_endpoint_override``
    of clouds.yaml, which ends in ``/v1/PROJECT``.

    :param conn: has credentials for a project.
    :returns: what ``conn.protection`` is, with its type. In a cloud without Karbor, its calls
        raise ServiceDisabledException.
    :raises SDKException: Keystone does not let the caller in.
    """
    conn.add_service(
        service_description.ServiceDescription(
            SERVICE_TYPE, supported_versions={'1': Proxy}, aliases=[ALIAS]
        )
    )
    added: Proxy = getattr(conn, ALIAS)
    return added
