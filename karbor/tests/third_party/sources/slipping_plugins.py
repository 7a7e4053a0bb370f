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

"""Plugins that are not quite right, each in another way; the schemas of one are those of old."""

from karbor.services.protection import protectable_plugin, protection_plugin

IMAGE = 'OS::Glance::Image'
SHARE = 'OS::Manila::Share'


class ImagePlugin(protection_plugin.ProtectionPlugin):
    """A type that JSON Schema does not know, and what is required is no property."""

    types = [IMAGE]

    @classmethod
    def get_supported_resources_types(cls):
        return cls.types

    @classmethod
    def get_options_schema(cls, resources_type):
        return {'type': 'object', 'properties': {'backup_name': {'type': 'string'}}}

    @classmethod
    def get_restore_schema(cls, resources_type):
        return {
            'type': 'object',
            'properties': {'restore_name': {'type': 'string'}},
            'required': ['backup_name'],
        }

    @classmethod
    def get_saved_info_schema(cls, resources_type):
        return {'type': 'object', 'properties': {'metadata': {'type': 'image'}}}

    def get_protect_operation(self, resource):
        return protection_plugin.Operation()

    get_restore_operation = get_delete_operation = get_protect_operation


class NoOptionsSchema(ImagePlugin):
    """One of its two types has an options schema that cannot be used."""

    types = [IMAGE, SHARE]

    @classmethod
    def get_options_schema(cls, resources_type):
        kind = 'flag' if resources_type == SHARE else 'string'
        return {'type': 'object', 'properties': {'backup_name': {'type': kind}}}


class NoRestoreSchema(ImagePlugin):
    @classmethod
    def get_restore_schema(cls, resources_type):
        raise KeyError('restore schema away')


class NoChoices(ImagePlugin):
    @classmethod
    def get_restore_choices(cls, resource_type):
        raise KeyError('choices away')


class ChoicesAsText(ImagePlugin):
    @classmethod
    def get_restore_choices(cls, resource_type):
        return 'size'


class FailsToBegin(ImagePlugin):
    def __init__(self, config=None):
        raise RuntimeError('no licence')


class NoTypeProtectable(protectable_plugin.ProtectablePlugin):
    """It does not tell what it finds."""


class FailingProtectable(protectable_plugin.ProtectablePlugin):
    def __init__(self, context=None, conf=None):
        raise RuntimeError('no licence')
