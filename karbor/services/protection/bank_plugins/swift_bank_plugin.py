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

"""A bank in a container of OpenStack Swift.

Karbor's own user, or any other that the provider file names, owns the container; users of
Karbor need no access to it. Objects are named by their keys, with the slash at their start.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Callable
from typing import Any

import requests
import swiftclient
from keystoneauth1 import loading
from oslo_config import cfg
from swiftclient import client as swift

from karbor import exception
from karbor.services import retrying
from karbor.services.protection.bank_plugins import object_faults, object_store
from karbor.services.protection.bank_plugins.object_faults import Fault, Missing
from karbor.services.protection.bank_plugins.swift_account import (
    CLIENT_GROUP,
    CLIENT_OPTS,
    Account,
)

GROUP = 'swift_bank_plugin'

OPTS = [
    cfg.StrOpt(
        'bank_swift_object_container',
        default='karbor',
        help='Container of the bank. It is made when it is missing.',
    ),
    *object_store.lease_opts(),
]

_MARK_HEADER = 'x-object-meta-serialized'
# Of several replicas that differ, the newest one, and not whichever answers first.
_NEWEST = {'X-Newest': 'true'}
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


class SwiftBankPlugin(object_store.ObjectStoreBankPlugin):
    """Objects in the container ``bank_swift_object_container``.

    :param config: the provider file's own ``ConfigOpts``.
    :param clock: what pauses are made with.
    :raises InvalidParameterValue: an option that is needed is missing, or makes no sense.
    """

    def __init__(self, config: cfg.ConfigOpts, *, clock: retrying.Clock = time) -> None:
        config.register_opts(OPTS, GROUP)
        config.register_opts(CLIENT_OPTS, CLIENT_GROUP)
        loading.register_auth_conf_options(config, CLIENT_GROUP)
        options = config[CLIENT_GROUP]
        self._container = config[GROUP].bank_swift_object_container
        _check_container(self._container)
        super().__init__(
            config,
            f'The container {self._container}',
            retries=options.swift_retry_attempts,
            backoff=options.swift_retry_backoff,
            clock=clock,
        )
        self._account = Account(config)

    def _put(self, key: str, data: bytes, mark: str | None) -> None:
        headers = {} if mark is None else {_MARK_HEADER: mark}
        with object_faults.container_needed(self.container_text):
            self._account.send(
                swift.put_object,
                self._container,
                key,
                contents=data,
                headers=headers,
                content_length=len(data),
                content_type=object_store.CONTENT_TYPES[mark],
                etag=_md5(data),
            )

    def _get(self, key: str) -> tuple[bytes, str | None]:
        headers, data = self._ask_for_object(swift.get_object, key)
        expected = _MD5.fullmatch(headers.get('etag', ''))
        if expected and expected[1] != _md5(data):
            raise Fault('Swift sent other bytes than it says', is_passing=True)
        return data, headers.get(_MARK_HEADER)

    def _head(self, key: str) -> None:
        self._ask_for_object(swift.head_object, key)

    def _ask_for_object(self, function: Callable[..., Any], key: str) -> Any:
        """Swift says the same of an object and of a container that is missing."""
        try:
            return self._account.send(function, self._container, key, headers=dict(_NEWEST))
        except Missing:
            self._check_container()
            raise

    def _delete(self, key: str) -> None:
        try:
            self._account.send(swift.delete_object, self._container, key)
        except Missing:
            self._check_container()
            raise

    def _page(
        self, prefix: str, limit: int | None, marker: str | None, descending: bool
    ) -> tuple[list[str], bool]:
        """Only an empty page is surely the last one."""
        with object_faults.container_needed(self.container_text):
            _, entries = self._account.send(
                _page_of_any_size,
                self._container,
                prefix=prefix,
                marker=marker,
                limit=limit,
                query_string='reverse=on' if descending else None,
            )
        return [entry['name'] for entry in entries], not entries

    def _has_container(self) -> bool:
        try:
            self._account.send(swift.head_container, self._container)
        except Missing:
            return False
        return True

    def _make_container(self) -> None:
        with object_faults.container_needed('The account'):
            self._account.send(swift.put_container, self._container)

    def _check_container(self) -> None:
        with object_faults.container_needed(self.container_text):
            self._account.send(swift.head_container, self._container)


def _check_container(name: str) -> None:
    if not name or '/' in name or len(name.encode()) > 256:
        raise exception.InvalidParameterValue(
            err=f'[{GROUP}] bank_swift_object_container {name!r} cannot be a name.'
        )


def _page_of_any_size(*args: Any, limit: int | None, **kwargs: Any) -> Any:
    """A page of so many names, or of as many as Swift has on a page."""
    if limit is not None and limit < object_store.PAGE_LIMIT:
        with contextlib.suppress(_PageTooLong):
            return _limited_page(*args, limit=limit, **kwargs)
    return swift.get_container(*args, **kwargs)


class _PageTooLong(Exception):
    """Swift has shorter pages than asked for."""


def _limited_page(*args: Any, **kwargs: Any) -> Any:
    try:
        return swift.get_container(*args, **kwargs)
    except swiftclient.ClientException as exc:
        if exc.http_status == requests.codes.precondition_failed:
            raise _PageTooLong from exc
        raise


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
