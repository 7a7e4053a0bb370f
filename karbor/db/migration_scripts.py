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

"""The migrations that this code has, as alembic reads and runs them."""

import functools

import alembic.command
import alembic.config
import alembic.script
import sqlalchemy as sa

from karbor.db import schema_gate


@functools.cache
def directory() -> alembic.script.ScriptDirectory:
    """All of them."""
    return alembic.script.ScriptDirectory.from_config(_config())


def oldest_code(revision: str) -> str | None:
    """The last migration of the oldest code that may work on what one makes, if that says so."""
    return getattr(directory().get_revision(revision).module, 'oldest_code', None)


def run(connection: sa.Connection, revision: str) -> None:
    """Run the migrations to one."""
    config = _config()
    config.attributes['connection'] = connection
    alembic.command.upgrade(config, revision)


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option('script_location', str(schema_gate.MIGRATIONS))
    return config
