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

"""The processes of Karbor, for administrators."""

from collections.abc import Iterator

from openstack.resource import Body

from karbor.client import base

_PATH = '/os-services'


class Service(base.Resource):
    """A process."""

    resource_key = 'service'
    resources_key = 'services'
    allow_fetch = False

    id: int = Body('id')  # type: ignore[assignment]
    binary: str = Body('binary')
    host: str = Body('host')
    #: ``enabled`` or ``disabled``
    status: str = Body('status')
    #: ``up`` or ``down``
    state: str = Body('state')
    updated_at: str | None = Body('updated_at')
    disabled_reason: str | None = Body('disabled_reason')


class Calls(base.ServiceProxy):
    def services(self, host: str | None = None, binary: str | None = None) -> Iterator[Service]:
        """List the processes."""
        return self._listed(Service, _PATH, {'host': host, 'binary': binary})

    def enable_service(self, service: Service | int) -> Service:
        """Let a process take work again."""
        return self._set_service(service, {'status': 'enabled'})

    def disable_service(self, service: Service | int, reason: str | None = None) -> Service:
        """Let a process take no more work."""
        return self._set_service(
            service, {'status': 'disabled', **base.given(disabled_reason=reason)}
        )

    def _set_service(self, service: Service | int, body: base.Body) -> Service:
        shown = self._ask('PUT', base.part(_PATH, service), body)['service']
        return self._shown(Service, shown)
