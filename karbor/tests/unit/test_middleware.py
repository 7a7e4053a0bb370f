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

"""Who asks, as keystonemiddleware leaves it for the API."""

import types
from typing import Any

import falcon
import fixtures
from falcon import testing
from oslo_context import context as oslo_context

from karbor import exception
from karbor.api import middleware
from karbor.tests import base


def _request(path: str = f'/v1/{base.PROJECT_ID}/plans', **token: Any) -> falcon.Request:
    user = types.SimpleNamespace(
        **{
            'user_id': 'user',
            'project_id': base.PROJECT_ID,
            'project_name': 'demo',
            'role_names': ['member'],
            'auth_token': 'secret',
            'user_domain_id': 'default',
            'project_domain_id': 'default',
            **token,
        }
    )
    req = testing.create_req(path=path)
    req.env.update(
        {
            'keystone.token_auth': types.SimpleNamespace(user=user),
            'keystone.token_info': {'token': {}},
        }
    )
    return req


class RequestIdTest(base.TestCase):
    def test_a_request_is_one_line_of_the_log(self) -> None:
        log = self.useFixture(fixtures.FakeLogger())
        part, req, resp = middleware.RequestId(), _request('/v1/x\r\ny'), falcon.Response()
        req.method = 'GE\r\nT'
        part.process_request(req, resp)
        part.process_response(req, resp, None, True)
        (line,) = log.output.splitlines()
        self.assertIn(r"'GE\r\nT /v1/x\r\ny' -> 200", line)


class KeystoneAuthTest(base.TestCase):
    def ask(self, req: falcon.Request) -> falcon.Request:
        for part in (middleware.RequestId(), middleware.KeystoneAuth()):
            part.process_request(req, falcon.Response())
        return req

    def test_the_context_is_the_tokens(self) -> None:
        context = self.ask(_request()).context.karbor
        self.assertEqual(
            ('user', base.PROJECT_ID, ['member'], 'secret', {'token': {}}, False),
            (
                context.user_id,
                context.project_id,
                context.roles,
                context.auth_token,
                context.auth_token_info,
                context.is_delegated,
            ),
        )

    def test_what_a_token_came_from(self) -> None:
        for token, is_delegated in (
            ({'methods': ['password']}, False),
            ({'methods': ['token', 'password']}, False),
            ({'methods': ['password'], 'OS-TRUST:trust': {'id': 't'}}, True),
            ({'methods': ['application_credential']}, True),
            ({'methods': ['token', 'application_credential']}, True),
            ({'methods': ['oauth1']}, True),
        ):
            req = _request()
            req.env['keystone.token_info'] = {'token': token}
            self.assertEqual(is_delegated, self.ask(req).context.karbor.is_delegated, token)

    def test_the_log_names_who_asks_now(self) -> None:
        """One thread answers many; each line was said to be of the first of them."""
        for user_id in ('first', 'second'):
            req = self.ask(_request(user_id=user_id))
            current = oslo_context.get_current()
            self.assertEqual(
                (user_id, req.context.request_id), (current.user_id, current.request_id)
            )
        req = self.ask(_request('/v1/openapi.json'))
        current = oslo_context.get_current()
        self.assertEqual((None, req.context.request_id), (current.user_id, current.request_id))

    def test_no_token(self) -> None:
        for found in (None, types.SimpleNamespace(user=None)):
            req = _request()
            req.env['keystone.token_auth'] = found
            self.assertRaises(falcon.HTTPUnauthorized, self.ask, req)

    def test_a_token_of_no_project(self) -> None:
        self.assertRaises(exception.NotAuthorized, self.ask, _request(project_id=None))
