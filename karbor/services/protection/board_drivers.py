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

"""What differs between TaskFlow's jobboards in etcd, Redis and ZooKeeper."""

import importlib
import urllib.parse
from collections.abc import Mapping
from typing import Any

from taskflow import exceptions as taskflow_exc
from taskflow.jobs import base

from karbor import exception

# How long a server of a board may take to answer, in seconds.
_TIMEOUT = 3.0


class Driver:
    """One kind of board.

    :param options: TaskFlow's, for the board itself.
    :raises InvalidInput: its library is not installed.
    """

    #: the library that TaskFlow needs
    library: str

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        try:
            importlib.import_module(self.library)
        except ImportError as exc:
            raise exception.InvalidInput(
                reason=f'[jobboard] connection needs the Python package {self.library}.') from exc

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What is raised when the server does not answer, among other things."""
        return (taskflow_exc.TaskFlowException,)

    def client(self) -> Any:
        """What the board is to use, if it is not to make a client of its own."""
        return None

    def check(self, board: base.JobBoard) -> None:
        """Look whether a board can be used without waiting for its server to come back.

        :raises TaskFlowException:
        """

    def claim(self, board: base.JobBoard, posting: base.Job, owner: str, expiry: float) -> None:
        """Claim a posting.

        :param expiry: for how long the claim holds unless it is renewed, in seconds.
        :raises UnclaimableJob: another owner has it.
        :raises NotFound: it is not on the board any more.
        """
        board.claim(posting, owner, expiry=expiry)

    def renew(self, posting: base.Job, expiry: float) -> bool:
        """Keep a claim for so many seconds from now; returns whether it was there."""
        return bool(posting.extend_expiry(expiry))


class Redis(Driver):
    library = 'redis'


class Etcd(Driver):
    """Claims are leases of whole seconds."""

    library = 'etcd3gw'

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        from etcd3gw import exceptions
        return (*super().faults, exceptions.Etcd3Exception)

    def client(self) -> Any:
        # A board that makes its own client watches by a thread, which spins while the
        # server is away.
        import etcd3gw
        return etcd3gw.client(**{
            name: value for name, value in self.options.items()
            if name in ('host', 'port', 'protocol', 'ca_cert', 'cert_key', 'cert_cert',
                        'timeout', 'api_path')})

    def claim(self, board: base.JobBoard, posting: base.Job, owner: str, expiry: float) -> None:
        super().claim(board, posting, owner, max(1, round(expiry)))

    def renew(self, posting: base.Job, expiry: float) -> bool:
        try:
            return super().renew(posting, expiry)
        except TypeError:  # TaskFlow's answer for a claim that is gone
            return False


class ZooKeeper(Driver):
    """Claims are ephemeral nodes: they hold as long as the session, which renews itself."""

    library = 'kazoo'

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        from kazoo import exceptions
        return (*super().faults, exceptions.KazooException)

    def check(self, board: base.JobBoard) -> None:
        # Kazoo keeps what is asked until there is a server again, however long that takes.
        if not board.connected:
            raise taskflow_exc.JobFailure('there is no connection to ZooKeeper')

    def claim(self, board: base.JobBoard, posting: base.Job, owner: str, expiry: float) -> None:
        board.claim(posting, owner)

    def renew(self, posting: base.Job, expiry: float) -> bool:
        return True


def parse(connection: str) -> Driver:
    """The driver of a connection.

    :param connection: ``redis://[user:password@]host[:port][/db]``, or ``rediss://`` for TLS;
        ``etcd://host[:port]``; ``zookeeper://host[:port],host[:port]``. Further options of
        TaskFlow's board may follow as a query.
    :raises InvalidInput:
    """
    try:
        url = urllib.parse.urlsplit(connection)
        more = dict(urllib.parse.parse_qsl(url.query, strict_parsing=True)) if url.query else {}
        make = _DRIVERS[url.scheme]
        return make(url, more)
    except (ValueError, KeyError) as exc:
        raise exception.InvalidInput(
            reason='[jobboard] connection is not like redis://host:6379, etcd://host:2379 or '
                   'zookeeper://host:2181,host:2181.') from exc


def _redis(url: urllib.parse.SplitResult, more: Mapping[str, str]) -> Driver:
    options: dict[str, Any] = {
        'board': 'redis', 'namespace': 'karbor', 'host': _host(url), 'port': url.port or 6379,
        'socket_timeout': _TIMEOUT, 'socket_connect_timeout': _TIMEOUT}
    for name, value in (('username', url.username), ('password', url.password),
                        ('db', url.path.strip('/'))):
        if value:
            options[name] = urllib.parse.unquote(value)
    if url.scheme == 'rediss':
        options['ssl'] = True
    return Redis({**options, **more})


def _etcd(url: urllib.parse.SplitResult, more: Mapping[str, str]) -> Driver:
    return Etcd({'board': 'etcd', 'path': 'karbor', 'host': _host(url),
                 'port': url.port or 2379, 'timeout': _TIMEOUT, **more})


def _zookeeper(url: urllib.parse.SplitResult, more: Mapping[str, str]) -> Driver:
    if not url.netloc:
        raise ValueError(url.netloc)
    # The check asks by a command that servers since 3.5 refuse unless they are told otherwise.
    return ZooKeeper({'board': 'zookeeper', 'path': '/karbor/jobs', 'hosts': url.netloc,
                      'timeout': _TIMEOUT, 'check_compatible': False, **more})


def _host(url: urllib.parse.SplitResult) -> str:
    if not url.hostname:
        raise ValueError(url.netloc)
    return url.hostname


_DRIVERS = {'redis': _redis, 'rediss': _redis, 'etcd': _etcd, 'zookeeper': _zookeeper}
