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

"""``openstack protection recovery point``"""

import argparse

from karbor.client.base import given
from karbor.client.osc import base, names, words
from karbor.client.osc.base import Column, attribute
from karbor.client.recovery_points import RecoveryPoint

_STATES = ('making', 'good', 'failed', 'missing', 'deleting', 'deleted', 'unknown')


class ListRecoveryPoints(base.Lister):
    """List what volumes can be gone back to, the newest first"""

    shows = RecoveryPoint
    columns = (
        Column('Volume', lambda point: point.resource_name or point.resource_id),
        Column('Taken', lambda point: words.moment(point.taken_at or point.created_at)),
        attribute('State', 'state'),
        attribute('Size', 'size', words.size),
        attribute('Checkpoint', 'checkpoint_id'),
    )
    long_columns = (
        attribute('Reason', 'reason', base.text),
        attribute('Volume ID', 'resource_id'),
        attribute('Snapshot ID', 'cloud_id', base.text),
        attribute('Seen good', 'seen_good_at', words.moment),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--volume', metavar='<volume>', help='Only of this one (name or ID)')
        parser.add_argument('--plan', metavar='<plan>', help='Only of this one (name or ID)')
        parser.add_argument('--state', choices=_STATES, help='Only these')
        for name, which in (('since', 'first'), ('until', 'last')):
            parser.add_argument(
                f'--{name}', metavar='<moment>', help=f'The {which} day, or moment, in UTC'
            )
        self.add_limit_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        query = given(
            state=parsed_args.state,
            since=parsed_args.since,
            until=parsed_args.until,
            limit=self.page_limit(parsed_args),
        )
        if parsed_args.volume:
            query['resource_id'] = names.known_volume(self.protection, parsed_args.volume).id
        if parsed_args.plan:
            query['plan_id'] = names.plan(self.protection, parsed_args.plan).id
        points = self.protection.recovery_points(**query)
        return self.listed(parsed_args, self.limited(parsed_args, points))
