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

"""``openstack protection``, whose commands call the API over HTTP."""

import functools
import importlib
import io
import json
import re
import shlex
import types
from contextlib import ExitStack
from typing import Any
from unittest import mock

from osc_lib.exceptions import CommandError

from karbor.client.osc import waits
from karbor.tests import client_package
from karbor.tests.functional import calling

_GROUP = 'openstack.protection.v1'


@functools.cache
def commands() -> dict[str, str]:
    """Where the class of each command is, by how it is typed."""
    pairs = [
        line.split(' = ') for line in client_package.entry_points()[_GROUP].split('\n') if line
    ]
    return {name.removeprefix('protection_').replace('_', ' '): place for name, place in pairs}


def command_class(name: str) -> Any:
    module, _, attribute = commands()[name].partition(':')
    return getattr(importlib.import_module(module), attribute)


class Terminal(io.StringIO):
    """Somebody is there."""

    def isatty(self) -> bool:
        return True


class CommandTestCase(calling.CallsTestCase):
    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.object(waits, 'INTERVAL', 0.05)
        patch.start()
        self.addCleanup(patch.stop)
        self.errors = ''

    def run_command(
        self, line: str, code: int = 0, persona: str = 'manager', answer: str | None = None
    ) -> str:
        """What a command prints; :attr:`errors` is what it says beside that.

        :param line: what is typed behind ``openstack protection``.
        :param answer: what somebody types who is asked, on a terminal.
        """
        words = shlex.split(line)
        name = next(
            ' '.join(words[:count]) for count in (3, 2, 1) if ' '.join(words[:count]) in commands()
        )
        output, errors = io.StringIO(), io.StringIO() if answer is None else Terminal()
        typed = io.StringIO() if answer is None else Terminal(answer + '\n')
        calls = self.calls if persona == 'manager' else self.protection(persona)
        app = types.SimpleNamespace(
            client_manager=types.SimpleNamespace(protection=calls), stdout=output
        )
        command = command_class(name)(app, None)
        with ExitStack() as patches:
            for stream, stand_in in (('stderr', errors), ('stdin', typed)):
                patches.enter_context(mock.patch(f'sys.{stream}', stand_in))
            patches.callback(lambda: setattr(self, 'errors', errors.getvalue()))
            parser = command.get_parser(f'openstack protection {name}')
            ended = command.run(parser.parse_args(words[len(name.split()) :]))
        self.assertEqual(code, ended, f'{line}: {output.getvalue()}{errors.getvalue()}')
        return output.getvalue()

    def fail_command(self, line: str, **how: Any) -> str:
        """What a command says that fails."""
        return str(self.assertRaises(CommandError, self.run_command, line, **how))

    def table(self, line: str, **how: Any) -> list[dict[str, str]]:
        """The rows of the table that a command prints."""
        printed = self.run_command(line, **how)
        rows = [row for row in printed.splitlines() if row.startswith('|')]
        titles, *cells = [[cell.strip() for cell in row.strip('|').split('|')] for row in rows]
        found: list[dict[str, str]] = []
        for row in cells:
            if row[0] or not found:
                found.append(dict(zip(titles, row, strict=True)))
                continue
            for title, cell in zip(titles, row, strict=True):
                found[-1][title] = '\n'.join(filter(None, [found[-1][title], cell]))
        return found

    def fields(self, line: str, **how: Any) -> dict[str, str]:
        """The lines of the table of one thing."""
        return {row['Field']: row['Value'] for row in self.table(line, **how)}

    def json(self, line: str, **how: Any) -> Any:
        return json.loads(self.run_command(f'{line} -f json', **how))

    def assert_moment(self, text: str) -> None:
        """It is in the local zone, which is named."""
        self.assertTrue(re.fullmatch(r'\d{4}-\d\d-\d\d \d\d:\d\d \w+', text), text)
