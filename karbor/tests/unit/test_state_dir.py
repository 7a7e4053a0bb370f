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

import json
import os
import pathlib
import stat
import subprocess
import sys
from unittest import mock

import fixtures
import sqlalchemy
from oslotest import base

from karbor.common import state_dir
from karbor.services.protection import provider
from karbor.tests.unit.test_clouds import PROJECT_ID

URL = 'http://127.0.0.1:8799'
_HOLD_LOCK = """
import pathlib, sys
from karbor.common import state_dir
state = state_dir.StateDirectory(pathlib.Path(sys.argv[1]))
print('locked', flush=True)
sys.stdin.read()
"""


def _mode(path: pathlib.Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


class StateDirectoryTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'above', 'state')

    def open(self, path: pathlib.Path | None = None) -> state_dir.StateDirectory:
        return state_dir.StateDirectory(path or self.path)

    def refused(self) -> str:
        return str(self.assertRaises(state_dir.StateDirectoryError, self.open))

    def fill(self) -> state_dir.StateDirectory:
        state = self.open()
        state.claim_for(PROJECT_ID)
        state.ensure_provider()
        state.write_openrc(URL, PROJECT_ID, state.token())
        return state

    def test_all_of_it_is_for_its_owner_only(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.fill()
        for path in [self.path, *self.path.rglob('*')]:
            if path.name != 'lock':  # which says no more than a process id
                self.assertEqual('0o700' if path.is_dir() else '0o600', _mode(path), path)
        self.assertEqual(
            {'clouds.yaml', 'lock', 'openrc', 'project', 'providers.d', 'token'},
            {path.name for path in self.path.iterdir()},
        )

    def test_one_that_is_open_to_others_is_refused(self) -> None:
        self.path.mkdir(parents=True)
        for mode in (0o755, 0o710, 0o701, 0o770, 0o777):
            self.path.chmod(mode)
            message = self.refused()
            self.assertIn(f'{mode:o}', message)
            self.assertIn(str(self.path), message)
            self.assertEqual([], list(self.path.iterdir()))
        self.path.chmod(0o700)
        self.open()

    def test_one_of_another_user_is_refused(self) -> None:
        """As root, everything could be read and written, whoever has put it there."""
        self.fill()
        with mock.patch.object(os, 'geteuid', return_value=os.geteuid() + 1):
            self.assertIn(f'{self.path} belongs to the user {os.geteuid() - 1}', self.refused())

    def test_what_others_could_have_written_is_refused(self) -> None:
        self.fill()._lock.close()
        (self.path / 'karbor.db').touch(mode=0o600)
        (provider_file,) = (self.path / 'providers.d').iterdir()
        for path in (self.path / 'token', self.path / 'karbor.db', provider_file):
            path.chmod(0o622)
            self.assertIn(f'{path} can be written by others (mode 622)', self.refused())
            path.chmod(0o600)
        self.open()

    def test_a_place_that_is_no_folder(self) -> None:
        self.path.parent.mkdir(parents=True)
        self.path.write_text('')
        self.assertIn(str(self.path), self.refused())
        self.path = self.path / 'below'
        self.assertIn(str(self.path), self.refused())

    def test_a_second_process_is_refused_and_told_which_is_first(self) -> None:
        with subprocess.Popen(
            [sys.executable, '-c', _HOLD_LOCK, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as first:
            self.assertEqual(b'locked\n', first.stdout.readline())
            self.assertIn(f'process {first.pid})', self.refused())
            self.assertIn(f'process {first.pid})', self.refused())  # not written over
            first.kill()
        self.open()  # what held it died: nothing has to be cleaned up

    def test_a_second_one_in_this_process(self) -> None:
        first = self.open()
        self.assertIn(str(os.getpid()), self.refused())
        del first
        self.open()

    def test_another_project(self) -> None:
        state = self.fill()
        state.claim_for(PROJECT_ID)
        error = self.assertRaises(state_dir.StateDirectoryError, state.claim_for, 'other')
        self.assertIn(PROJECT_ID, str(error))
        self.assertIn('other', str(error))
        state.claim_for(PROJECT_ID)

    def test_the_token_stays_and_is_its_own(self) -> None:
        token = self.open().token()
        self.assertEqual(token, self.open().token())
        self.assertGreaterEqual(len(token), 32)
        self.assertNotEqual(token, self.open(self.path.with_name('other')).token())

    def test_the_provider_can_be_loaded(self) -> None:
        registry = provider.ProviderRegistry(self.fill().provider_config_dir)
        self.assertEqual({}, registry.failures)
        (found,) = registry
        self.assertEqual({'OS::Cinder::Volume', 'OS::Keystone::Project'}, set(found.plugin_classes))
        found.bank.update_object('/a', 'b')
        self.assertEqual(
            ['a'], [path.name for path in (self.path / 'bank').rglob('*') if path.is_file()]
        )

    def test_an_edited_provider_stays(self) -> None:
        state = self.fill()
        (file,) = state.provider_config_dir.iterdir()
        file.rename(file.with_name('mine.conf'))
        state.ensure_provider()
        self.assertEqual(['mine.conf'], [path.name for path in state.provider_config_dir.iterdir()])

    def test_a_folder_that_was_moved(self) -> None:
        """Its provider would begin an empty bank at the old place, and find no checkpoint."""
        state = self.fill()
        (file,) = state.provider_config_dir.iterdir()
        bank = self.path / 'bank'
        (bank / 'karbor').mkdir(parents=True)
        old_bank = self.path.parent / 'old' / 'bank'
        file.write_text(file.read_text().replace(str(bank), str(old_bank)))
        state.check_bank()  # there is nothing yet
        (bank / 'karbor' / 'index.json').write_text('{}')
        said = str(self.assertRaises(state_dir.StateDirectoryError, state.check_bank))
        for part in (file, old_bank, bank, 'file_system_bank_path'):
            self.assertIn(str(part), said)
        old_bank.mkdir(parents=True)
        state.check_bank()
        file.write_text(file.read_text().replace(str(old_bank), f'{bank}  '))
        state.check_bank()
        file.unlink()
        state.check_bank()

    def test_a_folder_with_an_odd_name(self) -> None:
        self.path = self.path.with_name('a #b \'c\' "d" %65;é:@')
        self.test_the_provider_can_be_loaded()
        self.sourced('OS_CLIENT_CONFIG_FILE', str(self.path / 'clouds.yaml'))
        engine = sqlalchemy.create_engine(
            self.open(self.path.with_name(self.path.name + '2')).database_url
        )
        engine.connect().close()
        self.assertTrue((self.path.parent / (self.path.name + '2') / 'karbor.db').exists())

    def test_a_name_that_no_configuration_can_hold(self) -> None:
        for name in ('a$b', 'a?b', 'a\nb'):
            self.path = self.path.with_name(name)
            self.assertIn(repr(str(self.path)), self.refused())
            self.assertFalse(self.path.exists())

    def test_a_write_that_was_killed_does_no_harm(self) -> None:
        self.path.mkdir(parents=True, mode=0o700)
        (self.path / 'token.partial').write_text('half')
        self.assertNotIn('half', self.open().token())

    def sourced(self, name: str, expected: str | None, **environment: str) -> None:
        """Source openrc in a POSIX shell; a variable has that value, or is not set."""
        variables = {'PATH': os.environ['PATH'], **environment}
        result = subprocess.run(
            ['sh', '-euc', '. "$0"; env -0', str(self.path / 'openrc')],
            env=variables,
            capture_output=True,
            check=True,
        )
        self.assertEqual('', result.stderr.decode())
        seen = dict(item.split('=', 1) for item in result.stdout.decode().split('\0') if item)
        self.assertEqual(expected, seen.get(name))

    def test_openrc_leads_clients_to_karbor(self) -> None:
        token = self.fill().token()
        for name, value in (
            ('KARBOR_URL', f'{URL}/v1/{PROJECT_ID}'),
            ('OS_AUTH_TOKEN', token),
            ('OS_CLOUD', 'karbor'),
            ('OS_NO_CLIENT_AUTH', '1'),
            ('OS_CLIENT_CONFIG_FILE', str(self.path / 'clouds.yaml')),
        ):
            self.sourced(name, value)
            self.sourced(name, value, OS_CLOUD='mine', OS_AUTH_TOKEN='t', KARBOR_URL='x')

    def test_openrc_forgets_other_credentials(self) -> None:
        self.fill()
        for name in ('OS_PASSWORD', 'OS_AUTH_URL', 'OS_PROJECT_ID', 'OS_REGION_NAME', 'OS_X1'):
            self.sourced(name, None, **{name: 'a b*\n"$x'})
        for name in ('HOME', 'MY_OS_PASSWORD', 'KOS_X'):
            self.sourced(name, 'a b', **{name: 'a b'})

    def test_clouds_yaml_leads_openstack_to_karbor(self) -> None:
        token = self.fill().token()
        cloud = json.loads((self.path / 'clouds.yaml').read_text())['clouds']['karbor']
        self.assertEqual({'endpoint': f'{URL}/v1/{PROJECT_ID}', 'token': token}, cloud['auth'])

    def test_openrc_follows_the_port(self) -> None:
        state = self.fill()
        state.write_openrc('http://127.0.0.1:1', PROJECT_ID, 't')
        self.sourced('KARBOR_URL', f'http://127.0.0.1:1/v1/{PROJECT_ID}')
        self.assertEqual([], list(self.path.glob('*.partial')))
