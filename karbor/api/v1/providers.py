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

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.db import paging
from karbor.services.protection import provider as providers

FILTERS = {'name': schema.FILTER, 'description': schema.FILTER}

PROVIDER = schema.shown(
    'Provider',
    {
        'id': schema.UUID,
        'name': schema.TEXT,
        'description': schema.TEXT,
        'extended_info_schema': schema.OBJECT,
    },
)

LISTING = query.Listing('providers', FILTERS, has_tenants=False)

_SHOWN_SCHEMAS = {
    'options': 'options_schema',
    'restore': 'restore_schema',
    'saved_info': 'saved_info_schema',
    'verify': 'verify_schema',
}


def view(provider: providers.Provider) -> Object:
    return {
        'id': provider.id,
        'name': provider.name,
        'description': provider.description,
        'extended_info_schema': {
            **{shown: dict(provider.schemas[kind]) for kind, shown in _SHOWN_SCHEMAS.items()},
            'restore_choices': {
                resource_type: sorted(names)
                for resource_type, names in provider.restore_choices.items()
            },
        },
    }


class Providers(Handler):
    @operation('provider:get_all', schema.listed('providers', PROVIDER), listing=LISTING)
    def on_get(
        self, _context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        providers_found = [
            item
            for item in self.services.providers
            if all(getattr(item, name) == value for name, value in selection.filters.items())
        ]
        items, has_more = paging.slice_of(providers_found, selection.page)
        return [view(item) for item in items], has_more


class Provider(Handler):
    @operation('provider:get', schema.wrapped('provider', PROVIDER))
    def on_get(self, _context: karbor_context.RequestContext, provider_id: str) -> Object:
        return {'provider': view(self.services.providers.get(provider_id))}
