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

"""Jobs that wait are found by their projects."""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'

#: the last migration of the oldest code that may work on the schema as it is now
oldest_code = '0003'

_NAME = 'jobs_line_idx'
_COLUMNS = ['state', 'project_id', 'created_at', 'id', 'kind', 'provider_id']


def upgrade() -> None:
    """Make what is missing: MariaDB keeps what a broken migration has made."""
    indices = sa.inspect(op.get_bind()).get_indexes('jobs')
    if _NAME not in {index['name'] for index in indices}:
        op.create_index(_NAME, 'jobs', _COLUMNS)
