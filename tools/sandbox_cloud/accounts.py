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
"""Who can log in to the sandbox's Keystone.

Every password is the user's name: the services listen on the loopback address only.
"""

import dataclasses

REGION = 'RegionOne'
SERVICE_PROJECT = 'service'


@dataclasses.dataclass(frozen=True)
class Account:
    """A user with roles in one project."""

    user: str
    project: str
    roles: tuple[str, ...]

    def auth(self, keystone_url: str) -> dict[str, str]:
        """What keystoneauth's password plugin asks for."""
        return {
            'auth_url': keystone_url,
            'username': self.user,
            'password': self.user,
            'project_name': self.project,
            'user_domain_id': 'default',
            'project_domain_id': 'default',
        }


# Made by keystone-manage bootstrap.
ADMIN = Account('admin', 'admin', ('admin',))
# The services themselves, and the one that karbor's service logs in with.
CINDER = Account('cinder', SERVICE_PROJECT, ('admin', 'service'))
GLANCE = Account('glance', SERVICE_PROJECT, ('admin', 'service'))
KARBOR = Account('karbor', SERVICE_PROJECT, ('admin', 'service'))

CLOUDS = {
    'sandbox': Account('sandbox', 'sandbox', ('member',)),
    'sandbox-other': Account('sandbox-other', 'sandbox-other', ('member',)),
    'sandbox-admin': ADMIN,
}
SEEDED = (CINDER, GLANCE, KARBOR, CLOUDS['sandbox'], CLOUDS['sandbox-other'])
