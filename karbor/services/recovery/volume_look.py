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

"""Looks again and again which volumes the projects have that Karbor protects something for."""

from collections.abc import Callable

from oslo_config import cfg
from oslo_log import log as logging

from karbor import db, exception
from karbor.db import looks
from karbor.services import periodic
from karbor.services.checkpoints import volume_looks
from karbor.services.recovery.inventory import Inventory

LOG = logging.getLogger(__name__)


class VolumeLook:
    """What a process does about it.

    :param inventory: Cinder, as who may see the volumes of all these projects sees it.
    """

    def __init__(self, inventory: Callable[[], Inventory]) -> None:
        self._inventory = inventory

    def duties(self) -> tuple[periodic.Duty, ...]:
        """With each look for orphans; none when ``[protection] orphan_check_interval`` is 0."""
        interval = cfg.CONF.protection.orphan_check_interval
        return (periodic.Duty(interval, self.see_volumes),) if interval else ()

    def see_volumes(self) -> None:
        """Look once; what cannot be seen stays as it was, and the log tells."""
        try:
            self._see()
        except exception.InventoryFailed as exc:
            LOG.warning('The volumes of projects are not looked at: %s', exc.msg)

    def _see(self) -> None:
        inventory = self._inventory()
        inventory.check()
        with db.reader() as session:
            project_ids = looks.customers(session)
            seen_at = db.now(session)
        for project_id, volumes in inventory.volumes_of(project_ids).items():
            volume_looks.write(project_id, volumes, seen_at)
