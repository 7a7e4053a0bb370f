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

"""Servers of a compute service that a third party has: protectable, plugin and fake service.

A restored server boots from the volumes that its own became, so it is made when those are there.
"""

from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import protectable_plugin, protection_plugin
from karbor.services.protection.protection_plugins import utils

#: Name and ids of volumes of each server, by its id.
SERVERS = {}


class ServerProtectable(protectable_plugin.ProtectablePlugin):
    def get_resource_type(self):
        return constants.SERVER_RESOURCE_TYPE

    def get_parent_resource_types(self):
        return (constants.PROJECT_RESOURCE_TYPE,)

    def list_resources(self, context, parameters=None):
        return [
            Resource(constants.SERVER_RESOURCE_TYPE, server_id, name)
            for server_id, (name, _) in SERVERS.items()
        ]

    def show_resource(self, context, resource_id, parameters=None):
        name, _ = SERVERS[resource_id]
        return Resource(constants.SERVER_RESOURCE_TYPE, resource_id, name)

    def get_dependent_resources(self, context, parent_resource):
        return self.list_resources(context)


class Protect(protection_plugin.Operation):
    def on_main(self, checkpoint, resource, context, parameters, **kwargs):
        section = checkpoint.get_resource_bank_section(resource.id)
        _, volume_ids = SERVERS[resource.id]
        section.update_object('metadata', {'attached': volume_ids})
        section.update_object('status', constants.RESOURCE_STATUS_AVAILABLE)


class Restore(protection_plugin.Operation):
    def on_complete(self, checkpoint, resource, context, parameters, **kwargs):
        attached = checkpoint.get_resource_bank_section(resource.id).get_object('metadata')
        new_resources = kwargs['new_resources']
        volume_ids = [new_resources[volume_id] for volume_id in attached['attached']]
        server_id = f'new-{resource.id}'
        SERVERS[server_id] = (parameters.get('restore_name', 'karbor-restore-server'), volume_ids)
        new_resources[resource.id] = server_id
        utils.update_resource_restore_result(
            kwargs['restore'], resource.type, server_id, constants.RESOURCE_STATUS_AVAILABLE
        )


class Delete(protection_plugin.Operation):
    def on_main(self, checkpoint, resource, context, parameters, **kwargs):
        section = checkpoint.get_resource_bank_section(resource.id)
        section.delete_object('metadata')
        section.update_object('status', constants.RESOURCE_STATUS_DELETED)


class ServerPlugin(protection_plugin.ProtectionPlugin):
    @classmethod
    def get_supported_resources_types(cls):
        return [constants.SERVER_RESOURCE_TYPE]

    @classmethod
    def get_options_schema(cls, resources_type):
        return {'title': 'Server Options', 'type': 'object', 'properties': {}, 'required': []}

    @classmethod
    def get_restore_schema(cls, resources_type):
        return {
            'title': 'Server Restore',
            'type': 'object',
            'properties': {'restore_name': {'type': 'string', 'default': None}},
            'required': ['restore_name'],
        }

    @classmethod
    def get_saved_info_schema(cls, resources_type):
        return {'title': 'Server Saved Info', 'type': 'object', 'properties': {}}

    def get_protect_operation(self, resource):
        return Protect()

    def get_restore_operation(self, resource):
        return Restore()

    def get_delete_operation(self, resource):
        return Delete()
