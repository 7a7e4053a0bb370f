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

"""How processes end."""

import os
import signal
import threading
from typing import Protocol


class Server(Protocol):
    """What is ended by a signal."""

    def serve(self) -> None:
        """Returns when it was stopped."""

    def stop(self) -> None:
        """Returns when what was begun has ended."""


def stop_event() -> threading.Event:
    """An event that SIGTERM or SIGINT sets; the second one ends the process at once."""
    stop = threading.Event()

    def handle(signal_number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(128 + signal_number)
        stop.set()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, handle)
    return stop


def serve_until(stop: threading.Event, server: Server) -> int:
    """Serve until the event is set; returns 1 when the server has ended by itself."""

    def serve() -> None:
        try:
            server.serve()
        finally:
            stop.set()

    thread = threading.Thread(target=serve, name='api', daemon=True)
    thread.start()
    stop.wait()
    exit_code = 0 if thread.is_alive() else 1
    server.stop()
    return exit_code
