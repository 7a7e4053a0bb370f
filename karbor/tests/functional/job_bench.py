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

"""Shows how soon jobs begin, how many a second are done, and what they cost each other.

Run it by ``tools/bench jobs``, with the names of sections, or of all without. Workers are real
karbor-protection with a real database server and, unless it says otherwise, a Redis as the board;
Cinder is a stub in a process of its own, of which each answer takes 20 ms and each snapshot half a
second. KARBOR_TEST_DATABASE says which database, mariadb or postgresql.

begin
    from when the row of a single job is there to when an idle worker has claimed it.
rate
    jobs a second of one worker and of two, in turn. All jobs wait at the begin, and the first and
    the last tenth are not measured. Processor time is in percent of one core: where that of the
    machine is near what its cores have, it is they that limit the rate, and not Karbor.
memory
    of a worker that has many jobs.
fairness
    what a small job of one project takes by itself, and behind many large ones of two others
    whose snapshots take long.
poll
    what a long poll_interval adds to a protect, in turn with a short one.
"""

import argparse
import json
import logging
import os
import pathlib
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from karbor import db
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.tests.base import PROJECT_ID, new_id
from karbor.tests.functional import bench_ground

_POSTS = 30
_BOARDS = {'Redis': True, 'no board': False}
_MOST_MS = {'Redis': 50, 'no board': 300}

_WORKERS, _RATE_ROUNDS = (1, 2), 3
_LEAST_RATIOS = {1: 1, 2: 1.9}
_PROJECTS, _JOBS_OF_PROJECT, _VOLUMES = 20, 8, 5
# Measured is between these shares of jobs left: not how workers begin, and not how they run out
# of jobs.
_MIDDLE = (0.9, 0.1)

_MANY = 100  # jobs, and volumes of each
_MOST_MIB = 160

_SLOW_SECONDS = 20
_ALONE, _BEHIND = 5, 3
_MOST_LATER = 1  # seconds

_POLL_INTERVALS = (1, 15)
_POLL_ROUNDS = {1: 7, 100: 5, 1_000: 3}  # by the number of volumes

Figures = dict[str, Any]


def begin() -> Figures:
    """Seconds until jobs were claimed, with a board and without."""
    bench_ground.say(f'{"begin":10} {"median ms":>9} {"worst ms":>9} {"target":>7}')
    figures: Figures = {}
    for name, with_board in _BOARDS.items():
        figures[name] = seconds = _seconds_to_claim(with_board)
        bench_ground.say(
            f'{name:10} {1000 * statistics.median(seconds):9.0f} {1000 * max(seconds):9.0f} '
            f'{_MOST_MS[name]:7}'
        )
    return figures


def _seconds_to_claim(with_board: bool) -> list[float]:
    with (
        bench_ground.ground(with_board=with_board) as place,
        bench_ground.working(place.config),
    ):
        plan = bench_ground.add_plan(PROJECT_ID, [new_id()])
        for _ in range(_POSTS):
            time.sleep(random.uniform(0.5, 1.5))
            _protect_to_end(place, plan)
        return place.seconds_to_claim()


def rate() -> Figures:
    """Of each number of workers, jobs a second and cores that were busy with each thing."""
    bench_ground.say(
        f'rate of {_PROJECTS * _JOBS_OF_PROJECT} jobs that protect {_VOLUMES} volumes, of '
        f'{_PROJECTS} projects; {os.cpu_count()} cores\n{"workers":>10} {"ratio":>9} {"jobs/s":>9} '
        f'{"target":>7} {"ms CPU":>7}   CPU, % of a core: '
        f'{"workers":>7} {"database":>8} {"stub":>5} {"bench":>5} {"machine":>7}'
    )
    rounds: dict[int, list[dict[str, float]]] = {count: [] for count in _WORKERS}
    with bench_ground.ground(with_board=True) as place:
        plans = [
            bench_ground.add_plan(project_id, bench_ground.new_ids(_VOLUMES))
            for project_id in _project_ids()
        ]
        for _ in range(_RATE_ROUNDS):
            for count in _WORKERS:
                rounds[count].append(_rate(place, plans * _JOBS_OF_PROJECT, count))
    medians = {
        count: {name: statistics.median(each[name] for each in measured) for name in measured[0]}
        for count, measured in rounds.items()
    }
    for count, figures in medians.items():
        ratio = figures['jobs'] / medians[_WORKERS[0]]['jobs']
        bench_ground.say(
            f'{count:10} {ratio:9.2f} {figures["jobs"]:9.2f} {_LEAST_RATIOS[count]:7.2f} '
            f'{1000 * figures["workers"] / figures["jobs"]:7.0f}{figures["workers"]:29.0%} '
            f'{figures["database"]:8.0%} {figures["stub"]:5.0%} {figures["bench"]:5.0%} '
            f'{figures["machine"]:7.0%}'
        )
    return {str(count): measured for count, measured in rounds.items()}


def _project_ids() -> list[str]:
    return [f'{number:032x}' for number in range(_PROJECTS)]


def _rate(
    place: bench_ground.Ground, plans: Sequence[models.Plan], workers: int
) -> dict[str, float]:
    """Have workers do a job of each plan; returns jobs a second, and what
    :func:`bench_ground.cpu_seconds` tells apart.
    """
    for plan in plans:
        place.protect(plan)
    # They are on the board, and in rows that nobody takes yet.
    _set_state(job_rows.JobState.PENDING, job_rows.JobState.QUEUED)
    with bench_ground.working(place.config, workers) as groups:
        _set_state(job_rows.JobState.QUEUED, job_rows.JobState.PENDING)
        early, late = (_moment(place, int(len(plans) * share), groups) for share in _MIDDLE)
        bench_ground.wait_for_jobs()
    bench_ground.check_jobs()
    seconds = late.pop('seconds') - early.pop('seconds')
    return {name: (late[name] - early[name]) / seconds for name in late}


def _set_state(before: str, after: str) -> None:
    with db.writer() as session:
        session.execute(sa.update(models.Job).where(models.Job.state == before).values(state=after))


def _moment(place: bench_ground.Ground, left: int, groups: Sequence[int]) -> dict[str, float]:
    """How far it is, and what it has cost, when no more jobs than that are left."""
    left = bench_ground.wait_for_jobs(left=left)
    return {
        'jobs': -left,
        'seconds': time.monotonic(),
        **bench_ground.cpu_seconds(place, {'workers': groups}),
    }


def memory() -> Figures:
    """Of a worker, in MiB: when it began, and at most."""
    with (
        bench_ground.ground(with_board=True) as place,
        bench_ground.working(place.config) as (group,),
    ):
        begun = bench_ground.peak_of_group(group)
        _protect_many(place, _project_ids())
        bench_ground.wait_for_jobs()
        bench_ground.check_jobs()
        peak = bench_ground.peak_of_group(group)
    bench_ground.say(
        f'memory of a worker with {_MANY} jobs of {_MANY} volumes: {peak:.0f} MiB at most, '
        f'{begun:.0f} MiB when it began; target {_MOST_MIB}'
    )
    return {'begun': begun, 'peak': peak}


def _protect_many(place: bench_ground.Ground, project_ids: Sequence[str]) -> None:
    """Ask for many large checkpoints, of the projects in turn."""
    for number in range(_MANY):
        project_id = project_ids[number % len(project_ids)]
        place.protect(bench_ground.add_plan(project_id, bench_ground.new_ids(_MANY)))


def fairness() -> Figures:
    """Seconds of a small job, and until it was claimed, alone and behind others."""
    others = bench_ground.new_ids(2)
    options = [word for other in others for word in ('--settle-of', other, str(_SLOW_SECONDS))]
    with (
        bench_ground.ground(with_board=True, stub_options=options) as place,
        bench_ground.working(place.config),
    ):
        plan = bench_ground.add_plan(PROJECT_ID, [new_id()])
        alone = [_protect_to_end(place, plan) for _ in range(_ALONE)]
        _protect_many(place, others)
        behind = [_protect_to_end(place, plan) for _ in range(_BEHIND)]
        claims = place.seconds_to_claim()
    figures = {
        'alone': {'seconds': alone, 'to claim': claims[:_ALONE]},
        'behind': {'seconds': behind, 'to claim': claims[-_BEHIND:]},
    }
    bench_ground.say(
        f'fairness: a volume alone, and behind {_MANY} jobs of {_MANY} volumes of {len(others)} '
        f'projects, whose snapshots take {_SLOW_SECONDS} s\n'
        f'{"":10} {"s more":>9} {"median s":>9} {"worst s":>9} {"to claim":>9} {"target":>7}'
    )
    for name, measured in figures.items():
        seconds = measured['seconds']
        bench_ground.say(
            f'{name:10} {statistics.median(seconds) - statistics.median(alone):9.2f} '
            f'{statistics.median(seconds):9.2f} {max(seconds):9.2f} '
            f'{statistics.median(measured["to claim"]):9.2f} {_MOST_LATER:7}'
        )
    return figures


def _protect_to_end(place: bench_ground.Ground, plan: models.Plan) -> float:
    """Seconds that it takes; other projects may have jobs."""
    begun = time.monotonic()
    place.protect(plan)
    bench_ground.wait_for_jobs(models.Job.project_id == plan.project_id)
    seconds = time.monotonic() - begun
    bench_ground.check_jobs()
    return seconds


def poll() -> Figures:
    """Of each number of volumes, seconds with each poll_interval."""
    short, long = _POLL_INTERVALS
    providers = {new_id(): interval for interval in _POLL_INTERVALS}
    bench_ground.say(
        f'poll_interval {short} and {long}, where a snapshot takes half a second\n'
        f'{"volumes":>10} {"s more":>9} {"ratio":>9} {f"s with {long}":>9} '
        f'{f"with {short}":>9} {"target":>7}'
    )
    figures: Figures = {}
    with (
        bench_ground.ground(with_board=True, poll_intervals=providers) as place,
        bench_ground.working(place.config),
    ):
        for count, rounds in _POLL_ROUNDS.items():
            plans = {
                interval: bench_ground.add_plan(PROJECT_ID, bench_ground.new_ids(count), provider)
                for provider, interval in providers.items()
            }
            measured = {interval: [] for interval in plans}
            for _ in range(rounds):
                for interval, plan in plans.items():
                    measured[interval].append(_protect_to_end(place, plan))
            figures[str(count)] = measured
            least, seconds = (statistics.median(measured[interval]) for interval in (short, long))
            bench_ground.say(
                f'{count:10} {seconds - least:9.2f} {seconds / least:9.2f} {seconds:9.2f} '
                f'{least:9.2f} {_MOST_LATER:7}'
            )
    return figures


_SECTIONS: Mapping[str, Callable[[], Figures]] = {
    'begin': begin,
    'rate': rate,
    'memory': memory,
    'fairness': fairness,
    'poll': poll,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument(
        'sections', nargs='*', metavar='SECTION', help=f'of {", ".join(_SECTIONS)}; default: all'
    )
    parser.add_argument('--json', type=pathlib.Path, help='keep all figures there')
    arguments = parser.parse_args()
    unknown = set(arguments.sections).difference(_SECTIONS)
    if unknown:
        parser.error(f'{", ".join(unknown)}: there are {", ".join(_SECTIONS)}')
    logging.disable(logging.WARNING)
    bench_ground.say(f'{bench_ground.kind_of_database()}, a bank in files')
    kept = {name: _SECTIONS[name]() for name in arguments.sections or _SECTIONS}
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1))


if __name__ == '__main__':
    main()
