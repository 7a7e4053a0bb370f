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

"""Schedules on the sandbox: engines fire, workers protect by trusts, retention removes."""

import datetime
import signal
from typing import Any

import openstack
from oslo_config import cfg
from oslo_db import options as db_options
from oslo_utils import timeutils

from karbor import conf, db
from karbor.services.schedules import engine
from karbor.tests.integration import base, callers, cloud, service_case

_MINUTELY = {'format': 'crontab', 'pattern': '* * * * *'}
_RETENTION = 'retention_protect'


class SchedulesTestCase(service_case.ServiceTestCase):
    """A plan of one volume, and a worker."""

    options = {'DEFAULT': {'min_interval': 4}, 'operationengine': {'poll_interval': 0.5}}

    def setUp(self) -> None:
        super().setUp()
        self.plan_id = self.caller.plan(self.project.volumes(1))
        self.start_worker()

    def wait_for_runs(self, operation_id: str, count: int) -> list[Any]:
        """Wait until so many runs have ended; returns the logs of all."""

        def ended() -> list[Any] | None:
            runs = self.caller.runs(operation_id)
            over = [run for run in runs if run['ended_at'] is not None]
            return runs if len(over) >= count else None

        return cloud.wait_until(ended, f'{count} runs')

    def wait_for_retentions(self, operation_id: str, count: int) -> None:
        """Wait until so many have ended; a later one would go by rules that have changed."""

        def ended() -> bool:
            logs = self.caller.call(
                'GET',
                f'/operation_logs?operation_type=retention&scheduled_operation_id={operation_id}',
            )
            return sum(log['ended_at'] is not None for log in logs) >= count

        cloud.wait_until(ended, f'{count} retentions')

    def assert_kept(self, count: int) -> None:
        """So many checkpoints are left, and Cinder has their snapshots and no other."""

        def is_quiet() -> bool:
            return (
                len(self.caller.available()) == count
                and sum(map(len, self.project.snapshots().values())) == count
            )

        cloud.wait_until(is_quiet, f'{count} checkpoints and snapshots')

    def put(self, operation_id: str, **changes: Any) -> None:
        self.caller.call(
            'PUT', f'/scheduled_operations/{operation_id}', {'scheduled_operation': changes}
        )


class ClockTest(SchedulesTestCase):
    """The engine is the test's own, whose clock the test sets."""

    def setUp(self) -> None:
        super().setUp()
        conf.register_opts(cfg.CONF)  # of quotas, say
        options = cfg.ConfigOpts()
        db_options.set_defaults(options, connection=self.service.database)
        options(args=[], default_config_files=[], default_config_dirs=[])
        db.configure(options)
        self.now = timeutils.utcnow()
        self.engine = engine.Engine(lambda _job_id: None, 1, lambda _session: self.now)

    def test_ten_minutes_of_which_three_checkpoints_are_kept(self) -> None:
        operation_id = self.caller.scheduled_operation(
            self.caller.trigger(**_MINUTELY), self.plan_id, operation_type=_RETENTION, keep_last=3
        )
        for number in range(1, 11):
            self.now += datetime.timedelta(minutes=1)
            self.assertEqual(1, self.engine.fire_all_due())
            self.wait_for_runs(operation_id, number)
        runs = self.caller.runs(operation_id)
        self.assertEqual(['available'] * 10, [run['status'] for run in runs])
        self.assertEqual(10, len({run['extra_info']['fire_time'] for run in runs}))
        self.assert_kept(3)
        self.assertEqual(
            [run['checkpoint_id'] for run in runs[-3:]],
            [checkpoint['id'] for checkpoint in self.caller.available()],
        )
        self.caller.call('DELETE', f'/scheduled_operations/{operation_id}')
        self.wait_for_no_trust()


class EngineTest(SchedulesTestCase):
    """Real engines, in real time."""

    def start_engine(self) -> Any:
        started = self.service.start_engine()
        self.addCleanup(started.wait, 20)
        self.addCleanup(started.terminate)
        return started

    def test_two_engines_of_which_one_is_killed(self) -> None:
        """Four triggers fire at four moments, three seconds apart."""
        begin = timeutils.utcnow() + datetime.timedelta(seconds=6)
        moments = [begin + datetime.timedelta(seconds=3 * number) for number in range(4)]
        operation_ids = [
            self.caller.scheduled_operation(
                self.caller.trigger(format='calendar', pattern=_yearly(moment)), self.plan_id
            )
            for moment in moments
        ]
        first, _ = self.start_engine(), self.start_engine()
        self.wait_for_runs(operation_ids[0], 1)
        first.send_signal(signal.SIGKILL)
        for operation_id, moment in zip(operation_ids, moments, strict=True):
            (run,) = self.wait_for_runs(operation_id, 1)
            self.assertEqual(
                ('available', f'{moment:%Y-%m-%d %H:%M:%S}'),
                (run['status'], run['extra_info']['fire_time']),
            )
        self.assert_kept(4)
        self.assertIn(
            'karbor-operationengine',
            [
                row['binary']
                for row in self.administrator().call('GET', '/os-services')
                if row['state'] == 'up'
            ],
        )

    def test_a_quota_that_is_used_up(self) -> None:
        operation_id = self.caller.scheduled_operation(
            self.caller.trigger(), self.plan_id, operation_type=_RETENTION
        )
        path = f'/scheduled_operations/{operation_id}'
        for number in (1, 2):
            self.caller.call('POST', f'{path}/action', {'run': {}})
            self.wait_for_runs(operation_id, number)
            self.wait_for_retentions(operation_id, number)
        definition = self.caller.call('GET', path)['operation_definition']
        self.put(operation_id, operation_definition={**definition, 'keep_last': 1})
        self.project.set_quota(snapshots=2)
        self.caller.call('POST', f'{path}/action', {'run': {}})
        failed, again = self.wait_for_runs(operation_id, 4)[2:]
        self.assertEqual('error', failed['status'])
        for text in (
            'Maximum number of snapshots',
            'snapshots: 2 of 2',
            'free 1 recovery point and 1 checkpoint;',
        ):
            self.assertIn(text, failed['error_info'])
        self.assertEqual(
            ('available', failed['id']), (again['status'], again['extra_info']['retry_of'])
        )
        self.assert_kept(1)

    def test_a_user_who_loses_the_role(self) -> None:
        role = (self.project.id, self.project.user_id, self.project.role_id)
        operation_id = self.caller.scheduled_operation(self.caller.trigger(), self.plan_id)
        path = f'/scheduled_operations/{operation_id}/action'
        self.caller.call('POST', path, {'run': {}})
        self.wait_for_runs(operation_id, 1)
        self.assertEqual(1, len(self.project.trusts()))

        other = callers.of(
            openstack.connect(
                auth=self.project.add_user('member'), region_name='RegionOne'
            ).session,
            self.service.url,
        )
        cloud.admin().identity.unassign_project_role_from_user(*role)
        other.call('POST', path, {'run': {}})
        run = cloud.wait_until(
            lambda: [run for run in other.runs(operation_id) if run['status'] == 'error'],
            'a failure',
        )[0]
        self.assertIn('member', run['error_info'])

        cloud.admin().identity.assign_project_role_to_user(*role)
        self.caller = callers.of(self.project.login(), self.service.url)
        self.put(operation_id, enabled=True)
        self.caller.call('POST', path, {'run': {}})
        self.assertEqual(
            ['available', 'error', 'available'],
            [run['status'] for run in self.wait_for_runs(operation_id, 3)],
        )
        self.caller.call('DELETE', f'/scheduled_operations/{operation_id}')
        self.wait_for_no_trust()


class TenantTest(base.IntegrationTestCase):
    """A schedule from its preview to its end, as a tenant has it with karbor-standalone."""

    def setUp(self) -> None:
        super().setUp()
        self.karbor = self.standalone()
        self.volume_ids = self.project.volumes(2)
        self.plan_id = self.karbor.plan(self.volume_ids)

    def runs(self, schedule_id: str, count: int) -> list[Any]:
        """The logs of the runs, the oldest first, once so many have ended."""
        query = f'scheduled_operation_id={schedule_id}&sort=created_at:asc'

        def ended() -> list[Any] | None:
            logs = self.karbor.call('GET', f'/operation_logs?{query}')
            runs = [log for log in logs if log['operation_type'] == 'protect' and log['ended_at']]
            return runs if len(runs) == count else None

        return list(cloud.wait_until(ended, f'{count} runs'))

    def wait_for_snapshots(self, count: int) -> None:
        """Until each volume has so many."""
        expected = dict.fromkeys(self.volume_ids, count)
        cloud.wait_until(
            lambda: {key: len(ids) for key, ids in self.project.snapshots().items()} == expected,
            f'{count} snapshots a volume',
        )

    def test_from_its_preview_to_its_end(self) -> None:
        nightly = {
            'name': 'nightly',
            'plan_id': self.plan_id,
            'format': 'crontab',
            'pattern': '30 2 * * *',
            'timezone': 'Europe/Berlin',
            'retention': {'keep_last': 1},
        }
        most = self.karbor.call('POST', '/schedules/preview', {'schedule': nightly})['most']
        self.assertEqual(
            (1, 2, 2, 4, 4),
            tuple(
                most[name]
                for name in (
                    'recovery_points',
                    'recovery_points_at_once',
                    'volumes',
                    'snapshots',
                    'gigabytes',
                )
            ),
        )
        schedule = self.karbor.call('POST', '/schedules', {'schedule': nightly})
        path = f'/schedules/{schedule["id"]}'
        for number in (1, 2):
            self.karbor.call(
                'POST', f'/scheduled_operations/{schedule["id"]}/action', {'run': None}
            )
            last = self.runs(schedule['id'], number)[-1]
            self.assertEqual('available', last['status'])
            shown = self.karbor.call('GET', path)['last_run']
            self.assertEqual(
                (last['id'], last['checkpoint_id']),
                (shown['operation_log_id'], shown['checkpoint_id']),
            )
            self.wait_for_snapshots(1)

        fire = timeutils.utcnow().replace(microsecond=0) + datetime.timedelta(seconds=5)
        changed = self.karbor.call(
            'PUT',
            path,
            {
                'schedule': {
                    'format': 'calendar',
                    'pattern': _yearly(fire),
                    'timezone': None,
                    'retention': {'keep_last': 2},
                }
            },
        )
        self.assertEqual(
            (f'{fire.isoformat()}+00:00', 'UTC', schedule['trigger_id']),
            (changed['next_fires'][0]['utc'], changed['timezone'], changed['trigger_id']),
        )
        last = self.runs(schedule['id'], 3)[-1]
        self.assertEqual(
            ('available', f'{fire}'), (last['status'], last['extra_info']['fire_time'])
        )
        self.wait_for_snapshots(2)

        self.karbor.call('DELETE', path)
        for old in ('/schedules', '/triggers', '/scheduled_operations'):
            self.assertEqual([], self.karbor.call('GET', old))
        (deleted,) = self.karbor.call(
            'GET', '/operation_logs?operation_type=scheduled_operation_delete'
        )
        self.assertEqual(
            {'checkpoints': 2, 'recovery_points': 4, 'gigabytes': 4}, deleted['extra_info']['left']
        )
        checkpoints = self.karbor.call(
            'GET', f'/providers/{base.PROVIDER_ID}/checkpoints?status=available'
        )
        for checkpoint in checkpoints:
            self.assertEqual('deleted', self.karbor.delete(checkpoint['id'])['status'])
        self.assertEqual({}, self.project.snapshots())
        self.karbor.call('DELETE', f'/plans/{self.plan_id}')


def _yearly(moment: datetime.datetime) -> str:
    return (
        f'BEGIN:VEVENT\nRRULE:FREQ=YEARLY;BYMONTH={moment.month};'
        f'BYMONTHDAY={moment.day};BYHOUR={moment.hour};BYMINUTE={moment.minute};'
        f'BYSECOND={moment.second}\nEND:VEVENT'
    )
