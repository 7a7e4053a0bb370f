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

"""Reads which module of a package imports which, without importing any."""

import ast
import graphlib
import importlib.util
import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Import(NamedTuple):
    """One module imports another; both by their full names."""

    importer: str
    imported: str

    def __str__(self) -> str:
        return f'{self.importer} imports {self.imported}'


def modules(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The modules of a package, with their files.

    :param folder: of the package, whose name it has.
    """
    found = {}
    for path in sorted(folder.rglob('*.py')):
        parts = path.relative_to(folder.parent).with_suffix('').parts
        found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return found


def read(files: dict[str, pathlib.Path]) -> list[Import]:
    """What the modules import of each other, anywhere in their text.

    A module that imports a name of another imports the other; that it runs the packages which
    the other is in does not count.

    :param files: the modules, with their files.
    """
    return sorted(
        {
            Import(importer, imported)
            for importer, path in files.items()
            for imported in _imported(importer, path, files)
            if imported != importer
        }
    )


def _imported(importer: str, path: pathlib.Path, files: dict[str, pathlib.Path]) -> Iterator[str]:
    package = importer if path.stem == '__init__' else importer.rpartition('.')[0]
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name('.' * node.level + (node.module or ''), package)
            names = [f'{origin}.{alias.name}' for alias in node.names]
        for name in names:
            known = [found for found in (name, name.rpartition('.')[0]) if found in files]
            yield from known[:1]


def circle(imports: Iterable[Import]) -> list[str]:
    """Modules that import each other in a circle, each the next; empty if there are none."""
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for found in imports:
        sorter.add(*found)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        return list(reversed(error.args[1]))
    return []
