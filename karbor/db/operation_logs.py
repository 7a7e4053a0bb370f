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

"""Queries on operation logs: who did what, and how it ended."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from oslo_utils import timeutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import exception
from karbor.common import constants
from karbor.db import batches, models, paging

_INSERT = sa.insert(models.OperationLog)


def begin(
    session: orm.Session,
    context: karbor_context.RequestContext,
    operation_type: str,
    status: str,
    **fields: Any,
) -> models.OperationLog:
    """Write that something begins.

    :param fields: the ids of what it is about, ``extra_info``, and the log's own ``id``.
    """
    log = models.OperationLog(**_values(context, operation_type, status), **fields)
    session.add(log)
    return log


def _values(
    context: karbor_context.RequestContext, operation_type: str, status: str
) -> dict[str, Any]:
    return {
        'project_id': context.project_id,
        'user_id': context.user_id,
        'request_id': context.request_id,
        'operation_type': operation_type,
        'status': status,
    }


def record(
    session: orm.Session, context: karbor_context.RequestContext, operation_type: str, **fields: Any
) -> None:
    """Write something that is done in this transaction."""
    now = timeutils.utcnow()
    status = constants.OperationStatus.SUCCESS
    values = {**_values(context, operation_type, status), 'started_at': now, 'ended_at': now}
    session.connection().execute(_INSERT, {**values, **fields})


def add_all(session: orm.Session, logs: Iterable[dict[str, Any]]) -> None:
    """Write logs of what is done in this transaction, of all columns that are not null."""
    for batch in batches.of(logs):
        session.connection().execute(_INSERT, list(batch))


def set_status(session: orm.Session, log_id: str, status: str) -> None:
    session.execute(
        sa.update(models.OperationLog).where(models.OperationLog.id == log_id).values(status=status)
    )


def begin_again(session: orm.Session, log_id: str, status: str) -> None:
    session.execute(
        sa.update(models.OperationLog)
        .where(models.OperationLog.id == log_id)
        .values(status=status, ended_at=None, error_info=None)
    )


def set_checkpoint(session: orm.Session, log_id: str, checkpoint_id: str) -> None:
    session.execute(
        sa.update(models.OperationLog)
        .where(models.OperationLog.id == log_id)
        .values(checkpoint_id=checkpoint_id)
    )


def end(session: orm.Session, log_id: str, status: str, error_info: str | None) -> None:
    session.execute(
        sa.update(models.OperationLog)
        .where(models.OperationLog.id == log_id, models.OperationLog.ended_at.is_(None))
        .values(status=status, error_info=error_info, ended_at=timeutils.utcnow())
    )


def of_job(session: orm.Session, job_id: str) -> models.OperationLog:
    """That of a job, which has its id."""
    return session.get_one(models.OperationLog, job_id)


def get(session: orm.Session, project_id: str, log_id: str) -> models.OperationLog:
    """:raises OperationLogNotFound: the project has none of that id."""
    log = session.scalar(
        sa.select(models.OperationLog).where(
            models.OperationLog.id == log_id, models.OperationLog.project_id == project_id
        )
    )
    if log is None:
        raise exception.OperationLogNotFound(operation_log_id=log_id)
    return log


def page(
    connection: sa.Connection, selection: paging.Selection
) -> tuple[list[models.OperationLog], bool]:
    """One page of operation logs, and whether more follow."""
    return paging.rows(connection, models.OperationLog, selection)
