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

"""What a process knows of a service that is away, and what rows tell of jobs that wait for one."""

import datetime
import threading

from oslotest import base

from karbor.common import causes
from karbor.common.outages import Outage
from karbor.db import models
from karbor.db.holds import Hold
from karbor.services.jobs import failures
from karbor.testing import clock


class OutageTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = clock.Clock()
        self.outage = Outage(self.clock.monotonic)
        self.asked = 0

    def ask(self, is_back: bool) -> bool:
        self.asked += 1
        return is_back

    def test_all_is_well(self) -> None:
        self.assertFalse(self.outage.is_on)
        self.assertIsNone(self.outage.seconds)
        self.assertTrue(self.outage.is_over(lambda: self.ask(False)))
        self.assertEqual(0, self.asked)

    def test_a_fault_is_none_yet(self) -> None:
        self.outage.fault()
        self.clock.now = 30
        self.outage.fault()
        self.assertEqual((False, 30), (self.outage.is_on, self.outage.seconds))
        self.outage.end()
        self.assertIsNone(self.outage.seconds)

    def test_one_asks_in_ten_seconds(self) -> None:
        self.outage.begin()
        for _ in range(600):
            self.clock.now += 0.1
            self.assertFalse(self.outage.is_over(lambda: self.ask(False)))
        self.assertIn(self.asked, (5, 6))
        self.clock.now += 10
        self.assertTrue(self.outage.is_over(lambda: self.ask(True)))
        self.assertFalse(self.outage.is_on)

    def test_nobody_else_asks_meanwhile(self) -> None:
        self.outage.begin()
        self.clock.now = 10
        others: list[bool] = []

        def ask() -> bool:
            self.clock.now += 60
            other = threading.Thread(
                target=lambda: others.append(self.outage.is_over(lambda: self.ask(True)))
            )
            other.start()
            other.join(10)
            return False

        self.assertFalse(self.outage.is_over(ask))
        self.assertEqual(([False], 0), (others, self.asked))

    def test_who_asks_and_breaks_off_keeps_nobody_from_asking(self) -> None:
        self.outage.begin()
        self.clock.now = 10

        def ask() -> bool:
            raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, self.outage.is_over, ask)
        self.clock.now = 20
        self.assertTrue(self.outage.is_over(lambda: self.ask(True)))


class HoldTest(base.BaseTestCase):
    def test_a_row_tells_it(self) -> None:
        hold = Hold(datetime.datetime(2026, 11, 27, 15, 4, 5), 'waits for the bank')
        self.assertEqual(hold, Hold.of_job(models.Job(error=hold.as_error())))

    def test_a_row_tells_nothing(self) -> None:
        for error in (None, '', 'no', 'held back since ever UTC: x', 'held back since x y UTC: z'):
            self.assertIsNone(Hold.of_job(models.Job(error=error)), error)


class _Speechless(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class ReasonTest(base.BaseTestCase):
    def test_the_log_has_what_an_error_comes_of(self) -> None:
        error = ValueError('told')
        self.assertEqual('told', causes.in_full(error))
        error.__cause__ = OSError('where')
        self.assertEqual('told: where', causes.in_full(error))
        error.__cause__ = _Speechless()
        self.assertEqual('told: _Speechless', causes.in_full(error))

    def test_no_reason_tells_where_a_service_is(self) -> None:
        """Errors of clients, that a plugin passes on as they are."""
        for text in (
            'Unable to establish connection to http://10.0.0.5:8776/v3/volumes: refused',
            "HTTPConnectionPool(host='10.0.0.5', port=8080): Max retries exceeded with url: "
            '/v1/AUTH_0123/karbor/x (Caused by no route)',
            'Could not connect to the endpoint URL: "https://10.0.0.5:9000/karbor/x"',
        ):
            reason = failures.reason_of(ValueError(text))
            for secret in ('10.0.0.5', 'AUTH_0123', 'karbor'):
                self.assertNotIn(secret, reason)
        self.assertIn('refused', failures.reason_of(ValueError('refused by host a')))
