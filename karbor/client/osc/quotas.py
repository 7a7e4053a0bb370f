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

"""``openstack protection quota``"""

import argparse
from typing import cast

from karbor.client.osc import base
from karbor.client.osc.base import Column
from karbor.client.quotas import Limits, QuotaDetail

_NAMES = ('plans', 'checkpoints', 'schedules', 'triggers', 'verifications', 'jobs')


def _limit(limit: int) -> str:
    return 'no limit' if limit < 0 else str(limit)


def _column(name: str) -> Column:
    def value(quota: QuotaDetail) -> str:
        usage = getattr(quota, name)
        return f'{usage["in_use"]} of {_limit(usage["limit"])}'

    return Column(name.capitalize(), value)


class ShowQuota(base.ShowOne):
    """Show how much the project may have, and has"""

    columns = tuple(map(_column, _NAMES))

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--project', metavar='<project>', help='Another project (ID); for administrators'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        return self.shown(parsed_args, self.protection.get_quota_detail(parsed_args.project))


class SetQuota(base.Command):
    """Set how much a project may have; for administrators"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('project', metavar='<project>', help='Project (ID)')
        for name in _NAMES:
            parser.add_argument(f'--{name}', metavar='<number>', type=int, help='-1 is no limit')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        given = {name: getattr(parsed_args, name) for name in _NAMES}
        limits = {name: limit for name, limit in given.items() if limit is not None}
        if limits:
            self.protection.update_quota(parsed_args.project, **cast(Limits, limits))


class UnsetQuota(base.Command):
    """Let a project have as much as the defaults say; for administrators"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('project', metavar='<project>', help='Project (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        self.protection.delete_quota(parsed_args.project)
