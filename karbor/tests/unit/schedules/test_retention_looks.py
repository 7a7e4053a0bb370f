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

"""What is looked at before retention removes anything, and what becomes of it when it is lost."""

import datetime
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence

from karbor.common.constants import RecoveryPointState as State
from karbor.resource import Key
from karbor.services.protection.protection_plugin import Loss
from karbor.services.schedules import retention, retention_looks
from karbor.services.schedules.histories import Histories, Part, Rules
from karbor.tests import base

NOW = datetime.datetime(2026, 11, 22, 12)
SERVER: Key = ('OS::Nova::Server', 's')
A: Key = ('OS::Cinder::Volume', 'a')
B: Key = ('OS::Cinder::Volume', 'b')
C: Key = ('OS::Cinder::Volume', 'c')
GOOD, FAILED = State.GOOD, State.FAILED

# What checkpoints have, the oldest first: units, by the resources at their tops.
Made = Mapping[Key, Mapping[Key, State]]


def histories_of(checkpoints: Sequence[Made]) -> Histories:
    """Checkpoints that are called 1, 2 and so on, one a day."""
    dated = [
        retention.Candidate(str(number), NOW - datetime.timedelta(len(checkpoints) - number))
        for number in range(1, len(checkpoints) + 1)
    ]
    made = Histories(dated)
    for number, units in enumerate(checkpoints, 1):
        for unit, states in units.items():
            made.add(str(number), unit, states)
    return made


def going(parts: Iterable[Part]) -> set[tuple[str, Key]]:
    return {(part.checkpoint_id, unit) for part in parts if not part.keep for unit in part.units}


class SettleTest(base.TestCase):
    def settled(
        self, checkpoints: Sequence[Made], *lost: tuple[str, Key], keep_last: int = 1
    ) -> set[tuple[str, Key]]:
        """What goes; what was looked at is kept beside."""
        self.looks: list[tuple[str, Key]] = []

        def look(checkpoint_id: str, resources: Sequence[Key]) -> Mapping[tuple[str, Key], Loss]:
            asked = [(checkpoint_id, key) for key in resources]
            self.looks += asked
            return {place: Loss('gone', is_gone=True) for place in asked if place in lost}

        rules = Rules(
            policy=retention.Policy(keep_last=keep_last), now=NOW, zone=zoneinfo.ZoneInfo('UTC')
        )
        self.result = retention_looks.settle(histories_of(checkpoints), rules, look)
        self.assertEqual(len(set(self.looks)), len(self.looks), 'something was looked at twice')
        self.assertEqual(len(self.looks), self.result.count)
        return going(self.result.parts)

    def test_where_nothing_goes_nothing_is_looked_at(self) -> None:
        self.assertEqual(set(), self.settled([{A: {A: GOOD}}], ('1', A)))
        self.assertEqual([], self.looks)

    def test_only_what_stays_of_what_goes_is_looked_at(self) -> None:
        made = [{A: {A: GOOD}}, {A: {A: GOOD}, B: {B: GOOD}}]
        self.assertEqual({('1', A)}, self.settled(made))
        self.assertEqual([('2', A)], self.looks)

    def test_what_takes_the_place_of_the_lost_is_looked_at_as_well(self) -> None:
        both = {A: {A: GOOD}, B: {B: GOOD}, C: {C: GOOD}}
        self.assertEqual(
            {('1', A), ('1', B), ('2', B), ('1', C), ('2', C)},
            self.settled([both] * 3, ('3', A)),
        )
        self.assertEqual({('3', A), ('3', B), ('3', C), ('2', A)}, set(self.looks))
        self.assertEqual({('3', A)}, set(self.result.losses))

    def test_more_than_half_lost_is_not_believed(self) -> None:
        made = [{A: {A: GOOD}, B: {B: GOOD}}] * 2
        self.assertEqual({('1', B)}, self.settled(made, ('2', A)))
        self.assertFalse(self.result.is_doubtful)
        self.assertEqual(set(), self.settled(made, ('2', A), ('2', B)))
        self.assertTrue(self.result.is_doubtful)

    def test_what_is_seen_is_relied_on_though_most_is_not(self) -> None:
        made = [{A: {A: GOOD}, B: {B: GOOD}, C: {C: GOOD}}] * 3
        lost = [(number, key) for number in ('2', '3') for key in (A, B)]
        self.assertEqual({('1', C), ('2', C)}, self.settled(made, *lost))
        self.assertTrue(self.result.is_doubtful)

    def test_the_newest_is_looked_at_though_it_is_in_another_unit_by_now(self) -> None:
        """The volume was detached from its server, and its snapshot is lost since."""
        attached = {SERVER: {SERVER: GOOD, A: GOOD}}
        made = [attached, {SERVER: {SERVER: GOOD}, A: {A: GOOD}}]
        self.assertEqual({('1', SERVER)}, self.settled(made))
        self.assertEqual({('2', SERVER), ('2', A)}, set(self.looks))
        self.assertEqual(set(), self.settled(made, ('2', A)))

    def test_the_newest_is_looked_at_though_the_rest_of_its_unit_has_failed(self) -> None:
        made = [
            {SERVER: {SERVER: GOOD, A: GOOD}},
            {SERVER: {SERVER: GOOD}},
            {SERVER: {SERVER: FAILED, A: GOOD}},
        ]
        self.assertEqual({('1', SERVER)}, self.settled(made))
        self.assertEqual({('2', SERVER), ('3', A)}, set(self.looks))
        self.assertEqual(set(), self.settled(made, ('3', A)))
