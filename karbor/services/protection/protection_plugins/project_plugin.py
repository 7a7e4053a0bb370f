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

"""Serves the resource type of a project, and makes nothing.

A plan on a project covers what the project holds; the project itself has nothing to
protect, but every type of a graph needs a plugin.
"""

from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import protection_plugin


class ProjectProtectionPlugin(protection_plugin.ProtectionPlugin):
    """All four operations have no hook that does anything."""

    @classmethod
    def get_supported_resources_types(cls) -> list[str]:
        return [constants.PROJECT_RESOURCE_TYPE]

    @classmethod
    def get_options_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return {'title': 'Project Protection Options', 'type': 'object', 'properties': {}}

    @classmethod
    def get_restore_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return {'title': 'Project Restore', 'type': 'object', 'properties': {}}

    @classmethod
    def get_verify_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return {'title': 'Project Verify', 'type': 'object', 'properties': {}}

    @classmethod
    def get_saved_info_schema(cls, resource_type: str) -> protection_plugin.Schema:
        return {'title': 'Project Saved Info', 'type': 'object', 'properties': {}}

    def get_protect_operation(self, resource: Resource) -> protection_plugin.Operation:
        return protection_plugin.Operation()

    def get_restore_operation(self, resource: Resource) -> protection_plugin.Operation:
        return protection_plugin.Operation()

    def get_delete_operation(self, resource: Resource) -> protection_plugin.Operation:
        return protection_plugin.Operation()

    def get_verify_operation(self, resource: Resource) -> protection_plugin.Operation:
        return protection_plugin.Operation()
