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

"""Which checkpoints and recovery points the retention of a scheduled operation is about.

By default those that the operation has made itself: what was made by hand or by another is
neither counted nor touched. ``retention_scope: plan`` in its definition means all of its plan.
"""

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from karbor import exception
from karbor.common import constants, origins
from karbor.common.constants import CheckpointStatus as Status
from karbor.common.constants import RecoveryPointState as State
from karbor.db import checkpoints, models, point_removal, recovery_points
from karbor.resource import Key
from karbor.services.protection import graph
from karbor.services.schedules import retention
from karbor.services.schedules.histories import Histories


class RetentionScope(enum.StrEnum):
    """What is counted together."""

    OPERATION = 'operation'
    PLAN = 'plan'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scope:
    """What is counted together.

    :ivar plan_id: of the plan; None when ``scheduled_operation_id`` says what is meant.
    :ivar scheduled_operation_id: of what made the checkpoints.
    """

    project_id: str
    plan_id: str | None = None
    scheduled_operation_id: str | None = None

    def includes(self, checkpoint: Any) -> bool:
        """Whether a checkpoint is meant.

        :param checkpoint: a row of :func:`checkpoints.settled_of_project`.
        """
        if self.plan_id is not None:
            return bool(checkpoint.plan_id == self.plan_id)
        made_by = origins.scheduled_operation_id(checkpoint.extra_info)
        return made_by == self.scheduled_operation_id


def parse(definition: Mapping[str, Any]) -> RetentionScope:
    """The scope in a scheduled operation's definition.

    :raises InvalidInput: there is no such scope.
    """
    scope = definition.get('retention_scope', RetentionScope.OPERATION)
    if scope not in tuple(RetentionScope):
        raise exception.InvalidInput(
            reason=f'retention_scope: {scope!r} is none of {", ".join(RetentionScope)}.'
        )
    return RetentionScope(scope)


def of_operation(operation: models.ScheduledOperation, scope: RetentionScope) -> Scope:
    """What the retention of a scheduled operation is about.

    :param scope: as its definition has it.
    """
    if scope == RetentionScope.PLAN:
        return Scope(project_id=operation.project_id, plan_id=operation.plan_id)
    return Scope(project_id=operation.project_id, scheduled_operation_id=operation.id)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """What there is in a scope.

    :ivar checkpoints: rows of :func:`checkpoints.settled_of_project`, by their ids.
    :ivar histories: what the checkpoints have of each resource.
    :ivar points: how many points each checkpoint has.
    :ivar empty: ids of the checkpoints with nothing in them.
    """

    checkpoints: Mapping[str, Any]
    histories: Histories
    points: Mapping[str, int]
    empty: frozenset[str]


def read(session: orm.Session, scope: Scope, just_made: str | None = None) -> Contents:
    """What there is in a scope now; one statement a checkpoint.

    :param just_made: id of a checkpoint that counts though its run has yet to end.
    """
    rows = {
        row.id: row
        for row in checkpoints.settled_of_project(session, scope.project_id, just_made)
        if scope.includes(row)
    }
    histories = Histories(
        retention.Candidate(row.id, row.created_at, pinned=row.pinned) for row in rows.values()
    )
    points: dict[str, int] = {}
    empty = set()
    for row in rows.values():
        left = point_removal.left_of_checkpoint(session, row.id)
        states = {
            (point.resource_type, point.resource_id): _state(row.status, point.state)
            for point in left
        }
        void = {
            (point.resource_type, point.resource_id)
            for point in left
            if point.state == State.FAILED and point.cloud_id is None and not point.seen_good_at
        }
        points[row.id] = len(states)
        for unit, members in units(states, _roots(session, row.id, states)).items():
            histories.add(row.id, unit, members, void)
        if not states and _is_empty(session, row):
            empty.add(row.id)
    return Contents(checkpoints=rows, histories=histories, points=points, empty=frozenset(empty))


def _state(status: str, state: str) -> State:
    """The state of a point; what was to be deleted with its checkpoint is good no more."""
    if status == Status.ERROR_DELETING and state == State.GOOD:
        return State.FAILED
    return State(state)


def _roots(
    session: orm.Session, checkpoint_id: str, resources: Iterable[Key]
) -> Sequence[graph.GraphNode]:
    """The graph of a checkpoint, read only where there are more than volumes.

    On a volume nothing hangs but what is of another type.
    """
    if all(resource_type == constants.VOLUME_RESOURCE_TYPE for resource_type, _ in resources):
        return ()
    return _graph(session, checkpoint_id)


def units(
    states: Mapping[Key, State], roots: Sequence[graph.GraphNode]
) -> dict[Key, dict[Key, State]]:
    """The points of a checkpoint: by the resource at the top, it with what hangs on it.

    :param states: of the points, by their resources.
    :param roots: the graph of the checkpoint; none where nothing hangs on anything.
    """
    tops = _tops(roots)
    by_top: dict[Key, dict[Key, State]] = {}
    for key, state in states.items():
        by_top.setdefault(tops.get(key, key), {})[key] = state
    return by_top


def _tops(roots: Sequence[graph.GraphNode]) -> dict[Key, Key]:
    """By resource, the one at the top of its unit; units that share something are one."""
    tops: dict[Key, Key] = {}

    def top_of(key: Key) -> Key:
        while tops.get(key, key) != key:
            key = tops[key]
        return key

    # Parents come last, so the top of a unit is the last of its resources that is seen.
    for node in graph.walk_nodes(roots):
        key = node.value.type, node.value.id
        if node.value.type in recovery_points.WITHOUT_POINTS:
            continue
        for child in node.child_nodes:
            tops[top_of((child.value.type, child.value.id))] = key
    return {key: top_of(key) for key in tuple(tops)}


def _is_empty(session: orm.Session, checkpoint: Any) -> bool:
    """Whether a checkpoint without points is one of nothing, or was to be deleted.

    It is not while its points have yet to be written, as those of older checkpoints are.
    """
    if checkpoint.status == Status.ERROR:
        return all(
            node.value.type in recovery_points.WITHOUT_POINTS
            for node in graph.walk_nodes(_graph(session, checkpoint.id))
        )
    return bool(checkpoint.status == Status.ERROR_DELETING)


def _graph(session: orm.Session, checkpoint_id: str) -> Sequence[graph.GraphNode]:
    checkpoint = session.get_one(models.Checkpoint, checkpoint_id)
    roots = graph.deserialize(checkpoint.resource_graph)
    session.expunge(checkpoint)  # as there may be many, and graphs are long
    return roots
