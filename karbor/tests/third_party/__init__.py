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

"""Plugins of third parties, written from the contract alone, in a folder that is not Karbor's."""

import importlib
import pathlib
import shutil
import sys
import types
from collections.abc import Mapping

import fixtures
from stevedore import extension

from karbor.testing import provider_files

_SOURCES = pathlib.Path(__file__).parent / 'sources'


class ThirdParty(fixtures.Fixture):
    """A folder on ``sys.path`` with modules of a third party, as long as a test runs.

    :param names: of those modules.
    :param entry_points: group -> name -> object, as an installed package has them.
    :ivar folder: where they are.
    """

    def __init__(
        self, *names: str, entry_points: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        super().__init__()
        self._names = names
        self._entry_points = entry_points or {}

    def _setUp(self) -> None:
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for name in self._names:
            shutil.copy(_SOURCES / f'{name}.py', self.folder)
        self.useFixture(fixtures.PythonPathEntry(str(self.folder)))
        if self._entry_points:
            self._install()
        self._forget()
        self.addCleanup(self._forget)

    def _install(self) -> None:
        info = self.folder / 'third_party-1.0.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n')
        (info / 'entry_points.txt').write_text(provider_files.ini_text(self._entry_points))

    def _forget(self) -> None:
        importlib.invalidate_caches()
        extension.ExtensionManager.ENTRY_POINT_CACHE.clear()
        for name in self._names:
            sys.modules.pop(name, None)

    def module(self, name: str) -> types.ModuleType:
        return importlib.import_module(name)
