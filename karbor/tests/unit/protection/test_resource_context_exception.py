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

"""The small things that plugins hold in their hands."""

import inspect
import json

from oslotest import base

from karbor import context, exception
from karbor.common import constants
from karbor.resource import Resource


class ResourceTest(base.BaseTestCase):
    def test_equality_and_hash_ignore_extra_info(self) -> None:
        one = Resource('OS::Cinder::Volume', 'v', 'data', {'availability_zone': 'nova'})
        same = Resource(type='OS::Cinder::Volume', id='v', name='data', extra_info='{"a": 1}')

        self.assertEqual(one, same)
        self.assertEqual(1, len({one, same}))

    def test_each_other_field_counts(self) -> None:
        one = Resource('OS::Cinder::Volume', 'v', 'data')

        for other in (
            Resource('OS::Nova::Server', 'v', 'data'),
            Resource('OS::Cinder::Volume', 'w', 'data'),
            Resource('OS::Cinder::Volume', 'v', 'log'),
            ('OS::Cinder::Volume', 'v', 'data'),
        ):
            self.assertNotEqual(one, other)

    def test_nothing_can_be_set(self) -> None:
        resource = Resource('OS::Cinder::Volume', 'v', 'data')

        for name in ('type', 'id', 'name', 'extra_info', 'status', 'key'):
            self.assertRaises(AttributeError, setattr, resource, name, 'x')
        self.assertRaises(AttributeError, delattr, resource, 'id')

    def test_key_and_dict(self) -> None:
        resource = Resource('OS::Cinder::Volume', 'v', 'data', {'a': 1})

        self.assertEqual('OS::Cinder::Volume#v', resource.key)
        self.assertEqual(
            {'type': 'OS::Cinder::Volume', 'id': 'v', 'name': 'data', 'extra_info': {'a': 1}},
            resource.to_dict(),
        )
        self.assertIsNone(Resource('t', 'i', 'n').extra_info)

    def test_what_to_dict_gives_is_a_copy(self) -> None:
        resource = Resource('t', 'i', 'n', {'a': [1]})

        resource.to_dict()['extra_info']['a'].append(2)

        self.assertEqual({'a': [1]}, resource.extra_info)


class RequestContextTest(base.BaseTestCase):
    def test_as_tests_of_plugins_make_it(self) -> None:
        catalog = [{'type': 'volumev3', 'endpoints': [{'publicURL': 'http://cinder'}]}]

        made = context.RequestContext(
            user_id='demo', project_id='asdf', auth_token='qwe', service_catalog=catalog
        )

        self.assertEqual(
            ('demo', 'asdf', 'qwe', catalog, None),
            (
                made.user_id,
                made.project_id,
                made.auth_token,
                made.service_catalog,
                made.auth_token_info,
            ),
        )

    def test_positions_and_defaults(self) -> None:
        made = context.RequestContext(
            'demo',
            'asdf',
            is_admin=True,
            roles=['member'],
            project_name='p',
            request_id='req-1',
            overwrite=False,
        )

        self.assertEqual(
            ('demo', 'asdf', True, ['member'], 'p', 'req-1', []),
            (
                made.user_id,
                made.project_id,
                made.is_admin,
                made.roles,
                made.project_name,
                made.request_id,
                made.service_catalog,
            ),
        )

    def test_two_contexts_share_no_catalog(self) -> None:
        context.RequestContext('a', 'b').service_catalog.append({'type': 'x'})

        self.assertEqual([], context.RequestContext('a', 'b').service_catalog)


class ExceptionTest(base.BaseTestCase):
    def test_template_and_keywords(self) -> None:
        error = exception.CheckpointNotFound(checkpoint_id='c')

        self.assertEqual('Checkpoint c could not be found.', error.msg)
        self.assertEqual(error.msg, str(error))
        self.assertEqual({'checkpoint_id': 'c'}, error.kwargs)

    def test_a_message_replaces_the_template(self) -> None:
        self.assertEqual('100% of %(it)s', exception.NotFound('100% of %(it)s').msg)
        self.assertEqual('boom', exception.NotFound(ValueError('boom')).msg)

    def test_missing_keywords_leave_the_template(self) -> None:
        self.assertEqual(
            'Checkpoint %(checkpoint_id)s could not be found.', exception.CheckpointNotFound().msg
        )

    def test_resource_failures_take_the_four_keywords(self) -> None:
        for error_class in (
            exception.CreateResourceFailed,
            exception.RestoreResourceFailed,
            exception.DeleteResourceFailed,
            exception.VerifyResourceFailed,
        ):
            error = error_class(
                name='Volume Snapshot',
                reason='no quota',
                resource_id='v',
                resource_type='OS::Cinder::Volume',
            )

            self.assertEqual(500, error.code)
            for word in ('Volume Snapshot', 'no quota', 'v', 'OS::Cinder::Volume'):
                self.assertIn(word, error.msg)
            self.assertFalse(error.is_over_quota)
            self.assertTrue(error_class(**error.kwargs, is_over_quota=True).is_over_quota)

    def test_codes(self) -> None:
        for name, code in (
            ('KarborException', 500),
            ('Invalid', 400),
            ('InvalidInput', 400),
            ('InvalidParameterValue', 400),
            ('InvalidPlan', 400),
            ('NotFound', 404),
            ('PlanNotFound', 404),
            ('ProviderNotFound', 404),
            ('CheckpointNotFound', 404),
            ('RestoreNotFound', 404),
            ('VerificationNotFound', 404),
            ('ProtectableTypeNotFound', 404),
            ('ProtectableResourceNotFound', 404),
            ('ProtectionPluginNotFound', 404),
            ('CheckpointNotBeDeleted', 409),
            ('CheckpointNotBeReset', 409),
            ('ProtectableResourceInvalidStatus', 409),
            ('ListProtectableResourceFailed', 503),
            ('BankGetObjectFailed', 500),
            ('BankObjectNotFound', 500),
            ('BankReadonlyViolation', 500),
        ):
            self.assertEqual(code, getattr(exception, name).code, name)

    def test_the_tree_is_the_one_in_the_docstring(self) -> None:
        drawn = set(exception.__doc__.replace(',', ' ').replace('(', ' ').split())

        for name, found in inspect.getmembers(exception, inspect.isclass):
            if issubclass(found, exception.KarborException):
                self.assertIn(name, drawn)

    def test_whoever_catches_a_failed_read_catches_a_missing_object(self) -> None:
        self.assertTrue(issubclass(exception.BankObjectNotFound, exception.BankGetObjectFailed))


class ConstantsTest(base.BaseTestCase):
    def test_names_on_the_wire(self) -> None:
        self.assertEqual(
            {
                'OS::Keystone::Project',
                'OS::Nova::Server',
                'OS::Cinder::Volume',
                'OS::Glance::Image',
                'OS::Manila::Share',
                'OS::Neutron::Network',
                'OS::Trove::Instance',
                'OS::Kubernetes::Pod',
            },
            set(constants.RESOURCE_TYPES),
        )
        self.assertEqual(8, len(constants.RESOURCE_TYPES))
        for prefix, expected in (
            (
                'RESOURCE_STATUS_',
                [
                    'error',
                    'protecting',
                    'started',
                    'available',
                    'deleting',
                    'deleted',
                    'restoring',
                    'undefined',
                ],
            ),
            (
                'OPERATION_',
                [
                    'protect',
                    'restore',
                    'delete',
                    'verify',
                    'copy',
                    'retention',
                    'reset',
                    'in_progress',
                    'success',
                    'fail',
                    'queued',
                    'skipped',
                ],
            ),
            (
                'CHECKPOINT_STATUS_',
                [
                    'protecting',
                    'available',
                    'error',
                    'deleting',
                    'deleted',
                    'error-deleting',
                    'wait_copying',
                    'copying',
                ],
            ),
        ):
            found = [value for name, value in vars(constants).items() if name.startswith(prefix)]
            self.assertEqual(sorted(expected), sorted(found), json.dumps(found))
