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

"""What retention removes, put together a checkpoint."""

import datetime
import types
import zoneinfo
from collections.abc import Sequence

from karbor.common.constants import RecoveryPointState as State
from karbor.resource import Key
from karbor.services.schedules import removal_plans, retention
from karbor.services.schedules.histories import Histories, Part, Rules
from karbor.services.schedules.removal_plans import Share
from karbor.services.schedules.retention_scopes import Contents
from karbor.tests import base

NOW = datetime.datetime(2026, 11, 22, 12)
RULES = Rules(policy=retention.Policy(keep_last=1), now=NOW, zone=zoneinfo.ZoneInfo('UTC'))
SERVER: Key = ('OS::Nova::Server', 's')
A: Key = ('OS::Cinder::Volume', 'a')
B: Key = ('OS::Cinder::Volume', 'b')


def contents_of(
    *checkpoints: dict[Key, dict[Key, State]], pinned: str = '', empty: str = ''
) -> Contents:
    """What some checkpoints have, by units, the oldest first; they are called 1, 2 and so on."""
    rows = {
        str(number): types.SimpleNamespace(
            id=str(number),
            provider_id=f'provider of {number}',
            created_at=NOW - datetime.timedelta(len(checkpoints) - number),
            pinned=str(number) in pinned,
        )
        for number in range(1, len(checkpoints) + 1)
    }
    histories = Histories(
        retention.Candidate(row.id, row.created_at, pinned=row.pinned) for row in rows.values()
    )
    for number, units in enumerate(checkpoints, 1):
        for unit, states in units.items():
            histories.add(str(number), unit, states, void=states)
    return Contents(
        checkpoints=rows,
        histories=histories,
        points={
            str(number): sum(map(len, units.values()))
            for number, units in enumerate(checkpoints, 1)
        },
        empty=frozenset(empty),
    )


def good(*keys: Key) -> dict[Key, dict[Key, State]]:
    return {key: {key: State.GOOD} for key in keys}


def shares_of(contents: Contents, rules: Rules = RULES) -> dict[str, Share]:
    shares = removal_plans.shares(contents, contents.histories.judge(rules))
    return {share.checkpoint_id: share for share in shares}


class SharesTest(base.TestCase):
    def test_newest_first(self) -> None:
        self.assertEqual(['3', '2', '1'], list(shares_of(contents_of(good(A), good(A), good(A)))))

    def test_a_whole_checkpoint(self) -> None:
        found = shares_of(contents_of(good(A, B), good(A, B)))
        self.assertFalse(found['1'].is_kept)
        self.assertEqual([[A], [B]], [list(unit) for unit in found['1'].going])
        self.assertEqual((0, 2), (found['1'].points_kept, found['1'].points_removed))
        self.assertEqual([], found['1'].reasons)
        self.assertEqual(['no keep rule holds it'], found['1'].removal_reasons)
        self.assertTrue(found['2'].is_kept)
        self.assertEqual((2, 0), (found['2'].points_kept, found['2'].points_removed))
        self.assertEqual([], found['2'].removal_reasons)

    def test_a_part(self) -> None:
        found = shares_of(contents_of(good(A, B), good(A)))['1']
        self.assertTrue(found.is_kept)
        self.assertEqual([[A]], [list(unit) for unit in found.going])
        self.assertEqual((1, 1), (found.points_kept, found.points_removed))
        self.assertEqual(['it is the last good one', 'keep_last 1: number 1'], found.reasons)
        self.assertEqual(['no keep rule holds it'], found.removal_reasons)
        self.assertEqual('provider of 1', found.provider_id)

    def test_a_unit_goes_together(self) -> None:
        unit = {SERVER: {SERVER: State.GOOD, A: State.GOOD}}
        found = shares_of(contents_of({**unit, **good(B)}, unit))['1']
        self.assertEqual([{SERVER, A}], [set(unit) for unit in found.going])
        self.assertEqual((1, 2), (found.points_kept, found.points_removed))

    def test_what_nothing_is_said_of_stays(self) -> None:
        unknown = {A: {A: State.UNKNOWN}}
        found = shares_of(contents_of(unknown, {**unknown, **good(B)}, good(A, B)))
        self.assertTrue(found['1'].is_kept)
        self.assertEqual(['what is in it is left as it is'], found['1'].reasons)
        self.assertTrue(found['2'].is_kept)
        self.assertEqual((1, 1), (found['2'].points_kept, found['2'].points_removed))

    def test_pinned(self) -> None:
        failed = {B: {B: State.FAILED}}
        found = shares_of(contents_of({**good(A), **failed}, good(A, B), pinned='1'))['1']
        self.assertTrue(found.is_kept)
        self.assertTrue(found.pinned)
        self.assertEqual([], found.going)
        self.assertEqual(['it is pinned'], found.reasons)

    def test_empty_ones_go_but_the_newest_of_all(self) -> None:
        found = shares_of(contents_of({}, {}, good(A), {}, pinned='1', empty='124'))
        self.assertEqual([True, False, True, True], [found[number].is_kept for number in '1234'])
        self.assertEqual(['it is pinned'], found['1'].reasons)
        self.assertEqual([], found['1'].removal_reasons)
        self.assertEqual(['there is nothing in it'], found['2'].removal_reasons)
        self.assertEqual(['it is the newest'], found['4'].reasons)
        found = shares_of(contents_of({}, {}, good(A), pinned='1', empty='12'))
        self.assertEqual([True, False, True], [found[number].is_kept for number in '123'])

    def test_the_newest_stays_though_it_is_empty_and_pinned(self) -> None:
        found = shares_of(contents_of({}, pinned='1', empty='1'))['1']
        self.assertEqual(['it is the newest', 'it is pinned'], found.reasons)

    def test_without_points_that_are_yet_to_be_written(self) -> None:
        """Nothing is known of what is in it."""
        found = shares_of(contents_of({}, good(A)))['1']
        self.assertTrue(found.is_kept)
        self.assertEqual(['what is in it is left as it is'], found.reasons)

    def test_each_reason_once_and_not_too_many(self) -> None:
        parts = [
            Part(checkpoint_id='1', units=[key], keep=keep, reasons=[f'reason {number % 13}'])
            for keep in (True, False)
            for number, key in enumerate([A, B] * 20)
        ]
        (share,) = removal_plans.shares(contents_of(good(A, B)), parts)
        wanted = [*(f'reason {number}' for number in range(10)), 'and 3 more reasons']
        self.assertEqual(wanted, share.reasons)
        self.assertEqual(wanted, share.removal_reasons)


class RemovalsTest(base.TestCase):
    def removals(self, contents: Contents) -> Sequence[tuple[str, set[Key], dict[Key, str]]]:
        found = removal_plans.removals(contents, shares_of(contents).values())
        for number, removal in found.items():
            self.assertEqual(number, removal.checkpoint_id)
            self.assertEqual(f'provider of {number}', removal.provider_id)
        return [
            (number, {key for unit in removal.units for key in unit}, dict(removal.newest))
            for number, removal in found.items()
        ]

    def test_the_oldest_first_with_where_the_newest_is(self) -> None:
        self.assertEqual(
            [('1', {A, B}, {A: '4', B: '3'}), ('2', {B}, {B: '3'}), ('3', {A}, {A: '4'})],
            self.removals(contents_of(good(A, B), good(B), good(A, B), good(A))),
        )

    def test_empty_ones(self) -> None:
        self.assertEqual([('1', set(), {})], self.removals(contents_of({}, good(A), empty='1')))

    def test_of_what_never_was_good_there_is_no_newest(self) -> None:
        failed = {A: {A: State.FAILED}}
        self.assertEqual([('1', {A}, {})], self.removals(contents_of(failed, failed)))

    def test_nothing(self) -> None:
        self.assertEqual([], self.removals(contents_of(good(A), good(B))))
