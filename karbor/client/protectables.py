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

"""What can be protected."""

from collections.abc import Iterator, Mapping
from typing import Any, Unpack

from openstack.resource import Body

from karbor.client import base

_PATH = '/protectables'


class ProtectableType(base.Resource):
    """A type of resources; its name is its id, too."""

    resource_key = 'protectable_type'
    base_path = _PATH

    name: str = Body('name', alternate_id=True)
    #: types of what can be in such a resource
    dependent_types: list[str] = Body('dependent_types')


class ProtectableInstance(base.Resource):
    """A resource that a plan can have."""

    resource_key = 'instance'
    resources_key = 'instances'
    allow_fetch = False

    name: str = Body('name')
    type: str = Body('type')
    extra_info: dict[str, Any] | None = Body('extra_info')
    #: what is in it: each has ``id``, ``type``, ``name`` and ``extra_info``
    dependent_resources: list[dict[str, Any]] = Body('dependent_resources')


class InstanceQuery(base.Page, total=False):
    """What instances are listed.

    :ivar parameters: for the plugin of the type.
    """

    parameters: Mapping[str, Any]


class Calls(base.ServiceProxy):
    def protectable_types(self) -> list[str]:
        """List the names of the types that can be protected."""
        names: list[str] = self._ask('GET', _PATH)['protectable_type']
        return names

    def get_protectable_type(self, resource_type: ProtectableType | str) -> ProtectableType:
        """Show one type, such as ``OS::Cinder::Volume``."""
        return self._fetched(ProtectableType, base.part(_PATH, resource_type))

    def protectable_instances(
        self, resource_type: ProtectableType | str, **query: Unpack[InstanceQuery]
    ) -> Iterator[ProtectableInstance]:
        """List the resources of a type that the project has."""
        return self._listed(ProtectableInstance, _instances(resource_type), query)

    def get_protectable_instance(
        self,
        resource_type: ProtectableType | str,
        resource_id: str,
        parameters: Mapping[str, Any] | None = None,
    ) -> ProtectableInstance:
        """Show one resource of a type.

        :param parameters: for the plugin of the type.
        """
        path = base.part(_instances(resource_type), resource_id)
        return self._fetched(ProtectableInstance, path, parameters=parameters)


def _instances(resource_type: ProtectableType | str) -> str:
    return base.part(_PATH, resource_type) + '/instances'
