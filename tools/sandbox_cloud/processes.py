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
"""The sandbox's server processes, known by process id and time of start."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox_cloud import console

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 8.0


def start_time(pid: int) -> str | None:
    """When a process began, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    fields = stat.rpartition(')')[2].split()
    return None if fields[0] == 'Z' else fields[19]


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition; False when the time ran out first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


class ManagedProcess:
    """A server that outlives the command which started it, and its pid and log files."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.log = directory / 'log' / f'{name}.log'
        self._directory = directory
        self._pid_file = directory / 'run' / f'{name}.pid'

    def pid(self) -> int | None:
        """The recorded process, if it lives and is that very one: numbers are used again."""
        try:
            pid, began = self._pid_file.read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if start_time(int(pid)) == began else None

    def start(self, command: Sequence[str | Path], env: dict[str, str]) -> None:
        """Start the server in a session of its own, apart from the terminal."""
        for folder in (self.log.parent, self._pid_file.parent):
            folder.mkdir(exist_ok=True)
        with self.log.open('ab') as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
            )
        self._pid_file.write_text(f'{process.pid} {start_time(process.pid)}')
        # It is not for us to wait for; told so, Popen does not warn about it.
        process.returncode = 0

    def stop(self) -> bool:
        """End the server and whatever it started: politely, then by force."""
        was_running = self.pid() is not None
        for number in (signal.SIGTERM, signal.SIGKILL):
            pid = self.pid()
            if pid is None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
            wait_until(lambda: self.pid() is None, _GRACE_SECONDS)
        if self.pid() is not None:
            raise console.SandboxError(f'{self.name} (pid {self.pid()}) does not end')
        self._pid_file.unlink(missing_ok=True)
        return was_running

    def resident_mib(self) -> int:
        """The memory it occupies; 0 when it does not run."""
        with contextlib.suppress(OSError):
            for line in Path(f'/proc/{self.pid()}/status').read_text().splitlines():
                if line.startswith('VmRSS:'):
                    return int(line.split()[1]) // 1024
        return 0

    def log_tail(self) -> str:
        """The last lines of its log."""
        try:
            return console.tail(self.log.read_text(errors='replace'))
        except OSError:
            return '(no log)'
