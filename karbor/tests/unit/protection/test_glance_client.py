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

"""The client of Glance, against the fake."""

from typing import Any

from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint
from oslo_config import cfg

from karbor import context as karbor_context
from karbor import exception
from karbor.services.protection.clients import glance
from karbor.testing.fake_cinder import Fault
from karbor.testing.fake_glance import FakeGlance
from karbor.tests import base

_FIELDS = {'name': 'x', 'tags': ['t']}


class _Nowhere(token_endpoint.Token):
    """A token whose catalog has no Glance."""

    def get_endpoint(self, *args: Any, **kwargs: Any) -> None:
        return None


class GlanceClientTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.glance = FakeGlance()
        serving = self.glance.serve()
        self.url = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)
        self.client = self.client_at(f'{self.url}/v2/')

    def client_at(self, endpoint: str | None) -> glance.GlanceClient:
        self.config.config(glance_endpoint=endpoint, group='glance_client')
        context = karbor_context.RequestContext(user_id='u', project_id='p')
        session = ks_session.Session(auth=_Nowhere('http://nowhere', 'token'))
        return glance.create(context, cfg.CONF, session)

    def test_images_without_bytes(self) -> None:
        image = self.client.create(_FIELDS)
        self.client.upload(image['id'], b'')
        (found,) = self.client.images(tag='t')
        self.assertEqual((image['id'], 'active', 0), (found['id'], found['status'], found['size']))
        self.assertRaises(ks_exc.Conflict, self.client.upload, image['id'], b'')
        self.client.delete(image['id'])
        self.assertEqual([], self.client.images(name='x'))
        self.assertRaises(ks_exc.NotFound, self.client.delete, image['id'])

    def test_pages(self) -> None:
        made = [self.client.create(_FIELDS)['id'] for _ in range(201)]
        self.client.create({**_FIELDS, 'tags': []})
        self.assertEqual(made, [image['id'] for image in self.client.images(tag='t')])
        self.assertEqual(3, self.glance.requests['GET', '/v2/images'])

    def test_what_is_not_of_glance(self) -> None:
        self.glance.faults = [Fault(status=200)]
        self.assertRaises(ks_exc.BadGateway, self.client.images)
        self.assertRaises(ks_exc.BadGateway, self.client.create, _FIELDS)

    def test_a_cloud_without_glance(self) -> None:
        refusal = self.assertRaises(exception.ServiceMissing, self.client_at, None)
        self.assertIn('Glance (image)', refusal.msg)

    def test_no_session(self) -> None:
        context = karbor_context.RequestContext(user_id='u', project_id='p')
        self.assertRaises(exception.KarborException, glance.create, context, cfg.CONF)
