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
from typing import Any

from karbor import context as karbor_context
from karbor import db
from karbor.api import query
from karbor.api.operation import operation
from karbor.api.schemas import operation_logs as schemas
from karbor.api.schemas import types
from karbor.db import models, operation_logs, paging

LISTING = query.Listing(
    'operation_logs',
    schemas.FILTERS,
    ('id', 'status', 'operation_type', 'started_at', 'created_at'),
)

ONE = types.wrapped('operation_log', schemas.OPERATION_LOG)


def view(log: models.OperationLog) -> dict[str, Any]:
    shown = {name: getattr(log, name) for name in schemas.OPERATION_LOG['properties']}
    return {**shown, 'started_at': _text(log.started_at), 'ended_at': _text(log.ended_at)}


def _text(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec='microseconds')


def shown(context: karbor_context.RequestContext, log_id: str) -> dict[str, Any]:
    """The answer that shows one."""
    with db.reader() as session:
        return {'operation_log': view(operation_logs.get(session, context.project_id, log_id))}


class OperationLogs:
    @operation(
        'operation_log:list', types.listed('operation_logs', schemas.OPERATION_LOG), listing=LISTING
    )
    def on_get(self, _context: karbor_context.RequestContext, wanted: paging.Wanted) -> query.Items:
        with db.reader() as session:
            items, has_more = operation_logs.page(session, wanted)
        return [view(item) for item in items], has_more


class OperationLog:
    @operation('operation_log:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, operation_log_id: str) -> Any:
        return shown(context, operation_log_id)
