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

"""An HTTP server for tests whose connections can be cut: what the fakes stand on."""

import contextlib
import http.server
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

_HOST = '127.0.0.1'


class CutServer(http.server.ThreadingHTTPServer):
    """Knows its open connections, and can end them all at once.

    It listens on 127.0.0.1 only.

    :param handler: serves one connection.
    :param port: to listen on; 0 takes a free one.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type['CuttingHandler'], port: int = 0) -> None:
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__((_HOST, port), handler)

    @property
    def url(self) -> str:
        return f'http://{_HOST}:{self.server_address[1]}'

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve in a thread meanwhile; gives the URL."""
        self.start()
        try:
            yield self.url
        finally:
            self.stop()

    def start(self) -> None:
        """Serve in a thread; each connection is served by one of its own."""
        threading.Thread(
            target=self.serve_forever, args=(0.02,), name=type(self).__name__, daemon=True
        ).start()

    def stop(self) -> None:
        """Stop listening and cut every connection."""
        self.shutdown()
        self.server_close()
        self.cut_connections()

    @contextlib.contextmanager
    def connection(self, connection: socket.socket) -> Iterator[None]:
        """Know a connection while it is served."""
        with self._connections_lock:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._connections_lock:
                self._connections.discard(connection)

    def cut_connections(self) -> None:
        """End all connections; their threads notice and end, too."""
        with self._connections_lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that went away; tell of everything else."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class CuttingHandler(http.server.BaseHTTPRequestHandler):
    """Serves a connection of a :class:`CutServer` in silence, and can reset it."""

    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    server: CutServer

    def handle(self) -> None:
        with self.server.connection(self.connection):
            super().handle()

    def reset(self) -> None:
        """Send a TCP RST: that is what closing does to a socket that may not linger."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        # Closed below the file objects, which would put it off as long as they are open.
        socket.close(self.connection.detach())

    def log_message(self, *args: Any) -> None:
        """Print nothing: tests read the counters."""
