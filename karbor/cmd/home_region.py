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

"""The region of a standalone Karbor's folder: where what it has recorded is, and nowhere else.

A snapshot that is not found is gone only where it was made. So the folder knows its region, and one
that does not yet, as an older Karbor made it, learns it when one of its snapshots is found there.
What snapshots it has is in its bank only, when it is older than recovery points; so these are
completed first. Until all that is settled, nothing acts on what is recorded.
"""

import threading
from collections.abc import Callable

from oslo_log import log as logging
from oslo_utils import uuidutils

from karbor import db, exception
from karbor.common import state_dir
from karbor.db import reality
from karbor.services.protection import provider as providers
from karbor.services.recovery import point_filling
from karbor.services.recovery.inventory import Inventory
from karbor.services.recovery.reality_looks import keeps_snapshots

LOG = logging.getLogger(__name__)

_MOST_ASKED = 20  # of the newest snapshots
_PAUSE = 30  # seconds between two tries to ask Cinder


class HomeRegion:
    """The region of a folder, beside the one that is acted in.

    :param state: the folder.
    :param registry: its providers.
    :param inventory: what there is in Cinder, as the owner of the folder's project sees it.
    """

    def __init__(
        self,
        state: state_dir.StateDirectory,
        registry: providers.ProviderRegistry,
        inventory: Inventory,
    ) -> None:
        self._state = state
        self._registry = registry
        self._inventory = inventory
        self._filling = point_filling.PointFilling(registry)

    def settle(self) -> None:
        """Find out whether the folder belongs to the region that is acted in.

        What was made there is written before the folder claims it: who is killed in between finds
        all as it was.

        :raises StateDirectoryError: it does not; the text says what to do.
        :raises InventoryFailed: that cannot be told now.
        """
        region = self._acting()
        if region is None:
            self._finds_one(region)
        elif self._state.region is None:
            if self._finds_one(region):
                db.transaction(reality.set_region_of_all)(region)
            self._state.claim_region(region)
        else:
            self._state.claim_region(region)
            db.transaction(reality.set_region_of_all)(region)

    def _acting(self) -> str | None:
        try:
            return self._inventory.region
        except exception.RegionNotChosen as exc:
            raise state_dir.StateDirectoryError(
                f'{exc.msg} In clouds.yaml that is region_name, and else OS_REGION_NAME.'
            ) from exc

    def is_settled(self) -> bool:
        """Whether that is found out now; Cinder may be away.

        :raises StateDirectoryError: as :meth:`settle`.
        """
        try:
            self.settle()
        except exception.InventoryFailed as exc:
            LOG.warning('No job begins before the region of the folder is known: %s', exc.msg)
            return False
        return True

    def wait(self, act: Callable[[], None], stop: threading.Event) -> None:
        """Do something once it is found out; both are tried now and then until they succeed."""
        threading.Thread(target=self._wait, args=(act, stop), name='region', daemon=True).start()

    def _wait(self, act: Callable[[], None], stop: threading.Event) -> None:
        last_refusal = None
        while not stop.wait(_PAUSE):
            try:
                self.settle()
                act()
            except exception.InventoryFailed:
                continue
            except state_dir.StateDirectoryError as exc:
                if str(exc) != last_refusal:
                    LOG.error('No job begins: %s', exc)
                last_refusal = str(exc)
            except Exception:
                # A thread's edge: without it a database or a disk that is away for a moment
                # would keep jobs from beginning for ever.
                LOG.exception('No job begins; it is tried again')
            else:
                return

    def _finds_one(self, region: str | None) -> bool:
        """Whether one of the newest snapshots is there; False if none is recorded.

        :raises StateDirectoryError: none of them is.
        :raises InventoryFailed: Cinder cannot be asked, or which there are is not known.
        """
        self._filling.fill_points()
        provider_ids = [each.id for each in self._registry if keeps_snapshots(each)]
        with db.reader() as session:
            ids = reality.newest_snapshots(session, provider_ids, _MOST_ASKED)
            is_complete = not reality.has_never_looked_at(session, provider_ids)
        if not ids and not is_complete:
            raise exception.InventoryFailed(
                reason='the bank does not tell which snapshots the checkpoints of the folder have'
            )
        if not ids:
            # Of a region that is misspelled the answer is that there is no Cinder.
            self._inventory.has_snapshot(uuidutils.generate_uuid(), is_retrying=False)
            return False
        if any(self._inventory.has_snapshot(each, is_retrying=False) for each in ids):
            return True
        raise state_dir.StateDirectoryError(
            f'{self._state.path} does not say in which region its checkpoints were made, and none '
            f'of its {len(ids)} newest snapshots is in {_named(region)}: take the cloud of their '
            f'region, or another --state-dir. If it is this one, and somebody has deleted them '
            f'all, write the name of the region to {self._state.region_file}.'
        )


def _named(region: str | None) -> str:
    return 'the region of these credentials' if region is None else f'region {region}'
