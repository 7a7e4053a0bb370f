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

"""A disk that is full in the middle of the work of a cloud's Karbor.

The disk is a small tmpfs, so the module is run by itself, in a namespace of its own where this
needs no rights: :func:`run_apart`.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

from karbor.tests import threads
from karbor.tests.integration import cloud, outage_trials

_NAMESPACE = ('unshare', '--map-root-user', '--mount')
_MEBIBYTES = 8
_CHUNK = b'\0' * 65536
# Deletes make room, which is filled again at once.
_FILL_INTERVAL = 0.005


@contextlib.contextmanager
def _full(folder: pathlib.Path) -> Iterator[None]:
    """Meanwhile nothing more can be written to the disk of a folder."""
    ballast = folder / 'ballast'

    def fill(stopping: threading.Event) -> None:
        with ballast.open('ab', buffering=0) as file:
            while not stopping.wait(_FILL_INTERVAL):
                with contextlib.suppress(OSError):
                    while True:  # the last write is a part of the chunk
                        file.write(_CHUNK)

    try:
        with threads.running(fill):
            yield
    finally:
        ballast.unlink()


OUTAGES = {
    outage.name: outage
    for outage in (
        outage_trials.Outage(
            'disk-full-sqlite', lambda ground: _full(ground.folder / 'database'), (60, 5)
        ),
        outage_trials.Outage(
            'disk-full-bank',
            lambda ground: _full(ground.folder / 'bank'),
            (60, 5),
            failure='No space left on device',
        ),
    )
}


def is_possible() -> bool:
    """Whether this machine lets a user have namespaces."""
    return subprocess.run([*_NAMESPACE, 'true'], check=False, capture_output=True).returncode == 0


def run_apart(name: str, is_short: bool) -> bool:
    """Run one of these outages; returns whether all was well."""
    environment = {**os.environ, cloud.RUNNING_SANDBOX: str(cloud.sandbox())}
    command = [*_NAMESPACE, sys.executable, '-m', __name__, name, str(int(is_short))]
    return subprocess.run(command, env=environment, check=False).returncode == 0


def _mount(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir()
    subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', f'size={_MEBIBYTES}m', 'tmpfs', folder], check=True
    )
    return folder


def main(name: str, is_short: bool) -> int:
    with contextlib.ExitStack() as ends:
        folder = pathlib.Path(
            ends.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        )  # what is mounted goes with the namespace
        database = folder
        if name == 'disk-full-sqlite':
            database = _mount(folder / 'database')
        else:
            _mount(folder / 'bank')
        ground = outage_trials.Ground(folder, f'sqlite:///{database}/karbor.db', 'redis')
        ends.callback(ground.stop)
        trial = outage_trials.Trial(ground, OUTAGES[name], is_short)
        trial.hit()
        return 1 if trial.check() else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2] == '1'))
