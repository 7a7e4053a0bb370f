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

"""Banks: keys and sections; the file-system bank."""

import errno
import itertools
import os
import pathlib
import random
import resource
import signal
import stat
import sys
import threading
import time
from typing import Any
from unittest import mock

import fixtures
from oslo_config import cfg
from oslotest import base

from karbor import exception
from karbor.services.protection import bank_plugin
from karbor.services.protection.bank_plugins import file_system_bank_plugin
from karbor.testing import bank_suite

BAD_KEYS: tuple[Any, ...] = (
    '',
    '/',
    '//',
    '.',
    '..',
    '../x',
    'a/../b',
    'a/..',
    './a',
    'a/.',
    'a/./b',
    '/..',
    '/../x',
    'a//b',
    'a/',
    'a b',
    'a\n',
    'a\x00',
    'a~',
    'ä',
    'a*',
    'a\\b',
    'a?b',
    'a:b',
    None,
    5,
    b'a',
    ['a'],
)


def file_system_bank(test: base.BaseTestCase) -> file_system_bank_plugin.FileSystemBankPlugin:
    """A file-system bank in a folder that goes away with the test."""
    config = cfg.ConfigOpts()
    config([], default_config_files=[], default_config_dirs=[])
    config.register_opts(file_system_bank_plugin.OPTS, file_system_bank_plugin.GROUP)
    config.set_override(
        'file_system_bank_path',
        f'{test.useFixture(fixtures.TempDir()).path}/b',
        file_system_bank_plugin.GROUP,
    )
    return file_system_bank_plugin.FileSystemBankPlugin(config)


class FileSystemBankTest(bank_suite.BankPluginSuite, base.BaseTestCase):
    def make_plugin(self) -> bank_plugin.BankPlugin:
        return file_system_bank(self)

    def _folder(self) -> pathlib.Path:
        options = self.plugin._config[file_system_bank_plugin.GROUP]
        return pathlib.Path(options.file_system_bank_path, options.bank_object_container)

    def _files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self._folder()))
            for path in self._folder().rglob('*')
            if path.is_file()
        )

    def test_a_folder_must_be_configured(self) -> None:
        config = cfg.ConfigOpts()
        config([], default_config_files=[], default_config_dirs=[])

        error = self.assertRaises(
            exception.InvalidParameterValue, file_system_bank_plugin.FileSystemBankPlugin, config
        )

        self.assertIn('[file_system_bank_plugin] file_system_bank_path', error.msg)

    def test_text_and_json_are_readable_by_people(self) -> None:
        self.plugin.update_object('/a/status', 'available')
        self.plugin.update_object('/a/index.json', {'version': '0.9'})

        self.assertEqual('available', (self._folder() / 'a/status').read_text())
        self.assertEqual('{"version": "0.9"}', (self._folder() / 'a/index.json').read_text())

    def test_what_another_karbor_wrote(self) -> None:
        (self._folder() / 'c').mkdir()
        (self._folder() / 'c/index.json').write_text('{"version": "0.9", "timestamp": 1}')
        (self._folder() / 'c/status').write_text('protecting')

        self.assertEqual(
            {'version': '0.9', 'timestamp': 1}, self.plugin.get_object('/c/index.json')
        )
        self.assertEqual('protecting', self.plugin.get_object('/c/status'))

    def test_a_file_of_no_known_form(self) -> None:
        (self._folder() / 'c').write_bytes(b'\xc3\x28')

        error = self.assertRaises(exception.BankGetObjectFailed, self.plugin.get_object, '/c')

        self.assertNotIsInstance(error, exception.BankObjectNotFound)

    def test_empty_folders_are_removed_but_never_the_container(self) -> None:
        self.plugin.update_object('/a/b/c/d', 'x')
        self.plugin.update_object('/a/e', 'x')

        self.plugin.delete_object('/a/b/c/d')
        self.assertEqual(['e'], [path.name for path in (self._folder() / 'a').iterdir()])
        self.plugin.delete_object('/a/e')
        self.assertEqual([], list(self._folder().iterdir()))

    def test_only_the_owner_can_get_at_anything(self) -> None:
        self.addCleanup(os.umask, os.umask(0o022))
        plugin = file_system_bank(self)
        plugin.update_object('/a/b/c', 'secret')
        path = plugin._path('/a/b/c')

        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        # Below the container other folders follow the umask: nobody else comes that far.
        self.assertEqual(0o700, stat.S_IMODE(path.parents[2].stat().st_mode))

    def test_a_bank_that_cannot_be_read_is_not_taken_for_an_empty_one(self) -> None:
        self.plugin.update_object('/a/b', 'x')
        denied = OSError(errno.EIO, 'Input/output error')

        with mock.patch('os.scandir', side_effect=denied):
            self.assertRaises(exception.BankListObjectsFailed, self.plugin.list_objects)
        with mock.patch('pathlib.Path.read_bytes', side_effect=denied):
            error = self.assertRaises(exception.BankGetObjectFailed, self.plugin.get_object, '/a/b')
        self.assertNotIsInstance(error, exception.BankObjectNotFound)
        with mock.patch('os.unlink', side_effect=denied):
            self.assertRaises(exception.BankDeleteObjectFailed, self.plugin.delete_object, '/a/b')

    def _assert_failed_write_leaves_the_old(self, key: str, value: Any) -> None:
        error = self.assertRaises(
            exception.BankUpdateObjectFailed, self.plugin.update_object, key, value
        )

        self.assertIn(key, error.msg)
        self.assertEqual('old', self.plugin.get_object('/a/b'))
        self.assertEqual(['a/b'], self._files())

    def test_a_failed_write_leaves_the_old_and_nothing_else(self) -> None:
        self.plugin.update_object('/a/b', 'old')
        no_space = OSError(errno.ENOSPC, 'No space left on device')

        for call in ('os.fsync', 'os.replace'):
            for key in ('/a/b', '/a/new', '/new/new'):
                with mock.patch(call, side_effect=no_space):
                    self._assert_failed_write_leaves_the_old(key, 'new')

    def test_a_disk_that_fills_up_while_writing(self) -> None:
        self.plugin.update_object('/a/b', 'old')
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)

        # The kernel itself refuses the second 64 KiB; SIGXFSZ is ignored by Python.
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limits[1]))
        self._assert_failed_write_leaves_the_old('/a/b', b'x' * 131_072)
        self._assert_failed_write_leaves_the_old('/a/c', b'x' * 131_072)

    def test_a_file_system_that_is_away_is_told_apart(self) -> None:
        """As is where it is: an error of the system names the folder."""
        self.plugin.update_object('/a', 'x')
        for number, is_passing in (
            (errno.ESTALE, True),
            (errno.ETIMEDOUT, True),
            (errno.ENOSPC, False),
            (errno.EDQUOT, False),
            (errno.EACCES, False),
        ):
            fault = OSError(number, os.strerror(number), str(self.plugin._container))
            with mock.patch('pathlib.Path.read_bytes', side_effect=fault):
                error = self.assertRaises(
                    exception.BankGetObjectFailed, self.plugin.get_object, '/a'
                )
            self.assertEqual(is_passing, error.is_passing, number)
            self.assertEqual(f'Reading /a from the bank failed: {os.strerror(number)}', error.msg)

    def test_an_object_and_a_folder_of_one_name(self) -> None:
        self.plugin.update_object('/a/b', 'old')

        for key in ('/a', '/a/b/c', '/a/b/c/d'):
            self._assert_failed_write_leaves_the_old(key, 'new')

    def test_what_a_kill_leaves_over_is_invisible(self) -> None:
        self.plugin.update_object('/a/b', 'x')
        child = os.fork()
        if child == 0:
            try:
                os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
                self.plugin.update_object('/a/c', 'y')
            finally:
                os._exit(1)
        self.assertEqual(signal.SIGKILL, os.WTERMSIG(os.waitpid(child, 0)[1]))

        self.assertEqual(2, len(self._files()))
        self.assertEqual(['/a/b'], self.plugin.list_objects())
        self.assertRaises(exception.BankObjectNotFound, self.plugin.get_object, '/a/c')
        self.plugin.update_object('/a/c', 'y')
        self.assertEqual(['/a/b', '/a/c'], self.plugin.list_objects())


class FileSystemBankKillTest(base.BaseTestCase):
    """A process that writes is killed, over and over."""

    KILLS = 20
    SIZE = 2_000_000

    def _value(self, number: int) -> bytes:
        """A value that shows which one it is, and whether it is whole."""
        return bytes([number % 256]) * (self.SIZE + number)

    def _number(self, value: bytes) -> int:
        number = len(value) - self.SIZE
        self.assertEqual(self._value(number), value)
        return number

    def _write_in_a_child(self, plugin: bank_plugin.BankPlugin, first: int) -> int:
        child = os.fork()
        if child:
            return child
        try:
            for number in itertools.count(first):
                plugin.update_object('/a/big', self._value(number))
        finally:
            os._exit(1)

    def test_a_kill_leaves_the_old_object_or_the_new_one(self) -> None:
        plugin = file_system_bank(self)
        plugin.update_object('/a/big', self._value(0))
        random_moment = random.Random(20)
        number = leftovers = 0
        end = time.monotonic() + 60
        kills, longest = 0, 0.1
        while (kills < self.KILLS or not number or not leftovers) and time.monotonic() < end:
            child = self._write_in_a_child(plugin, number + 1)
            time.sleep(random_moment.uniform(0.005, longest))
            os.kill(child, signal.SIGKILL)
            self.assertEqual(signal.SIGKILL, os.WTERMSIG(os.waitpid(child, 0)[1]))
            kills += 1

            now = self._number(plugin.get_object('/a/big'))
            self.assertGreaterEqual(now, number)
            if now == number:
                longest *= 1.1  # a busy disk takes longer than that for a write
            number = now
            self.assertEqual(['/a/big'], plugin.list_objects())
            leftovers = len(os.listdir(plugin._path('/a/big').parent)) - 1

        self.assertGreaterEqual(kills, 15)
        self.assertGreater(number, 0, 'no write ever came to its end')
        self.assertGreater(leftovers, 0, 'no kill ever met a write')


class FileSystemBankThreadsTest(base.BaseTestCase):
    TURNS = 700

    def test_neighbours_are_written_and_deleted_at_once(self) -> None:
        # A delete removes the empty folders that a write has just made sure of.
        plugin = file_system_bank(self)
        wrong: list[Any] = []

        def work(name: str) -> None:
            key = f'/a/b/c/{name}'
            for number in range(self.TURNS):
                try:
                    plugin.update_object(key, number)
                    wrong.extend({plugin.get_object(key)} - {number})
                    plugin.list_objects('/a/')
                    plugin.delete_object(key)
                except exception.BankError as exc:
                    wrong.append(exc)

        threads = [threading.Thread(target=work, args=(name,)) for name in 'wxyz']
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-5)  # threads meet more often
        with mock.patch('os.fsync'):  # more turns in less time
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        self.assertEqual([], wrong)
        self.assertEqual([], plugin.list_objects())


class BankKeyTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.bank = bank_plugin.Bank(file_system_bank(self))
        self.section = self.bank.get_sub_section('/checkpoints/c')

    def test_keys_as_the_plugin_sees_them(self) -> None:
        for key, expected in (
            ('a', '/a'),
            ('/a', '/a'),
            ('a/b', '/a/b'),
            ('/a/b.c', '/a/b.c'),
            ('1@a-b_C.json', '/1@a-b_C.json'),
            ('..a', '/..a'),
            ('.a/...', '/.a/...'),
        ):
            self.assertEqual(expected, bank_plugin.absolute_key(key))

    def test_bad_keys_are_refused_everywhere(self) -> None:
        for key in BAD_KEYS:
            for call in (
                self.bank.get_object,
                self.bank.delete_object,
                lambda key: self.bank.update_object(key, 'x'),
                self.section.get_object,
                self.section.delete_object,
                lambda key: self.section.update_object(key, 'x'),
            ):
                self.assertRaises(exception.InvalidParameterValue, call, key)
        self.assertEqual([], self.bank.list_objects())

    def test_bad_sections_are_refused(self) -> None:
        for name in BAD_KEYS:
            if name != 'a/':  # a section may end in a slash, as the contract writes it
                for make in (
                    self.bank.get_sub_section,
                    self.section.get_sub_section,
                    lambda name: bank_plugin.BankSection(self.bank, name),
                ):
                    self.assertRaises(exception.InvalidParameterValue, make, name)

    def test_no_prefix_leads_out_of_the_bank(self) -> None:
        plugin = self.bank._plugin
        outside = plugin._path('/x').parents[1] / 'outside'
        outside.write_text('secret')
        self.bank.update_object('/other', 'x')

        for listing, prefix in itertools.product(
            (self.bank.list_objects, self.section.list_objects),
            ('..', '../', '/../', '../..', '../../', 'a/../../..', './', '..//'),
        ):
            try:
                found = listing(prefix)
            except exception.InvalidParameterValue:
                found = []
            self.assertEqual([], found, prefix)

    def test_no_prefix_makes_the_plugin_look_outside(self) -> None:
        for prefix in ('../', '/../../../', 'a/../../../../'):
            with mock.patch('os.walk') as walk:
                for listing in (self.bank.list_objects, self.section.list_objects):
                    self.assertRaises(exception.InvalidParameterValue, listing, prefix)
            walk.assert_not_called()


class BankSectionTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.bank = bank_plugin.Bank(file_system_bank(self))
        self.section = bank_plugin.BankSection(self.bank, '/checkpoints/c')

    def test_keys_are_relative(self) -> None:
        self.section.update_object('/index.json', 1)
        self.section.update_object('data/x', 2)

        self.assertEqual(
            ['/checkpoints/c/data/x', '/checkpoints/c/index.json'], self.bank.list_objects()
        )
        self.assertEqual(['data/x', 'index.json'], self.section.list_objects())
        self.assertEqual(
            (1, 2), (self.section.get_object('index.json'), self.section.get_object('/data/x'))
        )

    def test_a_section_sees_no_other(self) -> None:
        for key in ('/checkpoints/c2/a', '/checkpoints/b', '/checkpoints/c/mine', '/a'):
            self.bank.update_object(key, 'x')

        self.assertEqual(['mine'], self.section.list_objects())
        self.assertRaises(exception.BankObjectNotFound, self.section.get_object, 'a')
        self.section.delete_object('a')
        self.assertEqual('x', self.bank.get_object('/a'))

    def test_list_passes_everything_on(self) -> None:
        for number in range(5):
            self.section.update_object(f'data/{number}', 'x')
        self.section.update_object('other', 'x')

        self.assertEqual(
            [f'data/{number}' for number in range(5)], self.section.list_objects('data/')
        )
        self.assertEqual(
            ['data/3', 'data/2'],
            self.section.list_objects('data/', limit=2, marker='4', sort_dir='desc'),
        )
        self.assertEqual(['data/3', 'data/4', 'other'], self.section.list_objects(marker='data/2'))

    def test_sub_sections(self) -> None:
        below = self.section.get_sub_section('resource-data/r/')
        below.update_object('status', 'available')

        self.assertEqual('available', self.bank.get_object('/checkpoints/c/resource-data/r/status'))
        self.assertTrue(below.is_writable)
        self.assertIs(self.bank, below.bank)
        self.assertEqual(self.bank.get_owner_id(), below.get_owner_id())

    def test_read_only_is_so_all_the_way_down(self) -> None:
        self.section.update_object('data/a', 'x')
        read_only = [bank_plugin.BankSection(self.bank, '/checkpoints/c', False)]
        read_only.append(self.section.get_sub_section('data', is_writable=False))
        read_only.append(read_only[0].get_sub_section('data', is_writable=False))

        for section in read_only:
            self.assertFalse(section.is_writable)
            self.assertIn('a', section.list_objects()[0])
            self.assertRaises(exception.BankReadonlyViolation, section.update_object, 'a', 'y')
            self.assertRaises(exception.BankReadonlyViolation, section.delete_object, 'a')
            self.assertRaises(exception.BankReadonlyViolation, section.get_sub_section, 'b')
            self.assertRaises(
                exception.BankReadonlyViolation, section.get_sub_section, 'b', is_writable=True
            )
        self.assertEqual('x', self.section.get_object('data/a'))

    def test_bank_io(self) -> None:
        for number, value in enumerate((b'first', 'second', b'third')):
            self.section.update_object(f'data_{number}', value)
        reader = bank_plugin.BankIO(self.section, ['data_1', 'data_0', 'data_2'])

        self.assertTrue(reader.readable())
        self.assertEqual(
            ['second', b'first', b'third', '', ''],
            [reader.read(), reader.read(4), reader.read(), reader.read(), reader.read()],
        )

    def test_bank_io_of_a_missing_object(self) -> None:
        reader = bank_plugin.BankIO(self.section, ['none'])

        self.assertRaises(exception.BankObjectNotFound, reader.read)
