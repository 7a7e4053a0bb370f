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

"""Requests that survive passing faults: patience, Retry-After, adoption, pages, words."""

import itertools
from collections.abc import Callable
from concurrent import futures
from typing import Any

import fixtures
from cinderclient import exceptions as cinder_exc
from keystoneauth1 import exceptions as ks_exc
from oslo_config import cfg
from oslotest import base

from karbor import context as karbor_context
from karbor.services import retrying
from karbor.services.cinder import requests as cinder_requests
from karbor.services.protection import steps
from karbor.services.protection.clients import cinder as cinder_client
from karbor.testing.clock import Clock
from karbor.testing.fake_cinder import FakeCinder, Fault


class Answers:
    """A request that gets one given answer after the other, the last for ever."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.sent = 0

    def __call__(self) -> Any:
        self.sent += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def fault(code: int, retry_after: str | None = None, message: str = 'no') -> Exception:
    error = cinder_exc.ClientException(code, message)
    error.retry_after = retry_after
    return error


class RequestsTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()

    def retry(self, call: Callable[[], Any], patience: float) -> Any:
        return cinder_requests.retry(call, patience, self.clock)


class RetryTest(RequestsTestCase):
    def test_an_answer_is_passed_on(self) -> None:
        self.assertEqual('yes', self.retry(Answers('yes'), 0))
        self.assertEqual([], self.clock.slept)

    def test_passing_codes(self) -> None:
        for code in (408, 429, 500, 502, 503, 504):
            call = Answers(fault(code), 'yes')
            self.assertEqual('yes', self.retry(call, 10), code)
            self.assertEqual(2, call.sent)

    def test_no_answer(self) -> None:
        for error in (
            ks_exc.ConnectFailure('x'),
            ks_exc.ConnectTimeout('x'),
            ks_exc.UnknownConnectionError('x', OSError()),
            ks_exc.ServiceUnavailable('x'),
        ):
            self.assertEqual('yes', self.retry(Answers(error, 'yes'), 10), error)

    def test_other_codes_at_once(self) -> None:
        for code in (400, 401, 403, 404, 409, 413, 501):
            call = Answers(fault(code, '1'), 'yes')
            raised = self.assertRaises(cinder_exc.ClientException, self.retry, call, 10)
            self.assertEqual((code, 1), (raised.code, call.sent))
        self.assertEqual([], self.clock.slept)

    def test_other_faults_of_keystone_at_once(self) -> None:
        call = Answers(ks_exc.Unauthorized('x'), 'yes')
        self.assertRaises(ks_exc.Unauthorized, self.retry, call, 10)
        self.assertEqual(1, call.sent)

    def test_errors_of_the_code_at_once(self) -> None:
        call = Answers(KeyError('x'), 'yes')
        self.assertRaises(KeyError, self.retry, call, 10)
        self.assertEqual(1, call.sent)

    def test_retry_after(self) -> None:
        for code in (429, 503):
            self.retry(Answers(fault(code, '30'), 'yes'), 60)
        self.assertEqual([30.0, 30.0], self.clock.slept)

    def test_retry_after_makes_no_pause_shorter(self) -> None:
        self.retry(Answers(fault(503, '0'), 'yes'), 60)
        self.assertGreaterEqual(self.clock.slept[0], 0.75 * cinder_requests.FIRST_PAUSE)

    def test_retry_after_that_is_no_number(self) -> None:
        self.retry(Answers(fault(503, 'Wed, 21 Oct 2026 07:28:00 GMT'), 'yes'), 60)
        self.assertLess(self.clock.now, 1)

    def test_retry_after_longer_than_the_patience(self) -> None:
        call = Answers(fault(429, '61'), 'yes')
        self.assertRaises(cinder_exc.ClientException, self.retry, call, 60)
        self.assertEqual((1, 0), (call.sent, self.clock.now))

    def test_the_last_fault_is_told_when_the_patience_is_used_up(self) -> None:
        call = Answers(*(fault(503) for _ in range(3)), fault(500))
        raised = self.assertRaises(cinder_exc.ClientException, self.retry, call, 60)
        self.assertEqual(500, raised.code)
        self.assertLessEqual(self.clock.now, 60)
        self.assertGreater(self.clock.now, 60 - 1.25 * cinder_requests.LONGEST_PAUSE)

    def test_no_patience(self) -> None:
        call = Answers(fault(503))
        self.assertRaises(cinder_exc.ClientException, self.retry, call, 0)
        self.assertEqual(1, call.sent)

    def test_pauses_grow_up_to_the_longest(self) -> None:
        pauses = list(itertools.islice(cinder_requests.pauses(), 20))
        self.assertLess(pauses[0], 1.3 * cinder_requests.FIRST_PAUSE)
        for pause, following in itertools.pairwise(pauses[:5]):
            self.assertGreater(following, pause)
        self.assertGreaterEqual(pauses[-1], 0.75 * cinder_requests.LONGEST_PAUSE)
        self.assertLessEqual(max(pauses), 1.25 * cinder_requests.LONGEST_PAUSE)
        self.assertGreater(len(set(pauses[-8:])), 1, 'all clients come back at once')

    def test_deadline(self) -> None:
        deadline = retrying.Deadline(10, self.clock)
        self.clock.sleep(4)
        self.assertEqual((10, 6), (deadline.seconds, deadline.remaining()))
        self.clock.sleep(7)
        self.assertEqual(0, deadline.remaining())


class CreateTest(RequestsTestCase):
    def create(self, make: Answers, find: Callable[[], Any], **kwargs: Any) -> Any:
        making = cinder_requests.create(make, find, 60, self.pause, clock=self.clock, **kwargs)
        return steps.drive(making)

    def pause(self, seconds: float) -> futures.Future[None]:
        self.clock.sleep(seconds)
        pause: futures.Future[None] = futures.Future()
        pause.set_result(None)
        return pause

    def test_the_first_request_needs_no_search(self) -> None:
        find = Answers(None)
        self.assertEqual(('new', False), self.create(Answers('new'), find))
        self.assertEqual(0, find.sent)

    def test_a_lost_answer_is_found(self) -> None:
        make = Answers(ks_exc.ConnectFailure('x'))
        self.assertEqual(('old', True), self.create(make, Answers('old')))
        self.assertEqual(1, make.sent)

    def test_a_lost_request_is_sent_again(self) -> None:
        make, find = Answers(fault(503), 'new'), Answers(None)
        self.assertEqual(('new', True), self.create(make, find))
        self.assertEqual((2, 1), (make.sent, find.sent))

    def test_a_search_that_fails_is_no_proof(self) -> None:
        make = Answers(ks_exc.ConnectFailure('x'), 'second')
        self.assertEqual(('old', True), self.create(make, Answers(fault(500), 'old')))
        self.assertEqual(1, make.sent)

    def test_an_earlier_run_may_have_made_it(self) -> None:
        make = Answers('new')
        self.assertEqual(('old', True), self.create(make, Answers('old'), look_first=True))
        self.assertEqual(0, make.sent)

    def test_an_earlier_run_made_nothing(self) -> None:
        self.assertEqual(('new', True), self.create(Answers('new'), Answers(None), look_first=True))

    def test_a_refusal_is_passed_on(self) -> None:
        make, find = Answers(fault(413)), Answers(None)
        self.assertRaises(cinder_exc.ClientException, self.create, make, find)
        self.assertEqual((1, 0), (make.sent, find.sent))


class PagesTest(RequestsTestCase):
    """Lists, through the real client."""

    def setUp(self) -> None:
        super().setUp()
        self.cinder = FakeCinder()
        self.snapshots = cinder_client.create(
            karbor_context.RequestContext(project_id='p'),
            cfg.ConfigOpts(),
            session=self.cinder.session(),
        ).volume_snapshots
        volume = self.cinder.add_volume()
        self.ids = [
            self.cinder.add_snapshot(volume['id'], metadata={'ours': 'yes'})['id'] for _ in range(7)
        ]
        self.cinder.add_snapshot(volume['id'], metadata={'ours': 'no'})
        self.useFixture(fixtures.MockPatchObject(cinder_requests, 'PAGE_LIMIT', 3))

    def listed(self, metadata: dict[str, str]) -> list[str]:
        return [
            item.id for item in cinder_requests.listed(self.snapshots, metadata, 60, self.clock)
        ]

    def lists(self) -> int:
        return self.cinder.requests['GET', '/snapshots/detail']

    def test_all_pages_oldest_first(self) -> None:
        self.assertEqual(self.ids, self.listed({'ours': 'yes'}))
        self.assertEqual(3, self.lists())

    def test_pages_that_are_just_full(self) -> None:
        del self.cinder.snapshots[self.ids.pop()]
        self.assertEqual(self.ids, self.listed({'ours': 'yes'}))

    def test_nothing(self) -> None:
        self.assertEqual([], self.listed({'ours': 'perhaps'}))

    def test_everything(self) -> None:
        self.assertEqual(8, len(self.listed({})))

    def test_pages_of_the_cloud_that_are_smaller(self) -> None:
        self.cinder.osapi_max_limit = 2
        self.assertEqual(self.ids, self.listed({'ours': 'yes'}))

    def test_a_fault_on_the_way(self) -> None:
        self.cinder.faults = [Fault(times=1), Fault('GET', status=500, times=1)]
        self.assertEqual(self.ids, self.listed({'ours': 'yes'}))

    def test_marker_gone_begins_the_list_again(self) -> None:
        self._marker_goes()
        self.assertEqual(self.ids[:2] + self.ids[3:], self.listed({'ours': 'yes'}))

    def test_marker_gone_that_cinderclient_follows(self) -> None:
        self.cinder.osapi_max_limit = 3
        self.useFixture(fixtures.MockPatchObject(cinder_requests, 'PAGE_LIMIT', 6))
        self._marker_goes()
        self.assertEqual(self.ids[:2] + self.ids[3:], self.listed({'ours': 'yes'}))

    def _marker_goes(self) -> None:
        """The last snapshot of the first page is deleted before the second page is read."""
        marker = self.ids[2]
        self.cinder.faults = [
            Fault(times=1),
            Fault(times=1, hook=(lambda: self.cinder.snapshots.pop(marker))),
        ]

    def test_marker_gone_is_passing_and_tells_itself(self) -> None:
        error = self.assertRaises(
            cinder_requests.MarkerGone,
            cinder_requests.page,
            self.snapshots,
            {},
            limit=3,
            marker='none',
            sort='created_at:asc',
        )
        self.assertTrue(cinder_requests.is_passing(error))

    def test_a_list_that_is_not_there_is_no_missing_marker(self) -> None:
        self.cinder.faults = [Fault('GET', status=404)]
        self.assertRaises(cinder_exc.NotFound, self.listed, {})
        self.assertEqual(1, self.lists())

    def test_both_directions(self) -> None:
        def page(marker: str | None, direction: str) -> list[str]:
            return [
                item.id
                for item in cinder_requests.page(
                    self.snapshots,
                    {'ours': 'yes'},
                    limit=2,
                    marker=marker,
                    sort=f'created_at:{direction}',
                )
            ]

        self.assertEqual(self.ids[2:4], page(self.ids[1], 'asc'))
        self.assertEqual([self.ids[4], self.ids[3]], page(self.ids[5], 'desc'))


class DescribeTest(base.BaseTestCase):
    def test_answers(self) -> None:
        self.assertEqual('Cinder answered 400: no', cinder_requests.describe(fault(400)))
        long = cinder_requests.describe(fault(400, message='x y\n' * 2_000))
        self.assertLessEqual(len(long), 500)
        self.assertTrue(long.endswith(' ...'), long)
        self.assertEqual(
            'a quota would be exceeded: too many (HTTP 413)',
            cinder_requests.describe(fault(413, message='too many')),
        )

    def test_no_answer(self) -> None:
        """Nobody is told where Cinder is."""
        error = ks_exc.ConnectFailure('Unable to establish connection to http://10.0.0.5:8776/v3')
        self.assertEqual('Cinder could not be reached', cinder_requests.describe(error))

    def test_an_answer_of_keystone(self) -> None:
        self.assertIn('401', cinder_requests.describe(ks_exc.Unauthorized('who?')))

    def test_gone(self) -> None:
        self.assertTrue(cinder_requests.is_gone(cinder_exc.NotFound(404)))
        self.assertTrue(cinder_requests.is_gone(ks_exc.NotFound()))
        self.assertFalse(cinder_requests.is_gone(fault(500)))
        self.assertFalse(cinder_requests.is_gone(ks_exc.ConnectFailure('x')))
