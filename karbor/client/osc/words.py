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

"""Moments, ages, sizes and counts as people say them."""

import datetime
import textwrap

_UNITS = (('day', 86400), ('hour', 3600), ('minute', 60))


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """As ``1 volume`` or ``3 volumes``."""
    return f'{number} {noun if number == 1 else plural or noun + "s"}'


def size(gibibytes: int | None) -> str:
    return '' if gibibytes is None else f'{gibibytes} GiB'


def wrapped(text: str, width: int) -> str:
    """A text in lines of a width, as far as there are spaces."""
    return '\n'.join(
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    )


def moment(text: str | None) -> str:
    """A moment of the API in the local zone, as ``2026-11-27 03:30 CET``."""
    return '' if text is None else _told(_read(text).astimezone())


def moment_there(text: str) -> str:
    """A moment of the API in its own zone, as ``2026-11-27 03:30 UTC+01:00``."""
    return _told(_read(text))


def _told(read: datetime.datetime) -> str:
    return f'{read:%Y-%m-%d %H:%M %Z}'


def duration(seconds: float) -> str:
    """The whole units of the largest kind, as ``3 hours``."""
    for unit, length in _UNITS:
        if seconds >= length:
            return counted(int(seconds // length), unit)
    return counted(int(max(seconds, 0)), 'second')


def until(text: str | None) -> str:
    """How long it is until a moment of the API, as ``in 3 hours``; ``due`` once it has come."""
    if text is None:
        return ''
    seconds = (_read(text) - datetime.datetime.now(datetime.UTC)).total_seconds()
    return 'due' if seconds <= 0 else f'in {duration(seconds)}'


def between(begun_at: str, ended_at: str | None) -> str:
    """How long something took, or takes so far."""
    end = datetime.datetime.now(datetime.UTC) if ended_at is None else _read(ended_at)
    return duration((end - _read(begun_at)).total_seconds())


def _read(text: str) -> datetime.datetime:
    """A moment of the API; without a zone it is in UTC."""
    read = datetime.datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=datetime.UTC)
