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

"""Writes what looks have seen of the volumes of projects, and which projects to look at."""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.db import batches, clock, models, upserts

_TAKEN_AT_ONCE = 20  # projects

_COLUMNS = ('id', 'name', 'status', 'size', 'metadata')


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SeenVolume:
    """A volume as it was seen.

    :ivar size: in GiB.
    """

    id: str
    name: str
    status: str
    size: int
    metadata: dict[str, str]


def customers(session: orm.Session) -> set[str]:
    """The projects that have plans or recovery points."""
    models_of_projects = (models.Plan, models.RecoveryPoint)
    return {
        project_id
        for model in models_of_projects
        for project_id in session.scalars(sa.select(model.project_id).distinct())
    }


def know_customers(session: orm.Session) -> None:
    """Write a row of looks for each of them that has none."""
    known = set(session.scalars(sa.select(models.ProjectLook.project_id)))
    new = [{'project_id': project_id} for project_id in customers(session) - known]
    for rows in batches.of(new):
        upserts.write_missing(session, models.ProjectLook, ['project_id'], rows)


def take_unjudged(session: orm.Session, seconds: float) -> Sequence[str]:
    """Some projects that nobody has judged for some time; nobody else gets them for as long.

    :param seconds: that time.
    """
    now = clock.now(session)
    project_ids = session.scalars(
        sa.select(models.ProjectLook.project_id)
        .where(
            sa.or_(
                models.ProjectLook.judged_at.is_(None),
                models.ProjectLook.judged_at <= now - datetime.timedelta(seconds=seconds),
            )
        )
        .limit(_TAKEN_AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    session.execute(
        sa.update(models.ProjectLook)
        .where(models.ProjectLook.project_id.in_(project_ids))
        .values(judged_at=now)
        .execution_options(synchronize_session=False)
    )
    return project_ids


def write_volumes(
    session: orm.Session,
    project_id: str,
    volumes: Iterable[SeenVolume],
    seen_at: datetime.datetime,
) -> None:
    """Write what volumes a project has; few statements for however many.

    :param volumes: all of them.
    :param seen_at: before they were listed, by the database's clock. What a later look has
        written stays.
    """
    upserts.write_missing(session, models.ProjectLook, ['project_id'], [{'project_id': project_id}])
    look = session.scalars(
        sa.select(models.ProjectLook)
        .where(models.ProjectLook.project_id == project_id)
        .with_for_update()
    ).one()
    if look.volumes_seen_at is not None and look.volumes_seen_at >= seen_at:
        return
    known = _known(session, project_id)
    seen = {volume.id: {'project_id': project_id, **_values(volume)} for volume in volumes}
    changed = [row for volume_id, row in seen.items() if known.get(volume_id) != row]
    for new_rows in batches.of(changed):
        upserts.write_all(session, models.Volume, new_rows)
    for gone_ids in batches.of(known.keys() - seen.keys()):
        session.execute(
            sa.delete(models.Volume)
            .where(models.Volume.project_id == project_id, models.Volume.id.in_(gone_ids))
            .execution_options(synchronize_session=False)
        )
    look.volumes_seen_at = seen_at


def _known(session: orm.Session, project_id: str) -> dict[str, dict[str, Any]]:
    columns = models.Volume.__table__.c
    rows: Sequence[Any] = session.execute(
        sa.select(*(columns[name] for name in _COLUMNS)).where(columns.project_id == project_id)
    ).all()
    return {
        row.id: {'project_id': project_id, **dict(zip(_COLUMNS, row, strict=True))} for row in rows
    }


def _values(volume: SeenVolume) -> dict[str, Any]:
    return {name: getattr(volume, name) for name in _COLUMNS}
