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

"""Coverage: what protects each volume of a project, and whether it does.

What the cloud has is told by looks, and all else by the rows, whenever it is asked for. So no
state is stored that could be out of date.
"""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants
from karbor.common.constants import RecoveryPointState
from karbor.db import batches, models, paging
from karbor.db import coverage as rows
from karbor.services.checkpoints import coverage_rules, regions, volume_looks
from karbor.services.checkpoints.coverage_rules import Points, Schedule, Verdict
from karbor.services.protection import choices

# Seconds for which a look is new enough to answer from.
_FRESH_FOR = 30


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A plan that covers a volume."""

    id: str
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Covered:
    """A volume, and what protects it.

    :ivar status: Cinder's; None of one that is gone, or was never looked for.
    :ivar size: in GiB; None likewise.
    :ivar oldest_good_at: of when the data of its oldest good point is.
    """

    id: str
    name: str
    status: str | None
    size: int | None
    verdict: Verdict
    points: Points
    oldest_good_at: datetime.datetime | None
    plans: Sequence[Plan]
    schedules: Sequence[Schedule]

    @property
    def next_run_at(self) -> datetime.datetime | None:
        """When the next run is that covers it."""
        runs = [
            schedule.next_run_at
            for schedule in self.schedules
            if schedule.is_enabled and schedule.next_run_at is not None
        ]
        return min(runs, default=None)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Detail:
    """What is told of a volume that is shown.

    :ivar last_good: the newest good point; None when there is none.
    :ivar last_failed: the newest one that could not be made.
    """

    covered: Covered
    last_good: models.RecoveryPoint | None
    last_failed: models.RecoveryPoint | None


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """When the cloud was looked at.

    :ivar seen_at: when the volumes were listed, in UTC without a zone; None if never.
    :ivar remark: what is to be known of the last comparison with the snapshots.
    :ivar fault: why the volumes could not be listed now.
    """

    seen_at: datetime.datetime | None = None
    remark: str | None = None
    fault: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A page of the coverage of a project.

    :ivar totals: how many volumes are in each state, of all that the filters let through; None
        after the first page.
    :ivar now: the moment that the states are of, in UTC without a zone.
    """

    details: Sequence[Detail]
    has_more: bool
    totals: Mapping[str, int] | None
    look: Look
    now: datetime.datetime


class Coverage:
    """What the API asks about coverage.

    :param fresh_for: for how many seconds a look at the volumes is new enough.
    """

    def __init__(self, fresh_for: float = _FRESH_FOR) -> None:
        self._fresh_for = datetime.timedelta(seconds=fresh_for)

    def report(self, context: karbor_context.RequestContext, selection: paging.Selection) -> Report:
        """One page of the volumes of the caller's project, by name.

        Before the first page the volumes are looked at as the caller, if nobody did lately. That
        page has totals, for which all volumes are judged; others only if they are chosen by state.

        :param selection: filters by ``state``, ``name`` (a part of it) and ``plan_id``.
        :raises MarkerNotFound: the name and the plan let no volume of that id through. Its state
            may have changed since the page before.
        """
        page, filters = selection.page, selection.filters
        fault = None if page.marker else self.look_if_stale(context)
        region = _region(context)
        with db.plain_reader() as connection:
            project = _Project(connection, str(context.project_id), region)
            volumes = paging.after_marker(project.volumes(filters), page.marker)
            if page.marker is None or 'state' in filters:
                covered = project.judged(volumes, None)
            else:
                # One more tells whether more follow.
                part = volumes[: page.limit + 1]
                covered = project.judged(part, [volume.id for volume in part])
            if 'state' in filters:
                covered = [each for each in covered if each.verdict.state == filters['state']]
            details = project.details(covered[: page.limit])
        return Report(
            details=details,
            has_more=len(covered) > page.limit,
            totals=_totals(covered) if page.marker is None else None,
            look=dataclasses.replace(project.look, fault=fault),
            now=project.now,
        )

    def of_project(self, project_id: str, region: str | None) -> list[Covered]:
        """All volumes of a project as they were last seen, and what protects them.

        :param region: the one that is looked at; None if nothing tells.
        """
        with db.plain_reader() as connection:
            project = _Project(connection, project_id, region)
            return project.judged(project.volumes({}), None)

    def look_if_stale(self, context: karbor_context.RequestContext) -> str | None:
        """Look at the volumes if nobody did lately; returns why that failed, if it did."""
        with db.plain_reader() as connection:
            look = rows.look(connection, str(context.project_id))
            now = db.now(connection)
        seen_at = None if look is None else look.volumes_seen_at
        if seen_at is not None and now - seen_at < self._fresh_for:
            return None
        try:
            volume_looks.look_as(context)
        except exception.InventoryFailed as exc:
            return exc.msg
        return None


def _region(context: karbor_context.RequestContext) -> str | None:
    """The region that is looked at; None if nothing tells, or not now."""
    try:
        return regions.acting(context)
    except exception.KarborException:
        return None


class _Project:
    """What the rows have of a project.

    :param region: the one that is looked at; None if that is not known.
    :ivar now: the moment by the database's clock.
    """

    def __init__(self, connection: sa.Connection, project_id: str, region: str | None) -> None:
        self._connection = connection
        self._id = project_id
        self._region = region
        self.now = db.now(connection)
        look = rows.look(connection, project_id)
        self.look = Look() if look is None else Look(look.volumes_seen_at, look.remark)
        self._covering = _Covering(connection, project_id, self.now)

    def volumes(self, filters: Mapping[str, str]) -> list[Any]:
        """The volumes that were seen, and those that were not and still have a recovery point.

        :returns: their rows, by name; those of unseen ones have no status.
        """
        there = rows.volumes(self._connection, self._id)
        unseen = rows.unseen(self._connection, self._id, {volume.id for volume in there})
        volumes: Iterable[Any] = (*there, *unseen)
        if name_part := filters.get('name', '').lower():
            volumes = [volume for volume in volumes if name_part in volume.name.lower()]
        if (plan_id := filters.get('plan_id')) is not None:
            made = rows.of_plan(self._connection, self._id, plan_id) if unseen else set()
            volumes = [
                volume
                for volume in volumes
                if self._covering.is_covered(volume, plan_id)
                or (volume.status is None and volume.id in made)
            ]
        return sorted(volumes, key=lambda volume: (volume.name, volume.id))

    def judged(self, volumes: Sequence[Any], ids: Sequence[str] | None) -> list[Covered]:
        """Volumes and whether they are protected.

        :param ids: theirs, if they are few; None looks at the points of all there are.
        """
        counts: dict[str, Any] = {}
        for batch in (None,) if ids is None else batches.of(ids):
            counts.update(rows.counts(self._connection, self._id, batch))
        return [self._judge(volume, counts.get(volume.id)) for volume in volumes]

    def _judge(self, volume: Any, count: Any) -> Covered:
        plans = self._covering.plans_of(volume)
        schedules = [each for plan in plans for each in self._covering.schedules.get(plan.id, ())]
        points = Points() if count is None else _points(count)
        is_there = volume.status is not None or not self._is_gone(volume)
        return Covered(
            id=volume.id,
            name=volume.name,
            status=volume.status,
            size=volume.size,
            verdict=coverage_rules.judge(schedules, points, self.now, is_there=is_there),
            points=points,
            oldest_good_at=None if count is None else count.oldest_good_at,
            plans=plans,
            schedules=schedules,
        )

    def _is_gone(self, unseen: Any) -> bool:
        """Whether a volume was looked for where it was, since it was last protected."""
        seen_at = self.look.seen_at
        is_here = None in (unseen.region, self._region) or unseen.region == self._region
        return seen_at is not None and is_here and unseen.newest_at <= seen_at

    def details(self, shown: Sequence[Covered]) -> list[Detail]:
        """Volumes with their newest points."""
        newest: dict[tuple[str, str], models.RecoveryPoint] = {}
        for volume_ids in batches.of(item.id for item in shown):
            for point in rows.newest_points(self._connection, self._id, volume_ids):
                newest[point.resource_id, point.state] = point
        return [
            Detail(
                covered=item,
                last_good=newest.get((item.id, RecoveryPointState.GOOD)),
                last_failed=newest.get((item.id, RecoveryPointState.FAILED)),
            )
            for item in shown
        ]


class _Covering:
    """The plans of a project by the volumes that they cover.

    :ivar schedules: by the ids of plans.
    """

    def __init__(self, connection: sa.Connection, project_id: str, now: datetime.datetime) -> None:
        self.schedules: dict[str, list[Schedule]] = {}
        self._of_volume: dict[str, list[Plan]] = {}
        self._of_project: list[tuple[Plan, choices.Choice]] = []
        for row in rows.plans(connection, project_id):
            self._add(Plan(id=row.id, name=row.name), project_id, row.resources)
        for row in rows.schedules(connection, project_id):
            self.schedules.setdefault(row.plan_id, []).append(_schedule(row, now))
        is_choosing = any(choice != choices.EVERYTHING for _, choice in self._of_project)
        self._labels = rows.labels(connection, project_id) if is_choosing else {}

    def _add(self, plan: Plan, project_id: str, resources: Sequence[Mapping[str, Any]]) -> None:
        # Of the same named again, the first counts, as in a graph.
        named = {(each['type'], each['id']): each for each in reversed(resources)}
        for resource_type, resource_id in named:
            if resource_type == constants.VOLUME_RESOURCE_TYPE:
                self._of_volume.setdefault(resource_id, []).append(plan)
        project = named.get((constants.PROJECT_RESOURCE_TYPE, project_id))
        if project is not None:
            self._of_project.append((plan, choices.stored(project.get('extra_info'))))

    def plans_of(self, volume: Any) -> Sequence[Plan]:
        """The plans that cover a volume.

        :param volume: its row; that of one that is gone has no status.
        """
        named = self._of_volume.get(volume.id, ())
        if not self._of_project or volume.status is None:
            return named
        labels = self._labels.get(volume.id, {})
        choosing = [
            plan
            for plan, choice in self._of_project
            if plan not in named and choice.judge(volume.name, labels).is_in
        ]
        return [*named, *choosing]

    def is_covered(self, volume: Any, plan_id: str) -> bool:
        """Whether one plan covers a volume; see :meth:`plans_of`."""
        if any(plan.id == plan_id for plan in self._of_volume.get(volume.id, ())):
            return True
        labels = self._labels.get(volume.id, {})
        return volume.status is not None and any(
            choice.judge(volume.name, labels).is_in
            for plan, choice in self._of_project
            if plan.id == plan_id
        )


def _schedule(row: Any, now: datetime.datetime) -> Schedule:
    """A scheduled operation as it is judged.

    A run that was due before the operation was there is none of its runs. What failed in a run
    that came to a checkpoint is told by that one's recovery points.
    """
    coming, due = row.next_fire_at, row.last_fire_at
    if coming is not None and coming <= now:  # and no engine has come to it
        due = coming
    if due is not None and due < row.created_at:
        due = None
    seconds = row.properties['window'] + row.properties.get('jitter', 0)
    has_failed = (
        row.run_status == constants.CheckpointStatus.ERROR and row.run_checkpoint_id is None
    )
    return Schedule(
        id=row.id,
        name=row.name,
        plan_id=row.plan_id,
        is_enabled=row.enabled,
        due_at=due,
        grace=datetime.timedelta(seconds=seconds),
        next_run_at=coming,
        failed_at=row.run_at if has_failed else None,
        failure=row.run_error if has_failed else None,
    )


def _points(count: Any) -> Points:
    return Points(
        good=count.good,
        missing=count.missing,
        newest_good_at=count.newest_good_at,
        newest_missing_at=count.newest_missing_at,
        newest_failed_at=count.newest_failed_at,
        newest_making_at=count.newest_making_at,
    )


def _totals(covered: Sequence[Covered]) -> dict[str, int]:
    totals: dict[str, int] = dict.fromkeys(constants.CoverageState, 0)
    for item in covered:
        totals[item.verdict.state] += 1
    return totals
