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

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import exception
from karbor.db import models, paging


def create(session: orm.Session, **values: Any) -> models.Plan:
    plan = models.Plan(**values)
    session.add(plan)
    session.flush()
    return plan


def get(session: orm.Session, project_id: str, plan_id: str) -> models.Plan:
    """A plan of the project.

    :raises PlanNotFound: the project has none of that id.
    """
    plan = session.scalar(sa.select(models.Plan).where(
        models.Plan.id == plan_id, models.Plan.project_id == project_id))
    if plan is None:
        raise exception.PlanNotFound(plan_id=plan_id)
    return plan


def page(session: orm.Session, project_id: str, filters: Mapping[str, str],
         wanted: paging.Page) -> tuple[list[models.Plan], bool]:
    """One page of the project's plans, and whether more follow.

    :param filters: ``status`` is compared, ``name`` and ``description`` are searched for
        the text.
    """
    conditions = [
        column == value if column is models.Plan.status
        else column.contains(value, autoescape=True)
        for column, value in ((getattr(models.Plan, name), value)
                              for name, value in filters.items())]
    return paging.rows(session, models.Plan, project_id, conditions, wanted)
