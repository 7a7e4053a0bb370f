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

"""Triggers that are about to fire, and operations that wait for them: rows for tests, in bulk.

Each trigger has one operation. Nothing here asks the API, whose limits would be in the way.
"""

import dataclasses
import datetime
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, orm

from karbor import db
from karbor.common import constants
from karbor.db import models
from karbor.services.schedules import firing, runs, time_triggers
from karbor.tests import base

_AT_ONCE = 5_000
USER_ID = 'd1e2f3'


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A trigger and its operation, as Karbor writes them when the operation is made.

    :ivar fire_at: when the trigger fires next.
    :ivar due_at: when an engine is to look at it.
    :ivar overlap: what becomes of a run while another one goes on.
    """

    timer: time_triggers.TimeTrigger
    trigger_id: str
    fire_at: datetime.datetime
    due_at: datetime.datetime
    overlap: str = runs.Overlap.SKIP
    operation_id: str = dataclasses.field(default_factory=base.new_id)


def calendar(
    rule: str, start_time: datetime.datetime, **properties: Any
) -> time_triggers.TimeTrigger:
    """A trigger with a recurrence rule, and a window of 15 minutes."""
    return time_triggers.TimeTrigger(
        format=time_triggers.Format.CALENDAR,
        pattern=f'BEGIN:VEVENT\nRRULE:{rule}\nEND:VEVENT',
        start_time=start_time,
        **{'end_time': None, 'window': 900, **properties},
    )


def armed(
    timer: time_triggers.TimeTrigger, now: datetime.datetime, overlap: str = runs.Overlap.SKIP
) -> Schedule:
    """A schedule that begins with the first fire after a moment."""
    trigger_id, fire = base.new_id(), next(time_triggers.fires(timer, now))
    return Schedule(timer, trigger_id, fire, firing.due_at(timer, trigger_id, fire), overlap)


def insert(schedules: Iterable[Schedule]) -> None:
    """Write schedules, all for one plan."""
    plan_id = base.new_id()
    with db.writer() as session:
        session.execute(
            sa.insert(models.Plan),
            [
                {
                    'id': plan_id,
                    'project_id': base.PROJECT_ID,
                    'name': 'plan',
                    'resources': [],
                    'provider_id': base.PROVIDER_ID,
                    'status': 'suspended',
                    'parameters': {},
                }
            ],
        )
    left = iter(schedules)
    while some := list(itertools.islice(left, _AT_ONCE)):
        with db.writer() as session:
            session.execute(sa.insert(models.Trigger), [_trigger(item) for item in some])
            session.execute(
                sa.insert(models.ScheduledOperation), [_operation(item, plan_id) for item in some]
            )


def _trigger(schedule: Schedule) -> dict[str, Any]:
    return {
        'id': schedule.trigger_id,
        'project_id': base.PROJECT_ID,
        'name': 'trigger',
        'type': 'time',
        'properties': time_triggers.as_properties(schedule.timer),
        'next_fire_at': schedule.fire_at,
        'due_at': schedule.due_at,
    }


def _operation(schedule: Schedule, plan_id: str) -> dict[str, Any]:
    return {
        'id': schedule.operation_id,
        'project_id': base.PROJECT_ID,
        'user_id': USER_ID,
        'name': 'operation',
        'operation_type': constants.OperationType.PROTECT,
        'trigger_id': schedule.trigger_id,
        'plan_id': plan_id,
        'enabled': True,
        'operation_definition': {
            'provider_id': base.PROVIDER_ID,
            'plan_id': plan_id,
            'overlap': schedule.overlap,
        },
    }


def explained(look: Callable[[orm.Session], Any]) -> str:
    """How the database comes to what a look asks for; it is asked to count its rows before."""
    asked: list[tuple[str, Any]] = []

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:
        if statement.startswith('SELECT'):
            asked.append((statement, parameters))

    event.listen(db.engine(), 'before_cursor_execute', note)
    with db.writer() as session:
        look(session)
    event.remove(db.engine(), 'before_cursor_execute', note)
    kind = db.engine().dialect.name
    explain = 'EXPLAIN QUERY PLAN' if kind == 'sqlite' else 'EXPLAIN'
    with db.engine().connect() as connection:
        connection.exec_driver_sql('ANALYZE TABLE triggers' if kind == 'mysql' else 'ANALYZE')
        return '\n'.join(
            str(row)
            for statement in asked
            for row in connection.exec_driver_sql(f'{explain} {statement[0]}', statement[1])
        )
