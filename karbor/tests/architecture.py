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

"""The rooms of Karbor, from the top of the house to its ground, and who may import whom.

A room is a package below ``karbor`` or below ``karbor.services``. What it imports is below it,
so there is no circle among rooms. A test holds the code to it, and the documentation shows it,
both by what :func:`read` finds.
"""

import dataclasses
import functools
import pathlib

import karbor
from karbor.tests import imports
from karbor.tests.imports import Import


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """A room.

    :ivar name: what it is called.
    :ivar holds: what it is about.
    :ivar parts: the packages and modules that it is made of.
    :ivar only: names of the rooms that it may import; None is all that are below.
    """

    name: str
    holds: str
    parts: tuple[str, ...]
    only: tuple[str, ...] | None = None


_FLOORS = ('karbor', 'karbor.services')  # of these, packages are rooms of their own

#: From the top to the ground.
ROOMS = (
    Room('testing', 'fakes, for the tests of plugins and of Karbor', ('karbor.testing',)),
    Room(
        'client',
        'for programs that call the API of a Karbor elsewhere, on openstacksdk',
        ('karbor.client',),
        only=('local',),
    ),
    Room('wsgi', 'the API for a web server', ('karbor.wsgi',)),
    Room('cmd', 'a console script a file, and how processes are put together', ('karbor.cmd',)),
    Room('api', 'HTTP in, JSON out; asks the services', ('karbor.api',)),
    Room(
        'services/moving',
        'what a Karbor of old has, taken over',
        ('karbor.services.moving',),
    ),
    Room(
        'services/notifications',
        'what people are told without asking: troubles, and whether a project is well',
        ('karbor.services.notifications',),
    ),
    Room(
        'services/recovery',
        'what is in Cinder and in the banks after a loss, compared and written again',
        ('karbor.services.recovery',),
    ),
    Room(
        'services/schedules',
        'triggers, what they start, and the retention of what that made',
        ('karbor.services.schedules',),
    ),
    Room(
        'services/checkpoints',
        'what may be asked about plans, checkpoints, restores and verifications',
        ('karbor.services.checkpoints',),
    ),
    Room(
        'services/jobs',
        'where jobs wait, who runs them, and how their hooks are called',
        ('karbor.services.jobs',),
    ),
    Room(
        'plugins',
        'the plugins that are shipped: what protects, what can be protected, banks',
        (
            'karbor.services.protection.protection_plugins',
            'karbor.services.protection.protectable_plugins',
            'karbor.services.protection.bank_plugins',
        ),
        only=('services/cinder', 'services/protection', 'retrying', 'conf', 'common'),
    ),
    Room(
        'services/cinder',
        'requests to Cinder, and waiting for what they began',
        ('karbor.services.cinder',),
        only=('services/protection', 'retrying', 'conf', 'common'),
    ),
    Room(
        'services/protection',
        'the contract of plugins, and the model that they see',
        ('karbor.services.protection',),
        only=('conf', 'common'),
    ),
    Room(
        'services/identity',
        'Keystone, and the trusts by which jobs act for users',
        ('karbor.services.identity',),
    ),
    Room(
        'services',
        'the floor of all services: quotas, processes, what is periodic',
        ('karbor.services',),
    ),
    Room('retrying', 'how often and how long to try again', ('karbor.services.retrying',)),
    Room('db', 'tables, queries, migrations; nobody else writes SQL', ('karbor.db',)),
    Room(
        'common',
        'words, errors, who asks and what for',
        ('karbor', 'karbor.common'),
    ),
    Room('policies', 'who may do what', ('karbor.policies',)),
    Room(
        'local',
        'how a client and a karbor-standalone find each other, and how texts are shown',
        ('karbor.local', 'karbor.shown'),
        only=(),
    ),
    Room('conf', 'the options of karbor.conf, a section a module', ('karbor.conf',)),
)

#: Imports that are against the rules and still there. Who removes one removes it here, too.
KNOWN: frozenset[Import] = frozenset()


@functools.cache
def read() -> tuple[Import, ...]:
    """What Karbor's modules import of each other; without those of its tests."""
    files = imports.modules(pathlib.Path(karbor.__file__).parent)
    return tuple(
        imports.read(
            {name: path for name, path in files.items() if not _is_in(name, 'karbor.tests')}
        )
    )


def room_of(module: str) -> Room:
    """The room that a module is in; a single file belongs to the floor that it lies on.

    :raises KeyError: it is in a package that no room has.
    """
    places = {part: room for room in ROOMS for part in room.parts}
    name = module
    while name not in places:
        name = name.rpartition('.')[0]
    if name in _FLOORS and module.count('.') > name.count('.') + 1:
        raise KeyError(f'{module} is in no room')
    return places[name]


def is_allowed(found: Import) -> bool:
    """Whether the rules have nothing against an import."""
    importer, imported = room_of(found.importer), room_of(found.imported)
    if importer is imported:
        return True
    if importer.only is not None:
        return imported.name in importer.only
    return ROOMS.index(importer) < ROOMS.index(imported)


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f'{package}.')
