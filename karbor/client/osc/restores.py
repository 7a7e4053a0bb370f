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
from collections.abc import Mapping, Sequence
from typing import Any

from osc_lib.exceptions import CommandError

from karbor.client.base import given
from karbor.client.checkpoints import Checkpoint
from karbor.client.osc import base, deletions, names, waits, words
from karbor.client.osc.base import Column, attribute
from karbor.client.uses import Choices, Parameters, Restore, RestoreChoices, RestoreGroup

_SAFETY_DAYS = 7  # unless it is said
_AHEAD = {'left_out': 'left out: '}


def _results(shown: Restore | RestoreGroup) -> list[dict[str, Any]]:
    """What has become of each resource."""
    if isinstance(shown, RestoreGroup):
        return [each for restore in shown.restores for each in restore['results']]
    return shown.results or []


def _made(shown: Restore | RestoreGroup) -> str:
    return base.lines(
        f'{each["id"]} in place'
        if each['new_id'] == each['id']
        else f'{each["id"]} -> {each["new_id"]}'
        for each in _results(shown)
        if each['new_id']
    )


def _failed(shown: Restore | RestoreGroup) -> str:
    """What failed, what was left out, and what could not be put back of what is well."""
    return base.lines(
        f'{each["type"]}#{each["id"]}: {_AHEAD.get(each["end"], "")}{each["reason"]}'
        for each in _results(shown)
        if each['reason']
    )


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
_GROUP = (
    attribute('ID', 'id'),
    attribute('At', 'at', base.text),
    attribute('Status', 'status'),
    Column('Restores', lambda group: base.lines(each['id'] for each in group.restores)),
    Column('New volumes', _made),
    Column('What failed', _failed),
)


_SAFETY = Column('Safety checkpoint', lambda shown: base.lines(_safety_ids(shown)))


def _columns_of(shown: Restore | RestoreGroup) -> tuple[Column, ...]:
    """The lines of the table; who makes new volumes needs none for what was overwritten."""
    columns = _GROUP if isinstance(shown, RestoreGroup) else _ONE
    return (*columns, _SAFETY) if _safety_ids(shown) else columns


def _safety_ids(shown: Restore | RestoreGroup) -> list[str]:
    """Checkpoints of what was overwritten."""
    if isinstance(shown, RestoreGroup):
        ids = [each.get('safety_checkpoint_id') for each in shown.restores]
    else:
        ids = [shown.safety_checkpoint_id]
    return [each for each in ids if each]


def _add_in_place_to(parser: argparse.ArgumentParser) -> None:
    """Options of a restore that overwrites."""
    parser.add_argument(
        '--in-place',
        action='store_true',
        help='Overwrite the volumes themselves, which must be detached, and make no new ones',
    )
    parser.add_argument(
        '--no-safety',
        action='store_true',
        help='Do not keep what is overwritten: of a volume in status error it cannot be',
    )
    parser.add_argument(
        '--accept-grown',
        action='store_true',
        help='Overwrite volumes that have grown, too; what is behind the end of the snapshot is '
        'lost',
    )
    parser.add_argument(
        '--safety-keep',
        metavar='<days>',
        type=base.positive,
        help='For how long what is overwritten is kept, in a checkpoint of its own (default: '
        f'{_SAFETY_DAYS})',
    )
    deletions.add_to(parser)


def _add_choices_to(parser: argparse.ArgumentParser) -> None:
    """Options that say how new volumes are to differ from the originals."""
    parser.add_argument(
        '--name-suffix',
        metavar='<text>',
        help='What to add to the name of each new volume (as --name-suffix=-of-monday)',
    )
    parser.add_argument(
        '--type',
        metavar='<type>',
        dest='volume_type',
        help='Volume type of all new volumes (default: that of each original)',
    )
    parser.add_argument(
        '--availability-zone',
        metavar='<zone>',
        help='Zone of all new volumes (default: that of each original)',
    )
    parser.add_argument(
        '--size',
        metavar='<GiB>',
        type=base.positive,
        help='Size of all new volumes, not smaller than that of an original (default: that)',
    )


def _choices(parsed_args: argparse.Namespace) -> Choices:
    choices: Choices = {}
    for name in ('name_suffix', 'volume_type', 'availability_zone', 'size'):
        value = getattr(parsed_args, name)
        if value is not None:
            choices[name] = value
    if parsed_args.in_place:
        _choose_in_place(parsed_args, choices)
    elif parsed_args.no_safety or parsed_args.accept_grown or parsed_args.safety_keep:
        raise CommandError('That is of a restore with --in-place.')
    return choices


def _choose_in_place(parsed_args: argparse.Namespace, choices: Choices) -> None:
    choices['in_place'] = True
    if parsed_args.no_safety:
        choices['safety'] = 'none'
    if parsed_args.accept_grown:
        choices['accept_grown'] = True
    if parsed_args.safety_keep is not None:
        choices['safety_keep'] = parsed_args.safety_keep


def _confirm(parsed_args: argparse.Namespace, volumes: Sequence[str]) -> None:
    """Say what is overwritten, and ask, if anything is.

    :raises CommandError: it is not to be.
    """
    if not parsed_args.in_place:
        return
    days = parsed_args.safety_keep or _SAFETY_DAYS
    kept = 'is lost' if parsed_args.no_safety else f'is kept for {words.counted(days, "day")}'
    deletions.confirm(
        parsed_args,
        f'This overwrites {words.counted(len(volumes), "volume")}: {", ".join(volumes)}. '
        f'What is on them now {kept}.',
        'overwrite',
    )


class CreateRestore(base.ShowOne):
    """Make new volumes of a checkpoint, or overwrite those that there are"""

    columns = _ONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'checkpoint',
            metavar='<checkpoint>',
            nargs='?',
            help='Checkpoint (ID); without it, the newest good recovery point of each --volume',
        )
        parser.add_argument(
            '--at',
            metavar='<moment>',
            help='Without a checkpoint: the last day, or moment, in UTC, to go back to',
        )
        parser.add_argument(
            '--name',
            metavar='<name>',
            help='Name of all new volumes (default: that of each original)',
        )
        parser.add_argument(
            '--description',
            metavar='<text>',
            help='Description of all new volumes (default: that of each original)',
        )
        parser.add_argument(
            '--volume',
            metavar='<volume>',
            dest='volumes',
            action='append',
            default=[],
            help='Only this one (name or ID); may be repeated',
        )
        parser.add_argument(
            '--partial', action='store_true', help='Leave out what is not good in the checkpoint'
        )
        _add_choices_to(parser)
        _add_in_place_to(parser)
        waits.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        options = {}
        if parsed_args.in_place and (parsed_args.name or parsed_args.description):
            raise CommandError('In place, volumes keep their names and descriptions.')
        if parsed_args.name is not None:
            options['restore_name'] = parsed_args.name
        if parsed_args.description is not None:
            options['restore_description'] = parsed_args.description
        parameters = {names.VOLUME: options} if options else None
        if parsed_args.checkpoint is None:
            return self._by_time(parsed_args, parameters)
        if parsed_args.at is not None:
            raise CommandError('Say either a checkpoint, or with --at a moment.')
        checkpoint = names.checkpoint(self.protection, parsed_args.checkpoint)
        choices: RestoreChoices = {**_choices(parsed_args)}
        if parsed_args.partial:
            choices['partial'] = True
        if parsed_args.volumes:
            choices['resources'] = self._named(checkpoint, parsed_args.volumes)
        _confirm(parsed_args, _overwritten(checkpoint, choices.get('resources')))
        made = self.protection.create_restore(checkpoint, parameters, **choices)
        if parsed_args.wait:
            again = f'openstack protection restore show {made.id}'
            made = waits.until_ended(self, self.protection.wait_for_restore, made, again)
        return self.shown(parsed_args, made, _columns_of(made))

    def _by_time(self, parsed_args: argparse.Namespace, parameters: Parameters | None) -> base.One:
        """Restore what is named as it was at a moment, whichever checkpoints have it.

        :raises CommandError: nothing is named, or not what the API can be asked for.
        """
        if not parsed_args.volumes or parsed_args.partial:
            raise CommandError('Say a checkpoint, or with --volume what is to be restored.')
        volumes = [names.known_volume(self.protection, each) for each in parsed_args.volumes]
        resources = [{'type': names.VOLUME, 'id': each.id} for each in volumes]
        _confirm(parsed_args, [_called(each.name, each.id) for each in volumes])
        made = self.protection.create_restore_group(
            resources, parsed_args.at, parameters=parameters, **_choices(parsed_args)
        )
        if parsed_args.wait:
            again = f'openstack protection restore group show {made.id}'
            made = waits.until_ended(self, self.protection.wait_for_restore_group, made, again)
        return self.shown(parsed_args, made, _columns_of(made))

    def _named(self, checkpoint: Checkpoint, volumes: Sequence[str]) -> list[dict[str, str]]:
        """What is named of a checkpoint.

        :raises CommandError: it has none of a name, or several.
        """
        points = list(self.protection.recovery_points(checkpoint_id=checkpoint.id))
        return [
            {'type': point.resource_type, 'id': point.resource_id}
            for point in (names.point(points, each) for each in volumes)
        ]


def _overwritten(
    checkpoint: Checkpoint, resources: Sequence[Mapping[str, Any]] | None
) -> list[str]:
    """The names of the volumes of a checkpoint, or of those that are named."""
    named = None if resources is None else {each['id'] for each in resources}
    return [
        _called(each['name'], each['id'])
        for each in checkpoint.resources or ()
        if named is None or each['id'] in named
    ]


def _called(name: str | None, volume_id: str) -> str:
    return f'{name} ({volume_id})' if name else volume_id


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
        restore = self.protection.get_restore(parsed_args.restore)
        return self.shown(parsed_args, restore, _columns_of(restore))


class ShowRestoreGroup(base.ShowOne):
    """Show restores that were asked for together, and what they have made"""

    columns = _GROUP

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('group', metavar='<group>', help='Group of restores (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        group = self.protection.get_restore_group(parsed_args.group)
        return self.shown(parsed_args, group, _columns_of(group))
