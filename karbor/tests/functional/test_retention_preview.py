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

import datetime
from typing import Any

from karbor.db import models
from karbor.services.schedules import retention
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, new_id
from karbor.tests.functional import base, test_scheduled_operations

NOON = datetime.datetime(2020, 11, 15, 12)  # a Sunday


class PreviewTest(base.ApiTestCase):
    """What a retention would keep of a plan's checkpoints, and why."""

    def setUp(self):
        super().setUp()
        self.plan = self.create_plan()

    def add(self, *moments: datetime.datetime, **fields: Any) -> list[str]:
        """Checkpoints of the plan, made at those moments."""
        values = {'plan_id': self.plan['id'], **fields}
        return [
            self.add_row(models.Checkpoint, created_at=moment, **values).id for moment in moments
        ]

    def days(self, count: int, **fields: Any) -> list[str]:
        """Checkpoints of the plan, one a day, newest first."""
        return self.add(
            *(NOON - datetime.timedelta(days=number) for number in range(count)), **fields
        )

    def preview(self, code: int = 200, plan_id: str | None = None, **rules: Any) -> Any:
        answer = self.post(
            f'/plans/{plan_id or self.plan["id"]}/retention',
            {'retention': rules},
            code,
            persona='reader',
        )
        return answer['retention'] if code == 200 else answer

    def kept(self, **rules: Any) -> dict[str, list[str]]:
        """The reasons for those that stay, by id, newest first."""
        return {item['checkpoint_id']: item['reasons'] for item in self.preview(**rules)['kept']}

    def everything(self) -> list[Any]:
        return [
            str(
                [
                    {column.key: getattr(row, column.key) for column in row.__table__.columns}
                    for row in self.rows(model)
                ]
            )
            for model in (
                models.Checkpoint,
                models.Plan,
                models.OperationLog,
                models.Job,
                models.QuotaUsage,
            )
        ]

    def test_what_is_answered(self):
        newest, older, oldest = self.days(3)
        self.assertEqual(
            {
                'kept': [
                    {
                        'checkpoint_id': newest,
                        'created_at': '2020-11-15T12:00:00.000000',
                        'pinned': False,
                        'reasons': ['it is the last good one', 'keep_last 2: number 1'],
                    },
                    {
                        'checkpoint_id': older,
                        'created_at': '2020-11-14T12:00:00.000000',
                        'pinned': False,
                        'reasons': ['keep_last 2: number 2'],
                    },
                ],
                'removed': [
                    {
                        'checkpoint_id': oldest,
                        'created_at': '2020-11-13T12:00:00.000000',
                        'pinned': False,
                        'reasons': ['no keep rule holds it'],
                    }
                ],
            },
            self.preview(keep_last=2),
        )

    def test_a_plan_without_checkpoints(self):
        self.assertEqual({'kept': [], 'removed': []}, self.preview(keep_last=2))

    def test_no_rule(self):
        ids = self.days(3)
        for rules in (
            {},
            {'max_backups': -1},
            {'max_backups': 0, 'retention_duration': '-2'},
            {'keep_last': 0, 'keep_daily': '0'},
        ):
            kept = self.kept(**rules)
            self.assertEqual(ids, list(kept))
            self.assertEqual(['there is no rule'], kept[ids[1]])
            self.assertEqual([], self.preview(**rules)['removed'])

    def test_each_rule(self):
        ids = self.days(500)
        for rules, expected in (
            ({'max_backups': 3}, [0, 1, 2]),
            ({'max_backups': '1'}, [0]),
            ({'retention_duration': 1}, [0]),
            ({'keep_last': '2'}, [0, 1]),
            ({'keep_hourly': 2}, [0, 1]),
            ({'keep_daily': 3}, [0, 1, 2]),
            ({'keep_weekly': 3}, [0, 7, 14]),
            ({'keep_monthly': 3}, [0, 15, 46]),
            ({'keep_yearly': 9}, [0, 320]),
            ({'keep_within': '1h'}, [0]),
            ({'keep_daily': 2, 'keep_weekly': '2', 'keep_yearly': 2}, [0, 1, 7, 320]),
            ({'keep_last': 1, 'max_backups': 2}, [0, 1]),
        ):
            kept = self.kept(**rules)
            self.assertEqual([ids[number] for number in expected], list(kept), rules)
            removed = [item['checkpoint_id'] for item in self.preview(**rules)['removed']]
            self.assertEqual([row_id for row_id in ids if row_id not in kept], removed)

    def test_rules_that_look_at_the_clock(self):
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        ids = self.add(*(now - datetime.timedelta(hours=hours) for hours in (1, 35, 37, 100)))
        for rules, count in (
            ({'keep_within': '36h'}, 2),
            ({'keep_within': '2d'}, 3),
            ({'keep_within': '1w'}, 4),
            ({'retention_duration': 1}, 3),
        ):
            self.assertEqual(ids[:count], list(self.kept(**rules)), rules)

    def test_reasons(self):
        ids = self.days(9)
        kept = self.kept(keep_daily=2, keep_weekly=2, max_backups=1)
        self.assertEqual(
            {
                ids[0]: [
                    'it is the last good one',
                    'within max_backups 1',
                    'keep_daily 2: the newest of 2020-11-15',
                    'keep_weekly 2: the newest of 2020-W46',
                ],
                ids[1]: ['keep_daily 2: the newest of 2020-11-14'],
                ids[7]: ['keep_weekly 2: the newest of 2020-W45'],
            },
            kept,
        )
        removed = self.preview(keep_daily=2, max_backups=1, retention_duration=1)['removed']
        self.assertEqual(
            [
                'beyond max_backups 1',
                'older than retention_duration 1 day',
                'no keep rule holds it',
            ],
            removed[-1]['reasons'],
        )

    def test_the_time_zone(self):
        """Half past eleven in the evening in UTC is the next day in Berlin."""
        evening, morning = self.add(
            datetime.datetime(2020, 11, 14, 23, 30), datetime.datetime(2020, 11, 14, 1)
        )
        self.assertEqual([evening], list(self.kept(keep_daily=2)))
        self.assertEqual(
            [evening, morning], list(self.kept(keep_daily=2, timezone='Europe/Berlin'))
        )
        self.assertIn(
            'the newest of 2020-11-15',
            self.kept(keep_daily=2, timezone='Europe/Berlin')[evening][1],
        )

    def test_pinned_ones_stay_and_are_not_counted(self):
        ids = self.days(4)
        self.request('PUT', f'{self.checkpoints_path(ids[0])}/pin')
        self.request('PUT', f'{self.checkpoints_path(ids[2])}/pin')
        self.assertEqual(
            {
                ids[0]: ['it is the last good one', 'it is pinned'],
                ids[1]: ['keep_last 1: number 1'],
                ids[2]: ['it is pinned'],
            },
            self.kept(keep_last=1),
        )
        self.assertEqual(
            {ids[0]: True, ids[1]: False, ids[2]: True},
            {item['checkpoint_id']: item['pinned'] for item in self.preview(keep_last=1)['kept']},
        )

    def test_what_is_not_counted(self):
        ids = self.days(2)
        later = NOON + datetime.timedelta(days=1)
        for status in ('protecting', 'error', 'deleting', 'deleted', 'error-deleting'):
            self.add(later, status=status)
        self.add(later, plan_id=self.create_plan()['id'])
        self.add(later, project_id=OTHER_PROJECT_ID)
        found = self.preview(keep_last=1)
        self.assertEqual(
            ([ids[0]], [ids[1]]),
            tuple([item['checkpoint_id'] for item in found[name]] for name in ('kept', 'removed')),
        )

    def test_it_changes_nothing(self):
        self.days(5)
        before = self.everything()
        self.assertEqual(4, len(self.preview(keep_last=1)['removed']))
        self.preview(400, keep_last='x')
        self.assertEqual(before, self.everything())

    def test_other_plans(self):
        theirs = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        self.days(2, project_id=OTHER_PROJECT_ID, plan_id=theirs.id)
        missing = new_id()
        hidden = self.preview(404, plan_id=theirs.id, keep_last=1)
        self.assertEqual(
            hidden.replace(theirs.id, missing), self.preview(404, plan_id=missing, keep_last=1)
        )
        for name in ('x', '%00', '..', '1'):
            self.preview(400, plan_id=name, keep_last=1)
        self.post(
            f'/plans/{self.plan["id"]}/retention',
            {'retention': {}},
            404,
            headers={'X-Auth-Token': personas.token('reader', OTHER_PROJECT_ID)},
            project_id=OTHER_PROJECT_ID,
        )

    def test_a_plan_that_is_gone(self):
        self.days(2)
        self.delete(f'/plans/{self.plan["id"]}')
        self.preview(404, keep_last=1)

    def test_rules_that_do_not_fit(self):
        bad = [
            *test_scheduled_operations.BAD_RULES,
            *(
                (rule, value)
                for rule in ('max_backups', 'retention_duration')
                for value in ('x', '', 10**12, 1.5, True, None, [], {}, '3\n')
            ),
        ]
        self.assertEqual(set(retention.RULES), {rule for rule, _ in bad})
        for rule, value in bad:
            self.assertIn(rule, self.preview(400, **{rule: value}))
            self.assertIn(
                rule,
                self.preview(400, **{'keep_last': 3, 'timezone': 'Europe/Berlin', rule: value}),
            )
        for zone in (
            'Mars/Olympus',
            '',
            '../../etc/passwd',
            'europe/berlin!',
            5,
            None,
            [],
            'Factory/x',
            'UTC\n',
        ):
            self.assertIn('timezone', self.preview(400, keep_last=1, timezone=zone))

    def test_bodies_that_do_not_fit(self):
        path = f'/plans/{self.plan["id"]}/retention'
        for body in (
            {},
            [],
            None,
            {'retention': []},
            {'retention': None},
            {'keep_last': 1},
            {'retention': {'keep_first': 1}},
            {'retention': {'overlap': 'queue'}},
            {'retention': {'provider_id': new_id()}},
            {'retention': {}, 'x': 1},
        ):
            self.post(path, body, 400)
        for method in ('GET', 'PUT', 'DELETE'):
            self.request(method, path, 405)

    def test_the_rules_are_those_of_a_scheduled_operation(self):
        for rules in test_scheduled_operations.GOOD_RULES:
            self.preview(400 if {'anything', 'overlap'} & set(rules) else 200, **rules)

    def test_one_page_has_all(self):
        self.config.config(osapi_max_limit=2)
        ids = self.days(5)
        found = self.client.simulate_post(
            f'/v1/{PROJECT_ID}/plans/{self.plan["id"]}/retention',
            headers={'X-Auth-Token': base.TOKEN},
            json={'retention': {}},
        ).json['retention']
        self.assertEqual(ids, [item['checkpoint_id'] for item in found['kept']])
