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
"""Fill Keystone: projects, users, roles, Cinder's endpoint (runs inside the virtualenv).

    python -m sandbox_cloud.seed KEYSTONE_URL CINDER_URL GLANCE_URL

What is there already is left as it is, so an interrupted run can be repeated.
"""

import sys
from typing import Any

from keystoneauth1 import session
from keystoneauth1.identity import v3
from keystoneclient.v3 import client

from sandbox_cloud import accounts


def main() -> None:
    """Log in as the administrator and add what is missing."""
    keystone_url, cinder_url, glance_url = sys.argv[1:]
    login = v3.Password(**accounts.ADMIN.auth(keystone_url))
    keystone = client.Client(session=session.Session(auth=login))
    roles = {role.name: role for role in keystone.roles.list()}
    for account in accounts.SEEDED:
        _ensure_account(keystone, account, roles)
    _ensure_endpoints(keystone, 'cinder', 'block-storage', cinder_url)
    _ensure_endpoints(keystone, 'glance', 'image', glance_url)


def _ensure_account(
    keystone: client.Client, account: accounts.Account, roles: dict[str, Any]
) -> None:
    project = _first(keystone.projects.list(name=account.project))
    if project is None:
        project = keystone.projects.create(account.project, 'default')
    user = _first(keystone.users.list(name=account.user))
    if user is None:
        user = keystone.users.create(
            account.user, domain='default', password=account.user, default_project=project
        )
    for role in account.roles:
        keystone.roles.grant(roles[role], user=user, project=project)


def _ensure_endpoints(keystone: client.Client, name: str, service_type: str, url: str) -> None:
    service = _first(keystone.services.list(type=service_type))
    if service is None:
        service = keystone.services.create(name, service_type)
    present = {endpoint.interface for endpoint in keystone.endpoints.list(service=service)}
    for interface in {'public', 'internal', 'admin'} - present:
        keystone.endpoints.create(service, url, interface=interface, region=accounts.REGION)


def _first(found: list[Any]) -> Any | None:
    return found[0] if found else None


if __name__ == '__main__':
    main()
