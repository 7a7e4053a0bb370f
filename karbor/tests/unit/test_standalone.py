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

import contextlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
from unittest import mock

import fixtures
import openstack
import requests
from keystoneauth1 import exceptions as ks_exc
from openstack import exceptions
from oslo_config import cfg
from oslotest import base

import karbor.client
from karbor import exception, local
from karbor.cmd import standalone
from karbor.common import clouds, state_dir
from karbor.db import schema_gate
from karbor.tests import base as karbor_base
from karbor.tests import libraries
from karbor.tests.unit import test_clouds
from karbor.tests.unit.test_clouds import PROJECT_ID


class ArgumentsTest(base.BaseTestCase):
    def parse(self, *arguments: str):
        return standalone._parser().parse_args(arguments)

    def refused(self, *arguments: str) -> str:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            error = self.assertRaises(SystemExit, standalone.main, arguments)
        self.assertEqual(2, error.code)
        return said.getvalue()

    def test_nothing_is_needed(self) -> None:
        arguments = self.parse()
        self.assertEqual(
            (None, None, '127.0.0.1', 8799, []),
            (
                arguments.os_cloud,
                arguments.state_dir,
                arguments.host,
                arguments.port,
                arguments.config_file,
            ),
        )

    def test_all_of_them(self) -> None:
        arguments = self.parse(
            '--os-cloud',
            'c',
            '--state-dir',
            '/s',
            '--host',
            '::1',
            '--port',
            '0',
            '--config-file',
            'a',
            '--config-file',
            'b',
        )
        self.assertEqual(
            ('c', pathlib.Path('/s'), '::1', 0, ['a', 'b']),
            (
                arguments.os_cloud,
                arguments.state_dir,
                arguments.host,
                arguments.port,
                arguments.config_file,
            ),
        )

    def test_ports_that_are_none(self) -> None:
        for port in ('x', '-1', '65536', '', '1.5'):
            self.assertIn('--port', self.refused('--port', port))

    def test_what_is_not_known(self) -> None:
        self.assertIn('--colour', self.refused('--colour', 'red'))
        self.assertIn('mycloud', self.refused('mycloud'))

    def test_help_names_everything(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(0, self.assertRaises(SystemExit, standalone.main, ['--help']).code)
        for name in (
            '--os-cloud',
            '--state-dir',
            '--host',
            '--port',
            '--config-file',
            '127.0.0.1',
            '8799',
        ):
            self.assertIn(name, said.getvalue())


class DefaultsTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name, value in (('XDG_STATE_HOME', None), ('OS_CLOUD', None), ('HOME', '/my')):
            self.useFixture(fixtures.EnvironmentVariable(name, value))

    def test_state_directory(self) -> None:
        home = pathlib.Path('/my/.local/state/karbor')
        self.assertEqual(home / 'c', standalone._default_state_dir('c'))
        self.assertEqual(home / 'envvars', standalone._default_state_dir(None))
        self.useFixture(fixtures.EnvironmentVariable('OS_CLOUD', 'e'))
        self.assertEqual(home / 'e', standalone._default_state_dir(None))
        self.assertEqual(home / 'c', standalone._default_state_dir('c'))
        self.useFixture(fixtures.EnvironmentVariable('XDG_STATE_HOME', '/x'))
        self.assertEqual(pathlib.Path('/x/karbor/c'), standalone._default_state_dir('c'))

    def test_urls_that_a_client_can_use(self) -> None:
        for host, url in (
            ('127.0.0.1', 'http://127.0.0.1:1'),
            ('0.0.0.0', 'http://127.0.0.1:1'),
            ('::', 'http://[::1]:1'),
            ('0::0', 'http://[::1]:1'),
            ('::1', 'http://[::1]:1'),
            ('fe80::1', 'http://[fe80::1]:1'),
            ('k.example', 'http://k.example:1'),
        ):
            self.assertEqual(url, standalone._url(host, 1))

    def test_a_warning_of_an_open_address(self) -> None:
        for host, is_open in (
            ('127.0.0.1', False),
            ('127.1.2.3', False),
            ('::1', False),
            ('localhost', False),
            ('0.0.0.0', True),
            ('::', True),
            ('192.0.2.1', True),
            ('k.example', True),
        ):
            with mock.patch.object(standalone.LOG, 'warning') as warning:
                standalone._warn_of_open_address(host)
            self.assertEqual(is_open, warning.called, host)


class UseCloudTest(karbor_base.TestCase):
    def use(self, **fields: str | None) -> None:
        standalone._use_cloud(
            clouds.Cloud(
                **{
                    'session': None,
                    'project_id': 'p',
                    'project_name': None,
                    'user_id': None,
                    'region': None,
                    'interface': None,
                    'cinder_endpoint': None,
                    **fields,
                }
            )
        )
        self.addCleanup(standalone.client_factory.use_sessions, None)

    def test_clouds_yaml_says_where_cinder_is(self) -> None:
        self.use(region='R1', interface='internal', cinder_endpoint='http://c/v3')
        options = cfg.CONF.cinder_client
        self.assertEqual(
            ('R1', 'internal', 'http://c/v3'),
            (options.region_id, options.interface, options.cinder_endpoint),
        )

    def test_what_it_does_not_say_stays(self) -> None:
        self.use(region='', interface=None)
        options = cfg.CONF.cinder_client
        self.assertEqual(
            (None, 'public', None), (options.region_id, options.interface, options.cinder_endpoint)
        )

    def test_karbor_conf_has_the_last_word(self) -> None:
        file = self.temp_dir / 'karbor.conf'
        file.write_text('[cinder_client]\nregion_id = R2\n')
        cfg.CONF(
            args=[], project='karbor', default_config_files=[str(file)], default_config_dirs=[]
        )
        self.use(region='R1')
        self.assertEqual('R2', cfg.CONF.cinder_client.region_id)


class FailedStartTest(karbor_base.TestCase):
    """What ``main`` says when it cannot start."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(os.umask, os.umask(0o077))
        self.useFixture(fixtures.MonkeyPatch('karbor.cmd.standalone._configure', lambda _: None))

    def fails(self, error: Exception, *arguments: str) -> str:
        with (
            mock.patch.object(standalone, '_serve', side_effect=error),
            contextlib.redirect_stderr(io.StringIO()) as said,
        ):
            self.assertEqual(1, standalone.main(arguments))
        self.assertEqual(1, said.getvalue().count('\n'))
        return said.getvalue()

    def test_one_line_with_the_reason(self) -> None:
        for error in (
            clouds.CloudError('why'),
            state_dir.StateDirectoryError('why'),
            cfg.Error('why'),
        ):
            self.assertEqual('karbor-standalone: why\n', self.fails(error))

    def test_a_port_that_is_taken(self) -> None:
        error = OSError(98, 'Address already in use')
        self.assertEqual(
            'karbor-standalone: [Errno 98] Address already in use\n',
            self.fails(error, '--host', 'h', '--port', '7'),
        )

    def test_a_database_of_a_newer_karbor(self) -> None:
        error = schema_gate.SchemaError('upgrade Karbor')
        self.assertIn('upgrade Karbor', self.fails(error))

    def test_a_library_that_is_not_installed(self) -> None:
        error = exception.ExtraMissing(what='[database] connection', extra='mysql')
        self.assertIn("pip install 'karbor[mysql]'", self.fails(error))

    def test_a_fault_of_the_program_is_not_hidden(self) -> None:
        with mock.patch.object(standalone, '_serve', side_effect=RuntimeError):
            self.assertRaises(RuntimeError, standalone.main, [])


class ProcessTest(base.BaseTestCase):
    """A real process, with a Keystone on loopback that knows its user."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.state = self.folder / 'state'
        serving = test_clouds.FakeKeystone().serve()
        self.cloud = test_clouds.cloud_of(serving.__enter__())
        self.addCleanup(serving.__exit__, None, None, None)
        self.clouds = test_clouds.only_these_clouds(self, self.folder, c=self.cloud)

    def start(self, *arguments: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [
                sys.executable,
                '-m',
                'karbor.cmd.standalone',
                '--os-cloud',
                'c',
                '--state-dir',
                str(self.state),
                '--port',
                '0',
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
        )
        timer = threading.Timer(30, process.kill)  # it may hang, the test may not
        timer.start()
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.addCleanup(timer.cancel)
        return process

    def serving(self, process: subprocess.Popen) -> str:
        """The URL of the API once it is served."""
        for line in process.stdout:
            if 'The API is at ' in line:
                return line.partition('The API is at ')[2].partition(';')[0]
        return self.fail(f'it ended with {process.wait()}')

    def test_start_serve_stop_and_start_again(self) -> None:
        for _ in range(2):
            process = self.start()
            url = self.serving(process)
            self.assertTrue(url.endswith(f'/v1/{PROJECT_ID}'))
            token = (self.state / 'token').read_text().strip()
            plans = requests.get(f'{url}/plans', headers={'X-Auth-Token': token}, timeout=10)
            self.assertEqual((200, {'plans': []}), (plans.status_code, plans.json()))
            self.assertEqual(401, requests.get(f'{url}/plans', timeout=10).status_code)
            shell = subprocess.run(
                ['sh', '-c', '. "$0" && echo "$KARBOR_URL"', str(self.state / 'openrc')],
                capture_output=True,
                text=True,
                check=True,
            )
            self.assertEqual(f'{url}\n', shell.stdout)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(0, process.wait(20))
            self.assertNotIn(token, process.stdout.read())
        modes = {oct(path.stat().st_mode & 0o077) for path in self.state.rglob('*')}
        self.assertEqual({'0o0'}, modes)

    def test_its_socket(self) -> None:
        """Its owner needs no token there, even after one that was killed, or below a long path."""
        self.useFixture(fixtures.EnvironmentVariable('XDG_STATE_HOME', str(self.folder)))
        self.state = self.folder / 'karbor' / ('c' * 150)
        path = self.state / 'api.sock'
        conn = openstack.connect(cloud='c')
        self.addCleanup(conn.close)
        calls = karbor.client.add_to(conn)
        self.assertRaises(exceptions.ServiceDisabledException, getattr, calls, 'plans')
        for end in (signal.SIGKILL, signal.SIGTERM):
            process = self.start()
            self.serving(process)
            self.assertEqual(0o600, path.stat().st_mode & 0o777)
            calls = karbor.client.add_to(openstack.connect(cloud='c', api_timeout=4))
            self.assertEqual([], list(calls.plans()))
            self.assertEqual(1, len(list(calls.providers())))
            with local.Folder(self.state) as folder, folder.connect(10) as connection:
                connection.sendall(b'GET /v1/other/plans HTTP/1.1\r\nConnection: close\r\n\r\n')
                self.assertIn(b' 400 ', connection.recv(1000))
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # all its threads are
            fault = self.assertRaises(ks_exc.ConnectTimeout, list, calls.plans())
            self.assertIn('has not answered for 4 seconds', str(fault))
            process.send_signal(signal.SIGCONT)
            self.assertEqual([], list(calls.plans()))
            process.send_signal(end)
            process.wait(20)
            self.assertEqual(end == signal.SIGKILL, path.exists())
            fault = self.assertRaises(ks_exc.ConnectFailure, list, calls.plans())
            self.assertIn('karbor-standalone --os-cloud c', str(fault))

    def test_a_socket_that_cannot_be_made(self) -> None:
        """The API is served all the same."""
        self.state.mkdir(mode=0o700)
        (self.state / 'api.sock').mkdir()
        process = self.start()
        said = ''
        for line in process.stdout:
            said += line
            if 'The API is at ' in line:
                break
        self.assertIn('The API cannot be asked without a token: ', said)

    def test_it_needs_no_extra(self) -> None:
        """Nor does a bank that lacks one keep the others from working."""
        environment = libraries.environment_without(self.folder, *libraries.OF_EXTRAS)
        self.useFixture(fixtures.EnvironmentVariable('PYTHONPATH', environment['PYTHONPATH']))
        state_dir.StateDirectory(self.state).ensure_provider()
        (self.state / 'providers.d/away.conf').write_text(
            '[provider]\nenabled = True\nid = 8a0c4e57-9d3b-4f16-b2c8-7e5a1d0f6b34\n'
            'name = away\nbank = karbor-s3-bank-plugin\n'
        )
        process = self.start()
        url = self.serving(process)
        token = (self.state / 'token').read_text().strip()
        found = requests.get(f'{url}/providers', headers={'X-Auth-Token': token}, timeout=10)
        self.assertEqual(
            ['cinder-snapshot'], [provider['name'] for provider in found.json()['providers']]
        )
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(20))

    def test_another_region_is_refused(self) -> None:
        def start(region: str) -> tuple[int, str]:
            cloud = {**self.cloud, 'region_name': region}
            self.clouds.write_text(json.dumps({'clouds': {'c': cloud}}))
            process = self.start()
            if region == 'A':
                self.serving(process)
                process.send_signal(signal.SIGTERM)
            said, _ = process.communicate()
            return process.returncode, said

        self.assertEqual(0, start('A')[0])
        region = self.state / 'region'
        self.assertFalse(region.exists())  # no Cinder answers here
        region.write_text('A\n')
        code, said = start('B')
        self.assertEqual(1, code)
        last = said.splitlines()[-1]
        self.assertTrue(last.startswith('karbor-standalone: '), said)
        for part in ('region A', 'region B', str(self.state)):
            self.assertIn(part, last)
        self.assertNotIn('Traceback', said)
        self.assertEqual(0, start('A')[0])

    def test_a_folder_that_was_moved(self) -> None:
        """No empty bank is begun at the old place."""
        process = self.start()
        self.serving(process)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        (self.state / 'bank' / 'karbor' / 'index.json').write_text('{}')
        old, self.state = self.state, self.folder / 'moved'
        old.rename(self.state)
        said, _ = (process := self.start()).communicate()
        self.assertEqual(1, process.returncode)
        self.assertIn('set file_system_bank_path to that', said.splitlines()[-1])
        self.assertFalse(old.exists())
        manage = [sys.executable, '-m', 'karbor.cmd.manage', '--state-dir', str(self.state)]
        done = subprocess.run([*manage, 'db', 'sync'], capture_output=True, text=True, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn('set file_system_bank_path to that', done.stderr)

    def test_a_second_one_is_refused(self) -> None:
        first = self.start()
        self.serving(first)
        said, _ = (second := self.start()).communicate()
        self.assertEqual(1, second.returncode)
        self.assertIn(f'process {first.pid})', said)
        self.assertNotIn('Traceback', said)

    def test_starts_that_fail_say_why_in_one_line(self) -> None:
        wrong = {**self.cloud, 'auth': {**self.cloud['auth'], 'password': 'wrong'}}
        bad_config = self.folder / 'bad.conf'
        bad_config.write_text('[protection]\nmax_concurrent_jobs = none\n')
        for cloud, arguments, part in (
            (wrong, (), 'does not take the credentials'),
            (self.cloud, ('--os-cloud', 'nowhere'), 'nowhere'),
            (self.cloud, ('--config-file', '/no/such.conf'), '/no/such.conf'),
            (self.cloud, ('--config-file', str(bad_config)), 'max_concurrent_jobs'),
            (self.cloud, ('--host', '192.0.2.1'), '192.0.2.1'),
        ):
            self.clouds.write_text(json.dumps({'clouds': {'c': cloud}}))
            said, _ = (process := self.start(*arguments)).communicate()
            self.assertEqual(1, process.returncode, said)
            last = said.splitlines()[-1]
            self.assertTrue(last.startswith('karbor-standalone: '), said)
            self.assertIn(part, last)
            self.assertNotIn('Traceback', said)
            if '--host' not in arguments:
                self.assertFalse(self.state.exists(), part)
