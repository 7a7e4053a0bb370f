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

"""Queries on what uses a checkpoint: restores and verifications."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import exception
from karbor.common import constants
from karbor.db import batches, jobs, models, paging, upserts
from karbor.resource import Resource

Use = TypeVar('Use', models.Restore, models.Verification)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a plugin tells of one resource.

    :ivar name: what it is called.
    """

    resource_type: str
    resource_id: str
    status: str
    reason: str | None
    name: str | None = None


def create(session: orm.Session, model: type[Use], **values: Any) -> Use:
    use = model(**values)
    session.add(use)
    session.flush()
    return use


def get(session: orm.Session, model: type[Use], project_id: str, use_id: str) -> Use:
    """A restore or verification of the project.

    :raises RestoreNotFound:
    :raises VerificationNotFound:
    """
    use = session.scalar(sa.select(model).where(model.id == use_id, model.project_id == project_id))
    if use is None:
        if model is models.Restore:
            raise exception.RestoreNotFound(restore_id=use_id)
        raise exception.VerificationNotFound(verification_id=use_id)
    return use


def ended(session: orm.Session, project_id: str, restore_ids: Collection[str]) -> set[str]:
    """Those of some restores of a project that no job works on, or will."""
    found: set[str] = set()
    for batch in batches.of(restore_ids):
        found.update(
            session.scalars(
                sa.select(models.Restore.id).where(
                    models.Restore.id.in_(list(batch)),
                    models.Restore.project_id == project_id,
                    sa.not_(
                        sa.exists().where(
                            models.Job.subject_id == models.Restore.id,
                            models.Job.state.in_((*jobs.UNFINISHED, jobs.JobState.PARKED)),
                        )
                    ),
                )
            )
        )
    return found


def restore_with_graph(
    session: orm.Session, project_id: str, restore_id: str
) -> tuple[models.Restore, str | None]:
    """A restore of the project, with the graph of its checkpoint; None when that is purged.

    :raises RestoreNotFound:
    """
    found = _with_graphs(session, project_id, models.Restore.id == restore_id)
    if not found:
        raise exception.RestoreNotFound(restore_id=restore_id)
    return found[0]


def group_with_graphs(
    session: orm.Session, project_id: str, group_id: str
) -> Sequence[tuple[models.Restore, str | None]]:
    """The same of the restores that were asked for together.

    :raises RestoreGroupNotFound: there are none.
    """
    found = _with_graphs(session, project_id, models.Restore.group_id == group_id)
    if not found:
        raise exception.RestoreGroupNotFound(restore_group_id=group_id)
    return found


def _with_graphs(
    session: orm.Session, project_id: str, condition: sa.ColumnElement[bool]
) -> list[tuple[models.Restore, str | None]]:
    checkpoint = models.Checkpoint
    rows = session.execute(
        sa.select(models.Restore, checkpoint.resource_graph)
        .outerjoin(checkpoint, checkpoint.id == models.Restore.checkpoint_id)
        .where(condition, models.Restore.project_id == project_id)
        .order_by(models.Restore.created_at, models.Restore.id)
    )
    return [(restore, resource_graph) for restore, resource_graph in rows]


def page(
    connection: sa.Connection, model: type[Use], selection: paging.Selection
) -> tuple[list[Use], bool]:
    """One page of restores or verifications, and whether more follow."""
    return paging.rows(connection, model, selection)


def set_status(
    session: orm.Session, model: type[Use], use_id: str, *, status: str, reason: str | None
) -> None:
    session.execute(
        sa.update(model).where(model.id == use_id).values(status=status, status_reason=reason)
    )


def record_results(session: orm.Session, subject_id: str, results: Iterable[Result]) -> None:
    """Write, or write over, what is known of resources; of one resource, the last counts."""
    rows = {
        (result.resource_type, result.resource_id): {
            'subject_id': subject_id,
            **dataclasses.asdict(result),
        }
        for result in results
    }
    for batch in batches.of(rows.values()):
        upserts.write_all(session, models.ResourceResult, batch)


def record_failures(
    session: orm.Session, subject_id: str, failures: Mapping[Resource, str]
) -> None:
    """Write that some resources failed, and why."""
    known = {
        (row.resource_type, row.resource_id): row
        for row in session.scalars(
            sa.select(models.ResourceResult).where(models.ResourceResult.subject_id == subject_id)
        )
    }
    for resource, reason in failures.items():
        row = known.get((resource.type, resource.id))
        if row is None:
            row = models.ResourceResult(
                subject_id=subject_id, resource_type=resource.type, resource_id=resource.id
            )
            session.add(row)
        row.status, row.reason = constants.ResourceStatus.ERROR, reason


def results(
    session: orm.Session, subject_ids: Collection[str]
) -> dict[str, list[models.ResourceResult]]:
    """What plugins told of the resources, by the id of the restore or verification."""
    by_use: dict[str, list[models.ResourceResult]] = {}
    for row in session.scalars(
        sa.select(models.ResourceResult).where(models.ResourceResult.subject_id.in_(subject_ids))
    ):
        by_use.setdefault(row.subject_id, []).append(row)
    return by_use
