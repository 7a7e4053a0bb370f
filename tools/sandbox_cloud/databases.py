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
"""The SQLite databases."""

import sqlite3
from pathlib import Path

from sandbox_cloud import accounts, configuration, console
from sandbox_cloud.settings import Settings


def ensure_keystone(settings: Settings) -> None:
    """Make Keystone's tables, its administrator and its own catalog entry, once."""
    ready = settings.path('db', 'keystone.ready')
    if ready.exists():
        return
    _start_over(settings.path('db', 'keystone.db'))
    manage: list[str | Path] = [
        settings.executable('keystone-manage'),
        '--config-file',
        settings.path('etc', configuration.KEYSTONE_CONF),
    ]
    console.run([*manage, 'db_sync'])
    console.run(
        [
            *manage,
            'bootstrap',
            '--bootstrap-password',
            accounts.ADMIN.user,
            '--bootstrap-region-id',
            accounts.REGION,
            '--bootstrap-public-url',
            settings.keystone_url,
            '--bootstrap-internal-url',
            settings.keystone_url,
            '--bootstrap-admin-url',
            settings.keystone_url,
        ]
    )
    _use_write_ahead_log(settings.path('db', 'keystone.db'))
    ready.touch()


def ensure_cinder(settings: Settings) -> None:
    """Make Cinder's tables, once."""
    _ensure(settings, 'cinder', configuration.CINDER_CONF)


def ensure_glance(settings: Settings) -> None:
    """Make Glance's tables, once."""
    _ensure(settings, 'glance', configuration.GLANCE_CONF)


def _ensure(settings: Settings, service: str, config_file: str) -> None:
    ready = settings.path('db', f'{service}.ready')
    if ready.exists():
        return
    _start_over(settings.path('db', f'{service}.db'))
    console.run(
        [
            settings.executable(f'{service}-manage'),
            '--config-file',
            settings.path('etc', config_file),
            'db',
            'sync',
        ]
    )
    _use_write_ahead_log(settings.path('db', f'{service}.db'))
    ready.touch()


def _start_over(database: Path) -> None:
    """Remove what an interrupted run left: migrations do not resume in the middle of a step."""
    for suffix in ('', '-wal', '-shm', '-journal'):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _use_write_ahead_log(database: Path) -> None:
    """Let readers go on while one writes; the setting stays in the file."""
    connection = sqlite3.connect(database)
    try:
        connection.execute('PRAGMA journal_mode=WAL')
    finally:
        connection.close()
