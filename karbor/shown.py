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

"""Texts of others, as they may be shown: names and metadata can have anything in them.

What a terminal acts on (ESC and its like), what ends a line and what turns the direction of
writing is written as Python writes it in a literal: ``\\x1b``, ``\\n``. And a URL may have a
password.
"""

import re
import unicodedata
from collections.abc import Iterable

# Controls, marks of direction, halves of surrogates, and ends of lines and paragraphs.
_NOT_SHOWN = frozenset(('Cc', 'Cf', 'Cs', 'Zl', 'Zp'))
_WORD = re.compile(r'\S+')


class Shown(str):
    """A text in which all that is of others is escaped; its lines are its own."""

    __slots__ = ()


def escaped(text: str) -> Shown:
    """A text on one line, with nothing in it that a terminal would act on."""
    if isinstance(text, Shown):
        return text
    if text.isprintable():
        return Shown(text)
    return Shown(''.join(map(_shown, text)))


def lines(texts: Iterable[object]) -> Shown:
    """Texts of others, each on a line."""
    return Shown('\n'.join(escaped(str(text)) for text in texts))


def lines_of(text: str) -> Shown:
    """A text that has lines, of which none has anything that a terminal would act on."""
    return Shown('\n'.join(map(escaped, text.split('\n'))))


def without_credentials(text: str) -> str:
    """A text in whose URLs ``***`` stands for all up to the last ``@``, parsed or not.

    So no part of a password is left that has an ``@`` or a ``/`` itself.
    """
    if '://' not in text or '@' not in text:
        return text
    return type(text)(_WORD.sub(_hidden, text))


def sentence(text: str) -> Shown:
    """What Karbor says of itself, with texts of others in it, on one line."""
    return escaped(without_credentials(text))


def _hidden(word: re.Match[str]) -> str:
    before, at, rest = word[0].rpartition('@')
    scheme, mark, _ = before.partition('://')
    return f'{scheme}{mark}***{at}{rest}' if mark else word[0]


def _shown(character: str) -> str:
    if unicodedata.category(character) in _NOT_SHOWN:
        return character.encode('unicode_escape').decode('ascii')
    return character
