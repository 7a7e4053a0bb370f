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

"""A resource that can be protected, as plugins and plans name it."""

import dataclasses
from typing import Any, TypeAlias

# Type and id of a resource, as rows name it.
Key: TypeAlias = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Resource:
    """One thing in the cloud; immutable, equal and hashed by type, id and name.

    :param type: resource type, for example 'OS::Cinder::Volume'.
    :param id: its id within the service that owns it.
    :param name: its name, for people.
    :param extra_info: what a protectable plugin tells about it (a dict), or the JSON text
        that a plan was made with; a careful plugin accepts both.
    """

    type: str
    id: str
    name: str
    extra_info: Any = dataclasses.field(default=None, compare=False)

    @property
    def key(self) -> str:
        """The form under which parameters and results name a resource: ``type#id``."""
        return f'{self.type}#{self.id}'

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
