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

"""What errors come of. That is for the log, and not for users: it tells where services are."""

from collections.abc import Iterator


def of(error: BaseException) -> Iterator[BaseException]:
    """An error, what it comes of, what that comes of, and so on."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def in_full(error: BaseException) -> str:
    """What there is to say of an error in the log, unless its whole trace is there.

    What it comes of is left out if the error says the same.
    """
    text = _text_of(error)
    cause = '' if error.__cause__ is None else _text_of(error.__cause__)
    return text if cause in text else f'{text}: {cause}'


def _text_of(error: BaseException) -> str:
    """What an error says; what stands for it where its class, which may be a plugin's, fails to."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        return type(error).__name__
