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

"""What recovery points become by what the cloud has of them: lost ones, and those found again.

This is the judgement, which is about values only, and what writes it. Who looks is elsewhere: the
look at all that there is, and each verification.

A point that was good and is not there any more is missing: it stays, it is counted no more, and
nothing is removed for it. What was good before and is seen well again is good again. Every change
is of a point that has still the state that was read, so whatever else has become of it meanwhile
outweighs this. And when most of what a project has would be lost at once, or nothing at all that is
recorded is seen, it is more likely that it is not shown: then nothing of the project is changed.
"""

import collections
import dataclasses
import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from oslo_utils import timeutils, uuidutils
from sqlalchemy import orm

from karbor.common import constants
from karbor.common.constants import RecoveryPointState as State
from karbor.db import models, operation_logs, reality
from karbor.db.reality import StoredPoint
from karbor.services.checkpoints import resource_work

_IS_THERE = 'available'

_MISSING, _GOOD_AGAIN = 'missing', 'good again'


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What points are beside what was listed after they were read.

    :ivar absent: those that were good, and are not in the list; each is still to be asked for.
    :ivar found: those that are missing, were good before, and are available.
    :ivar doubted: those that were good and are not in the list of the projects of which that is
        not believed.
    :ivar remarks: of each project that has points: why something of it is left as it is, if so.
    :ivar located: ids of the checkpoints that were made here, as something of them is listed,
        and of which that is not known.
    """

    absent: Sequence[StoredPoint]
    found: Sequence[StoredPoint]
    doubted: Sequence[Sequence[StoredPoint]]
    remarks: Mapping[str, str | None]
    located: Collection[str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What is to be written of points, or was."""

    lost: Sequence[StoredPoint] = ()
    found: Sequence[StoredPoint] = ()

    def __bool__(self) -> bool:
        return bool(self.lost or self.found)

    @property
    def told(self) -> str | None:
        """One line about all of it; None when there is nothing."""
        parts = [
            f'{counted(len(points))} {what}: '
            f'{resource_work.names_of([point.resource for point in points])}'
            for points, what in ((self.lost, _MISSING), (self.found, _GOOD_AGAIN))
            if points
        ]
        return '; '.join(parts) or None


def compare(
    points: Sequence[StoredPoint],
    listed: Mapping[str, str],
    region: str | None,
    *,
    is_cloud_seen: bool,
) -> Comparison:
    """Compare points with what the cloud has listed.

    :param points: were read before that was listed.
    :param listed: status by id.
    :param region: the one that was looked at; None when that is not known.
    :param is_cloud_seen: whether anything that is recorded was seen there.
    """
    located = {
        point.checkpoint_id
        for point in points
        if point.region is None and point.cloud_id in listed and region is not None
    }
    by_project: dict[str, list[StoredPoint]] = {}
    unplaced: collections.Counter[str] = collections.Counter()
    elsewhere: collections.Counter[str] = collections.Counter()
    for point in points:
        if point.region == region or point.checkpoint_id in located:
            by_project.setdefault(point.project_id, []).append(point)
        elif point.region is None or region is None:
            unplaced[point.project_id] += 1
        else:
            elsewhere[point.project_id] += 1
    absent: list[StoredPoint] = []
    found: list[StoredPoint] = []
    doubted: list[list[StoredPoint]] = []
    remarks: dict[str, str | None] = dict.fromkeys([*unplaced, *elsewhere])
    for project_id, own in by_project.items():
        good = [each for each in own if each.state == State.GOOD]
        away = [each for each in good if each.cloud_id not in listed]
        remarks[project_id] = doubt(len(away), len(good), is_cloud_seen=is_cloud_seen)
        if remarks[project_id] is None:
            absent += away
            found += [each for each in own if _is_back(each, listed)]
        else:
            doubted.append(away)
    for project_id, count in unplaced.items():
        remarks[project_id] = joined(remarks[project_id], _not_placed(count))
    for project_id, count in elsewhere.items():
        remarks[project_id] = joined(remarks[project_id], _made_elsewhere(count, region))
    return Comparison(absent=absent, found=found, doubted=doubted, remarks=remarks, located=located)


def joined(*remarks: str | None) -> str | None:
    """Remarks on one project as one; None when there is none."""
    return ' '.join(text for text in remarks if text) or None


def _not_placed(count: int) -> str:
    return (
        f'{counted(count)} not compared with the cloud: nothing tells in which region '
        f'{"it was" if count == 1 else "they were"} made, or which one this is.'
    )


def _made_elsewhere(count: int, region: str | None) -> str:
    return (
        f'{counted(count)} not compared with the cloud: {"it was" if count == 1 else "they were"} '
        f'made in another region than {region}.'
    )


def _is_back(point: StoredPoint, listed: Mapping[str, str]) -> bool:
    return (
        point.state == State.MISSING
        and point.was_good
        and listed.get(str(point.cloud_id)) == _IS_THERE
    )


def is_doubtful(losses: int, good: int, *, is_cloud_seen: bool) -> bool:
    """Whether it is not believed that so many points are lost at once.

    More than half are not believed, but for a single one; and none is while nothing says that it
    is the same cloud.

    :param good: how many were good, with those.
    :param is_cloud_seen: whether anything that is recorded was seen there.
    """
    is_most = losses > 1 and 2 * losses > good
    return losses > 0 and (is_most or not is_cloud_seen)


def doubt(losses: int, good: int, *, is_cloud_seen: bool) -> str | None:
    """Why that is not believed, if it is not; see :func:`is_doubtful`.

    :param good: of the project.
    """
    if not is_doubtful(losses, good, is_cloud_seen=is_cloud_seen):
        return None
    if is_cloud_seen:
        why = 'which is more than half: it is more likely that the cloud does not show all'
    else:
        why = 'and nothing else that is recorded: it may be another cloud'
    return (
        f'{losses} of {good} good recovery points cannot be seen in the cloud, {why}. '
        'No recovery point is changed.'
    )


def reason_of_loss(how: str, region: str | None) -> str:
    """Of a point that is found missing now.

    :param how: in words, how that was found out.
    """
    now = timeutils.utcnow()
    where = f' in region {region}' if region else ''
    return f'It is not in the cloud any more{where}: {how}, at {now:%Y-%m-%d %H:%M:%S} UTC.'


def write(session: orm.Session, changes: Changes, reason: str, provider_id: str) -> Changes:
    """Write what has become of points, and tell of it; returns what was changed.

    :param changes: of points that have perhaps another state by now, which is left then.
    :param reason: of all that are lost.
    """
    lost_ids = reality.lose(session, changes.lost, reason)
    found_ids = reality.find(session, changes.found)
    lost = [point for point in changes.lost if point.id in lost_ids]
    found = [point for point in changes.found if point.id in found_ids]
    fail, success = constants.OperationStatus.FAIL, constants.OperationStatus.SUCCESS
    logs = [
        _log(group, provider_id, fail, _MISSING, f'. {reason}') for group in _by_checkpoint(lost)
    ]
    logs += [_log(group, provider_id, success, _GOOD_AGAIN) for group in _by_checkpoint(found)]
    operation_logs.add_all(session, logs)
    return Changes(lost=lost, found=found)


def _by_checkpoint(points: Iterable[StoredPoint]) -> Iterable[Sequence[StoredPoint]]:
    groups: dict[str, list[StoredPoint]] = {}
    for point in points:
        groups.setdefault(point.checkpoint_id, []).append(point)
    return groups.values()


def _log(
    points: Sequence[StoredPoint], provider_id: str, status: str, what: str, more: str = ''
) -> dict[str, Any]:
    """The log of what points of one checkpoint have become.

    :param what: in words.
    :param more: the end of the text.
    """
    first = points[0]
    names = resource_work.names_of([point.resource for point in points])
    return {
        **_log_of_project(first.project_id),
        'checkpoint_id': first.checkpoint_id,
        'plan_id': first.plan_id,
        'provider_id': provider_id,
        'status': status,
        'error_info': f'{counted(len(points))} {what}: {names}{more}',
        'extra_info': {what.replace(' ', '_'): len(points)},
    }


def _log_of_project(project_id: str) -> dict[str, Any]:
    now: datetime.datetime = timeutils.utcnow()
    return {
        'id': uuidutils.generate_uuid(),
        'project_id': project_id,
        'operation_type': constants.OperationType.COMPARE,
        'checkpoint_id': None,
        'plan_id': None,
        'provider_id': None,
        'created_at': now,
        'started_at': now,
        'ended_at': now,
    }


def tell_doubt(session: orm.Session, checkpoint: models.Checkpoint, doubt: str) -> None:
    """Tell that a verification has found so much missing that nothing was changed."""
    reality.write_compared(session, {checkpoint.project_id: doubt})
    log = {
        **_log_of_project(checkpoint.project_id),
        'checkpoint_id': checkpoint.id,
        'plan_id': checkpoint.plan_id,
        'provider_id': checkpoint.provider_id,
        'status': constants.OperationStatus.FAIL,
        'error_info': doubt,
        'extra_info': None,
    }
    operation_logs.add_all(session, [log])


def write_remarks(session: orm.Session, remarks: Mapping[str, str | None]) -> None:
    """Write that projects were compared just now, and why something of them is left as it is.

    What is remarked of a project is told in a log of its own when it begins, not each time. It
    stays until the project is compared without, or has nothing left to be compared.

    :param remarks: by project.
    """
    remarks = {**dict.fromkeys(reality.remarked_without_points(session)), **remarks}
    new = reality.write_compared(session, remarks)
    operation_logs.add_all(
        session,
        [
            {
                **_log_of_project(project_id),
                'status': constants.OperationStatus.FAIL,
                'error_info': remarks[project_id],
                'extra_info': None,
            }
            for project_id in new
        ],
    )


def counted(number: int) -> str:
    """So many recovery points, as the subject of a sentence."""
    return '1 recovery point is' if number == 1 else f'{number} recovery points are'
