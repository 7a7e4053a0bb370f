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

"""``/triggers``"""

from karbor import context as karbor_context
from karbor.api import query, schema
from karbor.api.media import Object
from karbor.api.operation import operation
from karbor.api.services import Handler
from karbor.db import models, paging

# What stands in them is checked in karbor.services.schedules.
PROPERTIES = schema.strict(
    {
        'format': schema.TEXT,
        'pattern': schema.TEXT,
        'start_time': schema.TEXT,
        'end_time': schema.TEXT,
        'window': {'type': ['integer', 'string']},
        'timezone': schema.TEXT,
        'catch_up': schema.TEXT,
        'jitter': {'type': ['integer', 'string']},
    },
    [],
)

REMOVABLE = frozenset(PROPERTIES['properties']) - {'format', 'pattern'}

CREATE = schema.wrapped(
    'trigger_info',
    schema.strict(
        {
            'name': schema.NAME,
            'type': {'enum': ['time']},
            'properties': {**PROPERTIES, 'required': ['format', 'pattern']},
        },
        ['name', 'type', 'properties'],
    ),
)

UPDATE = schema.wrapped(
    'trigger_info',
    schema.strict(
        {
            'name': {**schema.NAME, 'minLength': 0, 'pattern': rf'^\Z|{schema.NAME["pattern"]}'},
            'type': {'enum': ['time']},
            'properties': {
                **PROPERTIES,
                'properties': {
                    name: schema.or_null(rule) if name in REMOVABLE else rule
                    for name, rule in PROPERTIES['properties'].items()
                },
            },
        },
        [],
    ),
)

FILTERS = {'name': schema.FILTER, 'type': schema.FILTER}

TRIGGER = schema.shown(
    'Trigger',
    {
        'id': schema.UUID,
        'project_id': schema.TEXT,
        'name': schema.TEXT,
        'type': schema.TEXT,
        'properties': schema.OBJECT,
    },
)

DETAILED_TRIGGER = schema.shown(
    'DetailedTrigger',
    {**TRIGGER['properties'], 'next_fires': {'type': 'array', 'items': schema.TEXT}},
)

LISTING = query.Listing('triggers', FILTERS, ('id', 'name', 'type', 'created_at'))
ONE = schema.wrapped('trigger_info', DETAILED_TRIGGER)


def view(trigger: models.Trigger) -> Object:
    return {name: getattr(trigger, name) for name in TRIGGER['properties']}


class _TriggerHandler(Handler):
    def _detailed(self, trigger: models.Trigger) -> Object:
        """One with its next fires, which a list does not look for."""
        fires = self.services.triggers.next_fires(trigger)
        return {
            'trigger_info': {
                **view(trigger),
                'next_fires': [moment.isoformat(' ', 'seconds') for moment in fires],
            }
        }


class Triggers(_TriggerHandler):
    @operation('trigger:list', schema.listed('triggers', TRIGGER), listing=LISTING)
    def on_get(
        self, _context: karbor_context.RequestContext, selection: paging.Selection
    ) -> query.Items:
        items, has_more = self.services.triggers.page(selection)
        return [view(item) for item in items], has_more

    @operation('trigger:create', ONE, body=CREATE)
    def on_post(self, context: karbor_context.RequestContext, body: Object) -> Object:
        return self._detailed(self.services.triggers.create(context, body['trigger_info']))


class Trigger(_TriggerHandler):
    @operation('trigger:get', ONE)
    def on_get(self, context: karbor_context.RequestContext, trigger_id: str) -> Object:
        return self._detailed(self.services.triggers.get(context, trigger_id))

    @operation('trigger:update', ONE, body=UPDATE)
    def on_put(
        self, context: karbor_context.RequestContext, trigger_id: str, body: Object
    ) -> Object:
        return self._detailed(
            self.services.triggers.update(context, trigger_id, body['trigger_info'])
        )

    @operation('trigger:delete')
    def on_delete(self, context: karbor_context.RequestContext, trigger_id: str) -> None:
        self.services.triggers.delete(context, trigger_id)
