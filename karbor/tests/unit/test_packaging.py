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

"""What is shipped beside the code: samples, the paths and the plugin of the documentation."""

import pathlib
import re

from oslo_config import cfg, generator
from oslo_policy import generator as policy_generator
from oslotest import base

import karbor
from karbor.resource import Resource
from karbor.services.protection import protection_plugin
from karbor.tests import example_plugin

_ROOT = pathlib.Path(karbor.__file__).parents[1]


class ConfigurationSampleTest(base.BaseTestCase):
    def test_is_what_the_generator_writes(self) -> None:
        """Made by: oslo-config-generator --config-file etc/config-generator.conf"""
        made = pathlib.Path(self.create_tempfiles([('sample', '')])[0])
        conf = cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        conf(
            ['--config-file', str(_ROOT / 'etc/config-generator.conf'), '--output-file', str(made)]
        )
        generator.generate(conf)
        # Of the options of oslo's libraries only the names are compared: their texts change
        # from one release to the next.
        self.assertEqual(
            _own_part(made.read_text()), _own_part((_ROOT / 'etc/karbor.conf.sample').read_text())
        )


class PolicySampleTest(base.BaseTestCase):
    def test_is_what_the_generator_writes(self) -> None:
        """Made by: oslopolicy-sample-generator --config-file etc/policy-generator.conf"""
        made = pathlib.Path(self.create_tempfiles([('sample', '')])[0])
        policy_generator.generate_sample(
            ['--config-file', str(_ROOT / 'etc/policy-generator.conf'), '--output-file', str(made)],
            cfg.ConfigOpts(),
        )
        self.assertEqual(made.read_text(), (_ROOT / 'etc/policy.yaml.sample').read_text())


def _own_part(sample: str) -> str:
    """The sections that are Karbor's alone, and its part of [DEFAULT]."""
    sections = re.split(r'(?m)^(?=\[)', sample)
    own = [
        section
        for section in sections
        if section.startswith(('[protection]', '[cinder_client]', '[trustee]'))
    ]
    default = next(section for section in sections if section.startswith('[DEFAULT]'))
    return ''.join([default.partition('# From oslo')[0], *own])


class DocumentedPathsTest(base.BaseTestCase):
    def test_what_the_documentation_names_is_there(self) -> None:
        named = {
            path
            for page in (_ROOT / 'README.rst', *(_ROOT / 'doc/source').rglob('*.rst'))
            for path in re.findall(r'``((?:karbor|tools|doc|etc)/[\w./-]+)``', page.read_text())
        }

        self.assertIn('karbor/db/models.py', named)
        self.assertEqual([], sorted(path for path in named if not (_ROOT / path).exists()))


class ExamplePluginTest(base.BaseTestCase):
    def test_plugin_fulfils_the_contract(self) -> None:
        plugin_class = example_plugin.install().VolumeNamePlugin
        config = cfg.ConfigOpts()
        config([])
        plugin = plugin_class(config)
        resource = Resource('OS::Cinder::Volume', 'id', 'name')
        self.assertEqual([resource.type], plugin_class.get_supported_resources_types())
        for getter in ('get_protect_operation', 'get_delete_operation'):
            self.assertIsInstance(getattr(plugin, getter)(resource), protection_plugin.Operation)
