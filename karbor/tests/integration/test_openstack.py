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

"""``openstack protection`` of the newest python-openstackclient, with python-karborclient beside
it, as a tenant types it: against a cloud's Karbor, and against a karbor-standalone."""

import json
import pathlib
import shlex
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import fixtures
from oslotest import base as oslo_base

from karbor.tests import client_package
from karbor.tests.integration import base, cloud, service
from karbor.tests.integration import client_shells as shells

Environment = Mapping[str, str]


class Tenant:
    """Somebody who types commands.

    :param test: makes the assertions.
    :param folder: an empty one.
    :param environment: says where the cloud is, and who asks.
    """

    def __init__(
        self, test: oslo_base.BaseTestCase, folder: pathlib.Path, environment: Environment
    ) -> None:
        self._test = test
        self._shell = shells.Shell(shells.OPENSTACK, shells.NEWEST, folder)
        self._environment = {
            'PYTHONPATH': client_package.python_path(folder),
            'TZ': 'Europe/Berlin',
            **environment,
        }

    def types(self, line: str, code: int = 0) -> shells.Ended:
        """Type a command.

        :param line: what stands behind ``openstack``.
        """
        ended = self._shell.run(shlex.split(line), self._environment)
        self._test.assertEqual(code, ended.code, ended)
        return ended

    def sees(self, line: str, code: int = 0) -> Any:
        """What a command shows."""
        return json.loads(self.types(f'protection {line} -f json', code).output)


class OpenStackTest(oslo_base.BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        shells.make_virtualenvs()

    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '600'))
        super().setUp()
        self.project = cloud.Project()

    def folder(self) -> pathlib.Path:
        return pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def watch(self, log: pathlib.Path) -> Callable[[], None]:
        """Have the log shown if the test fails; gives what looks for faults in it."""
        self.addOnException(lambda _: print(log.read_text()[-4000:]))  # noqa: T201

        def look() -> None:
            for text in ('Traceback', ' -> 5'):
                self.assertNotIn(text, log.read_text())

        return look

    def test_a_cloud(self) -> None:
        karbor = service.Service(self.folder())
        self.addCleanup(karbor.stop)
        karbor.start()
        look = self.watch(karbor.log)
        folder = self.folder()
        clouds = {'OS_CLIENT_CONFIG_FILE': str(self.project.clouds_yaml(folder))}
        tenant = Tenant(self, folder, {**clouds, 'OS_CLOUD': 'test'})
        self.play(tenant)
        self.refuse(tenant)
        login = {f'OS_{name.upper()}': value for name, value in cloud.admin().config.auth.items()}
        self.administer(Tenant(self, self.folder(), login))
        look()

    def test_a_standalone(self) -> None:
        karbor = base.Standalone(self.project, self.folder(), {'poll_interval': 0.2})
        self.addCleanup(karbor.stop)
        karbor.start()
        look = self.watch(karbor.log)
        sourced = subprocess.run(
            ['sh', '-c', '. "$0"; env', karbor.state / 'openrc'],
            check=True,
            capture_output=True,
            text=True,
        )
        pairs = [line.partition('=') for line in sourced.stdout.splitlines()]
        names = ('OS_CLIENT_CONFIG_FILE', 'OS_CLOUD', 'OS_AUTH_TOKEN')
        self.play(
            Tenant(self, self.folder(), {name: value for name, _, value in pairs if name in names})
        )
        look()

    def test_a_standalone_in_the_shell_of_the_cloud(self) -> None:
        """``--os-cloud`` leads to Cinder, and to the karbor-standalone of that cloud's project."""
        service.unregister()
        states = self.folder()
        (states / 'karbor').mkdir()
        karbor = base.Standalone(self.project, states / 'karbor', {'poll_interval': 0.2})
        folder = self.folder()
        tenant = Tenant(
            self,
            folder,
            {
                'OS_CLIENT_CONFIG_FILE': str(self.project.clouds_yaml(folder)),
                'XDG_STATE_HOME': str(states),
            },
        )
        ended = tenant.types('--os-cloud test protection status', 1)
        self.assertIn('karbor-standalone --os-cloud test', ended.errors)
        self.addCleanup(karbor.stop)
        karbor.start()
        look = self.watch(karbor.log)
        self.project.volumes(2)
        listed = json.loads(tenant.types('--os-cloud test volume list -f json').output)
        self.assertEqual({'v0', 'v1'}, {each['Name'] for each in listed})
        tenant.types('--os-cloud test protection now v0 --wait')
        tenant.types('--os-cloud test protection now v1 --wait')
        shown = tenant.types('--os-cloud test protection checkpoint list --limit 1 -f json')
        self.assertEqual(1, len(json.loads(shown.output)))
        shown = tenant.types('--os-cloud test protection recovery point list -f json')
        self.assertEqual(2, len(json.loads(shown.output)))
        ended = tenant.types('--os-cloud test --debug protection status')
        self.assertTrue(ended.output.startswith('2 volumes: 2 unprotected\n'), ended.output)
        self.assertIn('http+unix://karbor/v1/', ended.errors)
        self.assertNotRegex(ended.errors, r'(?i)http\+unix://.*X-Auth-Token')
        look()
        karbor.stop()
        ended = tenant.types('--os-cloud test protection status', 1)
        self.assertIn(f'No karbor-standalone runs on {karbor.state}', ended.errors)

    def play(self, tenant: Tenant) -> None:
        """From nothing through protection and restore to nothing."""
        first, second = self.project.volumes(2)
        now = tenant.sees('now v0 --wait')
        self.assertEqual('available', now['status'])
        plan = tenant.sees('plan create nightly --volume v0 --force-attached')
        tenant.types(f'protection plan set nightly --volume {second}')
        made = tenant.sees('checkpoint create nightly --wait')
        self.assertEqual(('available', 2), (made['status'], made['resources_done']))
        self.assertEqual(3, sum(map(len, self.project.snapshots().values())))
        self.look_around(tenant, plan['id'], made['id'])

        points = tenant.sees('recovery point list --volume v0 --state good')
        self.assertEqual(
            {(now['id'], first), (made['id'], first)},
            {(point['checkpoint_id'], point['resource_id']) for point in points},
        )
        verified = tenant.sees(f'checkpoint verify {made["id"]} --wait')
        self.assertEqual('success', verified['status'])
        restored = tenant.sees(f'restore create {made["id"]} --name back --wait')
        self.assertEqual('success', restored['status'])
        back = {each.id for each in self.project.cinder.volumes.list() if each.name == 'back'}
        self.assertEqual(back, set(restored['new_resources'].values()))
        self.assertEqual(restored, tenant.sees(f'restore show {restored["id"]}'))
        group = tenant.sees('restore create --volume v0 --name-suffix=-newest --wait')
        self.assertEqual('success', group['status'])
        self.assertEqual(group, tenant.sees(f'restore group show {group["id"]}'))
        self.assertIn('v0-newest', {each.name for each in self.project.cinder.volumes.list()})

        self.schedule(tenant, first)
        for checkpoint in tenant.sees('checkpoint list'):
            tenant.types(f'protection checkpoint delete {checkpoint["id"]} --wait')
        self.assertEqual([], tenant.sees('checkpoint list'))
        self.assertEqual({}, {k: v for k, v in self.project.snapshots().items() if v})
        tenant.types('protection plan delete nightly "now v0" --yes')
        self.assertEqual([], tenant.sees('plan list'))

    def schedule(self, tenant: Tenant, volume_id: str) -> None:
        """A volume is protected as long as it has a schedule."""
        made = tenant.sees(
            'schedule create daily --plan nightly --every day --at 02:30'
            ' --timezone Europe/Berlin --keep-daily 7'
        )
        self.assertEqual(
            ('30 2 * * *', 5, {'keep_daily': 7}),
            (made['pattern'], len(made['next_fires']), made['retention']),
        )
        run = tenant.sees('schedule run daily --wait')
        self.assertEqual(('available', made['id']), (run['status'], run['scheduled_operation_id']))
        (covered,) = tenant.sees('status --volume v0 --exit-code')
        self.assertEqual((volume_id, 'protected'), (covered['id'], covered['state']))
        tenant.types('protection schedule delete daily')
        tenant.types('protection status --volume v0 --exit-code', 1)

    def look_around(self, tenant: Tenant, plan_id: str, checkpoint_id: str) -> None:
        """What people read, and that the old commands are there, too."""
        table = tenant.types('protection status').output
        self.assertTrue(table.startswith('2 volumes: 2 unprotected\n'), table)
        self.assertRegex(table, r'\| v0 +\| unprotected \| \d{4}-\d\d-\d\d \d\d:\d\d CES?T \| ')
        tenant.types('protection status --exit-code --volume v1', 1)
        shown = tenant.types('protection plan show nightly').output
        self.assertIn('| Covers now     | 2 volumes: v0, v1', shown)
        shown = tenant.types(f'protection checkpoint show {checkpoint_id}').output
        self.assertIn('| Resources | 2 of 2', shown)
        tenant.types(f'protection checkpoint pin {checkpoint_id}')
        pinned = {each['id']: each['pinned'] for each in tenant.sees('checkpoint list')}
        self.assertTrue(pinned.pop(checkpoint_id))
        self.assertEqual([False], list(pinned.values()))
        tenant.types(f'protection checkpoint unpin {checkpoint_id}')
        (job,) = tenant.sees('job list --type protect --plan nightly')
        self.assertEqual(('available', plan_id), (job['status'], job['plan_id']))
        self.assertEqual(2, tenant.sees('quota show')['plans']['in_use'])
        old = json.loads(tenant.types('data protection plan list -f json').output)
        self.assertEqual({'nightly', 'now v0'}, {each['Name'] for each in old})

    def refuse(self, tenant: Tenant) -> None:
        """What is refused is said in the words of the API."""
        ended = tenant.types('protection service list', 1)
        self.assertIn('service:get_all', ended.errors)
        ended = tenant.types('protection plan show nightly', 1)
        self.assertEqual('There is no plan nightly.\n', ended.errors)

    def administer(self, admin: Tenant) -> None:
        self.assertIn('up', {each['state'] for each in admin.sees('service list')})
        process = admin.sees('service list')[0]['id']
        admin.types(f"protection service set {process} --disable --disable-reason 'new disk'")
        status = {each['id']: each['status'] for each in admin.sees('service list')}
        self.assertEqual('disabled', status[process])
        admin.types(f'protection service set {process} --enable')
        admin.types(f'protection quota set {self.project.id} --plans 7')
        quota = admin.sees(f'quota show --project {self.project.id}')
        self.assertEqual(7, quota['plans']['limit'])
        admin.types(f'protection quota unset {self.project.id}')
