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

"""A cloud's Karbor for tests: karbor-api and karbor-protection behind the sandbox's Keystone."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import requests

from karbor.testing import provider_files
from karbor.tests.integration import cloud

PROVIDER_ID = '6a1f0f6e-93d4-4a4b-9d0e-2b6b7a9c5e10'
# Of [volume_snapshot_plugin].
_QUICK = {'poll_interval': 2, 'in_flight_timeout': 15}


def _endpoint_service() -> Any:
    """The entry of the catalog; an earlier test run, or another process, may have made it."""
    identity = cloud.admin().identity
    services = list(identity.services(type='data-protect'))
    return services[0] if services else identity.create_service(name='karbor', type='data-protect')


def register(url: str) -> None:
    """Let the catalog say where Karbor is, and only that."""
    unregister()
    identity = cloud.admin().identity
    service = _endpoint_service()
    for interface in ('public', 'internal', 'admin'):
        identity.create_endpoint(
            service_id=service.id,
            interface=interface,
            region_id='RegionOne',
            url=f'{url}/v1/$(project_id)s',
        )


def unregister() -> None:
    """Let the catalog have no Karbor, whatever an earlier test has written."""
    identity = cloud.admin().identity
    for endpoint in identity.endpoints(service_id=_endpoint_service().id):
        identity.delete_endpoint(endpoint)


class Service:
    """One karbor-api, and the other processes as many times as wanted, on one database.

    :param folder: where the configuration, the log, the database and the bank are.
    :param database: URL; without it, an SQLite file in the folder.
    :param options: options by section, beside what is needed.
    :param plugin_options: of ``[volume_snapshot_plugin]``, in place of those for quick tests.
    :param bank: a plugin and its options, in place of the bank in the folder.
    :ivar code: the folder whose code the processes run that are started from now on; None is this.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        database: str | None = None,
        options: dict[str, dict[str, Any]] | None = None,
        plugin_options: dict[str, Any] | None = None,
        bank: tuple[str, provider_files.Sections] | None = None,
    ) -> None:
        self.log = folder / 'karbor.log'
        self.bank = folder / 'bank'
        self.code: pathlib.Path | None = None
        self.database = database or f'sqlite:///{folder}/karbor.db'
        self._config = folder / 'karbor.conf'
        self._processes: list[subprocess.Popen[bytes]] = []
        self._port = free_port()
        self.url = f'http://127.0.0.1:{self._port}'
        (folder / 'providers.d').mkdir()
        (folder / 'providers.d/test.conf').write_text(
            _provider(bank or _bank_in(self.bank), plugin_options or _QUICK)
        )
        self._config.write_text(_text(_options(folder, self._port, self.database, options or {})))

    def start(self, workers: int = 1) -> None:
        """Make the tables, start the processes and put the URL into the catalog."""
        self.prepare()
        self.start_api()
        for _ in range(workers):
            self.start_worker()

    def prepare(self) -> None:
        """Make the tables, and put the URL into the catalog."""
        synced = self.manage('db', 'sync')
        assert synced.returncode == 0, synced.stdout
        register(self.url)

    def start_api(self, url: str | None = None) -> subprocess.Popen[bytes]:
        """Start karbor-api, and wait until it answers.

        :param url: another one than ``self.url``, of :meth:`new_url`.
        """
        url = url or self.url
        process = self._run([*self._command('api'), *self._at(url)])
        cloud.wait_until(lambda: self._answers(process, url), 'the start of karbor-api')
        return process

    @staticmethod
    def new_url() -> str:
        """Where nobody listens."""
        return f'http://127.0.0.1:{free_port()}'

    def _at(self, url: str) -> Sequence[str]:
        """What lets karbor-api listen there."""
        port = url.rpartition(':')[2]
        config = self._config.with_name(f'api-{port}.conf')
        config.write_text(_text({'DEFAULT': {'osapi_karbor_listen_port': port}}))
        return ['--config-file', str(config)]

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self._start('protection')

    def start_engine(self) -> subprocess.Popen[bytes]:
        return self._start('operationengine')

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run karbor-manage to its end; both of its outputs are in ``stdout``."""
        return subprocess.run(
            self._command('manage', *arguments),
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            cwd=self.code,
            env=self._environment(),
        )

    def start_gunicorn(self, workers: int) -> str:
        """The API under gunicorn, beside karbor-api; returns its URL."""
        address = f'127.0.0.1:{free_port()}'
        process = self._run(
            [
                sys.executable,
                '-m',
                'gunicorn',
                '--workers',
                str(workers),
                '--bind',
                address,
                'karbor.wsgi.api:application',
            ],
        )
        url = f'http://{address}'
        cloud.wait_until(lambda: self._answers(process, url), 'the start of gunicorn')
        return url

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a process and all that it has started, at one moment."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._processes.remove(process)

    def retire(self, process: subprocess.Popen[bytes]) -> None:
        """Let a process end as an administrator would; what it works on may end."""
        process.terminate()
        code = process.wait(60)
        assert code == 0, f'{process.args} ended with {code}'
        self._processes.remove(process)

    def stop(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        return self._run(self._command(name))

    def _run(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log.open('ab') as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.code,
                env=self._environment(),
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _environment(self) -> dict[str, str]:
        found = {**os.environ, 'OS_KARBOR_CONFIG_FILE': str(self._config)}
        return found if self.code is None else {**found, 'PYTHONPATH': str(self.code)}

    def _command(self, name: str, *arguments: str) -> Sequence[str]:
        return [
            sys.executable,
            '-m',
            f'karbor.cmd.{name}',
            '--config-file',
            str(self._config),
            *arguments,
        ]

    def _answers(self, process: subprocess.Popen[bytes], url: str) -> bool:
        assert process.poll() is None, self.log.read_text()[-2000:]
        try:
            return requests.get(f'{url}/healthcheck', timeout=5).ok
        except (requests.ConnectionError, requests.Timeout):  # it listens before it answers
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def _bank_in(folder: pathlib.Path) -> tuple[str, provider_files.Sections]:
    sections = {'file_system_bank_plugin': {'file_system_bank_path': folder}}
    return 'karbor-fs-bank-plugin', sections


def _provider(bank: tuple[str, provider_files.Sections], plugin_options: dict[str, Any]) -> str:
    plugin, sections = bank
    return (
        f'[provider]\nname = test\nid = {PROVIDER_ID}\nenabled = True\n'
        'plugin = karbor-project-protection-plugin\n'
        f'plugin = karbor-volume-snapshot-plugin\nbank = {plugin}\n'
        + provider_files.ini_text({'volume_snapshot_plugin': plugin_options, **sections})
    )


def _options(
    folder: pathlib.Path, port: int, database: str, more: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    credentials = {
        'auth_type': 'password',
        'auth_url': cloud.settings()['keystone_url'],
        'username': 'karbor',
        'password': 'karbor',
        'project_name': 'service',
        'user_domain_id': 'default',
        'project_domain_id': 'default',
    }
    options: dict[str, dict[str, Any]] = {
        'DEFAULT': {
            'osapi_karbor_listen': '127.0.0.1',
            'osapi_karbor_listen_port': port,
            'provider_config_dir': folder / 'providers.d',
            'report_interval': 1,
        },
        'database': {'connection': database},
        'keystone_authtoken': {
            **credentials,
            'www_authenticate_uri': cloud.settings()['keystone_url'],
            'token_cache_time': 10,
        },
        'trustee': {
            name: value for name, value in credentials.items() if not name.startswith('project')
        },
        'protection': {'job_poll_interval': 0.2},
    }
    for section, values in more.items():
        options.setdefault(section, {}).update(values)
    return options


def _text(options: dict[str, dict[str, Any]]) -> str:
    return '\n'.join(
        line
        for section, values in options.items()
        for line in (f'[{section}]', *(f'{name} = {value}' for name, value in values.items()))
    )
