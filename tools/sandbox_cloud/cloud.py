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
"""Starting, stopping and using one sandbox."""

import contextlib
import http.client
import os
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from concurrent import futures

from sandbox_cloud import accounts, configuration, console, databases, installation, processes
from sandbox_cloud import settings as sandbox_settings
from sandbox_cloud.settings import Settings

_START_SECONDS = 60.0
# Never through a proxy of the environment: the services are on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Cloud:
    """The services of one sandbox."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keystone = processes.ManagedProcess('keystone', settings.directory)
        self.cinder = processes.ManagedProcess('cinder', settings.directory)
        self.glance = processes.ManagedProcess('glance', settings.directory)
        self._servers = {
            self.keystone: settings.keystone_url,
            self.cinder: f'{settings.cinder_root}/healthcheck',
            self.glance: f'{settings.glance_url}/healthcheck',
        }
        self._steps = {
            self.keystone: self._bring_up_keystone,
            self.cinder: self._bring_up_cinder,
            self.glance: self._bring_up_glance,
        }
        self._giving_up = threading.Event()

    def is_up(self) -> bool:
        """Whether all processes live and answer."""
        return all(server.pid() and _answers(url) for server, url in self._servers.items())

    def up(self) -> None:
        """Start what does not run; if that fails, stop again what was started here."""
        installation.ensure(self.settings.venv)
        configuration.write(self.settings)
        missing = [server for server in self._servers if server.pid() is None]
        self._check_ports(missing)
        try:
            self._run_together([self._steps[server] for server in missing])
        except BaseException:
            for server in missing:
                server.stop()
            raise

    def _run_together(self, steps: list[Callable[[], None]]) -> None:
        """The servers spend most of their start importing, which two cores do at once."""
        with futures.ThreadPoolExecutor() as pool:
            running = [pool.submit(step) for step in steps]
            try:
                for step in futures.as_completed(running):
                    step.result()
            except BaseException:
                self._giving_up.set()
                raise

    def _bring_up_keystone(self) -> None:
        databases.ensure_keystone(self.settings)
        self._start(
            self.keystone,
            'sandbox_cloud.keystone_server',
            sandbox_settings.HOST,
            str(self.settings.ports['keystone']),
        )
        self._seed()

    def _seed(self) -> None:
        """Make accounts and catalog, once for the same services."""
        settings = self.settings
        urls = [settings.keystone_url, settings.cinder_url, settings.glance_url]
        seeded = settings.path('db', 'keystone.seeded')
        if not seeded.exists() or seeded.read_text().split() != urls:
            self.run_inside('sandbox_cloud.seed', *urls)
            seeded.write_text('\n'.join(urls))
            console.say('projects, users and catalog are there')

    def _bring_up_cinder(self) -> None:
        databases.ensure_cinder(self.settings)
        self._start(
            self.cinder,
            'sandbox_cloud.cinder_all_in_one',
            str(self.settings.path('etc', configuration.CINDER_CONF)),
            sandbox_settings.HOST,
            str(self.settings.ports['cinder']),
        )

    def _bring_up_glance(self) -> None:
        databases.ensure_glance(self.settings)
        self._start(
            self.glance,
            'sandbox_cloud.glance_server',
            sandbox_settings.HOST,
            str(self.settings.ports['glance']),
        )

    def _start(self, server: processes.ManagedProcess, module: str, *arguments: str) -> None:
        if self._giving_up.is_set():
            return
        server.start(self._module_command(module, *arguments), self._environment())
        url = self._servers[server]
        processes.wait_until(
            lambda: self._giving_up.is_set() or server.pid() is None or _answers(url),
            _START_SECONDS,
        )
        if self._giving_up.is_set():
            return
        if server.pid() is None or not _answers(url):
            raise console.SandboxError(f'{server.name} did not come up:\n{server.log_tail()}')
        console.say(f'{server.name} answers')

    def _check_ports(self, servers: list[processes.ManagedProcess]) -> None:
        for server in servers:
            port = self.settings.ports[server.name]
            if not sandbox_settings.is_free(port):
                raise console.SandboxError(
                    f'port {port}, which belongs to {server.name}, is taken by another '
                    f'program; "up --fresh" with other ports begins anew'
                )

    def down(self) -> None:
        """Stop the servers, Keystone last: the others ask it."""
        for server in (self.cinder, self.glance, self.keystone):
            if server.stop():
                console.say(f'{server.name} stopped')

    def clear(self) -> None:
        """Forget every database, key, log and volume."""
        for name in sandbox_settings.FOLDERS:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.settings.path(name))

    def status(self) -> bool:
        """Print how the servers are; True when all is well."""
        healthy = True
        for server, url in self._servers.items():
            pid = server.pid()
            answers = _answers(url)
            healthy = healthy and bool(pid) and answers
            process = f'pid {pid}, {server.resident_mib()} MiB' if pid else 'not running'
            print(f'{server.name:9} {process}; {url} {"answers" if answers else "is silent"}')
        return healthy

    def switch_volume_service(self, action: str) -> None:
        """Make Cinder's volume service stop handling messages, or go on."""
        url = f'{self.settings.cinder_root}/_sandbox/volume-service/{action}'
        with _OPENER.open(urllib.request.Request(url, method='POST'), timeout=60):
            console.say(f'volume service: {action}')

    def switch(self, server: processes.ManagedProcess, action: str) -> None:
        """Stop one server, or start it again."""
        if action == 'stop':
            server.stop()
        elif server.pid() is None:
            self._steps[server]()
        console.say(f'{server.name}: {action}')

    def run_inside(self, module: str, *arguments: str) -> None:
        """Run a module in the virtualenv to its end."""
        console.run(self._module_command(module, *arguments), self._environment())

    def hand_over(self, module: str, *arguments: str) -> int:
        """Run a module in the virtualenv with our own standard streams; its exit code."""
        return subprocess.run(
            self._module_command(module, *arguments), env=self._environment(), check=False
        ).returncode

    def _module_command(self, module: str, *arguments: str) -> list[str]:
        # -P: the working directory is not a place for modules.
        python = str(self.settings.executable('python'))
        return [python, '-P', '-W', 'ignore', '-m', module, *arguments]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            'PYTHONPATH': str(sandbox_settings.TOOLS),
            'OS_KEYSTONE_CONFIG_FILES': str(self.settings.path('etc', configuration.KEYSTONE_CONF)),
            'OS_GLANCE_CONFIG_DIR': str(self.settings.path('etc')),
            'OS_CINDER_DISABLE_EVENTLET_PATCHING': 'true',
            'NO_PROXY': sandbox_settings.HOST,
            'no_proxy': sandbox_settings.HOST,
        }

    def explain(self) -> None:
        """Print how to use the sandbox."""
        print(
            f'keystone  {self.settings.keystone_url}\n'
            f'cinder    {self.settings.cinder_url}\n'
            f'glance    {self.settings.glance_url}\n'
            f'clouds    {", ".join(accounts.CLOUDS)}\n'
            f'use it:   export OS_CLIENT_CONFIG_FILE='
            f'{self.settings.path(configuration.CLOUDS_FILE)}\n'
            f'          {self.settings.executable("openstack")} '
            f'--os-cloud sandbox volume list',
            flush=True,
        )


def _answers(url: str) -> bool:
    try:
        with _OPENER.open(url, timeout=5):
            return True
    except (OSError, http.client.HTTPException):
        return False
