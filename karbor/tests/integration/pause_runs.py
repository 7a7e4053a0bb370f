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

"""The workers of a cloud's Karbor stand still again and again while it has all kinds of work.

Run it by ``tools/pause-runs``. Each pause is SIGSTOP to what one karbor-protection works with, or
to all of it, and SIGCONT some time later: before its leases have ended, or when others have its
jobs; and when its waits for Cinder are over. Both workers are paused independently. What
follows is that of every storm: see :mod:`storms`.
"""

import collections
import dataclasses
import random
import sys
import threading
import time

from karbor.tests.integration import process_groups, storms

# In seconds: short, so that the pauses need not be long.
_LEASE, _WAIT, _IN_FLIGHT = 3.0, 8.0, 12.0
_LONGEST = 16.0
_PLUGIN_OPTIONS = {
    'poll_interval': 1,
    'in_flight_timeout': _IN_FLIGHT,
    **dict.fromkeys(
        (
            'snapshot_timeout',
            'restore_timeout',
            'delete_timeout',
            'settle_timeout',
            'retry_timeout',
        ),
        _WAIT,
    ),
}
_VOLUMES = 10
# How often it is all of a worker, with the process that watches over the one that works.
_WHOLE = 0.3
_LONGEST_PEACE = 2.0


@dataclasses.dataclass(frozen=True)
class Length:
    """A class of pauses.

    :ivar shortest: in seconds, as ``longest``.
    :ivar weight: how often one is drawn.
    """

    name: str
    shortest: float
    longest: float
    weight: int


LENGTHS = (
    Length('shorter than the lease', 0.2, _LEASE, 4),
    Length('longer than the lease', _LEASE, _WAIT, 3),
    Length('longer than every wait for Cinder', _WAIT, _IN_FLIGHT, 2),
    Length('longer than a request may be in flight', _IN_FLIGHT, _LONGEST, 1),
)


@dataclasses.dataclass
class Figures:
    """What there is to tell of pauses; many threads may add to it."""

    pauses: collections.Counter[Length] = dataclasses.field(default_factory=collections.Counter)
    #: how many jobs of a kind were running in a worker when a pause of that length began
    hit: collections.Counter[tuple[Length, str]] = dataclasses.field(
        default_factory=collections.Counter
    )
    idle: int = 0  # pauses of a worker that had nothing to do
    whole: int = 0
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def add(self, length: Length, running: list[str], *, is_whole: bool) -> None:
        with self._lock:
            self.pauses[length] += 1
            self.hit.update((length, kind) for kind in running)
            self.idle += not running
            self.whole += is_whole

    def __str__(self) -> str:
        lines = [
            f'{self.pauses.total()} pauses: {self.pauses.total() - self.whole} of the process that '
            f'works, {self.whole} of a whole worker; {self.idle} of them without a job'
        ]
        for length in LENGTHS:
            kinds = sorted(kind for found, kind in self.hit if found is length)
            hit = ', '.join(f'{kind} {self.hit[length, kind]}' for kind in kinds)
            lines.append(
                f'  {length.name} ({length.shortest:g} to {length.longest:g} s): '
                f'{self.pauses[length]}; jobs that stood still: {hit or "none"}'
            )
        return '\n'.join(lines)


def _pause(crew: storms.Crew, name: str, dice: random.Random, figures: Figures) -> None:
    """Let a worker stand still once, if possible in the middle of a job."""
    time.sleep(dice.uniform(0, _LONGEST_PEACE))
    (length,) = dice.choices(LENGTHS, [length.weight for length in LENGTHS])
    seconds = dice.uniform(length.shortest, length.longest)
    is_whole = dice.random() < _WHOLE
    crew.busy_worker([name], dice)
    with process_groups.stopped(crew[name].pid, are_children_alone=not is_whole):
        begun = time.monotonic()
        figures.add(length, crew.running_in(name), is_whole=is_whole)
        time.sleep(max(0, begun + seconds - time.monotonic()))


def run(pauses: int, database: str, board: str, seed: int) -> bool:
    """Pause so often; returns whether nothing was found that must not be."""
    figures = Figures()

    def hit(crew: storms.Crew, dice: random.Random) -> Figures:
        seeds = [dice.random() for _ in storms.WORKERS]

        def pause_all(name: str, own_dice: random.Random, count: int) -> None:
            for _ in range(count):
                _pause(crew, name, own_dice, figures)

        threads = [
            threading.Thread(
                target=pause_all,
                args=(name, random.Random(own_seed), pauses // 2 + (pauses % 2) * (number == 0)),
                daemon=True,
            )
            for number, (name, own_seed) in enumerate(zip(storms.WORKERS, seeds, strict=True))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return figures

    conditions = storms.Conditions(
        database, board, seed, _LEASE, _PLUGIN_OPTIONS, _VOLUMES, aftermath=_LONGEST + _WAIT
    )
    return storms.run(conditions, f'{pauses} pauses', hit)


def main(arguments: list[str]) -> int:
    options = storms.parser('tools/pause-runs', __doc__, 'pauses').parse_args(arguments)
    is_well = run(options.pauses, options.database, options.board, options.seed)
    return 0 if is_well else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
