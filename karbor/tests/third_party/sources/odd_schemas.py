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

"""Plugins whose schemas, or types, are odd, each in another way."""

import datetime
import sys

import slipping_plugins

IMAGE = slipping_plugins.IMAGE


class _Plugin(slipping_plugins.ImagePlugin):
    """One property, whose rules are what is odd, and schemas that are right besides."""

    rules = {'type': 'string'}

    @classmethod
    def get_options_schema(cls, resources_type):
        return {'type': 'object', 'properties': {'backup_name': cls.rules}}

    @classmethod
    def get_restore_schema(cls, resources_type):
        return {'type': 'object', 'properties': {}}

    @classmethod
    def get_saved_info_schema(cls, resources_type):
        return {}


class DateAsDefault(_Plugin):
    rules = {'type': 'string', 'default': datetime.datetime(2020, 1, 1)}


class HalfCharacter(_Plugin):
    rules = {'type': 'string', 'title': '\ud800'}


class RefersToNothing(_Plugin):
    rules = {'$ref': '#/definitions/none'}


class RefersElsewhere(_Plugin):
    rules = {'$ref': 'http://127.0.0.1:9/schema.json'}


class NotAnObject(_Plugin):
    @classmethod
    def get_options_schema(cls, resources_type):
        return True


class Exits(_Plugin):
    @classmethod
    def get_options_schema(cls, resources_type):
        sys.exit('bye')


class TypeAsText(_Plugin):
    types = IMAGE


class NoTypes(_Plugin):
    types = []


class FaultWithoutText(_Plugin):
    class Fault(Exception):
        def __str__(self):
            raise RuntimeError('no text')

    def __init__(self, config=None):
        raise self.Fault


class AnyRules(_Plugin):
    rules = True


class TupleAsList(_Plugin):
    rules = {'type': 'string', 'enum': ('x', 'y')}


class UnfitDefault(_Plugin):
    rules = {'type': 'string', 'default': 5}


class SetInSavedInfo(_Plugin):
    @classmethod
    def get_saved_info_schema(cls, resources_type):
        return {'kept': {'a', 'b'}}


class Huge(_Plugin):
    rules = {'type': 'string', 'description': 'x' * 1_000_000}
