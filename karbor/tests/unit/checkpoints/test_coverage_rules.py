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

"""The state of a volume by what covers it and what it has: a golden table."""

import dataclasses
import datetime

from karbor.services.checkpoints.coverage_rules import Points, Schedule, judge
from karbor.tests import base

_DUE = datetime.datetime(2026, 11, 27, 2)
_HOUR = datetime.timedelta(hours=1)
_DAY = datetime.timedelta(days=1)
_NOW = _DUE + 6 * _HOUR

_DAILY = Schedule(
    id='1',
    name='daily',
    plan_id='2',
    is_enabled=True,
    due_at=_DUE,
    grace=_HOUR,
    next_run_at=_DUE + _DAY,
)
_OFF = dataclasses.replace(_DAILY, is_enabled=False)
_FAILED = dataclasses.replace(_DAILY, failed_at=_DUE, failure='a quota')
_NAMELESS = dataclasses.replace(_FAILED, name='')
_NOT_DUE = dataclasses.replace(_DAILY, due_at=None)
_ENDED = dataclasses.replace(_DAILY, next_run_at=None)
_GOOD = Points(good=1, newest_good_at=_DUE)
_OLD = Points(good=1, newest_good_at=_DUE - _DAY)
_NONE = Points()

# what, schedules, points, state, reason
_TABLE = (
    ('nothing covers it', (), _NONE, 'unprotected', 'no schedule covers it'),
    ('by hand', (), _GOOD, 'unprotected', 'made by hand'),
    ('disabled', (_OFF,), _GOOD, 'paused', 'disabled: daily'),
    ('disabled, and nothing yet', (_OFF,), _NONE, 'paused', 'daily'),
    ('one of two disabled', (_OFF, _DAILY), _GOOD, 'protected', 'covered by daily'),
    ('all is well', (_DAILY,), _GOOD, 'protected', 'covered by daily'),
    ('by hand after a run was missed', (_DAILY,), _GOOD, 'protected', 'daily'),
    ('an old one', (_DAILY,), _OLD, 'late', 'due at 2026-11-27 02:00:00 UTC'),
    (
        'none ever, and a run was due',
        (_DAILY,),
        _NONE,
        'unprotected',
        'no recovery point yet; a run was due at 2026-11-27 02:00:00 UTC; the next run is at',
    ),
    (
        'the newest is missing, and one had failed before it was made',
        (_DAILY,),
        Points(missing=1, newest_missing_at=_DUE - _HOUR, newest_failed_at=_DUE - _DAY),
        'late',
        'all recovery points are missing',
    ),
    ('nothing was due yet', (_NOT_DUE,), _NONE, 'unprotected', 'run is at 2026-11-28 02:00:00'),
    ('nothing was due yet, one by hand', (_NOT_DUE,), _OLD, 'protected', 'daily'),
    ('no further run', (_ENDED,), _GOOD, 'unprotected', 'no run follows any more: daily'),
    ('no further run, and the last is missing', (_ENDED,), _OLD, 'late', 'due at'),
    ('the run failed', (_FAILED,), _OLD, 'failing', 'the last run of daily has failed'),
    (
        'the run failed, and one was made by hand since',
        (_FAILED,),
        Points(good=2, newest_good_at=_DUE + datetime.timedelta(seconds=1)),
        'protected',
        'daily',
    ),
    ('a schedule without a name failed', (_NAMELESS,), _OLD, 'failing', 'the last run of 1 has'),
    (
        'all are missing since before the run',
        (_DAILY,),
        Points(missing=2),
        'late',
        '02:00:00 UTC; all recovery points are missing in the cloud',
    ),
    (
        'its point failed',
        (_DAILY,),
        Points(good=1, newest_good_at=_DUE - _DAY, newest_failed_at=_DUE),
        'failing',
        'the newest recovery point has failed',
    ),
    (
        'its point failed, and none was ever good',
        (_DAILY,),
        Points(newest_failed_at=_DUE),
        'failing',
        'has failed',
    ),
    (
        'its point failed before',
        (_DAILY,),
        Points(good=1, newest_good_at=_DUE, newest_failed_at=_DUE - _DAY),
        'protected',
        'daily',
    ),
    (
        'it is being made',
        (_DAILY,),
        Points(good=1, newest_good_at=_DUE - _DAY, newest_making_at=_DUE),
        'protected',
        'daily',
    ),
    (
        'the first is being made',
        (_DAILY,),
        Points(newest_making_at=_DUE),
        'unprotected',
        'no recovery point yet',
    ),
    (
        'the newest is missing',
        (_DAILY,),
        Points(good=1, missing=1, newest_good_at=_DUE - _DAY),
        'late',
        'due at',
    ),
    (
        'all are missing, and nothing was due',
        (_NOT_DUE,),
        Points(missing=2),
        'unprotected',
        'missing in the cloud',
    ),
)


class JudgeTest(base.TestCase):
    def test_table(self) -> None:
        for what, schedules, points, state, words in _TABLE:
            verdict = judge(schedules, points, _NOW, is_there=True)
            self.assertEqual(state, verdict.state, what)
            self.assertIn(words, verdict.reason, what)

    def test_what_is_gone_is_that_whatever_covers_it(self) -> None:
        for _, schedules, points, _, _ in _TABLE:
            verdict = judge(schedules, points, _NOW, is_there=False)
            self.assertEqual('gone', verdict.state)
            left = {0: 'no good recovery points left', 1: '1 good recovery point left'}
            self.assertIn(left.get(points.good, f'{points.good} good'), verdict.reason)

    def test_grace(self) -> None:
        """A run that is due may take so long to begin."""
        for later, state in ((0, 'protected'), (3_600, 'protected'), (3_601, 'late')):
            now = _DUE + datetime.timedelta(seconds=later)
            verdict = judge((_DAILY,), _OLD, now, is_there=True)
            self.assertEqual(state, verdict.state, later)

    def test_any_schedule_that_is_late_counts(self) -> None:
        weekly = dataclasses.replace(
            _DAILY, name='weekly', due_at=_DUE - 3 * _DAY, next_run_at=_DUE + 4 * _DAY
        )
        points = Points(good=1, newest_good_at=_DUE - _DAY)
        verdict = judge((weekly, _DAILY), points, _NOW, is_there=True)
        self.assertEqual('late', verdict.state)
        self.assertEqual('protected', judge((weekly,), points, _NOW, is_there=True).state)
