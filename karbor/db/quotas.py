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

"""Limits of what a project may have, and how much it has.

A use is counted in the transaction that makes or removes the object. So nothing is ever
reserved that is not made, and a crash leaves nothing to be given back.

What releases before did not count, and may be making beside this one, is counted by its own rows;
of its usage there is only a row to lock.
"""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc
from sqlalchemy import orm

from karbor.db import jobs, models, upserts

DEFAULT_CLASS = 'default'
_LARGEST = 2147483647  # of an INTEGER

_LIMITS = sa.union_all(
    sa.select(sa.literal(0), models.QuotaClass.resource, models.QuotaClass.hard_limit).where(
        models.QuotaClass.class_name == DEFAULT_CLASS
    ),
    sa.select(sa.literal(1), models.Quota.resource, models.Quota.hard_limit).where(
        models.Quota.project_id == sa.bindparam('project_id')
    ),
)

_USAGES = models.QuotaUsage.__table__.c
_ONE_MORE = (
    sa.update(models.QuotaUsage.__table__)  # type: ignore[arg-type]
    .where(
        _USAGES.project_id == sa.bindparam('of_project'),
        _USAGES.resource == sa.bindparam('of_resource'),
    )
    .values(in_use=_USAGES.in_use + 1)
)
_ONE_MORE_BELOW = _ONE_MORE.where(_USAGES.in_use < sa.bindparam('most'))
_OWN_LIMIT = sa.select(models.Quota.hard_limit).where(
    models.Quota.project_id == sa.bindparam('of_project'),
    models.Quota.resource == sa.bindparam('of_resource'),
)
_LIMIT_OF_CLASS = sa.select(models.QuotaClass.hard_limit).where(
    models.QuotaClass.class_name == DEFAULT_CLASS,
    models.QuotaClass.resource == sa.bindparam('of_resource'),
)
_LIMIT = sa.func.coalesce(
    _OWN_LIMIT.scalar_subquery(), _LIMIT_OF_CLASS.scalar_subquery(), sa.bindparam('configured')
)
_LIMIT_LOCKED = (
    sa.select(_LIMIT)
    .where(
        _USAGES.project_id == sa.bindparam('of_project'),
        _USAGES.resource == sa.bindparam('of_resource'),
    )
    .with_for_update()
)
_ONE_MORE_WITHIN = _ONE_MORE.where(
    _USAGES.in_use < sa.func.coalesce(sa.func.nullif(_LIMIT, -1), _LARGEST)
)

#: what is counted by its rows: what there is of a project
COUNTED_ROWS: Mapping[str, sa.Select[Any]] = {
    'triggers': sa.select(models.Trigger.id).where(
        models.Trigger.project_id == sa.bindparam('of_project')
    ),
    'verifications': sa.select(models.Verification.id).where(
        models.Verification.project_id == sa.bindparam('of_project')
    ),
    'jobs': sa.select(models.Job.id).where(
        models.Job.project_id == sa.bindparam('of_project'), models.Job.state.in_(jobs.UNFINISHED)
    ),
}


def class_limits(session: orm.Session, class_name: str) -> dict[str, int]:
    """The limits that are set for a class, by resource."""
    return {
        row.resource: row.hard_limit
        for row in session.scalars(
            sa.select(models.QuotaClass).where(models.QuotaClass.class_name == class_name)
        )
    }


def own_limits(session: orm.Session, project_id: str) -> dict[str, int]:
    """The limits that are set for a project itself, by resource."""
    return {
        row.resource: row.hard_limit
        for row in session.scalars(
            sa.select(models.Quota).where(models.Quota.project_id == project_id)
        )
    }


def limits_of(session: orm.Session, project_id: str) -> dict[str, int]:
    """The limits that are set for the project itself, else for the class of all, by resource."""
    found = session.connection().execute(_LIMITS, {'project_id': project_id}).tuples()
    return {resource: limit for _, resource, limit in sorted(found)}


def set_limits(session: orm.Session, project_id: str, limits: Mapping[str, int]) -> None:
    for resource, limit in limits.items():
        upserts.write(
            session,
            models.Quota,
            {'project_id': project_id, 'resource': resource, 'hard_limit': limit},
        )


def limits_set(session: orm.Session, project_ids: Collection[str]) -> set[tuple[str, str]]:
    """Of which resources some projects have limits of their own: both, the project first."""
    rows = session.execute(
        sa.select(models.Quota.project_id, models.Quota.resource).where(
            models.Quota.project_id.in_(project_ids)
        )
    )
    return set(rows.tuples())


def set_class_limits(session: orm.Session, class_name: str, limits: Mapping[str, int]) -> None:
    for resource, limit in limits.items():
        upserts.write(
            session,
            models.QuotaClass,
            {'class_name': class_name, 'resource': resource, 'hard_limit': limit},
        )


def unset_limits(session: orm.Session, project_id: str) -> bool:
    """Remove the limits that are set for a project itself; returns whether there were any."""
    gone = session.execute(sa.delete(models.Quota).where(models.Quota.project_id == project_id))
    return bool(gone.rowcount)  # type: ignore[attr-defined]


def in_use(session: orm.Session, project_id: str) -> dict[str, int]:
    """How many the project has, by resource."""
    kept = {
        row.resource: row.in_use
        for row in session.scalars(
            sa.select(models.QuotaUsage).where(models.QuotaUsage.project_id == project_id)
        )
    }
    return {**kept, **{name: _count(session, project_id, name) for name in COUNTED_ROWS}}


def _count(session: orm.Session, project_id: str, resource: str, most: int = _LARGEST) -> int:
    """How many of what is counted by its rows there are.

    :param most: where counting ends.
    """
    rows = COUNTED_ROWS[resource].limit(most).subquery()
    found = session.connection().execute(
        sa.select(sa.func.count()).select_from(rows), {'of_project': project_id}
    )
    return int(found.scalar_one())


def full(session: orm.Session, project_id: str, resource: str, configured: int) -> int | None:
    """The limit of what is counted by its rows, if the project may have no more of that.

    Who makes one more in this transaction does so before others look.

    :param configured: the limit of a project without one of its own or of the class.
    """
    values = {'of_project': project_id, 'of_resource': resource, 'configured': configured}
    limit = session.connection().execute(_LIMIT_LOCKED, values).scalar()
    if limit is None:
        first = {'project_id': project_id, 'resource': resource, 'in_use': 0}
        upserts.write_missing(session, models.QuotaUsage, ['project_id', 'resource'], [first])
        return full(session, project_id, resource, configured)
    has_room = limit < 0 or _count(session, project_id, resource, most=limit) < limit
    return None if has_room else int(limit)


def take_within(session: orm.Session, project_id: str, resource: str, configured: int) -> bool:
    """Count one more by one statement; False, and nothing counted, of the first and of too many.

    :param configured: the limit of a project without one of its own or of the class.
    """
    values = {'of_project': project_id, 'of_resource': resource, 'configured': configured}
    return session.connection().execute(_ONE_MORE_WITHIN, values).rowcount > 0


def take(session: orm.Session, project_id: str, resource: str, limit: int) -> bool:
    """Count one more; False, and nothing counted, when that would pass the limit.

    :param limit: the limit; -1 is none.
    """
    if limit == 0:
        return False
    values = {'of_project': project_id, 'of_resource': resource, 'most': limit}
    one_more = _ONE_MORE_BELOW if limit > 0 else _ONE_MORE
    if session.connection().execute(one_more, values).rowcount:
        return True
    if session.get(models.QuotaUsage, (project_id, resource)) is not None:
        return False
    return _first(session, project_id, resource) or take(session, project_id, resource, limit)


def give_back(session: orm.Session, project_id: str, resource: str) -> None:
    """Count one less; only for an object that this transaction removes."""
    session.execute(
        _usage(project_id, resource)
        .where(models.QuotaUsage.in_use > 0)
        .values(in_use=models.QuotaUsage.in_use - 1)
    )


def _usage(project_id: str, resource: str) -> sa.Update:
    return sa.update(models.QuotaUsage).where(
        models.QuotaUsage.project_id == project_id, models.QuotaUsage.resource == resource
    )


def _first(session: orm.Session, project_id: str, resource: str) -> bool:
    """Begin to count with 1; False when another has begun at the same moment."""
    try:
        with session.begin_nested():
            session.add(models.QuotaUsage(project_id=project_id, resource=resource, in_use=1))
    except db_exc.DBDuplicateEntry:
        return False
    return True
