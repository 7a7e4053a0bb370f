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

from __future__ import annotations

import base64
import contextlib
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import requests

from karbor import exception
from karbor.common import extras

if TYPE_CHECKING:  # what a connection says is read, and is wrong, without TaskFlow, too
    from taskflow.jobs import base

# How long a server of a board may take to answer, in seconds.
_TIMEOUT = 2.0
# How long is listened at a time, so that the end of a process is seen, in seconds.
_LISTENS = 1.0
# After so long a connection is made anew: nobody may be at its other end any more.
_LONGEST_SILENCE = 30.0


class Driver:
    """One kind of board.

    :param options: TaskFlow's, for the board itself.
    :raises ExtraMissing: TaskFlow or its library for the server is not installed.
    """

    #: what brings them
    extra: str

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        extras.check(self.extra, '[jobboard] connection')

    def client(self) -> Any:
        """What the board is to use: one that gives up soon, unlike those that boards make."""
        raise NotImplementedError

    def connect(self, board: base.JobBoard) -> None:
        """:raises Exception: whatever the library raises when there is no server."""
        board.connect()

    def close(self, board: base.JobBoard) -> None:
        """Let go of a board, connected or not."""
        board.close()

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

    def consume(self, board: base.JobBoard, posting: base.Job, owner: str) -> None:
        """Take a posting off that the owner has claimed.

        :raises NotFound: it is not on the board any more.
        :raises JobFailure: another has claimed it, or the server does not answer.
        """
        board.consume(posting, owner)

    def renew(self, posting: base.Job, expiry: float) -> bool:
        """Keep a claim for so many seconds from now; returns whether it was there."""
        return bool(posting.extend_expiry(expiry))

    def announce(self, board: base.JobBoard) -> None:
        """Tell those who listen that something was posted, if the server does not."""

    def listen(
        self, board: base.JobBoard, heard: Callable[[], None], stopping: threading.Event
    ) -> None:
        """Wait for postings until a process stops.

        :param heard: called when something may have been posted.
        :raises Exception: whatever the library raises when there is no server.
        """
        raise NotImplementedError


class Redis(Driver):
    """:param url: for redis-py."""

    extra = 'redis'

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._url = url

    @property
    def _channel(self) -> str:
        return f'{self.options["namespace"]}.posted'

    def client(self) -> Any:
        import redis
        from redis import backoff, retry

        return redis.Redis.from_url(
            self._url,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            protocol=2,
            retry=retry.Retry(backoff.NoBackoff(), 1),
            health_check_interval=_LONGEST_SILENCE,
        )

    def announce(self, board: base.JobBoard) -> None:
        board._client.publish(self._channel, '')

    def listen(
        self, board: base.JobBoard, heard: Callable[[], None], stopping: threading.Event
    ) -> None:
        with self.client() as client, client.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(self._channel)
            while not stopping.is_set():
                if channel.get_message(timeout=_LISTENS) is not None:
                    heard()


class Etcd(Driver):
    """Claims are leases of whole seconds.

    :param server: arguments of etcd3gw's client.
    """

    extra = 'etcd'

    def __init__(self, server: Mapping[str, Any], options: dict[str, Any]) -> None:
        super().__init__(options)
        self._server = server

    def client(self) -> Any:
        # A board that makes its own client watches by a thread, which spins while the
        # server is away.
        import etcd3gw

        return etcd3gw.client(timeout=_TIMEOUT, **self._server)

    def claim(self, board: base.JobBoard, posting: base.Job, owner: str, expiry: float) -> None:
        super().claim(board, posting, owner, max(1, round(expiry)))

    def listen(
        self, board: base.JobBoard, heard: Callable[[], None], stopping: threading.Event
    ) -> None:
        client = self.client()
        prefix = f'{board._root_path}/{board.JOB_PREFIX}'.encode()
        keys = {'key': prefix, 'range_end': prefix[:-1] + bytes([prefix[-1] + 1])}
        create = {name: base64.b64encode(key).decode() for name, key in keys.items()}
        while not stopping.is_set():
            with client.session.post(
                client.get_url('/watch'),
                json={'create_request': {**create, 'filters': ['NODELETE']}},
                stream=True,
                timeout=(_TIMEOUT, _LONGEST_SILENCE),
            ) as answer:
                answer.raise_for_status()
                with contextlib.suppress(requests.ConnectionError):  # what silence becomes
                    for _ in answer.iter_lines():
                        heard()

    def renew(self, posting: base.Job, expiry: float) -> bool:
        try:
            return super().renew(posting, expiry)
        except TypeError:  # TaskFlow's answer for a claim that is gone
            return False


class ZooKeeper(Driver):
    """Claims are ephemeral nodes: they hold as long as the session, which renews itself.

    :param hosts: ``host:port,host:port``.
    """

    extra = 'zookeeper'

    def __init__(self, hosts: str, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._hosts = hosts

    def client(self) -> Any:
        from kazoo import client

        return client.KazooClient(self._hosts)

    def connect(self, board: base.JobBoard) -> None:
        board.connect(timeout=_TIMEOUT)

    def close(self, board: base.JobBoard) -> None:
        board.close()
        board._client.stop()
        board._client.close()

    def check(self, board: base.JobBoard) -> None:
        if board._client.connected and not board.connected:
            # The session had expired and Kazoo has a new one, which TaskFlow does not notice.
            board.connect(timeout=_TIMEOUT)
        # Kazoo keeps what is asked until there is a server again, however long that takes.
        from taskflow import exceptions as taskflow_exc

        if not board.connected:
            raise taskflow_exc.JobFailure('there is no connection to ZooKeeper')

    def claim(self, board: base.JobBoard, posting: base.Job, owner: str, expiry: float) -> None:
        board.claim(posting, owner)

    def listen(
        self, board: base.JobBoard, heard: Callable[[], None], stopping: threading.Event
    ) -> None:
        def changed(_children: Sequence[str]) -> bool:
            heard()
            return not stopping.is_set()

        board._client.ChildrenWatch(board.path, changed)
        while board.connected and not stopping.wait(_LISTENS):
            pass

    def consume(self, board: base.JobBoard, posting: base.Job, owner: str) -> None:
        from taskflow import exceptions as taskflow_exc

        try:
            super().consume(board, posting, owner)
        except taskflow_exc.NotFound:
            # The board's own thread may have forgotten it, from a list older than the posting.
            for found in board.iterjobs(ensure_fresh=True):
                if found.uuid == posting.uuid:
                    super().consume(board, found, owner)

    def renew(self, posting: base.Job, expiry: float) -> bool:
        return True


def parse(connection: str) -> Driver:
    """The driver of a connection.

    :param connection: ``redis://[user:password@]host[:port][/db]``, or ``rediss://`` for TLS;
        ``etcd://host[:port][/path]``; ``zookeeper://host[:port],host[:port][/path]``. Options
        may follow as a query.
    :raises InvalidInput:
    :raises ExtraMissing: what the board needs is not installed.
    """
    try:
        url = urllib.parse.urlsplit(connection)
        make: Callable[[urllib.parse.SplitResult], Driver] = _DRIVERS[url.scheme]
        return make(url)
    except (ValueError, KeyError, TypeError, OSError):
        raise exception.InvalidInput(
            reason='[jobboard] connection is not like redis://host:6379, etcd://host:2379 or '
            'zookeeper://host:2181,host:2181, or has an option that is unknown or '
            'wrong. A / of a password is to be written %2F, and so on.'
        ) from None


def _redis(url: urllib.parse.SplitResult) -> Driver:
    _check(url)
    driver = Redis(url.geturl(), {'board': 'redis', 'namespace': 'karbor'})
    driver.client().connection_pool.make_connection()  # not used: it shows what is wrong
    return driver


def _etcd(url: urllib.parse.SplitResult) -> Driver:
    _check(url)
    more = dict(urllib.parse.parse_qsl(url.query, strict_parsing=True)) if url.query else {}
    if url.username or not more.keys() <= {'protocol', 'ca_cert', 'cert_key', 'cert_cert'}:
        raise ValueError
    for name in more.keys() - {'protocol'}:
        with open(more[name], 'rb'):
            pass
    return Etcd(
        {'host': url.hostname, 'port': url.port or 2379, **more},
        {'board': 'etcd', 'path': url.path.strip('/') or 'karbor'},
    )


def _zookeeper(url: urllib.parse.SplitResult) -> Driver:
    if not url.netloc or url.query or '@' in url.geturl():
        raise ValueError
    # TaskFlow's check asks by a command that servers since 3.5 refuse unless they are told
    # otherwise.
    return ZooKeeper(
        url.netloc,
        {
            'board': 'zookeeper',
            'check_compatible': False,
            'path': f'/{url.path.strip("/") or "karbor"}/jobs',
        },
    )


def _check(url: urllib.parse.SplitResult) -> None:
    """:raises ValueError: there is no host, its port is no number, or a password has a / in it."""
    if not url.hostname or url.port == 0 or '@' in f'{url.path}{url.query}{url.fragment}':
        raise ValueError


_DRIVERS = {'redis': _redis, 'rediss': _redis, 'etcd': _etcd, 'zookeeper': _zookeeper}
