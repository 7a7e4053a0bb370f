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

"""A client that asks nobody."""

from typing import Any

import requests
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint
from openstack import connection
from oslotest import base

import karbor.client
from karbor.client.proxy import Proxy
from karbor.tests.base import PROJECT_ID
from karbor.tests.unit.client import answers

ROOT = 'http://karbor.test'
ENDPOINT = f'{ROOT}/v1/{PROJECT_ID}'


def protection(transport: answers.Transport) -> Proxy:
    """Calls whose requests go there."""
    http = requests.Session()
    http.mount('http://', transport)
    session = ks_session.Session(auth=token_endpoint.Token(ENDPOINT, 'token'), session=http)
    return karbor.client.add_to(connection.Connection(session=session))


class ClientTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.transport = answers.Transport(None)
        self.protection = protection(self.transport)

    def answer(self, *bodies: Any) -> None:
        """What the next requests are answered with."""
        self.transport.answers = list(bodies)
        self.transport.requests.clear()
