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

"""Jobs that wait for a service that is away: their rows tell since when, to any worker.

A job that is not over has no error. What is in its place is put there each time that the job is
held back, and is gone when it has got on.
"""

import datetime
import re
from typing import NamedTuple, Self

from karbor.common import moments
from karbor.db import models

_HELD = re.compile(r'held back since (\S+ \S+) UTC: (.*)', re.DOTALL)


class Hold(NamedTuple):
    """That a job is held back.

    :ivar since: the moment of the first fault, in UTC without a zone.
    :ivar reason: for a person.
    """

    since: datetime.datetime
    reason: str

    @classmethod
    def of_job(cls, job: models.Job) -> Self | None:
        """What the row of a job tells; None of one that is not held back."""
        found = _HELD.fullmatch(job.error or '')
        since = moments.read_utc(found[1]) if found else None
        return None if found is None or since is None else cls(since, found[2])

    def as_error(self) -> str:
        """In the form of the row."""
        return f'held back since {self.since:%Y-%m-%d %H:%M:%S} UTC: {self.reason}'
