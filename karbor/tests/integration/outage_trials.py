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

"""Outages: what a cloud's Karbor needs fails in the middle of its work.

Each meets running and waiting jobs, and meanwhile more is asked for. Afterwards rows, API and
the real Cinder are compared: nothing may be lost, doubled or left.
"""

import contextlib
import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

from karbor.db import models
from karbor.testing import fault_proxy
from karbor.tests import board_servers, database_servers
from karbor.tests.integration import (
    audit,
    cloud,
    job_reports,
    object_stores,
    patient,
    scene,
    service,
)

# Two workers with two jobs each, so that some of the jobs of an outage wait.
_WORKERS, _JOBS_AT_ONCE = 2, 2
_VOLUMES = 6
_PROTECTS = 3
_LEASE = 4
_SETTLE_SECONDS = 240
# For so long after an outage an answer is waited for.
_PATIENCE_AFTER = 30


class Ground:
    """A cloud's Karbor, and what it needs that can fail.

    :param folder: where the configuration, the log and the bank are.
    :param database: a key of :data:`karbor.tests.database_servers.KINDS`, or an URL.
    :param board: a key of :data:`karbor.tests.board_servers.KINDS`.
    :param store: a key of :data:`karbor.tests.integration.object_stores.KINDS`, where the bank
        is; none is in a folder.
    """

    def __init__(self, folder: pathlib.Path, database: str, board: str, store: str = '') -> None:
        self.folder = folder
        self._ends = contextlib.ExitStack()
        self.board = board_servers.KINDS[board]()
        self._ends.callback(self.board.end)
        if database in database_servers.KINDS:
            self.database = database_servers.KINDS[database]()
            self._ends.callback(self.database.stop)
            database = self.database.create_database()
        self.proxy = fault_proxy.FaultProxy(cloud.settings()['cinder_url'].removesuffix('/v3'))
        self.proxy.start()
        self._ends.callback(self.proxy.stop)
        self.store = object_stores.Store(store) if store else None
        if self.store is not None:
            self._ends.callback(self.store.stop)
        self.karbor = service.Service(
            folder,
            database,
            {
                'cinder_client': {'cinder_endpoint': f'{self.proxy.url}/v3'},
                'jobboard': {'connection': self.board.url},
                'protection': {
                    'job_lease': _LEASE,
                    'max_concurrent_jobs': 2 * _JOBS_AT_ONCE,  # half of them a project's
                    'max_concurrent_jobs_per_project': _JOBS_AT_ONCE,
                },
            },
            bank=None if self.store is None else self.store.bank,
        )
        self._ends.callback(self.karbor.stop)
        self.karbor.start(_WORKERS - 1)
        self._last_worker = self.karbor.start_worker()

    def replace_worker(self) -> None:
        """Kill one, by SIGKILL, and start another."""
        self.karbor.kill(self._last_worker)
        self._last_worker = self.karbor.start_worker()

    def copy_bank(self) -> None:
        """Have what the bank has where audits look."""
        if self.store is not None:
            self.store.copy(self.karbor.bank)

    def stop(self) -> None:
        self._ends.close()


@dataclasses.dataclass(frozen=True)
class Outage:
    """Something that fails for a while.

    :ivar lasts: seconds that it lasts, and in its short form.
    :ivar failure: what the reason of a job has in it that may fail for it; none may, if None.
    :ivar trace: what is logged if it has met the work.
    :ivar goes_on: whether jobs begin all the same; it lasts until one has.
    :ivar database: what it needs.
    :ivar board: what it needs; None is any.
    :ivar store: where the bank has to be; none is a folder.
    """

    name: str
    happen: Callable[[Ground], contextlib.AbstractContextManager[None]]
    lasts: tuple[float, float]
    failure: str | None = None
    trace: str = ''
    goes_on: bool = False
    database: str = 'mariadb'
    board: str | None = None
    store: str = ''


class Trial:
    """An outage in the middle of jobs of all kinds.

    :param ground: whose Karbor does them.
    :param is_short: whether it is an outage of seconds only.
    """

    def __init__(self, ground: Ground, outage: Outage, is_short: bool) -> None:
        self._ground = ground
        self._outage = outage
        self._seconds = outage.lasts[is_short]
        self._begun = time.monotonic()
        self._scene = scene.Scene(ground.karbor, _VOLUMES)
        self._asked: list[patient.PatientCaller] = []
        self._begun_meanwhile: list[job_reports.Begin] = []

    def hit(self) -> None:
        """Let it happen."""
        unfinished = ', '.join(self._begin_work())
        say(f'\n== {self._outage.name}: {self._seconds:g} s in the middle of: {unfinished}')
        meanwhile = threading.Thread(target=self._ask_meanwhile)
        with self._outage.happen(self._ground):
            known = len(self._begins())
            meanwhile.start()
            time.sleep(self._seconds)
            if self._outage.goes_on:
                cloud.wait_until(
                    lambda: self._own(self._begins()[known:]), 'a job that begins meanwhile'
                )
            self._begun_meanwhile = self._begins()[known:]
        meanwhile.join()

    def _begins(self) -> list[job_reports.Begin]:
        return job_reports.begins(self._scene.log())

    def _own(self, begins: list[job_reports.Begin]) -> list[job_reports.Begin]:
        asked = {job.id for job in self._scene.rows.all(models.Job)}
        return [begin for begin in begins if begin.job_id in asked]

    def _begin_work(self) -> list[str]:
        """Begin jobs of all kinds; returns those that the outage finds."""
        caller, plan_id = self._scene.caller, self._scene.plan_id
        self._kept, going = (caller.protect(plan_id) for _ in range(2))
        for checkpoint_id in (self._kept, going):
            caller.wait_for_checkpoint(checkpoint_id, 'available')
        before = self._scene.snapshot_count()
        caller.use('restore', self._kept)
        caller.ask_to_delete(going)
        for _ in range(_PROTECTS):
            caller.protect(plan_id)
        caller.use('verification', self._kept)
        cloud.wait_until(lambda: self._scene.snapshot_count() != before, 'the middle of the work')
        return [f'{job.kind} {job.state}' for job in self._scene.rows.unfinished()]

    def _ask_meanwhile(self) -> None:
        """Ask for what is to be done for all that."""
        caller = self._scene.new_caller(self._seconds + _PATIENCE_AFTER)
        caller.call('GET', '/plans')
        caller.protect(self._scene.plan_id)
        caller.use('verification', self._kept)
        self._asked.append(caller)

    def check(self) -> list[audit.Finding]:
        """Wait until all is settled, print what came of it, and return what must not be."""
        self._scene.settle(_SETTLE_SECONDS)
        self._ground.copy_bank()
        findings = [
            *self._scene.audit.findings(),
            *self._bad_ends(),
            *self._bad_answers(),
            *self._bad_course(),
        ]
        say(f'\n== After {self._outage.name}\n{self._scene.table()}')
        say(self._scene.audit.told_compared())
        self._scene.delete_everything()
        self._ground.copy_bank()
        findings += self._scene.audit.of_nothing()
        say(f'{time.monotonic() - self._begun:.0f} s; {audit.summary(findings)}')
        return findings

    def _bad_ends(self) -> Iterator[audit.Finding]:
        """What did not end as it was to."""
        failed = [log for log in self._scene.logs() if log.error_info]
        for log in failed:
            if self._outage.failure is None or self._outage.failure not in str(log.error_info):
                yield audit.Finding(audit.WRONG, f'{log.operation_type}: {log.error_info}')
        if self._outage.failure is not None and not failed:
            yield audit.Finding(audit.WRONG, 'nothing failed, so the outage missed the work')

    def _bad_answers(self) -> Iterator[audit.Finding]:
        """Meanwhile the API is to do its work, or to say why it cannot."""
        if not self._asked:
            yield audit.Finding(audit.WRONG, 'what was asked for meanwhile was not answered')
            return
        say(f'meanwhile in place of answers: {dict(self._asked[0].troubles)}')
        for trouble in self._asked[0].troubles:
            if not trouble.startswith('503 '):
                yield audit.Finding(audit.WRONG, f'the API answered: {trouble}')

    def _bad_course(self) -> Iterator[audit.Finding]:
        """Whether it was as it should have been meanwhile."""
        count = self._scene.log().count(self._outage.trace)
        if self._outage.trace:
            say(f'logged: {self._outage.trace!r} {count} times')
        if not count:
            yield audit.Finding(audit.WRONG, f'nobody has logged {self._outage.trace!r}')
        kinds = [begin.kind for begin in self._own(self._begun_meanwhile)]
        say(f'begun meanwhile: {", ".join(kinds) or "nothing"}')


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
