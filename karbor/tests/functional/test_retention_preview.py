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
from collections.abc import Mapping
from typing import Any

from karbor import db
from karbor.common import constants
from karbor.db import models
from karbor.resource import Resource
from karbor.services.protection import graph
from karbor.services.schedules import retention
from karbor.tests import personas
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import base, test_scheduled_operations

NOON = datetime.datetime(2020, 11, 15, 12)  # a Sunday
DAY = datetime.timedelta(days=1)
FIELDS = (
    'checkpoint_id',
    'created_at',
    'pinned',
    'recovery_points_kept',
    'recovery_points_removed',
    'reasons',
    'removal_reasons',
)


class PreviewTestCase(base.ApiTestCase):
    """A plan, of which checkpoints of the test's are there; none of them is in a cloud."""

    def setUp(self):
        super().setUp()
        self.plan = self.create_plan()

    def add(
        self,
        *moments: datetime.datetime,
        states: Mapping[str, str] | None = None,
        operation_id: str | None = None,
        **fields: Any,
    ) -> list[str]:
        """Checkpoints of the plan, made at those moments.

        :param states: of the points in each, by the ids of their volumes; of one volume, whose
            point is good, by default.
        :param operation_id: of the scheduled operation that has made them.
        """
        rows = [self._checkpoint(moment, operation_id, fields) for moment in moments]
        states = {'data': 'good'} if states is None else states
        with db.writer() as session:
            session.add_all(rows)
            session.flush()
            session.add_all(
                models.RecoveryPoint(
                    checkpoint_id=row.id,
                    resource_type=base.VOLUME,
                    resource_id=volume_id,
                    resource_name=volume_id,
                    project_id=row.project_id,
                    provider_id=row.provider_id,
                    plan_id=row.plan_id,
                    created_at=row.created_at,
                    scheduled_operation_id=operation_id,
                    state=state,
                )
                for row in rows
                for volume_id, state in states.items()
            )
        return [row.id for row in rows]

    def _checkpoint(
        self, moment: datetime.datetime, operation_id: str | None, fields: dict[str, Any]
    ) -> models.Checkpoint:
        info = {}
        if operation_id is not None:
            info = {
                constants.CHECKPOINT_CREATED_BY: constants.CHECKPOINT_CREATED_BY_SCHEDULE,
                constants.CHECKPOINT_SCHEDULE_ID: operation_id,
            }
        values = {'plan_id': self.plan['id'], 'extra_info': info, 'created_at': moment, **fields}
        return models.Checkpoint(**{**base.fields_of(models.Checkpoint), **values})

    def days(self, count: int, **fields: Any) -> list[str]:
        """Checkpoints of the plan, one a day, newest first."""
        return self.add(*(NOON - number * DAY for number in range(count)), **fields)

    def preview(self, code: int = 200, plan_id: str | None = None, **rules: Any) -> Any:
        return self.preview_of(f'/plans/{plan_id or self.plan["id"]}', code, **rules)

    def preview_of(self, path: str, code: int = 200, **rules: Any) -> Any:
        answer = self.post(f'{path}/retention', {'retention': rules}, code, persona='reader')
        return answer['retention'] if code == 200 else answer

    def kept(self, **rules: Any) -> dict[str, list[str]]:
        """The reasons for those that stay, by id, newest first."""
        return {item['checkpoint_id']: item['reasons'] for item in self.preview(**rules)['kept']}

    def shares(self, found: dict[str, Any], *names: str) -> dict[str, Any]:
        """What is found of each checkpoint, by id: whether it is kept, and then what is named."""
        return {
            item['checkpoint_id']: (is_kept, *(item[name] for name in names))
            for is_kept in (True, False)
            for item in found['kept' if is_kept else 'removed']
        }


class PreviewTest(PreviewTestCase):
    """What a retention would keep of a plan's checkpoints, and why."""

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
                models.RecoveryPoint,
                models.Plan,
                models.OperationLog,
                models.Job,
                models.QuotaUsage,
            )
        ]

    def test_what_is_answered(self):
        newest, older, oldest = self.days(3)
        stays, goes = (1, 0), (0, 1)
        last = ['it is the last good one', 'keep_last 2: number 1']
        gone = ['no keep rule holds it']
        day = '2020-11-1{}T12:00:00.000000+00:00'
        self.assertEqual(
            {
                'kept': [
                    dict(
                        zip(FIELDS, (newest, day.format(5), False, *stays, last, []), strict=True)
                    ),
                    dict(
                        zip(
                            FIELDS,
                            (older, day.format(4), False, *stays, ['keep_last 2: number 2'], []),
                            strict=True,
                        )
                    ),
                ],
                'removed': [
                    dict(
                        zip(FIELDS, (oldest, day.format(3), False, *goes, gone, gone), strict=True)
                    )
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
            found = self.preview(**rules)
            kept, removed = (
                [item['checkpoint_id'] for item in found[name]] for name in ('kept', 'removed')
            )
            self.assertEqual([ids[number] for number in expected], kept, rules)
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
        later = NOON + DAY
        for status, state in (
            ('protecting', 'making'),
            ('deleting', 'deleting'),
            ('deleted', 'deleted'),
        ):
            self.add(later, status=status, states={'data': state})
        (failed,) = self.add(later, status='error', states={'data': 'failed'})
        self.add(later, plan_id=self.create_plan()['id'])
        self.add(later, project_id=OTHER_PROJECT_ID)
        found = self.preview(keep_last=1)
        self.assertEqual(
            ([failed, ids[0]], [ids[1]]),
            tuple([item['checkpoint_id'] for item in found[name]] for name in ('kept', 'removed')),
        )
        self.assertEqual(
            {
                failed: ['it has failed, and no newer one is good'],
                ids[0]: ['it is the last good one', 'keep_last 1: number 1'],
            },
            self.kept(keep_last=1),
        )

    def test_what_failed(self):
        """It is not counted, and goes when a newer one is there, good or not."""
        (newest,) = self.add(NOON, states={'data': 'failed'}, status='error')
        (failed,) = self.add(NOON - DAY, states={'data': 'failed'}, status='error')
        ids = self.add(NOON - 2 * DAY, NOON - 4 * DAY)
        between = self.add(NOON - 3 * DAY, states={'data': 'failed'}, status='error')
        deletions = self.add(NOON - 5 * DAY, states={'data': 'failed'}, status='error-deleting')
        # What was to be deleted with its checkpoint is good no more, whatever its own state is.
        deletions += self.add(NOON - 6 * DAY, status='error-deleting')
        reason = ['it has failed, and a newer one is there']
        self.assertEqual(
            {
                newest: (True, ['it has failed, and no newer one is good']),
                ids[0]: (True, ['it is the last good one', 'keep_last 2: number 1']),
                ids[1]: (True, ['keep_last 2: number 2']),
                **dict.fromkeys((failed, *between, *deletions), (False, reason)),
            },
            self.shares(self.preview(keep_last=2), 'reasons'),
        )

    def test_what_nobody_can_tell_is_kept(self):
        unknown = self.add(NOON - 9 * DAY, states={'data': 'unknown'})
        ids = self.days(2)
        self.assertEqual(
            {
                ids[0]: (True, 1, 0),
                ids[1]: (False, 0, 1),
                unknown[0]: (True, 1, 0),
            },
            self.shares(
                self.preview(keep_last=1), 'recovery_points_kept', 'recovery_points_removed'
            ),
        )
        self.assertEqual(['what is in it is left as it is'], self.kept(keep_last=1)[unknown[0]])

    def test_what_is_missing(self):
        """It is not counted, and stays until all good ones that stay are newer."""
        newest, older = self.days(2)
        between = self.add(NOON - DAY / 2, states={'data': 'missing'})
        oldest = self.add(NOON - 9 * DAY, states={'data': 'missing'})
        self.assertEqual(
            {
                newest: (True, ['it is the last good one', 'keep_last 2: number 1']),
                between[0]: (True, ['it is missing; no rule counts it']),
                older: (True, ['keep_last 2: number 2']),
                oldest[0]: (False, ['it is missing, and all good ones that stay are newer']),
            },
            self.shares(self.preview(keep_last=2), 'reasons'),
        )

    def test_what_has_nothing_in_it(self):
        """It goes, unless it is the newest or pinned; while its points may be written it stays."""
        empty = {'states': {}, 'status': 'error', 'resource_graph': graph.serialize([])}
        newest, older = self.add(NOON + 2 * DAY, NOON + DAY, **empty)
        (pinned,) = self.add(NOON - DAY, **{**empty, 'pinned': True})
        project = graph.GraphNode(Resource(base.PROJECT, PROJECT_ID, 'mine'))
        (of_project,) = self.add(
            NOON - 2 * DAY, **{**empty, 'resource_graph': graph.serialize([project])}
        )
        (unwritten,) = self.add(NOON - 3 * DAY, status='error', states={})
        (deleted,) = self.add(NOON - 4 * DAY, status='error-deleting', states={})
        ids = self.days(1)
        empties = (['there is nothing in it'],) * 2
        self.assertEqual(
            {
                newest: (True, ['it is the newest'], []),
                older: (False, *empties),
                ids[0]: (True, ['it is the last good one', 'keep_last 1: number 1'], []),
                pinned: (True, ['it is pinned'], []),
                of_project: (False, *empties),
                unwritten: (True, ['what is in it is left as it is'], []),
                deleted: (False, *empties),
            },
            self.shares(self.preview(keep_last=1), 'reasons', 'removal_reasons'),
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


class VolumesTest(PreviewTestCase):
    """Each volume is judged by itself; a checkpoint goes with the last of its points."""

    NUMBERS = ('recovery_points_kept', 'recovery_points_removed')

    def test_one_that_is_not_well_any_more(self):
        newest = self.add(NOON, NOON - DAY, status='error', states={'a': 'good', 'b': 'failed'})
        older = self.add(NOON - 2 * DAY, NOON - 3 * DAY, states={'a': 'good', 'b': 'good'})
        found = self.preview(keep_last=1)
        self.assertEqual(
            {
                newest[0]: (True, 2, 0, []),
                newest[1]: (
                    False,
                    0,
                    2,
                    ['no keep rule holds it', 'it has failed, and a newer one is there'],
                ),
                older[0]: (True, 1, 1, ['no keep rule holds it']),
                older[1]: (False, 0, 2, ['no keep rule holds it']),
            },
            self.shares(found, *self.NUMBERS, 'removal_reasons'),
        )
        self.assertEqual(
            {
                newest[0]: [
                    'it is the last good one',
                    'keep_last 1: number 1',
                    'it has failed, and no newer one is good',
                ],
                older[0]: ['it is the last good one', 'keep_last 1: number 1'],
            },
            self.kept(keep_last=1),
        )

    def test_one_that_is_in_the_plan_no_more(self):
        now = self.add(*(NOON - number * DAY for number in range(3)), states={'a': 'good'})
        then = self.add(
            *(NOON - number * DAY for number in range(3, 6)), states={'a': 'good', 'b': 'good'}
        )
        self.assertEqual(
            {
                now[0]: (True, 1, 0),
                now[1]: (True, 1, 0),
                now[2]: (False, 0, 1),
                then[0]: (True, 1, 1),
                then[1]: (True, 1, 1),
                then[2]: (False, 0, 2),
            },
            self.shares(self.preview(keep_last=2), *self.NUMBERS),
        )

    def test_one_of_a_pinned_checkpoint(self):
        """All of that stays, and is not counted."""
        (pinned,) = self.add(NOON - DAY, states={'a': 'good', 'b': 'failed'}, pinned=True)
        ids = self.add(NOON, NOON - 2 * DAY, NOON - 3 * DAY, states={'a': 'good'})
        self.assertEqual(
            {
                ids[0]: (True, 1, 0),
                pinned: (True, 2, 0),
                ids[1]: (True, 1, 0),
                ids[2]: (False, 0, 1),
            },
            self.shares(self.preview(keep_last=2), *self.NUMBERS),
        )

    def test_periods_are_those_of_each(self):
        """The newest of a day is another checkpoint for each volume."""
        evening = self.add(NOON, states={'a': 'good'})
        morning = self.add(NOON - DAY / 4, states={'b': 'good', 'a': 'good'})
        self.assertEqual(
            {evening[0]: (True, 1, 0), morning[0]: (True, 1, 1)},
            self.shares(self.preview(keep_daily=3), *self.NUMBERS),
        )

    def test_reasons_are_not_too_many(self):
        days = 30
        for number in range(days):
            states = {f'v{volume}': 'good' for volume in range(number + 1)}
            self.add(NOON - number * DAY, states=states)
        for item in self.preview(keep_last=40)['kept']:
            self.assertLessEqual(len(item['reasons']), 11, item)
        (oldest,) = self.preview(keep_last=40)['kept'][-1:]
        self.assertEqual((days, 0), tuple(oldest[name] for name in self.NUMBERS))
        self.assertTrue(oldest['reasons'][-1].startswith('and '))


class OperationPreviewTest(PreviewTestCase):
    """What the retention of a scheduled operation would keep of what it has made."""

    def setUp(self):
        super().setUp()
        self.trigger = self.post(
            '/triggers',
            {
                'trigger_info': {
                    'name': 'night',
                    'type': 'time',
                    'properties': {**base.TRIGGER_PROPERTIES, 'timezone': 'Europe/Berlin'},
                }
            },
        )['trigger_info']
        self.operation = self.create_operation(keep_last=1)
        self.made = self.days(3, operation_id=self.operation['id'])
        self.by_hand = self.add(NOON + DAY, NOON - 9 * DAY)

    def create_operation(
        self, operation_type: str = 'retention_protect', **definition: Any
    ) -> dict[str, Any]:
        return self.post(
            '/scheduled_operations',
            {
                'scheduled_operation': {
                    'name': 'keep',
                    'operation_type': operation_type,
                    'trigger_id': self.trigger['id'],
                    'operation_definition': {
                        'provider_id': PROVIDER_ID,
                        'plan_id': self.plan['id'],
                        **definition,
                    },
                }
            },
        )['scheduled_operation']

    def path(self, operation: dict[str, Any] | None = None) -> str:
        return f'/scheduled_operations/{(operation or self.operation)["id"]}'

    def found(self, operation: dict[str, Any] | None = None, **changes: Any) -> tuple[Any, Any]:
        """The ids of the checkpoints that stay, and of those that go."""
        answer = self.preview_of(self.path(operation), **changes)
        kept, removed = (
            [item['checkpoint_id'] for item in answer[name]] for name in ('kept', 'removed')
        )
        return kept, removed

    def test_its_own_rules(self):
        self.assertEqual((self.made[:1], self.made[1:]), self.found())
        other = self.create_operation(keep_last=2)
        theirs = self.days(3, operation_id=other['id'])
        self.assertEqual((theirs[:2], theirs[2:]), self.found(other))
        self.assertEqual((self.made[:1], self.made[1:]), self.found())

    def test_rules_in_place_of_them(self):
        """All of them, not only those of the same names."""
        self.assertEqual((self.made[:2], self.made[2:]), self.found(keep_last='2'))
        self.assertEqual((self.made, []), self.found(keep_daily=9))
        self.assertEqual((self.made[:2], self.made[2:]), self.found(max_backups=2))
        self.assertEqual((self.made, []), self.found(keep_last=0))

    def test_the_scope(self):
        newest, oldest = self.by_hand
        self.assertEqual(([newest], [*self.made, oldest]), self.found(retention_scope='plan'))
        self.assertEqual(
            ([newest, self.made[0]], [*self.made[1:], oldest]),
            self.found(retention_scope='plan', keep_last=2),
        )
        self.assertEqual((self.made[:1], self.made[1:]), self.found(retention_scope='operation'))
        wide = self.create_operation(keep_last=1, retention_scope='plan')
        self.assertEqual(([newest], [*self.made, oldest]), self.found(wide))
        self.assertEqual(([], []), self.found(wide, retention_scope='operation'))

    def test_the_time_zone_is_its_triggers(self):
        other = self.create_operation(keep_daily=9)
        evening, morning = self.add(
            datetime.datetime(2020, 11, 14, 23, 30),
            datetime.datetime(2020, 11, 14, 1),
            operation_id=other['id'],
        )
        self.assertEqual(([evening, morning], []), self.found(other))
        self.assertEqual(([evening], [morning]), self.found(other, timezone='UTC'))

    def test_one_without_retention(self):
        """It has no rules, so all would stay."""
        plain = self.create_operation('protect')
        ids = self.days(2, operation_id=plain['id'])
        self.assertEqual((ids, []), self.found(plain))
        self.assertEqual((ids[:1], ids[1:]), self.found(plain, keep_last=1))

    def test_it_holds_for_a_plan_that_is_gone_as_well(self):
        """What it has made of another plan is its own still."""
        other = self.create_plan()
        definition = {**self.operation['operation_definition'], 'plan_id': other['id']}
        self.put(self.path(), {'scheduled_operation': {'operation_definition': definition}})
        self.assertEqual((self.made[:1], self.made[1:]), self.found())
        self.assertEqual(([], []), self.found(retention_scope='plan'))

    def test_what_does_not_fit(self):
        for rule, value in test_scheduled_operations.BAD_RULES:
            self.assertIn(rule, self.preview_of(self.path(), 400, **{rule: value}))
        for scope in ('Plan', '', 'all', None, 5, [], {}):
            self.assertIn(
                'retention_scope', self.preview_of(self.path(), 400, retention_scope=scope)
            )
        for zone in ('Mars/Olympus', '', None, 5):
            self.assertIn('timezone', self.preview_of(self.path(), 400, timezone=zone))
        for body in (
            {},
            [],
            None,
            {'retention': []},
            {'retention': {'keep_first': 1}},
            {'retention': {'overlap': 'queue'}},
            {'retention': {'plan_id': self.plan['id']}},
            {'retention': {}, 'x': 1},
        ):
            self.post(f'{self.path()}/retention', body, 400)
        for method in ('GET', 'PUT', 'DELETE'):
            self.request(method, f'{self.path()}/retention', 405)
        self.preview(400, retention_scope='plan')

    def test_other_operations(self):
        theirs = self.add_row(
            models.ScheduledOperation,
            project_id=OTHER_PROJECT_ID,
            trigger_id=self.trigger['id'],
            plan_id=self.plan['id'],
        )
        missing = new_id()
        hidden = self.preview_of(f'/scheduled_operations/{theirs.id}', 404)
        self.assertEqual(
            hidden.replace(theirs.id, missing),
            self.preview_of(f'/scheduled_operations/{missing}', 404),
        )
        for name in ('x', '%00', '1'):
            self.preview_of(f'/scheduled_operations/{name}', 400)
        self.post(
            f'{self.path()}/retention',
            {'retention': {}},
            404,
            headers={'X-Auth-Token': personas.token('reader', OTHER_PROJECT_ID)},
            project_id=OTHER_PROJECT_ID,
        )
        self.delete(self.path())
        self.preview_of(self.path(), 404)

    def test_what_another_project_has_made_by_its_id(self):
        """Whatever stands in another project's checkpoints, they are not its."""
        self.days(2, operation_id=self.operation['id'], project_id=OTHER_PROJECT_ID)
        self.assertEqual((self.made[:1], self.made[1:]), self.found())
        self.days(2, operation_id=self.operation['id'], project_id=OTHER_PROJECT_ID)
        kept, _ = self.found(retention_scope='plan')
        self.assertEqual(self.by_hand[:1], kept)
