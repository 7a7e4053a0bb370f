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

"""``rooms::``, a table of Karbor's rooms from top to ground, and of what each one imports.

The imports are read from the code by the same module that a test holds the code by.
"""

import hashlib
from collections.abc import Iterator, Set
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from karbor.tests import architecture
from karbor.tests.architecture import ROOMS, Room


class Rooms(SphinxDirective):
    """A room a row; an arrow leads to each room that it stands on, not to those beyond."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes('\n'.join(_table()))


def _table() -> Iterator[str]:
    yield from ('.. list-table::', '   :widths: 20 45 35', '   :header-rows: 1', '')
    yield from ('   * - Room', '     - Holds', '     - Stands on')
    below = _rooms_below()
    for room in ROOMS:
        if room.name in below:
            yield f'   * - ``{room.name}``'
            yield f'     - {room.holds}'
            yield f'     - {", ".join(_arrows(room, below))}'


def _rooms_below() -> dict[str, set[str]]:
    """The rooms that each room imports as the rules allow, by name."""
    below: dict[str, set[str]] = {}
    for found in architecture.read():
        importer = architecture.room_of(found.importer)
        imported = architecture.room_of(found.imported)
        for room in (importer, imported):
            below.setdefault(room.name, set())
        if importer is not imported and architecture.is_allowed(found):
            below[importer.name].add(imported.name)
    return below


def _arrows(room: Room, below: dict[str, set[str]]) -> Iterator[str]:
    direct = below[room.name]
    beyond = set().union(*(_all_below(name, below) for name in direct))
    for other in ROOMS:
        if other.name in direct - beyond:
            yield f'↓ ``{other.name}``'
        elif other.name in _still_above(room):
            yield f'↑ ``{other.name}`` (still)'


def _all_below(name: str, below: dict[str, set[str]]) -> Set[str]:
    return below[name].union(*(_all_below(each, below) for each in below[name]))


def _still_above(room: Room) -> Set[str]:
    return {
        architecture.room_of(found.imported).name
        for found in architecture.KNOWN
        if architecture.room_of(found.importer) is room
    }


def setup(app: Sphinx) -> dict[str, Any]:
    # Without it, the page would stay as it is when only the code has changed.
    app.add_config_value(
        'rooms_digest', hashlib.sha256('\n'.join(_table()).encode()).hexdigest(), 'env'
    )
    app.add_directive('rooms', Rooms)
    return {'version': '1'}
