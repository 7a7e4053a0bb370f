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

"""Queries on what jobs are about, whatever that is."""

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.db import models


def set_reason(
    session: orm.Session,
    table: type[models.Subject],
    subject_id: str,
    status: str,
    reason: str | None,
) -> None:
    """Say something of what a job is about, as long as it has a status."""
    session.execute(
        sa.update(table)
        .where(table.id == subject_id, table.status == status)
        .values(status_reason=reason)
    )
