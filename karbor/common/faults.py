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

"""Which of the faults of a document is told, at a cost that does not grow with their number."""

import itertools
from collections.abc import Iterable, Iterator

import jsonschema

_MOST_FAULTS = 20  # that are looked for
_MOST_CHARACTERS = 200  # of both ends of a fault that is told
_COUNTED = {'maxItems': 'items', 'maxProperties': 'properties'}


def worst(errors: Iterable[jsonschema.ValidationError]) -> jsonschema.ValidationError | None:
    """The fault that says most, of the first 20, or of those up to one of too many items.

    :param errors: found only as far as they are asked for.
    """
    return jsonschema.exceptions.best_match(_first(errors))


def told(error: jsonschema.ValidationError) -> str:
    """The fault in words; of a long value, both ends."""
    if error.validator in _COUNTED:
        return f'more than {error.validator_value} {_COUNTED[error.validator]}'
    text = error.message
    if len(text) <= 2 * _MOST_CHARACTERS:
        return text
    return f'{text[:_MOST_CHARACTERS]} ... {text[-_MOST_CHARACTERS:]}'


def _first(
    errors: Iterable[jsonschema.ValidationError],
) -> Iterator[jsonschema.ValidationError]:
    for error in itertools.islice(errors, _MOST_FAULTS):
        yield error
        if error.validator in _COUNTED:
            return
