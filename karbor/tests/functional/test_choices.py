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

"""Plans that choose what they protect of a project, and what they tell of it."""

import json
import unittest
from typing import Any
from unittest import mock

from karbor.db import models
from karbor.services.protection import provider
from karbor.services.protection.protectable_plugins import volume
from karbor.testing import fake_cinder
from karbor.tests import base as tests_base
from karbor.tests.base import OTHER_PROJECT_ID, PROJECT_ID, new_id
from karbor.tests.functional import base, lists
from karbor.tests.functional.base import PROJECT, VOLUME, resource

LABELLED = {'include': {'metadata': {'backup': 'yes'}}}
LIST, SHOW = ('GET', '/volumes/detail'), ('GET', '/volumes/{id}')
NAMED, IN_PROJECT = 'named in the plan', 'it is in the project'
STATUS = 'in status error it cannot be protected'


class ChoosingCase(base.CloudTestCase):
    def plan_on_project(self, extra_info: Any = None, *more: dict[str, Any]) -> dict[str, Any]:
        """A plan on the project.

        :param more: what it names besides.
        """
        return self.create_plan(resource(PROJECT_ID, PROJECT, extra_info=extra_info), *more)

    def told(self, plan: dict[str, Any], query: str = '') -> dict[str, tuple[bool, str]]:
        """What is told of the resources of a plan, but for the project, by their ids."""
        found = self.get(f'/plans/{plan["id"]}/resources{query}')['resources']
        return {
            item['id']: (item['covered'], item['reason'])
            for item in found
            if item['type'] != PROJECT
        }

    def protected_by(self, plan: dict[str, Any]) -> set[str]:
        """Ids of the volumes that a checkpoint of the plan has."""
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual('available', checkpoint['status'], checkpoint)
        points = self.get(f'/recovery_points?checkpoint_id={checkpoint["id"]}')['recovery_points']
        return {point['resource_id'] for point in points}


class ChoiceTest(ChoosingCase):
    def test_what_a_checkpoint_has_and_what_is_told_of_it(self):
        made = {
            name: self.volume(name=name, metadata=metadata)['id']
            for name, metadata in (
                ('db-1', {}),
                ('db-2', {'backup': 'no'}),
                ('web', {'backup': 'yes', 'other': 'x'}),
                ('tmp', {}),
                ('db-tmp', {'backup': 'yes'}),
            )
        }
        plan = self.plan_on_project(
            {
                'include': {'names': ['db-*'], 'metadata': {'backup': 'yes'}},
                'exclude': {'names': ['*tmp'], 'metadata': {'backup': 'no'}},
            }
        )

        self.assertEqual({made['db-1'], made['web']}, self.protected_by(plan))
        self.assertEqual(
            {
                made['db-1']: (True, 'its name matches db-*'),
                made['db-2']: (False, 'left out: its label backup=no'),
                made['web']: (True, 'its label backup=yes'),
                made['tmp']: (False, 'left out: its name matches *tmp'),
                made['db-tmp']: (False, 'left out: its name matches *tmp'),
            },
            self.told(plan),
        )

    def test_a_label_brings_a_volume_in_and_its_loss_takes_it_out(self):
        first, second = self.volume(metadata={'backup': 'yes'}), self.volume(name='later')
        plan = self.plan_on_project(LABELLED)
        self.assertEqual({first['id']}, self.protected_by(plan))

        self.cinder.volumes[second['id']]['metadata'] = {'backup': 'yes'}
        self.assertEqual({first['id'], second['id']}, self.protected_by(plan))

        self.cinder.volumes[first['id']]['metadata'] = {}
        self.assertEqual({second['id']}, self.protected_by(plan))
        self.assertEqual((False, 'not in include'), self.told(plan)[first['id']])

    def test_as_text_as_old_clients_send_it(self):
        inside, outside = self.volume(metadata={'backup': 'yes'}), self.volume()
        for extra_info in (LABELLED, json.dumps(LABELLED)):
            plan = self.plan_on_project(extra_info)
            self.assertEqual(extra_info, plan['resources'][0]['extra_info'])
            self.assertEqual({inside['id']}, self.protected_by(plan))
            self.assertFalse(self.told(plan)[outside['id']][0])

    def test_what_is_no_choice_covers_all(self):
        made = self.volume()['id']
        for extra_info in (None, {}, '{}', 'text', {'key': 'value'}, ['include'], 5):
            plan = self.plan_on_project(extra_info)
            self.assertEqual({made: (True, IN_PROJECT)}, self.told(plan))
            self.assertEqual({made}, self.protected_by(plan))

    def test_what_a_plan_has_from_before_there_were_choices(self):
        made = self.volume()['id']
        row = self.add_row(
            models.Plan,
            resources=[resource(PROJECT_ID, PROJECT, extra_info={'include': 'all'})],
            parameters={VOLUME: dict(base.OPTIONS)},
        )
        plan = self.get(f'/plans/{row.id}')['plan']

        self.assertEqual({made}, self.protected_by(plan))
        self.assertEqual({made: (True, IN_PROJECT)}, self.told(plan))

    def test_what_a_restore_has_made_can_be_left_out(self):
        original = self.volume()
        plan = self.plan_on_project({'exclude': {'metadata': {'karbor_restore_id': '*'}}})
        restore = self.ended_use('restore', self.use('restore', self.protected(original)))
        self.assertEqual('success', restore['status'], restore)
        self.assertEqual(2, len(self.cinder.volumes))
        self.assertEqual({original['id']}, self.protected_by(plan))

    def test_of_a_volume_it_is_no_choice(self):
        made = self.volume()
        plan = self.create_plan({**made, 'extra_info': {'include': 'all', 'exclude': {}}})
        self.assertEqual({made['id']}, self.protected_by(plan))

    def test_what_is_named_is_in_though_it_is_left_out_of_the_project(self):
        made = self.volume(metadata={'backup': 'no'})
        plan = self.plan_on_project({'exclude': {'metadata': {'backup': 'no'}}}, made)
        self.assertEqual({made['id']}, self.protected_by(plan))
        self.assertEqual({made['id']: (True, NAMED)}, self.told(plan))

    def test_a_choice_that_leaves_nothing(self):
        self.volume()
        plan = self.plan_on_project(LABELLED)
        checkpoint = self.ended_checkpoint(self.create_checkpoint(plan))
        self.assertEqual('error', checkpoint['status'])
        self.assertEqual(
            f'the plan covers nothing now: nothing is in {PROJECT}#{PROJECT_ID} (data) that its '
            'include and exclude let in',
            checkpoint['status_reason'],
        )

    def test_faults(self):
        good = self.plan_on_project()
        for extra_info, part in (
            ({'include': {}}, 'extra_info.include is empty'),
            ({'exclude': {'names': 'x'}}, 'extra_info.exclude.names'),
            (json.dumps({'exclude': None}), 'extra_info.exclude is null'),
            ({**LABELLED, 'note': 'x'}, "extra_info has 'note'"),
        ):
            wrong = resource(PROJECT_ID, PROJECT, extra_info=extra_info)
            for message in (
                self.post('/plans', self.plan_body(wrong), 400),
                self.put(f'/plans/{good["id"]}', {'plan': {'resources': [wrong]}}, 400),
            ):
                self.assertIn(part, message)
        self.assertEqual([good], self.get('/plans')['plans'])

    def test_a_choice_can_be_changed(self):
        inside, outside = self.volume(metadata={'backup': 'yes'}), self.volume()
        plan = self.plan_on_project()
        self.assertEqual({inside['id'], outside['id']}, self.protected_by(plan))
        change = {'resources': [resource(PROJECT_ID, PROJECT, extra_info=LABELLED)]}
        self.put(f'/plans/{plan["id"]}', {'plan': change})
        self.assertEqual({inside['id']}, self.protected_by(plan))


class ResourcesTest(ChoosingCase):
    def test_the_whole_answer(self):
        made = self.volume(name='db-1')
        plan = self.plan_on_project({'include': {'names': ['db-*']}})
        self.assertEqual(
            {
                'resources': [
                    {
                        'id': PROJECT_ID,
                        'type': PROJECT,
                        'name': PROJECT_ID,
                        'covered': True,
                        'reason': NAMED,
                    },
                    {
                        'id': made['id'],
                        'type': VOLUME,
                        'name': 'db-1',
                        'covered': True,
                        'reason': 'its name matches db-*',
                    },
                ]
            },
            self.get(f'/plans/{plan["id"]}/resources'),
        )

    def test_named_volumes_as_they_are_now(self):
        """One by one, or all in one list when there are many."""
        good, bad = self.volume(), self.volume(status='error')
        leaving = self.volume(status='deleting')
        gone = resource(name='gone')
        self.cinder.volumes[good['id']]['name'] = 'renamed'
        for more in (0, 30):
            others = [self.volume() for _ in range(more)]
            plan = self.create_plan(good, bad, gone, leaving, *others)
            told = self.told(plan)
            self.assertEqual(
                [
                    (True, NAMED),
                    (True, f'{NAMED}; {STATUS}'),
                    (False, f'{NAMED}, but the project has no such volume'),
                    (False, f'{NAMED}, but it is being deleted'),
                ],
                [told[item['id']] for item in (good, bad, gone, leaving)],
            )
            names = [
                item['name'] for item in self.get(f'/plans/{plan["id"]}/resources')['resources']
            ]
            self.assertEqual(['renamed', 'data', 'gone'], names[:3])

    def test_a_volume_of_the_project_that_cannot_be_protected(self):
        bad = self.volume(status='error', metadata={'backup': 'yes'})['id']
        leaving = self.volume(status='deleting', metadata={'backup': 'yes'})['id']
        out = self.volume(status='error')['id']
        self.assertEqual(
            {
                bad: (True, f'its label backup=yes; {STATUS}'),
                leaving: (False, 'its label backup=yes, but it is being deleted'),
                out: (False, 'not in include'),
            },
            self.told(self.plan_on_project(LABELLED)),
        )

    def test_a_volume_of_another_project(self):
        other = self.volume(**{'os-vol-tenant-attr:tenant_id': OTHER_PROJECT_ID})
        self.assertEqual(
            {other['id']: (False, f'{NAMED}, but the project has no such volume')},
            self.told(self.create_plan(other)),
        )

    def test_another_project(self):
        self.volume()
        plan = self.create_plan(resource(OTHER_PROJECT_ID, PROJECT))
        (told,) = self.get(f'/plans/{plan["id"]}/resources')['resources']
        self.assertEqual(
            (False, f'{NAMED}, but it is not the project that you act in'),
            (told['covered'], told['reason']),
        )

    def test_a_plan_of_another_project(self):
        row = self.add_row(models.Plan, project_id=OTHER_PROJECT_ID)
        self.assertIn(row.id, self.get(f'/plans/{row.id}/resources', 404))
        self.get(f'/plans/{new_id()}/resources', 404)
        self.get('/plans/x/resources', 400)

    def test_pages(self):
        named = [self.volume() for _ in range(3)]
        gone = resource(name='gone')
        others = sorted(self.volume()['id'] for _ in range(5))
        plan = self.plan_on_project(None, *named, gone, named[0])
        expected = [PROJECT_ID, *(item['id'] for item in [*named, gone]), *others]
        path = f'/plans/{plan["id"]}/resources'
        for limit in range(1, 12):
            pages = self.follow(f'{path}?limit={limit}', 'resources')
            self.assertEqual(expected, [item['id'] for page in pages for item in page], limit)
            self.assertEqual({limit}, {limit, *(len(page) for page in pages[:-1])})
            self.assertTrue(pages[-1])
        for number, marker in enumerate(expected):
            self.assertEqual(
                expected[number + 1 :],
                [item['id'] for item in self.get(f'{path}?marker={marker}')['resources']],
            )

    def test_markers_that_are_none(self):
        made = self.volume()
        on_project, on_volume = self.plan_on_project(), self.create_plan(made)
        for plan in (on_project, on_volume):
            for marker in (new_id(), f'{VOLUME}%23{new_id()}', f'OS::No::Such%23{PROJECT_ID}', 'x'):
                self.get(f'/plans/{plan["id"]}/resources?marker={marker}', 404)

    def test_a_type_without_a_plugin(self):
        plan = self.plan_on_project(None, self.volume())
        self.volume()
        folder = self.provider_dir(plugins=('karbor-project-protection-plugin',))
        self.build(provider.ProviderRegistry(folder))
        told = self.told(plan)
        self.assertEqual({False}, {covered for covered, _ in told.values()})
        self.assertEqual(
            {
                f'{reason}, but its provider has no plugin for {VOLUME}'
                for reason in (NAMED, IN_PROJECT)
            },
            {reason for _, reason in told.values()},
        )

    def test_a_provider_that_is_gone(self):
        plan = self.plan_on_project()
        self.build(provider.ProviderRegistry(self.temp_dir / 'none'))
        self.assertIn(plan['provider_id'], self.get(f'/plans/{plan["id"]}/resources', 404))

    def test_cinder_that_does_not_work_is_a_503(self):
        plans = (self.plan_on_project(), self.create_plan(self.volume()))
        self.cinder.faults.append(fake_cinder.Fault(method='GET', status=500))
        with mock.patch.object(volume, '_PATIENCE', 0):
            for plan in plans:
                message = self.get(f'/plans/{plan["id"]}/resources', 503)
                self.assertIn('Cinder answered 500', message)

    def test_cinder_is_asked_for_what_a_page_needs(self):
        volumes = [self.volume() for _ in range(30)]
        marker = sorted(item['id'] for item in volumes)[10]
        first = sorted(volumes, key=lambda item: item['id'])[:25]
        last = first[-1]['id']
        for plan, query, requests in (
            (self.plan_on_project(), '', {LIST: 1}),
            (self.plan_on_project(LABELLED), '', {LIST: 1}),
            (self.plan_on_project(), '?limit=1', {LIST: 1}),
            (self.plan_on_project(), f'?limit=5&marker={marker}', {LIST: 1, SHOW: 1}),
            (self.create_plan(*volumes[:20]), '', {SHOW: 20}),
            (self.create_plan(*volumes), '', {LIST: 1}),
            (self.create_plan(*volumes), '?limit=2', {SHOW: 3}),
            (self.plan_on_project(None, volumes[0]), '?limit=1', {SHOW: 1}),
            (self.plan_on_project(None, *first), f'?limit=1&marker={last}', {LIST: 2, SHOW: 1}),
        ):
            self.cinder.requests.clear()
            self.get(f'/plans/{plan["id"]}/resources{query}')
            self.assertEqual(requests, dict(self.cinder.requests), query)

    @base.in_process_only('SQL is counted in this process')
    @unittest.skipUnless(tests_base.DATABASE == 'sqlite', 'SQL is counted in SQLite')
    def test_the_database_is_asked_for_the_plan(self):
        plan = self.plan_on_project(LABELLED, *(self.volume() for _ in range(20)))
        with lists.cost() as found:
            self.told(plan)
        self.assertEqual(1, len(found.statements), found.statements)
