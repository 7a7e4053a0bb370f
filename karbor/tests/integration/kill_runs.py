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
again itself. What follows is that of every storm: see :mod:`storms`.
"""

import collections
import dataclasses
import random
import sys
import time

from karbor.tests.integration import process_groups, storms

# How often each is killed: workers have most to lose.
_WEIGHTS = {'api': 2, 'engine': 1, **dict.fromkeys(storms.WORKERS, 3)}
# How often it is only the child of a worker.
_CHILD_ALONE = 0.3
_LONGEST_PEACE = 2.0


@dataclasses.dataclass
class Figures:
    """What there is to tell of kills."""

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

    :param crew: the processes.
    :param dice: decides when and which.
    """

    def __init__(self, crew: storms.Crew, dice: random.Random) -> None:
        self._crew = crew
        self._dice = dice
        self.figures = Figures()

    def kill_one(self) -> None:
        time.sleep(self._dice.uniform(0, _LONGEST_PEACE))
        (name,) = self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        if name not in storms.WORKERS:
            self._crew.kill(name)
            self.figures.kills[name] += 1
        elif self._kill_worker(name := self._busy_worker(name)):
            return
        time.sleep(self._dice.uniform(0, 1))
        self._crew.start_again(name)

    def _busy_worker(self, name: str) -> str:
        """This worker or another one that has a job; this one if none gets any."""
        others = [other for other in storms.WORKERS if other != name]
        return self._crew.busy_worker([name, *others], self._dice)

    def _kill_worker(self, name: str) -> bool:
        """Kill a worker, or its child alone; returns whether it will be there again by itself."""
        process = self._crew[name]
        is_child_alone = self._dice.random() < _CHILD_ALONE
        with process_groups.stopped(process.pid):
            running = self._crew.running_in(name)
            if is_child_alone:
                process_groups.kill_children(process.pid)
            else:
                self._crew.kill(name)
        self.figures.kills['child' if is_child_alone else 'worker'] += 1
        self.figures.hit.update(running)
        self.figures.idle += not running
        return is_child_alone


def run(kills: int, conditions: storms.Conditions) -> bool:
    """Kill so often; returns whether nothing was found that must not be."""

    def hit(crew: storms.Crew, dice: random.Random) -> Figures:
        killer = Killer(crew, dice)
        for _ in range(kills):
            killer.kill_one()
        return killer.figures

    return storms.run(conditions, f'{kills} kills', hit)


def main(arguments: list[str]) -> int:
    options = storms.parser('tools/kill-runs', __doc__, 'kills').parse_args(arguments)
    conditions = storms.Conditions(options.database, options.board, options.seed)
    return 0 if run(options.kills, conditions) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
