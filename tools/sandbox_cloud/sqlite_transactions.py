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
"""A cure for SQLite's "database is locked" (runs inside the sandbox's virtualenv)."""

from typing import Any

import sqlalchemy
from sqlalchemy import event


def begin_immediate() -> None:
    """Take the write lock when a transaction begins, for every engine of this process.

    oslo.db begins deferred transactions. Of two that read first and then write, SQLite refuses
    one at once, whatever the time-out, since its snapshot is outdated by then.
    """
    event.listen(sqlalchemy.engine.Engine, 'before_cursor_execute', _rewrite, retval=True)


def _rewrite(
    connection: sqlalchemy.engine.Connection,
    cursor: Any,
    statement: str,
    parameters: Any,
    context: Any,
    executemany: bool,
) -> tuple[str, Any]:
    if statement == 'BEGIN' and connection.dialect.name == 'sqlite':
        statement = 'BEGIN IMMEDIATE'
    return statement, parameters
