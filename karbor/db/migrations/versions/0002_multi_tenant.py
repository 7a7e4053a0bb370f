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

"""Schedules, operation logs, services, quotas and trusts; leases of jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0002'
down_revision = '0001'

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')


def upgrade() -> None:
    _create_schedules()
    _create_operation_logs()
    _create_services()
    _create_quotas()
    _create_trusts()
    for table in ('plans', 'restores', 'verifications'):
        op.create_index(f'{table}_all_idx', table, ['created_at', 'id'])
    op.create_index('checkpoints_all_idx', 'checkpoints', ['provider_id', 'created_at', 'id'])


def _timestamps() -> list[sa.Column]:
    return [sa.Column('created_at', MOMENT, nullable=False), sa.Column('updated_at', MOMENT)]


def _id() -> sa.Column:
    return sa.Column('id', sa.String(36), primary_key=True)


def _text(name: str, length: int) -> sa.Column:
    return sa.Column(name, sa.String(length), nullable=False)


def _index_lists(table: str) -> None:
    """What finds a page of a project's list and of everybody's."""
    op.create_index(f'{table}_project_idx', table, ['project_id', 'created_at', 'id'])
    op.create_index(f'{table}_all_idx', table, ['created_at', 'id'])


def _create_schedules() -> None:
    op.create_table(
        'triggers',
        _id(),
        _text('project_id', 255),
        _text('name', 255),
        _text('type', 64),
        sa.Column('properties', sa.JSON, nullable=False),
        *_timestamps(),
    )
    _index_lists('triggers')
    op.create_table(
        'scheduled_operations',
        _id(),
        _text('project_id', 255),
        sa.Column('user_id', sa.String(255)),
        _text('name', 255),
        sa.Column('description', sa.String(255)),
        _text('operation_type', 64),
        sa.Column('trigger_id', sa.String(36), sa.ForeignKey('triggers.id'), nullable=False),
        sa.Column('plan_id', sa.String(36), sa.ForeignKey('plans.id'), nullable=False),
        sa.Column('operation_definition', sa.JSON, nullable=False),
        sa.Column('enabled', sa.Boolean, nullable=False),
        *_timestamps(),
    )
    _index_lists('scheduled_operations')
    for name in ('trigger', 'plan'):
        op.create_index(f'scheduled_operations_{name}_idx', 'scheduled_operations', [f'{name}_id'])


def _create_operation_logs() -> None:
    op.create_table(
        'operation_logs',
        _id(),
        _text('project_id', 255),
        sa.Column('user_id', sa.String(255)),
        sa.Column('request_id', sa.String(64)),
        _text('operation_type', 64),
        *(
            sa.Column(f'{name}_id', sa.String(36))
            for name in ('checkpoint', 'plan', 'provider', 'restore', 'scheduled_operation')
        ),
        _text('status', 64),
        sa.Column('started_at', MOMENT, nullable=False),
        sa.Column('ended_at', MOMENT),
        sa.Column('error_info', LONG_TEXT),
        sa.Column('extra_info', sa.JSON),
        *_timestamps(),
    )
    _index_lists('operation_logs')
    for name in ('checkpoint', 'plan'):
        op.create_index(
            f'operation_logs_{name}_idx', 'operation_logs', [f'{name}_id', 'created_at', 'id']
        )


def _create_services() -> None:
    op.create_table(
        'services',
        sa.Column('id', sa.Integer, primary_key=True),
        _text('host', 255),
        _text('binary', 255),
        sa.Column('reported_at', MOMENT, nullable=False),
        sa.Column('disabled', sa.Boolean, nullable=False),
        sa.Column('disabled_reason', sa.String(255)),
        *_timestamps(),
        sa.UniqueConstraint('host', 'binary', name='services_host_binary_uc'),
    )


def _create_quotas() -> None:
    for table, owner, number in (
        ('quotas', 'project_id', 'hard_limit'),
        ('quota_classes', 'class_name', 'hard_limit'),
        ('quota_usages', 'project_id', 'in_use'),
    ):
        op.create_table(
            table,
            sa.Column(owner, sa.String(255), primary_key=True),
            sa.Column('resource', sa.String(64), primary_key=True),
            sa.Column(number, sa.Integer, nullable=False),
        )
    op.execute(
        'INSERT INTO quota_usages (project_id, resource, in_use) '
        "SELECT project_id, 'plans', COUNT(*) FROM plans GROUP BY project_id"
    )
    op.execute(
        'INSERT INTO quota_usages (project_id, resource, in_use) '
        "SELECT project_id, 'checkpoints', COUNT(*) FROM checkpoints "
        "WHERE status <> 'deleted' GROUP BY project_id"
    )


def _create_trusts() -> None:
    op.create_table(
        'trusts',
        sa.Column('id', sa.String(64), primary_key=True),
        _text('user_id', 64),
        _text('project_id', 64),
        sa.Column('roles', sa.JSON, nullable=False),
        sa.Column('live_key', sa.String(64)),
        *_timestamps(),
        sa.UniqueConstraint('live_key', name='trusts_live_key_uc'),
    )
    with op.batch_alter_table('jobs') as jobs:
        jobs.add_column(sa.Column('claimed_until', MOMENT))
        jobs.add_column(sa.Column('trust_id', sa.String(64)))
        jobs.create_foreign_key(
            'jobs_trust_fk', 'trusts', ['trust_id'], ['id'], ondelete='SET NULL'
        )
        jobs.create_index('jobs_trust_idx', ['trust_id', 'state'])
