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

"""Restores in place know the checkpoint of what they overwrite, which is there for some time."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0011'
down_revision = '0010'

#: the last migration of the oldest code that may work on the schema as it is now
oldest_code = '0003'

_COLUMNS: dict[str, sa.Column[Any]] = {
    'restores': sa.Column('safety_checkpoint_id', sa.String(36)),
    'checkpoints': sa.Column(
        'expires_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
    ),
}
_INDICES = {
    'restores_safety_idx': ('restores', ['safety_checkpoint_id']),
    'checkpoints_expiry_idx': ('checkpoints', ['expires_at']),
}


def upgrade() -> None:
    """Make what is missing: MariaDB keeps what a broken migration has made."""
    inspector = sa.inspect(op.get_bind())
    for table, column in _COLUMNS.items():
        if column.name not in {known['name'] for known in inspector.get_columns(table)}:
            op.add_column(table, column)
    for name, (table, columns) in _INDICES.items():
        if name not in {index['name'] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)
