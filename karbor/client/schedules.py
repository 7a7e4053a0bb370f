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

"""Schedules: a trigger and what is done when it fires, as one."""

from collections.abc import Iterator
from typing import Any, TypedDict, Unpack

from openstack.resource import Body

from karbor.client import base, retention
from karbor.client.plans import Plan

_PATH = '/schedules'


class Schedule(base.Resource):
    """When a plan is protected, and how much is kept.

    Its id is that of its scheduled operation, by which it can be run at once
    (``run_scheduled_operation``), and by which operation logs know its runs.
    """

    resource_key = 'schedule'
    resources_key = 'schedules'
    base_path = _PATH
    allow_delete = True

    name: str = Body('name')
    project_id: str = Body('project_id')
    description: str | None = Body('description')
    plan_id: str = Body('plan_id')
    provider_id: str = Body('provider_id')
    trigger_id: str = Body('trigger_id')
    #: whether it runs
    enabled: bool = Body('enabled')
    #: ``crontab`` or ``calendar``
    format: str = Body('format')
    pattern: str = Body('pattern')
    timezone: str = Body('timezone')
    #: in UTC
    start_time: str = Body('start_time')
    #: in UTC
    end_time: str | None = Body('end_time')
    #: in seconds
    window: int = Body('window')
    catch_up: str = Body('catch_up')
    #: in seconds
    jitter: int = Body('jitter')
    #: ``skip`` or ``queue``
    overlap: str = Body('overlap')
    #: the rules; None keeps all
    retention: dict[str, Any] | None = Body('retention')
    next_run_at: str | None = Body('next_run_at')
    #: ``operation_log_id``, ``status``, ``checkpoint_id``, ``started_at``, ``ended_at`` and
    #: ``error_info``
    last_run: dict[str, Any] | None = Body('last_run')
    #: each in ``utc`` and ``local``; where one schedule is shown
    next_fires: list[dict[str, str]] | None = Body('next_fires')


class SchedulePreview(base.Resource):
    """What a schedule would come to in a year."""

    resource_key = 'preview'
    allow_fetch = False

    timezone: str = Body('timezone')
    #: each in ``utc`` and ``local``
    next_fires: list[dict[str, str]] = Body('next_fires')
    begins_at: str = Body('begins_at')
    ends_at: str = Body('ends_at')
    #: false where it was too much to look so far
    is_whole_year: bool = Body('is_whole_year')
    runs: int = Body('runs')
    #: each has ``week``, ``ends_at``, ``runs``, ``recovery_points`` and ``oldest_at``
    weeks: list[dict[str, Any]] = Body('weeks')
    #: ``recovery_points``, ``recovery_points_at_once``, ``volumes``, ``snapshots``, ``gigabytes``
    most: dict[str, int | None] = Body('most')
    #: what was left out
    remarks: list[str] = Body('remarks')


class ScheduleQuery(base.ProjectsPage, total=False):
    """What schedules are listed; ``name`` is looked for as a part."""

    name: str
    plan_id: str
    enabled: bool


class ScheduleOptions(TypedDict, total=False):
    """What of a schedule need not be said; None is as if it were not.

    :ivar window: in seconds.
    :ivar jitter: in seconds.
    :ivar overlap: ``skip`` or ``queue``.
    :ivar retention: the rules; in a change those that are named, of which one that is None goes.
    """

    description: str | None
    provider_id: str | None
    enabled: bool
    timezone: str | None
    start_time: str | None
    end_time: str | None
    window: int | None
    catch_up: str | None
    jitter: int | None
    overlap: str | None
    retention: retention.OperationRules | None


class ScheduleChanges(ScheduleOptions, total=False):
    """What of a schedule can be changed."""

    name: str
    plan_id: str
    format: str
    pattern: str


class Calls(base.ServiceProxy):
    def schedules(self, **query: Unpack[ScheduleQuery]) -> Iterator[Schedule]:
        """List schedules, the newest first."""
        return self._listed(Schedule, _PATH, query)

    def create_schedule(
        self,
        name: str,
        plan: Plan | str,
        pattern: str,
        *,
        format: str = 'crontab',
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Have a plan protected again and again.

        :param plan: it, or its id.
        :param pattern: when, in the form of the format.
        :param format: ``crontab`` or ``calendar``.
        """
        fields = {
            'name': name,
            'plan_id': base.id_of(plan),
            'format': format,
            'pattern': pattern,
            **options,
        }
        return self._sent('POST', _PATH, Schedule, fields)

    def get_schedule(self, schedule: Schedule | str) -> Schedule:
        """Show one schedule, with its next fires."""
        return self._fetched(Schedule, base.part(_PATH, schedule))

    def find_schedule(self, name_or_id: str, ignore_missing: bool = True) -> Schedule | None:
        """Find a schedule by its id or name.

        :raises DuplicateResource: several have the name; their ids are in the message.
        :raises NotFoundException: there is none, and ``ignore_missing`` is false.
        """
        return self._found(Schedule, _PATH, name_or_id, ignore_missing)

    def update_schedule(
        self, schedule: Schedule | str, **changes: Unpack[ScheduleChanges]
    ) -> Schedule:
        """Change a schedule, or switch it off and on."""
        return self._sent('PUT', base.part(_PATH, schedule), Schedule, changes)

    def delete_schedule(self, schedule: Schedule | str, ignore_missing: bool = True) -> None:
        """Delete a schedule. What it has made stays."""
        self._removed(base.part(_PATH, schedule), ignore_missing)

    def preview_schedule(
        self,
        pattern: str,
        plan: Plan | str | None = None,
        *,
        format: str = 'crontab',
        **options: Unpack[ScheduleOptions],
    ) -> SchedulePreview:
        """Tell what a schedule would come to; nothing is made.

        :param plan: of which the snapshots and gigabytes are counted.
        """
        fields = {'format': format, 'pattern': pattern, **options}
        if plan is not None:
            fields['plan_id'] = base.id_of(plan)
        shown = self._ask('POST', f'{_PATH}/preview', {'schedule': fields})['preview']
        return self._shown(SchedulePreview, shown)
