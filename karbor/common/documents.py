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

"""JSON that every database can hold."""

import json
import math
from typing import Any

_DEEPEST_NESTING = 30  # MariaDB takes 32 for the deepest that is valid
_MOST_VALUES = 100_000  # about; a plan of 10,000 volumes has 50,000


def loads(text: str) -> Any:
    """:raises ValueError: it is no JSON, or some that cannot be held."""
    if sum(map(text.count, ',[{')) > _MOST_VALUES:  # before it costs seconds to read them
        raise ValueError(f'the JSON has more than {_MOST_VALUES} values')
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError('the JSON is nested too deep') from None
    check(value)
    return value


def check(value: Any, depth: int = _DEEPEST_NESTING) -> None:
    """Look at what was read from JSON.

    :param depth: of nesting, at most.
    :raises ValueError: it cannot be held.
    """
    if depth == 0:
        raise ValueError('the JSON is nested too deep')
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError('a number is too large')  # as 1e999, which is read as infinity
    elif isinstance(value, list):
        for item in value:
            check(item, depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            check(item, depth - 1)


def check_text(text: str) -> None:
    """:raises ValueError: a character that not every database can hold."""
    if '\x00' in text:
        raise ValueError('a NUL character')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError('half of a surrogate pair') from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f'{name} is no JSON')
