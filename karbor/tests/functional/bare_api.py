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

"""The least that the API could do: one select, or one insert, and JSON.

It stands behind the same gunicorn as the API, and answers the same paths below a project with
the same rows. It looks at no token, checks nothing, and has no page after the first.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from karbor.db import models
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id

_PLANS = models.Plan.__table__
_CHECKPOINTS = models.Checkpoint.__table__
_POINTS = models.RecoveryPoint.__table__
_PAGE = 20

Environ = Mapping[str, Any]


class Api:
    """The WSGI application.

    :param database: URL of it.
    """

    def __init__(self, database: str) -> None:
        self._engine = sa.create_engine(database, pool_size=5, max_overflow=50)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        _, _, path = environ['PATH_INFO'].partition(f'/{PROJECT_ID}/')
        if environ['REQUEST_METHOD'] == 'POST':
            answer = self._add(json.loads(environ['wsgi.input'].read())['plan'])
        else:
            answer = self._rows(_select(path))
        body = json.dumps(answer, default=str).encode()
        headers = [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))]
        start_response('200 OK', headers)
        return [body]

    def _rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _add(self, fields: dict[str, Any]) -> dict[str, Any]:
        plan = {'id': new_id(), 'project_id': PROJECT_ID, 'status': 'suspended', **fields}
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_PLANS), plan)
        return plan


def _select(path: str) -> sa.Select[Any]:
    collection, _, row_id = path.removeprefix(f'providers/{PROVIDER_ID}/').partition('/')
    if not row_id:
        table = _PLANS if collection == 'plans' else _CHECKPOINTS
        newest = (table.c.created_at.desc(), table.c.id.desc())
        return (
            sa.select(table)
            .where(table.c.project_id == PROJECT_ID)
            .order_by(*newest)
            .limit(_PAGE + 1)
        )
    if collection == 'plans':
        return sa.select(_PLANS).where(_PLANS.c.id == row_id)
    points = (column.label(f'point_{column.name}') for column in _POINTS.c)
    return (
        sa.select(_CHECKPOINTS, *points)
        .join(_POINTS, _POINTS.c.checkpoint_id == _CHECKPOINTS.c.id)
        .where(_CHECKPOINTS.c.id == row_id)
    )
