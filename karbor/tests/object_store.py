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

"""A private OpenStack Swift for tests, which speaks S3, too.

It is a real one: a proxy, an account, a container and an object server, each a process, with
one disk that is a folder. Like the databases of :mod:`karbor.tests.database_servers` it belongs
to the process that starts it, and ends with it. Swift is not among what Karbor's tests import:
it is in a virtualenv of its own, ``.venv/swift``, which the first start makes.
"""

import atexit
import base64
import contextlib
import functools
import getpass
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import requests

from karbor.tests import processes

ROOT = pathlib.Path(__file__).parents[2]
VIRTUALENV = ROOT / '.venv' / 'swift'

ACCOUNT = 'test'
USER = 'karbor'
KEY = 'the-key-of-a-test'

_HOST = '127.0.0.1'
# Asked for now: within a test it is a folder of that test, which goes when the test ends.
_TEMP_DIR = tempfile.gettempdir()
_PROGRAM = pathlib.Path(__file__).with_name('swift_server.py')
_PORTS = range(20_000, 32_000)
_START_SECONDS = 120
_STOP_SECONDS = 20
_RINGS = ('account', 'container', 'object')
_MODULES = {
    'account': 'swift.account.server',
    'container': 'swift.container.server',
    'object': 'swift.obj.server',
    'proxy': 'swift.proxy.server',
}

_COMMON = """[DEFAULT]
swift_dir = {folder}/etc
devices = {folder}/devices
mount_check = false
bind_ip = {host}
bind_port = {port}
workers = 0
user = {user}
log_level = WARNING
recon_cache_path = {folder}
"""

# A busy machine is no broken one: what is late by seconds must not become a lasting fault.
_STORAGE = """conn_timeout = 20
node_timeout = 60
container_update_timeout = 60

[pipeline:main]
pipeline = {name}-server

[app:{name}-server]
use = egg:swift#{name}
"""

_PROXY = """
[pipeline:main]
pipeline = catch_errors listing_formats {auth} slo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
conn_timeout = 20
node_timeout = 60
error_suppression_limit = 1000000

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:listing_formats]
use = egg:swift#listing_formats

[filter:s3api]
use = egg:swift#s3api
max_bucket_listing = {s3_page}

[filter:slo]
use = egg:swift#slo
"""

_TEMPAUTH = """
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {key} .admin
token_life = {token_life}
fernet_key_test = {fernet_key}
active_fernet_key_id = test
"""

_KEYSTONE = """
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {auth_url}
auth_url = {auth_url}
auth_type = password
username = {username}
password = {password}
project_name = {project_name}
user_domain_id = default
project_domain_id = default
delay_auth_decision = true

[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = member
"""


class ServerError(Exception):
    """Swift cannot be started; the text says why."""


class Swift:
    """A running Swift without containers. With Keystone it does not speak S3.

    :param page: how many names a page of a listing has at most; by S3, one less.
    :param is_behind: whether listings are of the past until :meth:`catch_up`: the object server
        tells the container server of nothing, and leaves that to the object updater.
    :param token_life: for how many seconds its own tokens are good.
    :param keystone: user of Keystone that checks tokens, with ``auth_url``, ``username``,
        ``password`` and ``project_name``; None has Swift give out its own tokens.
    :raises ServerError:
    """

    def __init__(
        self,
        page: int = 1000,
        is_behind: bool = False,
        token_life: int = 86400,
        keystone: dict[str, str] | None = None,
    ) -> None:
        _install()
        self._pid = os.getpid()
        self._page = page
        self._is_behind = is_behind
        self._token_life = token_life
        self._keystone = keystone
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ports = dict(zip(_MODULES, _free_ports(len(_MODULES)), strict=True))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='karbor-swift-', dir=_TEMP_DIR))
        atexit.register(self.stop)
        _check_attributes(self.folder)
        for name in ('etc', 'devices/disk'):
            (self.folder / name).mkdir(parents=True)
        self._configure()
        for name, module in _MODULES.items():
            self._start(name, module)
        self._wait()

    @property
    def url(self) -> str:
        """Where the proxy listens, for both protocols."""
        return f'http://{_HOST}:{self._ports["proxy"]}'

    @property
    def auth_url(self) -> str:
        """Where Swift gives out tokens of its own."""
        return f'{self.url}/auth/v1.0'

    @property
    def user(self) -> str:
        """Its one user, and the access key of S3."""
        return f'{ACCOUNT}:{USER}'

    @property
    def key(self) -> str:
        """Password of the user, and the secret key of S3."""
        return KEY

    def storage_url(self, project_id: str) -> str:
        """Where a project of Keystone has its containers."""
        return f'{self.url}/v1/AUTH_{project_id}'

    def catch_up(self) -> None:
        """Bring the listings up to date."""
        self._write(
            'updater.conf',
            self._common('object') + '[object-updater]\nconn_timeout = 20\nnode_timeout = 60\n',
        )
        subprocess.run(
            [
                VIRTUALENV / 'bin/python',
                _PROGRAM,
                self.folder / 'etc',
                'swift.obj.updater',
                self.folder / 'etc/updater.conf',
                'once',
            ],
            check=True,
            capture_output=True,
        )

    def pause(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Have one of the servers answer nothing, while in the context.

        :param name: account, container, object or proxy.
        """
        return _paused(self._processes[list(_MODULES).index(name)])

    def stop(self) -> None:
        """End it, and remove all it kept. To stop again does no harm."""
        if os.getpid() != self._pid:
            return
        atexit.unregister(self.stop)
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(_STOP_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _configure(self) -> None:
        self._write(
            'swift.conf',
            '[swift-hash]\nswift_hash_path_suffix = test\n'
            f'[swift-constraints]\ncontainer_listing_limit = {self._page}\n'
            '[storage-policy:0]\nname = only\ndefault = yes\n',
        )
        for name in _RINGS:
            self._build_ring(name)
            self._write(f'{name}.conf', self._common(name) + _STORAGE.format(name=name))
        auth = 's3api tempauth' if self._keystone is None else 'authtoken keystoneauth'
        self._write(
            'proxy.conf',
            self._common('proxy')
            + self._auth_filters()
            + _PROXY.format(auth=auth, s3_page=self._page - 1),
        )

    def _auth_filters(self) -> str:
        if self._keystone is not None:
            return _KEYSTONE.format(**self._keystone)
        return _TEMPAUTH.format(
            account=ACCOUNT,
            user=USER,
            key=KEY,
            token_life=self._token_life,
            fernet_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
        )

    def _common(self, name: str) -> str:
        return _COMMON.format(
            folder=self.folder, host=_HOST, port=self._ports[name], user=getpass.getuser()
        )

    def _write(self, name: str, text: str) -> None:
        (self.folder / 'etc' / name).write_text(text)

    def _build_ring(self, name: str) -> None:
        """One partition, one replica, on the one disk."""
        device = f'r1z1-{_HOST}:{self._ports[name]}/disk'
        for arguments in (('create', '1', '1', '0'), ('add', device, '1'), ('rebalance',)):
            done = subprocess.run(
                [VIRTUALENV / 'bin/swift-ring-builder', f'etc/{name}.builder', *arguments],
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise ServerError(f'swift-ring-builder failed: {done.stdout}{done.stderr}')

    def _start(self, name: str, module: str) -> None:
        with self._log(name).open('ab') as log:
            self._processes.append(
                subprocess.Popen(
                    [
                        VIRTUALENV / 'bin/python',
                        _PROGRAM,
                        self.folder / 'etc',
                        module,
                        self.folder / 'etc' / f'{name}.conf',
                        '--verbose',
                    ],
                    cwd=self.folder,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the tests only
                    preexec_fn=functools.partial(  # noqa: PLW1509 - tests begin without threads
                        processes.die_with_parent, self._pid
                    ),
                )
            )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, 'SWIFT_IS_BEHIND': '1'} if self._is_behind else {**os.environ}

    def _wait(self) -> None:
        """Until all servers answer whatever they are asked."""
        deadline = time.monotonic() + _START_SECONDS
        for (name, port), process in zip(self._ports.items(), self._processes, strict=True):
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    said = self._log(name).read_text()[-4000:]
                    self.stop()
                    raise ServerError(f'The {name} server of Swift does not start:\n{said}')
                time.sleep(0.05)

    def _log(self, name: str) -> pathlib.Path:
        return self.folder / f'{name}.log'


@functools.cache
def running(page: int = 1000, is_behind: bool = False) -> Swift:
    """The Swift of this process that is like this, started when it is asked for first.

    :raises ServerError:
    """
    return Swift(page, is_behind)


def _install() -> None:
    done = subprocess.run(
        [ROOT / 'tools/swift-virtualenv'], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ServerError(f'Swift cannot be installed: {done.stdout}{done.stderr}')


def _check_attributes(folder: pathlib.Path) -> None:
    """Swift keeps what it knows of an object in extended attributes of its file."""
    try:
        os.setxattr(folder, 'user.swift.metadata', b'x' * 200)
    except OSError as exc:
        raise ServerError(
            f'The file system of {folder} has no extended attributes ({exc}); let TMPDIR name '
            f'a folder of one that has.'
        ) from exc


def _free_ports(count: int) -> list[int]:
    """Below those that the kernel gives to clients, so that none takes one meanwhile."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((_HOST, port))
            found.append(port)
        if len(found) == count:
            break
    return found


def _answers(port: int) -> bool:
    try:
        requests.get(f'http://{_HOST}:{port}/healthcheck', timeout=5)
    except requests.RequestException:
        return False
    return True


@contextlib.contextmanager
def _paused(process: subprocess.Popen[bytes]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # all its threads are
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
