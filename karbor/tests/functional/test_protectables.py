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

from unittest import mock

from karbor.services.protection.protectable_plugins import volume
from karbor.testing import fake_cinder
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, new_id
from karbor.tests.functional import base

INSTANCES = f'/protectables/{base.VOLUME}/instances'


class TypesTest(base.ApiTestCase):
    def test_list(self):
        self.assertEqual(
            {'protectable_type': [base.VOLUME, base.PROJECT]}, self.get('/protectables')
        )

    def test_show(self):
        for name, below in ((base.PROJECT, [base.VOLUME]), (base.VOLUME, [])):
            self.assertEqual(
                {'protectable_type': {'name': name, 'dependent_types': below}},
                self.get(f'/protectables/{name}'),
            )

    def test_unknown_type(self):
        for path in ('', '/instances', f'/instances/{new_id()}'):
            for name in ('OS::Nova::Server', 'volume', '..', '%ff'):
                message = self.get(f'/protectables/{name}{path}', 400)
                self.assertIn('could not be found', message)
            self.get(f'/protectables/%00{path}', 400)


class InstancesTest(base.CloudTestCase):
    def ids(self, query: str = '') -> list[str]:
        return [item['id'] for item in self.get(INSTANCES + query)['instances']]

    def test_show_a_volume(self):
        made = self.volume(name='db', availability_zone='az1')
        self.assertEqual(
            {
                'instance': {
                    'id': made['id'],
                    'type': base.VOLUME,
                    'name': 'db',
                    'extra_info': {'availability_zone': 'az1'},
                    'dependent_resources': [],
                }
            },
            self.get(f'{INSTANCES}/{made["id"]}'),
        )

    def test_a_volume_without_name_has_text_for_a_name(self):
        made = self.volume(name=None)
        self.assertEqual('', self.get(f'{INSTANCES}/{made["id"]}')['instance']['name'])

    def test_list_shows_what_show_shows(self):
        made = self.volume()
        self.assertEqual(
            {'instances': [self.get(f'{INSTANCES}/{made["id"]}')['instance']]}, self.get(INSTANCES)
        )

    def test_volumes_that_cannot_be_protected_are_not_offered(self):
        for status in ('error', 'deleting', 'error_deleting'):
            made = self.volume(status=status)
            self.assertIn(status, self.get(f'{INSTANCES}/{made["id"]}', 409))
        fit = self.volume(status='in-use')
        self.assertEqual([fit['id']], self.ids())

    def test_no_such_volume(self):
        missing = new_id()
        self.assertIn(missing, self.get(f'{INSTANCES}/{missing}', 404))

    def test_an_id_that_is_none(self):
        for resource_id in ('..', '.x', 'a%20b', '%00', 'a' * 256, 'a%3Fb=1'):
            self.get(f'{INSTANCES}/{resource_id}', 400)
        self.assertEqual({}, dict(self.cinder.requests))

    def test_the_project_has_its_volumes_below_it(self):
        volumes = sorted(self.volume(name=name)['id'] for name in ('a', 'b'))
        for shown in (
            self.get(f'/protectables/{base.PROJECT}/instances')['instances'][0],
            self.get(f'/protectables/{base.PROJECT}/instances/{PROJECT_ID}')['instance'],
        ):
            self.assertEqual((PROJECT_ID, base.PROJECT), (shown['id'], shown['type']))
            self.assertEqual(volumes, sorted(child['id'] for child in shown['dependent_resources']))
            for child in shown['dependent_resources']:
                self.assertEqual({'id', 'type', 'name', 'extra_info'}, set(child))

    def test_another_project_is_not_shown(self):
        self.get(f'/protectables/{base.PROJECT}/instances/{OTHER_PROJECT_ID}', 404)

    def test_parameters_in_both_forms(self):
        made = self.volume()
        for parameters in ("{'region_id': 'R1'}", '{"region_id": "R1"}', '{}'):
            self.assertEqual(
                [made['id']],
                [
                    item['id']
                    for item in self.get(INSTANCES, params={'parameters': parameters})['instances']
                ],
            )

    def test_parameters_that_are_no_mapping(self):
        for parameters in (
            '[]',
            '1',
            'x',
            "__import__('os')",
            '{',
            '{[]: 1}',
            '(' * 4000,
            '[' * 4000,
            '{1: ' * 1000,
            '{"a": "' + 'x' * 4096 + '"}',
            '-' * 4000,
        ):
            for path in (INSTANCES, f'{INSTANCES}/{new_id()}'):
                message = self.get(path, 400, params={'parameters': parameters})
                self.assertIn('parameters', message)
        self.assertEqual({}, dict(self.cinder.requests))

    def test_pages(self):
        made = sorted(self.volume()['id'] for _ in range(5))
        pages = self.follow(f'{INSTANCES}?limit=2&parameters=%7B%7D', 'instances')
        self.assertEqual(
            [made[:2], made[2:4], made[4:]], [[item['id'] for item in page] for page in pages]
        )

    def test_cinder_that_does_not_work_is_a_503(self):
        made = self.volume()
        self.cinder.faults.append(fake_cinder.Fault(method='GET', status=500))
        with mock.patch.object(volume, '_PATIENCE', 0):
            for path in (
                INSTANCES,
                f'{INSTANCES}/{made["id"]}',
                f'/protectables/{base.PROJECT}/instances',
            ):
                self.assertIn('Cinder answered 500', self.get(path, 503))

    def test_cinder_that_refuses_is_not_asked_again(self):
        self.cinder.faults.append(fake_cinder.Fault(method='GET', status=403))
        self.assertIn('403', self.get(INSTANCES, 503))
        self.assertEqual(1, sum(self.cinder.requests.values()))

    def test_a_passing_fault_is_not_seen(self):
        made = self.volume()
        self.cinder.faults.append(fake_cinder.Fault(method='GET', status=503, times=1))
        self.assertEqual([made['id']], self.ids())
