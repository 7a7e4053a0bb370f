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

"""A plugin and a protectable that break where a test says, by what a test says."""

import slipping_plugins

from karbor.resource import Resource
from karbor.services.protection import protectable_plugin, protection_plugin

#: What to raise, by the place.
ERRORS = {}


class Mute(Exception):
    def __str__(self):
        raise RuntimeError('no text')


def _break(place):
    if place in ERRORS:
        raise ERRORS[place]


class Work(protection_plugin.Operation):
    def on_main(self, checkpoint, resource, context, parameters, **kwargs):
        _break('hook')


class BreakingPlugin(slipping_plugins.ImagePlugin):
    def __init__(self, config=None):
        super().__init__(config)
        _break('constructor')

    @classmethod
    def get_restore_schema(cls, resources_type):
        return {'type': 'object', 'properties': {}}

    @classmethod
    def get_saved_info_schema(cls, resources_type):
        return {}

    @classmethod
    def get_saved_info(cls, metadata_store, resource):
        _break('saved_info')

    def look_again(self, *_, **__):
        _break('look_again')

    def get_protect_operation(self, resource):
        _break('getter')
        return None if 'nothing' in ERRORS else Work()

    get_delete_operation = get_protect_operation


class BreakingProtectable(protectable_plugin.ProtectablePlugin):
    def get_resource_type(self):
        return slipping_plugins.SHARE

    def get_parent_resource_types(self):
        return ()

    def list_resources(self, context, parameters=None):
        _break('listing')
        return []

    def show_resource(self, context, resource_id, parameters=None):
        return Resource(slipping_plugins.SHARE, resource_id, 's')


class ExitingProtectable(BreakingProtectable):
    def __init__(self, context=None, conf=None):
        raise SystemExit


class NumberedProtectable(BreakingProtectable):
    def get_resource_type(self):
        return 5
