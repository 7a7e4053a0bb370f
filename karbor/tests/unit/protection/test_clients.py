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

"""Clients of services: whose session, which endpoint, what its errors keep."""

from typing import Any
from unittest import mock

from cinderclient import exceptions as cinder_exc
from keystoneauth1 import access, token_endpoint
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import access as identity_access
from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslotest import base

from karbor import context as karbor_context
from karbor import exception
from karbor.conf import cinder_client as cinder_client_conf
from karbor.services.cinder import job as cinder_job
from karbor.services.cinder.marks import Marks
from karbor.services.protection import client_factory
from karbor.testing.fake_cinder import FakeCinder, Fault


class ClientsTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cinder = FakeCinder()
        self.conf = cfg.ConfigOpts()
        self.conf(args=[], default_config_files=[], default_config_dirs=[])
        cinder_client_conf.register_opts(self.conf)
        self.overrides = self.useFixture(config_fixture.Config(self.conf))
        self.context = karbor_context.RequestContext(
            user_id='u',
            project_id='p',
            auth_token='of-the-request',
            service_catalog=[
                {'type': 'compute', 'name': 'nova', 'endpoints': [{'publicURL': 'http://nova'}]},
                {'type': 'volumev3', 'name': 'cinderv3', 'endpoints': []},
                {
                    'type': 'volumev3',
                    'name': 'cinderv3',
                    'endpoints': [
                        {'publicURL': 'http://public/v3/p', 'internalURL': 'http://in/v3/p'}
                    ],
                },
            ],
        )
        self.addCleanup(client_factory.use_sessions, None)

    def create(self, **kwargs: Any) -> Any:
        return client_factory.ClientFactory.create_client(
            'cinder', self.context, self.conf, **kwargs
        )

    def set(self, **options: Any) -> None:
        self.overrides.config(group='cinder_client', **options)


class ClientFactoryTest(ClientsTestCase):
    def test_unknown_service(self) -> None:
        error = self.assertRaises(
            exception.KarborException,
            client_factory.ClientFactory.create_client,
            'nova',
            self.context,
            self.conf,
        )
        self.assertIn("'nova'", str(error))

    def test_the_loader_is_asked_for_the_session_of_the_context(self) -> None:
        asked: list[Any] = []

        def load(context: Any) -> Any:
            asked.append(context)
            return self.cinder.session()

        client_factory.use_sessions(load)
        volume = self.cinder.add_volume(name='mine')
        self.assertEqual('mine', self.create().volumes.get(volume['id']).name)
        self.assertEqual([self.context], asked)

    def test_it_is_told_how_requests_are_answered(self) -> None:
        traffic = self.context.traffic = mock.Mock()
        self.addCleanup(setattr, self.context, 'traffic', None)
        volume = self.cinder.add_volume()
        client = self.create(session=self.cinder.session())
        client.volumes.get(volume['id'])
        client.volumes.list()  # takes as long as it is long
        self.cinder.faults = [
            Fault('POST', status=429, headers={'Retry-After': '7'}, times=1),
            Fault('POST', status=503, times=1),
            Fault('POST', status=500, times=1),
        ]
        for _ in range(3):
            self.assertRaises(
                cinder_exc.ClientException, client.volume_snapshots.create, volume['id']
            )
        client.volume_snapshots.create(volume['id'])
        self.assertEqual(
            [
                mock.call.heard(200),
                mock.call.answered('GET volumes', mock.ANY),
                mock.call.heard(200),
                mock.call.heard(429),
                mock.call.refused('7', is_for_all=False),
                mock.call.heard(503),
                mock.call.refused(None, is_for_all=True),
                mock.call.heard(500),
                mock.call.heard(202),
                mock.call.answered('POST snapshots', mock.ANY),
            ],
            traffic.mock_calls,
        )

    def test_a_session_that_is_given_comes_first(self) -> None:
        other = FakeCinder()
        client_factory.use_sessions(lambda context: other.session())
        self.create(session=self.cinder.session()).volumes.list()
        self.assertEqual((1, 0), (sum(self.cinder.requests.values()), sum(other.requests.values())))

    def test_without_a_loader_the_token_is_used_again(self) -> None:
        client_factory.use_sessions(lambda context: self.cinder.session())
        client_factory.use_sessions(None)
        client = self.create().client
        self.assertEqual('of-the-request', client.session.get_token())

    def test_a_patched_create_is_honoured(self) -> None:
        with mock.patch('karbor.services.protection.clients.cinder.create') as create:
            self.assertIs(create.return_value, self.create(extra=1))
            job = cinder_job.CinderJob(self.context, 1, 1)
        self.assertIs(create.return_value.volume_snapshots, job.snapshots(Marks()).manager)
        self.assertEqual((self.context, self.conf), create.call_args_list[0].args)
        self.assertEqual({'extra': 1, 'privileged_user': False}, create.call_args_list[0].kwargs)


class CinderClientTest(ClientsTestCase):
    def endpoint(self) -> str:
        return self.create().client.get_endpoint()

    def test_token_and_catalog(self) -> None:
        session_client = self.create().client
        self.assertEqual('http://public/v3/p', session_client.get_endpoint())
        self.assertEqual('of-the-request', session_client.session.get_token())

    def test_another_interface_of_the_catalog(self) -> None:
        self.set(cinder_catalog_info='volumev3:cinderv3:internalURL')
        self.assertEqual('http://in/v3/p', self.endpoint())

    def test_an_option_that_is_not_in_its_form(self) -> None:
        for text in ('volumev3', 'volumev3:publicURL', ':cinderv3:publicURL', 'a:b:c:d', 'a:b:'):
            self.set(cinder_catalog_info=text)
            error = self.assertRaises(exception.KarborException, self.create)
            self.assertIn(f'cinder_catalog_info {text!r} is not <type>:', str(error))

    def test_no_endpoint_in_the_catalog(self) -> None:
        self.set(cinder_catalog_info='block-storage:cinder:publicURL')
        error = self.assertRaises(exception.KarborException, self.create)
        self.assertIn('no endpoint of Cinder', str(error))

    def test_configured_endpoint_and_the_token(self) -> None:
        self.set(cinder_endpoint='http://configured/v3')
        self.context.service_catalog = []
        self.assertEqual('http://configured/v3/p', self.endpoint())

    def test_configured_endpoint_and_a_session(self) -> None:
        with self.cinder.serve() as url:
            self.set(cinder_endpoint=url)
            session = ks_session.Session(token_endpoint.Token('http://nowhere.invalid', 't'))
            self.assertEqual([], self.create(session=session).volumes.list())
        self.assertEqual({('GET', '/volumes/detail'): 1}, dict(self.cinder.requests))

    def test_options_of_the_connection(self) -> None:
        self.set(request_timeout=7, cinder_ca_cert_file='/ca.pem')
        session = self.create().client.session
        self.assertEqual((7.0, '/ca.pem'), (session.timeout, session.verify))

    def test_insecure(self) -> None:
        self.set(cinder_auth_insecure=True, cinder_ca_cert_file='/ca.pem')
        self.assertIs(False, self.create().client.session.verify)

    def test_checked_with_the_systems_authorities_otherwise(self) -> None:
        self.assertIs(True, self.create().client.session.verify)

    def test_endpoint_of_the_catalog_by_session(self) -> None:
        self.set(region_id='north', interface='internal', service_type='volumev3')
        adapter = self.create(session=self.cinder.session()).client
        self.assertEqual(
            ('north', 'internal', 'volumev3', None),
            (
                adapter.region_name,
                adapter.interface,
                adapter.service_type,
                adapter.endpoint_override,
            ),
        )

    def test_microversion_is_one_that_honours_force(self) -> None:
        self.assertEqual('3.43', self.create().api_version.get_string())
        self.assertEqual('3.43', self.create().client.default_microversion)


class ErrorsTest(ClientsTestCase):
    def error(self, *faults: Fault) -> Any:
        self.cinder.faults = list(faults)
        client = self.create(session=self.cinder.session())
        return self.assertRaises(cinder_exc.ClientException, client.volumes.get, 'some')

    def test_retry_after_is_kept(self) -> None:
        for status in (429, 503, 413):
            error = self.error(Fault(status=status, headers={'Retry-After': '17'}))
            self.assertEqual((status, '17'), (error.code, error.retry_after))

    def test_no_retry_after(self) -> None:
        self.assertIsNone(self.error(Fault(status=503)).retry_after)

    def test_classes_and_words_are_cinderclients(self) -> None:
        error = self.error()
        self.assertIsInstance(error, cinder_exc.NotFound)
        self.assertEqual('Volume some could not be found.', error.message)

    def test_the_address_is_kept(self) -> None:
        self.assertEqual('http://cinder.fake/v3/p/volumes/some', self.error().url)

    def test_errors_that_are_not_cinders(self) -> None:
        for body in (
            b'<html>busy</html>',
            b'',
            b'"busy"',
            b'{"error": "busy"}',
            b'{"message": "busy"}',
            b'[]',
            b'null',
        ):
            answer = 503, {'Retry-After': '2', 'Content-Type': 'application/json'}, body
            with mock.patch.object(self.cinder, 'handle', return_value=answer):
                error = self.error()
            self.assertEqual((503, '2'), (error.code, error.retry_after), body)

    def test_answers_that_are_no_errors_are_passed_on(self) -> None:
        client = self.create(session=self.cinder.session())
        volume = client.volumes.create(2, name='new')
        self.assertEqual((2, 'new'), (volume.size, volume.name))


class RegionTest(ClientsTestCase):
    """The region that a client acts in; where in it the endpoint is does not matter."""

    def region(self, session: ks_session.Session | None = None) -> str | None:
        return client_factory.ClientFactory.region(
            'cinder', self.context, self.conf, session=session
        )

    def catalog_session(self, *endpoints: tuple[str, str, str]) -> ks_session.Session:
        """A session whose catalog has Cinder's endpoints: region, interface and URL of each."""
        token = {
            'user': {'id': 'u', 'name': 'u', 'domain': {'id': 'default', 'name': 'Default'}},
            'expires_at': '2999-11-05T10:00:00.000000Z',
            'issued_at': '2020-11-05T10:00:00.000000Z',
            'methods': ['password'],
            'catalog': [
                {
                    'id': 'c',
                    'type': 'volumev3',
                    'name': 'cinderv3',
                    'endpoints': [
                        {
                            'id': url,
                            'region': region,
                            'region_id': region,
                            'interface': interface,
                            'url': url,
                        }
                        for region, interface, url in endpoints
                    ],
                }
            ],
        }
        auth = identity_access.AccessInfoPlugin(
            access.create(body={'token': token}, auth_token='t'), 'http://keystone/v3'
        )
        return ks_session.Session(auth=auth)

    def test_what_is_configured(self) -> None:
        self.set(region_id='B', cinder_endpoint='http://other/v3')
        self.assertEqual('B', self.region(self.catalog_session(('A', 'public', 'http://p/v3'))))

    def test_that_of_the_endpoints_of_the_interface(self) -> None:
        session = self.catalog_session(
            ('B', 'internal', 'http://in:8776/v3'),
            ('A', 'public', 'https://public/volume/v3'),
            ('A', 'public', 'https://other/v3'),
        )
        self.assertEqual('A', self.region(session))

    def test_several(self) -> None:
        """The order of a catalog says nothing; so one has to be named."""
        endpoints = [('B', 'public', 'http://b/v3'), ('A', 'public', 'http://a/v3')]
        for order in (endpoints, endpoints[::-1]):
            session = self.catalog_session(*order)
            error = self.assertRaises(exception.RegionNotChosen, self.region, session)
            self.assertIn('(A, B)', error.msg)
            self.assertIn('region_id', error.msg)
        self.set(region_id='B')
        self.assertEqual('B', self.region(session))

    def test_several_in_the_catalog_of_a_request(self) -> None:
        self.context.service_catalog[-1]['endpoints'] = [
            {'region': region, 'publicURL': f'http://{region}/v3/p'} for region in 'AB'
        ]
        self.assertRaises(exception.RegionNotChosen, self.region)
        self.assertRaises(exception.RegionNotChosen, self.create)
        self.set(region_id='B')
        self.assertEqual('http://B/v3/p', self.create().client.get_endpoint())

    def test_another_endpoint_of_the_same_cloud(self) -> None:
        regions = set()
        for interface, url in (
            ('public', 'http://cinder/v3'),
            ('public', 'https://cinder/v3'),
            ('public', 'https://cinder:8776/volume/v3/p'),
            ('internal', 'http://10.0.0.1:8776/v3'),
            ('admin', 'http://10.0.0.2:8776/v3'),
        ):
            self.set(interface=interface)
            regions.add(self.region(self.catalog_session(('A', interface, url))))
        self.assertEqual({'A'}, regions)

    def test_what_nothing_tells(self) -> None:
        self.assertIsNone(self.region(self.catalog_session()))
        token = token_endpoint.Token('http://cinder/v3/p', 't')
        self.assertIsNone(self.region(ks_session.Session(auth=token)))
        self.set(cinder_endpoint='http://other/v3')
        self.assertIsNone(self.region(self.catalog_session(('A', 'public', 'http://p/v3'))))

    def test_that_of_the_catalog_of_a_request(self) -> None:
        self.assertIsNone(self.region())
        self.context.service_catalog[-1]['endpoints'][0]['region'] = 'A'
        self.assertEqual('A', self.region())
        self.context.service_catalog = []
        self.assertIsNone(self.region())
