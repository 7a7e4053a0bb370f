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

"""Telling what a job waits for, while it runs."""

from collections.abc import Hashable
from typing import Protocol


class Progress(Protocol):
    """Takes what is waited for, as often as it is told, and shows it now and then."""

    def tell(self, source: Hashable, what: str, seconds: float) -> None:
        """Say what is waited for.

        :param source: who tells; what it told before does not count any more.
        :param what: for a person, for example '3 of 20 snapshots are creating'.
        :param seconds: for how long already, or at least; 0 takes back what the source told.
        :raises LeaseLost: the attempt is over.
        """


class Silent:
    """Shows nothing: nobody waits for what a request does but the caller."""

    def tell(self, source: Hashable, what: str, seconds: float) -> None:
        """See :class:`Progress`."""


def duration(seconds: float) -> str:
    """Text such as ``40 s``, ``4 min`` or ``2 h 5 min``."""
    minutes, rest = divmod(int(seconds), 60)
    if not minutes:
        return f'{rest} s'
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min'
