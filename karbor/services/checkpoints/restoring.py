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

"""The jobs that restore or verify a checkpoint: both use it, and leave what it has as it is.

A verification tells what is there, too: a recovery point of which its plugin finds nothing any
more is missing from then on, and one that was missing and is found well is good again.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Sequence
from typing import Self

from sqlalchemy import orm

from karbor import db
from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import jobs as job_rows
from karbor.db import models, point_removal, uses
from karbor.db import reality as reality_rows
from karbor.db.reality import StoredPoint
from karbor.resource import Key, Resource
from karbor.services.checkpoints import (
    plugin_records,
    reality,
    regions,
    removing,
    resource_work,
    restore_choices,
    safety,
)
from karbor.services.jobs import fencing
from karbor.services.jobs.kinds import Attempt, JobKind, Outcome
from karbor.services.protection import graph


def _run(table: type[uses.Use], attempt: Attempt) -> Outcome:
    row = attempt.checkpoint_row()
    provider = attempt.environment.registry.get(row.provider_id)
    with db.reader() as session:
        use = uses.get(session, table, attempt.job.project_id, attempt.job.subject_id)
        removed = point_removal.keys_in_states(session, row.id, removing.GOING)
        fields = {column.key: getattr(use, column.key) for column in table.__table__.columns}
        kept = safety.points(session, fields)
    record = plugin_records.UseRecord(attempt.job, fields)
    record.set_safety(kept)
    # By contract, the record and the schema go by the same name.
    keyword = attempt.kind.plugin_operation
    extent = _Extent.of(row, use)
    failures = resource_work.run_hooks(
        attempt,
        row,
        fencing.checkpoints(provider.bank, attempt.lease).get(row.id),
        left_out=extent.left_alone | removed,
        schema_kind=keyword,
        request_parameters=use.parameters,
        keywords={keyword: record, 'new_resources': {}},
        told=record,
    )
    record.store()
    reason = resource_work.summary(failures, extent.total)
    remark = extent.told_of_left_out() or extent.told_of_removed(removed)
    if reason and extent.left_out:
        reason = f'{reason}; {remark}'
    return Outcome(reason=reason, remark=remark, failures=failures)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Extent:
    """What of a checkpoint a restore or a verification is about.

    :ivar resources: all of the checkpoint.
    :ivar total: how many of them are asked for.
    :ivar left_out: those that are asked for and not good.
    :ivar left_alone: type and id of each that is not worked on.
    """

    resources: Sequence[Resource]
    total: int
    left_out: Sequence[Resource]
    left_alone: set[Key]

    @classmethod
    def of(cls, row: models.Checkpoint, use: uses.Use) -> Self:
        """That of a restore or a verification of a checkpoint."""
        roots = graph.deserialize(row.resource_graph)
        resources = [node.value for node in graph.walk_nodes(roots)]
        meant = resources
        obstacles: dict[Key, str] = {}
        if isinstance(use, models.Restore):
            meant = restore_choices.meant(roots, use.choices or {})
            obstacles = restore_choices.obstacles(use)
        worked_on = {_key(each) for each in meant} - set(obstacles)
        return cls(
            resources=resources,
            total=len(meant),
            left_out=[each for each in meant if _key(each) in obstacles],
            left_alone={_key(each) for each in resources} - worked_on,
        )

    def told_of_left_out(self) -> str | None:
        """What is said of those that are not good; None when all are."""
        if not self.left_out:
            return None
        return (
            f'left out: {len(self.left_out)} of {self.total} resources, without a good recovery '
            f'point: {resource_work.names_of(self.left_out)}'
        )

    def told_of_removed(self, removed: Collection[Key]) -> str | None:
        """What is said of resources that are still in the graph, and are being removed."""
        going = [
            each
            for each in self.resources
            if _key(each) in removed and _key(each) not in self.left_alone
        ]
        if not going:
            return None
        return f'left out, as retention removes it: {resource_work.names_of(going)}'


def _verify(attempt: Attempt) -> Outcome:
    row = attempt.checkpoint_row()
    with db.reader() as session:
        points = reality_rows.of_checkpoint(session, row.id)
    outcome = _run(models.Verification, attempt)
    remark = _compare(attempt, row, points, outcome)
    if remark is None:
        return outcome
    told = f'{outcome.told}; {remark}' if outcome.told else remark
    if outcome.reason:
        return dataclasses.replace(outcome, reason=told)
    return dataclasses.replace(outcome, remark=told)


def _compare(
    attempt: Attempt, row: models.Checkpoint, points: Sequence[StoredPoint], outcome: Outcome
) -> str | None:
    """Write what has become of points by a verification; returns what is said of it.

    :param points: as they were before it.
    """
    lost_keys = {(each.type, each.id) for each, why in outcome.failures.items() if why.is_lost}
    lost = [each for each in points if each.state == State.GOOD and each.key in lost_keys]
    missing = [each for each in points if each.state == State.MISSING and each.was_good]
    if not lost and not missing:
        return None
    seen = _seen(attempt, outcome).intersection(each.key for each in points)
    found = [each for each in missing if each.key in seen]
    is_cloud_seen = bool(seen) or _are_here(attempt, lost)
    region = row.region or regions.acting(attempt.context)
    changes = reality.Changes(lost=lost, found=found)
    return db.transaction(_write)(
        attempt.job, row, changes, region=region, is_cloud_seen=is_cloud_seen
    )


def _are_here(attempt: Attempt, points: Sequence[StoredPoint]) -> bool:
    """Whether any of the resources that points are of is where the verification has looked."""
    by_type: dict[str, list[str]] = {}
    for point in points:
        by_type.setdefault(point.resource.type, []).append(point.resource.id)
    return any(
        regions.sees_any(attempt.environment.protectables, attempt.context, resource_type, ids)
        for resource_type, ids in by_type.items()
    )


def _seen(attempt: Attempt, outcome: Outcome) -> set[Key]:
    """The resources of which a plugin has said that what the checkpoint has is there and well.

    None after an attempt that was broken off: who knows when that has seen them.
    """
    job = attempt.job
    if job.attempts > 1:
        return set()
    with db.reader() as session:
        results = uses.results(session, [job.subject_id]).get(job.subject_id, ())
    well = {
        (result.resource_type, result.resource_id)
        for result in results
        if result.status == constants.ResourceStatus.AVAILABLE
    }
    return well - {(each.type, each.id) for each in outcome.failures}


def _write(
    session: orm.Session,
    job: models.Job,
    row: models.Checkpoint,
    changes: reality.Changes,
    *,
    region: str | None,
    is_cloud_seen: bool,
) -> str | None:
    """Write what has become of points; returns what is said of it.

    :param region: where the verification has looked.
    :param is_cloud_seen: whether anything that is recorded was seen there.
    """
    job_rows.hold_claim(session, job)
    good = reality_rows.count_good_alike(session, row)
    doubt = reality.doubt(len(changes.lost), good, is_cloud_seen=is_cloud_seen)
    if doubt is not None:
        reality.tell_doubt(session, row, doubt)
        return doubt
    if region is not None and row.region is None:
        reality_rows.set_region(session, [row.id], region)
    reason = reality.reason_of_loss(f'found by the verification {job.subject_id}', region)
    return reality.write(session, changes, reason, row.provider_id).told


def _key(resource: Resource) -> Key:
    return resource.type, resource.id


def _end(table: type[uses.Use], session: orm.Session, job: models.Job, outcome: Outcome) -> str:
    reasons = {resource: failure.reason for resource, failure in outcome.failures.items()}
    uses.record_failures(session, job.subject_id, reasons)
    uses.set_status(
        session, table, job.subject_id, status=outcome.operation_status, reason=outcome.told
    )
    return outcome.operation_status


def _kind(
    name: constants.OperationType,
    table: type[uses.Use],
    run: Callable[[Attempt], Outcome],
) -> JobKind:
    return JobKind(
        name=name,
        run=run,
        end=functools.partial(_end, table),
        running=constants.OperationStatus.IN_PROGRESS,
        failed=constants.OperationStatus.FAIL,
        table=table,
        purged_with=table,
    )


RESTORE = _kind(
    constants.OperationType.RESTORE, models.Restore, functools.partial(_run, models.Restore)
)
# One with choices has a kind of its own, as the release before would leave them out of account.
CHOSEN_RESTORE = dataclasses.replace(
    RESTORE,
    name=constants.OperationType.CHOSEN_RESTORE,
    operation=constants.OperationType.RESTORE,
)
VERIFY = _kind(constants.OperationType.VERIFY, models.Verification, _verify)
