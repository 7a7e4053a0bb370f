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

"""Jobs of a plugin without a service: what its hooks are given, and what is seen of them."""

from typing import Any

from oslotest import base

from karbor import exception
from karbor.resource import Resource
from karbor.services.protection import protection_plugin
from karbor.testing import plugin_jobs

VOLUME = Resource('OS::Cinder::Volume', 'v', 'db')
CALLS: list[tuple[str, str, dict[str, Any]]] = []


class Dies(BaseException):
    """The process ends here."""


class NotingOperation(protection_plugin.Operation):
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def on_prepare_begin(self, parameters, resource, context, checkpoint):
        CALLS.append((self.kind, 'on_prepare_begin', parameters))

    def on_main(self, checkpoint, resource, context, parameters, operation_log, **kwargs):
        CALLS.append((self.kind, operation_log['operation_type'], kwargs))
        section = checkpoint.get_resource_bank_section(resource.id)
        section.update_object('intent', parameters)
        section.update_object('status', 'available')
        if 'restore' in kwargs:
            kwargs['new_resources'][resource.id] = 'new'
            kwargs['restore'].update_resource_status(resource.type, 'new', 'available')
            kwargs['restore'].save()

    def on_complete(self, checkpoint, resource, context, parameters, **kwargs):
        CALLS.append((self.kind, 'on_complete', kwargs))


class NotingPlugin(protection_plugin.ProtectionPlugin):
    @classmethod
    def get_options_schema(cls, resource_type):
        return {
            'type': 'object',
            'properties': {'copies': {'type': 'integer', 'default': 1}},
            'additionalProperties': False,
        }

    get_restore_schema = get_options_schema

    def get_protect_operation(self, resource):
        return NotingOperation('protect')

    def get_restore_operation(self, resource):
        return NotingOperation('restore')

    def get_verify_operation(self, resource):
        return NotingOperation('verify')


class PluginJobsTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        CALLS.clear()
        self.jobs = plugin_jobs.PluginJobs(NotingPlugin)

    def test_hooks_get_what_they_declare_in_their_order(self) -> None:
        self.jobs.protect(VOLUME)

        self.assertEqual(
            [
                ('protect', 'on_prepare_begin', {'copies': 1}),
                ('protect', 'protect', {}),
                (
                    'protect',
                    'on_complete',
                    {
                        'operation_log': {
                            'operation_type': 'protect',
                            'checkpoint_id': self.jobs.checkpoint.id,
                        }
                    },
                ),
            ],
            CALLS,
        )
        self.assertEqual(
            {'intent': {'copies': 1}, 'status': 'available'}, self.jobs.in_bank(VOLUME)
        )

    def test_parameters_are_coerced_and_checked(self) -> None:
        self.jobs.protect(VOLUME, {'copies': '3'})

        self.assertEqual({'copies': 3}, self.jobs.in_bank(VOLUME)['intent'])
        self.assertRaises(exception.InvalidInput, self.jobs.protect, VOLUME, {'copies': 'many'})

    def test_a_restore_is_told(self) -> None:
        record = self.jobs.restore(VOLUME, {'copies': 2})

        self.assertEqual({'v': 'new'}, self.jobs.new_resources)
        self.assertEqual(
            ([(VOLUME.type, 'new', 'available', None)], 1), (record.told, record.saved)
        )
        self.assertEqual(
            ({'copies': 2}, self.jobs.checkpoint.id), (record['parameters'], record.checkpoint_id)
        )

    def test_a_verification_needs_no_schema(self) -> None:
        record = self.jobs.verify(VOLUME)

        self.assertEqual(([], 'verify'), (record.told, CALLS[0][0]))
        self.assertIs(record, CALLS[1][2]['verify'])

    def test_an_operation_that_the_plugin_has_not(self) -> None:
        error = self.assertRaises(exception.InvalidInput, self.jobs.delete, VOLUME)

        self.assertIn('no delete operation', error.msg)

    def test_a_job_that_is_broken_off_can_run_again(self) -> None:
        def die(key: str, value: Any) -> None:
            if value == 'available':
                raise Dies

        self.jobs.bank.before_update = die
        self.assertRaises(Dies, self.jobs.protect, VOLUME)
        self.assertEqual({'intent': {'copies': 1}}, self.jobs.in_bank(VOLUME))

        self.jobs.bank.before_update = lambda key, value: None
        self.jobs.protect(VOLUME)
        self.assertEqual('available', self.jobs.in_bank(VOLUME)['status'])
