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

"""The processes of a cloud's Karbor are killed again and again while it has all kinds of work.

Run it by ``tools/kill-runs``. Each kill is SIGKILL to one process and all that it has started,
which is then started again; or to what karbor-protection works with alone, which it is to start
again itself. Afterwards the tables, the API and the real Cinder are compared;
then everything is deleted, and Cinder is to hold nothing.
"""

import argparse
import collections
import contextlib
import dataclasses
import pathlib
import random
import shutil
import sys
import tempfile
import time
from typing import Any

from karbor.db import models
from karbor.tests import board_servers, database_servers
from karbor.tests.integration import audit, job_reports, kill_load, process_groups, scene, service

_VOLUMES = 20
_LEASE = 4
_WORKERS = ('worker-1', 'worker-2')
# How often each is killed: workers have most to lose.
_WEIGHTS = {'api': 2, 'engine': 1, **dict.fromkeys(_WORKERS, 3)}
# How often it is only the child of a worker.
_CHILD_ALONE = 0.3
_LONGEST_PEACE = 2.0
# For so long a kill of a worker is put off until it has a job, in seconds.
_PATIENCE = 8.0
_SETTLE_SECONDS = 300


@dataclasses.dataclass
class Figures:
    """What there is to tell of a storm."""

    kills: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    #: kinds of the jobs that were running in a worker when it was killed
    hit: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    idle: int = 0  # kills of a worker that had nothing to do

    def __str__(self) -> str:
        hit = ', '.join(f'{kind} {count}' for kind, count in sorted(self.hit.items()))
        kills = ', '.join(f'{name} {count}' for name, count in sorted(self.kills.items()))
        return (
            f'{self.kills.total()} kills: {kills}\n'
            f'jobs that kills of workers broke off: {hit or "none"}; '
            f'kills of workers without a job: {self.idle}'
        )


class Killer:
    """Kills processes and starts them again; to be used by the main thread.

    :param stage: whose Karbor they are.
    :param dice: decides when and which.
    """

    def __init__(self, stage: scene.Scene, dice: random.Random) -> None:
        self._scene = stage
        self._dice = dice
        self._log = job_reports.Follower(stage.karbor.log)
        karbor = stage.karbor
        self._start = {
            'api': karbor.start_api,
            'engine': karbor.start_engine,
            'worker-1': karbor.start_worker,
            'worker-2': karbor.start_worker,
        }
        self._processes = {name: start() for name, start in self._start.items()}
        self.figures = Figures()

    def kill_one(self) -> None:
        time.sleep(self._dice.uniform(0, _LONGEST_PEACE))
        (name,) = self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        if name not in _WORKERS:
            self._scene.karbor.kill(self._processes[name])
            self.figures.kills[name] += 1
        elif self._kill_worker(name := self._busy_worker(name)):
            return
        time.sleep(self._dice.uniform(0, 1))
        self._processes[name] = self._start[name]()

    def _kill_worker(self, name: str) -> bool:
        """Kill a worker, or its child alone; returns whether it will be there again by itself."""
        process = self._processes[name]
        is_child_alone = self._dice.random() < _CHILD_ALONE
        with process_groups.stopped(process.pid):
            running = self._running_in(name)
            if is_child_alone:
                process_groups.kill_children(process.pid)
            else:
                self._scene.karbor.kill(process)
        self.figures.kills['child' if is_child_alone else 'worker'] += 1
        self.figures.hit.update(running)
        self.figures.idle += not running
        return is_child_alone

    def _busy_worker(self, name: str) -> str:
        """This worker or another one that has a job; this one if none gets any."""
        end = time.monotonic() + _PATIENCE
        names = [name, *(other for other in _WORKERS if other != name)]
        while time.monotonic() < end:
            for candidate in names:
                if self._running_in(candidate):
                    time.sleep(self._dice.uniform(0, 0.5))
                    return candidate
            time.sleep(0.1)
        return name

    def _running_in(self, name: str) -> list[str]:
        """The kinds of the jobs that a worker has begun and that are running."""
        pids = process_groups.members(self._processes[name].pid)
        begun = {(begin.job_id, begin.attempt) for begin in self._log.begins() if begin.pid in pids}
        return [
            job.kind
            for job in self._scene.rows.unfinished()
            if job.state == 'running' and (job.id, job.attempts) in begun
        ]


def storm(
    folder: pathlib.Path, kills: int, seed: int, database: str, board: str | None
) -> list[audit.Finding]:
    """Kill so often, print the figures, and return what must not be.

    :param folder: of the configuration and the logs.
    :param database: a key of :data:`karbor.tests.database_servers.KINDS`.
    :param board: a key of :data:`karbor.tests.board_servers.KINDS`; None is the rows alone.
    """
    say(f'\n== {kills} kills; {database}, board: {board or "none"}; --seed {seed}')
    begun = time.monotonic()
    with contextlib.ExitStack() as ends:
        karbor = service.Service(folder, *_database_and_options(database, board, ends))
        ends.callback(karbor.stop)
        karbor.prepare()
        stage, load, killer = _set_up(karbor, random.Random(seed))
        with load:
            for _ in range(kills):
                killer.kill_one()
        say(f'{killer.figures}\nthe storm took {time.monotonic() - begun:.0f} s')
        findings = [*load.findings, *load.calm_down(_SETTLE_SECONDS), *stage.audit.findings()]
        _say_jobs(stage, load)
        stage.delete_everything()
        findings += stage.audit.of_nothing()
        say(f'all took {time.monotonic() - begun:.0f} s; {audit.summary(findings)}')
        return findings


def _database_and_options(
    database: str, board: str | None, ends: contextlib.ExitStack
) -> tuple[str, dict[str, Any]]:
    server = database_servers.KINDS[database]()
    ends.callback(server.stop)
    options: dict[str, Any] = {
        'DEFAULT': {'min_interval': 4},
        'operationengine': {'poll_interval': 0.5},
        'protection': {
            'job_lease': _LEASE,
            'max_concurrent_jobs': 2,
            'max_concurrent_jobs_per_project': 2,
            # More would queue up in front of Cinder for longer than a request of a
            # killed worker is waited for (in_flight_timeout).
            'max_concurrent_resources': 10,
        },
    }
    if board is not None:
        board_server = board_servers.KINDS[board]()
        ends.callback(board_server.end)
        options['jobboard'] = {'connection': board_server.url}
    return server.create_database(), options


def _set_up(
    karbor: service.Service, dice: random.Random
) -> tuple[scene.Scene, kill_load.Load, Killer]:
    api = karbor.start_api()
    stage = scene.Scene(karbor, _VOLUMES)
    load = kill_load.Load(stage)
    karbor.kill(api)
    return stage, load, Killer(stage, dice)


def _say_jobs(stage: scene.Scene, load: kill_load.Load) -> None:
    made = stage.rows.all(models.Job)
    kinds = collections.Counter(job.kind for job in made)
    say(
        f'{len(made)} jobs ({", ".join(f"{kind} {kinds[kind]}" for kind in sorted(kinds))}), '
        f'{sum(job.attempts for job in made)} attempts, at most '
        f'{max(job.attempts for job in made)} of one; clients saw in place of answers: '
        f'{dict(load.troubles())}'
    )
    for log in stage.logs():
        if log.error_info:
            say(f'  {log.operation_type} {log.status}: {log.error_info[:200]}')


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def run(kills: int, seed: int, database: str, board: str | None) -> bool:
    """A storm whose logs are kept if something was found; returns whether nothing was."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='karbor-kill-runs-'))
    is_well = False
    try:
        is_well = not storm(folder, kills, seed, database, board)
    finally:
        if is_well:
            shutil.rmtree(folder)
        else:
            say(f'NOT WELL; the logs are in {folder}; --seed {seed}')
    return is_well


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog='tools/kill-runs', description=__doc__)
    parser.add_argument('--kills', type=int, default=100)
    parser.add_argument('--board', choices=board_servers.KINDS, help='default: the rows alone')
    parser.add_argument('--database', choices=database_servers.KINDS, default='mariadb')
    parser.add_argument('--seed', type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args(arguments)
    return 0 if run(options.kills, options.seed, options.database, options.board) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
