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

"""What all resources of one job share of Cinder: the client, the watchers, the inventory.

A plugin object lives as long as one job, so an object of this class belongs to it. It is
used by many threads at once.
"""

import functools
import threading
from concurrent import futures
from typing import Any

from karbor import context as karbor_context
from karbor.services.protection import client_factory
from karbor.services.protection.protection_plugins.volume import cinder_requests, watcher


class CinderJob:
    """Cinder, as one job sees it.

    :param context: who the job acts for.
    :param poll_interval: longest time between two looks at what is waited for, in seconds.
    :param patience: for how long a passing fault of a request is tried again, in seconds.
    """

    def __init__(self, context: karbor_context.RequestContext, poll_interval: float,
                 patience: float) -> None:
        self.client = client_factory.ClientFactory.create_client('cinder', context)
        self.volumes = self.client.volumes
        self.snapshots = self.client.volume_snapshots
        self._poll_interval = poll_interval
        self.patience = patience
        self._lock = threading.Lock()
        self._watchers: dict[Any, watcher.Watcher] = {}
        self._inventory: futures.Future[dict[str, list[Any]]] | None = None

    def get(self, manager: Any, item_id: str) -> Any:
        """One item, whatever passing faults come first."""
        return cinder_requests.retry(functools.partial(manager.get, item_id), self.patience)

    def find(self, manager: Any, metadata: dict[str, str]) -> list[Any]:
        """All items that carry the metadata, oldest first."""
        return cinder_requests.listed(manager, metadata, self.patience)

    def watcher(self, manager: Any, metadata: dict[str, str], *,
                newest_first: bool) -> watcher.Watcher:
        """The job's one watcher of what carries the metadata.

        :param newest_first: True for waiting on what is being made, whose newest items are
            the unsettled ones; False for what is being removed in the order it was made.
        """
        key = (id(manager), tuple(sorted(metadata.items())), newest_first)
        sort = 'created_at:desc' if newest_first else 'created_at:asc'

        def list_page(limit: int, marker: str | None) -> list[Any]:
            return cinder_requests.page(manager, metadata, limit, marker, sort)

        with self._lock:
            if key not in self._watchers:
                self._watchers[key] = watcher.Watcher(
                    list_page, manager.get, newest_first=newest_first,
                    is_gone=cinder_requests.is_gone, is_passing=cinder_requests.is_passing,
                    longest_interval=self._poll_interval)
            return self._watchers[key]

    def snapshots_at_start(self, metadata: dict[str, str], volume_id: str) -> list[Any]:
        """The snapshots of a volume that carried the metadata when the job first asked.

        All volumes' are listed at once, the first time, while the other threads wait; a list
        that fails fails for all, instead of once a volume.

        :param metadata: the same at every call.
        """
        with self._lock:
            is_first = self._inventory is None
            inventory = self._inventory = self._inventory or futures.Future()
        if is_first:
            try:
                inventory.set_result(self._by_volume(metadata))
            except Exception as exc:  # noqa: BLE001 - raised again for each that asks
                inventory.set_exception(exc)
        return inventory.result().get(volume_id, [])

    def _by_volume(self, metadata: dict[str, str]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for snapshot in self.find(self.snapshots, metadata):
            found.setdefault(snapshot.volume_id, []).append(snapshot)
        return found

    def user_message(self, resource_id: str) -> str:
        """The newest message that Cinder keeps for users about a volume or snapshot.

        :returns: the text, or '' when there is none or Cinder does not tell.
        """
        try:
            messages = self.client.messages.list(search_opts={'resource_uuid': resource_id})
        except cinder_requests.CLIENT_ERRORS:
            return ''
        newest = max(messages, key=lambda message: message.created_at, default=None)
        return newest.user_message if newest else ''
