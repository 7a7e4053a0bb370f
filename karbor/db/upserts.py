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

"""Writes rows, or writes them over, in one statement."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import mysql, postgresql, sqlite

from karbor.db import models


def write(session: orm.Session, model: type[models.Base], values: dict[str, Any]) -> None:
    """Write the row of a primary key, whether or not there is one.

    :param values: of all columns that are to have others than their defaults.
    """
    keys = [column.key for column in sa.inspect(model).primary_key]
    changes = {name: value for name, value in values.items() if name not in keys}
    dialect = session.get_bind().dialect.name
    if dialect == 'mysql':
        session.execute(mysql.insert(model).values(**values).on_duplicate_key_update(**changes))
        return
    insert = (postgresql if dialect == 'postgresql' else sqlite).insert(model).values(**values)
    session.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes))


def write_all(
    session: orm.Session, model: type[models.Base], rows: Sequence[dict[str, Any]]
) -> None:
    """Write the rows of some primary keys, whether or not there are any.

    :param rows: values of all columns that are to have others than their defaults, of the same
        columns in each.
    """
    if not rows:
        return
    keys = [str(column.key) for column in sa.inspect(model).primary_key]
    changed = [name for name in rows[0] if name not in keys]
    table = models.Base.metadata.tables[model.__tablename__]
    dialect = session.get_bind().dialect.name
    if dialect == 'mysql':
        written = mysql.insert(table)
        changes = {name: written.inserted[name] for name in changed}
        session.execute(written.on_duplicate_key_update(**changes), rows)
        return
    insert = (postgresql if dialect == 'postgresql' else sqlite).insert(table)
    changes = {name: insert.excluded[name] for name in changed}
    statement = insert.on_conflict_do_update(index_elements=keys, set_=changes)
    if dialect == 'postgresql':  # see write_missing
        statement = statement.returning(table.c[keys[0]])
    session.execute(statement, rows)


def write_missing(
    session: orm.Session,
    model: type[models.Base],
    key: Sequence[str],
    rows: Sequence[dict[str, Any]],
) -> int:
    """Write rows, but for those that there are already; returns how many are given.

    :param key: columns of which no two rows have the same.
    """
    if not rows:
        return 0
    # Of the table: given the class, SQLAlchemy leaves out what is None, and then needs a
    # statement for each other choice of columns.
    table = models.Base.metadata.tables[model.__tablename__]
    dialect = session.get_bind().dialect.name
    if dialect == 'mysql':  # what there is stays as it is, and other faults are not hidden
        same = {key[0]: table.c[key[0]]}
        session.execute(mysql.insert(table).on_duplicate_key_update(**same), rows)
        return len(rows)
    insert = (postgresql if dialect == 'postgresql' else sqlite).insert(table)
    insert = insert.on_conflict_do_nothing(index_elements=list(key))
    if dialect == 'postgresql':
        # Only what returns something is one statement for many rows there, and not one for each.
        insert = insert.returning(table.c[key[0]])
    session.execute(insert, rows)
    return len(rows)
