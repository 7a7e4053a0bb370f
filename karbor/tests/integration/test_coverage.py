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

"""Is everything protected? Asked by a tenant with forty volumes, of a cloud's Karbor."""

from typing import Any

from karbor.tests.integration import base, callers, cloud, service_case

PROJECT = 'OS::Keystone::Project'

_PLAIN = 32
_COUNTED = ('id', 'recovery_points', 'recovery_points_missing')


class CoverageTest(service_case.ServiceTestCase):
    """No engine runs, so that runs are late that are not asked for by hand."""

    options = {'DEFAULT': {'min_interval': 4, 'min_window_time': 1}}

    def setUp(self) -> None:
        super().setUp()
        self.project.set_quota(volumes=60, snapshots=200, gigabytes=500)
        self.start_worker()

    def volumes(self, name: str, count: int = 1, **metadata: str) -> list[str]:
        """New volumes of one name."""
        volume_ids = self.project.volumes(count, metadata=metadata)
        for volume_id in volume_ids:
            self.project.cinder.volumes.update(volume_id, name=name)
        return volume_ids

    def schedule(self, plan_id: str, name: str, pattern: str = '0 3 * * *') -> str:
        trigger_id = self.caller.trigger(format='crontab', pattern=pattern)
        return self.caller.scheduled_operation(trigger_id, plan_id, name)

    def coverage(self, query: str = '') -> dict[str, Any]:
        """What is shown, by the ids of volumes; found page by page."""
        found: dict[str, Any] = {}
        marker = ''
        while page := self.caller.call('GET', f'/coverage?limit=15{query}{marker}'):
            for item in page:
                self.assertNotIn(item['id'], found)
                found[item['id']] = item
            if len(page) < 15:
                break
            marker = f'&marker={page[-1]["id"]}'
        return found

    def totals(self) -> dict[str, int]:
        totals = self.caller.ask('GET', '/coverage').json()['totals']
        return {state: count for state, count in totals.items() if count}

    def test_forty_volumes(self) -> None:
        plain = self.volumes('data', _PLAIN, backup='yes')
        attached, broken, lost = plain[:3]
        left_out = self.volumes('scratch', 2, backup='yes', scratch='true')
        (deleted,) = self.volumes('old', 1, backup='yes')
        (own_paused,) = self.volumes('paused')
        (own_late,) = self.volumes('late')
        (alone,) = self.volumes('alone')
        self.project.attach(attached)

        body = callers.plan_body([self.project.id], 'labelled', PROJECT)
        body['plan']['resources'][0]['extra_info'] = {
            'include': {'metadata': {'backup': 'yes'}},
            'exclude': {'metadata': {'scratch': 'true'}},
        }
        body['plan']['parameters'] = {base.VOLUME: {**base.PARAMETERS[base.VOLUME], 'force': True}}
        plan_id = self.caller.call('POST', '/plans', body)['id']
        self.schedule(plan_id, 'nightly')
        paused_plan = self.caller.plan([own_paused], 'paused')
        paused_id = self.schedule(paused_plan, 'paused')
        self.caller.call(
            'PUT',
            f'/scheduled_operations/{paused_id}',
            {'scheduled_operation': {'enabled': False}},
        )
        late_plan = self.caller.plan([own_late], 'late')
        self.assertEqual(
            {'unprotected': _PLAIN + 2 + 1 + 2, 'paused': 1}, self.totals(), 'before anything'
        )
        self.caller.protected(late_plan)
        self.schedule(late_plan, 'each minute', '* * * * *')

        checkpoint_id = self.caller.protected(plan_id)
        protected = self.coverage('&state=protected').keys() - {own_late}  # by which minute it is
        self.assertEqual(_PLAIN + 1, len(protected))
        (snapshot_id,) = self.project.snapshots()[lost]
        self.project.cinder.volume_snapshots.delete(snapshot_id)
        cloud.wait_until(lambda: lost not in self.project.snapshots(), 'the lost snapshot')
        self.caller.wait_for_use('verification', self.caller.use('verification', checkpoint_id))
        (shown,) = self.coverage('&name=data&state=unprotected').values()
        self.assertEqual((lost, 0, 1), tuple(shown[name] for name in _COUNTED))
        self.assertIn('all recovery points are missing in the cloud', shown['reason'])
        self.project.set_status(broken, 'error')
        second = self.caller.wait_for_checkpoint(self.caller.protect(plan_id), 'available', 'error')
        self.assertEqual('error', second['status'], 'of a volume in error')
        restore_id = self.caller.use('restore', self.caller.protected(paused_plan))
        self.assertEqual('success', self.caller.wait_for_use('restore', restore_id)['status'])
        self.project.delete_volume(deleted)
        cloud.wait_until(
            lambda: self.coverage('&state=late') and self.coverage('&state=gone'),
            'a run that no engine has come to, and a new look at the volumes',
            120,
        )
        found = self.coverage()
        states = {volume_id: item['state'] for volume_id, item in found.items()}
        expected = dict.fromkeys(plain, 'protected')
        expected.update(dict.fromkeys(left_out, 'unprotected'))
        expected.update(
            {
                broken: 'failing',
                deleted: 'gone',
                own_paused: 'paused',
                own_late: 'late',
                alone: 'unprotected',
            }
        )
        (copy,) = set(found) - set(expected)
        expected[copy] = 'unprotected'
        self.assertEqual(expected, states)
        self.assertIn('error', found[broken]['last_failure']['reason'])
        self.assertEqual((lost, 1, 1), tuple(found[lost][name] for name in _COUNTED))
        self.assertEqual(['labelled'], [plan['name'] for plan in found[attached]['plans']])
        self.assertEqual([], found[left_out[0]]['plans'])
