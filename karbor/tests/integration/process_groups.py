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

"""A process and all that it has started: those that have its process group."""

import contextlib
import os
import pathlib
import signal
import time
from collections.abc import Iterable, Iterator

# What a process has asked a database for is answered by then.
_REST = 0.05


def members(group: int) -> set[int]:
    """The ids of the processes of a group."""
    found = set()
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # What precedes the last parenthesis is a name with anything in it.
                fields = (entry / 'stat').read_text().rpartition(')')[2].split()
                if int(fields[2]) == group:
                    found.add(int(entry.name))
    return found


@contextlib.contextmanager
def stopped(group: int, *, are_children_alone: bool = False) -> Iterator[None]:
    """Let it stand still, to be looked at or killed; what is left of it goes on.

    :param are_children_alone: whether the process that has begun it is left out.
    """
    pids = members(group) - ({group} if are_children_alone else set())
    _send(pids, signal.SIGSTOP)
    time.sleep(_REST)
    try:
        yield
    finally:
        _send(pids, signal.SIGCONT)


def kill_children(group: int) -> None:
    """Kill all of a group but the process that has begun it."""
    _send(members(group) - {group}, signal.SIGKILL)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
