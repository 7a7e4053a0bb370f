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

"""``openstack protection status``"""

import argparse
import itertools
from collections.abc import Sequence

from karbor import shown
from karbor.client.coverage import CoverageReport, CoveredVolume
from karbor.client.osc import base, names, troubles, words
from karbor.client.osc.base import Column, attribute

#: the worst first
STATES = ('failing', 'late', 'unprotected', 'paused', 'gone', 'protected')
_WRONG = ('failing', 'late', 'unprotected')
_PROTECTED = 'protected'
_FAILING = 'failing'
_MOST_TROUBLES = 100


def _why(volume: CoveredVolume) -> str:
    if volume.state == _PROTECTED:
        return ''
    failure = volume.last_failure if volume.state == _FAILING else None
    return f'{volume.reason}: {failure["reason"]}' if failure else volume.reason


def _age(volume: CoveredVolume) -> str:
    return '' if volume.last_good_age is None else words.duration(volume.last_good_age)


class ShowStatus(base.Lister):
    """Show whether each volume of the project is protected, and why others are not"""

    shows = CoveredVolume
    columns = (
        Column('Volume', lambda volume: volume.name or volume.id),
        attribute('State', 'state'),
        attribute('Last good', 'last_good_at', words.moment),
        Column('Age', _age),
        attribute('Next run', 'next_run_at', words.until),
        Column('Why', _why),
    )
    long_columns = (
        attribute('ID', 'id'),
        attribute('Status', 'volume_status', base.text),
        attribute('Size', 'size', words.size),
        attribute('Recovery points', 'recovery_points'),
        attribute('Missing', 'recovery_points_missing'),
        Column('Plans', lambda volume: _names(volume.plans)),
        Column('Schedules', lambda volume: _names(volume.schedules)),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--volume', metavar='<volume>', help='Only this one (name or ID)')
        parser.add_argument(
            '--exit-code',
            action='store_true',
            help='End with 1 if any volume that is shown is failing, late or unprotected',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        report = self.protection.coverage()
        if parsed_args.volume:
            volumes = [names.known_volume(self.protection, parsed_args.volume)]
        else:
            volumes = sorted(report.volumes, key=_order)
        self._tell(parsed_args, report)
        if parsed_args.exit_code and any(volume.state in _WRONG for volume in volumes):
            self.exit_code = 1
        return self.listed(parsed_args, volumes)

    def _tell(self, parsed_args: argparse.Namespace, report: CoverageReport) -> None:
        """What is beside the list: a fault always, totals to people."""
        for told in (report.look.fault, report.look.remark):
            if told:
                self.tell(told)
        if base.is_for_people(parsed_args) and not parsed_args.volume:
            self.app.stdout.write(f'{_totals(report)}\n')
            self._tell_troubles()

    def _tell_troubles(self) -> None:
        """What is wrong with schedules; the table has what is with volumes."""
        standing = itertools.islice(self.protection.troubles(), _MOST_TROUBLES)
        told = [
            f'{troubles.kind(trouble)}, {troubles.subject(trouble)}'
            for trouble in standing
            if trouble.subject_type == 'schedule'
        ]
        if told:
            told = ['Troubles (openstack protection trouble list --long says more):', *told]
            self.app.stdout.write(''.join(f'{shown.escaped(line)}\n' for line in told))


def _order(volume: CoveredVolume) -> tuple[int, str, str]:
    return STATES.index(volume.state), volume.name, volume.id


def _totals(report: CoverageReport) -> str:
    totals = report.totals or {}
    told = [f'{totals[state]} {state}' for state in STATES if totals.get(state)]
    return f'{words.counted(sum(totals.values()), "volume")}: {", ".join(told) or "none"}'


def _names(items: Sequence[dict[str, str]]) -> str:
    return ', '.join(item['name'] for item in items)
