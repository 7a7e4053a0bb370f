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

"""What a plan chooses of a project: by names, and by labels, which Cinder calls metadata.

It stands in the ``extra_info`` of the project in the plan::

    {"include": {"names": ["db-*"], "metadata": {"backup": "yes"}},
     "exclude": {"metadata": {"backup": ["no", "never*"]}}}

Without ``include`` everything is meant. A volume is in ``include``, or in ``exclude``, when its
name matches any of the names, or when it has all the labels: either is enough, so that a label
alone protects a volume or leaves it out. ``exclude`` wins. A name, and the value of a label, is
a glob: ``*``, ``?``, ``[abc]`` and ``[!abc]``; upper and lower case differ. Of several globs for
the value of one label, any.
"""

import dataclasses
import difflib
import fnmatch
import functools
import itertools
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from karbor import exception

_CHOOSING = ('include', 'exclude')

# Of include, and of exclude. Each glob is tried on each volume, and the time that takes at worst
# goes with its length.
_MOST_GLOBS = 20
_MOST_CHARACTERS = 1000
_LONGEST = 255  # characters, as Cinder takes for names and for both halves of a label


class Verdict(NamedTuple):
    """Whether something is in, and why, as the end of a sentence."""

    is_in: bool
    reason: str

    def of_unusable(self, status: str) -> 'Verdict':
        """The same of a resource that cannot be protected.

        What is being deleted is left out of a checkpoint; all else is missed in it.

        :param status: that it is in.
        """
        if not self.is_in:
            return self
        if status == 'deleting':
            return Verdict(False, f'{self.reason}, but it is being deleted')
        return Verdict(True, f'{self.reason}; in status {status} it cannot be protected')


class Globs(NamedTuple):
    """Globs, any of which is enough."""

    texts: tuple[str, ...] = ()

    def match(self, value: str) -> str | None:
        """The first that a value matches; None when it matches none."""
        match = _pattern(self.texts).match(value) if self.texts else None
        return None if match is None else self.texts[(match.lastindex or 0) - 1]


@functools.lru_cache(maxsize=256)
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    """What matches any of some globs; the group that matched tells which.

    Volumes are many and plans are few, so that most are tried again and again. (Not
    fnmatch.fnmatchcase: it keeps as many as 32768 patterns.)
    """
    return re.compile('|'.join(f'({fnmatch.translate(glob)})' for glob in globs))


@dataclasses.dataclass(frozen=True, slots=True)
class Selector:
    """Some of what is in a project.

    :ivar names: any of which a name matches.
    :ivar metadata: labels, all of which are there, with a value that matches any of the globs.
    """

    names: Globs = dataclasses.field(default_factory=Globs)
    metadata: Mapping[str, Globs] = dataclasses.field(default_factory=dict)

    def match(self, name: str, metadata: Mapping[str, str]) -> str | None:
        """By what a resource is meant; None when it is not."""
        glob = self.names.match(name)
        if glob is not None:
            return f'its name matches {glob}'
        if self.metadata and self._has_all(metadata):
            labels = [f'{key}={metadata[key]}' for key in self.metadata]
            return f'its label{"s" if len(labels) > 1 else ""} {", ".join(labels)}'
        return None

    def _has_all(self, metadata: Mapping[str, str]) -> bool:
        return all(
            key in metadata and globs.match(metadata[key]) is not None
            for key, globs in self.metadata.items()
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """What is chosen of a project.

    :ivar include: what is in; None is everything.
    :ivar exclude: what is left out of that; None is nothing.
    """

    include: Selector | None = None
    exclude: Selector | None = None

    def judge(self, name: str, metadata: Mapping[str, str]) -> Verdict:
        """Whether a resource of the project is chosen.

        :param name: its name; empty when it has none.
        :param metadata: its labels.
        """
        reason = self.exclude.match(name, metadata) if self.exclude else None
        if reason is not None:
            return Verdict(False, f'left out: {reason}')
        if self.include is None:
            return Verdict(True, 'it is in the project')
        reason = self.include.match(name, metadata)
        return Verdict(False, 'not in include') if reason is None else Verdict(True, reason)


EVERYTHING = Choice()


def parse(extra_info: Any) -> Choice:
    """What the ``extra_info`` of a project in a plan chooses.

    Only an object with ``include`` or ``exclude`` is a choice. Anything else, as plans have kept
    it since before there were choices, chooses everything.

    :param extra_info: a dict, JSON text of one, or JSON text of such text, as plugins are given
        what a caller sent as text.
    :raises InvalidInput: it is a choice, and wrong; names the place and the fault.
    """
    choice = _read(extra_info)
    for name in _as_object(extra_info):
        near = difflib.get_close_matches(name.lower(), _CHOOSING, 1, 0.8)
        if near and name not in _CHOOSING:
            raise _fault('extra_info', f'has {name!r:.100}; there is {near[0]!r}')
    for name in _CHOOSING:
        selector = getattr(choice, name)
        if selector is not None:
            _check_amount(f'extra_info.{name}', selector)
    return choice


def _read(extra_info: Any) -> Choice:
    fields = _as_object(extra_info)
    if not any(name in fields for name in _CHOOSING):
        return EVERYTHING
    _check_keys('extra_info', fields, _CHOOSING)
    return Choice(**{name: _selector(f'extra_info.{name}', fields[name]) for name in fields})


def stored(extra_info: Any) -> Choice:
    """The same of a plan that exists.

    What is wrong there was kept before there were choices, and chooses everything as it did then.
    """
    try:
        return _read(extra_info)
    except exception.InvalidInput:
        return EVERYTHING


def _as_object(extra_info: Any) -> Mapping[str, Any]:
    """What it is an object of, or JSON text of; an empty one when it is something else."""
    for _ in range(2):
        if isinstance(extra_info, str):
            try:
                extra_info = json.loads(extra_info)
            except (ValueError, RecursionError):
                return {}
    return extra_info if isinstance(extra_info, dict) else {}


def _selector(place: str, fields: Any) -> Selector:
    _check_type(place, fields, dict, 'an object')
    _check_keys(place, fields, ('names', 'metadata'))
    names = _texts(f'{place}.names', fields['names']) if 'names' in fields else []
    metadata = _labels(f'{place}.metadata', fields['metadata']) if 'metadata' in fields else {}
    return Selector(
        Globs(tuple(names)), {key: Globs(tuple(texts)) for key, texts in metadata.items()}
    )


def _labels(place: str, fields: Any) -> dict[str, list[str]]:
    _check_type(place, fields, dict, 'an object')
    for key in fields:
        _check_text(f'{place}: the key {key!r:.100}', key)
    return {
        key: _texts(
            f'{place}.{key:.100}',
            [value] if isinstance(value, str) else value,
            'text, nor a list of texts',
        )
        for key, value in fields.items()
    }


def _texts(place: str, values: Any, what: str = 'a list of texts') -> list[str]:
    _check_type(place, values, list, what)
    for number, value in enumerate(values):
        _check_text(f'{place}[{number}]', value)
    return list(values)


def _check_keys(place: str, fields: Mapping[str, Any], known: tuple[str, str]) -> None:
    for name in fields:
        if name not in known:
            raise _fault(place, f'has {name!r:.100}, and may have {" and ".join(known)} only')


def _check_type(place: str, value: Any, wanted: type, what: str) -> None:
    if not isinstance(value, wanted):
        raise _fault(place, f'is {json.dumps(value):.100}, which is not {what}')
    if not value:
        raise _fault(place, 'is empty')


def _check_text(place: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _fault(place, f'is {json.dumps(value):.100}, which is not text')
    if len(value) > _LONGEST:
        raise _fault(place, f'has {len(value)} characters; {_LONGEST} are the most')


def _check_amount(place: str, selector: Selector) -> None:
    of_labels = (globs.texts for globs in selector.metadata.values())
    texts: Collection[str] = [*selector.names.texts, *itertools.chain.from_iterable(of_labels)]
    characters = sum(len(text) for text in texts)
    if len(texts) > _MOST_GLOBS or characters > _MOST_CHARACTERS:
        raise _fault(
            place,
            f'has {len(texts)} globs of together {characters} characters; '
            f'{_MOST_GLOBS} and {_MOST_CHARACTERS} are the most',
        )


def _fault(place: str, what: str) -> exception.InvalidInput:
    return exception.InvalidInput(reason=f'{place} {what}.')
