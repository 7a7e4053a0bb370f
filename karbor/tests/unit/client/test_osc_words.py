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

"""What commands say to people."""

import datetime
import io
import os
import time
from unittest import mock

from oslotest import base

from karbor.client.osc import deletions, plan_parts, waits, words
from karbor.client.plans import Plan
from karbor.client.waiting import Progress


class WordsTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        zone = mock.patch.dict(os.environ, {'TZ': 'Europe/Berlin'})
        zone.start()
        self.addCleanup(time.tzset)
        self.addCleanup(zone.stop)
        time.tzset()

    def test_moments_are_local(self) -> None:
        for text, told in (
            ('2026-11-27T02:30:59+00:00', '2026-11-27 03:30 CET'),
            ('2026-07-27T02:30:00', '2026-07-27 04:30 CEST'),
            (None, ''),
        ):
            self.assertEqual(told, words.moment(text))
        there = words.moment_there('2026-07-27T11:30:00+09:00')
        self.assertEqual('2026-07-27 11:30 UTC+09:00', there)

    def test_lines_are_not_too_long(self) -> None:
        word = 'a-word-that-is-longer'
        self.assertEqual('one two\nthree\nfour', words.wrapped('one two three\nfour', 9))
        self.assertEqual(f'a\n{word}', words.wrapped(f'a {word}', 9))
        self.assertEqual('', words.wrapped('', 9))

    def test_durations(self) -> None:
        for seconds, told in (
            (-5, '0 seconds'),
            (1, '1 second'),
            (59.9, '59 seconds'),
            (60, '1 minute'),
            (7199, '1 hour'),
            (2 * 86400 - 1, '1 day'),
            (30 * 86400, '30 days'),
        ):
            self.assertEqual(told, words.duration(seconds))

    def test_what_is_to_come(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        for seconds, told in ((-1, 'due'), (90, 'in 1 minute'), (3 * 3600 + 5, 'in 3 hours')):
            moment = now + datetime.timedelta(seconds=seconds)
            self.assertEqual(told, words.until(moment.isoformat()))
        self.assertEqual('', words.until(None))

    def test_how_long_something_took(self) -> None:
        begun = '2026-11-27T02:00:00.000000'
        self.assertEqual('1 hour', words.between(begun, '2026-11-27T03:30:00'))
        ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5, seconds=1)
        self.assertEqual('5 minutes', words.between(ago.isoformat(), None))

    def test_sizes(self) -> None:
        self.assertEqual(('', '0 GiB', '7 GiB'), tuple(map(words.size, (None, 0, 7))))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ProgressTest(base.BaseTestCase):
    def shown(self, stream: io.StringIO, *seen: Progress) -> str:
        with mock.patch('sys.stderr', stream), mock.patch.object(waits, 'time') as clock:
            clock.monotonic.side_effect = range(0, 100, 2)
            line = waits._Line()
            for progress in seen:
                line.show(progress)
            line.end()
            line.end()
        return stream.getvalue()

    def test_a_line_is_written_again_and_again(self) -> None:
        self.assertEqual(
            '\r10 done, 0 failed, 5.0 a second'
            '\r10 of 12 done, 2 failed, 2.5 a second'
            '\r12 of 12 done, 2 failed, 2.0 a second\n',
            self.shown(Terminal(), Progress(10, 0, None), Progress(10, 2, 12), Progress(12, 2, 12)),
        )

    def test_one_that_becomes_shorter(self) -> None:
        _, _, last = self.shown(Terminal(), Progress(1000, 0, 1000), Progress(0, 0, 5)).split('\r')
        self.assertEqual('0 of 5 done, 0 failed, 0.0 a second'.ljust(43) + '\n', last)

    def test_there_is_no_terminal(self) -> None:
        self.assertEqual('', self.shown(io.StringIO(), Progress(1, 0, 2)))


class DeletionsTest(base.BaseTestCase):
    def test_what_is_typed(self) -> None:
        for typed, deletes in (('y\n', True), (' YES \n', True), ('n\n', False), ('', False)):
            asked = Terminal()
            with mock.patch('sys.stdin', Terminal(typed)), mock.patch('sys.stderr', asked):
                try:
                    deletions.confirm(mock.Mock(yes=False), '3 checkpoints.')
                except deletions.CommandError:
                    self.assertFalse(deletes, typed)
                else:
                    self.assertTrue(deletes, typed)
            self.assertEqual('3 checkpoints. Delete? [y/N] ', asked.getvalue())


class PlansTest(base.BaseTestCase):
    def test_what_a_plan_is_about(self) -> None:
        volume = {'id': 'v', 'type': 'OS::Cinder::Volume', 'name': 'db'}
        server = {'id': 's', 'type': 'OS::Nova::Server', 'name': 'web'}
        project = {'id': 'p', 'type': 'OS::Keystone::Project', 'name': 'mine'}
        chosen = {
            'include': {'names': ['a*', 'b*'], 'metadata': {'x': 'y', 'z': ['1', '2']}},
            'exclude': {'names': ['c']},
        }
        for entry, told in (
            (volume, 'volume db (v)'),
            (server, 'OS::Nova::Server web (s)'),
            (project, 'all volumes of the project'),
            (
                {**project, 'extra_info': chosen},
                'all volumes of the project; include a* or b* or x=y and z=1, 2; exclude c',
            ),
        ):
            self.assertEqual(told, plan_parts.told(entry))
        plan = Plan.existing(resources=[volume, server, project, volume])
        self.assertEqual('the project, 2 volumes, OS::Nova::Server', plan_parts.short(plan))
