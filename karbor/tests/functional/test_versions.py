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

from karbor.tests.base import PROJECT_ID
from karbor.tests.functional import base


class VersionsTest(base.ApiTestCase):
    """Versions are for anybody: these requests carry no token."""

    def test_the_root_names_the_one_version(self):
        result = self.client.simulate_get('/')
        self.assertEqual(300, result.status_code)
        self.assertEqual(
            {
                'versions': [
                    {
                        'id': 'v1.0',
                        'status': 'CURRENT',
                        'links': [{'rel': 'self', 'href': 'http://falconframework.org/v1/'}],
                    }
                ]
            },
            result.json,
        )

    def test_the_link_leads_to_the_version(self):
        link = self.client.simulate_get('/').json['versions'][0]['links'][0]['href']
        for path in (link.removeprefix('http://falconframework.org'), '/v1'):
            result = self.client.simulate_get(path)
            self.assertEqual(200, result.status_code)
            self.assertEqual('v1.0', result.json['version']['id'])

    def test_the_link_has_the_host_that_the_caller_used(self):
        result = self.client.simulate_get('/', host='karbor.example', port=8799)
        self.assertEqual(
            'http://karbor.example:8799/v1/', result.json['versions'][0]['links'][0]['href']
        )

    def test_versions_cannot_be_changed(self):
        for path in ('/', '/v1'):
            self.error_of(self.client.simulate_post(path, json={}))
            self.assertEqual(405, self.client.simulate_post(path, json={}).status_code)


class EveryAnswerTest(base.ApiTestCase):
    def test_every_answer_has_its_own_request_id(self):
        seen = set()
        for path, headers in (
            ('/', {}),
            ('/no-such', {}),
            (f'/v1/{PROJECT_ID}/plans', {}),
            (f'/v1/{PROJECT_ID}/plans', {'X-Auth-Token': base.TOKEN}),
        ):
            result = self.client.simulate_get(path, headers=headers)
            request_id = result.headers['x-openstack-request-id']
            self.assertTrue(request_id.startswith('req-'), request_id)
            self.assertEqual(request_id, result.headers['x-compute-request-id'])
            seen.add(request_id)
        self.assertEqual(4, len(seen))

    def test_unknown_url(self):
        self.get('/no-such-thing', 404)
        self.get('/plans/5b0f3a52-6c7e-4b0e-9d0c-0f6c7a1b2c3d/action', 404)

    def test_method_that_a_url_does_not_have(self):
        for method, path in (
            ('DELETE', '/plans'),
            ('PUT', '/restores'),
            ('POST', '/providers'),
            ('DELETE', '/restores/5b0f3a52-6c7e-4b0e-9d0c-0f6c7a1b2c3d'),
            ('PATCH', '/plans/5b0f3a52-6c7e-4b0e-9d0c-0f6c7a1b2c3d'),
            ('POST', '/protectables/OS::Cinder::Volume/instances'),
        ):
            self.request(method, path, 405)

    def test_slash_at_the_end(self):
        self.assertEqual({'plans': []}, self.get('/plans/'))

    def test_a_fault_of_the_server_does_not_tell_its_inside(self):
        self.queries.restore = lambda *_: {}['secret of the inside']
        result = self.client.simulate_get(
            f'/v1/{PROJECT_ID}/restores/5b0f3a52-6c7e-4b0e-9d0c-0f6c7a1b2c3d',
            headers={'X-Auth-Token': base.TOKEN},
        )
        self.assertEqual(500, result.status_code)
        self.assertEqual(500, result.json['computeFault']['code'])
        self.assertNotIn('secret', result.text)
