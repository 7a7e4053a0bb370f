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

"""The web server of ``karbor-api`` and ``karbor-standalone``: waitress, with bounds."""

import dataclasses
import os
import socket
import sys
import threading
import time
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
from waitress import adjustments, server, task, wasyncore

from karbor import local
from karbor.cmd import web_connections

LOG = logging.getLogger(__name__)

_LARGEST_HEADERS = 64 * 1024  # bytes, with the request line
_BODIES = 20  # of the largest size, that may be held at once
_PATIENCE = 5  # seconds for requests that are under way at the end
_NAME = 'karbor'

Connections = list[web_connections.Connection]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What clients may take up.

    :ivar body: bytes of the largest body.
    :ivar connections: how many there may be at once, on each address that is listened on.
    :ivar connections_per_address: how many of one client's address; 0 means no bound.
    :ivar request_time: seconds for a request to arrive, head and body.
    :ivar answer_time: seconds for an answer to be taken.
    :ivar idle_time: seconds for the next request to begin.
    :ivar look_interval: seconds between two looks at who has had time enough.
    """

    body: int
    connections: int
    connections_per_address: int
    request_time: float = 60
    answer_time: float = 300
    idle_time: float = 60
    look_interval: float = 1

    @classmethod
    def configured(cls) -> 'Limits':
        """Those of karbor.conf."""
        return cls(
            body=cfg.CONF.osapi_max_request_body_size,
            connections=cfg.CONF.osapi_max_connections,
            connections_per_address=cfg.CONF.osapi_max_connections_per_address,
        )


class WebServer:
    """Answers requests.

    :param threads: how many are answered at a time.
    """

    def __init__(self, threads: int, limits: Limits) -> None:
        self._limits = limits
        self._settings = adjustments.Adjustments(
            threads=threads,
            ident=_NAME,
            server_name=_NAME,
            max_request_header_size=_LARGEST_HEADERS,
            max_request_body_size=limits.body + 1,  # the first that is too large
            recv_bytes=_LARGEST_HEADERS,
            # No files: what is held is bounded otherwise.
            inbuf_overflow=sys.maxsize,
            outbuf_overflow=sys.maxsize,
            outbuf_high_watermark=sys.maxsize,
            connection_limit=sys.maxsize,  # a listener has bounds of its own
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,  # oslo.middleware's task
            log_socket_errors=False,
        )
        self._settings.cleanup_interval = limits.look_interval
        self._dispatcher = task.ThreadedTaskDispatcher()
        self._sockets: dict[int, Any] = {}
        self._listeners: list[_Bounded] = []
        self._is_stopping = threading.Event()
        self._has_ended = threading.Event()
        self._has_ended.set()
        self._end_lock = threading.Lock()

    def listen(self, host: str, port: int, application: Any) -> tuple[str, int]:
        """Take connections, once it serves.

        :param host: name or address.
        :param port: 0 takes a free one.
        :param application: what is served there, after PEP 3333.
        :returns: address and port.
        :raises OSError: it cannot listen there.
        """
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.create_server(
            address[:2], family=family, dualstack_ipv6=address[0] == '::'
        )
        added = self._add(_Listener, listening, application)
        return added.effective_host, int(added.effective_port)

    def listen_on(self, listening: socket.socket, application: Any) -> None:
        """Take connections of this user, once it serves.

        :param listening: a Unix socket that listens.
        """
        limits = dataclasses.replace(self._limits, connections_per_address=0)
        self._add(_OwnListener, listening, application).limits = limits

    def _add(self, kind: 'type[_Bounded]', listening: socket.socket, application: Any) -> Any:
        added = kind(
            application,
            self._sockets,
            _sock=listening,
            dispatcher=self._dispatcher,
            adj=self._settings,
            bind_socket=False,
            sockinfo=(listening.family, listening.type, listening.proto, None),
        )
        added.limits = self._limits
        self._listeners.append(added)
        return added

    @property
    def threads(self) -> int:
        """How many there are for requests."""
        return len(self._dispatcher.threads)

    def serve(self) -> None:
        """Answer until it is stopped."""
        self._has_ended.clear()
        self._dispatcher.set_thread_count(self._settings.threads)
        try:
            while not self._is_stopping.is_set():
                self._turn()
            self._drain()
        finally:
            self._dispatcher.shutdown(timeout=1)
            with self._end_lock:
                wasyncore.close_all(self._sockets)
                self._has_ended.set()

    def stop(self) -> None:
        """End :meth:`serve`; waits until what was asked is answered, or some seconds."""
        self._is_stopping.set()
        with self._end_lock:
            if not self._has_ended.is_set():
                self._listeners[0].pull_trigger()
        self._has_ended.wait(2 * _PATIENCE)

    def _turn(self) -> None:
        """Wait until somebody does something, and let it happen."""
        wasyncore.loop(self._limits.look_interval, use_poll=True, map=self._sockets, count=1)

    def _drain(self) -> None:
        for listener in self._listeners:
            listener.end_accepting()
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            unfinished = [
                each
                for listener in self._listeners
                for each in listener.connections()
                if not each.is_done
            ]
            if not unfinished:
                return
            self._turn()


class _Bounded(server.BaseWSGIServer):
    """Where connections come from."""

    channel_class = web_connections.Connection
    limits: Limits

    def connections(self) -> Connections:
        """Those that are open, in the order they came."""
        return [each for each in self.active_channels.values() if not each.will_close]

    def handle_accept(self) -> None:
        super().handle_accept()
        self._bound_connections()

    def maintenance(self, now: float) -> None:
        """waitress calls this after each interval."""
        moment = time.monotonic()
        for each in self.connections():
            each.look(moment)

    def _bound_connections(self) -> None:
        """Keep room for a client that has just come.

        Who is served stays; of the others the one goes that has been waited for the longest.
        """
        present = self.connections()
        if not present:
            return
        newest = present[-1].addr[0]
        theirs = [each for each in present if each.addr[0] == newest]
        limits = self.limits
        if limits.connections_per_address and len(theirs) > limits.connections_per_address:
            _drop_oldest(theirs)
        elif len(present) > limits.connections:
            _drop_oldest(present)

    def bound_memory(self) -> None:
        """Keep room for bodies that arrive."""
        present = self.connections()
        if sum(each.held for each in present) > _BODIES * self.limits.body:
            _drop_oldest([each for each in present if each.held])

    def end_accepting(self) -> None:
        """Take no more connections."""
        wasyncore.dispatcher.close(self)


class _Listener(_Bounded, server.TcpWSGIServer):
    """A port."""


class _OwnListener(_Bounded, server.UnixWSGIServer):
    """A Unix socket that only this user may connect to."""

    def getsockname(self) -> tuple[str, int]:
        return 'localhost', 0

    def set_socket_options(self, connection: socket.socket) -> None:
        """waitress calls this for a new connection.

        :raises OSError: it is another user's.
        """
        uid = local.peer(connection)
        if uid != os.geteuid():
            connection.close()
            LOG.warning('A connection of the user %d to the socket was refused', uid)
            raise PermissionError(uid)


def _drop_oldest(connections: Connections) -> None:
    waited_for = [each for each in connections if not each.is_busy]
    if waited_for:
        min(waited_for, key=lambda each: each.since).drop()
