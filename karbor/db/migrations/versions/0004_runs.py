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

"""A run of a scheduled operation has its plan, trigger and fire time on the row of its job."""

import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0004'
down_revision = '0003'

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
UNFINISHED = ('queued', 'pending', 'running', 'parked')
BATCH = 500


def upgrade() -> None:
    # MariaDB commits each change of a table; one that was broken off is repeated.
    there = {column['name'] for column in sa.inspect(op.get_bind()).get_columns('jobs')}
    with op.batch_alter_table('jobs') as jobs:
        for name, kind in (
            ('plan_id', sa.String(36)),
            ('trigger_id', sa.String(36)),
            ('fire_at', MOMENT),
        ):
            if name not in there:
                jobs.add_column(sa.Column(name, kind))
    _fill_from_logs()


def _fill_from_logs() -> None:
    """Runs that have not ended had this in their operation logs, which have the jobs' ids."""
    jobs = sa.table(
        'jobs',
        *(
            sa.column(name)
            for name in ('id', 'kind', 'state', 'scheduled_operation_id', 'plan_id', 'trigger_id')
        ),
        sa.column('fire_at', MOMENT),
    )
    logs = sa.table(
        'operation_logs', sa.column('id'), sa.column('plan_id'), sa.column('extra_info', sa.JSON)
    )
    runs = (
        sa.select(logs.c.id, logs.c.plan_id, logs.c.extra_info)
        .join(jobs, jobs.c.id == logs.c.id)
        .where(
            jobs.c.kind == 'protect',
            jobs.c.scheduled_operation_id.is_not(None),
            jobs.c.plan_id.is_(None),
            jobs.c.state.in_(UNFINISHED),
            logs.c.plan_id.is_not(None),
        )
        .limit(BATCH)
    )
    connection = op.get_bind()
    while rows := connection.execute(runs).all():
        for job_id, plan_id, extra_info in rows:
            connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job_id)
                .values(plan_id=plan_id, **_cause(extra_info))
            )


def _cause(extra_info: Any) -> dict[str, Any]:
    info = extra_info or {}
    fire_time = info.get('fire_time')
    return {
        'trigger_id': info.get('trigger_id'),
        'fire_at': fire_time and datetime.datetime.fromisoformat(fire_time),
    }
