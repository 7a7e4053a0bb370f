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

"""The database says the oldest code that may work on it."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'

#: the last migration of the oldest code that may work on the schema as it is now
oldest_code = '0003'


def upgrade() -> None:
    gate = op.create_table('schema_gate', sa.Column('oldest_code', sa.String(32), primary_key=True))
    op.bulk_insert(gate, [{'oldest_code': oldest_code}])
