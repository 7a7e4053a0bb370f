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

"""How a job ends: its row, its log and what it is about are written together."""

from collections.abc import Sequence

from oslo_log import log as logging
from sqlalchemy import orm

from karbor.common.constants import TroubleKind
from karbor.db import jobs as job_rows
from karbor.db import models, operation_logs, troubles
from karbor.services.jobs.kinds import JobKind, Outcome

LOG = logging.getLogger(__name__)


def finish(
    session: orm.Session, kind: JobKind, job: models.Job, outcome: Outcome
) -> Sequence[models.Job]:
    """Write the end of a job that runs.

    :param kind: of the job.
    :returns: the jobs that begin with it.
    """
    kind.lock(session, job)
    if not job_rows.finish(session, job, outcome.state, outcome.reason):
        LOG.warning('Job %s: another worker has it, or its end is written already', job.id)
        return ()
    status = kind.end(session, job, outcome)
    operation_logs.end(session, job.id, status, outcome.told)
    if outcome.state == job_rows.JobState.PARKED:
        _tell_operator(session, job, str(outcome.reason))
    LOG.info(
        'Job %s: %s of %s is %s%s',
        job.id,
        job.kind,
        job.subject_id,
        outcome.state,
        f': {outcome.told}' if outcome.told else '',
    )
    return kind.follow(session, job, outcome)


def _tell_operator(session: orm.Session, job: models.Job, reason: str) -> None:
    troubles.open_(
        session,
        troubles.Trouble(
            project_id=troubles.OPERATOR,
            kind=TroubleKind.JOB_PARKED,
            subject_id=job.id,
            subject_name=f'{job.kind} of {job.subject_id}',
            reason=f'project {job.project_id}: {reason}',
        ),
    )


def relieve_operator(session: orm.Session, job: models.Job) -> None:
    """Write that a job is not parked any more."""
    troubles.close(session, troubles.OPERATOR, job.id, (TroubleKind.JOB_PARKED,))
