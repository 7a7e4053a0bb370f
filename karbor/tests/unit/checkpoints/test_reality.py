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

"""What recovery points become by what is listed: the judgement, in a table."""

import dataclasses

from oslotest import base

from karbor.common.constants import RecoveryPointState as State
from karbor.db.reality import StoredPoint
from karbor.resource import Resource
from karbor.services.checkpoints import reality

POINT = StoredPoint(
    id='p1',
    checkpoint_id='c1',
    project_id='mine',
    plan_id='plan',
    resource=Resource('OS::Cinder::Volume', 'v1', 'data'),
    cloud_id='s1',
    state=State.GOOD,
    was_good=True,
    region='A',
)


def point(name: str, **fields: object) -> StoredPoint:
    """A good point of snapshot ``name``, in a checkpoint of its own."""
    values = {'id': name, 'cloud_id': name, 'checkpoint_id': f'c-{name}', **fields}
    return dataclasses.replace(POINT, **values)


LOST = {'state': State.MISSING}


class CompareTest(base.BaseTestCase):
    def test_the_table(self) -> None:
        """Points, what is listed; which are absent, which found, whether there is a doubt."""
        ok = 'available'
        for points, listed, absent, found, is_doubtful in (
            # What is listed is good, in whatever status.
            ([point('a')], {'a': ok}, '', '', False),
            ([point('a')], {'a': 'error'}, '', '', False),
            ([point('a')], {'a': 'deleting'}, '', '', False),
            # What is not is asked for: a single one, and up to half of them.
            ([point('a')], {}, 'a', '', False),
            ([point('a'), point('b')], {'b': ok}, 'a', '', False),
            ([point('a'), point('b')], {}, '', '', True),
            ([point(n) for n in 'abcd'], {'c': ok, 'd': ok}, 'ab', '', False),
            ([point(n) for n in 'abc'], {'c': ok}, '', '', True),
            # What is missing before counts neither among all nor among what vanishes.
            ([point(n) for n in 'ab'] + [point(n, **LOST) for n in 'cd'], {}, '', '', True),
            ([*map(point, 'ab'), point('c', **LOST)], {'b': ok}, 'a', '', False),
            ([point('a', **LOST), point('b', **LOST)], {}, '', '', False),
            # What is seen well again is found, unless it never was good, or there is a doubt.
            ([point('a', **LOST)], {'a': ok}, '', 'a', False),
            ([point('a', **LOST)], {'a': 'creating'}, '', '', False),
            ([point('a', **LOST)], {'a': 'error'}, '', '', False),
            ([point('a', **LOST, was_good=False)], {'a': ok}, '', '', False),
            ([point('a', **LOST), point('b'), point('c')], {'a': ok}, '', '', True),
            # Nothing is known of what was made in another region, or nobody knows where, which is
            # told.
            ([point('a', region='B')], {}, '', '', True),
            ([point('a', region='B'), point('b')], {'b': ok}, '', '', True),
            ([point('a', region=None)], {}, '', '', True),
        ):
            seen = reality.compare(points, listed, 'A', is_cloud_seen=True)
            self.assertEqual(
                (absent, found, is_doubtful),
                (
                    ''.join(each.id for each in seen.absent),
                    ''.join(each.id for each in seen.found),
                    seen.remarks['mine'] is not None if seen.remarks else None,
                ),
                (points, listed),
            )

    def test_a_checkpoint_whose_region_is_not_known(self) -> None:
        """It is of this one when something of it is here; then the rest is compared."""
        points = [
            point(name, region=None, checkpoint_id=checkpoint_id)
            for name, checkpoint_id in (('a', 'c1'), ('b', 'c1'), ('c', 'c2'))
        ]
        seen = reality.compare(points, {'a': 'available'}, 'A', is_cloud_seen=True)
        self.assertEqual({'c1'}, seen.located)
        self.assertEqual(['b'], [each.id for each in seen.absent])
        self.assertIn('1 recovery point is not compared', str(seen.remarks['mine']))

    def test_a_region_without_a_name(self) -> None:
        points = [point('a', region=None), point('b')]
        seen = reality.compare(points, {}, None, is_cloud_seen=True)
        self.assertEqual(['a'], [each.id for each in seen.absent])
        self.assertEqual(set(), seen.located)
        self.assertIn('1 recovery point is not compared', str(seen.remarks['mine']))

    def test_a_cloud_of_which_nothing_is_seen(self) -> None:
        """However few they are, none is taken for lost there."""
        for names, count in (('a', '1 of 1'), ('ab', '2 of 2')):
            seen = reality.compare([*map(point, names)], {}, 'A', is_cloud_seen=False)
            self.assertEqual([], seen.absent)
            for part in (count, 'it may be another cloud'):
                self.assertIn(part, str(seen.remarks['mine']))
        nothing_good = [point('a', **LOST)]
        seen = reality.compare(nothing_good, {}, 'A', is_cloud_seen=False)
        self.assertEqual({'mine': None}, seen.remarks)

    def test_each_project_by_itself(self) -> None:
        points = [point(name) for name in 'ab'] + [point(n, project_id='theirs') for n in 'cd']
        seen = reality.compare(points, {'a': 'available'}, 'A', is_cloud_seen=True)
        self.assertEqual(['b'], [each.id for each in seen.absent])
        self.assertIsNone(seen.remarks['mine'])
        self.assertIn('2 of 2', str(seen.remarks['theirs']))
