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

"""Checkpoints have the names of their plans for lists."""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'

#: the last migration of the oldest code that may work on the schema as it is now
oldest_code = '0003'

CHECKPOINTS = sa.table(
    'checkpoints', sa.column('plan_name', sa.String), sa.column('protection_plan', sa.JSON)
)


def upgrade() -> None:
    columns = {column['name'] for column in sa.inspect(op.get_bind()).get_columns('checkpoints')}
    if 'plan_name' not in columns:
        op.add_column('checkpoints', sa.Column('plan_name', sa.String(255)))
    op.execute(
        sa.update(CHECKPOINTS)
        .where(CHECKPOINTS.c.plan_name.is_(None))
        .values(plan_name=CHECKPOINTS.c.protection_plan['name'].as_string())
    )
