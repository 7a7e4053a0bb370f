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
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from oslo_db.sqlalchemy import utils

from karbor import exception
from karbor.db import models, plain_rows

Row = TypeVar(
    'Row',
    models.Plan,
    models.Checkpoint,
    models.RecoveryPoint,
    models.Restore,
    models.Verification,
    models.Trigger,
    models.ScheduledOperation,
    models.OperationLog,
    models.Trouble,
)


_SEARCHED = ('name', 'description')

_MOST_CHARACTERS = 8 * 1024 * 1024  # of what is large in the rows of a page
_OF_A_RESULT = 150  # characters that a list shows of one resource, besides its reason
# Rows that a driver may hold beyond those that are asked for.
_READ_AHEAD = 20


def _length(*columns: Any) -> sa.ColumnElement[int]:
    """How many characters columns have in the database."""
    lengths = (sa.func.coalesce(sa.func.length(sa.cast(column, sa.Text)), 0) for column in columns)
    return functools.reduce(operator.add, lengths)


def _length_of_use(model: type[models.Restore | models.Verification]) -> sa.ColumnElement[int]:
    """The same of a restore or verification with what is told of its resources."""
    results = sa.select(
        sa.func.coalesce(sa.func.sum(_OF_A_RESULT + _length(models.ResourceResult.reason)), 0)
    ).where(models.ResourceResult.subject_id == model.id)
    return _length(model.parameters) + results.scalar_subquery()


# Of these a row may have megabytes, and so a page gigabytes.
_LENGTHS: Mapping[Any, sa.ColumnElement[int]] = {
    models.Plan: _length(models.Plan.resources, models.Plan.parameters),
    models.Checkpoint: _length(models.Checkpoint.extra_info),
    models.Restore: _length_of_use(models.Restore),
    models.Verification: _length_of_use(models.Verification),
    models.OperationLog: _length(models.OperationLog.extra_info, models.OperationLog.error_info),
    models.Trouble: _length(models.Trouble.reason),
}


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


@dataclasses.dataclass(frozen=True)
class Selection:
    """What is asked of a list.

    :param project_id: whose rows; None is everybody's, which only an administrator may see.
    :param page: which part of them.
    :param filters: columns and texts: names and descriptions are searched for the text, all
        others are compared with it.
    """

    project_id: str | None
    page: Page
    filters: Mapping[str, str] = dataclasses.field(default_factory=dict)


def rows(
    connection: sa.Connection,
    model: type[Row],
    selection: Selection,
    conditions: Sequence[Any] = (),
    *,
    columns: Sequence[sa.ColumnElement[Any]] | None = None,
) -> tuple[list[Row], bool]:
    """The rows of one page, see :mod:`karbor.db.plain_rows`, and whether more follow.

    Of large rows a page may have fewer than are asked for, though more follow.

    :param model: a table with a ``project_id``.
    :param conditions: what else holds for the rows.
    :param columns: what is read of them; all, unless they are given.
    :raises MarkerNotFound: the marker is the id of no row that may be seen.
    """
    seen = plain_rows.select(model, columns)
    if selection.project_id is not None:
        seen = seen.where(model.project_id == selection.project_id)
    page = selection.page
    marker = None
    if page.marker is not None:
        of_marker = plain_rows.fetch(connection, seen.where(model.id == page.marker))
        if not of_marker:
            raise exception.MarkerNotFound(marker=page.marker)
        (marker,) = of_marker
    keys = dict(page.sort)
    first_key, first_direction = page.sort[0]
    for key in ('created_at', 'id'):
        keys.setdefault(key, first_direction)
    query = seen.where(*_filtered(model, selection.filters), *conditions)
    if marker is not None:
        query = query.where(_not_before(model, first_key, first_direction, marker))
    query = utils.paginate_query(
        query, model, page.limit + 1, list(keys), marker=marker, sort_dirs=list(keys.values())
    )
    return _fitting(connection, query.offset(page.offset), _LENGTHS.get(model), page.limit)


def _fitting(
    connection: sa.Connection,
    query: sa.Select[tuple[Row]],
    length: sa.ColumnElement[int] | None,
    limit: int,
) -> tuple[list[Row], bool]:
    """The first rows of a query that fit a page, at least one, and whether more follow.

    :param length: of what is large in a row; None when nothing is.
    """
    if length is None:
        rows_found = plain_rows.fetch(connection, query)
        return list(rows_found[:limit]), len(rows_found) > limit
    fitting: list[Row] = []
    characters = 0
    query_of_lengths = query.add_columns(length.label('length'))
    with plain_rows.stream(connection, query_of_lengths, _READ_AHEAD) as found:
        for row in found:
            characters += row.length
            if len(fitting) == limit or (fitting and characters > _MOST_CHARACTERS):
                return fitting, True
            fitting.append(row)
    return fitting, False


def _filtered(model: type[models.Base], filters: Mapping[str, str]) -> list[Any]:
    """Conditions that columns have, or contain, texts."""
    columns = {getattr(model, name): text for name, text in filters.items()}
    return [
        column.icontains(text, autoescape=True) if column.key in _SEARCHED else column == text
        for column, text in columns.items()
    ]


def _not_before(
    model: type[models.Base], key: str, direction: str, marker: models.Base
) -> sa.ColumnElement[bool]:
    """What paginate_query says in a way by which an index is entered at the marker.

    Its own condition is a chain of ORs, for which databases read the index from its start.
    """
    column, value = getattr(model, key), getattr(marker, key)
    return column >= value if direction == 'asc' else column <= value


def slice_of(items: Sequence[Any], page: Page) -> tuple[list[Any], bool]:
    """The part of a list in memory that a marker and a limit ask for, and whether more follow.

    :param items: objects with an ``id``, in the order of the list.
    :raises MarkerNotFound: none of them has the marker's id.
    """
    items = after_marker(items, page.marker)
    return list(items[: page.limit]), len(items) > page.limit


def after_marker(items: Sequence[Any], marker: str | None) -> Sequence[Any]:
    """What follows a marker in a list in memory; all of it when there is none.

    :raises MarkerNotFound: none of them has the marker's id.
    """
    if marker is None:
        return items
    for number, item in enumerate(items, 1):
        if item.id == marker:
            return items[number:]
    raise exception.MarkerNotFound(marker=marker)
