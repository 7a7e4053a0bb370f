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

"""Queries on checkpoints."""

import datetime
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import exception
from karbor.common import constants
from karbor.db import models, paging


def create(session: orm.Session, **values: Any) -> models.Checkpoint:
    checkpoint = models.Checkpoint(**values)
    session.add(checkpoint)
    session.flush()
    return checkpoint


def get(session: orm.Session, project_id: str, provider_id: str, checkpoint_id: str, *,
        lock: bool = False) -> models.Checkpoint:
    """A checkpoint of the project and provider.

    :param lock: keep others from changing its row until the transaction ends.
    :raises CheckpointNotFound: there is none of that id.
    """
    query = sa.select(models.Checkpoint).where(
        models.Checkpoint.id == checkpoint_id,
        models.Checkpoint.project_id == project_id,
        models.Checkpoint.provider_id == provider_id)
    checkpoint = session.scalar(query.with_for_update() if lock else query)
    if checkpoint is None:
        raise exception.CheckpointNotFound(checkpoint_id=checkpoint_id)
    return checkpoint


def set_status(session: orm.Session, checkpoint_id: str, status: str,
               reason: str | None = None) -> None:
    session.execute(sa.update(models.Checkpoint).where(
        models.Checkpoint.id == checkpoint_id).values(status=status, status_reason=reason))


def page(session: orm.Session, project_id: str, provider_id: str, filters: Mapping[str, str],
         since: datetime.datetime | None, before: datetime.datetime | None,
         wanted: paging.Page) -> tuple[list[models.Checkpoint], bool]:
    """One page of the project's checkpoints with a provider, and whether more follow.

    :param filters: ``plan_id`` and ``status`` are compared; without a ``status``, deleted
        checkpoints are left out.
    :param since: earliest moment of creation, in UTC.
    :param before: moment of creation, in UTC, that comes too late.
    """
    conditions = [models.Checkpoint.provider_id == provider_id,
                  *paging.equal(models.Checkpoint, filters)]
    if 'status' not in filters:
        conditions.append(models.Checkpoint.status != constants.CHECKPOINT_STATUS_DELETED)
    if since is not None:
        conditions.append(models.Checkpoint.created_at >= since)
    if before is not None:
        conditions.append(models.Checkpoint.created_at < before)
    return paging.rows(session, models.Checkpoint, project_id, conditions, wanted)
