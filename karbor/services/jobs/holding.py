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

"""Jobs are held back while the bank, or Cinder, is away: that costs them no try.

It ends the attempt. What that has made by then is adopted by the next one, in this process or in
another. In each process one job at a time finds out whether the service is back; the others are
put back without a request.
"""

import datetime
import time
from typing import NamedTuple

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import db, exception
from karbor.common import causes, constants
from karbor.common.outages import Outage
from karbor.db import jobs as job_rows
from karbor.db import models, subjects
from karbor.db.holds import Hold
from karbor.services.jobs.kinds import Environment, JobKind

LOG = logging.getLogger(__name__)

# For how long a job is put back: a part of the time for which the service is away, and at least
# and at most so many seconds.
_PART = 0.25
_SHORTEST, _LONGEST = 5.0, 300.0

# For how long a Cinder has answered nothing at all that is away altogether, in seconds.
_ALTOGETHER = 5.0

# An attempt that has lasted longer has met another outage than the one before it, in seconds.
_SAME_OUTAGE = 600


class Away(NamedTuple):
    """What a job needs and does not get.

    :ivar name: of the service, for a person.
    :ivar fault: by which it is known now; None when the service was not even asked.
    """

    name: str
    outage: Outage
    fault: BaseException | None = None


class HeldBack(Exception):
    """The attempt is over, and the job is to begin again later."""

    def __init__(self, away: Away) -> None:
        super().__init__(f'{away.name} does not answer')
        self.away = away


class Judge:
    """Tells one attempt whether its job is to wait for what was raised.

    What it has told stays so: when what still runs has ended, the service may be back.
    """

    def __init__(self, holding: 'Holding', job: models.Job, *, may_hold: bool) -> None:
        self._holding = holding
        self._job = job
        self._may_hold = may_hold
        self._away: Away | None = None

    def __call__(self, error: BaseException) -> bool:
        away = self._holding.away(self._job, error) if self._may_hold else None
        if away is not None:
            away.outage.begin()
            self._away = self._away or away
        return away is not None

    def away(self, error: BaseException) -> Away | None:
        """What the job waits for, now that its attempt has ended by an error."""
        if self._away is None:
            self(error)
        return self._away


class Holding:
    """What one process holds jobs back by.

    :param patience: for how long a job waits for a service, in seconds; 0 is not at all.
    """

    def __init__(self, environment: Environment, patience: float) -> None:
        self._registry = environment.registry
        self._cinder = environment.requests.outage
        self._patience = patience

    def may_hold(self, held_for: float | None) -> bool:
        """Whether a job may wait once more.

        :param held_for: for how long it has done so, in seconds; None is not at all.
        """
        return (held_for or 0.0) < self._patience

    def before(self, job: models.Job) -> Away | None:
        """What a job that begins now would ask in vain; None if it may try."""
        provider = self._registry.get(job.provider_id)
        if not provider.bank.is_there():
            return Away('the bank', provider.bank.outage)
        if constants.VOLUME_RESOURCE_TYPE not in provider.plugin_classes:
            return None
        is_to_try = False

        def lets_this_job_try() -> bool:
            nonlocal is_to_try
            is_to_try = True
            return False  # that is found out by its requests

        is_over = self._cinder.is_over(lets_this_job_try)
        return None if is_over or is_to_try else Away('Cinder', self._cinder)

    def away(self, job: models.Job, error: BaseException) -> Away | None:
        """The service that has failed a job only since it is away; None if it is not that."""
        for each in causes.of(error):
            if isinstance(each, exception.KarborException) and each.is_passing:
                if isinstance(each, exception.BankError):
                    bank = self._registry.get(job.provider_id).bank
                    return Away('the bank', bank.outage, each)
                if (self._cinder.seconds or 0.0) >= _ALTOGETHER:
                    return Away('Cinder', self._cinder, each)
        return None

    def put_back(
        self, kind: JobKind, job: models.Job, away: Away, *, begun: float, has_sent: bool
    ) -> None:
        """Let a job begin again later, and let people know why.

        :param begun: when the attempt has, by the monotonic clock.
        :param has_sent: whether it may have changed something in a cloud.
        """
        lasted = time.monotonic() - begun
        hold = db.transaction(self._put_back)(kind, job, away, lasted=lasted, has_sent=has_sent)
        if away.fault is not None:
            LOG.warning(
                'Job %s: held back since %s UTC: %s', job.id, hold.since, causes.in_full(away.fault)
            )

    def _put_back(
        self,
        session: orm.Session,
        kind: JobKind,
        job: models.Job,
        away: Away,
        *,
        lasted: float,
        has_sent: bool,
    ) -> Hold:
        now = db.now(session)
        since = _since(job, away, now, lasted)
        until = since + datetime.timedelta(seconds=self._patience)
        hold = Hold(
            since,
            f'waits for {away.name}, which has not answered since {since:%Y-%m-%d %H:%M:%S} UTC; '
            f'if it is away until {until:%Y-%m-%d %H:%M:%S} UTC, this fails',
        )
        waited = max((now - since).total_seconds(), away.outage.seconds or 0.0)
        seconds = min(max(_PART * waited, _SHORTEST), _LONGEST)
        job_rows.pause(session, job, seconds, has_sent=has_sent, hold=hold)
        if kind.table is not None:
            subjects.set_reason(session, kind.table, job.subject_id, kind.running, hold.reason)
        return hold


def _since(job: models.Job, away: Away, now: datetime.datetime, lasted: float) -> datetime.datetime:
    """The moment of the first fault of an outage, as far as a job has met it.

    :param lasted: for how long the attempt has, in seconds.
    """
    hold = Hold.of_job(job)
    if hold is not None and lasted < _SAME_OUTAGE:
        return hold.since
    return now - datetime.timedelta(seconds=min(lasted, away.outage.seconds or 0.0))
