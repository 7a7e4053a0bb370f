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

"""Bounds on what Cinder makes at once."""

import itertools
from typing import Any

from oslotest import base

from karbor.services.cinder import places
from karbor.services.protection import steps
from karbor.services.protection.steps import Steps, Wait


class PlacesTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.project = places.Places(3, 'a project')
        self.cloud = places.Places(4, 'the cloud')

    def job(self, most: int = 2, project: places.Places | None = None) -> places.JobPlaces:
        return places.JobPlaces((places.Places(most, 'a job'), project or self.project, self.cloud))

    def take(self, job: places.JobPlaces, count: int = 1) -> list[tuple[Steps, Wait | None]]:
        """What takes so many places, and what each waits for."""
        taking = [job.take() for _ in range(count)]
        return [(each, steps.advance(each)) for each in taking]

    def waiting(self, taking: list[tuple[Steps, Any]]) -> list[bool]:
        return [wait is not None for _, wait in taking]

    def test_of_a_job(self) -> None:
        job = self.job()
        taking = self.take(job, 3)
        self.assertEqual([False, False, True], self.waiting(taking))
        job.give_back()
        last, wait = taking[-1]
        self.assertTrue(wait.done())
        self.assertIsNone(steps.advance(last, wait))

    def test_of_a_project_and_of_the_cloud(self) -> None:
        first, second = self.job(), self.job()
        self.take(first, 2)
        taking = self.take(second, 2)
        self.assertEqual([False, True], self.waiting(taking))
        third = self.job(9, places.Places(9, 'another project'))
        of_cloud = self.take(third, 2)
        self.assertEqual([False, True], self.waiting(of_cloud))
        first.give_back()  # of the project, and then of the cloud
        last, wait = taking[-1]
        self.assertTrue(wait.done())
        self.assertIsNotNone(steps.advance(last, wait))

    def test_who_waits_longest_is_first(self) -> None:
        job = self.job(1)
        (_, *waiting) = self.take(job, 3)
        job.give_back()
        self.assertEqual([True, False], [wait.done() for _, wait in waiting])

    def test_who_gives_up_leaves_no_place_taken(self) -> None:
        job = self.job(1)
        (_, (given_up, wait), (later, later_wait)) = self.take(job, 3)
        wait.cancel()
        given_up.close()
        job.give_back()
        self.assertTrue(later_wait.done())
        later.close()  # before it knew that it has the place
        self.assertEqual([False], self.waiting(self.take(job)))

    def test_nothing_is_lost_however_it_goes(self) -> None:
        job = self.job(1)
        for closes, gives_first in itertools.product((True, False), repeat=2):
            ((first, _), (second, wait)) = self.take(job, 2)
            if gives_first:
                job.give_back()
            if closes:
                wait.cancel()
                second.close()
            elif gives_first:
                self.assertIsNone(steps.advance(second, wait))
                job.give_back()
            if not gives_first:
                job.give_back()
                if not closes:
                    self.assertIsNone(steps.advance(second, wait))
                    job.give_back()
            self.assertEqual((1, 3, 4), tuple(bound._free for bound in job._bounds))
            first.close()
