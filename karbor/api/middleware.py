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

"""What happens to every request before and after its handler."""

import hmac
from collections.abc import Mapping
from typing import Any, Protocol

import falcon
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import log as logging

from karbor import context as karbor_context
from karbor import exception
from karbor.api import errors, health

LOG = logging.getLogger(__name__)

# What anybody may ask for, without a token.
PUBLIC_PATHS = frozenset(('', '/', '/v1', '/v1/', '/v1/openapi.json', *health.PATHS))


class RequestId:
    """Gives every answer the id under which the log has the request."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        # oslo.middleware makes one where it stands before this.
        req.context.request_id = (
            req.env.get('openstack.request_id') or oslo_context.generate_request_id()
        )
        # Until it is known who asks, log lines must not name who asked last in this thread.
        oslo_context.RequestContext(request_id=req.context.request_id)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: object, _req_succeeded: bool
    ) -> None:
        for name in ('x-openstack-request-id', 'x-compute-request-id'):
            resp.set_header(name, req.context.request_id)
        # Quoted, since a web server may let a line break through, in the method, too.
        LOG.info('%s %r -> %s', req.context.request_id, f'{req.method} {req.path}', resp.status)


class JsonSuffix:
    """Takes ``/plans/{id}.json`` for ``/plans/{id}``, as Karbor did."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        if req.path not in PUBLIC_PATHS:
            req.path = req.path.removesuffix('.json')


class Authentication(Protocol):
    """Finds out who asks: puts the context of the caller into ``req.context.karbor``."""

    def process_request(self, req: falcon.Request, resp: falcon.Response, /) -> None:
        """:raises HTTPUnauthorized: nobody knows the caller.
        :raises NotAuthorized: the caller belongs to no project.
        """


#: of the environment of a request of whom the kernel says that it is the user of this process
IS_OWNER = 'karbor.is_owner'

# Methods of tokens by what a user has delegated, perhaps for a time.
_DELEGATING = frozenset(('application_credential', 'oauth1'))
_OWNER_ROLES = ('admin', 'manager', 'member', 'reader')  # whose own Karbor it is


class TokenAuth:
    """Lets in who has the one token of a standalone Karbor, or needs none.

    :param token: the token.
    :param user_id: the user that everything is done as.
    :param project_id: the project that everything belongs to.
    :param project_name: its name.
    """

    def __init__(
        self, token: str, user_id: str | None, project_id: str, project_name: str | None
    ) -> None:
        self._token = token.encode()
        self._user_id = user_id
        self._project_id = project_id
        self._project_name = project_name

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        if req.path in PUBLIC_PATHS:
            return
        token = req.get_header('X-Auth-Token') or ''
        is_owner = req.env.get(IS_OWNER) is True or hmac.compare_digest(token.encode(), self._token)
        if not is_owner:
            raise falcon.HTTPUnauthorized(
                description='The header X-Auth-Token does not have the token of this Karbor.'
            )
        req.context.karbor = karbor_context.RequestContext(
            self._user_id,
            self._project_id,
            project_name=self._project_name,
            request_id=req.context.request_id,
            roles=list(_OWNER_ROLES),
        )


class KeystoneAuth:
    """Lets in who has a token of a project, as keystonemiddleware found it."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        if req.path in PUBLIC_PATHS:
            return
        plugin = req.env.get('keystone.token_auth')
        if plugin is None or plugin.user is None:
            raise falcon.HTTPUnauthorized(
                description='The header X-Auth-Token has no valid token of Keystone.'
            )
        token = plugin.user
        if not token.project_id:
            raise exception.NotAuthorized('The token is not one of a project.')
        req.context.karbor = karbor_context.RequestContext(
            token.user_id,
            token.project_id,
            project_name=token.project_name,
            request_id=req.context.request_id,
            roles=list(token.role_names),
            auth_token=token.auth_token,
            auth_token_info=req.env['keystone.token_info'],
            user_domain=token.user_domain_id,
            project_domain=token.project_domain_id,
            is_delegated=is_delegated(req.env['keystone.token_info']),
        )


def is_delegated(info: Mapping[str, Any]) -> bool:
    """Whether a token is not by a login, but by what a login has made for others to use.

    :param info: what Keystone said of the token.
    """
    token = info['token']
    return 'OS-TRUST:trust' in token or not _DELEGATING.isdisjoint(token.get('methods', ()))


class BodyLimit:
    """Refuses a body that is larger than any request needs.

    Karbor's own web server refuses it before it reads it.
    """

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        largest = cfg.CONF.osapi_max_request_body_size
        if (req.content_length or 0) > largest:
            raise falcon.HTTPContentTooLarge(description=errors.too_large(largest))


class OwnProject:
    """Refuses a path with another project's id than the caller's."""

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, _resource: object, params: dict[str, str]
    ) -> None:
        project_id = params.pop('project_id', None)
        if project_id is not None and project_id != req.context.karbor.project_id:
            raise exception.InvalidInput(
                reason=f'The project {project_id!r} of the path is not the project of the token.'
            )
