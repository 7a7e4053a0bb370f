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

"""The pages for tenants, and the README: their commands are typed in a shell, on a real cloud with
a karbor-standalone, and print what the pages show.

``KARBOR_WRITE_PAGES=1`` in the environment has the pages written by what was printed.
"""

import json
import os
import pathlib
import pty
import re
import shlex
import signal
import subprocess
import sys
import uuid

import fixtures
import openstack
from oslotest import base

from karbor import client
from karbor.testing import fault_proxy
from karbor.tests import client_package
from karbor.tests.integration import client_shells, cloud, pages, service
from karbor.tests.integration.base import VOLUME

_WRITE = 'KARBOR_WRITE_PAGES'
_CLOUD = 'mycloud'
_HOME = '/home/me'
_NAME = '{plan_name}-{volume_name}'
_CLIENT = cloud.ROOT / '.venv' / client_shells.NEWEST / 'bin'


class Shell:
    """A shell in which somebody types, who says yes to all questions.

    :param folder: in which it begins.
    """

    def __init__(self, folder: pathlib.Path, environment: dict[str, str]) -> None:
        self._keyboard, self._terminal = pty.openpty()
        self._process = subprocess.Popen(
            ['bash', '--norc', '--noprofile'],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[self._terminal],
        )

    def type(self, command: str) -> str:
        """Type a command; gives what is on the screen when it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.write(self._keyboard, b'y\n')
        end = f'{uuid.uuid4()}\n'
        self._process.stdin.write(f'{{ {command}\n}} <&{self._terminal}\necho {end}')
        self._process.stdin.flush()
        printed = ''
        while not printed.endswith(end):
            line = self._process.stdout.readline()
            assert line, f'the shell has ended:\n{printed}'
            printed += line
        os.read(self._keyboard, 1024)  # the echo
        return re.sub(r'(\[y/N\] )', r'\1y\n', printed.removesuffix(end)).rstrip('\n')

    def exit(self) -> None:
        self._process.communicate('exit\n')
        os.close(self._keyboard)
        os.close(self._terminal)


class Scene:
    """What a page takes for granted, or tells of without a command: each method is a comment.

    :param home: the home of the user.
    """

    def __init__(self, home: pathlib.Path) -> None:
        self._home = home
        self._project = cloud.Project()
        self._proxy = fault_proxy.FaultProxy(cloud.settings()['cinder_url'])
        self._proxy.start()
        self._state = home / '.local/state/karbor' / _CLOUD
        self._karbor: subprocess.Popen[bytes] | None = None
        self.log = home / 'karbor.log'
        folder = home / '.config/openstack'
        folder.mkdir(parents=True)
        here = {'auth': self._project.auth, 'region_name': 'RegionOne'}
        (folder / 'clouds.yaml').write_text(json.dumps({'clouds': {_CLOUD: here}}))
        self._config = home / 'karbor.conf'
        self._config.write_text(f'[cinder_client]\ncinder_endpoint = {self._proxy.url}/v3\n')

    def play(self, words: str) -> None:
        name, *arguments = shlex.split(words)
        getattr(self, name)(*arguments)

    def volumes(self, *names: str) -> None:
        """The project has these volumes."""
        cinder = self._project.cinder.volumes
        made = [cinder.create(1, name=name).id for name in names]
        cloud.wait_until(
            lambda: all(cinder.get(each).status == 'available' for each in made), 'new volumes'
        )

    def attach(self, name: str) -> None:
        """The volume is attached to a server."""
        self._project.attach(self._volume(name))

    def status(self, name: str, status: str) -> None:
        """The volume comes into a status."""
        self._project.set_status(self._volume(name), status)

    def _volume(self, name: str) -> str:
        (found,) = (each.id for each in self._project.cinder.volumes.list() if each.name == name)
        return found

    def quota(self, name: str, number: str) -> None:
        """The quota of the project in Cinder is so much."""
        self._project.set_quota(**{name: int(number)})

    def cinder(self, is_there: str) -> None:
        """Cinder answers 503, or (``up``) as ever."""
        down = fault_proxy.Rule(
            fault=fault_proxy.Fault.UNAVAILABLE, message='The service is unavailable.'
        )
        self._proxy.rules = [] if is_there == 'up' else [down]

    def nightly(self) -> None:
        """The volumes are in a plan ``nightly``, whose schedule has run."""
        config = openstack.config.OpenStackConfig(config_files=[str(self._state / 'clouds.yaml')])
        calls = client.add_to(openstack.connection.Connection(config=config.get_one()))
        volumes = sorted(calls.protectable_instances(VOLUME), key=lambda each: each.name)
        plan = calls.create_plan(
            'nightly',
            next(calls.providers()),
            [{'id': each.id, 'type': VOLUME, 'name': each.name} for each in volumes],
            parameters={VOLUME: {'snapshot_name': _NAME, 'description': '', 'force': True}},
        )
        schedule = calls.create_schedule(
            'nightly', plan, '30 2 * * *', timezone='Europe/Berlin', retention={'keep_daily': 7}
        )
        calls.wait_for_run(calls.run_scheduled_operation(schedule.id), interval=0.2)

    def start(self) -> None:
        """karbor-standalone is started, as ever."""
        openrc = self._state / 'openrc'
        openrc.unlink(missing_ok=True)
        arguments = ['--os-cloud', _CLOUD, '--port', '0', '--config-file', self._config]
        with self.log.open('ab') as log:
            self._karbor = subprocess.Popen(
                [sys.executable, '-m', 'karbor.cmd.standalone', *arguments],
                cwd=self._home,
                env={**os.environ, 'HOME': str(self._home)},
                stdout=log,
                stderr=log,
            )
        cloud.wait_until(openrc.exists, 'the start of karbor-standalone')

    def kill(self) -> None:
        """karbor-standalone is killed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """karbor-standalone is ended by Ctrl-C."""
        self._end(signal.SIGINT)

    def _end(self, number: int) -> None:
        if self._karbor is not None:
            self._karbor.send_signal(number)
            self._karbor.wait(60)
            self._karbor = None

    def leave(self) -> None:
        """Nothing of this goes on."""
        self.kill()
        self._proxy.stop()


class PagesTest(base.BaseTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        client_shells.make_virtualenvs()

    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '600'))
        super().setUp()
        self.home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        service.unregister()
        self.scene = Scene(self.home)
        self.addCleanup(self.scene.leave)

    def _shell(self) -> Shell:
        shell = Shell(
            self.home,
            {
                'PATH': os.pathsep.join([str(_CLIENT), os.environ['PATH']]),
                'HOME': str(self.home),
                'LANG': 'C.UTF-8',
                'TZ': 'Europe/Berlin',
                'PYTHONPATH': client_package.python_path(self.home),
                'OS_CLOUD': _CLOUD,
            },
        )
        self.addCleanup(shell.exit)
        return shell

    def check(self, name: str) -> None:
        """Do what a page says."""
        page = pages.Page(cloud.ROOT / pages.PAGES[name])
        self.scene.start()
        shell = self._shell()

        def run(command: str) -> str:
            return shell.type(command).replace(str(self.home), _HOME)

        found = pages.differences(page, self.scene.play, run)
        if os.environ.get(_WRITE):
            page.write([(each.step, each.printed) for each in found])
        self.assertEqual([], found, '\n'.join(map(str, found)))
        self.assertNotIn('Traceback', self.scene.log.read_text())

    def test_readme(self) -> None:
        self.check('readme')

    def test_protect(self) -> None:
        self.check('protect')

    def test_schedule(self) -> None:
        self.check('schedule')

    def test_look(self) -> None:
        self.check('look')

    def test_know(self) -> None:
        self.check('know')

    def test_restore(self) -> None:
        self.check('restore')

    def test_failed(self) -> None:
        self.check('failed')

    def test_cleanup(self) -> None:
        self.check('cleanup')

    def test_leave(self) -> None:
        self.check('leave')
