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

"""``/scheduled_operations``"""

from karbor import context as karbor_context
from karbor import exception
from karbor.api import media, query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.api.v1 import operation_logs
from karbor.common import constants
from karbor.db import models, paging

_FIELDS: schema.Schema = {
    'name': schema.NAME,
    'description': schema.DESCRIPTION,
    'trigger_id': schema.UUID,
    # The newest openstack client sends it as the text "provider_id=...,plan_id=...".
    'operation_definition': {
        'type': ['object', 'string'],
        'maxLength': 4096,
        'maxProperties': 100,
    },
}

CREATE = schema.wrapped(
    'scheduled_operation',
    schema.strict(
        {
            **_FIELDS,
            'operation_type': {'enum': [kind.value for kind in constants.ScheduledOperationType]},
        },
        ['name', 'operation_type', 'trigger_id', 'operation_definition'],
    ),
)

UPDATE = schema.wrapped(
    'scheduled_operation',
    {**schema.strict({**_FIELDS, 'enabled': {'type': 'boolean'}}, []), 'minProperties': 1},
)

RUN = schema.wrapped('run', {'type': ['object', 'null'], 'maxProperties': 0})

# Its rules are checked in karbor.services.schedules.
DEFINITION: schema.Schema = {
    'type': 'object',
    'properties': {'provider_id': schema.UUID, 'plan_id': schema.UUID},
    'required': ['provider_id', 'plan_id'],
}
CHANGES_OF_DEFINITION: schema.Schema = {**DEFINITION, 'required': []}

FILTERS = {'name': schema.FILTER, 'operation_type': schema.FILTER, 'trigger_id': schema.FILTER}

SCHEDULED_OPERATION = schema.shown(
    'ScheduledOperation',
    {
        'id': schema.UUID,
        'project_id': schema.TEXT,
        'name': schema.TEXT,
        'description': schema.TEXT_OR_NULL,
        'operation_type': schema.TEXT,
        'trigger_id': schema.UUID,
        'operation_definition': schema.OBJECT,
        'enabled': {'type': 'boolean'},
    },
)

LISTING = query.Listing('operations', FILTERS, ('id', 'name', 'operation_type', 'created_at'))
ONE = schema.wrapped('scheduled_operation', SCHEDULED_OPERATION)


def view(operation_row: models.ScheduledOperation) -> Object:
    return {name: getattr(operation_row, name) for name in SCHEDULED_OPERATION['properties']}


class ScheduledOperations(Handler):
    @operation(
        'scheduled_operation:list',
        schema.listed('operations', SCHEDULED_OPERATION),
        listing=LISTING,
    )
    def on_get(
        self, _context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        items, has_more = self.services.scheduled_operations.page(selection)
        return [view(item) for item in items], has_more

    @operation('scheduled_operation:create', ONE, body=CREATE)
    def on_post(self, context: karbor_context.RequestContext, body: Object) -> Object:
        fields = body['scheduled_operation']
        definition = _definition(fields['operation_definition'], DEFINITION)
        row = self.services.scheduled_operations.create(context, fields, definition)
        return {'scheduled_operation': view(row)}


class ScheduledOperation(Handler):
    @operation('scheduled_operation:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, scheduled_operation_id: str) -> Object:
        row = self.services.scheduled_operations.get(context, scheduled_operation_id)
        return {'scheduled_operation': view(row)}

    @operation('scheduled_operation:update', ONE, body=UPDATE)
    def on_put(
        self,
        context: karbor_context.RequestContext,
        scheduled_operation_id: str,
        body: Object,
    ) -> Object:
        changes = dict(body['scheduled_operation'])
        new_definition = changes.pop('operation_definition', None)
        definition = (
            None if new_definition is None else _definition(new_definition, CHANGES_OF_DEFINITION)
        )
        changed = self.services.scheduled_operations.update(
            context, scheduled_operation_id, changes, definition
        )
        return {'scheduled_operation': view(changed)}

    @operation('scheduled_operation:delete')
    def on_delete(
        self, context: karbor_context.RequestContext, scheduled_operation_id: str
    ) -> None:
        self.services.scheduled_operations.delete(context, scheduled_operation_id)


class Runs(Handler):
    """``/scheduled_operations/{scheduled_operation_id}/action``"""

    @operation('scheduled_operation:run', operation_logs.ONE, body=RUN)
    def on_post(
        self,
        context: karbor_context.RequestContext,
        scheduled_operation_id: str,
        body: Object,
    ) -> Object:
        log_id = self.services.scheduled_operations.run(context, scheduled_operation_id)
        log = self.services.operation_logs.get(context, log_id)
        return {'operation_log': operation_logs.view(log)}


def _definition(definition: Object | str, whole: schema.Schema) -> Object:
    """The definition as an object, whichever way it was sent.

    :param whole: what it is held against.
    :raises InvalidInput: names the place and the fault.
    """
    if isinstance(definition, str):
        pairs = [
            (key.strip(), equals, value.strip())
            for key, equals, value in (item.partition('=') for item in definition.split(','))
        ]
        definition = {key: value for key, equals, value in pairs if key and equals}
        if len(definition) < len(pairs):
            raise exception.InvalidInput(
                reason='operation_definition: the text is not like key=value,key=value, with '
                'each key once.'
            )
    media.check(definition, whole, 'operation_definition')
    return definition
