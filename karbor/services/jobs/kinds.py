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

"""What a kind of job is: how it runs, how it ends, and what it is about.

This room knows no kind. Each stands in the room of what it is about, and
:mod:`karbor.cmd.assembly` lists them all.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common import constants, leases
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.resource import Resource
from karbor.services.identity.trusts import Trusts
from karbor.services.jobs.failures import Failure
from karbor.services.jobs.fair_pool import FairPool, Lane
from karbor.services.protection import protectables, provider


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """What a process does jobs with.

    :ivar registry: the providers.
    :ivar protectables: what finds resources.
    :ivar trusts: where jobs get the trusts from that they act by, and leave them.
    :ivar post: has a job done, given its id.
    :ivar context_of: whom a job acts for.
    :ivar requests: the threads that send requests.
    :ivar max_concurrent_resources: how many resources of a job are worked on at once by plugins
        whose hooks keep a thread each.
    """

    registry: provider.ProviderRegistry
    protectables: protectables.Protectables
    trusts: Trusts
    post: Callable[[str], None]
    context_of: Callable[[models.Job], karbor_context.RequestContext]
    requests: FairPool
    max_concurrent_resources: int


def _holds_nothing(_error: BaseException) -> bool:
    return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try to bring a job to its end.

    :ivar job: its row, as it was when it was claimed.
    :ivar lease: the right to work on it, which may be lost at any moment.
    :ivar context: whom it acts for.
    :ivar kind: of the job.
    :ivar requests: the threads that send its requests.
    :ivar holds: whether the job is to wait, and not to fail, for what was raised.
    """

    job: models.Job
    kind: 'JobKind'
    requests: Lane
    lease: leases.Lease
    context: karbor_context.RequestContext
    environment: Environment
    holds: Callable[[BaseException], bool] = _holds_nothing

    def checkpoint_row(self) -> models.Checkpoint:
        """The checkpoint that the job is about.

        :raises CheckpointNotFound: it has no row.
        """
        with db.reader() as session:
            row = session.get(models.Checkpoint, self.job.checkpoint_id)
        if row is None:
            raise exception.CheckpointNotFound(checkpoint_id=self.job.checkpoint_id)
        return row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job went.

    :ivar reason: one line about all that did not go well; None when all did.
    :ivar remark: one line to be told although all did well.
    :ivar failures: the resources that it could not do, and why.
    :ivar gone: the resources that there are not any more, and that are left out.
    :ivar is_over_quota: whether a quota of the project was in the way.
    :ivar is_trust_dead: whether nothing lets the job act for its user any more.
    :ivar state: what becomes of the job itself; done also when resources have failed.
    """

    reason: str | None = None
    remark: str | None = None
    failures: Mapping[Resource, Failure] = dataclasses.field(default_factory=dict)
    gone: Collection[Resource] = ()
    is_over_quota: bool = False
    is_trust_dead: bool = False
    state: job_rows.JobState = job_rows.JobState.DONE

    @property
    def told(self) -> str | None:
        """What is said of it, if anything."""
        return self.reason or self.remark

    @property
    def operation_status(self) -> constants.OperationStatus:
        """How it went, of an operation."""
        return constants.OperationStatus.FAIL if self.reason else constants.OperationStatus.SUCCESS


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedInfo:
    """What a plugin tells that it keeps of a resource.

    :ivar told: in a form of the plugin's own; None when it told nothing.
    :ivar is_to_be_asked: whether it could not tell now, as its bank was away, say.
    """

    told: Any = None
    is_to_be_asked: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceOutcome:
    """How an attempt went with one resource.

    :ivar failure: why it could not be done; None when it was.
    :ivar saved: what its plugin tells that it keeps of it.
    :ivar seconds: from the begin of its first hook to the end of the last; None without any.
    """

    resource: Resource
    failure: Failure | None = None
    saved: SavedInfo = SavedInfo()
    seconds: float | None = None


def _records_nothing(
    _session: orm.Session, _job: models.Job, _outcomes: Iterable[ResourceOutcome]
) -> None:
    pass


def _locks_nothing(_session: orm.Session, _job: models.Job) -> None:
    pass


def _nothing_in_the_way(_session: orm.Session, _job: models.Job) -> str | None:
    return None


def _nothing_follows(
    _session: orm.Session, _job: models.Job, _outcome: Outcome
) -> Sequence[models.Job]:
    return ()


def end_without_subject(_session: orm.Session, _job: models.Job, outcome: Outcome) -> str:
    """How a job ended that is about nothing that has a status of its own."""
    return outcome.operation_status


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobKind:
    """A kind of job.

    :ivar name: in the row of each job.
    :ivar operation: what plugins are asked for it; None when that has the name of the kind.
    :ivar run: does the work of one attempt, from its start, leaving out what is done. What it
        raises fails the job.
    :ivar end: writes how what the job is about ended, in the transaction that ends the job, and
        returns its status.
    :ivar record: writes what has become of resources, in the transaction that writes that the
        job has done them or failed with them.
    :ivar saves: whether plugins are asked then what they keep of the resource.
    :ivar running: status of what the job is about while it runs.
    :ivar failed: its status after the job failed.
    :ivar table: where it stands; None when it stands in none whose status says how the job goes.
    :ivar purged_with: with rows of which table old jobs are removed.
    :ivar lock: locks what is locked before the job's row when it ends or begins again.
    :ivar obstacle: why a parked job cannot begin again, if something is in the way.
    :ivar follow: the jobs that begin in the transaction that ends the job.
    """

    name: str
    run: Callable[[Attempt], Outcome]
    end: Callable[[orm.Session, models.Job, Outcome], str]
    running: str
    failed: str
    table: type[models.Subject] | None
    operation: constants.OperationType | None = None
    purged_with: type[models.Subject] = models.Checkpoint
    record: Callable[[orm.Session, models.Job, Iterable[ResourceOutcome]], None] = _records_nothing
    saves: bool = False
    lock: Callable[[orm.Session, models.Job], None] = _locks_nothing
    obstacle: Callable[[orm.Session, models.Job], str | None] = _nothing_in_the_way
    follow: Callable[[orm.Session, models.Job, Outcome], Sequence[models.Job]] = _nothing_follows

    @property
    def plugin_operation(self) -> str:
        """The name of what plugins are asked for."""
        return self.operation or self.name


class JobKinds(Mapping[str, JobKind]):
    """Kinds by their names.

    :param kinds: those that a process knows; it leaves jobs of others alone.
    """

    def __init__(self, kinds: Iterable[JobKind]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    def __getitem__(self, name: str) -> JobKind:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def scope(self, registry: provider.ProviderRegistry) -> job_rows.Scope:
        """The jobs that a process with some providers can do."""
        return job_rows.Scope(
            kinds=frozenset(self), provider_ids=frozenset(provider.id for provider in registry)
        )

    def by_table(self) -> dict[type[models.Subject], list[str]]:
        """Names of the kinds whose old jobs are removed with the rows of a table."""
        names: dict[type[models.Subject], list[str]] = {}
        for kind in self.values():
            names.setdefault(kind.purged_with, []).append(kind.name)
        return names
