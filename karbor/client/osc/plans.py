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

"""``openstack protection plan``"""

import argparse
from typing import Any

from osc_lib.exceptions import CommandError

from karbor.client.osc import base, deletions, names, plan_parts, words
from karbor.client.osc.base import Column, attribute
from karbor.client.plans import Plan, PlanChanges
from karbor.client.proxy import Proxy

_PLAN_HELP = 'Plan (name or ID)'


def _option(plan: Plan, name: str) -> Any:
    return plan.parameters.get(names.VOLUME, {}).get(name)


_ONE = (
    attribute('ID', 'id'),
    attribute('Name', 'name'),
    attribute('Description', 'description', base.text),
    attribute('Provider', 'provider_id'),
    Column('Protects', lambda plan: base.lines(map(plan_parts.told, plan.resources))),
    Column('Snapshot name', lambda plan: base.text(_option(plan, 'snapshot_name'))),
    Column('Force attached', lambda plan: 'yes' if _option(plan, 'force') else 'no'),
)


class CreatePlan(base.ShowOne):
    """Make a plan: what is protected together.

    It covers volumes that are named, or with --project all volumes of the project, those that are
    made later, too. --include-name and the like choose some of these.
    """

    columns = _ONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='<name>', help='Name of the plan')
        parser.add_argument('--description', metavar='<text>', help='What it is for')
        parser.add_argument(
            '--provider',
            metavar='<provider>',
            help='Who protects (name or ID; default: the only one that there is)',
        )
        parser.add_argument(
            '--volume',
            metavar='<volume>',
            action='append',
            default=[],
            help='Protect this volume (name or ID; may be repeated)',
        )
        parser.add_argument('--project', action='store_true', help='Protect the whole project')
        plan_parts.add_choices_to(parser)
        plan_parts.add_options_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        resources = plan_parts.volumes(self.protection, parsed_args.volume)
        if parsed_args.project or plan_parts.choices(parsed_args):
            resources.append(plan_parts.project(self.protection, parsed_args))
        if not resources:
            raise CommandError('Say what the plan protects, with --volume or --project.')
        plan = self.protection.create_plan(
            parsed_args.name,
            names.provider(self.protection, parsed_args.provider),
            resources,
            parameters=plan_parts.options(parsed_args),
            description=parsed_args.description,
        )
        return self.shown(parsed_args, plan)


class SetPlan(base.Command):
    """Change a plan"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('plan', metavar='<plan>', help=_PLAN_HELP)
        parser.add_argument('--name', metavar='<name>', help='New name')
        parser.add_argument('--description', metavar='<text>', help='New description')
        parser.add_argument(
            '--volume',
            metavar='<volume>',
            action='append',
            default=[],
            help='Protect this volume, too (name or ID; may be repeated)',
        )
        parser.add_argument(
            '--project',
            action='store_true',
            help='Protect the whole project, or what is chosen of it from now on',
        )
        plan_parts.add_choices_to(parser)
        plan_parts.add_options_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        plan = names.plan(self.protection, parsed_args.plan)
        changes: PlanChanges = {}
        if parsed_args.name is not None:
            changes['name'] = parsed_args.name
        if parsed_args.description is not None:
            changes['description'] = parsed_args.description
        resources = self._resources(plan, parsed_args)
        if resources != plan.resources:
            changes['resources'] = resources
        if parsed_args.snapshot_name is not None or parsed_args.force_attached is not None:
            changes['parameters'] = plan_parts.options(parsed_args, plan)
        if changes:
            self.protection.update_plan(plan, **changes)

    def _resources(self, plan: Plan, parsed_args: argparse.Namespace) -> list[plan_parts.Entry]:
        """Those it has, and those to be added; what is chosen of the project is chosen anew."""
        known = list(plan.resources)
        if parsed_args.project or plan_parts.choices(parsed_args):
            known = [entry for entry in known if entry['type'] != plan_parts.PROJECT]
            known.append(plan_parts.project(self.protection, parsed_args))
        ids = {entry['id'] for entry in known}
        added = plan_parts.volumes(self.protection, parsed_args.volume)
        return known + [entry for entry in added if entry['id'] not in ids]


class UnsetPlan(base.Command):
    """Take something out of a plan"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('plan', metavar='<plan>', help=_PLAN_HELP)
        parser.add_argument('--description', action='store_true', help='Remove the description')
        parser.add_argument(
            '--volume',
            metavar='<volume>',
            action='append',
            default=[],
            help='Do not protect this volume any more (name or ID; may be repeated)',
        )
        parser.add_argument(
            '--project', action='store_true', help='Do not protect the whole project any more'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        plan = names.plan(self.protection, parsed_args.plan)
        changes: PlanChanges = {'description': None} if parsed_args.description else {}
        removed = [_of(plan, each)['id'] for each in parsed_args.volume]
        kept = [
            entry
            for entry in plan.resources
            if entry['id'] not in removed
            and not (parsed_args.project and entry['type'] == plan_parts.PROJECT)
        ]
        if not kept:
            raise CommandError('A plan protects something; delete it instead.')
        if kept != plan.resources:
            changes['resources'] = kept
        if changes:
            self.protection.update_plan(plan, **changes)


def _of(plan: Plan, name_or_id: str) -> plan_parts.Entry:
    """A volume of a plan, which need not be in Cinder any more."""
    found = [
        entry
        for entry in plan.resources
        if entry['type'] == names.VOLUME and name_or_id in (entry['id'], entry['name'])
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(f'The plan {plan.name} has no volume {name_or_id}.')
    ids = ', '.join(entry['id'] for entry in found)
    raise CommandError(
        f'More than one volume of the plan is called {name_or_id}; take one by its ID: {ids}'
    )


class ListPlans(base.Lister):
    """List plans"""

    shows = Plan
    columns = (
        attribute('ID', 'id'),
        attribute('Name', 'name'),
        Column('Protects', plan_parts.short),
        attribute('Description', 'description', base.text),
    )
    long_columns = (
        attribute('Provider', 'provider_id'),
        Column('Snapshot name', lambda plan: base.text(_option(plan, 'snapshot_name'))),
        Column('Force attached', lambda plan: 'yes' if _option(plan, 'force') else 'no'),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        return self.listed(parsed_args, self.protection.plans(sort='name:asc,id:asc'))


class ShowPlan(base.ShowOne):
    """Show a plan, and what it covers now"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('plan', metavar='<plan>', help=_PLAN_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        plan = names.plan(self.protection, parsed_args.plan)
        if base.is_for_people(parsed_args):
            covered = _covered(self.protection, plan)
            self.columns = (*_ONE, Column('Covers now', lambda _plan: covered))
        return self.shown(parsed_args, plan)


def _covered(protection: Proxy, plan: Plan) -> str:
    volumes = [
        each
        for each in protection.plan_resources(plan)
        if each.covered and each.type == names.VOLUME
    ]
    volume_names = ', '.join(sorted(each.name or each.id for each in volumes))
    return f'{words.counted(len(volumes), "volume")}{": " if volumes else ""}{volume_names}'


class DeletePlans(base.Command):
    """Delete plans; their checkpoints stay"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('plans', metavar='<plan>', nargs='+', help=_PLAN_HELP)
        deletions.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        plans = [names.plan(self.protection, each) for each in parsed_args.plans]
        named = ', '.join(plan.name for plan in plans)
        deletions.confirm(
            parsed_args,
            f'{words.counted(len(plans), "plan")} ({named}); their checkpoints stay.',
        )
        for plan in plans:
            self.protection.delete_plan(plan, ignore_missing=False)
