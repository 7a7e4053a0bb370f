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

"""``/coverage``"""

import datetime

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.common.constants import CoverageState
from karbor.db import models, paging
from karbor.services.checkpoints import coverage, coverage_rules

FILTERS = {
    'state': {'enum': sorted(CoverageState)},
    'name': schema.FILTER,
    'plan_id': schema.FILTER,
}

_NAMED = {'id': schema.UUID, 'name': schema.TEXT}
_COUNT_OR_NULL: schema.Schema = {'type': ['integer', 'null'], 'minimum': 0}
_LAST_FAILURE: schema.Schema = {
    **schema.shown('LastFailure', {'at': schema.MOMENT, 'reason': schema.TEXT_OR_NULL}),
    'type': ['object', 'null'],
}

COVERED = schema.shown(
    'CoveredVolume',
    {
        'id': schema.TEXT,
        'name': schema.TEXT,
        'volume_status': schema.TEXT_OR_NULL,
        'size': _COUNT_OR_NULL,
        'state': schema.TEXT,
        'reason': schema.TEXT,
        'last_good_at': schema.MOMENT_OR_NULL,
        'last_good_age': _COUNT_OR_NULL,
        'last_good_checkpoint_id': schema.TEXT_OR_NULL,
        'oldest_good_at': schema.MOMENT_OR_NULL,
        'recovery_points': schema.INTEGER,
        'recovery_points_missing': schema.INTEGER,
        'plans': {'type': 'array', 'items': schema.shown('CoveringPlan', _NAMED)},
        'schedules': {
            'type': 'array',
            'items': schema.shown(
                'CoveringSchedule',
                {
                    **_NAMED,
                    'plan_id': schema.UUID,
                    'enabled': {'type': 'boolean'},
                    'next_run_at': schema.MOMENT_OR_NULL,
                },
            ),
        },
        'next_run_at': schema.MOMENT_OR_NULL,
        'last_failure': _LAST_FAILURE,
    },
)

LOOK = schema.shown(
    'CoverageLook',
    {
        'seen_at': schema.MOMENT_OR_NULL,
        'fault': schema.TEXT_OR_NULL,
        'remark': schema.TEXT_OR_NULL,
    },
)

TOTALS = schema.shown('CoverageTotals', dict.fromkeys(sorted(CoverageState), schema.INTEGER))

LISTING = query.Listing('coverage', FILTERS, has_tenants=False)


def view(detail: coverage.Detail, now: datetime.datetime) -> Object:
    covered, good = detail.covered, detail.last_good
    good_at = None if good is None else good.taken_at or good.created_at
    return {
        'id': covered.id,
        'name': covered.name,
        'volume_status': covered.status,
        'size': covered.size,
        'state': covered.verdict.state,
        'reason': covered.verdict.reason,
        'last_good_at': query.shown_moment_or_none(good_at),
        'last_good_age': None
        if good_at is None
        else max(0, round((now - good_at).total_seconds())),
        'last_good_checkpoint_id': None if good is None else good.checkpoint_id,
        'oldest_good_at': query.shown_moment_or_none(covered.oldest_good_at),
        'recovery_points': covered.points.good,
        'recovery_points_missing': covered.points.missing,
        'plans': [{'id': plan.id, 'name': plan.name} for plan in covered.plans],
        'schedules': [view_schedule(schedule) for schedule in covered.schedules],
        'next_run_at': query.shown_moment_or_none(covered.next_run_at),
        'last_failure': view_failure(detail),
    }


def view_schedule(schedule: coverage_rules.Schedule) -> Object:
    return {
        'id': schedule.id,
        'name': schedule.name,
        'plan_id': schedule.plan_id,
        'enabled': schedule.is_enabled,
        'next_run_at': query.shown_moment_or_none(
            schedule.next_run_at if schedule.is_enabled else None
        ),
    }


def view_failure(detail: coverage.Detail) -> Object | None:
    """The newest of what has failed: a recovery point, or a run that came to none."""
    failures = [
        (schedule.failed_at, schedule.failure)
        for schedule in detail.covered.schedules
        if schedule.failed_at is not None
    ]
    failed: models.RecoveryPoint | None = detail.last_failed
    if failed is not None:
        failures.append((failed.created_at, failed.reason))
    if not failures:
        return None
    failed_at, reason = max(failures, key=lambda failure: failure[0])
    return {'at': query.shown_moment(failed_at), 'reason': reason}


class Coverage(Handler):
    @operation(
        'coverage:get_all',
        schema.listed('coverage', COVERED, {'look': LOOK, 'totals': TOTALS}),
        listing=LISTING,
    )
    def on_get(
        self, context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        report = self.services.coverage.report(context, selection)
        look = report.look
        beside: Object = {
            'look': {
                'seen_at': query.shown_moment_or_none(look.seen_at),
                'fault': look.fault,
                'remark': look.remark,
            }
        }
        if report.totals is not None:
            beside['totals'] = report.totals
        items = [view(detail, report.now) for detail in report.details]
        return items, report.has_more, beside
