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

"""The release before works on the schema of this one, and is replaced while all goes on.

By hand, and for longer: ``tools/upgrade-runs``.
"""

import os
import pathlib
import time
from unittest import mock

import fixtures
from oslotest import base

from karbor.tests.integration import cloud, release_before, storms, upgrade_runs


class UpgradeTest(base.BaseTestCase):
    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '600'))
        super().setUp()
        self.seed = int(os.environ.get('KARBOR_SEED', time.time_ns() % 1_000_000))

    def test_without_its_history_it_says_what_is_needed(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        with mock.patch.object(cloud, 'ROOT', folder):
            error = self.assertRaises(release_before.NoHistoryError, release_before.unpack, folder)
        self.assertIn('a clone with the whole history', str(error))

    def test_mariadb(self) -> None:
        self._test('mariadb')

    def test_postgresql(self) -> None:
        self._test('postgresql')

    def _test(self, database: str) -> None:
        conditions = storms.Conditions(database, storms.ROWS, self.seed, lease=60)
        self.assertTrue(upgrade_runs.run(1, conditions))
