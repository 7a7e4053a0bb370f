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

"""What the banks in object stores have in common.

An object's name is its key, its content the value: text and JSON as people read them, bytes as
they are. A mark in the object's metadata tells which of the three it is; text has none.

Object stores answer late, now and then not at all, and some of them tell of the past:

* A request that fails in passing (429, 5xx, a reset, a time-out) is sent again, a few times.
  All requests are safe to repeat.
* What this process has written or deleted of late is remembered. If a listing says otherwise,
  the object itself is asked for; if an object is missing that was written, it is waited for.
"""

import abc
import functools
import heapq
import itertools
import json
import operator
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from oslo_config import cfg
from oslo_log import log as logging

from karbor import exception
from karbor.services import retrying
from karbor.services.protection import bank_plugin
from karbor.services.protection.bank_plugins import object_faults
from karbor.services.protection.bank_plugins.object_faults import Fault, Missing
from karbor.services.protection.bank_plugins.object_memory import Memory

LOG = logging.getLogger(__name__)

JSON_MARK = 'true'
BYTES_MARK = 'bytes'
CONTENT_TYPES = {
    None: 'text/plain; charset=utf-8',
    JSON_MARK: 'application/json',
    BYTES_MARK: 'application/octet-stream',
}

PAGE_LIMIT = 1000

_LONGEST_PAUSE = 60.0

_SETTLE_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)

Result = TypeVar('Result')


def encode(value: Any) -> tuple[bytes, str | None]:
    """The content of an object that stands for a value, and its mark.

    :param value: text, bytes, or what JSON can express.
    :raises TypeError, ValueError, RecursionError: it is none of them.
    """
    if isinstance(value, bytes):
        return value, BYTES_MARK
    if isinstance(value, str):
        return value.encode(), None
    return json.dumps(value).encode(), JSON_MARK


def decode(data: bytes, mark: str | None) -> Any:
    """The value that :func:`encode` was given.

    :raises ValueError: the content is not of the form that the mark tells of.
    """
    if mark == BYTES_MARK:
        return data
    text = data.decode()
    return json.loads(text) if mark else text


def lease_opts() -> list[cfg.Opt]:
    """Options of old provider files; nothing ever looked at the leases."""
    return [
        cfg.IntOpt(
            name,
            default=default,
            deprecated_for_removal=True,
            deprecated_reason='Karbor keeps no leases in banks any more.',
            help='Has no effect.',
        )
        for name, default in (
            ('lease_expire_window', 600),
            ('lease_renew_window', 120),
            ('lease_validity_window', 100),
        )
    ]


class ObjectStoreBankPlugin(bank_plugin.BankPlugin):
    """A bank in one container of an object store. Any number of threads may use it.

    The methods with an underscore that are abstract send one request each; they raise
    :class:`Fault` for whatever goes wrong, and :class:`Missing` for an object that is not
    there. The container is looked for, and made, at the first use.

    :param config: the provider file's own ``ConfigOpts``.
    :param container: what to call the container in messages.
    :param retries: how often a request that fails in passing is sent again.
    :param backoff: seconds before the first of these; every further one waits twice as long.
    :param clock: what is waited with, and by which memory ends.
    """

    #: whether the store itself can list in descending order
    lists_descending = True

    def __init__(
        self,
        config: cfg.ConfigOpts,
        container: str,
        *,
        retries: int,
        backoff: float,
        clock: retrying.Clock = time,
    ) -> None:
        super().__init__(config)
        self.container_text = container
        self._retries = retries
        self._backoff = backoff
        self._clock = clock
        self._owner_id = str(uuid.uuid4())
        self._is_prepared = False
        self._preparing = threading.Lock()
        self._memory = Memory(clock)

    @abc.abstractmethod
    def _put(self, key: str, data: bytes, mark: str | None) -> None:
        """Create or replace an object."""

    @abc.abstractmethod
    def _get(self, key: str) -> tuple[bytes, str | None]:
        """The content and the mark of an object.

        :raises Missing:
        """

    @abc.abstractmethod
    def _head(self, key: str) -> None:
        """Find out whether there is an object.

        :raises Missing:
        """

    @abc.abstractmethod
    def _delete(self, key: str) -> None:
        """Remove an object.

        :raises Missing: it may as well return.
        """

    @abc.abstractmethod
    def _page(
        self, prefix: str, limit: int | None, marker: str | None, descending: bool
    ) -> tuple[list[str], bool]:
        """One page of keys as the store lists them, and whether it is the last one.

        :param limit: how many are wanted; the page may have fewer.
        :param marker: the page begins after it.
        :param descending: never true when :attr:`lists_descending` is not.
        """

    @abc.abstractmethod
    def _has_container(self) -> bool:
        """Whether the container is there."""

    @abc.abstractmethod
    def _make_container(self) -> None:
        """Make the container; that it is there is no error."""

    def get_owner_id(self, context: bank_plugin.Context = None) -> str:
        return self._owner_id

    def check(self) -> None:
        """Ask for the container, with one request unless it has to be made first."""
        try:
            is_there = not self._prepare(self._once) or self._has_container()
        except Fault as fault:
            raise _failed(exception.BankError, fault) from fault
        if not is_there:
            gone = object_faults.gone(self.container_text)
            raise _failed(exception.BankError, gone) from gone

    def update_object(self, key: str, value: Any, context: bank_plugin.Context = None) -> None:
        key = bank_plugin.absolute_key(key)
        try:
            data, mark = encode(value)
            self._prepare(self._patiently)
            self._patiently(lambda: self._put(key, data, mark))
        except (Fault, TypeError, ValueError, RecursionError) as exc:
            raise _failed(exception.BankUpdateObjectFailed, exc, key=key) from exc
        self._memory.note(key, is_there=True)

    def get_object(self, key: str, context: bank_plugin.Context = None) -> Any:
        key = bank_plugin.absolute_key(key)
        try:
            self._prepare(self._patiently)
            return decode(*self._settled(key, lambda: self._get(key)))
        except Missing as exc:
            raise exception.BankObjectNotFound(key=key, reason='there is none') from exc
        except (Fault, ValueError, RecursionError) as exc:
            raise _failed(exception.BankGetObjectFailed, exc, key=key) from exc

    def list_objects(
        self,
        prefix: str | None = None,
        limit: int | None = None,
        marker: str | None = None,
        sort_dir: str | None = None,
        context: bank_plugin.Context = None,
    ) -> list[str]:
        prefix = '/' + (prefix or '').lstrip('/')
        try:
            self._prepare(self._patiently)
            return list(
                itertools.islice(
                    self._settled_keys(prefix, limit, marker, sort_dir == 'desc'), limit
                )
            )
        except Fault as fault:
            raise _failed(exception.BankListObjectsFailed, fault) from fault

    def delete_object(self, key: str, context: bank_plugin.Context = None) -> None:
        key = bank_plugin.absolute_key(key)
        try:
            self._prepare(self._patiently)
            self._patiently(lambda: self._delete(key))
        except Missing:
            pass
        except Fault as fault:
            raise _failed(exception.BankDeleteObjectFailed, fault, key=key) from fault
        self._memory.note(key, is_there=False)

    def _prepare(self, send: Callable[[Callable[[], Any]], Any]) -> bool:
        """Make sure of the container, once; returns whether that was done before.

        Later a container that is gone is an error, and not made again: what it held is lost.

        :param send: calls a function that sends a request.
        """
        if self._is_prepared:
            return True
        with self._preparing:
            if not self._is_prepared and not send(self._has_container):
                send(self._make_container)
                LOG.warning('%s was not there: made it', self.container_text)
            self._is_prepared = True
        return False

    @staticmethod
    def _once(call: Callable[[], Result]) -> Result:
        return call()

    def _patiently(self, call: Callable[[], Result]) -> Result:
        """Send a request, again if it fails in passing.

        :raises Fault: the last one, which tells how often it was tried.
        """

        def attempt(number: int) -> Result:
            try:
                return call()
            except Fault as fault:
                if number == 0:
                    raise
                raise fault.after(number + 1) from fault

        return retrying.retry(
            attempt,
            service='The bank',
            errors=Fault,
            is_passing=lambda fault: fault.is_passing and fault.retry_after <= _LONGEST_PAUSE,
            retry_after=lambda fault: fault.retry_after,
            pauses=itertools.islice(retrying.pauses(self._backoff, _LONGEST_PAUSE), self._retries),
            clock=self._clock,
        )

    def _settled(self, key: str, call: Callable[[], Result]) -> Result:
        """Ask for an object; one that was written a moment ago is given time to turn up.

        :raises Missing:
        """
        for pause in _SETTLE_PAUSES:
            try:
                return self._patiently(call)
            except Missing:
                if not self._memory.was_written(key):
                    raise
            self._clock.sleep(pause)
        try:
            return self._patiently(call)
        except Missing:
            self._memory.forget(key)  # somebody else has deleted it
            raise

    def _settled_keys(
        self, prefix: str, limit: int | None, marker: str | None, descending: bool
    ) -> Iterator[str]:
        """The keys that the store lists, put right by what is remembered."""
        listed = self._listed(prefix, limit, marker, descending)
        written = sorted(
            (key for key in self._memory.written(prefix) if _is_after(key, marker, descending)),
            reverse=descending,
        )
        merged = heapq.merge(
            ((key, True) for key in listed),
            ((key, False) for key in written),
            key=operator.itemgetter(0),
            reverse=descending,
        )
        for key, found in itertools.groupby(merged, operator.itemgetter(0)):
            is_listed = any(is_listed for _, is_listed in found)
            if (is_listed and not self._memory.was_deleted(key)) or self._is_there(key):
                yield key

    def _listed(
        self, prefix: str, limit: int | None, marker: str | None, descending: bool
    ) -> Iterator[str]:
        """The keys that the store lists, page by page, in the order asked for."""
        if descending and not self.lists_descending:
            whole = self._listed(prefix, None, None, descending=False)
            yield from reversed(
                [*itertools.takewhile(lambda key: not marker or key < marker, whole)]
            )
            return
        is_last = False
        while not is_last:
            page, is_last = self._patiently(
                functools.partial(self._page, prefix, limit, marker, descending)
            )
            yield from filter(_is_key, page)
            marker = page[-1] if page else marker

    def _is_there(self, key: str) -> bool:
        try:
            self._settled(key, lambda: self._head(key))
        except Missing:
            return False
        return True


def _failed(
    kind: type[exception.BankError], error: Exception, **fields: Any
) -> exception.BankError:
    """What is told of an error, which itself is for the log.

    :param fields: of the message of that kind, beside the reason.
    """
    if isinstance(error, Fault):
        return kind(reason=error.told, is_passing=error.is_passing, **fields)
    return kind(reason=error, **fields)


def _is_after(key: str, marker: str | None, descending: bool) -> bool:
    if not marker:
        return True
    return key < marker if descending else key > marker


def _is_key(name: str) -> bool:
    """Whether an object can be one of Karbor's; a shared container may have others."""
    try:
        return bank_plugin.absolute_key(name) == name
    except exception.InvalidParameterValue:
        return False
