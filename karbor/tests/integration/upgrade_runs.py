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

"""A cloud's Karbor is upgraded while it works: first the schema, then one process after the other.

Run it by ``tools/upgrade-runs``. It begins with the release before this one, on its own schema.
"Back and forth" means that the processes are replaced by those of the release before again,
which work on the schema of this one.

They know nothing of recovery points: they make checkpoints without any, and end jobs without a
word on those that there are. A worker of this release writes what is lacking when it starts, and
once an hour. So once all jobs are over, and again after all was deleted, one more is started if
something is lacking, and has some time to write it; what differs after that is a finding.

Nothing is sent to a karbor-api that is about to end. No request may fail, every job must be done,
and then what follows every storm must hold: see :mod:`storms`.
"""

import contextlib
import functools
import pathlib
import random
import sys
import time
from collections.abc import Sequence

import sqlalchemy as sa
from oslo_utils import timeutils

from karbor.db import jobs, models
from karbor.tests.integration import (
    audit,
    balanced,
    cloud,
    kill_load,
    release_before,
    scene,
    service,
    storms,
)

PROCESSES = ('worker-1', 'worker-2', 'engine', 'api-1', 'api-2')
_KINDS = frozenset(('protect', 'restore', 'delete', 'retention'))
_VOLUMES = 3
_PAUSE = 2.0  # from one process to the next, in seconds
_LONGEST = 120  # until something of each kind is done, in seconds
_COMPLETION = 60  # of recovery points, at most, in seconds


class _Scene(scene.Scene):
    """One whose callers ask several karbor-api."""

    def __init__(self, karbor: service.Service, balancer: balanced.Balancer) -> None:
        self._balancer = balancer
        super().__init__(karbor, _VOLUMES)

    def new_caller(self, patience: float = 60) -> balanced.BalancedCaller:
        return balanced.BalancedCaller(self._balancer, self.project.session)


class _Crew:
    """The processes of a cloud's Karbor by their names.

    :ivar balancer: asks its two karbor-api.
    """

    def __init__(self, karbor: service.Service) -> None:
        self._karbor = karbor
        urls = (karbor.url, karbor.new_url())
        self.balancer = balanced.Balancer(urls)
        self._apis = dict(zip(('api-1', 'api-2'), urls, strict=True))
        self._start = {
            'worker-1': karbor.start_worker,
            'worker-2': karbor.start_worker,
            'engine': karbor.start_engine,
            **{name: functools.partial(karbor.start_api, url) for name, url in self._apis.items()},
        }
        self._processes = {name: start() for name, start in self._start.items()}

    def replace(self, name: str) -> None:
        """End a process in peace, and start one of the code that there is now."""
        url = self._apis.get(name)
        with self.balancer.without(url) if url else contextlib.nullcontext():
            self._karbor.retire(self._processes[name])
            self._processes[name] = self._start[name]()


def run(times: int, conditions: storms.Conditions) -> bool:
    """Upgrade, and go back and forth; returns whether nothing was found that must not be.

    :param times: how often all processes are replaced.
    """
    return storms.keep_if_unwell(
        conditions, f'{times} upgrades', lambda folder: _trial(folder, times, conditions)
    )


def _trial(folder: pathlib.Path, times: int, conditions: storms.Conditions) -> list[audit.Finding]:
    begun = time.monotonic()
    with contextlib.ExitStack() as ends:
        karbor = storms.new_karbor(folder, conditions, ends)
        karbor.code = before = release_before.unpack(folder)
        karbor.prepare()
        assert _schema(karbor) == release_before.SCHEMA, (
            'this is not the code of the release before'
        )
        crew = _Crew(karbor)
        stage = _Scene(karbor, crew.balancer)
        load = kill_load.Load(stage)
        load.may_look.clear()
        with load:
            time.sleep(_PAUSE)
            karbor.code = None
            storms.say(karbor.manage('db', 'sync').stdout.splitlines()[-1])
            load.may_look.set()
            _see_all_done(stage, load, 'the release before on the schema of this one')
            dice = random.Random(conditions.seed)
            for number in range(times):
                karbor.code = before if number % 2 else None
                _replace_all(crew, dice.sample(PROCESSES, len(PROCESSES)) if number else PROCESSES)
                _see_all_done(stage, load, 'the release before' if number % 2 else 'this release')
        findings = [*load.findings, *load.calm_down(_LONGEST)]
        _complete_points(karbor, stage)
        findings += [*stage.audit.findings(), *_failed_requests(load), *_failed_jobs(stage)]
        storms.say_jobs(stage, load)
        stage.delete_everything()
        _complete_points(karbor, stage)
        findings += stage.audit.of_nothing()
        storms.say(f'all took {time.monotonic() - begun:.0f} s; {audit.summary(findings)}')
        return findings


def _complete_points(karbor: service.Service, stage: scene.Scene) -> None:
    """Let a new worker of this release do what it does first about recovery points.

    No job goes on, so nothing but that can make equal what is not. It is not taken for granted:
    the audit that follows tells what it has not made equal.
    """
    before = list(stage.audit.unequal())
    if not before:
        return
    code, karbor.code = karbor.code, None
    worker = karbor.start_worker()
    karbor.code = code
    begin = time.monotonic()
    with contextlib.suppress(AssertionError):
        cloud.wait_until(
            lambda: not any(stage.audit.unequal()), 'recovery points that are complete', _COMPLETION
        )
    karbor.retire(worker)
    storms.say(
        f'  {len(before)} things were unequal before a worker of this release started, and '
        f'{len(list(stage.audit.unequal()))} were {time.monotonic() - begin:.0f} s later'
    )


def _replace_all(crew: _Crew, names: Sequence[str]) -> None:
    for name in names:
        crew.replace(name)
        storms.say(f'  {name} is replaced')
        time.sleep(_PAUSE)


def _schema(karbor: service.Service) -> str | None:
    engine = sa.create_engine(karbor.database, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return connection.scalar(sa.text('SELECT version_num FROM alembic_version'))


def _see_all_done(stage: scene.Scene, load: kill_load.Load, who: str) -> None:
    """Wait until a job of each kind, and a run of a schedule, was begun and done from now on.

    :raises AssertionError: it does not come to that; or a client has ended, which tells why.
    """
    begin, since = time.monotonic(), timeutils.utcnow()

    def is_all_done() -> bool:
        assert not load.findings, load.findings
        done = stage.rows.all(
            models.Job, models.Job.created_at > since, models.Job.state == jobs.JobState.DONE
        )
        kinds = {job.kind for job in done}
        return kinds >= _KINDS and any(job.scheduled_operation_id for job in done)

    cloud.wait_until(is_all_done, f'all kinds of jobs by {who}', _LONGEST)
    storms.say(f'  all kinds of jobs were done by {who}, in {time.monotonic() - begin:.0f} s')


def _failed_requests(load: kill_load.Load) -> list[audit.Finding]:
    return [
        audit.Finding(audit.WRONG, f'{count} requests failed: {what}')
        for what, count in load.troubles().items()
    ]


def _failed_jobs(stage: scene.Scene) -> list[audit.Finding]:
    """Nothing was in the way of any job."""
    not_done = stage.rows.all(models.Job, models.Job.state != jobs.JobState.DONE)
    return [
        *(
            audit.Finding(audit.WRONG, f'job {job.id}: {job.kind} is {job.state}: {job.error}')
            for job in not_done
        ),
        *(
            audit.Finding(audit.WRONG, f'{model.__name__} {row.id}: {row.status_reason}')
            for model in (models.Checkpoint, models.Restore)
            for row in stage.rows.all(model, model.status_reason.is_not(None))
        ),
    ]


def main(arguments: list[str]) -> int:
    options = storms.parser('tools/upgrade-runs', __doc__, 'times', 10).parse_args(arguments)
    conditions = storms.Conditions(options.database, options.board, options.seed, lease=60)
    return 0 if run(options.times, conditions) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
