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

"""Writes that an attempt is about to change something in a cloud, before it does."""

import threading

from karbor import db
from karbor.db import jobs as job_rows
from karbor.db import models


class JobIntent:
    """That of one attempt; its threads declare it.

    :ivar is_declared: whether something may have been sent.
    """

    def __init__(self, job: models.Job) -> None:
        self._job = job
        self._lock = threading.Lock()
        self.is_declared = False

    def declare(self) -> None:
        """See :class:`karbor.common.intents.Intent`."""
        if self.is_declared:
            return
        with self._lock:
            if not self.is_declared and self._job.quiet_since is not None:
                self._write()
            self.is_declared = True

    @db.until_it_works
    def _write(self) -> None:
        db.transaction(job_rows.begin_sending)(self._job)
