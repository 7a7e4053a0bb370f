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

"""What a cloud's Karbor needs fails in the middle of its work; nothing is lost or doubled.

Run it by ``tools/outages``. Each outage meets running and waiting jobs, and meanwhile more is
asked for. Printed is what became of each job; then rows, API and the real Cinder are compared.
"""

import argparse
import collections
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from karbor.tests import board_servers
from karbor.tests.functional import outage_hours
from karbor.tests.integration import disk_outages, outage_trials, service_outages

_HALF_HOURS = 'half-hours'
_NAMES = (*service_outages.OUTAGES, *disk_outages.OUTAGES, _HALF_HOURS)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog='tools/outages', description=__doc__)
    parser.add_argument('names', nargs='*', metavar='NAME', help=', '.join(_NAMES))
    parser.add_argument('--short', action='store_true', help='as in CI: seconds, not a minute')
    parser.add_argument(
        '--board', choices=board_servers.KINDS, default='redis', help='default: %(default)s'
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(_NAMES):
        parser.error(f'there is no {", ".join(sorted(unknown))}')
    names = options.names or _NAMES
    together = collections.defaultdict(list)
    for name in names:
        if outage := service_outages.OUTAGES.get(name):
            ground = outage.database, outage.board or options.board, outage.store
            together[ground].append(outage)
    failed = [
        name
        for ground, outages in together.items()
        for name in _run_together(outages, ground, options.short)
    ]
    failed += [
        name
        for name in names
        if name in disk_outages.OUTAGES and not disk_outages.run_apart(name, options.short)
    ]
    if _HALF_HOURS in names and outage_hours.main():
        failed.append(_HALF_HOURS)
    outage_trials.say(f'\nNot well: {", ".join(failed)}' if failed else '\nAll was well.')
    return 1 if failed else 0


def _run_together(
    outages: Sequence[outage_trials.Outage], needed: tuple[str, str, str], is_short: bool
) -> list[str]:
    """Outages of one Karbor, one after the other; returns which were not survived.

    :param needed: its database, board and store.
    """
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        ground = outage_trials.Ground(pathlib.Path(folder), *needed)
        try:
            for outage in outages:
                trial = outage_trials.Trial(ground, outage, is_short)
                trial.hit()
                if trial.check():
                    failed.append(outage.name)
        finally:
            ground.stop()
    return failed


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
