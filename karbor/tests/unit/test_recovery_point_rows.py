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

"""How the rows of recovery points are found, locked and changed."""

import unittest

import sqlalchemy as sa

from karbor import db
from karbor.common.constants import RecoveryPointState as State
from karbor.db import batches, models, point_removal
from karbor.tests import base, schedule_rows

# More than one statement names.
VOLUMES = [('OS::Cinder::Volume', f'{number:04}') for number in range(batches.SIZE + 1)]
SERVERS = [('OS::Nova::Server', f'{number:04}') for number in range(3)]
KEYS = VOLUMES + SERVERS


class OfResourcesTest(base.TestCase):
    """Statements that name resources."""

    def setUp(self) -> None:
        super().setUp()
        with db.writer() as session:
            session.execute(
                sa.insert(models.RecoveryPoint),
                [
                    {
                        'id': base.new_id(),
                        'checkpoint_id': checkpoint_id,
                        'resource_type': resource_type,
                        'resource_id': resource_id,
                        'resource_name': '',
                        'project_id': base.PROJECT_ID,
                        'provider_id': base.PROVIDER_ID,
                        'plan_id': 'plan',
                        'state': State.GOOD,
                    }
                    for checkpoint_id in ('old', 'new')
                    for resource_type, resource_id in KEYS
                ],
            )

    def test_those_named_are_changed(self) -> None:
        named = [*VOLUMES[1:], SERVERS[2]]
        with db.writer() as session:
            point_removal.begin_removal(session, 'old', named)
            self.assertEqual(
                set(named), point_removal.keys_in_states(session, 'old', (State.DELETING,))
            )
            self.assertEqual(set(KEYS), point_removal.keys_in_states(session, 'new', State))
            self.assertEqual(
                {VOLUMES[0], *SERVERS[:2]}, point_removal.lock_good(session, 'old', KEYS)
            )
            self.assertEqual(set(named), point_removal.lock_good(session, 'new', named))

    def test_a_type_and_an_id_of_different_ones_name_none(self) -> None:
        with db.writer() as session:
            point_removal.begin_removal(session, 'old', [('OS::Nova::Server', VOLUMES[7][1])])
            point_removal.begin_removal(session, 'old', [])
            self.assertEqual(set(KEYS), point_removal.lock_good(session, 'old', KEYS))

    @unittest.skipUnless(base.DATABASE == 'sqlite', 'SQL is explained in SQLite')
    def test_each_is_found_by_an_index(self) -> None:
        """None goes through all that a checkpoint has, which would be done again a batch."""
        plan = schedule_rows.explained(
            lambda session: point_removal.lock_good(session, 'old', [*SERVERS, *VOLUMES[:2]])
        )
        searches = [line for line in plan.splitlines() if 'recovery_points' in line]
        self.assertEqual(2, len(searches), plan)
        for line in searches:
            self.assertIn('checkpoint_id=? AND resource_type=? AND resource_id=?', line)
