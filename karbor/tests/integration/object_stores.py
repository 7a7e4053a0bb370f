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

"""Banks in a real object store that can be away, as a process of Karbor sees it."""

import pathlib
import shutil
import types

from karbor.services.protection.bank_plugins import (
    file_system_bank_plugin,
    s3_bank_plugin,
    swift_bank_plugin,
)
from karbor.testing import fault_proxy, provider_files
from karbor.tests import object_store, object_store_banks
from karbor.tests.integration import service

#: What is asked for by which protocol.
KINDS = ('swift', 's3')

_SECTIONS = {
    'swift': object_store_banks.swift_sections,
    's3': object_store_banks.s3_sections,
}
_PLUGINS = {
    'swift': swift_bank_plugin.SwiftBankPlugin,
    's3': s3_bank_plugin.S3BankPlugin,
}


class Store:
    """A Swift, behind an address at which nobody listens while it is away.

    :param kind: one of :data:`KINDS`.
    :ivar bank: the plugin of a bank in it, and its options.
    """

    def __init__(self, kind: str) -> None:
        self._swift = object_store.running()
        self._proxy = fault_proxy.FaultProxy(self._swift.url, port=service.free_port())
        self._proxy.start()
        address = types.SimpleNamespace(
            url=self._proxy.url,
            auth_url=f'{self._proxy.url}/auth/v1.0',
            user=self._swift.user,
            key=self._swift.key,
        )
        sections = _SECTIONS[kind](address, **{f'{kind}_retry_backoff': 0.5})
        self.bank = f'karbor-{kind}-bank-plugin', sections
        self._plugin = _PLUGINS[kind](provider_files.options(sections))

    def go(self) -> None:
        """Be away from now on: connections are refused."""
        self._proxy.stop()

    def come_back(self) -> None:
        self._proxy.start()

    def copy(self, folder: pathlib.Path) -> None:
        """Put what the bank has into a folder, in the form of a bank there."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / 'karbor').mkdir(parents=True)
        for key in self._plugin.list_objects():
            path = folder / f'karbor{key}'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file_system_bank_plugin.encode(self._plugin.get_object(key)))

    def stop(self) -> None:
        self._proxy.stop()
