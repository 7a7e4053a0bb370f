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
"""What one sandbox is made of; kept in its sandbox.json from the first ``up`` on."""

import dataclasses
import json
import random
import socket
from collections.abc import Collection
from pathlib import Path

from sandbox_cloud import console

HOST = '127.0.0.1'
TOOLS = Path(__file__).resolve().parent.parent
REPOSITORY = TOOLS.parent
DEFAULT_DIRECTORY = REPOSITORY / '.sandbox'
DEFAULT_VENV = REPOSITORY / '.venv' / 'sandbox'
DEFAULT_SERVICE_DOWN_TIME = 60
STATE_FILE = 'sandbox.json'
FOLDERS = ('data', 'db', 'etc', 'images', 'keys', 'lock', 'log', 'run', 'state')
SERVICES = ('keystone', 'cinder', 'glance')
# Below the ports that Linux gives to outgoing connections (32768 and up), so that none of these
# is taken by chance while the sandbox is down.
_PORTS = range(20000, 32000)


@dataclasses.dataclass
class Settings:
    """One sandbox: its place and its ports. The ports are in Keystone's catalog, so they stay."""

    directory: Path
    ports: dict[str, int]
    service_down_time: int = DEFAULT_SERVICE_DOWN_TIME
    custom_venv: Path | None = None

    @property
    def venv(self) -> Path:
        """The virtualenv of the services."""
        return self.custom_venv or DEFAULT_VENV

    @property
    def keystone_url(self) -> str:
        """Keystone's endpoint as it is in the catalog."""
        return f'{self._root("keystone")}/v3'

    @property
    def cinder_root(self) -> str:
        """Where Cinder's web server listens."""
        return self._root('cinder')

    @property
    def cinder_url(self) -> str:
        """Cinder's endpoint as it is in the catalog."""
        return f'{self.cinder_root}/v3'

    @property
    def glance_url(self) -> str:
        """Glance's endpoint as it is in the catalog; its server listens at the same place."""
        return self._root('glance')

    def _root(self, service: str) -> str:
        return f'http://{HOST}:{self.ports[service]}'

    def path(self, *parts: str) -> Path:
        """A path in the sandbox's folder."""
        return self.directory.joinpath(*parts)

    def executable(self, name: str) -> Path:
        """A program of the virtualenv."""
        return self.venv / 'bin' / name

    def check_ports(self) -> None:
        """Refuse one port for two services."""
        if len(set(self.ports.values())) < len(self.ports):
            raise console.SandboxError('the services cannot share a port')

    def save(self) -> None:
        """Write sandbox.json, whole or not at all."""
        kept = {
            **{f'{service}_port': port for service, port in self.ports.items()},
            'keystone_url': self.keystone_url,
            'cinder_url': self.cinder_url,
            'glance_url': self.glance_url,
            'service_down_time': self.service_down_time,
            'venv': str(self.custom_venv) if self.custom_venv else None,
        }
        draft = self.path(STATE_FILE + '.part')
        draft.write_text(json.dumps(kept, indent=2) + '\n')
        draft.replace(self.path(STATE_FILE))


def is_sandbox(directory: Path) -> bool:
    """Whether this folder was made by ``up``, and may thus be emptied."""
    return (directory / STATE_FILE).is_file()


def load(directory: Path) -> Settings:
    """Read a sandbox's settings."""
    try:
        kept = json.loads((directory / STATE_FILE).read_text())
        venv = kept['venv']
        # A sandbox that was made before there was Glance gets it by the next "up".
        known = [service for service in SERVICES if service != 'glance' or 'glance_port' in kept]
        return Settings(
            directory,
            _complete({service: kept[f'{service}_port'] for service in known}),
            kept['service_down_time'],
            Path(venv) if venv else None,
        )
    except FileNotFoundError:
        raise console.SandboxError(f'{directory} is not a sandbox (no {STATE_FILE})') from None
    except (KeyError, ValueError) as exc:
        raise console.SandboxError(f'{directory / STATE_FILE} is damaged: {exc!r}') from None


def create(directory: Path, ports: dict[str, int]) -> Settings:
    """Make a new sandbox of an empty folder; ports not given are chosen among the free ones."""
    if any(directory.iterdir()):
        raise console.SandboxError(
            f'{directory} is neither empty nor a sandbox: choose another --dir'
        )
    settings = Settings(directory, _complete(ports))
    settings.check_ports()
    return settings


def _complete(ports: dict[str, int]) -> dict[str, int]:
    """A port for every service."""
    chosen = dict(ports)
    for service in SERVICES:
        if service not in chosen:
            chosen[service] = _choose_port(chosen.values())
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _choose_port(taken: Collection[int]) -> int:
    """A free port at random, so that two sandboxes made at the same moment do not meet."""
    for port in random.sample(_PORTS, 200):
        if port not in taken and is_free(port):
            return port
    raise console.SandboxError('no free port on the loopback address')
