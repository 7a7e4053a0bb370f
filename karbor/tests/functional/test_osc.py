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

"""Each command of ``openstack protection``: what it does, and what it prints."""

import os
import time
from typing import Any
from unittest import mock

from keystoneauth1 import exceptions as ks_exceptions

from karbor.client import waiting
from karbor.client.osc import plugin
from karbor.testing.fake_cinder import Fault
from karbor.tests import client_package
from karbor.tests.base import PROVIDER_ID, new_id
from karbor.tests.functional import calling, commanding
from karbor.tests.functional.base import TRIGGER_PROPERTIES, VOLUME


class PluginTest(commanding.CommandTestCase):
    def test_every_command_says_what_it_does(self) -> None:
        page = (client_package.ROOT / 'doc/source/commands.rst').read_text()
        for name in commanding.commands():
            self.assertTrue(commanding.command_class(name).__doc__.strip(), name)
            self.assertIn(f'``{name}``', page)

    def test_columns(self) -> None:
        """What stands in scripts, too, by -c."""
        for name, columns, more in (
            (
                'status',
                'Volume, State, Last good, Age, Next run, Why',
                'ID, Status, Size, Recovery points, Missing, Plans, Schedules',
            ),
            (
                'plan list',
                'ID, Name, Protects, Description',
                'Provider, Snapshot name, Force attached',
            ),
            (
                'checkpoint list',
                'ID, Plan, Status, Resources, Pinned, Created',
                'Reason, Provider, Region',
            ),
            (
                'recovery point list',
                'Volume, Taken, State, Size, Checkpoint',
                'Reason, Volume ID, Snapshot ID, Seen good',
            ),
            ('restore list', 'ID, Checkpoint, Status, Done, Failed', 'Reason, Provider'),
            (
                'job list',
                'ID, Type, Status, Started, Took, Reason',
                'Checkpoint, Plan, Restore, Schedule, User, Request',
            ),
            (
                'schedule list',
                'ID, Name, When, Keeps, Enabled, Next run, Last run',
                'Plan, Description, Overlap',
            ),
            (
                'service list',
                'ID, Binary, Host, Status, State, Updated, Disabled reason',
                '',
            ),
        ):
            found = commanding.command_class(name)
            self.assertEqual(columns, ', '.join(each.title for each in found.columns))
            self.assertEqual(more, ', '.join(each.title for each in found.long_columns))

    def test_nobody_answers(self) -> None:
        url = 'http://127.0.0.1:9/v1/p'
        for fault, said in (
            (f'Unable to establish connection to {url}/plans: Pool: refused', f'{url}/plans.'),
            (f'Unable to establish connection to {url}/plans?x=y: refused', f'{url}/plans.'),
            ('None runs. To start it: karbor-standalone', 'To start it: karbor-standalone'),
        ):
            refused = ks_exceptions.ConnectFailure(fault)
            with mock.patch.object(self.calls, 'plans', side_effect=refused):
                told = self.fail_command('plan list')
            self.assertTrue(told.endswith(said), told)

    def test_the_client(self) -> None:
        manager = mock.Mock(sdk_connection=self.calls._get_connection())
        self.assertEqual(
            [PROVIDER_ID], [each.id for each in plugin.make_client(manager).providers()]
        )
        self.assertEqual('parser', plugin.build_option_parser('parser'))


class StatusTest(commanding.CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        zone = mock.patch.dict(os.environ, {'TZ': 'Europe/Berlin'})
        zone.start()
        self.addCleanup(time.tzset)
        self.addCleanup(zone.stop)
        time.tzset()

    def schedule(self, plan: Any) -> None:
        trigger = self.calls.create_trigger('nightly', TRIGGER_PROPERTIES)
        operation = self.calls.create_scheduled_operation('keep', plan, trigger)
        run = self.calls.run_scheduled_operation(operation)
        self.calls.wait_for_run(run, **calling.PATIENCE)

    def test_at_a_glance(self) -> None:
        good, other = self.volume(name='db'), self.volume(name='scratch')
        self.schedule(self.plan(good))
        printed = self.run_command('status')
        self.assertTrue(printed.startswith('2 volumes: 1 unprotected, 1 protected\n'), printed)
        bad_row, good_row = self.table('status')
        self.assertEqual(['Volume', 'State', 'Last good', 'Age', 'Next run', 'Why'], list(good_row))
        self.assertEqual(
            ('db', 'protected', ''), tuple(good_row[n] for n in ('Volume', 'State', 'Why'))
        )
        self.assertTrue(good_row['Last good'].endswith((' CET', ' CEST')))
        self.assert_moment(good_row['Last good'])
        self.assertIn('second', good_row['Age'])
        self.assertTrue(good_row['Next run'].startswith('in '))
        self.assertEqual(
            {
                'Volume': 'scratch',
                'State': 'unprotected',
                'Last good': '',
                'Age': '',
                'Next run': '',
                'Why': 'no schedule covers it',
            },
            bad_row,
        )
        (row,) = self.table('status --volume db --long')
        self.assertEqual(
            (good['id'], '1', 'nightly', 'keep'),
            tuple(row[name] for name in ('ID', 'Recovery points', 'Plans', 'Schedules')),
        )
        shown = {volume.pop('id'): volume for volume in self.json('status')}
        listed = {volume.pop('id'): volume for volume in self.get('/coverage')['coverage']}
        for volume in (*shown.values(), *listed.values()):
            volume.pop('last_good_age')  # one was asked for later
        self.assertEqual(listed, shown)
        self.assertEqual({good['id'], other['id']}, set(shown))

    def test_what_it_asks_for(self) -> None:
        """A hundred volumes are one request, and the troubles another one."""
        for number in range(100):
            self.volume(name=f'v{number:02}')
        with calling.requests_of(self.calls) as asked:
            rows = self.table('status')
        self.assertEqual([f'v{number:02}' for number in range(100)], [r['Volume'] for r in rows])
        self.assertEqual(2, len(asked))

    def test_why_a_volume_fails(self) -> None:
        plan = self.plan(self.volume(name='db', status='error'))
        schedule = self.calls.create_schedule('keep', plan, '30 2 * * *')
        run = self.calls.run_scheduled_operation(schedule.id)
        self.assertRaises(waiting.Failed, self.calls.wait_for_run, run, **calling.PATIENCE)
        (row,) = self.table('status')
        first, _, why = ' '.join(row['Why'].split()).partition(': ')
        self.assertEqual(('failing', 'the newest recovery point has failed'), (row['State'], first))
        self.assertTrue(why.startswith('the volume is in status error'), why)

    def test_for_cron(self) -> None:
        good, _ = self.volume(name='db'), self.volume(name='scratch')
        self.schedule(self.plan(good))
        self.run_command('status')
        self.run_command('status --exit-code', 1)
        self.run_command('status --volume db --exit-code')
        self.run_command('status --volume scratch --exit-code -f value -c name', 1)

    def test_names(self) -> None:
        one, two = self.volume(name='db'), self.volume(name='db')
        told = self.fail_command('status --volume db')
        self.assertIn('More than one volume is called db; take one by its ID: ', told)
        for volume in (one, two):
            self.assertIn(volume['id'], told)
            (row,) = self.json(f'status --volume {volume["id"]}')
            self.assertEqual(volume['id'], row['id'])
        self.assertEqual('There is no volume x.', self.fail_command('status --volume x'))

    def test_a_cloud_that_does_not_answer(self) -> None:
        self.cinder.faults.append(Fault(method='GET', status=403))
        self.assertEqual('0 volumes: none\n', self.run_command('status').partition('\n')[0] + '\n')
        self.assertNotEqual('', self.errors)
        self.assertEqual('', self.run_command('status -f value -c name').strip())


class PlansTest(commanding.CommandTestCase):
    def test_volumes(self) -> None:
        one, two = self.volume(name='db'), self.volume(name='web')
        shown = self.fields(
            f'plan create nightly --volume db --volume {two["id"]} --description "of the test"'
            ' --snapshot-name "{volume_name} {time}" --force-attached'
        )
        self.assertEqual(
            ('nightly', 'of the test', '{volume_name} {time}', 'yes'),
            tuple(shown[n] for n in ('Name', 'Description', 'Snapshot name', 'Force attached')),
        )
        self.assertEqual(f'volume db ({one["id"]})\nvolume web ({two["id"]})', shown['Protects'])
        plan = self.calls.find_plan('nightly')
        self.assertEqual(
            {'snapshot_name': '{volume_name} {time}', 'description': '', 'force': True},
            plan.parameters[VOLUME],
        )
        (row,) = self.table('plan list --long')
        self.assertEqual(
            (plan.id, 'nightly', '2 volumes', PROVIDER_ID),
            tuple(row[name] for name in ('ID', 'Name', 'Protects', 'Provider')),
        )
        self.assertEqual([self.get(f'/plans/{plan.id}')['plan']], self.json('plan list'))
        self.assertEqual(self.get(f'/plans/{plan.id}')['plan'], self.json('plan show nightly'))
        self.assertEqual('2 volumes: db, web', self.fields('plan show nightly')['Covers now'])

    def test_a_volume_that_cannot_be_protected_now(self) -> None:
        """It can be in a plan all the same; one that is not in Cinder cannot."""
        volume = self.volume(name='bad', status='error')
        self.run_command('plan create nightly --volume bad')
        self.assertEqual(volume['id'], self.calls.find_plan('nightly').resources[0]['id'])
        told = self.fail_command(f'plan create x --volume {new_id()}')
        self.assertIn('There is no volume', told)

    def test_a_project(self) -> None:
        self.volume(name='db-1')
        self.volume(name='web')
        self.volume(name='db-2', metadata={'backup': 'no'})
        self.run_command(
            'plan create all --include-name "db-*" --exclude-metadata backup=no'
            ' --exclude-metadata backup=never'
        )
        plan = self.calls.find_plan('all')
        (entry,) = plan.resources
        self.assertEqual(
            {
                'include': {'names': ['db-*']},
                'exclude': {'metadata': {'backup': ['no', 'never']}},
            },
            entry['extra_info'],
        )
        shown = self.fields('plan show all')
        self.assertEqual('1 volume: db-1', shown['Covers now'])
        self.assertEqual(
            'all volumes of the project; include db-*; exclude backup=no, never', shown['Protects']
        )
        self.run_command('plan set all --project')
        self.assertEqual('3 volumes: db-1, db-2, web', self.fields('plan show all')['Covers now'])
        self.assertEqual('the project', self.table('plan list')[0]['Protects'])
        self.assertIn(
            'is not like key=glob', self.fail_command('plan set all --include-metadata x')
        )

    def test_changes(self) -> None:
        one, two = self.volume(name='db'), self.volume(name='web')
        self.run_command('plan create nightly --volume db --description x')
        before = self.calls.find_plan('nightly')
        self.run_command('plan set nightly --volume web --volume db --force-attached')
        plan = self.calls.get_plan(before)
        self.assertEqual([one['id'], two['id']], [each['id'] for each in plan.resources])
        self.assertTrue(plan.parameters[VOLUME]['force'])
        self.assertEqual(
            before.parameters[VOLUME]['snapshot_name'], plan.parameters[VOLUME]['snapshot_name']
        )
        self.run_command('plan set nightly --name new --description y --no-force-attached')
        self.run_command('plan unset new --volume db')
        plan = self.calls.get_plan(before)
        self.assertEqual(
            ('new', 'y', False), (plan.name, plan.description, plan.parameters[VOLUME]['force'])
        )
        self.assertEqual([two['id']], [each['id'] for each in plan.resources])
        self.run_command('plan unset new --description')
        self.assertIsNone(self.calls.get_plan(before).description)
        self.assertIn('has no volume db', self.fail_command('plan unset new --volume db'))
        self.assertIn('delete it instead', self.fail_command('plan unset new --volume web'))

    def test_deletions_ask(self) -> None:
        plan = self.plan()
        told = self.fail_command('plan delete nightly', answer='n')
        self.assertEqual('Nothing is deleted.', told)
        self.assertIn('1 plan (nightly); their checkpoints stay. Delete? [y/N]', self.errors)
        self.assertIsNotNone(self.calls.get_plan(plan))
        self.run_command('plan delete nightly', answer='y')
        self.assertEqual([], self.json('plan list'))
        for line, how in (('nightly', {}), ('nightly --yes', {'answer': ''})):
            self.plan()
            self.run_command(f'plan delete {line}', **how)
            self.assertEqual('', self.errors)
        self.assertEqual('There is no plan nightly.', self.fail_command('plan delete nightly'))

    def test_errors(self) -> None:
        self.volume(name='db')
        self.assertIn('--volume or --project', self.fail_command('plan create x'))
        self.assertEqual(
            'There is no provider y.', self.fail_command('plan create x --volume db --provider y')
        )
        told = self.fail_command('plan create x --volume db --snapshot-name {x}')
        self.assertNotIn('Client Error', told)
        self.assertIn('{x}', told)
        self.plan()
        self.plan()
        told = self.fail_command('plan show nightly')
        for plan in self.calls.plans():
            self.assertIn(plan.id, told)
        told = self.fail_command(f'plan delete {plan.id}', persona='reader')
        self.assertIn('plan:delete', told)
