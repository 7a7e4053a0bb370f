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

"""The caller's project as a protectable resource."""

from typing import Any

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import protectable_plugin


class ProjectProtectablePlugin(protectable_plugin.ProtectablePlugin):
    """There is one project to see: the one that the caller acts in."""

    def get_resource_type(self) -> str:
        return constants.PROJECT_RESOURCE_TYPE

    def get_parent_resource_types(self) -> tuple[str, ...]:
        return ()

    def list_resources(
        self, context: karbor_context.RequestContext, parameters: dict[str, Any] | None = None
    ) -> list[Resource]:
        return [
            Resource(
                constants.PROJECT_RESOURCE_TYPE,
                context.project_id,
                context.project_name or context.project_id,
            )
        ]

    def show_resource(
        self,
        context: karbor_context.RequestContext,
        resource_id: str,
        parameters: dict[str, Any] | None = None,
    ) -> Resource:
        if resource_id != context.project_id:
            raise exception.ProtectableResourceNotFound(
                type=constants.PROJECT_RESOURCE_TYPE,
                id=resource_id,
                reason='it is not the project that you act in.',
            )
        return self.list_resources(context)[0]

    def get_dependent_resources(
        self, context: karbor_context.RequestContext, parent_resource: Resource
    ) -> list[Resource]:
        return []
