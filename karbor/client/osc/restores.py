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

"""``openstack protection restore``"""

import argparse

from karbor.client.base import given
from karbor.client.osc import base, names, waits
from karbor.client.osc.base import Column, attribute
from karbor.client.uses import Restore


def _made(restore: Restore) -> str:
    return base.lines(
        f'{old.rpartition("#")[2]} -> {new}'
        for old, new in sorted((restore.new_resources or {}).items())
    )


def _failed(restore: Restore) -> str:
    return base.lines(f'{key}: {reason}' for key, reason in restore.resources_reason.items())


_ONE = (
    attribute('ID', 'id'),
    attribute('Checkpoint', 'checkpoint_id'),
    attribute('Status', 'status'),
    attribute('Reason', 'status_reason', base.text),
    attribute('Done', 'resources_done'),
    attribute('Failed', 'resources_failed'),
    Column('New volumes', _made),
    Column('What failed', _failed),
)


class CreateRestore(base.ShowOne):
    """Make new volumes of a checkpoint"""

    columns = _ONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('checkpoint', metavar='<checkpoint>', help='Checkpoint (ID)')
        parser.add_argument(
            '--name',
            metavar='<name>',
            help='Name of all new volumes (default: that of each original)',
        )
        parser.add_argument(
            '--description', metavar='<text>', help='Description of all new volumes'
        )
        waits.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        checkpoint = names.checkpoint(self.protection, parsed_args.checkpoint)
        options = {}
        if parsed_args.name is not None:
            options['restore_name'] = parsed_args.name
        if parsed_args.description is not None:
            options['restore_description'] = parsed_args.description
        made = self.protection.create_restore(
            checkpoint, {names.VOLUME: options} if options else None
        )
        if parsed_args.wait:
            again = f'openstack protection restore show {made.id}'
            made = waits.until_ended(self, self.protection.wait_for_restore, made, again)
        return self.shown(parsed_args, made)


class ListRestores(base.Lister):
    """List restores, the newest first"""

    shows = Restore
    columns = (
        attribute('ID', 'id'),
        attribute('Checkpoint', 'checkpoint_id'),
        attribute('Status', 'status'),
        attribute('Done', 'resources_done'),
        attribute('Failed', 'resources_failed'),
    )
    long_columns = (
        attribute('Reason', 'status_reason', base.text),
        attribute('Provider', 'provider_id'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--checkpoint', metavar='<checkpoint>', help='Only of this one (ID)')
        self.add_limit_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        query = given(checkpoint_id=parsed_args.checkpoint, limit=self.page_limit(parsed_args))
        restores = self.protection.restores(**query)
        return self.listed(parsed_args, self.limited(parsed_args, restores))


class ShowRestore(base.ShowOne):
    """Show a restore, and what it has made"""

    columns = _ONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('restore', metavar='<restore>', help='Restore (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        return self.shown(parsed_args, self.protection.get_restore(parsed_args.restore))
