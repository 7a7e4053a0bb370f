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

"""What the API does with triggers."""

import datetime
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from oslo_utils import timeutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.db import models, operation_logs, paging, schedules
from karbor.services import quotas
from karbor.services.schedules import engine, property_changes, time_triggers

_FIRES_SHOWN = 5


class Triggers:
    """What the API asks about triggers."""

    def create(
        self, context: karbor_context.RequestContext, fields: Mapping[str, Any]
    ) -> models.Trigger:
        """A new trigger.

        :param fields: name, type and properties.
        :raises InvalidInput: names the property and the fault.
        :raises TriggerLimitExceeded:
        """
        properties = checked(fields['properties'])

        @db.transaction
        def write(session: orm.Session) -> models.Trigger:
            trigger = add(session, context, fields['name'], properties)
            _record(session, context, 'trigger_create', trigger)
            return trigger

        return write()

    def get(self, context: karbor_context.RequestContext, trigger_id: str) -> models.Trigger:
        with db.reader() as session:
            return schedules.get_trigger(session, context.project_id, trigger_id)

    def page(self, selection: paging.Selection) -> tuple[list[models.Trigger], bool]:
        with db.plain_reader() as connection:
            return schedules.page_of_triggers(connection, selection)

    def update(
        self, context: karbor_context.RequestContext, trigger_id: str, changes: Mapping[str, Any]
    ) -> models.Trigger:
        """Change the name or the properties.

        :param changes: an empty name changes nothing. Of properties, those that are None go back
            to what they are in a trigger that is made without them, and what is not named stays.
        :raises TriggerNotFound:
        :raises InvalidInput: names the property and the fault, be it of one that is to stay.
        """

        @db.transaction
        def write(session: orm.Session) -> models.Trigger:
            trigger = schedules.get_trigger(session, context.project_id, trigger_id, lock=True)
            before = trigger.name, trigger.properties
            trigger.name = changes.get('name') or trigger.name
            if new := changes.get('properties'):
                properties = changed(trigger, new)
                now = db.now(session)
                engine.settle(session, trigger, now)
                trigger.properties = properties
                engine.arm(session, trigger, now)
            if (trigger.name, trigger.properties) != before:
                _record(session, context, 'trigger_update', trigger)
            return trigger

        return write()

    def delete(self, context: karbor_context.RequestContext, trigger_id: str) -> None:
        """Remove a trigger.

        :raises TriggerNotFound:
        :raises TriggerInUse: a scheduled operation waits for it.
        """

        @db.transaction
        def write(session: orm.Session) -> None:
            trigger = schedules.get_trigger(session, context.project_id, trigger_id, lock=True)
            operation_id = schedules.operation_of_trigger(session, trigger.id)
            if operation_id is not None:
                raise exception.TriggerInUse(trigger_id=trigger.id, operation_id=operation_id)
            session.delete(trigger)
            _record(session, context, 'trigger_delete', trigger)

        write()

    def next_fires(self, trigger: models.Trigger) -> list[datetime.datetime]:
        """When it fires next, whether or not something waits for it; UTC without a zone."""
        return next_fires(trigger.properties)


def next_fires(properties: Mapping[str, Any]) -> list[datetime.datetime]:
    """When a trigger of some properties fires next; UTC without a zone."""
    return time_triggers.next_times(
        time_triggers.load(properties), timeutils.utcnow(), _FIRES_SHOWN
    )


def add(
    session: orm.Session,
    context: karbor_context.RequestContext,
    name: str,
    properties: Mapping[str, Any],
) -> models.Trigger:
    """A new trigger, which nothing waits for yet.

    :param properties: as :func:`checked` returns them.
    :raises TriggerLimitExceeded:
    """
    quotas.take(session, context.project_id, quotas.TRIGGERS)
    return schedules.create_trigger(
        session, project_id=context.project_id, name=name, type='time', properties=properties
    )


def changed(trigger: models.Trigger, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a trigger after a change of some of them.

    :raises InvalidInput: names the property and the fault.
    """
    return checked(property_changes.merged(trigger.properties, changes))


def checked(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that a request asks for, as they are stored.

    :raises InvalidInput: names the property and the fault.
    """
    return time_triggers.as_properties(
        time_triggers.parse(
            properties,
            now=timeutils.utcnow(),
            min_window=cfg.CONF.min_window_time,
            max_window=cfg.CONF.max_window_time,
            min_interval=cfg.CONF.min_interval,
        )
    )


def _record(
    session: orm.Session, context: karbor_context.RequestContext, what: str, trigger: models.Trigger
) -> None:
    operation_logs.record(
        session, context, what, extra_info={'trigger_id': trigger.id, 'name': trigger.name}
    )
