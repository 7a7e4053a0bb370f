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

"""Banks in object stores: the suite on stores that lag, faults, options, secrets."""

import concurrent.futures
import contextlib
import itertools
import logging
import pathlib
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import fixtures
from oslo_config import cfg
from oslotest import base

import karbor
from karbor import conf, exception
from karbor.services.protection import bank_plugin, provider
from karbor.services.protection.bank_plugins import (
    object_faults,
    s3_bank_plugin,
    swift_bank_plugin,
)
from karbor.testing import bank_suite, fake_object_store, fault_proxy, provider_files
from karbor.testing.fault_proxy import Fault, Rule
from karbor.tests import object_store_banks

KINDS = ('swift', 's3')
FAKES = {'swift': fake_object_store.FakeSwift, 's3': fake_object_store.FakeS3}
BANKS: dict[str, Any] = {'swift': object_store_banks.swift_bank, 's3': object_store_banks.s3_bank}


class Lagging:
    """A store that is behind: mixed into a bank plugin, before its class.

    Listings do not have the latest changes, and the first reads of a new object find none.
    """

    lag = 2

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._hidden: dict[str, int] = {}
        self._shown: dict[str, int] = {}

    def _put(self, key: str, data: bytes, mark: str | None) -> None:
        is_new = key not in self._keys()
        super()._put(key, data, mark)
        self._shown.pop(key, None)
        if is_new:
            self._hidden[key] = self.lag

    def _delete(self, key: str) -> None:
        is_known = key in self._keys()
        super()._delete(key)
        self._hidden.pop(key, None)
        if is_known:
            self._shown[key] = self.lag

    def _get(self, key: str) -> tuple[bytes, str | None]:
        self._wait_for(key)
        return super()._get(key)

    def _head(self, key: str) -> None:
        self._wait_for(key)
        super()._head(key)

    def _wait_for(self, key: str) -> None:
        if self._hidden.get(key, 0) > 0:
            self._hidden[key] -= 1
            raise object_faults.Missing

    def _page(
        self, prefix: str, limit: int | None, marker: str | None, descending: bool
    ) -> tuple[list[str], bool]:
        """As the store was before the latest changes."""
        names = {key for key in self._keys() if key not in self._hidden} | self._shown.keys()
        keys = sorted(
            (
                key
                for key in names
                if key.startswith(prefix)
                and (not marker or (key < marker if descending else key > marker))
            ),
            reverse=descending,
        )
        page = keys[: min(limit or 5, 5)]
        return page, len(page) == len(keys)

    def _keys(self) -> list[str]:
        name = getattr(self, '_bucket', None) or self._container
        return ['/' + key.lstrip('/') for key in self.store.containers[name]]


class LaggingSwiftBank(Lagging, swift_bank_plugin.SwiftBankPlugin):
    store: Any


class LaggingS3Bank(Lagging, s3_bank_plugin.S3BankPlugin):
    store: Any


class ObjectStoreTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.stack = self.useFixture(_Stack()).stack
        self.useFixture(
            fixtures.MonkeyPatch(
                'karbor.services.protection.bank_plugins.object_store._SETTLE_PAUSES', (0.001,) * 5
            )
        )

    def fake(self, kind: str) -> Any:
        """A fake server, on a port until the test ends."""
        store = FAKES[kind]()
        self.stack.enter_context(store.serve())
        return store

    def both(self, **options: Any) -> Iterator[tuple[str, Any, Any]]:
        """Each kind with its fake server and a bank in it."""
        for kind in KINDS:
            store = self.fake(kind)
            yield kind, store, self.bank(kind, store, **options)

    def bank(self, kind: str, server: Any, **options: Any) -> Any:
        """A bank whose options of the client are given without the name of the kind."""
        values = {'retry_backoff': 0.01, **options}
        return BANKS[kind](server, **{f'{kind}_{name}': value for name, value in values.items()})


class _Stack(fixtures.Fixture):
    def _setUp(self) -> None:
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)


class FakeSwiftTest(bank_suite.BankPluginSuite, ObjectStoreTestCase):
    def make_plugin(self) -> bank_plugin.BankPlugin:
        return object_store_banks.swift_bank(self.fake('swift'))


class FakeS3Test(bank_suite.BankPluginSuite, ObjectStoreTestCase):
    def make_plugin(self) -> bank_plugin.BankPlugin:
        return object_store_banks.s3_bank(self.fake('s3'))


class LaggingSwiftTest(bank_suite.BankPluginSuite, ObjectStoreTestCase):
    def make_plugin(self) -> bank_plugin.BankPlugin:
        store = self.fake('swift')
        return object_store_banks.swift_bank(
            store, type('Bank', (LaggingSwiftBank,), {'store': store})
        )


class LaggingS3Test(bank_suite.BankPluginSuite, ObjectStoreTestCase):
    def make_plugin(self) -> bank_plugin.BankPlugin:
        store = self.fake('s3')
        return object_store_banks.s3_bank(store, type('Bank', (LaggingS3Bank,), {'store': store}))


class LagTest(ObjectStoreTestCase):
    """What a bank does about its own changes costs nothing when the store is up to date."""

    def lagging(self, **attributes: Any) -> Any:
        store = self.fake('swift')
        bank = object_store_banks.swift_bank(
            store, type('Bank', (LaggingSwiftBank,), {'store': store, **attributes})
        )
        return bank, store

    def test_nothing_is_asked_twice_of_a_store_that_is_up_to_date(self) -> None:
        for kind, store, bank in self.both():
            for number in range(3):
                bank.update_object(f'/a/{number}', 'x')
            bank.delete_object('/a/0')
            store.requests.clear()

            self.assertEqual(['/a/1', '/a/2'], bank.list_objects('/a/'))
            self.assertEqual('x', bank.get_object('/a/1'))

            pages = 2 if kind == 'swift' else 1
            self.assertEqual(
                {('GET', 'container'): pages, ('GET', 'object'): 1}, dict(store.requests)
            )

    def test_an_object_that_never_comes_is_not_waited_for_again(self) -> None:
        bank, _ = self.lagging(lag=1000)
        bank.update_object('/a', 'x')
        self.assertRaises(exception.BankObjectNotFound, bank.get_object, '/a')
        store_requests = bank._hidden['/a']

        self.assertRaises(exception.BankObjectNotFound, bank.get_object, '/a')
        self.assertEqual(store_requests - 1, bank._hidden['/a'])

    def test_what_somebody_else_deleted_is_not_listed(self) -> None:
        for _, store, bank in self.both():
            bank.update_object('/a/1', 'x')
            bank.update_object('/a/2', 'x')
            next(iter(store.containers.values())).popitem()

            self.assertEqual(['/a/1'], bank.list_objects('/a/'))
            self.assertRaises(exception.BankObjectNotFound, bank.get_object, '/a/2')

    def test_what_somebody_else_made_again_is_listed(self) -> None:
        for kind, store, bank in self.both():
            bank.update_object('/a/1', 'x')
            bank.delete_object('/a/1')
            other = type(bank)(bank._config)
            other.update_object('/a/1', 'y')

            self.assertEqual(['/a/1'], bank.list_objects('/a/'))
            self.assertEqual('y', bank.get_object('/a/1'))
            self.assertEqual(1, store.requests[('HEAD', 'object')], kind)

    def test_memory_ends(self) -> None:
        for _, store, bank in self.both():
            bank.update_object('/a/1', 'x')
            next(iter(store.containers.values())).clear()
            late = time.monotonic() + 601
            with mock.patch('time.monotonic', return_value=late):
                store.requests.clear()
                self.assertEqual([], bank.list_objects())
                self.assertEqual(0, store.requests[('HEAD', 'object')])
                bank.update_object('/a/2', 'x')
            self.assertEqual(['/a/2'], list(bank._memory._notes))


class FaultTest(ObjectStoreTestCase):
    CALLS = {
        'PUT': (lambda bank: bank.update_object('/a', 'y'), exception.BankUpdateObjectFailed),
        'GET': (lambda bank: bank.get_object('/a'), exception.BankGetObjectFailed),
        'DELETE': (lambda bank: bank.delete_object('/a'), exception.BankDeleteObjectFailed),
    }

    def with_proxy(self, **options: Any) -> Iterator[tuple[str, Any, Any]]:
        """Each kind with a proxy in front of its fake server and a bank behind that."""
        for kind in KINDS:
            store = self.fake(kind)
            proxy = fault_proxy.FaultProxy(store.url)
            proxy.start()
            self.stack.callback(proxy.stop)
            store.url = proxy.url
            bank = self.bank(kind, store, **options)
            bank.update_object('/a', 'x')
            yield kind, proxy, bank

    def test_what_fails_in_passing_is_tried_again(self) -> None:
        for kind, proxy, bank in self.with_proxy():
            for fault, (method, (call, _)) in itertools.product(
                (Fault.INTERNAL_ERROR, Fault.UNAVAILABLE, Fault.RESET_BEFORE, Fault.RESET_AFTER),
                self.CALLS.items(),
            ):
                bank.update_object('/a', 'x')
                proxy.rules = [Rule(method, '/a$', fault, times=3)]
                call(bank)
                self.assertEqual(3, proxy.rules[0].applied, (kind, fault, method))
                proxy.rules = [Rule('GET', 'bank-[^/]*$', fault, times=3)]
                bank.list_objects()
                self.assertEqual(3, proxy.rules[0].applied, (kind, fault))

    def test_trying_again_ends_with_a_reason(self) -> None:
        for kind, proxy, bank in self.with_proxy():
            for fault, said in (
                (Fault.UNAVAILABLE, 'answered 503'),
                (Fault.RESET_BEFORE, 'could not be reached'),
            ):
                proxy.rules = [Rule('.*', '', fault)]
                for call, error_class in (
                    *self.CALLS.values(),
                    (lambda bank: bank.list_objects(), exception.BankListObjectsFailed),
                ):
                    applied = proxy.rules[0].applied
                    error = self.assertRaises(error_class, call, bank)
                    self.assertNotIsInstance(error, exception.BankObjectNotFound)
                    self.assertIn(said, error.msg)
                    self.assertIn('(4 tries)', error.msg)
                    self.assertEqual(4, proxy.rules[0].applied - applied, kind)

    def test_how_often_is_an_option(self) -> None:
        for _, proxy, bank in self.with_proxy(retry_attempts=0):
            proxy.rules = [Rule('GET', '/a$', Fault.UNAVAILABLE)]

            error = self.assertRaises(exception.BankGetObjectFailed, bank.get_object, '/a')

            self.assertNotIn('tries', error.msg)
            self.assertEqual(1, proxy.rules[0].applied)

    def test_pauses_grow_and_heed_what_the_store_asks_for(self) -> None:
        for kind, proxy, bank in self.with_proxy(retry_backoff=2):
            proxy.rules = [
                Rule('GET', '/a$', Fault.UNAVAILABLE, times=2),
                Rule('GET', '/a$', Fault.TOO_MANY_REQUESTS, times=1, retry_after=17),
            ]
            with mock.patch('time.sleep') as sleep:
                self.assertEqual('x', bank.get_object('/a'))

            pauses = [call.args[0] for call in sleep.mock_calls if call.args]
            for pause, expected in zip(pauses, (2, 4, 17), strict=True):
                self.assertTrue(expected * 0.75 <= pause <= expected * 1.25, (kind, pauses))

    def test_however_long_the_pauses_grow_all_tries_are_made(self) -> None:
        for kind, store, bank in self.both(retry_attempts=9, retry_backoff=30):
            bank.update_object('/a', 'x')
            bank._clock = mock.Mock(monotonic=time.monotonic)
            store.answers[('GET', 'object')] = [503] * 9
            self.assertEqual('x', bank.get_object('/a'), kind)
            pauses = [call.args[0] for call in bank._clock.sleep.mock_calls]
            self.assertEqual(9, len(pauses))
            self.assertTrue(45 <= min(pauses[1:]) <= max(pauses) <= 75, pauses)

    def test_nobody_waits_for_hours(self) -> None:
        for _, proxy, bank in self.with_proxy():
            proxy.rules = [Rule('GET', '/a$', Fault.TOO_MANY_REQUESTS, retry_after=3600)]

            error = self.assertRaises(exception.BankGetObjectFailed, bank.get_object, '/a')

            self.assertIn('429', error.msg)

    def test_a_refusal_is_told_at_once(self) -> None:
        for kind, store, bank in self.both():
            bank.update_object('/a', 'x')
            for status in (400, 403, 413):
                store.answers[('PUT', 'object')] = [status]
                error = self.assertRaises(
                    exception.BankUpdateObjectFailed, bank.update_object, '/a', 'y'
                )
                self.assertIn(f'answered {status}', error.msg, kind)
            self.assertEqual('x', bank.get_object('/a'))

    def test_what_passes_is_told_apart(self) -> None:
        for kind, store, bank in self.both():
            for status, is_passing in ((503, True), (429, True), (403, False), (507, False)):
                store.answers[('PUT', 'object')] = 9 * [status]
                error = self.assertRaises(
                    exception.BankUpdateObjectFailed, bank.update_object, '/a', 'y'
                )
                self.assertEqual(is_passing, error.is_passing, (kind, status))
                store.answers.clear()

    def test_nobody_is_told_where_it_is(self) -> None:
        """The log is: what is told is raised from what has happened."""
        for kind, proxy, bank in self.with_proxy(retry_attempts=1):
            for fault in (Fault.UNAVAILABLE, Fault.RESET_BEFORE):
                proxy.rules = [Rule(fault=fault)]
                error = self.assertRaises(exception.BankError, bank.update_object, '/a', 'y')
                for secret in (proxy.url.removeprefix('http://'), 'bank-', 'AUTH_', 'made up'):
                    self.assertNotIn(secret, error.msg, kind)
            port = proxy.url.rpartition(':')[2]
            proxy.stop()
            error = self.assertRaises(exception.BankError, bank.check)
            self.assertTrue(error.is_passing)
            self.assertIn(port, str(error.__cause__), kind)
            self.assertNotIn(port, error.msg, kind)

    def test_a_store_that_does_not_answer(self) -> None:
        for _, proxy, bank in self.with_proxy(request_timeout=1, retry_attempts=1):
            proxy.rules = [Rule('GET', '/a$', latency=30)]
            start = time.monotonic()

            error = self.assertRaises(exception.BankGetObjectFailed, bank.get_object, '/a')

            self.assertIn('could not be reached', error.msg)
            self.assertLess(time.monotonic() - start, 10)

    def test_a_store_that_is_not_there(self) -> None:
        for kind in KINDS:
            store = self.fake(kind)
            store.url = 'http://127.0.0.1:9'
            bank = self.bank(kind, store)

            for call, error_class in self.CALLS.values():
                self.assertRaises(error_class, call, bank)
            self.assertRaises(exception.BankListObjectsFailed, bank.list_objects)
            self.assertRaises(exception.BankError, bank.check)

    def test_content_that_was_changed_on_its_way_is_read_again(self) -> None:
        store = self.fake('swift')
        bank = self.bank('swift', store)
        bank.update_object('/a', 'content')
        store.corrupt_reads = 2

        self.assertEqual('content', bank.get_object('/a'))
        store.corrupt_reads = 9
        error = self.assertRaises(exception.BankGetObjectFailed, bank.get_object, '/a')
        self.assertIn('other bytes', error.msg)

    def test_what_is_of_no_known_form(self) -> None:
        for kind, store, bank in self.both():
            bank.update_object('/a', b'\xc3\x28')
            content = next(iter(store.containers.values()))
            name = next(iter(content))
            content[name] = (b'\xc3\x28', {})

            error = self.assertRaises(exception.BankGetObjectFailed, bank.get_object, '/a')

            self.assertNotIsInstance(error, exception.BankObjectNotFound, kind)


class ContainerTest(ObjectStoreTestCase):
    def test_it_is_made_once_by_whoever_is_first(self) -> None:
        for _, store, bank in self.both():
            self.assertEqual({}, store.containers)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(
                    pool.map(
                        lambda number, bank=bank: bank.update_object(f'/{number}', 'x'), range(8)
                    )
                )

            self.assertEqual(1, store.requests[('PUT', 'container')])
            self.assertEqual(1, store.requests[('HEAD', 'container')])
            self.assertEqual([f'/{number}' for number in range(8)], bank.list_objects())

    def test_two_processes_make_it_at_once(self) -> None:
        for _, store, bank in self.both():
            bank.check()
            other = type(bank)(bank._config)
            store.answers[('HEAD', 'container')] = [404]

            other.update_object('/a', 'x')

            self.assertEqual('x', bank.get_object('/a'))

    def test_one_that_is_gone_is_not_taken_for_an_empty_one(self) -> None:
        for _, store, bank in self.both():
            bank.update_object('/a', 'x')
            store.containers.clear()

            for call, error_class in (
                (lambda bank: bank.get_object('/a'), exception.BankGetObjectFailed),
                (lambda bank: bank.update_object('/a', 'x'), exception.BankUpdateObjectFailed),
                (lambda bank: bank.delete_object('/a'), exception.BankDeleteObjectFailed),
                (lambda bank: bank.list_objects(), exception.BankListObjectsFailed),
                (lambda bank: bank.check(), exception.BankError),
            ):
                error = self.assertRaises(error_class, call, bank)
                self.assertNotIsInstance(error, exception.BankObjectNotFound)
                self.assertIn('is not there any more', error.msg)
            self.assertEqual({}, store.containers)

    def test_a_bucket_of_somebody_else(self) -> None:
        store = self.fake('s3')
        bank = self.bank('s3', store)
        store.answers = {('HEAD', 'container'): [404, 403]}
        store.containers[bank._bucket] = {}

        error = self.assertRaises(exception.BankUpdateObjectFailed, bank.update_object, '/a', 'x')

        self.assertIn('403', error.msg)

    def test_a_fault_at_the_first_use_is_not_kept(self) -> None:
        for _, store, bank in self.both(retry_attempts=0):
            store.answers[('HEAD', 'container')] = [503]
            self.assertRaises(exception.BankError, bank.check)

            bank.check()

            self.assertEqual(1, len(store.containers))

    def test_health_is_one_request(self) -> None:
        for _, store, bank in self.both():
            bank.check()
            store.requests.clear()
            bank.check()
            self.assertEqual({('HEAD', 'container'): 1}, dict(store.requests))
            store.answers[('HEAD', 'container')] = [503]
            self.assertRaises(exception.BankError, bank.check)
            self.assertEqual({('HEAD', 'container'): 2}, dict(store.requests))

    def test_what_else_is_in_a_shared_container_is_not_listed(self) -> None:
        for _, store, bank in self.both():
            bank.update_object('/a/1', 'x')
            content = next(iter(store.containers.values()))
            for name in ('a/', '/a/', 'a/b c', '/a/b c', 'ä', '/ä'):
                content[name] = (b'', {})

            self.assertEqual(['/a/1'], bank.list_objects())


class SwiftTest(ObjectStoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.fake('swift')
        self.plugin = self.bank('swift', self.store)

    def test_names_and_marks_are_those_of_older_karbors(self) -> None:
        self.plugin.update_object('/a/json', {'b': 1})
        self.plugin.update_object('/a/text', 'x')

        self.assertEqual(
            {'/a/json': (b'{"b": 1}', {'x-object-meta-serialized': 'true'}), '/a/text': (b'x', {})},
            next(iter(self.store.containers.values())),
        )

    def test_a_token_that_ended_is_replaced(self) -> None:
        self.plugin.update_object('/a', 'x')
        for _ in range(2):
            self.store.tokens.clear()
            self.assertEqual('x', self.plugin.get_object('/a'))
        self.assertEqual(3, self.store.requests[('GET', 'service')])

    def test_one_token_for_many_threads(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: self.plugin.update_object(f'/{number}', 'x'), range(40)))

        self.assertEqual(1, self.store.requests[('GET', 'service')])
        self.assertLessEqual(len(self.plugin._account._idle), 8)

    def test_an_answer_that_is_not_swifts(self) -> None:
        self.plugin.check()
        self.store.answers[('GET', 'container')] = [200] * 3
        self.assertEqual([], self.plugin.list_objects())
        self.store.answers[('GET', 'container')] = [200] * 4
        error = self.assertRaises(exception.BankListObjectsFailed, self.plugin.list_objects)

        self.assertIn('no JSON', error.msg)

    def test_a_refused_password(self) -> None:
        self.store.key = 'changed'

        error = self.assertRaises(exception.BankGetObjectFailed, self.plugin.get_object, '/a')

        self.assertIn('no token', error.msg)
        self.assertEqual(1, self.store.requests[('GET', 'service')])

    def test_an_endpoint_instead_of_the_catalogs(self) -> None:
        bank = self.bank('swift', self.store, endpoint=f'{self.store.url}/v1/AUTH_other/')

        bank.update_object('/a', 'x')

        self.assertEqual('x', bank.get_object('/a'))


class S3Test(ObjectStoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.fake('s3')

    def test_names_begin_with_no_slash(self) -> None:
        self.bank('s3', self.store).update_object('/a/json', {'b': 1})

        self.assertEqual(
            {'a/json': (b'{"b": 1}', {'x-amz-meta-x-object-meta-serialized': 'true'})},
            next(iter(self.store.containers.values())),
        )

    def test_a_prefix(self) -> None:
        for prefix in ('/', 'karbor/', 'karbor-'):
            store = self.fake('s3')
            bank = s3_bank_plugin.S3BankPlugin(
                provider_files.options(
                    {
                        's3_bank_plugin': {'bank_s3_object_prefix': prefix},
                        's3_client': {
                            's3_endpoint': store.url,
                            's3_access_key': store.user,
                            's3_secret_key': store.key,
                        },
                    }
                )
            )
            for number in range(20):
                bank.update_object(f'/a/{number:02}', 'x')
            store.containers['karbor']['another'] = (b'', {})

            self.assertIn(f'{prefix}a/00', store.containers['karbor'])
            keys = [f'/a/{number:02}' for number in range(20)]
            self.assertEqual(keys, bank.list_objects())
            self.assertEqual(keys[:4:-1], bank.list_objects('a', 15, sort_dir='desc'))
            self.assertEqual(keys[6:9], bank.list_objects('/a/', 3, '/a/05'))


class OptionsTest(base.BaseTestCase):
    SWIFT = {
        'swift_auth_url': 'http://keystone.example/v3',
        'swift_user': 'karbor',
        'swift_key': 'hidden-one',
        'swift_tenant_name': 'service',
    }
    S3 = {'s3_access_key': 'a', 's3_secret_key': 'hidden-one'}

    def _refused(self, plugin_class: Any, sections: dict[str, Any]) -> str:
        error = self.assertRaises(
            (exception.InvalidParameterValue, ValueError, cfg.Error),
            self._load,
            plugin_class,
            sections,
        )
        self.assertNotIn('hidden-one', str(error))
        return str(error)

    @staticmethod
    def _load(plugin_class: Any, sections: dict[str, Any]) -> Any:
        config = provider_files.options(sections)
        plugin = plugin_class(config)
        conf.check(config)
        return plugin

    def test_what_is_missing_is_named(self) -> None:
        for name in self.SWIFT:
            given = {key: value for key, value in self.SWIFT.items() if key != name}
            self.assertIn(
                f'[swift_client] {name} must be set',
                self._refused(swift_bank_plugin.SwiftBankPlugin, {'swift_client': given}),
            )
        for name in self.S3:
            given = {key: value for key, value in self.S3.items() if key != name}
            self.assertIn(
                f'[s3_client] {name} must be set',
                self._refused(s3_bank_plugin.S3BankPlugin, {'s3_client': given}),
            )

    def test_what_makes_no_sense_is_refused(self) -> None:
        for section, name, value in (
            ('swift_client', 'swift_auth_url', 'keystone'),
            ('swift_client', 'swift_catalog_info', 'object-store'),
            ('swift_client', 'swift_retry_attempts', '-1'),
            ('swift_client', 'swift_request_timeout', '0'),
            ('swift_client', 'auth_type', 'no-such-type'),
            ('swift_bank_plugin', 'bank_swift_object_container', 'a/b'),
            ('swift_bank_plugin', 'bank_swift_object_container', ''),
        ):
            sections = {'swift_client': dict(self.SWIFT), 'swift_bank_plugin': {}}
            sections[section][name] = value
            self._refused(swift_bank_plugin.SwiftBankPlugin, sections)
        for section, name, value in (
            ('s3_client', 's3_endpoint', 'server'),
            ('s3_client', 's3_retry_backoff', 'long'),
            ('s3_client', 's3_addressing_style', 'none'),
            ('s3_bank_plugin', 'bank_s3_object_bucket', 'a/b'),
            ('s3_bank_plugin', 'bank_s3_object_bucket', 'x'),
        ):
            sections = {'s3_client': dict(self.S3), 's3_bank_plugin': {}}
            sections[section][name] = value
            self._refused(s3_bank_plugin.S3BankPlugin, sections)

    def test_files_of_older_karbors_load_without_a_request(self) -> None:
        lease = {'lease_expire_window': 300, 'lease_renew_window': 100}
        self._load(
            swift_bank_plugin.SwiftBankPlugin,
            {'swift_client': self.SWIFT, 'swift_bank_plugin': lease},
        )
        self._load(
            s3_bank_plugin.S3BankPlugin,
            {
                's3_client': {**self.S3, 's3_endpoint': 'http://s3.example'},
                's3_bank_plugin': {**lease, 'bank_s3_lease_bucket': 'lease'},
            },
        )

    def test_every_option_is_documented(self) -> None:
        text = pathlib.Path(karbor.__file__).parents[1].joinpath('doc/source/banks.rst').read_text()
        for option in (
            *swift_bank_plugin.OPTS,
            *swift_bank_plugin.CLIENT_OPTS,
            *s3_bank_plugin.OPTS,
            *s3_bank_plugin.CLIENT_OPTS,
        ):
            self.assertIn(option.name, text)

    def test_the_entry_points(self) -> None:
        self.assertIs(
            swift_bank_plugin.SwiftBankPlugin, provider.load_class('karbor-swift-bank-plugin')
        )
        self.assertIs(s3_bank_plugin.S3BankPlugin, provider.load_class('karbor-s3-bank-plugin'))


class SecretsTest(ObjectStoreTestCase):
    """Neither logs at their most verbose nor errors tell a secret."""

    def setUp(self) -> None:
        super().setUp()
        self.logged = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))

    def test_of_a_bank_that_works_and_of_one_that_does_not(self) -> None:
        for kind, store, bank in self.both():
            bank.update_object('/a', 'x')
            bank.get_object('/a')
            bank.list_objects()
            bank.delete_object('/a')
            store.answers = {('GET', 'object'): [403], ('GET', 'container'): [500] * 9}
            errors = [
                self.assertRaises(exception.BankGetObjectFailed, bank.get_object, '/a'),
                self.assertRaises(exception.BankListObjectsFailed, bank.list_objects),
            ]
            with fixtures.FakeLogger(level=logging.DEBUG) as logged:
                bank._config.log_opt_values(logging.getLogger(), logging.DEBUG)

            text = ''.join([self.logged.output, logged.output, *map(str, errors)])
            self.assertIn('/a', text)
            self.assertNotIn(store.key, text, kind)
            for token in getattr(store, 'tokens', ()):
                self.assertNotIn(token, text)
