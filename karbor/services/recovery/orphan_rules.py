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

A snapshot is an orphan when its checkpoint is deleted, or when the bank's record of the volume
names another snapshot, which is there and good. A volume is half-made when it never became
available and its restore is over.

Whatever cannot be told for sure is left alone, and the reason is told. Users can write metadata,
too, and volumes with all their snapshots can be given to another project. So the rows are the
authority: an item is an orphan only when it is recorded as made for its checkpoint, or agrees in
owner, volume and time with what was at work for it; see :mod:`karbor.common.accounts`. Of what the
database knows no checkpoint of, nothing tells that Karbor has made it.
"""

import dataclasses
import datetime
import functools
from collections.abc import Callable, Iterable, Sequence

from karbor import db, exception
from karbor.common import accounts, constants, ids
from karbor.db import batches, models
from karbor.db import inventory as rows
from karbor.services.cinder import records
from karbor.services.protection import bank_plugin
from karbor.services.protection import provider as providers
from karbor.services.recovery import bank_rebuilding
from karbor.services.recovery.inventory import Item

_UNKNOWN = (
    'the database and the bank know no such checkpoint, so nothing tells that Karbor has made it; '
    '"karbor-manage checkpoint rebuild --from cinder" makes a checkpoint of it, or delete it by '
    'hand'
)
_IN_BANK = (
    'the bank has the checkpoint, and the database does not: karbor-manage checkpoint '
    'rebuild --from bank'
)

# How wrong clocks may be.
_SLACK = datetime.timedelta(minutes=5)

# A volume that is being made or was not made; any other may be in use, and is its user's.
_HALF_MADE = ('creating', 'error', 'error_deleting')

# Of restores that account for all that they make.
_GOING = (constants.OperationStatus.IN_PROGRESS, constants.OperationStatus.SUCCESS)


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
    restores: dict[str, models.Restore] = dataclasses.field(default_factory=dict)
    restored: set[tuple[str, str]] = dataclasses.field(default_factory=set)

    def is_over(self, checkpoint_id: str) -> bool:
        """Whether a checkpoint has no row, or one that says deleted."""
        status = self.checkpoints.get(checkpoint_id)
        return status in (None, constants.CheckpointStatus.DELETED)


class Judge:
    """Judges items of one provider; made anew for each look, since it keeps what it reads.

    :param provider: the provider.
    """

    def __init__(self, provider: providers.Provider) -> None:
        self._bank = provider.bank
        self._provider_id = provider.id
        self._checkpoints = provider.checkpoints

    @functools.cached_property
    def _indexed(self) -> frozenset[str]:
        return frozenset(bank_rebuilding.ids_in_bank(self._bank, self._provider_id))

    def snapshots(self, items: Sequence[Item]) -> list[Verdict]:
        """The snapshots that are orphans, or may be.

        :param items: must have all snapshots of a volume in a checkpoint, if it has one.
        """
        by_checkpoint, verdicts = _grouped(items)
        known = _read(by_checkpoint)
        doubtful = {
            checkpoint_id: group
            for checkpoint_id, group in by_checkpoint.items()
            if checkpoint_id not in known.busy
            and (known.is_over(checkpoint_id) or _has_doubles(group))
        }
        found = _accounts(doubtful)
        for checkpoint_id, group in doubtful.items():
            account = found.get(checkpoint_id)
            if account is None:
                judge = functools.partial(self._of_no_row, checkpoint_id)
            elif known.is_over(checkpoint_id):
                judge = functools.partial(_of_deleted, account)
            else:
                judge = functools.partial(self._doubles, checkpoint_id, account)
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

    def _of_no_row(self, checkpoint_id: str, group: Sequence[Item]) -> list[Verdict]:
        """Snapshots of a checkpoint that the database does not know."""
        reason = _IN_BANK if self._is_in_bank(checkpoint_id) else _UNKNOWN
        return [Verdict(item, False, reason) for item in group]

    def _is_in_bank(self, checkpoint_id: str) -> bool:
        """Whether the bank has a checkpoint, or any part of it.

        :raises BankError: it cannot tell.
        """
        try:
            status = self._checkpoints.get(checkpoint_id).status
        except exception.CheckpointNotFound:
            return checkpoint_id in self._indexed
        return status != constants.CheckpointStatus.DELETED

    def _doubles(
        self, checkpoint_id: str, account: accounts.Account, group: Sequence[Item]
    ) -> list[Verdict]:
        """Snapshots of one volume beside the one that the bank knows."""
        by_resource: dict[str | None, list[Item]] = {}
        for item in group:
            by_resource.setdefault(item.resource_id, []).append(item)
        verdicts = []
        for resource_id, items in by_resource.items():
            if len(items) > 1 and resource_id is not None:
                kept = self._kept(checkpoint_id, resource_id)
                verdicts += _doubles_beside(kept, account, resource_id, items)
        return verdicts

    def _kept(self, checkpoint_id: str, resource_id: str) -> str | None:
        """The snapshot that the bank has of a volume; None when it has none."""
        section = self._section(checkpoint_id, resource_id)
        record = section and records.of_snapshot(section, resource_id).read()
        return record.made_id if record else None

    def _of_restore(self, known: _Known, items: Sequence[Item]) -> list[Verdict]:
        """A half-made volume, by what became of its restore."""
        (item,) = items
        restore_id = str(item.restore_id)
        row = known.restores.get(restore_id)
        if (restore_id, item.id) in known.restored or (row is not None and row.status in _GOING):
            return []
        doubt = _doubt_of_restore(row, item)
        if doubt is not None:
            return [Verdict(item, False, doubt)]
        # A restore that failed may have made it whole and not come to tell the database. The bank
        # names it from the request on, and not any more when it has failed.
        section = self._section(str(item.checkpoint_id), str(item.resource_id))
        record = records.of_restore(section, restore_id).read() if section else None
        if record is not None and record.made_id != item.id:
            return [Verdict(item, True, f'its restore {restore_id} has failed')]
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
            known.restores.update(rows.restores(session, batch))
            known.restored |= rows.good_results(session, batch) | rows.made(session, batch)
    return known


def _accounts(checkpoint_ids: Iterable[str]) -> dict[str, accounts.Account]:
    found: dict[str, accounts.Account] = {}
    for batch in batches.of(checkpoint_ids):
        with db.reader() as session:
            found.update(rows.accounts(session, batch))
    return found


def _has_doubles(group: Sequence[Item]) -> bool:
    return len({item.resource_id for item in group}) < len(group)


def _of_deleted(account: accounts.Account, group: Sequence[Item]) -> list[Verdict]:
    """Snapshots of a checkpoint whose row says deleted, which outweighs what the bank says."""
    return [
        _unless_doubtful(
            Verdict(item, True, f'the checkpoint {item.checkpoint_id} is deleted'), account
        )
        for item in group
    ]


def _doubles_beside(
    kept: str | None, account: accounts.Account, resource_id: str, items: Sequence[Item]
) -> list[Verdict]:
    """Snapshots of one volume beside the one that the bank names.

    :param kept: the id of that; None when it names none.
    """
    is_recorded = kept is not None and account.recorded.get(resource_id, kept) == kept
    sure = dataclasses.replace(account, recorded={resource_id: str(kept)})
    reason = f'it is a second one beside {kept}'
    verdicts = {item.id: _unless_doubtful(Verdict(item, True, reason), sure) for item in items}
    good = verdicts.pop(str(kept), None)
    if is_recorded and good is not None and good.is_orphan and good.item.status == 'available':
        return list(verdicts.values())
    reason = (
        f'the volume {resource_id} has several snapshots, and the bank names none of them that '
        f'is available'
    )
    return [Verdict(item, False, reason) for item in items]


def _unless_doubtful(verdict: Verdict, account: accounts.Account) -> Verdict:
    """A verdict on a snapshot, unless it may not be of the checkpoint that it names."""
    item = verdict.item
    if item.volume_id != item.resource_id:
        reason = f'its metadata names the volume {item.resource_id}, and it is '
        return Verdict(item, False, f'{reason}of the volume {item.volume_id}')
    doubt = account.doubt(_seen(item), str(item.resource_id))
    return verdict if doubt is None else Verdict(item, False, doubt)


def _seen(item: Item) -> accounts.Item:
    return accounts.Item(
        id=item.id,
        resource_id=item.volume_id,
        project_id=item.project_id,
        created_at=item.created_at,
    )


def _doubt_of_restore(row: models.Restore | None, item: Item) -> str | None:
    """Why a volume may not be of the restore that it names; None when it is."""
    if row is None:
        return f'nothing knows its restore {item.restore_id}'
    if item.project_id not in (None, row.project_id):
        return f'its restore is of the project {row.project_id}'
    if item.checkpoint_id != row.checkpoint_id:
        return f'its restore is of the checkpoint {row.checkpoint_id}'
    if item.created_at < row.created_at - _SLACK:
        return 'it is older than its restore'
    return None


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
