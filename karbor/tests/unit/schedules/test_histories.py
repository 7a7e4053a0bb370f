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

"""What retention makes of the points of many resources, of units, and of what is not good."""

import dataclasses
import datetime
import zoneinfo
from collections.abc import Mapping, Sequence

from karbor.common.constants import RecoveryPointState as State
from karbor.resource import Key, Resource
from karbor.services.protection import graph
from karbor.services.schedules import retention, retention_scopes
from karbor.services.schedules.histories import Histories, Part, Rules
from karbor.tests import base

NOW = datetime.datetime(2026, 11, 22, 12)
UTC = zoneinfo.ZoneInfo('UTC')
KEEP_ONE = Rules(policy=retention.Policy(keep_last=1), now=NOW, zone=UTC)

SERVER: Key = ('OS::Nova::Server', 's')
A: Key = ('OS::Cinder::Volume', 'a')
B: Key = ('OS::Cinder::Volume', 'b')

# One letter a checkpoint, the oldest first; a dot is where there is none.
STATES = {
    'g': State.GOOD,
    'f': State.FAILED,
    'm': State.MISSING,
    'u': State.UNKNOWN,
    'v': State.FAILED,  # and nothing is left of it
    'k': State.MAKING,
    'd': State.DELETING,
}


def dated(count: int, pinned: str = '') -> list[retention.Candidate]:
    """Checkpoints that are called 1, 2 and so on, one a day."""
    return [
        retention.Candidate(
            str(number), NOW - datetime.timedelta(count - number), pinned=str(number) in pinned
        )
        for number in range(1, count + 1)
    ]


def histories_of(pinned: str = '', **volumes: str) -> Histories:
    """Volumes by their names, with what checkpoints have of each."""
    made = Histories(dated(max(map(len, volumes.values())), pinned))
    for name, letters in volumes.items():
        key = 'OS::Cinder::Volume', name
        for number, letter in enumerate(letters, 1):
            if letter in STATES:
                made.add(str(number), key, {key: STATES[letter]}, {key} if letter == 'v' else ())
    return made


def verdicts(parts: Sequence[Part], unit: Key = A, count: int = 9) -> str:
    """What becomes of a unit: + stays, - goes, and a dot is where nothing is said."""
    said = {part.checkpoint_id: '-+'[part.keep] for part in parts if unit in part.units}
    return ''.join(said.get(str(number), '.') for number in range(1, count + 1)).rstrip('.')


def reasons(parts: Sequence[Part], checkpoint_id: str, unit: Key = A) -> list[str]:
    (part,) = (part for part in parts if part.checkpoint_id == checkpoint_id and unit in part.units)
    return list(part.reasons)


class StatesTest(base.TestCase):
    def test_what_becomes_of_a_volume(self) -> None:
        """With keep_last 1 or 2, and pins."""
        for letters, pinned, keep_last, wanted in (
            ('ggg', '', 1, '--+'),
            ('ggg', '', 2, '-++'),
            ('ggg', '1', 1, '+-+'),
            ('ggg', '3', 1, '-++'),
            # Failed ones are not counted; the newest stays while none is good since.
            ('gvv', '', 1, '+-+'),
            ('ggvv', '', 1, '-+-+'),
            # Those of which something may be left stay until a newer one is good.
            ('gff', '', 1, '+++'),
            ('ggff', '', 1, '-+++'),
            ('gffg', '', 1, '---+'),
            ('vf', '', 1, '-+'),
            ('fv', '', 1, '++'),
            ('fgf', '', 1, '-++'),
            ('fg', '', 1, '-+'),
            ('f', '', 1, '+'),
            ('ff', '', 1, '++'),
            ('vv', '', 1, '-+'),
            ('vv', '1', 1, '++'),
            ('ff', '1', 1, '++'),
            ('fg', '1', 1, '++'),
            ('gfg', '', 2, '+-+'),
            # Missing ones are not counted; they go when only newer ones stay.
            ('gm', '', 1, '++'),
            ('mg', '', 1, '-+'),
            ('gmg', '', 1, '--+'),
            ('gmg', '', 2, '+++'),
            ('mgg', '', 2, '-++'),
            ('mm', '', 1, '++'),
            ('mg', '1', 1, '++'),
            ('mf', '', 1, '++'),
            # What is worked on, and what nobody can tell, is neither counted nor touched.
            ('gug', '', 1, '-.+'),
            ('gku', '', 1, '+'),
            ('ugd', '', 1, '.+'),
            ('gug', '', 2, '+.+'),
            ('fu', '', 1, '+'),
            ('g..g', '', 1, '-..+'),
        ):
            rules = dataclasses.replace(KEEP_ONE, policy=retention.Policy(keep_last=keep_last))
            parts = histories_of(pinned, a=letters).judge(rules)
            self.assertEqual(wanted, verdicts(parts), (letters, pinned, keep_last))

    def test_without_a_rule_what_is_good_stays(self) -> None:
        rules = dataclasses.replace(KEEP_ONE, policy=retention.Policy())
        self.assertEqual('+-+-+', verdicts(histories_of(a='gfgfg').judge(rules)))
        self.assertEqual('++++', verdicts(histories_of(a='mgmg').judge(rules)))

    def test_what_is_missing_goes_only_if_it_would_go_if_it_were_good(self) -> None:
        for letters, keep_last, wanted in (
            ('mgg', 3, '+++'),
            ('mgg', 2, '-++'),
            ('ggm', 2, '+++'),
            ('gmg', 2, '+++'),
            ('mmgg', 3, '-+++'),
            ('mm', 1, '++'),
        ):
            rules = dataclasses.replace(KEEP_ONE, policy=retention.Policy(keep_last=keep_last))
            self.assertEqual(wanted, verdicts(histories_of(a=letters).judge(rules)), letters)

    def test_reasons(self) -> None:
        parts = histories_of('2', a='mmgvv', b='ggg').judge(KEEP_ONE)
        for number, wanted in (
            ('1', 'it is missing, and all good ones that stay are newer'),
            ('2', 'it is pinned'),
            ('4', 'it has failed, and a newer one is there'),
            ('5', 'it has failed, and no newer one is good'),
        ):
            self.assertEqual([wanted], reasons(parts, number))
        self.assertEqual(['it is the last good one', 'keep_last 1: number 1'], reasons(parts, '3'))
        self.assertEqual(['no keep rule holds it'], reasons(parts, '1', B))
        parts = histories_of(a='gmg').judge(
            dataclasses.replace(KEEP_ONE, policy=retention.Policy(keep_last=2))
        )
        self.assertEqual(['it is missing; no rule counts it'], reasons(parts, '2'))

    def test_whether_they_are_good(self) -> None:
        parts = histories_of(a='gfmg').judge(KEEP_ONE)
        self.assertEqual(
            {'1': True, '2': False, '3': False, '4': True},
            {part.checkpoint_id: part.is_good for part in parts},
        )

    def test_just_made(self) -> None:
        rules = dataclasses.replace(KEEP_ONE, just_made='2')
        parts = histories_of(a='ggg').judge(rules)
        self.assertEqual('-++', verdicts(parts))
        self.assertEqual(['it was just made'], reasons(parts, '2'))

    def test_each_resource_is_judged_by_itself(self) -> None:
        parts = histories_of(a='ggf', b='gg.', c='ggg').judge(KEEP_ONE)
        self.assertEqual('-++', verdicts(parts, A))
        self.assertEqual('-+', verdicts(parts, B))
        self.assertEqual('--+', verdicts(parts, ('OS::Cinder::Volume', 'c')))


class GroupsTest(base.TestCase):
    def test_the_same_history_is_judged_once(self) -> None:
        judged = []
        real = retention.judge

        def judge(*arguments: object) -> list[retention.Verdict]:
            judged.append(arguments)
            return real(*arguments)  # type: ignore[arg-type]

        self.patch(retention, 'judge', judge)
        volumes = {f'v{number}': ('ggg', 'gfg')[number % 2] for number in range(100)}
        parts = histories_of(**volumes).judge(KEEP_ONE)
        self.assertEqual(2, len(judged))
        self.assertEqual(6, len(parts))
        self.assertEqual({50}, {len(part.units) for part in parts})

    def test_a_loss_parts_those_of_the_same_history(self) -> None:
        made = histories_of(a='gg', b='gg')
        made.lose('2', A)
        self.assertEqual(
            ('+', '-+'), (verdicts(made.judge(KEEP_ONE)), verdicts(made.judge(KEEP_ONE), B))
        )


class LossTest(base.TestCase):
    def test_what_is_lost_is_neither_counted_nor_touched(self) -> None:
        made = histories_of(a='gggg')
        self.assertEqual('4', made.newest_good(A))
        made.lose('4', A)
        self.assertEqual('--+', verdicts(made.judge(KEEP_ONE)))
        self.assertEqual('3', made.newest_good(A))
        made.lose('2', A)
        self.assertEqual('-.+', verdicts(made.judge(KEEP_ONE)))
        made.lose('3', A)
        self.assertEqual('+', verdicts(made.judge(KEEP_ONE)))
        made.lose('1', A)
        self.assertEqual([], made.judge(KEEP_ONE))
        self.assertIsNone(made.newest_good(A))

    def test_of_what_never_was_good_there_is_no_newest(self) -> None:
        made = histories_of(a='fmu')
        self.assertIsNone(made.newest_good(A))
        self.assertIsNone(made.newest_good(B))

    def test_a_unit_that_loses_one_of_its_resources_is_not_good(self) -> None:
        made = Histories(dated(3))
        for number in '123':
            made.add(number, SERVER, {SERVER: State.GOOD, A: State.GOOD})
        made.lose('3', A)
        parts = made.judge(KEEP_ONE)
        self.assertEqual('-+', verdicts(parts, SERVER))
        self.assertEqual('3', made.newest_good(SERVER))
        self.assertEqual('2', made.newest_good(A))


class UnitsTest(base.TestCase):
    def made(self, *checkpoints: Mapping[Key, Mapping[Key, str]], pinned: str = '') -> Histories:
        made = Histories(dated(len(checkpoints), pinned))
        for number, units in enumerate(checkpoints, 1):
            for unit, letters in units.items():
                states = {key: STATES[letter] for key, letter in letters.items()}
                made.add(str(number), unit, states)
        return made

    def test_it_is_as_good_as_the_worst_in_it(self) -> None:
        for server, volume, wanted in (
            ('g', 'g', '-+'),
            ('g', 'f', '++'),
            ('f', 'g', '++'),
            ('m', 'g', '++'),
            ('f', 'm', '++'),
            ('g', 'u', '+'),
            ('d', 'f', '+'),
            ('k', 'g', '+'),
        ):
            parts = self.made(
                {SERVER: {SERVER: 'g', A: 'g'}}, {SERVER: {SERVER: server, A: volume}}
            ).judge(KEEP_ONE)
            self.assertEqual(wanted, verdicts(parts, SERVER), (server, volume))

    def test_it_stays_while_it_has_the_last_good_one_of_anything(self) -> None:
        """A volume is on the server no more, nor in the plan."""
        parts = self.made(
            {SERVER: {SERVER: 'g', A: 'g', B: 'g'}},
            {SERVER: {SERVER: 'g', A: 'g', B: 'g'}},
            {SERVER: {SERVER: 'g', A: 'g'}},
            {SERVER: {SERVER: 'g', A: 'g'}},
        ).judge(KEEP_ONE)
        self.assertEqual('-+-+', verdicts(parts, SERVER))
        self.assertEqual(
            ['it has the last good one of something in it'], reasons(parts, '2', SERVER)
        )

    def test_it_goes_once_all_in_it_is_good_elsewhere(self) -> None:
        """A volume is by itself by now."""
        made = self.made(
            {SERVER: {SERVER: 'g', A: 'g'}},
            {SERVER: {SERVER: 'g'}, A: {A: 'g'}},
        )
        parts = made.judge(KEEP_ONE)
        self.assertEqual('-+', verdicts(parts, SERVER))
        self.assertEqual('.+', verdicts(parts, A))
        self.assertEqual('2', made.newest_good(A))
        made.lose('2', A)
        self.assertEqual('++', verdicts(made.judge(KEEP_ONE), SERVER))

    def test_a_volume_by_itself_before_keeps_its_last_one(self) -> None:
        """It is another unit, of which that is the last good one."""
        parts = self.made({A: {A: 'g'}}, {A: {A: 'g'}}, {SERVER: {SERVER: 'g', A: 'g'}}).judge(
            KEEP_ONE
        )
        self.assertEqual('-+', verdicts(parts, A))
        self.assertEqual('..+', verdicts(parts, SERVER))

    def test_one_that_has_failed_stays_with_the_last_good_one_of_something_in_it(self) -> None:
        parts = self.made(
            {SERVER: {SERVER: 'g', A: 'g'}},
            {SERVER: {SERVER: 'f', A: 'g'}},
            {SERVER: {SERVER: 'f', A: 'f'}},
        ).judge(KEEP_ONE)
        self.assertEqual('+++', verdicts(parts, SERVER))
        self.assertEqual(
            ['it has the last good one of something in it'], reasons(parts, '2', SERVER)
        )

    def test_one_that_has_failed_goes_once_a_newer_one_is_good(self) -> None:
        parts = self.made({SERVER: {SERVER: 'f', A: 'g'}}, {SERVER: {SERVER: 'g', A: 'g'}}).judge(
            KEEP_ONE
        )
        self.assertEqual('-+', verdicts(parts, SERVER))

    def test_members(self) -> None:
        made = self.made(
            {SERVER: {SERVER: 'g', A: 'g'}}, {SERVER: {A: 'g'}}, {SERVER: {SERVER: 'g'}}
        )
        self.assertEqual(
            [{SERVER, A}, {A}, {SERVER}],
            [set(made.members(number, SERVER)) for number in '123'],
        )


def node(key: Key, *children: graph.GraphNode) -> graph.GraphNode:
    return graph.GraphNode(Resource(*key, 'name'), children)


class GraphUnitsTest(base.TestCase):
    """Which resources are one unit."""

    def assert_units(self, wanted: Sequence[str], *roots: graph.GraphNode) -> None:
        """Each unit has its top first; the states are of all that has points."""
        keys = {
            (node.value.type, node.value.id): State.GOOD
            for node in graph.walk_nodes(roots)
            if node.value.type != 'OS::Keystone::Project'
        }
        found = retention_scopes.units(keys, roots)
        self.assertEqual(
            {text[0]: set(text) for text in wanted},
            {top[1]: {key[1] for key in members} for top, members in found.items()},
        )

    def test_units(self) -> None:
        a, b, c = (node(('OS::Cinder::Volume', name)) for name in 'abc')
        snapshot = node(('Third::Snapshot', 'n'))
        server, other = ('OS::Nova::Server', 's'), ('OS::Nova::Server', 't')
        project = ('OS::Keystone::Project', 'p')
        self.assert_units(['a', 'b'], a, b)
        self.assert_units(['sab', 'c'], node(server, a, b), c)
        self.assert_units(['s'], node(server))
        # A project is no unit, though all hangs on it.
        self.assert_units(['sa', 'b'], node(project, node(server, a), b))
        # All that hangs on what hangs on it.
        below = node(('OS::Cinder::Volume', 'a'), snapshot)
        self.assert_units(['san', 'b'], node(server, below), b)
        self.assert_units(['an', 'b'], node(project, below, b))
        # What two share makes them one; the top is the one that is seen last.
        self.assert_units(['tsab'], node(server, a, b), node(other, b))
        self.assert_units(['tsabc'], node(project, node(server, a, c), node(other, b, c)))
        self.assert_units(['san'], node(server, below, snapshot))

    def test_what_has_no_point_any_more_is_left_out(self) -> None:
        roots = [node(SERVER, node(A), node(B))]
        self.assertEqual(
            {SERVER: {A: State.FAILED}}, retention_scopes.units({A: State.FAILED}, roots)
        )

    def test_without_a_graph_each_is_by_itself(self) -> None:
        states = {A: State.GOOD, B: State.FAILED}
        self.assertEqual(
            {A: {A: State.GOOD}, B: {B: State.FAILED}}, retention_scopes.units(states, ())
        )
