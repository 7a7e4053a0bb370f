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

"""``/schedules``"""

import datetime
import zoneinfo
from collections.abc import Sequence

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.api.v1 import retention, triggers
from karbor.db import paging
from karbor.services.schedules import forecasts, previews, schedules
from karbor.services.schedules.runs import Overlap

_RULE_OR_NULL = {name: schema.or_null(rule) for name, rule in retention.RULES_OF_SCHEDULE.items()}

# What stands in the times and in the retention is checked in karbor.services.schedules. Whatever
# is null is as if it were left out, or removes what is there.
_FIELDS: schema.Schema = {
    'name': schema.NAME,
    'description': schema.DESCRIPTION,
    'plan_id': schema.UUID,
    'provider_id': schema.or_null(schema.UUID),
    'enabled': {'type': 'boolean'},
    **{
        name: schema.or_null(rule) if name in triggers.REMOVABLE else rule
        for name, rule in triggers.PROPERTIES['properties'].items()
    },
    'overlap': {'enum': [*Overlap, None]},
    'retention': schema.or_null(schema.strict(_RULE_OR_NULL, [])),
}

CREATE = schema.wrapped(
    'schedule', schema.strict(_FIELDS, ['name', 'plan_id', 'format', 'pattern'])
)
UPDATE = schema.wrapped('schedule', {**schema.strict(_FIELDS, []), 'minProperties': 1})
PREVIEW = schema.wrapped(
    'schedule',
    schema.strict({**_FIELDS, 'plan_id': schema.or_null(schema.UUID)}, ['format', 'pattern']),
)

_RUN: schema.Schema = {
    **schema.shown(
        'LastRun',
        {
            'operation_log_id': schema.UUID,
            'status': schema.TEXT,
            'checkpoint_id': schema.TEXT_OR_NULL,
            'started_at': schema.MOMENT,
            'ended_at': schema.MOMENT_OR_NULL,
            'error_info': schema.TEXT_OR_NULL,
        },
    ),
    'type': ['object', 'null'],
}

SCHEDULE = schema.shown(
    'Schedule',
    {
        'id': schema.UUID,
        'project_id': schema.TEXT,
        'name': schema.TEXT,
        'description': schema.TEXT_OR_NULL,
        'plan_id': schema.UUID,
        'provider_id': schema.UUID,
        'trigger_id': schema.UUID,
        'enabled': {'type': 'boolean'},
        'format': schema.TEXT,
        'pattern': schema.TEXT,
        'timezone': schema.TEXT,
        'start_time': schema.TEXT,
        'end_time': schema.TEXT_OR_NULL,
        'window': schema.INTEGER,
        'catch_up': schema.TEXT,
        'jitter': schema.INTEGER,
        'overlap': schema.TEXT,
        'retention': {'type': ['object', 'null']},
        'next_run_at': schema.MOMENT_OR_NULL,
        'last_run': _RUN,
    },
)

_FIRES: schema.Schema = {
    'type': 'array',
    'items': schema.shown('Fire', {'utc': schema.MOMENT, 'local': schema.MOMENT}),
}
DETAILED_SCHEDULE = schema.shown(
    'DetailedSchedule', {**SCHEDULE['properties'], 'next_fires': _FIRES}
)

_COUNT_OR_NULL: schema.Schema = {'type': ['integer', 'null'], 'minimum': 0}
PREVIEWED = schema.shown(
    'SchedulePreview',
    {
        'timezone': schema.TEXT,
        'next_fires': _FIRES,
        'begins_at': schema.MOMENT,
        'ends_at': schema.MOMENT,
        'is_whole_year': {'type': 'boolean'},
        'runs': schema.INTEGER,
        'weeks': {
            'type': 'array',
            'items': schema.shown(
                'ForecastWeek',
                {
                    'week': schema.TEXT,
                    'ends_at': schema.MOMENT,
                    'runs': schema.INTEGER,
                    'recovery_points': schema.INTEGER,
                    'oldest_at': schema.MOMENT_OR_NULL,
                },
            ),
        },
        'most': schema.shown(
            'ForecastMost',
            {
                'recovery_points': schema.INTEGER,
                'recovery_points_at_once': schema.INTEGER,
                'volumes': _COUNT_OR_NULL,
                'snapshots': _COUNT_OR_NULL,
                'gigabytes': _COUNT_OR_NULL,
            },
        ),
        'remarks': {'type': 'array', 'items': schema.TEXT},
    },
)

FILTERS = {'name': schema.FILTER, 'plan_id': schema.FILTER}
LISTING = query.Listing('schedules', FILTERS, ('id', 'name', 'created_at'))
ONE = schema.wrapped('schedule', DETAILED_SCHEDULE)


def view(schedule: schedules.Schedule) -> Object:
    row, last_run = schedule.operation, schedule.last_run
    return {
        'id': row.id,
        'project_id': row.project_id,
        'name': row.name,
        'description': row.description,
        'plan_id': row.plan_id,
        'provider_id': row.operation_definition['provider_id'],
        'trigger_id': row.trigger_id,
        'enabled': row.enabled,
        **schedule.times,
        'overlap': schedule.overlap,
        'retention': schedule.retention,
        'next_run_at': query.shown_moment_or_none(schedule.next_run_at),
        'last_run': None
        if last_run is None
        else {
            'operation_log_id': last_run.id,
            'status': last_run.status,
            'checkpoint_id': last_run.checkpoint_id,
            'started_at': query.shown_moment_or_none(last_run.started_at),
            'ended_at': query.shown_moment_or_none(last_run.ended_at),
            'error_info': last_run.error_info,
        },
    }


def view_of_preview(preview: previews.Preview) -> Object:
    forecast = preview.forecast
    zone = zoneinfo.ZoneInfo(preview.timezone)
    return {
        'timezone': preview.timezone,
        'next_fires': _fires(preview.next_fires, zone),
        'begins_at': _local(forecast.begins_at, zone),
        'ends_at': _local(forecast.ends_at, zone),
        'is_whole_year': forecast.limit is None,
        'runs': forecast.runs,
        'weeks': [_view_of_week(week, zone) for week in forecast.weeks],
        'most': _view_of_most(forecast, preview.volumes),
        'remarks': list(preview.remarks),
    }


def _view_of_most(forecast: forecasts.Forecast, volumes: previews.Volumes | None) -> Object:
    return {
        'recovery_points': forecast.kept,
        'recovery_points_at_once': forecast.at_once,
        'volumes': None if volumes is None else volumes.count,
        'snapshots': None if volumes is None else forecast.at_once * volumes.count,
        'gigabytes': None if volumes is None else forecast.at_once * volumes.gigabytes,
    }


def _view_of_week(week: forecasts.Week, zone: zoneinfo.ZoneInfo) -> Object:
    return {
        'week': week.name,
        'ends_at': _local(week.ends_at, zone),
        'runs': week.runs,
        'recovery_points': week.kept,
        'oldest_at': None if week.oldest_at is None else _local(week.oldest_at, zone),
    }


def _fires(fires: Sequence[datetime.datetime], zone: zoneinfo.ZoneInfo) -> list[Object]:
    return [{'utc': _local(fire, datetime.UTC), 'local': _local(fire, zone)} for fire in fires]


def _local(moment: datetime.datetime, zone: datetime.tzinfo) -> str:
    """A moment by the clocks of a zone, in seconds, with its offset."""
    return moment.replace(tzinfo=datetime.UTC).astimezone(zone).isoformat(timespec='seconds')


class _ScheduleHandler(Handler):
    def _detailed(self, schedule: schedules.Schedule) -> Object:
        """One with its next fires, which a list does not look for."""
        zone = zoneinfo.ZoneInfo(schedule.times['timezone'])
        return {'schedule': {**view(schedule), 'next_fires': _fires(schedule.next_fires(), zone)}}


class Schedules(_ScheduleHandler):
    @operation(
        'schedule:list',
        schema.listed('schedules', SCHEDULE),
        listing=LISTING,
        parameters=(query.ENABLED,),
    )
    def on_get(
        self,
        _context: karbor_context.RequestContext,
        selection: paging.Selection,
        enabled: bool | None,
    ) -> query.Items:
        items, has_more = self.services.schedules.page(selection, enabled)
        return [view(item) for item in items], has_more

    @operation('schedule:create', ONE, body=CREATE)
    def on_post(self, context: karbor_context.RequestContext, body: Object) -> Object:
        return self._detailed(self.services.schedules.create(context, body['schedule']))


class Schedule(_ScheduleHandler):
    @operation('schedule:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, schedule_id: str) -> Object:
        return self._detailed(self.services.schedules.get(context, schedule_id))

    @operation('schedule:update', ONE, body=UPDATE)
    def on_put(
        self, context: karbor_context.RequestContext, schedule_id: str, body: Object
    ) -> Object:
        changed = self.services.schedules.update(context, schedule_id, body['schedule'])
        return self._detailed(changed)

    @operation('schedule:delete')
    def on_delete(self, context: karbor_context.RequestContext, schedule_id: str) -> None:
        self.services.schedules.delete(context, schedule_id)


class Preview(Handler):
    """What a schedule would come to; nothing is made."""

    @operation('schedule:preview', schema.wrapped('preview', PREVIEWED), body=PREVIEW)
    def on_post(self, context: karbor_context.RequestContext, body: Object) -> Object:
        preview = self.services.schedule_previews.preview(context, body['schedule'])
        return {'preview': view_of_preview(preview)}
