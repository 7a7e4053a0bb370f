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

"""Runs ``karbor`` and ``openstack data protection`` as a user does, and reads what they print."""

import dataclasses
import functools
import itertools
import json
import os
import pathlib
import queue
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

from karbor.tests.integration import client_forks, cloud

KARBOR = 'karbor'
OPENSTACK = 'openstack'

NEWEST = 'client'
OLD = 'client-7.4'

_ENTRY_POINTS = 'openstack.data_protection.v1'


def make_virtualenvs() -> None:
    subprocess.run([cloud.ROOT / 'tools/client-virtualenvs'], check=True, stdout=subprocess.PIPE)


@dataclasses.dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    line: str
    code: int
    output: str
    errors: str

    def __str__(self) -> str:
        return f'$ {self.line}\n{self.output}{self.errors}exit code {self.code}'


class _Forks:
    """Processes that have loaded a command and run it in forks; many threads may ask for them.

    :param python: of the virtualenv.
    :param name: of the command.
    """

    def __init__(self, python: pathlib.Path, name: str) -> None:
        self._command = [python, '-P', client_forks.__file__, name]
        self._idle: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()

    def run(self, **command: Any) -> int:
        """Run the command as described in :mod:`client_forks`; returns its exit code."""
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            # They end when the test run does, as there is nothing more to read then.
            process = subprocess.Popen(
                self._command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(command) + '\n')
        process.stdin.flush()
        code = int(process.stdout.readline())
        self._idle.put(process)
        return code


@functools.cache
def _forks_of(name: str, virtualenv: str) -> _Forks:
    return _Forks(cloud.ROOT / '.venv' / virtualenv / 'bin/python', name)


class Shell:
    """One of the two commands, in one of the virtualenvs.

    :param name: KARBOR or OPENSTACK.
    :param virtualenv: NEWEST or OLD.
    :param folder: an empty one, in which the commands are run.
    """

    def __init__(self, name: str, virtualenv: str, folder: pathlib.Path) -> None:
        self.name = name
        self.virtualenv = virtualenv
        self._bin = cloud.ROOT / '.venv' / virtualenv / 'bin'
        self.folder = folder
        self._forks = _forks_of(name, virtualenv)

    @property
    def version(self) -> str:
        """That of the package which the command belongs to."""
        return next(
            found.version
            for found in self._distributions()
            if found.name == f'python-{self.name}client'
        )

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Ended:
        """Run it with nothing in the environment but what is given."""
        done = subprocess.run(
            [self._bin / self.name, *arguments],
            cwd=self.folder,
            text=True,
            check=False,
            capture_output=True,
            timeout=120,
            env=self._environment(environment),
        )
        return Ended(shlex.join([self.name, *arguments]), done.returncode, done.stdout, done.stderr)

    def run_forked(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Ended:
        """The same in a fork of a process that has loaded the command: most of the time that one
        takes is for that."""
        with tempfile.TemporaryDirectory() as folder:
            output, errors = (pathlib.Path(folder, name) for name in ('output', 'errors'))
            code = self._forks.run(
                output=str(output),
                errors=str(errors),
                folder=str(self.folder),
                arguments=[str(self._bin / self.name), *arguments],
                environment=self._environment(environment),
            )
            return Ended(
                shlex.join([self.name, *arguments]), code, output.read_text(), errors.read_text()
            )

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            'PATH': os.environ['PATH'],
            'HOME': str(self.folder),
            'LANG': 'C.UTF-8',
            **more,
        }

    def commands(self) -> set[str]:
        """All that python-karborclient brings, as typed; asked for from what is installed."""
        if self.name == KARBOR:
            words = self.run(['bash-completion'], {}).output.split()
            return {word for word in words if not word.startswith('-')}
        return {
            entry_point.name.removeprefix('data_protection_').replace('_', ' ')
            for found in self._distributions()
            for entry_point in found.entry_points
            if entry_point.group == _ENTRY_POINTS
        }

    def _distributions(self) -> Iterable[metadata.Distribution]:
        packages = next((self._bin.parent / 'lib').glob('python*/site-packages'))
        return metadata.distributions(path=[str(packages)])

    def shown(self, output: str) -> dict[str, Any]:
        """Names and values of the one thing that was printed."""
        if self.name == OPENSTACK:
            return json.loads(output)
        rows = _table(output)
        if 'property' not in rows[0]:  # a service is shown as a list of one
            return rows[0]
        return {row['property']: row['value'] for row in rows}

    def listed(self, output: str) -> list[dict[str, Any]]:
        """The rows that were printed, by the names of their columns."""
        if self.name == OPENSTACK:
            return [
                {_key(name): value for name, value in row.items()} for row in json.loads(output)
            ]
        return _table(output)


def _key(title: str) -> str:
    return title.lower().replace(' ', '_')


def _table(text: str) -> list[dict[str, str]]:
    """The rows of a table, of which a cell may have many lines, but not in the first column."""
    border, titles, _, *lines = text.splitlines()
    ends = [place for place, character in enumerate(border) if character == '+']
    columns = [slice(start + 2, end - 1) for start, end in itertools.pairwise(ends)]
    names = [_key(titles[column].strip()) for column in columns]
    rows: list[dict[str, str]] = []
    for line in lines[:-1]:
        cells = dict(zip(names, (line[column].rstrip() for column in columns), strict=True))
        if cells[names[0]]:
            rows.append(cells)
        else:
            rows[-1].update(
                {name: f'{rows[-1][name]}\n{cell}'.rstrip() for name, cell in cells.items()}
            )
    return rows
