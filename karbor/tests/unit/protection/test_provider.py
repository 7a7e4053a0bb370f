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

"""Provider files: what they may name, and what becomes of one that is broken."""

import pathlib
import shutil
from typing import Any

import fixtures
from oslo_config import cfg
from oslotest import base

from karbor import exception
from karbor.services.protection import bank_plugin, protection_plugin, provider
from karbor.services.protection.bank_plugins import file_system_bank_plugin
from karbor.services.protection.protection_plugins import project_plugin
from karbor.services.protection.protection_plugins.volume import cinder_snapshot_plugin

HERE = 'karbor.tests.unit.protection.test_provider'
FIRST_ID = '3f9d2a10-8b41-4c52-9a11-6f1f0f3b7c20'
SECOND_ID = '8a0c4e57-9d3b-4f16-b2c8-7e5a1d0f6b34'
ROOT = pathlib.Path(__file__).parents[4]
OPTIONS = [cfg.IntOpt('poll_interval', default=15)]


class Plain(protection_plugin.ProtectionPlugin):
    """Serves a type that nobody else does; subclasses break something."""

    def __init__(self, config: cfg.ConfigOpts | None = None) -> None:
        super().__init__(config)
        config.register_opts(OPTIONS, 'plain_plugin')
        self.poll_interval = config.plain_plugin.poll_interval

    @classmethod
    def get_supported_resources_types(cls) -> list[str]:
        return ['Acme::Disk']

    @classmethod
    def get_options_schema(cls, resource_type: str) -> dict[str, Any]:
        return {'title': cls.__name__, 'properties': {}}

    get_restore_schema = get_saved_info_schema = get_options_schema


class Verifying(Plain):
    @classmethod
    def get_supported_resources_types(cls) -> list[str]:
        return ['Acme::Disk', 'Acme::Tape']

    @classmethod
    def get_verify_schema(cls, resource_type: str) -> dict[str, Any]:
        return {'title': f'verify {resource_type}'}


class Choosy(Plain):
    @classmethod
    def check_options(cls, resource_type: str, values: dict[str, Any]) -> None:
        if 'refused' in values:
            raise values['refused']


class ChoosyOfNew(Choosy):
    @classmethod
    def check_new_options(cls, resource_type: str, values: dict[str, Any]) -> None:
        if 'old' in values:
            raise ValueError('too old')


class BrokenTypes(Plain):
    @classmethod
    def get_supported_resources_types(cls) -> list[str]:
        raise LookupError('types away')


class BrokenSchema(Plain):
    @classmethod
    def get_restore_schema(cls, resource_type: str) -> dict[str, Any]:
        raise LookupError('schema away')


class BrokenVerifySchema(Plain):
    @classmethod
    def get_verify_schema(cls, resource_type: str) -> dict[str, Any]:
        raise LookupError('verify schema away')


class NoSchema(Plain):
    @classmethod
    def get_options_schema(cls, resource_type: str) -> dict[str, Any]:
        return {'properties': {'force': {'type': 'strng'}}}


class Careless(Plain):
    @classmethod
    def get_options_schema(cls, resource_type: str) -> dict[str, Any]:
        return {'properties': {}, 'required': ['name']}

    @classmethod
    def get_saved_info_schema(cls, resource_type: str) -> dict[str, Any]:
        raise LookupError('saved away')


class NoRestoreSchema(protection_plugin.ProtectionPlugin):
    @classmethod
    def get_supported_resources_types(cls) -> list[str]:
        return ['Acme::Disk']


class BrokenConstructor(Plain):
    def __init__(self, config: cfg.ConfigOpts | None = None) -> None:
        raise LookupError('constructor broken')


class BrokenBank(file_system_bank_plugin.FileSystemBankPlugin):
    def __init__(self, config: cfg.ConfigOpts) -> None:
        raise LookupError('bank away')


class ProviderTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.temp_dir = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.folder = self.temp_dir / 'providers.d'
        self.folder.mkdir()

    def _write(
        self,
        name: str = 'a',
        *,
        plugins: tuple[str, ...] = (f'{HERE}.Plain',),
        more: str = '',
        **options: str | None,
    ) -> pathlib.Path:
        lines = {
            'id': FIRST_ID,
            'name': name,
            'description': f'about {name}',
            'bank': 'karbor-fs-bank-plugin',
            'enabled': 'True',
            **options,
        }
        path = self.folder / f'{name}.conf'
        path.write_text(
            '\n'.join(
                [
                    '[provider]',
                    *(f'{key} = {value}' for key, value in lines.items() if value is not None),
                    *(f'plugin = {plugin}' for plugin in plugins),
                    '[file_system_bank_plugin]',
                    f'file_system_bank_path = {self.temp_dir / f"bank-{name}"}',
                    more,
                    '',
                ]
            )
        )
        return path

    def _registry(self) -> provider.ProviderRegistry:
        return provider.ProviderRegistry(self.folder)

    def _only(self) -> provider.Provider:
        registry = self._registry()
        self.assertEqual({}, registry.failures)
        (found,) = registry
        return found


class LoadTest(ProviderTestCase):
    def test_fields(self) -> None:
        self._write(name='first')

        found = self._only()

        self.assertEqual(
            (FIRST_ID, 'first', 'about first'), (found.id, found.name, found.description)
        )
        self.assertIsInstance(found.bank, bank_plugin.Bank)
        found.bank.update_object('/a', 1)
        self.assertTrue((self.temp_dir / 'bank-first/karbor/a').is_file())

    def test_ways_to_name_a_plugin(self) -> None:
        for name, expected in (
            (f'{HERE}.Plain', Plain),
            (f'{HERE}:Plain', Plain),
            ('karbor-project-protection-plugin', project_plugin.ProjectProtectionPlugin),
            (
                'karbor-volume-snapshot-plugin',
                cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
            ),
        ):
            self._write(plugins=(name,))

            self.assertEqual([expected], list(self._only().plugin_classes.values()))

    def test_ways_to_name_a_bank(self) -> None:
        path = 'karbor.services.protection.bank_plugins.file_system_bank_plugin'
        for name in (
            'karbor-fs-bank-plugin',
            f'{path}.FileSystemBankPlugin',
            f'{path}:FileSystemBankPlugin',
        ):
            self._write(bank=name)

            self.assertEqual([], self._only().bank.list_objects())

    def test_schemas(self) -> None:
        self._write(plugins=(f'{HERE}.Verifying',))

        found = self._only()

        plain = {'title': 'Verifying', 'properties': {}}
        for kind in ('options', 'restore', 'saved_info'):
            self.assertEqual({'Acme::Disk': plain, 'Acme::Tape': plain}, found.schemas[kind])
        self.assertEqual({'title': 'verify Acme::Tape'}, found.schema_of('verify')('Acme::Tape'))
        self.assertIsNone(found.schema_of('options')('Acme::Other'))

    def test_what_a_plugin_has_against_options(self) -> None:
        self._write(plugins=(f'{HERE}.Choosy',))
        found = self._only()

        found.check_options('Acme::Disk', {}, 'Acme::Disk#1')
        for error, text in (
            (ValueError('too big'), 'Invalid input: Acme::Disk#1: too big'),
            (exception.InvalidInput(reason='too small'), 'Invalid input: too small'),
        ):
            raised = self.assertRaises(
                exception.InvalidInput,
                found.check_options,
                'Acme::Disk',
                {'refused': error},
                'Acme::Disk#1',
            )
            self.assertEqual(text, raised.msg)

    def test_what_a_plugin_has_against_new_options_only(self) -> None:
        self._write(plugins=(f'{HERE}.ChoosyOfNew',))
        found = self._only()

        found.check_options('Acme::Disk', {'old': 1}, 'x')
        for values, text in (
            ({'old': 1}, 'Invalid input: x: too old'),
            ({'refused': ValueError('too big')}, 'Invalid input: x: too big'),
        ):
            raised = self.assertRaises(
                exception.InvalidInput, found.check_new_options, 'Acme::Disk', values, 'x'
            )
            self.assertEqual(text, raised.msg)

    def test_a_plugin_need_not_have_anything_against_options(self) -> None:
        self._write()

        for resource_type in ('Acme::Disk', 'Acme::Other'):
            self._only().check_options(resource_type, {'refused': ValueError('no')}, 'x')
            self._only().check_new_options(resource_type, {'refused': ValueError('no')}, 'x')

    def test_a_plugin_need_not_know_of_verify(self) -> None:
        self._write()

        self.assertEqual({}, self._only().schemas['verify'])

    def test_the_later_plugin_serves_the_type(self) -> None:
        self._write(plugins=(f'{HERE}.Verifying', f'{HERE}.Plain'))

        found = self._only()

        self.assertEqual({'Acme::Disk': Plain, 'Acme::Tape': Verifying}, found.plugin_classes)
        self.assertEqual('Plain', found.schemas['options']['Acme::Disk']['title'])
        self.assertNotIn('Acme::Disk', found.schemas['verify'])

    def test_plugin_objects_are_new_each_time_and_one_a_type(self) -> None:
        self._write(plugins=(f'{HERE}.Verifying',))
        found = self._only()

        first, second = (found.new_plugins(found.plugin_classes) for _ in range(2))

        self.assertEqual(
            4, len({id(plugin) for plugins in (first, second) for plugin in plugins.values()})
        )

    def test_check_types(self) -> None:
        self._write(name='first')
        found = self._only()

        found.check_types(['Acme::Disk', 'Acme::Disk'])
        error = self.assertRaises(
            exception.InvalidInput, found.check_types, ['Acme::Z', 'Acme::Disk', 'Acme::B']
        )

        self.assertIn('Acme::B, Acme::Z', error.msg)
        self.assertIn('first', error.msg)

    def test_no_poll_interval_is_the_smallest_one(self) -> None:
        for text, seconds in (('0', 0.05), ('0.0', 0.05), ('0.05', 0.05), ('7', 7)):
            self._write(
                plugins=('karbor-volume-snapshot-plugin',),
                more=f'[volume_snapshot_plugin]\npoll_interval = {text}',
            )
            (plugin,) = self._only().new_plugins(['OS::Cinder::Volume']).values()
            self.assertEqual(seconds, plugin.options.poll_interval)

    def test_no_plugin_line_serves_no_type(self) -> None:
        self._write(plugins=())

        self.assertEqual({}, self._only().plugin_classes)

    def test_each_file_has_options_of_its_own(self) -> None:
        self._write(name='a', more='[plain_plugin]\npoll_interval = 3')
        self._write(name='b', id=SECOND_ID, more='[plain_plugin]\npoll_interval = 7')

        registry = self._registry()

        self.assertEqual(
            [3, 7],
            [
                registry.get(key).new_plugins(['Acme::Disk'])['Acme::Disk'].poll_interval
                for key in (FIRST_ID, SECOND_ID)
            ],
        )
        self.assertNotIn('plain_plugin', cfg.CONF)


class RegistryTest(ProviderTestCase):
    def test_what_is_not_enabled_is_not_there_and_is_no_failure(self) -> None:
        self._write(name='a', enabled=None)
        self._write(name='b', enabled='False')
        self._write(name='c', enabled='False', bank='')

        registry = self._registry()

        self.assertEqual([], list(registry))
        self.assertEqual({}, registry.failures)

    def test_other_files_are_left_alone(self) -> None:
        self._write().rename(self.folder / 'a.conf.orig')

        self.assertEqual([], list(self._registry()))

    def test_order_and_search(self) -> None:
        self._write(name='a', id=SECOND_ID)
        self._write(name='b', id=FIRST_ID)

        registry = self._registry()

        self.assertEqual(['b', 'a'], [found.name for found in registry])
        self.assertEqual('a', registry.get(SECOND_ID).name)
        error = self.assertRaises(exception.ProviderNotFound, registry.get, 'other')
        self.assertIn('other', error.msg)

    def test_of_the_same_id_the_later_file_is_there(self) -> None:
        self._write(name='a')
        self._write(name='b')

        self.assertEqual(['b'], [found.name for found in self._registry()])

    def test_what_is_broken_is_told_and_the_others_load(self) -> None:
        cases: list[tuple[dict[str, Any], str]] = [
            ({'id': None}, 'id is not set'),
            ({'id': ''}, 'id is not set'),
            ({'id': 'no-uuid'}, "'no-uuid' is not a UUID"),
            ({'bank': None}, 'bank is not set'),
            ({'bank': ''}, 'bank is not set'),
            ({'bank': 'karbor-none'}, "'karbor-none'"),
            ({'bank': f'{HERE}.NoSuchBank'}, 'NoSuchBank'),
            ({'bank': f'{HERE}.BrokenBank'}, 'LookupError: bank away'),
            ({'plugins': ('',)}, 'A plugin has no name'),
            ({'plugins': (f'{HERE}.Plain', '')}, 'A plugin has no name'),
            ({'enabled': 'perhaps'}, 'perhaps'),
            ({'more': 'neither option nor section'}, 'neither option nor section'),
        ]
        for number, (changes, _) in enumerate(cases):
            self._write(name=f'case-{number}', **changes)
        self._write(name='good', id=SECOND_ID)

        registry = self._registry()

        self.assertEqual(['good'], [found.name for found in registry])
        unexpected = [
            (changes, registry.failures.get(f'case-{number}.conf'))
            for number, (changes, words) in enumerate(cases)
            if words not in registry.failures.get(f'case-{number}.conf', '')
        ]
        self.assertEqual([], unexpected)

    def test_a_broken_plugin_is_told_and_the_others_serve(self) -> None:
        for plugin, more, words in (
            ('karbor-none', '', "'karbor-none'"),
            ('NoDots', '', "'NoDots'"),
            ('no.such.module.Plugin', '', 'no.such.module'),
            (f'{HERE}.NoSuchPlugin', '', 'NoSuchPlugin'),
            (f'{HERE}.BrokenTypes', '', 'LookupError: types away'),
            (f'{HERE}.BrokenSchema', '', 'its restore schema: LookupError: schema away'),
            (f'{HERE}.BrokenVerifySchema', '', 'LookupError: verify schema away'),
            (f'{HERE}.NoRestoreSchema', '', 'NotImplementedError'),
            (f'{HERE}.NoSchema', '', "properties: force: type: 'strng' is not valid"),
            (f'{HERE}.BrokenConstructor', '', 'LookupError: constructor broken'),
            (f'{HERE}.Plain', '[plain_plugin]\npoll_interval = often', 'often'),
            (
                'karbor-volume-snapshot-plugin',
                '[volume_snapshot_plugin]\nrestore_timeout = long',
                'long',
            ),
        ):
            good = 'karbor-project-protection-plugin'
            self._write(plugins=(plugin, good), more=more)

            registry = self._registry()

            (found,) = registry
            self.assertEqual(['OS::Keystone::Project'], list(found.plugin_classes), plugin)
            self.assertEqual([f'a.conf, plugin {plugin}'], list(registry.failures))
            self.assertIn(words, registry.failures[f'a.conf, plugin {plugin}'])

    def test_where_the_later_plugin_is_broken_the_earlier_one_serves(self) -> None:
        self._write(plugins=(f'{HERE}.Plain', f'{HERE}.BrokenSchema'))

        (found,) = self._registry()

        self.assertEqual({'Acme::Disk': Plain}, found.plugin_classes)

    def test_what_does_no_harm_is_told(self) -> None:
        self._write(plugins=(f'{HERE}.Careless',))

        registry = self._registry()

        (found,) = registry
        self.assertEqual({'Acme::Disk': Careless}, found.plugin_classes)
        self.assertEqual({}, found.schemas['saved_info']['Acme::Disk'])
        self.assertEqual({}, registry.failures)
        remark = registry.remarks[f'a.conf, plugin {HERE}.Careless']
        self.assertIn('Acme::Disk: its saved_info schema: LookupError: saved away', remark)
        self.assertIn('Acme::Disk: its options schema requires name, which it has not', remark)

    def test_a_file_that_is_left_out_is_named(self) -> None:
        self._write(bank='NoDots')

        self.assertIn("'NoDots'", self._registry().failures['a.conf'])

    def test_an_empty_folder(self) -> None:
        self.assertEqual([], list(self._registry()))


class ShippedFileTest(ProviderTestCase):
    def test_it_loads(self) -> None:
        shipped = ROOT / 'etc/providers.d/cinder-snapshot.conf'
        text = shipped.read_text()
        self.assertEqual(1, text.count('file_system_bank_path ='))
        copy = pathlib.Path(shutil.copy(shipped, self.folder))
        copy.write_text(
            text.replace(
                'file_system_bank_path =', f'file_system_bank_path = {self.temp_dir}/bank\n#'
            )
        )

        found = self._only()

        self.assertEqual(
            {
                'OS::Keystone::Project': project_plugin.ProjectProtectionPlugin,
                'OS::Cinder::Volume': cinder_snapshot_plugin.CinderSnapshotProtectionPlugin,
            },
            found.plugin_classes,
        )
        self.assertTrue((self.temp_dir / 'bank/karbor').is_dir())

    def test_its_options_are_those_that_the_plugin_has(self) -> None:
        parser = cfg.ConfigParser(str(ROOT / 'etc/providers.d/cinder-snapshot.conf'), {})
        parser.parse()
        shown = {
            name: values[-1] for name, values in parser.sections['volume_snapshot_plugin'].items()
        }

        self.assertEqual(
            {option.name: option.default for option in cinder_snapshot_plugin.OPTS},
            {name: float(value) for name, value in shown.items()},
        )
