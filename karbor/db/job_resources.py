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

"""Queries on how far jobs are with their resources."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.db import batches, models, resource_keys, upserts
from karbor.resource import Resource


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceProgress:
    """How far a job is with one resource.

    :ivar reason: why it could not be done.
    :ivar seconds: how long it took.
    """

    resource_type: str
    resource_id: str
    is_done: bool
    reason: str | None = None
    new_resource_id: str | None = None
    seconds: float | None = None


def record(session: orm.Session, job_id: str, progress: Iterable[ResourceProgress]) -> None:
    """Write, or write over, how far a job is with some resources."""
    rows = {  # one statement cannot write a row twice on PostgreSQL
        (of_one.resource_type, of_one.resource_id): {
            'job_id': job_id,
            **dataclasses.asdict(of_one),
        }
        for of_one in progress
    }
    for batch in batches.of(rows.values()):
        upserts.write_all(session, models.JobResource, batch)


def forget(session: orm.Session, job_id: str, gone: Collection[Resource]) -> None:
    """Remove what is written of how far a job is with some resources."""
    _forget(session, [job_id], gone)


def forget_of_subject(session: orm.Session, subject_id: str, gone: Collection[Resource]) -> None:
    """The same of all jobs about something."""
    jobs = session.scalars(sa.select(models.Job.id).where(models.Job.subject_id == subject_id))
    _forget(session, jobs.all(), gone)


def _forget(session: orm.Session, job_ids: Collection[str], gone: Collection[Resource]) -> None:
    # The ids of the jobs are named, as MariaDB does not look for those of a query in the index.
    for batch in batches.of((resource.type, resource.id) for resource in gone):
        session.execute(
            sa.delete(models.JobResource)
            .where(
                models.JobResource.job_id.in_(job_ids),
                resource_keys.is_of(models.JobResource, batch),
            )
            .execution_options(synchronize_session=False)
        )


def of_job(session: orm.Session, job_id: str) -> Sequence[models.JobResource]:
    return session.scalars(
        sa.select(models.JobResource).where(models.JobResource.job_id == job_id)
    ).all()


def failures_of_newest(session: orm.Session, subject_id: str) -> Sequence[models.JobResource]:
    """The resources that the newest job about something could not do."""
    return _of_newest(session, subject_id, models.JobResource.is_done.is_(False))


def of_newest(session: orm.Session, subject_id: str) -> Sequence[models.JobResource]:
    """How far the newest job about something is with each resource that it has come to."""
    return _of_newest(session, subject_id, sa.true())


def _of_newest(
    session: orm.Session, subject_id: str, condition: sa.ColumnElement[bool]
) -> Sequence[models.JobResource]:
    newest = (
        sa.select(models.Job.id)
        .where(models.Job.subject_id == subject_id)
        .order_by(models.Job.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    return session.scalars(
        sa.select(models.JobResource).where(models.JobResource.job_id == newest, condition)
    ).all()


def counts(connection: sa.Connection, subject_ids: Collection[str]) -> dict[str, dict[bool, int]]:
    """How many resources the newest job about each subject has done and failed.

    :returns: subject id -> {True: done, False: failed}.
    """
    numbers: dict[str, dict[bool, int]] = {}
    for subject_id, is_done, count in connection.execute(
        _COUNTS, {'subject_ids': list(subject_ids)}
    ):
        numbers.setdefault(subject_id, {})[is_done] = count
    return numbers


def _counts() -> sa.Executable:
    newest = (
        sa.select(models.Job.subject_id, sa.func.max(models.Job.created_at).label('at'))
        .where(models.Job.subject_id.in_(sa.bindparam('subject_ids', expanding=True)))
        .group_by(models.Job.subject_id)
        .subquery()
    )
    return (
        sa.select(models.Job.subject_id, models.JobResource.is_done, sa.func.count())
        .join(
            newest,
            sa.and_(
                models.Job.subject_id == newest.c.subject_id, models.Job.created_at == newest.c.at
            ),
        )
        .join(models.JobResource, models.JobResource.job_id == models.Job.id)
        .group_by(models.Job.subject_id, models.JobResource.is_done)
    )


_COUNTS = _counts()
