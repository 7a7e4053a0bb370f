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

"""Shows what protects of many volumes take with a real Cinder, beside a bare script.

Run it by ``tools/bench floor``. Keystone and Cinder are the sandbox's, with real bytes; Karbor is a
karbor-api and a karbor-protection with MariaDB and a bank in files, and waits as long as it does by
default. Both protect the same volumes in turn, from the request until all is available; what was
made is deleted before the other's turn.
"""

import argparse
import contextlib
import functools
import json
import os
import pathlib
import statistics
import tempfile
import time
from typing import Any

from karbor.tests import bare_script, database_servers
from karbor.tests.functional import bench_ground
from karbor.tests.integration import callers, cloud, service

_COUNTS = (100, 500)
_PAIRS = 7
_LONGEST = 1_200  # seconds
_TARGET = 1.1

# Karbor's defaults, in place of those for quick tests.
_OPTIONS = {'protection': {'job_poll_interval': 0.25}}
_PLUGIN_OPTIONS = {'poll_interval': 15}


class Karbor:
    """A cloud's Karbor, and who asks it.

    :param project: whose volumes are protected.
    :param ends: ends what is started.
    """

    def __init__(self, project: cloud.Project, ends: contextlib.ExitStack) -> None:
        folder = pathlib.Path(ends.enter_context(tempfile.TemporaryDirectory()))
        database = database_servers.MariaDB()
        ends.callback(database.stop)
        karbor = service.Service(folder, database.create_database(), _OPTIONS, _PLUGIN_OPTIONS)
        ends.callback(karbor.stop)
        karbor.prepare()
        karbor.start_api()
        self._group = karbor.start_worker().pid
        self._caller = callers.of(project.session, karbor.url)

    def measure(self, volume_ids: list[str]) -> bench_ground.Figures:
        """What a protect takes; the checkpoint is deleted afterwards."""
        plan_id = self._caller.plan(volume_ids)
        figures: bench_ground.Figures = {}
        with bench_ground.measured(figures, 'protect', self._cpu):
            checkpoint_id = self._caller.protect(plan_id)
            self._wait(checkpoint_id, 'available', 'error')
        self._caller.call('DELETE', f'{callers.CHECKPOINTS}/{checkpoint_id}')
        self._wait(checkpoint_id, 'deleted', 'error-deleting')
        return figures

    def _cpu(self) -> float:
        return bench_ground.cpu_of_group(self._group)

    def _wait(self, checkpoint_id: str, good: str, bad: str) -> None:
        checkpoint = self._caller.wait_for_checkpoint(checkpoint_id, good, bad, seconds=_LONGEST)
        assert checkpoint['status'] == good, checkpoint['status_reason']


def _floor(script: bare_script.BareScript, volume_ids: list[str]) -> bench_ground.Figures:
    """What the bare script takes for the same."""
    figures: bench_ground.Figures = {}
    with bench_ground.measured(figures, 'protect', time.process_time):
        made = script.protect(volume_ids)
    script.delete(made)
    return figures


def _line(count: int, floor: list[bench_ground.Figures], karbor: list[bench_ground.Figures]) -> str:
    seconds, least = (bench_ground.median(pairs, 'protect') for pairs in (karbor, floor))
    cpu, least_cpu = (
        1000 * bench_ground.median(pairs, 'protect cpu') / count for pairs in (karbor, floor)
    )
    ratios = [
        ours['protect'] / theirs['protect'] for ours, theirs in zip(karbor, floor, strict=True)
    ]
    return (
        f'{count:7} {statistics.median(ratios):6.2f} {min(ratios):6.2f} {max(ratios):6.2f} '
        f'{seconds:9.2f} {least:9.2f} {cpu:9.2f} {least_cpu:9.2f}'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('counts', nargs='*', type=int, default=_COUNTS, metavar='N')
    parser.add_argument('--pairs', type=int, default=_PAIRS, help='how often each has its turn')
    parser.add_argument('--json', type=pathlib.Path, help='keep all figures there')
    arguments = parser.parse_args()
    kept: dict[str, Any] = {}
    with contextlib.ExitStack() as ends:
        project = cloud.Project()
        karbor = Karbor(project, ends)
        script = bare_script.BareScript(project.session.auth)
        volume_ids = project.volumes(max(arguments.counts))
        bench_ground.say(
            f'protects; medians of {arguments.pairs} pairs, at most {_TARGET:g} is wanted; '
            f'{os.cpu_count()} cores\n'
            f'{"volumes":>7} {"ratio":>6} {"least":>6} {"most":>6} {"Karbor s":>9} {"floor s":>9} '
            f'{"ms CPU":>9} {"of floor":>9}   a volume'
        )
        for count in arguments.counts:
            taken = volume_ids[:count]
            floors, karbors = bench_ground.in_turn(
                functools.partial(_floor, script, taken),
                functools.partial(karbor.measure, taken),
                arguments.pairs,
            )
            bench_ground.say(_line(count, floors, karbors))
            kept[str(count)] = {'floor': floors, 'karbor': karbors}
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1))


if __name__ == '__main__':
    main()
