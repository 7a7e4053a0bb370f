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

"""Looks again and again whether what is to be protected is, and writes the troubles."""

from collections.abc import Callable

from oslo_log import log as logging

from karbor import db, exception
from karbor.db import looks, troubles
from karbor.services import periodic
from karbor.services.checkpoints.coverage import Coverage
from karbor.services.notifications import coverage_troubles
from karbor.services.recovery.inventory import Inventory

LOG = logging.getLogger(__name__)

_INTERVAL = 300  # seconds


class CoverageLook:
    """What a process does about it; of several, each project is looked at by one.

    :param inventory: Cinder, of which it is asked in which region that is.
    """

    def __init__(self, inventory: Callable[[], Inventory]) -> None:
        self._inventory = inventory
        self._region: str | None = None
        self._is_region_known = False

    def duties(self) -> tuple[periodic.Duty, ...]:
        return (periodic.Duty(_INTERVAL, self.look_at_coverage),)

    def look_at_coverage(self) -> None:
        """Look at every project that nobody has looked at lately.

        None is while nothing has told the region yet: what is in another one is not gone.
        """
        try:
            region = self._look_up_region()
        except exception.InventoryFailed as exc:
            LOG.warning('Nobody looks for volumes that are late or gone: %s', exc.msg)
            return
        coverage = Coverage()
        db.transaction(looks.know_customers)()
        while project_ids := db.transaction(looks.take_unjudged)(_INTERVAL):
            for project_id in project_ids:
                standing = coverage_troubles.of_project(
                    project_id, coverage.of_project(project_id, region)
                )
                db.transaction(troubles.settle)(project_id, coverage_troubles.KINDS, standing)

    def _look_up_region(self) -> str | None:
        """That of the process, which does not change; so Keystone may be away later."""
        if not self._is_region_known:
            self._region, self._is_region_known = self._inventory().region, True
        return self._region
