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

"""``openstack protection schedule``: what each command does, and what it prints."""

import re

from karbor.tests.base import new_id
from karbor.tests.functional import commanding

_DAILY = '--every day --at 02:30 --timezone Europe/Berlin --keep-daily 7 --keep-weekly 4'
_FIELDS = {'timezone': 'Europe/Berlin', 'retention': {'keep_daily': 7, 'keep_weekly': 4}}
_CALENDAR = """BEGIN:VCALENDAR
BEGIN:VEVENT
RRULE:FREQ=WEEKLY;INTERVAL=1;BYDAY=MO
END:VEVENT
END:VCALENDAR
"""


class SchedulesTest(commanding.CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.plan_id = self.plan(self.volume(name='a', size=3), self.volume(name='b')).id

    def test_a_life(self) -> None:
        made = self.fields(f'schedule create daily --plan nightly {_DAILY} --description x')
        self.assertEqual(
            (
                'daily',
                'x',
                'every day at 02:30 (Europe/Berlin)',
                'daily 7, weekly 4',
                'yes',
                '',
                f'nightly ({self.plan_id})',
            ),
            tuple(
                made[name]
                for name in ('Name', 'Description', 'When', 'Keeps', 'Enabled', 'Last run', 'Plan')
            ),
        )
        fires = made['Next fires'].splitlines()
        self.assertEqual(5, len(fires))
        for fire in fires:
            self.assertTrue(re.fullmatch(r'\d{4}-\d\d-\d\d 02:30 UTC\+0[12]:00', fire), fire)
        kept, needed, *remarks = made['A year of it'].splitlines()
        self.assertEqual(
            ' '.join(self.calls.preview_schedule('30 2 * * *', self.plan_id, **_FIELDS).remarks),
            ' '.join(remarks),
        )
        self.assertRegex(kept, r'^1\d recovery points of a volume at most$')
        self.assertRegex(needed, r'^2\d snapshots of 2 volumes, \d\d GiB, at once$')

        (row,) = self.table('schedule list --plan nightly --long')
        self.assertEqual(
            (made['ID'], 'daily', 'yes', self.plan_id, 'skip'),
            tuple(row[name] for name in ('ID', 'Name', 'Enabled', 'Plan', 'Overlap')),
        )
        self.assertTrue(row['Next run'].startswith('in '))
        shown = self.json('schedule show daily')
        self.assertEqual(self.get(f'/schedules/{made["ID"]}')['schedule'], shown)
        (listed,) = self.json('schedule list')
        self.assertEqual({**shown, 'next_fires': None}, listed)

        run = self.fields('schedule run daily --wait')
        self.assertEqual(('protect', 'available'), (run['Type'], run['Status']))
        shown = self.fields(f'schedule show {made["ID"]}')
        self.assertTrue(shown['Last run'].startswith('available, '))
        self.assertEqual(made['Plan'], shown['Plan'])
        logs = self.table('schedule log daily')
        self.assertIn(('protect', 'available'), {(log['Type'], log['Status']) for log in logs})
        self.assertEqual(1, len(self.json('schedule log daily --limit 1')))

        told = self.fail_command('schedule delete daily', answer='n')
        self.assertEqual('Nothing is deleted.', told)
        self.assertIn('1 schedule (daily); what was made stays', self.errors)
        self.run_command('schedule delete daily --yes')
        self.assertEqual([], self.json('schedule list'))
        self.assertEqual(1, len(self.json('checkpoint list')))

    def test_changes(self) -> None:
        self.run_command(f'schedule create daily --plan nightly {_DAILY} --disable')
        self.assertFalse(self.json('schedule show daily')['enabled'])
        self.run_command('schedule enable daily')
        self.assertTrue(self.json('schedule show daily')['enabled'])
        self.run_command('schedule disable daily')
        self.assertFalse(self.json('schedule show daily')['enabled'])
        self.run_command(
            'schedule set daily --name weekly --every week --on Sunday --at 4:05 --keep-daily 0'
            ' --keep-last 3 --overlap queue --description y --jitter 60'
        )
        shown = self.json('schedule show weekly')
        self.assertEqual(
            ('5 4 * * 0', 'Europe/Berlin', 'queue', 'y', 60),
            tuple(shown[n] for n in ('pattern', 'timezone', 'overlap', 'description', 'jitter')),
        )
        self.assertEqual({'keep_weekly': 4, 'keep_last': 3}, shown['retention'])
        self.run_command('schedule set weekly --keep-all')
        self.assertIsNone(self.json('schedule show weekly')['retention'])
        self.assertEqual('all', self.fields('schedule show weekly')['Keeps'])
        other = self.calls.create_plan(
            'other',
            self.json('plan show nightly')['provider_id'],
            [self.volume()],
            parameters=self.json('plan show nightly')['parameters'],
        )
        self.run_command('schedule set weekly --plan other')
        self.assertEqual(other.id, self.json('schedule show weekly')['plan_id'])

    def test_when(self) -> None:
        for said, pattern, told in (
            ('--every hour', '0 * * * *', 'every hour at :00'),
            ('--every hour --at 00:15', '15 * * * *', 'every hour at :15'),
            ('--every day', '0 0 * * *', 'every day at 00:00'),
            ('--every week', '0 0 * * 1', 'every Monday at 00:00'),
            (
                '--every month --on 15 --at 23:59',
                '59 23 15 * *',
                'every month on day 15 at 23:59',
            ),
            ('--every month', '0 0 1 * *', 'every month on day 1 at 00:00'),
            ('--cron "5 4 * * 1-5"', '5 4 * * 1-5', '5 4 * * 1-5'),
            ('--cron "5 4 1 * 1"', '5 4 1 * 1', '5 4 1 * 1'),
            ('--cron "5 * 1 * *"', '5 * 1 * *', '5 * 1 * *'),
        ):
            made = self.fields(f'schedule create x --plan nightly {said}')
            self.assertEqual(f'{told} (UTC)', made['When'])
            self.assertEqual(pattern, self.json('schedule show x')['pattern'], said)
            self.run_command('schedule delete x')

    def test_a_calendar(self) -> None:
        file = self.temp_dir / 'weekly.ics'
        file.write_text(_CALENDAR)
        made = self.fields(
            f'schedule create x --plan nightly --ical {file} --start "2030-01-07 02:00:00"'
        )
        self.assertEqual('RRULE:FREQ=WEEKLY;INTERVAL=1;BYDAY=MO (UTC)', made['When'])
        self.assertTrue(made['Next fires'].startswith('2030-01-07 02:00 UTC\n'))
        self.assertIn('cannot be read', self.fail_command('schedule preview --ical /nowhere'))

    def test_previews(self) -> None:
        shown = self.fields(f'schedule preview {_DAILY}')
        self.assertIn(shown['Runs in a year'], ('365', '366'))
        self.assertNotIn('GiB', shown['A year of it'])
        weeks = shown['Kept at the end of each week'].splitlines()
        self.assertLess(len(weeks), 10)
        alike = [week for week in weeks if ' to ' in week]
        self.assertRegex(alike[-1], r'^(\d{4}-W\d\d)( to (?!\1)\d{4}-W\d\d): 7 runs, 1\d kept$')
        whole = self.json(f'schedule preview --plan nightly {_DAILY}')
        self.assertEqual(2, whole['most']['volumes'])
        self.assertGreater(len(whole['weeks']), 50)
        self.assertEqual([], self.json('schedule list'))

    def test_errors(self) -> None:
        create = 'schedule create x --plan nightly'
        for line, told in (
            (f'{create} --every day --at 2', "'2' is not a time as 02:30."),
            (f'{create} --every day --at 25:30', "'25:30' is not a time as 02:30."),
            (f'{create} --every hour --at 00:60', "'00:60' is not a time as 02:30."),
            (f'{create} --cron "0 0 * * *" --at 02:30', '--at and --on go with --every.'),
            (f'{create} --every day --on monday', '--on goes with'),
            (f'{create} --every week --on someday', "'someday' is none of sunday"),
            (f'{create} --cron x', 'pattern'),
            ('schedule create x --plan y --every day', 'There is no plan y.'),
            ('schedule show x', 'There is no schedule x.'),
            (f'schedule run {new_id()}', 'There is no schedule'),
        ):
            self.assertIn(told, self.fail_command(line))
        self.run_command(f'{create} --every day')
        told = self.fail_command('schedule set x --keep-all --keep-last 1')
        self.assertEqual('--keep-all does not go with rules.', told)
        self.run_command('schedule set x')
        self.run_command(f'{create} --every day')
        ids = {schedule['id'] for schedule in self.json('schedule list')}
        told = self.fail_command('schedule show x')
        self.assertEqual(ids, set(told.partition(': ')[2].split(', ')))
