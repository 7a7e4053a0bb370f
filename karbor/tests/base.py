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

"""What every test that touches options or the database stands on.

The database is an SQLite file. With ``KARBOR_TEST_DATABASE=mariadb`` or ``=postgresql`` it is
one of a private server, which each process of the test run starts for itself.
"""

import functools
import os
import pathlib
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import fixtures
from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslo_db import options as db_options
from oslotest import base

from karbor import conf, db
from karbor.db import migration, models
from karbor.tests import database_servers

Result = TypeVar('Result')

PROJECT_ID = 'aaaabbbbccccddddeeeeffff00001111'
OTHER_PROJECT_ID = '99998888777766665555444433332222'
PROVIDER_ID = '3f9d2a10-8b41-4c52-9a11-6f1f0f3b7c20'

DATABASE = os.environ.get('KARBOR_TEST_DATABASE') or 'sqlite'

_template: bytes | None = None


class TestCase(base.BaseTestCase):
    """Gives each test its own options, its own folder and an empty, migrated database."""

    #: whether it changes the schema, so that no other test could go on with its database
    changes_schema = False

    def setUp(self) -> None:
        super().setUp()
        self.temp_dir = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.config = self.useFixture(config_fixture.Config(cfg.CONF))
        conf.register_opts(cfg.CONF)
        cfg.CONF(args=[], project='karbor', default_config_files=[], default_config_dirs=[])
        self.addCleanup(db.dispose)
        if DATABASE == 'sqlite':
            self._open_file(self.temp_dir / 'karbor.db')
        elif self.changes_schema:
            self.open_new_database()
            migration.upgrade()
        else:
            _open_database(_shared_database(DATABASE))
            empty_tables()

    def open_new_database(self, kind: str = DATABASE) -> None:
        """Go on with a database of which no other test knows, and that has no tables.

        :param kind: as in :data:`DATABASE`.
        """
        _open_database(
            f'sqlite:///{self.temp_dir}/new-{new_id()}.db'
            if kind == 'sqlite'
            else database_servers.running(kind).create_database()
        )

    def _open_file(self, path: pathlib.Path) -> None:
        global _template
        if _template is None:
            _template = _migrated(path.with_name('template.db'))
        path.write_bytes(_template)
        _open_database(f'sqlite:///{path}')

    def provider_dir(
        self,
        *,
        name: str = 'provider',
        provider_id: str = PROVIDER_ID,
        plugins: tuple[str, ...] = (
            'karbor-project-protection-plugin',
            'karbor-volume-snapshot-plugin',
        ),
        **options: Any,
    ) -> pathlib.Path:
        """A folder of provider files; every call adds one to it.

        :param name: of the provider, of its file and of its bank's folder.
        :param plugins: its ``plugin`` lines.
        :param options: of ``[volume_snapshot_plugin]``.
        """
        folder = self.temp_dir / 'providers.d'
        folder.mkdir(exist_ok=True)
        quick = {
            'poll_interval': 0.05,
            'retry_timeout': 1,
            'settle_timeout': 1,
            'delete_timeout': 4,  # what goes well beside what does not is to have time enough
            'in_flight_timeout': 0,
            'snapshot_timeout': 10,
            'restore_timeout': 10,
        }
        lines = [
            '[provider]',
            f'id = {provider_id}',
            f'name = {name}',
            f'description = {name} of a test',
            'enabled = True',
            'bank = karbor-fs-bank-plugin',
            *(f'plugin = {plugin}' for plugin in plugins),
            '[file_system_bank_plugin]',
            f'file_system_bank_path = {self.temp_dir / f"bank-{name}"}',
            '[volume_snapshot_plugin]',
            *(f'{key} = {value}' for key, value in {**quick, **options}.items()),
        ]
        (folder / f'{name}.conf').write_text('\n'.join(lines) + '\n')
        return folder

    def wait_until(self, look: Callable[[], Result], what: str, seconds: float = 20) -> Result:
        """The first true value that ``look`` returns; the test fails after the deadline."""
        deadline = time.monotonic() + seconds
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                self.fail(f'{what} did not happen in {seconds} seconds')
            time.sleep(0.02)


def new_id() -> str:
    return str(uuid.uuid4())


def _open_database(url: str) -> None:
    db_options.set_defaults(cfg.CONF, connection=url)
    cfg.CONF.set_default('sqlite_synchronous', False, 'database')  # a test needs no disk
    db.configure(cfg.CONF)


def _migrated(path: pathlib.Path) -> bytes:
    """An empty database of the newest schema; to make it takes as long as ten tests."""
    _open_database(f'sqlite:///{path}')
    migration.upgrade()
    db.dispose()  # writes what SQLite still has beside the file
    return path.read_bytes()


@functools.cache
def _shared_database(kind: str) -> str:
    """URL of the one database that the tests of this process use in turn."""
    url = database_servers.running(kind).create_database()
    _open_database(url)
    migration.upgrade()
    db.dispose()
    return url


def empty_tables() -> None:
    """Delete all rows; the tables are small, so this is quickest."""
    with db.writer() as session:
        for table in reversed(models.Base.metadata.sorted_tables):
            if table is not models.SchemaGate.__table__:  # part of the schema
                session.execute(table.delete())
