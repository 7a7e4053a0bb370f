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

"""``openstack protection schedule``"""

import argparse
import itertools
from collections.abc import Sequence
from typing import cast

from osc_lib.exceptions import CommandError

from karbor.client.base import given
from karbor.client.operation_logs import OperationLog
from karbor.client.osc import base, deletions, jobs, names, schedule_parts, waits, words
from karbor.client.osc.base import Column, attribute
from karbor.client.plans import Plan
from karbor.client.schedules import Schedule, ScheduleChanges, SchedulePreview

_HELP = 'Schedule (name or ID)'


def _last_run(schedule: Schedule) -> str:
    run = schedule.last_run
    if run is None:
        return ''
    told = f'{run["status"]}, {words.moment(run["started_at"])}'
    return f'{told}: {run["error_info"]}' if run['error_info'] else told


_ONE = (
    attribute('ID', 'id'),
    attribute('Name', 'name'),
    attribute('Description', 'description', base.text),
    attribute('Plan', 'plan_id'),
    Column('When', schedule_parts.when),
    Column('Keeps', schedule_parts.keeps),
    Column('Enabled', lambda schedule: 'yes' if schedule.enabled else 'no'),
    Column('Last run', _last_run),
    Column('Next fires', schedule_parts.fires),
)


def _with_plan(plan: Plan | None) -> Sequence[Column]:
    """The lines of a schedule, with the name of its plan."""
    if plan is None:
        return _ONE
    named = Column('Plan', lambda _schedule: f'{plan.name} ({plan.id})')
    return [named if column.title == named.title else column for column in _ONE]


def _add_schedule_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('schedule', metavar='<schedule>', help=_HELP)


class CreateSchedule(base.ShowOne):
    """Have a plan protected again and again; it tells what a year of it would keep"""

    columns: Sequence[Column] = _ONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='<name>', help='Name of the schedule')
        parser.add_argument(
            '--plan', metavar='<plan>', required=True, help='What is protected (name or ID)'
        )
        parser.add_argument('--description', metavar='<text>', help='What it is for')
        parser.add_argument('--disable', action='store_true', help='Do not let it run yet')
        schedule_parts.add_times_to(parser, required=True)
        schedule_parts.add_rules_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        plan = names.plan(self.protection, parsed_args.plan)
        fields = _fields(parsed_args)
        made = self.protection.create_schedule(
            parsed_args.name,
            plan,
            **fields,
            description=parsed_args.description,
            enabled=not parsed_args.disable,
        )
        if base.is_for_people(parsed_args):
            told = schedule_parts.year(self.protection.preview_schedule(plan=plan, **fields))
            self.columns = (*_with_plan(plan), Column('A year of it', lambda _schedule: told))
        return self.shown(parsed_args, made)


def _fields(parsed_args: argparse.Namespace) -> schedule_parts.Fields:
    """What options say; without any rule, all is kept."""
    fields = schedule_parts.times(parsed_args)
    rules = schedule_parts.rules(parsed_args)
    return {**fields, 'retention': rules} if rules else fields


class SetSchedule(base.Command):
    """Change a schedule"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_schedule_to(parser)
        parser.add_argument('--name', metavar='<name>', help='New name')
        parser.add_argument('--plan', metavar='<plan>', help='What is protected (name or ID)')
        parser.add_argument('--description', metavar='<text>', help='New description')
        schedule_parts.add_times_to(parser, required=False)
        schedule_parts.add_rules_to(parser)
        parser.add_argument(
            '--keep-all',
            action='store_true',
            help='Keep all; a single rule ends with the number 0',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        schedule = names.schedule(self.protection, parsed_args.schedule)
        fields = _fields(parsed_args)
        if parsed_args.keep_all:
            if 'retention' in fields:
                raise CommandError('--keep-all does not go with rules.')
            fields['retention'] = None
        for name in ('name', 'description'):
            if getattr(parsed_args, name) is not None:
                fields[name] = getattr(parsed_args, name)
        if parsed_args.plan:
            fields['plan_id'] = names.plan(self.protection, parsed_args.plan).id
        if fields:
            self.protection.update_schedule(schedule, **cast(ScheduleChanges, fields))


class ListSchedules(base.Lister):
    """List schedules"""

    shows = Schedule
    columns = (
        attribute('ID', 'id'),
        attribute('Name', 'name'),
        Column('When', schedule_parts.when),
        Column('Keeps', schedule_parts.keeps),
        Column('Enabled', lambda schedule: 'yes' if schedule.enabled else 'no'),
        attribute('Next run', 'next_run_at', words.until),
        Column('Last run', _last_run),
    )
    long_columns = (
        attribute('Plan', 'plan_id'),
        attribute('Description', 'description', base.text),
        attribute('Overlap', 'overlap'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--plan', metavar='<plan>', help='Only of this one (name or ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        sort = 'name:asc,id:asc'
        if parsed_args.plan:
            plan = names.plan(self.protection, parsed_args.plan)
            found = self.protection.schedules(sort=sort, plan_id=plan.id)
        else:
            found = self.protection.schedules(sort=sort)
        return self.listed(parsed_args, found)


class ShowSchedule(base.ShowOne):
    """Show a schedule, and when it fires next"""

    columns: Sequence[Column] = _ONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_schedule_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        schedule = names.schedule(self.protection, parsed_args.schedule)
        if base.is_for_people(parsed_args):
            self.columns = _with_plan(self.protection.find_plan(schedule.plan_id))
        return self.shown(parsed_args, self.protection.get_schedule(schedule))


class DeleteSchedules(base.Command):
    """Delete schedules; what they have made stays"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('schedules', metavar='<schedule>', nargs='+', help=_HELP)
        deletions.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        schedules = [names.schedule(self.protection, each) for each in parsed_args.schedules]
        named = ', '.join(schedule.name for schedule in schedules)
        deletions.confirm(
            parsed_args,
            f'{words.counted(len(schedules), "schedule")} ({named}); what was made stays, and is '
            'not removed by their retention any more.',
        )
        for schedule in schedules:
            self.protection.delete_schedule(schedule, ignore_missing=False)


class _Switch(base.Command):
    """:ivar enabled: what the schedules are to be."""

    enabled: bool

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('schedules', metavar='<schedule>', nargs='+', help=_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        for each in parsed_args.schedules:
            schedule = names.schedule(self.protection, each)
            self.protection.update_schedule(schedule, enabled=self.enabled)


class EnableSchedules(_Switch):
    """Let schedules run"""

    enabled = True


class DisableSchedules(_Switch):
    """Let schedules run no more, until they are enabled again"""

    enabled = False


class RunSchedule(base.ShowOne):
    """Run a schedule at once"""

    columns = jobs.ShowJob.columns

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_schedule_to(parser)
        waits.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        schedule = names.schedule(self.protection, parsed_args.schedule)
        run = self.protection.run_scheduled_operation(schedule.id)
        return self.shown(parsed_args, jobs.waited(self, run) if parsed_args.wait else run)


class ListRuns(base.Lister):
    """List what a schedule has done, the newest first"""

    shows = OperationLog
    columns = jobs.ListJobs.columns
    long_columns = jobs.ListJobs.long_columns

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_schedule_to(parser)
        self.add_limit_to(parser, 20)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Rows:
        schedule = names.schedule(self.protection, parsed_args.schedule)
        query = given(scheduled_operation_id=schedule.id, limit=self.page_limit(parsed_args))
        logs = self.protection.operation_logs(**query)
        return self.listed(parsed_args, self.limited(parsed_args, logs))


def _weeks(preview: SchedulePreview) -> str:
    """How it goes on from week to week; weeks that are alike are told at once."""
    told = []
    for (runs, kept), alike in itertools.groupby(
        preview.weeks, lambda week: (week['runs'], week['recovery_points'])
    ):
        first, *others = [week['week'] for week in alike]
        last = f' to {others[-1]}' if others else ''
        told.append(f'{first}{last}: {words.counted(runs, "run")}, {kept} kept')
    return base.lines(told)


class PreviewSchedule(base.ShowOne):
    """Tell what a schedule would come to; nothing is made"""

    columns = (
        Column('Next fires', schedule_parts.fires),
        attribute('Runs in a year', 'runs'),
        Column('A year of it', schedule_parts.year),
        Column('Kept at the end of each week', _weeks),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--plan', metavar='<plan>', help='Count what it needs for this one (name or ID)'
        )
        schedule_parts.add_times_to(parser, required=True)
        schedule_parts.add_rules_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.One:
        plan = names.plan(self.protection, parsed_args.plan) if parsed_args.plan else None
        fields = _fields(parsed_args)
        return self.shown(parsed_args, self.protection.preview_schedule(plan=plan, **fields))
