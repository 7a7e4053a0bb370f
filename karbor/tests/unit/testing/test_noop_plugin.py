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

"""The plugin that does nothing, as third parties use it."""

import pathlib

import fixtures
from oslotest import base

from karbor import exception
from karbor.common import constants
from karbor.resource import Resource
from karbor.services.protection import provider
from karbor.services.protection.protection_plugins import noop_plugin
from karbor.testing import plugin_jobs, provider_files
from karbor.tests import third_party

SHIPPED = pathlib.Path(__file__).parents[4] / 'etc/providers.d/noop.conf'
SERVER = Resource(constants.SERVER_RESOURCE_TYPE, 's', 'web')


class NoopTest(base.BaseTestCase):
    def test_jobs_leave_nothing(self) -> None:
        jobs = plugin_jobs.PluginJobs(noop_plugin.NoopProtectionPlugin)
        jobs.protect(SERVER, {'any': 'thing'})
        self.assertEqual([], jobs.restore(SERVER).told)
        jobs.delete(SERVER)
        self.assertEqual({}, jobs.in_bank(SERVER))
        self.assertRaises(exception.InvalidInput, jobs.verify, SERVER)


class ProviderFilesTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(third_party.ThirdParty('noting_volumes', 'unloadable_plugin'))

    def test_types_beside_those_of_a_plugin(self) -> None:
        loaded = provider_files.provider(
            self.folder, provider_files.NOOP, 'noting_volumes.NotingPlugin'
        )
        names = {name: plugin.__name__ for name, plugin in loaded.plugin_classes.items()}
        self.assertEqual(
            {
                **dict.fromkeys(constants.RESOURCE_TYPES, 'NoopProtectionPlugin'),
                constants.VOLUME_RESOURCE_TYPE: 'NotingPlugin',
            },
            names,
        )
        loaded.bank.update_object('/a', 'b')
        self.assertTrue((self.folder / 'bank/karbor/a').is_file())

    def test_a_plugin_that_cannot_be_loaded(self) -> None:
        with self.assertRaisesRegex(ValueError, 'no_such_library'):
            provider_files.provider(self.folder, 'unloadable_plugin.Plugin')

    def test_sections(self) -> None:
        loaded = provider_files.provider(
            self.folder,
            'karbor-volume-snapshot-plugin',
            sections={'volume_snapshot_plugin': {'poll_interval': 3}},
        )
        (plugin,) = loaded.new_plugins(loaded.plugin_classes).values()
        self.assertEqual(3, plugin.options.poll_interval)

    def test_the_shipped_file_is_off_and_loads_once_it_is_on(self) -> None:
        self.assertIsNone(provider.load(SHIPPED))
        path = self.folder / 'noop.conf'
        text = SHIPPED.read_text().replace('enabled = False', 'enabled = True')
        path.write_text(text.replace('/var/lib/karbor/', f'{self.folder}/'))
        loaded = provider.load(path)
        self.assertEqual(set(constants.RESOURCE_TYPES), set(loaded.plugin_classes))
        self.assertEqual(({}, {}), (loaded.faults, loaded.remarks))
