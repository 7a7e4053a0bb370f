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

"""What a plan chooses of a project, as a table."""

import json
from typing import Any

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from karbor import exception
from karbor.services.protection import choices

SETTINGS = hypothesis.settings(max_examples=100, deadline=None, database=None, derandomize=True)

LABELLED = {'names': ['db-*'], 'metadata': {'backup': 'yes'}}
IN_PROJECT = choices.Verdict(True, 'it is in the project')
NOT_IN = choices.Verdict(False, 'not in include')

#: extra_info of a project, name and labels of a volume -> what is said of it
GOLDEN: list[tuple[Any, str, dict[str, str], tuple[bool, str]]] = [
    (None, 'a', {}, IN_PROJECT),
    # A name or a label is enough.
    ({'include': LABELLED}, 'db-1', {}, (True, 'its name matches db-*')),
    ({'include': LABELLED}, 'web', {'backup': 'yes'}, (True, 'its label backup=yes')),
    ({'include': LABELLED}, 'db-1', {'backup': 'no'}, (True, 'its name matches db-*')),
    ({'include': LABELLED}, 'web', {'backup': 'no'}, NOT_IN),
    ({'include': LABELLED}, 'web', {}, NOT_IN),
    ({'exclude': LABELLED}, 'db-1', {}, (False, 'left out: its name matches db-*')),
    ({'exclude': LABELLED}, 'web', {'backup': 'yes'}, (False, 'left out: its label backup=yes')),
    ({'exclude': LABELLED}, 'web', {'backup': 'no'}, IN_PROJECT),
    # What is excluded is out, though it is included.
    (
        {'include': {'names': ['db-*']}, 'exclude': {'names': ['*-tmp']}},
        'db-tmp',
        {},
        (False, 'left out: its name matches *-tmp'),
    ),
    (
        {'include': {'names': ['db-*']}, 'exclude': {'names': ['*-tmp']}},
        'db-1',
        {},
        (True, 'its name matches db-*'),
    ),
    ({'include': {'names': ['db-*']}, 'exclude': {'names': ['*-tmp']}}, 'web', {}, NOT_IN),
    (
        {'include': {'names': ['*']}, 'exclude': {'metadata': {'backup': 'no'}}},
        '',
        {'backup': 'no'},
        (False, 'left out: its label backup=no'),
    ),
    # Of names, any; of labels, all; of the values of one, any.
    ({'include': {'names': ['a', 'b']}}, 'b', {}, (True, 'its name matches b')),
    (
        {'include': {'metadata': {'env': 'prod', 'backup': ['daily', 'week*']}}},
        'x',
        {'backup': 'weekly', 'env': 'prod', 'other': '1'},
        (True, 'its labels env=prod, backup=weekly'),
    ),
    (
        {'include': {'metadata': {'env': 'prod', 'backup': ['daily', 'week*']}}},
        'x',
        {'backup': 'weekly'},
        NOT_IN,
    ),
    (
        {'include': {'metadata': {'env': 'prod', 'backup': ['daily', 'week*']}}},
        'x',
        {'env': 'prod', 'backup': 'monthly'},
        NOT_IN,
    ),
    # Globs.
    ({'include': {'names': ['db-?']}}, 'db-12', {}, NOT_IN),
    ({'include': {'names': ['DB-*']}}, 'db-1', {}, NOT_IN),
    ({'include': {'names': ['db']}}, 'db-1', {}, NOT_IN),
    ({'include': {'names': ['db-[12]']}}, 'db-2', {}, (True, 'its name matches db-[12]')),
    ({'include': {'names': ['db-[!12]']}}, 'db-2', {}, NOT_IN),
    ({'include': {'names': ['d.*']}}, 'db-1', {}, NOT_IN),
    ({'include': {'names': ['d*|x(']}}, 'db|x(', {}, (True, 'its name matches d*|x(')),
    ({'include': {'names': ['a*c']}}, 'a\nc', {}, (True, 'its name matches a*c')),
    ({'include': {'names': ['']}}, '', {}, (True, 'its name matches ')),
    ({'include': {'metadata': {'backup': '*'}}}, '', {'backup': ''}, (True, 'its label backup=')),
    ({'include': {'metadata': {'back*': 'yes'}}}, '', {'backup': 'yes'}, NOT_IN),
    ({'include': {'metadata': {'backup': 'yes'}}}, '', {'Backup': 'yes'}, NOT_IN),
]

#: what is no choice, as plans had it before there were any
NO_CHOICES = (
    None,
    {},
    [],
    '',
    '{}',
    'text',
    '[' * 100_000,
    5,
    True,
    ['include'],
    'include',
    '"include"',
    {'availability_zone': 'nova'},
)

#: extra_info -> what the message says
FAULTS: list[tuple[Any, str]] = [
    ({'include': None}, 'extra_info.include is null, which is not an object.'),
    ({'include': []}, 'extra_info.include is [], which is not an object.'),
    ({'includes': {'names': ['x']}}, "extra_info has 'includes'; there is 'include'."),
    ({'Exclude': {}, 'note': 1}, "extra_info has 'Exclude'; there is 'exclude'."),
    ({'exclude': 'db-*'}, 'extra_info.exclude is "db-*", which is not an object.'),
    ({'include': {}}, 'extra_info.include is empty.'),
    ({'include': {'names': []}}, 'extra_info.include.names is empty.'),
    ({'include': {'names': 'db-*'}}, 'include.names is "db-*", which is not a list of texts.'),
    ({'include': {'names': ['a', 5]}}, 'extra_info.include.names[1] is 5, which is not text.'),
    ({'include': {'names': [None]}}, 'extra_info.include.names[0] is null, which is not text.'),
    ({'include': {'names': ['x' * 256]}}, 'names[0] has 256 characters; 255 are the most.'),
    ({'exclude': {'metadata': {}}}, 'extra_info.exclude.metadata is empty.'),
    ({'exclude': {'metadata': ['a']}}, 'metadata is ["a"], which is not an object.'),
    ({'exclude': {'metadata': {'a': []}}}, 'extra_info.exclude.metadata.a is empty.'),
    ({'exclude': {'metadata': {'a': True}}}, 'metadata.a is true, which is not text, nor a list'),
    ({'exclude': {'metadata': {'a': ['x', {}]}}}, 'metadata.a[1] is {}, which is not text.'),
    ({'exclude': {'metadata': {'a': 'x' * 256}}}, 'metadata.a[0] has 256 characters'),
    ({'exclude': {'metadata': {'a' * 256: 'x'}}}, 'has 256 characters; 255 are the most'),
    ({'include': {'name': ['x']}}, "include has 'name', and may have names and metadata only."),
    (
        {'include': {'names': ['x']}, 'note': 1},
        "extra_info has 'note', and may have include and exclude only.",
    ),
    (
        {'include': {'names': ['x'] * 19, 'metadata': {'a': ['x', 'y']}}},
        'include has 21 globs of together 21 characters; 20 and 1000 are the most.',
    ),
    ({'include': {'names': ['x' * 250] * 5}}, 'has 5 globs of together 1250 characters'),
]

_EXTRA_INFO = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(('include', 'exclude', 'names', 'metadata', 'backup')), inner
        )
    ),
)


class ChoiceTest(base.BaseTestCase):
    def test_what_is_said_of_volumes(self) -> None:
        for extra_info, name, metadata, expected in GOLDEN:
            for form in (extra_info, json.dumps(extra_info), json.dumps(json.dumps(extra_info))):
                verdict = choices.parse(form).judge(name, metadata)

                self.assertEqual(expected, verdict, (form, name, metadata))

    def test_what_is_no_choice_chooses_everything(self) -> None:
        for extra_info in NO_CHOICES:
            self.assertEqual(choices.EVERYTHING, choices.parse(extra_info))

    def test_faults_are_named_with_their_place(self) -> None:
        for extra_info, message in FAULTS:
            error = self.assertRaises(exception.InvalidInput, choices.parse, extra_info)

            self.assertIn(message, error.msg)

    def test_what_a_plan_has_from_before_there_were_choices(self) -> None:
        for extra_info, message in FAULTS:
            if 'globs' not in message:
                self.assertEqual(choices.EVERYTHING, choices.stored(json.dumps(extra_info)))
        kept = {'include': LABELLED}
        self.assertEqual(choices.parse(kept), choices.stored(kept))

    def test_what_a_plan_has_may_be_more_than_is_taken_now(self) -> None:
        names = [f'db-{number}' for number in range(100)]
        choice = choices.stored({'include': {'names': names}})
        self.assertTrue(choice.judge('db-99', {}).is_in)
        self.assertFalse(choice.judge('web', {}).is_in)

    def test_as_much_as_there_may_be(self) -> None:
        choices.parse(
            {
                'include': {'names': ['x' * 50] * 20},
                'exclude': {'names': ['x' * 235], 'metadata': {'k' * 255: ['x' * 255] * 3}},
            }
        )

    def test_a_message_is_short_whatever_was_sent(self) -> None:
        for extra_info in (
            {'include': ['x' * 10_000]},
            {'include': {'x' * 10_000: 1}},
            {'include': {'metadata': {'x' * 10_000: 'a'}}},
        ):
            error = self.assertRaises(exception.InvalidInput, choices.parse, extra_info)
            self.assertLess(len(error.msg), 300)

    @SETTINGS
    @hypothesis.given(_EXTRA_INFO)
    def test_anything_is_a_choice_or_refused(self, extra_info: Any) -> None:
        try:
            choice = choices.parse(extra_info)
        except exception.InvalidInput:
            choice = choices.stored(extra_info)
        choice.judge('db-1', {'backup': 'yes'})

    @SETTINGS
    @hypothesis.given(st.text(alphabet='a-z[]!^*?\\&|~.{}()$\n', max_size=20))
    def test_any_text_is_a_glob(self, text: str) -> None:
        choices.Globs((text,)).match('abc')
        plain = ''.join(character for character in text if character not in '*?[')
        self.assertEqual(plain, choices.Globs(('nothing', plain)).match(plain))
