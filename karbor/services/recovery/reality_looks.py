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

"""Compares the recovery points of a provider with the snapshots that Cinder has.

First the rows are read, then Cinder lists: so what turns good meanwhile is not taken for lost.
What the list lacks is asked for by its id, which tells what is gone from what a list has not
shown, or what has lost its metadata. In karbor-standalone that is asked as the owner of the
snapshots; in a cloud's service as an administrator, who sees all that owners see, and more: what is
another project's now is not there for its owner. The administrator's rights are proven before the
list and again before anything is written.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from karbor import db, exception
from karbor.common import constants, samples
from karbor.common.constants import RecoveryPointState as State
from karbor.db import reality as rows
from karbor.db.reality import StoredPoint
from karbor.services import retrying
from karbor.services.checkpoints import reality
from karbor.services.checkpoints.reality import Changes
from karbor.services.protection import provider as providers
from karbor.services.protection.protection_plugins.volume import cinder_snapshot_plugin
from karbor.services.recovery.inventory import Inventory, Item

# How many snapshots one look asks for one by one, and for how many seconds.
_MOST_ASKED = 1000
_LONGEST = 600

# How many volumes it asks for where no snapshot is seen, and how many of the snapshots that a list
# lacks where it lacks so many that it is not believed.
_SAMPLE = 20

_NO_RIGHTS = (
    'Recovery points are not compared with the cloud: Karbor lacks the right to see all snapshots '
    'there. What exactly is in its log.'
)

_HOW = 'Cinder neither lists its snapshot nor finds it by its id'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What became of the recovery points of one provider.

    :ivar compared: how many were compared.
    :ivar changes: what was changed, or would be.
    :ivar remarks: of each project that has points: why something of it is left as it is, if so.
    :ivar left: what was not asked for, and why; None when all was.
    """

    compared: int = 0
    changes: Changes = dataclasses.field(default_factory=Changes)
    remarks: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    left: str | None = None

    def lines(self) -> list[str]:
        """A line for each thing that is to be told."""
        lines = [] if self.changes.told is None else [self.changes.told]
        lines += [
            f'project {project_id}: {remark}'
            for project_id, remark in self.remarks.items()
            if remark is not None
        ]
        return lines if self.left is None else [*lines, self.left]


def keeps_snapshots(provider: providers.Provider) -> bool:
    """Whether what a provider keeps of volumes is snapshots; what another plugin keeps is not."""
    plugin = provider.plugin_classes.get(constants.VOLUME_RESOURCE_TYPE)
    return plugin is not None and issubclass(
        plugin, cinder_snapshot_plugin.CinderSnapshotProtectionPlugin
    )


def read(provider: providers.Provider) -> list[StoredPoint]:
    """The points of a provider that can be compared; to be read before Cinder lists."""
    if not keeps_snapshots(provider):
        return []
    with db.reader() as session:
        return rows.of_provider(session, provider.id, constants.VOLUME_RESOURCE_TYPE)


def compare(
    provider: providers.Provider,
    points: Sequence[StoredPoint],
    snapshots: Sequence[Item],
    inventory: Inventory,
    *,
    is_dry_run: bool,
) -> Report:
    """Compare points with what Cinder has listed, and write what has become of them.

    :param points: from :func:`read`.
    :param snapshots: all of the provider, listed after that.
    :param is_dry_run: only tell.
    :raises InventoryFailed: Cinder cannot be asked any more, or not for all projects.
    """
    if not points:
        return Report()
    region = inventory.region
    owners = {point.cloud_id: point.project_id for point in points}
    listed = {
        item.id: item.status for item in snapshots if item.project_id in (None, owners.get(item.id))
    }
    is_cloud_seen = _is_cloud_seen(points, listed, inventory)
    seen = reality.compare(points, listed, region, is_cloud_seen=is_cloud_seen)
    if unlisted := _unlisted(seen.doubted, inventory):
        listed |= unlisted
        seen = reality.compare(points, listed, region, is_cloud_seen=True)
    gone, left = _gone(seen.absent, inventory)
    changes = Changes(lost=gone, found=seen.found)
    if not is_dry_run:
        if gone:
            inventory.check()  # who has lost the rights meanwhile was told that all is gone
        changes = _write(provider.id, changes, region, seen.located)
    return Report(compared=len(points), changes=changes, remarks=seen.remarks, left=left)


def refused(provider: providers.Provider, inventory: Inventory) -> Report:
    """What is told of a provider whose snapshots may not be seen."""
    points = read(provider)
    try:
        here = (inventory.region, None)
        points = [point for point in points if point.region in here]
    except exception.InventoryFailed:  # Keystone itself refuses: then it is told of every region
        pass
    project_ids = {point.project_id for point in points}
    return Report(remarks=dict.fromkeys(project_ids, _NO_RIGHTS))


def _is_cloud_seen(
    points: Sequence[StoredPoint], listed: Collection[str], inventory: Inventory
) -> bool:
    """Whether anything that is recorded is there: a snapshot, or else one of some volumes.

    Clouds may name their regions alike; so a name alone says nothing of an empty list.

    :raises InventoryFailed: Cinder cannot be asked.
    """
    if any(point.cloud_id in listed for point in points):
        return True
    region = inventory.region
    volume_ids = {
        point.resource.id
        for point in points
        if point.region == region and point.state == State.GOOD
    }
    asked = samples.some(sorted(volume_ids), _SAMPLE)
    return any(inventory.has_volume(volume_id) for volume_id in asked)


def _unlisted(doubted: Sequence[Sequence[StoredPoint]], inventory: Inventory) -> dict[str, str]:
    """The snapshots that are there although the list lacks them, with a status of no matter.

    A few are asked for, and all where any of these is there: so what has only lost its metadata
    does not hide for ever what is really gone.

    :param doubted: points of which the list lacks the snapshots, a project's together.
    """
    deadline = retrying.Deadline(_LONGEST)

    def seen(points: Sequence[StoredPoint]) -> dict[str, str]:
        return {
            str(point.cloud_id): ''
            for point in points
            if deadline.remaining()
            and inventory.has_snapshot(str(point.cloud_id), of_project=point.project_id)
        }

    there: dict[str, str] = {}
    for points in doubted:
        asked = samples.some(points, _MOST_ASKED)
        if few := seen(asked[:_SAMPLE]):
            there |= few | seen(asked[_SAMPLE:])
    return there


def _gone(
    absent: Sequence[StoredPoint], inventory: Inventory
) -> tuple[list[StoredPoint], str | None]:
    """Those of which Cinder has no snapshot, and why others were not asked for."""
    deadline = retrying.Deadline(_LONGEST)
    asked = list(absent)
    if len(asked) > _MOST_ASKED:  # others each time, as some may always be there
        asked = samples.some(asked, _MOST_ASKED)
    gone = []
    why = 'which is as many as one look asks for'
    for number, point in enumerate(asked):
        if not deadline.remaining():
            why = 'for which there was no time'
            asked = asked[:number]
            break
        try:
            if not inventory.has_snapshot(str(point.cloud_id), of_project=point.project_id):
                gone.append(point)
        except exception.InventoryFailed as exc:
            why = exc.msg
            asked = asked[:number]
            break
    if len(asked) == len(absent):
        return gone, None
    return gone, (
        f'{len(absent) - len(asked)} of {len(absent)} snapshots that are not in the list are asked '
        f'for at the next look: {why}'
    )


def _write(
    provider_id: str, changes: Changes, region: str | None, located: Collection[str]
) -> Changes:
    if located and region is not None:
        db.transaction(rows.set_region)(located, region)
    if not changes:
        return changes
    reason = reality.reason_of_loss(_HOW, region)
    return db.transaction(reality.write)(changes, reason, provider_id)


def write_remarks(reports: Sequence[Report]) -> None:
    """Write when projects were compared, and why something of them is left as it is.

    :param reports: of the providers that were compared.
    """
    remarks: dict[str, str | None] = {}
    for report in reports:
        for project_id, remark in report.remarks.items():
            remarks[project_id] = reality.joined(remarks.get(project_id), remark)
    db.transaction(reality.write_remarks)(remarks)
