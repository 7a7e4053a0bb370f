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

"""Troubles: what does not go as somebody wants, until it is over."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0013'
down_revision = '0012'

#: the last migration of the oldest code that may work on the schema as it is now
oldest_code = '0003'

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')

TABLE = 'troubles'
INDICES = {
    'project': ['project_id', 'created_at', 'id'],
    'all': ['created_at', 'id'],
    'closed': ['closed_at'],
}


def upgrade() -> None:
    """Make what is missing: MariaDB keeps what a broken migration has made."""
    inspector = sa.inspect(op.get_bind())
    if 'judged_at' not in {column['name'] for column in inspector.get_columns('project_looks')}:
        op.add_column('project_looks', sa.Column('judged_at', MOMENT))
    if not inspector.has_table(TABLE):
        op.create_table(
            TABLE,
            sa.Column('id', sa.String(36), primary_key=True),
            sa.Column('project_id', sa.String(255), nullable=False),
            sa.Column('kind', sa.String(32), nullable=False),
            sa.Column('subject_id', sa.String(255), nullable=False),
            sa.Column('subject_name', sa.String(255), nullable=False),
            sa.Column('reason', LONG_TEXT, nullable=False),
            sa.Column('count', sa.Integer, nullable=False),
            sa.Column('created_at', MOMENT, nullable=False),
            sa.Column('updated_at', MOMENT),
            sa.Column('closed_at', MOMENT),
            sa.UniqueConstraint('project_id', 'kind', 'subject_id', name='troubles_subject_uc'),
        )
    known = {index['name'] for index in sa.inspect(op.get_bind()).get_indexes(TABLE)}
    for name, columns in INDICES.items():
        if f'{TABLE}_{name}_idx' not in known:
            op.create_index(f'{TABLE}_{name}_idx', TABLE, columns)
