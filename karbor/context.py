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

"""Who asks: the context that the API makes and that hooks are given."""

import copy
from collections.abc import Callable
from typing import Any

from oslo_context import context

from karbor import policy
from karbor.common import accounts, catalogs, intents, leases
from karbor.common import progress as job_progress
from karbor.common import traffic as job_traffic

FindCatalog = Callable[['RequestContext'], catalogs.Catalog]

_find_catalog: FindCatalog | None = None


def use_catalogs(find: FindCatalog | None) -> None:
    """Set what finds the catalog of a context that brings none, for the whole process."""
    global _find_catalog
    _find_catalog = find


class RequestContext(context.RequestContext):
    """oslo.context's request context with what clients of OpenStack services need.

    :param user_id: Keystone id of the user.
    :param project_id: Keystone id of the project; every query is scoped by it.
    :param service_catalog: entries of the token's catalog, by which clients find an endpoint when
        they use no keystoneauth session. Without it, that of ``auth_token_info`` is taken, or of
        whom a job acts for, once somebody asks.
    :param auth_token_info: what Keystone said of the token.
    :param trust_id: id of the trust by which a job acts for the user.
    :param is_delegated: whether the token came from a trust or an application credential, so that
        nothing may act by it that could outlive that.
    :param lease: by which the attempt of a job works that acts so; None of a request.
    :param progress: where a job tells what it waits for.
    :param traffic: what is told how requests of a job are answered; None of a request's own.
    :param since_last_attempt: for how long no earlier attempt of the job has sent anything that
        changes a cloud, in seconds; None in the first one, and of a request.
    :param intent: where an attempt of a job says that it will; None of a request.
    :param account: how the checkpoint was made that a job works on, by the rows; None of a job
        that makes one, and of a request.
    :param kwargs: anything else that oslo.context takes.

    The order of the arguments is that of the Karbor contract, section B.10; ``read_deleted``,
    ``remote_address``, ``timestamp`` and ``quota_class`` are kept and have no effect.
    """

    def __init__(
        self,
        user_id: str | None = None,
        project_id: str | None = None,
        is_admin: bool | None = None,
        read_deleted: str = 'no',
        roles: list[str] | None = None,
        project_name: str | None = None,
        remote_address: str | None = None,
        timestamp: Any = None,
        request_id: str | None = None,
        auth_token: str | None = None,
        overwrite: bool = True,
        quota_class: str | None = None,
        service_catalog: list[dict[str, Any]] | None = None,
        domain: str | None = None,
        user_domain: str | None = None,
        project_domain: str | None = None,
        auth_token_info: dict[str, Any] | None = None,
        trust_id: str | None = None,
        is_delegated: bool = False,
        lease: leases.Lease | None = None,
        progress: job_progress.Progress | None = None,
        since_last_attempt: float | None = None,
        intent: intents.Intent | None = None,
        traffic: job_traffic.Traffic | None = None,
        account: accounts.Account | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            user_id=user_id,
            project_id=project_id,
            is_admin=bool(is_admin),
            roles=roles,
            project_name=project_name,
            request_id=request_id,
            auth_token=auth_token,
            overwrite=overwrite,
            domain_id=domain,
            user_domain_id=user_domain,
            project_domain_id=project_domain,
            **kwargs,
        )
        self._service_catalog = service_catalog
        self.auth_token_info = auth_token_info
        self.trust_id = trust_id
        self.is_delegated = is_delegated
        self.lease = lease
        self.progress = progress or job_progress.Silent()
        self.since_last_attempt = since_last_attempt
        self.intent = intent
        self.traffic = traffic
        self.account = account
        self.read_deleted = read_deleted
        self.remote_address = remote_address
        self.timestamp = timestamp
        self.quota_class = quota_class

    @property
    def service_catalog(self) -> catalogs.Catalog:
        """Entries with ``type``, ``name`` and ``endpoints``; see :mod:`karbor.common.catalogs`."""
        if self._service_catalog is None:
            self._service_catalog = self._found_catalog()
        return self._service_catalog

    @service_catalog.setter
    def service_catalog(self, catalog: catalogs.Catalog) -> None:
        self._service_catalog = catalog

    def _found_catalog(self) -> catalogs.Catalog:
        token = (self.auth_token_info or {}).get('token', {})
        if 'catalog' in token:
            return catalogs.of_token(token['catalog'])
        return [] if _find_catalog is None else _find_catalog(self)

    def can(
        self, action: str, target_obj: dict[str, Any] | None = None, fatal: bool = True
    ) -> bool:
        """Whether the policy allows something.

        :param action: name of the rule, for example 'plan:create'.
        :param target_obj: what it is to be done to; without it, what is the caller's own.
        :raises PolicyNotAuthorized: it does not, and ``fatal`` is true.
        """
        if fatal:
            policy.authorize(self, action, target_obj)
        return policy.may(self, action, target_obj)

    def elevated(self) -> 'RequestContext':
        """A copy that may do what an administrator may."""
        context = copy.copy(self)
        context.is_admin = True
        return context
