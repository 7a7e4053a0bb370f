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

"""Private MariaDB and PostgreSQL servers for tests.

A server belongs to the process that starts it, and ends with it, however that ends. It
listens on a Unix socket in its own folder, which nobody else may enter: so it needs neither
a free port nor a password. What it keeps is thrown away, so nothing waits for a disk.
"""

import abc
import atexit
import functools
import glob
import itertools
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from typing import IO, Any

import sqlalchemy as sa

from karbor.tests import processes

# Asked for now: within a test it is a folder of that test, which goes when the test ends.
_TEMP_DIR = tempfile.gettempdir()
_START_SECONDS = 60
_STOP_SECONDS = 20


class ServerError(Exception):
    """A server cannot be started; the text says why, and what to do."""


class Server(abc.ABC):
    """A running server without databases."""

    #: what Debian calls the package with its programs
    package: str
    #: where programs are besides the PATH, the best place first
    places: tuple[str, ...] = ()
    #: what ends it at once
    end_signal = signal.SIGKILL
    #: what lets it cut its connections and write down what it has
    calm_signal = signal.SIGTERM
    #: a database that is always there
    first_database: str

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        self._account = _unprivileged_account()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='karbor-db-', dir=_TEMP_DIR))
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        self._log = self.folder / 'log'
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)
        with self._log.open('ab') as output:
            surroundings = self._surroundings(output)
            if subprocess.run(self._creation(), check=False, **surroundings).returncode != 0:
                raise ServerError(f'{self._creation()[0]} failed:\n{self._log_text()}')
        self.start()

    def start(self) -> None:
        """Start it, with the databases that it had when it was shut down."""
        with self._log.open('ab') as output:
            self._process = subprocess.Popen(
                self._command(),
                start_new_session=True,  # Ctrl-C is for the tests only
                preexec_fn=functools.partial(  # noqa: PLW1509 - nothing else takes locks there
                    processes.die_with_parent, self._pid, self.end_signal
                ),
                **self._surroundings(output),
            )
        self._wait_for(self._process)

    @property
    def group(self) -> int:
        """The process group of the server, which runs."""
        assert self._process is not None
        return self._process.pid

    def shut_down(self) -> None:
        """Let it end as an administrator would; what is in its databases stays."""
        if self._process is not None:
            self._process.send_signal(self.calm_signal)
            self._process.wait(_STOP_SECONDS)
            self._process = None

    @abc.abstractmethod
    def _creation(self) -> list[str]:
        """The command that makes the files of a server."""

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """The command that is the server."""

    @abc.abstractmethod
    def url(self, database: str) -> str:
        """SQLAlchemy's URL of a database."""

    def create_database(self) -> str:
        """Make an empty database, with the server's defaults; returns its URL."""
        name = f'karbor_{next(self._numbers)}'
        with self._connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE {name}')
        return self.url(name)

    def stop(self) -> None:
        """End it, and remove all it kept. To stop again does no harm."""
        if os.getpid() != self._pid:
            return  # a fork of its owner, whose end is none of the server's business
        atexit.unregister(self.stop)
        if self._process is not None:
            self._process.send_signal(self.end_signal)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._connect().close()
            except sa.exc.OperationalError as exc:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ServerError(
                        f'{process.args[0]} does not start: {exc}\n{self._log_text()}'
                    ) from None
                time.sleep(0.02)
            else:
                return

    def _connect(self) -> sa.Connection:
        return sa.create_engine(
            self.url(self.first_database), poolclass=sa.NullPool, isolation_level='AUTOCOMMIT'
        ).connect()

    def _surroundings(self, output: IO[bytes]) -> dict[str, Any]:
        """As whom and where a program runs, and where to it writes."""
        surroundings = {
            'cwd': self.folder,
            'stdin': subprocess.DEVNULL,
            'stdout': output,
            'stderr': output,
        }
        if self._account is None:
            return surroundings
        return {
            **surroundings,
            'user': self._account.pw_uid,
            'group': self._account.pw_gid,
            'extra_groups': [],
        }

    def _log_text(self) -> str:
        return self._log.read_text(errors='replace')[-4000:]

    def _program(self, name: str) -> str:
        path = os.pathsep.join((os.environ.get('PATH', os.defpath), *self.places))
        found = shutil.which(name, path=path)
        if found is None:
            raise ServerError(f'{name} is not installed. On Debian: apt-get install {self.package}')
        return found


class MariaDB(Server):
    package = 'mariadb-server'
    places = ('/usr/sbin', '/usr/local/sbin')
    first_database = 'mysql'
    #: in MiB: what it keeps of its tables in memory
    memory = 64

    def _creation(self) -> list[str]:
        return [
            self._program('mariadb-install-db'),
            *self._options(),
            '--skip-test-db',
            '--auth-root-authentication-method=normal',
        ]

    def _command(self) -> list[str]:
        return [
            self._program('mariadbd'),
            *self._options(),
            '--skip-networking',
            f'--socket={self.folder}/socket',
            '--max-connections=500',
            '--performance-schema=OFF',
        ]

    def _options(self) -> list[str]:
        return [
            '--no-defaults',
            f'--datadir={self.folder}/data',
            f'--tmpdir={self.folder}',
            f'--innodb-log-file-size={self.memory // 4}M',
            f'--innodb-buffer-pool-size={self.memory}M',
            '--innodb-flush-log-at-trx-commit=0',
            '--innodb-doublewrite=0',
        ]

    def url(self, database: str) -> str:
        return f'mysql+pymysql://root@localhost/{database}?unix_socket={self.folder}/socket'


class PostgreSQL(Server):
    package = 'postgresql'
    places = tuple(
        sorted(
            glob.glob('/usr/lib/postgresql/*/bin'),
            reverse=True,
            key=lambda path: int(path.split('/')[4]),
        )
    )
    end_signal = signal.SIGQUIT  # killed, it would leave its children and shared memory
    calm_signal = signal.SIGINT  # SIGTERM would wait for the clients to go
    first_database = 'postgres'

    def _creation(self) -> list[str]:
        return [
            self._program('initdb'),
            '-D',
            f'{self.folder}/data',
            '-U',
            'karbor',
            '--auth=trust',
            '--encoding=UTF8',
            '--locale=C.UTF-8',
            '--no-sync',
        ]

    def _command(self) -> list[str]:
        options = {
            'listen_addresses': '',
            'unix_socket_directories': self.folder,
            'max_connections': 200,
            'fsync': 'off',
            'synchronous_commit': 'off',
            'full_page_writes': 'off',
            'deadlock_timeout': '50ms',
        }
        return [
            self._program('postgres'),
            '-D',
            f'{self.folder}/data',
            *(f'--{name}={value}' for name, value in options.items()),
        ]

    def url(self, database: str) -> str:
        return f'postgresql+psycopg2://karbor@/{database}?host={self.folder}'


KINDS: dict[str, type[Server]] = {'mariadb': MariaDB, 'postgresql': PostgreSQL}


@functools.cache
def running(kind: str) -> Server:
    """The server of this process, started when it is asked for first.

    :param kind: a key of :data:`KINDS`.
    :raises ServerError:
    """
    if kind not in KINDS:
        raise ServerError(f'{kind!r} is none of {", ".join(KINDS)}.')
    return KINDS[kind]()


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Whom servers run as; None for the user of this process, unless that is root.

    PostgreSQL refuses to run as root, and MariaDB wants to be persuaded.
    """
    return pwd.getpwnam('nobody') if os.geteuid() == 0 else None
