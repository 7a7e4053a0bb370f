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

"""``/protectables``"""

from karbor import context as karbor_context
from karbor import exception
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.db import paging
from karbor.resource import Resource
from karbor.services.protection import checkpoint, protectable_plugin

TYPES = {'type': 'array', 'items': schema.TEXT}

TYPE = schema.shown('ProtectableType', {'name': schema.TEXT, 'dependent_types': TYPES})

_RESOURCE = {'id': schema.TEXT, 'type': schema.TEXT, 'name': schema.TEXT, 'extra_info': True}

INSTANCE = schema.shown(
    'Instance',
    {
        **_RESOURCE,
        'dependent_resources': {'type': 'array', 'items': schema.shown('Dependent', _RESOURCE)},
    },
)

LISTING = query.Listing('instances', {}, has_tenants=False)


class _ProtectableHandler(Handler):
    def _plugin(self, resource_type: str) -> protectable_plugin.ProtectablePlugin:
        try:
            return self.services.protectables.get(resource_type)
        except exception.ProtectableTypeNotFound as exc:
            raise exception.InvalidInput(reason=exc.msg) from exc

    def _view(self, context: karbor_context.RequestContext, resource: Resource) -> Object:
        return {
            **resource.to_dict(),
            'dependent_resources': [
                child.to_dict()
                for child in self.services.protectables.dependents(context, resource)
            ],
        }


class Types(_ProtectableHandler):
    @operation('protectable:get_all', schema.wrapped('protectable_type', TYPES))
    def on_get(self, _context: karbor_context.RequestContext) -> Object:
        return {'protectable_type': self.services.protectables.types()}


class Type(_ProtectableHandler):
    @operation('protectable:get', schema.wrapped('protectable_type', TYPE))
    def on_get(self, _context: karbor_context.RequestContext, resource_type: str) -> Object:
        self._plugin(resource_type)
        return {
            'protectable_type': {
                'name': resource_type,
                'dependent_types': self.services.protectables.dependent_types(resource_type),
            }
        }


class Instances(_ProtectableHandler):
    @operation(
        'protectable:instance_get_all',
        schema.listed('instances', INSTANCE),
        listing=LISTING,
        parameters=(query.PARAMETERS,),
    )
    def on_get(
        self,
        context: karbor_context.RequestContext,
        resource_type: str,
        selection: paging.Selection,
        parameters: Object | None,
    ) -> query.Items:
        items, has_more = self._plugin(resource_type).page_of_resources(
            context, parameters, selection.page.marker, selection.page.limit
        )
        return [self._view(context, item) for item in items], has_more


class Instance(_ProtectableHandler):
    @operation(
        'protectable:instance_get',
        schema.wrapped('instance', INSTANCE),
        parameters=(query.PARAMETERS,),
    )
    def on_get(
        self,
        context: karbor_context.RequestContext,
        resource_type: str,
        resource_id: str,
        parameters: Object | None,
    ) -> Object:
        checkpoint.check_resource_id(resource_id)
        resource = self._plugin(resource_type).show_resource(context, resource_id, parameters)
        if resource is None:
            raise exception.ProtectableResourceNotFound(
                type=resource_type, id=resource_id, reason='there is none'
            )
        return {'instance': self._view(context, resource)}
