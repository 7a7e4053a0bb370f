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

import datetime
import re
import types
import unicodedata

from oslotest import base

from karbor.resource import Resource
from karbor.services.protection.protection_plugins.volume import cinder_snapshot_texts as texts

VALUES = {
    'volume_name': 'db',
    'volume_id': 'V',
    'plan_name': 'nightly',
    'checkpoint_id': 'C',
    'time': '2026-01-02T03:04:05Z',
}

#: template -> what becomes of it
FILLED = [
    ('nightly', 'nightly'),
    ('', ''),
    ('{volume_name}', 'db'),
    ('{volume_name}{volume_id}{plan_name}{checkpoint_id}', 'dbVnightlyC'),
    ('{volume_name} {volume_name} at {time}', 'db db at 2026-01-02T03:04:05Z'),
    ('{{volume_name}}', '{db}'),
    ('{foo} {volume_name}', '{foo} db'),
    ('{}', '{}'),
    ('{ volume_name }', '{ volume_name }'),
    ('{volume_name', '{volume_name'),
    ('volume_name}', 'volume_name}'),
    ('}{', '}{'),
    ('{volume_name!r} {volume_name:>9} {volume_name.__class__}', None),
    ('{volume_id[0]} {0} %s $volume_name', None),
    ('{"a": 1}', None),
]


class FilledTest(base.BaseTestCase):
    def test_words(self) -> None:
        for template, expected in FILLED:
            self.assertEqual(expected or template, texts.filled(template, VALUES), template)
        self.assertIsNone(texts.filled(None, VALUES))

    def test_what_stands_for_a_word_is_not_read_again(self) -> None:
        values = {**VALUES, 'volume_name': '{plan_name}', 'plan_name': r'\1 \g<0> {volume_name}'}
        self.assertEqual(
            r'{plan_name}|\1 \g<0> {volume_name}',
            texts.filled('{volume_name}|{plan_name}', values),
        )

    def test_names_are_shortened(self) -> None:
        values = {**VALUES, 'volume_name': 'v' * 255, 'plan_name': 'p' * 255}
        for template, expected in (
            ('{volume_name}', 'v' * 255),
            ('{volume_name}-{checkpoint_id}', 'v' * 253 + '-C'),
            ('{volume_name}{time}{plan_name}', 'v' * 117 + VALUES['time'] + 'p' * 117),
            ('{volume_name}' * 3, 'v' * 255),
            ('{volume_name}' * 2, 'v' * 254),
        ):
            self.assertEqual(expected, texts.filled(template, values))
        short = {**values, 'plan_name': 'p' * 10}
        self.assertEqual('v' * 245 + 'p' * 10, texts.filled('{volume_name}{plan_name}', short))

    def test_the_end_is_cut_off_when_names_are_not_enough(self) -> None:
        whole = VALUES['time'] * 40
        self.assertEqual(whole[:255], texts.filled('{volume_name}' + '{time}' * 40, VALUES))
        self.assertEqual('x' * 255, texts.filled('x' * 300, VALUES))


class UnknownWordsTest(base.BaseTestCase):
    def test_them(self) -> None:
        for template, expected in (
            ('', []),
            ('{volume_name}{time}', []),
            ('{}{ foo }{foo', []),
            ('{foo} {volume_name} {b.a-r}', ['foo', 'b.a-r']),
            ('{Time}{größe}', ['Time', 'größe']),
            ('{{foo}}', ['foo']),
        ):
            self.assertEqual(expected, texts.unknown_words(template), template)

    def test_many_braces_cost_no_time(self) -> None:
        for template in ('{' * 1_000_000, '{a' * 500_000, '{' + 'a' * 1_000_000):
            self.assertEqual([], texts.unknown_words(template))


class ValuesTest(base.BaseTestCase):
    def values(self, name: str) -> dict[str, str]:
        begun = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
        checkpoint = types.SimpleNamespace(
            id='C', timestamp=int(begun.timestamp()), protection_plan={'name': name}
        )
        return dict(texts.values_of(checkpoint, Resource('OS::Cinder::Volume', 'V', name)))

    def test_them(self) -> None:
        self.assertEqual({**VALUES, 'plan_name': 'db'}, self.values('db'))
        self.assertEqual(set(texts.WORDS), set(VALUES))

    def test_characters_that_cinder_takes_in_no_description(self) -> None:
        for name, expected in (
            ('Ünï ☃', 'Ünï ☃'),
            ('a\u3000b\xa0c', 'a\u3000b\xa0c'),
            ('a\nb\tc\x7f', 'a?b?c?'),
            ('\U0001f4be disk\u2028\u200b', '? disk??'),
            ('', ''),
        ):
            values = self.values(name)
            self.assertEqual((expected, expected), (values['volume_name'], values['plan_name']))

    def test_all_that_is_left_is_taken(self) -> None:
        """Cinder's rule: of the first 65,535 characters all but others, and lines' ends."""
        characters = [chr(number) for number in range(0x110000)]
        taken = [
            each
            for each in characters[:0xFFFF]
            if not re.match('C|Zl|Zp', unicodedata.category(each))
        ]
        shown = self.values(''.join(characters))['volume_name']
        self.assertEqual(set(taken), set(shown))
