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

"""Whether it is any use to go on asking Cinder for what a job needs."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator

from karbor.services import retrying
from karbor.services.cinder.faults import FAULTS, NotAsked, describe


class Hope:
    """Shared by all items of a job: lost when for none of them anything gets on.

    Else each of many items would wait for its own deadline, one batch after the other.

    """

    def __init__(self, clock: retrying.Clock = time) -> None:
        self._clock = clock
        self._last_success = self._last_try = float('-inf')
        self.lost: Exception | None = None

    def check(self, tried_every: float = math.inf) -> None:
        """Look whether there is any.

        :param tried_every: how often something is tried all the same, in seconds.
        :raises NotAsked: it is lost.
        """
        if self.lost is not None and self._clock.monotonic() < self._last_try + tried_every:
            raise NotAsked(f'not asked for: with the others, {describe(self.lost)}') from self.lost

    @contextlib.contextmanager
    def attempt(self, is_hopeless: Callable[[Exception], bool]) -> Iterator[None]:
        """Around what may take long; a success brings hope back.

        :param is_hopeless: whether a fault takes it, if nothing succeeded since it began.
        """
        begun = self._last_try = self._clock.monotonic()
        try:
            yield
        except FAULTS as exc:
            if is_hopeless(exc) and self._last_success < begun:
                self.lost = exc
            raise
        self._last_success = self._clock.monotonic()
        self.lost = None
