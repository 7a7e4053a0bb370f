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

"""What benchmarks of karbor-protection stand on: a configuration, and processes that work by it."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from karbor.testing import fake_keystone
from karbor.tests.base import PROVIDER_ID
from karbor.tests.integration import process_groups

_READY = b'Waiting for jobs'
_TICKS = os.sysconf('SC_CLK_TCK')


def kind_of_database() -> str:
    return os.environ.get('KARBOR_TEST_DATABASE') or 'mariadb'


def write_provider(folder: pathlib.Path, poll_interval: float | None = None) -> None:
    """A provider of volume snapshots, with a bank in the folder."""
    (folder / 'providers.d').mkdir()
    options = '' if poll_interval is None else f'poll_interval = {poll_interval}\n'
    (folder / 'providers.d/test.conf').write_text(
        f'[provider]\nname = test\nid = {PROVIDER_ID}\nenabled = True\n'
        'plugin = karbor-project-protection-plugin\n'
        'plugin = karbor-volume-snapshot-plugin\nbank = karbor-fs-bank-plugin\n'
        f'[volume_snapshot_plugin]\n{options}'
        f'[file_system_bank_plugin]\nfile_system_bank_path = {folder}/bank\n'
    )


def write_config(
    folder: pathlib.Path,
    *,
    database: str,
    keystone_url: str,
    cinder_url: str,
    board: str | None = None,
) -> pathlib.Path:
    """A karbor.conf in the folder."""
    config = folder / 'karbor.conf'
    config.write_text(
        f'[DEFAULT]\nprovider_config_dir = {folder}/providers.d\n'
        f'[database]\nconnection = {database}\n'
        + (f'[jobboard]\nconnection = {board}\n' if board else '')
        + f'[cinder_client]\ncinder_endpoint = {cinder_url}\n'
        '[protection]\norphan_check_interval = 0\n'
        f'[trustee]\nauth_type = password\nauth_url = {keystone_url}\nusername = karbor\n'
        f'password = {fake_keystone.PASSWORD}\nuser_domain_id = default\n'
        'project_name = service\nproject_domain_id = default\n'
    )
    return config


@contextlib.contextmanager
def working(config: pathlib.Path, count: int) -> Iterator[list[int]]:
    """That many karbor-protection, ready for work; gives their process groups."""
    path = config.with_name('log')
    command = [sys.executable, '-m', 'karbor.cmd.protection', '--config-file', str(config)]
    with path.open('wb') as log:
        processes = [
            subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            for _ in range(count)
        ]
    try:
        while path.read_bytes().count(_READY) < count:
            assert not any(process.poll() for process in processes), path.read_text()
            time.sleep(0.1)
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


@contextlib.contextmanager
def stub_of_cinder(*options: str) -> Iterator[str]:
    """A stub of Cinder in a process of its own; its URL, up to the version.

    :param options: see :mod:`karbor.tests.functional.stub_cinder`.
    """
    process = subprocess.Popen(
        [sys.executable, '-m', 'karbor.tests.functional.stub_cinder', *options],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield f'http://127.0.0.1:{int(process.stdout.readline())}/v3'
    finally:
        process.terminate()
        process.wait()


def cpu_of_group(group: int) -> float:
    """What the processes of a group have used so far, in seconds."""
    used = 0
    for pid in process_groups.members(group):
        fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / _TICKS


def peak_of_group(group: int) -> float:
    """The most memory that one process of a group has had, in MiB."""
    peaks = []
    for pid in process_groups.members(group):
        lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
        peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith('VmHWM:')]
    return max(peaks)
