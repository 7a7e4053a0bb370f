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

"""Runs commands of a console script, each in a fork of one process that has it loaded.

It runs in the virtualenv of the script, so it needs nothing of Karbor. Each line that it reads is a
command in JSON; for each it writes a line with the exit code.
"""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib import metadata
from typing import Any

# Groups of entry points of what the scripts load in any case, and of the commands that are tried.
_LOADED = ('openstack.cli.base', 'openstack.cli.extension', 'openstack.data_protection.v1')


def _script(name: str) -> Callable[[list[str]], Any]:
    """The function of a console script, which takes its arguments.

    What it would load later is loaded as well.
    """
    (script,) = metadata.entry_points(group='console_scripts', name=name)
    for group in _LOADED if name == 'openstack' else ():
        for entry_point in metadata.entry_points(group=group):
            # What cannot be loaded, the script will complain about.
            with contextlib.suppress(Exception):
                entry_point.load()
    return script.load()


def _exit_code(run: Callable[[list[str]], Any]) -> int:
    """Run it as the interpreter would; returns the exit code."""
    try:
        sys.exit(run(sys.argv[1:]))
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return exc.code or 0
        print(exc.code, file=sys.stderr)  # noqa: T201
    except BaseException:  # noqa: BLE001 - the end of a process
        traceback.print_exc()
    return 1


def _become(command: dict[str, Any]) -> None:
    """Take over what a process is given by who starts it."""
    for descriptor, path in ((0, os.devnull), (1, command['output']), (2, command['errors'])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(command['folder'])
    os.environ.clear()
    os.environ.update(command['environment'])
    sys.argv = command['arguments']


def main(name: str) -> None:
    run = _script(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(json.loads(line))
            code = _exit_code(run)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == '__main__':
    main(sys.argv[1])
