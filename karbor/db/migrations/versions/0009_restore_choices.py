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

"""Restores say what is to be restored, and how; and of each resource how it went."""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'

#: the last migration of the oldest code that may work on the schema as it is now
oldest_code = '0003'

_COLUMNS = {
    'restores': (
        sa.Column('choices', sa.JSON),
        sa.Column('left_out', sa.JSON),
        sa.Column('group_id', sa.String(36)),
    ),
    'resource_results': (sa.Column('name', sa.String(255)),),
    'job_resources': (sa.Column('seconds', sa.Double),),
}


def upgrade() -> None:
    """Make what is missing: MariaDB keeps what a broken migration has made."""
    inspector = sa.inspect(op.get_bind())
    for table, columns in _COLUMNS.items():
        known = {column['name'] for column in inspector.get_columns(table)}
        for column in columns:
            if column.name not in known:
                op.add_column(table, column)
    if 'restores_group_idx' not in {index['name'] for index in inspector.get_indexes('restores')}:
        op.create_index('restores_group_idx', 'restores', ['group_id'])
