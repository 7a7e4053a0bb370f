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

"""Triggers fire: when they are due, what they started, and what acts for their users."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0003'
down_revision = '0002'

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')


def upgrade() -> None:
    _extend_jobs()
    _extend_triggers()
    _extend_scheduled_operations()
    with op.batch_alter_table('checkpoints') as checkpoints:
        checkpoints.add_column(
            sa.Column('pinned', sa.Boolean, nullable=False, server_default=sa.false())
        )
        checkpoints.create_index('checkpoints_plan_status_idx', ['plan_id', 'status', 'created_at'])
    with op.batch_alter_table('checkpoints') as checkpoints:
        checkpoints.alter_column(
            'pinned', existing_type=sa.Boolean, existing_nullable=False, server_default=None
        )
    op.create_index(
        'operation_logs_scheduled_operation_idx',
        'operation_logs',
        ['scheduled_operation_id', 'created_at', 'id'],
    )


def _extend_jobs() -> None:
    with op.batch_alter_table('jobs') as jobs:
        jobs.add_column(sa.Column('provider_id', sa.String(36), nullable=False, server_default=''))
        jobs.add_column(sa.Column('scheduled_operation_id', sa.String(36)))
        jobs.add_column(sa.Column('tries', sa.Integer, nullable=False, server_default='0'))
        jobs.create_index('jobs_scheduled_operation_idx', ['scheduled_operation_id', 'state'])
    op.execute(
        'UPDATE jobs SET provider_id = (SELECT checkpoints.provider_id FROM checkpoints '
        'WHERE checkpoints.id = jobs.checkpoint_id) WHERE EXISTS (SELECT 1 FROM '
        'checkpoints WHERE checkpoints.id = jobs.checkpoint_id)'
    )
    with op.batch_alter_table('jobs') as jobs:
        jobs.alter_column(
            'provider_id', existing_type=sa.String(36), existing_nullable=False, server_default=None
        )
        jobs.alter_column(
            'tries', existing_type=sa.Integer, existing_nullable=False, server_default=None
        )


def _extend_triggers() -> None:
    with op.batch_alter_table('triggers') as triggers:
        for name in ('next_fire_at', 'due_at', 'last_fire_at'):
            triggers.add_column(sa.Column(name, MOMENT))
        triggers.create_index('triggers_due_idx', ['due_at'])
    # Due, and not to fire: an engine finds out when they fire next.
    op.execute('UPDATE triggers SET due_at = created_at')
    op.create_table(
        'trigger_fires',
        sa.Column(
            'trigger_id',
            sa.String(36),
            sa.ForeignKey('triggers.id', ondelete='CASCADE'),
            primary_key=True,
        ),
        sa.Column('fire_at', MOMENT, primary_key=True),
        sa.Column('fired_at', MOMENT, nullable=False),
    )


def _extend_scheduled_operations() -> None:
    with op.batch_alter_table('scheduled_operations') as operations:
        operations.add_column(sa.Column('trust_id', sa.String(64)))
        operations.create_foreign_key(
            'scheduled_operations_trust_fk', 'trusts', ['trust_id'], ['id'], ondelete='SET NULL'
        )
        operations.create_index('scheduled_operations_trust_idx', ['trust_id'])
