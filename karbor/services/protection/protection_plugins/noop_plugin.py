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

"""Serves every resource type, and does nothing: to try Karbor, and for tests of other plugins.

What it has protected cannot be gone back to.
"""

from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import protection_plugin


class NoopProtectionPlugin(protection_plugin.ProtectionPlugin):
    """It takes any parameters, and its operations have no hook that does anything."""

    @classmethod
    def get_supported_resources_types(cls) -> list[str]:
        return list(constants.RESOURCE_TYPES)

    @classmethod
    def get_options_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return {}

    @classmethod
    def get_restore_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return {}

    @classmethod
    def get_saved_info_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return {}

    def get_protect_operation(self, resource: Resource) -> protection_plugin.Operation:
        return protection_plugin.Operation()

    def get_restore_operation(self, resource: Resource) -> protection_plugin.Operation:
        return protection_plugin.Operation()

    def get_delete_operation(self, resource: Resource) -> protection_plugin.Operation:
        return protection_plugin.Operation()
