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

"""What the fake keeps: volumes, snapshots and messages, and what becomes of them."""

import dataclasses
import datetime
import threading
import time
import uuid
from typing import Any, Protocol

from karbor.testing.fake_cinder.answers import Item, missing

_PROJECT = {
    'volumes': 'os-vol-tenant-attr:tenant_id',
    'snapshots': 'os-extended-snapshot-attributes:project_id',
}


@dataclasses.dataclass(slots=True)
class _Pending:
    """A state that will change: what kind of change, after how many looks."""

    kind: str
    looks: int
    target: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Reimage:
    """An image that is being written over a volume: the snapshot that it stands for."""

    snapshot_id: str
    metadata: dict[str, str]
    previous_status: str


class Images(Protocol):
    """Where there are images."""

    def shown(self, image_id: str) -> Item | None:
        """An image, as Cinder gets it; None when there is none."""


class Store:
    """Volumes, snapshots and messages of all projects, as one user sees them.

    Whoever calls what is not thread-safe by itself holds ``lock``.

    :param project_id: the user's project; what is made belongs to it.
    """

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.volumes: dict[str, Item] = {}
        self.snapshots: dict[str, Item] = {}
        self.messages: list[Item] = []
        #: How many looks show a new item, or one that is being deleted, as it began.
        self.looks_until_settled = 1
        #: What becomes of what is made: 'available', 'error', or None for never; of
        #: what is deleted: 'gone', 'error_deleting', or None; and of what is retyped:
        #: 'available' with the new type, 'refused' with the old one; of what an image is written
        #: over: 'available', 'error', or None. Asked when it settles.
        self.settle_to: dict[str, str | None] = {
            'snapshot': 'available',
            'volume': 'available',
            'deletion': 'gone',
            'retype': 'available',
            'reimage': 'available',
        }
        #: The types that there are; a snapshot is only made a volume of its own type.
        self.volume_types = {'__DEFAULT__'}
        self.zones = {'nova'}
        #: The types that volumes are being changed to, by their ids.
        self.retypes: dict[str, str] = {}
        #: The images that are being written over volumes, by their ids.
        self.reimages: dict[str, Reimage] = {}
        #: Where images are looked up; None is a cloud without Glance.
        self.glance: Images | None = None
        #: What volumes and snapshots hold, in a word, by their ids; '' of those that are not here.
        self.contents: dict[str, str] = {}
        #: What the user is told when something settles to an error.
        self.error_message = ''
        #: How many deletions of each snapshot end with it available again, by its id.
        self.busy_snapshots: dict[str, int] = {}
        #: False is a database that keeps whole seconds only (MariaDB's DATETIME), so that
        #: a list shows another created_at than the answer to POST did.
        self.keeps_microseconds = True
        #: Whether the user may list the services, and all projects' things.
        self.is_admin = False
        #: For how many seconds a snapshot that is gone still counts for the quota.
        self.quota_lag = 0.0
        self.lock = threading.RLock()
        self._pending: dict[str, _Pending] = {}
        self._last_time = datetime.datetime.min
        self._snapshots_gone_at: list[float] = []
        # As they were when each snapshot was taken, by its id.
        self._image_metadata: dict[str, dict[str, str]] = {}

    def add_volume(
        self, name: str = 'v', size: int = 1, status: str = 'available', **fields: Any
    ) -> Item:
        """A volume that is there already; ``fields`` replace what the API would show."""
        with self.lock:
            volume = self.new_volume({'name': name, 'size': size})
            volume.update(status=status, **fields)
            self.volumes[volume['id']] = volume
            return volume

    def add_snapshot(self, volume_id: str, status: str = 'available', **fields: Any) -> Item:
        """A snapshot that is there already."""
        with self.lock:
            snapshot = self.new_snapshot(self.volumes[volume_id], {})
            snapshot.update(status=status, **fields)
            self.snapshots[snapshot['id']] = snapshot
            return snapshot

    def add_message(self, resource_id: str, text: str) -> Item:
        """A message for the user about a volume or snapshot."""
        with self.lock:
            message = {
                'id': str(uuid.uuid4()),
                'resource_uuid': resource_id,
                'user_message': text,
                'message_level': 'ERROR',
                'created_at': self.now(),
            }
            self.messages.append(message)
            return message

    def settle_later(self, item_id: str, status: str, looks: int = 1) -> None:
        """Let a volume or snapshot go to a status after some looks at it."""
        with self.lock:
            self._pending[item_id] = _Pending('planned', looks, status)

    def items(self, collection: str) -> dict[str, Item]:
        return self.volumes if collection == 'volumes' else self.snapshots

    def snapshots_in_use(self) -> int:
        """How many snapshots count for the quota."""
        since = time.monotonic() - self.quota_lag
        return len(self.snapshots) + sum(moment > since for moment in self._snapshots_gone_at)

    def find(self, collection: str, item_id: str) -> Item:
        item = self.items(collection).get(item_id)
        if item is None or not (self.is_admin or self.is_own(collection, item)):
            raise missing(collection, item_id)
        return item

    def is_own(self, collection: str, item: Item) -> bool:
        return item[_PROJECT[collection]] == self.project_id

    def shown_time(self, moment: str) -> str:
        return moment if self.keeps_microseconds else f'{moment[:19]}.000000'

    def look(self, collection: str, item: Item) -> Item | None:
        """Show an item: settles it when enough looks have gone by; None when it is gone."""
        pending = self._pending.get(item['id'])
        if pending is not None:
            if pending.looks > 0:
                pending.looks -= 1
            else:
                self._settle(collection, item, pending)
        if item['id'] not in self.items(collection):
            return None
        return {**item, 'created_at': self.shown_time(item['created_at'])}

    def _settle(self, collection: str, item: Item, pending: _Pending) -> None:
        status = pending.target or self._end_of(pending.kind, item)
        if status is None:
            return
        del self._pending[item['id']]
        if status == 'gone':
            del self.items(collection)[item['id']]
            if collection == 'snapshots' and self.quota_lag:
                self._snapshots_gone_at.append(time.monotonic())
            return
        if pending.kind == 'retype':
            wanted = self.retypes.pop(item['id'])
            item['volume_type'] = item['volume_type'] if status == 'refused' else wanted
            status = 'available' if status == 'refused' else status
        if pending.kind == 'reimage':
            status = self._end_reimage(item, status)
        item['status'] = status
        if status.startswith('error') and self.error_message:
            self.add_message(item['id'], self.error_message)

    def _end_reimage(self, volume: Item, status: str) -> str:
        """The status of a volume over which an image was written, or not all of it.

        Cinder gives back the status of before, and lets everybody boot from it.
        """
        reimage = self.reimages.pop(volume['id'])
        volume['updated_at'] = self.now()
        if status != 'available':
            self.contents[volume['id']] = f'half of {self.contents.get(reimage.snapshot_id, "")}'
            return status
        self.contents[volume['id']] = self.contents.get(reimage.snapshot_id, '')
        volume['bootable'] = 'true'
        volume['volume_image_metadata'] = dict(reimage.metadata)
        return reimage.previous_status

    def _end_of(self, kind: str, item: Item) -> str | None:
        if kind == 'deletion' and self.busy_snapshots.get(item['id'], 0) > 0:
            self.busy_snapshots[item['id']] -= 1
            self.add_message(item['id'], 'Snapshot is busy.')
            return 'available'
        return self.settle_to.get(kind)

    def begin(self, item: Item, kind: str, collection: str) -> None:
        self._pending[item['id']] = pending = _Pending(kind, self.looks_until_settled)
        if self.looks_until_settled == 0:
            self._settle(collection, item, pending)

    def new_snapshot(self, volume: Item, fields: Item) -> Item:
        snapshot_id = str(uuid.uuid4())
        self._image_metadata[snapshot_id] = dict(volume.get('volume_image_metadata', {}))
        self.contents[snapshot_id] = self.contents.get(volume['id'], '')
        return {
            'id': snapshot_id,
            'created_at': self.now(),
            'updated_at': None,
            'name': fields.get('name'),
            'description': fields.get('description'),
            'volume_id': volume['id'],
            'status': 'creating',
            'size': volume['size'],
            'metadata': dict(fields.get('metadata') or {}),
            'group_snapshot_id': None,
            'user_id': 'u',
            _PROJECT['snapshots']: self.project_id,
        }

    def new_volume(self, fields: Item) -> Item:
        snapshot = self.snapshots.get(fields.get('snapshot_id') or '')
        source = {} if snapshot is None else self.volumes.get(snapshot['volume_id'], {})
        is_bootable = source.get('bootable') == 'true'
        images = self._image_metadata.get(fields.get('snapshot_id') or '') if is_bootable else None
        volume_id = str(uuid.uuid4())
        self.contents[volume_id] = self.contents.get(fields.get('snapshot_id') or '', '')
        return {
            'id': volume_id,
            'created_at': self.now(),
            'updated_at': None,
            'name': fields.get('name'),
            'description': fields.get('description'),
            'status': 'creating',
            'size': fields['size'],
            'metadata': dict(fields.get('metadata') or {}),
            'snapshot_id': fields.get('snapshot_id'),
            'source_volid': None,
            'volume_type': fields.get('volume_type') or source.get('volume_type', '__DEFAULT__'),
            'availability_zone': fields.get('availability_zone')
            or source.get('availability_zone', 'nova'),
            'attachments': [],
            'bootable': 'true' if is_bootable else 'false',
            **({'volume_image_metadata': dict(images)} if images else {}),
            'encrypted': False,
            'multiattach': False,
            'group_id': None,
            'consistencygroup_id': None,
            'migration_status': None,
            'replication_status': None,
            'user_id': 'u',
            _PROJECT['volumes']: self.project_id,
        }

    def now(self) -> str:
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        with self.lock:
            now = max(now, self._last_time + datetime.timedelta(microseconds=1))
            self._last_time = now
        return now.isoformat(timespec='microseconds')
