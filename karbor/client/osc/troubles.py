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

"""``openstack protection trouble``"""

import argparse

from karbor.client.base import given
from karbor.client.osc import base, words
from karbor.client.osc.base import Column, attribute
from karbor.client.troubles import Trouble

_STATES = ('open', 'closed', 'all')


def subject(trouble: Trouble) -> str:
    """What a trouble is about, in words."""
    if trouble.subject_type == 'project':
        return 'the project'
    return f'{trouble.subject_type} {trouble.subject_name or trouble.subject_id}'


def kind(trouble: Trouble) -> str:
    """What it is, in words."""
    return trouble.kind.replace('_', ' ')


class ListTroubles(base.Lister):
    """List what does not go as it is to, the newest first"""

    shows = Trouble
    columns = (
        attribute('ID', 'id'),
        Column('What', kind),
        Column('Of', subject),
        attribute('Since', 'opened_at', words.moment),
        attribute('Why', 'reason', base.text),
    )
    long_columns = (
        attribute('Count', 'count'),
        attribute('Over', 'closed_at', words.moment),
        attribute('Advice', 'advice', base.text),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--state', choices=_STATES, default='open', help='Which ones (default: open)'
        )
        self.add_limit_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        query = given(state=parsed_args.state, limit=self.page_limit(parsed_args))
        troubles = self.protection.troubles(**query)
        return self.listed(parsed_args, self.limited(parsed_args, troubles))


class ShowTrouble(base.ShowOne):
    """Show what does not go as it is to, and what to do about it"""

    columns = (
        attribute('ID', 'id'),
        Column('What', kind),
        Column('Of', subject),
        attribute('Count', 'count'),
        attribute('Why', 'reason'),
        attribute('What to do', 'advice'),
        attribute('Since', 'opened_at', words.moment),
        attribute('Changed', 'updated_at', words.moment),
        attribute('Over', 'closed_at', words.moment),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('trouble', metavar='<trouble>', help='Which one (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        return self.shown(parsed_args, self.protection.get_trouble(parsed_args.trouble))
