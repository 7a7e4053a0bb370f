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

"""What of Karbor's in Cinder nobody knows any more: the judgement, which removes nothing.

A snapshot is an orphan when neither the database nor the bank knows its checkpoint, or when
the checkpoint is deleted, or when the bank's record of the volume names another snapshot, which
is there and good. A volume is half-made when it never became available and its restore is over.

Whatever cannot be told for sure is left alone, and the reason is told. Users can write metadata,
too, so an item that is not what its metadata says is nobody's orphan. In particular a database
is not asked about what is older than itself: one that was lost and made anew knows nothing of
the snapshots of the time before.
"""

import dataclasses
import datetime
import functools
from collections.abc import Callable, Iterable, Sequence

from karbor import db, exception
from karbor.common import constants, ids
from karbor.db import batches
from karbor.db import inventory as rows
from karbor.services.cinder import records
from karbor.services.protection import bank_plugin
from karbor.services.protection import provider as providers
from karbor.services.recovery import bank_rebuilding
from karbor.services.recovery.inventory import Item

_OLDER = (
    'it is older than anything else that the database remembers, or hardly younger; '
    '"karbor-manage checkpoint rebuild --from cinder" makes a checkpoint of it, or delete it '
    'by hand'
)
_IN_BANK = (
    'the bank has the checkpoint, and the database does not: karbor-manage checkpoint '
    'rebuild --from bank'
)

# A volume that is being made or was not made; any other may be in use, and is its user's.
_HALF_MADE = ('creating', 'error', 'error_deleting')


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is thought of an item that its checkpoint or restore does not simply account for.

    :ivar reason: why it is an orphan, or why that cannot be told.
    """

    item: Item
    is_orphan: bool
    reason: str


@dataclasses.dataclass
class _Known:
    """What the database says of the checkpoints and restores of some items."""

    checkpoints: dict[str, str] = dataclasses.field(default_factory=dict)
    busy: set[str] = dataclasses.field(default_factory=set)
    restores: dict[str, str] = dataclasses.field(default_factory=dict)
    restored: set[tuple[str, str]] = dataclasses.field(default_factory=set)


class Judge:
    """Judges items of one provider; made anew for each look, since it keeps what it reads.

    :param provider: the provider.
    """

    def __init__(self, provider: providers.Provider) -> None:
        self._bank = provider.bank
        self._provider_id = provider.id
        self._checkpoints = provider.checkpoints

    @functools.cached_property
    def remembers_since(self) -> datetime.datetime | None:
        """Since when the database knows of everything that is made."""
        with db.reader() as session:
            return rows.remembers_since(session)

    @functools.cached_property
    def _indexed(self) -> frozenset[str]:
        return frozenset(bank_rebuilding.ids_in_bank(self._bank, self._provider_id))

    def snapshots(self, items: Sequence[Item]) -> list[Verdict]:
        """The snapshots that are orphans, or may be.

        :param items: must have all snapshots of a volume in a checkpoint, if it has one.
        """
        by_checkpoint, verdicts = _grouped(items)
        known = _read(by_checkpoint)
        for checkpoint_id, group in by_checkpoint.items():
            if checkpoint_id in known.busy:
                continue
            status = known.checkpoints.get(checkpoint_id)
            if status in (None, constants.CheckpointStatus.DELETED):
                judge = functools.partial(self._of_no_row, checkpoint_id, status)
            else:
                judge = functools.partial(self._doubles, checkpoint_id)
            verdicts += _unless_unreadable(judge, group)
        return verdicts

    def volumes(self, items: Iterable[Item]) -> list[Verdict]:
        """The volumes that are left of restores that came to nothing, or may be."""
        half_made = [
            item for item in items if item.restore_id is not None and item.status in _HALF_MADE
        ]
        by_checkpoint, verdicts = _grouped(half_made)
        known = _read(by_checkpoint, [str(item.restore_id) for item in half_made])
        for checkpoint_id, group in by_checkpoint.items():
            if checkpoint_id in known.busy:
                continue
            for item in group:
                verdicts += _unless_unreadable(functools.partial(self._of_restore, known), [item])
        return verdicts

    def _of_no_row(
        self, checkpoint_id: str, status: str | None, group: Sequence[Item]
    ) -> list[Verdict]:
        """Snapshots of a checkpoint that the database does not know, or knows as deleted."""
        if status is not None:  # which outweighs what the bank says
            return [
                _unless_foreign(Verdict(item, True, f'the checkpoint {checkpoint_id} is deleted'))
                for item in group
            ]
        if self._is_in_bank(checkpoint_id):
            return [Verdict(item, False, _IN_BANK) for item in group]
        return [
            _unless_foreign(
                self._unless_older(
                    Verdict(item, True, f'nothing knows the checkpoint {checkpoint_id}')
                )
            )
            for item in group
        ]

    def _unless_older(self, verdict: Verdict) -> Verdict:
        since = self.remembers_since
        if since is None or verdict.item.created_at < since:
            return Verdict(verdict.item, False, _OLDER)
        return verdict

    def _is_in_bank(self, checkpoint_id: str) -> bool:
        """Whether the bank has a checkpoint, or any part of it.

        :raises BankError: it cannot tell.
        """
        try:
            status = self._checkpoints.get(checkpoint_id).status
        except exception.CheckpointNotFound:
            return checkpoint_id in self._indexed
        return status != constants.CheckpointStatus.DELETED

    def _doubles(self, checkpoint_id: str, group: Sequence[Item]) -> list[Verdict]:
        """Snapshots of one volume beside the one that the bank knows."""
        by_resource: dict[str | None, list[Item]] = {}
        for item in group:
            by_resource.setdefault(item.resource_id, []).append(item)
        verdicts = []
        for resource_id, items in by_resource.items():
            if len(items) > 1 and resource_id is not None:
                verdicts += self._doubles_of_resource(checkpoint_id, resource_id, items)
        return verdicts

    def _doubles_of_resource(
        self, checkpoint_id: str, resource_id: str, items: Sequence[Item]
    ) -> list[Verdict]:
        section = self._section(checkpoint_id, resource_id)
        record = section and records.of_snapshot(section, resource_id).read()
        kept = record.made_id if record else None
        project_id = self._checkpoints.get(checkpoint_id).project_id if kept else None
        verdicts = {
            item.id: _unless_foreign(
                Verdict(item, True, f'it is a second one beside {kept}'), project_id
            )
            for item in items
        }
        good = verdicts.pop(str(kept), None)
        if good is None or not good.is_orphan or good.item.status != 'available':
            return [
                Verdict(
                    item,
                    False,
                    f'the volume {resource_id} has several snapshots, and the '
                    f'bank names none of them that is available',
                )
                for item in items
            ]
        return list(verdicts.values())

    def _of_restore(self, known: _Known, items: Sequence[Item]) -> list[Verdict]:
        """A half-made volume, by what became of its restore."""
        (item,) = items
        restore_id = str(item.restore_id)
        status = known.restores.get(restore_id)
        if (
            status in (constants.OperationStatus.IN_PROGRESS, constants.OperationStatus.SUCCESS)
            or (restore_id, item.id) in known.restored
        ):
            return []
        # A restore that failed may have made it whole and not come to tell the database. The bank
        # names it from the request on, and not any more when it has failed.
        section = self._section(str(item.checkpoint_id), str(item.resource_id))
        record = section and records.of_restore(section, restore_id).read()
        made = record.made_id if record else None
        if record is not None and made != item.id and (status is not None or not made):
            return [Verdict(item, True, f'its restore {restore_id} has failed')]
        if item.status == 'creating' and status is None and made != item.id:
            return [
                self._unless_older(Verdict(item, True, f'nothing knows its restore {restore_id}'))
            ]
        return [
            Verdict(
                item,
                False,
                f'it may have been good once: nothing tells that its restore '
                f'{restore_id} did not make it',
            )
        ]

    def _section(self, checkpoint_id: str, resource_id: str) -> bank_plugin.BankSection | None:
        """Where the bank has what it has of a volume; None when it has no such checkpoint."""
        try:
            checkpoint = self._checkpoints.get(checkpoint_id)
        except exception.CheckpointNotFound:
            return None
        return checkpoint.get_resource_bank_section(resource_id)


def _grouped(items: Iterable[Item]) -> tuple[dict[str, list[Item]], list[Verdict]]:
    """The items by checkpoint, and those whose metadata was tampered with."""
    groups: dict[str, list[Item]] = {}
    verdicts = []
    for item in items:
        if ids.is_own(item.checkpoint_id):
            groups.setdefault(item.checkpoint_id, []).append(item)
        else:
            verdicts.append(Verdict(item, False, 'its metadata names no checkpoint'))
    return groups, verdicts


def _read(checkpoint_ids: Iterable[str], restore_ids: Iterable[str] = ()) -> _Known:
    """Some statements, each in a transaction of its own, of which none waits for the next."""
    known = _Known()
    for batch in batches.of(checkpoint_ids):
        with db.reader() as session:
            known.checkpoints.update(rows.checkpoint_statuses(session, batch))
            known.busy |= rows.busy_checkpoints(session, batch)
    for batch in batches.of(dict.fromkeys(restore_ids)):
        with db.reader() as session:
            known.restores.update(rows.restore_statuses(session, batch))
            known.restored |= rows.good_results(session, batch) | rows.made(session, batch)
    return known


def _unless_foreign(verdict: Verdict, project_id: str | None = None) -> Verdict:
    """A verdict on a snapshot, unless somebody has given it the metadata of another one.

    :param project_id: whose it must be; None for anybody's.
    """
    item = verdict.item
    if item.volume_id != item.resource_id:
        return Verdict(
            item,
            False,
            f'its metadata names the volume {item.resource_id}, and it is '
            f'of the volume {item.volume_id}',
        )
    if None not in (item.project_id, project_id) and item.project_id != project_id:
        return Verdict(item, False, f'its checkpoint is of the project {project_id}')
    return verdict


def _unless_unreadable(
    judge: Callable[[Sequence[Item]], list[Verdict]], items: Sequence[Item]
) -> list[Verdict]:
    """What is thought of items; of what the bank cannot tell, that."""
    try:
        return judge(items)
    except (
        exception.KarborException,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as exc:
        reason = f'the bank cannot be read: {exc or type(exc).__name__}'
        return [Verdict(item, False, reason) for item in items]
