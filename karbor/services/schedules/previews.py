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

"""What schedules that are not there yet would come to."""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oslo_utils import timeutils

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.db import coverage as coverage_rows
from karbor.db import models, paging
from karbor.db import plans as plan_rows
from karbor.services.checkpoints.coverage import Coverage
from karbor.services.checkpoints.plan_resources import PlanResources
from karbor.services.schedules import (
    forecasts,
    property_changes,
    retention,
    retention_scopes,
    schedules,
    time_triggers,
    triggers,
)

#: Volumes of a plan that are counted.
MOST_VOLUMES = 10_000

_TYPES = {constants.PROJECT_RESOURCE_TYPE, constants.VOLUME_RESOURCE_TYPE}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Volumes:
    """The volumes that each run makes snapshots of.

    :ivar gigabytes: of all together, in GiB.
    :ivar remarks: what is not counted, as sentences.
    """

    count: int
    gigabytes: int
    remarks: Sequence[str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What a schedule would come to.

    :ivar next_fires: UTC without a zone.
    :ivar volumes: None where no plan is named, or the cloud does not tell.
    :ivar remarks: what was left out and what the numbers do not say, as sentences.
    """

    timezone: str
    next_fires: Sequence[datetime.datetime]
    forecast: forecasts.Forecast
    volumes: Volumes | None
    remarks: Sequence[str]


class SchedulePreviews:
    """What the API asks about schedules before they are made.

    :param plan_resources: tells what plans cover.
    :param coverage: looks how large the volumes are.
    """

    def __init__(self, plan_resources: PlanResources, coverage: Coverage) -> None:
        self._plan_resources = plan_resources
        self._coverage = coverage

    def preview(self, context: karbor_context.RequestContext, fields: Mapping[str, Any]) -> Preview:
        """What a schedule would come to.

        :param fields: as of :meth:`schedules.Schedules.create`, but only format and pattern must
            be there.
        :raises InvalidInput: names the field and the fault.
        :raises PlanNotFound: the project has no such plan.
        """
        trigger = time_triggers.load(triggers.checked(schedules.times(fields)))
        schedules.check_retention(fields)
        rules = property_changes.merged({}, fields.get('retention') or {})
        plan = self._plan(context, fields)
        forecast = forecasts.forecast(trigger, retention.parse(rules), timeutils.utcnow())
        volumes, remarks = None, list(_remarks(forecast, rules, has_plan=plan is not None))
        if plan is not None:
            try:
                volumes = self._volumes(context, plan)
                remarks += volumes.remarks
            except (
                exception.ListProtectableResourceFailed,
                exception.ProviderNotFound,
            ) as exc:
                remarks.append(f'The volumes of the plan cannot be told now: {exc.msg}')
        return Preview(
            timezone=trigger.timezone,
            next_fires=triggers.next_fires(time_triggers.as_properties(trigger)),
            forecast=forecast,
            volumes=volumes,
            remarks=remarks,
        )

    def _plan(
        self, context: karbor_context.RequestContext, fields: Mapping[str, Any]
    ) -> models.Plan | None:
        plan_id = fields.get('plan_id')
        if plan_id is None:
            return None
        with db.plain_reader() as connection:
            plan = plan_rows.look(connection, str(context.project_id), plan_id)
        schedules.check_provider(plan, fields)
        return plan

    def _volumes(self, context: karbor_context.RequestContext, plan: models.Plan) -> Volumes:
        """What a plan covers now.

        :raises ListProtectableResourceFailed: the cloud cannot tell what there is.
        :raises ProviderNotFound: the plan's is not there any more.
        """
        page = paging.Page(limit=MOST_VOLUMES)
        covered, has_more = self._plan_resources.page(context, plan, page)
        resources = [each.resource for each in covered if each.verdict.is_in]
        types = {resource.type for resource in resources}
        volume_ids = [
            resource.id for resource in resources if resource.type == constants.VOLUME_RESOURCE_TYPE
        ]
        remarks = [f'What is of type {other} is not counted.' for other in sorted(types - _TYPES)]
        if has_more:
            remarks.append(f'The plan has more than {MOST_VOLUMES} resources; these are counted.')
        if fault := self._coverage.look_if_stale(context):
            remarks.append(f'The sizes of volumes may have changed: {fault}')
        with db.plain_reader() as connection:
            seen = coverage_rows.volumes(connection, str(context.project_id))
        sizes = {volume.id: volume.size for volume in seen}
        if unknown := sum(volume_id not in sizes for volume_id in volume_ids):
            remarks.append(f'Of {unknown} of the volumes the size is not known, and not counted.')
        return Volumes(
            count=len(volume_ids),
            gigabytes=sum(sizes.get(volume_id, 0) for volume_id in volume_ids),
            remarks=remarks,
        )


def _remarks(
    forecast: forecasts.Forecast, rules: Mapping[str, Any], *, has_plan: bool
) -> Iterator[str]:
    if forecast.limit is not None:
        yield (
            f'{forecast.limit} What comes after {forecast.ends_at:%Y-%m-%d %H:%M:%S} UTC is left '
            f'out.'
        )
    if retention_scopes.parse(rules) == retention_scopes.RetentionScope.PLAN:
        yield (
            'The retention counts and removes what others make of the plan, too; that is left out.'
        )
    if has_plan:
        yield (
            'gigabytes is an upper bound: a snapshot counts with the whole size of its volume, as '
            'it does for quotas of Cinder, and the storage may hold less.'
        )
