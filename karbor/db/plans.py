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

"""Queries on plans."""

from typing import Any

import sqlalchemy as sa
from oslo_utils import uuidutils
from sqlalchemy import orm

from karbor import exception
from karbor.db import models, paging, plain_rows

_INSERT = sa.insert(models.Plan)
_ONE = plain_rows.select(models.Plan).where(
    models.Plan.id == sa.bindparam('plan_id'), models.Plan.project_id == sa.bindparam('project_id')
)


def create(session: orm.Session, **values: Any) -> models.Plan:
    """A new plan; the session does not follow what is changed in it later."""
    values = {'id': uuidutils.generate_uuid(), **values}
    session.connection().execute(_INSERT, values)
    return models.Plan(**values)


def get(session: orm.Session, project_id: str, plan_id: str, *, lock: bool = False) -> models.Plan:
    """A plan of the project.

    :param lock: keep others from changing its row until the transaction ends.
    :raises PlanNotFound: the project has none of that id.
    """
    query = sa.select(models.Plan).where(
        models.Plan.id == plan_id, models.Plan.project_id == project_id
    )
    plan = session.scalar(query.with_for_update() if lock else query)
    if plan is None:
        raise exception.PlanNotFound(plan_id=plan_id)
    return plan


def look(connection: sa.Connection, project_id: str, plan_id: str) -> models.Plan:
    """A plan of the project, see :mod:`karbor.db.plain_rows`.

    :raises PlanNotFound: the project has none of that id.
    """
    rows = plain_rows.fetch(connection, _ONE, plan_id=plan_id, project_id=project_id)
    if not rows:
        raise exception.PlanNotFound(plan_id=plan_id)
    return rows[0]


def page(connection: sa.Connection, selection: paging.Selection) -> tuple[list[models.Plan], bool]:
    """One page of plans, and whether more follow."""
    return paging.rows(connection, models.Plan, selection)
