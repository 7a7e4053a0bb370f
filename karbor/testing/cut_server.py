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

"""An HTTP server for tests whose connections can be cut: what the two fakes stand on."""

import contextlib
import http.server
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any


class CutServer(http.server.ThreadingHTTPServer):
    """Knows its open connections, and can end them all at once.

    :param address: host and port to listen on; port 0 takes a free one.
    :param handler: serves one connection, within :meth:`connection`.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]
    ) -> None:
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(address, handler)

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

    def reset(self) -> None:
        """Send a TCP RST: that is what closing does to a socket that may not linger."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        # Closed below the file objects, which would put it off as long as they are open.
        socket.close(self.connection.detach())

    def log_message(self, *args: Any) -> None:
        """Print nothing: tests read the counters."""
