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

"""Commands of ``openstack protection`` about checkpoints, and those for administrators."""

import time
from unittest import mock

from oslo_utils import timeutils

from karbor.client import waiting
from karbor.client.checkpoints import Checkpoint
from karbor.client.osc import now
from karbor.db import models
from karbor.testing.fake_cinder import Fault
from karbor.tests.base import PROJECT_ID, PROVIDER_ID, new_id
from karbor.tests.functional import calling, commanding
from karbor.tests.functional.base import VOLUME


class CheckpointsTest(commanding.CommandTestCase):
    def test_a_life(self) -> None:
        volume = self.volume(name='db')
        self.plan(volume)
        shown = self.fields('checkpoint create nightly --wait --extra-info why=test', answer='')
        self.assertIn('1 of 1 done, 0 failed, ', self.errors)
        self.assertEqual(
            ('nightly', 'available', '1 of 1', 'no'),
            tuple(shown[name] for name in ('Plan', 'Status', 'Resources', 'Pinned')),
        )
        self.assertEqual(f'db ({volume["id"]}): good', shown['Contains'])
        self.assert_moment(shown['Created'])
        path = self.checkpoints_path(shown['ID'])
        whole = self.json(f'checkpoint show {shown["ID"]}')
        self.assertEqual({**self.get(path)['checkpoint'], 'provider_id': PROVIDER_ID}, whole)
        self.assertIn('"why": "test"', whole['extra_info'])

        self.run_command(f'checkpoint pin {shown["ID"]}')
        (row,) = self.table('checkpoint list --plan nightly --volume db --long')
        self.assertEqual(
            (shown['ID'], 'available', 'yes', PROVIDER_ID),
            tuple(row[name] for name in ('ID', 'Status', 'Pinned', 'Provider')),
        )
        self.run_command(f'checkpoint unpin {shown["ID"]}')
        self.assertFalse(self.json('checkpoint list')[0]['pinned'])
        self.assertEqual([], self.json('checkpoint list --status error'))
        (point,) = self.table('recovery point list --volume db --state good --plan nightly')
        self.assertEqual(('db', shown['ID']), (point['Volume'], point['Checkpoint']))
        self.assert_moment(point['Taken'])
        self.assertEqual(
            self.get('/recovery_points')['recovery_points'], self.json('recovery point list')
        )
        self.assertEqual([], self.json('recovery point list --until 2020-01-01 --since 2019-01-01'))

        verified = self.fields(f'checkpoint verify {shown["ID"]} --wait')
        self.assertEqual(('success', '1'), (verified['Status'], verified['Done']))

        told = self.fail_command(f'checkpoint delete {shown["ID"]}', answer='')
        self.assertEqual('Nothing is deleted.', told)
        self.assertIn('1 checkpoint with 1 snapshot. Delete?', self.errors)
        self.run_command(f'checkpoint delete {shown["ID"]} --yes --wait')
        self.assertEqual({}, self.cinder.snapshots)
        self.assertEqual([], self.json('checkpoint list'))

    def test_what_fails(self) -> None:
        self.plan(self.volume(name='good'), self.volume(name='bad', status='error'))
        shown = self.fields('checkpoint create nightly --wait', code=1)
        self.assertEqual(('error', '1 of 2, 1 failed'), (shown['Status'], shown['Resources']))
        self.assertIn('bad', shown['Contains'])
        self.assertEqual('', self.errors)
        self.run_command('checkpoint create nightly --wait -f value -c id', 1)
        self.assertIn('ended with error', self.errors)
        missing = new_id()
        self.assertIn(missing, self.fail_command(f'checkpoint show {missing}'))
        self.assertIn('is not a UUID', self.fail_command('checkpoint show x'))
        self.assertIn(
            'is not like key=value', self.fail_command('checkpoint create nightly --extra-info x')
        )
        made = self.checkpoint()
        self.cinder.snapshots.clear()
        self.run_command(f'checkpoint verify {made.id} --wait', 1)

    def test_it_goes_on_without_us(self) -> None:
        """Who does not want to wait any longer is told how to look again."""
        self.plan()
        clock = mock.Mock(monotonic=time.monotonic, sleep=mock.Mock(side_effect=KeyboardInterrupt))
        with mock.patch.object(waiting, 'time', clock):  # of this thread alone
            self.assertRaises(
                KeyboardInterrupt, self.run_command, 'checkpoint create nightly --wait'
            )
        (checkpoint,) = self.calls.checkpoints()
        self.assertEqual(
            f'It goes on. To look again: openstack protection checkpoint show {checkpoint.id}\n',
            self.errors,
        )
        self.calls.wait_for_checkpoint(checkpoint, **calling.PATIENCE)


class LimitsTest(commanding.CommandTestCase):
    def test_there_are_more(self) -> None:
        for _ in range(3):
            made = self.calls.create_restore(self.checkpoint())
            self.calls.wait_for_restore(made, **calling.PATIENCE)
        for name in ('checkpoint list', 'recovery point list', 'restore list', 'job list'):
            self.assertEqual(2, len(self.json(f'{name} --limit 2')), name)
            self.assertEqual('There are more; --limit says how many are shown.\n', self.errors)
            whole = self.json(name)
            self.assertEqual('', self.errors)
            self.assertEqual(whole, self.json(f'{name} --limit {len(whole)}'))
            self.assertEqual('', self.errors)
            for wrong in ('0', '-1', 'x'):
                self.assertRaises(SystemExit, self.run_command, f'{name} --limit {wrong}')
                self.assertIn('is not a whole number from 1', self.errors)


class RestoresTest(commanding.CommandTestCase):
    def test_a_restore(self) -> None:
        volume = self.volume(name='db')
        made = self.checkpoint(volume)
        shown = self.fields(f'restore create {made.id} --name back --description x --wait')
        self.assertEqual(('success', '1'), (shown['Status'], shown['Done']))
        old, _, new = shown['New volumes'].partition(' -> ')
        self.assertEqual((volume['id'], 'back'), (old, self.cinder.volumes[new]['name']))
        (row,) = self.table(f'restore list --checkpoint {made.id} --long')
        self.assertEqual((shown['ID'], 'success'), (row['ID'], row['Status']))
        self.assertEqual(1, len(self.json('restore list')))
        self.assertEqual(
            self.get(f'/restores/{shown["ID"]}')['restore'],
            self.json(f'restore show {shown["ID"]}'),
        )
        again = self.fields(f'restore create {made.id}')
        self.calls.wait_for_restore(again['ID'], **calling.PATIENCE)

    def test_one_that_fails(self) -> None:
        made = self.checkpoint()
        self.cinder.faults.append(Fault(method='POST', path='/volumes', status=400))
        shown = self.fields(f'restore create {made.id} --wait', code=1)
        self.assertEqual('fail', shown['Status'])
        self.assertIn(VOLUME, shown['What failed'])

    def test_one_volume_of_some(self) -> None:
        volumes = [self.volume(name=name) for name in ('a', 'b', 'b')]
        made = self.checkpoint(*volumes)
        shown = self.fields(f'restore create {made.id} --volume a --wait')
        self.assertRegex(shown['New volumes'], rf'^{volumes[0]["id"]} -> \S+$')
        by_id = self.fields(f'restore create {made.id} --volume {volumes[1]["id"]} --wait')
        self.assertIn(f'{volumes[1]["id"]} -> ', by_id['New volumes'])
        for name, told in (('b', 'More than one volume'), ('c', 'has no volume c')):
            self.assertIn(told, self.fail_command(f'restore create {made.id} --volume {name}'))

    def test_volumes_as_they_were(self) -> None:
        volumes = [self.volume(name=name) for name in ('a', 'b')]
        for volume in volumes:
            self.checkpoint(volume)
        shown = self.fields('restore create --volume a --volume b --name-suffix + --wait')
        self.assertEqual(('success', 2), (shown['Status'], shown['New volumes'].count(' -> ')))
        self.assertEqual(2, len(shown['Restores'].split()))
        again = self.fields(f'restore group show {shown["ID"]}')
        self.assertEqual(shown['New volumes'], again['New volumes'])
        self.assertEqual(
            self.get(f'/restore_groups/{shown["ID"]}')['restore_group'],
            self.json(f'restore group show {shown["ID"]}'),
        )
        for line, told in (
            ('--volume a --at 2001-01-01', 'no good recovery point'),
            ('--volume a --at x', "at: 'x' is neither"),
            ('', 'Say a checkpoint'),
            ('--volume a --partial', 'Say a checkpoint'),
            (f'{new_id()} --at 2001-01-01', 'Say either a checkpoint'),
        ):
            self.assertIn(told, self.fail_command(f'restore create {line}'))

    def test_what_is_good_of_one_in_error(self) -> None:
        volumes = [self.volume(name=name) for name in ('a', 'b')]
        self.cinder.quota_snapshots = 1
        made = self.calls.create_checkpoint(self.plan(*volumes))
        self.assertRaises(waiting.Failed, self.calls.wait_for_checkpoint, made, **calling.PATIENCE)
        shown = self.fields(f'restore create {made.id} --partial --wait')
        self.assertEqual('success', shown['Status'])
        self.assertIn('left out: 1 of 2 resources', shown['Reason'])
        self.assertEqual(1, ' '.join(shown['What failed'].split()).count('left out: '))


class NowTest(commanding.CommandTestCase):
    def test_a_volume(self) -> None:
        """It gets a plan, which is used again."""
        volume = self.volume(name='db', status='in-use')
        shown = self.fields('now db --wait')
        self.assertEqual(('now db', 'available'), (shown['Plan'], shown['Status']))
        (plan,) = self.calls.plans()
        self.assertEqual(
            (now.MARK, [volume['id']]), (plan.description, [r['id'] for r in plan.resources])
        )
        again = self.json(f'now {volume["id"]}')
        self.assertEqual(plan.id, again['protection_plan']['id'])
        self.assertEqual([plan.id], [each.id for each in self.calls.plans()])
        self.calls.wait_for_checkpoint(
            Checkpoint.existing(id=again['id'], provider_id=PROVIDER_ID), **calling.PATIENCE
        )

    def test_a_plan(self) -> None:
        self.plan()
        shown = self.fields('now nightly --wait')
        self.assertEqual(('nightly', 'available'), (shown['Plan'], shown['Status']))

    def test_names(self) -> None:
        volume = self.volume(name='nightly')
        plan = self.plan(volume)
        told = self.fail_command('now nightly')
        self.assertIn(plan.id, told)
        self.assertIn(volume['id'], told)
        self.assertEqual('There is no volume and no plan x.', self.fail_command('now x'))
        self.volume(name='db')
        self.volume(name='db')
        self.assertIn('More than one volume is called db', self.fail_command('now db'))


class AdministrationTest(commanding.CommandTestCase):
    def test_quotas(self) -> None:
        self.plan()
        self.run_command(
            f'quota set {PROJECT_ID} --plans 7 --checkpoints -1 --schedules 3 --triggers 4 '
            '--verifications 5 --jobs 6',
            persona='admin',
        )
        self.assertEqual(
            {
                'Plans': '1 of 7',
                'Checkpoints': '0 of no limit',
                'Schedules': '0 of 3',
                'Triggers': '0 of 4',
                'Verifications': '0 of 5',
                'Jobs': '0 of 6',
            },
            self.fields('quota show'),
        )
        self.assertEqual(
            self.get(f'/quotas/{PROJECT_ID}/detail')['quota'],
            self.json(f'quota show --project {PROJECT_ID}', persona='admin'),
        )
        self.run_command(f'quota unset {PROJECT_ID}', persona='admin')
        self.assertNotEqual('1 of 7', self.fields('quota show')['Plans'])
        self.assertIn('quota:update', self.fail_command(f'quota set {PROJECT_ID} --plans 1'))

    def test_jobs(self) -> None:
        made = self.checkpoint()
        (row,) = self.table('job list --type protect --plan nightly --long')
        self.assertEqual(
            ('protect', 'available', made.id),
            tuple(row[name] for name in ('Type', 'Status', 'Checkpoint')),
        )
        self.assert_moment(row['Started'])
        self.assertEqual(1, len(self.json('job list --limit 1')))
        self.assertEqual([], self.json('job list --status error'))
        shown = self.json(f'job show {row["ID"]} --wait')
        self.assertEqual(self.get(f'/operation_logs/{row["ID"]}')['operation_log'], shown)
        (listed,) = self.json(f'job list --checkpoint {made.id}')
        self.assertEqual(shown, listed)

    def test_services(self) -> None:
        row = self.add_row(
            models.Service,
            host='h',
            binary='karbor-protection',
            reported_at=timeutils.utcnow(),
        )
        (shown,) = self.table('service list --host h --binary karbor-protection', persona='admin')
        self.assertEqual(
            (str(row.id), 'enabled', 'up'), (shown['ID'], shown['Status'], shown['State'])
        )
        self.run_command(f'service set {row.id} --disable --disable-reason x', persona='admin')
        (shown,) = self.json('service list', persona='admin')
        self.assertEqual(('disabled', 'x'), (shown['status'], shown['disabled_reason']))
        self.run_command(f'service set {row.id} --enable', persona='admin')
        self.assertEqual('enabled', self.json('service list', persona='admin')[0]['status'])
        self.assertIn('service:get_all', self.fail_command('service list'))
