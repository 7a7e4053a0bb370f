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

"""Counts of jobs, for an administrator."""

import sqlalchemy as sa
from sqlalchemy import orm

from karbor.db import clock, jobs, models


def by_state(session: orm.Session) -> dict[str, int]:
    """How many jobs are in which of the states that are not over."""
    return {
        row.state: row.number
        for row in session.execute(
            sa.select(models.Job.state, sa.func.count().label('number'))
            .where(models.Job.state.in_((*jobs.UNFINISHED, jobs.JobState.PARKED)))
            .group_by(models.Job.state)
        )
    }


def expired(session: orm.Session) -> int:
    """How many run by a lease that has ended."""
    now = clock.now(session)
    return (
        session.scalar(
            sa.select(sa.func.count())
            .select_from(models.Job)
            .where(models.Job.state == jobs.JobState.RUNNING, jobs.is_expired(now))
        )
        or 0
    )
