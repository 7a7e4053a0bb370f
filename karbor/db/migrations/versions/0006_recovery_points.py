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

"""Recovery points: what is true of each resource in a checkpoint."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0006'
down_revision = '0005'

#: the last migration of the oldest code that may work on the schema as it is now
oldest_code = '0003'

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')

TABLE = 'recovery_points'
INDICES = {
    'state': ['checkpoint_id', 'state', 'updated_at'],
    'resource': ['resource_id', 'project_id', 'state', 'created_at', 'id'],
    'project': ['project_id', 'created_at', 'id'],
    'all': ['created_at', 'id'],
    'plan': ['plan_id', 'created_at', 'id'],
    'scheduled_operation': ['scheduled_operation_id', 'created_at', 'id'],
}


def upgrade() -> None:
    _create_table()
    _add_retries()


def _add_retries() -> None:
    columns = {column['name'] for column in sa.inspect(op.get_bind()).get_columns('jobs')}
    if 'retry_of' not in columns:
        op.add_column('jobs', sa.Column('retry_of', sa.String(36)))


def _create_table() -> None:
    """Make what is missing of it: MariaDB keeps what a broken migration has made."""
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table(TABLE):
        op.create_table(
            TABLE,
            sa.Column('id', sa.String(36), primary_key=True),
            _text('checkpoint_id', 36),
            _text('resource_type', 255),
            _text('resource_id', 255),
            _text('resource_name', 255),
            _text('project_id', 255),
            _text('provider_id', 36),
            _text('plan_id', 36),
            sa.Column('scheduled_operation_id', sa.String(36)),
            sa.Column('taken_at', MOMENT),
            sa.Column('size', sa.Integer),
            sa.Column('cloud_id', sa.String(255)),
            _text('state', 16),
            sa.Column('reason', LONG_TEXT),
            sa.Column('seen_good_at', MOMENT),
            sa.Column('created_at', MOMENT, nullable=False),
            sa.Column('updated_at', MOMENT),
            sa.UniqueConstraint(
                'checkpoint_id', 'resource_type', 'resource_id', name='recovery_points_resource_uc'
            ),
        )
    index_names = {index['name'] for index in sa.inspect(op.get_bind()).get_indexes(TABLE)}
    for name, columns in INDICES.items():
        if f'{TABLE}_{name}_idx' not in index_names:
            op.create_index(f'{TABLE}_{name}_idx', TABLE, columns)


def _text(name: str, length: int) -> sa.Column:
    return sa.Column(name, sa.String(length), nullable=False)
