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

"""Pages of lists, found by an index and never by counting."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from oslo_db.sqlalchemy import utils
from sqlalchemy import orm

from karbor import exception
from karbor.db import models

Row = TypeVar('Row', models.Plan, models.Checkpoint, models.Restore, models.Verification)


@dataclasses.dataclass(frozen=True)
class Page:
    """Which part of a list is asked for.

    :param limit: most rows to return.
    :param marker: id of the last row of the page before; None begins at the start.
    :param offset: rows to leave out at the start.
    :param sort: pairs of a column's name and 'asc' or 'desc'; ``created_at`` and ``id``
        follow in the direction of the first, so that the order is total.
    """

    limit: int
    marker: str | None = None
    offset: int = 0
    sort: Sequence[tuple[str, str]] = (('created_at', 'desc'),)


def rows(session: orm.Session, model: type[Row], project_id: str, conditions: Sequence[Any],
         page: Page) -> tuple[list[Row], bool]:
    """The rows of one page, and whether more follow.

    :param model: a table with a ``project_id``; only that project's rows are seen.
    :param conditions: what else holds for the rows.
    :raises InvalidInput: the marker is the id of no row of the project.
    """
    own = sa.select(model).where(model.project_id == project_id)
    marker = None
    if page.marker is not None:
        marker = session.scalar(own.where(model.id == page.marker))
        if marker is None:
            raise exception.InvalidInput(reason=f'There is no marker {page.marker!r}.')
    keys = dict(page.sort)
    first_direction = page.sort[0][1]
    for key in ('created_at', 'id'):
        keys.setdefault(key, first_direction)
    query = utils.paginate_query(own.where(*conditions), model, page.limit + 1, list(keys),
                                 marker=marker, sort_dirs=list(keys.values()))
    found = session.scalars(query.offset(page.offset)).all()
    return list(found[:page.limit]), len(found) > page.limit


def equal(model: type[models.Base], filters: Mapping[str, str]) -> list[Any]:
    """Conditions that columns equal texts."""
    return [getattr(model, name) == value for name, value in filters.items()]
