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

"""Whether this code may work on the schema of the open database.

The database says the oldest code that may: its one row of ``schema_gate``. Code is as old as the
last migration that it has, so every revision that it does not know is of newer code.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from karbor.db import api, models

MIGRATIONS = pathlib.Path(__file__).parent / 'migrations'

# The last migration of the first code that reads what is compressed.
_READS_COMPRESSED = '0012'

# Alembic's.
_VERSION = sa.table('alembic_version', sa.column('version_num', sa.String))

_OLD = (
    f'The database is one of the Karbor of old, as it has the table {api.OLD_VERSION_TABLE}; it is '
    'left as it is: give this Karbor an empty one, and take over what the old one has with '
    '"karbor-manage import --from URL".'
)


class SchemaError(Exception):
    """This code may not work on the schema of the database; the text is one line that says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schema:
    """What a database says of its schema."""

    #: of the last migration that it has seen; None of an empty database
    revision: str | None
    #: the last migration of the oldest code that may work on it; None before there was a gate
    oldest_code: str | None
    #: whether it is one of the Karbor of old, on which no code of this one may work
    is_old_karbor: bool = False

    def is_too_new(self, known: Sequence[str]) -> bool:
        """Whether it needs newer code.

        :param known: the revisions of the migrations that the code has, oldest first.
        """
        return (self.oldest_code or self.revision) not in (None, *known)

    def refusal(self, known: Sequence[str]) -> str | None:
        """Why code may not work on it, in one line; None if it may.

        :param known: as :meth:`is_too_new` has it.
        """
        needed = known[-1]
        if self.is_old_karbor:
            return _OLD
        if self.revision is None:
            return (
                f'The database has no tables, and this code needs schema {needed}: '
                'run "karbor-manage db sync".'
            )
        if self.is_too_new(known):
            return (
                f'The schema of the database is {self.revision}, which needs code of '
                f'{self.oldest_code or self.revision} or newer, and this code is of {needed}: '
                'upgrade Karbor; "karbor-manage db sync" does not take a schema back.'
            )
        if self.revision in known[:-1]:
            return (
                f'The schema of the database is {self.revision}, and this code needs {needed}: '
                'run "karbor-manage db sync".'
            )
        return None


@functools.cache
def known() -> tuple[str, ...]:
    """The revisions of the migrations that this code has, oldest first.

    Their files are named so: alembic itself would take time, and memory, in each process.
    """
    files = (MIGRATIONS / 'versions').glob('[0-9]*.py')
    return tuple(sorted(file.name.partition('_')[0] for file in files))


def exists(connection: sa.Connection) -> bool:
    """Whether the database has a gate; an older schema has none."""
    return sa.inspect(connection).has_table(models.SchemaGate.__tablename__)


def read(connection: sa.Connection) -> Schema:
    """What the database says of its schema."""
    inspector = sa.inspect(connection)
    if inspector.has_table(api.OLD_VERSION_TABLE):
        return Schema(revision=None, oldest_code=None, is_old_karbor=True)
    if not inspector.has_table(_VERSION.name):
        return Schema(revision=None, oldest_code=None)
    revision = sa.select(_VERSION.c.version_num).scalar_subquery()
    if not exists(connection):
        return Schema(revision=connection.scalar(sa.select(revision)), oldest_code=None)
    oldest_code = sa.select(models.SchemaGate.oldest_code).scalar_subquery()
    row = connection.execute(
        sa.select(revision.label('revision'), oldest_code.label('oldest_code'))
    ).one()
    return Schema(revision=row.revision, oldest_code=row.oldest_code)


def look() -> Schema:
    """What the open database says of its schema."""
    with api.reader() as session:
        return read(session.connection())


def refusal() -> str | None:
    """Why this code may not work on the open database, in one line; None if it may."""
    return look().refusal(known())


def check() -> None:
    """:raises SchemaError: this code may not work on the open database."""
    reason = refusal()
    if reason is not None:
        raise SchemaError(reason)


def enter() -> None:
    """Begin to work on the open database.

    Code that could not read what this code writes is kept out from now on.

    :raises SchemaError: this code may not work on it.
    """
    check()
    if cfg.CONF.compress_checkpoints:
        api.transaction(need_code)(_READS_COMPRESSED)


def need_code(session: orm.Session, revision: str) -> None:
    """Close the gate to older code.

    :param revision: the last migration of the oldest code that may go on working. One that was
        needed before, and is newer, still is.
    """
    session.execute(
        sa.update(models.SchemaGate)
        .where(models.SchemaGate.oldest_code < revision)
        .values(oldest_code=revision)
        .execution_options(synchronize_session=False)
    )
