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
"""Glance's API under cheroot (runs inside the sandbox's virtualenv).

    python -m sandbox_cloud.glance_server ADDRESS PORT

Glance finds its configuration by OS_GLANCE_CONFIG_DIR.
"""

import sys
from typing import Any

from cheroot import wsgi

from sandbox_cloud import keystone_server, sqlite_transactions

_THREADS = 8
_PIECE = 1 << 20
# How long a busy Cinder may pause within an upload.
_TIMEOUT_SECONDS = 60


class Upload:
    """What Glance gets of a chunked request: a body whose end is not that of the connection."""

    def __init__(self, body: Any) -> None:
        self.read = body.read

    def close(self) -> None:
        """Nothing to do; cheroot's own body would close the connection's reader with it."""


class Gateway(wsgi.Gateway_10):
    """Reads chunked requests to their very end, so that the next one is found behind them."""

    def get_environ(self) -> dict[str, Any]:
        """The WSGI environment, with our body in place of cheroot's."""
        environ = super().get_environ()
        if self.req.chunked_read:
            environ['wsgi.input'] = Upload(self.req.rfile)
        return environ

    def respond(self) -> None:
        """Answer, and read what Glance did not."""
        super().respond()
        if self.req.chunked_read:
            while self.req.rfile.read(_PIECE):
                pass
            for _line in self.req.rfile.read_trailer_lines():
                pass


def main() -> None:
    """Serve until told to stop."""
    address, port = sys.argv[1:]
    sqlite_transactions.begin_immediate()
    from glance.wsgi import api

    server = wsgi.Server(
        (address, int(port)), api.application, numthreads=_THREADS, timeout=_TIMEOUT_SECONDS
    )
    server.gateway = Gateway
    keystone_server.stop_on_signals(server)
    server.start()


if __name__ == '__main__':
    main()
