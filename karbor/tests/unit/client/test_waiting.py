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

"""Waiting ends, and says why."""

from unittest import mock

from openstack import exceptions

from karbor.client import waiting
from karbor.client.checkpoints import Checkpoint
from karbor.client.waiting import Progress
from karbor.tests.unit.client import base

CHECKPOINT = Checkpoint.existing(id='c', provider_id='p')
USE = {'id': 'r', 'provider_id': 'p', 'checkpoint_id': 'c'}


def checkpoint(status: str, done: int = 0, failed: int = 0, reason: str | None = None) -> object:
    shown = {
        'id': 'c',
        'status': status,
        'status_reason': reason,
        'resources_total': 3,
        'resources_done': done,
        'resources_failed': failed,
    }
    return {'checkpoint': shown}


def restore(status: str, done: int = 0, failed: int = 0, reason: str | None = None) -> object:
    shown = {
        **USE,
        'status': status,
        'status_reason': reason,
        'resources_done': done,
        'resources_failed': failed,
    }
    return {'restore': shown, 'verification': shown}


def run(status: str, **fields: object) -> object:
    shown = {'id': 'l', 'status': status, 'ended_at': None, 'checkpoint_id': None, **fields}
    return {'operation_log': shown}


class WaitingTest(base.ClientTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.seconds = 0.0
        self.seen: list[Progress] = []
        clock = mock.Mock(sleep=self.sleep, monotonic=lambda: self.seconds)
        patch = mock.patch.object(waiting, 'time', clock)
        patch.start()
        self.addCleanup(patch.stop)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def test_a_checkpoint(self) -> None:
        self.answer(
            checkpoint('protecting'), checkpoint('protecting', 1), checkpoint('available', 3)
        )
        ended = self.protection.wait_for_checkpoint(CHECKPOINT, callback=self.seen.append)
        self.assertEqual('available', ended.status)
        self.assertEqual('p', ended.provider_id)
        self.assertEqual([Progress(0, 0, 3), Progress(1, 0, 3), Progress(3, 0, 3)], self.seen)
        self.assertEqual(4, self.seconds)

    def test_a_checkpoint_that_is_deleted(self) -> None:
        self.answer(checkpoint('deleting'), checkpoint('deleted'))
        self.assertEqual('deleted', self.protection.wait_for_checkpoint('c', 'p').status)

    def test_a_checkpoint_that_fails(self) -> None:
        for status in ('error', 'error-deleting'):
            self.answer(checkpoint(status, 2, 1, 'The quota is used up.'))
            fault = self.assertRaises(
                waiting.Failed, self.protection.wait_for_checkpoint, CHECKPOINT
            )
            self.assertIsInstance(fault, exceptions.ResourceFailure)
            self.assertEqual(f'Checkpoint c ended with {status}: The quota is used up.', str(fault))
            self.assertEqual(status, fault.resource.status)

    def test_it_is_not_waited_for_longer(self) -> None:
        self.answer(checkpoint('protecting', 1, 1, 'Cinder is full.'))
        fault = self.assertRaises(
            waiting.TimedOut,
            self.protection.wait_for_checkpoint,
            CHECKPOINT,
            timeout=7,
            interval=3,
        )
        self.assertIsInstance(fault, exceptions.ResourceTimeout)
        self.assertEqual(
            'Checkpoint c is protecting after 7 seconds, with 1 done and 1 failed; Cinder is full. '
            'It goes on.',
            str(fault),
        )
        self.assertEqual(7, self.seconds)
        self.assertEqual(4, len(self.transport.requests))

    def test_restores_and_verifications(self) -> None:
        """They have as many resources as their checkpoint."""
        for wait in (self.protection.wait_for_restore, self.protection.wait_for_verification):
            self.seen.clear()
            self.answer(
                restore('in_progress'),
                checkpoint('available'),
                restore('in_progress', 1),
                restore('success', 3),
            )
            self.assertEqual('success', wait('r', callback=self.seen.append).status)
            self.assertEqual([Progress(1, 0, 3), Progress(3, 0, 3)], self.seen)
            self.answer(
                restore('in_progress'), checkpoint('available'), restore('fail', 2, 1, 'No room.')
            )
            fault = self.assertRaises(waiting.Failed, wait, 'r')
            self.assertIn('r ended with fail: No room.', str(fault))

    def test_a_run(self) -> None:
        """It waits, has no checkpoint, has one, and ends."""
        begun = {'checkpoint_id': 'c', 'provider_id': 'p'}
        self.answer(
            run('queued'),
            run('protecting'),
            run('protecting', **begun),
            checkpoint('protecting', 1),
            run('available', ended_at='2026-11-27T02:00:00', **begun),
            checkpoint('available', 3),
        )
        ended = self.protection.wait_for_run('l', callback=self.seen.append)
        self.assertEqual('available', ended.status)
        unknown = Progress(0, 0, None)
        self.assertEqual([unknown, unknown, Progress(1, 0, 3), Progress(3, 0, 3)], self.seen)

    def test_a_run_that_is_left_out_or_fails(self) -> None:
        for status in ('skipped', 'error'):
            self.answer(
                run(status, ended_at='2026-11-27T02:00:00', error_info='The last one goes on.')
            )
            fault = self.assertRaises(waiting.Failed, self.protection.wait_for_run, 'l')
            self.assertEqual(
                f'Operation log l ended with {status}: The last one goes on.', str(fault)
            )

    def test_no_reason_is_known(self) -> None:
        self.answer(checkpoint('error'))
        fault = self.assertRaises(waiting.Failed, self.protection.wait_for_checkpoint, CHECKPOINT)
        self.assertIn('no reason is known', str(fault))

    def test_an_api_that_is_away_for_a_while(self) -> None:
        """A restart of it, or of what stands before it, ends no wait."""
        for away in (502, 503, 'no connection'):
            self.answer(checkpoint('protecting'), checkpoint('available', 3))
            self.transport.away = {1: away, 2: away}
            ended = self.protection.wait_for_checkpoint(CHECKPOINT)
            self.assertEqual('available', ended.status)
            self.assertEqual(4, len(self.transport.requests))

    def test_an_api_that_stays_away(self) -> None:
        self.answer(checkpoint('protecting'))
        self.transport.away = dict.fromkeys(range(1, 1000), 503)
        fault = self.assertRaises(
            exceptions.HttpException, self.protection.wait_for_checkpoint, CHECKPOINT
        )
        self.assertEqual(503, fault.status_code)
        self.assertEqual(62, self.seconds)

    def test_an_api_that_stays_away_until_the_end(self) -> None:
        self.answer(checkpoint('protecting'))
        self.transport.away = dict.fromkeys(range(1, 1000), 503)
        self.assertRaises(
            exceptions.HttpException, self.protection.wait_for_checkpoint, CHECKPOINT, timeout=7
        )
        self.assertEqual(7, self.seconds)

    def test_what_does_not_pass(self) -> None:
        self.answer(checkpoint('protecting'))
        self.transport.away = {1: 404}
        self.assertRaises(
            exceptions.NotFoundException, self.protection.wait_for_checkpoint, CHECKPOINT
        )
        self.assertEqual(2, self.seconds)
