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

"""``/operation_logs``"""

import datetime

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.db import models, paging

FILTERS = dict.fromkeys(
    (
        'checkpoint_id',
        'plan_id',
        'restore_id',
        'scheduled_operation_id',
        'operation_type',
        'status',
    ),
    schema.FILTER,
)

OPERATION_LOG = schema.shown(
    'OperationLog',
    {
        'id': schema.UUID,
        'operation_type': schema.TEXT,
        'checkpoint_id': schema.TEXT_OR_NULL,
        'plan_id': schema.TEXT_OR_NULL,
        'provider_id': schema.TEXT_OR_NULL,
        'restore_id': schema.TEXT_OR_NULL,
        'scheduled_operation_id': schema.TEXT_OR_NULL,
        'status': schema.TEXT,
        'started_at': schema.TEXT,
        'ended_at': schema.TEXT_OR_NULL,
        'error_info': schema.TEXT_OR_NULL,
        'extra_info': {'type': ['object', 'null']},
        'project_id': schema.TEXT,
        'user_id': schema.TEXT_OR_NULL,
        'request_id': schema.TEXT_OR_NULL,
    },
)

LISTING = query.Listing(
    'operation_logs',
    FILTERS,
    ('id', 'status', 'operation_type', 'started_at', 'created_at'),
)

ONE = schema.wrapped('operation_log', OPERATION_LOG)


def view(log: models.OperationLog) -> Object:
    shown = {name: getattr(log, name) for name in OPERATION_LOG['properties']}
    return {**shown, 'started_at': _text(log.started_at), 'ended_at': _text(log.ended_at)}


def _text(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec='microseconds')


class OperationLogs(Handler):
    @operation(
        'operation_log:list', schema.listed('operation_logs', OPERATION_LOG), listing=LISTING
    )
    def on_get(
        self, _context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        items, has_more = self.services.operation_logs.page(selection)
        return [view(item) for item in items], has_more


class OperationLog(Handler):
    @operation('operation_log:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, operation_log_id: str) -> Object:
        log = self.services.operation_logs.get(context, operation_log_id)
        return {'operation_log': view(log)}
