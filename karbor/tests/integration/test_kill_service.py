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

"""A cloud's Karbor killed at random moments, on each job board: see :mod:`kill_runs`."""

import os
import time

import fixtures
from oslotest import base

from karbor.tests.integration import kill_runs, storms

# By hand: tools/kill-runs
_KILLS = 6


class KillServiceTest(base.BaseTestCase):
    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '600'))
        super().setUp()
        self.seed = int(os.environ.get('KARBOR_SEED', time.time_ns() % 1_000_000))

    def test_redis_and_mariadb(self) -> None:
        self._test('mariadb', 'redis')

    def test_etcd_and_postgresql(self) -> None:
        self._test('postgresql', 'etcd')

    def _test(self, database: str, board: str) -> None:
        self.assertTrue(kill_runs.run(_KILLS, storms.Conditions(database, board, self.seed)))
