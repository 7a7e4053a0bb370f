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

"""Run by alembic: migrates the database whose connection it is given."""

from alembic import context

from karbor.db import models

connection = context.config.attributes['connection']
if connection.dialect.name in ('mysql', 'mariadb'):
    # What tables are made with, unless it is said again for each. The defaults of a server
    # may not hold every character, and take 'a', 'A' and 'ä' for the same.
    connection.exec_driver_sql('ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_bin')
context.configure(connection=connection, target_metadata=models.Base.metadata)
with context.begin_transaction():
    context.run_migrations()
