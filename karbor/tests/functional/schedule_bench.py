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

"""Shows how soon the jobs of many scheduled operations begin that are due at one moment.

Run it by ``tools/bench schedule``. The operations and their triggers are made as the API does, with
trusts, and a fire is put off by up to a minute. A real karbor-operationengine fires, and as many
real karbor-protection work as there are cores, with a real database server and a Redis as the
board. Cinder is a stub in a process of its own, Keystone a fake in that of the benchmark.
KARBOR_TEST_DATABASE says which database, mariadb or postgresql.
"""

import argparse
import collections
import datetime
import json
import logging
import os
import pathlib
import statistics
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from oslo_utils import timeutils

from karbor import db
from karbor.common import constants
from karbor.db import models
from karbor.services.schedules import scheduled_operations, triggers
from karbor.tests.base import PROVIDER_ID
from karbor.tests.functional import bench_ground

_PROJECTS, _OPERATIONS_OF_PROJECT, _VOLUMES = 100, 10, 1
_COUNT = _PROJECTS * _OPERATIONS_OF_PROJECT
_JITTER = 60
_MOST_LATE = 65  # seconds from the moment at which all are due to the begin of the last
# Seconds in which all is made and started.
_AHEAD = 120
_LONGEST = datetime.timedelta(minutes=10)

Moments = dict[str, datetime.datetime]


def _create(place: bench_ground.Ground, due: datetime.datetime) -> None:
    """Make all operations."""
    made = triggers.Triggers()
    operations = scheduled_operations.ScheduledOperations(place.trusts, lambda _job_id: None)
    properties = {
        'format': 'calendar',
        'pattern': 'BEGIN:VEVENT\nRRULE:FREQ=DAILY\nEND:VEVENT',
        'start_time': due.isoformat(' ', 'seconds'),
        'jitter': _JITTER,
    }
    for project_id in bench_ground.new_ids(_PROJECTS):
        context = bench_ground.context_of(project_id)
        for _ in range(_OPERATIONS_OF_PROJECT):
            plan = bench_ground.add_plan(project_id, bench_ground.new_ids(_VOLUMES))
            trigger = made.create(context, {'name': 't', 'type': 'time', 'properties': properties})
            operations.create(
                context,
                {
                    'name': 'o',
                    'operation_type': constants.ScheduledOperationType.PROTECT,
                    'trigger_id': trigger.id,
                },
                {'provider_id': PROVIDER_ID, 'plan_id': plan.id},
            )


def _put_off_to() -> Moments:
    """When each trigger is to fire, by its id."""
    with db.reader() as session:
        return dict(session.execute(sa.select(models.Trigger.id, models.Trigger.due_at)).all())


def _ends() -> collections.Counter[str]:
    """How many runs have ended in which way."""
    with db.reader() as session:
        return collections.Counter(
            session.scalars(
                sa.select(models.OperationLog.status).where(
                    models.OperationLog.operation_type == constants.OperationType.PROTECT,
                    models.OperationLog.ended_at.is_not(None),
                )
            )
        )


def _sleep_until(moment: datetime.datetime) -> None:
    seconds = (moment - timeutils.utcnow()).total_seconds()
    assert seconds > 0, 'this machine is too slow: it is too late'
    time.sleep(seconds)


def _measure(place: bench_ground.Ground, workers: int) -> dict[str, Any]:
    """Let all operations run; returns the figures."""
    due = timeutils.utcnow().replace(microsecond=0) + datetime.timedelta(seconds=_AHEAD)
    asked = place.keystone.requests.total()
    _create(place, due)
    put_off_to = _put_off_to()
    with (
        bench_ground.working(place.config, workers) as worker_groups,
        bench_ground.firing(place.config) as engine_groups,
    ):

        def cpu() -> dict[str, float]:
            groups = {'engine': engine_groups, 'workers': worker_groups}
            return bench_ground.cpu_seconds(place, groups)

        _sleep_until(due)
        begun, asked_before = cpu(), place.keystone.requests.total()
        _sleep_until(due + datetime.timedelta(seconds=_JITTER))
        minute = cpu()
        while (ends := _ends()).total() < _COUNT:
            assert timeutils.utcnow() < due + _LONGEST, 'the runs do not come to an end'
            time.sleep(0.2)
        ended = cpu()
    return {
        **_lateness(place, due, put_off_to),
        'ends': ends,
        'ms CPU': {name: 1000 * (ended[name] - begun[name]) / _COUNT for name in begun},
        'cores': {name: (minute[name] - begun[name]) / _JITTER for name in begun},
        'requests to Keystone': {
            'made': (asked_before - asked) / _COUNT,
            'run': (place.keystone.requests.total() - asked_before) / _COUNT,
        },
    }


def _lateness(
    place: bench_ground.Ground, due: datetime.datetime, put_off_to: Moments
) -> dict[str, list[float]]:
    """In seconds, of each job: when it began after all were due, and after its own fire was; and
    when the engine had written it.
    """
    with db.reader() as session:
        jobs = {job.id: job for job in session.scalars(sa.select(models.Job))}
    begun_at = {begin.job_id: begin.at for begin in place.begins() if begin.attempt == 1}

    def seconds(moments: Mapping[str, datetime.datetime], after: Moments) -> list[float]:
        return [(moment - after[job_id]).total_seconds() for job_id, moment in moments.items()]

    own = {job.id: put_off_to[job.trigger_id] for job in jobs.values()}
    return {
        'begun': seconds(begun_at, dict.fromkeys(jobs, due)),
        'begun after its fire': seconds(begun_at, own),
        'written after its fire': seconds({job.id: job.created_at for job in jobs.values()}, own),
    }


def _show(figures: Mapping[str, Any]) -> None:
    bench_ground.say(f'{"":24} {"median s":>9} {"last s":>9} {"target":>7}')
    for name, target in (
        ('begun', _MOST_LATE),
        ('begun after its fire', ''),
        ('written after its fire', ''),
    ):
        late = figures[name]
        bench_ground.say(f'{name:24} {statistics.median(late):9.2f} {max(late):9.2f} {target:>7}')
    ends = figures['ends']
    good = ends[constants.CheckpointStatus.AVAILABLE]
    bench_ground.say(
        f'{len(figures["begun"])} begun, {good} available, '
        f'{ends[constants.OperationStatus.SKIPPED]} skipped, '
        f'{ends.total() - good - ends[constants.OperationStatus.SKIPPED]} refused or failed\n'
        f'{"requests to Keystone":24} {figures["requests to Keystone"]["run"]:9.2f} a run, '
        f'{figures["requests to Keystone"]["made"]:.2f} to make an operation\n'
        f'{"":24} {"ms CPU":>9} {"% a core":>9}   a run, and while they are due'
    )
    for name, milliseconds in figures['ms CPU'].items():
        bench_ground.say(f'{name:24} {milliseconds:9.1f} {figures["cores"][name]:9.0%}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--workers', type=int, default=os.cpu_count(), metavar='N')
    parser.add_argument('--json', type=pathlib.Path, help='keep all figures there')
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    bench_ground.say(
        f'{_COUNT} operations of {_PROJECTS} projects with {_VOLUMES} volume each, jitter '
        f'{_JITTER} s; {bench_ground.kind_of_database()} and Redis, {arguments.workers} workers, '
        f'{os.cpu_count()} cores'
    )
    with bench_ground.ground(with_board=True) as place:
        figures = _measure(place, arguments.workers)
    _show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == '__main__':
    main()
