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

"""Jobs whose requests to the cloud are answered badly, one after the other."""

from typing import Any

import fixtures

from karbor import db
from karbor.db import jobs as job_rows
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder import watcher
from karbor.services.protection import provider
from karbor.testing import plugin_jobs
from karbor.testing.fake_cinder import Fault
from karbor.testing.fake_glance import FakeGlance
from karbor.tests.functional import base

#: What passes: who asks again gets what was asked for.
PASSING: tuple[dict[str, Any], ...] = (
    {'status': 500},
    {'status': 500, 'done': True},
    {'reset': 'before'},
    {'reset': 'after'},
)
#: What does not.
REFUSALS: tuple[dict[str, Any], ...] = ({'status': 400}, {'status': 403}, {'status': 404})


class From(Fault):
    """A fault of the so-manieth request of all, or of that and all behind it.

    :param number: from 1.
    :ivar seen: how many requests there were.
    """

    def __init__(self, number: int, *, is_lasting: bool, **fault: Any) -> None:
        super().__init__(**fault)
        self._number = number
        self._is_lasting = is_lasting
        self.seen = 0

    def matches(self, method: str, path: str) -> bool:
        self.seen += 1
        return self.seen == self._number or (self._is_lasting and self.seen > self._number)


class FaultedTestCase(base.CloudTestCase):
    """With jobs that a test runs itself, in this process."""

    #: for how long what passes is asked for again, in seconds
    patience = 60.0

    def setUp(self) -> None:
        self.glance = FakeGlance()
        super().setUp()
        self.enterContext(plugin_jobs.clients_of(self.cinder, self.glance))
        for module, name, value in (
            (cinder_requests, 'FIRST_PAUSE', 0.001),
            (cinder_requests, 'LONGEST_PAUSE', 0.004),
            (watcher, 'FIRST_INTERVAL', 0.002),
        ):
            self.useFixture(fixtures.MockPatchObject(module, name, value))

    def build(self, registry: provider.ProviderRegistry) -> None:
        del registry
        super().build(provider.ProviderRegistry(self.provider_dir(retry_timeout=self.patience)))

    def work(self) -> None:
        """Each job is run by the test itself."""

    def run_jobs(self) -> None:
        while job_ids := db.transaction(job_rows.take_up_again)():
            for job_id in job_ids:
                self.runner.run(job_id)

    def run_faulted(self, fault: Fault | None) -> None:
        """The same, in a cloud where something goes wrong."""
        self.cinder.faults = self.glance.faults = [] if fault is None else [fault]
        self.run_jobs()
        self.cinder.faults, self.glance.faults = [], []
