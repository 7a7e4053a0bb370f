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

"""Outages of the services that a cloud's Karbor needs."""

import contextlib
import threading
from collections.abc import Iterator

from karbor.testing.fault_proxy import Fault, Rule
from karbor.tests import threads
from karbor.tests.integration import cloud, object_stores
from karbor.tests.integration.outage_trials import Ground, Outage

# A worker looks for jobs several times as often: jobs are posted again before the next flush.
_FLUSH_INTERVAL = 1.5


@contextlib.contextmanager
def _database_restart(ground: Ground) -> Iterator[None]:
    ground.database.shut_down()
    yield
    ground.database.start()


@contextlib.contextmanager
def _keystone_down(_ground: Ground) -> Iterator[None]:
    with cloud.keystone_down():
        yield


@contextlib.contextmanager
def _cinder_503(ground: Ground) -> Iterator[None]:
    ground.proxy.rules = [Rule(fault=Fault.UNAVAILABLE, probability=0.5)]
    yield
    ground.proxy.rules = []


@contextlib.contextmanager
def _board_flush(ground: Ground) -> Iterator[None]:
    """All is taken off the board, again and again."""

    def flush(stopping: threading.Event) -> None:
        while not stopping.wait(_FLUSH_INTERVAL):
            ground.board.flush()

    ground.board.flush()
    with threads.running(flush):
        yield


@contextlib.contextmanager
def _board_down(ground: Ground) -> Iterator[None]:
    ground.board.stop()
    yield
    ground.board.start()


@contextlib.contextmanager
def _store_down(ground: Ground) -> Iterator[None]:
    """The store is away, and a worker is killed: another goes on waiting."""
    assert ground.store is not None
    ground.store.go()
    ground.replace_worker()
    yield
    ground.store.come_back()


OUTAGES = {
    outage.name: outage
    for outage in (
        Outage('mariadb-restart', _database_restart, (10, 2)),
        Outage('keystone-down', _keystone_down, (60, 5)),
        Outage('cinder-503', _cinder_503, (60, 5)),
        Outage(
            'redis-flush',
            _board_flush,
            (20, 4),
            board='redis',
            goes_on=True,
            trace='has gone from the board; its row keeps it',
        ),
        Outage(
            'board-down',
            _board_down,
            (60, 10),
            goes_on=True,
            trace='The job board does not answer, jobs go by their rows',
        ),
        Outage('postgresql-restart', _database_restart, (10, 2), database='postgresql'),
        *(
            Outage(
                f'{store}-away',
                _store_down,
                (60, 8),
                database='',
                store=store,
                trace='held back since',
            )
            for store in object_stores.KINDS
        ),
    )
}
