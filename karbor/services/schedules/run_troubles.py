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

"""Which troubles a scheduled operation has after a run or a retention of it.

Each is written in the transaction that makes it so.
"""

from sqlalchemy import orm

from karbor.common import constants
from karbor.common.constants import TroubleKind
from karbor.db import jobs as job_rows
from karbor.db import models, troubles
from karbor.services.jobs.kinds import Outcome

_OF_RUNS = (
    TroubleKind.RUN_FAILED,
    TroubleKind.RUN_PARTLY_FAILED,
    TroubleKind.RUN_MISSED,
    TroubleKind.RUN_SKIPPED,
    TroubleKind.TRUST_DEAD,
)


def after_run(
    session: orm.Session, job: models.Job, outcome: Outcome, *, is_anything_good: bool
) -> None:
    """Write how a run has ended: whatever was wrong before is over.

    :param is_anything_good: whether it, or the one that it tries again, has made anything.
    """
    kind = _kind_of(outcome, is_anything_good=is_anything_good)
    troubles.close(
        session,
        job.project_id,
        str(job.scheduled_operation_id),
        [each for each in _OF_RUNS if each != kind],
    )
    if kind is not None:
        _open(session, job, kind, str(outcome.reason), count=len(outcome.failures) or 1)


def _kind_of(outcome: Outcome, *, is_anything_good: bool) -> TroubleKind | None:
    """What is wrong with a run, by how it has ended; None when nothing is."""
    if outcome.reason is None:
        return None
    if outcome.is_trust_dead:
        return TroubleKind.TRUST_DEAD
    if is_anything_good:
        return TroubleKind.RUN_PARTLY_FAILED
    return TroubleKind.RUN_FAILED


def after_retention(session: orm.Session, job: models.Job, outcome: Outcome) -> None:
    """Write how a retention, or a removal that it has asked for, has ended.

    The trouble is over once all that the newest retention has asked for is removed.
    """
    if outcome.reason is not None:
        _open(session, job, TroubleKind.RETENTION_FAILED, outcome.reason)
        return
    operation_id = str(job.scheduled_operation_id)
    kind = TroubleKind.RETENTION_FAILED
    if troubles.stands(
        session, job.project_id, operation_id, kind
    ) and not job_rows.is_removal_left(session, operation_id):
        troubles.close(session, job.project_id, operation_id, (kind,))


def tell(
    session: orm.Session,
    operation: models.ScheduledOperation,
    kind: TroubleKind,
    reason: str,
    count: int = 1,
) -> None:
    """Write what is wrong with an operation.

    :param count: of how many resources, or runs, it is.
    """
    troubles.open_(
        session,
        troubles.Trouble(
            project_id=operation.project_id,
            kind=kind,
            subject_id=operation.id,
            subject_name=operation.name,
            reason=reason,
            count=count,
        ),
    )


def after_change(
    session: orm.Session, operation: models.ScheduledOperation, *, is_taken_over: bool
) -> None:
    """Write what is over as an operation was changed: what nothing can come of any more.

    :param is_taken_over: whether it acts for somebody else from now on.
    """
    over: list[TroubleKind] = []
    if is_taken_over:
        over.append(TroubleKind.TRUST_DEAD)
    if not operation.enabled:
        over += _OF_RUNS
    if not _has_retention(operation):
        over.append(TroubleKind.RETENTION_FAILED)
    if over:
        troubles.close(session, operation.project_id, operation.id, over)


def _has_retention(operation: models.ScheduledOperation) -> bool:
    return operation.operation_type == constants.ScheduledOperationType.RETENTION_PROTECT


def _open(
    session: orm.Session, job: models.Job, kind: TroubleKind, reason: str, count: int = 1
) -> None:
    operation = session.get(models.ScheduledOperation, job.scheduled_operation_id)
    if operation is None or not operation.enabled:  # nothing is expected of it any more
        return
    if kind == TroubleKind.RETENTION_FAILED and not _has_retention(operation):
        return
    tell(session, operation, kind, reason, count)
