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
"""What each subcommand of ``tools/sandbox`` does; each returns the exit code."""

import argparse
import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox_cloud import cloud as sandbox_cloud
from sandbox_cloud import console, locking
from sandbox_cloud import settings as sandbox_settings


def up(options: argparse.Namespace) -> int:
    """Make the sandbox if need be, and start what does not run."""
    with _interruptible(), locking.lock_directory(options.dir):
        cloud = _settle(options)
        if cloud.is_up():
            console.say('already up')
        else:
            cloud.up()
            console.say('up')
    cloud.explain()
    return 0


def down(options: argparse.Namespace) -> int:
    """Stop the servers; with --purge remove the folder, but never one that is no sandbox."""
    cloud = _load(options)
    with locking.lock_directory(options.dir):
        cloud.down()
        if options.purge:
            shutil.rmtree(options.dir)
            console.say(f'{options.dir} removed')
    return 0


def status(options: argparse.Namespace) -> int:
    """Say how the servers are; 1 unless all is well."""
    return 0 if _load(options).status() else 1


def write(options: argparse.Namespace) -> int:
    """Copy standard input to the start of a volume."""
    cloud = _load_running(options)
    return cloud.hand_over(
        'sandbox_cloud.volume_bytes', cloud.settings.keystone_url, 'write', options.volume_id
    )


def sha256(options: argparse.Namespace) -> int:
    """Print the hash of a volume's bytes."""
    cloud = _load_running(options)
    size = [] if options.bytes is None else [str(options.bytes)]
    return cloud.hand_over(
        'sandbox_cloud.volume_bytes',
        cloud.settings.keystone_url,
        'sha256',
        options.volume_id,
        *size,
    )


def volume_service(options: argparse.Namespace) -> int:
    """Pause Cinder's volume service, or let it go on."""
    _load_running(options).switch_volume_service(options.action)
    return 0


def keystone(options: argparse.Namespace) -> int:
    """Stop Keystone while Cinder goes on, or start it again with all that it knew."""
    with locking.lock_directory(options.dir):
        cloud = _load(options)
        cloud.switch(cloud.keystone, options.action)
    return 0


def glance(options: argparse.Namespace) -> int:
    """Stop Glance while Cinder goes on, or start it again with all that it knew."""
    with locking.lock_directory(options.dir):
        cloud = _load(options)
        cloud.switch(cloud.glance, options.action)
    return 0


def _load(options: argparse.Namespace) -> sandbox_cloud.Cloud:
    return sandbox_cloud.Cloud(sandbox_settings.load(options.dir))


def _load_running(options: argparse.Namespace) -> sandbox_cloud.Cloud:
    cloud = _load(options)
    if not cloud.is_up():
        raise console.SandboxError(f'the sandbox {options.dir} is not up; start it with "up"')
    return cloud


def _settle(options: argparse.Namespace) -> sandbox_cloud.Cloud:
    """Bring the kept settings and those of the command line together, and keep them."""
    if not sandbox_settings.is_sandbox(options.dir):
        settings = sandbox_settings.create(options.dir, _ports(options))
    else:
        settings = sandbox_settings.load(options.dir)
        if options.fresh:
            _begin_anew(sandbox_cloud.Cloud(settings))
            settings.ports.update(_ports(options))
            settings.check_ports()
    _check_ports(options, settings)
    if options.venv is not None:
        settings.custom_venv = options.venv
    cloud = sandbox_cloud.Cloud(settings)
    wanted = options.service_down_time or settings.service_down_time
    if wanted != settings.service_down_time:
        settings.service_down_time = wanted
        # Cinder reads it when it starts.
        cloud.cinder.stop()
    settings.save()
    return cloud


def _ports(options: argparse.Namespace) -> dict[str, int]:
    """The ports that the command line gives, by service."""
    given = {name: getattr(options, f'{name}_port') for name in sandbox_settings.SERVICES}
    return {name: port for name, port in given.items() if port is not None}


def _check_ports(options: argparse.Namespace, settings: sandbox_settings.Settings) -> None:
    if not _ports(options).items() <= settings.ports.items():
        raise console.SandboxError(
            'the ports of this sandbox are in its catalog; only "up --fresh" can change them'
        )


def _begin_anew(cloud: sandbox_cloud.Cloud) -> None:
    cloud.down()
    cloud.clear()
    console.say(f'{cloud.settings.directory} emptied')


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does, so that a half started sandbox is stopped."""

    def interrupt(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def absolute_path(text: str) -> Path:
    """An argument that names a folder; without ``..`` and links, whose locks Cinder mixes up."""
    return Path(text).resolve()
