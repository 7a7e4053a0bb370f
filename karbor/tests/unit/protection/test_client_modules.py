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

"""Client modules of third parties: they lie beside Karbor's own, and import what was there."""

import pathlib
import subprocess
import sys
from typing import Any
from unittest import mock

import fixtures
from keystoneauth1 import access, token_endpoint
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import access as identity_access
from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslotest import base

from karbor import context as karbor_context
from karbor import exception, utils
from karbor.services.protection import client_factory, clients
from karbor.services.protection.protection_plugins import noop_plugin
from karbor.testing.fake_cinder import FakeCinder
from karbor.tests import third_party

CATALOG = [
    {
        'type': 'compute',
        'name': 'nova',
        'endpoints': [
            {'interface': interface, 'region': region, 'region_id': region, 'url': url}
            for interface, region, url in (
                ('public', 'A', 'http://a'),
                ('internal', 'A', 'http://in-a'),
                ('public', 'B', 'http://b'),
            )
        ],
    }
]


def _context(**fields: Any) -> karbor_context.RequestContext:
    return karbor_context.RequestContext('u', 'p', overwrite=False, **fields)


def _session() -> ks_session.Session:
    """A session whose token has the catalog."""
    token = {
        'user': {'id': 'u', 'name': 'u', 'domain': {'id': 'default', 'name': 'Default'}},
        'expires_at': '2999-11-05T10:00:00.000000Z',
        'issued_at': '2020-11-05T10:00:00.000000Z',
        'methods': ['password'],
        'catalog': CATALOG,
    }
    info = access.create(body={'token': token}, auth_token='t')
    return ks_session.Session(identity_access.AccessInfoPlugin(info, 'http://keystone/v3'))


class ClientModulesTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        outside = third_party.ThirdParty('unloadable_plugin', 'nova_client')
        self.folder = self.useFixture(outside).folder
        broken = (self.folder / 'unloadable_plugin.py').rename(self.folder / 'aaa_broken.py')
        (self.folder / 'zzz_broken.py').write_text(broken.read_text())
        (self.folder / 'aab_helper.py').write_text('')
        path = [str(self.folder), *clients.__path__]
        self.useFixture(fixtures.MonkeyPatch(f'{clients.__name__}.__path__', path))
        self._forget()
        self.addCleanup(self._forget)
        self.addCleanup(client_factory.use_sessions, None)
        self.options = self.useFixture(config_fixture.Config(cfg.CONF))

    @staticmethod
    def _forget() -> None:
        client_factory._imported.cache_clear()
        sys.modules.pop(f'{clients.__name__}.nova_client', None)

    def nova(self, context: karbor_context.RequestContext, **kwargs: Any) -> Any:
        return client_factory.ClientFactory.create_client('nova', context, **kwargs)


class BrokenModulesTest(ClientModulesTestCase):
    def test_they_take_no_other_along(self) -> None:
        cinder = FakeCinder()
        client_factory.use_sessions(lambda context: cinder.session())
        client = client_factory.ClientFactory.create_client('cinder', _context())
        self.assertEqual([], client.volumes.list())

    def test_each_is_logged_once(self) -> None:
        with mock.patch.object(client_factory.LOG, 'exception') as logged:
            for _ in range(2):
                error = self.assertRaises(
                    exception.KarborException,
                    client_factory.ClientFactory.create_client,
                    'no-such',
                    _context(),
                )
        self.assertIn("'no-such'", str(error))
        self.assertEqual(
            [f'{clients.__name__}.{name}' for name in ('aaa_broken', 'zzz_broken')],
            sorted(call.args[1] for call in logged.call_args_list),
        )


class UrlTest(ClientModulesTestCase):
    """Where a client module finds its service, by ``get_url``."""

    def with_catalog(self) -> karbor_context.RequestContext:
        return _context(auth_token_info={'token': {'catalog': CATALOG}})

    def set(self, **options: Any) -> None:
        client_factory._client_module('nova')  # registers them
        self.options.config(group='nova_client', **options)

    def url(self, context: karbor_context.RequestContext | None = None, **kwargs: Any) -> str:
        return self.nova(context or self.with_catalog(), **kwargs)['url']

    def test_the_configured_one_comes_first(self) -> None:
        self.set(nova_endpoint='http://here')
        self.assertEqual('http://here/p', self.url())

    def test_that_of_the_requests_catalog(self) -> None:
        self.assertEqual('http://a', self.url())
        self.set(region_id='B')
        self.assertEqual('http://b', self.url())
        self.set(region_id='A', nova_catalog_info='compute:nova:internalURL')
        self.assertEqual('http://in-a', self.url())

    def test_that_of_a_jobs_catalog(self) -> None:
        client_factory.use_sessions(lambda context: _session())
        self.assertEqual('http://a', self.url(_context()))

    def test_only_keystone_for_a_privileged_user(self) -> None:
        self.set(nova_endpoint='http://here', region_id='A')
        client_factory.use_sessions(lambda context: _session())
        self.assertEqual('http://in-a', self.url(privileged_user=True))

    def test_none(self) -> None:
        self.assertRaises(exception.KarborException, self.url, _context())
        self.set(nova_catalog_info='')
        self.assertRaises(exception.KarborException, self.url)

    def test_a_catalog_info_of_another_form(self) -> None:
        self.set(nova_catalog_info='compute')
        error = self.assertRaises(exception.KarborException, self.url)
        self.assertIn("nova_catalog_info 'compute' is not", str(error))

    def test_options_and_their_defaults(self) -> None:
        self.assertEqual('internal', self.nova(self.with_catalog())['interface'])
        group = cfg.CONF.nova_client
        self.assertEqual(
            ('nova', 'compute', None, 'RegionOne', 'internal', None, False),
            tuple(
                group[name]
                for name in (
                    'service_name',
                    'service_type',
                    'version',
                    'region_id',
                    'interface',
                    'ca_cert_file',
                    'auth_insecure',
                )
            ),
        )


class CatalogTest(base.BaseTestCase):
    """The catalog of a context, whoever made it."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(client_factory.use_sessions, None)

    def test_of_a_request_and_of_a_job(self) -> None:
        expected = [
            {
                'type': 'compute',
                'name': 'nova',
                'endpoints': [
                    {'region': 'A', 'publicURL': 'http://a', 'internalURL': 'http://in-a'},
                    {'region': 'B', 'publicURL': 'http://b'},
                ],
            }
        ]
        request = _context(auth_token_info={'token': {'catalog': CATALOG}})
        self.assertEqual(expected, request.service_catalog)
        client_factory.use_sessions(lambda context: _session())
        job = _context()
        self.assertEqual(expected, job.service_catalog)
        self.assertIs(job.service_catalog, job.service_catalog)

    def test_what_is_given_comes_first(self) -> None:
        client_factory.use_sessions(lambda context: _session())
        self.assertEqual([{'type': 'x'}], _context(service_catalog=[{'type': 'x'}]).service_catalog)
        self.assertEqual([], _context(service_catalog=[]).service_catalog)

    def test_a_session_without_a_catalog(self) -> None:
        auth = token_endpoint.Token('http://cinder', 't')
        client_factory.use_sessions(lambda context: ks_session.Session(auth))
        self.assertEqual([], _context().service_catalog)


class CinderOptionsTest(base.BaseTestCase):
    def test_the_group_is_there_once_the_module_is_imported(self) -> None:
        code = (
            'from karbor.services.protection.clients import cinder\n'
            'from oslo_config import cfg\n'
            "cfg.CONF.set_default('cinder_endpoint', 'http://c', 'cinder_client')\n"
        )
        subprocess.run([sys.executable, '-c', code], check=True, timeout=60)


class UtilsTest(base.BaseTestCase):
    def test_configuration_that_is_found(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(config_fixture.Config(cfg.CONF))
        found = folder / 'eisoo.conf'
        found.write_text('')
        self.assertRaises(exception.ConfigNotFound, utils.find_config, 'eisoo.conf')
        self.assertEqual(str(found), utils.find_config(str(found)))
        cfg.CONF.set_override('provider_config_dir', str(folder / 'providers.d'))
        self.assertEqual(str(found), utils.find_config('eisoo.conf'))

    def test_plugins_that_are_found(self) -> None:
        group, path = 'karbor.protections', 'karbor.services.protection.protection_plugins'
        dotted = f'{path}.noop_plugin.NoopProtectionPlugin'
        for name in ('karbor-noop-protection-plugin', dotted):
            self.assertIs(noop_plugin.NoopProtectionPlugin, utils.load_class(group, name))
        self.assertIsInstance(
            utils.load_plugin(group, dotted, None), noop_plugin.NoopProtectionPlugin
        )
        self.assertRaises(ImportError, utils.load_class, group, 'no.such.Plugin')
