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

"""Queries on troubles: what does not go as somebody wants, until it is over.

A trouble is opened and closed in the transaction that makes it so. Unique by project, kind and
subject, it is one however many open it.
"""

import dataclasses
import datetime
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from oslo_utils import uuidutils
from sqlalchemy import orm

from karbor import exception
from karbor.common.constants import TroubleKind
from karbor.db import clock, models, paging, plain_rows, upserts

#: the project of what is the operator's
OPERATOR = ''

_KEY = ('project_id', 'kind', 'subject_id')


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """One as it stands now.

    :ivar project_id: whose it is; :data:`OPERATOR` of what is the operator's.
    :ivar subject_id: of what it is about; what that is follows from the kind.
    :ivar reason: what is wrong, for people.
    :ivar count: of how many things it is.
    """

    project_id: str
    kind: TroubleKind
    subject_id: str
    subject_name: str
    reason: str
    count: int = 1


def open_(session: orm.Session, trouble: Trouble) -> None:
    """Write that it stands; one that stands already has another reason from now on."""
    row = session.scalars(
        _of_project(trouble.project_id)
        .where(models.Trouble.kind == trouble.kind, models.Trouble.subject_id == trouble.subject_id)
        .with_for_update()
    ).one_or_none()
    _write(session, trouble, row, clock.now(session))


def close(
    session: orm.Session, project_id: str, subject_id: str, kinds: Collection[TroubleKind]
) -> None:
    """Write that all of some kinds about one thing are over, in one statement."""
    session.execute(
        sa.update(models.Trouble)
        .where(
            models.Trouble.project_id == project_id,
            models.Trouble.kind.in_(kinds),
            models.Trouble.subject_id == subject_id,
            models.Trouble.closed_at.is_(None),
        )
        .values(closed_at=clock.utcnow(), updated_at=clock.utcnow())
        .execution_options(synchronize_session=False)
    )


def stands(session: orm.Session, project_id: str, subject_id: str, kind: TroubleKind) -> bool:
    """Whether there is one that is not over."""
    return (
        session.scalar(
            sa.select(models.Trouble.id).where(
                models.Trouble.project_id == project_id,
                models.Trouble.kind == kind,
                models.Trouble.subject_id == subject_id,
                models.Trouble.closed_at.is_(None),
            )
        )
        is not None
    )


def settle(
    session: orm.Session,
    project_id: str,
    kinds: Collection[TroubleKind],
    standing: Iterable[Trouble],
) -> None:
    """Write all that stands of some kinds in a project; what stood and does not, is over.

    :param standing: at most one of a kind and subject.
    """
    now = clock.now(session)
    query = _of_project(project_id).where(models.Trouble.kind.in_(kinds)).with_for_update()
    rows = {(row.kind, row.subject_id): row for row in session.scalars(query)}
    for trouble in standing:
        _write(session, trouble, rows.pop((trouble.kind, trouble.subject_id), None), now)
    for row in rows.values():
        if row.closed_at is None:
            row.closed_at = row.updated_at = now


def forget(session: orm.Session, project_id: str, subject_id: str) -> None:
    """Remove all about something that is not there any more."""
    session.execute(
        sa.delete(models.Trouble)
        .where(
            models.Trouble.project_id == project_id,
            models.Trouble.subject_id == subject_id,
            models.Trouble.kind.in_(list(TroubleKind)),  # the index has the kind before it
        )
        .execution_options(synchronize_session=False)
    )


def _of_project(project_id: str) -> sa.Select[models.Trouble]:
    return sa.select(models.Trouble).where(models.Trouble.project_id == project_id)


def _write(
    session: orm.Session, trouble: Trouble, row: models.Trouble | None, now: datetime.datetime
) -> None:
    values: dict[str, Any] = {
        'subject_name': trouble.subject_name,
        'reason': trouble.reason,
        'count': trouble.count,
    }
    if row is None:
        key = {name: getattr(trouble, name) for name in _KEY}
        new = {'id': uuidutils.generate_uuid(), 'created_at': now, **key, **values}
        upserts.write_missing(session, models.Trouble, _KEY, [new])
        return
    if row.closed_at is not None:
        values |= {'created_at': now, 'closed_at': None}
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    if changed:
        row.updated_at = now
        session.flush()


def page(
    connection: sa.Connection, selection: paging.Selection, *, is_open: bool | None
) -> tuple[list[models.Trouble], bool]:
    """One page of troubles, and whether more follow.

    :param is_open: whether they stand, or are over; None for all.
    """
    closed_at = models.Trouble.closed_at
    conditions = () if is_open is None else (closed_at.is_(None) == is_open,)
    return paging.rows(connection, models.Trouble, selection, conditions)


def get(connection: sa.Connection, project_id: str | None, trouble_id: str) -> models.Trouble:
    """:param project_id: whose it must be; None for anybody's.
    :raises TroubleNotFound:
    """
    query = plain_rows.select(models.Trouble).where(models.Trouble.id == trouble_id)
    if project_id is not None:
        query = query.where(models.Trouble.project_id == project_id)
    rows = plain_rows.fetch(connection, query)
    if not rows:
        raise exception.TroubleNotFound(trouble_id=trouble_id)
    return rows[0]
