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

"""``/recovery_points``"""

import datetime

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.common.constants import RecoveryPointState
from karbor.db import models, paging

FILTERS = {
    **dict.fromkeys(
        ('resource_id', 'resource_type', 'checkpoint_id', 'plan_id', 'scheduled_operation_id'),
        schema.FILTER,
    ),
    'state': {'enum': sorted(RecoveryPointState)},
}

RECOVERY_POINT = schema.shown(
    'RecoveryPoint',
    {
        'id': schema.UUID,
        'checkpoint_id': schema.UUID,
        'resource_type': schema.TEXT,
        'resource_id': schema.TEXT,
        'resource_name': schema.TEXT,
        'project_id': schema.TEXT,
        'provider_id': schema.UUID,
        'plan_id': schema.UUID,
        'scheduled_operation_id': schema.TEXT_OR_NULL,
        'taken_at': schema.MOMENT_OR_NULL,
        'size': {'type': ['integer', 'null'], 'minimum': 0},
        'cloud_id': schema.TEXT_OR_NULL,
        'state': schema.TEXT,
        'reason': schema.TEXT_OR_NULL,
        'seen_good_at': schema.MOMENT_OR_NULL,
        'created_at': schema.MOMENT,
        'updated_at': schema.MOMENT_OR_NULL,
    },
)

LISTING = query.Listing('recovery_points', FILTERS, ('id', 'resource_id', 'state', 'created_at'))


def view(point: models.RecoveryPoint) -> Object:
    shown = {name: getattr(point, name) for name in RECOVERY_POINT['properties']}
    return {
        name: query.shown_moment(value) if isinstance(value, datetime.datetime) else value
        for name, value in shown.items()
    }


class RecoveryPoints(Handler):
    @operation(
        'recovery_point:get_all',
        schema.listed('recovery_points', RECOVERY_POINT),
        listing=LISTING,
        parameters=(query.SINCE, query.UNTIL),
    )
    def on_get(
        self,
        _context: karbor_context.RequestContext,
        *,
        selection: paging.Selection,
        since: datetime.datetime | None,
        until: datetime.datetime | None,
    ) -> query.Items:
        items, has_more = self.services.recovery_points.page(selection, since=since, before=until)
        return [view(item) for item in items], has_more
