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

"""Banks in a real Swift, by its own protocol and by that of S3."""

import functools
import os
import time
from typing import Any

import fixtures
import openstack
import swiftclient
from oslotest import base

from karbor import exception
from karbor.services.protection import bank_plugin
from karbor.services.protection.bank_plugins import s3_bank_plugin, swift_bank_plugin
from karbor.testing import bank_suite, provider_files
from karbor.tests import object_store, object_store_banks
from karbor.tests.integration import base as integration_base
from karbor.tests.integration import cloud

# Small, so that listings of the suite have several pages; Swift's own default where time is taken.
PAGE = 10_000 if 'KARBOR_TEST_CHECKPOINTS' in os.environ else 8


class SwiftBankTest(bank_suite.BankPluginSuite, base.BaseTestCase):
    def make_plugin(self) -> bank_plugin.BankPlugin:
        return object_store_banks.swift_bank(object_store.running(PAGE))


class S3BankTest(bank_suite.BankPluginSuite, base.BaseTestCase):
    def make_plugin(self) -> bank_plugin.BankPlugin:
        return object_store_banks.s3_bank(object_store.running(PAGE))


class SwiftBankWithListingsOfThePastTest(bank_suite.BankPluginSuite, base.BaseTestCase):
    """No listing ever tells of what the suite writes and deletes."""

    def make_plugin(self) -> bank_plugin.BankPlugin:
        return object_store_banks.swift_bank(object_store.running(PAGE, is_behind=True))

    def test_the_store_is_behind_indeed(self) -> None:
        server = object_store.running(PAGE, is_behind=True)
        for key in ('/a/1', '/a/2'):
            self.plugin.update_object(key, 'x')
        other = type(self.plugin)(self.plugin._config)

        self.assertEqual([], other.list_objects())
        server.catch_up()
        self.assertEqual(['/a/1', '/a/2'], other.list_objects())
        other.delete_object('/a/1')
        self.assertEqual(['/a/1', '/a/2'], self.plugin.list_objects())
        self.assertEqual(['/a/2'], other.list_objects())
        server.catch_up()
        self.assertEqual(['/a/2'], self.plugin.list_objects())


class SwiftTest(base.BaseTestCase):
    def test_names_that_old_karbors_gave(self) -> None:
        server = object_store.running(PAGE)
        bank = object_store_banks.swift_bank(server)
        bank.update_object('/a/b', {'c': 1})
        bank.update_object('/a/text', 'available')

        connection = swiftclient.Connection(server.auth_url, server.user, server.key)
        headers, content = connection.get_object(bank._container, '/a/b')

        self.assertEqual(b'{"c": 1}', content)
        self.assertEqual('true', headers['x-object-meta-serialized'])
        self.assertEqual('available', bank.get_object('/a/text'))
        self.assertEqual((b'available', None), bank._get('/a/text'))

    def test_tokens_that_end(self) -> None:
        server = object_store.Swift(token_life=1)
        self.addCleanup(server.stop)
        bank = object_store_banks.swift_bank(server)
        for number in range(4):
            bank.update_object('/a', number)
            self.assertEqual(number, bank.get_object('/a'))
            time.sleep(0.6)

    def test_a_part_of_swift_that_hangs(self) -> None:
        server = object_store.running(PAGE)
        bank = object_store_banks.swift_bank(
            server, swift_request_timeout=1, swift_retry_attempts=1
        )
        bank.update_object('/a', 'x')
        with server.pause('object'):
            for call in (lambda: bank.update_object('/a', 'y'), lambda: bank.get_object('/a')):
                error = self.assertRaises(exception.BankError, call)
                self.assertIn('could not be reached', error.msg)
            self.assertEqual(['/a'], bank.list_objects())
        with server.pause('proxy'):
            self.assertRaises(exception.BankError, bank.check)

        bank.check()
        self.assertIn(bank.get_object('/a'), 'xy')

    def test_what_is_wrong_is_said(self) -> None:
        server = object_store.running(PAGE)
        for bank, said in (
            (object_store_banks.swift_bank(server, password='wrong'), 'no token for Swift'),
            (object_store_banks.s3_bank(server, s3_secret_key='wrong'), '403'),
            (object_store_banks.s3_bank(server, s3_access_key='wrong'), '403'),
            (
                object_store_banks.s3_bank(server, s3_endpoint=server.url.replace('http', 'https')),
                'could not be reached',
            ),
        ):
            error = self.assertRaises(exception.BankError, bank.check)
            self.assertIn(said, error.msg)
            self.assertNotIn(server.key, error.msg)

    def test_a_container_that_was_deleted(self) -> None:
        server = object_store.running(PAGE)
        connection = swiftclient.Connection(server.auth_url, server.user, server.key)
        for bank in (object_store_banks.swift_bank(server), object_store_banks.s3_bank(server)):
            bank.check()
            connection.delete_container(getattr(bank, '_bucket', None) or bank._container)

            for call in (
                bank.check,
                bank.list_objects,
                lambda bank=bank: bank.get_object('/a'),
                lambda bank=bank: bank.update_object('/a', 'x'),
            ):
                error = self.assertRaises(exception.BankError, call)
                self.assertNotIsInstance(error, exception.BankObjectNotFound)
                self.assertIn('not there any more', error.msg)


@functools.cache
def _swift_of_the_cloud() -> object_store.Swift:
    """A Swift in the sandbox's catalog, which goes with the sandbox."""
    server = object_store.Swift(keystone=cloud.Project().add_user('admin', 'service'))
    identity = cloud.admin().identity
    service = identity.create_service(name='swift', type='object-store')
    identity.create_endpoint(
        service_id=service.id,
        interface='public',
        region_id='RegionOne',
        url=server.storage_url('$(project_id)s'),
    )
    return server


class SwiftOfACloudTest(base.BaseTestCase):
    """A Swift that asks a real Keystone about tokens, and is in its catalog."""

    def setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('OS_TEST_TIMEOUT', '300'))
        super().setUp()
        _swift_of_the_cloud()
        self.project = cloud.Project()

    def _bank(self, **options: str) -> swift_bank_plugin.SwiftBankPlugin:
        return swift_bank_plugin.SwiftBankPlugin(
            provider_files.options({'swift_client': {'swift_retry_backoff': 0.1, **options}})
        )

    def _exercise(self, bank: swift_bank_plugin.SwiftBankPlugin) -> None:
        bank.check()
        bank.update_object('/a/b', ['x'])
        self.assertEqual(['/a/b'], bank.list_objects())
        self.assertEqual(['x'], bank.get_object('/a/b'))

    def test_with_the_names_of_options_that_karbor_always_had(self) -> None:
        auth = self.project.auth
        self._exercise(
            self._bank(
                swift_auth_url=auth['auth_url'],
                swift_user=auth['username'],
                swift_key=auth['password'],
                swift_tenant_name=auth['project_name'],
            )
        )

    def test_with_an_application_credential(self) -> None:
        created = openstack.connect(auth=self.project.auth).identity.create_application_credential(
            self.project.user_id, 'bank'
        )
        bank = self._bank(
            auth_type='v3applicationcredential',
            auth_url=self.project.auth['auth_url'],
            application_credential_id=created.id,
            application_credential_secret=created.secret,
        )
        self._exercise(bank)
        bank._account._session.auth.auth_ref._auth_token = 'gAAAAA-not-a-token'
        self._exercise(bank)

    def test_a_user_without_a_role_there(self) -> None:
        auth = self.project.add_user('reader')
        bank = self._bank(
            swift_auth_url=auth['auth_url'],
            swift_user=auth['username'],
            swift_key=auth['password'],
            swift_tenant_name=auth['project_name'],
        )

        error = self.assertRaises(exception.BankError, bank.check)

        self.assertIn('403 Forbidden', error.msg)


class StandaloneTest(integration_base.IntegrationTestCase):
    """The main job with each bank: protect, restart, verify, restore, delete."""

    def _exercise(
        self, name: str, sections: dict[str, dict[str, Any]], bank: bank_plugin.BankPlugin
    ) -> None:
        karbor = integration_base.Standalone(self.project, self.folder, self.plugin_options)
        path = karbor.state / 'providers.d/test.conf'
        path.write_text(
            path.read_text().replace('karbor-fs-bank-plugin', name)
            + provider_files.ini_text(sections)
        )
        karbor.start()
        self.addCleanup(karbor.kill)
        volume_ids = self.project.volumes(2)
        checkpoint_id = karbor.protect(karbor.plan(volume_ids))
        karbor.wait_for_checkpoint(checkpoint_id, 'available')
        recorded = {
            volume_id: [
                bank.get_object(f'/checkpoints/{checkpoint_id}/resource-data/{volume_id}/metadata')[
                    'snapshot_id'
                ]
            ]
            for volume_id in volume_ids
        }
        self.assertEqual(self.project.snapshots(), recorded)

        karbor.kill()
        karbor.start()
        for kind in ('verification', 'restore'):
            use = karbor.wait_for_use(kind, karbor.use(kind, checkpoint_id))
            self.assertEqual('success', use['status'], use)
        self.assertEqual('deleted', karbor.delete(checkpoint_id)['status'])
        self.assertEqual({}, self.project.snapshots())
        self.assertEqual([], bank.list_objects('/indices/'))
        self.assertNotIn(object_store.KEY, karbor.log.read_text())

    def test_swift(self) -> None:
        sections = object_store_banks.swift_sections(object_store.running(PAGE))
        self._exercise(
            'karbor-swift-bank-plugin',
            sections,
            swift_bank_plugin.SwiftBankPlugin(provider_files.options(sections)),
        )

    def test_s3(self) -> None:
        sections = object_store_banks.s3_sections(object_store.running(PAGE))
        self._exercise(
            'karbor-s3-bank-plugin',
            sections,
            s3_bank_plugin.S3BankPlugin(provider_files.options(sections)),
        )
