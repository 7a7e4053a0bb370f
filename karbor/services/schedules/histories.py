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

"""What retention makes of the recovery points of all resources in some checkpoints.

Each resource's good points are judged by themselves, see :mod:`retention`, and those of the same
history once. A resource with what hangs on it in the graph is one unit: it is good in a
checkpoint where all of it is, and stays while it has the newest good point of any of it.

What is not good is never counted. What has failed goes once a newer point of its unit is good;
one of which nothing is left in the cloud goes also when a newer one has failed, which then says
why. What is missing goes once it is older than all good ones that stay, and only if it would go if
it were good: that it is missing removes nothing. Of what is worked on, and
of what nobody can tell, nothing is touched.
"""

import dataclasses
import datetime
import zoneinfo
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from karbor.common.constants import RecoveryPointState as State
from karbor.resource import Key
from karbor.services.schedules import retention

# The state of a unit is the first of these in which any of it is.
_WORST_FIRST = (
    State.MAKING,
    State.DELETING,
    State.UNKNOWN,
    State.FAILED,
    State.MISSING,
    State.GOOD,
)

_NEEDED = 'it has the last good one of something in it'
_NEWEST_FAILED = 'it has failed, and no newer one is good'
_FAILED_BEFORE = 'it has failed, and a newer one is there'
_MISSING = 'it is missing; no rule counts it'
_MISSING_BEFORE = 'it is missing, and all good ones that stay are newer'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """What points are judged by.

    :ivar now: UTC without a zone.
    :ivar zone: whose wall clock says to which day a point belongs.
    :ivar just_made: id of the checkpoint after which is asked.
    """

    policy: retention.Policy
    now: datetime.datetime
    zone: zoneinfo.ZoneInfo
    just_made: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The units of one history in one checkpoint, and whether they stay.

    :ivar reasons: all that holds them or, if they go, why nothing does.
    """

    checkpoint_id: str
    units: Sequence[Key]
    keep: bool
    reasons: Sequence[str]
    is_good: bool = True


class _History(NamedTuple):
    """In which checkpoints a unit is in which state: the lowest bit is the newest one's.

    :ivar needed: where it has the newest good point of something that hangs on it.
    :ivar outgrown: where it has failed, and all in it has newer good points, in whatever units.
    """

    good: int = 0
    failed: int = 0
    missing: int = 0
    void: int = 0
    needed: int = 0
    outgrown: int = 0


_NO_HISTORY = _History()


class Histories:
    """The points of all resources in some checkpoints.

    :param checkpoints: those that are counted together, in any order.
    """

    def __init__(self, checkpoints: Iterable[retention.Candidate]) -> None:
        self._checkpoints = retention.sort(checkpoints)
        self._bits = {
            checkpoint.id: 1 << number for number, checkpoint in enumerate(self._checkpoints)
        }
        self._histories: dict[Key, _History] = {}
        # Of each resource by itself, as the units that it is in may change.
        self._good: dict[Key, int] = {}
        self._units: dict[tuple[str, Key], Key] = {}
        self._members: dict[tuple[str, Key], Sequence[Key]] = {}
        self._void: set[tuple[str, Key]] = set()  # of units of several resources

    def add(
        self,
        checkpoint_id: str,
        unit: Key,
        states: Mapping[Key, State],
        void: Collection[Key] = (),
    ) -> None:
        """Tell what a checkpoint has of a unit.

        :param unit: the resource at its top.
        :param states: of the points of the resources in it, of which none is deleted.
        :param void: those that have failed, and of which nothing is known to be in the cloud.
        """
        bit = self._bits[checkpoint_id]
        if tuple(states) != (unit,):
            self._members[checkpoint_id, unit] = tuple(states)
            self._units.update({(checkpoint_id, member): unit for member in states})
            self._void.update((checkpoint_id, member) for member in states if member in void)
        for member, state in states.items():
            if state == State.GOOD:
                self._good[member] = self._good.get(member, 0) | bit
        history = self._histories.get(unit, _NO_HISTORY)
        state = min(states.values(), key=_WORST_FIRST.index)
        if state == State.GOOD:
            history = history._replace(good=history.good | bit)
        elif state == State.FAILED:
            is_void = all(member in void for member in states)
            history = history._replace(
                failed=history.failed | bit, void=history.void | (bit if is_void else 0)
            )
        elif state == State.MISSING:
            history = history._replace(missing=history.missing | bit)
        self._histories[unit] = history

    def lose(self, checkpoint_id: str, resource: Key) -> None:
        """Tell that a point is not good, though it was; it is neither counted nor touched."""
        bit = self._bits[checkpoint_id]
        self._good[resource] &= ~bit
        unit = self._units.get((checkpoint_id, resource), resource)
        history = self._histories[unit]
        self._histories[unit] = history._replace(good=history.good & ~bit)

    def members(self, checkpoint_id: str, unit: Key) -> Sequence[Key]:
        """The resources of a unit in a checkpoint."""
        return self._members.get((checkpoint_id, unit), (unit,))

    def newest_good(self, resource: Key) -> str | None:
        """The checkpoint with the newest good point of a resource, if there is any."""
        good = self._good.get(resource, 0)
        return self._checkpoints[(good & -good).bit_length() - 1].id if good else None

    def judge(self, rules: Rules) -> list[Part]:
        """Which points stay and which go."""
        needed = self._needed()
        groups: dict[_History, list[Key]] = {}
        for unit, history in self._histories.items():
            whole = history
            if self._units:
                whole = history._replace(
                    needed=needed.get(unit, 0), outgrown=self._outgrown(unit, history)
                )
            groups.setdefault(whole, []).append(unit)
        return [
            part
            for history, units in groups.items()
            for part in self._judge_group(history, units, rules)
        ]

    def _needed(self) -> dict[Key, int]:
        """By unit of several resources, where the newest good point of any of them is."""
        needed: dict[Key, int] = {}
        if not self._units:
            return needed
        for resource in self._good:
            newest = self.newest_good(resource)
            unit = None if newest is None else self._units.get((newest, resource))
            if newest is not None and unit is not None:
                needed[unit] = needed.get(unit, 0) | self._bits[newest]
        return needed

    def _outgrown(self, unit: Key, history: _History) -> int:
        """Where a unit has failed and is of no use, as newer points have what is in it."""
        return sum(
            self._bits[checkpoint.id]
            for checkpoint in self._in(history.failed)
            if all(
                self._is_outdone(checkpoint.id, member, history)
                for member in self.members(checkpoint.id, unit)
            )
        )

    def _is_outdone(self, checkpoint_id: str, member: Key, history: _History) -> bool:
        newer = self._bits[checkpoint_id] - 1  # they have the lower bits
        has_failed_again = (checkpoint_id, member) in self._void and history.failed & newer
        return bool(self._good.get(member, 0) & newer or has_failed_again)

    def _judge_group(self, history: _History, units: Sequence[Key], rules: Rules) -> Iterator[Part]:
        verdicts = retention.judge(
            self._candidates(history), rules.policy, rules.now, rules.zone, rules.just_made
        )
        staying = 0
        for verdict in verdicts:
            if verdict.keep:
                staying |= self._bits[verdict.candidate.id]
            yield Part(
                checkpoint_id=verdict.candidate.id,
                units=units,
                keep=verdict.keep,
                reasons=verdict.reasons,
            )
        held = self._held(history, rules) if history.missing else 0
        yield from self._judge_bad(history, staying, held, units)

    def _held(self, history: _History, rules: Rules) -> int:
        """Where points would stay if those were good that are missing."""
        whole = history._replace(good=history.good | history.missing)
        verdicts = retention.judge(
            self._candidates(whole), rules.policy, rules.now, rules.zone, rules.just_made
        )
        return sum(self._bits[verdict.candidate.id] for verdict in verdicts if verdict.keep)

    def _candidates(self, history: _History) -> Iterator[retention.Candidate]:
        for checkpoint in self._in(history.good):
            is_needed = history.needed & self._bits[checkpoint.id]
            yield dataclasses.replace(checkpoint, needed_for=_NEEDED) if is_needed else checkpoint

    def _judge_bad(
        self, history: _History, staying: int, held: int, units: Sequence[Key]
    ) -> Iterator[Part]:
        """What becomes of points that have failed or are missing.

        :param staying: where the good ones are that stay.
        :param held: where missing ones would stay if they were good.
        """
        for checkpoint in self._in(history.failed | history.missing):
            bit = self._bits[checkpoint.id]
            if checkpoint.pinned or history.needed & bit:
                reason = 'it is pinned' if checkpoint.pinned else _NEEDED
                keep = True
            elif history.failed & bit:
                newer = staying | (history.failed if history.void & bit else 0)
                is_outdone = bool(newer & (bit - 1))  # newer ones have the lower bits
                keep = not is_outdone and not history.outgrown & bit
                reason = _NEWEST_FAILED if keep else _FAILED_BEFORE
            else:
                is_newest = not staying or staying.bit_length() > bit.bit_length()
                keep = is_newest or bool(held & bit)
                reason = _MISSING if keep else _MISSING_BEFORE
            yield Part(
                checkpoint_id=checkpoint.id,
                units=units,
                keep=keep,
                reasons=(reason,),
                is_good=False,
            )

    def _in(self, mask: int) -> Iterator[retention.Candidate]:
        """The checkpoints of a mask, newest first."""
        while mask:
            lowest = mask & -mask
            yield self._checkpoints[lowest.bit_length() - 1]
            mask ^= lowest
