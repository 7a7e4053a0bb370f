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

"""karbor-standalone as a process."""

import requests

from karbor.tests.integration import base


class StandaloneTest(base.IntegrationTestCase):
    def test_second_instance_is_refused(self) -> None:
        karbor = self.standalone()
        second = karbor.run_to_end()
        self.assertEqual(1, second.returncode)
        self.assertIn('Another karbor-standalone', second.stderr)
        self.assertNotIn('Traceback', second.stderr)

    def test_sigterm_ends_it_cleanly(self) -> None:
        karbor = self.standalone()
        self.assertEqual(0, karbor.stop())
        karbor.start()

    def test_without_token(self) -> None:
        karbor = self.standalone()
        for headers in ({}, {'X-Auth-Token': 'wrong'}):
            answer = requests.get(f'{karbor.url}/plans', headers=headers, timeout=10)
            self.assertEqual(401, answer.status_code)
            self.assertIn('unauthorized', answer.json())

    def test_protectables(self) -> None:
        karbor = self.standalone()
        volume_ids = self.project.volumes(2)
        instances = karbor.call('GET', f'/protectables/{base.VOLUME}/instances')
        self.assertEqual(sorted(volume_ids), [item['id'] for item in instances])
        one = karbor.call('GET', f'/protectables/{base.VOLUME}/instances/{volume_ids[0]}')
        self.assertEqual(volume_ids[0], one['id'])
        project = karbor.call(
            'GET', f'/protectables/OS::Keystone::Project/instances/{self.project.id}'
        )
        self.assertEqual(
            sorted(volume_ids), sorted(item['id'] for item in project['dependent_resources'])
        )
