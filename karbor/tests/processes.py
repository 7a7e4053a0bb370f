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

"""Child processes that do not outlive the tests."""

import contextlib
import ctypes
import logging
import os
import pathlib
import signal
import time
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Called in a child: have the kernel end it when its parent ends, however that ends.

    It is the end of the thread that made the child which counts, so that thread should be
    the parent's main one. A change of user takes the arrangement back, an exec does not.

    :param parent: process id of the parent, which may have ended already.
    :param number: the signal that the child gets.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


class Fork:
    """A child that does one thing and ends. It has all that the tests' process has at that moment.

    :param act: what it does.
    :param log: file for all that it logs and prints.
    """

    def __init__(self, act: Callable[[], object], log: pathlib.Path) -> None:
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                die_with_parent(parent)
                write_to(log)
                act()
            except BaseException:
                logging.getLogger(__name__).exception('The child failed')
            finally:
                os._exit(0)  # whatever happens, the child must not go on with the tests

    def stand_still(self) -> None:
        """Stop all its threads by SIGSTOP; returns when they have stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; returns whether that came in time."""
        end = time.monotonic() + seconds
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def kill(self) -> None:
        """End it at once. One that has ended already is left alone."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def write_to(log: pathlib.Path) -> None:
    """Send what this process logs or prints to a file, not to the tests' results."""
    with log.open('ab') as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    root = logging.getLogger()
    root.handlers = [logging.FileHandler(log)]
