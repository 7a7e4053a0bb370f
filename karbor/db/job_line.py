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

"""Which jobs are the next to begin, at a cost that does not grow with how many wait.

All is read from ``jobs_line_idx``, which has the pending jobs of a project side by side, oldest
first: the projects by one look into it each, and then the first jobs of few of them.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.db import clock, models
from karbor.db.jobs import JobState, Scope

# MariaDB takes an index by what it believes of all jobs, also for a project that has few of them.
_INDEX = 'FORCE INDEX (jobs_line_idx)'


def in_line(
    session: orm.Session, scope: Scope, full_projects: Collection[str], count: int
) -> list[tuple[str, str, float]]:
    """The pending jobs that a worker can do and that are the next to begin.

    The first of each project come before any second, so that no project waits for all that
    another has asked for.

    :param full_projects: those that are to wait.
    :returns: id, project and age in seconds of each.
    """
    found = session.execute(_firsts(session, scope, full_projects).limit(count)).all()
    if found and len(found) < count:
        project_ids = sorted(row.project_id for row in found)
        found = session.execute(_of_projects(scope, project_ids, count).limit(count)).all()
    return [
        (job_id, project_id, (now - created_at).total_seconds())
        for job_id, project_id, created_at, now in found
    ]


def _firsts(
    session: orm.Session, scope: Scope, full_projects: Collection[str]
) -> sa.Select[str, str, Any, Any]:
    """The first job of each project, oldest first."""
    is_mariadb = session.get_bind().dialect.name == 'mysql'
    projects = _grouped_projects() if is_mariadb else _walked_projects()
    first_id = _line(scope, projects.c.project_id, models.Job.id).limit(1).scalar_subquery()
    firsts = (
        sa.select(first_id.label('id'))
        .select_from(projects)
        .where(projects.c.project_id.not_in(full_projects))
        .subquery()
    )
    columns = models.Job.__table__.c
    return (
        sa.select(columns.id, columns.project_id, columns.created_at, clock.utcnow())
        .join_from(firsts, models.Job.__table__, columns.id == firsts.c.id)
        .order_by(columns.created_at, columns.id)
    )


def _line(scope: Scope, project_id: Any, *columns: Any) -> sa.Select[Any]:
    """What waits of one project and can be done, oldest first."""
    return (
        sa.select(*columns)
        .where(
            models.Job.state == JobState.PENDING,
            models.Job.project_id == project_id,
            models.Job.kind.in_(scope.kinds),
            models.Job.provider_id.in_(scope.provider_ids),
        )
        .order_by(models.Job.created_at, models.Job.id)
        .with_hint(models.Job, _INDEX, 'mysql')
    )


def _of_projects(
    scope: Scope, project_ids: Sequence[str], count: int
) -> sa.Select[str, str, Any, Any]:
    """The first jobs of some projects, in turn.

    :param count: how many of each are looked at.
    """
    lines = (
        _line(scope, project_id, models.Job.id, models.Job.project_id, models.Job.created_at)
        .limit(count)
        .subquery()
        for project_id in project_ids
    )
    found = sa.union_all(*(sa.select(line) for line in lines)).subquery()
    place = sa.func.row_number().over(
        partition_by=found.c.project_id, order_by=(found.c.created_at, found.c.id)
    )
    return sa.select(found.c.id, found.c.project_id, found.c.created_at, clock.utcnow()).order_by(
        place, found.c.created_at, found.c.id
    )


def _grouped_projects() -> sa.Subquery:
    """The projects that have pending jobs; MariaDB skips from group to group.

    It does so for a range of the index and for a prefix of its columns only, not for one state.
    """
    return (
        sa.select(models.Job.state, models.Job.project_id)
        .where(models.Job.state >= JobState.PENDING, models.Job.state <= JobState.PENDING)
        .group_by(models.Job.state, models.Job.project_id)
        .with_hint(models.Job, _INDEX, 'mysql')
        .subquery()
    )


def _walked_projects() -> sa.CTE:
    """The projects that have pending jobs, each found behind the one before; then null."""
    projects = sa.select(_next_project().label('project_id')).cte('projects', recursive=True)
    following = _next_project(models.Job.project_id > projects.c.project_id)
    return projects.union_all(
        sa.select(following).select_from(projects).where(projects.c.project_id.is_not(None))
    )


def _next_project(*conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[str]:
    return (
        sa.select(models.Job.project_id)
        .where(models.Job.state == JobState.PENDING, *conditions)
        .order_by(models.Job.project_id)
        .limit(1)
        .scalar_subquery()
    )
