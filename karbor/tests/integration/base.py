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

"""Tests with a real Keystone, a real Cinder and a karbor-standalone process."""

import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import fixtures
import requests
from oslotest import base

from karbor.tests.integration import cloud

VOLUME = 'OS::Cinder::Volume'
PARAMETERS = {VOLUME: {'snapshot_name': 'test', 'description': 'made by a test'}}

PROVIDER_ID = '6a1f0f6e-93d4-4a4b-9d0e-2b6b7a9c5e10'


class Standalone:
    """A karbor-standalone of one project, to be started, killed and started again.

    :param project: whose volumes it protects.
    :param folder: where its state directory is made.
    :param plugin_options: options of ``[volume_snapshot_plugin]``.
    :param cinder_endpoint: URL of Cinder instead of the catalog's.
    :param glance_endpoint: the same of Glance.
    """

    def __init__(
        self,
        project: cloud.Project,
        folder: pathlib.Path,
        plugin_options: dict[str, Any],
        cinder_endpoint: str | None = None,
        glance_endpoint: str | None = None,
    ) -> None:
        self.project = project
        self.state = folder / 'state'
        self.log = folder / 'karbor.log'
        self._config = folder / 'karbor.conf'
        self._environment = {
            **os.environ,
            'OS_CLIENT_CONFIG_FILE': str(project.clouds_yaml(folder)),
        }
        cinder = f'cinder_endpoint = {cinder_endpoint}' if cinder_endpoint else ''
        glance = f'glance_endpoint = {glance_endpoint}' if glance_endpoint else ''
        self._config.write_text(f'[cinder_client]\n{cinder}\n[glance_client]\n{glance}\n')
        self._write_provider(plugin_options)
        self._process: subprocess.Popen[bytes] | None = None

    def _write_provider(self, options: dict[str, Any]) -> None:
        (self.state / 'providers.d').mkdir(parents=True)
        self.state.chmod(0o700)
        lines = '\n'.join(f'{name} = {value}' for name, value in options.items())
        (self.state / 'providers.d' / 'test.conf').write_text(
            f'[provider]\nname = test\nid = {PROVIDER_ID}\nenabled = True\n'
            'plugin = karbor-project-protection-plugin\n'
            'plugin = karbor-volume-snapshot-plugin\nbank = karbor-fs-bank-plugin\n'
            f'[volume_snapshot_plugin]\n{lines}\n'
            f'[file_system_bank_plugin]\nfile_system_bank_path = {self.state}/bank\n'
        )

    def command(self) -> list[str]:
        return [
            sys.executable,
            '-m',
            'karbor.cmd.standalone',
            '--os-cloud',
            'test',
            '--state-dir',
            str(self.state),
            '--port',
            '0',
            '--config-file',
            str(self._config),
        ]

    def run_to_end(self) -> subprocess.CompletedProcess[str]:
        """A start that is expected to fail."""
        return subprocess.run(
            self.command(),
            env=self._environment,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run karbor-manage on the folder; both of its outputs are in ``stdout``."""
        return subprocess.run(
            [
                sys.executable,
                '-m',
                'karbor.cmd.manage',
                '--os-cloud',
                'test',
                '--state-dir',
                str(self.state),
                '--config-file',
                str(self._config),
                *arguments,
            ],
            env=self._environment,
            check=False,
            text=True,
            timeout=120,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def start(self) -> None:
        (self.state / 'openrc').unlink(missing_ok=True)
        with self.log.open('ab') as log:
            self._process = subprocess.Popen(
                self.command(), env=self._environment, stdout=log, stderr=log
            )
        cloud.wait_until(
            lambda: (self.state / 'openrc').exists() or self._ended(),
            'the start of karbor-standalone',
        )
        assert not self._ended(), self.log.read_text()[-2000:]
        openrc = dict(
            line.removeprefix('export ').split('=', 1)
            for line in (self.state / 'openrc').read_text().splitlines()
            if line.startswith('export ')
        )
        self.url = openrc['KARBOR_URL']
        self._headers = {'X-Auth-Token': openrc['OS_AUTH_TOKEN']}

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(30)
        self._process = None
        return code

    def refusal(self, path: str, body: Any, code: int = 400) -> str:
        """What is said of a POST that is refused."""
        answer = requests.post(self.url + path, json=body, headers=self._headers, timeout=30)
        assert answer.status_code == code, f'POST {path}: {answer.status_code} {answer.text}'
        (error,) = answer.json().values()
        return error['message']

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request that is to succeed; returns the object under the answer's one key."""
        answer = requests.request(
            method, self.url + path, json=body, headers=self._headers, timeout=30
        )
        assert answer.status_code == 200, f'{method} {path}: {answer.status_code} {answer.text}'
        document = answer.json() if answer.content else {}
        return next(iter(document.values()), None)

    def plan(
        self,
        resource_ids: list[str],
        parameters: Any = None,
        resource_type: str = VOLUME,
        **fields: Any,
    ) -> str:
        """A new plan.

        :param fields: more of each resource.
        """
        return self.call(
            'POST',
            '/plans',
            {
                'plan': {
                    'name': 'test',
                    'provider_id': PROVIDER_ID,
                    'resources': [
                        {'type': resource_type, 'id': resource_id, 'name': 'v', **fields}
                        for resource_id in resource_ids
                    ],
                    'parameters': parameters or PARAMETERS,
                }
            },
        )['id']

    def project_plan(self, extra_info: Any = None) -> str:
        """A plan of all volumes that the project has.

        :param extra_info: what it chooses among them.
        """
        return self.plan(
            [self.project.id], resource_type='OS::Keystone::Project', extra_info=extra_info
        )

    @property
    def _checkpoints(self) -> str:
        return f'/providers/{PROVIDER_ID}/checkpoints'

    def protect(self, plan_id: str) -> str:
        return self.call('POST', self._checkpoints, {'checkpoint': {'plan_id': plan_id}})['id']

    def checkpoint(self, checkpoint_id: str) -> Any:
        return self.call('GET', f'{self._checkpoints}/{checkpoint_id}')

    def wait_for_checkpoint(self, checkpoint_id: str, *statuses: str, seconds: float = 120) -> Any:
        def ended() -> Any:
            checkpoint = self.checkpoint(checkpoint_id)
            return checkpoint if checkpoint['status'] in statuses else None

        return cloud.wait_until(ended, f'checkpoint {checkpoint_id} {statuses}', seconds)

    def delete(self, checkpoint_id: str, seconds: float = 120) -> Any:
        """Delete a checkpoint and wait for the end of it."""
        self.ask_to_delete(checkpoint_id)
        return self.wait_for_checkpoint(checkpoint_id, 'deleted', 'error-deleting', seconds=seconds)

    def ask_to_delete(self, checkpoint_id: str) -> None:
        self.call('DELETE', f'{self._checkpoints}/{checkpoint_id}')

    def use(self, kind: str, checkpoint_id: str, parameters: Any = None, **fields: Any) -> str:
        """Begin a restore or a verification.

        :param fields: what it asks for beside the parameters.
        """
        body = self.use_body(kind, checkpoint_id, parameters=parameters or {}, **fields)
        return self.call('POST', f'/{kind}s', body)['id']

    @staticmethod
    def use_body(kind: str, checkpoint_id: str, **fields: Any) -> dict[str, Any]:
        """What asks for a restore or a verification."""
        ids = {'provider_id': PROVIDER_ID, 'checkpoint_id': checkpoint_id}
        return {kind: {**ids, 'parameters': {}, **fields}}

    def restored(self, checkpoint_id: str, **fields: Any) -> Any:
        """A restore that has ended."""
        return self.wait_for_use('restore', self.use('restore', checkpoint_id, **fields))

    def wait_for_use(self, kind: str, use_id: str, seconds: float = 120) -> Any:
        def ended() -> Any:
            use = self.call('GET', f'/{kind}s/{use_id}')
            return use if use['status'] != 'in_progress' else None

        return cloud.wait_until(ended, f'{kind} {use_id}', seconds)

    def recorded_snapshots(self, checkpoint_id: str, volume_ids: list[str]) -> dict[str, str]:
        """What the bank knows: volume id -> snapshot id."""
        folder = self.state / 'bank/karbor/checkpoints' / checkpoint_id / 'resource-data'
        return {
            volume_id: json.loads((folder / volume_id / 'metadata').read_text())['snapshot_id']
            for volume_id in volume_ids
        }


class IntegrationTestCase(base.BaseTestCase):
    """Each test has a project of its own and a karbor-standalone for it."""

    plugin_options: dict[str, Any] = {'poll_interval': 2, 'in_flight_timeout': 15}

    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '1200'))
        super().setUp()
        self.project = cloud.Project()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def standalone(
        self,
        cinder_endpoint: str | None = None,
        glance_endpoint: str | None = None,
        **plugin_options: Any,
    ) -> Standalone:
        """A running karbor-standalone, stopped after the test."""
        karbor = Standalone(
            self.project,
            self.folder,
            {**self.plugin_options, **plugin_options},
            cinder_endpoint,
            glance_endpoint,
        )
        karbor.start()
        self.addCleanup(karbor.kill)
        self.addOnException(lambda _: print(karbor.log.read_text()[-4000:]))  # noqa: T201
        return karbor

    def assert_protected(
        self, karbor: Standalone, checkpoint_id: str, volume_ids: list[str]
    ) -> None:
        """Every volume has exactly one snapshot in Cinder, the one the checkpoint knows."""
        recorded = karbor.recorded_snapshots(checkpoint_id, volume_ids)
        self.assertEqual(
            {volume_id: [snapshot_id] for volume_id, snapshot_id in recorded.items()},
            self.project.snapshots(),
        )
