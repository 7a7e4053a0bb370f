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

"""Plugins of third parties, which are in no folder of Karbor's, behind the API."""

from collections.abc import Mapping
from typing import Any

from karbor.services.protection import provider
from karbor.tests import personas, third_party
from karbor.tests.functional import base
from karbor.tests.functional.base import VOLUME


class ThirdPartyTestCase(base.CloudTestCase):
    """One provider, which serves what the test names.

    :cvar modules: of third parties.
    :cvar plugins: the lines of the provider file.
    :cvar entry_points: of the package that the modules are in.
    """

    modules: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    entry_points: Mapping[str, Mapping[str, str]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.outside = self.useFixture(
            third_party.ThirdParty(*self.modules, entry_points=self.entry_points)
        )
        self.serve(*self.plugins)

    def serve(self, *plugins: str) -> None:
        """Begin anew with a provider that has these plugins."""
        self.board.end()
        self.build(provider.ProviderRegistry(self.provider_dir(plugins=plugins)))
        self.work()


class MissingParametersTest(ThirdPartyTestCase):
    modules = ('noting_volumes',)
    plugins = ('noting_volumes.NotingPlugin',)

    def setUp(self) -> None:
        super().setUp()
        self.given = self.outside.module('noting_volumes').GIVEN

    def run_plan(self, parameters: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """A checkpoint of a new volume, and the volume's id."""
        volume = self.volume()
        plan = self.create_plan(volume, parameters=parameters)
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual('available', checkpoint['status'], checkpoint)
        return checkpoint, volume['id']

    def test_what_is_missing_stays_missing_and_null_is_missing(self):
        for parameters, given in (
            ({}, {}),
            ({VOLUME: {'backup_name': None, 'container': None}}, {}),
            ({VOLUME: {'backup_name': 'b'}}, {'backup_name': 'b'}),
        ):
            _, volume_id = self.run_plan(parameters)
            expected = {'backup_mode': 'full', **given}
            self.assertEqual(expected, self.given['protect', volume_id], parameters)

    def test_a_restore_without_a_name_takes_the_one_that_the_plugin_makes(self):
        checkpoint, volume_id = self.run_plan({})
        for parameters in ({}, {VOLUME: {}}, {VOLUME: {'restore_name': None}}):
            use = self.use('restore', checkpoint, parameters=parameters)
            restore = self.ended_use('restore', use)
            self.assertEqual('success', restore['status'], restore)
            self.assertEqual({}, self.given['restore', volume_id])
            self.assertEqual(
                {f'{VOLUME}#{volume_id}': f'{checkpoint["id"]}@{volume_id}'},
                restore['new_resources'],
            )

    def test_what_is_wrong_is_refused_as_ever(self):
        volume = self.volume()
        for values, part in (
            ({'backup_mode': 'half'}, 'half'),
            ({'backup_nam': 'x'}, 'backup_nam'),
            ({'backup_nam': None}, 'backup_nam'),
        ):
            body = self.plan_body(volume, parameters={VOLUME: values})
            self.assertIn(part, self.post('/plans', body, 400))

    def test_keys_of_types_whose_ids_are_written_otherwise(self):
        network = {'id': base.PROJECT_ID, 'type': 'OS::Neutron::Network', 'name': 'n'}
        parameters = {f'{network["type"]}#{network["id"]}': {'any': 'thing'}}
        self.serve('karbor-noop-protection-plugin')
        plan = self.create_plan(network, parameters=parameters)
        self.assertEqual(parameters, plan['parameters'])

    def test_what_is_required_is_published(self):
        shown = self.get(f'/providers/{base.PROVIDER_ID}')['provider']['extended_info_schema']
        self.assertEqual(
            ['backup_name', 'container', 'backup_mode'],
            shown['options_schema'][VOLUME]['required'],
        )
        self.assertEqual(['restore_name'], shown['restore_schema'][VOLUME]['required'])


class SlippingPluginsTest(ThirdPartyTestCase):
    """A plugin that is not quite right harms only itself."""

    modules = ('noting_volumes', 'odd_schemas', 'slipping_plugins', 'unloadable_plugin')
    plugins = ('noting_volumes.NotingPlugin',)
    entry_points = {
        'karbor.protections': {
            'noting': 'noting_volumes:NotingPlugin',
            'unloadable': 'unloadable_plugin:Plugin',
        },
        'karbor.protectables': {
            'no-type': 'slipping_plugins:NoTypeProtectable',
            'failing': 'slipping_plugins:FailingProtectable',
            'unloadable': 'unloadable_plugin:Protectable',
        },
    }

    def types_beside(self, plugin: str) -> list[str]:
        """The types of a provider that has a plugin beside one that is right."""
        self.serve(plugin, *self.plugins)
        (shown,) = self.get('/providers')['providers']
        return sorted(shown['extended_info_schema']['options_schema'])

    def test_what_cannot_be_used_is_left_out_and_told(self):
        for plugin, types, parts in (
            ('unloadable_plugin.Plugin', [], ('no_such_library',)),
            ('unloadable', [], ('no_such_library',)),
            ('slipping_plugins.NoSuchPlugin', [], ('NoSuchPlugin',)),
            ('karbor-server-protection-plugin', [], ('There is no plugin',)),
            ('slipping_plugins.FailsToBegin', [], ('RuntimeError', 'no licence')),
            (
                'slipping_plugins.NoRestoreSchema',
                [],
                ('OS::Glance::Image', 'its restore schema', 'restore schema away'),
            ),
            (
                'slipping_plugins.NoOptionsSchema',
                ['OS::Glance::Image'],
                ('OS::Manila::Share', 'its options schema', 'backup_name: type', "'flag'"),
            ),
        ):
            self.assertEqual([VOLUME, *types], self.types_beside(plugin), plugin)
            (reason,) = self.registry.failures.values()
            self.assertEqual([f'provider.conf, plugin {plugin}'], list(self.registry.failures))
            for part in parts:
                self.assertIn(part, reason)

    def test_slips_that_do_no_harm_are_told(self):
        image = 'OS::Glance::Image'
        self.assertEqual([VOLUME, image], self.types_beside('slipping_plugins.ImagePlugin'))
        self.assertEqual({}, self.registry.failures)
        (remark,) = self.registry.remarks.values()
        for part in (
            'its saved_info schema: properties: metadata: type',
            "'image'",
            'its restore schema requires backup_name',
        ):
            self.assertIn(part, remark)
        plan = self.create_plan(base.resource(resource_type=image), parameters={})
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        restore = self.ended_use('restore', self.use('restore', checkpoint))
        self.assertEqual(('available', 'success'), (checkpoint['status'], restore['status']))

    def test_odd_schemas_are_told(self):
        for plugin, part in (
            ('DateAsDefault', 'its options schema: TypeError: Object of type datetime'),
            ('HalfCharacter', 'its options schema: ValueError: half of a surrogate pair'),
            ('RefersToNothing', "'/definitions/none' does not exist"),
            ('RefersElsewhere', 'it refers to http://127.0.0.1:9/schema.json, which is not in it'),
            ('NotAnObject', 'its options schema: TypeError: True is no object'),
            ('Exits', 'It called sys.exit: bye'),
            ('TypeAsText', "Its types are 'OS::Glance::Image', not a list of names"),
            ('NoTypes', 'Its types are []'),
            ('FaultWithoutText', 'Fault: raised by __init__'),
        ):
            self.assertEqual([VOLUME], self.types_beside(f'odd_schemas.{plugin}'), plugin)
            (reason,) = self.registry.failures.values()
            self.assertIn(part, reason)

    def test_odd_schemas_that_can_be_used(self):
        image = 'OS::Glance::Image'
        for plugin, remarks in (
            ('AnyRules', []),
            ('TupleAsList', []),
            ('Huge', []),
            ('UnfitDefault', ['its options schema refuses its own default of backup_name']),
            ('SetInSavedInfo', ['its saved_info schema: TypeError: Object of type set']),
        ):
            self.assertEqual([VOLUME, image], self.types_beside(f'odd_schemas.{plugin}'), plugin)
            self.assertEqual({}, self.registry.failures)
            self.assertEqual(len(remarks), len(self.registry.remarks))
            for part, remark in zip(remarks, self.registry.remarks.values(), strict=True):
                self.assertIn(part, remark)
            for parameters in ({}, {image: {'backup_name': 'x'}}):
                self.create_plan(base.resource(resource_type=image), parameters=parameters)

    def test_choices_that_cannot_be_told_are_none(self):
        image = 'OS::Glance::Image'
        for plugin, part in (
            ('ChoicesAsText', "TypeError: 'size' is no set of names"),
            ('NoChoices', "KeyError: 'choices away'"),
        ):
            self.types_beside(f'slipping_plugins.{plugin}')
            (remark,) = self.registry.remarks.values()
            self.assertIn(f'its choices of restores: {part}', remark)
        shown = self.get(f'/providers/{base.PROVIDER_ID}')['provider']['extended_info_schema']
        self.assertEqual({VOLUME: [], image: []}, shown['restore_choices'])
        plan = self.create_plan(base.resource(resource_type=image), parameters={})
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertIn('serves none', self.use('restore', checkpoint, 400, size=2))

    def test_what_finds_nothing_is_left_out(self):
        self.assertEqual(
            [VOLUME, base.PROJECT], sorted(self.get('/protectables')['protectable_type'])
        )

    def test_class_paths(self):
        old = 'karbor.services.protection.protection_plugins.volume.volume_snapshot_plugin'
        name = 'VolumeSnapshotProtectionPlugin'
        for plugin in (
            'noting',
            'noting_volumes:NotingPlugin',
            'noting_volumes.NotingPlugin',
            f'{old}.{name}',
            f'{old}:{name}',
        ):
            self.serve(plugin)
            self.assertEqual({}, self.registry.failures)
            self.assertEqual([VOLUME], list(self.registry.get(base.PROVIDER_ID).plugin_classes))


class BreakingPluginTest(ThirdPartyTestCase):
    """One that breaks while it is used harms only what is of its type."""

    modules = ('breaking', 'slipping_plugins')
    plugins = ('breaking.BreakingPlugin', 'karbor-volume-snapshot-plugin')
    entry_points = {
        'karbor.protectables': {
            'asserting': 'breaking:NoSuchProtectable',
            'exiting': 'breaking:ExitingProtectable',
            'numbered': 'breaking:NumberedProtectable',
            'share': 'breaking:BreakingProtectable',
        },
    }

    def setUp(self) -> None:
        super().setUp()
        self.breaking = self.outside.module('breaking')
        self.image = base.resource(resource_type='OS::Glance::Image')

    def run_plan(self, *resources: dict[str, Any]) -> dict[str, Any]:
        plan = self.create_plan(*resources, parameters={})
        return self.ended_checkpoint(self.create_checkpoint(plan))

    def end(self, checkpoint: dict[str, Any]) -> None:
        """Delete it, with a plugin that is well again."""
        self.breaking.ERRORS.clear()
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])
        self.assertEqual({}, self.cinder.snapshots)

    def test_the_others_of_a_plan_are_protected(self):
        for place, error, told in (
            ('constructor', RuntimeError('no licence'), 'RuntimeError: no licence'),
            ('constructor', SystemExit(3), 'It called sys.exit: 3'),
            ('getter', KeyError('host'), "KeyError: 'host'"),
            ('nothing', None, 'get_protect_operation returned None'),
            ('hook', SystemExit(3), 'It called sys.exit: 3'),
            ('hook', self.breaking.Mute(), 'Mute:'),
        ):
            self.breaking.ERRORS[place] = error
            checkpoint = self.run_plan(self.volume(), self.image)
            key = f'{self.image["type"]}#{self.image["id"]}'
            self.assertEqual([key], list(checkpoint['resources_reason']), checkpoint)
            self.assertIn(told, checkpoint['resources_reason'][key])
            self.assertEqual(1, len(self.cinder.snapshots))
            self.end(checkpoint)

    def test_what_comes_after_the_work_does_no_harm(self):
        for place in ('look_again', 'saved_info'):
            for error in (RuntimeError('no licence'), SystemExit(3)):
                self.breaking.ERRORS[place] = error
                checkpoint = self.run_plan(self.volume(), self.image)
                self.assertEqual('available', checkpoint['status'], checkpoint)
                self.end(checkpoint)

    def test_a_plan_without_its_type_does_not_need_it(self):
        self.breaking.ERRORS['constructor'] = RuntimeError('no licence')
        checkpoint = self.run_plan(self.volume())
        self.assertEqual('available', checkpoint['status'], checkpoint)
        self.end(checkpoint)

    def test_protectables(self):
        share = 'OS::Manila::Share'
        self.assertEqual(
            [VOLUME, base.PROJECT, share], sorted(self.get('/protectables')['protectable_type'])
        )
        for error in (RuntimeError('no licence'), SystemExit(3)):
            self.breaking.ERRORS['listing'] = error
            self.serve(*self.plugins)  # to processes that know of it
            result = self.client.simulate_get(
                f'/v1/{base.PROJECT_ID}/protectables/{share}/instances',
                headers={'X-Auth-Token': personas.token('manager', base.PROJECT_ID)},
            )
            self.assertEqual(500, result.status_code)


class NoopTest(ThirdPartyTestCase):
    plugins = ('karbor-noop-protection-plugin',)

    def test_all_but_a_verification(self):
        server = base.resource(resource_type='OS::Nova::Server')
        plan = self.create_plan(self.volume(), server, parameters={VOLUME: {'any': 'thing'}})
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual('available', checkpoint['status'], checkpoint)
        for kind, status in (('restore', 'success'), ('verification', 'fail')):
            ended = self.ended_use(kind, self.use(kind, checkpoint))
            self.assertEqual(status, ended['status'], ended)
        self.assertIn('no verify operation', ended['status_reason'])
        self.delete(self.checkpoints_path(checkpoint['id']))
        self.assertEqual('deleted', self.ended_checkpoint(checkpoint)['status'])

    def test_an_old_provider_file(self):
        old = (
            'karbor-volume-protection-plugin',
            'karbor-image-protection-plugin',
            'karbor-server-protection-plugin',
            'karbor-volume-snapshot-plugin',
        )
        self.serve(*old)
        self.assertEqual([VOLUME], list(self.registry.get(base.PROVIDER_ID).plugin_classes))
        self.assertEqual(
            [f'provider.conf, plugin {name}' for name in old[:3]], list(self.registry.failures)
        )
