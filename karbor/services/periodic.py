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

"""What a process does again and again beside its main work."""

import threading
from collections.abc import Callable

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


class Duty:
    """Something that is done again and again, whatever becomes of it.

    :param interval: time from one to the next, in seconds.
    :param act: what is done.
    :param at_start: whether it is also done at once.
    """

    def __init__(
        self, interval: float, act: Callable[[], object], *, at_start: bool = False
    ) -> None:
        self.name = act.__name__.strip('_')
        self._interval = interval
        self._act = act
        self._at_start = at_start

    def begin(self, stopping: threading.Event, may_act: Callable[[], bool] = lambda: True) -> None:
        """Fulfil it in a thread of its own, until the event is set.

        :param may_act: asked each time; when it may not, that time is left out.
        """
        threading.Thread(
            target=self.fulfil, args=(stopping, may_act), daemon=True, name=self.name
        ).start()

    def fulfil(self, stopping: threading.Event, may_act: Callable[[], bool] = lambda: True) -> None:
        if self._at_start and not stopping.is_set():
            self._try(may_act)
        while not stopping.wait(self._interval):
            self._try(may_act)

    def _try(self, may_act: Callable[[], bool]) -> None:
        try:
            if may_act():
                self._act()
        except Exception:
            # A thread's edge: without it a database that is away for a moment would
            # end the thread.
            LOG.exception('%s failed; it is tried again', self.name)
