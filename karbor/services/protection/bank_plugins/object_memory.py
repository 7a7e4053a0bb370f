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

"""What a process knows better than an object store that tells of the past."""

import collections
import threading

from karbor.services import retrying

# For how long a listing may be behind: Swift's object-updater makes its round every 5 minutes.
_MEMORY_SECONDS = 600


class Memory:
    """Which keys this process has written and deleted of late."""

    def __init__(self, clock: retrying.Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._notes: collections.OrderedDict[str, tuple[float, bool]] = collections.OrderedDict()

    def note(self, key: str, is_there: bool) -> None:
        now = self._clock.monotonic()
        with self._lock:
            self._notes[key] = (now, is_there)
            self._notes.move_to_end(key)
            while next(iter(self._notes.values()))[0] < now - _MEMORY_SECONDS:
                self._notes.popitem(last=False)

    def forget(self, key: str) -> None:
        with self._lock:
            self._notes.pop(key, None)

    def was_written(self, key: str) -> bool:
        return self._last(key) is True

    def was_deleted(self, key: str) -> bool:
        return self._last(key) is False

    def written(self, prefix: str) -> list[str]:
        oldest = self._clock.monotonic() - _MEMORY_SECONDS
        with self._lock:
            return [
                key
                for key, (moment, is_there) in self._notes.items()
                if is_there and moment >= oldest and key.startswith(prefix)
            ]

    def _last(self, key: str) -> bool | None:
        with self._lock:
            moment, is_there = self._notes.get(key, (0.0, None))
        return is_there if moment >= self._clock.monotonic() - _MEMORY_SECONDS else None
