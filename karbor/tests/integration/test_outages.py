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

"""Outages of seconds in the middle of the work of a cloud's Karbor.

By hand, and for longer: ``tools/outages``.
"""

import pathlib

import fixtures
from oslotest import base

from karbor.tests.integration import disk_outages, outage_trials, service_outages


class OutagesTest(base.BaseTestCase):
    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '600'))
        super().setUp()

    def test_services_with_mariadb_and_redis(self) -> None:
        self._test_services(
            'mariadb',
            'redis',
            'mariadb-restart',
            'keystone-down',
            'cinder-503',
            'redis-flush',
            'board-down',
        )

    def test_services_with_postgresql_and_etcd(self) -> None:
        self._test_services('postgresql', 'etcd', 'postgresql-restart', 'board-down')

    def test_swift(self) -> None:
        self._test_services('', 'redis', 'swift-away')

    def test_disk_of_sqlite(self) -> None:
        self._test_disk('disk-full-sqlite')

    def test_disk_of_the_bank(self) -> None:
        self._test_disk('disk-full-bank')

    def _test_services(self, database: str, board: str, *names: str) -> None:
        """One after the other; what they have put off is waited for together."""
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        store = service_outages.OUTAGES[names[0]].store
        ground = outage_trials.Ground(folder, database, board, store)
        self.addCleanup(ground.stop)
        self.addOnException(
            lambda _: print(  # noqa: T201
                ground.karbor.log.read_text()[-4000:]
            )
        )
        trials = []
        for name in names:
            trials.append(outage_trials.Trial(ground, service_outages.OUTAGES[name], is_short=True))
            trials[-1].hit()
        self.assertEqual([], [finding for trial in trials for finding in trial.check()])

    def _test_disk(self, name: str) -> None:
        if not disk_outages.is_possible():
            self.skipTest('there are no namespaces for users on this machine')
        self.assertTrue(disk_outages.run_apart(name, is_short=True))
