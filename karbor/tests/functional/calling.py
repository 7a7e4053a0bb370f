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

"""``karbor.client`` in front of the API, with HTTP between them."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import openstack

import karbor.client
from karbor.client import waiting
from karbor.client.checkpoints import Checkpoint
from karbor.client.plans import Plan
from karbor.client.proxy import Proxy
from karbor.cmd import web_server
from karbor.tests import personas
from karbor.tests.base import PROJECT_ID, PROVIDER_ID
from karbor.tests.functional import api_server, base

_THREADS = 4
#: seconds between two looks, and for the longest wait
PATIENCE: waiting.Patience = {'interval': 0.05, 'timeout': 20}
PARAMETERS = {base.VOLUME: base.OPTIONS}


class ClientTestCase(base.CloudTestCase):
    """A client that Keystone need not let in, of each persona."""

    _served: str | None = None

    def endpoint(self) -> str:
        """Of the project, as it stands in a catalog."""
        return f'{self._url()}/v1/{PROJECT_ID}'

    def protection(self, persona: str = 'manager') -> Proxy:
        """The calls of somebody."""
        conn = openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_type='admin_token',
            auth={
                'endpoint': self.endpoint(),
                'token': personas.token(persona, PROJECT_ID),
            },
        )
        self.addCleanup(conn.close)
        return karbor.client.add_to(conn)

    def _url(self) -> str:
        if isinstance(self.client, api_server.HttpClient):
            return self.client.url()
        assert self.client is not None
        self._served = self._served or serve(self, self.client.app)
        return self._served


class CallsTestCase(ClientTestCase):
    """The calls of a manager, who makes plans of volumes."""

    @functools.cached_property
    def calls(self) -> Proxy:
        """Made when first used, as an API with processes moves when options change before."""
        return self.protection()

    def plan(self, *volumes: dict[str, Any]) -> Plan:
        resources = volumes or (self.volume(),)
        return self.calls.create_plan('nightly', PROVIDER_ID, resources, parameters=PARAMETERS)

    def checkpoint(self, *volumes: dict[str, Any]) -> Checkpoint:
        """One that is available."""
        made = self.calls.create_checkpoint(self.plan(*volumes))
        return self.calls.wait_for_checkpoint(made, **PATIENCE)


@contextlib.contextmanager
def requests_of(calls: Proxy) -> Iterator[list[Any]]:
    """The requests that calls make meanwhile."""
    with mock.patch.object(calls, 'request', wraps=calls.request) as request:
        yield request.call_args_list


def serve(test: base.ApiTestCase, application: object) -> str:
    """Serve an application until the test is over; gives the URL without a path."""
    server = web_server.WebServer(_THREADS, web_server.Limits.configured())
    address = server.listen('127.0.0.1', 0, application)
    thread = threading.Thread(target=server.serve, name='API', daemon=True)
    thread.start()
    test.addCleanup(thread.join, 20)
    test.addCleanup(server.stop)
    return 'http://{}:{}'.format(*address)
