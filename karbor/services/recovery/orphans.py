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

"""Finds what of Karbor's in Cinder nobody knows any more, tells of it, and removes it if told to.

Each look finds also what is the other way round: recovery points of which Cinder has nothing any
more, see :mod:`reality_looks`.

Nothing is removed that might be somebody's after a loss: see :mod:`orphan_rules` for single
ones. Besides, nothing at all is removed when the database has no checkpoint of the provider, and
nothing of a project of whose snapshots more than half would go.
"""

import collections
import dataclasses
import datetime
from collections.abc import Callable, Iterator, Sequence

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import timeutils

from karbor import db, exception, shown
from karbor.common import constants
from karbor.db import inventory as rows
from karbor.services import periodic, retrying
from karbor.services.protection import provider as providers
from karbor.services.recovery import leftovers, reality_looks
from karbor.services.recovery.inventory import Inventory, Item
from karbor.services.recovery.orphan_rules import Judge, Verdict

LOG = logging.getLogger(__name__)

# Seconds that the removals of one look may take together, and each of them.
_LONGEST = 1800
_LONGEST_OF_ONE = 60

_MOST_IN_LOG = 50
_DELETABLE = ('available', 'error', 'deleting')  # the last by another worker
_MAY_BE_LOST = 'the database may be lost: karbor-manage checkpoint rebuild'


@dataclasses.dataclass
class Report:
    """What a look at the snapshots and volumes of one provider.

    :ivar snapshots: how many were looked at.
    :ivar volumes: how many that restores have made were looked at.
    :ivar orphans: those older than the grace period.
    :ivar young: orphans that are not.
    :ivar unsure: what is left alone, with the reasons.
    :ivar removed: ids.
    :ivar left: ids of what was to be removed and is still there -> why.
    :ivar refusal: why nothing is removed.
    :ivar refusals: project -> why nothing of it is removed.
    :ivar points: what became of recovery points.
    """

    provider_id: str
    snapshots: int = 0
    volumes: int = 0
    orphans: list[Verdict] = dataclasses.field(default_factory=list)
    young: list[Verdict] = dataclasses.field(default_factory=list)
    unsure: list[Verdict] = dataclasses.field(default_factory=list)
    removed: list[str] = dataclasses.field(default_factory=list)
    left: dict[str, str] = dataclasses.field(default_factory=dict)
    refusal: str | None = None
    refusals: dict[str | None, str] = dataclasses.field(default_factory=dict)
    points: reality_looks.Report = dataclasses.field(default_factory=reality_looks.Report)

    def summary(self) -> str:
        """All of it in one line."""
        text = (
            f'{self.snapshots} snapshots and {self.volumes} restored volumes: '
            f'{len(self.orphans)} orphans, {len(self.young)} younger than the grace period, '
            f'{len(self.unsure)} that nobody can be sure of; {len(self.removed)} removed'
        )
        if self.refusal is not None:
            return f'{text}; nothing is removed: {self.refusal}'
        return text + ''.join(
            f'; nothing of project {project_id} is removed: {reason}'
            for project_id, reason in self.refusals.items()
        )

    def details(self) -> Iterator[str]:
        """A line for each of them, and for what became of recovery points."""
        yield from self.points.lines()
        for verdicts, what in (
            (self.orphans, 'orphan'),
            (self.young, 'young orphan'),
            (self.unsure, 'not sure'),
        ):
            for verdict in verdicts:
                yield (
                    f'{what}: {verdict.item.kind} {verdict.item.id} of project '
                    f'{verdict.item.project_id}: {verdict.reason}{self._end(verdict.item)}'
                )

    def _end(self, item: Item) -> str:
        if item.id in self.left:
            return f'; not removed: {self.left[item.id]}'
        return '; removed' if item.id in self.removed else ''


def look(
    provider: providers.Provider,
    inventory: Inventory,
    grace: float,
    *,
    is_removing: bool,
    is_dry_run: bool = False,
    compared: list[reality_looks.Report] | None = None,
) -> Report:
    """Look for orphans of one provider, and for recovery points that are lost.

    :param grace: age under which nothing is removed, in seconds.
    :param is_removing: whether they are removed.
    :param is_dry_run: whether recovery points are left as they are.
    :param compared: gets what became of recovery points, whatever fails after that.
    :raises InventoryFailed: Cinder cannot be asked.
    """
    report = Report(provider.id)
    points = reality_looks.read(provider)
    # Cinder before all other rows: what is made after this is not in the list, and what is in it
    # had its row before.
    snapshots, volumes = inventory.snapshots(provider.id), inventory.volumes(provider.id)
    report.snapshots, report.volumes = len(snapshots), len(volumes)
    report.points = reality_looks.compare(
        provider, points, snapshots, inventory, is_dry_run=is_dry_run
    )
    if compared is not None:
        compared.append(report.points)
    if not snapshots and not volumes:
        return report
    with db.reader() as session:
        is_known = rows.has_checkpoints(session, provider.id)
    if not is_known:
        report.refusal = f'there is no checkpoint in the database; {_MAY_BE_LOST}'
        return report
    judge = Judge(provider)
    before = timeutils.utcnow() - datetime.timedelta(seconds=grace)
    for verdict in judge.snapshots(snapshots) + judge.volumes(volumes):
        _place(report, verdict, before)
    _check_shares(report, snapshots)
    if is_removing and report.refusal is None:
        _remove_all(report, provider, inventory, snapshots)
    return report


def _place(report: Report, verdict: Verdict, before: datetime.datetime) -> None:
    if not verdict.is_orphan:
        report.unsure.append(verdict)
    elif verdict.item.created_at < before:
        report.orphans.append(verdict)
    else:
        report.young.append(verdict)


def _check_shares(report: Report, snapshots: Sequence[Item]) -> None:
    """Refuse to remove most of what a project has: then it is more likely that rows are wrong.

    Only what agrees with the rows of a project is an orphan, so others cannot change its share.
    """
    orphans = collections.Counter(
        verdict.item.project_id
        for verdict in (*report.orphans, *report.young)
        if verdict.item.kind == 'snapshot'
    )
    unsure = {verdict.item.id for verdict in report.unsure}
    sure = collections.Counter(item.project_id for item in snapshots if item.id not in unsure)
    for project_id, count in orphans.items():
        if 2 * count > sure[project_id]:
            report.refusals[project_id] = (
                f'{count} of {sure[project_id]} snapshots would be orphans, which is '
                f'more than half; {_MAY_BE_LOST}, or delete them by hand'
            )


def _remove_all(
    report: Report, provider: providers.Provider, inventory: Inventory, snapshots: Sequence[Item]
) -> None:
    deadline = retrying.Deadline(_LONGEST)
    groups: dict[tuple[str | None, str | None], list[Item]] = {}
    for item in snapshots:
        groups.setdefault((item.checkpoint_id, item.resource_id), []).append(item)
    for verdict in report.orphans:
        item = verdict.item
        if item.project_id in report.refusals:
            report.left[item.id] = 'too much of its project would go'
            continue
        if not deadline.remaining():
            report.left[item.id] = 'there was no time for it; the next look goes on'
            continue
        try:
            others = [
                other
                for other in groups.get((item.checkpoint_id, item.resource_id), ())
                if other.id != item.id
            ]
            reason = _remove(
                provider,
                inventory,
                item,
                others=others,
                timeout=min(_LONGEST_OF_ONE, deadline.remaining()),
            )
        except exception.InventoryFailed as exc:
            reason = exc.msg
        if reason is None:
            report.removed.append(item.id)
        else:
            report.left[item.id] = reason


def _remove(
    provider: providers.Provider,
    inventory: Inventory,
    item: Item,
    *,
    others: Sequence[Item],
    timeout: float,
) -> str | None:
    """Remove an orphan if it still is one; returns why it is left.

    :param others: all other snapshots of its volume in its checkpoint, as they were.
    """
    current = inventory.again(item)
    if current is None:
        return None
    if current.metadata != item.metadata:
        return 'its metadata was changed meanwhile'
    # What it is a second one beside may be gone since the list was made.
    there = [now for other in others if (now := inventory.again(other)) is not None]
    judge = Judge(provider)  # which reads the rows and the bank anew
    verdicts = (
        judge.snapshots([current, *there])
        if item.kind == 'snapshot'
        else judge.volumes([item if current.status == 'deleting' else current])
    )
    if not any(verdict.is_orphan and verdict.item.id == item.id for verdict in verdicts):
        return 'it is no orphan any more'
    if current.status not in _DELETABLE:
        return (
            f'Cinder deletes nothing in status {current.status}; an administrator can reset '
            f'it to error'
        )
    return inventory.remove(current, timeout)


class OrphanCheck:
    """What a process does about orphans again and again.

    :param registry: the providers.
    :param inventory: Cinder, as who may see everything of Karbor's sees it.
    """

    def __init__(
        self, registry: providers.ProviderRegistry, inventory: Callable[[], Inventory]
    ) -> None:
        self._registry = registry
        self._inventory = inventory

    def duties(self) -> tuple[periodic.Duty, ...]:
        """None when ``[protection] orphan_check_interval`` is 0."""
        interval = cfg.CONF.protection.orphan_check_interval
        return (periodic.Duty(interval, self.check_orphans),) if interval else ()

    def check_orphans(self) -> None:
        """Look at every provider and its bank; what is found goes to the log."""
        options = cfg.CONF.protection
        for line in leftovers.check(self._registry):
            LOG.info('%s', line)
        try:
            for report in self.reports(options.orphan_grace, options.remove_orphans):
                _log(report)
        except exception.InventoryFailed as exc:
            LOG.warning('Orphans are not looked for, nor recovery points compared: %s', exc.msg)

    def reports(
        self, grace: float, is_removing: bool, *, is_dry_run: bool = False
    ) -> Iterator[Report]:
        """Look at the providers one by one; see :func:`look`.

        What is remarked of projects is written whatever fails, of those that were compared, or
        could not be for want of rights.

        :raises InventoryFailed: Cinder cannot be asked, or not for everything.
        """
        inventory = self._inventory()
        keepers = [
            each for each in self._registry if constants.VOLUME_RESOURCE_TYPE in each.plugin_classes
        ]
        compared: list[reality_looks.Report] = []
        try:
            inventory.check()
            for provider in keepers:
                yield look(
                    provider,
                    inventory,
                    grace,
                    is_removing=is_removing,
                    is_dry_run=is_dry_run,
                    compared=compared,
                )
        except exception.InventoryRefused:
            left = keepers[len(compared) :]
            compared += [reality_looks.refused(each, inventory) for each in left]
            raise
        finally:
            if not is_dry_run:
                reality_looks.write_remarks(compared)


def _log(report: Report) -> None:
    details = list(report.details())
    if not details and report.refusal is None:
        LOG.info('Provider %s: %s', report.provider_id, report.summary())
        return
    lines = details[:_MOST_IN_LOG]
    if len(details) > len(lines):
        lines.append(f'and {len(details) - len(lines)} more')
    LOG.warning(
        'Provider %s: %s%s',
        report.provider_id,
        report.summary(),
        shown.Shown(''.join(f'\n  {shown.escaped(line)}' for line in lines)),
    )
