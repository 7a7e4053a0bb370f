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

"""What becomes of a trigger that is due: which fire is run, and which were missed.

Nothing here knows of a database or the API. Every moment is UTC without a zone.

A fire may run until its window has passed. Those that were not run by then, since no engine
was there or the clock jumped, are missed. Of these the trigger's ``catch_up`` lets none run,
or the latest; that one is missed like the others, though, if a later fire runs anyway.
"""

import dataclasses
import datetime
import hashlib
import itertools
from collections.abc import Callable, Iterator

from karbor.services.schedules import time_triggers

_MOST_COUNTED = 1000
_FIRST_LOOK_BACK = datetime.timedelta(hours=1)

_Moment = datetime.datetime


@dataclasses.dataclass(frozen=True)
class Missed:
    """Fires that are not run.

    :ivar count: how many; at least so many if ``is_more``.
    """

    first: _Moment
    last: _Moment
    count: int
    is_more: bool = False

    def __str__(self) -> str:
        if self.count == 1:
            return f'The fire of {self.first} UTC was missed'
        if self.is_more:
            return f'At least {self.count} fires from {self.first} UTC on were missed'
        return f'{self.count} fires from {self.first} to {self.last} UTC were missed'


@dataclasses.dataclass(frozen=True)
class Decision:
    """What becomes of a trigger that is due.

    :ivar run: the fire that is run now, if one is.
    :ivar missed: those before it that are not.
    :ivar last: the last of all that this decides on; the trigger goes on after it.
    """

    run: _Moment | None
    missed: Missed | None
    last: _Moment


def due_at(trigger: time_triggers.TimeTrigger, trigger_id: str, fire: _Moment) -> _Moment:
    """When a fire is run, put off by the trigger's jitter, if an engine is there."""
    if not trigger.jitter:
        return fire
    digest = hashlib.sha256(f'{trigger_id} {fire}'.encode()).digest()
    return fire + datetime.timedelta(seconds=int.from_bytes(digest[:8]) % (trigger.jitter + 1))


def decide(
    trigger: time_triggers.TimeTrigger, trigger_id: str, fire: _Moment, now: _Moment
) -> Decision:
    """What becomes of a trigger one of whose fires is due.

    :param fire: the first one that nothing is decided on yet.
    """
    window = datetime.timedelta(seconds=trigger.window)

    def is_missed(moment: _Moment) -> bool:
        return due_at(trigger, trigger_id, moment) + window < now

    if not is_missed(fire):
        return Decision(fire, None, fire)
    missed = _missed(trigger, fire, now, is_missed)
    if trigger.catch_up == time_triggers.CatchUp.SKIP or _runs_later(trigger, missed.last, now):
        return Decision(None, missed, missed.last)
    earlier = None if missed.count == 1 else _without_last(trigger, missed)
    return Decision(missed.last, earlier, missed.last)


def _missed(
    trigger: time_triggers.TimeTrigger,
    first: _Moment,
    now: _Moment,
    is_missed: Callable[[_Moment], bool],
) -> Missed:
    counted = list(
        itertools.islice(itertools.takewhile(is_missed, _from(trigger, first)), _MOST_COUNTED)
    )
    if len(counted) < _MOST_COUNTED:
        return Missed(first, counted[-1], len(counted))
    # Instead of all of a year of minutes, those are looked at that may be the last.
    look_back = _FIRST_LOOK_BACK
    while now - look_back > counted[-1]:
        fires = list(itertools.takewhile(is_missed, _from(trigger, now - look_back)))
        if fires:
            return Missed(first, fires[-1], _MOST_COUNTED, is_more=True)
        look_back *= 2
    last = max(itertools.takewhile(is_missed, _from(trigger, counted[-1])))
    return Missed(first, last, _MOST_COUNTED, is_more=True)


def _from(trigger: time_triggers.TimeTrigger, moment: _Moment) -> Iterator[_Moment]:
    return time_triggers.fires(trigger, moment - datetime.timedelta(microseconds=1))


def _runs_later(trigger: time_triggers.TimeTrigger, last: _Moment, now: _Moment) -> bool:
    """Whether a fire after the missed ones is due, and so runs anyway."""
    later = next(time_triggers.fires(trigger, last), None)
    return later is not None and later <= now


def _without_last(trigger: time_triggers.TimeTrigger, missed: Missed) -> Missed:
    if missed.is_more:
        return missed
    *_, last = itertools.islice(_from(trigger, missed.first), missed.count - 1)
    return Missed(missed.first, last, missed.count - 1)
