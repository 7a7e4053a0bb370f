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

"""Pages whose commands are run: what they show is what the commands print.

A command of a page stands behind ``$`` in a literal block, what it prints below it. A comment as
``.. scene: attach db`` calls for something that the reader does not see, before what follows.
Blocks without ``$`` are not run.
"""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Sequence

import karbor

ROOT = pathlib.Path(karbor.__file__).parents[1]
#: those that are run, by the names of their tests
PAGES = {
    'readme': 'README.rst',
    'protect': 'doc/source/protect.rst',
    'schedule': 'doc/source/schedule.rst',
    'look': 'doc/source/look.rst',
    'know': 'doc/source/know.rst',
    'restore': 'doc/source/restore.rst',
    'failed': 'doc/source/failed.rst',
    'cleanup': 'doc/source/cleanup.rst',
    'leave': 'doc/source/leave.rst',
}

_SCENE = re.compile(r'\.\. scene: (.+)')
_COMMAND = re.compile(r'( +)\$ (.+)')
_ID = re.compile(r'\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})\b')
#: what may differ beside ids: moments, how long something took, and how wide a table is
_DIFFERING = (
    (re.compile(r'\d{4}-\d\d-\d\d[ T][\d:.]+(?: [A-Z]{3,4})?(?:[+-]\d\d:\d\d)?'), 'MOMENT'),
    (re.compile(r'\b\d+ (?:second|minute|hour|day)s?\b'), 'TIME'),
    (re.compile(r'-{2,}'), '-'),
    (re.compile(r' {2,}'), ' '),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """What is done at a place of a page.

    :ivar scene: words of a comment; empty for a command.
    :ivar command: as it is typed; empty for a comment.
    :ivar begin: index of the first line of what it prints.
    :ivar end: index of the line after that.
    :ivar indent: of these lines.
    """

    scene: str = ''
    command: str = ''
    begin: int = 0
    end: int = 0
    indent: str = ''


class Page:
    """A page of the documentation.

    :param path: where it is.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._lines = path.read_text().splitlines()

    def steps(self) -> Sequence[Step]:
        """What is done, in order."""
        found = []
        number = 0
        while number < len(self._lines):
            line = self._lines[number]
            number += 1
            if scene := _SCENE.fullmatch(line):
                found.append(Step(scene=scene[1]))
            elif typed := _COMMAND.fullmatch(line):
                step = self._command(typed[1], typed[2], number)
                found.append(step)
                number = step.end
        return found

    def _command(self, indent: str, command: str, number: int) -> Step:
        while command.endswith('\\'):
            command += '\n' + self._lines[number]
            number += 1
        end = number
        while end < len(self._lines) and self._lines[end].startswith(indent):
            if _COMMAND.fullmatch(self._lines[end]):
                break
            end += 1
        return Step(command=command, begin=number, end=end, indent=indent)

    def output(self, step: Step) -> str:
        """What a command prints, as the page shows it."""
        return '\n'.join(line[len(step.indent) :] for line in self._lines[step.begin : step.end])

    def write(self, printed: Sequence[tuple[Step, str]]) -> None:
        """Have the page show what commands of it have printed."""
        for step, text in reversed(printed):
            self._lines[step.begin : step.end] = [step.indent + line for line in text.splitlines()]
        self.path.write_text('\n'.join([*self._lines, '']))


class Ids:
    """Which id of a page is which of a run."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}
        self._shown: dict[str, str] = {}

    def typed(self, command: str) -> str:
        """A command of the page with the ids of the run."""
        return _replace(self._real, command)

    def learn(self, shown: str, printed: str) -> None:
        """Take ids that stand in the same places for the same, if neither is known."""
        pairs = (_ID.findall(text) for text in (shown, printed))
        for of_page, real in zip(*pairs, strict=False):
            if of_page not in self._real and real not in self._shown:
                self._real[of_page] = real
                self._shown[real] = of_page

    def shown(self, printed: str) -> str:
        """What was printed with the ids of the page; those that it does not have stay."""
        return _replace(self._shown, printed)


def _replace(ids: dict[str, str], text: str) -> str:
    return _ID.sub(lambda found: ids.get(found[0], found[0]), text)


def likened(text: str) -> str:
    """A text without what may differ from run to run."""
    for pattern, stand_in in _DIFFERING:
        text = pattern.sub(stand_in, text)
    return '\n'.join(line.rstrip() for line in text.splitlines())


@dataclasses.dataclass(frozen=True)
class Difference:
    """A command that prints something else than the page shows."""

    step: Step
    shown: str
    printed: str

    def __str__(self) -> str:
        return f'$ {self.step.command}\nshown:\n{self.shown}\nprinted:\n{self.printed}\n'


def differences(
    page: Page, play: Callable[[str], None], run: Callable[[str], str]
) -> list[Difference]:
    """Do what a page says.

    :param play: what is done for a comment, by its words.
    :param run: runs a command, and gives what it prints.
    """
    ids, found = Ids(), []
    for step in page.steps():
        if step.scene:
            play(step.scene)
            continue
        shown, printed = page.output(step), run(ids.typed(step.command))
        ids.learn(shown, printed)
        printed = ids.shown(printed)
        if likened(shown) != likened(printed):
            found.append(Difference(step, shown, printed))
    return found
