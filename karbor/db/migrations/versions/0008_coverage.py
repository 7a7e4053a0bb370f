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

"""What the cloud has: the volumes of projects, and the region of each checkpoint."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0008'
down_revision = '0007'

#: the last migration of the oldest code that may work on the schema as it is now
oldest_code = '0003'

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')

POINTS = 'recovery_points'


def upgrade() -> None:
    """Make what is missing: MariaDB keeps what a broken migration has made."""
    inspector = sa.inspect(op.get_bind())
    if 'region' not in {column['name'] for column in inspector.get_columns('checkpoints')}:
        op.add_column('checkpoints', sa.Column('region', sa.String(255)))
    if not inspector.has_table('volumes'):
        op.create_table(
            'volumes',
            sa.Column('project_id', sa.String(255), primary_key=True),
            sa.Column('id', sa.String(36), primary_key=True),
            sa.Column('name', sa.String(255), nullable=False),
            sa.Column('status', sa.String(255), nullable=False),
            sa.Column('size', sa.Integer, nullable=False),
            sa.Column('metadata', sa.JSON, nullable=False),
        )
    if not inspector.has_table('project_looks'):
        op.create_table(
            'project_looks',
            sa.Column('project_id', sa.String(255), primary_key=True),
            sa.Column('volumes_seen_at', MOMENT),
            sa.Column('points_compared_at', MOMENT),
            sa.Column('remark', LONG_TEXT),
        )
    indices = {index['name'] for index in inspector.get_indexes(POINTS)}
    if 'recovery_points_project_resource_idx' not in indices:
        op.create_index(
            'recovery_points_project_resource_idx',
            POINTS,
            ['project_id', 'resource_id', 'state', 'created_at', 'id', 'seen_good_at', 'taken_at'],
        )
    if 'recovery_points_resource_idx' in indices:
        op.drop_index('recovery_points_resource_idx', POINTS)
