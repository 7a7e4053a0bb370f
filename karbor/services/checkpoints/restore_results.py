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

"""What has become of each resource that a restore is about."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from karbor.common import constants
from karbor.db import job_resources, models, recovery_points, uses
from karbor.resource import Key
from karbor.services.checkpoints import restore_choices
from karbor.services.protection import graph


class End(enum.StrEnum):
    """What has become of a resource; ``waiting`` is what is not at its end."""

    WAITING = 'waiting'
    RESTORED = 'restored'
    FAILED = 'failed'
    LEFT_OUT = 'left_out'


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What has become of one resource.

    :ivar recovery_point_id: of what it is restored from; None when nothing tells.
    :ivar new_id: of what was made.
    :ivar name: what that is called, where its plugin tells it.
    :ivar reason: why it failed or was left out, or what could not be made as it was.
    :ivar seconds: how long it took.
    """

    type: str
    id: str
    recovery_point_id: str | None
    end: End
    new_id: str | None = None
    name: str | None = None
    reason: str | None = None
    seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class WholeRestore:
    """A restore and all that has come of it so far.

    :ivar told: what plugins told of resources, by types and ids.
    :ivar ends: how far the newest job is with those that it has come to.
    :ivar restored: what has become of each resource, in the order of the checkpoint.
    """

    row: models.Restore
    told: Mapping[Key, models.ResourceResult]
    ends: Mapping[Key, models.JobResource]
    restored: Sequence[Restored]


def whole(
    session: orm.Session, restore: models.Restore, resource_graph: str | None
) -> WholeRestore:
    """A restore with all that has come of it.

    :param resource_graph: of its checkpoint; None when that is purged.
    """
    ends = {
        (row.resource_type, row.resource_id): row
        for row in job_resources.of_newest(session, restore.id)
    }
    told = {
        (row.resource_type, row.resource_id): row
        for row in uses.results(session, [restore.id]).get(restore.id, ())
    }
    points = {
        (point.resource_type, point.resource_id): point.id
        for point in recovery_points.of_checkpoints(session, [restore.checkpoint_id])
    }
    obstacles = restore_choices.obstacles(restore)
    restored = [
        Restored(
            type=key[0],
            id=key[1],
            recovery_point_id=points.get(key),
            **_about(restore, ends.get(key), told, obstacles.get(key)),
        )
        for key in (ends if resource_graph is None else _keys(restore, resource_graph))
    ]
    return WholeRestore(row=restore, told=told, ends=ends, restored=restored)


def _keys(restore: models.Restore, resource_graph: str) -> Sequence[Key]:
    """Type and id of each resource that it is about."""
    return [
        (each.type, each.id)
        for each in restore_choices.meant(graph.deserialize(resource_graph), restore.choices or {})
        if each.type not in recovery_points.WITHOUT_POINTS
    ]


def _about(
    restore: models.Restore,
    row: models.JobResource | None,
    told: Mapping[Key, models.ResourceResult],
    obstacle: str | None,
) -> dict[str, Any]:
    """What has become of a resource, of which the rows are these."""
    if obstacle is not None:
        return {'end': End.LEFT_OUT, 'reason': obstacle}
    if row is None:
        if restore.status == constants.OperationStatus.IN_PROGRESS:
            return {'end': End.WAITING}
        is_failed = restore.status == constants.OperationStatus.FAIL
        return {
            'end': End.FAILED if is_failed else End.LEFT_OUT,
            'reason': restore.status_reason,
        }
    made = told.get((row.resource_type, row.new_resource_id or ''))
    return {
        'end': End.RESTORED if row.is_done else End.FAILED,
        'new_id': row.new_resource_id,
        'name': None if made is None else made.name,
        'reason': row.reason or (None if made is None else made.reason),
        'seconds': None if row.seconds is None else round(row.seconds, 3),
    }
