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

"""Plans, checkpoints, restores, verifications and their jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0001'
down_revision = None

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')


def upgrade() -> None:
    _create_plans()
    _create_checkpoints()
    _create_use('restores', sa.Column('restore_target', sa.String(255)))
    _create_use('verifications')
    op.create_table(
        'resource_results',
        sa.Column('subject_id', sa.String(36), primary_key=True),
        sa.Column('resource_type', sa.String(255), primary_key=True),
        sa.Column('resource_id', sa.String(255), primary_key=True),
        sa.Column('status', sa.String(64), nullable=False),
        sa.Column('reason', LONG_TEXT),
    )
    _create_jobs()


def _timestamps() -> list[sa.Column]:
    return [sa.Column('created_at', MOMENT, nullable=False), sa.Column('updated_at', MOMENT)]


def _id() -> sa.Column:
    return sa.Column('id', sa.String(36), primary_key=True)


def _text(name: str, length: int) -> sa.Column:
    return sa.Column(name, sa.String(length), nullable=False)


def _create_plans() -> None:
    op.create_table(
        'plans',
        _id(),
        _text('project_id', 255),
        _text('name', 255),
        sa.Column('description', sa.String(255)),
        _text('provider_id', 36),
        _text('status', 64),
        sa.Column('resources', sa.JSON, nullable=False),
        sa.Column('parameters', sa.JSON, nullable=False),
        *_timestamps(),
    )
    op.create_index('plans_project_idx', 'plans', ['project_id', 'created_at', 'id'])


def _create_checkpoints() -> None:
    op.create_table(
        'checkpoints',
        _id(),
        _text('project_id', 255),
        _text('provider_id', 36),
        _text('plan_id', 36),
        _text('status', 64),
        sa.Column('status_reason', LONG_TEXT),
        sa.Column('protection_plan', sa.JSON, nullable=False),
        sa.Column('resource_graph', LONG_TEXT, nullable=False),
        sa.Column('resources_total', sa.Integer, nullable=False),
        sa.Column('extra_info', sa.JSON, nullable=False),
        *_timestamps(),
    )
    op.create_index(
        'checkpoints_provider_idx', 'checkpoints', ['project_id', 'provider_id', 'created_at', 'id']
    )
    op.create_index('checkpoints_plan_idx', 'checkpoints', ['plan_id', 'created_at', 'id'])


def _create_use(table: str, *more: sa.Column) -> None:
    op.create_table(
        table,
        _id(),
        _text('project_id', 255),
        _text('provider_id', 36),
        _text('checkpoint_id', 36),
        _text('status', 64),
        sa.Column('status_reason', LONG_TEXT),
        sa.Column('parameters', sa.JSON, nullable=False),
        *more,
        *_timestamps(),
    )
    op.create_index(f'{table}_project_idx', table, ['project_id', 'created_at', 'id'])


def _create_jobs() -> None:
    op.create_table(
        'jobs',
        _id(),
        _text('kind', 16),
        _text('subject_id', 36),
        _text('checkpoint_id', 36),
        _text('project_id', 255),
        sa.Column('user_id', sa.String(255)),
        _text('state', 16),
        sa.Column('attempts', sa.Integer, nullable=False),
        sa.Column('error', LONG_TEXT),
        *_timestamps(),
    )
    op.create_index('jobs_state_idx', 'jobs', ['state', 'created_at'])
    op.create_index('jobs_checkpoint_idx', 'jobs', ['checkpoint_id', 'state'])
    op.create_index('jobs_subject_idx', 'jobs', ['subject_id', 'created_at'])
    op.create_table(
        'job_resources',
        sa.Column(
            'job_id', sa.String(36), sa.ForeignKey('jobs.id', ondelete='CASCADE'), primary_key=True
        ),
        sa.Column('resource_type', sa.String(255), primary_key=True),
        sa.Column('resource_id', sa.String(255), primary_key=True),
        sa.Column('is_done', sa.Boolean, nullable=False),
        sa.Column('reason', LONG_TEXT),
        sa.Column('new_resource_id', sa.String(255)),
    )
