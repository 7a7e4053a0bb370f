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

"""``--wait``: how far something is, and what becomes of it."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from karbor.client import waiting
from karbor.client.base import Resource
from karbor.client.osc import base

ResourceT = TypeVar('ResourceT', bound=Resource)

INTERVAL = 1.0  # seconds between two looks
_FAILED = 1


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--wait', action='store_true', help='Wait until it has ended')


def until_ended(
    command: base.Command,
    wait: Callable[..., ResourceT],
    resource: ResourceT,
    look_again: str,
) -> ResourceT:
    """Wait for something; gives it as it ended, and sets the exit code by how.

    Why it has failed is said beside the output, unless that is a table, which has it.

    :param wait: one of the waits of the client library.
    :param look_again: the command that shows it, if somebody does not want to wait longer.
    """
    line = _Line()
    try:
        return wait(resource, interval=INTERVAL, callback=line.show)
    except waiting.Failed as fault:
        command.exit_code = _FAILED
        line.end()
        if not command.is_for_people:
            command.tell(str(fault))
        ended: Any = fault.resource
        return ended
    except KeyboardInterrupt:
        line.end()
        command.tell(f'It goes on. To look again: {look_again}')
        raise
    finally:
        line.end()


class _Line:
    """A line on a terminal that is written again and again; elsewhere there is none."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._length = 0

    def show(self, progress: waiting.Progress) -> None:
        if not sys.stderr.isatty():
            return
        seconds = max(time.monotonic() - self._begun, 0.001)
        total = '' if progress.total is None else f' of {progress.total}'
        text = (
            f'{progress.done}{total} done, {progress.failed} failed, '
            f'{progress.done / seconds:.1f} a second'
        )
        sys.stderr.write('\r' + text.ljust(self._length))
        sys.stderr.flush()
        self._length = len(text)

    def end(self) -> None:
        if self._length:
            sys.stderr.write('\n')
        self._length = 0
