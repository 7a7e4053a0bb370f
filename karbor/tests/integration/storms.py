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

"""Storms: something befalls the processes of a cloud's Karbor while it has all kinds of work.

Afterwards the tables, the API, the bank and the real Cinder are compared; then everything is
deleted, and neither Cinder nor the bank is to hold anything.
"""

import argparse
import collections
import contextlib
import dataclasses
import pathlib
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from karbor.db import models
from karbor.tests import board_servers, database_servers, lost_leases
from karbor.tests.integration import audit, job_reports, kill_load, process_groups, scene, service

WORKERS = ('worker-1', 'worker-2')
#: how [jobboard] connection is left empty
ROWS = 'rows'
# For so long a worker is waited for until it has a job, in seconds.
_PATIENCE = 8.0
_SETTLE_SECONDS = 300


@dataclasses.dataclass(frozen=True)
class Conditions:
    """In what a storm finds Karbor.

    :ivar database: a key of :data:`karbor.tests.database_servers.KINDS`.
    :ivar board: a key of :data:`karbor.tests.board_servers.KINDS`, or :data:`ROWS`.
    :ivar seed: of all that is drawn.
    :ivar lease: ``[protection] job_lease``.
    :ivar plugin_options: of ``[volume_snapshot_plugin]``.
    :ivar volumes: of each checkpoint.
    :ivar aftermath: for how long something may go on that is over by its rows, in seconds.
    """

    database: str
    board: str
    seed: int
    lease: float = 4
    plugin_options: dict[str, float] | None = None
    volumes: int = 20
    aftermath: float = 0


class Crew:
    """The processes of a cloud's Karbor by their names; many threads may ask for them.

    :param stage: whose Karbor they are.
    """

    def __init__(self, stage: scene.Scene) -> None:
        karbor = stage.karbor
        self._kill = karbor.kill
        self._rows = stage.rows
        self._log = job_reports.Follower(karbor.log)
        self._reading = threading.Lock()
        self._start = {
            'api': karbor.start_api,
            'engine': karbor.start_engine,
            **dict.fromkeys(WORKERS, karbor.start_worker),
        }
        self._processes = {name: start() for name, start in self._start.items()}

    def __getitem__(self, name: str) -> subprocess.Popen[bytes]:
        return self._processes[name]

    def kill(self, name: str) -> None:
        """Kill a process and all that it has started."""
        self._kill(self._processes[name])

    def start_again(self, name: str) -> None:
        self._processes[name] = self._start[name]()

    def busy_worker(self, names: Sequence[str], dice: random.Random) -> str:
        """The first of some workers that has a job, at some moment of it; the first if none gets
        any.
        """
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            for candidate in names:
                if self.running_in(candidate):
                    time.sleep(dice.uniform(0, 0.5))
                    return candidate
            time.sleep(0.1)
        return names[0]

    def running_in(self, name: str) -> list[str]:
        """The kinds of the jobs that a worker has begun and that are running."""
        pids = process_groups.members(self._processes[name].pid)
        with self._reading:
            begins = list(self._log.begins())
        begun = {(begin.job_id, begin.attempt) for begin in begins if begin.pid in pids}
        return [
            job.kind
            for job in self._rows.unfinished()
            if job.state == 'running' and (job.id, job.attempts) in begun
        ]


def run(conditions: Conditions, what: str, hit: Callable[[Crew, random.Random], object]) -> bool:
    """A storm whose logs are kept if something was found; returns whether nothing was.

    :param what: happens, to be printed.
    :param hit: lets it happen, and returns what there is to tell of it.
    """
    return keep_if_unwell(conditions, what, lambda folder: _storm(folder, conditions, hit))


def keep_if_unwell(
    conditions: Conditions, what: str, act: Callable[[pathlib.Path], Sequence[audit.Finding]]
) -> bool:
    """Run a trial in a folder that is kept if something was found; returns whether nothing was.

    :param what: happens, to be printed.
    :param act: the trial; it is given the folder, and returns what it has found.
    """
    folder = pathlib.Path(tempfile.mkdtemp(prefix='karbor-storm-'))
    is_well = False
    say(f'\n== {what}; {conditions.database}, board: {conditions.board}; --seed {conditions.seed}')
    try:
        is_well = not act(folder)
    finally:
        if is_well:
            shutil.rmtree(folder)
        else:
            say(f'NOT WELL; the logs are in {folder}; --seed {conditions.seed}')
    return is_well


def _storm(
    folder: pathlib.Path, conditions: Conditions, hit: Callable[[Crew, random.Random], object]
) -> list[audit.Finding]:
    """Let it happen, print the figures, and return what must not be.

    :param folder: of the configuration, the bank and the logs.
    """
    begun = time.monotonic()
    with contextlib.ExitStack() as ends:
        karbor = new_karbor(folder, conditions, ends)
        karbor.prepare()
        stage, load, crew = _set_up(karbor, conditions)
        with load:
            told = hit(crew, random.Random(conditions.seed))
        say(f'{told}\nthe storm took {time.monotonic() - begun:.0f} s')
        findings = [*load.findings, *load.calm_down(_SETTLE_SECONDS)]
        time.sleep(conditions.aftermath)
        findings += stage.audit.findings()
        say_jobs(stage, load)
        stage.delete_everything()
        findings += stage.audit.of_nothing()
        say(f'all took {time.monotonic() - begun:.0f} s; {audit.summary(findings)}')
        return findings


def new_karbor(
    folder: pathlib.Path, conditions: Conditions, ends: contextlib.ExitStack
) -> service.Service:
    """With an empty database, and without processes."""
    server = database_servers.KINDS[conditions.database]()
    ends.callback(server.stop)
    options: dict[str, Any] = {
        'DEFAULT': {'min_interval': 4},
        'operationengine': {'poll_interval': 0.5},
        'protection': {
            'job_lease': conditions.lease,
            'max_concurrent_jobs': 3,  # of which half, rounded up, is one project's
            'max_concurrent_jobs_per_project': 2,
            # More would queue up in front of Cinder for longer than a request of a
            # killed worker is waited for (in_flight_timeout).
            'max_concurrent_resources': 10,
        },
    }
    if conditions.board != ROWS:
        board_server = board_servers.KINDS[conditions.board]()
        ends.callback(board_server.end)
        options['jobboard'] = {'connection': board_server.url}
    karbor = service.Service(folder, server.create_database(), options, conditions.plugin_options)
    ends.callback(karbor.stop)
    return karbor


def _set_up(
    karbor: service.Service, conditions: Conditions
) -> tuple[scene.Scene, kill_load.Load, Crew]:
    api = karbor.start_api()
    stage = scene.Scene(karbor, conditions.volumes)
    load = kill_load.Load(stage, conditions.aftermath)
    karbor.kill(api)
    return stage, load, Crew(stage)


def say_jobs(stage: scene.Scene, load: kill_load.Load) -> None:
    made = stage.rows.all(models.Job)
    kinds = collections.Counter(job.kind for job in made)
    fenced_off = len(set(lost_leases.LOST.findall(stage.log())))
    say(
        f'{len(made)} jobs ({", ".join(f"{kind} {kinds[kind]}" for kind in sorted(kinds))}), '
        f'{sum(job.attempts for job in made)} attempts, at most '
        f'{max(job.attempts for job in made)} of one; fenced off, by the log: {fenced_off}; '
        f'clients saw in place of answers: {dict(load.troubles())}'
    )
    say(stage.audit.told_compared())
    for log in stage.logs():
        if log.error_info:
            say(f'  {log.operation_type} {log.status}: {log.error_info[:200]}')


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def parser(
    program: str, description: str | None, what: str, count: int = 100
) -> argparse.ArgumentParser:
    """Reads how often something is to happen, and in which conditions.

    :param what: happens, in the plural.
    :param count: how often, if it is not said.
    """
    made = argparse.ArgumentParser(prog=program, description=description)
    made.add_argument(f'--{what}', type=int, default=count, metavar='N')
    made.add_argument(
        '--board', choices=(*board_servers.KINDS, ROWS), default=ROWS, help='default: %(default)s'
    )
    made.add_argument('--database', choices=database_servers.KINDS, default='mariadb')
    made.add_argument('--seed', type=int, default=time.time_ns() % 1_000_000)
    return made
