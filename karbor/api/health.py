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

"""``/healthcheck``: whether this process lives, and whether it can do its work.

oslo.middleware has a health check, too; told to name what failed, it also tells anybody who
asks about the process's memory and threads.
"""

import threading
import time
from collections.abc import Callable

import falcon
from oslo_log import log as logging

from karbor.api.services import Handler, Services
from karbor.db import schema_gate

LOG = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds; who probes has a time-out, too

_KINDS = ('database', 'job_board', 'banks')

PATHS = ('/healthcheck', '/healthcheck/ready')


class Liveness(Handler):
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {'status': 'ok'}

    on_head = on_get  # as load balancers ask


class Readiness(Handler):
    """Asks the database for its schema, the job board, and each provider's bank.

    Anybody may ask, and so is told of all banks together; the log names the provider.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._checks = [
            _Check('database', 'database', schema_gate.check),
            _Check('job_board', 'job_board', services.check_board),
            *(
                _Check('banks', f'bank of {found.id}', found.bank.check)
                for found in services.providers
            ),
        ]

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        end = time.monotonic() + _PATIENCE
        attempts = [(check.kind, check.begin()) for check in self._checks]
        results = dict.fromkeys(_KINDS, 'ok')
        for kind, attempt in attempts:
            if not attempt.succeeds(end):
                results[kind] = 'failed'
        is_ready = set(results.values()) == {'ok'}
        resp.status = falcon.HTTP_OK if is_ready else falcon.HTTP_SERVICE_UNAVAILABLE
        resp.media = {'status': 'ok' if is_ready else 'failed', 'checks': results}

    on_head = on_get


class _Check:
    """Something to be asked, which may not answer.

    :param kind: one of those that are told.
    :param name: what is asked, for the log.
    :param act: asks; raises when it does not work.
    """

    def __init__(self, kind: str, name: str, act: Callable[[], None]) -> None:
        self.kind = kind
        self._name = name
        self._act = act
        self._lock = threading.Lock()
        self._attempt: _Attempt | None = None

    def begin(self) -> '_Attempt':
        """Ask, unless an answer is still waited for: no more than one thread may hang."""
        with self._lock:
            if self._attempt is None or not self._attempt.is_alive():
                self._attempt = _Attempt(self._name, self._act)
                self._attempt.start()
            return self._attempt


class _Attempt(threading.Thread):
    def __init__(self, name: str, act: Callable[[], None]) -> None:
        super().__init__(name=f'health of {name}', daemon=True)
        self._act = act
        self._is_ok = False

    def run(self) -> None:
        try:
            self._act()
        except Exception as exc:  # noqa: BLE001
            # A thread's edge: whatever a driver or a plugin raises means that it does not work.
            LOG.error('Not ready: %s: %s: %s', self.name, type(exc).__name__, exc)
        else:
            self._is_ok = True

    def succeeds(self, end: float) -> bool:
        """Whether the answer is good; says no more, since the log has the reason.

        :param end: moment of the monotonic clock until which an answer is waited for.
        """
        self.join(max(0.0, end - time.monotonic()))
        return self._is_ok
