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

"""Banks: where checkpoints and what plugins know of resources are kept.

A bank plugin stores values under absolute keys. :class:`Bank` validates keys in front of
it, :class:`BankSection` is a part of a bank that cannot be left.
"""

import abc
import contextlib
import contextvars
import re
import threading
from collections.abc import Callable, Iterable
from concurrent import futures
from typing import Any, TypeVar

from oslo_config import cfg

from karbor import context as karbor_context
from karbor import exception
from karbor.common import outages
from karbor.services.protection.steps import Wait

Context = karbor_context.RequestContext | None

Result = TypeVar('Result')

# How many calls of one bank may be on their way at once.
_MOST_THREADS = 32

_KEY_PART = re.compile(r'[A-Za-z0-9_.@-]+')


_threads_lock = threading.Lock()


def _threads_of(plugin: 'BankPlugin') -> futures.Executor:
    """The threads of a bank; one that hangs keeps nothing else waiting."""
    with _threads_lock:
        if plugin._threads is None:
            plugin._threads = futures.ThreadPoolExecutor(_MOST_THREADS, 'bank')
        return plugin._threads


class BankPlugin(metaclass=abc.ABCMeta):
    """Stores values under absolute keys such as ``/checkpoints/<id>/index.json``.

    A value is text, bytes, or anything that JSON can express, and comes back as what it
    was. Each method is idempotent: calling it again after a failure is safe.

    :param config: the provider file's own ``ConfigOpts``.
    """

    #: Whether it answers like a local disk. What others are asked for has a thread of its own.
    is_local = False

    _threads: futures.Executor | None = None  # see _threads_of

    def __init__(self, config: cfg.ConfigOpts | None = None) -> None:
        self._config = config

    @abc.abstractmethod
    def update_object(self, key: str, value: Any, context: Context = None) -> None:
        """Create or replace an object, whole or not at all.

        :raises BankUpdateObjectFailed:
        """

    @abc.abstractmethod
    def get_object(self, key: str, context: Context = None) -> Any:
        """The value of an object.

        :raises BankObjectNotFound: there is none.
        :raises BankGetObjectFailed: the bank cannot tell.
        """

    def begin_update(self, key: str, value: Any, context: Context = None) -> Wait:
        """Write an object, and do not wait for a slow disk; see :meth:`update_object`.

        Not in the contract of old.

        :returns: what ends when it is written for good, or raises why it is not.
        """
        return self.begin(lambda: self.update_object(key, value, context))

    def begin(self, call: Callable[[], Result]) -> 'futures.Future[Result]':
        """Have something done with the bank, by a thread of its own unless the bank is local.

        Not in the contract of old.

        :returns: gives what the call returns, or raises what it raises.
        """
        if not self.is_local:
            return _threads_of(self).submit(contextvars.copy_context().run, call)
        done: futures.Future[Result] = futures.Future()
        try:
            done.set_result(call())
        except Exception as exc:  # noqa: BLE001 - raised again for whoever has asked
            done.set_exception(exc)
        return done

    @abc.abstractmethod
    def list_objects(
        self,
        prefix: str | None = None,
        limit: int | None = None,
        marker: str | None = None,
        sort_dir: str | None = None,
        context: Context = None,
    ) -> list[str]:
        """Absolute keys that begin with a prefix, sorted, of objects after the marker.

        :raises BankListObjectsFailed:
        """

    @abc.abstractmethod
    def delete_object(self, key: str, context: Context = None) -> None:
        """Remove an object; that it is not there is no error.

        :raises BankDeleteObjectFailed:
        """

    @abc.abstractmethod
    def get_owner_id(self, context: Context = None) -> str:
        """Who writes here, as recorded in checkpoints."""

    def check(self) -> None:
        """Find out, with a single request, whether the bank answers.

        :raises BankError: it does not.
        """
        with contextlib.suppress(exception.BankObjectNotFound):
            self.get_object('/healthcheck')


class LeasePlugin(metaclass=abc.ABCMeta):
    """Mix-in of bank plugins that can tell whether their owner is alive."""

    @abc.abstractmethod
    def acquire_lease(self) -> None:
        """Begin to be the owner."""

    @abc.abstractmethod
    def renew_lease(self) -> None:
        """Stay the owner."""

    @abc.abstractmethod
    def check_lease_validity(self) -> bool:
        """Whether the lease still holds."""


def absolute_key(key: str) -> str:
    """A key as the bank plugin sees it: checked, with one leading slash.

    :raises InvalidParameterValue: not text, empty, a character that is not allowed, or a
        ``.`` or ``..`` that would leave the place it names.
    """
    if not isinstance(key, str):
        raise exception.InvalidParameterValue(err=f'The bank key {key!r} is not text.')
    parts = key.strip('/').split('/')
    for part in parts:
        if part in ('.', '..') or not _KEY_PART.fullmatch(part):
            raise exception.InvalidParameterValue(err=f'The bank key {key!r} is not valid.')
    if key.endswith('/'):
        raise exception.InvalidParameterValue(err=f'The bank key {key!r} ends in a slash.')
    return '/' + '/'.join(parts)


def _section_key(section: str) -> str:
    """The key of a section, which may be written with a slash at its end."""
    return absolute_key(section.rstrip('/') if isinstance(section, str) else section)


def _check_prefix(prefix: str | None) -> None:
    """Refuse what no key can begin with.

    :raises InvalidParameterValue: among others a ``..``, which would have the plugin look
        elsewhere.
    """
    if not isinstance(prefix, str | None):
        raise exception.InvalidParameterValue(err=f'The bank prefix {prefix!r} is not text.')
    if prefix and prefix.strip('/'):
        absolute_key(prefix.rstrip('/'))


class Bank:
    """A bank plugin behind checked keys.

    :ivar outage: whether it is away, as far as the jobs of this process know.
    """

    def __init__(self, plugin: BankPlugin) -> None:
        self._plugin = plugin
        self.outage = outages.Outage()

    @property
    def plugin(self) -> BankPlugin:
        """What reads and writes."""
        return self._plugin

    def is_there(self) -> bool:
        """Whether it may be asked: it is not known to be away, or is found to be back."""
        return self.outage.is_over(self._answers)

    def _answers(self) -> bool:
        """Whether it answers; also a bank that refuses does."""
        try:
            self.check()
        except exception.BankError as exc:
            return not exc.is_passing
        return True

    @property
    def is_writeable(self) -> bool:
        return True

    def get_owner_id(self) -> str:
        return self._plugin.get_owner_id()

    def get_sub_section(self, section: str, is_writable: bool = True) -> 'BankSection':
        return BankSection(self, section, is_writable)

    def update_object(self, key: str, value: Any, context: Context = None) -> None:
        self._plugin.update_object(absolute_key(key), value, context)

    def begin_update(self, key: str, value: Any, context: Context = None) -> Wait:
        """Write an object; gives what ends when it is written for good."""
        return self._plugin.begin_update(absolute_key(key), value, context)

    def begin(self, call: Callable[[], Result]) -> 'futures.Future[Result]':
        """Have something done with the bank; see :meth:`BankPlugin.begin`."""
        return self._plugin.begin(call)

    @property
    def is_local(self) -> bool:
        """Whether it answers like a local disk."""
        return self._plugin.is_local

    def get_object(self, key: str, context: Context = None) -> Any:
        return self._plugin.get_object(absolute_key(key), context)

    def list_objects(
        self,
        prefix: str | None = None,
        limit: int | None = None,
        marker: str | None = None,
        sort_dir: str | None = None,
        context: Context = None,
    ) -> list[str]:
        _check_prefix(prefix)
        return self._plugin.list_objects(prefix, limit, marker, sort_dir, context)

    def delete_object(self, key: str, context: Context = None) -> None:
        self._plugin.delete_object(absolute_key(key), context)

    def check(self) -> None:
        self._plugin.check()


class BankSection:
    """A part of a bank; its keys are relative to it and cannot lead out of it.

    :param bank: the bank.
    :param section: absolute key of the part, for example ``/checkpoints/<id>``.
    :param is_writable: False refuses changes, here and in every section below.
    :raises InvalidParameterValue: the section's name is not valid.
    """

    def __init__(self, bank: Bank, section: str, is_writable: bool = True) -> None:
        self._bank = bank
        self._prefix = _section_key(section)
        self._is_writable = is_writable

    @property
    def bank(self) -> Bank:
        return self._bank

    @property
    def is_writable(self) -> bool:
        return self._is_writable and self._bank.is_writeable

    def get_owner_id(self) -> str:
        return self._bank.get_owner_id()

    def get_sub_section(self, prefix: str, is_writable: bool = True) -> 'BankSection':
        """A section below this one.

        :raises BankReadonlyViolation: a writable part of a read-only section.
        """
        if is_writable and not self.is_writable:
            raise exception.BankReadonlyViolation
        return BankSection(self._bank, self._prefix + _section_key(prefix), is_writable)

    def update_object(self, key: str, value: Any, context: Context = None) -> None:
        self._check_writable()
        self._bank.update_object(self._absolute(key), value, context)

    def begin_update(self, key: str, value: Any, context: Context = None) -> Wait:
        """Write an object; gives what ends when it is written for good."""
        self._check_writable()
        return self._bank.begin_update(self._absolute(key), value, context)

    @property
    def is_local(self) -> bool:
        """Whether the bank answers like a local disk."""
        return self._bank.is_local

    def begin(self, call: Callable[[], Result]) -> 'futures.Future[Result]':
        """Have something done with the bank; see :meth:`BankPlugin.begin`."""
        return self._bank.begin(call)

    def get_object(self, key: str, context: Context = None) -> Any:
        return self._bank.get_object(self._absolute(key), context)

    def list_objects(
        self,
        prefix: str | None = None,
        limit: int | None = None,
        marker: str | None = None,
        sort_dir: str | None = None,
        context: Context = None,
    ) -> list[str]:
        """Keys relative to the section; ``marker`` is relative to the prefix."""
        _check_prefix(prefix)
        start = f'{self._prefix}/' + (prefix or '').lstrip('/')
        keys = self._bank.list_objects(
            start, limit, f'{start}{marker}' if marker else None, sort_dir, context
        )
        return [key.removeprefix(f'{self._prefix}/') for key in keys]

    def delete_object(self, key: str, context: Context = None) -> None:
        self._check_writable()
        self._bank.delete_object(self._absolute(key), context)

    def _absolute(self, key: str) -> str:
        return self._prefix + absolute_key(key)

    def _check_writable(self) -> None:
        if not self.is_writable:
            raise exception.BankReadonlyViolation


class BankIO:
    """Objects of a section as one read-only file: each ``read()`` returns the next one.

    :param bank_section: where the objects are.
    :param sorted_objects: their keys, in reading order.
    """

    def __init__(self, bank_section: BankSection, sorted_objects: Iterable[str]) -> None:
        self._section = bank_section
        self._keys = iter(sorted_objects)

    def readable(self) -> bool:
        return True

    def read(self, length: int | None = None) -> Any:
        """The next object, whole, whatever the length asked for; ``''`` at the end."""
        key = next(self._keys, None)
        return '' if key is None else self._section.get_object(key)
