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

"""python-karborclient 2.1.0 and a cloud's Karbor: every command of both of its shells."""

import datetime
import json
import pathlib
import re
import shlex
import socket
import tempfile
import unittest
import uuid
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any, ClassVar

import fixtures
from keystoneauth1 import exceptions as ks_exceptions
from oslotest import base

from karbor.tests.integration import client_commands as commands
from karbor.tests.integration import client_shells as shells
from karbor.tests.integration import cloud, service

# How many commands run at a time.
_THREADS = 3
_DOCUMENTATION = cloud.ROOT / 'doc/source/clients.rst'


class Scenario:
    """All commands in one shell, in a project of their own.

    :param test: makes the assertions.
    :param shell: in which the commands are run.
    """

    def __init__(self, test: unittest.TestCase, shell: shells.Shell) -> None:
        self.test = test
        self.project = cloud.Project()
        self._shell = shell
        self._karbor = shells.Shell(shells.KARBOR, shell.virtualenv, shell.folder)
        self._logins = {
            commands.MEMBER: self.project.auth,
            commands.ADMIN: cloud.admin().config.auth,
        }
        self.values = self._values()

    def _values(self) -> dict[str, str]:
        self.project.volumes(2)
        first, second = sorted(self.project.cinder.volumes.list(), key=lambda item: item.id)
        today, day = datetime.datetime.now(datetime.UTC).date(), datetime.timedelta(days=1)
        parameters = {'snapshot_name': 'night', 'description': 'every night'}
        return {
            'project': self.project.id,
            'user': self.project.user_id,
            'other_project': cloud.admin().current_project_id,
            'provider': service.PROVIDER_ID,
            'host': socket.gethostname(),
            'first': first.id,
            'first_name': first.name,
            'second': second.id,
            'second_name': second.name,
            'yesterday': str(today - day),
            'tomorrow': str(today + day),
            'unknown': str(uuid.uuid4()),
            'wide_parameters': shlex.quote(json.dumps({commands.VOLUME: parameters})),
            'restore_parameters': shlex.quote(json.dumps({commands.VOLUME: {}})),
        }

    def play(self) -> None:
        for number, phase in enumerate(commands.PHASES):
            with futures.ThreadPoolExecutor(_THREADS) as pool:
                faults = [fault for fault in pool.map(self._fault_of, phase) if fault]
            if faults:
                self.test.fail(f'In phase {number}:\n' + '\n'.join(faults))

    def _fault_of(self, command: commands.Command | commands.Plain) -> str | None:
        try:
            if isinstance(command, commands.Plain):
                self._ask(command)
            else:
                self._do(command)
        except (AssertionError, LookupError, ValueError) as exc:
            return f'{command.karbor} / {exc.__class__.__name__}: {exc}'
        return None

    def _ask(self, command: commands.Plain) -> None:
        line = command.karbor if self._shell.name == shells.KARBOR else command.openstack
        ended = self._shell.run(shlex.split(line), {})
        self.test.assertEqual(0, ended.code, ended)
        for text in command.prints:
            self.test.assertIn(text.format(version=self._shell.version), ended.output)

    def _do(self, command: commands.Command) -> None:
        shell, fault = self._shell, None
        if shell.name == shells.OPENSTACK:
            fault = command.fails.get(shell.virtualenv)
        if fault:
            ended = self._run(shell, command)
            self.test.assertEqual(
                (1, '', fault), (ended.code, ended.output, ended.errors.strip()), ended
            )
            shell = self._karbor
        ended = self._run(shell, command)
        refused = command.refused
        if isinstance(refused, Mapping):
            refused = refused.get(shell.name)
        if refused:
            self.test.assertEqual(1, ended.code, ended)
            self.test.assertIn(refused.format(**self.values), ended.output + ended.errors)
            return
        self.test.assertEqual((0, ''), (ended.code, ended.errors), ended)
        self._check_printed(shell, command, ended)
        self._check_done(command)

    def _run(self, shell: shells.Shell, command: commands.Command) -> shells.Ended:
        if shell.name == shells.KARBOR:
            line = f'{command.karbor} {command.arguments}'
            both = {'all': '--all-tenants 1', 'of': '--tenant'}
        else:
            line = f'data protection {command.osc} {command.arguments}'
            both = {'all': '--all-projects', 'of': '--project'}
            if command.shows is not None or command.lists is not None:
                line += ' --format json'
        arguments = shlex.split(line.format(**self.values, **both))
        options, environment = self._login(shell, command)
        return shell.run_forked([*options, *arguments], environment)

    def _login(
        self, shell: shells.Shell, command: commands.Command
    ) -> tuple[list[str], dict[str, str]]:
        """Global options and environment with the credentials."""
        auth = self._logins[command.who]
        if command.login == 'environment':
            return [], {f'OS_{name.upper()}': value for name, value in auth.items()}
        auth = dict(auth)
        if command.login == 'token':
            for name in ('username', 'password', 'user_domain_id'):
                del auth[name]
            token = self.project.login().get_token()
            auth |= (
                {'auth_token': token}
                if shell.name == shells.KARBOR
                else {'auth_type': 'token', 'token': token}
            )
        return [
            word
            for name, value in auth.items()
            for word in (f'--os-{name.replace("_", "-")}', value)
        ], {}

    def _check_printed(
        self, shell: shells.Shell, command: commands.Command, ended: shells.Ended
    ) -> None:
        if command.shows is not None:
            shown = shell.shown(ended.output)
            self._keep(command, shown)
            self.test.assertEqual([], self._differences(command.shows, shown), ended)
        elif command.lists is not None:
            rows = shell.listed(ended.output)
            self._check_rows(shell, command, rows, ended)
            if rows:
                self._keep(command, rows[0])
        else:
            self.test.assertEqual('', ended.output, ended)

    def _keep(self, command: commands.Command, found: Mapping[str, Any]) -> None:
        if command.keep:
            self.values[command.keep] = str(found['id'])

    def _check_rows(
        self,
        shell: shells.Shell,
        command: commands.Command,
        rows: Sequence[Mapping[str, Any]],
        ended: shells.Ended,
    ) -> None:
        hidden = command.karbor_hides if shell.name == shells.KARBOR else ()
        wanted = [
            {name: value for name, value in row.items() if name not in hidden}
            for row in command.lists or ()
        ]
        if not command.among:
            self.test.assertEqual(len(wanted), len(rows), ended)
        if '--sort' in command.arguments:
            for row, found in zip(wanted, rows, strict=True):
                self.test.assertEqual([], self._differences(row, found), ended)
            return
        for row in wanted:
            self.test.assertTrue(
                any(not self._differences(row, found) for found in rows),
                f'{row} is not there\n{ended}',
            )

    def _check_done(self, command: commands.Command) -> None:
        if command.ends:
            path, status = command.ends
            cloud.wait_until(lambda: self.server(path)['status'] == status, f'{path} {status}')
        if command.server:
            path, wanted = command.server
            if wanted is None:
                self.test.assertRaises(ks_exceptions.NotFound, self.server, path)
            else:
                self.test.assertEqual([], self._differences(wanted, self.server(path)))
        if command.effect:
            command.effect(self)

    def server(self, path: str) -> dict[str, Any]:
        """What the service answers about an object."""
        answer = self.project.session.get(
            path.format(**self.values), endpoint_filter={'service_type': 'data-protect'}
        )
        return next(iter(answer.json().values()))

    def _differences(self, wanted: Any, found: Any) -> list[str]:
        """Where something is not as wanted; it may have more than that."""
        if isinstance(wanted, commands.AsJson):
            wanted, found = wanted.value, json.loads(found) if isinstance(found, str) else found
        if isinstance(wanted, Mapping):
            missing = [f'{name} is not there' for name in wanted if name not in found]
            return missing or [
                f'{name}: {fault}'
                for name, value in wanted.items()
                for fault in self._differences(value, found[name])
            ]
        if isinstance(wanted, list):
            if len(wanted) != len(found):
                return [f'{found} instead of {wanted}']
            return [
                fault
                for pair in zip(wanted, found, strict=True)
                for fault in self._differences(*pair)
            ]
        if wanted is None:
            return [] if found in (None, '', '-', 'None') else [f'{found!r} instead of nothing']
        text = str(wanted).format(**self.values)
        if isinstance(wanted, commands.Holds):
            return [] if text in str(found) else [f'{found!r} without {text!r}']
        return [] if text == str(found) else [f'{found!r} instead of {text!r}']


class ClientsTest(base.BaseTestCase):
    """One Karbor for all; each test has a project of its own, and takes both of its volumes
    from nothing through every command to nothing."""

    _service: ClassVar[service.Service]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        shells.make_virtualenvs()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls._service = service.Service(pathlib.Path(folder.name))
        cls.addClassCleanup(cls._service.stop)
        cls._service.start()

    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '600'))
        super().setUp()
        self.addOnException(lambda _: print(self._service.log.read_text()[-4000:]))  # noqa: T201

    def _shell(self, name: str, virtualenv: str) -> shells.Shell:
        return shells.Shell(
            name, virtualenv, pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        )

    def _play(self, name: str, virtualenv: str) -> None:
        before = len(self._service.log.read_text())
        Scenario(self, self._shell(name, virtualenv)).play()
        log = self._service.log.read_text()[before:]
        for text in ('Traceback', ' -> 5'):
            self.assertNotIn(text, log)

    def test_karbor(self) -> None:
        self._play(shells.KARBOR, shells.NEWEST)

    def test_karbor_with_old_libraries(self) -> None:
        self._play(shells.KARBOR, shells.OLD)

    def test_openstack(self) -> None:
        self._play(shells.OPENSTACK, shells.NEWEST)

    def test_openstack_with_old_libraries(self) -> None:
        self._play(shells.OPENSTACK, shells.OLD)

    def test_no_command_is_left_out(self) -> None:
        tested = commands.all_commands()
        for virtualenv in (shells.NEWEST, shells.OLD):
            self.assertEqual(
                self._shell(shells.KARBOR, virtualenv).commands() - {'help'},
                {command.karbor for command in tested},
            )
            self.assertEqual(
                self._shell(shells.OPENSTACK, virtualenv).commands(),
                {command.osc for command in tested},
            )

    def test_examples_are_of_tested_commands(self) -> None:
        examples = re.findall(r'\$ karbor ([a-z-]+)', _DOCUMENTATION.read_text())
        self.assertLess(10, len(examples))
        self.assertEqual(
            set(), set(examples) - {command.karbor for command in commands.all_commands()}
        )

    def test_what_fails_is_documented(self) -> None:
        documented = re.findall(
            r'\* - ``openstack data protection ([a-z ]+)``.*\n'
            r' +- (fails|works)\n +- (fails|works)\n +- (.*)\n +- ``karbor ([a-z-]+)``\n',
            _DOCUMENTATION.read_text(),
        )
        self.assertEqual(len(documented), len(set(documented)))
        self.assertEqual(
            {
                (
                    command.osc,
                    *(
                        'fails' if virtualenv in command.fails else 'works'
                        for virtualenv in (shells.NEWEST, shells.OLD)
                    ),
                    command.fails[shells.NEWEST],
                    command.karbor,
                )
                for command in commands.all_commands()
                if command.fails
            },
            set(documented),
        )
