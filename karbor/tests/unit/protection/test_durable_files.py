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

"""Files are put in their places in an order that a power cut cannot harm."""

import os
import pathlib
import threading
import time
from concurrent import futures
from typing import Any
from unittest import mock

import fixtures
from oslotest import base

from karbor.common import leases
from karbor.services.protection.bank_plugins import durable_files


class DurableFilesTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.files = durable_files.DurableFiles(
            self.folder, lambda _, fault: LookupError(str(fault))
        )
        self.steps: list[tuple[str, str]] = []
        self.syncs_may_go_on = threading.Event()
        self.syncs_may_go_on.set()
        self.failing: set[str] = set()
        for name in ('replace', 'fsync'):
            real = getattr(os, name)
            patch = mock.patch.object(os, name, getattr(self, f'_{name}')(real))
            patch.start()
            self.addCleanup(patch.stop)

    def _fsync(self, real: Any) -> Any:
        def fsync(descriptor: int) -> None:
            path = pathlib.Path(os.readlink(f'/proc/self/fd/{descriptor}'))
            name = path.name
            if name.endswith(durable_files.PARTIAL_SUFFIX):
                name = f'{path.parent.name.removeprefix("of-")}.partial'
            self.steps.append(('sync', name if path != self.folder else 'top'))
            self.syncs_may_go_on.wait(20)
            if name in self.failing:
                raise OSError(5, 'the disk is broken')
            real(descriptor)

        return fsync

    def _replace(self, real: Any) -> Any:
        def replace(partial: str, path: pathlib.Path) -> None:
            self.steps.append(('rename', path.name))
            real(partial, path)

        return replace

    def put(self, name: str, text: str = 'x') -> pathlib.Path:
        path = self.folder / f'of-{name}' / name
        self.files.write(path, text.encode()).result(20)
        return path

    def put_together(self, names: list[str]) -> list[futures.Future[pathlib.Path]]:
        """Put files while another one keeps the disk busy."""
        self.syncs_may_go_on.clear()
        with futures.ThreadPoolExecutor(len(names) + 1) as pool:
            first = pool.submit(self.put, 'first')
            while not self.steps:
                time.sleep(0.001)
            others = [pool.submit(self.put, name) for name in names]
            while len(self.files._gathered) < len(names):
                time.sleep(0.001)
            self.syncs_may_go_on.set()
        self.assertIsNone(first.exception())
        return others

    def test_bytes_then_name_then_folder(self) -> None:
        path = self.put('a', 'text')
        self.assertEqual('text', path.read_text())
        self.assertEqual(
            [('sync', 'a.partial'), ('rename', 'a'), ('sync', 'of-a'), ('sync', 'top')], self.steps
        )

    def test_a_new_folder_is_named_by_those_that_it_is_in(self) -> None:
        folder = self.folder / 'a' / 'b'
        durable_files.make_folder(folder)
        self.assertTrue(folder.is_dir())
        self.assertEqual([('sync', 'a'), ('sync', 'top')], self.steps)
        durable_files.make_folder(folder)
        self.assertEqual(2, len(self.steps))

    def test_many_are_one_batch(self) -> None:
        names = [f'f{number}' for number in range(8)]
        for path in self.put_together(names):
            self.assertEqual('x', path.result().read_text())
        kinds = [kind for kind, _ in self.steps[4:]]
        self.assertEqual(['sync'] * 8 + ['rename'] * 8 + ['sync'] * (8 + 1), kinds)

    def test_one_that_fails_does_not_keep_the_others(self) -> None:
        self.failing = {'f1.partial', 'of-f2'}
        outcomes = self.put_together(['f0', 'f1', 'f2'])
        self.assertEqual(
            [type(None), LookupError, LookupError], [type(each.exception()) for each in outcomes]
        )
        self.assertEqual([], list((self.folder / 'of-f1').iterdir()))

    def test_nothing_is_put_by_a_lease_that_is_lost_meanwhile(self) -> None:
        lease = leases.Lease()

        def put_by_lease() -> None:
            with leases.held(lease):
                self.put('a')

        self.syncs_may_go_on.clear()
        with futures.ThreadPoolExecutor(1) as pool:
            outcome = pool.submit(put_by_lease)
            while not self.steps:
                time.sleep(0.001)
            lease.lose()
            self.syncs_may_go_on.set()
        self.assertIsInstance(outcome.exception(), leases.LeaseLost)
        self.assertEqual([], list((self.folder / 'of-a').iterdir()))

    def test_what_nobody_expects_is_told_to_all(self) -> None:
        with mock.patch.object(durable_files, '_sync', side_effect=MemoryError):
            self.assertRaises(MemoryError, self.put, 'a')
        self.put('b')

    def test_who_does_not_wait_any_more_harms_nobody(self) -> None:
        self.syncs_may_go_on.clear()
        given_up = self.files.write(self.folder / 'a', b'x')
        self.assertTrue(given_up.cancel())
        self.syncs_may_go_on.set()
        self.put('b')

    def test_a_file_that_is_in_the_way(self) -> None:
        (self.folder / 'of-a').write_text('a file')
        self.assertRaises(LookupError, self.put, 'a')
