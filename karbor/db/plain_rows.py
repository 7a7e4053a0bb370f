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

"""Rows that are only looked at.

To make objects of them that a session follows takes longer than to find them. So they are left
as the database gives them, with the columns of their table for attributes.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import sqlalchemy as sa

from karbor.db import models

Row = TypeVar('Row', bound=models.Base)


def select(
    model: type[Row], columns: Sequence[sa.ColumnElement[Any]] | None = None
) -> sa.Select[tuple[Row]]:
    """A query for columns of a table; what it finds has those attributes of the model.

    :param columns: all, unless they are given.
    """
    return cast('sa.Select[tuple[Row]]', sa.select(*(columns or model.__table__.columns)))


def fetch(connection: sa.Connection, query: sa.Select[tuple[Row]], **values: Any) -> Sequence[Row]:
    """The rows of a query that :func:`select` began.

    :param values: of the parameters of the query.
    """
    return cast('Sequence[Row]', connection.execute(query, values).all())


@contextlib.contextmanager
def stream(connection: sa.Connection, query: sa.Select[Any], ahead: int) -> Iterator[Iterable[Any]]:
    """The rows of a query as they are asked for; what is not asked for stays in the database.

    :param ahead: how many are read beyond that.
    """
    options = {'stream_results': True, 'max_row_buffer': ahead}
    with connection.execute(query, execution_options=options) as rows:
        yield rows
