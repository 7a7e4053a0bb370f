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

"""Texts of snapshots with words in braces, in whose place stands what they are the names of.

A word is of letters, digits and ``_.-``. Braces around anything else, or around nothing, are text
as any other; so are those in what is put in a word's place.
"""

import bisect
import datetime
import functools
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from karbor.resource import Resource

LONGEST = 255  # characters, of a name and of a description in Cinder

WORDS = ('volume_name', 'volume_id', 'plan_name', 'checkpoint_id', 'time')

# Whoever names volumes and plans may choose how long these are.
_SHORTENED = ('volume_name', 'plan_name')
_IN_BRACES = re.compile(r'\{([\w.-]+)\}')
_LARGEST_CHARACTER = '\uffff'

Values = Mapping[str, str]


def unknown_words(template: str) -> list[str]:
    """The words in braces that are the names of nothing."""
    return [word for word in _IN_BRACES.findall(template) if word not in WORDS]


def values_of(checkpoint: Any, resource: Resource) -> Values:
    """What stands for each word; of one checkpoint it is always the same.

    :param checkpoint: as hooks are given it.
    :param resource: a volume, named as it was when the checkpoint was begun.
    """
    begun = datetime.datetime.fromtimestamp(checkpoint.timestamp, datetime.UTC)
    return {
        'volume_name': _shown(resource.name),
        'volume_id': resource.id,
        'plan_name': _shown(checkpoint.protection_plan['name']),
        'checkpoint_id': checkpoint.id,
        'time': begun.strftime('%Y-%m-%dT%H:%M:%SZ'),
    }


def filled(template: str | None, values: Values) -> str | None:
    """The text with the values in place of their words, no longer than Cinder takes.

    Names are shortened for that, and the end is cut off if that is not enough.
    """
    if template is None:
        return None
    fill = functools.partial(_with_names_of, template, values)
    whole = fill(LONGEST)
    if len(whole) <= LONGEST:
        return whole
    most = bisect.bisect_right(range(LONGEST), LONGEST, key=lambda most: len(fill(most))) - 1
    return fill(max(most, 0))[:LONGEST]


def _with_names_of(template: str, values: Values, most: int) -> str:
    """The text with names of so many characters at most."""

    def value(match: re.Match[str]) -> str:
        word = match[1]
        text = values.get(word, match[0])
        return text[:most] if word in _SHORTENED else text

    return _IN_BRACES.sub(value, template)


def _shown(name: str) -> str:
    """A name with a question mark for each character that Cinder takes in no description."""
    return ''.join(character if is_taken(character) else '?' for character in name)


def is_taken(character: str) -> bool:
    """Whether Cinder takes it in a description."""
    category = unicodedata.category(character)
    return character <= _LARGEST_CHARACTER and category[0] != 'C' and category not in ('Zl', 'Zp')
