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

"""``/providers``"""

from typing import Any

import falcon

from karbor.api import query
from karbor.services.protection import provider

_SHOWN_SCHEMAS = {'options': 'options_schema', 'restore': 'restore_schema',
                  'saved_info': 'saved_info_schema', 'verify': 'verify_schema'}


def view(found: provider.Provider) -> dict[str, Any]:
    return {
        'id': found.id, 'name': found.name, 'description': found.description,
        'extended_info_schema': {shown: dict(found.schemas[kind])
                                 for kind, shown in _SHOWN_SCHEMAS.items()},
    }


class Providers:

    def __init__(self, registry: provider.ProviderRegistry) -> None:
        self._registry = registry

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        wanted = query.filters(req, ('name', 'description'))
        found = [item for item in self._registry
                 if all(getattr(item, name) == value for name, value in wanted.items())]
        items, has_more = query.slice_of(req, found)
        resp.media = query.listed(req, 'providers', [view(item) for item in items], has_more)


class Provider:

    def __init__(self, registry: provider.ProviderRegistry) -> None:
        self._registry = registry

    def on_get(self, _req: falcon.Request, resp: falcon.Response, provider_id: str) -> None:
        query.check_uuid('provider', provider_id)
        resp.media = {'provider': view(self._registry.get(provider_id))}
