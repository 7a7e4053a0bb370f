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

"""The edge of what plugins do."""

import contextlib
from collections.abc import Iterator
from typing import NoReturn


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Have a plugin that calls sys.exit, which would end the worker or the process, fail alone.

    Other errors that are no Exception go on: a lost lease, a process that dies.

    :raises RuntimeError: in the place of SystemExit.
    """
    try:
        yield
    except SystemExit as exc:
        raise RuntimeError(f'It called sys.exit: {exc}') from exc


def text_of(error: BaseException) -> str:
    """What an error says; empty when its class, which may be a plugin's, fails to."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        return ''


class Unusable:
    """What stands in the place of a plugin that could not be made.

    :param error: raised by whatever is asked of it.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, _name: str) -> NoReturn:
        raise self._error
