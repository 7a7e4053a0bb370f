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

"""The lists of the API that come from the database, and what fills them with many rows."""

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from karbor import db
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base

BEGIN = datetime.datetime(2020, 11, 5, 10)


@dataclasses.dataclass(frozen=True)
class List:
    """One list.

    :ivar path: below the project.
    :ivar key: of the list in the answer.
    :ivar model: its table.
    :ivar sort_keys: columns that it can be sorted by, besides ``id`` and ``created_at``.
    :ivar searched: filters that look for a part of the text.
    :ivar compared: filters that compare the whole text.
    :ivar one: key of a single item in an answer.
    """

    path: str
    key: str
    model: Any
    one: str
    sort_keys: tuple[str, ...]
    searched: tuple[str, ...]
    compared: tuple[str, ...]


LISTS = (
    List(
        '/plans',
        'plans',
        models.Plan,
        'plan',
        ('name', 'status'),
        ('name', 'description'),
        ('status',),
    ),
    List(
        f'/providers/{PROVIDER_ID}/checkpoints',
        'checkpoints',
        models.Checkpoint,
        'checkpoint',
        ('status',),
        (),
        ('plan_id', 'status'),
    ),
    List(
        '/restores',
        'restores',
        models.Restore,
        'restore',
        ('status',),
        (),
        ('status', 'checkpoint_id', 'provider_id'),
    ),
    List(
        '/verifications',
        'verifications',
        models.Verification,
        'verification',
        ('status',),
        (),
        ('status', 'checkpoint_id', 'provider_id'),
    ),
    List(
        '/triggers',
        'triggers',
        models.Trigger,
        'trigger_info',
        ('name', 'type'),
        ('name',),
        ('type',),
    ),
    List(
        '/scheduled_operations',
        'operations',
        models.ScheduledOperation,
        'scheduled_operation',
        ('name', 'operation_type'),
        ('name',),
        ('operation_type', 'trigger_id'),
    ),
    List(
        '/operation_logs',
        'operation_logs',
        models.OperationLog,
        'operation_log',
        ('status', 'operation_type', 'started_at'),
        (),
        (
            'checkpoint_id',
            'plan_id',
            'restore_id',
            'scheduled_operation_id',
            'operation_type',
            'status',
        ),
    ),
)

_WITH_JOBS = {
    models.Checkpoint: 'protect',
    models.Restore: 'restore',
    models.Verification: 'verify',
}


class ListsTestCase(base.ApiTestCase):
    def fill(self, model: Any, count: int, **fields: Any) -> list[str]:
        """Put many rows into a table, of which every two have the same time.

        :returns: their ids in the order of the list.
        """
        common = self._fields(model, fields)
        values = [
            {
                'created_at': BEGIN + datetime.timedelta(seconds=number // 2),
                **common,
                'id': new_id(),
            }
            for number in range(count)
        ]
        with db.writer() as session:
            session.execute(sa.insert(model), values)
            if model in _WITH_JOBS:
                self._fill_jobs(session, model, values)
        values.sort(key=lambda row: (row['created_at'], row['id']), reverse=True)
        return [row['id'] for row in values]

    def _fields(self, model: Any, fields: dict[str, Any]) -> dict[str, Any]:
        needed = {}
        if model is models.ScheduledOperation:
            needed = {
                'trigger_id': self.add_row(models.Trigger).id,
                'plan_id': self.add_row(models.Plan).id,
                'enabled': True,
            }
        return {**base.fields_of(model), **needed, **fields}

    @staticmethod
    def _fill_jobs(session: Any, model: Any, values: list[dict[str, Any]]) -> None:
        """For each row a job that is over, with one resource that is done and one failed."""
        jobs = [
            {
                'id': new_id(),
                'kind': _WITH_JOBS[model],
                'subject_id': row['id'],
                'checkpoint_id': row.get('checkpoint_id', row['id']),
                'attempts': 1,
                'provider_id': PROVIDER_ID,
                'project_id': PROJECT_ID,
                'state': job_rows.JobState.DONE,
            }
            for row in values
        ]
        session.execute(sa.insert(models.Job), jobs)
        session.execute(
            sa.insert(models.JobResource),
            [
                {
                    'job_id': job['id'],
                    'resource_type': base.VOLUME,
                    'resource_id': new_id(),
                    'is_done': is_done,
                }
                for job in jobs
                for is_done in (True, False)
            ],
        )
        session.execute(
            sa.insert(models.ResourceResult),
            [
                {
                    'subject_id': row['id'],
                    'resource_type': base.VOLUME,
                    'resource_id': new_id(),
                    'status': 'available',
                }
                for row in values
            ],
        )


@dataclasses.dataclass
class Cost:
    """What the database was asked meanwhile.

    :ivar statements: SQL and parameters.
    :ivar steps: how much it took SQLite to answer, in hundreds of the instructions of its
        virtual machine: unlike time, always the same for the same.
    :ivar longest: how much of that the dearest statement took.
    """

    statements: list[tuple[str, Any]] = dataclasses.field(default_factory=list)
    steps: int = 0
    longest: int = 0
    _steps_before: int = 0

    def note(
        self,
        _connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        _context: Any,
        _many: bool,
    ) -> None:
        if hasattr(cursor.connection, 'set_progress_handler'):
            cursor.connection.set_progress_handler(self._step, 100)
        self._steps_before = self.steps
        if not statement.startswith('BEGIN'):
            self.statements.append((statement, parameters))

    def _step(self) -> int:
        self.steps += 1
        self.longest = max(self.longest, self.steps - self._steps_before)
        return 0


@contextlib.contextmanager
def cost() -> Iterator[Cost]:
    """What the database is asked for in this process meanwhile."""
    found = Cost()
    event.listen(db.engine(), 'before_cursor_execute', found.note)
    try:
        yield found
    finally:
        event.remove(db.engine(), 'before_cursor_execute', found.note)
