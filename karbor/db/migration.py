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

"""Brings the database to the schema that this Karbor needs.

Every migration after the gate says in ``oldest_code`` which code may work on what it makes: see
:mod:`karbor.db.schema_gate`.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa

from karbor.db import api, models, point_filling, schema_gate

# How long another process is waited for that migrates the same database, in seconds.
_LONGEST_WAIT = 3600
_LOCK_NAME = "CONCAT('karbor ', MD5(DATABASE()))"  # at most 64 characters, of the whole server
_LOCK_NUMBER = 0x6B6172626F72  # of the database


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upgrade:
    """What was done: the revisions before and after, which may be the same."""

    before: str | None
    after: str | None


def upgrade(revision: str | None = None) -> Upgrade:
    """Run the migrations that the open database has not seen; others wait meanwhile.

    Each has a transaction of its own, so that Karbor, which may be at work, waits for few tables at
    once. What a deadlock with its transactions undoes is done again.

    A newer schema on which this code may work is left as it is. To the last migration belongs to
    write what rows of older Karbors lack. That is done in small transactions; if it is broken off,
    the next upgrade goes on, and workers do.

    :param revision: the last one to run; None for all.
    :raises SchemaError: the schema is too new for this code or one of the Karbor of old, or
        another process does not end.
    """
    with api.engine().connect() as connection, _alone(connection) as commit:
        before = schema_gate.read(connection)
        if before.is_old_karbor or before.is_too_new(schema_gate.known()):
            raise schema_gate.SchemaError(before.refusal(schema_gate.known()))
        for missing in _missing(before.revision, revision):
            commit()
            _migrate(connection, missing)
        after = schema_gate.read(connection)
        connection.commit()
    if revision is None:
        point_filling.fill()
    return Upgrade(before=before.revision, after=after.revision)


def _missing(seen: str | None, last: str | None) -> Sequence[str]:
    """The revisions after one, oldest first; none if that one is of newer code."""
    known = schema_gate.known()
    if seen is None:
        begin = 0
    elif seen in known:
        begin = known.index(seen) + 1
    else:
        return ()
    end = len(known) if last is None else known.index(last) + 1
    return known[begin:end]


@api.again_after_deadlocks
def _migrate(connection: sa.Connection, revision: str) -> None:
    try:
        _run(connection, revision)
    except Exception:
        connection.rollback()
        raise


def _run(connection: sa.Connection, revision: str) -> None:
    # A start that finds all migrations done needs no alembic, which takes time, and memory.
    from karbor.db import migration_scripts

    oldest_code = migration_scripts.oldest_code(revision)
    if oldest_code is not None and schema_gate.exists(connection):
        # First: MariaDB commits each change of a table, and older code must not begin between.
        # What processes have closed for what they write stays so.
        connection.execute(
            sa.update(models.SchemaGate)
            .where(models.SchemaGate.oldest_code < oldest_code)
            .values(oldest_code=oldest_code)
        )
    migration_scripts.run(connection, revision)


@contextlib.contextmanager
def _alone(connection: sa.Connection) -> Iterator[Callable[[], None]]:
    """Meanwhile no other process migrates the same database.

    Yields what commits a transaction meanwhile. In SQLite that does nothing, as the first
    transaction is what others wait for.

    :raises SchemaError: another one does so for too long.
    """
    if connection.dialect.name == 'postgresql':
        with _postgresql_lock(connection):
            yield connection.commit
    elif connection.dialect.name in ('mysql', 'mariadb'):
        with _mariadb_lock(connection):
            yield connection.commit
    else:
        yield _commit_later


def _commit_later() -> None:
    pass


@contextlib.contextmanager
def _postgresql_lock(connection: sa.Connection) -> Iterator[None]:
    connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK_NUMBER)))
    try:
        yield
    finally:
        connection.rollback()  # of one that failed, in which no statement is taken any more
        connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK_NUMBER)))


@contextlib.contextmanager
def _mariadb_lock(connection: sa.Connection) -> Iterator[None]:
    if not connection.scalar(sa.text(f'SELECT GET_LOCK({_LOCK_NAME}, {_LONGEST_WAIT})')):
        raise schema_gate.SchemaError('Another "karbor-manage db sync" does not end.')
    try:
        yield
    finally:
        connection.execute(sa.text(f'SELECT RELEASE_LOCK({_LOCK_NAME})'))
