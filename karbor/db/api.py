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

"""The database: one engine a process, and transactions on it.

Queries are in the modules beside this one. Each takes the session of a transaction, so
that what belongs together is written together::

    @db.transaction
    def write(session: orm.Session) -> None:
        checkpoints.create(session, ...)
        jobs.create(session, ...)

    write()
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exc
from oslo_db import options
from oslo_db.sqlalchemy import enginefacade, exc_filters
from sqlalchemy import event, orm

from karbor.common import extras
from karbor.db import addresses

Arguments = ParamSpec('Arguments')
Result = TypeVar('Result')

#: of sqlalchemy-migrate, by which a database of the Karbor of old is known
OLD_VERSION_TABLE = 'migrate_version'
_HAS_TABLE = 'SELECT 1 FROM sqlite_master WHERE name = ?'

_facade = enginefacade.transaction_context()
_is_reading = contextvars.ContextVar('_is_reading', default=False)


class DatabaseUnusable(db_exc.DBError):
    """The server cannot do now what it is asked for: it starts, it ends, or its disk is full.

    oslo.db knows some of these faults, and leaves all others as they are.
    """

    @property
    def is_full(self) -> bool:
        """Whether there is no room left for what is written."""
        return any(sign in str(self) for sign in _SIGNS_OF_A_FULL_DISK)


# Of SQLite, PostgreSQL and MariaDB.
_SIGNS_OF_A_FULL_DISK = ('disk is full', 'No space left on device', 'Disk full')
# A statement that is wrong is so every time; and what oslo.db looks at later than at these.
_NO_FAULT_OF_THE_SERVER = (
    r'(?!.*(no such |Unknown column|too many |syntax error|Lock wait timeout))'
)


@exc_filters.filters('sqlite', sa.exc.OperationalError, _NO_FAULT_OF_THE_SERVER)
@exc_filters.filters('mysql', sa.exc.OperationalError, _NO_FAULT_OF_THE_SERVER)
@exc_filters.filters('postgresql', sa.exc.OperationalError, _NO_FAULT_OF_THE_SERVER)
def _unusable(
    error: sa.exc.OperationalError, _match: object, _dialect: str, is_disconnect: bool
) -> None:
    """Called by oslo.db for what none of its own filters knows, which it would leave as it is."""
    if not is_disconnect:
        raise DatabaseUnusable(error)


@enginefacade.transaction_context_provider
class _Transaction:
    """What oslo.db hangs a transaction on; every transaction has its own."""


def configure(conf: cfg.ConfigOpts = cfg.CONF) -> None:
    """Open the database of ``[database] connection``.

    :param conf: configuration with oslo.db's options.
    :raises KarborException: the connection is no URL of a database.
    :raises ExtraMissing: the driver of the database is not installed.
    """
    global _facade
    options.set_defaults(conf)
    chosen = {key: value for key, value in conf.database.items() if key in _FACADE_OPTIONS}
    connection = chosen['connection']
    if connection:
        connection = _for_oslo_db(connection)
        _load_driver(connection)
    _facade = enginefacade.transaction_context()
    _facade.configure(
        **chosen | {'connection': connection},
        thread_checkin=False,  # a pause for each connection that is given back, for eventlet
    )
    _facade.append_on_engine_create(_prepare_sqlite)
    _facade.append_on_engine_create(_prepare_mariadb)
    # The connection by which oslo.db has tried the database is not prepared.
    _facade.append_on_engine_create(sa.Engine.dispose)


_FACADE_OPTIONS = frozenset(
    (
        'connection',
        'max_pool_size',
        'max_overflow',
        'pool_timeout',
        'connection_recycle_time',
        'max_retries',
        'retry_interval',
        'mysql_sql_mode',
        'connection_debug',
        'connection_trace',
        'sqlite_synchronous',
    )
)


def _for_oslo_db(connection: str) -> str:
    """The URL of MariaDB as oslo.db needs it.

    It takes utf8 if the URL does not say otherwise, which is not all of UTF-8 there; and it
    knows a deadlock or a duplicate only by the old name of the dialect.
    """
    url = addresses.parsed(connection, '[database] connection')
    if not url.drivername.startswith(('mysql', 'mariadb')):
        return connection
    url = url.set(drivername=url.drivername.replace('mariadb', 'mysql'))
    return url.update_query_dict({'charset': 'utf8mb4'}).render_as_string(hide_password=False)


def _load_driver(connection: str) -> None:
    """oslo.db would import it with the first transaction."""
    with extras.explaining('[database] connection'):
        sa.make_url(connection).get_dialect().import_dbapi()


def engine() -> sa.Engine:
    return _facade.writer.get_engine()


def dispose() -> None:
    """Close every connection."""
    engine().dispose()


class Look:
    """A statement that is asked very often, by a connection of its own, outside transactions.

    :param statement: a select.
    """

    def __init__(self, statement: sa.Select[Any]) -> None:
        self._statement = statement
        self._connection: sa.Connection | None = None

    def finds_any(self) -> bool:
        """Whether there is a row; one thread may ask at a time.

        :raises DBError: the database cannot tell.
        """
        if engine().dialect.name == 'sqlite':  # where nothing is outside transactions
            with reader() as session:
                return session.connection().execute(self._statement).first() is not None
        try:
            if self._connection is None:
                connected = engine().connect()
                self._connection = connected.execution_options(isolation_level='AUTOCOMMIT')
            return self._connection.execute(self._statement).first() is not None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError, db_exc.DBError):
                connection.close()


@contextlib.contextmanager
def writer() -> Iterator[orm.Session]:
    """A transaction that changes something; it is committed at the end, or undone."""
    with _marked(is_reading=False), _facade.writer.using(_Transaction()) as session:
        yield session


@contextlib.contextmanager
def reader() -> Iterator[orm.Session]:
    """A transaction that only looks."""
    with _marked(is_reading=True), _facade.reader.using(_Transaction()) as session:
        yield session


@contextlib.contextmanager
def plain_reader() -> Iterator[sa.Connection]:
    """A transaction that only looks, and makes no objects: see :mod:`karbor.db.plain_rows`."""
    with _marked(is_reading=True), engine().connect() as connection:
        yield connection


@contextlib.contextmanager
def _marked(*, is_reading: bool) -> Iterator[None]:
    token = _is_reading.set(is_reading)
    try:
        yield
    finally:
        _is_reading.reset(token)


def again_after_deadlocks(write: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorates a whole transaction: what a deadlock undoes of it is done again."""
    again: Callable[Arguments, Result] = oslo_db_api.wrap_db_retry(
        max_retries=10,
        retry_interval=0.02,
        max_retry_interval=1,
        inc_retry_interval=True,
        exception_checker=_is_deadlock,
    )(write)
    return again


def _is_deadlock(error: BaseException) -> bool:
    """Whether a deadlock has undone the transaction.

    In a savepoint, MariaDB undoes that too, and what is seen is that it is not there.
    """
    return isinstance(error, db_exc.DBDeadlock) or isinstance(
        getattr(error, 'cause', None), db_exc.DBDeadlock
    )


def transaction(
    write: Callable[Concatenate[orm.Session, Arguments], Result],
) -> Callable[Arguments, Result]:
    """Decorates a function that changes something: it is called without the session, which
    is that of a transaction of its own. What a deadlock undoes is done again, so the function
    must do nothing that a transaction cannot undo.
    """

    @again_after_deadlocks
    @functools.wraps(write)
    def write_in_transaction(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with writer() as session:
            return write(session, *args, **kwargs)

    return write_in_transaction


def until_it_works(write: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates what must not be lost because the database is away: tries for minutes.

    What it decorates is a whole transaction, or several that may be repeated.
    """
    return oslo_db_api.wrap_db_retry(
        max_retries=20,
        retry_interval=0.5,
        max_retry_interval=30,
        inc_retry_interval=True,
        exception_checker=lambda error: isinstance(error, db_exc.DBError),
    )(write)


def _prepare_sqlite(new_engine: sa.Engine) -> None:
    """Let many threads write to one SQLite file without 'database is locked'.

    oslo.db begins deferred transactions; one that reads and then writes fails at once when
    another has written in between, whatever the time-out. So each that may write takes the
    write lock when it begins. WAL lets those that only read go on meanwhile.
    """
    if new_engine.dialect.name != 'sqlite':
        return

    @event.listens_for(new_engine, 'connect')
    def use_wal(connection: Any, _record: Any) -> None:
        # One of the Karbor of old, given by mistake, is left as it is.
        if connection.execute(_HAS_TABLE, [OLD_VERSION_TABLE]).fetchone() is None:
            connection.execute('PRAGMA journal_mode=WAL')
        connection.execute('PRAGMA busy_timeout=60000')

    @event.listens_for(new_engine, 'connect')
    def know_all_letters(connection: Any, _record: Any) -> None:
        # SQLite's own function, by which texts are searched, knows those of ASCII only.
        connection.create_function('lower', 1, _lower, deterministic=True)

    @event.listens_for(new_engine, 'before_cursor_execute', retval=True)
    def begin_immediate(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        if statement == 'BEGIN' and not _is_reading.get():
            statement = 'BEGIN IMMEDIATE'
        return statement, parameters


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _prepare_mariadb(new_engine: sa.Engine) -> None:
    """Let a transaction see what others have committed, as in PostgreSQL.

    By default it goes on to see what was there at its first look, and locks the gaps between
    rows: then two that make the first row of its kind are a deadlock.
    """
    if new_engine.dialect.name != 'mysql':
        return

    @event.listens_for(new_engine, 'connect')
    def read_committed(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
