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

"""The fake Cinder, as an inventory sees it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint

from karbor import db
from karbor.services.recovery import inventory as cinder_inventory
from karbor.tests.base import PROJECT_ID


class _Login(token_endpoint.Token):
    """What Keystone would tell of the user and the project."""

    def get_user_id(self, session: Any, **kwargs: Any) -> str:
        return 'karbor'

    def get_project_id(self, session: Any, **kwargs: Any) -> str:
        return PROJECT_ID


def inventory(url: str, is_whole_cloud: bool = True) -> cinder_inventory.Inventory:
    """An inventory of what is served at a URL; see :meth:`fake_cinder.FakeCinder.serve`."""
    return cinder_inventory.Inventory(
        ks_session.Session(auth=_Login(f'{url}/{PROJECT_ID}', 'token')), is_whole_cloud
    )


def marks(**changes: str | None) -> dict[str, str]:
    """Metadata by the short names of its keys: ``checkpoint``, ``restore``, ..."""
    return {f'karbor_{name}_id': value for name, value in changes.items() if value is not None}


@contextlib.contextmanager
def counted_statements() -> Iterator[list[str]]:
    """The SQL statements that are sent meanwhile."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith('SELECT'):
            statements.append(statement)

    engine = db.engine()
    sa.event.listen(engine, 'before_cursor_execute', note)
    try:
        yield statements
    finally:
        sa.event.remove(engine, 'before_cursor_execute', note)
