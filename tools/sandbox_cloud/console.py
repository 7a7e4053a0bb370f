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
"""What the command tells its user."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_BEGUN = time.monotonic()
_TAIL_LINES = 25


class SandboxError(Exception):
    """A failure to be shown as one message, without a traceback."""


def say(text: str) -> None:
    """Print a progress line with the seconds since the command began."""
    print(f'[{time.monotonic() - _BEGUN:5.1f} s] {text}', flush=True)


def tail(text: str, lines: int = _TAIL_LINES) -> str:
    """The last lines of a text: where the reason of a failure stands."""
    return '\n'.join(text.splitlines()[-lines:])


def run(
    command: Sequence[str | Path], env: dict[str, str] | None = None, pass_fds: Sequence[int] = ()
) -> str:
    """Run a command to its end; its output is shown only when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        env=env,
        text=True,
        pass_fds=pass_fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        errors='replace',
        check=False,
    )
    if done.returncode:
        raise SandboxError(f'{command[0]} ended with {done.returncode}:\n{tail(done.stdout)}')
    return done.stdout
