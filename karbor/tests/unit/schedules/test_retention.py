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

"""What retention keeps and removes, and why: goldens, and what holds for every policy."""

import dataclasses
import datetime
import random
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import hypothesis
from hypothesis import strategies as st

from karbor import exception
from karbor.services.schedules import retention
from karbor.tests import base

SETTINGS = hypothesis.settings(max_examples=100, deadline=None, database=None, derandomize=True)

Candidates: TypeAlias = list[retention.Candidate]

UTC = zoneinfo.ZoneInfo('UTC')
BERLIN = zoneinfo.ZoneInfo('Europe/Berlin')
NOON = '2026-11-22T12:00'
NOW = datetime.datetime.fromisoformat(NOON)

# Policy, zone, now, what stays, what goes. Times are the zone's, or have an offset. An
# exclamation mark is a pin.
GOLDENS: tuple[tuple[dict[str, Any], str, str, str, str], ...] = (
    # No rule, and the last good one.
    ({}, 'UTC', NOON, '2026-11-22 2025-11-22! 1999-01-01', ''),
    (
        {
            'max_backups': 0,
            'retention_duration': 0,
            'keep_last': 0,
            'keep_daily': 0,
            'keep_within': datetime.timedelta(0),
        },
        'UTC',
        NOON,
        '2026-11-22 1999-01-01',
        '',
    ),
    (
        {'keep_last': 1, 'keep_within': datetime.timedelta(0)},
        'UTC',
        NOON,
        '2026-11-22T12:01',
        '2026-11-22T12:00',
    ),
    ({'retention_duration': 9}, 'UTC', NOON, '2026-01-03', '2026-01-02 2026-01-01'),
    ({'retention_duration': 9}, 'UTC', NOON, '2026-01-03!', '2026-01-02 2026-01-01'),
    ({'keep_within': datetime.timedelta(9)}, 'UTC', NOON, '2026-01-03', '2026-01-02'),
    # Limits.
    ({'max_backups': 2}, 'UTC', NOON, '2026-11-22 2026-11-21', '2026-11-20 2026-11-19'),
    ({'max_backups': 2}, 'UTC', NOON, '2026-11-22', ''),
    (
        {'max_backups': 2},
        'UTC',
        NOON,
        '2026-11-22! 2026-11-21 2026-11-20! 2026-11-19 2026-11-17!',
        '2026-11-18 2026-11-16',
    ),
    (
        {'retention_duration': 1},
        'UTC',
        NOON,
        '2026-11-21T12:00 2026-11-20T12:00:00.000001',
        '2026-11-20T12:00 2026-11-19T12:00',
    ),
    (
        {'max_backups': 2, 'retention_duration': 2},
        'UTC',
        NOON,
        '2026-11-22 2026-11-21',
        '2026-11-20 2026-11-19',
    ),
    (
        {'max_backups': 3, 'retention_duration': 1},
        'UTC',
        NOON,
        '2026-11-22 2026-11-21',
        '2026-11-20 2026-11-19',
    ),
    # Limits and keep rules.
    (
        {'max_backups': 1, 'keep_daily': 2},
        'UTC',
        NOON,
        '2026-11-22T02:00 2026-11-20T02:00',
        '2026-11-22T01:00 2026-11-20T01:00 2026-11-19T02:00',
    ),
    (
        {'max_backups': 3, 'retention_duration': 1, 'keep_monthly': 2},
        'UTC',
        NOON,
        '2026-11-22 2026-11-21 2026-10-31',
        '2026-11-20 2026-10-30 2026-09-30',
    ),
    # The newest ones.
    ({'keep_last': 1}, 'UTC', NOON, '2026-11-22', '2026-11-21'),
    ({'keep_last': 2}, 'UTC', NOON, '2026-11-22! 2026-11-21 2026-11-20', '2026-11-19'),
    ({'keep_last': 2}, 'UTC', NOON, '2026-11-22 2026-11-21! 2026-11-20', '2026-11-19'),
    (
        {'keep_within': datetime.timedelta(hours=36)},
        'UTC',
        NOON,
        '2026-11-22T12:00 2026-11-21T00:00',
        '2026-11-20T23:59:59.999999 2026-11-20T00:00',
    ),
    # Periods without a checkpoint do not count, nor do pinned checkpoints.
    (
        {'keep_hourly': 2},
        'UTC',
        NOON,
        '2026-11-22T10:30 2026-11-22T07:59',
        '2026-11-22T10:29 2026-11-22T07:00 2026-11-22T06:59',
    ),
    ({'keep_hourly': 2}, 'UTC', NOON, '2026-11-22T10:30 2026-11-21T10:59', '2026-11-21T10:30'),
    (
        {'keep_daily': 2},
        'UTC',
        NOON,
        '2026-11-22T00:00 2026-11-20T23:59',
        '2026-11-20T00:00 2026-11-19T23:59',
    ),
    ({'keep_daily': 1}, 'UTC', NOON, '2026-11-22T03:00! 2026-11-22T02:00', '2026-11-22T01:00'),
    (
        {'keep_daily': 1},
        'UTC',
        NOON,
        '2026-11-22T03:00! 2026-11-20T02:00',
        '2026-11-20T01:00 2026-11-19T02:00',
    ),
    ({'keep_daily': 2}, 'UTC', NOON, '2026-11-22 2026-10-22', '2026-09-22'),
    ({'keep_monthly': 2}, 'UTC', NOON, '2026-11-22 2025-11-22', '2025-11-21 2025-10-31'),
    (
        {'keep_monthly': 2},
        'UTC',
        NOON,
        '2024-03-01T00:00 2024-02-29T23:59',
        '2024-02-29T23:58 2024-02-01T00:00 2024-01-31T23:59',
    ),
    ({'keep_yearly': 2}, 'UTC', NOON, '2026-11-22 2024-12-31T23:59', '2024-01-01 2023-12-31'),
    (
        {'keep_daily': 2, 'keep_weekly': 2, 'keep_monthly': 2, 'keep_yearly': 2},
        'UTC',
        NOON,
        '2026-11-22 2026-11-21 2026-11-15 2026-10-31 2025-12-31',
        '2026-11-20 2026-11-14 2026-10-30 2026-09-30 2025-12-30 2024-12-31',
    ),
    # Weeks are from Monday and belong to the year of their Thursday.
    ({'keep_weekly': 2}, 'UTC', NOON, '2026-11-22 2026-11-15', '2026-11-16 2026-11-09 2026-11-08'),
    (
        {'keep_weekly': 3},
        'UTC',
        NOON,
        '2021-01-04 2021-01-03 2020-12-27',
        '2021-01-01 2020-12-31 2020-12-28 2020-12-21',
    ),
    ({'keep_weekly': 2}, 'UTC', NOON, '2026-01-04 2025-12-28', '2026-01-01 2025-12-29 2025-12-22'),
    ({'keep_weekly': 2}, 'UTC', NOON, '2025-12-29 2025-01-05', '2025-01-01 2024-12-30'),
    (
        {'keep_weekly': 2},
        'Asia/Kolkata',
        NOON,
        '2026-01-05T00:10 2026-01-04T23:50',
        '2026-01-04T00:10',
    ),
    # Dated in the future.
    (
        {'max_backups': 2, 'retention_duration': 5},
        'UTC',
        NOON,
        '2031-01-01 2027-01-01',
        '2026-11-22 2026-11-21',
    ),
    ({'retention_duration': 1}, 'UTC', '1970-01-01', '2031-01-01 2026-11-22 2026-11-21', ''),
    (
        {'keep_within': datetime.timedelta(1)},
        'UTC',
        '1970-01-01',
        '2031-01-01 2026-11-22 2026-11-21',
        '',
    ),
    ({'keep_daily': 2}, 'UTC', NOON, '2031-01-01T12:00 2026-11-22', '2031-01-01 2026-11-21'),
    # Hours, days, months and years whose borders are not those of UTC.
    (
        {'keep_hourly': 2},
        'Asia/Kolkata',
        NOON,
        '2026-11-22T11:00 2026-11-22T10:59',
        '2026-11-22T10:29 2026-11-22T10:00 2026-11-22T09:59',
    ),
    (
        {'keep_daily': 2},
        'Asia/Kolkata',
        NOON,
        '2026-11-22T05:31 2026-11-21T23:59',
        '2026-11-22T00:00 2026-11-21T05:29 2026-11-21T00:00 2026-11-20T23:59',
    ),
    (
        {'keep_monthly': 2},
        'Asia/Kolkata',
        NOON,
        '2026-11-01T00:00 2026-10-31T23:59',
        '2026-10-01T00:00 2026-09-30T23:59',
    ),
    (
        {'keep_yearly': 2},
        'Asia/Kolkata',
        NOON,
        '2026-01-01T00:00 2025-12-31T23:59',
        '2025-01-01T00:00',
    ),
    # An hour that comes twice is two, and the day it is in is one.
    (
        {'keep_hourly': 4},
        'Europe/Berlin',
        NOON,
        '2026-10-25T03:00+01:00 2026-10-25T02:50+01:00 2026-10-25T02:50+02:00 '
        '2026-10-25T01:59+02:00',
        '2026-10-25T02:00+01:00 2026-10-25T02:00+02:00 2026-10-25T01:00+02:00',
    ),
    (
        {'keep_daily': 2},
        'Europe/Berlin',
        NOON,
        '2026-10-25T23:59+01:00 2026-10-24T23:59+02:00',
        '2026-10-25T02:30+01:00 2026-10-25T02:30+02:00 2026-10-25T00:00+02:00 '
        '2026-10-24T00:00+02:00 2026-10-23T23:59+02:00',
    ),
    (
        {'keep_hourly': 3},
        'America/New_York',
        NOON,
        '2026-11-01T02:00-05:00 2026-11-01T01:30-05:00 2026-11-01T01:30-04:00',
        '2026-11-01T01:00-05:00 2026-11-01T01:00-04:00 2026-11-01T00:59-04:00',
    ),
    (
        {'keep_daily': 2},
        'America/New_York',
        NOON,
        '2026-11-01T23:59-05:00 2026-10-31T23:59-04:00',
        '2026-11-01T01:30-05:00 2026-11-01T00:00-04:00 2026-10-31T00:00-04:00',
    ),
    (
        {'keep_hourly': 3},
        'Australia/Lord_Howe',
        NOON,
        '2026-04-05T02:00+10:30 2026-04-05T01:59+10:30 2026-04-05T01:59+11:00',
        '2026-04-05T01:30+10:30 2026-04-05T01:30+11:00 2026-04-05T01:00+11:00 '
        '2026-04-05T00:59+11:00',
    ),
    (
        {'keep_daily': 2},
        'Australia/Lord_Howe',
        NOON,
        '2026-04-05T23:59+10:30 2026-04-04T23:59+11:00',
        '2026-04-05T01:45+10:30 2026-04-05T01:45+11:00 2026-04-05T00:00+11:00 '
        '2026-04-04T00:00+11:00',
    ),
    # An hour that is left out, or half of one.
    (
        {'keep_hourly': 2},
        'Europe/Berlin',
        NOON,
        '2026-03-29T03:30+02:00 2026-03-29T01:59+01:00',
        '2026-03-29T03:00+02:00 2026-03-29T01:00+01:00 2026-03-29T00:59+01:00',
    ),
    (
        {'keep_daily': 2},
        'Europe/Berlin',
        NOON,
        '2026-03-29T23:59+02:00 2026-03-28T23:59+01:00',
        '2026-03-29T03:00+02:00 2026-03-29T00:00+01:00 2026-03-28T00:00+01:00',
    ),
    (
        {'keep_monthly': 2},
        'Europe/Berlin',
        NOON,
        '2026-03-31T23:59+02:00 2026-02-28T23:59+01:00',
        '2026-03-01T00:00+01:00 2026-02-01T00:00+01:00',
    ),
    (
        {'keep_hourly': 2},
        'America/New_York',
        NOON,
        '2026-03-08T03:59-04:00 2026-03-08T01:59-05:00',
        '2026-03-08T03:00-04:00 2026-03-08T01:00-05:00',
    ),
    (
        {'keep_daily': 2},
        'America/New_York',
        NOON,
        '2026-03-08T23:59-04:00 2026-03-07T23:59-05:00',
        '2026-03-08T00:00-05:00 2026-03-07T00:00-05:00',
    ),
    (
        {'keep_hourly': 2},
        'Australia/Lord_Howe',
        NOON,
        '2026-10-04T02:59+11:00 2026-10-04T01:59+10:30',
        '2026-10-04T02:30+11:00 2026-10-04T01:00+10:30',
    ),
    (
        {'keep_daily': 2},
        'Australia/Lord_Howe',
        NOON,
        '2026-10-04T23:59+11:00 2026-10-03T23:59+10:30',
        '2026-10-04T00:00+10:30',
    ),
    # A day that had begun when the clocks went back into the day before, and a day left out.
    (
        {'keep_daily': 3},
        'America/St_Johns',
        NOON,
        '2006-10-29T10:00-03:30 2006-10-28T23:30-03:30 2006-10-27T10:00-02:30',
        '2006-10-29T00:00:30-02:30 2006-10-28T23:30-02:30 2006-10-26T10:00-02:30',
    ),
    (
        {'keep_daily': 2},
        'Pacific/Apia',
        NOON,
        '2011-12-31T10:00+14:00 2011-12-29T23:59-10:00',
        '2011-12-29T10:00-10:00 2011-12-28T10:00-10:00',
    ),
)

# Policy and, newest first, the reasons of each: it goes if these begin with a minus.
REASONS: tuple[tuple[dict[str, Any], dict[str, list[str]]], ...] = (
    (
        {},
        {
            '2026-11-22': ['it is the last good one', 'there is no rule'],
            '2026-11-21!': ['it is pinned', 'there is no rule'],
            '2026-11-20': ['there is no rule'],
        },
    ),
    (
        {'max_backups': 1},
        {
            '2026-11-22!': ['it is the last good one', 'it is pinned'],
            '2026-11-21': ['within max_backups 1'],
            '2026-11-20': ['- beyond max_backups 1'],
        },
    ),
    (
        {'retention_duration': 1},
        {
            '2026-11-22': ['it is the last good one', 'within retention_duration 1 day'],
            '2026-11-20': ['- older than retention_duration 1 day'],
        },
    ),
    (
        {'max_backups': 2, 'retention_duration': 14},
        {
            '2026-11-22': [
                'it is the last good one',
                'within max_backups 2 and retention_duration 14 days',
            ],
            '2026-11-07': ['- older than retention_duration 14 days'],
            '2026-11-06': ['- beyond max_backups 2', 'older than retention_duration 14 days'],
        },
    ),
    (
        {'max_backups': 1, 'keep_last': 2},
        {
            '2026-11-22': [
                'it is the last good one',
                'within max_backups 1',
                'keep_last 2: number 1',
            ],
            '2026-11-21': ['keep_last 2: number 2'],
            '2026-11-20': ['- beyond max_backups 1', 'no keep rule holds it'],
        },
    ),
    (
        {
            'keep_last': 3,
            'keep_hourly': 2,
            'keep_daily': 7,
            'keep_weekly': 4,
            'keep_monthly': 12,
            'keep_yearly': 2,
            'keep_within': datetime.timedelta(hours=36),
        },
        {
            '2026-11-22T02:05': [
                'it is the last good one',
                'keep_last 3: number 1',
                'keep_hourly 2: the newest of 2026-11-22 02:00+01:00',
                'keep_daily 7: the newest of 2026-11-22',
                'keep_weekly 4: the newest of 2026-W47',
                'keep_monthly 12: the newest of 2026-11',
                'keep_yearly 2: the newest of 2026',
                'keep_within 36h: it is not older',
            ],
            '2026-11-22T01:05!': ['it is pinned'],
            '2026-11-22T00:05': [
                'keep_last 3: number 2',
                'keep_hourly 2: the newest of 2026-11-22 00:00+01:00',
                'keep_within 36h: it is not older',
            ],
            '2026-01-01T00:05': [
                'keep_last 3: number 3',
                'keep_daily 7: the newest of 2026-01-01',
                'keep_weekly 4: the newest of 2026-W01',
                'keep_monthly 12: the newest of 2026-01',
            ],
            '2026-01-01T00:04': ['- no keep rule holds it'],
        },
    ),
    (
        {'keep_hourly': 2, 'keep_within': datetime.timedelta(days=14)},
        {
            '2026-10-25T02:30+01:00': [
                'it is the last good one',
                'keep_hourly 2: the newest of 2026-10-25 02:00+01:00',
            ],
            '2026-10-25T02:30+02:00': ['keep_hourly 2: the newest of 2026-10-25 02:00+02:00'],
            '2026-10-25T02:10+02:00': ['- no keep rule holds it'],
        },
    ),
    (
        {'keep_within': datetime.timedelta(days=14)},
        {
            '2026-11-22': ['it is the last good one', 'keep_within 14d: it is not older'],
            '2026-11-21': ['keep_within 14d: it is not older'],
        },
    ),
)

GOOD: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({}, {}),
    ({'plan_id': 'x', 'provider_id': None, 'keep_forever': True}, {}),
    ({'max_backups': 3, 'retention_duration': '14'}, {'max_backups': 3, 'retention_duration': 14}),
    ({'max_backups': '3', 'retention_duration': 14}, {'max_backups': 3, 'retention_duration': 14}),
    ({'max_backups': -1, 'retention_duration': '-1'}, {}),
    ({'max_backups': '0', 'retention_duration': 0}, {}),
    ({'max_backups': 1, 'retention_duration': '1'}, {'max_backups': 1, 'retention_duration': 1}),
    ({'max_backups': -999999999, 'retention_duration': '-999999999'}, {}),
    (
        {'max_backups': 999999999, 'retention_duration': '999999999'},
        {'max_backups': 999999999, 'retention_duration': 999999999},
    ),
    (
        {
            'keep_last': 1,
            'keep_hourly': '2',
            'keep_daily': 3,
            'keep_weekly': '04',
            'keep_monthly': 5,
            'keep_yearly': '999999',
        },
        {
            'keep_last': 1,
            'keep_hourly': 2,
            'keep_daily': 3,
            'keep_weekly': 4,
            'keep_monthly': 5,
            'keep_yearly': 999999,
        },
    ),
    ({'keep_last': 0, 'keep_daily': '0', 'keep_yearly': '000000000'}, {}),
    ({'keep_last': '000000001', 'keep_yearly': 999999}, {'keep_last': 1, 'keep_yearly': 999999}),
    ({'keep_within': '36h'}, {'keep_within': datetime.timedelta(hours=36)}),
    ({'keep_within': '14d'}, {'keep_within': datetime.timedelta(days=14)}),
    ({'keep_within': '08w'}, {'keep_within': datetime.timedelta(days=56)}),
    ({'keep_within': '1h'}, {'keep_within': datetime.timedelta(hours=1)}),
    ({'keep_within': '99999w'}, {'keep_within': datetime.timedelta(weeks=99999)}),
)
NO_NUMBERS = (
    '',
    'x',
    '1_000',
    ' 3',
    '3 ',
    '3\n',
    '+3',
    '--3',
    '-',
    '3.0',
    '0x3',
    '\u0663',
    '\u00b3',
    '3d',
    '1234567890',
    '0000000003',
    10**9,
    10**30,
    -(10**9),
    3.0,
    0.0,
    float('nan'),
    True,
    False,
    None,
    [],
    {},
    [3],
    b'3',
)
NO_COUNTS = (*NO_NUMBERS, -1, '-1', '-0', 10**6, '1000000')
NO_LIMITS = (*NO_NUMBERS, '- 1', '-\u0661', '-1234567890')
NO_AGES: tuple[object, ...] = (
    '',
    '3',
    'd',
    '0d',
    '00000h',
    '-3d',
    '+3d',
    '3 d',
    ' 3d',
    '3d ',
    '3d\n',
    '3D',
    '3m',
    '3y',
    '3s',
    '3days',
    '1.5d',
    '1_0d',
    '1d12h',
    'P3D',
    '100000h',
    '000003d',
    '\u0663d',
    '9' * 4000 + 'w',
    3,
    0,
    -3,
    3.0,
    True,
    None,
    [],
    {},
    b'3d',
)


def utc(text: str, zone: str) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def candidate(text: str, zone: str) -> retention.Candidate:
    return retention.Candidate(text, utc(text.rstrip('!'), zone), pinned=text.endswith('!'))


def kept(
    candidates: Iterable[retention.Candidate],
    policy: retention.Policy,
    now: datetime.datetime = NOW,
    zone: zoneinfo.ZoneInfo = UTC,
) -> Candidates:
    return [
        verdict.candidate
        for verdict in retention.judge(candidates, policy, now, zone)
        if verdict.keep
    ]


def ids(candidates: Iterable[retention.Candidate]) -> list[str]:
    return [candidate.id for candidate in candidates]


class GoldenTest(base.TestCase):
    def test_what_stays(self) -> None:
        for rules, zone, now, stays, goes in GOLDENS:
            candidates = [candidate(text, zone) for text in f'{goes} {stays}'.split()]
            found = kept(
                candidates, retention.Policy(**rules), utc(now, zone), zoneinfo.ZoneInfo(zone)
            )
            self.assertEqual(stays.split(), ids(found), (rules, zone, goes))

    def test_reasons(self) -> None:
        for rules, wanted in REASONS:
            verdicts = retention.judge(
                [candidate(text, BERLIN.key) for text in sorted(wanted)],
                retention.Policy(**rules),
                utc(NOON, BERLIN.key),
                BERLIN,
            )
            found = {
                verdict.candidate.id: '; '.join(verdict.reasons)
                if verdict.keep
                else f'- {"; ".join(verdict.reasons)}'
                for verdict in verdicts
            }
            self.assertEqual(
                [(text, '; '.join(reasons)) for text, reasons in wanted.items()],
                list(found.items()),
                rules,
            )

    def test_none(self) -> None:
        self.assertEqual([], kept([], retention.Policy(keep_last=1, max_backups=1)))

    def test_of_the_same_time_the_first_id_is_the_newest(self) -> None:
        candidates = [retention.Candidate(name, NOW) for name in 'bdac']
        for policy, wanted in (
            (retention.Policy(), 'abcd'),
            (retention.Policy(max_backups=2), 'ab'),
            (retention.Policy(keep_last=2), 'ab'),
            (retention.Policy(keep_hourly=2), 'a'),
        ):
            self.assertEqual(list(wanted), ids(kept(candidates, policy)))


class JustMadeTest(base.TestCase):
    def test_it_stays_though_one_is_dated_later(self):
        """The clock was once a year ahead."""
        now = datetime.datetime(2026, 3, 10)
        candidates = [
            retention.Candidate('wrong', now + datetime.timedelta(days=365)),
            retention.Candidate('new', now),
            retention.Candidate('old', now - datetime.timedelta(days=1)),
        ]
        policy = retention.Policy(max_backups=1)
        zone = zoneinfo.ZoneInfo('UTC')
        for just_made, kept in (('new', ['wrong', 'new']), (None, ['wrong'])):
            verdicts = retention.judge(candidates, policy, now, zone, just_made)
            self.assertEqual(kept, [verdict.candidate.id for verdict in verdicts if verdict.keep])


def chain(names: str, **built_on: str) -> Candidates:
    """Candidates of one letter each, the newest first, an hour apart.

    :param built_on: on which other one it is built.
    """
    return [
        retention.Candidate(
            name, NOW - datetime.timedelta(hours=number), built_on=built_on.get(name)
        )
        for number, name in enumerate(names)
    ]


class BuiltOnTest(base.TestCase):
    """What one that stays is built on stays as well."""

    def reasons(
        self, candidates: Candidates, policy: retention.Policy
    ) -> dict[str, tuple[str, ...]]:
        """Of those that stay."""
        return {
            verdict.candidate.id: verdict.reasons
            for verdict in retention.judge(candidates, policy, NOW, UTC)
            if verdict.keep
        }

    def test_down_to_the_ground(self) -> None:
        candidates = chain('abcdef', a='c', c='d', b='f')
        policy = retention.Policy(keep_last=1)
        self.assertEqual(['a', 'c', 'd'], ids(kept(candidates, policy)))
        found = self.reasons(candidates, policy)
        self.assertEqual(('a, which stays, is built on it',), found['c'])
        self.assertEqual(('c, which stays, is built on it',), found['d'])

    def test_it_is_counted_as_any_other(self) -> None:
        candidates = chain('abcd', a='b')
        found = self.reasons(candidates, retention.Policy(keep_last=2))
        self.assertEqual(['a', 'b'], list(found))
        self.assertEqual(('keep_last 2: number 2', 'a, which stays, is built on it'), found['b'])

    def test_each_that_is_built_on_it_is_told(self) -> None:
        found = self.reasons(chain('abcd', a='d', b='d', c='d'), retention.Policy(keep_last=2))
        self.assertEqual(
            {'a, which stays, is built on it', 'b, which stays, is built on it'}, set(found['d'])
        )

    def test_of_what_is_not_there(self) -> None:
        policy = retention.Policy(keep_last=1)
        self.assertEqual(['a'], ids(kept(chain('ab', a='z'), policy)))
        # A circle ends, and holds nothing by itself.
        self.assertEqual(['a'], ids(kept(chain('abc', b='c', c='b'), policy)))
        self.assertEqual(['a', 'b', 'c'], ids(kept(chain('abc', a='b', b='c', c='a'), policy)))

    def test_of_a_pinned_one(self) -> None:
        pinned = dataclasses.replace(chain('abc')[1], pinned=True, built_on='c')
        candidates = [pinned if each.id == 'b' else each for each in chain('abc')]
        self.assertEqual(['a', 'b', 'c'], ids(kept(candidates, retention.Policy(keep_last=1))))

    def test_needed_ones_stay_and_are_counted(self) -> None:
        candidates = [
            dataclasses.replace(each, needed_for='a test' if each.id in 'bd' else None)
            for each in chain('abcde', d='e')
        ]
        found = self.reasons(candidates, retention.Policy(keep_last=2))
        self.assertEqual(['a', 'b', 'd', 'e'], list(found))
        self.assertEqual(('a test', 'keep_last 2: number 2'), found['b'])
        self.assertEqual(('a test',), found['d'])


class ParseTest(base.TestCase):
    def assert_refused(self, name: str, given: object, wanted: str) -> None:
        fault = self.assertRaises(
            exception.InvalidInput, retention.parse, {'plan_id': 'x', 'max_backups': 3, name: given}
        )
        self.assertEqual(f'Invalid input: {name}: {given!r} is not {wanted}.', str(fault))

    def test_good(self) -> None:
        for definition, wanted in GOOD:
            self.assertEqual(retention.Policy(**wanted), retention.parse(definition), definition)

    def test_rules(self) -> None:
        self.assertEqual(
            (
                'max_backups',
                'retention_duration',
                'keep_last',
                'keep_hourly',
                'keep_daily',
                'keep_weekly',
                'keep_monthly',
                'keep_yearly',
                'keep_within',
            ),
            retention.RULES,
        )
        self.assertEqual(retention.RULES[2:], retention.KEEP_RULES)

    def test_is_empty(self) -> None:
        self.assertTrue(retention.parse({'max_backups': -1, 'keep_daily': 0}).is_empty)
        for name in retention.RULES:
            given = '3d' if name == 'keep_within' else 3
            self.assertFalse(retention.parse({name: given}).is_empty, name)

    def test_bad_limits(self) -> None:
        for given in NO_LIMITS:
            self.assert_refused(
                'max_backups', given, 'a number of checkpoints up to 999999999, or -1 for no limit'
            )
            self.assert_refused(
                'retention_duration', given, 'a number of days up to 999999999, or -1 for no limit'
            )

    def test_bad_counts(self) -> None:
        for name in retention.KEEP_RULES[:-1]:
            for given in NO_COUNTS:
                self.assert_refused(name, given, 'a number of checkpoints from 0 to 999999')

    def test_bad_ages(self) -> None:
        for given in NO_AGES:
            self.assert_refused(
                'keep_within',
                given,
                'a time of 1 to 99999 hours, days or weeks such as 36h, 14d or 8w',
            )


# The clocks go back an hour before in New York, a week before in Berlin.
TODAY = datetime.datetime(2026, 11, 1, 7)
MINUTES = st.integers(-90, 300) | st.integers(-1440, 20 * 1440) | st.integers(0, 1500 * 1440)
CANDIDATES = st.lists(
    st.builds(
        retention.Candidate,
        st.text('abcdef', min_size=1, max_size=3),
        MINUTES.map(lambda minutes: TODAY - datetime.timedelta(minutes=minutes)),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=25,
    unique_by=lambda candidate: candidate.id,
)
NUMBERS = st.integers(1, 5)
AGES = st.integers(1, 2000).map(lambda hours: datetime.timedelta(hours=hours))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(retention.RULES, NUMBERS),
    'keep_within': AGES,
}
POLICIES = st.fixed_dictionaries({}, optional=VALUES).map(lambda rules: retention.Policy(**rules))
LIMITS = st.builds(
    retention.Policy, max_backups=st.none() | NUMBERS, retention_duration=st.none() | NUMBERS
)
ZONES = st.sampled_from(
    [
        'UTC',
        'Europe/Berlin',
        'America/New_York',
        'Australia/Lord_Howe',
        'Asia/Kolkata',
        'America/Havana',
        'Antarctica/Troll',
        'Pacific/Apia',
        'Pacific/Kiritimati',
    ]
).map(zoneinfo.ZoneInfo)
NAMES_AND_VALUES = st.sampled_from(retention.RULES).flatmap(
    lambda name: st.tuples(st.just(name), VALUES[name])
)

PERIODS: dict[str, Callable[[datetime.datetime], tuple[Any, ...]]] = {
    'keep_hourly': lambda local: (local.date(), local.hour, local.utcoffset()),
    'keep_daily': lambda local: (local.year, local.month, local.day),
    'keep_weekly': lambda local: (local.date() - datetime.timedelta(local.weekday()),),
    'keep_monthly': lambda local: (local.year, local.month),
    'keep_yearly': lambda local: (local.year,),
}


def with_more(policy: retention.Policy, name: str, value: Any) -> retention.Policy:
    """With a rule that it has not, or with a larger number in it."""
    given = getattr(policy, name)
    return dataclasses.replace(policy, **{name: value if given is None else given + value})


def sorted_newest_first(candidates: Iterable[retention.Candidate]) -> Candidates:
    return sorted(candidates, key=lambda candidate: (TODAY - candidate.created_at, candidate.id))


def unpinned(candidates: Iterable[retention.Candidate]) -> Candidates:
    return [candidate for candidate in candidates if not candidate.pinned]


def held_by(name: str, value: Any, counted: Candidates, zone: zoneinfo.ZoneInfo) -> Candidates:
    """What a single keep rule holds, said another way."""
    if name == 'keep_within':
        return [candidate for candidate in counted if candidate.created_at >= TODAY - value]
    periods: dict[tuple[Any, ...], Candidates] = {}
    for each in counted:
        local = each.created_at.replace(tzinfo=datetime.UTC).astimezone(zone)
        period = PERIODS[name](local) if name in PERIODS else (each.id,)
        periods.setdefault(period, []).append(each)
    newest = (sorted_newest_first(period)[0] for period in periods.values())
    return sorted_newest_first(newest)[:value]


def within_limits(counted: Candidates, policy: retention.Policy) -> set[str]:
    """What Karbor's own operations would leave."""
    left = sorted_newest_first(counted)
    if policy.max_backups is not None:
        del left[policy.max_backups :]
    if policy.retention_duration is not None:
        for each in list(left):
            if (TODAY - each.created_at).days > policy.retention_duration:
                left.remove(each)
    return set(ids(left))


class PropertiesTest(base.TestCase):
    @SETTINGS
    @hypothesis.given(CANDIDATES, POLICIES, ZONES, st.randoms())
    def test_verdicts(
        self,
        candidates: Candidates,
        policy: retention.Policy,
        zone: zoneinfo.ZoneInfo,
        chance: random.Random,
    ) -> None:
        """There is one for each, the newest first, whatever the order they come in."""
        verdicts = retention.judge(candidates, policy, TODAY, zone)
        self.assertEqual(
            sorted_newest_first(candidates), [verdict.candidate for verdict in verdicts]
        )
        self.assertTrue(all(verdict.reasons for verdict in verdicts))
        chance.shuffle(candidates)
        self.assertEqual(verdicts, retention.judge(iter(candidates), policy, TODAY, zone))

    @SETTINGS
    @hypothesis.given(CANDIDATES, POLICIES, ZONES)
    def test_the_newest_and_the_pinned_stay(
        self, candidates: Candidates, policy: retention.Policy, zone: zoneinfo.ZoneInfo
    ) -> None:
        stay = kept(candidates, policy, TODAY, zone)
        self.assertEqual(sorted_newest_first(candidates)[:1], stay[:1])
        self.assertTrue({each.id for each in candidates if each.pinned} <= set(ids(stay)))

    @SETTINGS
    @hypothesis.given(CANDIDATES, ZONES)
    def test_without_a_rule_all_stay(self, candidates: Candidates, zone: zoneinfo.ZoneInfo) -> None:
        self.assertEqual(len(candidates), len(kept(candidates, retention.Policy(), TODAY, zone)))

    @SETTINGS
    @hypothesis.given(CANDIDATES, LIMITS, ZONES)
    def test_limits_as_karbor_has_them(
        self, candidates: Candidates, policy: retention.Policy, zone: zoneinfo.ZoneInfo
    ) -> None:
        safe = {each.id for each in candidates if each.pinned}
        safe.update(ids(sorted_newest_first(candidates)[:1]))
        self.assertEqual(
            safe | within_limits(unpinned(candidates), policy),
            set(ids(kept(candidates, policy, TODAY, zone))),
        )

    @SETTINGS
    @hypothesis.given(CANDIDATES, POLICIES, ZONES)
    def test_each_keep_rule_holds_its_own(
        self, candidates: Candidates, policy: retention.Policy, zone: zoneinfo.ZoneInfo
    ) -> None:
        verdicts = retention.judge(candidates, policy, TODAY, zone)
        for name in retention.KEEP_RULES:
            value = getattr(policy, name)
            wanted = [] if value is None else held_by(name, value, unpinned(candidates), zone)
            self.assertEqual(
                set(ids(wanted)),
                {
                    verdict.candidate.id
                    for verdict in verdicts
                    if verdict.keep
                    and any(reason.startswith(f'{name} ') for reason in verdict.reasons)
                },
            )

    @SETTINGS
    @hypothesis.given(CANDIDATES, POLICIES, ZONES)
    def test_what_stays_is_what_something_holds(
        self, candidates: Candidates, policy: retention.Policy, zone: zoneinfo.ZoneInfo
    ) -> None:
        hypothesis.assume(not policy.is_empty)
        counted = unpinned(candidates)
        wanted = {each.id for each in candidates if each.pinned}
        wanted.update(ids(sorted_newest_first(candidates)[:1]))
        if policy.max_backups or policy.retention_duration:
            wanted.update(within_limits(counted, policy))
        for name in retention.KEEP_RULES:
            if getattr(policy, name):
                wanted.update(ids(held_by(name, getattr(policy, name), counted, zone)))
        self.assertEqual(wanted, set(ids(kept(candidates, policy, TODAY, zone))))

    @SETTINGS
    @hypothesis.given(CANDIDATES, NUMBERS)
    def test_keep_last_alone(self, candidates: Candidates, count: int) -> None:
        """Also if the last good one is pinned: then it is none of those that are counted."""
        stay = unpinned(kept(candidates, retention.Policy(keep_last=count), TODAY))
        self.assertEqual(sorted_newest_first(unpinned(candidates))[:count], stay)

    @SETTINGS
    @hypothesis.given(CANDIDATES, POLICIES, NAMES_AND_VALUES, ZONES)
    def test_one_more_rule(
        self,
        candidates: Candidates,
        policy: retention.Policy,
        rule: tuple[str, Any],
        zone: zoneinfo.ZoneInfo,
    ) -> None:
        """It, or a larger number, removes no more, except the first rule and a limit that is
        next to another or without any keep rule."""
        hypothesis.assume(not policy.is_empty)
        name = rule[0]
        if name not in retention.KEEP_RULES and getattr(policy, name) is None:
            hypothesis.assume(policy.max_backups is None and policy.retention_duration is None)
        before = kept(candidates, policy, TODAY, zone)
        after = kept(candidates, with_more(policy, *rule), TODAY, zone)
        self.assertTrue(set(ids(before)) <= set(ids(after)))

    @SETTINGS
    @hypothesis.given(CANDIDATES, POLICIES, ZONES, st.randoms())
    def test_what_is_built_on_and_what_is_needed(
        self,
        candidates: Candidates,
        policy: retention.Policy,
        zone: zoneinfo.ZoneInfo,
        chance: random.Random,
    ) -> None:
        """They stay with what stays without them, nothing more does, and twice is as once."""
        names = [*ids(candidates), None, None]
        told = [
            dataclasses.replace(
                each,
                built_on=chance.choice(names),
                needed_for=chance.choice([None, None, 'a test']),
            )
            for each in candidates
        ]
        by_id = {each.id: each for each in told}
        wanted = set(ids(kept(candidates, policy, TODAY, zone)))
        wanted.update(each.id for each in told if each.needed_for)
        for _ in told:
            wanted.update(base for name in list(wanted) if (base := by_id[name].built_on))
        stay = kept(told, policy, TODAY, zone)
        self.assertEqual(wanted, set(ids(stay)))
        self.assertEqual(stay, kept(stay, policy, TODAY, zone))

    @SETTINGS
    @hypothesis.given(CANDIDATES, POLICIES, ZONES, st.randoms())
    def test_removal_that_was_cut_short(
        self,
        candidates: Candidates,
        policy: retention.Policy,
        zone: zoneinfo.ZoneInfo,
        chance: random.Random,
    ) -> None:
        """It ends where it would have, and nothing more goes after it is complete."""
        stay = kept(candidates, policy, TODAY, zone)
        left = [each for each in candidates if each in stay or chance.random() < 0.5]
        self.assertEqual(stay, kept(left, policy, TODAY, zone))
        self.assertEqual(stay, kept(stay, policy, TODAY, zone))

    @SETTINGS
    @hypothesis.given(
        st.lists(st.datetimes(), unique=True, max_size=9), POLICIES, ZONES, st.datetimes()
    )
    @hypothesis.example(
        [datetime.datetime.min, datetime.datetime.max],
        retention.Policy(
            max_backups=1,
            retention_duration=1,
            keep_hourly=1,
            keep_weekly=1,
            keep_within=datetime.timedelta.max,
        ),
        zoneinfo.ZoneInfo('Pacific/Kiritimati'),
        datetime.datetime.min,
    )
    @hypothesis.example(
        [datetime.datetime.min],
        retention.Policy(keep_weekly=1),
        zoneinfo.ZoneInfo('America/New_York'),
        datetime.datetime.max,
    )
    def test_any_time_will_do(
        self,
        times: list[datetime.datetime],
        policy: retention.Policy,
        zone: zoneinfo.ZoneInfo,
        now: datetime.datetime,
    ) -> None:
        candidates = [retention.Candidate(str(moment), moment) for moment in times]
        verdicts = retention.judge(candidates, policy, now, zone)
        self.assertEqual(
            sorted(times, reverse=True), [verdict.candidate.created_at for verdict in verdicts]
        )

    @SETTINGS
    @hypothesis.given(
        st.dictionaries(
            st.sampled_from(retention.RULES),
            st.text('0123456789-hdw', max_size=6) | st.integers() | st.none() | st.booleans(),
        )
    )
    def test_whatever_is_given_is_taken_or_refused(self, definition: dict[str, Any]) -> None:
        try:
            policy = retention.parse(definition)
        except exception.InvalidInput as exc:
            self.assertTrue(
                any(f'{name}: {given!r} is not ' in str(exc) for name, given in definition.items())
            )
        else:
            values = [getattr(policy, name) for name in retention.RULES]
            self.assertTrue(all(value is None or value for value in values))
