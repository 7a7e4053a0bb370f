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

"""What schedules would come to, before they are made."""

import datetime
from typing import Any
from unittest import mock

from karbor.db import models
from karbor.services.schedules import previews
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, new_id
from karbor.tests.functional import base, lists, test_schedule_routes
from karbor.tests.functional.base import PROJECT, resource

BY_DAY = {'format': 'crontab', 'pattern': '30 2 * * *'}


class PreviewTestCase(base.CloudTestCase):
    def preview(self, code: int = 200, **fields: Any) -> Any:
        body = {'schedule': {**BY_DAY, **fields}}
        answer = self.post('/schedules/preview', body, code, persona='reader')
        return answer['preview'] if code == 200 else answer


class PreviewTest(PreviewTestCase):
    def test_without_a_plan(self) -> None:
        shown = self.preview(
            timezone='Europe/Berlin', retention={'keep_daily': 7, 'keep_weekly': 4}
        )
        self.assertEqual('Europe/Berlin', shown['timezone'])
        self.assertEqual(5, len(shown['next_fires']))
        for fire in shown['next_fires']:
            utc, local = map(datetime.datetime.fromisoformat, (fire['utc'], fire['local']))
            self.assertEqual((utc, '02:30'), (local, f'{local:%H:%M}'))
        self.assertTrue(shown['is_whole_year'])
        self.assertEqual(53, len(shown['weeks']))
        self.assertEqual(
            {
                'recovery_points': 10,
                'recovery_points_at_once': 11,
                'volumes': None,
                'snapshots': None,
                'gigabytes': None,
            },
            shown['most'],
        )
        self.assertEqual([], shown['remarks'])
        last = shown['weeks'][-1]
        self.assertEqual(('00:00:00', 10), (last['ends_at'][11:19], last['recovery_points']))
        self.assertEqual(0, datetime.datetime.fromisoformat(last['ends_at']).weekday())
        self.assertEqual('02:30:00', last['oldest_at'][11:19])
        self.assertEqual(shown['ends_at'], last['ends_at'])
        self.assertEqual(shown['runs'], sum(week['runs'] for week in shown['weeks']))

    def test_with_a_plan(self) -> None:
        plan = self.create_plan(self.volume(size=3), self.volume(size=4), self.volume(size=5))
        self.assertEqual(
            {
                'recovery_points': 3,
                'recovery_points_at_once': 4,
                'volumes': 3,
                'snapshots': 12,
                'gigabytes': 48,
            },
            self.preview(plan_id=plan['id'], retention={'keep_last': 3})['most'],
        )
        shown = self.preview(plan_id=plan['id'], retention={'retention_scope': 'plan'})
        self.assertEqual(2, len(shown['remarks']))
        self.assertIn('what others make of the plan', shown['remarks'][0])
        self.assertIn('gigabytes is an upper bound', shown['remarks'][1])
        self.assertEqual(shown['runs'] * 12, shown['most']['gigabytes'])

    def test_what_a_plan_chooses_of_the_project(self) -> None:
        for size, labels in ((1, {'backup': 'yes'}), (2, {'backup': 'yes'}), (4, {}), (8, {})):
            self.volume(size=size, metadata=labels)
        self.volume(size=16, name='scratch', metadata={'backup': 'yes'})
        choice = {
            'include': {'metadata': {'backup': 'yes'}},
            'exclude': {'names': ['scratch']},
        }
        for extra_info, volumes, gigabytes in ((choice, 2, 3), (None, 5, 31)):
            plan = self.create_plan(resource(PROJECT_ID, PROJECT, extra_info=extra_info))
            most = self.preview(plan_id=plan['id'], retention={'keep_last': 1})['most']
            self.assertEqual((volumes, 2 * gigabytes), (most['volumes'], most['gigabytes']))

    def test_what_is_sent_to_make_one_is_taken(self) -> None:
        body = {
            'name': 'nightly',
            'description': None,
            'provider_id': None,
            'enabled': False,
            'overlap': 'queue',
            'start_time': None,
            'window': 1200,
        }
        self.preview(**body)
        self.assertEqual([], self.rows(models.Trigger))
        self.assertEqual([], self.rows(models.OperationLog))

    def test_what_is_wrong(self) -> None:
        for fields, part in test_schedule_routes.BAD_FIELDS:
            if fields != {'plan_id': None}:
                self.assertIn(part, self.preview(400, **fields), fields)
        for missing in BY_DAY:
            body = {'schedule': {name: BY_DAY[name] for name in BY_DAY if name != missing}}
            self.assertIn(missing, self.post('/schedules/preview', body, 400))
        self.post('/schedules/preview', BY_DAY, 400)
        plan = self.create_plan(self.volume())
        self.assertIn('provider_id: ', self.preview(400, plan_id=plan['id'], provider_id=new_id()))
        self.get('/schedules/preview', 405)

    def test_plans_that_are_not_there(self) -> None:
        theirs = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        missing = new_id()
        refusal = self.preview(404, plan_id=missing)
        self.assertIn(missing, refusal)
        self.assertEqual(refusal.replace(missing, theirs.id), self.preview(404, plan_id=theirs.id))

    def test_a_volume_that_is_gone(self) -> None:
        plan = self.create_plan(self.volume(size=3), resource(new_id()))
        most = self.preview(plan_id=plan['id'], retention={'keep_last': 1})['most']
        self.assertEqual((1, 6), (most['volumes'], most['gigabytes']))

    def test_cinder_cannot_tell(self) -> None:
        plan = self.create_plan(self.volume(size=3))
        self.cinder.faults.append(Fault('GET', '/volumes/', status=403, times=9))
        shown = self.preview(plan_id=plan['id'], retention={'keep_last': 1})
        self.assertEqual((1, None), (shown['most']['recovery_points'], shown['most']['volumes']))
        self.assertIn('Cinder answered 403', shown['remarks'][-1])

    def test_sizes_that_are_not_known(self) -> None:
        plan = self.create_plan(self.volume(size=3))
        self.cinder.faults.append(Fault('GET', '/volumes/detail', status=403, times=9))
        shown = self.preview(plan_id=plan['id'], retention={'keep_last': 1})
        self.assertEqual((1, 0), (shown['most']['volumes'], shown['most']['gigabytes']))
        self.assertIn('403', shown['remarks'][-2])
        self.assertIn('Of 1 of the volumes the size is not known', shown['remarks'][-1])

    @base.in_process_only('a limit is lowered')
    def test_plans_of_very_many(self) -> None:
        plan = self.create_plan(*(self.volume() for _ in range(4)))
        with mock.patch.object(previews, 'MOST_VOLUMES', 3):
            shown = self.preview(plan_id=plan['id'], retention={'keep_last': 1})
        self.assertEqual(3, shown['most']['volumes'])
        self.assertIn('more than 3 resources', shown['remarks'][-1])

    def test_what_fires_each_minute(self) -> None:
        self.config.config(min_interval=60)
        shown = self.preview(pattern='* * * * *', retention={'keep_last': 3})
        self.assertFalse(shown['is_whole_year'])
        self.assertEqual((10_000, 3), (shown['runs'], shown['most']['recovery_points']))
        self.assertIn('more than 10000 times', shown['remarks'][0])
        self.assertIn(shown['ends_at'][:10], shown['remarks'][0])

    @base.in_process_only('SQL is counted in this process')
    def test_statements(self) -> None:
        """As many for few volumes as for many, of a plan that names them or the project."""
        seen = []
        for count in (1, 30):
            named = [self.volume() for _ in range(count)]
            for resources in (named, [resource(PROJECT_ID, PROJECT)]):
                plan = self.create_plan(*resources)
                self.preview(plan_id=plan['id'])  # which looks at the cloud
                with lists.cost() as found:
                    self.preview(plan_id=plan['id'])
                seen.append(len(found.statements))
        self.assertEqual([seen[0]] * 4, seen)
        self.assertLessEqual(seen[0], 5)
