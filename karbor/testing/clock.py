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

"""A clock for tests of what waits."""


class Clock:
    """Stands where a module has imported ``time``, and passes by sleeping only::

        with mock.patch.object(acme_plugin, 'time', Clock()) as clock: ...

    It is not the time of the day: that one is set by ``oslo_utils.fixture.TimeFixture``. It is
    for one thread: of two that sleep, each would make the other's time pass.

    :ivar now: seconds since it began; may be set.
    :ivar slept: how long each sleep was, in seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
