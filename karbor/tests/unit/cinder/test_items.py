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

"""What a job does with its volumes and snapshots when Cinder, or what is between, is odd."""

from typing import Any

from cinderclient import exceptions as cinder_exc
from oslotest import base

from karbor import context as karbor_context
from karbor.services.cinder import faults as cinder_faults
from karbor.services.cinder import items as cinder_items
from karbor.services.cinder import job as cinder_job
from karbor.services.cinder import requests as cinder_requests
from karbor.services.cinder import watcher
from karbor.services.cinder.hope import Hope
from karbor.services.cinder.marks import Marks
from karbor.services.protection import client_factory, steps
from karbor.testing.fake_cinder import FakeCinder, Fault


class ItemsTestCase(base.BaseTestCase):
    patience = 0.05

    def setUp(self) -> None:
        super().setUp()
        self.cinder = FakeCinder()
        client_factory.use_sessions(lambda _context: self.cinder.session())
        self.addCleanup(client_factory.use_sessions, None)
        self.patch(cinder_requests, 'FIRST_PAUSE', 0.01)
        self.patch(watcher, 'FIRST_INTERVAL', 0.01)
        context = karbor_context.RequestContext('u', 'p', overwrite=False)
        self.job = cinder_job.CinderJob(context, 0.02, self.patience)
        self.volume = self.cinder.add_volume()
        self.marks = Marks(checkpoint_id='c', resource_id=self.volume['id'])
        self.snapshots = self.job.snapshots(self.marks)

    def found(self) -> list[Any]:
        return steps.drive(self.snapshots.find(self.marks))

    def wait_until_available(self, snapshot: Any, seconds: float) -> None:
        steps.drive(self.snapshots.wait_until_available(snapshot, seconds))

    def make(self, look_first: bool = False) -> Any:
        order = cinder_items.Order(marks=self.marks, arguments={'volume_id': self.volume['id']})
        return steps.drive(self.snapshots.make(order, look_first))


class FilterTest(ItemsTestCase):
    """A cloud that does not know the filter lists everything; nothing foreign is touched."""

    def setUp(self) -> None:
        super().setUp()
        self.cinder.knows_metadata_filter = False
        self.foreign = self.cinder.add_snapshot(self.volume['id'], name='of the tenant')

    def test_only_what_carries_the_marks_is_found(self) -> None:
        own = self.cinder.add_snapshot(
            self.volume['id'], metadata={**self.marks.metadata(), 'more': 'x'}
        )
        self.assertEqual([own['id']], [item.id for item in self.found()])
        self.assertEqual(
            [own['id']],
            [item.id for item in steps.drive(self.snapshots.at_start(self.volume['id']))],
        )

    def test_nothing_foreign_is_adopted_or_removed(self) -> None:
        snapshot = self.make(look_first=True)
        self.assertTrue(self.snapshots.is_doubtful)
        self.assertNotEqual(self.foreign['id'], snapshot.id)
        steps.drive(self.snapshots.wait_until_available(snapshot, 5))
        steps.drive(self.snapshots.remove_doubles({self.volume['id']: snapshot.id}.get, 1))
        self.assertEqual({self.foreign['id'], snapshot.id}, set(self.cinder.snapshots))
        steps.drive(self.snapshots.remove(snapshot, 5))
        self.assertEqual({self.foreign['id']}, set(self.cinder.snapshots))


class AdoptionTest(ItemsTestCase):
    def test_what_ended_in_error_is_not_adopted(self) -> None:
        """Cinder answered 500 and left a row in error: one fault is to cost nothing."""
        broken = self.cinder.add_snapshot(
            self.volume['id'], 'error', metadata=self.marks.metadata()
        )
        snapshot = self.make(look_first=True)
        self.assertNotEqual(broken['id'], snapshot.id)
        steps.drive(self.snapshots.wait_until_available(snapshot, 5))
        steps.drive(self.snapshots.remove_doubles({self.volume['id']: snapshot.id}.get, 1))
        self.assertEqual([snapshot.id], list(self.cinder.snapshots))

    def test_doubles_that_cannot_be_listed_do_no_harm(self) -> None:
        snapshot = self.make()
        self.cinder.faults = [Fault('GET', '/snapshots/detail', status=403)]
        steps.drive(self.snapshots.remove_doubles({self.volume['id']: snapshot.id}.get, 1))
        self.assertIn(snapshot.id, self.cinder.snapshots)


class GivingUpTest(ItemsTestCase):
    """What is hopeless for all is not waited for by one item after the other."""

    patience = 0.5  # for more than one request, also on a busy machine

    def setUp(self) -> None:
        super().setUp()
        self.patch(cinder_items, '_TRIED_EVERY', 0)

    def test_it_is_tried_but_now_and_then(self) -> None:
        self.patch(cinder_items, '_TRIED_EVERY', 30)
        self.cinder.faults = [Fault('.*', '', status=503)]
        self.assertRaises(cinder_exc.ClientException, self.make)
        asked = sum(self.cinder.requests.values())
        fault = self.assertRaises(cinder_faults.NotAsked, self.make)
        self.assertIn('not asked for: with the others, Cinder answered 503', str(fault))
        self.assertEqual(asked, sum(self.cinder.requests.values()))

    def test_a_cinder_that_never_answers(self) -> None:
        self.cinder.faults = [Fault('.*', '', status=503)]
        self.assertRaises(cinder_exc.ClientException, self.make)
        asked = sum(self.cinder.requests.values())
        self.assertGreater(asked, 1)
        self.assertRaises(cinder_exc.ClientException, self.make)
        self.assertEqual(asked + 1, sum(self.cinder.requests.values()), 'tried once, in vain')

    def test_a_cinder_that_is_back(self) -> None:
        self.cinder.faults = [Fault('.*', '', status=503)]
        self.assertRaises(cinder_exc.ClientException, self.make)
        self.cinder.faults = []
        self.make()
        self.cinder.faults = [Fault('POST', '/snapshots', status=503, times=1)]
        self.make()

    def test_what_gets_on_elsewhere_keeps_hope(self) -> None:
        hope = Hope()

        def fail() -> None:
            with hope.attempt(lambda _: True):
                with hope.attempt(lambda _: True):  # as another thread would
                    pass
                raise cinder_faults.CinderFault('of one item')

        self.assertRaises(cinder_faults.CinderFault, fail)
        self.assertIsNone(hope.lost)

    def test_a_refusal_ends_nothing(self) -> None:
        self.cinder.faults = [Fault('POST', '/snapshots', status=403, times=1)]
        self.assertRaises(cinder_exc.Forbidden, self.make)
        self.make()

    def test_a_volume_service_that_is_dead(self) -> None:
        self.cinder.settle_to['snapshot'] = None
        snapshot = self.make()
        self.assertRaises(watcher.WaitTimeout, self.wait_until_available, snapshot, 0.1)
        fault = self.assertRaises(cinder_faults.CinderFault, self.make)
        self.assertIn('is still in status creating', str(fault))
        self.assertEqual([snapshot.id], list(self.cinder.snapshots), 'one more was asked for')


class NoJsonTest(ItemsTestCase):
    def test_an_answer_that_is_not_json_is_tried_again(self) -> None:
        """As of a proxy in between that answers 200 with a page of its own."""
        self.cinder.faults = [Fault('GET', '/snapshots/detail', status=200, times=1)]
        self.assertEqual([], self.found())
        self.assertEqual(2, self.cinder.requests['GET', '/snapshots/detail'])
