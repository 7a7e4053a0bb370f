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

"""The real ``openstack`` finds the commands and runs them, as somebody would type them."""

import json
import os
import subprocess
import sys
from typing import Any

from karbor.common import state_dir
from karbor.tests import client_package, personas
from karbor.tests.base import PROJECT_ID
from karbor.tests.functional import calling


class OpenStackTest(calling.CallsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.volume(name='db')
        self.python_path = client_package.python_path(self.temp_dir)

    def openstack(
        self, *words: str, persona: str = 'manager', environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What becomes of what is typed.

        :param environment: says where Karbor is and who asks, instead of options.
        """
        options = (
            '--os-auth-type=admin_token',
            f'--os-endpoint={self.endpoint()}',
            f'--os-token={personas.token(persona, PROJECT_ID)}',
        )
        return subprocess.run(
            [
                sys.executable,
                '-m',
                'openstackclient.shell',
                *(options if environment is None else ()),
                *words,
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={
                'PATH': os.environ['PATH'],
                'PYTHONPATH': self.python_path,
                'HOME': str(self.temp_dir),
                **(environment or {}),
            },
        )

    def assert_ended(self, code: int, ended: Any) -> None:
        self.assertEqual(code, ended.returncode, ended.stdout + ended.stderr)

    def test_as_it_is_typed(self) -> None:
        ended = self.openstack('protection', 'now', 'db', '--wait', '-f', 'json')
        self.assert_ended(0, ended)
        self.assertEqual('available', json.loads(ended.stdout)['status'])
        ended = self.openstack('protection', 'status', '--exit-code')
        self.assert_ended(1, ended)
        self.assertIn('| db     | unprotected |', ended.stdout)
        ended = self.openstack('protection', 'plan', 'show', 'x')
        self.assert_ended(1, ended)
        self.assertEqual('There is no plan x.\n', ended.stderr)
        ended = self.openstack('protection', 'plan', 'delete', 'now db', persona='reader')
        self.assert_ended(1, ended)
        self.assertIn('plan:delete', ended.stderr)
        self.assertNotIn('Error', ended.stderr)

    def test_help(self) -> None:
        ended = self.openstack('help', 'protection', 'plan', 'create')
        self.assert_ended(0, ended)
        self.assertIn('protection plan create', ended.stdout)
        self.assertIn('--snapshot-name', ended.stdout)

    def test_by_the_openrc_of_a_standalone(self) -> None:
        state = state_dir.StateDirectory(self.temp_dir / 'state')
        root = self.endpoint().removesuffix(f'/v1/{PROJECT_ID}')
        state.write_openrc(root, PROJECT_ID, personas.token('manager', PROJECT_ID))
        sourced = subprocess.run(
            ['sh', '-c', '. "$0"; env', state.openrc], check=True, capture_output=True, text=True
        ).stdout
        lines = [line.partition('=') for line in sourced.splitlines()]
        environment = {name: value for name, _, value in lines if name.startswith('OS_')}
        ended = self.openstack(
            'protection', 'status', '-f', 'value', '-c', 'state', environment=environment
        )
        self.assert_ended(0, ended)
        self.assertEqual('unprotected\n', ended.stdout)
