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

"""``/os-services``"""

import datetime

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.db import models

UPDATE = schema.strict(
    {
        'status': {'enum': ['enabled', 'disabled']},
        'disabled_reason': schema.DESCRIPTION,
    },
    ['status'],
)

SERVICE = schema.shown(
    'Service',
    {
        'id': schema.INTEGER,
        'binary': schema.TEXT,
        'host': schema.TEXT,
        'status': schema.TEXT,
        'state': schema.TEXT,
        'updated_at': schema.TEXT_OR_NULL,
        'disabled_reason': schema.TEXT_OR_NULL,
    },
)


class _ServiceHandler(Handler):
    def _view(self, service: models.Service, now: datetime.datetime) -> Object:
        return {
            'id': service.id,
            'binary': service.binary,
            'host': service.host,
            'status': 'disabled' if service.disabled else 'enabled',
            'state': 'up' if self.services.processes.is_up(service, now) else 'down',
            'updated_at': service.reported_at.isoformat(timespec='microseconds'),
            'disabled_reason': service.disabled_reason,
        }


class Services(_ServiceHandler):
    @operation(
        'service:get_all',
        schema.wrapped('services', {'type': 'array', 'items': SERVICE}),
        parameters=(query.HOST, query.BINARY),
    )
    def on_get(
        self, _context: karbor_context.RequestContext, host: str | None, binary: str | None
    ) -> Object:
        filters = {
            name: value for name, value in (('host', host), ('binary', binary)) if value is not None
        }
        services = self.services.processes.all_of(filters)
        now = self.services.processes.now()
        return {'services': [self._view(service, now) for service in services]}


class Service(_ServiceHandler):
    @operation('service:update', schema.wrapped('service', SERVICE), body=UPDATE)
    def on_put(
        self, context: karbor_context.RequestContext, service_id: str, body: Object
    ) -> Object:
        service = self.services.processes.set_enabled(
            context, int(service_id), body['status'] == 'enabled', body
        )
        return {'service': self._view(service, self.services.processes.now())}
