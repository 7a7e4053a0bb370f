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

"""What becomes of safety checkpoints when their time is over: they are deleted.

Not one that has the only good recovery point of a resource: that stays until there is another.
"""

import datetime

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import db, exception
from karbor.common import constants
from karbor.db import models
from karbor.db import safety as rows
from karbor.services import periodic
from karbor.services.checkpoints import commands
from karbor.services.jobs.kinds import Environment

LOG = logging.getLogger(__name__)

_INTERVAL = 300  # seconds
_MOST_AT_ONCE = 100
_TRIED_AGAIN = datetime.timedelta(days=1)


class Expiry:
    """What a process does about them now and then.

    :param environment: what it does jobs with.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._commands = commands.Commands(
            environment.registry, environment.protectables, environment.post, environment.trusts
        )

    def duties(self) -> tuple[periodic.Duty, ...]:
        return (periodic.Duty(_INTERVAL, self.remove_expired, at_start=True),)

    def remove_expired(self) -> int:
        """Begin to delete those whose time is over; returns how many.

        One that cannot be deleted now is tried again a day later.
        """
        return sum(self._remove(row) for row in db.transaction(_expired)())

    def _remove(self, row: models.Checkpoint) -> bool:
        job = db.transaction(_take)(row)
        if job is None:
            return False
        try:
            self._commands.delete_checkpoint(
                self._environment.context_of(job), row.provider_id, row.id
            )
        except exception.KarborException as exc:
            LOG.warning('The expired checkpoint %s stays for now: %s', row.id, exc.msg)
            return False
        LOG.info(
            'The checkpoint %s, in which was what the restore %s has overwritten, is deleted',
            row.id,
            row.extra_info.get(constants.CHECKPOINT_RESTORE_ID),
        )
        return True


def _expired(session: orm.Session) -> list[models.Checkpoint]:
    return list(rows.expired(session, db.now(session), _MOST_AT_ONCE))


def _take(session: orm.Session, row: models.Checkpoint) -> models.Job | None:
    return rows.take(session, row, db.now(session) + _TRIED_AGAIN)
