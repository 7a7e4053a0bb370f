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

"""Protects volumes by writing down what it was asked for; its schemas are as those of old were.

They require what has a default of null, and what has none.
"""

from karbor.common import constants
from karbor.services.protection import protection_plugin

#: Parameters of each call of a main hook, by operation and id of the resource.
GIVEN = {}


class Protect(protection_plugin.Operation):
    def on_main(self, checkpoint, resource, context, parameters, **kwargs):
        GIVEN['protect', resource.id] = parameters
        section = checkpoint.get_resource_bank_section(resource.id)
        section.update_object('metadata', {'backup_name': parameters.get('backup_name', 'none')})
        section.update_object('status', constants.RESOURCE_STATUS_AVAILABLE)


class Restore(protection_plugin.Operation):
    def on_main(self, checkpoint, resource, context, parameters, **kwargs):
        GIVEN['restore', resource.id] = parameters
        name = parameters.get('restore_name', f'{checkpoint.id}@{resource.id}')
        kwargs['new_resources'][resource.id] = name


class Delete(protection_plugin.Operation):
    def on_main(self, checkpoint, resource, context, parameters, **kwargs):
        section = checkpoint.get_resource_bank_section(resource.id)
        for key in section.list_objects():
            section.delete_object(key)


class NotingPlugin(protection_plugin.ProtectionPlugin):
    @classmethod
    def get_supported_resources_types(cls):
        return [constants.VOLUME_RESOURCE_TYPE]

    @classmethod
    def get_options_schema(cls, resources_type):
        return {
            'title': 'Noting Options',
            'type': 'object',
            'properties': {
                'backup_name': {'type': 'string', 'title': 'Backup Name', 'default': None},
                'container': {'type': 'string', 'title': 'Container'},
                'backup_mode': {
                    'type': 'string',
                    'enum': ['full', 'incremental'],
                    'default': 'full',
                },
            },
            'required': ['backup_name', 'container', 'backup_mode'],
        }

    @classmethod
    def get_restore_schema(cls, resources_type):
        return {
            'title': 'Noting Restore',
            'type': 'object',
            'properties': {
                'restore_name': {'type': 'string', 'title': 'Restore Name', 'default': None}
            },
            'required': ['restore_name'],
        }

    @classmethod
    def get_saved_info_schema(cls, resources_type):
        return {'title': 'Noting Saved Info', 'type': 'object', 'properties': {}}

    def get_protect_operation(self, resource):
        return Protect()

    def get_restore_operation(self, resource):
        return Restore()

    def get_delete_operation(self, resource):
        return Delete()
