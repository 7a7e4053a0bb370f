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

"""Brings the database to the schema that this Karbor needs."""

import pathlib

import alembic.command
import alembic.config
import alembic.migration
import alembic.script
import alembic.script.revision
import alembic.util

from karbor.db import api, point_filling

_SCRIPTS = pathlib.Path(__file__).parent / 'migrations'


class SchemaError(Exception):
    """The database cannot be brought to the schema of this Karbor; the text says why."""


def upgrade(revision: str = 'head') -> None:
    """Run the migrations that the open database has not seen.

    To the last one belongs to write what rows of older Karbors lack. That is done in small
    transactions; if it is broken off, the next upgrade goes on.

    :param revision: the last one to run.
    :raises SchemaError: a newer Karbor made it.
    """
    config = _config()
    with api.engine().connect() as connection:
        config.attributes['connection'] = connection
        try:
            alembic.command.upgrade(config, revision)
        except alembic.util.CommandError as exc:
            raise SchemaError(f'The database was made by a newer Karbor: {exc}') from exc
        connection.commit()
    if revision == 'head':
        point_filling.fill()


def missing() -> list[str]:
    """The migrations that the open database has not seen, oldest first.

    :raises SchemaError: a newer Karbor made it.
    """
    scripts = alembic.script.ScriptDirectory.from_config(_config())
    with api.engine().connect() as connection:
        current = alembic.migration.MigrationContext.configure(connection).get_current_revision()
    try:
        found = list(scripts.iterate_revisions('head', current or 'base'))
    except alembic.script.revision.RevisionError as exc:
        raise SchemaError(f'The database was made by a newer Karbor: {exc}') from exc
    return [script.revision for script in reversed(found)]


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option('script_location', str(_SCRIPTS))
    return config
