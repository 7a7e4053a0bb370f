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

"""What may be looked at: checkpoints, restores, verifications, and how far their jobs are."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from karbor import context as karbor_context
from karbor import db
from karbor.common.constants import RecoveryPointState as State
from karbor.db import checkpoints, job_resources, models, paging, reality, recovery_points, uses
from karbor.services.checkpoints import restore_results
from karbor.services.protection import provider


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the newest job about something is, counted in resources."""

    done: int
    failed: int


@dataclasses.dataclass(frozen=True)
class WholeCheckpoint:
    """A checkpoint and all that is in it.

    :ivar failures: why the newest job could not do some resources, by ``type#id``.
    :ivar points: its recovery points, by type and name.
    """

    row: models.Checkpoint
    progress: Progress
    failures: Mapping[str, str | None]
    points: Sequence[models.RecoveryPoint]

    @property
    def missing(self) -> int:
        """How many of them are missing."""
        return sum(point.state == State.MISSING for point in self.points)


class Queries:
    """What the API shows.

    :param registry: the providers.
    """

    def __init__(self, registry: provider.ProviderRegistry) -> None:
        self._registry = registry

    def get_checkpoint(
        self, context: karbor_context.RequestContext, provider_id: str, checkpoint_id: str
    ) -> WholeCheckpoint:
        """:raises ProviderNotFound:
        :raises CheckpointNotFound:
        """
        self._registry.get(provider_id)
        with db.plain_reader() as connection:
            row = checkpoints.look(connection, context.project_id, provider_id, checkpoint_id)
            progress = _progress(connection, [row.id])[row.id]
            points = recovery_points.of_checkpoint(connection, row.id)
        failures = self.failures(row.id) if progress.failed else {}
        return WholeCheckpoint(row, progress, failures, points)

    def page_of_checkpoints(
        self,
        provider_id: str,
        selection: paging.Selection,
        since: datetime.datetime | None,
        before: datetime.datetime | None,
    ) -> tuple[list[tuple[models.Checkpoint, Progress, int]], bool]:
        """See :func:`karbor.db.checkpoints.page`; with how many points of each are missing."""
        self._registry.get(provider_id)
        with db.plain_reader() as connection:
            rows, has_more = checkpoints.page(
                connection, provider_id, selection, since=since, before=before
            )
            ids = [row.id for row in rows]
            progress = _progress(connection, ids)
            missing = reality.missing_counts(connection, ids)
        return [(row, progress[row.id], missing.get(row.id, 0)) for row in rows], has_more

    def get_use(
        self, context: karbor_context.RequestContext, table: type[uses.Use], use_id: str
    ) -> uses.Use:
        """A restore or a verification, by the table it is in."""
        with db.reader() as session:
            return uses.get(session, table, context.project_id, use_id)

    def page_of_uses(
        self, table: type[uses.Use], selection: paging.Selection
    ) -> tuple[list[uses.Use], bool]:
        """One page of the restores or verifications, by the table they are in."""
        with db.plain_reader() as connection:
            return uses.page(connection, table, selection)

    def results(self, use_ids: Sequence[str]) -> dict[str, list[models.ResourceResult]]:
        """What plugins told of the resources of restores or verifications."""
        with db.reader() as session:
            return uses.results(session, use_ids)

    def progress(self, subject_ids: Sequence[str]) -> dict[str, Progress]:
        """How far the newest job about each checkpoint, restore or verification is."""
        with db.plain_reader() as connection:
            return _progress(connection, subject_ids)

    def restore(
        self, context: karbor_context.RequestContext, restore_id: str
    ) -> restore_results.WholeRestore:
        """A restore and all that has come of it so far.

        :raises RestoreNotFound:
        """
        with db.reader() as session:
            found = uses.restore_with_graph(session, context.project_id, restore_id)
            return restore_results.whole(session, *found)

    def restore_group(
        self, context: karbor_context.RequestContext, group_id: str
    ) -> list[restore_results.WholeRestore]:
        """The same of the restores that were asked for together.

        :raises RestoreGroupNotFound: there are none.
        """
        with db.reader() as session:
            found = uses.group_with_graphs(session, context.project_id, group_id)
            return [restore_results.whole(session, *each) for each in found]

    def begun(self, restore: models.Restore) -> restore_results.WholeRestore:
        """The same of one that was just asked for."""
        with db.reader() as session:
            checkpoint = session.get(models.Checkpoint, restore.checkpoint_id)
            resource_graph = None if checkpoint is None else checkpoint.resource_graph
            return restore_results.whole(session, restore, resource_graph)

    def failures(self, subject_id: str) -> dict[str, str | None]:
        """Reasons of the resources that the newest job could not do, by ``type#id``."""
        with db.reader() as session:
            return {
                row.resource_key: row.reason
                for row in job_resources.failures_of_newest(session, subject_id)
            }


def _progress(connection: sa.Connection, subject_ids: Sequence[str]) -> dict[str, Progress]:
    counts = job_resources.counts(connection, subject_ids)
    return {
        subject_id: Progress(
            counts.get(subject_id, {}).get(True, 0), counts.get(subject_id, {}).get(False, 0)
        )
        for subject_id in subject_ids
    }
