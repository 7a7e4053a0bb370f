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

"""Tells whoever shares requests out how a service answers them."""

from typing import Protocol


class Traffic(Protocol):
    """What is told of each answer to a request of a job."""

    def answered(self, kind: str, seconds: float) -> None:
        """Note an answer.

        :param kind: of the request: those of one kind take about as long.
        :param seconds: how long it took.
        """

    def refused(self, retry_after: str | None, *, is_for_all: bool) -> None:
        """Hold back what follows, as the service wants to be asked less.

        :param retry_after: the answer's header of that name.
        :param is_for_all: whether it wants so of everybody, and not only of the job's project.
        """

    def heard(self, code: int | None) -> None:
        """Note whether the service answers at all, well or not.

        :param code: the HTTP status of an answer; None when nobody was reached.
        """

    @property
    def is_away(self) -> bool:
        """Whether the service has answered none for so long that each is to be sent but once."""
