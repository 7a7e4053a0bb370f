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

"""The engine: it looks which triggers are due, and has done what waits for them.

Any number of engines may run on one database. What a fire starts is written in one
transaction with the fire itself and with the trigger's next one, on the locked row of the
trigger; so each fire is decided on once, whenever an engine is killed.
"""

import datetime
import threading
from collections.abc import Callable

from oslo_db import exception as db_exc
from oslo_log import log as logging
from sqlalchemy import orm

from karbor import context as karbor_context
from karbor import db, exception
from karbor.common.constants import TroubleKind
from karbor.db import jobs, models, schedules
from karbor.services.schedules import firing, run_troubles, runs, time_triggers

LOG = logging.getLogger(__name__)

# For how long a trigger is left alone on which the engine itself has failed.
_PAUSE = datetime.timedelta(minutes=5)
# For how long all is left to other engines that have everything that is due, in seconds.
_CONTENDED = 0.05
# Errors of a database that answers, and would answer the same again.
_FAULTS_OF_ROWS = (db_exc.DBDataError, db_exc.DBDuplicateEntry, db_exc.DBReferenceError)

Clock = Callable[[orm.Session], datetime.datetime]


class Engine:
    """Fires triggers.

    :param post: has a job done, given its id.
    :param poll_interval: longest time between two looks, in seconds: for so long a trigger
        that is made or changed elsewhere may go unnoticed.
    :param clock: tells the time, in UTC without a zone; by default the database does, so that
        hosts need not agree.
    """

    def __init__(
        self,
        post: Callable[[str], None],
        poll_interval: float,
        clock: Clock = db.now,
    ) -> None:
        self._post = post
        self._poll_interval = poll_interval
        self._clock = clock

    def run(self, stopping: threading.Event, may_fire: Callable[[], bool] = lambda: True) -> None:
        """Fire until the event is set.

        :param may_fire: asked before each look; one that may not leaves it to others.
        """
        while not stopping.is_set():
            wait = self._poll_interval
            try:
                if may_fire():
                    wait = self.seconds_to_next()
                    if wait == 0:
                        wait = 0 if self.fire_all_due(stopping) else _CONTENDED
            except db_exc.DBError as exc:
                LOG.warning('The database does not answer; it is asked again: %s', exc)
            stopping.wait(wait)

    def fire_all_due(self, stopping: threading.Event | None = None) -> int:
        """Decide on every fire that is due; returns on how many triggers."""
        count = 0
        while not (stopping and stopping.is_set()) and self._fire_next():
            count += 1
        return count

    def seconds_to_next(self) -> float:
        """How long there is nothing to do, at most the poll interval."""
        with db.reader() as session:
            due = schedules.earliest_due(session)
            if due is None:
                return self._poll_interval
            wait = (due - self._clock(session)).total_seconds()
        return min(max(wait, 0), self._poll_interval)

    def _fire_next(self) -> bool:
        """Decide on the trigger that is due longest; False when none is."""
        try:
            begun = db.transaction(_fire_due)(self._clock)
        except _TriggerFaultError as exc:
            # The engine's edge: one trigger that cannot be read must not keep the others
            # from firing.
            LOG.error(
                'Trigger %s cannot be fired; it is tried again in %s',
                exc.trigger_id,
                _PAUSE,
                exc_info=exc.__cause__,
            )
            db.transaction(schedules.put_off)(exc.trigger_id, exc.now + _PAUSE)
            db.transaction(_tell_fault)(exc.trigger_id)
            return True
        for job in begun or ():
            self._post(job.id)
        return begun is not None


class _TriggerFaultError(Exception):
    """Something is wrong with one trigger."""

    def __init__(self, trigger_id: str, now: datetime.datetime) -> None:
        super().__init__(trigger_id)
        self.trigger_id = trigger_id
        self.now = now


def _tell_fault(session: orm.Session, trigger_id: str) -> None:
    reason = (
        f'The trigger {trigger_id} cannot be fired, because of an error that the log of Karbor '
        f'tells of. It is tried again every {_PAUSE}.'
    )
    for operation in schedules.awaiting(session, trigger_id):
        runs.skip(session, _context_of(operation), operation, reason)
        run_troubles.tell(session, operation, TroubleKind.RUN_MISSED, reason)


def _fire_due(session: orm.Session, clock: Clock) -> list[models.Job] | None:
    """Decide on the trigger that is due longest.

    :returns: the jobs that may begin; None if no trigger is due.
    :raises _TriggerFaultError:
    """
    now = clock(session)
    trigger_id = schedules.take_due(session, now)
    if trigger_id is None:
        return None
    try:
        return _fire(session, session.get_one(models.Trigger, trigger_id), now)
    except Exception as exc:
        if isinstance(exc, db_exc.DBError) and not isinstance(exc, _FAULTS_OF_ROWS):
            raise
        raise _TriggerFaultError(trigger_id, now) from exc


def arm(session: orm.Session, trigger: models.Trigger, now: datetime.datetime) -> None:
    """Set when a trigger fires next: never, if no enabled operation waits for it.

    :param trigger: locked.
    """
    is_awaited = bool(schedules.awaiting(session, trigger.id))
    _set_next(trigger, max(now, trigger.last_fire_at or now), is_awaited)


def arm_if_idle(session: orm.Session, trigger: models.Trigger, now: datetime.datetime) -> None:
    """The same, but a trigger that is to fire goes on as it did.

    :param trigger: locked.
    """
    if trigger.due_at is None or not schedules.awaiting(session, trigger.id):
        arm(session, trigger, now)


def settle(session: orm.Session, trigger: models.Trigger, now: datetime.datetime) -> None:
    """Decide on every fire up to now, before a trigger or what waits for it is changed.

    The jobs are found by who looks for them in the rows.

    :param trigger: locked.
    """
    while trigger.next_fire_at is not None and trigger.next_fire_at <= now:
        _fire(session, trigger, now)


def _set_next(trigger: models.Trigger, after: datetime.datetime, is_awaited: bool) -> None:
    timer = time_triggers.load(trigger.properties)
    following = next(time_triggers.fires(timer, after), None) if is_awaited else None
    trigger.next_fire_at = following
    trigger.due_at = following and firing.due_at(timer, trigger.id, following)


def _fire(
    session: orm.Session, trigger: models.Trigger, now: datetime.datetime
) -> list[models.Job]:
    """Decide on a trigger that is due; returns the jobs that may begin."""
    operations = schedules.awaiting(session, trigger.id)
    if trigger.next_fire_at is None or not operations:
        arm(session, trigger, now)
        return []
    decision = firing.decide(
        time_triggers.load(trigger.properties), trigger.id, trigger.next_fire_at, now
    )
    begun: list[models.Job] = []
    if decision.missed is not None:
        LOG.warning('Trigger %s: %s', trigger.id, decision.missed)
        reason, missed = f'{decision.missed}: {_why_missed(trigger)}.', decision.missed.count
        for operation in operations:
            runs.skip(
                session,
                _context_of(operation),
                operation,
                reason,
                fire_time=_text(decision.missed.first),
                missed=missed,
            )
            run_troubles.tell(session, operation, TroubleKind.RUN_MISSED, reason, missed)
    if decision.run is not None and schedules.record_fire(session, trigger.id, decision.run, now):
        LOG.info('Trigger %s: the fire of %s runs', trigger.id, decision.run)
        for operation in operations:
            begun += _run(session, operation, decision.run)
    trigger.last_fire_at = decision.last
    _set_next(trigger, decision.last, is_awaited=True)
    return begun


def _run(
    session: orm.Session, operation: models.ScheduledOperation, fire: datetime.datetime
) -> list[models.Job]:
    context = _context_of(operation)
    try:
        job = runs.start(session, context, operation, fire)
    except (exception.OperationRunning, exception.JobLimitExceeded) as exc:
        reason = f'The fire of {fire} UTC is skipped: {_obstacle(exc)}.'
        LOG.warning('Scheduled operation %s: %s', operation.id, reason)
        runs.skip(session, context, operation, reason, **runs.fire_told(fire))
        run_troubles.tell(session, operation, TroubleKind.RUN_SKIPPED, reason)
        return []
    return [job] if job.state == jobs.JobState.PENDING else []


def _obstacle(exc: exception.OperationRunning | exception.JobLimitExceeded) -> str:
    if isinstance(exc, exception.JobLimitExceeded):
        return f'the project has {exc.kwargs["allowed"]} unfinished jobs, and may have no more'
    return str(exc.kwargs['reason'])


def _why_missed(trigger: models.Trigger) -> str:
    return (
        f'no engine was there within {trigger.properties["window"]} seconds, or the clock '
        f'was set forwards'
    )


def _context_of(operation: models.ScheduledOperation) -> karbor_context.RequestContext:
    return karbor_context.RequestContext(operation.user_id, operation.project_id)


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat(' ', 'seconds')
