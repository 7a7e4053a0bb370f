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

"""Checkpoints as Karbors without recovery points have left them, and the points they are to get.

What a point is to be is said here beside what was written, in :data:`STORIES`: it is not asked of
the code that fills them in.
"""

import dataclasses
import datetime
import random
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import orm

from karbor import db
from karbor.common import constants
from karbor.common.constants import CheckpointStatus as Status
from karbor.common.constants import RecoveryPointState as State
from karbor.db import batches, models, point_filling
from karbor.db import jobs as job_rows
from karbor.resource import Resource
from karbor.services.protection import graph
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID

OTHER_PROVIDER_ID = 'b7ac9a8e-3a8d-4c04-8d5f-0f6c3f0a9d11'

#: the last migration before recovery points
SCHEMA = '0005'

_BEGIN = datetime.datetime(2026, 1, 1, 2, 30)
_MINUTE = datetime.timedelta(minutes=1)
_DONE = 'done'


class Volume(NamedTuple):
    """One of a checkpoint's volumes, and what its point is to be.

    :ivar protect: what the job that protects has told of it: :data:`_DONE`, why it could not be
        done, or None while there is nothing to tell.
    :ivar delete: the same of the newest job that deletes.
    """

    state: State
    reason: str | None = None
    protect: str | None = None
    delete: str | None = None


class Job(NamedTuple):
    """A job about a checkpoint, of those that are told of."""

    kind: constants.OperationType
    state: job_rows.JobState
    error: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Story:
    """How a checkpoint has become what it is.

    :ivar volumes: what becomes of its volumes, in turn.
    :ivar jobs: the jobs whose rows are left, the oldest first.
    :ivar is_deleted_again: whether an earlier deletion has failed with all that there was.
    :ivar then: the name of how it goes on with a Karbor that knows of no points.
    """

    status: Status
    status_reason: str | None = None
    volumes: Sequence[Volume]
    jobs: Sequence[Job] = ()
    is_deleted_again: bool = False
    then: str | None = None


_PROTECTED = Job(constants.OperationType.PROTECT, job_rows.JobState.DONE)
_PROTECTING = Job(constants.OperationType.PROTECT, job_rows.JobState.RUNNING)
_TO_BE_PROTECTED = Job(constants.OperationType.PROTECT, job_rows.JobState.PENDING)
_FAILED = Job(constants.OperationType.PROTECT, job_rows.JobState.FAILED, 'the worker broke')
_DELETED = Job(constants.OperationType.DELETE, job_rows.JobState.DONE)
_DELETING = Job(constants.OperationType.DELETE, job_rows.JobState.RUNNING)

_GOOD = Volume(State.GOOD, protect=_DONE)
_BAD = Volume(State.FAILED, 'over quota', protect='over quota')
_SILENT = Volume(State.FAILED, '', protect='')
_NOT_TOLD = Volume(State.UNKNOWN, point_filling.NOT_TOLD)
_GONE = Volume(State.DELETED, protect=_DONE, delete=_DONE)
_KEPT = Volume(State.FAILED, 'in use', protect=_DONE, delete='in use')

STORIES: Mapping[str, Story] = {
    'good': Story(status=Status.AVAILABLE, volumes=[_GOOD], jobs=[_PROTECTED]),
    'good, and then deleted': Story(
        status=Status.AVAILABLE, volumes=[_GOOD], jobs=[_PROTECTED], then='deleted'
    ),
    'good, and then to be deleted': Story(
        status=Status.AVAILABLE, volumes=[_GOOD], jobs=[_PROTECTED], then='deleting'
    ),
    'not all good': Story(
        status=Status.ERROR,
        status_reason='2 of 4 failed',
        volumes=[_GOOD, _BAD, _GOOD, _SILENT],
        jobs=[_PROTECTED],
    ),
    'not all good, and set to available': Story(
        status=Status.AVAILABLE, volumes=[_GOOD, _BAD], jobs=[_PROTECTED]
    ),
    'failed as a whole': Story(
        status=Status.ERROR,
        status_reason='it is told otherwise',
        volumes=[_GOOD, Volume(State.FAILED, 'the worker broke')],
        jobs=[_FAILED],
    ),
    'failed as a whole, and only its row says why': Story(
        status=Status.ERROR,
        status_reason='no worker was left',
        volumes=[Volume(State.FAILED, 'no worker was left')],
        jobs=[_FAILED._replace(error=None)],
    ),
    'to be protected': Story(
        status=Status.PROTECTING, volumes=[Volume(State.MAKING)], jobs=[_TO_BE_PROTECTED]
    ),
    'being protected': Story(
        status=Status.PROTECTING,
        volumes=[_GOOD, Volume(State.MAKING), _BAD],
        jobs=[_PROTECTING],
        then='protected, with one failed',
    ),
    'protected, with one failed': Story(
        status=Status.ERROR,
        status_reason='1 of 3 failed',
        volumes=[_GOOD, _GOOD, _BAD],
        jobs=[_PROTECTED],
    ),
    'being protected, and then broken': Story(
        status=Status.PROTECTING,
        volumes=[_GOOD, Volume(State.MAKING)],
        jobs=[_PROTECTING],
        then='failed as a whole',
    ),
    'deleting': Story(
        status=Status.DELETING,
        volumes=[_GONE, Volume(State.DELETING, protect=_DONE), _KEPT],
        jobs=[_PROTECTED, _DELETING],
        then='not deleted',
    ),
    'deleting, with nothing told yet': Story(
        status=Status.DELETING,
        volumes=[Volume(State.DELETING)],
        jobs=[_DELETING],
        then='deleted',
    ),
    'not deleted': Story(
        status=Status.ERROR_DELETING,
        status_reason='1 of 3 is in use',
        volumes=[_GONE, Volume(State.FAILED, '1 of 3 is in use', protect=_DONE), _KEPT],
        jobs=[_PROTECTED, _DELETED],
    ),
    'not deleted, and then deleted after all': Story(
        status=Status.ERROR_DELETING,
        volumes=[_GONE, _KEPT],
        jobs=[_PROTECTED, _DELETED],
        then='deleted',
    ),
    'not deleted, and set to available': Story(
        status=Status.AVAILABLE,
        volumes=[_GONE, _KEPT, _NOT_TOLD._replace(protect=_DONE)],
        jobs=[_PROTECTED, _DELETED],
    ),
    'deleted twice': Story(
        status=Status.ERROR_DELETING,
        status_reason='1 of 2 is in use',
        volumes=[_GONE, _KEPT],
        jobs=[_PROTECTED, _DELETED],
        is_deleted_again=True,
    ),
    'deleted': Story(
        status=Status.DELETED,
        volumes=[_GONE, Volume(State.DELETED, protect=_DONE)],
        jobs=[_PROTECTED, _DELETED],
    ),
    'good, without jobs': Story(status=Status.AVAILABLE, volumes=[_NOT_TOLD]),
    'not all good, without jobs': Story(
        status=Status.ERROR, status_reason='1 of 2 failed', volumes=[_NOT_TOLD]
    ),
    'not deleted, without jobs': Story(
        status=Status.ERROR_DELETING,
        status_reason='1 of 2 is in use',
        volumes=[Volume(State.FAILED, '1 of 2 is in use')],
    ),
    'deleted, without jobs': Story(status=Status.DELETED, volumes=[Volume(State.DELETED)]),
}

# Names as clouds have them, and what is kept of those that databases cannot hold.
_NAMES = {'data': 'data', '': '', 'größer': 'größer', 'x' * 300: 'x' * 255, 'n\x00ul': 'nul'}


class Point(NamedTuple):
    """What is to be true of a recovery point, but for its own id."""

    checkpoint_id: str
    resource_type: str
    resource_id: str
    resource_name: str
    project_id: str
    provider_id: str
    plan_id: str
    scheduled_operation_id: str | None
    created_at: datetime.datetime
    state: str
    reason: str | None


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint with its volumes.

    :ivar row: the values of its row.
    :ivar told: its volumes, and what is told of each.
    """

    story: Story
    row: Mapping[str, Any]
    told: Sequence[tuple[Resource, Volume]]

    def points(self) -> Iterator[Point]:
        extra_info = self.row['extra_info']
        for resource, volume in self.told:
            yield Point(
                checkpoint_id=self.row['id'],
                resource_type=resource.type,
                resource_id=resource.id,
                resource_name=_NAMES[resource.name],
                project_id=self.row['project_id'],
                provider_id=self.row['provider_id'],
                plan_id=self.row['plan_id'],
                scheduled_operation_id=extra_info.get('scheduled_operation_id'),
                created_at=self.row['created_at'],
                state=volume.state,
                reason=volume.reason,
            )


class OldCheckpoints:
    """Writes checkpoints of all stories into the open database.

    :param volumes: how many there are in each.
    :param seed: the same writes the same.
    :ivar made: them all, as they are now.
    """

    def __init__(self, volumes: int, seed: int) -> None:
        self._volumes = volumes
        self._dice = random.Random(seed)
        self._plan_ids = [self._new_id() for _ in range(20)]
        self._operation_id = self._new_id()
        self.made: list[Checkpoint] = []

    def write(self, count: int) -> None:
        """Write so many, of each story in turn, in an order of ids that has nothing of that."""
        stories = list(STORIES.values())
        new = [self._checkpoint(stories[n % len(stories)], n) for n in range(count)]
        for batch in batches.of(new):
            db.transaction(self._write)(batch)
        self.made += new

    def go_on(self) -> int:
        """Go on as a Karbor that knows of no points does; returns how many become others."""
        moving = [made for made in self.made if made.story.then]
        moved = [self._moved(made, STORIES[str(made.story.then)]) for made in moving]
        for batch in batches.of(moved):
            db.transaction(self._write_again)(batch)
        self.made = [made for made in self.made if not made.story.then] + moved
        return len(moved)

    def points(self) -> dict[tuple[str, str], Point]:
        """What points there are to be, by checkpoint and resource."""
        return _by_key(point for made in self.made for point in made.points())

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))

    def _checkpoint(self, story: Story, number: int) -> Checkpoint:
        names = list(_NAMES)
        told = [
            (
                Resource(constants.VOLUME_RESOURCE_TYPE, self._new_id(), names[n % len(names)]),
                story.volumes[n % len(story.volumes)],
            )
            for n in range(self._volumes)
        ]
        nodes = tuple(graph.GraphNode(resource) for resource, _ in told)
        project_id = OTHER_PROJECT_ID if number % 5 == 0 else PROJECT_ID
        if number % 3 == 0:  # of a plan on the project
            project = Resource(constants.PROJECT_RESOURCE_TYPE, project_id, 'mine')
            nodes = (graph.GraphNode(project, nodes),)
        row = {
            'id': self._new_id(),
            'project_id': project_id,
            'provider_id': OTHER_PROVIDER_ID if number % 7 == 0 else PROVIDER_ID,
            'plan_id': self._dice.choice(self._plan_ids),
            'status': story.status,
            'status_reason': story.status_reason,
            'protection_plan': {},
            'resource_graph': graph.serialize(nodes),
            'resources_total': sum(1 for _ in graph.walk_nodes(nodes)),
            'extra_info': self._extra_info(number),
            'created_at': _BEGIN + number * _MINUTE,
        }
        return Checkpoint(story, row, told)

    def _extra_info(self, number: int) -> dict[str, str]:
        if number % 2:
            return {'created_by': constants.CHECKPOINT_CREATED_MANUALLY}
        return {
            'created_by': constants.CHECKPOINT_CREATED_BY_SCHEDULE,
            'scheduled_operation_id': self._operation_id,
        }

    @staticmethod
    def _moved(made: Checkpoint, story: Story) -> Checkpoint:
        row = {**made.row, 'status': story.status, 'status_reason': story.status_reason}
        told = [
            (resource, story.volumes[n % len(story.volumes)])
            for n, (resource, _) in enumerate(made.told)
        ]
        return Checkpoint(story, row, told)

    def _write(self, session: orm.Session, made: Sequence[Checkpoint]) -> None:
        session.execute(sa.insert(models.Checkpoint), [each.row for each in made])
        self._write_jobs(session, made)

    def _write_again(self, session: orm.Session, made: Sequence[Checkpoint]) -> None:
        ids = [each.row['id'] for each in made]
        jobs = sa.select(models.Job.id).where(models.Job.checkpoint_id.in_(ids))
        session.execute(sa.delete(models.JobResource).where(models.JobResource.job_id.in_(jobs)))
        session.execute(sa.delete(models.Job).where(models.Job.checkpoint_id.in_(ids)))
        for each in made:
            session.execute(
                sa.update(models.Checkpoint)
                .where(models.Checkpoint.id == each.row['id'])
                .values(status=each.row['status'], status_reason=each.row['status_reason'])
            )
        self._write_jobs(session, made)

    def _write_jobs(self, session: orm.Session, made: Sequence[Checkpoint]) -> None:
        jobs: list[dict[str, Any]] = []
        told: list[dict[str, Any]] = []
        for each in made:
            for job, volumes in _jobs_of(each):
                row = self._job_row(each, job, len(jobs))
                jobs.append(row)
                told += _told(row['id'], volumes)
        for model, rows in ((models.Job, jobs), (models.JobResource, told)):
            for batch in batches.of(rows):
                session.execute(sa.insert(model), list(batch))

    def _job_row(self, made: Checkpoint, job: Job, number: int) -> dict[str, Any]:
        is_use = job.kind == constants.OperationType.VERIFY
        return {
            'id': self._new_id(),
            'kind': job.kind,
            'subject_id': self._new_id() if is_use else made.row['id'],
            'checkpoint_id': made.row['id'],
            'provider_id': made.row['provider_id'],
            'project_id': made.row['project_id'],
            'state': job.state,
            'error': job.error,
            'created_at': made.row['created_at'] + number * _MINUTE,
        }


def _jobs_of(made: Checkpoint) -> Iterator[tuple[Job, Mapping[Resource, str | None]]]:
    """The jobs about a checkpoint, oldest first, and what each has told."""
    nothing_gone = {resource: 'in use' for resource, _ in made.told}
    for job in made.story.jobs:
        if job.kind == constants.OperationType.PROTECT:
            yield job, {resource: volume.protect for resource, volume in made.told}
            # What else is done with a checkpoint tells nothing of its points.
            yield Job(constants.OperationType.VERIFY, job_rows.JobState.DONE), nothing_gone
            continue
        if made.story.is_deleted_again:
            yield job, nothing_gone
        yield job, {resource: volume.delete for resource, volume in made.told}


def _told(job_id: str, volumes: Mapping[Resource, str | None]) -> Iterator[dict[str, Any]]:
    for resource, told in volumes.items():
        if told is not None:
            yield {
                'job_id': job_id,
                'resource_type': resource.type,
                'resource_id': resource.id,
                'is_done': told == _DONE,
                'reason': None if told == _DONE else told or None,
            }


def found_points() -> dict[tuple[str, str], Point]:
    """What is true of the recovery points in the database, by checkpoint and resource.

    :raises AssertionError: there are two of the same resource in the same checkpoint.
    """
    columns = [getattr(models.RecoveryPoint, name) for name in Point._fields]
    with db.reader() as session:
        rows = [Point(*row) for row in session.execute(sa.select(*columns))]
    found = _by_key(rows)
    assert len(found) == len(rows), 'there are points twice'
    return found


def ask_banks() -> None:
    """Go on as if the banks had been asked for all points, and had nothing to add."""
    with db.writer() as session:
        session.execute(sa.update(models.RecoveryPoint).values(updated_at=_BEGIN))


def _by_key(points: Iterable[Point]) -> dict[tuple[str, str], Point]:
    return {(point.checkpoint_id, point.resource_id): point for point in points}


def differences(
    wanted: Mapping[tuple[str, str], Point], found: Mapping[tuple[str, str], Point]
) -> Collection[str]:
    """What is wrong with the points that are found, in words."""
    return [
        f'{key}: {found.get(key)} in place of {wanted.get(key)}'
        for key in sorted({*wanted, *found})
        if wanted.get(key) != found.get(key)
    ]
