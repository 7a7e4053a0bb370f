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

"""Shows what protects, restores and deletes of many volumes take, beside a bare script.

Run it by ``tools/bench scale``. Cinder is a stub in a process of its own, of which each answer
takes 20 ms and each snapshot half a second; Karbor is one karbor-protection with a real database
server and a bank in files. The floor is the same work by a bare script. Both are measured in turn,
and medians are shown. KARBOR_TEST_DATABASE says which database, mariadb or postgresql.
"""

import argparse
import contextlib
import functools
import json
import logging
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

from keystoneauth1 import token_endpoint

from karbor.tests import bare_script
from karbor.tests.base import PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import bench_ground

_COUNTS = (1, 100, 1_000, 10_000)
_ROUNDS = {1: 7, 100: 5, 1_000: 3}  # of more volumes, one


class Karbor:
    """One karbor-protection, and who asks it.

    :param place: what it stands on.
    :param group: its process group.
    """

    def __init__(self, place: bench_ground.Ground, group: int) -> None:
        self._place = place
        self._commands = place.commands
        self._context = bench_ground.context_of(PROJECT_ID)
        self._group = group

    @property
    def peak(self) -> float:
        """The most memory that the worker has had so far, in MiB."""
        return bench_ground.peak_of_group(self._group)

    def measure(self, volume_ids: list[str]) -> bench_ground.Figures:
        """Seconds of a protect, a restore and a delete, and of the worker's processor."""
        plan = bench_ground.add_plan(PROJECT_ID, volume_ids)
        figures: bench_ground.Figures = {}
        checkpoint = self._take(figures, 'protect', lambda: self._place.protect(plan))
        self._take(
            figures,
            'restore',
            lambda: self._commands.create_restore(
                self._context,
                {
                    'provider_id': PROVIDER_ID,
                    'checkpoint_id': checkpoint.id,
                    'parameters': {},
                    'restore_target': None,
                    'restore_auth': None,
                },
            ),
        )
        self._take(
            figures,
            'delete',
            lambda: self._commands.delete_checkpoint(self._context, PROVIDER_ID, checkpoint.id),
        )
        return figures

    def _take(self, figures: bench_ground.Figures, name: str, ask: Callable[[], Any]) -> Any:
        with bench_ground.measured(figures, name, lambda: bench_ground.cpu_of_group(self._group)):
            answer = ask()
            bench_ground.wait_for_jobs()
        bench_ground.check_jobs()
        return answer


def _floor(script: bare_script.BareScript, volume_ids: list[str]) -> bench_ground.Figures:
    """What the bare script takes for the same, and what of the processor."""
    figures: bench_ground.Figures = {}
    with bench_ground.measured(figures, 'protect', time.process_time):
        made = script.protect(volume_ids)
    with bench_ground.measured(figures, 'restore', time.process_time):
        script.restore(made)
    with bench_ground.measured(figures, 'delete', time.process_time):
        script.delete(made)
    return figures


def _line(
    name: str, count: int, floor: list[bench_ground.Figures], karbor: list[bench_ground.Figures]
) -> str:
    seconds, least = (bench_ground.median(rounds, name) for rounds in (karbor, floor))
    cpu, least_cpu = (
        1000 * bench_ground.median(rounds, f'{name} cpu') / count for rounds in (karbor, floor)
    )
    return (
        f'{name:8} {count:7} {seconds / least:6.2f} {seconds:9.2f} {least:9.2f} '
        f'{cpu:9.2f} {least_cpu:9.2f}'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('counts', nargs='*', type=int, default=_COUNTS, metavar='N')
    parser.add_argument('--poll-interval', type=float, default=15, metavar='SECONDS')
    parser.add_argument('--rounds', type=int, help='default: more of few volumes')
    parser.add_argument('--json', type=pathlib.Path, help='keep all figures there')
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    kept: dict[str, Any] = {}
    with contextlib.ExitStack() as ends:
        place = ends.enter_context(
            bench_ground.ground(poll_intervals={PROVIDER_ID: arguments.poll_interval})
        )
        (group,) = ends.enter_context(bench_ground.working(place.config))
        karbor = Karbor(place, group)
        auth = token_endpoint.Token(f'{place.cinder.url}/{PROJECT_ID}', 'token')
        script = bare_script.BareScript(auth)
        bench_ground.say(
            f'{bench_ground.kind_of_database()}, a bank in files, poll_interval '
            f'{arguments.poll_interval:g} s, {os.cpu_count()} cores\n'
            f'{"what":8} {"volumes":>7} {"ratio":>6} {"Karbor s":>9} {"floor s":>9} '
            f'{"ms CPU":>9} {"of floor":>9}   a volume'
        )
        for count in arguments.counts:
            volume_ids = bench_ground.new_ids(count)
            rounds = arguments.rounds or _ROUNDS.get(count, 1)
            floors, karbors = bench_ground.in_turn(
                functools.partial(_floor, script, volume_ids),
                functools.partial(karbor.measure, volume_ids),
                rounds,
            )
            for name in ('protect', 'restore', 'delete'):
                bench_ground.say(_line(name, count, floors, karbors))
            kept[str(count)] = {'floor': floors, 'karbor': karbors, 'peak MiB': karbor.peak}
            bench_ground.say(f'the worker had {karbor.peak:.0f} MiB at most')
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1))


if __name__ == '__main__':
    main()
