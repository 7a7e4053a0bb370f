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

"""Queries on what of some ids is in the database, whatever project has it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.db import models


def ids(session: orm.Session, model: Any, wanted: Sequence[str]) -> set[str]:
    """Those of some ids that rows of a table have.

    :param wanted: few enough for one statement.
    """
    return set(session.scalars(sa.select(model.id).where(model.id.in_(wanted))))


def trigger(session: orm.Session, trigger_id: str) -> tuple[str, None] | None:
    """The project of a trigger, and that it has no provider."""
    project_id = session.scalar(
        sa.select(models.Trigger.project_id).where(models.Trigger.id == trigger_id)
    )
    return None if project_id is None else (project_id, None)


def plan(session: orm.Session, plan_id: str) -> tuple[str, str] | None:
    """The project and the provider of a plan."""
    found = session.execute(
        sa.select(models.Plan.project_id, models.Plan.provider_id).where(models.Plan.id == plan_id)
    )
    return found.tuples().one_or_none()
