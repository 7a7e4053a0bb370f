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

"""What Karbor has made in Cinder, found by the metadata that it gave it.

In a cloud's service that takes the rights of an administrator, since snapshots and volumes are
their projects'. Cinder says nothing when somebody else asks for all projects: it lists the own
one. So whether the rights are there is found out with a request that only administrators may
send.
"""

import contextlib
import dataclasses
import datetime
import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cinderclient import exceptions as cinder_exc
from keystoneauth1 import session as ks_session

from karbor import context as karbor_context
from karbor import exception
from karbor.services.cinder import faults as cinder_faults
from karbor.services.cinder import items as cinder_items
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder.marks import Marks
from karbor.services.protection import client_factory, steps

_PATIENCE = 60  # seconds
_POLL_INTERVAL = 5  # seconds

_REFUSALS = (401, 403)

_PROJECT_FIELDS = ('os-extended-snapshot-attributes:project_id', 'os-vol-tenant-attr:tenant_id')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A snapshot or a volume that carries Karbor's metadata.

    :ivar created_at: UTC without a zone, by Cinder's clock.
    :ivar size: in GiB.
    :ivar volume_id: the volume that a snapshot is of; None of a volume.
    :ivar project_id: whose it is; None where Cinder does not tell.
    """

    id: str
    name: str
    status: str
    created_at: datetime.datetime
    size: int
    volume_id: str | None
    project_id: str | None
    metadata: Mapping[str, str]

    @property
    def kind(self) -> str:
        return 'volume' if self.volume_id is None else 'snapshot'

    @property
    def marks(self) -> Marks:
        return Marks.read(self.metadata)

    @property
    def checkpoint_id(self) -> str | None:
        return self.marks.checkpoint_id

    @property
    def resource_id(self) -> str | None:
        return self.marks.resource_id

    @property
    def restore_id(self) -> str | None:
        return self.marks.restore_id


@contextlib.contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except cinder_requests.CLIENT_ERRORS as exc:
        is_refused = cinder_requests.status_code(exc) in _REFUSALS
        error = exception.InventoryRefused if is_refused else exception.InventoryFailed
        raise error(reason=cinder_requests.describe(exc)) from exc


class Inventory:
    """Cinder, as who may see and remove everything of Karbor's sees it.

    Every method that asks it may raise :class:`karbor.exception.InventoryFailed`.

    :param session: of that user, with a project.
    :param is_whole_cloud: whether all projects are meant, not only the session's own.
    """

    def __init__(self, session: ks_session.Session, is_whole_cloud: bool) -> None:
        self._session = session
        self._is_whole_cloud = is_whole_cloud
        self._filters: dict[str, Any] = {'all_tenants': 1} if is_whole_cloud else {}

    @functools.cached_property
    def project_id(self) -> str:
        """The session's own project."""
        with _available():
            found = self._session.get_project_id()
        if found is None:
            raise exception.InventoryFailed(
                reason='the credentials are for no project; [trustee] needs a project_name'
            )
        return found

    @functools.cached_property
    def _client(self) -> Any:
        with _available():
            context = karbor_context.RequestContext(
                self._session.get_user_id(), self.project_id, overwrite=False
            )
            return client_factory.ClientFactory.create_client(
                'cinder', context, session=self._session
            )

    @property
    def region(self) -> str | None:
        """The region that is looked at; None when nothing tells."""
        context = karbor_context.RequestContext(project_id=self.project_id, overwrite=False)
        with _available():
            return client_factory.ClientFactory.region('cinder', context, session=self._session)

    def check(self) -> None:
        """Find out whether all projects that are meant can be seen.

        :raises InventoryRefused: they cannot; the text says what is missing.
        :raises InventoryFailed: that cannot be told now.
        """
        if not self._is_whole_cloud:
            return
        ask = functools.partial(self._client.services.list, binary='cinder-scheduler')
        with _available():
            try:
                cinder_requests.retry(ask, _PATIENCE)
            except cinder_exc.ClientException as exc:
                if not cinder_requests.is_refusal(exc):
                    raise
                raise exception.InventoryRefused(
                    reason=f'the user {self._session.get_user_id()} of [trustee] is no '
                    f'administrator of Cinder in the project {self.project_id}: it needs '
                    f'the role admin there ({cinder_requests.describe(exc)})'
                ) from exc

    def snapshots(self, provider_id: str) -> list[Item]:
        """Every snapshot of a provider, oldest first."""
        return self._listed(self._client.volume_snapshots, provider_id)

    def volumes(self, provider_id: str) -> list[Item]:
        """Every volume that restores with a provider have made, oldest first."""
        return [item for item in self._listed(self._client.volumes, provider_id) if item.restore_id]

    def volumes_of(self, project_ids: Collection[str]) -> dict[str, list[Any]]:
        """All volumes of projects as cinderclient has them, by project.

        :param project_ids: of those that are meant; of others nothing is kept. Who sees one
            project only gets that one's.
        """

        def whole_list() -> dict[str, list[Any]]:
            volumes: dict[str, list[Any]] = {project_id: [] for project_id in project_ids}
            for entry in _entries(self._client.volumes, Marks(), self._filters):
                volumes.get(_project_of(entry) or self.project_id, []).append(entry)
            return volumes

        if not self._is_whole_cloud:
            project_ids = {self.project_id}.intersection(project_ids)
        with _available():
            return cinder_requests.retry(whole_list, _PATIENCE)

    def again(self, item: Item) -> Item | None:
        """An item as it is now; None when it is gone."""
        get = functools.partial(self._manager(item).get, item.id)
        with _available():
            try:
                return _as_item(cinder_requests.retry(get, _PATIENCE))
            except cinder_exc.NotFound:
                return None

    def has_snapshot(
        self, snapshot_id: str, *, of_project: str | None = None, is_retrying: bool = True
    ) -> bool:
        """Whether there is a snapshot, whatever its metadata.

        :param of_project: whose it must be; None is anybody's.
        :param is_retrying: whether a passing fault is tried again.
        """
        patience = _PATIENCE if is_retrying else 0
        found = _get(self._client.volume_snapshots, snapshot_id, patience)
        if found is None:
            return False
        return of_project is None or _project_of(found) in (None, of_project)

    def has_volume(self, volume_id: str) -> bool:
        """Whether there is a volume, whatever its metadata."""
        return _get(self._client.volumes, volume_id, _PATIENCE) is not None

    def remove(self, item: Item, timeout: float) -> str | None:
        """Delete an item and see it gone, which it may be already.

        :param timeout: for how long a busy one is tried again, in seconds.
        :returns: why it is still there, if it is.
        """
        manager = self._manager(item)
        items = cinder_items.CinderItems(
            manager,
            Marks(),
            user_message=lambda _: '',
            poll_interval=_POLL_INTERVAL,
            patience=min(_PATIENCE, timeout),
        )
        entry = manager.resource_class(manager, {'id': item.id, 'status': item.status}, loaded=True)
        try:
            steps.drive(items.remove(entry, timeout, listed=False))
        except cinder_faults.FAULTS as exc:
            return cinder_faults.describe(exc)
        return None

    def _manager(self, item: Item) -> Any:
        return self._client.volumes if item.volume_id is None else self._client.volume_snapshots

    def _listed(self, manager: Any, provider_id: str) -> list[Item]:
        """Page after page; from the start again when the list changed under the reader."""
        marks = Marks(provider_id=provider_id)

        def whole_list() -> list[Item]:
            found: dict[str, Item] = {}
            for entry in _entries(manager, marks, self._filters):
                if Marks.read(entry.metadata).provider_id == provider_id:
                    found[entry.id] = _as_item(entry)
            return list(found.values())

        with _available():
            return cinder_requests.retry(whole_list, _PATIENCE)


def _get(manager: Any, item_id: str, patience: float) -> Any:
    """An item by its id; None when there is none."""
    with _available():
        try:
            return cinder_requests.retry(functools.partial(manager.get, item_id), patience)
        except cinder_exc.NotFound:
            return None


def _entries(manager: Any, marks: Marks, filters: Mapping[str, Any]) -> Iterator[Any]:
    marker = None
    while True:
        found = cinder_requests.page(
            manager,
            marks.sought(),
            limit=cinder_requests.PAGE_LIMIT,
            marker=marker,
            sort='created_at:asc',
            **filters,
        )
        yield from found
        if len(found) < cinder_requests.PAGE_LIMIT:
            return
        marker = found[-1].id


def _as_item(entry: Any) -> Item:
    created_at = datetime.datetime.fromisoformat(entry.created_at)
    if created_at.tzinfo is not None:
        created_at = created_at.astimezone(datetime.UTC).replace(tzinfo=None)
    return Item(
        id=entry.id,
        name=entry.name or '',
        status=entry.status,
        created_at=created_at,
        size=entry.size,
        volume_id=getattr(entry, 'volume_id', None),
        project_id=_project_of(entry),
        metadata=dict(entry.metadata),
    )


def _project_of(entry: Any) -> str | None:
    """Whose an entry of a list is; None where Cinder does not tell."""
    return next((getattr(entry, name) for name in _PROJECT_FIELDS if hasattr(entry, name)), None)
