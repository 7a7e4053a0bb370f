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

"""Reads the database of a Karbor of old (Karbor contract, section I); nothing writes there.

Rows are read in parts, by their ids. What was deleted softly is left out.
"""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from karbor import exception
from karbor.common import extras
from karbor.db import addresses, api

_BATCH = 100
_DRIVERS = {
    'mysql': 'mysql+pymysql',
    'mariadb': 'mysql+pymysql',
    'postgresql': 'postgresql+psycopg2',
    'sqlite': 'sqlite',
}
_METADATA = sa.MetaData()


class _TimeAsText(sa.types.TypeDecorator[str]):
    """A time as the database itself writes it."""

    impl = sa.Text
    cache_ok = True

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        return sa.cast(column, sa.Text)


def _table(name: str, *columns: str) -> sa.Table:
    """A table whose columns are text, but for those that all have."""
    return sa.Table(
        name,
        _METADATA,
        sa.Column('id', sa.Integer if name in ('resources', 'quotas') else sa.Text),
        *(sa.Column(column, sa.Text) for column in columns),
        # As text, since one that is no time would keep all others from being read.
        sa.Column('created_at', _TimeAsText),
        sa.Column('deleted', sa.Boolean),
    )


_PLANS = _table('plans', 'project_id', 'name', 'description', 'provider_id', 'status', 'parameters')
_RESOURCES = _table(
    'resources',
    'plan_id',
    'resource_id',
    'resource_type',
    'resource_name',
    'resource_extra_info',
)
_TRIGGERS = _table('triggers', 'project_id', 'name', 'type', 'properties')
_OPERATIONS = _table(
    'scheduled_operations',
    'project_id',
    'user_id',
    'name',
    'description',
    'operation_type',
    'trigger_id',
    'operation_definition',
)
_QUOTAS = sa.Table(
    'quotas',
    _METADATA,
    sa.Column('id', sa.Integer),
    sa.Column('project_id', sa.Text),
    sa.Column('resource', sa.Text),
    sa.Column('hard_limit', sa.Integer),
    sa.Column('deleted', sa.Boolean),
)
# The quotas came with the last of its migrations.
_NEEDED = (_PLANS, _RESOURCES, _TRIGGERS, _OPERATIONS)

Rows = Iterator[Sequence[Any]]


class OldKarbor:
    """What a database of a Karbor of old has.

    :param connection: in a transaction that only reads.
    :raises KarborException: the database is another one.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        with _explained():
            self._tables = set(sa.inspect(connection).get_table_names())
        missing = [
            name
            for name in (api.OLD_VERSION_TABLE, *(table.name for table in _NEEDED))
            if name not in self._tables
        ]
        if missing:
            raise exception.KarborException(
                'It is no database of a Karbor of old, as it lacks the tables '
                f'{", ".join(missing)}.'
            )

    def plans(self) -> Rows:
        return self._batches(_PLANS)

    def resources(self, plan_ids: Sequence[str]) -> dict[str, list[Any]]:
        """Those of some plans, by their ids, in the order in which they were given."""
        found: dict[str, list[Any]] = {plan_id: [] for plan_id in plan_ids}
        for row in self._fetch(
            sa.select(_RESOURCES)
            .where(_RESOURCES.c.plan_id.in_(plan_ids), _is_there(_RESOURCES))
            .order_by(_RESOURCES.c.id)
        ):
            found[row.plan_id].append(row)
        return found

    def triggers(self) -> Rows:
        return self._batches(_TRIGGERS)

    def scheduled_operations(self) -> Rows:
        return self._batches(_OPERATIONS)

    def quotas(self) -> Rows:
        return self._batches(_QUOTAS) if _QUOTAS.name in self._tables else iter(())

    def _batches(self, table: sa.Table) -> Rows:
        query = sa.select(table).where(_is_there(table)).order_by(table.c.id).limit(_BATCH)
        rows = self._fetch(query)
        while rows:
            yield rows
            rows = self._fetch(query.where(table.c.id > rows[-1].id))

    def _fetch(self, query: sa.Select[Any]) -> Sequence[Any]:
        with _explained():
            return self._connection.execute(query).all()


def _is_there(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.deleted.is_not(sa.true())


@contextlib.contextmanager
def opened(url: str) -> Iterator[OldKarbor]:
    """One that nothing is written to, as it is at one moment (SQLite: at each part).

    :param url: as ``[database] connection`` has it.
    :raises KarborException: it cannot be read, or is none of a Karbor of old. The text has no
        password.
    """
    with _explained():
        engine = _engine(_parsed(url))
    try:
        with _explained():
            connection = engine.connect()
        with connection:
            yield OldKarbor(connection)
    finally:
        engine.dispose()


def _parsed(text: str) -> sa.URL:
    """The URL, with a driver that there is."""
    url = addresses.parsed(text, 'the URL of the old database')
    kind = url.get_backend_name()
    if kind not in _DRIVERS:
        raise exception.KarborException(f'A Karbor of old has no database of {kind}.')
    if kind == 'sqlite':
        return _read_only_file(url)
    if '+' not in url.drivername:
        url = url.set(drivername=_DRIVERS[kind])
    # As Karbor opens its own, see karbor.db.api.
    return url if kind == 'postgresql' else url.update_query_dict({'charset': 'utf8mb4'})


def _read_only_file(url: sa.URL) -> sa.URL:
    if not url.database or not pathlib.Path(url.database).is_file():
        raise exception.KarborException(f'There is no file {url.database}.')
    path = pathlib.Path(url.database).absolute().as_uri()
    return url.set(database=path).update_query_dict({'mode': 'ro', 'uri': 'true'})


def _engine(url: sa.URL) -> sa.Engine:
    options: dict[str, Any] = {}
    if url.get_backend_name() == 'postgresql':
        options = {'isolation_level': 'REPEATABLE READ', 'postgresql_readonly': True}
    try:
        with extras.explaining('The old database'):
            engine = sa.create_engine(url, execution_options=options)
    except ModuleNotFoundError as exc:
        raise exception.KarborException(
            f'To read the old database, the module {exc.name} is needed.'
        ) from exc
    if engine.dialect.name in ('mysql', 'mariadb'):
        event.listen(engine, 'connect', _only_read)
    return engine


def _only_read(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
        cursor.execute('SET SESSION TRANSACTION READ ONLY')


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Errors of the old database are not those of Karbor's own."""
    try:
        yield
    except exception.KarborException:
        raise
    except sa.exc.SQLAlchemyError as exc:
        what = str(getattr(exc, 'orig', None) or exc).partition('\n')[0]
        raise exception.KarborException(f'The old database cannot be read: {what}') from exc
    except Exception as exc:
        # A driver may raise anything; the text may have lines of a file with a password.
        raise exception.KarborException(
            'The old database cannot be read, as an option of its URL is wrong, or a file that one '
            f'names ({type(exc).__name__}).'
        ) from exc
