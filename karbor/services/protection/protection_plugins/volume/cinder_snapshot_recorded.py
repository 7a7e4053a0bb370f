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

"""The snapshot that a checkpoint has of a volume: what the bank names, if the rows agree.

Whoever can write to the bank can name any snapshot there. So restore, verify and delete take it
only when it is of this volume and this project, and the recovery point, if it has recorded one,
names the same.
"""

import datetime
from collections.abc import Generator
from typing import Any, NamedTuple

from karbor import context as karbor_context
from karbor.common import accounts, moments
from karbor.resource import Resource
from karbor.services.cinder import records
from karbor.services.cinder.faults import CinderFault
from karbor.services.cinder.job import CinderJob
from karbor.services.cinder.marks import Marks
from karbor.services.protection import bank_plugin
from karbor.services.protection.protection_plugins.volume import (
    cinder_snapshot_faults as faults,
)
from karbor.services.protection.steps import Wait

_PROJECT = 'os-extended-snapshot-attributes:project_id'


class Recorded(NamedTuple):
    """What the bank has of a volume, and the snapshot that it names."""

    saved: records.SnapshotRecord
    snapshot: Any


def read(
    cinder: CinderJob, checkpoint: Any, resource: Resource, context: karbor_context.RequestContext
) -> Generator[Wait, Any, Recorded]:
    """The snapshot of a volume.

    :raises CinderFault: protect did not get as far as one, or it is not the volume's.
    :raises SnapshotGone: it does not exist any more.
    """
    saved = yield from _saved(checkpoint, resource)
    snapshots = cinder.snapshots(Marks(checkpoint_id=checkpoint.id))
    marked = yield from snapshots.at_start(resource.id)
    listed = {item.id: item for item in marked}
    snapshot = listed.get(str(saved.made_id)) or (
        yield from snapshots.get_or_none(str(saved.made_id))
    )
    if snapshot is None:
        raise faults.SnapshotGone(f'the snapshot {saved.made_id} does not exist any more')
    check(snapshot, resource, context)
    return Recorded(saved, snapshot)


def read_saved(
    cinder: CinderJob, checkpoint: Any, resource: Resource, context: karbor_context.RequestContext
) -> Generator[Wait, Any, records.SnapshotRecord]:
    """What the bank has of a volume, without a look at the snapshot that a row names as well.

    That one was made of this volume for this project; Cinder refuses what is gone, or another
    project's by now. Any other is looked at.

    :raises CinderFault: as :func:`read`.
    """
    saved = yield from _saved(checkpoint, resource)
    account = context.account
    if account is not None and account.recorded.get(resource.id) == saved.made_id:
        return saved
    return (yield from read(cinder, checkpoint, resource, context)).saved


def _saved(checkpoint: Any, resource: Resource) -> Generator[Wait, Any, records.SnapshotRecord]:
    section: bank_plugin.BankSection = checkpoint.get_resource_bank_section(resource.id)
    saved = yield records.of_snapshot(section, resource.id).begin_read()
    if saved is None or not saved.made_id:
        raise CinderFault('the checkpoint has no snapshot of it')
    return saved


def check(snapshot: Any, resource: Resource, context: karbor_context.RequestContext) -> None:
    """Refuse a snapshot that the bank names, and that is not the one of a volume.

    :raises CinderFault:
    """
    account = _account(resource, context)
    recorded_id = account.recorded.get(resource.id, snapshot.id)
    contradiction = account.contradiction(_seen(snapshot), resource.id)
    if contradiction is None and recorded_id != snapshot.id:
        contradiction = f'the recovery point names the snapshot {recorded_id}'
    if contradiction is not None:
        raise CinderFault(
            f'the bank names the snapshot {snapshot.id}, which is not the one of it: '
            f'{contradiction}'
        )


def doubt(snapshot: Any, resource: Resource, context: karbor_context.RequestContext) -> str | None:
    """Why it is not sure that a snapshot that the bank does not name was made for a volume."""
    return _account(resource, context).doubt(_seen(snapshot), resource.id)


def _account(resource: Resource, context: karbor_context.RequestContext) -> accounts.Account:
    """How the checkpoint was made; outside a job there are no rows that could tell."""
    return context.account or accounts.Account(
        project_id=str(context.project_id),
        since=datetime.datetime.min + datetime.timedelta(days=1),
        until=lambda: datetime.datetime.max - datetime.timedelta(days=1),
        resource_ids=frozenset((resource.id,)),
        recorded={},
    )


def _seen(snapshot: Any) -> accounts.Item:
    return accounts.Item(
        id=snapshot.id,
        resource_id=snapshot.volume_id,
        project_id=getattr(snapshot, _PROJECT, None),
        created_at=moments.read_utc(getattr(snapshot, 'created_at', None)),
    )
