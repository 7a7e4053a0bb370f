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

"""The jobs that remove some of what a checkpoint has; it stays with the rest.

Retention asks for them. What is to go is written in the states of its recovery points, so a job
that begins again knows it. When it ends, the checkpoint is one without it, in the bank and in its
row.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence

from oslo_utils import uuidutils
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db
from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import job_resources, models, point_removal, recovery_points
from karbor.db import jobs as job_rows
from karbor.resource import Key, Resource
from karbor.services.checkpoints import (
    deleting,
    job_begins,
    plugin_records,
    resource_work,
)
from karbor.services.jobs import fencing
from karbor.services.jobs.kinds import Attempt, JobKind, Outcome
from karbor.services.protection import graph

# What is in these states is not to be used any more.
GOING = frozenset((State.DELETING, State.DELETED))

_REMOVED = re.compile(r'(; )?[0-9]+ recovery points? (was|were) removed by retention$')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Removal:
    """What is to go of a checkpoint.

    :ivar units: the resources, those together that go together or not at all.
    :ivar newest: by resource, the checkpoint with its newest good point; none of what never had
        any.
    """

    checkpoint_id: str
    provider_id: str
    units: Sequence[Collection[Key]]
    newest: Mapping[Key, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Going:
    """What can go now.

    :ivar is_all: whether nothing is left then.
    """

    resources: Collection[Key]
    is_all: bool


def lock(session: orm.Session, removal: Removal) -> Going:
    """What can go now of what is to; what that relies on stays good until the transaction ends.

    A point can go while the newest good one of its resource is good still, and is another one.
    What has failed or is missing can go, too, where there never was a good one.
    """
    states = point_removal.lock_left(session, removal.checkpoint_id)
    backed = _backed(session, removal, states)
    resources = {
        key
        for unit in removal.units
        if all(
            key in backed
            or (key not in removal.newest and states.get(key) in (State.FAILED, State.MISSING))
            for key in unit
        )
        for key in unit
    }
    return Going(resources=resources, is_all=resources == set(states))


def _backed(session: orm.Session, removal: Removal, states: Mapping[Key, State]) -> Collection[Key]:
    """Those of which the newest good point is there still, and is another one."""
    by_checkpoint: dict[str, list[Key]] = {}
    for unit in removal.units:
        for key in unit:
            newest = removal.newest.get(key)
            is_settled = states.get(key) in (State.GOOD, State.FAILED, State.MISSING)
            if is_settled and newest not in (None, removal.checkpoint_id):
                by_checkpoint.setdefault(str(newest), []).append(key)
    return {
        key
        for checkpoint_id, keys in sorted(by_checkpoint.items())
        for key in point_removal.lock_good(session, checkpoint_id, keys)
    }


def begin(
    session: orm.Session,
    context: karbor_context.RequestContext,
    checkpoint: models.Checkpoint,
    trust_id: str | None,
    going: Going,
    scheduled_operation_id: str | None,
) -> models.Job:
    """Write the job that removes what can go of a checkpoint, which stays with the rest.

    :param trust_id: the trust by which it acts.
    :param scheduled_operation_id: of the one whose retention asks for it.
    """
    point_removal.begin_removal(session, checkpoint.id, going.resources)
    new_job = job_begins.new_job(
        constants.OperationType.REMOVE,
        context,
        checkpoint,
        trust_id,
        # About nothing that is shown: what fails is told by the recovery points.
        subject_id=uuidutils.generate_uuid(),
        scheduled_operation_id=scheduled_operation_id,
    )
    return job_begins.begin(
        session, context, new_job, checkpoint, status=constants.OperationStatus.IN_PROGRESS
    )


def _run(attempt: Attempt) -> Outcome:
    row = attempt.checkpoint_row()
    provider = attempt.environment.registry.get(row.provider_id)
    resources = [node.value for node in graph.walk_nodes(graph.deserialize(row.resource_graph))]
    going = db.transaction(_take_up)(attempt.job)
    # As the row has it, also after an attempt that was broken off behind this.
    checkpoint = plugin_records.write_checkpoint(
        row, fencing.checkpoints(provider.bank, attempt.lease)
    )
    failures = resource_work.run_delete_hooks(
        attempt, row, checkpoint, left_out={_key(resource) for resource in resources} - going
    )
    removed = {
        resource for resource in resources if _key(resource) in going and resource not in failures
    }
    resource_work.leave_out(checkpoint, removed)
    checkpoint.commit()
    return Outcome(
        reason=resource_work.summary(failures, len(removed) + len(failures)), failures=failures
    )


def _take_up(session: orm.Session, job: models.Job) -> set[Key]:
    """What is to go, or has gone; also that with which an earlier attempt has failed."""
    if job.attempts > 1:
        job_rows.hold_claim(session, job)
        failed = [
            (row.resource_type, row.resource_id)
            for row in job_resources.of_job(session, job.id)
            if not row.is_done
        ]
        point_removal.begin_removal(session, job.checkpoint_id, failed)
    return point_removal.keys_in_states(session, job.checkpoint_id, GOING)


def _key(resource: Resource) -> Key:
    return resource.type, resource.id


def _end(session: orm.Session, job: models.Job, outcome: Outcome) -> str:
    if outcome.reason:
        recovery_points.fail_removal(session, job.checkpoint_id, outcome.reason)
    row = session.get_one(models.Checkpoint, job.checkpoint_id)
    removed = point_removal.keys_in_states(session, row.id, (State.DELETED,))
    roots = graph.deserialize(row.resource_graph)
    left_out = {node.value for node in graph.walk_nodes(roots) if _key(node.value) in removed}
    resource_work.leave_out_of_row(row, left_out)
    # What the checkpoint shows of its protect is about what is in it.
    job_resources.forget_of_subject(session, row.id, left_out)
    row.status_reason = reason_with(row.status_reason, len(removed))
    return outcome.operation_status


def _obstacle(_session: orm.Session, _job: models.Job) -> str:
    return 'retention asks for it anew after the next run'


def reason_with(reason: str | None, removed: int) -> str | None:
    """The reason of a checkpoint's status, with how many of its points were removed so far."""
    rest = _REMOVED.sub('', reason or '')
    if not removed:
        return rest or None
    points = 'recovery point was' if removed == 1 else 'recovery points were'
    told = f'{removed} {points} removed by retention'
    return f'{rest.rstrip(".")}; {told}' if rest else told


KIND = JobKind(
    name=constants.OperationType.REMOVE,
    operation=constants.OperationType.DELETE,
    run=_run,
    end=_end,
    record=deleting.record,
    obstacle=_obstacle,
    running=constants.OperationStatus.IN_PROGRESS,
    failed=constants.OperationStatus.FAIL,
    table=None,
)
