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

"""Every command of ``openstack protection`` is run by the real ``openstack`` somewhere, and pages
are compared with what their commands print."""

import ast
import pathlib
import re
from collections.abc import Iterator

from oslotest import base

from karbor.tests import client_package
from karbor.tests.integration import pages, test_openstack, test_pages

_GROUP = 'openstack.protection.v1'
_ONE, _TWO, _THREE, _FOUR = (
    f'{number}5d63d14-8f3a-4c84-9b6b-6d6d3a3e6f1{number}' for number in '1234'
)
_PAGE = f"""
.. scene: volumes db

Text with ``$ code``::

    $ first --name \\
          x
    | {_ONE} | 3 hours |
    $ second {_ONE}
    {_ONE} is of {_TWO}

::

    not run
"""


def _commands() -> set[str]:
    lines = client_package.entry_points()[_GROUP].split('\n')
    names = (line.partition(' = ')[0] for line in lines if line)
    return {name.removeprefix('protection_').replace('_', ' ') for name in names}


def _named(text: str) -> set[str]:
    """The commands that stand in a text behind ``protection``."""
    known = _commands()
    found = set()
    for typed in re.findall(r'(?<!data )\bprotection ((?:[a-z]+ ?){1,3})', text):
        words = typed.split()
        names = (' '.join(words[:count]) for count in (3, 2, 1))
        found.update([name for name in names if name in known][:1])
    return found


def _typed_in_tests() -> Iterator[str]:
    """What the tests of the real ``openstack`` type, as far as it is written there."""
    for node in ast.walk(ast.parse(pathlib.Path(test_openstack.__file__).read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        before = {'types': '', 'sees': 'protection '}.get(node.func.attr)
        if before is None or not node.args:
            continue
        line = node.args[0]
        first = line.values[0] if isinstance(line, ast.JoinedStr) else line
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield before + first.value


class CommandsTest(base.BaseTestCase):
    def test_each_is_run(self) -> None:
        typed = list(_typed_in_tests())
        for path in pages.PAGES.values():
            typed += [step.command for step in pages.Page(pages.ROOT / path).steps()]
        self.assertEqual(_commands(), set().union(*map(_named, typed)))

    def test_each_page_has_a_test(self) -> None:
        tests = {name for name in vars(test_pages.PagesTest) if name.startswith('test_')}
        self.assertEqual({f'test_{name}' for name in pages.PAGES}, tests)


class PageTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = pathlib.Path(self.create_tempfiles([('page', _PAGE)], '.rst')[0])
        self.played: list[str] = []
        self.typed: list[str] = []

    def differences(self, *printed: str) -> list[pages.Difference]:
        """What differs when commands print this."""
        rest = list(printed)

        def run(command: str) -> str:
            self.typed.append(command)
            return rest.pop(0)

        return pages.differences(pages.Page(self.path), self.played.append, run)

    def test_what_may_differ(self) -> None:
        found = self.differences(f'| {_THREE} |  4 hours |', f'{_THREE} is of {_FOUR}')
        self.assertEqual([], found)
        self.assertEqual(['volumes db'], self.played)
        self.assertEqual(['first --name \\\n          x', f'second {_THREE}'], self.typed)

    def test_what_differs(self) -> None:
        (other_id,) = self.differences(f'| {_THREE} | 3 hours |', f'{_FOUR} is of {_THREE}')
        self.assertEqual(f'second {_ONE}', other_id.step.command)
        (other_word,) = self.differences(f'| {_THREE} | never |', f'{_THREE} is of {_FOUR}')
        self.assertEqual(f'| {_ONE} | never |', other_word.printed)
        self.assertIn('| never |', str(other_word))
        self.assertEqual(2, len(self.differences('', '')))

    def test_a_page_is_written(self) -> None:
        found = self.differences(f'| {_THREE} | never |\n| x |', f'{_THREE} is of {_FOUR}')
        pages.Page(self.path).write([(each.step, each.printed) for each in found])
        changed = _PAGE.replace('| 3 hours |', '| never |\n    | x |')
        self.assertEqual(changed, self.path.read_text())
        found = self.differences(f'| {_THREE} | never |\n| x |', f'{_THREE} is of {_FOUR}')
        self.assertEqual([], found)

    def test_moments_and_widths(self) -> None:
        for one, other in (
            ('| 2026-11-27 03:30 CET |', '| 2027-07-01 13:31 CEST |'),
            ('2026-11-27 03:30 UTC+01:00', '2027-07-01 13:31 UTC+02:00'),
            ('2026-11-27T03:30:01.5+00:00.', '2027-07-01T13:31:00+00:00.'),
            ('+-----+\n| a   |', '+---+\n| a |'),
            ('in 1 minute', 'in 16 hours'),
        ):
            self.assertEqual(pages.likened(one), pages.likened(other))
