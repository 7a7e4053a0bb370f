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

"""Writes what a job waits for where people look: as the reason of what the job is about."""

import threading
import time
from collections.abc import Hashable

from oslo_db import exception as db_exc
from oslo_log import log as logging
from sqlalchemy import orm

from karbor import db
from karbor.db import jobs as job_rows
from karbor.db import models, subjects
from karbor.services import retrying
from karbor.services.jobs.kinds import JobKind

LOG = logging.getLogger(__name__)

PATIENCE = 30  # seconds; what is waited for less long is nothing to be told of
INTERVAL = 60  # seconds between two writes, at least


class JobProgress:
    """What one attempt waits for; its threads tell it.

    :param kind: of the job.
    :param clock: what the time between two writes is measured with.
    """

    def __init__(self, kind: JobKind, job: models.Job, clock: retrying.Clock = time) -> None:
        self._kind = kind
        self._job = job
        self._clock = clock
        self._lock = threading.Lock()
        self._waits: dict[Hashable, tuple[float, str]] = {}
        # An earlier attempt may have left something.
        self._is_told = job.attempts > 1
        self._next_write = float('-inf')

    def tell(self, source: Hashable, what: str, seconds: float) -> None:
        """See :class:`karbor.common.progress.Progress`."""
        with self._lock:
            if not what or seconds < PATIENCE:
                self._waits.pop(source, None)
            else:
                self._waits[source] = (seconds, what)
            if self._waits and self._clock.monotonic() >= self._next_write:
                self._write(max(self._waits.values())[1])
            elif not self._waits and self._is_told:
                self._write(None)

    def _write(self, reason: str | None) -> None:
        self._next_write = self._clock.monotonic() + INTERVAL
        try:
            db.transaction(self._write_row)(reason)
        except db_exc.DBError as exc:  # the job does not depend on it
            LOG.warning('Job %s: what it waits for is not told: %s', self._job.id, exc)
        else:
            self._is_told = reason is not None

    def _write_row(self, session: orm.Session, reason: str | None) -> None:
        job_rows.hold_claim(session, self._job)
        if self._kind.table is not None:
            subjects.set_reason(
                session, self._kind.table, self._job.subject_id, self._kind.running, reason
            )
