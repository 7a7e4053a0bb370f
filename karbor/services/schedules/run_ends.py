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

"""What follows when a run of a scheduled operation ends: see :class:`protecting.Schedules`."""

from collections.abc import Sequence

from sqlalchemy import orm

from karbor.common import constants
from karbor.db import jobs as job_rows
from karbor.db import models, schedules
from karbor.services.schedules import retention_jobs, runs


def lock(session: orm.Session, job: models.Job) -> None:
    """Keep runs of the same scheduled operation from being added or ended meanwhile."""
    if job.scheduled_operation_id is not None:
        schedules.lock_operation(session, job.scheduled_operation_id)


def obstacle(session: orm.Session, job: models.Job) -> str | None:
    """Why a run cannot begin again, if something is in the way."""
    if job.scheduled_operation_id is not None and job_rows.unfinished_runs(
        session, job.scheduled_operation_id
    ):
        return 'another run of its scheduled operation goes on'
    return None


def follow(session: orm.Session, job: models.Job, status: str) -> Sequence[models.Job]:
    """The jobs that begin as a run has ended with a checkpoint in that status."""
    if job.scheduled_operation_id is None:
        return ()
    following = [runs.let_next_begin(session, job.scheduled_operation_id)]
    if status == constants.CheckpointStatus.AVAILABLE:
        following.append(retention_jobs.begin(session, job))
    return [job for job in following if job is not None]


relief = retention_jobs.relief
