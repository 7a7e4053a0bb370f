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

"""What is told of what a job waits for, and when."""

import contextlib
from typing import Any

from oslotest import base

from karbor import context as karbor_context
from karbor.common import leases, progress
from karbor.services.cinder import items as cinder_items
from karbor.services.cinder import job as cinder_job
from karbor.services.cinder import waits, watcher
from karbor.services.cinder.marks import Marks
from karbor.services.protection import client_factory, steps
from karbor.testing.clock import Clock
from karbor.testing.fake_cinder import FakeCinder, Fault


class Snapshot:
    """As much of one as is told."""

    def __init__(self, status: str) -> None:
        self.status = status


class TextTest(base.BaseTestCase):
    def test_durations(self) -> None:
        for seconds, text in (
            (0, '0 s'),
            (59.9, '59 s'),
            (60, '1 min'),
            (299, '4 min'),
            (3599, '59 min'),
            (3600, '1 h 0 min'),
            (7500, '2 h 5 min'),
        ):
            self.assertEqual(text, progress.duration(seconds))

    def test_texts(self) -> None:
        for statuses, total, fault, text in (
            (['creating'] * 17, 20, None, '17 of 20 snapshots are creating, the oldest for 4 min'),
            (['creating'], 20, None, '1 of 20 snapshots is creating, for 4 min'),
            (['deleting'], 1, None, '1 of 1 snapshot is deleting, for 4 min'),
            (
                ['creating', 'backing-up', 'creating'],
                3,
                ValueError('no answer'),
                '3 of 3 snapshots are backing-up or creating, the oldest for 4 min; '
                'the last look failed: no answer',
            ),
        ):
            waiting = watcher.Waiting([Snapshot(status) for status in statuses], total, 250, fault)
            self.assertEqual(text, waits.text(waiting, str))


class Told:
    """Remembers what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []

    def tell(self, source: Any, what: str, seconds: float) -> None:
        self.told.append((what, seconds))


class StallTest(base.BaseTestCase):
    """A Cinder that stalls, for a job of one volume; its clock passes by the watcher's sleeps."""

    def setUp(self) -> None:
        super().setUp()
        self.cinder = FakeCinder()
        client_factory.use_sessions(lambda _context: self.cinder.session())
        self.addCleanup(client_factory.use_sessions, None)
        self.told = Told()
        context = karbor_context.RequestContext(
            'u', 'p', overwrite=False, lease=leases.Lease(), progress=self.told
        )
        self.job = cinder_job.CinderJob(context, 15, 0, Clock())
        volume = self.cinder.add_volume()
        marks = Marks(checkpoint_id='c', resource_id=volume['id'])
        self.snapshots = self.job.snapshots(marks)
        order = cinder_items.Order(marks=marks, arguments={'volume_id': volume['id']})
        self.snapshot = steps.drive(self.snapshots.make(order))

    def test_it_is_told_until_it_is_over(self) -> None:
        self.cinder.settle_later(self.snapshot.id, 'available', looks=30)
        steps.drive(self.snapshots.wait_until_available(self.snapshot, 3600))
        whats = [what for what, _ in self.told.told]
        self.assertIn('1 of 1 snapshot is creating, for 2 min', whats)
        self.assertIn('1 of 1 snapshot is creating, for 5 min', whats)
        self.assertEqual('', whats[-1])
        seconds = [seconds for what, seconds in self.told.told if what]
        self.assertEqual(sorted(seconds), seconds)

    def test_a_cinder_that_does_not_answer(self) -> None:
        fault = Fault('GET', '/snapshots/detail', status=503, times=10)
        self.cinder.faults = [fault]
        steps.drive(self.snapshots.wait_until_available(self.snapshot, 3600))
        self.assertTrue(
            any('the last look failed: Cinder answered 503' in what for what, _ in self.told.told),
            self.told.told,
        )

    def test_other_waits_are_taken_back_whatever_happens(self) -> None:
        with contextlib.suppress(ValueError), self.job.telling('x') as tell:
            tell('the volume x is extending', 90)
            raise ValueError
        self.assertEqual([('the volume x is extending for 1 min', 90), ('', 0)], self.told.told)
