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
"""Keystone's API under cheroot (runs inside the sandbox's virtualenv).

    python -m sandbox_cloud.keystone_server ADDRESS PORT

Keystone finds its configuration by OS_KEYSTONE_CONFIG_FILES.
"""

import signal
import sys
import threading
from typing import Any

from cheroot import wsgi

from sandbox_cloud import sqlite_transactions

_THREADS = 8
_BACKLOG = 256


def stop_on_signals(server: wsgi.Server) -> None:
    """Let SIGTERM and SIGINT end a server; from a thread, for stop() waits for the loop."""

    def stop(*_arguments: Any) -> None:
        threading.Thread(target=server.stop, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def main() -> None:
    """Serve until told to stop."""
    address, port = sys.argv[1:]
    # Importing keystone.wsgi.api makes the application, which would parse our arguments.
    sys.argv[1:] = []
    sqlite_transactions.begin_immediate()
    from keystone.wsgi import api

    server = wsgi.Server(
        (address, int(port)), api.application, numthreads=_THREADS, request_queue_size=_BACKLOG
    )
    stop_on_signals(server)
    server.start()


if __name__ == '__main__':
    main()
