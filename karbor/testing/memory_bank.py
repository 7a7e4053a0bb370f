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

"""A bank in memory, for the tests of what writes to banks."""

import threading
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from karbor import exception
from karbor.services.protection import bank_plugin
from karbor.services.protection.bank_plugins import file_system_bank_plugin


class MemoryBankPlugin(bank_plugin.BankPlugin):
    """A bank that does all that :class:`~karbor.testing.bank_suite.BankPluginSuite` asks for.

    It is no bank for a service: it is gone with the process, and no other process sees it. It is
    never slow, late or away by itself; ``before_update`` lets a test decide on that.

    :param config: not used; a provider file may name this class as its bank.
    :param objects: of another such plugin, to be on the same bank.
    :ivar objects: the values by key, in the form of the file-system bank.
    :ivar before_update: called with key and value before each is written. What it raises
        is raised instead of the write: a :class:`~karbor.exception.BankUpdateObjectFailed`
        is a bank that does not answer, a ``BaseException`` of the test's a process that dies.
    """

    is_local = True

    def __init__(
        self, config: cfg.ConfigOpts | None = None, objects: dict[str, bytes] | None = None
    ) -> None:
        super().__init__(config)
        self.objects = {} if objects is None else objects
        self.before_update: Callable[[str, Any], None] = lambda key, value: None
        self._lock = threading.Lock()

    def update_object(self, key: str, value: Any, context: bank_plugin.Context = None) -> None:
        key = bank_plugin.absolute_key(key)
        self.before_update(key, value)
        try:
            data = file_system_bank_plugin.encode(value)
        except (TypeError, ValueError, RecursionError) as exc:
            raise exception.BankUpdateObjectFailed(key=key, reason=exc) from exc
        with self._lock:
            self.objects[key] = data

    def get_object(self, key: str, context: bank_plugin.Context = None) -> Any:
        key = bank_plugin.absolute_key(key)
        with self._lock:
            data = self.objects.get(key)
        if data is None:
            raise exception.BankObjectNotFound(key=key, reason='there is none')
        return file_system_bank_plugin.decode(data)

    def list_objects(
        self,
        prefix: str | None = None,
        limit: int | None = None,
        marker: str | None = None,
        sort_dir: str | None = None,
        context: bank_plugin.Context = None,
    ) -> list[str]:
        prefix = '/' + (prefix or '').lstrip('/')
        descending = sort_dir == 'desc'
        with self._lock:
            keys = [key for key in self.objects if key.startswith(prefix)]
        if marker:
            keys = [key for key in keys if (key < marker if descending else key > marker)]
        return sorted(keys, reverse=descending)[:limit]

    def delete_object(self, key: str, context: bank_plugin.Context = None) -> None:
        with self._lock:
            self.objects.pop(bank_plugin.absolute_key(key), None)

    def get_owner_id(self, context: bank_plugin.Context = None) -> str:
        return 'memory'
