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

"""``openstack protection job``: what was done, and how it ended."""

import argparse

from karbor.client.base import given
from karbor.client.operation_logs import OperationLog
from karbor.client.osc import base, names, waits, words
from karbor.client.osc.base import Column, attribute

_COMMON = (
    attribute('ID', 'id'),
    attribute('Type', 'operation_type'),
    attribute('Status', 'status'),
    attribute('Started', 'started_at', words.moment),
    Column('Took', lambda log: words.between(log.started_at, log.ended_at)),
    attribute('Reason', 'error_info', base.text),
)
_MORE = (
    attribute('Checkpoint', 'checkpoint_id', base.text),
    attribute('Plan', 'plan_id', base.text),
    attribute('Restore', 'restore_id', base.text),
    attribute('Schedule', 'scheduled_operation_id', base.text),
    attribute('User', 'user_id', base.text),
    attribute('Request', 'request_id', base.text),
)


class ListJobs(base.Lister):
    """List what was done, the newest first"""

    shows = OperationLog
    columns = _COMMON
    long_columns = _MORE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--plan', metavar='<plan>', help='Only about this one (name or ID)')
        parser.add_argument('--checkpoint', metavar='<checkpoint>', help='Only about this one (ID)')
        parser.add_argument(
            '--type', metavar='<type>', help='Only these, as protect, restore or retention'
        )
        parser.add_argument('--status', metavar='<status>', help='Only these, as error or fail')
        self.add_limit_to(parser, 20)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        query = given(
            checkpoint_id=parsed_args.checkpoint,
            operation_type=parsed_args.type,
            status=parsed_args.status,
            limit=self.page_limit(parsed_args),
        )
        if parsed_args.plan:
            query['plan_id'] = names.plan(self.protection, parsed_args.plan).id
        logs = self.protection.operation_logs(**query)
        return self.listed(parsed_args, self.limited(parsed_args, logs))


class ShowJob(base.ShowOne):
    """Show what was done, by whom, and how it ended"""

    columns = (*_COMMON, *_MORE)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('job', metavar='<job>', help='Job (ID)')
        waits.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        log = self.protection.get_operation_log(parsed_args.job)
        return self.shown(parsed_args, waited(self, log) if parsed_args.wait else log)


def waited(command: base.Command, log: OperationLog) -> OperationLog:
    """A job as it ended."""
    again = f'openstack protection job show {log.id}'
    return waits.until_ended(command, command.protection.wait_for_run, log, again)
