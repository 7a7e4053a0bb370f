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

"""Callers of the API for tests: their tokens say who they are, and are believed."""

import falcon

from karbor import context as karbor_context
from karbor.api import middleware

# As Keystone implies roles.
ROLES = {
    'reader': ['reader'],
    'member': ['member', 'reader'],
    'manager': ['manager', 'member', 'reader'],
    'admin': ['admin', 'manager', 'member', 'reader'],
    'service': ['service'],
    'nobody': [],
}


def token(persona: str, project_id: str) -> str:
    """The token of somebody in a project."""
    return f'{persona}@{project_id}'


class Authentication:
    """Takes the place of Keystone."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        if req.path in middleware.PUBLIC_PATHS:
            return
        persona, _, project_id = (req.get_header('X-Auth-Token') or '').partition('@')
        if persona not in ROLES:
            raise falcon.HTTPUnauthorized(description='There is no such persona.')
        req.context.karbor = karbor_context.RequestContext(
            f'{persona}-of-the-test',
            project_id,
            request_id=req.context.request_id,
            roles=ROLES[persona],
            overwrite=False,
        )
