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

"""``openstack protection now``"""

import argparse

from osc_lib.exceptions import CommandError

from karbor.client.osc import base, checkpoints, names, plan_parts, waits
from karbor.client.plans import Plan

#: by which a plan is known again that was made for one volume
MARK = 'Made by openstack protection now'


class ProtectNow(base.ShowOne):
    """Protect a volume, or what a plan covers, at once.

    A volume has a plan of its own for that, which is made the first time, and used again; it takes
    snapshots of attached volumes, too. Schedules are left alone.
    """

    columns = checkpoints.ShowCheckpoint.columns

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('what', metavar='<volume|plan>', help='Volume or plan (name or ID)')
        parser.add_argument(
            '--provider',
            metavar='<provider>',
            help='Who protects a volume (name or ID; default: the only one that there is)',
        )
        waits.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        made = self.protection.create_checkpoint(self._plan(parsed_args))
        if parsed_args.wait:
            made = checkpoints.waited(self, made)
        return self.shown(parsed_args, made)

    def _plan(self, parsed_args: argparse.Namespace) -> Plan:
        what = parsed_args.what
        plan = self.protection.find_plan(what)
        found = names.volumes(self.protection, what)
        if plan is None:
            if not found:
                raise CommandError(f'There is no volume and no plan {what}.')
            return self._plan_of(names.volume(self.protection, what), parsed_args.provider)
        if found:
            raise CommandError(
                f'{what} is a plan ({plan.id}) and a volume ({found[0].id}); give an ID.'
            )
        return plan

    def _plan_of(self, volume: names.Volume, provider: str | None) -> Plan:
        """That which protects this one volume."""
        for plan in self.protection.plans(description=MARK):
            if [entry['id'] for entry in plan.resources] == [volume.id]:
                return plan
        name = volume.name or volume.id
        return self.protection.create_plan(
            f'now {name}'[:255],
            names.provider(self.protection, provider),
            [{'id': volume.id, 'type': names.VOLUME, 'name': name}],
            parameters={
                names.VOLUME: {
                    'snapshot_name': plan_parts.SNAPSHOT_NAME,
                    'description': MARK,
                    'force': True,
                }
            },
            description=MARK,
        )
