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

"""Rows of a Karbor of old, as they are here.

Values that the Karbor of old kept as text are read as they are in a request. What is wrong is
said with its reason, and never mended by a guess.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from oslo_utils import uuidutils

from karbor import exception
from karbor.common import constants, documents
from karbor.services import quotas
from karbor.services.schedules import scheduled_operations, time_triggers, triggers

Values = dict[str, Any]


class LeftOutError(exception.KarborException):
    """It is not taken over; the text says why."""


def plan(row: Any, resources: Iterable[Any]) -> Values:
    """A plan, whose resources and parameters are as a request would have them.

    :raises LeftOutError:
    """
    kept = [_resource(resource) for resource in resources]
    if not kept:
        raise LeftOutError('It has no resources.')
    parameters = _object(row.parameters, 'parameters')
    for key, values in parameters.items():
        if not isinstance(values, dict):
            raise LeftOutError(f'The parameters of {key} are no object.')
    return {
        **_named(row),
        'provider_id': row.provider_id,
        'description': row.description,
        'status': row.status or constants.PlanStatus.SUSPENDED,
        'resources': kept,
        'parameters': parameters,
    }


def trigger(row: Any) -> Values:
    """A trigger.

    The Karbor of old read all patterns in one format, whatever a trigger said; so here the
    pattern tells. A series without a start began when the trigger was made.

    :raises LeftOutError:
    :raises InvalidInput: names the property and the fault.
    """
    if row.type != 'time':
        raise LeftOutError(f'There are no triggers of type {row.type!r}.')
    properties = _object(row.properties, 'properties')
    written_as = time_triggers.format_of(str(properties.get('pattern')))
    if written_as is not None:
        properties['format'] = written_as
    named = _named(row)
    if 'created_at' in named:
        properties.setdefault('start_time', named['created_at'].isoformat(' ', 'seconds'))
    return {**named, 'type': row.type, 'properties': triggers.checked(properties)}


def scheduled_operation(row: Any) -> Values:
    """A scheduled operation, which is disabled and has no trust.

    :raises LeftOutError:
    :raises Invalid: a property that is wrong, or has no effect.
    """
    if row.operation_type not in tuple(constants.ScheduledOperationType):
        raise LeftOutError(f'There are no operations of type {row.operation_type!r}.')
    definition = _object(row.operation_definition, 'operation_definition')
    for name in ('provider_id', 'plan_id'):
        if not uuidutils.is_uuid_like(definition.get(name)):
            raise LeftOutError(f'The {name} of its operation_definition is no UUID.')
    scheduled_operations.check_definition(row.operation_type, definition)
    return {
        **_named(row),
        'user_id': row.user_id,
        'description': row.description,
        'operation_type': row.operation_type,
        'trigger_id': row.trigger_id,
        'plan_id': definition['plan_id'],
        'operation_definition': definition,
        'enabled': False,
    }


def limit(row: Any) -> Values:
    """The limit that a quota sets.

    :raises LeftOutError:
    """
    if not row.project_id or row.resource not in quotas.RESOURCES:
        raise LeftOutError(f'There is no limit of {row.resource!r} for project {row.project_id!r}.')
    if not isinstance(row.hard_limit, int):
        raise LeftOutError(f'The limit is {row.hard_limit!r:.100}, which is no whole number.')
    if row.hard_limit < -1:
        raise LeftOutError(f'The limit is {row.hard_limit}, where -1 is the least.')
    return {
        'project_id': row.project_id,
        'resource': row.resource,
        'hard_limit': row.hard_limit,
    }


def _named(row: Any) -> Values:
    if not uuidutils.is_uuid_like(row.id):
        raise LeftOutError('Its id is no UUID, so no request could name it.')
    if not row.project_id:
        raise LeftOutError('It has no project.')
    made = {} if row.created_at is None else {'created_at': _moment(row.created_at)}
    return {'id': row.id, 'project_id': row.project_id, 'name': row.name or '', **made}


def _moment(text: str) -> datetime.datetime:
    """A time that the database has told as text."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None:
        raise LeftOutError(f'Its created_at {text!r:.100} is no time.')
    return moment


def _resource(row: Any) -> Values:
    if not (row.resource_id and row.resource_type):
        raise LeftOutError('One of its resources has no id, or no type.')
    return {
        'id': row.resource_id,
        'type': row.resource_type,
        'name': row.resource_name or '',
        'extra_info': _json(row.resource_extra_info, f'extra_info of {row.resource_id}'),
    }


def _object(text: str | None, what: str) -> Values:
    value = _json(text, what)
    if not isinstance(value, Mapping):
        raise LeftOutError(f'Its {what} are no JSON object.')
    return dict(value)


def _json(text: str | None, what: str) -> Any:
    if not text:
        return None
    if not isinstance(text, str):
        raise LeftOutError(f'Its {what} are no text.')
    try:
        return documents.loads(text)
    except ValueError as exc:
        raise LeftOutError(f'Its {what} cannot be read as JSON: {exc}.') from None
