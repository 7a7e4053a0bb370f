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

"""The floor of benchmarks: what a bare script takes that asks Cinder for the same.

It has 32 threads and python-cinderclient, asks for everything, and then lists until all is done. It
writes nothing down, and could not go on where it was killed.
"""

import time
from collections.abc import Callable, Iterable
from concurrent import futures
from typing import Any

import requests
from cinderclient import client as cinder_client
from keystoneauth1 import plugin as ks_plugin
from keystoneauth1 import session as ks_session
from requests import adapters

from karbor.tests.base import new_id

_THREADS = 32
_PAGE = 1000
_LOOK_INTERVAL = 0.05  # seconds


class BareScript:
    """The script, and its connections.

    :param auth: whose volumes they are, and where Cinder is.
    """

    def __init__(self, auth: ks_plugin.BaseAuthPlugin) -> None:
        connections = requests.Session()
        connections.mount('http://', adapters.HTTPAdapter(pool_maxsize=_THREADS))
        session = ks_session.Session(auth=auth, session=connections)
        # A connection that was kept may be closed at the moment of its next request.
        self._cinder = cinder_client.Client('3.43', session=session, connect_retries=1)

    def protect(self, volume_ids: Iterable[str]) -> list[Any]:
        """Make a snapshot of each volume; they are available."""
        snapshots, mark = self._cinder.volume_snapshots, {'karbor_checkpoint_id': new_id()}
        made = _for_each(volume_ids, lambda each: snapshots.create(each, metadata=mark))
        self._wait(snapshots, mark)
        return made

    def restore(self, made: Iterable[Any]) -> None:
        """Make a volume of each snapshot; they are available."""
        volumes, mark = self._cinder.volumes, {'karbor_restore_id': new_id()}
        _for_each(made, lambda each: volumes.create(1, snapshot_id=each.id, metadata=mark))
        self._wait(volumes, mark)

    def delete(self, made: list[Any]) -> None:
        """Delete snapshots that :meth:`protect` has made; they are gone."""
        snapshots = self._cinder.volume_snapshots
        _for_each(made, snapshots.delete)
        self._wait(snapshots, made[0].metadata)

    def _wait(self, manager: Any, mark: dict[str, str]) -> None:
        """Until all that have the mark, if there are any left, are available."""
        while statuses := {item.status for item in self._listed(manager, mark)} - {'available'}:
            assert not any(status.startswith('error') for status in statuses), statuses
            time.sleep(_LOOK_INTERVAL)

    @staticmethod
    def _listed(manager: Any, mark: dict[str, str]) -> list[Any]:
        items: list[Any] = []
        while True:
            page = manager.list(
                search_opts={'metadata': mark},
                sort='created_at:asc',
                limit=_PAGE,
                marker=items[-1].id if items else None,
            )
            items += page
            if len(page) < _PAGE:
                return items


def _for_each(things: Iterable[Any], ask: Callable[[Any], Any]) -> list[Any]:
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(ask, things))
