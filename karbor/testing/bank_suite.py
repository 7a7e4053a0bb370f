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

"""What every bank plugin must do: one suite for all of them, with servers or without.

A plugin's test case mixes it in::

    class AcmeBankTest(BankPluginSuite, testtools.TestCase):
        def make_plugin(self):
            return AcmeBankPlugin(provider_files.options({'acme_bank': {'table': 'test'}}))

It needs testtools and hypothesis, which Karbor itself does not require.

How many checkpoints the suite makes of which it reads the indices in pages can be set with
``KARBOR_TEST_CHECKPOINTS``; then it prints what that took.
"""

import concurrent.futures
import datetime
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import strategies as st

from karbor import exception
from karbor.services.protection import bank_plugin, checkpoint
from karbor.testing import bank_values

# A mix-in, so that a runner that finds the suite in a test module does not run it by itself.
if TYPE_CHECKING:
    from testtools import TestCase as _TestCase
else:
    _TestCase = object

_SETTINGS = hypothesis.settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[
        hypothesis.HealthCheck.differing_executors,  # one suite, many banks
        hypothesis.HealthCheck.too_slow,
    ],
)

_PROVIDER_ID = '3f9d2a10-8b41-4c52-9a11-6f1f0f3b7c20'
_PROJECT_ID = '1f3c9a7be2d84c5f9b0d6e4a3c2b1a09'
_PLAN_ID = 'c2a1f7d0-5c52-46ff-9a2c-6f4a7f7d1b11'
_FIRST_MOMENT = 1_700_000_000


class BankPluginSuite(_TestCase):
    """What every bank plugin must do; mix it into a test case that makes one."""

    #: how many checkpoints it makes when nobody asks for more
    CHECKPOINTS = 23

    def make_plugin(self) -> bank_plugin.BankPlugin:
        """A plugin on an empty bank."""
        raise NotImplementedError

    def make_another(self, plugin: Any) -> bank_plugin.BankPlugin:
        """Another plugin on the same bank, as another process makes it."""
        return type(plugin)(plugin._config)

    def setUp(self) -> None:
        super().setUp()
        self.plugin = self.make_plugin()

    def _round_trip(self, value: Any) -> Any:
        self.plugin.update_object('/round/trip', value)
        return self.plugin.get_object('/round/trip')

    def _assert_round_trips(self, values: tuple[Any, ...]) -> None:
        for value in values:
            again = self._round_trip(value)
            self.assertEqual((type(value), value), (type(again), again))

    def test_text_comes_back_as_text(self) -> None:
        self._assert_round_trips(bank_values.TEXTS)

    def test_json_comes_back_as_it_was(self) -> None:
        self._assert_round_trips(bank_values.JSON_VALUES)

    def test_bytes_come_back_as_bytes(self) -> None:
        self._assert_round_trips(bank_values.BYTES)

    @_SETTINGS
    @hypothesis.given(st.text() | st.binary() | bank_values.JSON_STRATEGY)
    def test_any_value_comes_back_as_it_was(self, value: Any) -> None:
        self._assert_round_trips((value,))

    def test_what_cannot_be_stored_is_refused_and_changes_nothing(self) -> None:
        self.plugin.update_object('/a', 'old')

        for value in (object(), {1, 2}, {'a': b'bytes'}, '\ud800'):
            self.assertRaises(
                exception.BankUpdateObjectFailed, self.plugin.update_object, '/a', value
            )
        self.assertEqual('old', self.plugin.get_object('/a'))
        self.assertEqual(['/a'], self.plugin.list_objects())

    def test_update_replaces(self) -> None:
        for value in ('a long first text', {'then': 'json'}, b'and bytes', 'x'):
            self.plugin.update_object('/a/b', value)

            self.assertEqual(value, self.plugin.get_object('/a/b'))
        self.assertEqual(['/a/b'], self.plugin.list_objects())

    def test_what_is_missing_is_not_found(self) -> None:
        self.plugin.update_object('/a/b', 'x')

        for key in ('/b', '/a/c', '/a/b/c', '/a/b/c/d', '/a', '/x/y/z'):
            error = self.assertRaises(exception.BankObjectNotFound, self.plugin.get_object, key)
            self.assertIn(key, error.msg)

    def test_delete_can_be_repeated(self) -> None:
        self.plugin.update_object('/a/b/c', 'x')
        self.plugin.update_object('/a/b/d', 'y')

        for _ in range(2):
            self.plugin.delete_object('/a/b/c')
        for key in ('/none', '/a/none/at/all', '/a/b/d/e', '/a/b', '/a'):
            self.plugin.delete_object(key)

        self.assertRaises(exception.BankObjectNotFound, self.plugin.get_object, '/a/b/c')
        self.assertEqual(['/a/b/d'], self.plugin.list_objects())

    def test_what_was_deleted_can_be_made_again(self) -> None:
        self.plugin.update_object('/a/b', 'x')
        self.plugin.delete_object('/a/b')

        self.plugin.update_object('/a/b', 'y')

        self.assertEqual('y', self.plugin.get_object('/a/b'))

    def test_list_by_prefix(self) -> None:
        keys = ['/a/1', '/a/10', '/a/2/x', '/a/2/y', '/ab', '/b/1']
        for key in reversed(keys):
            self.plugin.update_object(key, 'x')

        for prefix, expected in (
            (None, keys),
            ('', keys),
            ('/', keys),
            ('/a', keys[:5]),
            ('/a/', keys[:4]),
            ('/a/1', keys[:2]),
            ('/a/2', keys[2:4]),
            ('/a/2/', keys[2:4]),
            ('/a/2/y', ['/a/2/y']),
            ('/ab/', []),
            ('/a/1/', []),
            ('/none/', []),
            ('/z', []),
            ('a/2', keys[2:4]),
        ):
            self.assertEqual(expected, self.plugin.list_objects(prefix), repr(prefix))

    def test_list_limit_marker_and_direction(self) -> None:
        keys = [f'/k/{number}' for number in range(6)]
        for key in keys:
            self.plugin.update_object(key, 'x')

        cases: tuple[tuple[dict[str, Any], list[str]], ...] = (
            ({'limit': 2}, keys[:2]),
            ({'limit': 99}, keys),
            ({'sort_dir': 'asc'}, keys),
            ({'sort_dir': 'desc'}, keys[::-1]),
            ({'limit': 2, 'sort_dir': 'desc'}, keys[:3:-1]),
            ({'marker': '/k/2'}, keys[3:]),
            ({'marker': '/k/2', 'limit': 1}, keys[3:4]),
            ({'marker': '/k/2', 'sort_dir': 'desc'}, keys[1::-1]),
            ({'marker': '/k/2', 'sort_dir': 'desc', 'limit': 1}, keys[1:2]),
            ({'marker': '/k/25'}, keys[3:]),
            ({'marker': '/k/5'}, []),
            ({'marker': '/k/0', 'sort_dir': 'desc'}, []),
        )
        for arguments, expected in cases:
            self.assertEqual(
                expected, self.plugin.list_objects('/k/', **arguments), repr(arguments)
            )

    def test_pages_together_are_the_whole(self) -> None:
        keys = [f'/k/{number:02}' for number in range(23)]
        for key in keys:
            self.plugin.update_object(key, 'x')

        for direction, expected in (('asc', keys), ('desc', keys[::-1])):
            found: list[str] = []
            while page := self.plugin.list_objects(
                '/k/', limit=5, marker=found[-1] if found else None, sort_dir=direction
            ):
                found += page
            self.assertEqual(expected, found)

    def test_the_owner_stays_the_same(self) -> None:
        owner = self.plugin.get_owner_id()

        self.assertIsInstance(owner, str)
        self.assertTrue(owner)
        self.assertEqual(owner, self.plugin.get_owner_id())

    def test_a_second_plugin_sees_the_same_objects(self) -> None:
        self.plugin.update_object('/a', {'b': 1})

        self.assertEqual({'b': 1}, self.make_another(self.plugin).get_object('/a'))

    def test_a_healthy_bank_is_so(self) -> None:
        self.plugin.check()  # before it was ever used
        self.plugin.update_object('/a', 'x')
        self.plugin.check()

        self.assertEqual(['/a'], self.plugin.list_objects())

    def test_keys_are_checked(self) -> None:
        for key in ('', '/', '/../x', '/a/../b', '/a b', '/a/'):
            for call in (
                self.plugin.get_object,
                self.plugin.delete_object,
                lambda key: self.plugin.update_object(key, 'x'),
            ):
                self.assertRaises(exception.InvalidParameterValue, call, key)

    def test_many_threads(self) -> None:
        def work(name: str) -> list[Any]:
            for number in range(5):
                self.plugin.update_object(f'/t/{name}/{number}', [name, number])
                self.plugin.update_object(f'/t/{name}/{number}', [number, name])
            self.plugin.delete_object(f'/t/{name}/0')
            return [self.plugin.get_object(key) for key in self.plugin.list_objects(f'/t/{name}/')]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            results = dict(zip('abcdefgh', pool.map(work, 'abcdefgh'), strict=True))

        self.assertEqual(
            {name: [[number, name] for number in range(1, 5)] for name in 'abcdefgh'}, results
        )
        self.assertEqual(32, len(self.plugin.list_objects('/t')))

    def test_a_large_object(self) -> None:
        value = os.urandom(3_000_000)

        self.assertTrue(value == self._round_trip(value))

    def test_a_checkpoint_from_its_creation_to_its_end(self) -> None:
        bank = bank_plugin.Bank(self.plugin)
        made = _make_checkpoint(bank, 0)
        section = made.get_resource_bank_section('volume')
        section.update_object('status', 'available')
        section.update_object('metadata', {'snapshot_id': 's'})

        again = checkpoint.CheckpointCollection(bank).get(made.id)
        self.assertEqual(made.to_dict(), again.to_dict())
        self.assertRaises(RuntimeError, again.purge)
        for key in section.list_objects():
            if key != 'status':
                section.delete_object(key)
        again.delete()
        self.assertEqual([], self.plugin.list_objects('/indices/'))
        again.purge()

        self.assertEqual([], self.plugin.list_objects())
        self.assertRaises(
            exception.CheckpointNotFound, checkpoint.CheckpointCollection(bank).get, made.id
        )

    def test_many_checkpoints_in_pages(self) -> None:
        count = int(os.environ.get('KARBOR_TEST_CHECKPOINTS', '0'))
        limit = 1000 if count else 10
        expected = self._timed('make', self._make_checkpoints, count or self.CHECKPOINTS)
        prefix = f'/indices/by-provider/{_PROVIDER_ID}/'
        for direction in ('asc', 'desc'):
            found = self._timed(direction, self._all_pages, prefix, limit, direction)
            self.assertTrue(found == sorted(expected, reverse=direction == 'desc'))
        for name in ('by-date', 'by-plan', 'by-provider'):
            listed = self._timed(name, self.plugin.list_objects, f'/indices/{name}/')
            self.assertEqual(len(expected), len(listed))
        newest = self._timed('newest', self.plugin.list_objects, prefix, 1, None, 'desc')
        self.assertEqual([max(expected)], newest)
        ids = {key.rpartition('@')[2] for key in expected[: self.CHECKPOINTS]}
        self._timed(
            'read',
            lambda: [
                checkpoint.CheckpointCollection(bank_plugin.Bank(self.plugin)).get(checkpoint_id)
                for checkpoint_id in ids
            ],
        )

    def _make_checkpoints(self, count: int) -> list[str]:
        """So many checkpoints; returns their keys in the index by provider."""
        bank = bank_plugin.Bank(self.plugin)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made = pool.map(lambda number: _make_checkpoint(bank, number), range(count))
            return [
                f'/indices/by-provider/{_PROVIDER_ID}/{_PROJECT_ID}/'
                f'{_FIRST_MOMENT + number}@{each.id}'
                for number, each in enumerate(made)
            ]

    def _all_pages(self, prefix: str, limit: int, direction: str) -> list[str]:
        found: list[str] = []
        while page := self.plugin.list_objects(
            prefix, limit, found[-1] if found else None, direction
        ):
            self.assertLessEqual(len(page), limit)
            found += page
        return found

    def _timed(self, what: str, call: Any, *args: Any) -> Any:
        start = time.monotonic()
        result = call(*args)
        if 'KARBOR_TEST_CHECKPOINTS' in os.environ:
            print(f'{type(self).__name__}: {what}: {time.monotonic() - start:.2f} s')  # noqa: T201
        return result


def _make_checkpoint(bank: bank_plugin.Bank, number: int) -> checkpoint.Checkpoint:
    plan = {
        'id': _PLAN_ID,
        'name': 'nightly',
        'provider_id': _PROVIDER_ID,
        'parameters': {},
        'resources': [
            {'id': 'volume', 'type': 'OS::Cinder::Volume', 'name': 'data', 'extra_info': None}
        ],
    }
    return checkpoint.CheckpointCollection(bank).create(
        str(uuid.uuid4()),
        plan,
        project_id=_PROJECT_ID,
        resource_graph='[[], []]',
        extra_info=None,
        created_at=datetime.datetime.fromtimestamp(_FIRST_MOMENT + number, datetime.UTC).replace(
            tzinfo=None
        ),
    )
