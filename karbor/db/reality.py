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

"""Queries on recovery points for who compares them with what the cloud has."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_utils import timeutils
from sqlalchemy import orm

from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import batches, models, resource_keys, upserts
from karbor.resource import Key, Resource

#: The states of what can be compared.
COMPARED = (State.GOOD, State.MISSING)

_point = models.RecoveryPoint


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoredPoint:
    """A recovery point, as it was read.

    :ivar cloud_id: what it is in the cloud, if that is known.
    :ivar was_good: whether it is good, or was.
    :ivar region: the one that its checkpoint was made in; None when that is not known.
    """

    id: str
    checkpoint_id: str
    project_id: str
    plan_id: str
    resource: Resource
    cloud_id: str | None
    state: State
    was_good: bool
    region: str | None

    @property
    def key(self) -> Key:
        """Type and id of its resource."""
        return self.resource.type, self.resource.id


def of_provider(session: orm.Session, provider_id: str, resource_type: str) -> list[StoredPoint]:
    """The points of a provider that can be compared, of resources of one type."""
    return _points(
        session,
        _point.provider_id == provider_id,
        _point.resource_type == resource_type,
        _point.cloud_id.is_not(None),
    )


def of_checkpoint(session: orm.Session, checkpoint_id: str) -> list[StoredPoint]:
    """The points of a checkpoint that can be compared."""
    return _points(session, _point.checkpoint_id == checkpoint_id)


def _points(session: orm.Session, *conditions: sa.ColumnElement[bool]) -> list[StoredPoint]:
    rows = session.execute(
        sa.select(
            _point.id,
            _point.checkpoint_id,
            _point.project_id,
            _point.plan_id,
            _point.resource_type,
            _point.resource_id,
            _point.resource_name,
            _point.cloud_id,
            _point.state,
            _point.seen_good_at,
            models.Checkpoint.region,
        )
        .join(models.Checkpoint, models.Checkpoint.id == _point.checkpoint_id)
        .where(*conditions, _point.state.in_(COMPARED))
    )
    return [
        StoredPoint(
            id=row.id,
            checkpoint_id=row.checkpoint_id,
            project_id=row.project_id,
            plan_id=row.plan_id,
            resource=Resource(row.resource_type, row.resource_id, row.resource_name),
            cloud_id=row.cloud_id,
            state=State(row.state),
            was_good=row.state == State.GOOD or row.seen_good_at is not None,
            region=row.region,
        )
        for row in rows
    ]


def count_good_alike(session: orm.Session, checkpoint: models.Checkpoint) -> int:
    """How many good points there are of the project, provider and region of a checkpoint."""
    region = models.Checkpoint.region
    return (
        session.scalar(
            sa.select(sa.func.count())
            .select_from(_point)
            .join(models.Checkpoint, models.Checkpoint.id == _point.checkpoint_id)
            .where(
                _point.project_id == checkpoint.project_id,
                _point.provider_id == checkpoint.provider_id,
                _point.state == State.GOOD,
                region.is_(None) if checkpoint.region is None else region == checkpoint.region,
            )
        )
        or 0
    )


def regions_of(session: orm.Session, project_id: str, keys: Iterable[Key]) -> dict[Key, str]:
    """In which regions the newest points of resources were made, as far as that is known."""
    found: dict[Key, str] = {}
    for batch in batches.of(sorted(keys)):
        rows = session.execute(
            sa.select(_point.resource_type, _point.resource_id, models.Checkpoint.region)
            .join(models.Checkpoint, models.Checkpoint.id == _point.checkpoint_id)
            .where(
                _point.project_id == project_id,
                resource_keys.is_of(_point, batch),
                _point.state.in_(COMPARED),
                models.Checkpoint.region.is_not(None),
            )
            .order_by(_point.created_at)
        )
        found |= {(row.resource_type, row.resource_id): row.region for row in rows}
    return found


def lose(session: orm.Session, points: Collection[StoredPoint], reason: str) -> set[str]:
    """Write that points are missing that are good still; returns their ids."""
    values = {
        'state': State.MISSING,
        'reason': reason,
        # That it was good, which older ones do not tell.
        'seen_good_at': sa.func.coalesce(_point.seen_good_at, _point.created_at),
    }
    return _change(session, points, State.GOOD, values)


def find(session: orm.Session, points: Collection[StoredPoint]) -> set[str]:
    """Write that points are good again that are missing still; returns their ids.

    What their banks tell of them is asked again.
    """
    values = {
        'state': State.GOOD,
        'reason': None,
        'seen_good_at': timeutils.utcnow(),
        'updated_at': None,
    }
    return _change(session, points, State.MISSING, values)


def _change(
    session: orm.Session, points: Collection[StoredPoint], before: State, values: Mapping[str, Any]
) -> set[str]:
    """Change points that have still the state that was read; two statements a batch."""
    changed: set[str] = set()
    for batch in batches.of(sorted(point.id for point in points)):
        ids = session.scalars(
            sa.select(_point.id)
            .where(_point.id.in_(batch), _point.state == before)
            .with_for_update()
        ).all()
        if ids:
            session.execute(
                sa.update(_point)
                .where(_point.id.in_(ids))
                .values(**values)
                .execution_options(synchronize_session=False)
            )
        changed.update(ids)
    return changed


def set_region(session: orm.Session, checkpoint_ids: Iterable[str], region: str) -> None:
    """Write in which region checkpoints were made of which that is not known."""
    for batch in batches.of(sorted(checkpoint_ids)):
        _set_region(session, region, models.Checkpoint.id.in_(batch))


def set_region_of_all(session: orm.Session, region: str) -> None:
    """The same of all checkpoints."""
    _set_region(session, region)


def _set_region(session: orm.Session, region: str, *conditions: sa.ColumnElement[bool]) -> None:
    session.execute(
        sa.update(models.Checkpoint)
        .where(models.Checkpoint.region.is_(None), *conditions)
        .values(region=region, updated_at=models.Checkpoint.updated_at)
        .execution_options(synchronize_session=False)
    )


def newest_snapshots(
    session: orm.Session, provider_ids: Collection[str], limit: int
) -> Sequence[str]:
    """What the newest points of volumes are in the cloud, of some providers, good ones first.

    Points of which there is perhaps nothing any more are left out.
    """
    newest = session.scalars(
        sa.select(_point.cloud_id)
        .where(
            _point.resource_type == constants.VOLUME_RESOURCE_TYPE,
            _point.provider_id.in_(provider_ids),
            _point.state.in_((State.GOOD, State.UNKNOWN, State.FAILED)),
            _point.cloud_id.is_not(None),
        )
        .order_by(
            sa.case((_point.state == State.GOOD, 0), else_=1), _point.created_at.desc(), _point.id
        )
        .limit(limit)
    )
    return [str(cloud_id) for cloud_id in newest]


def has_never_looked_at(session: orm.Session, provider_ids: Collection[str]) -> bool:
    """Whether banks are still to be asked what points of volumes are, of some providers."""
    found = session.scalar(
        sa.select(_point.id)
        .where(
            _point.resource_type == constants.VOLUME_RESOURCE_TYPE,
            _point.provider_id.in_(provider_ids),
            _point.state.in_((State.GOOD, State.UNKNOWN)),
            _point.cloud_id.is_(None),
            _point.updated_at.is_(None),
        )
        .limit(1)
    )
    return found is not None


def missing_counts(connection: sa.Connection, checkpoint_ids: Collection[str]) -> dict[str, int]:
    """How many points of checkpoints are missing, of those that have any such."""
    if not checkpoint_ids:
        return {}
    rows = connection.execute(
        sa.select(_point.checkpoint_id, sa.func.count())
        .where(_point.checkpoint_id.in_(checkpoint_ids), _point.state == State.MISSING)
        .group_by(_point.checkpoint_id)
    )
    return dict(rows.tuples().all())


def remarked_without_points(session: orm.Session) -> Sequence[str]:
    """Ids of the projects of which something is remarked, and nothing can be compared any more."""
    look = models.ProjectLook
    return session.scalars(
        sa.select(look.project_id).where(
            look.remark.is_not(None),
            ~sa.exists().where(_point.project_id == look.project_id, _point.state.in_(COMPARED)),
        )
    ).all()


def write_compared(session: orm.Session, remarks: Mapping[str, str | None]) -> list[str]:
    """Write that the points of projects were compared just now.

    :param remarks: by project, why nothing was changed.
    :returns: ids of the projects that have a remark and had none.
    """
    new = []
    for batch in batches.of(sorted(remarks)):
        # So that of two who write the first row, one sees what the other has written.
        blank = [{'project_id': each} for each in batch]
        upserts.write_missing(session, models.ProjectLook, ('project_id',), blank)
        before = dict(
            session.execute(
                sa.select(models.ProjectLook.project_id, models.ProjectLook.remark)
                .where(models.ProjectLook.project_id.in_(batch))
                .with_for_update()
            )
            .tuples()
            .all()
        )
        new += [each for each in batch if remarks[each] is not None and not before.get(each)]
        now = timeutils.utcnow()
        upserts.write_all(
            session,
            models.ProjectLook,
            [
                {'project_id': each, 'points_compared_at': now, 'remark': remarks[each]}
                for each in batch
            ],
        )
    return new
