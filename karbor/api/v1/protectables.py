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

from typing import Any

import falcon

from karbor import context as karbor_context
from karbor import exception
from karbor.api import query
from karbor.resource import Resource
from karbor.services.protection import checkpoint, protectable_plugin, protectables


class _Base:

    def __init__(self, plugins: protectables.Protectables) -> None:
        self._plugins = plugins

    def _plugin(self, resource_type: str) -> protectable_plugin.ProtectablePlugin:
        try:
            return self._plugins.get(resource_type)
        except exception.ProtectableTypeNotFound as exc:
            raise exception.InvalidInput(reason=exc.msg) from exc

    def _view(self, context: karbor_context.RequestContext,
              resource: Resource) -> dict[str, Any]:
        return {**resource.to_dict(), 'dependent_resources': [
            child.to_dict() for child in self._plugins.dependents(context, resource)]}


class Types(_Base):

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {'protectable_type': self._plugins.types()}


class Type(_Base):

    def on_get(self, _req: falcon.Request, resp: falcon.Response, resource_type: str) -> None:
        self._plugin(resource_type)
        resp.media = {'protectable_type': {
            'name': resource_type,
            'dependent_types': self._plugins.dependent_types(resource_type)}}


class Instances(_Base):

    def on_get(self, req: falcon.Request, resp: falcon.Response, resource_type: str) -> None:
        context = req.context.karbor
        found = self._plugin(resource_type).list_resources(
            context, query.mapping(req, 'parameters'))
        items, has_more = query.slice_of(req, sorted(found, key=lambda item: item.id))
        resp.media = query.listed(
            req, 'instances', [self._view(context, item) for item in items], has_more)


class Instance(_Base):

    def on_get(self, req: falcon.Request, resp: falcon.Response, resource_type: str,
               resource_id: str) -> None:
        context = req.context.karbor
        checkpoint.check_resource_id(resource_id)
        found = self._plugin(resource_type).show_resource(
            context, resource_id, query.mapping(req, 'parameters'))
        if found is None:
            raise exception.ProtectableResourceNotFound(
                type=resource_type, id=resource_id, reason='there is none')
        resp.media = {'instance': self._view(context, found)}
