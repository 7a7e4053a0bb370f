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

import contextlib
from collections.abc import Callable, Iterator

import falcon
import sqlalchemy as sa
from oslo_log import log as logging

from karbor import db, exception
from karbor.services.protection import provider

LOG = logging.getLogger(__name__)

PATHS = ('/healthcheck', '/healthcheck/ready')


class Liveness:

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {'status': 'ok'}


class Readiness:
    """Asks the database, the job board and each provider's bank.

    :param registry: the providers.
    :param check_board: raises when the job board does not work.
    """

    def __init__(self, registry: provider.ProviderRegistry,
                 check_board: Callable[[], None]) -> None:
        self._registry = registry
        self._check_board = check_board

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        results = {name: _result(name, check) for name, check in self._checks()}
        is_ready = set(results.values()) == {'ok'}
        resp.status = falcon.HTTP_OK if is_ready else falcon.HTTP_SERVICE_UNAVAILABLE
        resp.media = {'status': 'ok' if is_ready else 'failed', 'checks': results}

    def _checks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield 'database', _check_database
        yield 'job_board', self._check_board
        for found in self._registry:
            yield f'bank of {found.id}', lambda found=found: _check_bank(found)  # type: ignore[misc]


def _result(name: str, check: Callable[[], None]) -> str:
    """Says no more than that, since anybody may ask; the log has the reason."""
    try:
        check()
    except Exception as exc:  # noqa: BLE001
        # An edge: whatever a driver or a plugin raises means that it does not work.
        LOG.error('Not ready: %s: %s: %s', name, type(exc).__name__, exc)
        return 'failed'
    return 'ok'


def _check_database() -> None:
    with db.reader() as session:
        session.execute(sa.text('SELECT 1'))


def _check_bank(found: provider.Provider) -> None:
    with contextlib.suppress(exception.BankObjectNotFound):  # so it looked
        found.bank.get_object('/healthcheck')
