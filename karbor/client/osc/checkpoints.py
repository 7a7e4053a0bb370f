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

"""``openstack protection checkpoint``"""

import argparse
from collections.abc import Iterable

from osc_lib.exceptions import CommandError

from karbor.client.base import given
from karbor.client.checkpoints import Checkpoint
from karbor.client.osc import base, deletions, names, waits, words
from karbor.client.osc.base import Column, attribute
from karbor.client.uses import Verification

_ID_HELP = 'Checkpoint (ID)'
_SNAPSHOTS = ('good', 'unknown', 'making', 'failed')
_STATUSES = ('protecting', 'available', 'error', 'deleting', 'deleted', 'error-deleting')


def look_again(checkpoint: Checkpoint) -> str:
    return f'openstack protection checkpoint show {checkpoint.id}'


def _plan(checkpoint: Checkpoint) -> str:
    return str(checkpoint.protection_plan['name'])


def _progress(checkpoint: Checkpoint) -> str:
    failed = f', {checkpoint.resources_failed} failed' if checkpoint.resources_failed else ''
    return f'{checkpoint.resources_done} of {checkpoint.resources_total}{failed}'


def _inside(checkpoint: Checkpoint) -> str:
    return base.lines(
        f'{each["name"] or each["id"]} ({each["id"]}): {each["state"]}'
        + (f', {each["reason"]}' if each['reason'] else '')
        for each in checkpoint.resources or ()
    )


def _pinned(checkpoint: Checkpoint) -> str:
    pinned = 'yes' if checkpoint.pinned else 'no'
    if checkpoint.expires_at is None:
        return pinned
    return f'{pinned}, deleted after {words.moment(checkpoint.expires_at)}'


_ONE = (
    attribute('ID', 'id'),
    Column('Plan', _plan),
    attribute('Status', 'status'),
    attribute('Reason', 'status_reason', base.text),
    Column('Resources', _progress),
    Column('Contains', _inside),
    Column('Pinned', _pinned),
    attribute('Created', 'created_at', words.moment),
    attribute('Provider', 'provider_id'),
    attribute('Region', 'region', base.text),
)


def _add_ids_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('checkpoints', metavar='<checkpoint>', nargs='+', help=_ID_HELP)


class CreateCheckpoint(base.ShowOne):
    """Protect at once what a plan covers"""

    columns = _ONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('plan', metavar='<plan>', help='Plan (name or ID)')
        parser.add_argument(
            '--extra-info',
            metavar='<key=value>',
            action='append',
            default=[],
            help='To be kept with it (may be repeated)',
        )
        waits.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        plan = names.plan(self.protection, parsed_args.plan)
        made = self.protection.create_checkpoint(plan, _pairs(parsed_args.extra_info) or None)
        return self.shown(parsed_args, waited(self, made) if parsed_args.wait else made)


def waited(command: base.Command, checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint as it ended."""
    wait = command.protection.wait_for_checkpoint
    return waits.until_ended(command, wait, checkpoint, look_again(checkpoint))


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition('=')
        if not (key and equals):
            raise CommandError(f'{text!r} is not like key=value.')
        pairs[key] = value
    return pairs


class ListCheckpoints(base.Lister):
    """List checkpoints, the newest first"""

    shows = Checkpoint
    columns = (
        attribute('ID', 'id'),
        Column('Plan', _plan),
        attribute('Status', 'status'),
        Column('Resources', _progress),
        Column('Pinned', lambda checkpoint: 'yes' if checkpoint.pinned else ''),
        attribute('Created', 'created_at', words.moment),
    )
    long_columns = (
        attribute('Reason', 'status_reason', base.text),
        attribute('Provider', 'provider_id'),
        attribute('Region', 'region', base.text),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--plan', metavar='<plan>', help='Only of this one (name or ID)')
        parser.add_argument(
            '--volume', metavar='<volume>', help='Only those with this one (name or ID)'
        )
        parser.add_argument(
            '--status', choices=_STATUSES, help='Only these; deleted ones are shown with it only'
        )
        self.add_limit_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        query = given(status=parsed_args.status, limit=self.page_limit(parsed_args))
        if parsed_args.plan:
            query['plan_id'] = names.plan(self.protection, parsed_args.plan).id
        if parsed_args.volume:
            query['resource_id'] = names.known_volume(self.protection, parsed_args.volume).id
        checkpoints = self.protection.checkpoints(**query)
        return self.listed(parsed_args, self.limited(parsed_args, checkpoints))


class ShowCheckpoint(base.ShowOne):
    """Show a checkpoint, and what is in it"""

    columns = _ONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('checkpoint', metavar='<checkpoint>', help=_ID_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        return self.shown(parsed_args, names.checkpoint(self.protection, parsed_args.checkpoint))


class DeleteCheckpoints(base.Command):
    """Delete checkpoints and their snapshots"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_ids_to(parser)
        deletions.add_to(parser)
        waits.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        found = [names.checkpoint(self.protection, each) for each in parsed_args.checkpoints]
        snapshots = sum(
            each['size'] is not None and each['state'] in _SNAPSHOTS
            for checkpoint in found
            for each in checkpoint.resources or ()
        )
        deletions.confirm(
            parsed_args,
            f'{words.counted(len(found), "checkpoint")} with '
            f'{words.counted(snapshots, "snapshot")}.',
        )
        for checkpoint in found:
            self.protection.delete_checkpoint(checkpoint, ignore_missing=False)
        if parsed_args.wait:
            for checkpoint in found:
                waited(self, checkpoint)


class PinCheckpoints(base.Command):
    """Keep checkpoints from retention"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_ids_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        for each in parsed_args.checkpoints:
            self.protection.pin_checkpoint(names.checkpoint(self.protection, each))


class UnpinCheckpoints(base.Command):
    """Leave checkpoints to retention again"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_ids_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        for each in parsed_args.checkpoints:
            self.protection.unpin_checkpoint(names.checkpoint(self.protection, each))


class VerifyCheckpoint(base.ShowOne):
    """Look whether all of a checkpoint is still there"""

    columns = (
        attribute('ID', 'id'),
        attribute('Checkpoint', 'checkpoint_id'),
        attribute('Status', 'status'),
        attribute('Reason', 'status_reason', base.text),
        attribute('Done', 'resources_done'),
        attribute('Failed', 'resources_failed'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('checkpoint', metavar='<checkpoint>', help=_ID_HELP)
        waits.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        checkpoint = names.checkpoint(self.protection, parsed_args.checkpoint)
        made: Verification = self.protection.create_verification(checkpoint)
        if parsed_args.wait:
            wait = self.protection.wait_for_verification
            made = waits.until_ended(self, wait, made, look_again(checkpoint))
        return self.shown(parsed_args, made)
