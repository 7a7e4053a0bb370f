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

"""What of asking again is not seen with Cinder already, in ``cinder/test_requests.py``."""

import itertools
from collections.abc import Iterable

from keystoneauth1 import exceptions as ks_exc
from oslotest import base

from karbor.services import retrying


class Refused(Exception):
    pass


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class RetryTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.numbers: list[int] = []

    def attempts(self, pauses: Iterable[float], good: int = 9, retry_after: float = 0) -> int:
        """Ask for what answers at the attempt of that number."""

        def attempt(number: int) -> int:
            self.numbers.append(number)
            if number < good:
                raise Refused
            return number

        return retrying.retry(
            attempt,
            service='It',
            errors=Refused,
            is_passing=lambda _: True,
            retry_after=lambda _: retry_after,
            pauses=pauses,
            clock=self.clock,
        )

    def test_attempts_know_their_number(self) -> None:
        self.assertEqual(2, self.attempts(itertools.repeat(1), good=2))
        self.assertEqual(([0, 1, 2], [1, 1]), (self.numbers, self.clock.slept))

    def test_as_often_as_there_are_pauses(self) -> None:
        self.assertRaises(Refused, self.attempts, [1, 5])
        self.assertEqual(([0, 1, 2], [1, 5]), (self.numbers, self.clock.slept))

    def test_no_pause_is_one_attempt(self) -> None:
        self.assertRaises(Refused, self.attempts, [])
        self.assertEqual([0], self.numbers)

    def test_the_longer_of_pause_and_what_is_asked_for(self) -> None:
        self.assertRaises(Refused, self.attempts, [1, 5], retry_after=3)
        self.assertEqual([3, 5], self.clock.slept)


class TableTest(base.BaseTestCase):
    def test_codes(self) -> None:
        passing = {code for code in range(100, 600) if retrying.is_passing_code(code)}
        self.assertEqual({408, 425, 429}, {code for code in passing if code < 500})
        self.assertEqual({501, 505, 507}, set(range(500, 600)) - passing)
        self.assertFalse(retrying.is_passing_code(None))

    def test_faults_of_keystoneauth(self) -> None:
        for error, expected in (
            (ks_exc.ConnectFailure('x'), True),
            (ks_exc.ConnectTimeout('x'), True),
            (ks_exc.UnknownConnectionError('x', OSError()), True),
            (ks_exc.DiscoveryFailure('x'), True),
            (ks_exc.ServiceUnavailable('x'), True),
            (ks_exc.Conflict('x'), False),
            (ks_exc.Unauthorized('x'), False),
            (ks_exc.MissingAuthPlugin('x'), False),
        ):
            self.assertEqual(expected, retrying.is_passing(error), error)

    def test_retry_after(self) -> None:
        for given, expected in (
            ('17', 17),
            (17, 17),
            ('1.5', 1.5),
            (None, 0),
            ('', 0),
            ('-3', 0),
            ('nan', 0),
            ('Wed, 21 Oct 2026 07:28:00 GMT', 0),
        ):
            self.assertEqual(expected, retrying.seconds_of(given), given)
