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

"""Helpers of plugins: waiting for a status, telling results, images in and out of a bank."""

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any
from unittest import mock

from oslo_db import exception as db_exception
from oslotest import base

from karbor import exception
from karbor.services.protection import bank_plugin
from karbor.services.protection.protection_plugins import utils
from karbor.testing import memory_bank
from karbor.testing.clock import Clock


class StatusPollTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        for name in ('monotonic', 'sleep'):
            patcher = mock.patch.object(utils.time, name, getattr(self.clock, name))
            patcher.start()
            self.addCleanup(patcher.stop)

    def _poll(self, statuses: Any, **options: Any) -> bool:
        self.looks = 0
        given = iter(statuses)

        def look() -> str:
            self.looks += 1
            return next(given)

        return utils.status_poll(
            look,
            **{
                'interval': 5,
                'success_statuses': {'available'},
                'failure_statuses': {'error'},
                'ignore_statuses': {'creating'},
                **options,
            },
        )

    def test_table(self) -> None:
        for statuses, options, expected in (
            (['available'], {}, True),
            (['error'], {}, False),
            (['strange'], {}, False),
            (['creating', 'available'], {}, True),
            (['creating', 'creating', 'error'], {}, False),
            (['creating', 'strange'], {}, False),
            (['strange', 'available'], {'ignore_unexpected': True}, True),
            (['strange', 'error'], {'ignore_unexpected': True}, False),
            (['creating', 'strange', None, 'available'], {'ignore_unexpected': True}, True),
            (['deleted'], {'success_statuses': {'deleted', 'not-found'}}, True),
            (['available'], {'success_statuses': ('available',)}, True),
            (['available'], {'success_statuses': set(), 'failure_statuses': {'available'}}, False),
            (['creating'], {'ignore_statuses': ()}, False),
        ):
            self.assertIs(expected, self._poll(statuses, **options), statuses)
            self.assertEqual(len(statuses), self.looks)

    def test_one_interval_between_two_looks(self) -> None:
        self._poll(['creating'] * 3 + ['available'], interval=7)

        self.assertEqual([7, 7, 7], self.clock.slept)

    def test_timeouts(self) -> None:
        for timeout, looks in ((0, 1), (4, 1), (5, 2), (14, 3), (15, 4)):
            self.assertIs(False, self._poll(itertools.repeat('creating'), timeout=timeout))
            self.assertEqual(looks, self.looks, timeout)

    def test_success_at_the_last_look_counts(self) -> None:
        self.assertIs(True, self._poll(['creating', 'creating', 'available'], timeout=10))

    def test_without_a_timeout_it_waits(self) -> None:
        self.assertIs(True, self._poll(['creating'] * 5_000 + ['available']))

    def test_what_the_function_raises_is_passed_on(self) -> None:
        def look() -> str:
            raise LookupError('gone')

        self.assertRaises(LookupError, utils.status_poll, look, 1, {'available'})

    def test_the_order_of_the_arguments_is_the_contracts(self) -> None:
        self.assertIs(True, utils.status_poll(lambda: 'a', 1, {'a'}, {'b'}, {'c'}, False))
        self.assertIs(False, utils.status_poll(lambda: 'b', 1, {'a'}, {'b'}, {'c'}, True))


class _Record:
    """A restore or a verification that fails when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._error = error

    def update_resource_status(self, *arguments: Any) -> None:
        if self._error:
            raise self._error
        self.calls.append(arguments)

    def save(self) -> None:
        self.calls.append(('saved',))


class UpdateResultTest(base.BaseTestCase):
    ERRORS = (
        exception.RestoreNotFound(restore_id='r'),
        db_exception.DBError(OSError('away')),
        LookupError('other'),
    )

    def test_both_update_and_save(self) -> None:
        for update in (utils.update_resource_restore_result, utils.update_resource_verify_result):
            record = _Record()

            update(record, 'OS::Cinder::Volume', 'v', 'error', 'no quota')
            update(record, 'OS::Cinder::Volume', 'v', 'available')

            self.assertEqual(
                [
                    ('OS::Cinder::Volume', 'v', 'error', 'no quota'),
                    ('saved',),
                    ('OS::Cinder::Volume', 'v', 'available', ''),
                    ('saved',),
                ],
                record.calls,
            )

    def test_a_restore_goes_on_without_its_record(self) -> None:
        for error in self.ERRORS:
            utils.update_resource_restore_result(_Record(error), 't', 'i', 'available')

    def test_a_verification_does_not(self) -> None:
        for error in self.ERRORS:
            self.assertRaises(
                type(error),
                utils.update_resource_verify_result,
                _Record(error),
                't',
                'i',
                'available',
            )


class _Image:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class _FakeGlance:
    """Images in memory; ``images`` is the manager, as in glanceclient."""

    def __init__(self) -> None:
        self.images = self
        self.kept: dict[str, _Image] = {}
        self.contents: dict[str, bytes] = {}

    def data(self, image_id: str, do_checksum: bool = False) -> Iterator[bytes]:
        content = self.contents[image_id]
        return (content[at : at + 7] for at in range(0, len(content), 7))

    def create(self, **fields: Any) -> _Image:
        image = _Image(id=f'image-{len(self.kept)}', status='queued', **fields)
        self.kept[image.id] = image
        return image

    def upload(self, image_id: str, image_data: Any) -> None:
        content = b''
        while piece := image_data.read(65536):
            content += piece
        self.contents[image_id] = content
        self.kept[image_id].status = 'active'

    def get(self, image_id: str) -> _Image:
        return self.kept[image_id]

    def delete(self, image_id: str) -> None:
        del self.kept[image_id]


class ImageTest(base.BaseTestCase):
    CONTENT = bytes(range(256)) * 3 + b'plain text at the end'

    def setUp(self) -> None:
        super().setUp()
        self.glance = _FakeGlance()
        self.section = bank_plugin.Bank(memory_bank.MemoryBankPlugin()).get_sub_section(
            '/checkpoints/c/resource-data/i'
        )

    def _backup(self, content: bytes, object_size: int = 100) -> int:
        self.glance.contents['old'] = content
        count = utils.backup_image_to_bank(self.glance, 'old', self.section, object_size)
        self.section.update_object(
            'metadata',
            {
                'chunks_num': count,
                'image_metadata': {
                    'disk_format': 'raw',
                    'container_format': 'bare',
                    'checksum': hashlib.md5(content).hexdigest(),
                },
            },
        )
        return count

    def test_objects_have_the_size_asked_for(self) -> None:
        count = self._backup(self.CONTENT, 100)

        pieces = [self.section.get_object(f'data_{number}') for number in range(1, count + 1)]
        self.assertEqual([100] * 7 + [89], [len(piece) for piece in pieces])
        self.assertEqual(self.CONTENT, b''.join(pieces))

    def test_round_trip(self) -> None:
        for content in (
            self.CONTENT,
            b'0123456789' * 30,
            b'1' * 300,
            b'null' * 50,
            b'\xff' * 250,
            b'one object',
            b'',
        ):
            self._backup(content)

            made = utils.restore_image_from_bank(self.glance, self.section, 'restored')

            self.assertEqual(content, self.glance.contents[made.id])
            self.assertEqual(
                ('restored', 'raw', 'bare', 'active'),
                (made.name, made.disk_format, made.container_format, made.status),
            )

    def test_number_of_objects(self) -> None:
        for size, count in ((0, 0), (1, 1), (99, 1), (100, 1), (101, 2), (1_200, 12)):
            self.assertEqual(count, self._backup(b'x' * size))

    def test_objects_that_are_missing(self) -> None:
        self._backup(self.CONTENT)
        self.section.delete_object('data_3')

        error = self.assertRaises(
            exception.RestoreResourceFailed,
            utils.restore_image_from_bank,
            self.glance,
            self.section,
            'restored',
        )

        self.assertIn('data_3', error.msg)
        self.assertEqual({}, self.glance.kept)

    def test_bytes_that_changed(self) -> None:
        self._backup(self.CONTENT)
        self.section.update_object('data_2', b'?' * 100)

        error = self.assertRaises(
            exception.RestoreResourceFailed,
            utils.restore_image_from_bank,
            self.glance,
            self.section,
            'restored',
        )

        self.assertIn('checksum', error.msg)
        self.assertEqual({}, self.glance.kept)
