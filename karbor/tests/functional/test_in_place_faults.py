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

"""Each request of a restore in place is answered badly, late, in vain, or not at all."""

import functools
import os
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

# By hand: KARBOR_ALL_FAULTS=1, for every fault of every request.
_IS_LONG = bool(os.environ.get('KARBOR_ALL_FAULTS'))
_FAULTS: tuple[dict[str, Any], ...] = (
    {'status': 500},
    {'status': 500, 'done': True},
    {'reset': 'before'},
    {'reset': 'after'},
)


class _From(Fault):
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


@base.in_process_only('jobs run in this process')
class FaultsTest(base.CloudTestCase):
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
        super().build(provider.ProviderRegistry(self.provider_dir(retry_timeout=0.1)))

    def work(self) -> None:
        """Each job is run by the test itself."""

    def run_jobs(self) -> None:
        while job_ids := db.transaction(job_rows.take_up_again)():
            for job_id in job_ids:
                self.runner.run(job_id)

    @functools.cached_property
    def held(self) -> tuple[str, dict[str, Any]]:
        """The id of a volume, and a checkpoint of it."""
        volume = self.volume()
        self.cinder.contents[volume['id']] = 'first'
        checkpoint = self.create_checkpoint(self.create_plan(volume))
        self.run_jobs()
        return volume['id'], checkpoint

    def restored(self, fault: Fault | None = None) -> dict[str, Any]:
        """A restore in place of what holds something else now."""
        volume_id, checkpoint = self.held
        self.cinder.contents[volume_id] = 'now'
        restore = self.use('restore', checkpoint, in_place=True)
        self.cinder.faults = self.glance.faults = [] if fault is None else [fault]
        self.run_jobs()
        self.cinder.faults, self.glance.faults = [], []
        return self.get(f'/restores/{restore["id"]}')['restore']

    @property
    def content(self) -> str:
        return self.cinder.contents[self.held[0]]

    def test_one_of_all(self):
        """What fails once is asked for again, and done once."""
        for first in range(len(_FAULTS) if _IS_LONG else 1):
            number, seen = 1, 1
            while seen >= number:
                fault = _FAULTS[(first + number) % len(_FAULTS)]
                made = _From(number, is_lasting=False, **fault)
                restore = self.restored(made)
                where = f'{fault} of request {number}: {restore}'
                self.assertEqual('success', restore['status'], where)
                self.assertEqual('first', self.content, where)
                self.assertEqual({}, self.glance.images, where)
                number, seen = number + 1, made.seen
            self.assertGreater(number, 20)

    def test_all_from_one_on(self):
        """A cloud that is gone for good leaves one of both, and says so; and then it goes on."""
        number, seen = 1, 1
        ends = set()
        while seen >= number:
            made = _From(number, is_lasting=True, reset='before')
            shown = self.restored(made)
            volume = self.cinder.volumes[self.held[0]]
            while volume['status'] == 'downloading':
                self.cinder.look('volumes', volume)
            ends.add((shown['status'], self.content))
            (result,) = shown['results']
            self.assertTrue(result['end'] == 'restored' or result['reason'], shown)
            again = self.restored()
            self.assertEqual(('success', 'first'), (again['status'], self.content), again)
            self.assertEqual({}, self.glance.images)
            number, seen = number + (1 if _IS_LONG else 3), made.seen
        self.assertEqual({('fail', 'now'), ('fail', 'first'), ('success', 'first')}, ends)
