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

"""What options say of the resources and the parameters of a plan."""

import argparse
from collections.abc import Iterable
from typing import Any

from osc_lib.exceptions import CommandError

from karbor.client.osc import names, words
from karbor.client.plans import Plan
from karbor.client.proxy import Proxy

PROJECT = 'OS::Keystone::Project'
SNAPSHOT_NAME = '{plan_name}-{volume_name}'

Entry = dict[str, Any]


def add_choices_to(parser: argparse.ArgumentParser) -> None:
    """Options that choose volumes of the project."""
    for kind in ('include', 'exclude'):
        parser.add_argument(
            f'--{kind}-name',
            metavar='<glob>',
            action='append',
            default=[],
            help=f'Of the project, {kind} volumes by their names, as "db-*" (may be repeated)',
        )
        parser.add_argument(
            f'--{kind}-metadata',
            metavar='<key=glob>',
            action='append',
            default=[],
            help=f'Of the project, {kind} volumes by a label (may be repeated)',
        )


def add_options_to(parser: argparse.ArgumentParser) -> None:
    """Options of the snapshots."""
    parser.add_argument(
        '--snapshot-name',
        metavar='<name>',
        help='Name of the snapshots; words in braces stand for something '
        f'(default: {SNAPSHOT_NAME})',
    )
    parser.add_argument(
        '--force-attached',
        action=argparse.BooleanOptionalAction,
        help='Whether to take snapshots of volumes that are attached to servers, too '
        '(default: not to)',
    )


def volumes(protection: Proxy, named: Iterable[str]) -> list[Entry]:
    """Volumes as resources of a plan."""
    found = [names.volume(protection, each) for each in named]
    return [{'id': each.id, 'type': names.VOLUME, 'name': each.name} for each in found]


def project(protection: Proxy, parsed_args: argparse.Namespace) -> Entry:
    """The project as a resource of a plan, with what is chosen of it."""
    project_id = protection.own_project_id
    entry = {'id': project_id, 'type': PROJECT, 'name': project_id}
    chosen = choices(parsed_args)
    return {**entry, 'extra_info': chosen} if chosen else entry


def choices(parsed_args: argparse.Namespace) -> Entry:
    """What is included and excluded.

    :raises CommandError: a label is not like KEY=GLOB.
    """
    chosen = {}
    for kind in ('include', 'exclude'):
        found: Entry = {}
        globs = getattr(parsed_args, f'{kind}_name')
        labels = getattr(parsed_args, f'{kind}_metadata')
        if globs:
            found['names'] = globs
        if labels:
            found['metadata'] = _labels(labels)
        if found:
            chosen[kind] = found
    return chosen


def _labels(pairs: Iterable[str]) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition('=')
        if not (key and equals):
            raise CommandError(f'{pair!r} is not like key=glob.')
        labels.setdefault(key, []).append(value)
    return labels


def options(parsed_args: argparse.Namespace, before: Plan | None = None) -> Entry:
    """Parameters of a plan; what no option says stays as it was.

    :param before: the plan, if there is one.
    """
    known: Entry = {} if before is None else dict(before.parameters.get(names.VOLUME, {}))
    known.setdefault('snapshot_name', SNAPSHOT_NAME)
    known.setdefault('description', '')
    known.setdefault('force', False)
    if parsed_args.snapshot_name is not None:
        known['snapshot_name'] = parsed_args.snapshot_name
    if parsed_args.force_attached is not None:
        known['force'] = parsed_args.force_attached
    return {**({} if before is None else before.parameters), names.VOLUME: known}


def told(entry: Entry) -> str:
    """A resource of a plan, for people."""
    if entry['type'] == PROJECT:
        chosen = entry.get('extra_info') or {}
        kinds = [kind for kind in ('include', 'exclude') if kind in chosen]
        said = [f'{kind} {_told_choice(chosen[kind])}' for kind in kinds]
        return '; '.join(['all volumes of the project', *said])
    kind = 'volume' if entry['type'] == names.VOLUME else entry['type']
    return f'{kind} {entry["name"]} ({entry["id"]})'


def _told_choice(choice: Entry) -> str:
    """Names, or labels: a volume is meant by any of the names, or by all the labels."""
    labels = [
        f'{key}={value if isinstance(value, str) else ", ".join(value)}'
        for key, value in choice.get('metadata', {}).items()
    ]
    parts = (' or '.join(choice.get('names', ())), ' and '.join(labels))
    return ' or '.join(part for part in parts if part)


def short(plan: Plan) -> str:
    """What a plan is about, in a few words."""
    kinds = [entry['type'] for entry in plan.resources]
    parts = ['the project'] if PROJECT in kinds else []
    if names.VOLUME in kinds:
        parts.append(words.counted(kinds.count(names.VOLUME), 'volume'))
    others = sorted(set(kinds) - {PROJECT, names.VOLUME})
    return ', '.join([*parts, *others])
