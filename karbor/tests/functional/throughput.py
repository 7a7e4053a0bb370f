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

"""Shows how many jobs a second one, two and four karbor-protection do.

Run it by ``tools/bench throughput``. They are real processes with a real database server and a real
job board; Cinder and Keystone are fakes over HTTP in the process of the benchmark, and each
request to Cinder takes a tenth of a second, as it would in a cloud. All jobs wait at the begin,
and the first and the last tenth are not measured. Processor time is in percent of one core: where
that of the machine is near what its cores have, it is they that limit the rate, and not Karbor.
KARBOR_TEST_DATABASE says which database, mariadb or postgresql.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Collection

import sqlalchemy as sa

from karbor import context as karbor_context
from karbor import db
from karbor.cmd import assembly
from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import migration, models
from karbor.services.checkpoints import commands
from karbor.services.identity import trusts
from karbor.services.protection import client_factory, protectables
from karbor.testing import fake_cinder, fake_keystone
from karbor.tests import board_servers, database_servers
from karbor.tests.base import PROVIDER_ID, new_id
from karbor.tests.functional import bench_ground

_WORKERS = (1, 2, 4)
_PROJECTS, _JOBS_OF_PROJECT, _VOLUMES = 20, 8, 5
_DELAY = 0.1
# Measured is between these shares of jobs left: not how workers begin, and not how they run out
# of jobs.
_MIDDLE = (0.9, 0.1)
_LONGEST = 600
_TICKS = os.sysconf('SC_CLK_TCK')


@dataclasses.dataclass(frozen=True)
class Moment:
    """How far it is, and what it has cost so far.

    :ivar at: seconds.
    :ivar left: how many jobs are not over.
    :ivar cpu: seconds of all workers, of this process and of the machine.
    """

    at: float
    left: int
    cpu: tuple[float, float, float]


class Cinder(fake_cinder.FakeCinder):
    """One Cinder, of which each project sees its own part.

    :ivar of: those parts.
    :ivar delay: what a request takes, in seconds.
    """

    def __init__(self, project_ids: Collection[str]) -> None:
        super().__init__()
        self.delay = 0.0
        self.of = {project_id: fake_cinder.FakeCinder(project_id) for project_id in project_ids}

    def handle(self, method: str, path: str, body: bytes | None = None) -> fake_cinder.Answer:
        time.sleep(self.delay)
        asked = [part for name, part in self.of.items() if f'/{name}/' in path]
        return asked[0].handle(method, path, body) if asked else super().handle(method, path, body)


class Ground:
    """What workers need, and the jobs that they get.

    :param folder: where the configuration, the log and the bank are.
    :param ends: ends what is started.
    """

    def __init__(self, folder: pathlib.Path, ends: contextlib.ExitStack) -> None:
        project_ids = [f'{number:032x}' for number in range(_PROJECTS)]
        self.cinder = Cinder(project_ids)
        keystone_url = ends.enter_context(fake_keystone.FakeKeystone().serve())
        cinder_url = ends.enter_context(self.cinder.serve())
        database = database_servers.KINDS[bench_ground.kind_of_database()]()
        ends.callback(database.stop)
        board = board_servers.Redis()
        ends.callback(board.end)
        bench_ground.write_provider(folder)
        self._config = bench_ground.write_config(
            folder,
            database=database.create_database(),
            board=board.url,
            keystone_url=keystone_url,
            cinder_url=cinder_url,
        )
        assembly.configure('throughput', ['--config-file', str(self._config)])
        ends.callback(db.dispose)
        migration.upgrade()
        client_factory.use_sessions(lambda context: self.cinder.of[context.project_id].session())
        registry, found = assembly.providers(), protectables.load()
        self._manager = commands.Commands(
            registry, found, assembly.job_board().post, trusts.KeystoneTrusts(assembly.CONF)
        )
        self._plans = [self._plan(project_id) for project_id in project_ids]

    def _plan(self, project_id: str) -> models.Plan:
        volumes = [self.cinder.of[project_id].add_volume() for _ in range(_VOLUMES)]
        resources = [
            {
                'type': constants.VOLUME_RESOURCE_TYPE,
                'id': volume['id'],
                'name': volume['name'],
                'extra_info': None,
            }
            for volume in volumes
        ]
        plan = models.Plan(
            id=new_id(),
            project_id=project_id,
            name='p',
            provider_id=PROVIDER_ID,
            status='suspended',
            resources=resources,
            parameters={constants.VOLUME_RESOURCE_TYPE: {'snapshot_name': 's', 'description': ''}},
        )
        with db.writer() as session:
            session.add(plan)
        return plan

    def measure(self, workers: int) -> tuple[float, list[float]]:
        """Have some workers do jobs; returns jobs a second, and the cores that were busy with
        what :attr:`Moment.cpu` tells apart.
        """
        self._make_jobs()
        with bench_ground.working(self._config, workers) as processes:
            self.cinder.delay = _DELAY
            _set_state(job_rows.JobState.QUEUED, job_rows.JobState.PENDING)
            early, late = (_moment(share, processes) for share in _MIDDLE)
            _wait_until_left(0)
            self.cinder.delay = 0
        _check_checkpoints()
        seconds = late.at - early.at
        return (early.left - late.left) / seconds, [
            (after - before) / seconds for before, after in zip(early.cpu, late.cpu, strict=True)
        ]

    def _make_jobs(self) -> None:
        """They are on the board, and in rows that nobody takes yet."""
        for plan in self._plans * _JOBS_OF_PROJECT:
            context = karbor_context.RequestContext(
                'user', plan.project_id, roles=['member'], auth_token=fake_keystone.USER_TOKEN
            )
            self._manager.create_checkpoint(context, PROVIDER_ID, plan.id, {})
        _set_state(job_rows.JobState.PENDING, job_rows.JobState.QUEUED)


def _set_state(before: str, after: str) -> None:
    with db.writer() as session:
        session.execute(sa.update(models.Job).where(models.Job.state == before).values(state=after))


def _unfinished() -> int:
    with db.reader() as session:
        return (
            session.scalar(
                sa.select(sa.func.count())
                .select_from(models.Job)
                .where(models.Job.state.in_(job_rows.UNFINISHED))
            )
            or 0
        )


def _wait_until_left(count: int) -> int:
    """Wait until no more jobs than these are not over; returns how many are not."""
    end = time.monotonic() + _LONGEST
    while (left := _unfinished()) > count:
        assert time.monotonic() < end, 'the jobs do not come to an end'
        time.sleep(0.05)
    return left


def _moment(share: float, processes: list[int]) -> Moment:
    """When so much is left."""
    left = _wait_until_left(int(_PROJECTS * _JOBS_OF_PROJECT * share))
    return Moment(time.monotonic(), left, _cpu_seconds(processes))


def _check_checkpoints() -> None:
    """A job that fails may be quick, and would count."""
    with db.reader() as session:
        found = session.execute(
            sa.select(models.Checkpoint.status_reason).where(
                models.Checkpoint.status != constants.CheckpointStatus.AVAILABLE
            )
        ).all()
    assert not found, found[0]


def _cpu_seconds(groups: list[int]) -> tuple[float, float, float]:
    """What workers, this process and the whole machine have used so far."""
    machine = pathlib.Path('/proc/stat').read_text().split(maxsplit=9)[1:9]
    busy = sum(map(int, machine)) - int(machine[3]) - int(machine[4])  # without idle and iowait
    return (sum(map(bench_ground.cpu_of_group, groups)), time.process_time(), busy / _TICKS)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def main(counts: list[int]) -> None:
    say(
        f'{_PROJECTS * _JOBS_OF_PROJECT} jobs that protect {_VOLUMES} volumes, of {_PROJECTS} '
        f'projects; {_DELAY} s a request to Cinder; {bench_ground.kind_of_database()} and Redis; '
        f'{os.cpu_count()} cores\n'
        f'{"workers":>7} {"jobs/s":>8} {"ratio":>6}   CPU, % of a core: '
        f'{"workers":>8} {"fakes":>6} {"machine":>8}'
    )
    logging.disable(logging.WARNING)
    first = None
    with contextlib.ExitStack() as ends:
        ground = Ground(pathlib.Path(ends.enter_context(tempfile.TemporaryDirectory())), ends)
        for count in counts:
            rate, (workers, fakes, machine) = ground.measure(count)
            first = first or rate
            say(
                f'{count:7} {rate:8.2f} {rate / first:6.2f}{workers:29.0%} {fakes:6.0%} '
                f'{machine:8.0%}'
            )


if __name__ == '__main__':
    main([int(argument) for argument in sys.argv[1:]] or list(_WORKERS))
