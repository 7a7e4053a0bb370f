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

"""Tests with a real Keystone, a real Cinder and a cloud's Karbor."""

import pathlib
import subprocess
import tempfile
from typing import Any

import fixtures
from oslotest import base as oslo_base

from karbor.tests.integration import callers, cloud, service


class ServiceTestCase(oslo_base.BaseTestCase):
    """Each test has a project, and each class a Karbor that has no worker but a test's own."""

    options: dict[str, dict[str, Any]] = {}

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.service = service.Service(cls.folder, options=cls.options)
        cls.addClassCleanup(cls.service.stop)
        cls.service.start(workers=0)

    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '600'))
        super().setUp()
        self.project = cloud.Project()
        self.caller = callers.of(self.project.session, self.service.url)
        self._old_log = len(self.service.log.read_text())
        self.addOnException(lambda _: print(self.log()[-4000:]))  # noqa: T201

    def log(self) -> str:
        """What the processes have logged since the test began."""
        return self.service.log.read_text()[self._old_log :]

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A worker that ends with the test."""
        worker = self.service.start_worker()
        self.addCleanup(worker.wait, 20)
        self.addCleanup(worker.terminate)
        return worker

    def administrator(self) -> callers.Caller:
        return callers.of(cloud.admin().session, self.service.url)

    def wait_for_no_trust(self) -> None:
        cloud.wait_until(lambda: not self.project.trusts(), 'the end of the trust')

    def assert_ends_well(self, *checkpoint_ids: str) -> None:
        for checkpoint_id in checkpoint_ids:
            checkpoint = self.caller.wait_for_checkpoint(checkpoint_id, 'available', 'error')
            self.assertEqual(
                ('available', None), (checkpoint['status'], checkpoint['status_reason'])
            )
