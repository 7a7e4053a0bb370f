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

"""Runs jobs of any kind.

A job can run again from its start after any break: what its row and the bank say is done
is left out. The row is marked as done last, in one transaction with the status of what the
job is about.
"""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

from oslo_log import log as logging
from sqlalchemy import orm

from karbor import db, exception
from karbor.common import leases
from karbor.db import jobs as job_rows
from karbor.db import models
from karbor.db.holds import Hold
from karbor.services.jobs import ends, failures, holding, intents, progress
from karbor.services.jobs.kinds import Attempt, Environment, JobKinds, Outcome
from karbor.services.protection import plugin_edge

LOG = logging.getLogger(__name__)

# For how long a job waits when Keystone cannot be asked, in seconds.
_PAUSE = 30


class _Claim(NamedTuple):
    """An attempt that was begun.

    :ivar quiet_for: see :func:`karbor.db.jobs.quiet_for`.
    :ivar held_for: for how long the job is held back already, in seconds; None if it is not.
    :ivar begun: when, by the monotonic clock.
    """

    job: models.Job
    lease: leases.Lease
    quiet_for: float | None
    held_for: float | None
    intent: intents.JobIntent
    begun: float


class JobRunner:
    """Does the work of a job, given its id.

    :param kinds: those that it knows.
    :param environment: what it does them with.
    :param lease: how long a claim holds unless it is renewed, in seconds; None for ever.
    :param is_alone: whether no other process works on this database. Then no attempt is over
        because time has passed, as when the host slept: nobody else can have its job.
    :param max_tries: how often a job is begun that does not come to an end.
    :param patience: for how long a job waits for a bank, or a Cinder, that is away, in seconds.
    """

    def __init__(
        self,
        kinds: JobKinds,
        environment: Environment,
        *,
        lease: float | None = None,
        is_alone: bool = False,
        max_tries: int = 10,
        patience: float = 0,
    ) -> None:
        self._kinds = kinds
        self._environment = environment
        self._lease = lease
        self._is_alone = is_alone
        self._max_tries = max_tries
        self._holding = holding.Holding(environment, patience)
        self._running: dict[tuple[str, int], _Claim] = {}

    @property
    def scope(self) -> job_rows.Scope:
        """Which jobs it can run."""
        return self._kinds.scope(self._environment.registry)

    def run(self, job_id: str) -> None:
        """Run a pending job to its end.

        One that is not pending is left alone. So is one of a kind that is not known, and one
        whose provider is not loaded: its file may be mended before the next start.
        """
        claimed = self._claim(job_id)
        if claimed is None:
            return
        job, lease = claimed.job, claimed.lease
        LOG.info(
            'Job %s: %s of %s begins (attempt %d)', job.id, job.kind, job.subject_id, job.attempts
        )
        key = job.id, job.attempts  # an earlier attempt may hang in this process still
        self._running[key] = claimed
        try:
            if job.tries > self._max_tries:
                self._park(job)
            else:
                self._run_to_end(claimed)
        except leases.LeaseLost:
            # Another worker has the job, or will have it when the row says so.
            lease.lose()  # of the hooks that still run
            LOG.warning('Job %s: attempt %d has lost its lease and stops', job.id, job.attempts)
            return
        finally:
            del self._running[key]
        self._environment.trusts.release(job.trust_id)

    def renew_claims(self) -> None:
        """Tell other workers that the jobs that run here do run."""
        running = [claim for claim in list(self._running.values()) if not claim.lease.is_lost]
        if not running or self._lease is None:
            return
        sent = leases.boot_time()
        kept = db.transaction(job_rows.renew)([claim.job for claim in running], self._lease)
        for claim in running:
            if claim.job.id in kept:
                claim.lease.renewed(sent)
            else:
                claim.lease.lose()

    def share_requests(self) -> None:
        """Send as many requests at once as the jobs that run here are of all that run."""
        own = len(self._running)
        if own:
            with db.reader() as session:
                total = job_rows.count_running(session)
            self._environment.requests.share(own, max(total, own))

    def hand_back(self) -> None:
        """Let other workers begin at once what runs here, as this process ends now."""
        running = list(self._running.values())
        for claim in running:
            claim.lease.lose()
        db.transaction(job_rows.hand_back)([claim.job for claim in running])

    def _claim(self, job_id: str) -> _Claim | None:
        with db.reader() as session:
            job = session.get(models.Job, job_id)
        if job is None or job.kind not in self._kinds:
            return None
        if job.provider_id not in self._environment.registry:
            LOG.error('Job %s waits: its provider %s is not loaded', job_id, job.provider_id)
            return None
        sent = leases.boot_time()
        taken = _take(job_id, self._lease)
        if taken is None:
            return None
        seconds = math.inf if self._lease is None or self._is_alone else self._lease
        return _Claim(
            taken.job,
            leases.Lease(seconds, sent),
            taken.quiet_for,
            taken.held_for,
            intents.JobIntent(taken.job),
            time.monotonic(),
        )

    def _park(self, job: models.Job) -> None:
        """End what has been begun too often and never came to an end: it kills its workers."""
        LOG.error('Job %s: parked', job.id)
        reason = (
            f'it was tried {job.tries - 1} times and its worker was gone each time; an '
            f'administrator can have it tried again: karbor-manage job retry {job.id}'
        )
        self._end(job, Outcome(state=job_rows.JobState.PARKED, reason=reason))

    def _run_to_end(self, claim: _Claim) -> None:
        job = claim.job
        try:
            outcome = self._outcome(claim)
        # The claim runs out unrenewed; then a worker takes the job up again.
        except exception.IdentityUnavailable as exc:
            LOG.warning('Job %s: is tried again later: %s', job.id, exc.msg)
            db.transaction(job_rows.pause)(job, _PAUSE, has_sent=claim.intent.is_declared)
            return
        except holding.HeldBack as exc:
            self._holding.put_back(
                self._kinds[job.kind],
                job,
                exc.away,
                begun=claim.begun,
                has_sent=claim.intent.is_declared,
            )
            return
        except Exception as exc:
            # A job's edge: whatever a plugin raises must end on what the user looks at.
            is_trust_dead = isinstance(exc, exception.TrustDied)
            LOG.error(
                'Job %s: %s of %s failed',
                job.id,
                job.kind,
                job.subject_id,
                exc_info=not is_trust_dead,
            )
            outcome = Outcome(
                state=job_rows.JobState.FAILED,
                reason=_reason_of(job, exc),
                is_trust_dead=is_trust_dead,
            )
        self._end(job, outcome)

    def _outcome(self, claim: _Claim) -> Outcome:
        """How an attempt goes.

        :raises HeldBack: what it needs is away.
        """
        job = claim.job
        may_hold = self._holding.may_hold(claim.held_for)
        away = self._holding.before(job) if may_hold else None
        if away is not None:
            raise holding.HeldBack(away)
        self._check_trust(job)
        judge = holding.Judge(self._holding, job, may_hold=may_hold)
        try:
            with plugin_edge.kept():
                outcome = self._kinds[job.kind].run(self._attempt(claim, judge))
        except Exception as exc:
            away = judge.away(exc)
            if away is None:
                raise
            self._check_trust(job)  # nothing answers whom Keystone gives no token
            raise holding.HeldBack(away) from exc
        if outcome.failures:
            self._check_trust(job)  # dead meanwhile, it is the reason of all the others
        return outcome

    def _attempt(self, claim: _Claim, judge: holding.Judge) -> Attempt:
        job = claim.job
        context = self._environment.context_of(job)
        context.lease = claim.lease
        context.since_last_attempt = claim.quiet_for
        context.intent = claim.intent
        context.traffic = requests = self._environment.requests.lane(
            job.project_id, f'{job.id} {job.attempts}', claim.lease.check
        )
        context.progress = progress.JobProgress(self._kinds[job.kind], job)
        return Attempt(
            job=job,
            kind=self._kinds[job.kind],
            lease=claim.lease,
            context=context,
            requests=requests,
            environment=self._environment,
            holds=judge,
        )

    def _end(self, job: models.Job, outcome: Outcome) -> None:
        for following in self._finish(job, outcome):
            self._environment.post(following.id)

    @db.until_it_works
    def _finish(self, job: models.Job, outcome: Outcome) -> Sequence[models.Job]:
        return db.transaction(ends.finish)(self._kinds[job.kind], job, outcome)

    def _check_trust(self, job: models.Job) -> None:
        if job.trust_id is not None:
            self._environment.trusts.check(job.trust_id)


class _Taken(NamedTuple):
    """A job that was claimed; see :class:`_Claim`."""

    job: models.Job
    quiet_for: float | None
    held_for: float | None


@db.transaction
def _take(session: orm.Session, job_id: str, lease: float | None) -> _Taken | None:
    job = job_rows.claim(session, job_id, lease)
    if job is None:
        return None
    hold = Hold.of_job(job)
    held_for = None if hold is None else (db.now(session) - hold.since).total_seconds()
    return _Taken(job, job_rows.quiet_for(session, job), held_for)


def _reason_of(job: models.Job, error: Exception) -> str:
    if isinstance(error, exception.KarborException):
        return failures.reason_of(error)
    return f'an unexpected {type(error).__name__} happened; see the log for job {job.id}'
