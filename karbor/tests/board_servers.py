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

"""Private Redis, etcd and ZooKeeper servers for tests, on free ports of this host.

A server ends with the process that starts it, and what it kept is thrown away then.
"""

import abc
import atexit
import functools
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import redis
import requests
from kazoo import client as kazoo_client

from karbor.tests import processes

# Asked for now: within a test it is a folder of that test, which goes when the test ends.
_TEMP_DIR = tempfile.gettempdir()
_START_SECONDS = 60


class ServerError(Exception):
    """A server cannot be started; the text says why, and what to do."""


class Server(abc.ABC):
    """A running server."""

    #: what Debian calls the package with its programs
    package: str

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.port, self._second_port = _free_port(), _free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='karbor-board-', dir=_TEMP_DIR))
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.end)
        self.start()

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """What ``[jobboard] connection`` is set to."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Take all off the board."""

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """The command that is the server."""

    @abc.abstractmethod
    def _answers(self) -> bool:
        """Whether the server does its work."""

    def start(self) -> None:
        """Start it, on the port that it had before."""
        command = self._command()
        with (self.folder / 'log').open('ab') as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests only
                preexec_fn=functools.partial(  # noqa: PLW1509 - tests begin without threads
                    processes.die_with_parent, self._pid
                ),
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / 'log').read_text(errors='replace')[-4000:]
                raise ServerError(f'{command[0]} does not start:\n{text}')
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill it; what it kept on its disk is there at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def end(self) -> None:
        """Kill it, and remove all it kept. To end again does no harm."""
        if os.getpid() != self._pid:
            return  # a fork of its owner, whose end is none of the server's business
        atexit.unregister(self.end)
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _program(self, name: str) -> str:
        found = shutil.which(name)
        if found is None:
            raise ServerError(f'{name} is not installed. On Debian: apt-get install {self.package}')
        return found


class Redis(Server):
    package = 'redis-server'

    @property
    def url(self) -> str:
        return f'redis://127.0.0.1:{self.port}'

    def flush(self) -> None:
        self._client().flushall()

    def _command(self) -> list[str]:
        return [
            self._program('redis-server'),
            '--bind',
            '127.0.0.1',
            '--port',
            str(self.port),
            '--dir',
            str(self.folder),
            '--save',
            '',
            '--appendonly',
            'yes',
        ]

    def _answers(self) -> bool:
        try:
            return bool(self._client().ping())
        except redis.ConnectionError:
            return False

    def _client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5)


class Etcd(Server):
    package = 'etcd-server'

    @property
    def url(self) -> str:
        return f'etcd://127.0.0.1:{self.port}'

    def flush(self) -> None:
        requests.post(
            f'http://127.0.0.1:{self.port}/v3/kv/deleterange',
            timeout=5,
            json={'key': 'AA==', 'range_end': 'AA=='},
        ).raise_for_status()  # from 0 to the end: all

    def _command(self) -> list[str]:
        address, peer = (f'http://127.0.0.1:{port}' for port in (self.port, self._second_port))
        return [
            self._program('etcd'),
            '--data-dir',
            f'{self.folder}/data',
            '--unsafe-no-fsync',
            '--listen-client-urls',
            address,
            '--advertise-client-urls',
            address,
            '--listen-peer-urls',
            peer,
            '--initial-advertise-peer-urls',
            peer,
            '--initial-cluster',
            f'default={peer}',
        ]

    def _answers(self) -> bool:
        try:
            return requests.get(f'http://127.0.0.1:{self.port}/health', timeout=5).ok
        except requests.ConnectionError:
            return False


class ZooKeeper(Server):
    package = 'zookeeper'

    @property
    def url(self) -> str:
        return f'zookeeper://127.0.0.1:{self.port}'

    def flush(self) -> None:
        client = kazoo_client.KazooClient(f'127.0.0.1:{self.port}')
        client.start()
        try:
            client.delete('/karbor', recursive=True)
        finally:
            client.stop()
            client.close()

    def _command(self) -> list[str]:
        config = self.folder / 'zoo.cfg'
        config.write_text(
            f'tickTime=500\ndataDir={self.folder}/data\nclientPort={self.port}\n'
            'clientPortAddress=127.0.0.1\nadmin.enableServer=false\n'
            '4lw.commands.whitelist=ruok\nforceSync=no\n'
        )
        return [
            self._program('java'),
            '-Xmx128m',
            '-cp',
            '/etc/zookeeper/conf:/usr/share/java/*',
            'org.apache.zookeeper.server.quorum.QuorumPeerMain',
            str(config),
        ]

    def _answers(self) -> bool:
        try:
            with socket.create_connection(('127.0.0.1', self.port), timeout=5) as connection:
                connection.sendall(b'ruok')
                return connection.recv(4) == b'imok'
        except OSError:
            return False


KINDS: dict[str, type[Server]] = {'redis': Redis, 'etcd': Etcd, 'zookeeper': ZooKeeper}


@functools.cache
def running(kind: str) -> Server:
    """The server of this process, started when it is asked for first.

    :param kind: a key of :data:`KINDS`.
    :raises ServerError:
    """
    return KINDS[kind]()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])
