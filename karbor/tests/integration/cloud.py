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

"""The sandbox for tests: one real cloud a test run, a project of its own a test."""

import atexit
import contextlib
import functools
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import openstack
from cinderclient import client as cinder_client
from openstack import exceptions

ROOT = pathlib.Path(__file__).parents[3]
# As it is at the import: during a test it is a folder that ends with the test.
_TEMPORARY_FOLDER = tempfile.gettempdir()
#: what says in the environment that there is a sandbox already, and in which folder
RUNNING_SANDBOX = 'KARBOR_SANDBOX'


@functools.cache
def sandbox() -> pathlib.Path:
    """The folder of the sandbox of this test run, brought up when it is first asked for."""
    if running := os.environ.get(RUNNING_SANDBOX):
        return pathlib.Path(running)
    folder = tempfile.TemporaryDirectory(prefix='karbor-sandbox-', dir=_TEMPORARY_FOLDER)
    path = pathlib.Path(folder.name, 'sandbox')

    def down() -> None:
        tool('down', '--purge')
        folder.cleanup()

    subprocess.run([ROOT / 'tools/sandbox', 'up', '--dir', path], check=True)
    atexit.register(down)
    return path


def tool(*arguments: str, **keywords: Any) -> bytes:
    """Run ``tools/sandbox`` on the sandbox; returns what it printed."""
    return subprocess.run(
        [ROOT / 'tools/sandbox', *arguments, '--dir', sandbox()],
        check=True,
        stdout=subprocess.PIPE,
        **keywords,
    ).stdout


def settings() -> dict[str, Any]:
    """Where the sandbox's services are: ``keystone_url``, ``cinder_url`` and ``glance_url``."""
    return json.loads((sandbox() / 'sandbox.json').read_text())


def _clouds() -> dict[str, Any]:
    return json.loads((sandbox() / 'clouds.yaml').read_text())['clouds']


@functools.cache
def admin() -> openstack.connection.Connection:
    auth = _clouds()['sandbox-admin']['auth']
    return openstack.connect(auth=auth, region_name='RegionOne')


class Project:
    """A new project with one user, its own volumes and a look at what Cinder holds."""

    def __init__(self) -> None:
        name = f'test-{uuid.uuid4().hex[:12]}'
        identity = admin().identity
        self.id = identity.create_project(name=name, domain_id='default').id
        user = identity.create_user(name=name, domain_id='default', password=name)
        role = identity.find_role('member')
        identity.assign_project_role_to_user(self.id, user.id, role.id)
        self.user_id, self.role_id = user.id, role.id
        self.auth = {
            **_clouds()['sandbox']['auth'],
            'username': name,
            'password': name,
            'project_name': name,
        }
        connection = self._connect()
        self.session, self.images = connection.session, connection.image
        # 3.44 for attachments
        # A busy Cinder may close a connection just as it is used again.
        self.cinder = cinder_client.Client('3.44', session=self.session, connect_retries=1)

    def login(self) -> Any:
        """A session of the user with a token that nobody else has."""
        return self._connect().session

    def _connect(self) -> openstack.connection.Connection:
        return openstack.connect(auth=self.auth, region_name='RegionOne')

    def add_user(self, *roles: str) -> dict[str, Any]:
        """How a new user logs in who has these roles in the project."""
        name = f'test-{uuid.uuid4().hex[:12]}'
        identity = admin().identity
        user = identity.create_user(name=name, domain_id='default', password=name)
        for role in roles:
            known = identity.find_role(role) or identity.create_role(name=role)
            identity.assign_project_role_to_user(self.id, user.id, known.id)
        return {**self.auth, 'username': name, 'password': name}

    def trusts(self) -> dict[str, Any]:
        """The trusts that the user has made, by id."""
        answer = admin().identity.get('/OS-TRUST/trusts', params={'trustor_user_id': self.user_id})
        return {trust['id']: trust for trust in answer.json()['trusts']}

    def clouds_yaml(self, folder: pathlib.Path) -> pathlib.Path:
        """A clouds.yaml in which this project is the cloud ``test``."""
        path = folder / 'clouds.yaml'
        path.write_text(
            json.dumps({'clouds': {'test': {'auth': self.auth, 'region_name': 'RegionOne'}}})
        )
        return path

    def volumes(self, count: int, **fields: Any) -> list[str]:
        """Ids of that many new volumes, available."""
        made = [
            self.cinder.volumes.create(1, name=f'v{number}', **fields).id for number in range(count)
        ]
        wait_until(
            lambda: all(volume.status == 'available' for volume in self.cinder.volumes.list()),
            'new volumes',
        )
        return made

    def image(self, data: bytes, **properties: str) -> str:
        """The id of a new raw image that holds these bytes, none maybe."""
        kind = {'name': 'test', 'disk_format': 'raw', 'container_format': 'bare'}
        answer = self.images.post('/images', json={**kind, **properties})
        exceptions.raise_from_response(answer)
        image_id = answer.json()['id']
        content = {'Content-Type': 'application/octet-stream'}
        exceptions.raise_from_response(
            self.images.put(f'/images/{image_id}/file', data=data, headers=content)
        )
        return image_id

    def reimage(self, volume_id: str, image_id: str) -> str:
        """Write an image over a volume, and wait; the volume's status then."""
        cinder = cinder_client.Client('3.68', session=self.session)
        cinder.volumes.reimage(volume_id, image_id)
        return wait_until(
            lambda: (status := cinder.volumes.get(volume_id).status) != 'downloading' and status,
            f'the reimage of {volume_id}',
        )

    def snapshots(self) -> dict[str, list[str]]:
        """What Cinder holds: volume id -> ids of its snapshots."""
        found: dict[str, list[str]] = {}
        for snapshot in self.cinder.volume_snapshots.list():
            found.setdefault(snapshot.volume_id, []).append(snapshot.id)
        return found

    def set_quota(self, **quotas: int) -> None:
        admin_cinder().quotas.update(self.id, **quotas)

    def set_status(self, volume_id: str, status: str) -> None:
        """Bring a volume into a status, as an administrator can."""
        admin_cinder().volumes.reset_state(volume_id, status)

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume with its snapshots, and see it gone."""
        self.cinder.volumes.delete(volume_id, cascade=True)
        wait_until(
            lambda: volume_id not in [volume.id for volume in self.cinder.volumes.list()],
            f'the deletion of {volume_id}',
        )

    def attach(self, volume_id: str) -> None:
        """Bring a volume into the status in-use, as a server would."""
        attachment = self.cinder.attachments.create(
            volume_id,
            {
                'host': 'test',
                'ip': '127.0.0.1',
                'platform': 'x86_64',
                'os_type': 'linux',
                'multipath': False,
                'initiator': 'test',
                'mountpoint': '/dev/vdb',
            },
            None,
        )
        self.cinder.attachments.complete(attachment['id'])


@contextlib.contextmanager
def keystone_paused() -> Iterator[None]:
    """Meanwhile Keystone takes connections, and answers nobody."""
    pid = int((sandbox() / 'run' / 'keystone.pid').read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def keystone_down() -> Iterator[None]:
    """Meanwhile there is no Keystone."""
    tool('keystone', 'stop')
    try:
        yield
    finally:
        tool('keystone', 'start')


@contextlib.contextmanager
def glance_down() -> Iterator[None]:
    """Meanwhile there is no Glance."""
    tool('glance', 'stop')
    try:
        yield
    finally:
        tool('glance', 'start')


def log(service: str) -> list[str]:
    """The lines that a service of the sandbox has logged."""
    return (sandbox() / 'log' / f'{service}.log').read_text(errors='replace').splitlines()


def volume_file(volume_id: str) -> pathlib.Path:
    """Where the sandbox keeps the bytes of a volume."""
    return sandbox() / 'data' / 'volumes' / f'volume-{volume_id}'


def snapshot_file(snapshot_id: str) -> pathlib.Path:
    """Where the sandbox keeps the bytes of a snapshot."""
    return sandbox() / 'data' / 'snapshots' / f'snapshot-{snapshot_id}'


def lose_snapshot_bytes(snapshot_id: str) -> None:
    """Let the storage lose a snapshot that Cinder still believes in."""
    snapshot_file(snapshot_id).unlink()


def wait_until(is_so: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Ask until the answer is true, and return it; fail when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = is_so()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f'{what}: not so after {seconds} seconds')


@functools.cache
def admin_cinder() -> cinder_client.Client:
    return cinder_client.Client('3.44', session=admin().session)


@functools.cache
def volume_type(name: str, **specs: str) -> str:
    """The name of a volume type, made when it is first asked for."""
    types = admin_cinder().volume_types
    if name not in {each.name for each in types.list()}:
        made = types.create(name)
        if specs:
            made.set_keys(specs)
    return name


def write(volume_id: str, data: bytes) -> None:
    tool('write', volume_id, input=data)


def sha256(volume_id: str, size: int) -> str:
    return tool('sha256', volume_id, '--bytes', str(size)).decode().strip()


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
