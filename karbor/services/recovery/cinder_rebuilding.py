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

"""Writes the checkpoints of a bank again, after it was lost, from the snapshots in Cinder.

The snapshots carry the ids of checkpoint, plan and volume. The rest is in the row of the
checkpoint, if the database still has it, and is made up otherwise. What a bank has is never
written over. A checkpoint is written from its resources to its row, and then to its indices, so
that one that was broken off, or that the database does not take, is not taken for whole.

Metadata is anybody's claim: a snapshot whose ids are not as Karbor writes them is told and passed
over.
"""

import dataclasses
import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from karbor import db, exception
from karbor.common import constants, ids, moments
from karbor.db import inventory as rows
from karbor.db import jobs, models
from karbor.resource import Resource
from karbor.services.checkpoints import plugin_records, regions
from karbor.services.cinder import marks, records
from karbor.services.protection import bank_plugin, graph
from karbor.services.protection import checkpoint as bank_checkpoint
from karbor.services.protection import provider as providers
from karbor.services.recovery import bank_rebuilding, cinder_points
from karbor.services.recovery.inventory import Inventory, Item

_PLAN_NAME = 'rebuilt from Cinder'
_EXTRA_INFO = {'rebuilt_from': 'cinder'}
_OF_SNAPSHOTS = (
    'made of its snapshots only, since the database has no row of it; it may have '
    'been deleted before'
)


class NotRebuilt(exception.KarborException):
    """A checkpoint is left as it is; the text says why."""


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """What has become of a checkpoint.

    :ivar is_new: whether anything of it was missing.
    :ivar remark: what to know of it, if there is anything.
    """

    is_new: bool
    remark: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Draft:
    """A checkpoint that is to be written.

    :ivar extra_info: as its row has it.
    :ivar status_before: the one that its row has; None without a row.
    :ivar reason: why its status is not what it was, or not good.
    :ivar snapshots: resource -> what there is of it; None for nothing good.
    :ivar region: where that is; None when nothing tells.
    :ivar expires_at: when it is to be deleted, in UTC; None of one that is kept.
    """

    plan: dict[str, Any]
    project_id: str
    roots: list[graph.GraphNode]
    extra_info: Any
    created_at: datetime.datetime
    status: str
    status_before: str | None
    reason: str | None
    snapshots: dict[Resource, Item | None]
    region: str | None
    expires_at: datetime.datetime | None


def from_cinder(
    provider: providers.Provider, inventory: Inventory, is_dry_run: bool = False
) -> bank_rebuilding.Report:
    """Write what the bank, and then the database, lack of the checkpoints of a provider.

    No job of the provider should run meanwhile.

    :param is_dry_run: only tell what would be written.
    :raises InventoryFailed: Cinder cannot be asked.
    :raises BankListObjectsFailed: the bank cannot be listed.
    :raises DBConnectionError: the database is away.
    """
    report = bank_rebuilding.Report()
    by_checkpoint: dict[str, list[Item]] = {}
    for item in inventory.snapshots(provider.id):
        by_checkpoint.setdefault(str(item.checkpoint_id), []).append(item)
    with db.reader() as session:
        live = rows.live_checkpoints(session, provider.id)
    indexed = frozenset(bank_rebuilding.ids_in_bank(provider.bank, provider.id))
    rebuilder = _Rebuilder(provider, inventory, indexed, is_dry_run=is_dry_run)
    for checkpoint_id in dict.fromkeys((*by_checkpoint, *live)):
        try:
            outcome = rebuilder.rebuild(checkpoint_id, by_checkpoint.get(checkpoint_id, ()))
        except bank_rebuilding.FAULTS as exc:
            report.blame(checkpoint_id, exc)
            continue
        (report.restored if outcome.is_new else report.known).append(checkpoint_id)
        if outcome.remark is not None:
            report.remarks[checkpoint_id] = outcome.remark
    return report


class _Rebuilder:
    """Writes one checkpoint after the other.

    :param provider: the provider.
    :param inventory: what has listed the snapshots.
    :param indexed: ids of the checkpoints that the bank's indices name.
    :param is_dry_run: only tell what would be written.
    """

    def __init__(
        self,
        provider: providers.Provider,
        inventory: Inventory,
        indexed: frozenset[str],
        *,
        is_dry_run: bool,
    ) -> None:
        self._provider = provider
        # Whose the snapshots are of which Cinder does not tell it.
        self._own_project_id = inventory.project_id
        self._region = inventory.region
        self._indexed = indexed
        self._is_dry_run = is_dry_run

    def rebuild(self, checkpoint_id: str, items: Sequence[Item]) -> _Outcome:
        """Write what is missing of a checkpoint.

        :param items: its snapshots.
        :raises NotRebuilt:
        :raises OtherRegion: it is not to be looked for here.
        :raises BankError:
        """
        if not ids.is_own(checkpoint_id):
            raise NotRebuilt(f'the metadata of {_ids(items)} names no checkpoint')
        row = _row(checkpoint_id)
        if row is not None:
            regions.check(row.region, self._region)
        known = self._in_bank(checkpoint_id, items)
        if known is not None:
            return _Outcome(is_new=self._complete(known, items))
        if row is not None:
            remark, draft = None, self._draft_of_row(row, items)
        else:
            named = [item for item in items if _names_all(item)]
            remark = _remark(items, named)
            draft = self._draft_of_snapshots(named)
        if not self._is_dry_run:
            own = [item for item in items if self._project_of(item) == draft.project_id]
            checkpoint = self._write(checkpoint_id, draft, own)
            db.transaction(_write_row)(checkpoint, draft)
            checkpoint.add_indices()
        return _Outcome(is_new=True, remark=remark)

    def _in_bank(
        self, checkpoint_id: str, items: Sequence[Item]
    ) -> bank_checkpoint.Checkpoint | None:
        try:
            checkpoint = self._provider.checkpoints.get(checkpoint_id)
        except exception.CheckpointNotFound:
            return None
        if checkpoint.status == constants.CheckpointStatus.DELETED:
            raise NotRebuilt(f'it is deleted; left in Cinder: {_ids(items)}')
        return checkpoint

    def _complete(self, checkpoint: bank_checkpoint.Checkpoint, items: Sequence[Item]) -> bool:
        """Add what an earlier run, that was broken off, has not come to."""
        is_indexed = checkpoint.id in self._indexed
        is_new = bank_rebuilding.restore_row(self._provider, checkpoint, self._is_dry_run)
        if not self._is_dry_run:
            db.transaction(cinder_points.complete)(checkpoint.id, items)
            if not is_indexed:
                checkpoint.add_indices()
        return is_new or not is_indexed

    def _draft_of_row(self, row: models.Checkpoint, items: Sequence[Item]) -> _Draft:
        """All is as it was, but for what is missing in Cinder.

        :raises NotRebuilt: all is missing, and nothing tells that it was ever here.
        """
        own = [item for item in items if self._project_of(item) == row.project_id]
        roots = graph.deserialize(row.resource_graph)
        snapshots = {
            node.value: cinder_points.best(node.value.id, own)
            for node in graph.walk_nodes(roots)
            if node.value.type == constants.VOLUME_RESOURCE_TYPE
        }
        status = bank_rebuilding.BROKEN_OFF.get(row.status, row.status)
        reason = row.status_reason
        lost = _lost(roots, snapshots)
        if lost and not own and row.region is None and self._region is not None:
            raise NotRebuilt(
                f'nothing tells in which region it was made, and nothing of it is in region '
                f'{self._region}'
            )
        if status == constants.CheckpointStatus.AVAILABLE and lost:
            status, reason = constants.CheckpointStatus.ERROR, lost
        elif status != row.status:
            reason = f'The bank was lost while a job worked on it. {lost}'.strip()
        return _Draft(
            plan=row.protection_plan,
            project_id=row.project_id,
            roots=roots,
            extra_info=row.extra_info,
            created_at=row.created_at,
            status=status,
            status_before=row.status,
            reason=reason,
            snapshots=snapshots,
            region=row.region or (self._region if own else None),
            expires_at=row.expires_at,
        )

    def _draft_of_snapshots(self, items: Sequence[Item]) -> _Draft:
        """What the snapshots tell of a checkpoint that has no row.

        :param items: of which each names its plan and its volume.
        """
        projects = {self._project_of(item) for item in items}
        plans = {item.marks.plan_id for item in items}
        if len(projects) != 1 or len(plans) != 1:
            raise NotRebuilt(f'its snapshots name several projects or plans: {_ids(items)}')
        (plan_id,), (project_id,) = plans, projects
        snapshots: dict[Resource, Item | None] = {}
        for resource_id in dict.fromkeys(str(item.resource_id) for item in items):
            best = cinder_points.best(resource_id, items)
            snapshots[
                Resource(constants.VOLUME_RESOURCE_TYPE, resource_id, best.name if best else '')
            ] = best
        plan: dict[str, Any] = {
            'id': plan_id,
            'name': _PLAN_NAME,
            'provider_id': self._provider.id,
            'parameters': {},
            'resources': [
                {
                    'id': resource.id,
                    'type': resource.type,
                    'name': resource.name,
                    'extra_info': None,
                }
                for resource in snapshots
            ],
        }
        roots = [graph.GraphNode(resource) for resource in snapshots]
        lost = _lost(roots, snapshots)
        return _Draft(
            plan=plan,
            project_id=project_id,
            roots=roots,
            extra_info={**_EXTRA_INFO, **_origin(items)},
            created_at=min(item.created_at for item in items),
            status=(
                constants.CheckpointStatus.ERROR if lost else constants.CheckpointStatus.AVAILABLE
            ),
            status_before=None,
            reason=lost or None,
            snapshots=snapshots,
            region=self._region,
            expires_at=_expiry(items),
        )

    def _project_of(self, item: Item) -> str:
        return item.project_id or self._own_project_id

    def _write(
        self, checkpoint_id: str, draft: _Draft, items: Sequence[Item]
    ) -> bank_checkpoint.Checkpoint:
        """Write all that the bank has of a checkpoint, but for the indices.

        :param items: its snapshots, also those that are not good.
        """
        for resource in draft.snapshots:
            bank_checkpoint.check_resource_id(resource.id)
        checkpoint = self._provider.checkpoints.draft(
            checkpoint_id,
            draft.plan,
            project_id=draft.project_id,
            resource_graph=graph.serialize(draft.roots),
            extra_info=plugin_records.as_json_text(draft.extra_info),
            created_at=draft.created_at,
            status=draft.status,
            region=draft.region,
            expires_at=draft.expires_at,
        )
        for resource, item in draft.snapshots.items():
            section = checkpoint.get_resource_bank_section(resource.id)
            _write_resource(section, resource, item, _failed(resource, items))
        checkpoint.commit()
        return checkpoint


def _row(checkpoint_id: str) -> models.Checkpoint | None:
    """The row of a checkpoint, if there is one.

    :raises NotRebuilt: it is deleted, or a job will write it.
    """
    with db.reader() as session:
        row = session.get(models.Checkpoint, checkpoint_id)
        kinds = jobs.unfinished_of_checkpoint(session, checkpoint_id)
    if kinds:
        raise NotRebuilt(f'a {kinds[0]} of it is not finished')
    if row is not None and row.status == constants.CheckpointStatus.DELETED:
        raise NotRebuilt('it is deleted, and something of it is left in Cinder')
    return row


def _lost(roots: Iterable[graph.GraphNode], snapshots: Mapping[Resource, Item | None]) -> str:
    """What a restore would miss, in words; '' for nothing."""
    lost = [resource.key for resource, item in snapshots.items() if item is None]
    # What other plugins had in the bank, nobody knows; that of projects has nothing there.
    lost += [
        node.value.key
        for node in graph.walk_nodes(roots)
        if node.value.type not in (constants.VOLUME_RESOURCE_TYPE, constants.PROJECT_RESOURCE_TYPE)
    ]
    if not lost:
        return ''
    more = f' and {len(lost) - 10} more' if len(lost) > 10 else ''
    return f'The bank was lost, and Cinder has no good snapshot of {", ".join(lost[:10])}{more}.'


def _failed(resource: Resource, items: Iterable[Item]) -> Item | None:
    """A snapshot of a volume, whatever its status: what is recorded can be deleted."""
    return next((item for item in items if item.resource_id == resource.id == item.volume_id), None)


def _write_resource(
    section: bank_plugin.BankSection, resource: Resource, item: Item | None, failed: Item | None
) -> None:
    """Write what is absent of a volume as its plugin would have.

    :param item: its snapshot, if there is a good one.
    :param failed: one that is not, if there is one.
    """
    record = records.of_snapshot(section, resource.id)
    made = item or failed
    if made is not None and record.read() is None:
        record.begin_made(made).result()
    if records.status(section) is None:
        is_good = item is not None
        status = constants.ResourceStatus.AVAILABLE if is_good else constants.ResourceStatus.ERROR
        records.begin_status(section, status).result()


def _expiry(items: Iterable[Item]) -> datetime.datetime | None:
    """When snapshots of what a restore has overwritten expire; None unless all of them say so."""
    moments_told = [moments.read_utc(item.metadata.get(marks.EXPIRES_AT)) for item in items]
    known = [moment for moment in moments_told if moment is not None]
    return max(known) if known and len(known) == len(moments_told) else None


def _origin(items: Collection[Item]) -> dict[str, str]:
    """What tells that a restore, or a scheduled operation, has made the snapshots, if one has."""
    if _expiry(items) is not None:
        return {constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_BY_RESTORE}
    operations = {item.marks.scheduled_operation_id for item in items}
    operation_id = operations.pop() if len(operations) == 1 else None
    if not ids.is_own(operation_id):
        return {}
    return {
        constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_BY_SCHEDULE,
        constants.CHECKPOINT_SCHEDULE_ID: operation_id,
    }


def _write_row(session: orm.Session, checkpoint: bank_checkpoint.Checkpoint, draft: _Draft) -> None:
    """Write the row, or only what has become of a checkpoint that has one; and the points."""
    points = cinder_points.of(draft.roots, draft.snapshots, draft.status)
    if bank_rebuilding.write_row(
        session, {**bank_rebuilding.row_values(checkpoint), 'status_reason': draft.reason}, points
    ):
        return
    row = session.get(models.Checkpoint, checkpoint.id, with_for_update=True)
    if (
        row is None
        or row.status != draft.status_before
        or jobs.unfinished_of_checkpoint(session, row.id)
    ):
        return
    cinder_points.write(session, row, points)
    row.region = row.region or draft.region
    if draft.status != row.status:
        row.status, row.status_reason = draft.status, draft.reason


def _names_all(item: Item) -> bool:
    """Whether the metadata of a snapshot names its plan and its volume."""
    return ids.is_own(item.marks.plan_id) and ids.is_own(item.resource_id)


def _remark(items: Iterable[Item], named: Collection[Item]) -> str:
    """What to know of a checkpoint that is made of some snapshots, and not of all.

    :raises NotRebuilt: of none of them.
    """
    others = [item for item in items if item not in named]
    if not named:
        raise NotRebuilt(f'the metadata of {_ids(others)} names no plan, or no volume')
    if not others:
        return _OF_SNAPSHOTS
    return f'{_OF_SNAPSHOTS}; passed over, since their metadata is not of ours: {_ids(others)}'


def _ids(items: Iterable[Item]) -> str:
    return ', '.join(item.id for item in items) or 'nothing'
