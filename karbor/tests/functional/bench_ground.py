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

"""What benchmarks of Karbor's processes stand on: servers, a configuration, processes, and jobs.

Cinder is a stub in a process of its own, Keystone a fake in that of the benchmark, the database a
real server. KARBOR_TEST_DATABASE says which, mariadb or postgresql.
"""

import contextlib
import dataclasses
import datetime
import functools
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import IO, NamedTuple

import sqlalchemy as sa
from oslo_utils import timeutils

from karbor import context as karbor_context
from karbor import db
from karbor.cmd import assembly
from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import migration, models
from karbor.services.checkpoints import commands
from karbor.services.identity import trusts
from karbor.services.protection import protectables
from karbor.testing import fake_keystone
from karbor.tests import board_servers, database_servers, processes
from karbor.tests.base import PROVIDER_ID, new_id
from karbor.tests.integration import job_reports, process_groups

_TICKS = os.sysconf('SC_CLK_TCK')
_LONGEST = 1_200

#: seconds by what was done in them, and those of the processor under the name with ``cpu``
Figures = dict[str, float]


class Stub(NamedTuple):
    """The stub of Cinder.

    :ivar url: up to the version.
    :ivar group: its process group.
    """

    url: str
    group: int


@dataclasses.dataclass(frozen=True)
class Ground:
    """What processes of Karbor need, and who asks them.

    :ivar config: their karbor.conf.
    :ivar posted_at: by the id of a job, when its row was there.
    """

    config: pathlib.Path
    cinder: Stub
    keystone: fake_keystone.FakeKeystone
    database: database_servers.Server
    trusts: trusts.Trusts
    commands: commands.Commands
    posted_at: Mapping[str, datetime.datetime]

    def protect(self, plan: models.Plan) -> models.Checkpoint:
        """Ask for a checkpoint, as the API does."""
        return self.commands.create_checkpoint(
            context_of(plan.project_id), plan.provider_id, plan.id, {}
        )

    def begins(self) -> list[job_reports.Begin]:
        """When workers have claimed jobs, by their log."""
        return job_reports.begins(_log_of(self.config, 'protection').read_text())

    def seconds_to_claim(self) -> list[float]:
        """How long those jobs waited that were claimed, in the order in which they were posted."""
        claimed_at = {begin.job_id: begin.at for begin in self.begins()}
        return [
            (claimed_at[job_id] - posted_at).total_seconds()
            for job_id, posted_at in self.posted_at.items()
            if job_id in claimed_at
        ]


@contextlib.contextmanager
def measured(figures: Figures, name: str, cpu: Callable[[], float]) -> Iterator[None]:
    """Take down what is done meanwhile.

    :param cpu: what has been used of the processor so far, in seconds.
    """
    used, begun = cpu(), time.monotonic()
    yield
    figures[name] = time.monotonic() - begun
    figures[f'{name} cpu'] = cpu() - used


def median(rounds: Sequence[Figures], name: str) -> float:
    """That of one of the figures."""
    return statistics.median(figures[name] for figures in rounds)


def in_turn(
    floor: Callable[[], Figures], karbor: Callable[[], Figures], rounds: int
) -> tuple[list[Figures], list[Figures]]:
    """The figures of the floor, and those of Karbor, of so many rounds."""
    pairs = [(floor(), karbor()) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def kind_of_database() -> str:
    return os.environ.get('KARBOR_TEST_DATABASE') or 'mariadb'


@contextlib.contextmanager
def ground(
    *,
    poll_intervals: Mapping[str, float | None] | None = None,
    stub_options: Sequence[str] = (),
    with_board: bool = False,
) -> Iterator[Ground]:
    """An empty Karbor; this process is configured as one of its own.

    :param poll_intervals: of each provider, by its id, in seconds; None is the default.
    :param stub_options: see :mod:`karbor.tests.functional.stub_cinder`.
    :param with_board: whether jobs wait on a Redis, too.
    """
    with contextlib.ExitStack() as ends:
        cinder = ends.enter_context(stub_of_cinder(*stub_options))
        keystone = fake_keystone.FakeKeystone()
        keystone_url = ends.enter_context(keystone.serve())
        database = database_servers.KINDS[kind_of_database()]()
        ends.callback(database.stop)
        folder = pathlib.Path(ends.enter_context(tempfile.TemporaryDirectory()))
        (folder / 'providers.d').mkdir()
        for provider_id, poll_interval in (poll_intervals or {PROVIDER_ID: None}).items():
            _write_provider(folder, provider_id, poll_interval)
        board = None
        if with_board:
            board = board_servers.Redis()
            ends.callback(board.end)
        config = _write_config(
            folder,
            database=database.create_database(),
            board=board and board.url,
            keystone_url=keystone_url,
            cinder_url=cinder.url,
        )
        assembly.configure('bench', ['--config-file', str(config)])
        ends.callback(assembly.CONF.clear)
        ends.callback(db.dispose)
        migration.upgrade()
        used_trusts = trusts.KeystoneTrusts(assembly.CONF)
        post, posted_at = assembly.job_board().post, {}

        def note_and_post(job_id: str) -> None:
            posted_at[job_id] = timeutils.utcnow()
            post(job_id)

        asked = commands.Commands(
            assembly.providers(), protectables.load(), note_and_post, used_trusts
        )
        yield Ground(config, cinder, keystone, database, used_trusts, asked, posted_at)


def _write_provider(folder: pathlib.Path, provider_id: str, poll_interval: float | None) -> None:
    """A provider of volume snapshots, with a bank in the folder."""
    options = '' if poll_interval is None else f'poll_interval = {poll_interval}\n'
    (folder / f'providers.d/{provider_id}.conf').write_text(
        f'[provider]\nname = test\nid = {provider_id}\nenabled = True\n'
        'plugin = karbor-project-protection-plugin\n'
        'plugin = karbor-volume-snapshot-plugin\nbank = karbor-fs-bank-plugin\n'
        f'[volume_snapshot_plugin]\n{options}'
        f'[file_system_bank_plugin]\nfile_system_bank_path = {folder}/bank-{provider_id}\n'
    )


def _write_config(
    folder: pathlib.Path,
    *,
    database: str,
    board: str | None,
    keystone_url: str,
    cinder_url: str,
) -> pathlib.Path:
    """A karbor.conf in the folder."""
    config = folder / 'karbor.conf'
    credentials = (
        f'auth_type = password\nauth_url = {keystone_url}\nusername = karbor\n'
        f'password = {fake_keystone.PASSWORD}\nuser_domain_id = default\n'
        'project_name = service\nproject_domain_id = default\n'
    )
    config.write_text(
        f'[DEFAULT]\nprovider_config_dir = {folder}/providers.d\n'
        f'[database]\nconnection = {database}\n'
        + (f'[jobboard]\nconnection = {board}\n' if board else '')
        + f'[cinder_client]\ncinder_endpoint = {cinder_url}\n'
        '[protection]\norphan_check_interval = 0\n'
        f'[trustee]\n{credentials}'
        f'[keystone_authtoken]\nwww_authenticate_uri = {keystone_url}\n{credentials}'
    )
    return config


def context_of(project_id: str) -> karbor_context.RequestContext:
    """That of a member of a project."""
    return karbor_context.RequestContext(
        'user', project_id, roles=['member'], auth_token=fake_keystone.USER_TOKEN
    )


def add_plan(
    project_id: str, volume_ids: Collection[str], provider_id: str = PROVIDER_ID
) -> models.Plan:
    plan = models.Plan(
        id=new_id(),
        project_id=project_id,
        name='p',
        provider_id=provider_id,
        status='suspended',
        resources=[
            {'type': constants.VOLUME_RESOURCE_TYPE, 'id': volume_id, 'name': 'v'}
            for volume_id in volume_ids
        ],
        parameters={constants.VOLUME_RESOURCE_TYPE: {'snapshot_name': 's', 'description': ''}},
    )
    with db.writer() as session:
        session.add(plan)
    return plan


def new_ids(count: int) -> list[str]:
    return [new_id() for _ in range(count)]


def working(config: pathlib.Path, count: int = 1) -> contextlib.AbstractContextManager[list[int]]:
    """That many karbor-protection, ready for work; gives their process groups."""
    return _running(config, 'protection', b'Waiting for jobs', count)


def firing(config: pathlib.Path) -> contextlib.AbstractContextManager[list[int]]:
    """A karbor-operationengine; gives its process group."""
    return _running(config, 'operationengine', b'Firing triggers', 1)


@contextlib.contextmanager
def _running(config: pathlib.Path, program: str, ready: bytes, count: int) -> Iterator[list[int]]:
    """
    :param program: module of it.
    :param ready: what each process logs then.
    """
    path = _log_of(config, program)
    command = [sys.executable, '-m', f'karbor.cmd.{program}', '--config-file', str(config)]
    with path.open('wb') as log:
        started = [_start(command, stdout=log, stderr=log) for _ in range(count)]
    try:
        while path.read_bytes().count(ready) < count:
            assert not any(process.poll() for process in started), path.read_text()
            time.sleep(0.1)
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def _start(
    command: Sequence[str], stdout: IO[bytes] | int, stderr: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process with a group of its own, which ends with this one."""
    return subprocess.Popen(
        command,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=functools.partial(  # noqa: PLW1509 - nothing else takes locks there
            processes.die_with_parent, os.getpid(), signal.SIGTERM
        ),
    )


def _log_of(config: pathlib.Path, program: str) -> pathlib.Path:
    return config.with_name(f'{program}.log')


@contextlib.contextmanager
def stub_of_cinder(*options: str) -> Iterator[Stub]:
    """A stub of Cinder in a process of its own.

    :param options: see :mod:`karbor.tests.functional.stub_cinder`.
    """
    process = _start(
        [sys.executable, '-m', 'karbor.tests.functional.stub_cinder', *options],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield Stub(f'http://127.0.0.1:{int(process.stdout.readline())}/v3', process.pid)
    finally:
        process.terminate()
        process.wait()


def wait_for_jobs(*which: sa.ColumnElement[bool], left: int = 0) -> int:
    """Wait until no more than so many jobs are not over; returns how many are not.

    :param which: those that count; by default all.
    """
    end = time.monotonic() + _LONGEST
    while (unfinished := count_jobs(models.Job.state.in_(job_rows.UNFINISHED), *which)) > left:
        assert time.monotonic() < end, 'the jobs do not come to an end'
        time.sleep(0.02)
    return unfinished


def count_jobs(*which: sa.ColumnElement[bool]) -> int:
    with db.reader() as session:
        found = session.scalar(sa.select(sa.func.count()).select_from(models.Job).where(*which))
        return found or 0


def check_jobs() -> None:
    """A job that fails may be quick, and would count."""
    with db.reader() as session:
        reasons = session.scalars(
            sa.select(models.OperationLog.error_info)
            .where(models.OperationLog.error_info.is_not(None))
            .limit(1)
        ).all()
    assert not reasons, reasons[0]


def cpu_of_group(group: int) -> float:
    """What the processes of a group have used so far, in seconds."""
    used = 0
    for pid in process_groups.members(group):
        fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / _TICKS


def cpu_of_machine() -> float:
    """What all processes of the machine have used so far, in seconds."""
    fields = pathlib.Path('/proc/stat').read_text().split(maxsplit=9)[1:9]
    return (sum(map(int, fields)) - int(fields[3]) - int(fields[4])) / _TICKS  # but idle, iowait


def cpu_seconds(place: Ground, groups: Mapping[str, Collection[int]]) -> dict[str, float]:
    """What processes have used so far, this one with Keystone among them.

    :param groups: process groups of Karbor's, by a name.
    """
    return {
        **{name: sum(map(cpu_of_group, members)) for name, members in groups.items()},
        'database': cpu_of_group(place.database.group),
        'stub': cpu_of_group(place.cinder.group),
        'bench': time.process_time(),
        'machine': cpu_of_machine(),
    }


def peak_of_group(group: int) -> float:
    """The most memory that one process of a group has had, in MiB."""
    return _most_of_group(group, 'VmHWM')


def memory_of_group(group: int) -> float:
    """The memory that the largest process of a group has, in MiB."""
    return _most_of_group(group, 'VmRSS')


def _most_of_group(group: int, name: str) -> float:
    found = []
    for pid in process_groups.members(group):
        lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
        found += [int(line.split()[1]) / 1024 for line in lines if line.startswith(f'{name}:')]
    return max(found)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
