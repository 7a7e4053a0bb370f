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

"""A sandbox of its own, from the first ``up`` to the last ``down``."""

import os
import pathlib
import signal
import subprocess
from typing import Any

import fixtures
import openstack
from oslotest import base

from karbor.tests.integration import cloud


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that has ended and is not waited for has no command."""
    try:
        return bool(pathlib.Path(f'/proc/{pid}/cmdline').read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


class SandboxTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path).resolve()
        (folder / 'disk' / 'home').mkdir(parents=True)
        # As its user names it: from a folder reached by a link, and back.
        self.home = folder / 'link'
        self.home.symlink_to(folder / 'disk' / 'home')
        self.named = '../sandbox'
        self.folder = folder / 'disk' / 'sandbox'
        self.addCleanup(self.down)

    def tool(self, *arguments: str, check: bool = True) -> str:
        return subprocess.run(
            [cloud.ROOT / 'tools/sandbox', *arguments, '--dir', self.named],
            check=check,
            cwd=self.home,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def down(self) -> None:
        if self.folder.exists():
            self.tool('down', '--purge')

    def connect(self) -> Any:
        clouds = openstack.config.OpenStackConfig(
            config_files=[str(self.folder / 'clouds.yaml')], load_envvars=False
        )
        return openstack.connection.Connection(config=clouds.get_one('sandbox'))

    def pids(self) -> dict[str, int]:
        files = (self.folder / 'run').glob('*.pid')
        return {file.stem: int(file.read_text().split()[0]) for file in files}

    def test_from_up_to_down(self) -> None:
        self.tool('up')
        connection = self.connect()
        volume = connection.create_volume(1, wait=True, timeout=60)
        snapshot = connection.create_volume_snapshot(volume.id, wait=True, timeout=60)
        # Cinder locks files in the sandbox's folder for these.
        restored = connection.create_volume(1, snapshot_id=snapshot.id, wait=True, timeout=60)
        self.assertTrue(connection.delete_volume(restored.id, wait=True, timeout=60))
        image = connection.image.post(
            '/images', json={'name': 'kept', 'disk_format': 'raw', 'container_format': 'bare'}
        ).json()

        pids = self.pids()
        self.assertEqual({'keystone', 'cinder', 'glance'}, set(pids))
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        self.assertIn('not running', self.tool('status', check=False))
        self.tool('up')
        self.assertEqual(set(), set(self.pids().values()) & set(pids.values()))
        connection = self.connect()
        self.assertEqual('available', connection.get_volume(volume.id).status)
        self.assertEqual('kept', connection.image.get_image(image['id']).name)

        pids = self.pids()
        self.tool('down', '--purge')
        self.assertFalse(self.folder.exists())
        self.assertEqual([], [pid for pid in pids.values() if is_running(pid)])
