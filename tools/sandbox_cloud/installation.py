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
"""The virtualenv with the services, shared by all sandboxes of a checkout."""

import hashlib
import platform
import shutil
import sys
from pathlib import Path

from sandbox_cloud import console, locking

PACKAGES = (
    'cheroot',
    'cinder',
    'glance',
    'keystone',
    'python-cinderclient',
    'python-openstackclient',
)
CONSTRAINTS = Path(__file__).with_name('constraints.txt')
# The stamp says that an installation was finished, and of what; the mark, that one was begun
# here. A folder with neither was not made by this command and is left alone.
STAMP = 'sandbox-installed'
MARK = 'sandbox-unfinished'


def ensure(venv: Path) -> None:
    """Install the services, unless this very set of packages is there already."""
    if _is_installed(venv):
        return
    lock = venv.with_name(venv.name + '.lock')
    with locking.lock_file(lock, f'another run that installs in {venv}') as held:
        if not _is_installed(venv):
            _install(venv, held)


def _wanted() -> str:
    """What identifies the set: Python's version, the package names and the constraints."""
    digest = hashlib.sha256(CONSTRAINTS.read_bytes())
    return f'{platform.python_version()} {" ".join(PACKAGES)} {digest.hexdigest()}\n'


def _is_installed(venv: Path) -> bool:
    try:
        return (venv / STAMP).read_text() == _wanted()
    except FileNotFoundError:
        return False


def _install(venv: Path, lock: int) -> None:
    """Install; the programs share the lock, for pip can outlive a killed run of this command."""
    _clear(venv)
    console.say(f'installing {", ".join(PACKAGES)} in {venv}, once; it takes a minute')
    venv.mkdir(parents=True)
    (venv / MARK).touch()
    console.run([sys.executable, '-m', 'venv', venv], pass_fds=[lock])
    console.run(
        [
            venv / 'bin' / 'python',
            '-m',
            'pip',
            'install',
            '--quiet',
            '--disable-pip-version-check',
            '--constraint',
            CONSTRAINTS,
            *PACKAGES,
        ],
        pass_fds=[lock],
    )
    unfinished = venv / MARK
    unfinished.write_text(_wanted())
    unfinished.rename(venv / STAMP)
    console.say('installed')


def _clear(venv: Path) -> None:
    """Remove what is outdated or half done: pip takes a half written package for a whole one."""
    if (venv / STAMP).exists() or (venv / MARK).exists():
        shutil.rmtree(venv)
    elif venv.exists() and any(venv.iterdir()):
        raise console.SandboxError(
            f'{venv} was not made by this command: move it away or choose another --venv'
        )
    elif venv.exists():
        venv.rmdir()
