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

from karbor.services.checkpoints import restore_choices
from karbor.services.protection import provider
from karbor.tests.base import PROVIDER_ID, new_id
from karbor.tests.functional import base

SECOND_ID = '00000000-8b41-4c52-9a11-6f1f0f3b7c20'


class ProvidersTest(base.ApiTestCase):
    def test_show(self):
        shown = self.get(f'/providers/{PROVIDER_ID}')['provider']
        self.assertEqual(
            (PROVIDER_ID, 'provider', 'provider of a test'),
            (shown['id'], shown['name'], shown['description']),
        )
        self.assertEqual({'id', 'name', 'description', 'extended_info_schema'}, set(shown))

    def test_schemas_of_every_type_and_kind_are_shown(self):
        schemas = self.get(f'/providers/{PROVIDER_ID}')['provider']['extended_info_schema']
        self.assertEqual(
            {
                'options_schema',
                'restore_schema',
                'saved_info_schema',
                'verify_schema',
                'restore_choices',
            },
            set(schemas),
        )
        for schema in schemas.values():
            self.assertEqual({base.VOLUME, base.PROJECT}, set(schema))
        self.assertEqual(
            ['snapshot_name', 'description', 'force'],
            schemas['options_schema'][base.VOLUME]['required'],
        )
        self.assertEqual(
            {'restore_name', 'restore_description'},
            set(schemas['restore_schema'][base.VOLUME]['properties']),
        )

    def test_the_choices_of_restores_are_shown(self):
        choices = self.get(f'/providers/{PROVIDER_ID}')['provider']['extended_info_schema'][
            'restore_choices'
        ]
        self.assertEqual([], choices[base.PROJECT])
        self.assertEqual(sorted(restore_choices.NAMES), choices[base.VOLUME])

    def test_list_shows_what_show_shows(self):
        shown = self.get(f'/providers/{PROVIDER_ID}')['provider']
        self.assertEqual({'providers': [shown]}, self.get('/providers'))

    def test_unknown(self):
        self.assertIn('could not be found', self.get(f'/providers/{new_id()}', 404))

    def test_no_uuid(self):
        for name in ('provider', '1', '%00', "'"):
            self.get(f'/providers/{name}', 400)


class ManyProvidersTest(base.ApiTestCase):
    def setUp(self):
        super().setUp()
        folder = self.provider_dir(name='second', provider_id=SECOND_ID)
        (folder / 'broken.conf').write_text(
            f'[provider]\nid = {new_id()}\nname = broken\nenabled = True\nbank = no-such-bank\n'
        )
        (folder / 'off.conf').write_text(f'[provider]\nid = {new_id()}\nname = off\n')
        self.build(provider.ProviderRegistry(folder))

    def names(self, query: str) -> list[str]:
        return [item['name'] for item in self.get(f'/providers{query}')['providers']]

    def test_an_unusable_file_does_not_take_the_others_along(self):
        self.assertEqual(['second', 'provider'], self.names(''))
        self.assertEqual(['broken.conf'], list(self.registry.failures))
        self.assertIn('no-such-bank', self.registry.failures['broken.conf'])

    def test_filters(self):
        self.assertEqual(['second'], self.names('?name=second'))
        self.assertEqual(['second'], self.names('?description=second%20of%20a%20test'))
        self.assertEqual([], self.names('?name=sec'))
        self.assertEqual([], self.names('?name=second&description=x'))
        self.assertEqual(['second', 'provider'], self.names('?sort=name'))  # of the old client
        self.assertIn('no_filter', self.get('/providers?no_filter=x', 400))

    def test_marker(self):
        self.assertEqual(['provider'], self.names(f'?marker={SECOND_ID}'))
        self.assertEqual([], self.names(f'?marker={PROVIDER_ID}'))

    def test_pages(self):
        pages = self.follow('/providers?limit=1', 'providers')
        self.assertEqual(
            [[SECOND_ID], [PROVIDER_ID]], [[item['id'] for item in page] for page in pages]
        )
