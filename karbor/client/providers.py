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

"""Providers."""

from collections.abc import Iterator
from typing import Any, Unpack

from openstack.resource import Body

from karbor.client import base

_PATH = '/providers'


class Provider(base.Resource):
    """A bank, and the plugins that protect with it."""

    resource_key = 'provider'
    resources_key = 'providers'
    base_path = _PATH

    name: str = Body('name')
    description: str = Body('description')
    #: schemas of parameters: ``options_schema`` of plans, and those of restores and verifications;
    #: and ``restore_choices``
    extended_info_schema: dict[str, Any] = Body('extended_info_schema')


class ProviderQuery(base.Page, total=False):
    """What providers are listed."""

    name: str
    description: str


class Calls(base.ServiceProxy):
    def providers(self, **query: Unpack[ProviderQuery]) -> Iterator[Provider]:
        """List the providers."""
        return self._listed(Provider, _PATH, query)

    def get_provider(self, provider: Provider | str) -> Provider:
        """Show one provider.

        :param provider: it, or its id.
        """
        return self._fetched(Provider, base.part(_PATH, provider))

    def find_provider(self, name_or_id: str, ignore_missing: bool = True) -> Provider | None:
        """Find a provider by its id or name.

        :raises DuplicateResource: several have the name; their ids are in the message.
        :raises NotFoundException: there is none, and ``ignore_missing`` is false.
        """
        return self._found(Provider, _PATH, name_or_id, ignore_missing)
