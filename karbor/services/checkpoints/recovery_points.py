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

"""Recovery points: until when each resource can be gone back, and why not further."""

import datetime

from karbor import db
from karbor.db import models, paging, recovery_points


class RecoveryPoints:
    """What the API asks about recovery points. Jobs write them."""

    def page(
        self,
        selection: paging.Selection,
        *,
        since: datetime.datetime | None,
        before: datetime.datetime | None,
    ) -> tuple[list[models.RecoveryPoint], bool]:
        """See :func:`karbor.db.recovery_points.page`."""
        with db.plain_reader() as connection:
            return recovery_points.page(connection, selection, since=since, before=before)
