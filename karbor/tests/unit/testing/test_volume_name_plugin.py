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

"""The documentation's plugin, tested as its author would; the documentation shows that, too."""

import unittest

from acme.volume_name import VolumeNamePlugin

from karbor import exception
from karbor.resource import Resource
from karbor.testing import plugin_jobs
from karbor.testing.fake_cinder import FakeCinder


class VolumeNamePluginTest(unittest.TestCase):
    def setUp(self):
        self.cinder = FakeCinder()
        self.enterContext(plugin_jobs.clients_of(self.cinder))
        self.jobs = plugin_jobs.PluginJobs(VolumeNamePlugin, {'volume_name': {'prefix': 'acme-'}})

    def test_the_name_is_in_the_bank_until_it_is_deleted(self):
        volume = Resource('OS::Cinder::Volume', self.cinder.add_volume(name='db')['id'], 'db')

        self.jobs.protect(volume)
        self.assertEqual({'metadata': {'name': 'acme-db', 'note': ''}}, self.jobs.in_bank(volume))

        self.jobs.delete(volume)
        self.assertEqual({}, self.jobs.in_bank(volume))

    def test_no_such_volume(self):
        with self.assertRaisesRegex(exception.CreateResourceFailed, 'could not be found'):
            self.jobs.protect(Resource('OS::Cinder::Volume', 'gone', 'gone'))
