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

"""What is true of every sequence of runs, failures, losses, pins and changed rules.

The world is a model: a few checkpoints with the states that rows have, and what the cloud has.
Retention is the real one, but for the rows and jobs: what is to go is decided again as
:func:`removing.lock` does, and is gone at once, or fails.
"""

import dataclasses
import datetime
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import hypothesis
from hypothesis import strategies as st

from karbor.common.constants import RecoveryPointState as State
from karbor.resource import Key, Resource
from karbor.services.checkpoints.removing import Removal
from karbor.services.protection import graph
from karbor.services.protection.protection_plugin import Loss
from karbor.services.schedules import (
    histories,
    removal_plans,
    retention,
    retention_looks,
    retention_scopes,
)
from karbor.services.schedules.histories import Part
from karbor.tests import base

SETTINGS = hypothesis.settings(max_examples=200, deadline=None, database=None, derandomize=True)

BEGIN = datetime.datetime(2026, 3, 20)
ZONE = zoneinfo.ZoneInfo('Europe/Berlin')
SERVERS: tuple[Key, ...] = (('OS::Nova::Server', 's'), ('OS::Nova::Server', 't'))
VOLUMES: tuple[Key, ...] = tuple(('OS::Cinder::Volume', name) for name in 'abc')

# A point of a resource, by the checkpoint.
Place: TypeAlias = tuple[str, Key]


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of the operation, and its retention.

    :ivar hours: for how long nothing happens before.
    :ivar states: what it makes of each resource that it is about; without any, its checkpoint is
        empty.
    :ivar attached: what hangs on each server, be that in the run or not.
    """

    hours: int
    states: Mapping[Key, State]
    attached: Mapping[Key, Sequence[Key]]

    @property
    def is_good(self) -> bool:
        return State.GOOD in self.states.values()


@dataclasses.dataclass(frozen=True)
class Vanish:
    """Some points go from the cloud, or are broken there, and no row says so."""

    numbers: Sequence[int]
    is_gone: bool


@dataclasses.dataclass(frozen=True)
class Pin:
    """A person pins a checkpoint, or undoes that."""

    number: int


@dataclasses.dataclass(frozen=True)
class Delete:
    """A person deletes a checkpoint."""

    number: int


@dataclasses.dataclass(frozen=True)
class Change:
    """A person changes the rules; retention runs after a run that never made a checkpoint.

    :ivar fails: whether what it asks for fails.
    """

    policy: retention.Policy
    fails: bool


@dataclasses.dataclass
class Checkpoint:
    id: str
    created_at: datetime.datetime
    roots: Sequence[graph.GraphNode]
    states: dict[Key, State]
    pinned: bool = False
    provider_id: str = 'p'
    was_empty: bool = False


class World:
    """What there is, and what must be true of it."""

    def __init__(self, test: base.TestCase) -> None:
        self.test = test
        self.now = BEGIN
        self.policy = retention.Policy()
        self.checkpoints: dict[str, Checkpoint] = {}
        self.numbers = iter(range(1, 1000))
        #: what the cloud has not, or not good, and whether it is gone
        self.lost: dict[Place, bool] = {}
        #: by resource, the checkpoint with its newest good point, of those that were not lost
        #: and that no person has deleted
        self.wanted: dict[Key, str] = {}

    def run(self, event: Run) -> None:
        self.now += datetime.timedelta(hours=event.hours)
        before = self.judged()
        made = Checkpoint(
            id=f'{next(self.numbers):03}',
            created_at=self.now,
            roots=list(_graph(event)),
            states=dict(event.states),
            was_empty=not event.states,
        )
        self.checkpoints[made.id] = made
        self.wanted |= {key: made.id for key, state in event.states.items() if state == State.GOOD}
        self.check_that_a_run_frees_nothing(before, event)
        self.retain(just_made=made.id)

    def check_that_a_run_frees_nothing(self, before: Iterable[Part], event: Run) -> None:
        """What a rule holds that does not count stays held, and so does all after a failure."""
        after = {place for part in self.judged() if part.keep for place in self.places(part)}
        for part in before:
            if part.keep and part.is_good and (not event.is_good or self.is_held(part, event)):
                self.test.assertLessEqual(set(self.places(part)), after, part)

    def is_held(self, part: Part, event: Run) -> bool:
        """Whether any of the reasons why units stay is not about how many there are."""
        is_about_others = all(
            key not in event.states
            for unit in part.units
            for key in self.members(part.checkpoint_id, unit)
        )
        by_age = 'within retention_duration' in ' '.join(part.reasons)
        return by_age or any(
            reason.startswith(('it is pinned', 'keep_within'))
            or (is_about_others and 'the last good one' in reason)
            for reason in part.reasons
        )

    def retain(self, just_made: str | None = None, *, fails: bool = False) -> None:
        """Run retention until nothing new is lost, and see that once more changes nothing."""
        while self.retain_once(just_made, fails=fails):
            pass
        self.test.assertEqual(self.wanted, self.newest())
        if not fails:
            known = dict(self.rows())
            self.retain_once(just_made)
            self.test.assertEqual(known, dict(self.rows()))

    def retain_once(self, just_made: str | None, *, fails: bool = False) -> bool:
        """Run retention; returns whether it found that something is missing."""
        contents = self.contents()
        settled = retention_looks.settle(contents.histories, self.rules(just_made), self.look)
        missing = [
            place
            for place, loss in settled.losses.items()
            if loss.is_gone and not settled.is_doubtful
        ]
        for checkpoint_id, key in missing:
            self.checkpoints[checkpoint_id].states[key] = State.MISSING
        shares = removal_plans.shares(contents, settled.parts)
        for removal in removal_plans.removals(contents, shares).values():
            self.remove(removal, fails=fails)
        return bool(missing)

    def look(self, checkpoint_id: str, resources: Sequence[Key]) -> dict[Place, Loss]:
        return {
            (checkpoint_id, key): Loss('lost', is_gone=self.lost[checkpoint_id, key])
            for key in resources
            if (checkpoint_id, key) in self.lost
        }

    def remove(self, removal: Removal, *, fails: bool) -> None:
        checkpoint = self.checkpoints[removal.checkpoint_id]
        self.test.assertFalse(checkpoint.pinned)
        going = {
            key
            for unit in removal.units
            if all(self.may_go(checkpoint, key, removal.newest.get(key)) for key in unit)
            for key in unit
        }
        self.test.assertEqual({key for unit in removal.units for key in unit}, going)
        if fails:
            checkpoint.states.update(dict.fromkeys(going, State.FAILED))
            return
        for key in going:
            del checkpoint.states[key]
        if not checkpoint.states:
            del self.checkpoints[checkpoint.id]

    def may_go(self, checkpoint: Checkpoint, key: Key, newest: str | None) -> bool:
        state = checkpoint.states[key]
        if state != State.GOOD:
            return state in (State.FAILED, State.MISSING)
        return (
            newest is not None
            and newest != checkpoint.id
            and self.checkpoints[newest].states[key] == State.GOOD
        )

    def vanish(self, event: Vanish) -> None:
        left = [place for place, state in self.rows() if state == State.GOOD]
        for number in event.numbers if left else ():
            self.lost.setdefault(left[number % len(left)], event.is_gone)
        self.wanted = self.newest()

    def pin(self, event: Pin) -> None:
        for checkpoint in self.chosen(event.number):
            checkpoint.pinned = not checkpoint.pinned

    def delete(self, event: Delete) -> None:
        for checkpoint in self.chosen(event.number):
            del self.checkpoints[checkpoint.id]
        self.wanted = self.newest()

    def change(self, event: Change) -> None:
        self.policy = event.policy
        self.retain(fails=event.fails)

    def chosen(self, number: int) -> list[Checkpoint]:
        left = list(self.checkpoints.values())
        return [left[number % len(left)]] if left else []

    def rows(self) -> Iterator[tuple[Place, State]]:
        for checkpoint in self.checkpoints.values():
            for key, state in checkpoint.states.items():
                yield (checkpoint.id, key), state

    def newest(self) -> dict[Key, str]:
        """By resource, the newest checkpoint in which it is good in truth."""
        return {
            key: checkpoint_id
            for (checkpoint_id, key), state in self.rows()
            if state == State.GOOD and (checkpoint_id, key) not in self.lost
        }

    def contents(self) -> retention_scopes.Contents:
        made = histories.Histories(
            retention.Candidate(each.id, each.created_at, pinned=each.pinned)
            for each in self.checkpoints.values()
        )
        for each in self.checkpoints.values():
            for unit, members in retention_scopes.units(each.states, each.roots).items():
                made.add(each.id, unit, members)
        return retention_scopes.Contents(
            checkpoints=self.checkpoints,
            histories=made,
            points={each.id: len(each.states) for each in self.checkpoints.values()},
            empty=frozenset(each.id for each in self.checkpoints.values() if each.was_empty),
        )

    def rules(self, just_made: str | None = None) -> histories.Rules:
        return histories.Rules(policy=self.policy, now=self.now, zone=ZONE, just_made=just_made)

    def judged(self) -> list[Part]:
        return self.contents().histories.judge(self.rules())

    def places(self, part: Part) -> Iterator[Place]:
        for unit in part.units:
            for key in self.members(part.checkpoint_id, unit):
                yield part.checkpoint_id, key

    def members(self, checkpoint_id: str, unit: Key) -> Iterable[Key]:
        checkpoint = self.checkpoints[checkpoint_id]
        return retention_scopes.units(checkpoint.states, checkpoint.roots)[unit]


def _graph(event: Run) -> Iterator[graph.GraphNode]:
    """Each server of the run with what hangs on it and is in the run, and the other volumes."""
    nodes = {key: graph.GraphNode(Resource(*key, 'name')) for key in event.states}
    attached = set()
    for server, volumes in event.attached.items():
        if server in nodes:
            children = [key for key in volumes if key in nodes]
            attached.update(children)
            yield graph.GraphNode(nodes[server].value, tuple(nodes[key] for key in children))
    for key in VOLUMES:
        if key in nodes and key not in attached:
            yield nodes[key]


STATES = st.sampled_from([State.GOOD] * 5 + [State.FAILED] * 2 + [State.UNKNOWN])
ATTACHED = st.lists(st.sampled_from(VOLUMES), unique=True, max_size=2)
RUNS = st.builds(
    Run,
    st.sampled_from([1, 5, 24, 24, 24, 100]),
    st.dictionaries(st.sampled_from(SERVERS + VOLUMES), STATES),
    st.fixed_dictionaries(dict.fromkeys(SERVERS, ATTACHED)),
)
NUMBERS = st.integers(1, 3)
RULES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(retention.RULES, NUMBERS),
    'keep_within': st.integers(1, 100).map(lambda hours: datetime.timedelta(hours=hours)),
}
POLICIES = st.fixed_dictionaries({}, optional=RULES).map(lambda rules: retention.Policy(**rules))
PLACES = st.integers(0, 99)
EVENTS = st.one_of(
    RUNS,
    RUNS,
    RUNS,
    st.builds(Vanish, st.lists(PLACES, min_size=1, max_size=3), st.booleans()),
    st.builds(Pin, PLACES),
    st.builds(Delete, PLACES),
    st.builds(Change, POLICIES, st.sampled_from([False, False, True])),
)


# A volume is detached, and what was made of it since is lost before anything was removed.
BOTH = {SERVERS[0]: State.GOOD, VOLUMES[0]: State.GOOD}
DETACHED = [
    Run(24, BOTH, {SERVERS[0]: VOLUMES[:1]}),
    Run(24, BOTH, {}),
    Vanish([3], is_gone=True),
    Change(retention.Policy(keep_last=1), fails=False),
]


class EverySequenceTest(base.TestCase):
    @SETTINGS
    @hypothesis.given(POLICIES, st.lists(EVENTS, max_size=20))
    @hypothesis.example(retention.Policy(), DETACHED)
    def test_what_must_be_true(self, policy: retention.Policy, events: list[Any]) -> None:
        """The newest good point of each resource stays, twice changes nothing, and a run more
        frees nothing that is held whatever the number."""
        world = World(self)
        world.policy = policy
        for event in events:
            getattr(world, type(event).__name__.lower())(event)
            self.assertEqual(world.wanted, world.newest())
